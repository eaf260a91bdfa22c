//! A table that is edited in one terminal, and watched in others.
//!
//! ```text
//! cargo run --example live_query -- serve stock.db
//! cargo run --example live_query -- watch ws://127.0.0.1:7788 "SELECT id, item, count FROM stock"
//! cargo run --example live_query -- edit ws://127.0.0.1:7788
//! ```
//!
//! The first prints its address. Edits are lines: `add tea 2`, `set 1 3`, `remove 1`; what other programs write to the file, such as
//! SQLite's own shell, is noticed too. Without arguments all three play together in one process, which ends by itself.

mod said;

use moorline::server::HookError;
use moorline::{
    Client, Connection, QueryOptions, QueryResult, Server, Tokio, WebSocket, WebSocketAcceptor,
    event,
};
use moorline_sqlite::rusqlite::params_from_iter;
use moorline_sqlite::{Rights, SqliteEngine};
use said::{said, say};
use serde_json::Value;
use tokio::sync::mpsc;

const ADDRESS: &str = "127.0.0.1:7788";

const COLUMNS: &str = "id INTEGER PRIMARY KEY, item TEXT, count INTEGER, supplier TEXT";

#[tokio::main]
async fn main() -> Result<(), HookError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => play().await,
        ["serve", ref rest @ ..] if rest.len() < 3 => {
            let (file, address) = (rest.first().copied(), rest.get(1).unwrap_or(&ADDRESS));
            let (server, url) = serve(file, address).await?;
            println!("{url}");
            tokio::signal::ctrl_c().await?;
            Ok(server.stop().await.map(drop)?)
        }
        ["watch", url, query] => watch(&client(url)?, query, |line| println!("{line}")).await,
        ["edit", url] => edit(&client(url)?).await,
        _ => {
            eprintln!("usage: live_query [serve [FILE [ADDRESS]] | watch URL QUERY | edit URL]");
            std::process::exit(2)
        }
    }
}

/// Answers queries, and requests to write. A real server would ask first who it is.
async fn serve(file: Option<&str>, address: &str) -> Result<(Server, String), HookError> {
    let stock = match file {
        Some(file) => SqliteEngine::open(file, Tokio::current())?,
        None => SqliteEngine::in_memory(Tokio::current())?,
    };
    stock.execute(format!("CREATE TABLE IF NOT EXISTS stock ({COLUMNS}) STRICT"), []).await?;
    // What is not named here nobody may read: no other table, and no supplier.
    let stock = stock.rights(|_asker| Rights::none().table("stock", ["id", "item", "count"]));
    let server = Server::builder()
        .acceptor(WebSocketAcceptor::new(address, Tokio::current())?)
        .runtime(Tokio::current())
        .queries(stock.clone())
        .build();
    server.on_connect(async move |connection| {
        let stock = stock.clone();
        connection.on_request(move |request| {
            let stock = stock.clone();
            async move { write(&stock, request.message.text().unwrap_or_default()).await }
        });
        Ok(())
    });
    server.start().await?;
    let url = format!("ws://{}", server.local_address().ok_or("it has no address")?);
    Ok((server, url))
}

/// Writes through the engine, whose queries learn of it at once.
async fn write(stock: &SqliteEngine, line: &str) -> Result<String, HookError> {
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let sql = match (words.first().map_or("", String::as_str), words.len()) {
        ("add", 3) => "INSERT INTO stock (item, count) VALUES (?1, ?2)",
        ("set", 3) => "UPDATE stock SET count = ?2 WHERE id = ?1",
        ("remove", 2) => "DELETE FROM stock WHERE id = ?1",
        _ => return Err("say `add ITEM COUNT`, `set ID COUNT` or `remove ID`".into()),
    };
    let written = stock.execute(sql, params_from_iter(words.into_iter().skip(1))).await?;
    Ok(format!("{written} written"))
}

fn client(url: &str) -> Result<Connection, HookError> {
    let transport = WebSocket::new(url, Tokio::current())?;
    Ok(Client::builder().transport(transport).runtime(Tokio::current()).build().closed())
}

/// Prints the rows of a query, and each change as it comes, until the query fails.
async fn watch(connection: &Connection, query: &str, print: fn(String)) -> Result<(), HookError> {
    connection.on(event::Disconnect, |end| eprintln!("── {end} ──"));
    let (failed, mut failure) = mpsc::unbounded_channel();
    let set = connection.query_set(); // whose queries end with it
    let rows = move |result| show(&result, print);
    let error = move |error| drop(failed.send(error));
    set.retrieve_and_subscribe(query, rows, error, QueryOptions::default());
    connection.connect().await?;
    Err(failure.recv().await.ok_or("the connection is gone")?.into())
}

fn show(result: &QueryResult, print: fn(String)) {
    if result.retrieve {
        print(format!("{} rows", result.count));
    }
    for row in result.read::<Value>().expect("the engine writes JSON") {
        print(match row["change"].as_str() {
            _ if result.retrieve => format!("  {row}"),
            Some("added") => format!("+ {}", row["row"]),
            _ => format!("- {}", row["row"]),
        });
    }
}

/// Has each line that is typed written.
async fn edit(connection: &Connection) -> Result<(), HookError> {
    connection.connect().await?;
    // This blocks the main thread alone: the connection lives on tokio's others.
    for line in std::io::stdin().lines() {
        let answer = connection.request(line?).await;
        println!("{}", answer.map_or_else(|error| error.to_string(), |text| text.to_string()));
    }
    Ok(())
}

async fn play() -> Result<(), HookError> {
    let (server, url) = serve(None, "127.0.0.1:0").await?;
    let (editor, watcher) = (client(&url)?, client(&url)?);
    editor.connect().await?;
    assert_eq!(editor.request("add tea 2").await?.text(), Some("1 written"));
    let plenty = "SELECT item, count FROM stock WHERE count > 1";
    tokio::spawn(async move { watch(&watcher, plenty, say).await });
    said(r#"  {"count":2,"item":"tea"}"#).await;
    editor.request("set 1 3").await?;
    said(r#"- {"count":2,"item":"tea"}"#).await;
    said(r#"+ {"count":3,"item":"tea"}"#).await;
    editor.request("add coffee 1").await?; // not enough to be seen
    editor.request("set 2 5").await?;
    said(r#"+ {"count":5,"item":"coffee"}"#).await;
    editor.request("remove 1").await?;
    said(r#"- {"count":3,"item":"tea"}"#).await;
    assert!(editor.request("set 2 much").await.is_err());
    say(watch(&client(&url)?, "SELECT supplier FROM stock", say).await.expect_err("a secret"));
    Ok(server.stop().await.map(drop)?)
}

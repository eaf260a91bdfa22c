//! A shared document: three editors type at once, see each other's cursors, and lose nothing when links break.
//!
//! ```text
//! cargo run --example collab
//! ```
//!
//! The server puts the edits into one order, numbers and publishes them; every editor applies them in that order, its own too, and
//! so all have the same document. Who comes late gets the document as it is and then the edits. It ends by itself within two seconds.

mod said;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use moorline::{
    Backoff, Channel, Class, Client, Connection, Message, Network, PresenceChange, Recovery,
    RequestError, Server, Tokio, event,
};
use said::{said, say};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

const MS: Duration = Duration::from_millis(1);

/// In characters: takes some away there, and puts others in their place. Far out is at the end.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Edit {
    at: usize,
    take: usize,
    put: String,
}

/// The text after so many edits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Document {
    edits: u64,
    text: String,
}

impl Document {
    fn apply(&mut self, edit: &Edit) {
        let mut text: Vec<char> = self.text.chars().collect();
        let start = edit.at.min(text.len());
        let end = edit.at.saturating_add(edit.take).min(text.len());
        text.splice(start..end, edit.put.chars());
        self.text = text.into_iter().collect();
        self.edits += 1;
    }
}

/// The server: one document, on a channel that only it publishes the edits on.
fn serve(network: &Network) -> (Server, Arc<Mutex<Document>>) {
    let server =
        Server::builder().acceptor(network.acceptor("docs")).runtime(Tokio::current()).build();
    let document = Arc::new(Mutex::new(Document::default()));
    let (channel, shared) = (server.channel("document"), document.clone());
    server.on_connect(async move |connection| {
        let asked = shared.clone();
        connection.on_request(move |_| {
            let document = asked.lock().expect("nobody panics under it").clone();
            async move { Message::from_json(&document) }
        });
        let (channel, shared) = (channel.clone(), shared.clone());
        connection.on_channel("edits", move |edit: Edit| {
            // Numbered and published under the lock, so that all hear them in this order.
            let mut document = shared.lock().expect("nobody panics under it");
            document.apply(&edit);
            let numbered = Message::from_json(&(document.edits, edit)).expect("it is JSON");
            channel.emit(numbered.event("edit")).expect("every codec writes JSON");
        });
        Ok(())
    });
    (server, document)
}

/// What an editor has: the document, and the edits that came before it did.
#[derive(Debug, Default)]
struct Copy {
    document: Option<Document>,
    waiting: BTreeMap<u64, Edit>,
}

impl Copy {
    fn apply(&mut self) {
        let Some(document) = &mut self.document else { return };
        while let Some(next) = self.waiting.first_entry() {
            let number = *next.key();
            if number > document.edits + 1 {
                return; // some before it are still missing
            }
            let edit = next.remove();
            // One that the document had already is passed over.
            if number == document.edits + 1 {
                document.apply(&edit);
            }
        }
    }
}

#[derive(Clone)]
struct Editor {
    name: &'static str,
    connection: Connection,
    copy: Arc<Mutex<Copy>>,
}

impl Editor {
    async fn join(network: &Network, name: &'static str) -> Result<Self, Box<dyn Error>> {
        let connection = Client::builder()
            .transport(network.transport("docs"))
            .runtime(Tokio::current())
            .backoff(Backoff::exponential(20 * MS).spread(20 * MS))
            .build()
            .closed();
        let editor = Self { name, connection, copy: Arc::default() };
        let channel = editor.channel();
        let copy = editor.copy.clone();
        channel.on_message(move |message| match message.event.as_deref() {
            Some("edit") => {
                let (number, edit) = message.json().expect("the server numbers them");
                let mut copy = copy.lock().expect("nobody panics under it");
                copy.waiting.insert(number, edit);
                copy.apply();
            }
            cursor => say(format!("{name} sees the {} at {message}", cursor.unwrap_or_default())),
        });
        channel.on_presence(move |presence| match presence.change {
            PresenceChange::Joined(one) => {
                say(format!("{name} sees {:?} come", one.profile::<String>().ok().flatten()));
            }
            PresenceChange::Left(_) => say(format!("{name} sees somebody go")),
            _ => {}
        });
        // With a new session edits may be missing: the document is asked for again.
        let weak = editor.connection.downgrade();
        let copy = editor.copy.clone();
        editor.connection.on(event::Recovery, move |recovery| {
            let (connection, copy) = (weak.upgrade(), copy.clone());
            async move {
                say(format!("{name}: {recovery:?}"));
                if let (true, Some(connection)) = (recovery != Recovery::Recovered, connection) {
                    tokio::spawn(async move { fetch(&connection, &copy).await });
                }
            }
        });
        editor.connection.connect().await?;
        editor.connection.update_profile(name)?;
        // First the edits from now on, then the document: none is missed between the two.
        channel.join().await?;
        fetch(&editor.connection, &editor.copy).await?;
        Ok(editor)
    }

    /// Types a text, word by word, at the end of what is there, and moves its cursor.
    async fn type_in(&self, text: &str) -> Result<(), Box<dyn Error>> {
        for word in text.split_inclusive(' ') {
            let at = self.document().text.chars().count();
            let edit = Edit { at, take: 0, put: word.to_owned() };
            self.connection.send_json("edits", &edit).await?;
            // Only the newest place of a cursor is worth sending, and none is worth waiting for.
            let cursor = Message::from_json(&at)?.event(format!("cursor of {}", self.name));
            self.channel().publish(cursor.class(Class::Volatile).latest()).await?;
            sleep(10 * MS).await;
        }
        Ok(())
    }

    /// Where edits and cursors are told. It needs no news of itself.
    fn channel(&self) -> Channel<'_> {
        self.connection.channel("document").echo(false)
    }

    fn document(&self) -> Document {
        let copy = self.copy.lock().expect("nobody panics under it");
        copy.document.clone().unwrap_or_default()
    }

    /// Who is there, by name.
    fn present(&self) -> Vec<String> {
        let members = self.channel().present().unwrap_or_default();
        let names = members.iter().filter_map(|member| member.profile().ok().flatten());
        names.collect::<BTreeSet<_>>().into_iter().collect()
    }
}

async fn fetch(connection: &Connection, copy: &Mutex<Copy>) -> Result<(), RequestError> {
    let document: Document = connection.request_json("document", &()).await?;
    let mut copy = copy.lock().expect("nobody panics under it");
    copy.document = Some(document);
    copy.apply();
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let network = Network::new(Tokio::current());
    let (server, document) = serve(&network);
    server.start().await?;

    let ann = Editor::join(&network, "ann").await?;
    let bob = Editor::join(&network, "bob").await?;
    said(r#"ann sees Some("bob") come"#).await;

    // Both type at once, the links break in between, and a third one comes meanwhile.
    let (anns, bobs, eves) = ("a link is cut and no edit lost ", "WHOEVER TYPES ", "fast.");
    let trouble = async {
        sleep(20 * MS).await;
        network.reset("docs");
        Editor::join(&network, "eve").await
    };
    let (one, other, eve) = tokio::join!(ann.type_in(anns), bob.type_in(bobs), trouble);
    one.and(other)?;
    let eve = eve?;
    said("ann: Recovered").await;
    said("bob: Recovered").await;
    eve.type_in(eves).await?;
    said("ann sees the cursor of eve").await;

    let words: Vec<&str> =
        [anns, bobs, eves].iter().flat_map(|text| text.split_inclusive(' ')).collect();
    for editor in [&ann, &bob, &eve] {
        while editor.document().edits < words.len() as u64 {
            sleep(MS).await;
        }
        say(format!("{} has {:?}", editor.name, editor.document().text));
        assert_eq!(editor.document(), *document.lock().expect("nobody panics under it"));
        assert!(words.iter().all(|word| editor.document().text.contains(word)));
        assert_eq!(editor.present(), ["ann", "bob", "eve"]);
    }
    eve.connection.disconnect();
    said("ann sees somebody go").await;
    server.stop().await?;
    Ok(())
}

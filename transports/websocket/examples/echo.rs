//! What a message costs: an echo server over the transport alone, beside tokio-tungstenite's.
//!
//! `cargo run --release -p moorline-websocket --example echo` runs all, server and load in processes of their own, and prints
//! server CPU per message in microseconds, and server memory per idle connection. `-- serve NAME` serves one of them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use moorline_core::{Acceptor, Incoming, Pending, Receiver, Sender};
use moorline_tokio::Tokio;
use moorline_websocket::WebSocketAcceptor;
use tokio_tungstenite::accept_async_with_config;
use tungstenite::protocol::WebSocketConfig;

const SERVERS: [&str; 4] = ["moorline", "tungstenite", "tungstenite-batch", "tungstenite-4k"];

/// Connections, bytes of a message, messages in flight on each connection, rounds.
const LOADS: [(usize, usize, usize, usize); 5] = [
    (32, 32, 1, 1500),
    (256, 32, 1, 200),
    (32, 32, 64, 400),
    (32, 1024, 64, 300),
    (32, 16 * 1024, 64, 40),
];

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => compare(&SERVERS),
        ["serve", name] => serve(name),
        names => compare(names),
    }
}

fn compare(names: &[&str]) -> Result<(), Failure> {
    println!(
        "| server | C32 32 B W1 | C256 32 B W1 | C32 32 B W64 | C32 1 KiB W64 | C32 16 KiB W64 | idle bytes | after 1 MiB | µs a connect |"
    );
    println!("| --- | --: | --: | --: | --: | --: | --: | --: | --: |");
    let mut costs = vec![vec![Vec::new(); LOADS.len()]; names.len()];
    // Rounds of all in turn, so that what else the machine does falls on all alike.
    for _ in 0..5 {
        for (name, costs) in names.iter().zip(&mut costs) {
            let server = Served::start(name)?;
            for (&load, costs) in LOADS.iter().zip(costs) {
                costs.push(server.measure(load)?);
            }
        }
    }
    for (name, costs) in names.iter().zip(costs) {
        print!("| {name} |");
        for mut costs in costs {
            costs.sort_by(f64::total_cmp);
            print!(" {:.2} |", costs[costs.len() / 2]);
        }
        let (idle, after, connect) = Served::start(name)?.idle()?;
        println!(" {idle} | {after} | {connect:.1} |");
    }
    Ok(())
}

/// A server in a process of its own.
struct Served {
    process: Child,
    address: String,
}

impl Served {
    fn start(name: &str) -> Result<Self, Failure> {
        let mut process = Command::new("taskset")
            .args(["-c", "0"])
            .arg(std::env::current_exe()?)
            .args(["serve", name])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut address = String::new();
        let output = process.stdout.take().ok_or("no output")?;
        BufReader::new(output).read_line(&mut address)?;
        Ok(Self { process, address: address.trim().to_owned() })
    }

    fn connect(&self) -> Result<TcpStream, Failure> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        stream.write_all(
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
              Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.extend(byte);
        }
        Ok(stream)
    }

    /// Server CPU per message in microseconds.
    fn measure(&self, load: (usize, usize, usize, usize)) -> Result<f64, Failure> {
        let (connections, size, window, rounds) = load;
        let batch = frame(size).repeat(window);
        let mut answer = vec![0; (size + header(size).len()) * window];
        let mut streams =
            (0..connections).map(|_| self.connect()).collect::<Result<Vec<_>, _>>()?;
        let mut round = |streams: &mut [TcpStream]| -> Result<(), Failure> {
            // A batch larger than the sockets hold goes out while its answer comes in.
            let piece = if batch.len() > 128 * 1024 { window / 8 } else { window };
            for part in 0..window / piece {
                let _ = part;
                for stream in &mut *streams {
                    stream.write_all(&batch[..batch.len() / window * piece])?;
                }
                for stream in &mut *streams {
                    stream.read_exact(&mut answer[..(size + header(size).len()) * piece])?;
                }
            }
            Ok(())
        };
        for _ in 0..rounds / 10 + 1 {
            round(&mut streams)?;
        }
        let before = self.cpu()?;
        for _ in 0..rounds {
            round(&mut streams)?;
        }
        let spent = self.cpu()? - before;
        Ok(spent / (connections * window * rounds) as f64)
    }

    /// Server memory per idle connection, before and after each has echoed 1 MiB, and server CPU per connect in
    /// microseconds.
    fn idle(&self) -> Result<(i64, i64, f64), Failure> {
        drop(self.connect()?);
        let empty = self.memory()?;
        let (count, before) = (2000, self.cpu()?);
        let mut streams = (0..count).map(|_| self.connect()).collect::<Result<Vec<_>, _>>()?;
        std::thread::sleep(Duration::from_millis(300));
        let idle = (self.memory()? - empty) / count;
        let connect = (self.cpu()? - before) / count as f64;
        let (message, mut answer) = (frame(1 << 20), vec![0; (1 << 20) + 10]);
        for stream in &mut streams[..200] {
            let mut reading = stream.try_clone()?;
            std::thread::scope(|scope| -> Result<(), Failure> {
                let write = scope.spawn(|| stream.write_all(&message));
                reading.read_exact(&mut answer)?;
                Ok(write.join().map_err(|_| "the writer panicked")??)
            })?;
        }
        std::thread::sleep(Duration::from_millis(300));
        Ok((idle, (self.memory()? - empty - idle * (count - 200)) / 200, connect))
    }

    /// The process's clock in microseconds.
    fn cpu(&self) -> Result<f64, Failure> {
        let stat = std::fs::read_to_string(format!("/proc/{}/schedstat", self.process.id()))?;
        let nanoseconds: f64 = stat.split(' ').next().unwrap_or("0").parse()?;
        Ok(nanoseconds / 1000.0)
    }

    fn memory(&self) -> Result<i64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        let kib: i64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn header(size: usize) -> Vec<u8> {
    match size {
        0..=125 => vec![0x82, size as u8],
        126..=0xffff => [&[0x82, 126][..], &(size as u16).to_be_bytes()].concat(),
        _ => [&[0x82, 127][..], &(size as u64).to_be_bytes()].concat(),
    }
}

fn frame(size: usize) -> Vec<u8> {
    let mut frame = header(size);
    frame[1] |= 0x80;
    frame.extend([1, 2, 3, 4]);
    frame.extend((0..size).map(|at| b'x' ^ [1, 2, 3, 4][at % 4]));
    frame
}

/// One thread, so that the process's first task's clock is all of it.
#[tokio::main(flavor = "current_thread")]
async fn serve(name: &str) -> Result<(), Failure> {
    if name == "moorline" { serve_moorline().await } else { serve_tungstenite(name).await }
}

async fn serve_moorline() -> Result<(), Failure> {
    let mut acceptor = WebSocketAcceptor::new("127.0.0.1:0", Tokio::current())?;
    acceptor.listen().await?;
    println!("{}", acceptor.local_address().unwrap_or_default());
    loop {
        let pending = acceptor.accept().await?;
        tokio::spawn(async move {
            let Ok((sender, receiver, _)) = pending.handshake().await else { return };
            let _ = tokio::spawn(echo(sender, receiver)).await;
        });
    }
}

/// Answers what is there, then flushes, as the driver does.
async fn echo<S: Sender, R: Receiver>(mut sender: S, mut receiver: R) -> Result<(), Failure> {
    while let Some(incoming) = receiver.receive().await? {
        let mut next = Some(incoming);
        let mut taken = 0;
        while let Some(incoming) = next.take() {
            if let Incoming::Frame(frame) = incoming {
                sender.send(frame).await?;
            }
            taken += 1;
            if taken < 64 {
                let more = futures_util::FutureExt::now_or_never(receiver.receive());
                next = more.transpose()?.flatten();
            }
        }
        sender.flush().await?;
    }
    Ok(())
}

async fn serve_tungstenite(name: &str) -> Result<(), Failure> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let per_batch = name == "tungstenite-batch";
    let mut config = WebSocketConfig::default();
    if name == "tungstenite-4k" {
        config = config.read_buffer_size(4096);
    }
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let mut socket = accept_async_with_config(stream, Some(config)).await?;
            while let Some(message) = socket.next().await {
                let message = message?;
                if !(message.is_text() || message.is_binary()) {
                    continue;
                }
                if !per_batch {
                    socket.send(message).await?;
                    continue;
                }
                socket.feed(message).await?;
                for _ in 1..64 {
                    match futures_util::FutureExt::now_or_never(socket.next()) {
                        Some(Some(Ok(message))) if message.is_binary() => {
                            socket.feed(message).await?;
                        }
                        _ => break,
                    }
                }
                socket.flush().await?;
            }
            Ok::<_, tungstenite::Error>(())
        });
    }
}

//! What `docs/protocol.md` shows is what the codecs do.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use moorline_core::wire::{Binary, Codec, Json, Packet};
use moorline_core::{Frame, Reason, Side};

/// A fenced block: the words behind the fence, where it begins, and its text.
struct Block {
    words: Vec<String>,
    line: usize,
    text: String,
}

fn document() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/protocol.md");
    std::fs::read_to_string(path).expect("the document lies beside the crate")
}

fn blocks() -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut inside = false;
    for (at, line) in document().lines().enumerate() {
        if let Some(words) = line.strip_prefix("```") {
            if !inside {
                let words = words.split_whitespace().map(str::to_owned).collect();
                blocks.push(Block { words, line: at + 1, text: String::new() });
            }
            inside = !inside;
        } else if let Some(block) = blocks.last_mut().filter(|_| inside) {
            block.text += line;
            block.text.push('\n');
        }
    }
    blocks.retain(|block| block.words.first().is_some_and(|word| word == "json" || word == "hex"));
    blocks
}

impl Block {
    fn codec(&self) -> &'static dyn Codec {
        if self.words[0] == "json" { &Json } else { &Binary }
    }

    fn frame(&self) -> Frame {
        if self.words[0] == "json" {
            return Frame::text(self.text.clone());
        }
        let digits = self.text.lines().map(|line| line.split('#').next().unwrap_or_default());
        let bytes = digits.flat_map(str::split_whitespace).map(|byte| u8::from_str_radix(byte, 16));
        Frame::binary(bytes.collect::<Result<Vec<_>, _>>().expect("hex digits"))
    }

    fn packet(&self) -> Packet {
        match self.codec().decode(self.frame()) {
            Ok(packet) => packet,
            Err(error) => panic!("docs/protocol.md:{}: {error}", self.line),
        }
    }

    /// Encoding gives the sample back; in JSON up to white space and the order of members.
    fn is_what_is_encoded(&self, packet: &Packet) {
        let encoded = self.codec().encode(packet.clone()).expect("a packet that was decoded");
        let at = format!("docs/protocol.md:{}", self.line);
        if let Some(text) = encoded.as_text() {
            let json = |text| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
            assert_eq!(json(text), json(&self.text), "{at}");
        } else {
            assert_eq!(encoded.payload(), self.frame().payload(), "{at}");
        }
    }
}

#[test]
fn every_sample_is_decoded_and_encoded_again() {
    let mut json: Option<Packet> = None;
    let mut sample: Option<Packet> = None;
    let mut shown = BTreeSet::new();
    for block in blocks() {
        let at = format!("docs/protocol.md:{}", block.line);
        match (block.words[0].as_str(), block.words.get(1).map(String::as_str)) {
            ("json", Some("sample")) => {
                let packet = block.packet();
                block.is_what_is_encoded(&packet);
                assert!(json.replace(packet).is_none(), "{at}: the sample before has no binary");
            }
            ("hex", Some("sample")) => {
                let packet = block.packet();
                block.is_what_is_encoded(&packet);
                assert_eq!(json.take().as_ref(), Some(&packet), "{at}: JSON says otherwise");
                shown.insert(packet.name());
                sample = Some(packet);
            }
            (_, Some("accepted")) => {
                assert_eq!(Some(block.packet()), sample, "{at}: not the sample before");
            }
            (_, Some("refused")) => {
                let read = block.codec().decode(block.frame());
                assert!(read.is_err(), "{at}: {read:?}");
            }
            _ => panic!("{at}: is it a sample, accepted or refused?"),
        }
    }
    let all = [
        "ack",
        "close",
        "error",
        "gap",
        "hello",
        "join",
        "lagged",
        "leave",
        "members",
        "message",
        "ping",
        "pong",
        "profile",
        "properties",
        "publish",
        "query",
        "ready",
        "request",
        "response",
        "result",
        "skip",
        "throttle",
    ];
    assert_eq!(shown, BTreeSet::from(all), "each packet has a sample");
}

#[test]
fn the_table_of_close_codes_is_the_one_in_the_code() {
    let document = document();
    let (_, section) = document.split_once("\n## Close codes\n").expect("the section");
    let mut seen = BTreeSet::new();
    for row in section.lines().skip_while(|line| !line.starts_with('|')).skip(2) {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let [_, codes, client, reconnects, server, _] = cells[..] else { break };
        for code in if codes == "any other" { others(&seen) } else { listed(codes) } {
            let at_client = Reason::from_close_code(code, Side::Client);
            assert_eq!(format!("{at_client:?}"), client, "{code} at a client");
            assert_eq!(at_client.reconnects(), reconnects == "yes", "{code} reconnects");
            let at_server = Reason::from_close_code(code, Side::Server);
            assert_eq!(format!("{at_server:?}"), server, "{code} at a server");
            assert!(seen.insert(code), "{code} stands there twice");
        }
    }
    assert_eq!(seen.len(), 1 << 16, "the table has every code");
}

fn others(seen: &BTreeSet<u16>) -> Vec<u16> {
    (0..=u16::MAX).filter(|code| !seen.contains(code)).collect()
}

/// The codes of a cell such as `1012: restart, 3000–3999`.
fn listed(cell: &str) -> Vec<u16> {
    cell.split(", ").flat_map(|entry| range(entry.split(':').next().unwrap_or(entry))).collect()
}

fn range(entry: &str) -> RangeInclusive<u16> {
    let number = |text: &str| text.parse::<u16>().expect("a close code");
    match entry.split_once('–') {
        Some((first, last)) => number(first)..=number(last),
        None => number(entry)..=number(entry),
    }
}

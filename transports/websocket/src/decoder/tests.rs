use super::*;

const LIMIT: usize = 4096;

/// Random enough for a test (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// What a decoder makes of input in pieces: all that comes out, as text.
fn decode(input: &[u8], mut cut: impl FnMut(usize) -> usize) -> Vec<String> {
    let mut decoder = Decoder::new(Role::Server, LIMIT, LIMIT);
    let (mut out, mut buffer, mut given) = (Vec::new(), Vec::new(), 0);
    loop {
        match decoder.step(&mut buffer) {
            Ok((consumed, step)) => {
                let waits = matches!(step, Step::Wait);
                match step {
                    Step::Wait => {}
                    Step::Whole(text, range) => {
                        let payload = Bytes::copy_from_slice(&buffer[range]);
                        out.push(describe(&frame(text, payload)));
                    }
                    Step::Item(Item::Message(frame)) => out.push(describe(&frame)),
                    Step::Item(Item::Ping(payload)) => out.push(format!("ping {payload:?}")),
                    Step::Item(Item::Pong) => out.push("pong".into()),
                    Step::Item(Item::Close(close)) => {
                        out.push(format!("close {close}"));
                        return out;
                    }
                }
                buffer.drain(..consumed);
                if waits {
                    // Never more than a header and a control frame is asked for again.
                    assert!(buffer.len() < 14 + 125, "{} bytes are kept", buffer.len());
                    if given == input.len() {
                        return out;
                    }
                    let piece = cut(input.len() - given).clamp(1, input.len() - given);
                    buffer.extend_from_slice(&input[given..given + piece]);
                    given += piece;
                }
            }
            Err(violation) => {
                out.push(format!("{} {}", violation.code, violation.what));
                return out;
            }
        }
        assert!(decoder.data.capacity() <= TRUSTED.max(2 * LIMIT));
    }
}

fn describe(frame: &Frame) -> String {
    format!("{frame:?} {:?}", frame.payload())
}

/// Frames of all kinds, most of them right.
fn frames(random: &mut Random) -> Vec<u8> {
    let mut input = Vec::new();
    let mut open = false;
    for _ in 0..random.below(12) {
        let control = random.below(3) == 0;
        let last = control || random.below(2) == 0;
        let opcode = match (control, open) {
            (true, _) => 9 + random.below(2),
            (false, true) => 0,
            (false, false) => 1 + random.below(2),
        };
        if !control {
            open = !last;
        }
        let length = if control { random.below(126) } else { random.below(700) };
        let wrong = random.below(60) == 0;
        let first = (u8::from(last) << 7) | opcode as u8 | if wrong { 0x40 } else { 0 };
        input.push(first);
        if length < 126 {
            input.push(0x80 | length as u8);
        } else {
            input.push(0x80 | 126);
            input.extend_from_slice(&(length as u16).to_be_bytes());
        }
        let key = [random.below(256) as u8, 2, 3, 4];
        input.extend_from_slice(&key);
        let start = input.len();
        input.extend("aé€🎈".bytes().cycle().take(length));
        mask::apply(&mut input[start..], key, 0);
    }
    input
}

#[test]
fn the_pieces_that_input_comes_in_make_no_difference() {
    let mut random = Random(0x5eed);
    for round in 0..3000 {
        let mut input = frames(&mut random);
        for _ in 0..random.below(3) {
            if !input.is_empty() {
                let at = random.below(input.len());
                input[at] = random.below(256) as u8;
            }
        }
        // A violation deep in a message is found earlier in pieces; what came before it is the same.
        let whole = decode(&input, |left| left);
        let bytewise = decode(&input, |_| 1);
        let cut = decode(&input, |left| 1 + random.below(left));
        assert_eq!(whole, bytewise, "round {round}");
        assert_eq!(whole, cut, "round {round}");
    }
}

#[test]
fn nothing_that_comes_makes_it_panic() {
    let mut random = Random(0xbad);
    for _ in 0..20_000 {
        let input: Vec<u8> = (0..random.below(60)).map(|_| random.below(256) as u8).collect();
        decode(&input, |left| left);
        decode(&input, |_| 1);
    }
}

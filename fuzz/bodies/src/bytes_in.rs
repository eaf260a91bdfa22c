//! Choices out of a fuzzer's bytes.

/// Reads choices; zeros where there are no more bytes.
pub(crate) struct Choices<'a> {
    rest: &'a [u8],
}

impl<'a> Choices<'a> {
    pub(crate) const fn new(data: &'a [u8]) -> Self {
        Self { rest: data }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        match self.rest.split_first() {
            Some((&byte, rest)) => {
                self.rest = rest;
                byte
            }
            None => 0,
        }
    }

    pub(crate) fn two(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// A number that is small most times.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound
    }

    pub(crate) fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (bytes, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        bytes
    }

    /// Everything that is left.
    pub(crate) const fn rest(self) -> &'a [u8] {
        self.rest
    }
}

/// One bit of a byte of settings.
pub(crate) const fn bit(byte: u8, at: u8) -> bool {
    byte >> at & 1 == 1
}

/// Cuts input into pieces: one, for a `how` of 0, single bytes for 1, else pieces of up to that many bytes, always the
/// same for the same `how`. One byte decides all of it, so that the input itself stays in one piece for the fuzzer.
pub(crate) fn pieces(input: &[u8], how: u8) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let (mut rest, mut random) = (input, u32::from(how));
    while !rest.is_empty() {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let size = match how {
            0 => rest.len(),
            how => 1 + (random >> 16) as usize % usize::from(how),
        };
        let (piece, behind) = rest.split_at(size.min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces
}

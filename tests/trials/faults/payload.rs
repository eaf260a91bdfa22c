//! A message that says its number, and shows whether it is whole.

use moorline::Message;

/// The message of that number. Its size and its bytes follow from the number.
pub(crate) fn of(number: u64) -> Vec<u8> {
    let size = match number % 50 {
        0 => 64 * 1024,
        n if n % 10 == 0 => 4 * 1024,
        n => n as usize,
    };
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.resize(8 + size, number as u8);
    bytes
}

/// The number of a message that is whole.
pub(crate) fn number(message: &Message) -> u64 {
    let bytes = message.bytes();
    let number = u64::from_be_bytes(bytes[..8].try_into().unwrap());
    assert!(bytes[..] == of(number)[..], "message {number} was changed under way");
    number
}

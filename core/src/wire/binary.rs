//! The codec `binary`.

use super::{Codec, DecodeError, EncodeError, Packet};
use crate::Frame;

/// The codec `binary`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Binary;

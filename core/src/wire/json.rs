//! The codec `json`.

use super::{Codec, DecodeError, EncodeError, Packet};
use crate::Frame;

/// The codec `json`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json;

//! The codec `raw`.

use super::{Codec, DecodeError, EncodeError, Packet};
use crate::Frame;

/// The codec `raw`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Raw;

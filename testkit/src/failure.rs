//! Why a check has failed.

use std::fmt;

/// For people.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

/// What a check ends with.
pub(crate) type Verdict = Result<(), Failure>;

impl Failure {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Ends the check unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::failure::Failure(format!($($message)+)));
        }
    };
}

pub(crate) use ensure;

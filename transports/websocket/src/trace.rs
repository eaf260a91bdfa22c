//! `tracing`, or nothing without the feature of that name.

#[cfg(feature = "tracing")]
pub(crate) use on::*;

#[cfg(not(feature = "tracing"))]
pub(crate) use off::*;

#[cfg(feature = "tracing")]
mod on {
    pub(crate) use tracing::{debug, debug_span as span};

    macro_rules! within {
        ($span:expr, $future:expr) => {
            tracing::Instrument::instrument($future, $span).await
        };
    }
    pub(crate) use within;
}

#[cfg(not(feature = "tracing"))]
mod off {
    macro_rules! debug {
        ($($ignored:tt)*) => {};
    }
    macro_rules! within {
        ($(trace::)? span!($name:literal $(, $($(%)? $field:ident),*)? $(,)?), $future:expr) => {{
            $($(let _ = &$field;)*)?
            $future.await
        }};
    }
    pub(crate) use {debug, within};
}

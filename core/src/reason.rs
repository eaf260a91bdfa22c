//! Why a connection ended: the one table from close codes to reasons.

use std::fmt;

/// Which end of a connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The end that connects, and connects again.
    Client,
    /// The end that takes connections in.
    Server,
}

/// Why a connection ended (R16).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The client closed it. Final.
    ClientDisconnect,
    /// The server closed it for good. Final.
    ServerDisconnect,
    /// The other end gave no sign of life. A client reconnects.
    PingTimeout,
    /// The link was closed. A client reconnects.
    TransportClose,
    /// The link broke, or the other end broke the protocol. A client reconnects.
    TransportError,
}

impl Reason {
    /// What a close code that came from the **other** end means to this one (`docs/protocol.md`).
    #[must_use]
    pub const fn from_close_code(code: u16, side: Side) -> Self {
        match (code, side) {
            (close_code::POLICY, Side::Client) | (4000..=4999, Side::Client) => {
                Self::ServerDisconnect
            }
            (1000 | 1001 | 1005 | 4000..=4999, Side::Server) => Self::ClientDisconnect,
            (1002 | 1003 | 1007..=1011 | 1014 | 1015, _) => Self::TransportError,
            _ => Self::TransportClose,
        }
    }

    /// Whether a client connects again by itself after it.
    #[must_use]
    pub const fn reconnects(self) -> bool {
        match self {
            Self::ClientDisconnect | Self::ServerDisconnect => false,
            Self::PingTimeout | Self::TransportClose | Self::TransportError => true,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientDisconnect => "the client disconnected",
            Self::ServerDisconnect => "the server disconnected",
            Self::PingTimeout => "the peer gave no sign of life",
            Self::TransportClose => "the link was closed",
            Self::TransportError => "the link broke",
        })
    }
}

/// The close codes that moorline itself sends (RFC 6455, section 7.4, and the registry it founds).
pub mod close_code {
    /// A client that disconnects.
    pub const NORMAL: u16 = 1000;
    /// The peer broke the protocol.
    pub const PROTOCOL: u16 = 1002;
    /// Refused, and trying again cannot help.
    pub const POLICY: u16 = 1008;
    /// A frame was larger than the limit.
    pub const TOO_LARGE: u16 = 1009;
    /// The application's own code failed.
    pub const INTERNAL: u16 = 1011;
    /// The server restarts: come back.
    pub const RESTART: u16 = 1012;
    /// Refused for now: come back later.
    pub const TRY_LATER: u16 = 1013;
    /// It is not known any more who the client is: come back to the session with fresh credentials.
    pub const EXPIRED: u16 = 3000;
    /// The server disconnects one client, without a code of its own.
    pub const SERVER_DISCONNECT: u16 = 4000;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_explicit_disconnect_is_final_for_a_client() {
        for code in 0..=u16::MAX {
            let last = matches!(code, 1008 | 4000..=4999);
            assert_eq!(Reason::from_close_code(code, Side::Client).reconnects(), !last, "{code}");
        }
    }
}

//! What clients may do with channels.

/// Who may publish on a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Publishing {
    /// The server alone.
    Nobody,
    /// Who is on it.
    #[default]
    Members,
    /// Everybody.
    Anybody,
}

/// What clients may do with channels (R26, R29, R30), and within which limits. Which client may join which channel a
/// [`Middleware`](super::Middleware) decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Channels {
    /// Who may publish on a channel.
    pub publishing: Publishing,
    /// Whether a client may send to every connection of the server.
    pub broadcasts: bool,
    /// How many channels a connection may be on.
    pub per_connection: usize,
    /// Whether those on a channel are told who else is.
    pub presence: bool,
    /// On a channel with more members than this, nobody is told who is there; until half of them have gone.
    pub presence_up_to: usize,
    /// Nor on one whose members take more bytes than this with their profiles: they would not fit into a queue.
    pub presence_bytes: usize,
    /// How long a client may be away before the others see it leave.
    pub grace: std::time::Duration,
}

impl Channels {
    /// Many windows of a busy person, and little to keep for each connection.
    pub const PER_CONNECTION: usize = 1000;
    /// A list that a person can look through; each who comes costs as many messages.
    pub const PRESENCE_UP_TO: usize = 1000;
    /// Half of a queue.
    pub const PRESENCE_BYTES: usize = 128 * 1024;
    /// Longer than most reconnects, and short enough for somebody who has gone.
    pub const GRACE: std::time::Duration = std::time::Duration::from_secs(10);

    /// Who may publish on a channel. Default: its members.
    #[must_use]
    pub const fn publishing(mut self, publishing: Publishing) -> Self {
        self.publishing = publishing;
        self
    }

    /// Whether a client may send to every connection of the server. Default: false.
    #[must_use]
    pub const fn broadcasts(mut self, broadcasts: bool) -> Self {
        self.broadcasts = broadcasts;
        self
    }

    /// How many channels a connection may be on. Default: 1,000.
    #[must_use]
    pub const fn per_connection(mut self, count: usize) -> Self {
        self.per_connection = count;
        self
    }

    /// Whether those on a channel are told who else is. Default: true.
    #[must_use]
    pub const fn presence(mut self, presence: bool) -> Self {
        self.presence = presence;
        self
    }

    /// Up to how many members those on a channel are told who else is. Default: 1,000.
    #[must_use]
    pub const fn presence_up_to(mut self, members: usize) -> Self {
        self.presence_up_to = members;
        self
    }

    /// How long a client may be away before the others see it leave; zero is at once. Default: 10 s. It stays on its channels
    /// as long as its session, and misses nothing.
    #[must_use]
    pub const fn grace(mut self, grace: std::time::Duration) -> Self {
        self.grace = grace;
        self
    }
}

impl Default for Channels {
    fn default() -> Self {
        Self {
            publishing: Publishing::default(),
            broadcasts: false,
            per_connection: Self::PER_CONNECTION,
            presence: true,
            presence_up_to: Self::PRESENCE_UP_TO,
            presence_bytes: Self::PRESENCE_BYTES,
            grace: Self::GRACE,
        }
    }
}

//! What an application tells its connection of the device that it runs on (R49).

use std::task::Waker;

use moorline_core::{AppState, NetworkHint};

use super::Connection;
use crate::shared::Command;
use crate::sync::lock;

impl Connection {
    /// Tells whether the application is in front of its user (R49). Call it where the platform tells that. Never waits.
    ///
    /// With [`AppStateMode::Automatic`](crate::AppStateMode::Automatic), the default, nothing comes of it. With `Manual` a
    /// connection that has been in the background for [`background_grace`](crate::Config::background_grace) (30 s) is closed;
    /// each [`ping`](crate::Handle::ping) of an open connection there gives it another 30 s, and a
    /// [`connect`](Self::connect) of a closed one. The foreground opens it again at once, with a new back-off, unless a
    /// server has asked for more time.
    ///
    /// The application sees a loss that waits for the foreground: a [`Disconnect`](crate::Event::Disconnect) with
    /// [`TransportClose`](crate::Reason::TransportClose) that [`reconnects`](crate::Disconnect::reconnects), and the status
    /// `Connecting`. What is sent meanwhile is buffered. So does the server, which keeps the session for its
    /// [`retention`](crate::Config::retention): whoever is back by then misses nothing. Without
    /// [`reconnect`](crate::Config::reconnect) it is opened again too. A connection that was disconnected by hand stays
    /// closed (R6).
    ///
    /// While it waits so, `connect` is [`AlreadyConnecting`](crate::ConnectError::AlreadyConnecting) and opens nothing. To
    /// open it in the background, for a push message perhaps, tell `Foreground` and then `Background`: it has 30 s.
    pub fn set_app_state(&self, app: AppState) {
        self.tell(Command::AppState(app));
    }

    /// Tells what the application knows of its network (R49). Never waits.
    ///
    /// | it is | `Online`, `Changed` | `Offline` |
    /// | --- | --- | --- |
    /// | open | a ping at once, so that a dead link is found within the heartbeat's time-out | the same |
    /// | waiting to try again | tries at once, and the back-off begins again | goes on waiting |
    /// | connecting | goes on with that, and the back-off begins again | goes on |
    /// | closed | stays closed | the same |
    ///
    /// A wrong hint does no harm. A server that has asked for a delay gets it, and with the heartbeat off there is no
    /// ping.
    pub fn network(&self, hint: NetworkHint) {
        self.tell(Command::Network(hint));
    }

    /// [`network`](Self::network) with [`NetworkHint::Changed`].
    pub fn network_changed(&self) {
        self.network(NetworkHint::Changed);
    }

    fn tell(&self, command: Command) {
        let waker = lock(&self.shared.state).command(command);
        waker.into_iter().for_each(Waker::wake);
    }
}

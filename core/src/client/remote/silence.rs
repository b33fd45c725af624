//! A host that gives no sign of life.
//!
//! It may be stopped, or hang, and has the directory as before: nobody else can take it over, and nothing is known of
//! what it was sent. So the socket stays as it is. Who awaits something is told that it does not come; when the host
//! goes on, it does what it was sent, and when it ends, another takes its place.

use parking_lot::Mutex;

use super::connection::Shared;
use super::heartbeat::Heartbeat;
use crate::client::driver::ConnectionEvent;
use crate::error::{Error, Kind};
use crate::storage::holder;

/// Why nothing is awaited of the host, while that is so.
#[derive(Default)]
pub(super) struct Silence(Mutex<Option<Error>>);

impl Shared {
    /// The host has been silent for too long. Whoever awaits something of it, or has begun to since this was last
    /// called, is told.
    pub(super) fn note_silence(&self) {
        let (error, new) = {
            let mut silence = self.silence.0.lock();
            let new = silence.is_none();
            (silence.get_or_insert_with(|| self.silent_host()).clone(), new)
        };
        for channel in self.all_channels() {
            channel.give_up(&error);
        }
        self.line.uncrowd();
        if new {
            self.tell(&ConnectionEvent::Unresponsive(error));
        }
    }

    /// The host lives. True when it had been silent.
    pub(super) fn note_life(&self) -> bool {
        self.silence.0.lock().take().is_some()
    }

    /// Why nothing is to be awaited of the host now.
    pub(super) fn silence(&self) -> Option<Error> {
        self.silence.0.lock().clone()
    }

    fn silent_host(&self) -> Error {
        let host = match self.peer.directory().and_then(holder) {
            Some(process) => format!("{process}, which has the directory,"),
            None => "the process that has the directory".into(),
        };
        let patience = Heartbeat::patience(self.options.host_timeout);
        Error::new(Kind::Timeout, "connection", format!("{host} has given no sign of life for {patience:?}"))
            .on(self.peer.place())
            .advise("if that process is stopped, have it go on or end it: the connection goes on then")
    }
}

//! A connection, and what has to leave before it closes.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use warrenmq::Result;
use warrenmq::client;

use crate::acks;

/// A connection with the acknowledgements that gather on its channels. Open for as long as anything that was
/// made of it is there.
pub(crate) struct Link {
    pub(crate) connection: client::Connection,
    gathering: Mutex<Vec<Weak<acks::Gathering>>>,
}

impl Link {
    pub(crate) fn new(connection: client::Connection) -> Arc<Self> {
        Arc::new(Link { connection, gathering: Mutex::default() })
    }

    /// Has these acknowledgements sent before the connection closes.
    pub(crate) fn watch(&self, acks: &Arc<acks::Gathering>) {
        let mut gathering = self.gathering.lock();
        gathering.retain(|acks| acks.strong_count() > 0);
        gathering.push(Arc::downgrade(acks));
    }

    /// Closes the connection, once the acknowledgements that have gathered are on their way.
    pub(crate) async fn close(&self) -> Result<()> {
        let gathering = std::mem::take(&mut *self.gathering.lock());
        for acks in gathering.iter().filter_map(Weak::upgrade) {
            let _ = acks.flush(); // fails where the channel is closed already
        }
        self.connection.close().await
    }
}

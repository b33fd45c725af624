//! Where AMQP clients come in by a connection to a broker of this process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::process;
use crate::broker::Broker;
use crate::error::{Error, Kind, Result};
use crate::server::{Limits, Server};

/// How long to try to have an address that a host before this one may not have given back yet, and how often.
const SUCCESSION: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

/// The ports of a connection. They close when it does.
#[derive(Default)]
pub(super) struct Listening(Mutex<Vec<Server>>);

impl Listening {
    /// Listens on one more address.
    pub(super) async fn add(&self, broker: &Arc<Broker>, address: &str) -> Result<SocketAddr> {
        let (broker, address) = (broker.clone(), address.to_owned());
        let opening = process::runtime()?
            .spawn(async move { Server::listen(broker, &address, Limits::default()).await });
        let server = opening.await.unwrap_or_else(|lost| {
            Err(Error::new(Kind::InternalError, "listen", "listening failed").caused_by(lost))
        })?;
        let address = server.address();
        self.0.lock().push(server);
        Ok(address)
    }

    /// Listens where another process may have listened until now. What cannot be had is logged: the broker goes on.
    pub(super) async fn take_over(&self, broker: &Arc<Broker>, addresses: &[String]) {
        let deadline = Instant::now() + SUCCESSION;
        for address in addresses {
            loop {
                match self.add(broker, address).await {
                    Ok(_) => break,
                    Err(error) if error.kind() == Kind::Unreachable && Instant::now() < deadline => {
                        sleep(PAUSE).await;
                    }
                    Err(error) => {
                        tracing::error!(%error, "AMQP clients cannot come in there");
                        break;
                    }
                }
            }
        }
    }

    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.0.lock().iter().map(Server::address).collect()
    }

    pub(super) fn close(&self) {
        self.0.lock().clear();
    }
}

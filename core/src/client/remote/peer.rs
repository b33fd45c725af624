//! Who is at the other end of a connection.

use std::path::{Path, PathBuf};

use crate::error::{Error, Kind};

/// The other end.
pub(super) enum Peer {
    /// Whoever hosts the broker of this directory: when one is gone, the next.
    Host(PathBuf),
    /// A broker of its own, by its place as errors name it: when it is gone, so is the connection.
    Broker(String),
}

impl Peer {
    pub(super) fn transport(&self) -> &'static str {
        match self {
            Peer::Host(_) => "local",
            Peer::Broker(_) => "amqp",
        }
    }

    /// Whether another one may take its place, to which is sent again what was not confirmed.
    pub(super) fn has_successors(&self) -> bool {
        matches!(self, Peer::Host(_))
    }

    pub(super) fn directory(&self) -> Option<&Path> {
        match self {
            Peer::Host(directory) => Some(directory),
            Peer::Broker(_) => None,
        }
    }

    pub(super) fn place(&self) -> String {
        match self {
            Peer::Host(directory) => directory.display().to_string(),
            Peer::Broker(place) => place.clone(),
        }
    }

    /// Why one cannot let others in there.
    pub(super) fn cannot_listen(&self) -> Error {
        let (reason, advice) = match self {
            Peer::Host(_) => (
                "another process hosts this directory's broker",
                "give the address to connect() as listen: clients come in there when this process hosts",
            ),
            Peer::Broker(_) => (
                "this connection leads to another broker, which listens by itself",
                "listen on a connection to inproc://NAME",
            ),
        };
        Error::new(Kind::Unsupported, "listen", reason).advise(advice)
    }

    /// What to say when the socket ends without a word.
    pub(super) fn gone(&self) -> &'static str {
        match self {
            Peer::Host(_) => "the process that hosts the broker has ended",
            Peer::Broker(_) => "the broker closed the socket",
        }
    }
}

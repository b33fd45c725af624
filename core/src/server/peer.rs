//! Who is at the other end of a connection.

use std::fmt;
use std::net::SocketAddr;

use crate::broker::Client;

/// Where a client is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Peer {
    /// Behind a network address.
    Address(SocketAddr),
    /// On this machine, with this process number, unless that is of a PID namespace from which it cannot be seen.
    Process(Option<u32>),
}

impl Peer {
    /// Whether it is on this machine.
    pub(super) fn is_local(self) -> bool {
        match self {
            Peer::Address(address) => address.ip().to_canonical().is_loopback(),
            Peer::Process(_) => true,
        }
    }

    /// Who it is to the broker.
    pub(super) fn introduce(self, name: Option<String>, library: Option<String>) -> Client {
        let (process, address) = match self {
            Peer::Address(address) => (None, Some(address.to_string())),
            Peer::Process(number) => (number, None),
        };
        Client { process, address, name, library }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Address(address) => address.fmt(f),
            Peer::Process(Some(number)) => write!(f, "process {number}"),
            Peer::Process(None) => f.write_str("a process of another PID namespace"),
        }
    }
}

/// What is known of a client's user before it logs in.
#[derive(Debug)]
pub(super) enum Identity {
    Unknown,
    /// The user whom its certificate names, or why it names none.
    Certificate(Result<String, &'static str>),
    /// It runs as the user who owns the broker: it may do what a program may that the broker lives in.
    Owner,
}

//! From a URL to a socket whose handshakes are done, and why it did not come to that.

use std::error::Error as _;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::Bytes;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::address::{Address, Mechanism};
use super::tls::ClientTls;
use crate::client::ConnectOptions;
use crate::client::remote::handshake::{self, Dialled, Login, Socket};
use crate::error::{Error, Kind, Result};
use crate::server::socket;
use crate::server::tls::handshake as encrypt;

const OPERATION: &str = "connect";

/// Connects within the time that the URL or the options allow. To be called on the runtime.
///
/// # Errors
/// As [`Connection::open`](crate::client::Connection::open).
pub(super) async fn dial(address: &Address, options: &ConnectOptions) -> Result<Dialled> {
    let limit = address.timeout.unwrap_or(options.timeout);
    let reached = AtomicBool::new(false);
    match timeout(limit, connect(address, options, &reached)).await {
        Ok(dialled) => dialled,
        Err(_) => {
            let reason = match reached.load(Relaxed) {
                false => "no answer",
                true => "it was reached, but did not go on to greet",
            };
            Err(Error::new(Kind::Timeout, OPERATION, format!("{reason} within {limit:?}"))
                .on(format!("'{address}'"))
                .advise("check host and port, and that nothing in between drops the packets"))
        }
    }
}

async fn connect(address: &Address, options: &ConnectOptions, reached: &AtomicBool) -> Result<Dialled> {
    let tls = address.tls.clone().map(ClientTls::load).transpose()?;
    let failed = |reason: String, advice: &str, cause: io::Error| {
        Error::new(Kind::Unreachable, OPERATION, reason)
            .on(format!("'{address}'"))
            .advise(advice)
            .caused_by(cause)
    };
    let found = lookup_host((&*address.host, address.port)).await.map_err(|error| {
        failed(format!("the host is not known: {error}"), "check the host's name in the URL", error)
    })?;
    let stream = reach(found).await.map_err(|error| {
        failed(format!("cannot connect: {error}"), "check host and port, and that the broker runs", error)
    })?;
    reached.store(true, Relaxed);
    let (reader, writer) = match tls {
        None => socket::plain(stream),
        Some(tls) => {
            let secured = async { encrypt(&stream, tls.session(&address.host)?).await };
            let session = secured.await.map_err(|error| {
                let advice = "check that the port is the TLS port, and that the certificate is valid for the \
                              host; ?cacertfile=FILE trusts more certificates";
                failed(format!("the handshake failed: {error}"), advice, error)
            })?;
            socket::secured(stream, session)
        }
    };
    Socket::new(reader, writer)
        .log_in(&login(address, options))
        .await
        .map_err(|error| explain(error, address))
}

/// Connects to the first of these that takes us.
async fn reach(found: impl Iterator<Item = std::net::SocketAddr>) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name leads to no address");
    for address in found {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                let _ = stream.set_nodelay(true); // a socket that is gone already says so when it is used
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn login(address: &Address, options: &ConnectOptions) -> Login {
    let (mechanism, response) = match address.mechanism {
        Mechanism::Plain => ("PLAIN", format!("\0{}\0{}", address.user, address.password)),
        Mechanism::External => ("EXTERNAL", String::new()),
    };
    Login {
        mechanism,
        response: Bytes::from(response),
        virtual_host: address.virtual_host.clone(),
        properties: handshake::properties(options),
        heartbeat: address.heartbeat,
        channel_max: address.channel_max.unwrap_or(0),
        frame_max: address.frame_max.unwrap_or(0),
        tuned: None,
    }
}

/// Why logging in failed, and what to do.
fn explain(error: Error, address: &Address) -> Error {
    let Address { user, virtual_host, .. } = address;
    let failed = |reason: &str, advice: &str| {
        Error::new(Kind::Unreachable, OPERATION, reason)
            .on(format!("'{address}'"))
            .advise(advice)
            .caused_by(error.clone())
    };
    match error.kind() {
        Kind::Unreachable => {
            let cause = error.source().map(ToString::to_string).unwrap_or_default();
            let advice = "check that the port is that of an AMQP 0-9-1 broker, without TLS";
            failed(&format!("the handshake failed: {cause}"), advice)
        }
        Kind::NotImplemented => failed(error.reason(), "use a broker that speaks AMQP 0-9-1"),
        Kind::FrameError | Kind::SyntaxError | Kind::UnexpectedFrame => {
            let advice = "check that the port is that of an AMQP broker";
            failed("what it answers is not AMQP 0-9-1", advice)
        }
        Kind::AccessRefused => {
            error.on(format!("'{address}'")).advise(format!("check the password of user '{user}'"))
        }
        Kind::NotAllowed | Kind::InvalidPath | Kind::NotFound => error.on(format!("'{address}'")).advise(
            format!("check that virtual host '{virtual_host}' is there and that user '{user}' may use it"),
        ),
        _ => error.on(format!("'{address}'")),
    }
}

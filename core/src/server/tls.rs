//! TLS on a socket that is read by one task and written by any thread.
//!
//! rustls does no I/O of its own: its session turns bytes into bytes, under a lock that both halves share.

use std::io::{self, BufRead, IoSlice, Write};
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use parking_lot::Mutex;
use rustls::Connection;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::error::{Error, Kind};
use crate::fork::Inherited;

/// Room for what one read brings: a record of the longest kind, and a bit.
const READ: usize = 18 << 10;

type Session = Arc<Mutex<Connection>>;

/// The reading half.
#[derive(Debug)]
pub(crate) struct Reader {
    socket: OwnedReadHalf,
    session: Session,
    /// Received, and not given to the session yet.
    sealed: BytesMut,
}

/// The writing half.
#[derive(Debug)]
pub(crate) struct Writer {
    _inherited: Inherited,
    socket: OwnedWriteHalf,
    session: Session,
}

/// Does the handshake, as a server or as a client.
///
/// # Errors
/// `InvalidData` when what the other side says is no TLS, or none that we take; it was told so if it can hear it.
pub(crate) async fn handshake(socket: &TcpStream, mut session: Connection) -> io::Result<Connection> {
    while session.is_handshaking() || session.wants_write() {
        if session.wants_write() {
            match session.write_tls(&mut Unwaiting(socket)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.writable().await?,
                written => drop(written?),
            }
            continue;
        }
        match session.read_tls(&mut Unwaiting(socket)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.readable().await?,
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                read?;
                if let Err(error) = session.process_new_packets() {
                    let _ = session.write_tls(&mut Unwaiting(socket)); // the alert, as far as it goes
                    return Err(invalid(error));
                }
            }
        }
    }
    Ok(session)
}

/// Why a handshake failed, for the log.
pub(super) fn explain(error: io::Error) -> Error {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let (reason, advice) = match tls {
        Some(rustls::Error::InvalidMessage(_)) => (
            "the client does not speak TLS".into(),
            "have it connect with amqps://, or to the port without TLS",
        ),
        Some(rustls::Error::AlertReceived(alert)) => {
            (format!("the client gave up: {alert:?}"), "check that it trusts this broker's certificate")
        }
        Some(rustls::Error::NoCertificatesPresented) => {
            ("the client shows no certificate".into(), "this port takes clients with a certificate only")
        }
        Some(rustls::Error::InvalidCertificate(why)) => {
            (format!("the client's certificate is refused: {why:?}"), "check --tls-ca, names and dates")
        }
        _ => (error.to_string(), "check which versions of TLS the client speaks"),
    };
    Error::new(Kind::AccessRefused, "TLS handshake", reason).advise(advice).caused_by(error)
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl Reader {
    pub(super) fn new(socket: OwnedReadHalf, session: Session) -> Self {
        Reader { socket, session, sealed: BytesMut::new() }
    }

    /// As [`super::socket::Reader::read`].
    pub(super) async fn read(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        loop {
            if let Some(count) = self.open(buffer)? {
                return Ok(count);
            }
            self.sealed.reserve(READ);
            if self.socket.read_buf(&mut self.sealed).await? == 0 {
                return Ok(0);
            }
        }
    }

    /// As [`super::socket::Reader::try_read`].
    pub(super) fn try_read(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        loop {
            if let Some(count) = self.open(buffer)? {
                return Ok(count);
            }
            self.sealed.reserve(READ);
            if self.socket.try_read_buf(&mut self.sealed)? == 0 {
                return Ok(0);
            }
        }
    }

    /// Decrypts what there is; `None` when more has to come first, 0 at the end of the stream.
    fn open(&mut self, buffer: &mut BytesMut) -> io::Result<Option<usize>> {
        let mut session = self.session.lock();
        let before = buffer.len();
        loop {
            let ended = opened(&mut session, buffer)?;
            if ended || self.sealed.is_empty() {
                let count = buffer.len() - before;
                return Ok((ended || count > 0).then_some(count));
            }
            session.read_tls(&mut (&mut self.sealed).reader())?;
            session.process_new_packets().map_err(invalid)?;
        }
    }
}

/// Takes decrypted bytes out of the session; true at the end of the stream.
fn opened(session: &mut Connection, buffer: &mut BytesMut) -> io::Result<bool> {
    let mut reader = session.reader();
    loop {
        match reader.fill_buf() {
            Ok([]) => return Ok(true),
            Ok(bytes) => {
                buffer.extend_from_slice(bytes);
                let count = bytes.len();
                reader.consume(count);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

impl Writer {
    pub(super) fn new(socket: OwnedWriteHalf, session: Session) -> Self {
        Writer { _inherited: Inherited::by_children(AsRef::<TcpStream>::as_ref(&socket)), socket, session }
    }

    /// Encrypts and writes as much as the socket takes. What was taken may not have left yet: see
    /// [`Writer::flush`].
    pub(super) fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut session = self.session.lock();
        self.push(&mut session)?;
        let count = session.writer().write_vectored(pieces)?;
        match self.push(&mut session) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(count),
        }
    }

    /// Writes what was encrypted and has not left; `WouldBlock` when the socket does not take all of it.
    pub(super) fn flush(&self) -> io::Result<()> {
        self.push(&mut self.session.lock())
    }

    fn push(&self, session: &mut Connection) -> io::Result<()> {
        while session.wants_write() {
            session.write_tls(&mut Unwaiting(self.tcp()))?;
        }
        Ok(())
    }

    pub(super) fn holds_back(&self) -> bool {
        self.session.lock().wants_write()
    }

    /// Says that nothing follows.
    pub(super) fn close_notify(&self) {
        let mut session = self.session.lock();
        session.send_close_notify();
        let _ = self.push(&mut session); // the client is told as far as its socket takes it
    }

    pub(super) async fn writable(&self) -> io::Result<()> {
        self.socket.writable().await
    }

    pub(super) fn tcp(&self) -> &TcpStream {
        self.socket.as_ref()
    }
}

/// A socket as rustls wants it, which never waits.
struct Unwaiting<'a>(&'a TcpStream);

impl io::Read for Unwaiting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl io::Write for Unwaiting<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

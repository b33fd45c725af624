//! A connection's socket, plain, with TLS or between processes: one half that the connection's task reads, and one
//! that any thread may write to without waiting.
//!
//! The kind is decided once, when a connection is accepted. A plain socket pays one branch per system call for it.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use bytes::BytesMut;
use parking_lot::Mutex;
use rustix::net::RecvFlags;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::{tls, unix};
use crate::fork::Inherited;

pub(crate) use super::unix::Hush;

/// The reading half.
#[derive(Debug)]
pub(crate) enum Reader {
    Plain(OwnedReadHalf),
    Unix(Arc<unix::Socket>),
    Tls(tls::Reader),
}

/// The writing half.
#[derive(Debug)]
pub(crate) enum Writer {
    Plain {
        _inherited: Inherited,
        socket: OwnedWriteHalf,
    },
    Unix(Arc<unix::Socket>),
    Tls(tls::Writer),
    /// No socket: what is written is kept until it is asked for.
    Memory(Mutex<Vec<u8>>),
}

/// Both halves of a plain socket.
pub(crate) fn plain(socket: TcpStream) -> (Reader, Writer) {
    let _inherited = Inherited::by_children(&socket);
    let (reader, writer) = socket.into_split();
    (Reader::Plain(reader), Writer::Plain { _inherited, socket: writer })
}

/// Both halves of a socket between processes. To be called on the runtime.
///
/// # Errors
/// When there are too many descriptors.
pub(crate) fn unix(socket: UnixStream) -> io::Result<(Reader, Writer)> {
    let socket = unix::Socket::new(socket)?;
    Ok((Reader::Unix(socket.clone()), Writer::Unix(socket)))
}

/// Both halves of a socket whose TLS handshake is done.
pub(crate) fn secured(socket: TcpStream, session: rustls::Connection) -> (Reader, Writer) {
    let (reader, writer) = socket.into_split();
    let session = Arc::new(Mutex::new(session));
    (Reader::Tls(tls::Reader::new(reader, session.clone())), Writer::Tls(tls::Writer::new(writer, session)))
}

impl Reader {
    /// Adds what is there to the buffer, waiting until something is; 0 at the end of the stream. Nothing is
    /// lost when the future is dropped.
    pub(crate) async fn read(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        match self {
            Reader::Plain(socket) => socket.read_buf(buffer).await,
            Reader::Unix(socket) => loop {
                socket.readable().await?;
                match socket.try_read(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    read => break read,
                }
            },
            Reader::Tls(socket) => socket.read(buffer).await,
        }
    }
}

impl Reader {
    /// Adds what is there to the buffer; `WouldBlock` when nothing is, 0 at the end of the stream.
    pub(crate) fn try_read(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        match self {
            Reader::Plain(socket) => socket.try_read_buf(buffer),
            Reader::Unix(socket) => socket.try_read(buffer),
            Reader::Tls(socket) => socket.try_read(buffer),
        }
    }

    /// The same for who does not wait to be told that something is there, of a few bytes. Not with TLS, where few bytes
    /// are not yet something.
    pub(crate) fn glance(&self, bytes: &mut [u8]) -> io::Result<usize> {
        let socket = match self {
            Reader::Plain(socket) => AsRef::<TcpStream>::as_ref(socket).as_fd(),
            Reader::Unix(socket) => return socket.glance(bytes),
            Reader::Tls(_) => return Err(io::ErrorKind::WouldBlock.into()),
        };
        Ok(rustix::net::recv(socket, bytes, RecvFlags::DONTWAIT)?.0)
    }

    /// Who calls [`Reader::glance`] for a while has nobody else told what comes in, where that can be had.
    pub(crate) fn hush(&self) -> Option<Hush> {
        match self {
            Reader::Unix(socket) => Some(socket.hush()),
            Reader::Plain(_) | Reader::Tls(_) => None,
        }
    }
}

impl Writer {
    /// Waits until something can be read from the socket, or it has ended.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            Writer::Plain { socket, .. } => AsRef::<TcpStream>::as_ref(socket).readable().await,
            Writer::Unix(socket) => socket.readable().await,
            Writer::Tls(socket) => socket.tcp().readable().await,
            Writer::Memory(_) => Ok(()),
        }
    }

    /// Writes as much as the socket takes without waiting.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Writer::Plain { socket, .. } => socket.try_write(bytes),
            Writer::Unix(socket) => socket.try_write(bytes),
            Writer::Tls(socket) => socket.try_write(&[IoSlice::new(bytes)]),
            Writer::Memory(written) => {
                written.lock().extend_from_slice(bytes);
                Ok(bytes.len())
            }
        }
    }

    /// The same, of several pieces.
    pub(crate) fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Writer::Plain { socket, .. } => socket.try_write_vectored(pieces),
            Writer::Unix(socket) => socket.try_write_vectored(pieces),
            Writer::Tls(socket) => socket.try_write(pieces),
            Writer::Memory(written) => {
                let mut written = written.lock();
                let before = written.len();
                pieces.iter().for_each(|piece| written.extend_from_slice(piece));
                Ok(written.len() - before)
            }
        }
    }

    /// Writes what TLS holds back; `WouldBlock` when the socket does not take all of it.
    pub(crate) fn flush(&self) -> io::Result<()> {
        match self {
            Writer::Tls(socket) => socket.flush(),
            Writer::Plain { .. } | Writer::Unix(_) | Writer::Memory(_) => Ok(()),
        }
    }

    /// Whether [`Writer::flush`] has something to do.
    pub(crate) fn holds_back(&self) -> bool {
        match self {
            Writer::Tls(socket) => socket.holds_back(),
            Writer::Plain { .. } | Writer::Unix(_) | Writer::Memory(_) => false,
        }
    }

    /// Waits until the socket takes bytes.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        match self {
            Writer::Plain { socket, .. } => socket.writable().await,
            Writer::Unix(socket) => socket.writable().await,
            Writer::Tls(socket) => socket.writable().await,
            Writer::Memory(_) => Ok(()),
        }
    }

    /// Writes all of it, waiting where the socket is full.
    pub(crate) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        loop {
            let written = match bytes.is_empty() {
                true => self.flush().map(|()| 0),
                false => self.try_write(bytes),
            };
            match written {
                Ok(0) if bytes.is_empty() => return Ok(()),
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable().await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Says that nothing follows; the other side may go on writing.
    pub(crate) fn finish(&self) {
        if let Writer::Tls(socket) = self {
            socket.close_notify();
        }
        let socket = match self {
            Writer::Plain { socket, .. } => AsRef::<TcpStream>::as_ref(socket).as_fd(),
            Writer::Unix(socket) => return socket.finish(),
            Writer::Tls(socket) => socket.tcp().as_fd(),
            Writer::Memory(_) => return,
        };
        let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Write); // fails when it is gone already
    }

    /// Has Linux acknowledge at once what was received.
    pub(super) fn quickack(&self) {
        if let Some(socket) = self.tcp() {
            let _ = rustix::net::sockopt::set_tcp_quickack(socket, true);
        }
    }

    fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Writer::Plain { socket, .. } => Some(socket.as_ref()),
            Writer::Tls(socket) => Some(socket.tcp()),
            Writer::Unix(_) | Writer::Memory(_) => None,
        }
    }
}

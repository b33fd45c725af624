//! Sockets in a broker's directory, by which other processes of the same user come in.
//!
//! A socket's name holds 108 bytes, and paths are longer than that: so it is made and found through
//! `/proc/self/fd`, by way of the opened directory.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};
use rustix::net::sockopt::socket_peercred;

/// The socket on which AMQP is spoken.
pub(crate) const AMQP: &str = "socket";
/// Bytes that wait in the kernel for a slow reader: few system calls for bodies of some KiB.
const BUFFER: usize = 1 << 20;

/// Puts a socket of this name in a directory whose lock the caller has, for its owner alone (mode 0600), in place of
/// one that was left behind.
pub(crate) fn listen(directory: &Path, name: &str) -> io::Result<UnixListener> {
    let directory = opened(directory)?;
    let new = within(&directory, &format!("{name}.new"));
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&new)?;
    // Found only when it listens and has its mode.
    std::fs::set_permissions(&new, PermissionsExt::from_mode(0o600))?;
    std::fs::rename(&new, within(&directory, name))?;
    Ok(listener)
}

/// Connects to the socket of this name in a directory, without waiting, now or later: `WouldBlock` when too many wait
/// there already.
pub(crate) fn connect(directory: &Path, name: &str) -> io::Result<UnixStream> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
    let directory = opened(directory)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(within(&directory, name))?)?;
    widen(&socket);
    Ok(UnixStream::from(socket))
}

/// Gives a socket room for what its other end has not read yet.
pub(crate) fn widen(socket: impl AsFd) {
    // The kernel takes what its administrator allows; any size works.
    let _ = rustix::net::sockopt::set_socket_send_buffer_size(&socket, BUFFER);
}

/// The process number of who has connected. None when it belongs to another user, who is not to come in.
pub(crate) fn admit(socket: impl AsFd) -> io::Result<Option<i32>> {
    let peer = socket_peercred(socket)?;
    let ours = peer.uid == rustix::process::geteuid() || peer.uid.is_root();
    Ok(ours.then(|| peer.pid.as_raw_nonzero().get()))
}

fn opened(directory: &Path) -> io::Result<OwnedFd> {
    Ok(open(directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

fn within(directory: &OwnedFd, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{name}", directory.as_raw_fd()))
}

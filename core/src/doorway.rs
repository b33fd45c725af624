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
use rustix::process::Uid;

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

/// The user of who has connected, for a thread that has no runtime. Tokio is asked: rustix takes it for an error when the
/// process has no number here, as it is in a PID namespace that cannot be seen.
pub(crate) fn user(socket: &UnixStream) -> io::Result<u32> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _entered = runtime.enter();
    socket.set_nonblocking(true)?;
    let peer = tokio::net::UnixStream::from_std(socket.try_clone()?)?.peer_cred()?;
    socket.set_nonblocking(false)?;
    Ok(peer.uid())
}

/// Whether processes of this user may come in.
pub(crate) fn is_ours(user: u32) -> bool {
    let user = Uid::from_raw(user);
    user == rustix::process::geteuid() || user.is_root()
}

fn opened(directory: &Path) -> io::Result<OwnedFd> {
    Ok(open(directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

fn within(directory: &OwnedFd, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{name}", directory.as_raw_fd()))
}

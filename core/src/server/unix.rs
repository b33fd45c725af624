//! A socket between processes, which wakes nobody who need not be woken.
//!
//! tokio's own sockets are registered for reading and for writing from beginning to end. So the runtime's threads are
//! woken whenever the other process has *read* something, as there is room to write then, and whenever something has
//! come that a thread who looks for it takes itself: four times in a request with its answer, when to wake a thread
//! costs as much as all the rest. Here the runtime watches an epoll instance of the socket's own, which is told at will
//! to be silent, and the socket itself only while it is full.

#![expect(unsafe_code, reason = "descriptors that the runtime watches; memory that the kernel fills")]

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use parking_lot::Mutex;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, recv, send, sendmsg, shutdown};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::fork::Inherited;

/// Nobody waits in the kernel, and nobody is killed when the other side is gone.
const SENDING: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);

/// How much a buffer grows that is full.
const ROOM: usize = 4 << 10;

/// A connected socket.
#[derive(Debug)]
pub(crate) struct Socket {
    _inherited: [Inherited; 2],
    stream: UnixStream,
    /// Ready when there is something to read, or was.
    bell: AsyncFd<OwnedFd>,
    /// Threads that look for what comes themselves.
    looking: Mutex<usize>,
}

/// As long as one is there, nobody but who holds it is told what comes in.
#[derive(Debug)]
pub(crate) struct Hush(Arc<Socket>);

impl Socket {
    /// To be called on the runtime.
    ///
    /// # Errors
    /// When there are too many descriptors.
    pub(super) fn new(stream: UnixStream) -> io::Result<Arc<Self>> {
        stream.set_nonblocking(true)?;
        let bell = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&bell, &stream, EventData::new_u64(0), EventFlags::IN)?;
        let _inherited = [Inherited::by_children(&stream), Inherited::by_children(&bell)];
        // SAFETY: the descriptor is the bell's own, and open as long as it is.
        let bell = unsafe { AsyncFd::register_with_interest(bell, Interest::READABLE)? };
        Ok(Arc::new(Socket { _inherited, stream, bell, looking: Mutex::new(0) }))
    }

    /// Waits until something can be read, or the other side has ended it.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.bell.readable().await?.retain_ready();
        Ok(())
    }

    /// Adds what is there to the buffer; 0 at the end of the stream.
    pub(super) fn try_read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        if buffer.capacity() == buffer.len() {
            buffer.reserve(ROOM);
        }
        self.bell.try_io(Interest::READABLE, |_| {
            let ((come, _), _) = recv(&self.stream, buffer.spare_capacity_mut(), RecvFlags::DONTWAIT)?;
            let count = come.len();
            // SAFETY: so many bytes of the spare room have been filled.
            unsafe { buffer.advance_mut(count) };
            Ok(count)
        })
    }

    /// The same for who was not told that something is there.
    pub(super) fn glance(&self, bytes: &mut [u8]) -> io::Result<usize> {
        Ok(recv(&self.stream, bytes, RecvFlags::DONTWAIT)?.0)
    }

    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(&self.stream, bytes, SENDING)?)
    }

    pub(super) fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(sendmsg(&self.stream, pieces, &mut SendAncillaryBuffer::default(), SENDING)?)
    }

    /// Waits until bytes can be written. For one at a time.
    pub(super) async fn writable(&self) -> io::Result<()> {
        // SAFETY: the descriptor is borrowed from what is open until this function has ended.
        let room = unsafe { AsyncFd::register_with_interest(self.stream.as_fd(), Interest::WRITABLE)? };
        room.writable().await?.retain_ready();
        Ok(())
    }

    /// Says that nothing follows.
    pub(super) fn finish(&self) {
        let _ = shutdown(&self.stream, Shutdown::Write); // fails when it is gone already
    }

    pub(super) fn hush(self: &Arc<Self>) -> Hush {
        let mut looking = self.looking.lock();
        *looking += 1;
        if *looking == 1 {
            self.watch(EventFlags::empty());
            // As long as the kernel has it among those to be looked at from before, it would not tell at the end what
            // has come meanwhile.
            let _ =
                epoll::wait(self.bell.get_ref(), &mut [MaybeUninit::uninit()], Some(&Timespec::default()));
        }
        Hush(self.clone())
    }

    fn watch(&self, events: EventFlags) {
        // Fails in the child of a fork only, whose copies are closed.
        let _ = epoll::modify(self.bell.get_ref(), &self.stream, EventData::new_u64(0), events);
    }
}

impl Drop for Hush {
    /// What has come meanwhile, and is there yet, is told now.
    fn drop(&mut self) {
        let mut looking = self.0.looking.lock();
        *looking -= 1;
        if *looking == 0 {
            self.0.watch(EventFlags::IN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::thread;
    use std::time::Duration;

    use tokio::time::timeout;

    const MANY: usize = 100_000;

    async fn come(socket: &Socket, count: &AtomicUsize) {
        let mut buffer = BytesMut::new();
        while count.load(Relaxed) < MANY {
            socket.readable().await.expect("a socket that is open");
            if let Ok(read) = socket.try_read(&mut buffer) {
                count.fetch_add(read, Relaxed);
            }
            buffer.clear();
        }
    }

    #[tokio::test]
    async fn what_comes_while_a_thread_looks_is_taken_by_it_or_told_afterwards() {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
        let (socket, count) = (Socket::new(ours).expect("descriptors"), Arc::new(AtomicUsize::new(0)));
        let writing = thread::spawn(move || {
            for number in 0..MANY {
                theirs.write_all(&[0]).expect("a reader");
                if number % 7 == 0 {
                    thread::yield_now();
                }
            }
            theirs
        });
        let looking = {
            let (socket, count) = (socket.clone(), count.clone());
            thread::spawn(move || {
                // At the end what it has not seen is told to the other.
                while count.load(Relaxed) < MANY * 9 / 10 {
                    let hush = socket.hush();
                    for _ in 0..3 {
                        count.fetch_add(socket.glance(&mut [0; 2]).unwrap_or_default(), Relaxed);
                        thread::yield_now();
                    }
                    drop(hush);
                }
            })
        };
        timeout(Duration::from_secs(60), come(&socket, &count)).await.expect("all that was written");
        looking.join().expect("no panic");
        drop(writing.join().expect("no panic"));
        assert_eq!(count.load(Relaxed), MANY);
        socket.readable().await.expect("its end is told");
        assert_eq!(socket.try_read(&mut BytesMut::new()).expect("its end"), 0);
    }

    #[tokio::test]
    async fn a_full_socket_is_told_of_room_and_not_taken_for_one_with_something_to_read() {
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        let socket = Socket::new(ours).expect("descriptors");
        theirs.set_nonblocking(true).expect("a socket");
        while socket.try_write(&[0; 4096]).is_ok() {}
        let mut room = std::pin::pin!(socket.writable());
        assert!(timeout(Duration::ZERO, room.as_mut()).await.is_err(), "full");
        while recv(&theirs, &mut [0; 4096], RecvFlags::empty()).is_ok() {}
        room.await.expect("room");
        assert!(socket.try_write(&[0]).is_ok());
        assert!(timeout(Duration::ZERO, socket.readable()).await.is_err(), "nothing has come");
    }
}

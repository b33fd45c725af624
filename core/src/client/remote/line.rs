//! The writing half of a connection, shared by all threads that use it.

use std::fmt;
use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard};
use tokio::runtime::Handle as Runtime;
use tokio::sync::{Notify, oneshot};

use super::burst::Burst;
use crate::server::output::Output;
use crate::server::socket::Writer;

/// How long frames of a burst gather.
const GATHER: Duration = Duration::from_micros(30);
/// Bytes from which on who need not wait for an answer waits until they are fewer.
const ROOM: usize = 4 << 20;

/// Frames on their way to the socket.
pub(super) struct Line {
    frame_max: AtomicU32,
    runtime: Runtime,
    /// Held for reading by who adds frames, together with what they are the frames of, and for writing while the
    /// connection is restored. Taken before all other locks.
    gate: RwLock<()>,
    /// Guards the order of frames. Held while something is encoded, never while something is written; taken after
    /// any lock of a channel.
    waiting: Mutex<Waiting>,
    /// Whoever holds it writes. Only ever taken by `try_lock`, save by the reader's task.
    writing: Mutex<Writing>,
    /// The socket is full, and the reader's task waits until it is not. Changed by who holds `writing`.
    full: AtomicBool,
    failed: AtomicBool,
    /// Tells the reader's task that `full` or `failed` has become true, or that it may read again.
    pub(super) attention: Notify,
}

#[derive(Default)]
struct Waiting {
    output: Output,
    /// There is no socket: what is added is dropped, and found again by who restores the connection.
    down: bool,
    /// A thread comes by for what gathers: how many have left their writes to it since it came last.
    gathering: Option<u32>,
    /// To be told when there is room.
    crowd: Vec<oneshot::Sender<()>>,
}

struct Writing {
    socket: Arc<Writer>,
    output: Output,
    burst: Burst,
}

impl Line {
    pub(super) fn new(socket: Writer, frame_max: u32, runtime: Runtime) -> Arc<Self> {
        let (socket, output) = (Arc::new(socket), Output::default());
        Arc::new(Line {
            frame_max: AtomicU32::new(frame_max),
            runtime,
            gate: RwLock::new(()),
            waiting: Mutex::default(),
            writing: Mutex::new(Writing { socket, output, burst: Burst::none(Instant::now()) }),
            full: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            attention: Notify::new(),
        })
    }

    pub(super) fn frame_max(&self) -> u32 {
        self.frame_max.load(Relaxed)
    }

    /// To be held while something is noted and its frames are added. Must not be taken twice.
    pub(super) fn enter(&self) -> RwLockReadGuard<'_, ()> {
        self.gate.read()
    }

    /// The socket that is written to.
    pub(super) fn socket(&self) -> Arc<Writer> {
        self.writing.lock().socket.clone()
    }

    /// Adds frames behind all others. Follow it by [`Line::flush`], with no lock of a channel held.
    pub(super) fn add(&self, encode: impl FnOnce(&mut Output)) {
        let mut waiting = self.waiting.lock();
        if !waiting.down {
            encode(&mut waiting.output);
        }
    }

    /// The socket is lost, with all that was not written.
    pub(super) fn go_down(&self) {
        let mut writing = self.writing.lock();
        writing.output = Output::default();
        let mut waiting = self.waiting.lock();
        waiting.output = Output::default();
        waiting.down = true;
    }

    /// Goes on with another socket; `replay` adds what is to be sent first, while nobody else adds or notes anything.
    pub(super) fn go_up(self: &Arc<Self>, socket: Writer, frame_max: u32, replay: impl FnOnce()) {
        {
            let _nobody_else = self.gate.write();
            self.writing.lock().socket = Arc::new(socket);
            self.frame_max.store(frame_max, Relaxed);
            self.full.store(false, Release);
            self.failed.store(false, Release);
            self.waiting.lock().down = false;
            replay();
        }
        self.flush();
    }

    /// When there is room for more; none when there is now.
    pub(super) fn crowded(&self) -> Option<oneshot::Receiver<()>> {
        let mut waiting = self.waiting.lock();
        (waiting.output.len() > ROOM).then(|| {
            let (tell, told) = oneshot::channel();
            waiting.crowd.push(tell);
            told
        })
    }

    /// There will be no room so soon: whoever waits for it is told.
    pub(super) fn uncrowd(&self) {
        self.waiting.lock().crowd.clear();
    }

    /// Writes what there is to write, if nobody else is at it.
    ///
    /// Whoever finds somebody writing leaves it to him, and he looks again after he has let go. The lock around
    /// the frames makes that safe: either he sees what was added, or whoever added it sees nobody writing.
    pub(super) fn flush(self: &Arc<Self>) {
        while let Some(writing) = self.writing.try_lock() {
            if !self.go_on(writing) {
                return;
            }
        }
    }

    /// True when there is more to write, and nobody else who would.
    fn go_on(self: &Arc<Self>, mut writing: MutexGuard<'_, Writing>) -> bool {
        if self.full.load(Acquire) || self.failed.load(Acquire) {
            return false;
        }
        if let Some(left) = &mut self.waiting.lock().gathering {
            *left += 1;
            return false;
        }
        if writing.burst.begins(Instant::now()) {
            self.gather();
            return false;
        }
        let done = self.write(&mut writing);
        drop(writing);
        done && {
            let waiting = self.waiting.lock();
            !waiting.output.is_empty() && waiting.gathering.is_none()
        }
    }

    /// Writes until nothing waits. False when the socket is full or lost; the reader's task has been told.
    fn write(&self, writing: &mut Writing) -> bool {
        let Writing { socket, output, .. } = writing;
        loop {
            if output.is_empty() {
                let mut waiting = self.waiting.lock();
                mem::swap(output, &mut waiting.output);
                for one in waiting.crowd.drain(..) {
                    let _ = one.send(()); // fails when nobody waits
                }
            }
            if output.is_empty() && !socket.holds_back() {
                return true;
            }
            if let Err(error) = output.write(socket) {
                let flag = if error.kind() == io::ErrorKind::WouldBlock { &self.full } else { &self.failed };
                flag.store(true, Release);
                self.attention.notify_one();
                return false;
            }
        }
    }

    /// Has a thread come by for what gathers, instead of each caller writing his own, as long as that is worth while.
    fn gather(self: &Arc<Self>) {
        self.waiting.lock().gathering = Some(1);
        let line = self.clone();
        self.runtime.spawn_blocking(move || {
            let mut first = true;
            while line.sweep(first) {
                first = false;
            }
            line.flush(); // somebody may have come since, and left it to this thread
        });
    }

    /// Waits, and writes what has gathered; whether to come by again.
    fn sweep(&self, first: bool) -> bool {
        std::thread::sleep(GATHER);
        // Waits for one who began before the burst; nobody begins during it.
        let mut writing = self.writing.lock();
        let left = self.waiting.lock().gathering.replace(0).unwrap_or(0);
        let goes_on =
            !self.full.load(Acquire) && self.write(&mut writing) && writing.burst.goes_on(left, first);
        if !goes_on {
            self.waiting.lock().gathering = None;
        }
        goes_on
    }

    /// Whether the reader's task has to wait for the socket.
    pub(super) fn is_full(&self) -> bool {
        self.full.load(Acquire)
    }

    /// Whether the connection is lost.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Acquire)
    }

    /// Waits until a full socket takes bytes again, and goes on writing.
    pub(super) async fn drained(self: &Arc<Self>) -> io::Result<()> {
        let socket = self.socket();
        socket.writable().await?;
        {
            // Waits for the lock: somebody who has just seen a full socket must not be left to it.
            let mut writing = self.writing.lock();
            self.full.store(false, Release);
            if !self.write(&mut writing) {
                return Ok(());
            }
        }
        self.flush();
        Ok(())
    }

    /// Says that nothing follows, to the other side and to who waits for room.
    pub(super) fn finish(&self) {
        self.failed.store(true, Release);
        self.waiting.lock().crowd.clear();
        self.writing.lock().socket.finish();
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("full", &self.is_full()).finish_non_exhaustive()
    }
}

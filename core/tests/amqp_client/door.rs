//! Stands at a directory's door: what the host says to some can be held back, so that it is killed before they hear it.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;

/// Who comes in passes here, until another host puts a door of its own in this one's place.
pub(crate) struct Door(Arc<Mutex<Vec<Arc<AtomicBool>>>>);

impl Door {
    /// Before that of who hosts the directory, which gets another name.
    pub(crate) fn of(directory: &Path) -> Self {
        let (outer, inner) = (directory.join("socket"), directory.join("socket.inner"));
        std::fs::rename(&outer, &inner).unwrap();
        let listener = UnixListener::bind(&outer).unwrap();
        let silenced = Arc::<Mutex<Vec<Arc<AtomicBool>>>>::default();
        let door = Door(silenced.clone());
        thread::spawn(move || {
            for outside in listener.incoming().flatten() {
                let Ok(inside) = UnixStream::connect(&inner) else { continue };
                let silent = Arc::<AtomicBool>::default();
                silenced.lock().unwrap().push(silent.clone());
                let (from_outside, to_inside) = (outside.try_clone().unwrap(), inside.try_clone().unwrap());
                thread::spawn(move || pass_on(from_outside, to_inside, &AtomicBool::new(false)));
                thread::spawn(move || pass_on(inside, outside, &silent));
            }
        });
        door
    }

    /// Who has come in so far hears nothing more.
    pub(crate) fn silence(&self) {
        self.0.lock().unwrap().iter().for_each(|silent| silent.store(true, SeqCst));
    }
}

fn pass_on(mut from: UnixStream, mut to: UnixStream, silent: &AtomicBool) {
    let mut buffer = [0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if !silent.load(SeqCst) && to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both); // fails when it is closed already
}

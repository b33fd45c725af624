//! Random sequences of methods; see `fuzz/methods`.
//!
//! A few seconds of them in every run of the tests; for longer,
//! `WARRENMQ_FUZZ_SECONDS=1800 cargo test -p warrenmq --test methods -- --nocapture`, and
//! `WARRENMQ_FUZZ_SEED=N` for one that failed.

#![allow(clippy::unwrap_used)] // a test that fails may panic

#[path = "../fuzz/methods/mod.rs"]
mod methods;

use std::env;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use methods::{Seeded, World};

/// Longer than this no sequence takes, by far.
const HANGS: Duration = Duration::from_secs(60);

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|value| value.parse().unwrap())
}

/// Plays one sequence after the other for the time given, watched.
fn play(sequence: fn(u64)) {
    let seconds = number("WARRENMQ_FUZZ_SECONDS").unwrap_or(4);
    let only = number("WARRENMQ_FUZZ_SEED");
    let ((said, told), began) = (mpsc::channel(), Instant::now());
    thread::spawn(move || {
        for seed in only.unwrap_or(0).. {
            let _ = said.send(Some(seed));
            sequence(seed);
            if only.is_some() || began.elapsed().as_secs() >= seconds {
                let _ = said.send(None);
                return;
            }
        }
    });
    let mut seed = None;
    loop {
        match told.recv_timeout(HANGS) {
            Ok(Some(next)) => seed = Some(next),
            Ok(None) => break,
            Err(mpsc::RecvTimeoutError::Disconnected) => panic!("WARRENMQ_FUZZ_SEED={seed:?} fails"),
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("WARRENMQ_FUZZ_SEED={seed:?} hangs"),
        }
    }
    eprintln!("up to seed {seed:?}");
}

/// Memory is counted for the process, so one at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[test]
fn whatever_clients_do_nothing_breaks_hangs_or_is_left_behind() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    play(|seed| {
        let mut world = World::new();
        world.play(&mut Seeded::new(seed, 3000));
        world.settle();
    });
}

#[test]
fn nor_does_it_when_several_threads_do_so_at_once() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    play(|seed| {
        let world = World::new();
        thread::scope(|scope| {
            for thread in 0..3 {
                let mut others = world.others();
                scope.spawn(move || others.play(&mut Seeded::new(seed * 3 + thread, 1500)));
            }
        });
        world.settle();
    });
}

//! Random sequences of methods; see `fuzz/methods`.
//!
//! A few seconds of them in every run of the tests; for longer,
//! `WARRENMQ_FUZZ_SECONDS=1800 cargo test -p warrenmq --test methods -- --nocapture`, and
//! `WARRENMQ_FUZZ_SEED=N` for one that failed.

#![allow(clippy::unwrap_used)] // a test that fails may panic

#[path = "../fuzz/methods/mod.rs"]
mod methods;

use std::env;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use methods::{Seeded, World};

/// Longer than this no sequence takes, by far.
const HANGS: Duration = Duration::from_secs(60);

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|value| value.parse().unwrap())
}

#[test]
fn whatever_clients_do_nothing_breaks_hangs_or_is_left_behind() {
    let seconds = number("WARRENMQ_FUZZ_SECONDS").unwrap_or(5);
    let (began, done) = (Instant::now(), mpsc::channel());
    let (first, only) = match number("WARRENMQ_FUZZ_SEED") {
        Some(seed) => (seed, true),
        None => (0, false),
    };
    thread::spawn(move || {
        for seed in first.. {
            let _ = done.0.send(Some(seed));
            World::new().run(&mut Seeded::new(seed, 3000));
            if only || began.elapsed().as_secs() >= seconds {
                let _ = done.0.send(None);
                return;
            }
        }
    });
    let mut last = first;
    loop {
        match done.1.recv_timeout(HANGS) {
            Ok(Some(seed)) => last = seed,
            Ok(None) => break,
            Err(mpsc::RecvTimeoutError::Disconnected) => panic!("WARRENMQ_FUZZ_SEED={last} fails"),
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("WARRENMQ_FUZZ_SEED={last} hangs"),
        }
    }
    eprintln!("{} sequences", last - first + 1);
}

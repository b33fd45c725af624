//! Sequences of methods, chosen by what the fuzzer finds out: see `methods`.
#![no_main]

#[path = "../methods/mod.rs"]
mod methods;

use libfuzzer_sys::fuzz_target;
use methods::{Bytes, World};

fuzz_target!(|bytes: &[u8]| {
    let mut world = World::new();
    world.play(&mut Bytes(bytes));
    world.settle();
});

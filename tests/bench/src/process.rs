//! What the kernel says a thread or process costs, from `/proc` (Linux).

use std::collections::HashMap;
use std::fs;
use std::io;
use std::ops::{Add, Sub};

use serde::Serialize;

/// CPU time in seconds, to the kernel's clock tick (10 ms as a rule): measure over seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Cpu {
    pub user: f64,
    pub system: f64,
}

impl Sub for Cpu {
    type Output = Self;
    fn sub(self, earlier: Self) -> Self {
        Self { user: self.user - earlier.user, system: self.system - earlier.system }
    }
}

impl Add for Cpu {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { user: self.user + other.user, system: self.system + other.system }
    }
}

impl Cpu {
    /// Microseconds per message.
    pub fn per_message(self, messages: u64) -> Self {
        let scale = 1e6 / messages as f64;
        Self { user: self.user * scale, system: self.system * scale }
    }

    /// Of a process, all its threads together.
    pub fn of_process(pid: u32) -> io::Result<Self> {
        Self::read(&format!("/proc/{pid}/stat"))
    }

    /// Of one thread of this process.
    pub fn of_thread(tid: u32) -> io::Result<Self> {
        Self::read(&format!("/proc/self/task/{tid}/stat"))
    }

    fn read(path: &str) -> io::Result<Self> {
        let stat = fs::read_to_string(path)?;
        let ticks = |index| {
            stat_field(&stat, index).map(|ticks| ticks / rustix::param::clock_ticks_per_second() as f64)
        };
        match (ticks(14), ticks(15)) {
            (Some(user), Some(system)) => Ok(Self { user, system }),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, format!("{path} has no CPU times"))),
        }
    }
}

/// A field of `/proc/…/stat`, counted from 1 as in proc(5); the name in field 2 may hold anything,
/// so counting starts behind its last parenthesis.
fn stat_field(stat: &str, index: usize) -> Option<f64> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(index - 3)?.parse().ok()
}

/// The number by which the kernel knows the calling thread.
pub fn thread_id() -> u32 {
    rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs()
}

/// Resident memory in bytes of a process and all its descendants.
pub fn resident(pid: u32) -> io::Result<u64> {
    with_descendants(pid, resident_alone)
}

/// Bytes that a process and all its descendants have had written to disks so far: whole pages, each as
/// often as it was made dirty.
pub fn written(pid: u32) -> io::Result<u64> {
    with_descendants(pid, |pid| {
        let io = fs::read_to_string(format!("/proc/{pid}/io"))?;
        let bytes = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok());
        bytes.ok_or_else(|| io::Error::other(format!("the kernel does not count what process {pid} writes")))
    })
}

fn with_descendants(pid: u32, of_one: impl Fn(u32) -> io::Result<u64>) -> io::Result<u64> {
    let own = of_one(pid)?;
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(child) = entry?.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        // A process may end while we look.
        let Ok(stat) = fs::read_to_string(format!("/proc/{child}/stat")) else {
            continue;
        };
        if let Some(parent) = stat_field(&stat, 4) {
            children.entry(parent as u32).or_default().push(child);
        }
    }
    let mut total = own;
    let mut parents = vec![pid];
    while let Some(parent) = parents.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            total += of_one(child).unwrap_or(0);
            parents.push(child);
        }
    }
    Ok(total)
}

fn resident_alone(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| io::Error::other(format!("process {pid} has no resident memory")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_may_hold_spaces_and_parentheses() {
        assert_eq!(stat_field("7 (a ) (b) S 3 7 7", 4), Some(3.0));
    }

    #[test]
    fn this_process_is_resident_and_its_thread_has_a_clock() {
        assert!(resident(std::process::id()).unwrap() > 100_000);
        assert!(Cpu::of_thread(thread_id()).is_ok());
    }
}

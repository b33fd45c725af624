//! How long a broker takes to start, and what it holds in memory when idle.

use std::fmt;
use std::io;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde::Serialize;

use crate::broker::{Broker, free_port};
use crate::process;
use crate::stats::median;

/// How long a started broker may settle before its memory is read.
const SETTLE: Duration = Duration::from_millis(500);

#[derive(Debug, Clone)]
pub struct Options {
    /// Program and arguments; `{port}` stands for the port of 127.0.0.1 on which to listen.
    pub command: Vec<String>,
    pub runs: usize,
    /// How long one start may take.
    pub patience: Duration,
}

#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Milliseconds from spawn to `connection.start` received, one per run, and their median.
    pub starts: Vec<f64>,
    pub start: f64,
    /// Median resident bytes when idle.
    pub resident: f64,
    /// Runs in which SIGTERM ended it with status 0.
    pub clean_stops: usize,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = self.starts.len();
        let least = self.starts.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.starts.iter().copied().fold(0.0, f64::max);
        write!(
            f,
            "started in {:.1} ms ({least:.1} to {most:.1}, {runs} runs); resident idle {:.1} MB; {} of {runs} stopped cleanly",
            self.start,
            self.resident / 1e6,
            self.clean_stops
        )
    }
}

/// Starts and stops the broker again and again, each time on another port.
pub fn run(options: &Options) -> io::Result<Outcome> {
    let [program, arguments @ ..] = &options.command[..] else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no command to start a broker with"));
    };
    let (mut starts, mut residents, mut clean_stops) = (Vec::new(), Vec::new(), 0);
    for _ in 0..options.runs {
        let port = free_port()?;
        let mut command = Command::new(program);
        command.args(arguments.iter().map(|argument| argument.replace("{port}", &port.to_string())));
        let broker =
            Broker::start(command.stdin(Stdio::null()).stdout(Stdio::null()), port, options.patience)?;
        thread::sleep(SETTLE);
        starts.push(broker.started_in.as_secs_f64() * 1e3);
        residents.push(process::resident(broker.pid())? as f64);
        clean_stops += usize::from(broker.stop().is_ok_and(|status| status.success()));
    }
    Ok(Outcome { start: median(&starts), starts, resident: median(&residents), clean_stops })
}

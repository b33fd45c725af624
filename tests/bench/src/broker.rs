//! A broker process that we start, wait for, and end.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::connection::greet;
use crate::url::Url;

/// How often we try to connect while a broker starts: finer than the times we measure.
const POLL: Duration = Duration::from_micros(200);
/// How long a broker may take to stop before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// Ended when dropped.
#[derive(Debug)]
pub struct Broker {
    child: Child,
    pub url: Url,
    /// The moment of the spawn.
    pub begun: Instant,
    /// From the spawn to the first `connection.start` received.
    pub started_in: Duration,
}

impl Broker {
    /// Spawns `command`, which must make a broker listen on `port` of 127.0.0.1, and waits until
    /// one greets there, at most for `patience`.
    pub fn start(command: &mut Command, port: u16, patience: Duration) -> io::Result<Self> {
        let begun = Instant::now();
        let child = command.spawn()?;
        // From here on dropping it ends the process, whatever happens.
        let mut broker = Self { child, url: Url::local(port), begun, started_in: Duration::ZERO };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        loop {
            match greet(address, Duration::from_secs(10)) {
                Ok(_) => break,
                Err(error) if begun.elapsed() > patience => return Err(error),
                Err(_) => {}
            }
            if let Some(status) = broker.child.try_wait()? {
                return Err(io::Error::other(format!("the broker ended while starting: {status}")));
            }
            thread::sleep(POLL);
        }
        broker.started_in = begun.elapsed();
        Ok(broker)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop by SIGTERM and waits; kills it after 30 s.
    pub fn stop(mut self) -> io::Result<ExitStatus> {
        self.end()
    }

    /// SIGKILL: what it has not given to the kernel is lost.
    pub fn kill(mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    fn end(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let asked = Instant::now();
        while asked.elapsed() < STOP_PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.child.kill()?;
        self.child.wait()?;
        Err(io::Error::new(io::ErrorKind::TimedOut, "the broker did not stop when asked and was killed"))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.end(); // nobody is left to tell
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

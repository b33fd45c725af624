//! The brokers that are compared, each started as a process of its own.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use warrenmq_bench::broker::{Broker, free_port};
use warrenmq_bench::process;

/// How long a started broker may settle before its idle memory is read.
const SETTLE: Duration = Duration::from_millis(500);
/// RabbitMQ has been seen to take ten seconds on two cores, and minutes with a backlog after a SIGKILL.
const PATIENCE: Duration = Duration::from_secs(300);

/// A broker that can be started, any number of times.
#[derive(Debug)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    program: PathBuf,
    kind: Kind,
    /// Removed at the end; holds logs and whatever the broker writes.
    pub(crate) scratch: PathBuf,
}

/// What a start finds, and what is there after the stop.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kept<'a> {
    /// Nothing. (RabbitMQ has a new directory.)
    Nothing,
    /// What an earlier start under this name has left.
    Under(&'a str),
}

#[derive(Debug)]
enum Kind {
    WarrenMq,
    /// With an epmd on a port of its own: RabbitMQ would start one, but as a daemon that outlives it.
    RabbitMq {
        epmd: Child,
        epmd_port: u16,
    },
}

/// A running contender, and what its start told.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) broker: Broker,
    /// Milliseconds from spawn to greeting.
    pub(crate) start: f64,
    /// Resident megabytes when idle.
    pub(crate) resident: f64,
}

impl Contender {
    /// Data is kept in `directory`, while this lives.
    pub(crate) fn warrenmq(program: PathBuf, directory: &Path) -> io::Result<Self> {
        if !program.exists() {
            let advice = format!(
                "{} is missing: build it with cargo build --release, or name it by --warrenmq",
                program.display()
            );
            return Err(io::Error::new(io::ErrorKind::NotFound, advice));
        }
        Self::new("WarrenMQ", program, Kind::WarrenMq, directory)
    }

    pub(crate) fn rabbitmq(program: PathBuf, directory: &Path) -> io::Result<Self> {
        let epmd_port = free_port()?;
        let epmd = Command::new("epmd")
            .args(["-address", "127.0.0.1", "-port", &epmd_port.to_string()])
            .stdin(Stdio::null())
            .spawn()?;
        Self::new("RabbitMQ", program, Kind::RabbitMq { epmd, epmd_port }, directory)
    }

    fn new(name: &'static str, program: PathBuf, kind: Kind, directory: &Path) -> io::Result<Self> {
        // The brokers are started in it, so that a relative path would mean another one.
        let scratch = directory.canonicalize()?.join(format!("warrenmq-bench-{}-{name}", std::process::id()));
        fs::create_dir_all(&scratch)?;
        Ok(Self { name, program, kind, scratch })
    }

    /// Starts it on a free port, for at most `PATIENCE`. An error carries the end of what it logged.
    pub(crate) fn start(&self, kept: Kept<'_>) -> io::Result<Running> {
        let running = self.launch(kept)?;
        thread::sleep(SETTLE);
        let resident = process::resident(running.pid())? as f64 / 1e6;
        Ok(Running { start: running.started_in.as_secs_f64() * 1e3, resident, broker: running })
    }

    /// The same, without a look at what it holds when idle.
    pub(crate) fn launch(&self, kept: Kept<'_>) -> io::Result<Broker> {
        let port = free_port()?;
        let log = self.scratch.join("log");
        let broker = self.command(port, kept).and_then(|mut command| {
            let file = File::create(&log)?;
            command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
            Broker::start(&mut command, port, PATIENCE)
        });
        broker.map_err(|error| io::Error::new(error.kind(), format!("{error}\n{}", tail(&log))))
    }

    /// Removes what was kept under this name.
    pub(crate) fn forget(&self, name: &str) -> io::Result<()> {
        fs::remove_dir_all(self.scratch.join(name))
    }

    /// Whether starting it a few times more costs no time worth saving.
    pub(crate) fn starts_fast(&self) -> bool {
        matches!(self.kind, Kind::WarrenMq)
    }

    fn command(&self, port: u16, kept: Kept<'_>) -> io::Result<Command> {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.scratch);
        match &self.kind {
            Kind::WarrenMq => {
                command.args(["serve", "--amqp", &format!("127.0.0.1:{port}")]);
                match kept {
                    Kept::Nothing => command.arg("--memory"),
                    Kept::Under(name) => command.arg("--data").arg(self.scratch.join(name)),
                };
            }
            Kind::RabbitMq { epmd_port, .. } => {
                let name = match kept {
                    Kept::Nothing => port.to_string(),
                    Kept::Under(name) => name.to_owned(),
                };
                let data = self.scratch.join(&name);
                command
                    .env("HOME", &self.scratch) // the Erlang cookie
                    .env(
                        "RABBITMQ_NODENAME",
                        format!("warrenmq-bench-{}-{name}@localhost", std::process::id()),
                    )
                    .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
                    .env("RABBITMQ_NODE_PORT", port.to_string())
                    .env("RABBITMQ_DIST_PORT", free_port()?.to_string())
                    .env("RABBITMQ_MNESIA_BASE", &data)
                    .env("RABBITMQ_LOG_BASE", &data)
                    .env("RABBITMQ_LOGS", "-")
                    .env("RABBITMQ_PID_FILE", data.join("pid"))
                    .env("RABBITMQ_ENABLED_PLUGINS_FILE", data.join("plugins"))
                    .env("ERL_EPMD_PORT", epmd_port.to_string())
                    .env("ERL_EPMD_ADDRESS", "127.0.0.1")
                    // Makes the script become the server instead of its parent, so that signals reach it.
                    .env("RUNNING_UNDER_SYSTEMD", "true");
            }
        }
        Ok(command)
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        if let Kind::RabbitMq { epmd, .. } = &mut self.kind {
            let _ = epmd.kill().and_then(|()| epmd.wait());
        }
        let _ = fs::remove_dir_all(&self.scratch);
    }
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

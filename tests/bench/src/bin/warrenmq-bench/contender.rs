//! The brokers that are compared, each started as a process of its own with nothing kept.

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
/// RabbitMQ has been seen to take ten seconds on two cores.
const PATIENCE: Duration = Duration::from_secs(90);

/// A broker that can be started, any number of times.
#[derive(Debug)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    program: PathBuf,
    kind: Kind,
    /// Removed at the end; holds logs and whatever the broker writes.
    scratch: PathBuf,
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
    pub(crate) fn warrenmq(program: PathBuf) -> io::Result<Self> {
        if !program.exists() {
            let advice = format!(
                "{} is missing: build it with cargo build --release, or name it by --warrenmq",
                program.display()
            );
            return Err(io::Error::new(io::ErrorKind::NotFound, advice));
        }
        Self::new("WarrenMQ", program, Kind::WarrenMq)
    }

    pub(crate) fn rabbitmq(program: PathBuf) -> io::Result<Self> {
        let epmd_port = free_port()?;
        let epmd = Command::new("epmd")
            .args(["-address", "127.0.0.1", "-port", &epmd_port.to_string()])
            .stdin(Stdio::null())
            .spawn()?;
        Self::new("RabbitMQ", program, Kind::RabbitMq { epmd, epmd_port })
    }

    fn new(name: &'static str, program: PathBuf, kind: Kind) -> io::Result<Self> {
        let scratch = std::env::temp_dir().join(format!("warrenmq-bench-{}-{name}", std::process::id()));
        fs::create_dir_all(&scratch)?;
        Ok(Self { name, program, kind, scratch })
    }

    /// Starts it on a free port. An error carries the end of what it logged.
    pub(crate) fn start(&self) -> io::Result<Running> {
        let port = free_port()?;
        let log = self.scratch.join("log");
        let broker = self.command(port).and_then(|mut command| {
            let file = File::create(&log)?;
            command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
            Broker::start(&mut command, port, PATIENCE)
        });
        let broker =
            broker.map_err(|error| io::Error::new(error.kind(), format!("{error}\n{}", tail(&log))))?;
        thread::sleep(SETTLE);
        let resident = process::resident(broker.pid())? as f64 / 1e6;
        Ok(Running { start: broker.started_in.as_secs_f64() * 1e3, resident, broker })
    }

    /// Whether starting it a few times more costs no time worth saving.
    pub(crate) fn starts_fast(&self) -> bool {
        matches!(self.kind, Kind::WarrenMq)
    }

    fn command(&self, port: u16) -> io::Result<Command> {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.scratch);
        match &self.kind {
            Kind::WarrenMq => {
                command.args(["serve", "--memory", "--amqp", &format!("127.0.0.1:{port}")]);
            }
            Kind::RabbitMq { epmd_port, .. } => {
                let data = self.scratch.join(port.to_string());
                command
                    .env("HOME", &self.scratch) // the Erlang cookie
                    .env(
                        "RABBITMQ_NODENAME",
                        format!("warrenmq-bench-{}-{port}@localhost", std::process::id()),
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

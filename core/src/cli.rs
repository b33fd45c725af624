//! The command line: the same from cargo, pip and npm.

mod backup;
mod check;
mod definitions;
mod status;

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinSet, block_in_place};
use tracing_subscriber::EnvFilter;

use crate::broker::{Broker, Options, Profile};
use crate::disk;
use crate::error::{Error, Kind, Result};
use crate::host::Host;
use crate::server::{Limits, LocalServer, LoginFrom, Porch, Server, Tls, TlsOptions, Verify, round};
use crate::storage::{self, Directory};
use crate::wire::frame::FRAME_MIN_SIZE;

/// RabbitMQ's semantics with SQLite's operations.
#[derive(Debug, Parser)]
#[command(name = "warrenmq", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a broker that AMQP 0-9-1 clients connect to.
    Serve(Box<Serve>),
    /// Say who has a directory, who is attached, what is in its queues and how fast it goes through them.
    Status(status::Command),
    /// Take definitions out of a directory, or bring them into one.
    Definitions(definitions::Command),
    /// Look whether what a directory has can be read, and mend what can be.
    Check(check::Command),
    /// Copy a directory as it is at one moment, also while a broker has it.
    Backup(backup::Backup),
    /// Make a directory of a backup, once that is found to be whole and undamaged.
    Restore(backup::Restore),
}

#[derive(Debug, Args)]
struct Serve {
    /// Keep everything in memory, within the limit, and nothing beyond the end of this process.
    #[arg(long, conflicts_with = "data")]
    memory: bool,
    /// Keep what is durable in this directory [default: ./warrenmq-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Listen for AMQP here; port 0 picks a free one. May be given several times.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5672")]
    amqp: Vec<String>,
    /// Listen for AMQP over TLS here. May be given several times.
    #[arg(long, value_name = "HOST:PORT", requires = "tls_cert", requires = "tls_key")]
    amqps: Vec<String>,
    /// The certificate to show, and those between it and its authority, in PEM.
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The certificate's key, in PEM.
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// The authorities that sign clients' certificates, in PEM.
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Whether clients have to show a certificate
    #[arg(long, value_name = "WHETHER", default_value = "none")]
    tls_verify: Verify,
    /// What in a client's certificate is the user's name, for the login mechanism EXTERNAL
    #[arg(long, value_name = "PART", default_value = "distinguished-name")]
    tls_login_from: LoginFrom,
    /// Take users, virtual hosts, permissions, policies, queues, exchanges and bindings from this file of
    /// RabbitMQ's definitions. A new broker then has no user `guest` and no virtual host `/` unless they are there.
    #[arg(long, value_name = "FILE")]
    definitions: Option<PathBuf>,
    /// Users who may connect from this machine only; an empty name for none
    #[arg(long, value_name = "USER", default_value = "guest")]
    loopback_user: Vec<String>,
    /// Connections that there may be at a time [default: any number]
    #[arg(long, value_name = "NUMBER")]
    max_connections: Option<u64>,
    /// Bytes of messages in memory from which on publishers are held back, with K, M or G
    /// [default: 40% of the machine's memory]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    memory_limit: Option<usize>,
    /// Bytes that have to be free where the data is, with K, M or G; below it publishers are held back
    /// [default: 50 MB with --data, else none]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    disk_limit: Option<usize>,
    /// Bytes of a file of messages, with K, M or G; their space is given back file by file
    #[arg(long, value_name = "BYTES", default_value = "64M", value_parser = bytes)]
    segment_size: usize,
    /// The RabbitMQ to be like where its versions differ
    #[arg(long, value_name = "VERSION", default_value = "3.13")]
    profile: Profile,
    /// The longest body that is taken, in bytes, with K, M or G [default: 128M, in profile 4.x 16M]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    max_message_size: Option<usize>,
    /// The largest frame that is offered to clients, in bytes, 0 for any
    #[arg(long, value_name = "BYTES", default_value_t = 131_072, value_parser = frame_max)]
    frame_max: u32,
    /// Channels that a connection may have open, 0 for any number
    #[arg(long, value_name = "COUNT", default_value_t = 2047)]
    channel_max: u16,
    /// Seconds between signs of life that are offered to clients, 0 for none
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    heartbeat: u16,
    /// Microseconds to look for the next request after a small one, before going to sleep; 0 saves the most power.
    #[arg(long, value_name = "MICROSECONDS", default_value_t = 50)]
    spin: u64,
    /// What to log: error, warn, info, debug, trace, or a filter such as `warrenmq::server=debug`. By default
    /// warnings, and how far a start is that takes long.
    #[arg(long, value_name = "LEVEL", default_value = "warn,warrenmq::broker::restore=info")]
    log: String,
    /// How to log, on standard error.
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    /// Lines for people.
    Human,
    /// One JSON object a line.
    Json,
}

fn bytes(text: &str) -> Result<usize, String> {
    let (digits, unit) = match text.strip_suffix(['K', 'M', 'G']) {
        Some(digits) => (digits, text.as_bytes()[digits.len()]),
        None => (text, b'B'),
    };
    let shift = match unit {
        b'K' => 10,
        b'M' => 20,
        b'G' => 30,
        _ => 0,
    };
    let number: usize = digits.parse().map_err(|_| "expected a number of bytes, such as 512M".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "too large".to_owned())
}

fn frame_max(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(size) if size == 0 || size >= FRAME_MIN_SIZE => Ok(size),
        _ => Err(format!("expected 0 or a number of at least {FRAME_MIN_SIZE}")),
    }
}

/// Runs a command; its exit status: 0 when it went well, 1 when it failed, 2 when it was not understood.
/// The first of `args` is the program's name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    let ran = match cli.command {
        Command::Serve(serve) => serve.run(),
        Command::Status(command) => command.run(),
        Command::Definitions(command) => command.run(),
        Command::Check(command) => command.run(),
        Command::Backup(command) => command.run(),
        Command::Restore(command) => command.run(),
    };
    match ran {
        Ok(()) => 0,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "warrenmq: {error}");
            1
        }
    }
}

impl Serve {
    fn run(self) -> Result<()> {
        start_logging(&self.log, self.log_format)?;
        raise_file_limit();
        let runtime = round::observe(&mut Builder::new_multi_thread())
            .enable_all()
            .thread_name("warrenmq")
            .build()
            .map_err(|error| {
                Error::new(Kind::ResourceError, "serve", format!("cannot start threads: {error}"))
                    .caused_by(error)
            })?;
        runtime.block_on(self.serve())
    }

    async fn serve(self) -> Result<()> {
        let cannot = |error: std::io::Error| {
            Error::new(Kind::InternalError, "serve", format!("cannot watch for signals: {error}"))
                .caused_by(error)
        };
        let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;

        let mut options = Options::like(self.profile);
        if let Some(size) = self.max_message_size {
            options.max_message_size = size;
        }
        if let Some(limit) = self.memory_limit {
            options.memory_limit = limit;
        }
        options.max_connections = self.max_connections;
        options.loopback_users = self.loopback_user.clone();
        let import = self.definitions.as_deref().map(definitions::read).transpose()?;
        let mut porch = None;
        let host = match self.data() {
            None => None,
            Some(data) => {
                let storage = storage::Options {
                    segment_bytes: self.segment_size as u64,
                    ..storage::Options::default()
                };
                let directory = Directory::open(&data)?;
                porch = Some(Porch::open(&data)?);
                Some(Host::with(directory, options.clone(), storage, import.as_ref())?)
            }
        };
        let broker = match (&host, import) {
            (Some(host), _) => host.broker().clone(),
            (None, None) => Broker::new(options),
            (None, Some(definitions)) => {
                let broker = Broker::empty(options);
                broker.import(&definitions)?;
                broker
            }
        };
        if let Some(limit) = self.disk_limit.map(|limit| limit as u64).or(host.as_ref().map(|_| disk::LIMIT))
        {
            disk::watch(&broker, self.data().unwrap_or_else(|| ".".into()), limit)?;
        }
        let limits = Limits {
            frame_max: self.frame_max,
            channel_max: self.channel_max,
            heartbeat: self.heartbeat,
            spin: Duration::from_micros(self.spin),
            ..Limits::default()
        };
        let mut servers = Vec::new();
        for address in &self.amqp {
            servers.push(Server::listen(broker.clone(), address, limits.clone()).await?);
        }
        let local = porch.map(|porch| LocalServer::at(porch, broker.clone(), limits.clone()));
        let mut addresses: Vec<String> =
            servers.iter().map(|server| format!("amqp://{}", server.address())).collect();
        if let Some(tls) = self.tls()? {
            for address in &self.amqps {
                let server = Server::listen_tls(broker.clone(), address, limits.clone(), tls.clone()).await?;
                addresses.push(format!("amqps://{}", server.address()));
                servers.push(server);
            }
        }
        // A closed pipe is no reason to stop serving.
        let _ = writeln!(std::io::stdout(), "ready {}", addresses.join(" "));
        let _ = std::io::stdout().flush();

        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        host.iter().for_each(Host::leave);
        let local = local.map(|server| tokio::spawn(server.end_sessions()));
        let mut ending: JoinSet<Server> = servers.into_iter().map(Server::end_sessions).collect();
        let mut stopping = JoinSet::new();
        let mut ended = Vec::new();
        while let Some(server) = ending.join_next().await {
            ended.extend(server);
        }
        let local = match local {
            Some(local) => local.await.ok(),
            None => None,
        };
        // Before anybody is told, who then looks for the next host, or takes his time to say goodbye.
        let closed = host.map_or(Ok(()), |host| block_in_place(|| host.give_back()));
        stopping.extend(ended.into_iter().map(Server::stop));
        if let Some(local) = local {
            stopping.spawn(local.stop());
        }
        while stopping.join_next().await.is_some() {}
        closed
    }

    /// Where data is kept, if it is.
    fn data(&self) -> Option<PathBuf> {
        (!self.memory).then(|| self.data.clone().unwrap_or_else(|| "warrenmq-data".into()))
    }

    fn tls(&self) -> Result<Option<Tls>> {
        let (Some(certificate), Some(key)) = (&self.tls_cert, &self.tls_key) else { return Ok(None) };
        let options = TlsOptions {
            certificate: certificate.clone(),
            key: key.clone(),
            authorities: self.tls_ca.clone(),
            verify: self.tls_verify,
            login_from: self.tls_login_from,
        };
        Tls::load(&options).map(Some)
    }
}

/// Connections and durable queues take a file or more each; the usual limit of 1024 is for shells.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

fn start_logging(filter: &str, format: LogFormat) -> Result<()> {
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        Error::new(Kind::InvalidArgument, "serve", error.to_string())
            .on(format!("--log {filter}"))
            .advise("use error, warn, info, debug or trace")
    })?;
    let logger = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Fails only where the process logs already, which then goes on as it was.
    let _ = match format {
        LogFormat::Human => logger.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => logger.json().try_init(),
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        assert_eq!(bytes("512"), Ok(512));
        assert_eq!(bytes("3K"), Ok(3 << 10));
        assert_eq!(bytes("2G"), Ok(2 << 30));
        assert!(bytes("2T").is_err() && bytes("").is_err() && bytes("99999999999999999999").is_err());
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}

//! `warrenmq-load`: puts one kind of load on any AMQP 0-9-1 broker and prints what it measured.

use std::fmt::Display;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use serde::Serialize;
use warrenmq_bench::{
    crowd, disk, drain, fill, mirror::Mirror, rpc, start, throughput, traffic::Traffic, url::Url,
};

/// Raw-frame load for any AMQP 0-9-1 broker. Load and broker share the machine's cores.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// Print the outcome as one line of JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Subcommand)]
enum Mode {
    /// Messages per second through one queue, from one connection to another
    Throughput(Throughput),
    /// Microseconds from request to reply, one request at a time
    Rpc(Rpc),
    /// Publish without a consumer: rate, and memory of the waiting messages
    Fill(Fill),
    /// Take the messages of a queue that `fill --queue` has left
    Drain(Drain),
    /// Appends to a file that the disk can sync per second
    Disk {
        /// On the disk that is meant
        #[arg(long)]
        directory: PathBuf,
        /// Bytes of an append
        #[arg(long, default_value_t = 10_000)]
        size: usize,
        #[arg(long, default_value_t = 2.0, value_parser = positive)]
        seconds: f64,
    },
    /// Memory of the broker for each of many idle connections or empty queues
    Crowd(Crowd),
    /// Time from spawning a broker to its first greeting, and its memory when idle
    Start(Start),
    /// Be a broker that only mirrors, to find the ceiling of the load itself; runs until killed
    Mirror {
        /// On 127.0.0.1; 0 picks a free one
        #[arg(long, default_value_t = 0)]
        port: u16,
    },
}

#[derive(Args)]
struct Throughput {
    #[arg(long, default_value = "amqp://127.0.0.1:5672")]
    url: Url,
    /// Body size in bytes
    #[arg(long, default_value_t = 128)]
    size: usize,
    /// Length of the measured window
    #[arg(long, default_value_t = 5.0, value_parser = positive)]
    seconds: f64,
    /// Seconds of load before the window
    #[arg(long, default_value_t = 1.0, value_parser = positive)]
    warm_up: f64,
    /// Measure this many messages from first to last, instead of a window
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..), conflicts_with_all = ["seconds", "warm_up"])]
    messages: Option<u64>,
    #[arg(long, value_enum, default_value = "none")]
    ack: throughput::Ack,
    /// Unacknowledged deliveries allowed, 0 for no limit
    #[arg(long, default_value_t = 1000)]
    prefetch: u16,
    /// Publisher confirms: publish this many, wait for their confirms, repeat
    #[arg(long, value_name = "WINDOW", value_parser = clap::value_parser!(u32).range(1..))]
    confirm: Option<u32>,
    /// Connections that publish
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    producers: u16,
    /// Declare the queue durable
    #[arg(long)]
    durable: bool,
    /// Publish with delivery mode 2
    #[arg(long)]
    persistent: bool,
    /// Messages by which the producer may be ahead [default: 100000, or 32 MiB of bodies]
    #[arg(long)]
    backlog: Option<u64>,
    /// The broker's process, to report its CPU time per message
    #[arg(long)]
    pid: Option<u32>,
    /// What stands between producer and consumer
    #[arg(long, value_enum, default_value = "queue")]
    traffic: Traffic,
}

#[derive(Args)]
struct Rpc {
    #[arg(long, default_value = "amqp://127.0.0.1:5672")]
    url: Url,
    /// Body size in bytes, of request and reply
    #[arg(long, default_value_t = 128)]
    size: usize,
    #[arg(long, default_value_t = 20_000)]
    requests: usize,
    /// Requests before those that count
    #[arg(long, default_value_t = 2_000)]
    warm_up: usize,
    #[arg(long, value_enum, default_value = "exclusive")]
    reply: rpc::Reply,
}

#[derive(Args)]
struct Fill {
    #[arg(long, default_value = "amqp://127.0.0.1:5672")]
    url: Url,
    /// Body size in bytes
    #[arg(long, default_value_t = 128)]
    size: usize,
    #[arg(long, default_value_t = 1_000_000)]
    messages: u32,
    /// Leave the messages in this queue
    #[arg(long)]
    queue: Option<String>,
    /// Declare the queue durable
    #[arg(long)]
    durable: bool,
    /// Publish with delivery mode 2
    #[arg(long)]
    persistent: bool,
    /// The broker's process, to report its memory
    #[arg(long)]
    pid: Option<u32>,
}

#[derive(Args)]
struct Drain {
    #[arg(long, default_value = "amqp://127.0.0.1:5672")]
    url: Url,
    #[arg(long)]
    queue: String,
    #[arg(long, default_value_t = 1_000_000)]
    messages: u64,
    #[arg(long, value_enum, default_value = "each")]
    ack: throughput::Ack,
    /// Unacknowledged deliveries allowed, 0 for no limit
    #[arg(long, default_value_t = 1000)]
    prefetch: u16,
}

#[derive(Args)]
struct Crowd {
    #[arg(long, default_value = "amqp://127.0.0.1:5672")]
    url: Url,
    #[arg(long, value_enum, default_value = "connection")]
    each: crowd::Each,
    #[arg(long, default_value_t = 10_000)]
    count: u32,
    /// The broker's process, whose memory is looked at
    #[arg(long)]
    pid: u32,
}

#[derive(Args)]
struct Start {
    #[arg(long, default_value_t = 11)]
    runs: usize,
    /// Seconds that one start may take
    #[arg(long, default_value_t = 60.0, value_parser = positive)]
    patience: f64,
    /// Program and arguments, with {port} where the port goes
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

fn positive(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..1e6).contains(&seconds) { Ok(seconds) } else { Err("not a number of seconds".into()) }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("warrenmq-load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> io::Result<()> {
    let json = cli.json;
    match cli.mode {
        Mode::Throughput(args) => print(
            json,
            &throughput::run(&throughput::Options {
                url: args.url,
                size: args.size,
                extent: match args.messages {
                    Some(count) => throughput::Extent::Messages(count),
                    None => throughput::Extent::Window {
                        warm_up: Duration::from_secs_f64(args.warm_up),
                        window: Duration::from_secs_f64(args.seconds),
                    },
                },
                ack: args.ack,
                prefetch: args.prefetch,
                confirm: args.confirm.map(|window| window as usize),
                producers: args.producers.into(),
                durable: args.durable,
                persistent: args.persistent,
                backlog: args.backlog,
                broker: args.pid,
                traffic: args.traffic,
            })?,
        ),
        Mode::Rpc(args) => print(
            json,
            &rpc::run(&rpc::Options {
                url: args.url,
                size: args.size,
                requests: args.requests,
                warm_up: args.warm_up,
                reply: args.reply,
            })?,
        ),
        Mode::Fill(args) => print(
            json,
            &fill::run(&fill::Options {
                url: args.url,
                size: args.size,
                messages: args.messages,
                queue: args.queue,
                durable: args.durable,
                persistent: args.persistent,
                broker: args.pid,
            })?,
        ),
        Mode::Drain(args) => print(
            json,
            &drain::run(&drain::Options {
                url: args.url,
                queue: args.queue,
                messages: args.messages,
                ack: args.ack,
                prefetch: args.prefetch,
            })?,
        ),
        Mode::Disk { directory, size, seconds } => {
            print(json, &disk::run(&directory, size, Duration::from_secs_f64(seconds))?)
        }
        Mode::Crowd(args) => print(
            json,
            &crowd::run(&crowd::Options {
                url: args.url,
                each: args.each,
                count: args.count,
                broker: args.pid,
            })?,
        ),
        Mode::Mirror { port } => {
            let mirror = Mirror::bind(port)?;
            println!("ready {}", mirror.url()?);
            mirror.serve()
        }
        Mode::Start(args) => print(
            json,
            &start::run(&start::Options {
                command: args.command,
                runs: args.runs,
                patience: Duration::from_secs_f64(args.patience),
            })?,
        ),
    }
}

fn print(json: bool, outcome: &(impl Display + Serialize)) -> io::Result<()> {
    match json {
        true => println!("{}", serde_json::to_string(outcome)?),
        false => println!("{outcome}"),
    }
    Ok(())
}

//! Hosts a directory and attaches to it from another process, for valgrind to look at what either leaves behind
//! (`make leaks`). Each publishes, consumes, asks and closes as a program does; the attached one outlives the host and
//! hosts itself.

use std::io::{BufRead, BufReader, Read, stdin};
use std::process::{Command, Stdio};
use std::time::Duration;

use warrenmq::broker::Binding;
use warrenmq::client::{
    BatchPublishing, ConnectOptions, Connection, ConsumeOptions, Publish, QueueOptions, Settle, runtime,
};
use warrenmq::error::Result;
use warrenmq::message::Body;
use warrenmq::wire::Table;

const MESSAGES: usize = 1000;

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    match std::env::args().nth(1) {
        Some(url) => attached(&url),
        None => hosting(),
    }
}

fn hosting() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let url = format!("local:{}", folder.path().join("queues").display());
    let connection = open(&url)?;
    work(&connection)?;
    let mut other = Command::new(std::env::current_exe()?)
        .arg(&url)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut done = String::new();
    BufReader::new(other.stdout.take().ok_or("its output is piped")?).read_line(&mut done)?;
    runtime()?.block_on(connection.close())?;
    drop(other.stdin.take());
    match other.wait()? {
        status if status.success() => Ok(()),
        status => Err(format!("the attached process ended with {status}").into()),
    }
}

fn attached(url: &str) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let connection = open(url)?;
    work(&connection)?;
    println!("done");
    stdin().read_to_end(&mut Vec::new())?; // the host has closed
    work(&connection)?;
    runtime()?.block_on(connection.close())?;
    Ok(())
}

fn open(url: &str) -> Result<Connection> {
    let options = ConnectOptions { timeout: Duration::from_secs(60), ..ConnectOptions::default() };
    runtime()?.block_on(Connection::open(url, &options))
}

/// What uses most parts of a connection, in a thread that waits as a language's does.
fn work(connection: &Connection) -> Result<()> {
    let runtime = runtime()?;
    let channel = runtime.block_on(connection.channel())?;
    let durable = QueueOptions { durable: true, ..QueueOptions::default() };
    runtime.block_on(channel.declare_queue("tasks", false, durable))?;
    let exclusive = QueueOptions { exclusive: true, ..QueueOptions::default() };
    let own = runtime.block_on(channel.declare_queue("", false, exclusive))?.name;
    let arguments = Table::default();
    let binding =
        Binding { source: "amq.topic", destination: &own, routing_key: "news.#", arguments: &arguments };
    runtime.block_on(channel.bind_queue(binding))?;
    // A name that is taken otherwise: the broker closes the channel.
    let other = runtime.block_on(connection.channel())?;
    let _ = runtime.block_on(other.declare_queue("tasks", false, QueueOptions::default()));

    let consumer =
        runtime.block_on(channel.consume(&ConsumeOptions { queue: "tasks", ..Default::default() }))?;
    let persistent = |_| Publish {
        exchange: "",
        routing_key: "tasks",
        mandatory: false,
        properties: &[0x10, 0, 2],
        body: Body::Slice(b"body"),
    };
    if let BatchPublishing::Pending(answer) = channel.publish_all(&mut (0..MESSAGES).map(persistent))? {
        runtime.block_on(answer)?;
    }
    let (mut taken, mut deliveries) = (0, Vec::new());
    while taken < MESSAGES - 10 {
        consumer.wait(None);
        consumer.take(100, &mut deliveries)?;
        taken += deliveries.len();
        let tags: Vec<_> = deliveries.drain(..).map(|delivery| (delivery.tag, false)).collect();
        channel.settle(&tags, Settle::Ack)?;
    }
    runtime.block_on(consumer.cancel())?; // some deliveries are left behind
    runtime.block_on(channel.close())
}

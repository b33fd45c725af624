//! What it costs to keep messages: durable queues, persistent messages, brokers with their data on one disk.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use warrenmq_bench::broker::Broker;
use warrenmq_bench::connection::Connection;
use warrenmq_bench::drain;
use warrenmq_bench::throughput::{self, Ack, Extent};
use warrenmq_bench::{disk, fill, process};

use crate::contender::{Contender, Kept};
use crate::goals::{
    CONFIRMS, DRAIN, DRAIN_SHARE, EACH_CONFIRM, EACH_CONFIRM_SHARE, PUBLISH, RESTART, WAITING,
};
use crate::table::Results;

/// Body size in bytes.
const SIZE: usize = 128;
const PUBLISHERS: usize = 50;
/// Bytes that a message of that size takes in a file, more or less: frames, or a record with its header.
const RECORD: usize = SIZE + 72;
const QUEUE: &str = "backlog";
/// How long a broker may write what it has taken before its memory is read.
const SETTLE: Duration = Duration::from_secs(3);

/// Measures without a goal.
const SYNCS: &str = "the disk's own syncs, 50 messages appended";
const WRITTEN: &str = "written to disk, per byte of a body";
const RESTART_KILLED: &str = "durable restart after SIGKILL, to the first delivery";
const DELETED: &str = "durable backlog deleted";

/// How much; RabbitMQ gets `fewer` times fewer messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) waiting: u32,
    pub(crate) drained: u32,
    pub(crate) fewer: u32,
    /// Of a window of throughput.
    pub(crate) seconds: u64,
}

/// Some measures that share a start of the broker.
struct Part {
    names: &'static [&'static str],
    run: fn(&Contender, Sizes, &mut Results) -> io::Result<()>,
}

const PARTS: [Part; 3] = [
    Part { names: &[CONFIRMS, WRITTEN, EACH_CONFIRM, EACH_CONFIRM_SHARE, SYNCS], run: confirms },
    Part { names: &[PUBLISH, DRAIN, DRAIN_SHARE], run: backlog },
    Part { names: &[WAITING, RESTART, RESTART_KILLED, DELETED], run: waiting },
];

/// Takes the parts in which a measure's name contains `only`.
pub(crate) fn run(contenders: &[&Contender], only: &str, sizes: Sizes, results: &mut Results) {
    for (measure, unit) in [(SYNCS, "/s"), (WRITTEN, "bytes"), (RESTART_KILLED, "ms"), (DELETED, "ms")] {
        results.name_unit(measure, unit);
    }
    for part in PARTS.iter().filter(|part| part.names.iter().any(|name| name.contains(only))) {
        for contender in contenders {
            eprintln!("  {}: {}", contender.name, part.names.join("; "));
            let fewer = if contender.starts_fast() { 1 } else { sizes.fewer };
            let sizes = Sizes {
                waiting: (sizes.waiting / fewer).max(1),
                drained: (sizes.drained / fewer).max(1),
                ..sizes
            };
            if let Err(error) = (part.run)(contender, sizes, results) {
                results.fail(part.names[0], contender.name, &error);
            }
        }
    }
}

fn confirms(contender: &Contender, sizes: Sizes, results: &mut Results) -> io::Result<()> {
    let broker = contender.launch(Kept::Under("confirms"))?;
    let window = Duration::from_secs(sizes.seconds);
    let options = throughput::Options {
        size: SIZE,
        ack: Ack::Each,
        extent: Extent::Window { warm_up: Duration::from_secs(1), window },
        confirm: Some(500),
        durable: true,
        persistent: true,
        broker: Some(broker.pid()),
        ..throughput::Options::new(broker.url.clone())
    };
    let wide = told(throughput::run(&options)?);
    results.add(CONFIRMS, contender.name, wide.rate);
    if let Some(written) = wide.written {
        results.add(WRITTEN, contender.name, written / SIZE as f64);
    }

    let syncs = told(disk::run(&contender.scratch, PUBLISHERS * RECORD, Duration::from_secs(2))?);
    let narrow =
        told(throughput::run(&throughput::Options { confirm: Some(1), producers: PUBLISHERS, ..options })?);
    results.add(SYNCS, contender.name, syncs.rate);
    results.add(EACH_CONFIRM, contender.name, narrow.rate);
    let allowed = syncs.rate * PUBLISHERS as f64;
    results.add(EACH_CONFIRM_SHARE, contender.name, 100.0 * narrow.rate / allowed);
    stop(broker)?;
    contender.forget("confirms")
}

fn backlog(contender: &Contender, sizes: Sizes, results: &mut Results) -> io::Result<()> {
    let kept = Kept::Under("backlog");
    let (published, drained) = fill_and_drain(contender.launch(kept)?, sizes.drained)?;
    results.add(PUBLISH, contender.name, published);
    results.add(DRAIN, contender.name, drained);
    contender.forget("backlog")?;
    if contender.starts_fast() {
        let (_, from_memory) = fill_and_drain(contender.launch(Kept::Nothing)?, sizes.drained)?;
        results.add(DRAIN_SHARE, contender.name, 100.0 * drained / from_memory);
    }
    Ok(())
}

/// Messages per second, in and out.
fn fill_and_drain(broker: Broker, messages: u32) -> io::Result<(f64, f64)> {
    let filled = fill(&broker, messages)?;
    let drained = told(drain::run(&drain_options(&broker, messages.into()))?);
    stop(broker)?;
    Ok((filled.rate, drained.rate))
}

fn waiting(contender: &Contender, sizes: Sizes, results: &mut Results) -> io::Result<()> {
    let kept = Kept::Under("waiting");
    let broker = contender.launch(kept)?;
    fill(&broker, sizes.waiting)?;
    thread::sleep(SETTLE);
    results.add(WAITING, contender.name, process::resident(broker.pid())? as f64 / 1e6);
    stop(broker)?;

    let broker = contender.launch(kept)?;
    results.add(RESTART, contender.name, first_delivery(&broker)?);
    broker.kill()?;
    let broker = contender.launch(kept)?;
    results.add(RESTART_KILLED, contender.name, first_delivery(&broker)?);

    let mut connection = Connection::open(&broker.url)?;
    let asked = Instant::now();
    connection.delete(QUEUE)?;
    results.add(DELETED, contender.name, asked.elapsed().as_secs_f64() * 1e3);
    connection.close()?;
    stop(broker)?;
    contender.forget("waiting")
}

fn fill(broker: &Broker, messages: u32) -> io::Result<fill::Outcome> {
    fill::run(&fill::Options {
        url: broker.url.clone(),
        size: SIZE,
        messages,
        queue: Some(QUEUE.into()),
        durable: true,
        persistent: true,
        broker: Some(broker.pid()),
    })
    .map(told)
}

fn drain_options(broker: &Broker, messages: u64) -> drain::Options {
    drain::Options { url: broker.url.clone(), queue: QUEUE.into(), messages, ack: Ack::Each, prefetch: 1000 }
}

/// Milliseconds from the spawn.
fn first_delivery(broker: &Broker) -> io::Result<f64> {
    drain::run(&drain_options(broker, 1))?;
    let time = broker.begun.elapsed().as_secs_f64() * 1e3;
    eprintln!("    first delivery {time:.0} ms after the spawn");
    Ok(time)
}

fn stop(broker: Broker) -> io::Result<()> {
    let status = broker.stop()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("it stopped with {status}"))) }
}

fn told<T: std::fmt::Display>(outcome: T) -> T {
    eprintln!("    {}", outcome.to_string().replace('\n', "\n    "));
    outcome
}

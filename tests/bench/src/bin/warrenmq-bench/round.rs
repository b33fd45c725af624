//! One round: both brokers started afresh, every measure taken from one after the other.

use std::io;
use std::time::Duration;

use warrenmq_bench::crowd::Each;
use warrenmq_bench::rpc::{self, Reply};
use warrenmq_bench::throughput::{self, Ack, Extent};
use warrenmq_bench::traffic::Traffic;
use warrenmq_bench::{broker::Broker, crowd, fill};

use crate::contender::{Contender, Kept, Running};
use crate::goals::YARDSTICK;
use crate::table::Results;

/// Starts beyond the two that a round needs anyway; RabbitMQ's seconds do not need them.
const EXTRA_STARTS: usize = 4;
const WAITING: u32 = 1_000_000;
const CROWD: u32 = 10_000;
const CROWDS: [(&str, Each); 2] =
    [("each of 10,000 idle connections", Each::Connection), ("each of 10,000 empty queues", Each::Queue)];

/// What is put on a running broker; a name is that of a measure in `goals`, if it has a goal.
enum Load {
    Throughput { name: &'static str, size: usize, ack: Ack },
    Traffic { name: &'static str, traffic: Traffic },
    Rpc { names: [&'static str; 2], reply: Reply },
}

const LOADS: [Load; 12] = [
    Load::Throughput { name: YARDSTICK, size: 128, ack: Ack::None },
    Load::Throughput { name: "acked each, 128 B", size: 128, ack: Ack::Each },
    Load::Throughput { name: "acked multiple, 128 B", size: 128, ack: Ack::Multiple },
    Load::Throughput { name: "no ack, 16 B", size: 16, ack: Ack::None },
    Load::Throughput { name: "no ack, 1 KiB", size: 1024, ack: Ack::None },
    Load::Throughput { name: "no ack, 16 KiB", size: 16 * 1024, ack: Ack::None },
    Load::Traffic { name: "topic, 10,000 bindings", traffic: Traffic::Topic },
    Load::Traffic { name: "headers, 1,000 bindings", traffic: Traffic::Headers },
    Load::Traffic { name: "fanout to 100 queues, deliveries", traffic: Traffic::Fanout },
    Load::Traffic { name: "10 priorities", traffic: Traffic::Priority },
    Load::Rpc { names: ["RPC exclusive, p50", "RPC exclusive, p99"], reply: Reply::Exclusive },
    Load::Rpc { names: ["RPC direct, p50", "RPC direct, p99"], reply: Reply::Direct },
];

impl Load {
    fn names(&self) -> &[&'static str] {
        match self {
            Self::Throughput { name, .. } | Self::Traffic { name, .. } => std::slice::from_ref(name),
            Self::Rpc { names, .. } => names,
        }
    }

    /// The values in the order of the names.
    fn run(&self, broker: &Broker, seconds: u64) -> io::Result<Vec<f64>> {
        match *self {
            Self::Throughput { size, ack, .. } => throughput(broker, seconds, size, ack, Traffic::Queue),
            Self::Traffic { traffic, .. } => throughput(broker, seconds, 128, Ack::None, traffic),
            Self::Rpc { reply, .. } => {
                let outcome = rpc::run(&rpc::Options {
                    url: broker.url.clone(),
                    size: 128,
                    requests: 20_000,
                    warm_up: 2_000,
                    reply,
                })?;
                eprintln!("    {outcome}");
                Ok(vec![outcome.p50, outcome.p99])
            }
        }
    }
}

fn throughput(
    broker: &Broker,
    seconds: u64,
    size: usize,
    ack: Ack,
    traffic: Traffic,
) -> io::Result<Vec<f64>> {
    let window = Duration::from_secs(seconds);
    let outcome = throughput::run(&throughput::Options {
        size,
        ack,
        traffic,
        extent: Extent::Window { warm_up: Duration::from_secs(1), window },
        broker: Some(broker.pid()),
        ..throughput::Options::new(broker.url.clone())
    })?;
    eprintln!("    {}", outcome.to_string().replace('\n', "\n    "));
    Ok(vec![outcome.rate])
}

/// Takes every measure of which a name contains `only`, for `seconds` where time is free to choose.
pub(crate) fn run(contenders: &[&Contender], only: &str, seconds: u64, results: &mut Results) {
    let loads: Vec<&Load> =
        LOADS.iter().filter(|load| load.names().iter().any(|name| name.contains(only))).collect();
    if !loads.is_empty() {
        let running: Vec<_> =
            contenders.iter().filter_map(|contender| Some((contender, start(contender, results)?))).collect();
        for load in loads {
            for (contender, running) in &running {
                eprintln!("  {}: {}", contender.name, load.names().join(" and "));
                match load.run(&running.broker, seconds) {
                    Ok(values) => {
                        for (name, value) in load.names().iter().zip(values) {
                            results.name_unit(name, "/s");
                            results.add(name, contender.name, value);
                        }
                    }
                    Err(error) => results.fail(&load.names().join(" and "), contender.name, &error),
                }
            }
        }
        for (contender, running) in running {
            stop(contender, running, results);
        }
    }
    alone(contenders, only, results);
}

/// What needs a process of its own: memory that no earlier load has grown, and many starts.
fn alone(contenders: &[&Contender], only: &str, results: &mut Results) {
    const FILLED: &str = "resident, 1 million waiting";
    let wanted = |name: &str| name.contains(only);
    for contender in contenders {
        if wanted(FILLED) || wanted("start") || wanted("resident idle") {
            let Some(running) = start(contender, results) else {
                continue;
            };
            if wanted(FILLED) {
                eprintln!("  {}: {FILLED}", contender.name);
                let outcome = fill::run(&fill::Options {
                    url: running.broker.url.clone(),
                    size: 128,
                    messages: WAITING,
                    queue: None,
                    durable: false,
                    persistent: false,
                    broker: Some(running.broker.pid()),
                });
                match outcome {
                    Ok(outcome) => {
                        eprintln!("    {outcome}");
                        results.add(FILLED, contender.name, outcome.resident.unwrap_or(0) as f64 / 1e6);
                    }
                    Err(error) => results.fail(FILLED, contender.name, &error),
                }
            }
            stop(contender, running, results);
        }
        for (name, each) in CROWDS.into_iter().filter(|(name, _)| wanted(name)) {
            if let Some(running) = start(contender, results) {
                crowd(contender, &running, name, each, results);
                stop(contender, running, results);
            }
        }
        if wanted("start") && contender.starts_fast() {
            for _ in 0..EXTRA_STARTS {
                if let Some(running) = start(contender, results) {
                    stop(contender, running, results);
                }
            }
        }
    }
}

fn crowd(contender: &Contender, running: &Running, name: &str, each: Each, results: &mut Results) {
    eprintln!("  {}: {name}", contender.name);
    let (url, broker) = (running.broker.url.clone(), running.broker.pid());
    results.name_unit(name, "KB");
    match crowd::run(&crowd::Options { url, each, count: CROWD, broker }) {
        Ok(outcome) => {
            eprintln!("    {outcome}");
            results.add(name, contender.name, outcome.bytes_each / 1e3);
        }
        Err(error) => results.fail(name, contender.name, &error),
    }
}

fn start(contender: &Contender, results: &mut Results) -> Option<Running> {
    match contender.start(Kept::Nothing) {
        Ok(running) => {
            eprintln!("  {}: started in {:.1} ms, {:.1} MB", contender.name, running.start, running.resident);
            results.add("start", contender.name, running.start);
            results.add("resident idle", contender.name, running.resident);
            Some(running)
        }
        Err(error) => {
            results.fail("start", contender.name, &error);
            None
        }
    }
}

fn stop(contender: &Contender, running: Running, results: &mut Results) {
    match running.broker.stop() {
        Ok(status) if status.success() => {}
        Ok(status) => results.fail("stop", contender.name, &io::Error::other(status.to_string())),
        Err(error) => results.fail("stop", contender.name, &error),
    }
}

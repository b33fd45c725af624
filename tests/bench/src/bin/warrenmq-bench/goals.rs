//! What WarrenMQ is to reach, and where the others stand.

/// Which of two values is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    More,
    Less,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    /// This many times LavinMQ, as carried into this run.
    TimesLavinMq(f64),
    /// This many times what RabbitMQ does in this run.
    TimesRabbitMq(f64),
    /// A value to reach, or not to exceed, whatever the machine.
    Absolute(f64),
}

/// A measure that has a goal. `rabbitmq` and `lavinmq` were measured together, once: on a machine of
/// two shared cores like the one for which the goals were set (RabbitMQ 3.10, LavinMQ 2.9.1), with a
/// raw-frame generator that worked like this one. LavinMQ is carried into a run by its ratio to
/// RabbitMQ: a machine that runs RabbitMQ faster than then would run LavinMQ faster, too.
#[derive(Debug)]
pub(crate) struct Measure {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
    pub(crate) rabbitmq: Option<f64>,
    pub(crate) lavinmq: Option<f64>,
    pub(crate) goal: Goal,
}

/// The measure by which machines are compared where RabbitMQ's own figure is missing.
pub(crate) const YARDSTICK: &str = "no ack, 128 B";

const fn rate(name: &'static str, rabbitmq: Option<f64>, lavinmq: f64, times: f64) -> Measure {
    let goal = Goal::TimesLavinMq(times);
    Measure { name, unit: "/s", better: Better::More, rabbitmq, lavinmq: Some(lavinmq), goal }
}

const fn at_most(
    name: &'static str,
    unit: &'static str,
    rabbitmq: Option<f64>,
    lavinmq: f64,
    most: f64,
) -> Measure {
    let goal = Goal::Absolute(most);
    Measure { name, unit, better: Better::Less, rabbitmq, lavinmq: Some(lavinmq), goal }
}

const fn at_least(name: &'static str, least: f64) -> Measure {
    let goal = Goal::Absolute(least);
    Measure { name, unit: "/s", better: Better::More, rabbitmq: None, lavinmq: None, goal }
}

const fn times_rabbitmq(name: &'static str, times: f64) -> Measure {
    let goal = Goal::TimesRabbitMq(times);
    Measure { name, unit: "/s", better: Better::More, rabbitmq: None, lavinmq: None, goal }
}

const fn share(name: &'static str, least: f64) -> Measure {
    let goal = Goal::Absolute(least);
    Measure { name, unit: "%", better: Better::More, rabbitmq: None, lavinmq: None, goal }
}

const fn below(name: &'static str, unit: &'static str, most: f64) -> Measure {
    let goal = Goal::Absolute(most);
    Measure { name, unit, better: Better::Less, rabbitmq: None, lavinmq: None, goal }
}

/// What `durable` measures.
pub(crate) const CONFIRMS: &str = "durable, confirms by 500, acked";
pub(crate) const EACH_CONFIRM: &str = "durable, 50 publishers wait for each confirm";
pub(crate) const EACH_CONFIRM_SHARE: &str = "the same, of 50 a sync of the disk's own";
pub(crate) const PUBLISH: &str = "durable publish, no confirms";
pub(crate) const DRAIN: &str = "durable backlog drained";
pub(crate) const DRAIN_SHARE: &str = "the same, of draining from memory";
pub(crate) const WAITING: &str = "resident, durable backlog waiting";
pub(crate) const RESTART: &str = "durable restart with it, to the first delivery";

pub(crate) const MEASURES: [Measure; 26] = [
    rate(YARDSTICK, Some(62_000.0), 458_000.0, 2.0),
    rate("acked each, 128 B", Some(39_000.0), 375_000.0, 2.0),
    rate("acked multiple, 128 B", None, 406_000.0, 2.0),
    rate("no ack, 16 B", Some(69_000.0), 565_000.0, 2.0),
    rate("no ack, 1 KiB", None, 177_000.0, 2.0),
    rate("no ack, 16 KiB", Some(31_000.0), 20_300.0, 3.0),
    at_most("RPC exclusive, p50", "µs", Some(154.0), 48.0, 40.0),
    at_most("RPC exclusive, p99", "µs", Some(293.0), 131.0, 110.0),
    at_most("RPC direct, p50", "µs", Some(154.0), 48.0, 40.0),
    at_most("RPC direct, p99", "µs", Some(293.0), 131.0, 110.0),
    at_most("start", "ms", Some(6_000.0), 18.0, 15.0),
    at_most("resident idle", "MB", Some(137.0), 15.0, 12.0),
    at_most("resident, 1 million waiting", "MB", None, 28.0, 250.0),
    rate(CONFIRMS, Some(18_500.0), 185_000.0, 1.5),
    times_rabbitmq(EACH_CONFIRM, 5.0),
    share(EACH_CONFIRM_SHARE, 75.0),
    times_rabbitmq(PUBLISH, 10.0),
    times_rabbitmq(DRAIN, 5.0),
    share(DRAIN_SHARE, 70.0),
    below(WAITING, "MB", 100.0),
    below(RESTART, "ms", 2_000.0),
    at_least("in process, Python to Python", 1_200_000.0),
    at_least("in process, Node same isolate", 1_000_000.0),
    at_least("in process, Node main to worker", 1_000_000.0),
    at_least("in process, Node to Python", 1_200_000.0),
    below("in process, Node to Python and back, p50", "µs", 12.0),
];

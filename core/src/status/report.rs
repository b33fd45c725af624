//! What the process that hosts says of itself, of those attached to it and of the queues.

use serde::{Deserialize, Serialize};

use super::process;
use crate::broker::{Broker, QueueCounts, QueueStatus, SessionInfo};
use crate::memory;
use crate::namespace;

/// What there is at one moment.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// When that was, in milliseconds since 1970.
    pub(super) at: u64,
    /// None where nobody hosts.
    pub(super) host: Option<HostReport>,
    /// By the times at which they came.
    pub(super) attached: Vec<Attached>,
    /// By virtual hosts and names.
    pub(super) queues: Vec<QueueReport>,
}

/// The process that hosts.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HostReport {
    pub(super) process: u32,
    /// That of the number, where the kernel tells.
    pub(super) namespace: Option<String>,
    pub(super) command: Option<String>,
    /// WarrenMQ's.
    pub(super) version: String,
    /// Milliseconds since 1970.
    pub(super) since: u64,
    /// Where AMQP clients come in, as URLs.
    pub(super) listening: Vec<String>,
    pub(super) memory: Memory,
}

/// Bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// Of the whole process, as far as the kernel tells.
    pub(super) resident: Option<u64>,
    /// Of its messages.
    pub(super) messages: u64,
}

/// A connection.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Attached {
    /// None for who comes over a network, and for who is in a PID namespace that the host cannot see.
    pub(super) process: Option<u32>,
    /// `ADDRESS:PORT` of who comes over a network.
    pub(super) address: Option<String>,
    /// What the program calls the connection.
    pub(super) name: Option<String>,
    /// The process's command line.
    pub(super) command: Option<String>,
    /// What it speaks AMQP with.
    pub(super) library: Option<String>,
    pub(super) user: String,
    pub(super) vhost: String,
    pub(super) channels: u64,
    pub(super) consumers: u64,
    /// Milliseconds since 1970.
    pub(super) since: u64,
}

/// A queue.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct QueueReport {
    pub(super) vhost: String,
    pub(super) name: String,
    pub(super) r#type: String,
    pub(super) durable: bool,
    pub(super) exclusive: bool,
    pub(super) ready: u64,
    pub(super) unacked: u64,
    pub(super) consumers: u64,
    /// Of the bodies of the messages that are ready.
    pub(super) bytes: u64,
    /// None where nobody hosts.
    pub(super) counts: Option<Counts>,
}

/// Messages since the host was started.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// Another queue of the same name has another one.
    pub(super) queue: u64,
    pub(super) published: u64,
    pub(super) delivered: u64,
    pub(super) acknowledged: u64,
}

impl Report {
    /// Of a broker that this process has had since this time, in milliseconds since 1970.
    pub(crate) fn of(broker: &Broker, since: u64) -> Self {
        let mut queues = Vec::new();
        for vhost in broker.vhosts() {
            let all = broker.vhost(&vhost.name).map_or_else(Vec::new, |vhost| vhost.queues());
            queues.extend(all.into_iter().map(|queue| QueueReport::of(&vhost.name, queue)));
        }
        queues.sort_by(|a, b| (&a.vhost, &a.name).cmp(&(&b.vhost, &b.name)));
        let number = std::process::id();
        Report {
            at: broker.options().clock.now_ms(),
            host: Some(HostReport {
                process: number,
                namespace: namespace::own(),
                command: process::command(number),
                version: env!("CARGO_PKG_VERSION").into(),
                since,
                listening: broker.addresses(),
                memory: Memory { resident: process::resident(), messages: memory::held() as u64 },
            }),
            attached: broker.sessions().into_iter().map(Attached::of).collect(),
            queues,
        }
    }
}

impl Attached {
    fn of(session: SessionInfo) -> Self {
        let client = session.client;
        Attached {
            process: client.process,
            address: client.address,
            name: client.name,
            command: client.process.and_then(process::command),
            library: client.library,
            user: session.user,
            vhost: session.vhost.to_string(),
            channels: session.channels,
            consumers: session.consumers,
            since: session.opened_at,
        }
    }
}

impl QueueReport {
    fn of(vhost: &str, queue: QueueStatus) -> Self {
        let QueueCounts { id, published, delivered, acknowledged } = queue.counts;
        QueueReport {
            vhost: vhost.into(),
            name: queue.info.name.to_string(),
            r#type: queue.kind.name().into(),
            durable: queue.options.durable,
            exclusive: queue.options.exclusive,
            ready: queue.info.messages,
            unacked: queue.info.unacked,
            consumers: queue.info.consumers,
            bytes: queue.message_bytes,
            counts: Some(Counts { queue: id, published, delivered, acknowledged }),
        }
    }
}

//! What stands between producer and consumer: an exchange, its bindings, its queues, and the messages for them.

use std::io;

use crate::connection::Connection;
use crate::wire::{Fields, content_frames, method, method_frame};

/// Destinations of the exchanges with many bindings.
const QUEUES: usize = 100;

/// The shapes that are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Traffic {
    /// The default exchange and one queue.
    Queue,
    /// A topic exchange with 10,000 patterns, most with wildcards, to 100 queues. 2,000 routing keys in turn; each
    /// message matches four patterns of one queue.
    Topic,
    /// A headers exchange with 1,000 bindings of two conditions to 100 queues; each message matches one.
    Headers,
    /// A fanout exchange and 100 queues; what is counted is deliveries.
    Fanout,
    /// One queue with 10 priorities, and messages of each in turn.
    Priority,
}

/// Traffic that has been laid out on a broker.
#[derive(Debug)]
pub struct Route {
    exchange: Option<String>,
    pub(crate) queues: Vec<String>,
    /// Where messages go and with which properties, to be published in turn.
    addresses: Vec<(String, Fields)>,
    /// The queues that each message comes to.
    pub(crate) copies: u64,
}

impl Traffic {
    /// Declares and binds. Names begin with `name`.
    pub(crate) fn lay(
        self,
        control: &mut Connection,
        name: &str,
        durable: bool,
        plain: &Fields,
    ) -> io::Result<Route> {
        let (kind, queues) = match self {
            Self::Queue | Self::Priority => (None, 1),
            Self::Topic => (Some("topic"), QUEUES),
            Self::Headers => (Some("headers"), QUEUES),
            Self::Fanout => (Some("fanout"), QUEUES),
        };
        let queues: Vec<String> = match kind {
            None => vec![name.into()],
            Some(_) => (0..queues).map(|number| format!("{name}-{number}")).collect(),
        };
        let arguments = match self {
            Self::Priority => Fields::new().shortstr("x-max-priority").octet(b'B').octet(10),
            _ => Fields::new(),
        };
        for queue in &queues {
            control.declare_with(queue, durable, arguments.clone())?;
        }
        if let Some(kind) = kind {
            control.declare_exchange(name, kind)?;
            for (index, key, arguments) in self.bindings() {
                control.bind(&queues[index % QUEUES], name, &key, arguments)?;
            }
        }
        let addresses = match self {
            Self::Queue => vec![(name.into(), plain.clone())],
            Self::Fanout => vec![(String::new(), plain.clone())],
            Self::Priority => (0..10).map(|priority| (name.into(), prioritised(priority))).collect(),
            Self::Topic => {
                (0..10_000).step_by(5).map(|n| (format!("stock.{n}.price.eu"), plain.clone())).collect()
            }
            Self::Headers => (0..1_000).map(|n| (String::new(), with_headers(&conditions(n)))).collect(),
        };
        let copies = if self == Self::Fanout { queues.len() as u64 } else { 1 };
        // What is answered comes after the bindings, which are not.
        control.ready_messages(&queues[0])?;
        Ok(Route { exchange: kind.map(|_| name.into()), queues, addresses, copies })
    }

    /// The queue's number, binding key and arguments of each binding.
    fn bindings(self) -> Vec<(usize, String, Fields)> {
        let binding = |index: usize, key: String| (index, key, Fields::new());
        match self {
            Self::Topic => (0..10_000)
                .map(|n| {
                    let pattern = match n % 5 {
                        0 => format!("stock.{n}.price.eu"),
                        1 => format!("stock.{}.*.eu", n - 1),
                        2 => format!("stock.{}.#", n - 2),
                        3 => format!("#.{}.price.*", n - 3),
                        _ => format!("stock.{n}.volume.*"),
                    };
                    binding(n / 5, pattern)
                })
                .collect(),
            Self::Headers => (0..1_000).map(|n| (n, String::new(), conditions(n))).collect(),
            Self::Fanout => (0..QUEUES).map(|n| binding(n, String::new())).collect(),
            Self::Queue | Self::Priority => Vec::new(),
        }
    }
}

/// The headers of a message, and the conditions of the binding that it matches.
fn conditions(n: usize) -> Fields {
    let text =
        |fields: Fields, name, value: &str| fields.shortstr(name).octet(b'S').longstr(value.as_bytes());
    text(text(Fields::new(), "format", "pdf"), "report", &format!("r{n}"))
}

fn with_headers(headers: &Fields) -> Fields {
    Fields::new().short(1 << 13).table(headers.clone())
}

fn prioritised(priority: u8) -> Fields {
    Fields::new().short(1 << 11).octet(priority)
}

impl Route {
    /// Every message once, each as the frames of its publish.
    pub(crate) fn messages(&self, body: &[u8], frame_max: usize) -> Vec<Vec<u8>> {
        let exchange = self.exchange.as_deref().unwrap_or_default();
        let message = |(key, properties): &(String, Fields)| {
            let arguments = Fields::new().short(0).shortstr(exchange).shortstr(key).octet(0);
            let mut frames = method_frame(1, method::BASIC_PUBLISH, arguments);
            frames.extend(content_frames(1, properties, body, frame_max));
            frames
        };
        self.addresses.iter().map(message).collect()
    }

    /// Deletes what was declared.
    pub(crate) fn remove(&self, control: &mut Connection) -> io::Result<()> {
        if let Some(exchange) = &self.exchange {
            control.delete_exchange(exchange)?;
        }
        self.queues.iter().try_for_each(|queue| control.delete(queue))
    }
}

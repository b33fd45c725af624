//! One client API over several transports. The language modules are thin fronts of it.
//!
//! | file | holds |
//! |---|---|
//! | here | [`Connection`], [`Channel`], [`Consumer`]: what a program uses |
//! | `url` | which transport, broker, user and virtual host a URL names |
//! | `driver` | what a transport provides |
//! | `embedded` | `inproc:`, and `local:` in the process that hosts — no task and no copy in between |
//! | `remote` | a broker in another process — AMQP frames of our own: `local:` over the directory's socket |
//! | `local` | which of the two |
//! | `amqp` | `amqp:`, `amqps:` — the same over TCP, to any AMQP 0-9-1 broker |
//! | `inbox`, `mailbox` | who is told that deliveries wait; where those from another process do |
//! | `ledger` | which deliveries still have to be settled, and with how few frames that is done |
//! | `in_flight` | how much may be published and not yet confirmed |
//! | `closed` | what a broker says when it refuses something, and what is said of that from then on |
//! | `listening` | where AMQP clients come in by a connection to a broker of this process |
//! | `twin` | the module for another language in the same process: one of the two has the brokers |
//! | `patience` | looking for what may come any moment, before sleep |
//! | `process` | what exists once per process: brokers by name, the runtime, what a fork means for them |
//!
//! Declaring, binding and the like return a future that for `inproc:` is ready at once. Publishing,
//! taking and settling, which happen for every message, return at once where nothing has to be waited
//! for.

mod amqp;
mod closed;
mod driver;
mod embedded;
mod in_flight;
mod inbox;
mod ledger;
mod listening;
mod local;
mod mailbox;
mod patience;
mod process;
mod remote;
mod twin;
mod url;

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use crate::broker::{
    Binding, ConsumeOptions, ExchangeOptions, Got as Get, Publish, QueueInfo, QueueOptions, Settle,
};
pub use driver::{
    Answer, BatchOutcome, BatchPublishing, Bell, ConnectionEvent, Listener, Outcome, Publishing,
};
pub use process::{after_fork, before_exit, runtime};
pub use url::Url;

use crate::error::{Error, Kind, Result};
use crate::message::{Body, Message};
use crate::wire::{Properties, Table, Value};
use driver::{ChannelDriver, ConnectionDriver, ConsumerDriver};

/// How a connection is opened.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// A name for listings and logs.
    pub name: Option<String>,
    /// How long opening may take.
    pub timeout: Duration,
    /// For `local:`, how long the process that hosts the directory may give no sign of life, as one that is stopped does,
    /// before what is awaited of it fails with `Timeout` ([`ConnectionEvent::Unresponsive`]). None for ever; less than
    /// two seconds counts as two.
    pub host_timeout: Option<Duration>,
    /// For `inproc:` and `local:`, where to let AMQP clients in, as [`Connection::listen`]. For a directory that another
    /// process hosts this takes effect when this process takes it over.
    pub listen: Vec<String>,
    /// How many publishes may be under way unawaited before [`Channel::publish`] refuses more.
    pub max_in_flight: usize,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        ConnectOptions {
            name: None,
            timeout: Duration::from_secs(10),
            host_timeout: Some(Duration::from_secs(30)),
            listen: Vec::new(),
            max_in_flight: 65_536,
        }
    }
}

/// A connection to a broker. Clones are the same connection.
#[derive(Clone)]
pub struct Connection(Arc<dyn ConnectionDriver>);

impl Connection {
    /// Connects to `inproc://NAME`, `local:PATH`, `amqp://[USER:PASSWORD@]HOST[:PORT][/VHOST]` or `amqps://…`.
    ///
    /// # Errors
    /// `InvalidArgument` for a URL that cannot be read, `Unreachable`, `AccessRefused` for a wrong password,
    /// `NotAllowed` for an unknown or forbidden virtual host, `Timeout`, `Unsupported` where one cannot listen, and for
    /// `inproc:` when another module in this process has its brokers and is of another version.
    pub async fn open(url: &str, options: &ConnectOptions) -> Result<Connection> {
        let parsed = Url::parse(url)?;
        match twin::open(url, &parsed, options).await? {
            Some(connection) => Ok(Connection(connection)),
            None => Self::open_here(parsed, options).await,
        }
    }

    /// Connects by this copy of the code, whatever other modules there are in this process.
    async fn open_here(url: Url, options: &ConnectOptions) -> Result<Connection> {
        match url {
            Url::Inproc { name } => {
                let embedded = embedded::Embedded::open(&name, options)?;
                embedded.listen_all(&options.listen).await?;
                Ok(Connection(Arc::new(embedded)))
            }
            Url::Local { path } => local::open(path, options.clone()).await.map(Connection),
            Url::Amqp { .. } if !options.listen.is_empty() => {
                let reason = "this connection leads to another broker, which listens by itself";
                Err(Error::new(Kind::Unsupported, "connect", reason).on("listen"))
            }
            Url::Amqp { url } => amqp::open(&url, options.clone()).await.map(Connection),
        }
    }

    /// The URL's scheme: `inproc`, `amqp` …
    pub fn transport(&self) -> &'static str {
        self.0.transport()
    }

    /// Whether it can still be used.
    pub fn is_open(&self) -> bool {
        self.0.is_open()
    }

    /// Opens a channel: the unit of order, of prefetch and of errors.
    pub async fn channel(&self) -> Result<Channel> {
        self.0.channel().await.map(Channel)
    }

    /// Lets AMQP clients in to this connection's broker, on `HOST:PORT` (port 0 picks a free one); where
    /// it listens. For brokers in this process only; ends when this connection closes.
    pub async fn listen(&self, address: &str) -> Result<SocketAddr> {
        self.0.listen(address).await
    }

    /// Where AMQP clients come in by this connection: what was given as [`ConnectOptions::listen`] or to
    /// [`Connection::listen`], with the ports that were found. Empty as long as another process hosts.
    pub fn listening(&self) -> Vec<SocketAddr> {
        self.0.listening()
    }

    /// Has `listener` called with every event from now on.
    pub fn on_event(&self, listener: Listener) {
        self.0.on_event(listener);
    }

    /// Closes the connection and all its channels. Closing twice is no error.
    pub async fn close(&self) -> Result<()> {
        self.0.close().await
    }
}

/// A channel. Clones are the same channel; any thread may use it.
#[derive(Clone)]
pub struct Channel(Arc<dyn ChannelDriver>);

impl Channel {
    /// Whether it can still be used. An error of the broker's closes an AMQP channel.
    pub fn is_open(&self) -> bool {
        self.0.is_open()
    }

    /// Declares a queue, or with `passive` only checks that it is there. An empty name has the broker make one up.
    pub async fn declare_queue(&self, name: &str, passive: bool, options: QueueOptions) -> Result<QueueInfo> {
        self.0.declare_queue(name, passive, options).await
    }

    /// Deletes a queue; how many messages were ready.
    pub async fn delete_queue(&self, name: &str, if_unused: bool, if_empty: bool) -> Result<u64> {
        self.0.delete_queue(name, if_unused, if_empty).await
    }

    /// Drops what is ready in a queue; how many messages that were.
    pub async fn purge_queue(&self, name: &str) -> Result<u64> {
        self.0.purge_queue(name).await
    }

    /// Declares an exchange of the type named `kind`, or with `passive` only checks that it is there.
    pub async fn declare_exchange(
        &self,
        name: &str,
        kind: &str,
        passive: bool,
        options: ExchangeOptions,
    ) -> Result<()> {
        self.0.declare_exchange(name, kind, passive, options).await
    }

    /// Deletes an exchange.
    pub async fn delete_exchange(&self, name: &str, if_unused: bool) -> Result<()> {
        self.0.delete_exchange(name, if_unused).await
    }

    /// Binds a queue to an exchange.
    pub async fn bind_queue(&self, binding: Binding<'_>) -> Result<()> {
        self.0.bind_queue(binding).await
    }

    /// Removes a queue's binding.
    pub async fn unbind_queue(&self, binding: Binding<'_>) -> Result<()> {
        self.0.unbind_queue(binding).await
    }

    /// Binds an exchange to another one.
    pub async fn bind_exchange(&self, binding: Binding<'_>) -> Result<()> {
        self.0.bind_exchange(binding).await
    }

    /// Removes an exchange's binding.
    pub async fn unbind_exchange(&self, binding: Binding<'_>) -> Result<()> {
        self.0.unbind_exchange(binding).await
    }

    /// Limits what is unacked: of each consumer to come, or with `global` of the channel as a whole. 0 is no limit.
    pub async fn qos(&self, count: u16, global: bool) -> Result<()> {
        self.0.qos(count, global).await
    }

    /// Publishes a message. What cannot be routed is not an error: the outcome says so.
    ///
    /// # Errors
    /// `NotFound` for an unknown exchange and `Nacked` when the broker refuses it (for `amqp:` by way of the
    /// pending answer), `Backpressure` when [`ConnectOptions::max_in_flight`] publishes, or for `amqp:`
    /// 64 MiB, are under way unawaited, `Closed`.
    pub fn publish(&self, publish: Publish<'_>) -> Result<Publishing> {
        self.0.publish(publish)
    }

    /// Publishes messages in order, with one outcome for all.
    pub fn publish_all(&self, batch: &mut dyn Iterator<Item = Publish<'_>>) -> Result<BatchPublishing> {
        self.0.publish_all(batch)
    }

    /// Registers a consumer.
    pub async fn consume(&self, options: &ConsumeOptions<'_>) -> Result<Consumer> {
        self.0.consume(options).await.map(Consumer)
    }

    /// Fetches one message, if there is one.
    pub async fn get(&self, queue: &str, no_ack: bool) -> Result<Option<Get>> {
        self.0.get(queue, no_ack).await
    }

    /// Settles deliveries of this channel: each tag alone, or with true all up to it.
    pub fn settle(&self, tags: &[(u64, bool)], how: Settle) -> Result<()> {
        self.0.settle(tags, how)
    }

    /// Puts off when a delivery of this channel must be acknowledged (`x-consumer-timeout`): that many
    /// milliseconds from now. A delivery that is settled, or has no such time, is left as it is.
    ///
    /// # Errors
    /// `Unsupported` where the broker is not WarrenMQ.
    pub async fn extend(&self, tag: u64, milliseconds: u64) -> Result<()> {
        let Some(tag) = self.0.broker_tag(tag) else { return Ok(()) };
        let entry =
            |name: &str, number: u64| (name.into(), Value::I64(number.try_into().unwrap_or(i64::MAX)));
        let headers = Table(vec![entry("delivery-tag", tag), entry("timeout", milliseconds)]);
        let mut properties = Vec::new();
        Properties { headers: Some(headers), ..Properties::default() }.encode(&mut properties);
        // A message, so that it goes through every client and every proxy.
        let outcome = match self.publish(Publish {
            exchange: "",
            routing_key: "amq.warrenmq.extend",
            mandatory: false,
            properties: &properties,
            body: Body::Slice(&[]),
        })? {
            Publishing::Done(outcome) => outcome,
            Publishing::Pending(answer) => answer.await?,
        };
        match outcome.routed {
            true => Ok(()),
            false => Err(Error::new(Kind::Unsupported, "extend", "this broker knows of no such thing")),
        }
    }

    /// Has everything unacknowledged on this channel delivered again.
    pub async fn recover(&self) -> Result<()> {
        self.0.recover().await
    }

    /// From now on publishes and acknowledgements of this channel take effect together, at
    /// [`Channel::tx_commit`], or not at all. For a channel on which nothing was published yet: at the wire,
    /// publishing without transactions is confirmed, and a channel cannot go from one to the other.
    ///
    /// # Errors
    /// `PreconditionFailed` on a channel with confirms, which closes it.
    pub async fn tx_select(&self) -> Result<()> {
        self.0.tx_select().await
    }

    /// Has all that was published and acknowledged since the last commit or rollback take effect. Which of
    /// the messages no queue took, counted from 0.
    ///
    /// # Errors
    /// `PreconditionFailed` on a channel without transactions. For `local:`, when the process that hosted the broker was
    /// killed: `Nacked` where nothing of the transaction took effect, `Timeout` where that is not known, as the commit
    /// was under way. The channel goes on, with a new transaction.
    pub async fn tx_commit(&self) -> Result<Vec<usize>> {
        self.0.tx_commit().await
    }

    /// Forgets what was published and acknowledged since the last commit or rollback. What had been
    /// acknowledged is unacknowledged again, and not delivered again ([`Channel::recover`] does that).
    ///
    /// # Errors
    /// `PreconditionFailed` on a channel without transactions.
    pub async fn tx_rollback(&self) -> Result<()> {
        self.0.tx_rollback().await
    }

    /// Closes the channel; what was not acknowledged goes back. Closing twice is no error.
    pub async fn close(&self) -> Result<()> {
        self.0.close().await
    }
}

/// A message as a consumer gets it.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// For [`Channel::settle`], on the consumer's channel.
    pub tag: u64,
    /// It was delivered before.
    pub redelivered: bool,
    /// The message.
    pub message: Message,
}

/// A consumer. Clones are the same consumer.
#[derive(Clone)]
pub struct Consumer(Arc<dyn ConsumerDriver>);

impl Consumer {
    /// The consumer's tag.
    pub fn tag(&self) -> &str {
        self.0.tag()
    }

    /// Moves up to `max` deliveries that are there into `into`, without waiting.
    ///
    /// # Errors
    /// `Closed` once nothing can come any more (cancelled, or channel or connection closed), with the
    /// broker's reason; not before all that had come was taken.
    pub fn take(&self, max: usize, into: &mut Vec<Delivery>) -> Result<()> {
        self.0.take(max, into)
    }

    /// Blocks this thread until [`Consumer::take`] has something to give or an error to tell. False when
    /// the time ran out before.
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        self.0.wait(timeout)
    }

    /// Looks for some 50 µs, if that has been worth while lately, whether [`Consumer::take`] has something to give
    /// or an error to tell; for who would otherwise have to be woken by a bell. [`Consumer::wait`] does so itself.
    pub fn look(&self) -> bool {
        self.0.look()
    }

    /// Has `bell` called each time that nothing was there and something comes, or the consumer ends; at
    /// once if something is there already. Replaces the bell before it.
    pub fn on_ready(&self, bell: Bell) {
        self.0.on_ready(bell);
    }

    /// Ends the consumer. What was delivered can still be taken and settled.
    pub async fn cancel(&self) -> Result<()> {
        self.0.cancel().await
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

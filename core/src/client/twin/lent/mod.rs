//! What this module lends to the others of its process: its connections, as they are, behind the table.

mod functions;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use parking_lot::Mutex;

pub(super) use functions::TABLE;

use super::codec::{Put, decode, encode};
use super::owned::{Owned, Parcel};
use super::table::{DONE, FAILED, PENDING, Reply};
use crate::broker::Binding;
use crate::client::driver::{Answer, ChannelDriver, ConnectionDriver, ConsumerDriver};
use crate::client::{
    ConnectOptions, Connection, ConsumeOptions, ExchangeOptions, Get as Got, QueueOptions, Url,
};
use crate::error::{Error, Kind, Result};
use crate::routing;
use crate::wire::Table;

/// What another module has in its hands.
pub(super) enum Thing {
    Connection(Arc<dyn ConnectionDriver>),
    Channel(Arc<dyn ChannelDriver>, Place),
    Consumer(Arc<dyn ConsumerDriver>, Place),
    /// Until it is followed.
    Answer(Mutex<Option<Pending>>),
}

/// Where the broker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In this process and in memory: answers may be polled outside of a runtime, and most are there at once.
    Inproc,
    Elsewhere,
}

impl Place {
    fn of(connection: &dyn ConnectionDriver) -> Self {
        match connection.transport() {
            "inproc" => Place::Inproc,
            _ => Place::Elsewhere,
        }
    }
}

/// A reply to come.
pub(super) type Pending = Pin<Box<dyn Future<Output = Reply> + Send>>;

impl Reply {
    fn done(value: impl Put) -> Self {
        Reply { state: DONE, bytes: given(value), body: Parcel::EMPTY, thing: Owned::NOTHING }
    }

    fn opened(thing: Thing, value: impl Put) -> Self {
        Reply { thing: Owned::new(thing), ..Reply::done(value) }
    }

    fn failed(error: Error) -> Self {
        Reply { state: FAILED, ..Reply::done(error) }
    }

    fn pending(answer: Pending) -> Self {
        let thing = Thing::Answer(Mutex::new(Some(answer)));
        Reply { state: PENDING, bytes: Parcel::EMPTY, body: Parcel::EMPTY, thing: Owned::new(thing) }
    }
}

fn given(value: impl Put) -> Parcel {
    Parcel::given(Bytes::from(encode(value)))
}

/// The reply that an answer will be.
fn follow<T: Put + Send + 'static>(answer: Answer<T>) -> Reply {
    Reply::pending(Box::pin(async move { answer.await.map_or_else(Reply::failed, Reply::done) }))
}

/// The reply, if it is there at once, else what to follow.
fn begin(place: Place, operation: impl Future<Output = Result<Reply>> + Send + 'static) -> Reply {
    let mut pending: Pending = Box::pin(async move { operation.await.unwrap_or_else(Reply::failed) });
    if place == Place::Inproc
        && let Poll::Ready(reply) = pending.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    {
        return reply;
    }
    Reply::pending(pending)
}

fn unknown(operation: &str) -> Error {
    Error::new(Kind::InternalError, "call", format!("no operation '{operation}' is lent"))
}

/// Opens a connection of this module's.
fn connect(request: Vec<u8>) -> Result<Reply> {
    let (url, options): (&str, ConnectOptions) = decode(&request)?;
    let url = Url::parse(url)?;
    let place = if matches!(url, Url::Inproc { .. }) { Place::Inproc } else { Place::Elsewhere };
    Ok(begin(place, async move {
        let Connection(connection) = Connection::open_here(url, &options).await?;
        Ok(Reply::opened(Thing::Connection(connection), ()))
    }))
}

/// Does what happens now and then.
fn perform(thing: &Thing, operation: &str, request: Vec<u8>) -> Result<Reply> {
    match thing {
        // This and `broker_tag` the borrower asks for without waiting.
        Thing::Connection(connection) if operation == "listening" => {
            let addresses = connection.listening().into_iter().map(|address| address.to_string());
            Ok(Reply::done(addresses.collect::<Vec<_>>()))
        }
        Thing::Connection(connection) => {
            let (place, connection) = (Place::of(&**connection), connection.clone());
            let operation = operation.to_owned();
            Ok(begin(place, async move { of_connection(connection, place, &operation, &request).await }))
        }
        Thing::Channel(channel, _) if operation == "broker_tag" => {
            Ok(Reply::done(channel.broker_tag(decode(&request)?)))
        }
        Thing::Channel(channel, place) => {
            let (channel, place, operation) = (channel.clone(), *place, operation.to_owned());
            Ok(begin(place, async move { of_channel(channel, place, &operation, &request).await }))
        }
        Thing::Consumer(consumer, place) if operation == "basic.cancel" => {
            let consumer = consumer.clone();
            Ok(begin(*place, async move { consumer.cancel().await.map(Reply::done) }))
        }
        _ => Err(unknown(operation)),
    }
}

async fn of_connection(
    connection: Arc<dyn ConnectionDriver>,
    place: Place,
    operation: &str,
    request: &[u8],
) -> Result<Reply> {
    match operation {
        "channel.open" => Ok(Reply::opened(Thing::Channel(connection.channel().await?, place), ())),
        "listen" => Ok(Reply::done(connection.listen(decode(request)?).await?.to_string())),
        "close" => connection.close().await.map(Reply::done),
        _ => Err(unknown(operation)),
    }
}

async fn of_channel(
    channel: Arc<dyn ChannelDriver>,
    place: Place,
    operation: &str,
    request: &[u8],
) -> Result<Reply> {
    match operation {
        "queue.declare" => {
            let (name, passive, durable, exclusive, auto_delete, arguments) = decode(request)?;
            let options = QueueOptions { durable, exclusive, auto_delete, arguments };
            channel.declare_queue(name, passive, options).await.map(Reply::done)
        }
        "queue.delete" => {
            let (name, if_unused, if_empty) = decode(request)?;
            channel.delete_queue(name, if_unused, if_empty).await.map(Reply::done)
        }
        "queue.purge" => channel.purge_queue(decode(request)?).await.map(Reply::done),
        "exchange.declare" => {
            let (name, kind, passive, durable, auto_delete, internal, arguments) = decode(request)?;
            let options = ExchangeOptions {
                durable,
                auto_delete,
                internal,
                arguments,
                ..ExchangeOptions::new(routing::Kind::Direct) // the name decides
            };
            channel.declare_exchange(name, kind, passive, options).await.map(Reply::done)
        }
        "exchange.delete" => {
            let (name, if_unused) = decode(request)?;
            channel.delete_exchange(name, if_unused).await.map(Reply::done)
        }
        "queue.bind" | "queue.unbind" | "exchange.bind" | "exchange.unbind" => {
            let (source, destination, routing_key, arguments): (_, _, _, Table) = decode(request)?;
            let binding = Binding { source, destination, routing_key, arguments: &arguments };
            let answer = match operation {
                "queue.bind" => channel.bind_queue(binding),
                "queue.unbind" => channel.unbind_queue(binding),
                "exchange.bind" => channel.bind_exchange(binding),
                _ => channel.unbind_exchange(binding),
            };
            answer.await.map(Reply::done)
        }
        "basic.qos" => {
            let (count, global) = decode(request)?;
            channel.qos(count, global).await.map(Reply::done)
        }
        "basic.consume" => {
            let (queue, tag, no_ack, exclusive, arguments) = decode(request)?;
            let options = ConsumeOptions { queue, tag, no_ack, exclusive, arguments };
            let consumer = channel.consume(&options).await?;
            let tag = consumer.tag().to_owned();
            Ok(Reply::opened(Thing::Consumer(consumer, place), tag))
        }
        "basic.get" => {
            let (queue, no_ack) = decode(request)?;
            Ok(fetched(channel.get(queue, no_ack).await?))
        }
        "basic.recover" => channel.recover().await.map(Reply::done),
        "tx.select" => channel.tx_select().await.map(Reply::done),
        "tx.commit" => channel.tx_commit().await.map(Reply::done),
        "tx.rollback" => channel.tx_rollback().await.map(Reply::done),
        "channel.close" => channel.close().await.map(Reply::done),
        _ => Err(unknown(operation)),
    }
}

/// What was fetched, if anything; a long body stays where it is.
fn fetched(got: Option<Got>) -> Reply {
    let Some(Got { tag, message, redelivered, remaining }) = &got else { return Reply::done(None::<()>) };
    let (short, long) = match message.long_body() {
        Some(body) => (&[][..], Parcel::given(body.clone())),
        None => (message.body(), Parcel::EMPTY),
    };
    let fields = (tag, redelivered, remaining, message.route(), message.encoded_properties(), short);
    Reply { body: long, ..Reply::done(Some(fields)) }
}

impl fmt::Debug for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Thing::Connection(_) => "Connection",
            Thing::Channel(..) => "Channel",
            Thing::Consumer(..) => "Consumer",
            Thing::Answer(_) => "Answer",
        })
    }
}

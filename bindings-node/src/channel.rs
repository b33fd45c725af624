//! Channels: declaring, binding, settling.

use warrenmq::client::{Binding, Channel, ExchangeOptions, Get, QueueInfo, QueueOptions, Settle};
use warrenmq::routing::Kind as ExchangeKind;

use crate::answer::{count, done, now_or_later};
use crate::js::{Call, Env, Result, Value};
use crate::{connection, record, table};

/// What JavaScript holds.
pub(crate) struct Handle {
    pub(crate) channel: Channel,
    pub(crate) embedded: bool,
}

impl Handle {
    /// The channel that is the first argument.
    pub(crate) fn of<'a>(call: &Call<'a>) -> Result<&'a Handle> {
        call.argument(0).held()
    }
}

/// `openChannel(connection)` → a channel.
pub(crate) fn open<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    let handle: &connection::Handle = call.argument(0).held()?;
    let connection = handle.connection.clone();
    let opening = async move {
        let embedded = connection.transport() == "inproc";
        Ok(Handle { channel: connection.channel().await?, embedded })
    };
    now_or_later(call.env, handle.embedded, opening, |env, channel| env.handle(channel))
}

pub(crate) fn is_open<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    call.env.boolean(Handle::of(call)?.channel.is_open())
}

/// `declareQueue(channel, name, passive, durable, exclusive, autoDelete, arguments)` → `{name, messages,
/// consumers}`.
pub(crate) fn declare_queue<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    let handle = Handle::of(call)?;
    let (channel, name) = (handle.channel.clone(), call.argument(1).string()?);
    let passive = call.argument(2).boolean()?;
    let options = QueueOptions {
        durable: call.argument(3).boolean()?,
        exclusive: call.argument(4).boolean()?,
        auto_delete: call.argument(5).boolean()?,
        arguments: table::arguments(call.argument(6))?,
    };
    let declaring = async move { channel.declare_queue(&name, passive, options).await };
    now_or_later(call.env, handle.embedded, declaring, queue_info)
}

fn queue_info(env: Env<'_>, info: QueueInfo) -> Result<Value<'_>> {
    let object = env.object()?;
    object.set("name", env.string(&info.name)?)?;
    object.set("messages", env.number(info.messages as f64)?)?;
    object.set("consumers", env.number(info.consumers as f64)?)?;
    Ok(object)
}

/// `deleteQueue(channel, name, ifUnused, ifEmpty)` → how many messages it had.
pub(crate) fn delete_queue<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    let handle = Handle::of(call)?;
    let (channel, name) = (handle.channel.clone(), call.argument(1).string()?);
    let (unused, empty) = (call.argument(2).boolean()?, call.argument(3).boolean()?);
    let deleting = async move { channel.delete_queue(&name, unused, empty).await };
    now_or_later(call.env, handle.embedded, deleting, count)
}

/// `purgeQueue(channel, name)` → how many messages went.
pub(crate) fn purge_queue<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    let handle = Handle::of(call)?;
    let (channel, name) = (handle.channel.clone(), call.argument(1).string()?);
    now_or_later(call.env, handle.embedded, async move { channel.purge_queue(&name).await }, count)
}

/// `declareExchange(channel, name, type, passive, durable, autoDelete, internal, arguments)`
pub(crate) fn declare_exchange<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    let handle = Handle::of(call)?;
    let channel = handle.channel.clone();
    let (name, kind) = (call.argument(1).string()?, call.argument(2).string()?);
    let passive = call.argument(3).boolean()?;
    let options = ExchangeOptions {
        durable: call.argument(4).boolean()?,
        auto_delete: call.argument(5).boolean()?,
        internal: call.argument(6).boolean()?,
        arguments: table::arguments(call.argument(7))?,
        ..ExchangeOptions::new(ExchangeKind::Direct) // `kind` decides
    };
    let declaring = async move { channel.declare_exchange(&name, &kind, passive, options).await };
    now_or_later(call.env, handle.embedded, declaring, done)
}

/// `deleteExchange(channel, name, ifUnused)`
pub(crate) fn delete_exchange<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    let handle = Handle::of(call)?;
    let (channel, name) = (handle.channel.clone(), call.argument(1).string()?);
    let unused = call.argument(2).boolean()?;
    let deleting = async move { channel.delete_exchange(&name, unused).await };
    now_or_later(call.env, handle.embedded, deleting, done)
}

/// `bind(channel, isQueue, destination, source, routingKey, arguments)`
pub(crate) fn bind<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    change_binding(call, true)
}

/// `unbind(channel, isQueue, destination, source, routingKey, arguments)`
pub(crate) fn unbind<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    change_binding(call, false)
}

fn change_binding<'a>(call: &Call<'a>, add: bool) -> Result<Value<'a>> {
    let handle = Handle::of(call)?;
    let channel = handle.channel.clone();
    let is_queue = call.argument(1).boolean()?;
    let (destination, source) = (call.argument(2).string()?, call.argument(3).string()?);
    let routing_key = call.argument(4).string()?;
    let arguments = table::arguments(call.argument(5))?;
    let changing = async move {
        let binding = Binding {
            source: &source,
            destination: &destination,
            routing_key: &routing_key,
            arguments: &arguments,
        };
        match (is_queue, add) {
            (true, true) => channel.bind_queue(binding).await,
            (true, false) => channel.unbind_queue(binding).await,
            (false, true) => channel.bind_exchange(binding).await,
            (false, false) => channel.unbind_exchange(binding).await,
        }
    };
    now_or_later(call.env, handle.embedded, changing, done)
}

/// `prefetch(channel, count, global)`
pub(crate) fn prefetch<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    let handle = Handle::of(call)?;
    let channel = handle.channel.clone();
    let count = call.argument(1).integer(u16::MAX.into())? as u16;
    let global = call.argument(2).boolean()?;
    now_or_later(call.env, handle.embedded, async move { channel.qos(count, global).await }, done)
}

/// `extend(channel, tag, milliseconds)`
pub(crate) fn extend<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    const EXACT: u64 = (1 << 53) - 1;
    let handle = Handle::of(call)?;
    let channel = handle.channel.clone();
    let (tag, milliseconds) = (call.argument(1).integer(EXACT)?, call.argument(2).integer(EXACT)?);
    now_or_later(call.env, handle.embedded, async move { channel.extend(tag, milliseconds).await }, done)
}

pub(crate) fn recover<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    let handle = Handle::of(call)?;
    let channel = handle.channel.clone();
    now_or_later(call.env, handle.embedded, async move { channel.recover().await }, done)
}

pub(crate) fn tx_select<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    let handle = Handle::of(call)?;
    let channel = handle.channel.clone();
    now_or_later(call.env, handle.embedded, async move { channel.tx_select().await }, done)
}

/// `txCommit(channel)` → the places of the messages that no queue took.
pub(crate) fn tx_commit<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    let handle = Handle::of(call)?;
    let channel = handle.channel.clone();
    now_or_later(call.env, handle.embedded, async move { channel.tx_commit().await }, |env, unrouted| {
        env.array(unrouted.iter().map(|&index| env.number(index as f64)))
    })
}

pub(crate) fn tx_rollback<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    let handle = Handle::of(call)?;
    let channel = handle.channel.clone();
    now_or_later(call.env, handle.embedded, async move { channel.tx_rollback().await }, done)
}

pub(crate) fn close<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    let handle = Handle::of(call)?;
    let channel = handle.channel.clone();
    now_or_later(call.env, handle.embedded, async move { channel.close().await }, done)
}

/// `settle(channel, tags, count, how)`: the first `count` tags of a `Float64Array`, a negative one with
/// all before it; `how` is 0 to acknowledge, 1 to reject, 2 to requeue.
pub(crate) fn settle<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    let tags = call.argument(1).doubles()?;
    let count = call.argument(2).integer(tags.len() as u64)? as usize;
    let how = match call.argument(3).integer(2)? {
        0 => Settle::Ack,
        1 => Settle::Reject,
        _ => Settle::Requeue,
    };
    let tags: Vec<(u64, bool)> = tags[..count].iter().map(|tag| (tag.abs() as u64, *tag < 0.0)).collect();
    Handle::of(call)?.channel.settle(&tags, how)?;
    Ok(call.env.nothing())
}

/// `get(channel, queue, noAck)` → a record, or nothing.
pub(crate) fn get<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    let handle = Handle::of(call)?;
    let (channel, queue) = (handle.channel.clone(), call.argument(1).string()?);
    let no_ack = call.argument(2).boolean()?;
    let getting = async move { channel.get(&queue, no_ack).await };
    now_or_later(call.env, handle.embedded, getting, got)
}

fn got(env: Env<'_>, got: Option<Get>) -> Result<Value<'_>> {
    match got {
        None => Ok(env.nothing()),
        Some(got) => record::alone(env, got.tag, got.redelivered, &got.message),
    }
}

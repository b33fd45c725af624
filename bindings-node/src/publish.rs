//! Sending.
//!
//! The publish that has happened at once, and was routed, returns `undefined`, which costs nothing; the
//! TypeScript layer has one resolved promise for all of these.

use warrenmq::client::{BatchOutcome, BatchPublishing, Channel, Outcome, Publish, Publishing};
use warrenmq::message::Body;
use warrenmq::wire::PropertiesView;
use warrenmq::{Error, Kind};

use crate::answer::soon;
use crate::channel::Handle;
use crate::js::{Call, Env, Result, Value};

/// `publisher(channel, exchange, routingKey)` → `(body, properties?)` → as [`publish`]. For many messages
/// to one destination: exchange and routing key are converted once.
pub(crate) fn publisher<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    let channel = Handle::of(call)?.channel.clone();
    let (exchange, routing_key) = (call.argument(1).string()?, call.argument(2).string()?);
    call.env.function(move |call| {
        let publish = Publish {
            exchange: &exchange,
            routing_key: &routing_key,
            mandatory: false,
            properties: properties(call.argument(1))?,
            body: Body::Slice(call.argument(0).bytes()?),
        };
        send(call.env, &channel, publish)
    })
}

/// `publish(channel, exchange, routingKey, mandatory, body, properties?)` → `undefined` when confirmed and
/// routed, false when confirmed but not routed, true when it waits for a commit, or a promise of one of these.
pub(crate) fn publish<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    let handle = Handle::of(call)?;
    let (exchange, routing_key) = (call.argument(1).string()?, call.argument(2).string()?);
    let publish = Publish {
        exchange: &exchange,
        routing_key: &routing_key,
        mandatory: call.argument(3).boolean()?,
        properties: properties(call.argument(5))?,
        body: Body::Slice(call.argument(4).bytes()?),
    };
    send(call.env, &handle.channel, publish)
}

fn properties<'a>(value: Value<'a>) -> Result<&'a [u8]> {
    Ok(value.optional(Value::bytes)?.unwrap_or(PropertiesView::EMPTY.0))
}

fn send<'a>(env: Env<'a>, channel: &Channel, publish: Publish<'_>) -> Result<Value<'a>> {
    match channel.publish(publish)? {
        Publishing::Done(outcome) => receipt(env, outcome),
        Publishing::Pending(answer) => soon(env, answer, receipt),
    }
}

fn receipt(env: Env<'_>, outcome: Outcome) -> Result<Value<'_>> {
    match outcome {
        Outcome { confirmed: true, routed: true } => Ok(env.nothing()),
        Outcome { confirmed, .. } => env.boolean(!confirmed),
    }
}

/// `publishMany(channel, exchange, routingKey, pieces, shape, kinds)`: bodies one after the other, each in one of the
/// `Uint8Array`s; for each its length and the number of its properties among `kinds`, in a `Uint32Array`.
/// → `undefined` when all were routed, the places of those which were not, true when they wait for a commit, or a
/// promise of one of these.
pub(crate) fn publish_many<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    let handle = Handle::of(call)?;
    let (exchange, routing_key) = (call.argument(1).string()?, call.argument(2).string()?);
    let mut pieces = call.argument(3).elements()?.into_iter().map(Value::bytes);
    let (shape, []) = call.argument(4).words()?.as_chunks::<2>() else { return Err(malformed()) };
    let kinds = call.argument(5).elements()?;
    let kinds = kinds.into_iter().map(Value::bytes).collect::<Result<Vec<_>>>()?;
    let mut batch = Vec::with_capacity(shape.len());
    let mut rest: &[u8] = &[];
    for &[length, kind] in shape {
        if rest.is_empty() {
            rest = pieces.next().transpose()?.unwrap_or_default();
        }
        let (body, after) = rest.split_at_checked(length as usize).ok_or_else(malformed)?;
        rest = after;
        batch.push(Publish {
            exchange: &exchange,
            routing_key: &routing_key,
            mandatory: false,
            properties: kinds.get(kind as usize).ok_or_else(malformed)?,
            body: Body::Slice(body),
        });
    }
    if !rest.is_empty() || pieces.any(|piece| !matches!(piece, Ok([]))) {
        return Err(malformed());
    }
    match handle.channel.publish_all(&mut batch.into_iter())? {
        BatchPublishing::Done(outcome) => batch_receipt(call.env, outcome),
        BatchPublishing::Pending(answer) => soon(call.env, answer, batch_receipt),
    }
}

fn malformed() -> crate::js::Failure {
    Error::new(Kind::InvalidArgument, "basic.publish", "lengths and bodies do not fit").into()
}

fn batch_receipt(env: Env<'_>, outcome: BatchOutcome) -> Result<Value<'_>> {
    match outcome.unrouted.is_empty() {
        true if outcome.confirmed == 0 => env.boolean(true),
        true => Ok(env.nothing()),
        false => env.array(outcome.unrouted.iter().map(|&index| env.number(index as f64))),
    }
}

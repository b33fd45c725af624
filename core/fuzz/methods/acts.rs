//! What is done: one function per kind of act, chosen by weight.

use std::time::Duration;

use serde_json::json;
use warrenmq::broker::{Alarm, ApplyTo, Policy, QueueKind};
use warrenmq::wire::hot::encode_content;
use warrenmq::wire::{
    Method, Properties, ShortString, Table, Value, access, basic, channel, confirm, connection, exchange,
    queue, tx,
};

use super::World;
use super::choices::Choices;
use super::peer::{CHANNELS, Peer, State};

/// Names of each kind: those that there usually are, and those that lead to an error or are odd.
const QUEUES: Names = (&["q1", "q2", "q3", "q4"], &["", "q5", "q\n1", "amq.rabbitmq.reply-to"]);
const EXCHANGES: Names = (&["x1", "x2", "x3", "x4", "amq.direct", "amq.topic"], &["", "x5", "amq.headers"]);
const KEYS: [&str; 9] = ["q1", "q2", "q3", "q4", "", "a.b", "a.*", "#", "2"];
const TYPES: Names = (
    &[
        "direct",
        "fanout",
        "topic",
        "headers",
        "x-consistent-hash",
        "x-modulus-hash",
        "x-random",
        "x-recent-history",
        "x-local-random",
        "x-delayed-message",
    ],
    &["nonsense"],
);
const CONSUMERS: [&str; 4] = ["", "c1", "c2", "c3"];

type Names = (&'static [&'static str], &'static [&'static str]);

/// Rarely: what ends a channel or a connection, so that most of what is done is done to living ones.
const RARELY: usize = 60;

fn name(choices: &mut impl Choices, (usual, odd): Names) -> &'static str {
    match choices.once_in(RARELY) {
        true => odd[choices.below(odd.len())],
        false => usual[choices.below(usual.len())],
    }
}

/// One of the first ones; rarely, the last.
fn valid<T: Copy, const N: usize>(choices: &mut impl Choices, of: [T; N]) -> T {
    match choices.once_in(RARELY) {
        true => of[N - 1],
        false => of[choices.below(N - 1)],
    }
}

type Act<C> = fn(&mut World, &mut C);

pub(super) fn act<C: Choices>(world: &mut World, choices: &mut C) {
    let acts: [(usize, Act<C>); 11] = [
        (30, publish),
        (14, settle),
        (10, consume),
        (8, get),
        (10, declare),
        (6, topology),
        (6, channels),
        (8, modes),
        (5, time),
        (3, operate),
        (1, come_and_go),
    ];
    if choices.once_in(5 * RARELY) {
        nonsense(world, choices);
    }
    let mut at = choices.below(acts.iter().map(|(weight, _)| weight).sum());
    for (weight, act) in acts {
        match at.checked_sub(weight) {
            Some(left) => at = left,
            None => {
                act(world, choices);
                break;
            }
        }
    }
    if choices.once_in(2) {
        for peer in &mut world.peers {
            peer.flush();
        }
    }
    for index in 0..world.peers.len() {
        world.peers[index].look();
        if !world.peers[index].is_open() {
            world.peers[index] = Peer::open(&world.broker);
        }
    }
}

fn short(text: &str) -> ShortString {
    ShortString::truncated(text)
}

fn text(text: &str) -> Value {
    Value::LongString(text.as_bytes().to_vec().into())
}

/// A peer and one of its channels, which is opened if need be.
fn somewhere<'w>(world: &'w mut World, choices: &mut impl Choices) -> (&'w mut Peer, u16) {
    let which = choices.below(world.peers.len());
    let on = choices.below(usize::from(CHANNELS)) as u16 + 1;
    let peer = &mut world.peers[which];
    match peer.channels[usize::from(on) - 1].state {
        State::Open => {}
        State::Closed => {
            peer.method(on, &Method::ChannelOpen(channel::Open::default()));
            peer.channels[usize::from(on) - 1].state = State::Open;
        }
        State::Refused => {
            peer.method(on, &Method::ChannelCloseOk(channel::CloseOk {}));
            peer.method(on, &Method::ChannelOpen(channel::Open::default()));
            peer.channels[usize::from(on) - 1].state = State::Open;
        }
    }
    (peer, on)
}

fn publish<C: Choices>(world: &mut World, choices: &mut C) {
    let (peer, on) = somewhere(world, choices);
    for _ in 0..=choices.below(6) {
        let mut properties = Properties::default();
        if choices.once_in(4) {
            properties.expiration = Some(short(valid(choices, ["0", "10", "1000", "-1"])));
        }
        if choices.once_in(4) {
            properties.priority = Some(choices.one(&[0, 1, 5, 9, 255]));
        }
        if choices.once_in(3) {
            properties.headers = Some(headers(choices));
        }
        if choices.once_in(if peer.channels[usize::from(on) - 1].asks { 3 } else { 5 * RARELY }) {
            properties.reply_to = Some(short("amq.rabbitmq.reply-to"));
        }
        if choices.once_in(12) {
            properties.user_id = Some(short(valid(choices, ["guest", "stranger"])));
        }
        properties.delivery_mode = choices.once_in(2).then_some(2);
        let mut encoded = Vec::new();
        properties.encode(&mut encoded);
        let method = basic::Publish {
            exchange: short(if choices.once_in(2) { "" } else { name(choices, EXCHANGES) }),
            routing_key: short(choices.one(&KEYS)),
            mandatory: choices.once_in(4),
            immediate: choices.once_in(20 * RARELY),
        };
        peer.method(on, &Method::BasicPublish(method));
        let size =
            if choices.once_in(5 * RARELY) { 30_000 } else { choices.one(&[0, 1, 10, 300, 4096, 9000]) };
        // Frames of 100 bytes come in pieces.
        let frame_max = if size < 1000 && choices.once_in(5) { 100 } else { 4096 };
        encode_content(&mut peer.batch, on, &encoded, &vec![b'x'; size], frame_max);
        if let Some(published) = &mut peer.channels[usize::from(on) - 1].published {
            *published += 1;
        }
    }
}

fn headers(choices: &mut impl Choices) -> Table {
    let mut headers = Table::default();
    match choices.below(9) {
        0 => headers.insert("x-delay", Value::I64(choices.one(&[0, 1, 500, 90_000, -5, 1 << 40]))),
        1 => headers.insert("CC", Value::Array(vec![text(choices.one(&KEYS)), text("q1")])),
        2 => headers.insert("BCC", Value::Array(vec![text(choices.one(&KEYS))])),
        3 if choices.once_in(RARELY) => headers.insert("CC", text("q1")),
        4 => headers.insert("x-deduplication-header", text(choices.one(&["a", "b"]))),
        5 => headers.insert("a", Value::I32(choices.one(&[1, 2]))),
        6 => headers.insert("x-death", choices.one(&[Value::Void, Value::I32(1)].each_ref()).clone()),
        7 => headers.insert("x-stream-filter-value", text("f")),
        _ => headers.insert("b", Value::Bool(true)),
    }
    headers
}

fn settle<C: Choices>(world: &mut World, choices: &mut C) {
    let (peer, on) = somewhere(world, choices);
    let channel = &mut peer.channels[usize::from(on) - 1];
    for _ in 0..=choices.below(4) {
        let (multiple, requeue) = (choices.once_in(4), choices.once_in(2));
        let delivery_tag = match channel.tags.len() {
            0 if choices.once_in(5 * RARELY) => 1000,
            0 => break,
            _ if multiple && choices.once_in(10) => 0,
            count => {
                let index = choices.below(count);
                let tag = channel.tags[index];
                match multiple {
                    true => drop(channel.tags.drain(..=index)),
                    false => drop(channel.tags.remove(index)),
                }
                tag
            }
        };
        if delivery_tag == 0 && multiple {
            channel.tags.clear();
        }
        let method = match choices.below(5) {
            0 | 1 => Method::BasicAck(basic::Ack { delivery_tag, multiple }),
            2 | 3 => Method::BasicNack(basic::Nack { delivery_tag, multiple, requeue }),
            _ => Method::BasicReject(basic::Reject { delivery_tag, requeue }),
        };
        method.encode(on, &mut peer.batch);
    }
}

/// Whether there is such a queue, and it is a stream.
fn is_stream(world: &World, queue: &str) -> bool {
    let queues = world.broker.vhost("/").map(|vhost| vhost.queues()).unwrap_or_default();
    queues.iter().any(|it| &*it.info.name == queue && it.kind == QueueKind::Stream)
}

fn consume<C: Choices>(world: &mut World, choices: &mut C) {
    let queue = name(choices, QUEUES);
    let stream = is_stream(world, queue);
    let (peer, on) = somewhere(world, choices);
    let channel = &mut peer.channels[usize::from(on) - 1];
    let asks = !channel.asks && choices.once_in(10);
    let consumer_tag = short(choices.one(&CONSUMERS));
    // A tag is free or taken: mostly, what is done fits.
    if channel.consumers.contains_key(&*consumer_tag) != choices.once_in(RARELY) {
        channel.consumers.remove(&*consumer_tag);
        let nowait = choices.once_in(4);
        return peer.method(on, &Method::BasicCancel(basic::Cancel { consumer_tag, nowait }));
    }
    let no_ack = asks || (!stream && choices.once_in(3));
    let mut arguments = Table::default();
    match choices.below(6) {
        0 | 1 if stream => {
            let offset = valid(choices, ["first", "last", "next", "1h", "nonsense"]);
            arguments.insert("x-stream-offset", text(offset));
        }
        2 if stream => arguments.insert("x-stream-offset", Value::I64(valid(choices, [0, 3, -1]))),
        3 if !stream => arguments.insert("x-priority", Value::I32(choices.one(&[-1, 0, 3]))),
        4 if !stream => arguments.insert("x-consumer-timeout", Value::I64(choices.one(&[0, 100, 60_000]))),
        _ => {}
    }
    let method = basic::Consume {
        queue: short(if asks { "amq.rabbitmq.reply-to" } else { queue }),
        consumer_tag: consumer_tag.clone(),
        no_local: false,
        no_ack,
        exclusive: choices.once_in(20),
        nowait: choices.once_in(4),
        arguments,
    };
    channel.asks |= asks;
    channel.consumers.insert(consumer_tag.to_string(), no_ack);
    if stream {
        let qos = basic::Qos { prefetch_size: 0, prefetch_count: 5, global: false };
        peer.method(on, &Method::BasicQos(qos));
    }
    peer.method(on, &Method::BasicConsume(method));
}

fn get<C: Choices>(world: &mut World, choices: &mut C) {
    let queue = name(choices, QUEUES);
    if is_stream(world, queue) && !choices.once_in(RARELY) {
        return;
    }
    let (peer, on) = somewhere(world, choices);
    // One at a time, so that it is known which of them acknowledge nothing.
    peer.flush();
    if peer.channels[usize::from(on) - 1].state != State::Open {
        return;
    }
    let no_ack = choices.once_in(2);
    peer.channels[usize::from(on) - 1].no_ack_gets = usize::from(no_ack);
    peer.method(on, &Method::BasicGet(basic::Get { queue: short(queue), no_ack }));
    peer.flush();
    peer.channels[usize::from(on) - 1].no_ack_gets = 0;
}

/// What there is at the start.
pub(super) fn found<C: Choices>(world: &mut World, choices: &mut C) {
    for number in 0..4 {
        declare_exchange(world, choices, EXCHANGES.0[number]);
        declare_queue(world, choices, QUEUES.0[number]);
        topology(world, choices);
        world.peers.iter_mut().for_each(Peer::flush);
    }
}

/// Mostly what is there already, or is not there any more: what differs is refused.
fn declare<C: Choices>(world: &mut World, choices: &mut C) {
    match choices.once_in(3) {
        true => {
            let exchange = name(choices, EXCHANGES);
            declare_exchange(world, choices, exchange);
        }
        false => {
            let queue = name(choices, QUEUES);
            declare_queue(world, choices, queue);
        }
    }
}

fn declare_exchange<C: Choices>(world: &mut World, choices: &mut C, exchange: &str) {
    let known =
        world.broker.vhost("/").is_some_and(|vhost| vhost.exchanges().iter().any(|it| &*it.name == exchange));
    let (peer, on) = somewhere(world, choices);
    let kind = name(choices, TYPES);
    let mut arguments = Table::default();
    match choices.below(5) {
        _ if kind == "x-delayed-message" => arguments.insert("x-delayed-type", text(name(choices, TYPES))),
        0 => arguments.insert("alternate-exchange", text(name(choices, EXCHANGES))),
        1 => arguments.insert("x-recent-history-length", Value::I32(valid(choices, [1, 5, 0]))),
        2 => arguments.insert("hash-header", text("a")),
        _ => {}
    }
    let method = exchange::Declare {
        exchange: short(exchange),
        r#type: short(kind),
        passive: known && !choices.once_in(RARELY),
        durable: choices.once_in(2),
        auto_delete: choices.once_in(8),
        internal: choices.once_in(RARELY),
        nowait: choices.once_in(5),
        arguments,
    };
    peer.method(on, &Method::ExchangeDeclare(method));
}

fn declare_queue<C: Choices>(world: &mut World, choices: &mut C, queue: &str) {
    let known =
        world.broker.vhost("/").is_some_and(|vhost| vhost.queues().iter().any(|it| &*it.info.name == queue));
    let (peer, on) = somewhere(world, choices);
    let kind = match choices.below(8) {
        0 | 1 => "quorum",
        2 => "stream",
        _ if choices.once_in(RARELY) => "nonsense",
        _ => "classic",
    };
    let mut arguments = Table::default();
    if kind != "classic" {
        arguments.insert("x-queue-type", text(kind));
    }
    for _ in 0..choices.below(4) {
        argument(&mut arguments, kind, choices);
    }
    let method = queue::Declare {
        queue: short(queue),
        passive: known && !choices.once_in(RARELY),
        durable: kind != "classic" || choices.once_in(2),
        exclusive: kind == "classic" && choices.once_in(20),
        auto_delete: kind == "classic" && choices.once_in(10),
        nowait: choices.once_in(5),
        arguments,
    };
    peer.method(on, &Method::QueueDeclare(method));
}

fn argument(arguments: &mut Table, kind: &str, choices: &mut impl Choices) {
    let number = |value: i64| Value::I64(value);
    match choices.below(if kind == "stream" { 2 } else { 15 }) {
        0 => arguments.insert("x-max-length-bytes", number(choices.one(&[0, 100, 5000]))),
        1 if kind == "stream" => arguments.insert("x-max-age", text(valid(choices, ["1s", "1h", "?"]))),
        1 | 2 => arguments.insert("x-message-ttl", number(valid(choices, [0, 1, 500, 60_000, -1]))),
        3 => arguments.insert("x-expires", number(valid(choices, [1, 1000, 90_000, 0]))),
        4 => arguments.insert("x-max-length", number(choices.one(&[0, 1, 3, 10]))),
        5 => {
            let overflow = ["drop-head", "reject-publish", "reject-publish-dlx", "nonsense"];
            arguments.insert("x-overflow", text(valid(choices, overflow)));
        }
        6..=8 => {
            arguments.insert("x-dead-letter-exchange", text(name(choices, EXCHANGES)));
            if choices.once_in(2) {
                arguments.insert("x-dead-letter-routing-key", text(choices.one(&KEYS)));
            }
            if choices.once_in(2) {
                arguments.insert("x-dead-letter-strategy", text("at-least-once"));
                arguments.insert("x-overflow", text("reject-publish"));
            }
        }
        9 if kind == "classic" => {
            arguments.insert("x-max-priority", number(valid(choices, [0, 1, 10, 255, 256])))
        }
        10 => arguments.insert("x-single-active-consumer", Value::Bool(choices.once_in(2))),
        11 | 12 => arguments.insert("x-delivery-limit", number(choices.one(&[0, 1, 3]))),
        13 => arguments.insert("x-consumer-timeout", number(choices.one(&[100, 60_000]))),
        _ => arguments.insert("x-message-deduplication", Value::Bool(true)),
    }
}

fn topology<C: Choices>(world: &mut World, choices: &mut C) {
    let (peer, on) = somewhere(world, choices);
    let (nowait, mut arguments) = (choices.once_in(5), Table::default());
    if choices.once_in(6) {
        arguments.insert("x-match", text(valid(choices, ["all", "any", "any-with-x", "none"])));
        arguments.insert("a", Value::I32(1));
    }
    let (queue, exchange) = (short(name(choices, QUEUES)), short(name(choices, EXCHANGES)));
    let (source, destination) = (exchange.clone(), short(name(choices, EXCHANGES)));
    let routing_key = short(choices.one(&KEYS));
    let method = match choices.below(12) {
        0..=4 => Method::QueueBind(queue::Bind { queue, exchange, routing_key, nowait, arguments }),
        5 => Method::QueueUnbind(queue::Unbind { queue, exchange, routing_key, arguments }),
        6 | 7 => Method::ExchangeBind(exchange::Bind { destination, source, routing_key, nowait, arguments }),
        8 => Method::ExchangeUnbind(exchange::Unbind { destination, source, routing_key, nowait, arguments }),
        9 => Method::QueuePurge(queue::Purge { queue, nowait }),
        10 if choices.once_in(3) => {
            let (if_unused, if_empty) = (choices.once_in(4), choices.once_in(4));
            Method::QueueDelete(queue::Delete { queue, if_unused, if_empty, nowait })
        }
        11 if choices.once_in(3) => {
            Method::ExchangeDelete(exchange::Delete { exchange, if_unused: choices.once_in(3), nowait })
        }
        _ => Method::QueueBind(queue::Bind { queue, exchange, routing_key, nowait, arguments }),
    };
    peer.method(on, &method);
}

fn channels<C: Choices>(world: &mut World, choices: &mut C) {
    let (peer, on) = somewhere(world, choices);
    if choices.once_in(3) {
        peer.method(
            on,
            &Method::ChannelClose(channel::Close { reply_code: 200, ..channel::Close::default() }),
        );
        // What is on its way comes first.
        return peer.flush();
    }
    let prefetch_count = choices.one(&[0, 1, 2, 10]);
    let (prefetch_size, global) = (u32::from(choices.once_in(5 * RARELY)), choices.once_in(3));
    peer.method(on, &Method::BasicQos(basic::Qos { prefetch_size, prefetch_count, global }));
}

fn modes<C: Choices>(world: &mut World, choices: &mut C) {
    let (peer, on) = somewhere(world, choices);
    // Acknowledgements come and go with these: what is known of them is known again after the answer.
    peer.flush();
    let state = &mut peer.channels[usize::from(on) - 1];
    if state.state != State::Open {
        return;
    }
    let method = match choices.below(10) {
        0..=3 if state.transactional => Method::TxCommit(tx::Commit {}),
        4 if state.transactional => Method::TxRollback(tx::Rollback {}),
        0 if choices.once_in(RARELY) => Method::TxCommit(tx::Commit {}),
        0..=2 if state.published.is_none() => {
            state.transactional = true;
            Method::TxSelect(tx::Select {})
        }
        0..=5 if !state.transactional || choices.once_in(RARELY) => {
            state.published.get_or_insert(0);
            Method::ConfirmSelect(confirm::Select { nowait: choices.once_in(3) })
        }
        7 => {
            state.tags.clear();
            Method::BasicRecover(basic::Recover { requeue: !choices.once_in(RARELY) })
        }
        8 => {
            state.tags.clear();
            Method::BasicRecoverAsync(basic::RecoverAsync { requeue: true })
        }
        _ => Method::AccessRequest(access::Request { active: true, ..access::Request::default() }),
    };
    peer.method(on, &method);
    peer.flush();
}

fn time<C: Choices>(world: &mut World, choices: &mut C) {
    let by = choices.one(&[0, 1, 10, 600, 2_000, 100_000]);
    world.clock.advance(Duration::from_millis(by));
    world.broker.run_due();
}

/// What an operator does.
fn operate<C: Choices>(world: &mut World, choices: &mut C) {
    let broker = &world.broker;
    match choices.below(8) {
        0..=2 => {
            let definition = match choices.below(7) {
                0 => json!({ "message-ttl": 100 }),
                1 => json!({ "max-length": 2 }),
                2 => json!({ "dead-letter-exchange": "x1" }),
                3 => json!({ "expires": 5000 }),
                4 => json!({ "max-length-bytes": 400, "overflow": "reject-publish" }),
                5 => json!({ "alternate-exchange": "x2" }),
                _ => json!({ "delivery-limit": 1 }),
            };
            let policy = Policy {
                vhost: "/".into(),
                name: choices.one(&["p1", "p2"]).into(),
                pattern: choices.one(&["^q[12]", "x", "."]).into(),
                apply_to: choices.one(&[ApplyTo::All, ApplyTo::Queues, ApplyTo::Exchanges]),
                priority: choices.below(3) as i64,
                definition: definition.as_object().expect("an object").clone(),
            };
            drop(broker.set_policy(policy)); // some settings are not for exchanges
        }
        3 => drop(broker.clear_policy("/", choices.one(&["p1", "p2"]))),
        4 => broker.set_alarm(choices.one(&[Alarm::Memory, Alarm::Disk]), choices.once_in(2)),
        5 => {
            let vhost = broker.vhost("/").expect("it is never deleted");
            if let Some(delayed) = vhost.delayed().first() {
                vhost.cancel_delayed(delayed.id);
            }
        }
        _ => {
            let sessions = broker.sessions();
            if choices.once_in(4)
                && let Some(session) = sessions.get(choices.below(sessions.len().max(1)))
            {
                drop(broker.close_session(session.id, "enough"));
            }
        }
    }
}

fn come_and_go<C: Choices>(world: &mut World, choices: &mut C) {
    let which = choices.below(world.peers.len());
    if choices.once_in(2) {
        let peer = &mut world.peers[which];
        peer.method(
            0,
            &Method::ConnectionClose(connection::Close { reply_code: 200, ..connection::Close::default() }),
        );
        peer.flush();
    } else {
        // Cut off, whatever is under way.
        world.peers[which] = Peer::open(&world.broker);
    }
}

/// What no client should do.
fn nonsense<C: Choices>(world: &mut World, choices: &mut C) {
    let (peer, on) = somewhere(world, choices);
    match choices.below(9) {
        0 => peer.method(on, &Method::BasicGetEmpty(basic::GetEmpty::default())),
        1 => peer.method(on, &Method::ChannelOpen(channel::Open::default())),
        2 => peer.method(0, &Method::ConnectionOpen(connection::Open::default())),
        3 => peer.method(on, &Method::ChannelFlow(channel::Flow { active: choices.once_in(2) })),
        4 => peer.method(on, &Method::BasicPublish(basic::Publish::default())), // and no content
        5 => peer.batch.extend([3, 0, on as u8, 0, 0, 0, 1, b'x', 0xCE]),       // and no method
        6 => peer.method(CHANNELS + 5, &Method::ChannelOpen(channel::Open::default())),
        7 => peer.batch.extend([1, 0, on as u8, 0, 0, 0, 4, 0, 99, 0, 1, 0xCE]),
        _ => (0..choices.below(20)).for_each(|_| peer.batch.push(choices.below(256) as u8)),
    }
    peer.flush();
}

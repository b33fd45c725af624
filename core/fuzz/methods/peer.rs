//! A connection as its client sees it: what it has sent, and whether what comes back makes sense.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use warrenmq::broker::Broker;
use warrenmq::server::{Limits, Loopback};
use warrenmq::wire::{FrameKind, Method, Table, Value, channel, connection, method_id, next_frame};

/// Channels of a connection.
pub(crate) const CHANNELS: u16 = 4;

pub(crate) struct Peer {
    wire: Loopback,
    /// Received, and no whole frame yet.
    input: Vec<u8>,
    /// Frames to be sent together.
    pub(crate) batch: Vec<u8>,
    pub(crate) channels: [Channel; CHANNELS as usize],
}

#[derive(Default)]
pub(crate) struct Channel {
    pub(crate) state: State,
    /// Deliveries that may be acknowledged.
    pub(crate) tags: Vec<u64>,
    last_tag: u64,
    /// Consumers by their tags, and whether they acknowledge nothing.
    pub(crate) consumers: HashMap<String, bool>,
    /// A `basic.get` is under way that acknowledges nothing.
    pub(crate) no_ack_gets: usize,
    /// Bytes of a content that have not come yet; none while a method is to come.
    content: Option<Content>,
    /// Messages published since `confirm.select` was sent.
    pub(crate) published: Option<u64>,
    /// `tx.select` was sent.
    pub(crate) transactional: bool,
    /// It consumes from the pseudo-queue of direct reply-to.
    pub(crate) asks: bool,
    confirmed: BTreeSet<u64>,
    confirmed_up_to: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    #[default]
    Closed,
    /// `channel.open` or something later was sent.
    Open,
    /// The broker has closed it and waits for our word.
    Refused,
}

enum Content {
    Header,
    Body(u64),
}

impl Peer {
    pub(crate) fn open(broker: &Arc<Broker>) -> Self {
        let mut capabilities = Table::default();
        for name in ["consumer_cancel_notify", "connection.blocked"] {
            capabilities.insert(name, Value::Bool(true));
        }
        let limits = Limits { frame_max: 4096, channel_max: CHANNELS, ..Limits::default() };
        let wire = Loopback::open(broker, "/", "guest", &limits, capabilities).expect("guest may");
        Peer { wire, input: Vec::new(), batch: Vec::new(), channels: Default::default() }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.wire.is_open()
    }

    pub(crate) fn method(&mut self, on: u16, method: &Method) {
        method.encode(on, &mut self.batch);
    }

    /// Sends what there is to send, and looks at what has come.
    pub(crate) fn flush(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        self.wire.send(&batch);
        self.look();
    }

    /// Looks at what has come, whoever brought it about.
    pub(crate) fn look(&mut self) {
        let mut received = std::mem::take(&mut self.input);
        received.extend(self.wire.receive());
        let mut rest = &received[..];
        while let Some(frame) = next_frame(rest, 4096).expect("a frame that can be read") {
            rest = &rest[frame.total_len()..];
            if frame.channel == 0 {
                let id = method_id(frame.payload);
                Method::decode(frame.payload).expect("a method that can be read");
                assert!(id != Some(connection::Close::ID) || !self.wire.is_open(), "closed, and still open");
                continue;
            }
            // A channel of another number was opened for nonsense.
            if let Some(channel) = self.channels.get_mut(usize::from(frame.channel) - 1) {
                channel.frame(frame.kind, frame.payload);
            }
        }
        // Another thread may be in the midst of writing it.
        self.input = rest.to_vec();
    }
}

impl Channel {
    fn frame(&mut self, kind: FrameKind, payload: &[u8]) {
        assert_ne!(self.state, State::Closed, "something on a channel that is closed");
        match (kind, self.content.take()) {
            (FrameKind::Method, None) => {
                self.method(Method::decode(payload).expect("a method that can be read"))
            }
            (FrameKind::Header, Some(Content::Header)) => {
                let size = payload[4..12].try_into().map(u64::from_be_bytes).expect("eight bytes");
                self.content = (size > 0).then_some(Content::Body(size));
            }
            (FrameKind::Body, Some(Content::Body(left))) => {
                let left = left.checked_sub(payload.len() as u64).expect("a body that is too long");
                self.content = (left > 0).then_some(Content::Body(left));
            }
            (kind, _) => panic!("a {kind:?} frame out of turn"),
        }
    }

    fn method(&mut self, method: Method) {
        assert!(
            self.state != State::Refused || matches!(method, Method::ChannelCloseOk(_)),
            "{} after channel.close",
            method.name()
        );
        match method {
            Method::ChannelClose(channel::Close { reply_code, .. }) => {
                assert!(matches!(reply_code, 311..=313 | 403..=406), "{reply_code} closes connections");
                *self = Channel { state: State::Refused, ..Channel::default() };
            }
            Method::ChannelCloseOk(_) => *self = Channel::default(),
            Method::BasicDeliver(deliver) => {
                let no_ack = self.consumers.get(&*deliver.consumer_tag).copied();
                self.delivered(deliver.delivery_tag, no_ack.unwrap_or(false));
            }
            Method::BasicGetOk(got) => {
                let no_ack = self.no_ack_gets > 0;
                self.no_ack_gets = self.no_ack_gets.saturating_sub(1);
                self.delivered(got.delivery_tag, no_ack);
            }
            Method::BasicReturn(_) => self.content = Some(Content::Header),
            Method::BasicCancel(cancel) => drop(self.consumers.remove(&*cancel.consumer_tag)),
            Method::BasicAck(ack) => self.confirm(ack.delivery_tag, ack.multiple),
            Method::BasicNack(nack) => self.confirm(nack.delivery_tag, nack.multiple),
            _ => {}
        }
    }

    fn delivered(&mut self, tag: u64, no_ack: bool) {
        assert!(tag > self.last_tag, "delivery tag {tag} after {}", self.last_tag);
        self.last_tag = tag;
        self.content = Some(Content::Header);
        if !no_ack {
            self.tags.push(tag);
        }
    }

    /// Every publish is confirmed once.
    fn confirm(&mut self, tag: u64, multiple: bool) {
        let published = self.published.expect("confirms that nobody asked for");
        assert!((1..=published).contains(&tag), "{tag} of {published} publishes is confirmed");
        if multiple {
            self.confirmed = self.confirmed.split_off(&(tag + 1));
            assert!(tag > self.confirmed_up_to, "{tag} is confirmed again");
            self.confirmed_up_to = tag;
        } else {
            assert!(tag > self.confirmed_up_to && self.confirmed.insert(tag), "{tag} is confirmed again");
        }
    }
}

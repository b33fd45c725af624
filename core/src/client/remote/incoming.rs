//! What comes on a channel: answers, deliveries, confirms.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use bytes::BytesMut;

use super::channel::{Channel, Reply};
use super::returns::Content;
use super::window::Flight;
use crate::broker::Got;
use crate::client::Delivery;
use crate::client::mailbox::Mailbox;
use crate::error::{Error, Kind, Result};
use crate::message::{Body, Message, RouteKey, route_key, route_names};
use crate::wire::hot::{AckRef, ContentHeaderRef, DeliverRef, method_id};
use crate::wire::{Frame, FrameKind, Method, basic, next_frame};

/// What a body's buffer may be allocated with before the bytes are there.
const TRUSTED: u64 = 1 << 20;

/// What a channel has read of something that is not complete. Its buffers are used again.
#[derive(Default)]
pub(super) struct Incoming {
    expects: Expects,
    /// What the content is of.
    what: What,
    route: RouteKey,
    properties: Vec<u8>,
    size: u64,
    body: BytesMut,
    /// Deliveries of this read for one consumer: that of the last delivery.
    come: Vec<Delivery>,
    consumer: Option<Arc<Mailbox>>,
    landed: Vec<Flight>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Expects {
    #[default]
    Method,
    Header,
    Body,
}

#[derive(Clone, Copy, Default)]
enum What {
    Delivery {
        tag: u64,
        redelivered: bool,
    },
    Got {
        tag: u64,
        redelivered: bool,
        remaining: u64,
    },
    /// A message that no queue took, and is not known by its number.
    Returned,
    #[default]
    Nothing,
}

fn unexpected(reason: impl Into<String>) -> Error {
    Error::new(Kind::UnexpectedFrame, "connection", reason)
}

impl Channel {
    /// Takes the frames of this channel that stand at the front of the buffer; how many bytes those are.
    ///
    /// # Errors
    /// Whatever the broker must not send: the connection cannot go on.
    pub(super) fn frames(self: &Arc<Self>, buffer: &[u8]) -> Result<usize> {
        let mut incoming = self.incoming.lock();
        let mut at = 0;
        while let Some(frame) = next_frame(&buffer[at..], 0)?
            && frame.channel == self.number
        {
            at += frame.total_len();
            incoming.frame(self, &frame)?;
        }
        incoming.hand_over(self);
        Ok(at)
    }
}

impl Incoming {
    fn frame(&mut self, channel: &Arc<Channel>, frame: &Frame<'_>) -> Result<()> {
        match (frame.kind, self.expects) {
            (FrameKind::Method, Expects::Method) => match method_id(frame.payload) {
                Some(basic::Deliver::ID) => self.deliver(channel, frame.payload),
                Some(basic::Ack::ID) => {
                    let ack = AckRef::decode(frame.payload)?;
                    let mut window = channel.window.lock();
                    window.settle(ack.delivery_tag, ack.multiple, false, &mut self.landed);
                    Ok(())
                }
                _ => self.method(channel, Method::decode(frame.payload)?),
            },
            (FrameKind::Header, Expects::Header) => self.header(channel, frame.payload),
            (FrameKind::Body, Expects::Body) => self.body(channel, frame.payload),
            (kind, _) => {
                Err(unexpected(format!("a {kind:?} frame was not expected on channel {}", frame.channel)))
            }
        }
    }

    fn deliver(&mut self, channel: &Channel, payload: &[u8]) -> Result<()> {
        let DeliverRef { consumer_tag, delivery_tag: tag, redelivered, exchange_and_routing_key } =
            DeliverRef::decode(payload)?;
        if self.consumer.as_ref().is_none_or(|consumer| *consumer.tag != *consumer_tag) {
            self.hand_over(channel);
            let consumer =
                channel.consumers.lock().get(consumer_tag).map(|consumer| consumer.mailbox.clone());
            self.consumer = Some(consumer.ok_or_else(|| unexpected("a delivery for an unknown consumer"))?);
        }
        let tag = tag + channel.tag_base.load(SeqCst);
        self.content(What::Delivery { tag, redelivered }, exchange_and_routing_key);
        Ok(())
    }

    fn content(&mut self, what: What, route: &[u8]) {
        self.what = what;
        self.route.clear();
        self.route.extend_from_slice(route);
        self.expects = Expects::Header;
    }

    fn header(&mut self, channel: &Arc<Channel>, payload: &[u8]) -> Result<()> {
        let header = ContentHeaderRef::decode(payload)?;
        self.properties.clear();
        self.properties.extend_from_slice(header.properties);
        self.size = header.body_size;
        self.expects = Expects::Body;
        match self.size {
            0 => self.complete(channel, Body::Slice(&[])),
            _ => Ok(()),
        }
    }

    fn body(&mut self, channel: &Arc<Channel>, payload: &[u8]) -> Result<()> {
        let received = self.body.len() as u64 + payload.len() as u64;
        if received > self.size {
            return Err(unexpected("a body is longer than its header says"));
        }
        if payload.len() as u64 == self.size {
            return self.complete(channel, Body::Slice(payload));
        }
        if self.body.is_empty() {
            self.body.reserve(self.size.min(TRUSTED) as usize);
        }
        self.body.extend_from_slice(payload);
        match received == self.size {
            true => {
                let body = self.body.split().freeze();
                self.complete(channel, Body::Owned(body))
            }
            false => Ok(()),
        }
    }

    fn complete(&mut self, channel: &Arc<Channel>, body: Body<'_>) -> Result<()> {
        self.expects = Expects::Method;
        match mem::take(&mut self.what) {
            What::Delivery { tag, redelivered } => {
                let message = Message::new(&self.route, &self.properties, body);
                self.come.push(Delivery { tag, redelivered, message });
                Ok(())
            }
            What::Got { tag, redelivered, remaining } => {
                let message = Message::new(&self.route, &self.properties, body);
                channel.answered(Reply::Got(Got { tag, message, redelivered, remaining }))
            }
            What::Returned => {
                let (exchange, routing_key) = route_names(&self.route);
                let (properties, body) = (&self.properties[..], body.as_slice());
                let content = Content { exchange, routing_key, properties, body };
                channel.window.lock().came_back(content);
                Ok(())
            }
            What::Nothing => Ok(()),
        }
    }

    /// Puts what has come into its mailbox, and tells publishers what has landed.
    fn hand_over(&mut self, channel: &Channel) {
        if let Some(consumer) = self.consumer.as_ref().filter(|_| !self.come.is_empty()) {
            consumer.put(&channel.ledger, self.come.drain(..));
        }
        self.landed.drain(..).for_each(|flight| flight.land(None));
    }

    fn method(&mut self, channel: &Arc<Channel>, method: Method) -> Result<()> {
        self.hand_over(channel);
        self.consumer = None; // its tag may be given to another
        match method {
            Method::BasicGetOk(got) => {
                let what = What::Got {
                    tag: got.delivery_tag + channel.tag_base.load(SeqCst),
                    redelivered: got.redelivered,
                    remaining: got.message_count.into(),
                };
                self.content(what, &route_key(&got.exchange, &got.routing_key));
            }
            Method::BasicReturn(returned) if !channel.connection.numbers_returns => {
                self.content(What::Returned, &route_key(&returned.exchange, &returned.routing_key));
            }
            Method::BasicReturn(returned) => {
                let number =
                    returned.reply_text.parse().map_err(|_| unexpected("a return without a number"))?;
                channel.window.lock().unrouted(number);
                self.content(What::Nothing, &[]);
            }
            Method::BasicNack(basic::Nack { delivery_tag, multiple, .. }) => {
                channel.window.lock().settle(delivery_tag, multiple, true, &mut self.landed);
            }
            Method::BasicCancel(cancel) => {
                let consumer = channel.consumers.lock().remove(&*cancel.consumer_tag);
                if let Some(consumer) = consumer {
                    consumer.mailbox.end_because("the queue was deleted");
                    channel.give_back(&consumer.mailbox);
                }
            }
            Method::ChannelClose(close) => channel.closed_by_broker(&close),
            Method::ChannelFlow(flow) => {
                let active = flow.active;
                let answer = Method::ChannelFlowOk(crate::wire::channel::FlowOk { active });
                {
                    let _entered = channel.connection.line.enter();
                    channel.connection.line.add(|out| out.method(channel.number, &answer));
                }
                channel.connection.line.flush();
            }
            answer => return channel.answered(Reply::Method(answer)),
        }
        Ok(())
    }
}

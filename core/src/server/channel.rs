//! One channel at the wire: its methods and contents, to [`broker::Channel`] and back.

mod arrange;

use std::sync::Arc;

use bytes::BytesMut;

use super::link::{Announcer, Link, Port};
use super::output::Output;
use crate::broker::{self, ConsumeOptions, Resume, Returned, Session, Settle, Wakes};
use crate::error::{Error, Kind, Result};
use crate::message::{Body, RouteKey};
use crate::wire::hot::{AckRef, ContentHeaderRef, PublishRef, method_id};
use crate::wire::{
    Frame, FrameKind, Method, PropertiesView, ShortString, access, basic, channel, confirm, queue, tx,
};
use arrange::aside;

/// What a body's buffer may be allocated with before the bytes are there.
const TRUSTED: u64 = 1 << 20;

/// A channel of a connection.
pub(super) struct Channel {
    number: u16,
    broker: broker::Channel,
    port: Arc<Port>,
    content: Content,
    /// Settled in one go when something else comes or the batch ends.
    acks: Vec<(u64, bool)>,
    /// It is on the connection's list of channels that have something to finish.
    pub(super) listed: bool,
    /// Class and method id of what is being done, for error replies.
    pub(super) method: u32,
}

/// A message that is being received. Its buffers are used again for the next one.
#[derive(Default)]
struct Content {
    expects: Expects,
    mandatory: bool,
    /// Exchange and routing key as they came.
    route: RouteKey,
    properties: Vec<u8>,
    size: u64,
    body: BytesMut,
    /// Octets of a body that is longer than the broker takes.
    let_by: u64,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Expects {
    #[default]
    Method,
    Header,
    Body,
    /// The rest of a body that is longer than the broker takes. It is let by to its end before it is refused, as in
    /// RabbitMQ: a client that has the rest in its buffers already (amqplib) would send it after the channel's end.
    Excess,
}

/// Whether a channel goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Continue,
    /// The client closed it.
    Closed,
}

impl Channel {
    pub(super) fn open(
        number: u16,
        session: &Session,
        link: &Arc<Link>,
        resume: Option<Resume>,
    ) -> Result<Self> {
        let announcer = Announcer::default();
        let mut broker = session.channel(Box::new(announcer.clone()))?;
        if let Some(resume) = resume {
            broker.resume(resume);
        }
        let port = Port::new(number, broker.outbox().clone());
        announcer.set(link, &port);
        Ok(Channel {
            number,
            broker,
            port,
            content: Content::default(),
            acks: Vec::new(),
            listed: false,
            method: 0,
        })
    }

    /// Takes a frame of this channel.
    pub(super) fn frame(&mut self, frame: &Frame<'_>, link: &Link, wakes: &mut Wakes) -> Result<Next> {
        match (frame.kind, self.content.expects) {
            (FrameKind::Method, Expects::Method) => match method_id(frame.payload) {
                Some(basic::Publish::ID) => self.publish(frame.payload).map(|()| Next::Continue),
                Some(basic::Ack::ID) => {
                    let ack = AckRef::decode(frame.payload).inspect_err(|_| self.method = basic::Ack::ID)?;
                    self.acks.push((ack.delivery_tag, ack.multiple));
                    Ok(Next::Continue)
                }
                id => {
                    // What came before takes effect before: returns stand before the answer, and whoever counts
                    // messages counts all of them. Consumers on this connection's other channels get them before too:
                    // RabbitMQ does not promise it, but its answers come later, and clients have come to rely on it.
                    self.finish(link, wakes)?;
                    wakes.run();
                    link.take_up();
                    self.method = id.unwrap_or_default();
                    self.act(Method::decode(frame.payload)?, link, wakes)
                }
            },
            (FrameKind::Header, Expects::Header) => {
                self.header(frame.payload, wakes).map(|()| Next::Continue)
            }
            (FrameKind::Body, Expects::Body) => self.body(frame.payload, wakes).map(|()| Next::Continue),
            (FrameKind::Body, Expects::Excess) => self.let_by(frame.payload).map(|()| Next::Continue),
            // Texts as RabbitMQ's rabbit_command_assembler and rabbit_reader.
            (FrameKind::Heartbeat, _) => {
                self.method = 0;
                Err(super::unexpected_frame(frame))
            }
            (_, Expects::Header) => {
                Err(unexpected("expected content header for class 60, got non content header frame instead"))
            }
            (_, Expects::Body | Expects::Excess) => {
                Err(unexpected("expected content body, got non content body frame instead"))
            }
            (_, Expects::Method) => {
                self.method = 0;
                Err(unexpected("expected method frame, got non method frame instead"))
            }
        }
    }

    // --- contents ---

    fn publish(&mut self, payload: &[u8]) -> Result<()> {
        let publish = PublishRef::decode(payload)?;
        self.method = basic::Publish::ID;
        if publish.immediate {
            return Err(Error::new(Kind::NotImplemented, "basic.publish", "immediate=true"));
        }
        let content = &mut self.content;
        content.expects = Expects::Header;
        content.mandatory = publish.mandatory;
        content.route.clear();
        content.route.extend_from_slice(publish.exchange_and_routing_key);
        Ok(())
    }

    fn header(&mut self, payload: &[u8], wakes: &mut Wakes) -> Result<()> {
        let header = ContentHeaderRef::decode(payload)?;
        if header.class_id != basic::CLASS_ID {
            let reason = format!(
                "expected content header for class 60, got one for class {} instead",
                header.class_id
            );
            return Err(Error::new(Kind::UnexpectedFrame, "basic.publish", reason));
        }
        if header.weight != 0 {
            let reason = format!("content header with weight {}", header.weight);
            return Err(Error::new(Kind::UnexpectedFrame, "basic.publish", reason));
        }
        PropertiesView(header.properties).validate()?;
        let excess = self.broker.check_size(header.body_size).is_err();
        let content = &mut self.content;
        content.properties.clear();
        content.properties.extend_from_slice(header.properties);
        content.size = header.body_size;
        content.expects = Expects::Body;
        if header.body_size == 0 {
            return self.complete(Body::Slice(&[]), wakes);
        }
        if excess {
            content.expects = Expects::Excess;
            content.let_by = 0;
        }
        Ok(())
    }

    fn let_by(&mut self, payload: &[u8]) -> Result<()> {
        let content = &mut self.content;
        content.let_by += payload.len() as u64;
        if content.let_by < content.size {
            return Ok(());
        }
        content.expects = Expects::Method;
        self.broker.check_size(content.size)
    }

    fn body(&mut self, payload: &[u8], wakes: &mut Wakes) -> Result<()> {
        let content = &mut self.content;
        let received = content.body.len() as u64 + payload.len() as u64;
        if received > content.size {
            let reason =
                format!("content body of {received} octets, but its header announced {}", content.size);
            return Err(Error::new(Kind::FrameError, "basic.publish", reason));
        }
        if payload.len() as u64 == content.size {
            return self.complete(Body::Slice(payload), wakes);
        }
        if content.body.is_empty() {
            content.body.reserve(content.size.min(TRUSTED) as usize);
        }
        content.body.extend_from_slice(payload);
        if received == content.size {
            let body = content.body.split().freeze();
            return self.complete(Body::Owned(body), wakes);
        }
        Ok(())
    }

    fn complete(&mut self, body: Body<'_>, wakes: &mut Wakes) -> Result<()> {
        self.content.expects = Expects::Method;
        match self.broker.is_sent_again() {
            true => aside(|| self.publish_complete(body, wakes)),
            false => self.publish_complete(body, wakes),
        }
    }

    #[inline(always)] // with the rare case it would not be
    fn publish_complete(&mut self, body: Body<'_>, wakes: &mut Wakes) -> Result<()> {
        let content = &self.content;
        self.broker.publish_routed(&content.route, content.mandatory, &content.properties, body, wakes)?;
        Ok(())
    }

    // --- the end of a batch ---

    fn settle_acks(&mut self, wakes: &mut Wakes) -> Result<()> {
        if self.acks.is_empty() {
            return Ok(());
        }
        let result = self.broker.settle(&self.acks, Settle::Ack, wakes);
        self.acks.clear();
        if result.is_err() {
            self.method = basic::Ack::ID;
        }
        result
    }

    /// Puts everything published so far into its queues.
    pub(super) fn hand_over(&mut self, wakes: &mut Wakes) {
        self.broker.flush(wakes);
    }

    /// Does what waits until a batch has been read: settles, hands over to the queues, returns and confirms.
    pub(super) fn finish(&mut self, link: &Link, wakes: &mut Wakes) -> Result<()> {
        let settled = self.settle_acks(wakes);
        self.broker.flush(wakes);
        let returned = self.broker.take_returned();
        let confirmed = self.broker.take_confirmed(wakes);
        if !returned.is_empty() || confirmed.is_some() {
            let mut writer = link.writer();
            let output = &mut writer.output;
            send_back(output, self.number, &returned, link);
            if let Some(confirmed) = confirmed {
                output.confirm(self.number, &confirmed);
            }
        }
        settled
    }

    /// Whether something that it was sent has yet to be answered.
    pub(super) fn owes(&self) -> bool {
        self.broker.awaits_store()
    }

    /// Ends the channel; nothing more is sent on it.
    pub(super) fn close(&mut self, wakes: &mut Wakes) {
        self.port.close();
        self.broker.close(wakes);
    }

    // --- methods ---

    #[allow(clippy::too_many_lines)] // one arm per method: a table, not a procedure
    fn act(&mut self, method: Method, link: &Link, wakes: &mut Wakes) -> Result<Next> {
        if let Method::ExchangeDeclare(_)
        | Method::ExchangeDelete(_)
        | Method::ExchangeBind(_)
        | Method::ExchangeUnbind(_)
        | Method::QueueDeclare(_)
        | Method::QueueBind(_)
        | Method::QueueUnbind(_)
        | Method::QueueDelete(_) = method
        {
            if let Some(answer) = self.arrange(method, wakes)? {
                link.send(self.number, &answer);
            }
            return Ok(Next::Continue);
        }
        if let Method::TxCommit(_) = method {
            return self.commit(link, wakes);
        }
        // Held throughout, so that an answer stands before the deliveries that it makes possible.
        let mut writer = link.writer();
        let number = self.number;
        let broker = &mut self.broker;
        let mut reply = |nowait: bool, method: Method| {
            if !nowait {
                writer.output.method(number, &method);
            }
        };
        match method {
            Method::ChannelClose(_) => {
                drop(writer);
                return self.closed_by_client(link, wakes);
            }
            Method::ChannelOpen(_) => {
                return Err(Error::new(Kind::ChannelError, "channel.open", "second 'channel.open' seen"));
            }
            Method::ChannelFlow(channel::Flow { active: true }) => {
                reply(false, Method::ChannelFlowOk(channel::FlowOk { active: true }));
            }
            Method::ChannelFlow(channel::Flow { active: false }) => {
                return Err(Error::new(Kind::NotImplemented, "channel.flow", "active=false"));
            }
            Method::AccessRequest(_) => {
                reply(false, Method::AccessRequestOk(access::RequestOk { ticket: 1 }));
            }

            Method::QueuePurge(m) => {
                let message_count = count(broker.purge_queue(&m.queue)?);
                reply(m.nowait, Method::QueuePurgeOk(queue::PurgeOk { message_count }));
            }
            Method::BasicQos(m) => {
                broker.qos(m.prefetch_size, m.prefetch_count, m.global, wakes)?;
                reply(false, Method::BasicQosOk(basic::QosOk {}));
            }
            Method::BasicConsume(m) => {
                let options = ConsumeOptions {
                    queue: &m.queue,
                    tag: &m.consumer_tag,
                    no_ack: m.no_ack,
                    exclusive: m.exclusive,
                    arguments: m.arguments,
                };
                let registered = broker.consume(&options, wakes)?;
                self.port.name_consumer(registered.consumer, &registered.tag);
                let consumer_tag = ShortString::truncated(&registered.tag);
                reply(m.nowait, Method::BasicConsumeOk(basic::ConsumeOk { consumer_tag }));
            }
            Method::BasicCancel(m) => {
                broker.cancel(&m.consumer_tag, wakes);
                // What was under way goes first: after cancel-ok nothing may come, and the consumer's place
                // on the channel may be given to another.
                while link.drain(&mut writer, &self.port, usize::MAX) {}
                let consumer_tag = m.consumer_tag;
                if !m.nowait {
                    writer.output.method(number, &Method::BasicCancelOk(basic::CancelOk { consumer_tag }));
                }
            }
            Method::BasicGet(m) => match broker.get(&m.queue, m.no_ack, wakes)? {
                None => reply(false, Method::BasicGetEmpty(basic::GetEmpty::default())),
                Some(got) => {
                    let method = basic::GetOk {
                        delivery_tag: got.tag,
                        redelivered: got.redelivered,
                        exchange: ShortString::truncated(got.message.exchange()),
                        routing_key: ShortString::truncated(got.message.routing_key()),
                        message_count: count(got.remaining),
                    };
                    link.drain_before(&mut writer, &self.port, got.tag);
                    writer.output.method(number, &Method::BasicGetOk(method));
                    writer.output.content(number, &got.message, link.frame_max());
                }
            },
            Method::BasicReject(m) => {
                let how = if m.requeue { Settle::Requeue } else { Settle::Reject };
                broker.settle(&[(m.delivery_tag, false)], how, wakes)?;
            }
            Method::BasicNack(m) => {
                let how = if m.requeue { Settle::Requeue } else { Settle::Reject };
                broker.settle(&[(m.delivery_tag, m.multiple)], how, wakes)?;
            }
            Method::BasicRecover(m) => {
                broker.recover(m.requeue, wakes)?;
                reply(false, Method::BasicRecoverOk(basic::RecoverOk {}));
            }
            Method::BasicRecoverAsync(m) => broker.recover(m.requeue, wakes)?,

            Method::ConfirmSelect(m) => {
                broker.confirm_select()?;
                reply(m.nowait, Method::ConfirmSelectOk(confirm::SelectOk {}));
            }
            Method::TxSelect(_) => {
                broker.tx_select()?;
                reply(false, Method::TxSelectOk(tx::SelectOk {}));
            }
            Method::TxRollback(_) => {
                broker.tx_rollback()?;
                reply(false, Method::TxRollbackOk(tx::RollbackOk {}));
            }
            // What only servers send, or what belongs to the connection.
            other => return Err(Error::new(Kind::CommandInvalid, other.name(), "unimplemented method")),
        }
        Ok(Next::Continue)
    }

    fn commit(&mut self, link: &Link, wakes: &mut Wakes) -> Result<Next> {
        self.broker.tx_commit(wakes)?;
        self.stepping_aside(broker::Channel::wait_until_stored)?;
        let returned = self.broker.take_returned();
        let mut writer = link.writer();
        send_back(&mut writer.output, self.number, &returned, link);
        writer.output.method(self.number, &Method::TxCommitOk(tx::CommitOk {}));
        Ok(Next::Continue)
    }

    fn closed_by_client(&mut self, link: &Link, wakes: &mut Wakes) -> Result<Next> {
        self.finish(link, wakes)?;
        self.close(wakes);
        link.send(self.number, &Method::ChannelCloseOk(channel::CloseOk {}));
        Ok(Next::Closed)
    }
}

fn send_back(output: &mut Output, channel: u16, returned: &[Returned], link: &Link) {
    for Returned { message, number } in returned {
        if link.numbers_returns() {
            let reply_text = ShortString::truncated(&number.to_string());
            let method =
                basic::Return { reply_code: Kind::NoRoute.code(), reply_text, ..basic::Return::default() };
            output.method(channel, &Method::BasicReturn(method));
            output.empty_content(channel);
            continue;
        }
        let method = basic::Return {
            reply_code: Kind::NoRoute.code(),
            reply_text: ShortString::truncated(Kind::NoRoute.name()),
            exchange: ShortString::truncated(message.exchange()),
            routing_key: ShortString::truncated(message.routing_key()),
        };
        output.method(channel, &Method::BasicReturn(method));
        output.content(channel, message, link.frame_max());
    }
}

fn unexpected(reason: &str) -> Error {
    Error::new(Kind::UnexpectedFrame, "frame", reason)
}

fn count(messages: u64) -> u32 {
    u32::try_from(messages).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::{Broker, Options};

    #[tokio::test]
    async fn a_channel_that_ends_leaves_nothing_behind() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let link = Link::new(crate::server::socket::plain(socket).1);
        let session = Broker::new(Options::default()).open("/", "guest").unwrap();
        let channel = Channel::open(1, &session, &link, None).unwrap();
        let outbox = Arc::downgrade(channel.broker.outbox());
        drop(channel);
        assert!(outbox.upgrade().is_none(), "port, outbox and announcer hold each other");
    }
}

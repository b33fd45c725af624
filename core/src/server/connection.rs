//! An open connection: what becomes of its frames.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use hashbrown::{HashMap, HashSet};

use super::channel::{Channel, Next};
use super::handshake::{Client, Tuned};
use super::link::Link;
use super::peer::Peer;
use super::socket::Writer;
use super::{frame_error, reply_text, resume, unexpected_frame};
use crate::broker::{Broker, Session, Wakes};
use crate::error::{Error, Kind, Result, Scope};
use crate::wire::{Frame, FrameKind, Method, ShortString, channel, connection, method_id, next_frame};

/// An open connection without what reads its socket.
pub(super) struct Connection {
    pub(super) link: Arc<Link>,
    /// None once the connection closes: dropping it deletes the exclusive queues.
    session: Option<Session>,
    channels: HashMap<u16, Box<Channel>>,
    /// Channels that we closed; whatever comes on them until close-ok is not heard.
    closing: HashSet<u16>,
    /// Channels that have something to finish when the batch is read.
    listed: Vec<u16>,
    wakes: Wakes,
    tuned: Tuned,
    client: Client,
    peer: Peer,
    /// Something, since it was last asked whether it may.
    published: bool,
    /// It was told that it may not.
    blocked: bool,
}

/// Whether a client may not publish for now.
pub(super) enum Hold {
    No,
    /// Messages come faster than they can be written.
    Behind,
    /// Memory or disk run out.
    Blocked,
}

/// Why the reading ended.
pub(super) enum End {
    /// The client closed the connection.
    ByClient,
    /// The socket is gone, or the client gives no sign of life.
    Lost(String),
    /// We close it, for this reason, that this method brought about.
    ByUs(Error, u32),
}

impl Connection {
    pub(super) fn new(writer: Writer, peer: Peer, session: Session, tuned: Tuned, client: Client) -> Self {
        let link = Link::new(writer);
        link.negotiated(tuned.frame_max, &client);
        let told = link.clone();
        session.on_ended(Box::new(move || told.attention.notify_one()));
        Connection {
            link,
            session: Some(session),
            channels: HashMap::new(),
            closing: HashSet::new(),
            listed: Vec::new(),
            wakes: Wakes::default(),
            tuned,
            client,
            peer,
            published: false,
            blocked: false,
        }
    }

    /// Takes all complete frames out of the buffer, and finishes what they began.
    pub(super) fn batch(&mut self, buffer: &mut BytesMut) -> ControlFlow<End> {
        let (consumed, ended) = self.frames(buffer);
        buffer.advance(consumed);
        let finished = self.finish();
        self.wakes.run();
        self.link.flush();
        match (ended, finished) {
            (Some(end), _) | (None, Some(end)) => ControlFlow::Break(end),
            (None, None) => ControlFlow::Continue(()),
        }
    }

    fn frames(&mut self, buffer: &[u8]) -> (usize, Option<End>) {
        let mut at = 0;
        // Most frames are for the channel of the frame before: it is looked up once.
        let mut current: Option<(u16, Box<Channel>)> = None;
        let end = loop {
            let frame = match next_frame(&buffer[at..], self.tuned.frame_max) {
                Ok(Some(frame)) => frame,
                Ok(None) => break None,
                Err(error) => {
                    // The frame's type first, as in RabbitMQ's texts.
                    let reason = format!("type {}, {error}", buffer[at]);
                    break Some(End::ByUs(Error::new(error.kind(), "frame", reason).caused_by(error), 0));
                }
            };
            at += frame.total_len();
            if current.as_ref().is_none_or(|(number, _)| *number != frame.channel) {
                if let Some((_, channel)) = &mut current {
                    // What one channel published, another of the same connection finds in the queues.
                    channel.hand_over(&mut self.wakes);
                }
                self.put_back(current.take());
                current = self.channels.remove(&frame.channel).map(|channel| (frame.channel, channel));
            }
            let Some((number, channel)) = &mut current else {
                match self.without_channel(&frame) {
                    Ok(ControlFlow::Continue(())) => continue,
                    Ok(ControlFlow::Break(end)) => break Some(end),
                    Err(error) => {
                        let method = method_id(frame.payload).filter(|_| frame.kind == FrameKind::Method);
                        break Some(End::ByUs(error, method.unwrap_or_default()));
                    }
                }
            };
            if !std::mem::replace(&mut channel.listed, true) {
                self.listed.push(*number);
            }
            match channel.frame(&frame, &self.link, &mut self.wakes) {
                Ok(Next::Continue) => self.published |= frame.kind != FrameKind::Method,
                Ok(Next::Closed) => current = None,
                Err(error) => {
                    let method = channel.method;
                    if error.scope() == Scope::Connection || matches!(frame.kind, FrameKind::Heartbeat) {
                        break Some(End::ByUs(error, method));
                    }
                    if let Some((number, channel)) = current.take() {
                        self.close_channel(number, channel, &error, method);
                    }
                }
            }
        };
        self.put_back(current);
        (at, end)
    }

    fn put_back(&mut self, current: Option<(u16, Box<Channel>)>) {
        if let Some((number, channel)) = current {
            self.channels.insert(number, channel);
        }
    }

    /// Settles, hands over, returns and confirms what the batch brought, channel by channel.
    fn finish(&mut self) -> Option<End> {
        while let Some(number) = self.listed.pop() {
            let Some(mut channel) = self.channels.remove(&number) else { continue };
            channel.listed = false;
            match channel.finish(&self.link, &mut self.wakes) {
                Ok(()) => self.put_back(Some((number, channel))),
                Err(error) => {
                    let method = channel.method;
                    if error.scope() == Scope::Connection {
                        return Some(End::ByUs(error, method));
                    }
                    self.close_channel(number, channel, &error, method);
                }
            }
        }
        None
    }

    fn close_channel(&mut self, number: u16, mut channel: Box<Channel>, error: &Error, method: u32) {
        tracing::warn!(peer = %self.peer, channel = number, %error, "channel closed by the broker");
        // What came before the error stands: it is returned and confirmed first.
        let _ = channel.finish(&self.link, &mut self.wakes);
        channel.close(&mut self.wakes);
        let close = channel::Close {
            reply_code: error.kind().code(),
            reply_text: reply_text(error),
            class_id: (method >> 16) as u16,
            method_id: method as u16,
        };
        self.link.send(number, &Method::ChannelClose(close));
        self.closing.insert(number);
    }

    /// Takes a frame for the connection itself, or for a channel that is not open.
    fn without_channel(&mut self, frame: &Frame<'_>) -> Result<ControlFlow<End>> {
        let on = frame.channel;
        if frame.kind == FrameKind::Heartbeat {
            return match frame.payload.len() {
                0 if on == 0 => Ok(ControlFlow::Continue(())),
                0 => Err(unexpected_frame(frame)),
                _ => Err(frame_error(frame)),
            };
        }
        let id = method_id(frame.payload).filter(|_| frame.kind == FrameKind::Method);
        if self.closing.contains(&on) {
            match id {
                Some(channel::CloseOk::ID) => {
                    self.closing.remove(&on);
                }
                // Texts as rabbit_channel's: this is asked before whether the channel closes.
                Some(channel::Open::ID) => {
                    return Err(Error::new(Kind::ChannelError, "channel.open", "second 'channel.open' seen"));
                }
                Some(channel::Close::ID) => self.link.send(on, &Method::ChannelCloseOk(channel::CloseOk {})),
                _ => {}
            }
            return Ok(ControlFlow::Continue(()));
        }
        match (on, id) {
            (0, Some(connection::Close::ID)) => Ok(ControlFlow::Break(End::ByClient)),
            // Our users' passwords are looked at once, when they log in: a new one changes nothing here.
            (0, Some(connection::UpdateSecret::ID)) => {
                Method::decode(frame.payload)?;
                self.link.send(0, &Method::ConnectionUpdateSecretOk(connection::UpdateSecretOk {}));
                Ok(ControlFlow::Continue(()))
            }
            (0, Some(_)) => {
                let method = Method::decode(frame.payload)?;
                let reason = "unexpected method in connection state running";
                Err(Error::new(Kind::ChannelError, method.name(), reason))
            }
            (_, None) if frame.kind == FrameKind::Method => Err(frame_error(frame)),
            (0, None) => Err(unexpected_frame(frame)),
            (_, None) => {
                let reason = "expected method frame, got non method frame instead";
                Err(Error::new(Kind::UnexpectedFrame, "frame", reason).on(format!("channel {on}")))
            }
            (_, Some(channel::Open::ID)) => {
                self.open_channel(on, frame.payload)?;
                Ok(ControlFlow::Continue(()))
            }
            _ => Err(Error::new(Kind::ChannelError, "frame", "expected 'channel.open'")
                .on(format!("channel {on}"))),
        }
    }

    fn open_channel(&mut self, number: u16, payload: &[u8]) -> Result<()> {
        let max = self.tuned.channel_max;
        let open = self.channels.len();
        if max != 0 && open >= usize::from(max) {
            let reason =
                format!("number of channels opened ({open}) has reached the negotiated channel_max ({max})");
            return Err(Error::new(Kind::NotAllowed, "channel.open", reason));
        }
        if let Some(session) = &self.session {
            let resume = match self.client.is_owner.then(|| Method::decode(payload)).transpose()? {
                Some(Method::ChannelOpen(open)) => resume::decode(&open.out_of_band),
                _ => None,
            };
            self.channels.insert(number, Box::new(Channel::open(number, session, &self.link, resume)?));
            self.link.send(number, &Method::ChannelOpenOk(channel::OpenOk::default()));
        }
        Ok(())
    }

    /// Why the broker has ended the session: the virtual host or the user is deleted, or an operator wants it.
    pub(super) fn ended_by_broker(&self) -> Option<Error> {
        self.session.as_ref()?.ended()
    }

    /// Whether the client may publish, which is told when that changes.
    pub(super) fn hold(&mut self) -> Hold {
        let Some(broker) = self.session.as_ref().map(Session::broker) else { return Hold::No };
        match (broker.blocked(), self.blocked) {
            (Some(_), true) => return Hold::Blocked,
            (Some(reason), false) if self.published => {
                (self.published, self.blocked) = (false, true);
                self.tell_blocked(reason);
                return Hold::Blocked;
            }
            (None, false) if self.published && broker.is_behind() => return Hold::Behind,
            (None, true) => self.tell_unblocked(),
            (_, false) => {}
        }
        (self.published, self.blocked) = (false, false);
        Hold::No
    }

    /// Whether a thread that looks may read: nothing has to wait.
    pub(super) fn is_free(&self) -> bool {
        let broker = self.session.as_ref().map(Session::broker);
        let may_publish = |broker: &Arc<Broker>| broker.blocked().is_none() && !broker.is_behind();
        !self.blocked && !self.link.is_full() && broker.is_some_and(may_publish)
    }

    fn tell_blocked(&self, reason: &str) {
        tracing::warn!(peer = %self.peer, reason, "publisher blocked");
        if self.client.has("connection.blocked") {
            let reason = ShortString::truncated(reason);
            self.link.send(0, &Method::ConnectionBlocked(connection::Blocked { reason }));
            self.link.flush();
        }
    }

    fn tell_unblocked(&self) {
        if self.client.has("connection.blocked") {
            self.link.send(0, &Method::ConnectionUnblocked(connection::Unblocked {}));
            self.link.flush();
        }
    }

    /// Whether what was read is not answered yet.
    pub(super) fn owes(&self) -> bool {
        self.channels.values().any(|channel| channel.owes())
    }

    /// Ends all channels and, with the session, the exclusive queues: they are gone before anyone hears
    /// close-ok (AMQP 0-9-1 reference, `queue.declare`, "exclusive"). The last word is sent at the next flush.
    pub(super) fn end(&mut self, end: &End) {
        for (_, mut channel) in self.channels.drain() {
            let _ = channel.finish(&self.link, &mut self.wakes);
            channel.close(&mut self.wakes);
        }
        self.session = None;
        self.wakes.run();
        let peer = self.peer;
        match end {
            End::ByClient => {
                self.link.send(0, &Method::ConnectionCloseOk(connection::CloseOk {}));
                tracing::info!(%peer, "connection closed");
            }
            End::ByUs(error, method) => {
                tracing::warn!(%peer, %error, "connection closed by the broker");
                let close = connection::Close {
                    reply_code: error.kind().code(),
                    reply_text: reply_text(error),
                    class_id: (method >> 16) as u16,
                    method_id: *method as u16,
                };
                self.link.send(0, &Method::ConnectionClose(close));
            }
            End::Lost(reason) => tracing::warn!(%peer, reason, "connection lost"),
        }
    }
}

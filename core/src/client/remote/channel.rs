//! A channel: calls that await their answers in the order in which they were made, and how it ends.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::connection::Shared;
use super::incoming::Incoming;
use super::last_queue::LastQueue;
use super::window::{Mode, Window};
use crate::broker::Got;
use crate::client::closed::{closed, refused};
use crate::client::driver::{Answer, now};
use crate::client::ledger::Ledger;
use crate::client::mailbox::Mailbox;
use crate::error::{Error, Kind, Result};
use crate::server::resume;
use crate::wire::{Method, ShortString, basic, channel, confirm, tx};

/// How long closing waits for the confirms of what was published.
const FLUSH: Duration = Duration::from_secs(10);

/// How long the broker may take to say that it closed a channel.
const GOODBYE: Duration = Duration::from_secs(5);

/// A channel of a connection.
pub(super) struct Channel {
    pub(super) number: u16,
    pub(super) connection: Arc<Shared>,
    /// Tells its publishes from those of all others, over hosts, where one takes another's place.
    publisher: Option<NonZeroU64>,
    calls: Mutex<Calls>,
    pub(super) window: Mutex<Window>,
    /// Taken before the mailboxes' locks, never after.
    pub(super) ledger: Mutex<Ledger>,
    /// By consumer tags.
    pub(super) consumers: Mutex<HashMap<Arc<str>, Subscription>>,
    /// What the broker's delivery tags are less than ours: it begins to count anew when the connection is restored.
    pub(super) tag_base: AtomicU64,
    pub(super) last_queue: LastQueue,
    /// The limits of what is unacked: of each consumer to come, and of the channel.
    pub(super) prefetch: Mutex<[Option<u16>; 2]>,
    opened: AtomicBool,
    /// Taken by the reader only.
    pub(super) incoming: Mutex<Incoming>,
    /// Closed, or being closed, by its user.
    closed: AtomicBool,
    /// The error that closed it.
    reason: Mutex<Option<Error>>,
    /// Nothing happens any more.
    finished: watch::Sender<bool>,
}

/// A consumer, and how to register it again.
pub(super) struct Subscription {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) consume: basic::Consume,
    pub(super) prefetch: Option<u16>,
}

/// What was asked of the broker and not answered yet.
#[derive(Default)]
struct Calls {
    waiting: VecDeque<Call>,
    /// The channel is closed.
    shut: bool,
}

struct Call {
    method: Method,
    operation: &'static str,
    entity: String,
    give: Box<dyn FnOnce(Result<Reply>) + Send>,
    /// Tells who waits that nothing comes. An answer is taken all the same.
    give_up: Box<dyn FnMut(Error) + Send>,
    /// Nobody asked for it: it takes up where another host was, for as long as the one does that it is sent to.
    restores: bool,
}

/// An answer of the broker.
pub(super) enum Reply {
    Method(Method),
    Got(Got),
}

/// A channel that is closed when nobody has it any more.
pub(super) struct Held(pub(super) Arc<Channel>);

impl Channel {
    /// # Errors
    /// `ResourceError` when the system has no random numbers.
    pub(super) fn new(number: u16, connection: &Arc<Shared>) -> Result<Arc<Self>> {
        let random = getrandom::u64().map_err(|error| {
            Error::new(Kind::ResourceError, "channel.open", format!("no random numbers: {error}"))
        })?;
        Ok(Arc::new(Channel {
            number,
            connection: connection.clone(),
            publisher: connection.peer.has_successors().then_some(NonZeroU64::MIN | random),
            calls: Mutex::default(),
            window: Mutex::new(Window::new(connection.numbers_returns)),
            ledger: Mutex::default(),
            consumers: Mutex::default(),
            tag_base: AtomicU64::new(0),
            last_queue: LastQueue::default(),
            prefetch: Mutex::default(),
            opened: AtomicBool::new(false),
            incoming: Mutex::default(),
            closed: AtomicBool::new(false),
            reason: Mutex::default(),
            finished: watch::Sender::new(false),
        }))
    }

    /// The method that opens it; of one that goes on, the window says with which publishes.
    pub(super) fn open(&self, window: Option<&Window>) -> Method {
        let open = self.publisher.map(|publisher| channel::Open {
            out_of_band: resume::encode(publisher, window.map(Window::unsettled)),
        });
        Method::ChannelOpen(open.unwrap_or_default())
    }

    pub(super) fn is_open(&self) -> bool {
        self.connection.born.check("channel").is_ok() && !self.is_over()
    }

    fn is_over(&self) -> bool {
        self.closed.load(SeqCst) || self.reason.lock().is_some() || self.connection.end().is_some()
    }

    /// Refuses what is asked of a closed channel, or in the child of a fork.
    pub(super) fn check(&self, operation: &'static str) -> Result<()> {
        self.connection.born.check(operation)?;
        if self.is_over() { Err(self.closed_error(operation)) } else { Ok(()) }
    }

    /// Calls a method of AMQP. It is sent whether or not the answer is waited for. `read` is called by the reader,
    /// before anything that comes behind the answer is looked at.
    pub(super) fn call<T: Send + 'static>(
        self: &Arc<Self>,
        operation: &'static str,
        entity: String,
        method: &Method,
        read: impl FnOnce(Reply) -> Option<T> + Send + 'static,
    ) -> Answer<T> {
        self.call_or(operation, entity, method, read, drop)
    }

    /// The same, with what becomes of the answer when nobody waits for it any more.
    pub(super) fn call_or<T: Send + 'static>(
        self: &Arc<Self>,
        operation: &'static str,
        entity: String,
        method: &Method,
        read: impl FnOnce(Reply) -> Option<T> + Send + 'static,
        put_back: impl FnOnce(T) + Send + 'static,
    ) -> Answer<T> {
        match self.check(operation) {
            Ok(()) => self.ask(operation, entity, method, read, put_back),
            Err(error) => now(Err(error)),
        }
    }

    fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        operation: &'static str,
        entity: String,
        method: &Method,
        read: impl FnOnce(Reply) -> Option<T> + Send + 'static,
        put_back: impl FnOnce(T) + Send + 'static,
    ) -> Answer<T> {
        let (answer, answered) = oneshot::channel();
        let answer = Arc::new(Mutex::new(Some(answer)));
        let waits = answer.clone();
        let give = Box::new(move |reply: Result<Reply>| {
            let unexpected =
                || Error::new(Kind::UnexpectedFrame, operation, "the broker answers something else");
            let value = reply.and_then(|reply| read(reply).ok_or_else(unexpected));
            let unwanted = match answer.lock().take() {
                Some(answer) => answer.send(value).err(),
                None => Some(value),
            };
            if let Some(Ok(value)) = unwanted {
                put_back(value); // nobody waits for it
            }
        });
        let give_up = Box::new(move |error| {
            let answer = waits.lock().take();
            let _ = answer.map(|answer| answer.send(Err(error))); // fails when nobody waits
        });
        {
            let _entered = self.connection.line.enter();
            let mut calls = self.calls.lock();
            if calls.shut {
                return now(Err(self.closed_error(operation)));
            }
            let mut method = method.clone();
            self.last_queue.complete(&mut method);
            self.connection.line.add(|out| out.method(self.number, &method));
            calls.waiting.push_back(Call { method, operation, entity, give, give_up, restores: false });
        }
        self.connection.line.flush();
        self.connection.awaits_answer();
        self.await_answer(operation, answered)
    }

    /// An answer that is an error when the channel ends without giving it.
    pub(super) fn await_answer<T: Send + 'static>(
        self: &Arc<Self>,
        operation: &'static str,
        answered: oneshot::Receiver<Result<T>>,
    ) -> Answer<T> {
        let channel = self.clone();
        Box::pin(async move { answered.await.unwrap_or_else(|_| Err(channel.closed_error(operation))) })
    }

    /// Gives an answer to whoever has waited longest.
    pub(super) fn answered(&self, reply: Reply) -> Result<()> {
        let call = self.calls.lock().waiting.pop_front();
        match (call, reply) {
            (Some(call), reply) => {
                (call.give)(Ok(reply));
                Ok(())
            }
            (None, Reply::Method(method)) => {
                let reason = format!("{} was not expected", method.name());
                Err(Error::new(Kind::UnexpectedFrame, "connection", reason))
            }
            (None, Reply::Got(_)) => {
                Err(Error::new(Kind::UnexpectedFrame, "connection", "basic.get-ok was not expected"))
            }
        }
    }

    /// The broker has opened it.
    pub(super) fn opened(&self) {
        self.opened.store(true, SeqCst);
    }

    /// Adds to the line what makes a channel of a new connection go on where this one was. Whoever calls keeps
    /// everybody else from adding anything.
    pub(super) fn replay(&self) {
        self.doubt_commits();
        let line = &self.connection.line;
        let mut calls = self.calls.lock();
        let mut window = self.window.lock();
        let mut ledger = self.ledger.lock();
        let consumers = self.consumers.lock();
        *self.incoming.lock() = Incoming::default();
        self.tag_base.store(ledger.void(), SeqCst);
        consumers.values().for_each(|consumer| drop(consumer.mailbox.clear()));

        let mut methods = Vec::new();
        if self.opened.load(SeqCst) {
            let qos = |count: u16, global| {
                Method::BasicQos(basic::Qos { prefetch_size: 0, prefetch_count: count, global })
            };
            let [each, all] = *self.prefetch.lock();
            methods.push(self.open(Some(&window)));
            methods.extend(all.map(|count| qos(count, true)));
            for Subscription { consume, prefetch, .. } in consumers.values() {
                methods.push(qos(prefetch.unwrap_or(0), false));
                methods.push(Method::BasicConsume(consume.clone()));
            }
            methods.extend(each.map(|count| qos(count, false)));
            if window.mode == Mode::Transactional {
                ledger.begin();
                methods.push(Method::TxSelect(tx::Select {}));
            }
        }
        calls.waiting.retain(|call| !call.restores);
        self.last_queue.go_on(calls.waiting.iter_mut().map(|call| &mut call.method));
        for method in methods.into_iter().rev() {
            let (operation, entity) = (method.name(), String::new());
            let (give, give_up) = (Box::new(drop), Box::new(drop));
            calls.waiting.push_front(Call { method, operation, entity, give, give_up, restores: true });
        }
        line.add(|out| {
            calls.waiting.iter().for_each(|call| out.method(self.number, &call.method));
            if window.mode == Mode::Confirmed {
                out.method(self.number, &Method::ConfirmSelect(confirm::Select { nowait: true }));
            }
            window.replay().iter().for_each(|frames| out.append(frames));
        });
    }

    /// Tells everybody who waits that nothing comes for now.
    pub(super) fn give_up(&self, why: &Error) {
        for call in &mut self.calls.lock().waiting {
            let error = Error::new(why.kind(), call.operation, why.reason());
            (call.give_up)(error.on(&*call.entity).caused_by(why.clone()));
        }
        self.window.lock().give_up(why);
    }

    /// Tells who waits for a commit that nobody knows what became of it. The next host would commit nothing.
    fn doubt_commits(&self) {
        let is_commit = |call: &Call| matches!(call.method, Method::TxCommit(_));
        let doubted: VecDeque<Call> = {
            let mut calls = self.calls.lock();
            let (commits, others) = mem::take(&mut calls.waiting).into_iter().partition(is_commit);
            calls.waiting = others;
            commits
        };
        for call in doubted {
            let reason = "the process that hosted the broker ended before it answered: \
                          whether the transaction took effect is not known";
            (call.give)(Err(Error::new(Kind::Timeout, call.operation, reason)));
        }
    }

    /// Whether an answer or a confirm is awaited.
    pub(super) fn awaits(&self) -> bool {
        !self.calls.lock().waiting.is_empty()
    }

    /// Takes note that the broker closed the channel.
    pub(super) fn closed_by_broker(&self, close: &channel::Close) {
        {
            let _entered = self.connection.line.enter();
            let answer = Method::ChannelCloseOk(channel::CloseOk {});
            self.connection.line.add(|out| out.method(self.number, &answer));
        }
        let id = u32::from(close.class_id) << 16 | u32::from(close.method_id);
        self.blame(id, close.reply_code, &close.reply_text, true);
        self.shut();
        self.connection.forget(self.number);
        self.connection.line.flush();
    }

    /// Tells the call or the publishes that the broker refuses, if it is one of this channel's that brought that about;
    /// with `closed`, that is also the reason why the channel is closed.
    pub(super) fn blame(&self, id: u32, code: u16, text: &str, closed: bool) {
        let because = |operation, entity: &str| refused(code, text, operation, entity);
        // RabbitMQ does not say at which method it crashed.
        let is_crash = id == 0 && code == Kind::InternalError.code();
        let guilty = {
            let mut calls = self.calls.lock();
            let guilty = calls.waiting.pop_front_if(|call| call.method.number() == id || is_crash);
            if closed {
                // Before anybody hears of it, and closes the channel that the broker has closed; and with its reason,
                // which who is refused from now on is told.
                calls.shut = true;
                let (operation, entity) =
                    guilty.as_ref().map_or(("channel", ""), |call| (call.operation, &*call.entity));
                self.reason.lock().get_or_insert_with(|| because(operation, entity));
            }
            guilty
        };
        if let Some(call) = guilty {
            (call.give)(Err(because(call.operation, &call.entity)));
        }
        if id == basic::Publish::ID {
            let flights = self.window.lock().shut();
            let error = because("basic.publish", "");
            flights.into_iter().for_each(|flight| flight.land(Some(&error)));
        }
    }

    /// Ends everything that waits.
    pub(super) fn shut(&self) {
        let calls = {
            let mut calls = self.calls.lock();
            calls.shut = true;
            std::mem::take(&mut calls.waiting)
        };
        for call in calls {
            (call.give)(Err(self.closed_error(call.operation).on(call.entity)));
        }
        let flights = self.window.lock().shut();
        let lost = self.closed_error("basic.publish");
        flights.into_iter().for_each(|flight| flight.land(Some(&lost)));
        for (_, consumer) in std::mem::take(&mut *self.consumers.lock()) {
            consumer.mailbox.end(self.closed_error("basic.consume"));
        }
        self.finished.send_replace(true);
    }

    /// Closes it when what was published is confirmed. Waits for that, also if it is closing already.
    pub(super) async fn close(self: Arc<Self>) {
        if self.closed.swap(true, SeqCst) || *self.finished.borrow() {
            let _ = self.finished.subscribe().wait_for(|finished| *finished).await;
            return;
        }
        let idle = self.window.lock().idle();
        if let Some(idle) = idle {
            let _ = timeout(self.connection.patience(FLUSH), idle).await;
        }
        let goodbye = channel::Close {
            reply_code: 200,
            reply_text: ShortString::truncated("OK"),
            ..Default::default()
        };
        let goodbye =
            self.ask("channel.close", String::new(), &Method::ChannelClose(goodbye), |_| Some(()), drop);
        // A number whose channel the broker has not closed is not used again.
        if timeout(self.connection.patience(GOODBYE), goodbye).await.is_ok_and(|answer| answer.is_ok()) {
            self.connection.forget(self.number);
        }
        self.shut();
    }

    /// The refusal of what is asked of a closed channel.
    pub(super) fn closed_error(&self, operation: &'static str) -> Error {
        if let Some(silence) = self.connection.silence().filter(|_| !self.is_over()) {
            return Error::new(silence.kind(), operation, silence.reason()).caused_by(silence);
        }
        match (&*self.reason.lock(), self.connection.end()) {
            (Some(reason), _) => closed("channel", operation, Some(reason)),
            (None, Some(end)) => closed("connection", operation, end.as_ref()),
            (None, None) => closed("channel", operation, None),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.0.connection.born.check("channel.close").is_err() {
            // In the child of a fork the locks inside may be held for ever.
            std::mem::forget(self.0.clone());
            return;
        }
        if !*self.0.finished.borrow() {
            self.0.connection.runtime.spawn(self.0.clone().close());
        }
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("transport", &self.connection.peer.transport())
            .field("open", &self.is_open())
            .finish()
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

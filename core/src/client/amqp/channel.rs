//! A channel: a task that does what the channel is asked to, in the order of the calls.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use lapin::ChannelStatus;
use lapin::options::{BasicAckOptions, BasicNackOptions, ConfirmSelectOptions};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};

use super::connection::Shared;
use super::errors;
use super::publisher::{Outgoing, Publisher, Reply};
use crate::client::Settle;
use crate::client::closed::closed;
use crate::client::driver::{Answer, now};
use crate::client::ledger::{Ledger, Tags};
use crate::client::mailbox::Mailbox;
use crate::error::{Error, Kind, Result};

/// How long closing waits for the confirms of what was published.
const FLUSH: Duration = Duration::from_secs(10);

/// How long the broker may take to say that it closed a channel.
const GOODBYE: Duration = Duration::from_secs(5);

/// How often, and for how many milliseconds each time, the reason is waited for why a channel is closed.
const PATIENCE: (usize, u64) = (20, 10);

type Work = Box<dyn FnOnce(lapin::Channel) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

pub(super) enum Command {
    Publish(Vec<(Outgoing, Reply)>),
    Settle(Tags, Settle),
    Work(Work),
    Commit(oneshot::Sender<Result<Vec<usize>>>),
    Rollback(oneshot::Sender<Result<()>>),
    Close,
}

/// A channel of an AMQP connection. Its task ends, and closes it, when all handles are gone.
pub(super) struct Channel {
    pub(super) state: Arc<State>,
    commands: mpsc::UnboundedSender<Command>,
}

/// What is known of a channel.
pub(super) struct State {
    pub(super) connection: Arc<Shared>,
    status: ChannelStatus,
    /// Closed by its user.
    closed: AtomicBool,
    /// Set by `tx.select`: publishes are not confirmed.
    pub(super) transactional: AtomicBool,
    /// The error that closed it.
    reason: Mutex<Option<Error>>,
    /// Taken before the mailboxes' locks, never after.
    pub(super) ledger: Mutex<Ledger>,
    mailboxes: Mutex<Vec<Weak<Mailbox>>>,
    commands: mpsc::WeakUnboundedSender<Command>,
    /// The task has ended.
    finished: watch::Sender<bool>,
}

impl Channel {
    /// Starts the task; to be called within the runtime.
    pub(super) fn start(connection: Arc<Shared>, channel: lapin::Channel) -> Arc<Self> {
        let (commands, inbox) = mpsc::unbounded_channel();
        let state = Arc::new(State {
            connection,
            status: channel.status().clone(),
            closed: AtomicBool::new(false),
            transactional: AtomicBool::new(false),
            reason: Mutex::default(),
            ledger: Mutex::default(),
            mailboxes: Mutex::default(),
            commands: commands.downgrade(),
            finished: watch::Sender::new(false),
        });
        let publisher = Publisher::new(channel.clone());
        let task = Task { publisher, channel, confirming: false, inbox, state: state.clone() };
        tokio::spawn(task.run());
        Arc::new(Channel { state, commands })
    }

    /// Has the task do something.
    pub(super) fn send(&self, operation: &'static str, command: Command) -> Result<()> {
        self.state.connection.born.check(operation)?;
        match self.state.is_over() {
            false => self.commands.send(command).map_err(|_| self.state.closed_error(operation)),
            true => Err(self.state.closed_error(operation)),
        }
    }

    /// Calls a method of AMQP. It is sent whether or not the answer is waited for.
    pub(super) fn call<T, F>(
        &self,
        operation: &'static str,
        entity: String,
        method: impl FnOnce(lapin::Channel) -> F + Send + 'static,
    ) -> Answer<T>
    where
        T: Send + 'static,
        F: Future<Output = lapin::Result<T>> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let state = self.state.clone();
        let work: Work = Box::new(move |channel| {
            Box::pin(async move {
                let result = match method(channel).await {
                    Ok(value) => Ok(value),
                    Err(error) => Err(state.failed(&error, operation, &entity).await),
                };
                let _ = answer.send(result); // fails when nobody waits for it
            })
        });
        match self.send(operation, Command::Work(work)) {
            Ok(()) => self.await_answer(operation, answered),
            Err(error) => now(Err(error)),
        }
    }

    /// An answer that is an error when the task ends without giving it.
    pub(super) fn await_answer<T: Send + 'static>(
        &self,
        operation: &'static str,
        answered: oneshot::Receiver<Result<T>>,
    ) -> Answer<T> {
        let state = self.state.clone();
        Box::pin(async move { answered.await.unwrap_or_else(|_| Err(state.closed_error(operation))) })
    }
}

impl State {
    pub(super) fn is_open(&self) -> bool {
        self.connection.born.check("channel").is_ok() && !self.is_over() && self.status.connected()
    }

    /// Whether it is closed and is known why.
    fn is_over(&self) -> bool {
        self.closed.load(SeqCst) || self.reason.lock().is_some() || self.connection.end().is_some()
    }

    /// Has it closed when what was published is confirmed. Waits for that, also if it is closing already.
    pub(super) fn close(&self) -> impl Future<Output = ()> + Send + 'static {
        if let Some(commands) = self.commands.upgrade() {
            let _ = commands.send(Command::Close); // fails when the task has ended
        }
        let mut finished = self.finished.subscribe();
        async move {
            let _ = finished.wait_for(|finished| *finished).await;
        }
    }

    /// Notes that the broker closed it; says so to the consumers.
    pub(super) fn broken(&self, error: &Error) {
        self.reason.lock().get_or_insert_with(|| error.clone());
        self.end_consumers();
    }

    /// Notes an error that some channel of the connection was closed with: this one, should it be closed
    /// and not know why. lapin does not say whose error it was.
    pub(super) fn maybe_broken(&self, error: &lapin::Error) {
        if !self.status.connected() && !self.closed.load(SeqCst) && self.reason.lock().is_none() {
            self.broken(&errors::translate(error, "channel", ""));
        }
    }

    /// The error that an operation failed with.
    pub(super) async fn failed(&self, error: &lapin::Error, operation: &'static str, entity: &str) -> Error {
        let translated = errors::translate(error, operation, entity);
        if error.is_amqp_soft_error() {
            self.broken(&translated);
        }
        if translated.kind() != Kind::Closed {
            return translated;
        }
        // The reason comes by another way than the refusal, and maybe later.
        for _ in 0..PATIENCE.0 {
            if self.is_over() {
                return self.closed_error(operation).on(entity);
            }
            sleep(Duration::from_millis(PATIENCE.1)).await;
        }
        translated
    }

    /// The refusal of what is asked of a closed channel.
    pub(super) fn closed_error(&self, operation: &'static str) -> Error {
        match (&*self.reason.lock(), self.connection.end()) {
            (Some(reason), _) => closed("channel", operation, Some(reason)),
            (None, Some(end)) => closed("connection", operation, end.as_ref()),
            (None, None) => closed("channel", operation, None),
        }
    }

    pub(super) fn add_mailbox(&self, mailbox: &Arc<Mailbox>) {
        let mut mailboxes = self.mailboxes.lock();
        mailboxes.retain(|mailbox| mailbox.strong_count() > 0);
        mailboxes.push(Arc::downgrade(mailbox));
    }

    /// Drops what was delivered, needs settling and was not taken.
    pub(super) fn empty_mailboxes(&self) {
        for mailbox in self.mailboxes.lock().iter().filter_map(Weak::upgrade) {
            mailbox.clear();
        }
    }

    pub(super) fn end_consumers(&self) {
        let mailboxes = self.mailboxes.lock().iter().filter_map(Weak::upgrade).collect::<Vec<_>>();
        mailboxes.iter().for_each(|mailbox| mailbox.end(self.closed_error("basic.consume")));
    }
}

struct Task {
    channel: lapin::Channel,
    publisher: Publisher,
    /// It was asked for.
    confirming: bool,
    inbox: mpsc::UnboundedReceiver<Command>,
    state: Arc<State>,
}

impl Task {
    async fn run(mut self) {
        loop {
            match self.next().await {
                Some(Command::Publish(messages)) => {
                    self.ask_for_confirms().await;
                    let uncommitted = self.state.transactional.load(SeqCst);
                    for (message, answer) in messages {
                        self.publisher.publish(message, answer, uncommitted);
                    }
                }
                Some(Command::Settle(tags, how)) => {
                    poll_fn(|cx| self.publisher.poll_written(cx)).await;
                    tags.iter().for_each(|tag| self.settle(*tag, how));
                }
                Some(Command::Work(work)) => {
                    poll_fn(|cx| self.publisher.poll_written(cx)).await;
                    self.meanwhile(work(self.channel.clone())).await;
                }
                Some(Command::Commit(answer)) => {
                    poll_fn(|cx| self.publisher.poll_written(cx)).await;
                    let committed = self.commit().await;
                    let _ = answer.send(committed); // fails when nobody waits for it
                }
                Some(Command::Rollback(answer)) => {
                    poll_fn(|cx| self.publisher.poll_written(cx)).await;
                    let rolled_back = self.roll_back().await;
                    let _ = answer.send(rolled_back); // as above
                }
                Some(Command::Close) | None => break,
            }
        }
        let _ = timeout(FLUSH, poll_fn(|cx| self.publisher.poll_done(cx))).await;
        self.state.closed.store(true, SeqCst);
        if self.channel.status().connected() {
            let _ = timeout(GOODBYE, self.channel.close(200, "OK".into())).await;
        }
        self.publisher.give_up(&self.state.closed_error("basic.publish"));
        self.state.end_consumers();
        self.state.finished.send_replace(true);
    }

    /// At the first publish, unless the channel is transactional: it cannot be both. An error closes the
    /// channel, and what is published then is told so.
    async fn ask_for_confirms(&mut self) {
        if !self.confirming && !self.state.transactional.load(SeqCst) {
            self.confirming = self.channel.confirm_select(ConfirmSelectOptions::default()).await.is_ok();
        }
    }

    /// Commits; which of the messages came back.
    async fn commit(&mut self) -> Result<Vec<usize>> {
        let committed = async {
            self.channel.tx_commit().await?;
            // None are pending; this is how lapin hands out what came back on a channel without confirms.
            self.channel.wait_for_confirms().await
        };
        match committed.await {
            Ok(returned) => {
                self.state.ledger.lock().begin();
                Ok(self.publisher.committed(&returned))
            }
            Err(error) => Err(self.state.failed(&error, "tx.commit", "").await),
        }
    }

    async fn roll_back(&mut self) -> Result<()> {
        match self.channel.tx_rollback().await {
            Ok(()) => {
                self.state.ledger.lock().roll_back();
                self.publisher.forget_uncommitted();
                Ok(())
            }
            Err(error) => Err(self.state.failed(&error, "tx.rollback", "").await),
        }
    }

    /// The next command, with an eye on the publishes.
    async fn next(&mut self) -> Option<Command> {
        poll_fn(|cx| {
            self.publisher.poll_progress(cx);
            self.inbox.poll_recv(cx)
        })
        .await
    }

    async fn meanwhile(&mut self, work: impl Future<Output = ()>) {
        let mut work = pin!(work);
        poll_fn(|cx| {
            self.publisher.poll_progress(cx);
            work.as_mut().poll(cx)
        })
        .await;
    }

    /// Settling has no answer; lapin queues the frame when it is first asked to. An error, if it leads to
    /// any, closes the channel, which is heard of by another way.
    fn settle(&self, (tag, multiple): (u64, bool), how: Settle) {
        match how {
            Settle::Ack => start(self.channel.basic_ack(tag, BasicAckOptions { multiple })),
            Settle::Reject | Settle::Requeue => {
                let requeue = how == Settle::Requeue;
                start(self.channel.basic_nack(tag, BasicNackOptions { multiple, requeue }));
            }
        }
    }
}

fn start(future: impl Future<Output = lapin::Result<()>>) {
    let mut context = Context::from_waker(std::task::Waker::noop());
    let (Poll::Ready(_) | Poll::Pending) = pin!(future).poll(&mut context);
}

impl Drop for Channel {
    fn drop(&mut self) {
        if self.state.connection.born.check("channel.close").is_err() {
            // In the child of a fork the locks inside may be held for ever.
            std::mem::forget((self.commands.clone(), self.state.clone()));
        }
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("transport", &"amqp").field("open", &self.state.is_open()).finish()
    }
}

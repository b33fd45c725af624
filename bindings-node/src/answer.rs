//! Values that are there at once, or promises.
//!
//! For `inproc:` nearly every answer is ready when it is given, and JavaScript gets the value itself, with
//! neither a promise nor a hop between threads.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use parking_lot::Mutex;
use warrenmq::client::{Answer, runtime};
use warrenmq::error::Result as CoreResult;

use crate::js::{Deferred, Env, Mail, Mailbox, Result, Value};

/// Turns what an answer holds into a JavaScript value.
type Convert<T> = for<'a> fn(Env<'a>, T) -> Result<Value<'a>>;

/// The value, if `answer` is ready, or a promise of it.
pub(crate) fn now_or_later<'a, T: Send + 'static>(
    env: Env<'a>,
    embedded: bool,
    answer: impl Future<Output = CoreResult<T>> + Send + 'static,
    convert: Convert<T>,
) -> Result<Value<'a>> {
    // Only the embedded broker's answers may be polled outside of a runtime.
    if !embedded {
        return later(env, answer, convert);
    }
    let mut answer = Box::pin(answer);
    match pin!(&mut answer).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => convert(env, value?),
        Poll::Pending => later(env, answer, convert),
    }
}

/// A promise of what `answer` gives, on the runtime.
pub(crate) fn later<'a, T: Send + 'static>(
    env: Env<'a>,
    answer: impl Future<Output = CoreResult<T>> + Send + 'static,
    convert: Convert<T>,
) -> Result<Value<'a>> {
    let runtime = runtime()?;
    let (deferred, promise) = Deferred::new(env)?;
    runtime.spawn(async move {
        let value = answer.await;
        deferred.settle(move |env| convert(env, value?));
    });
    Ok(promise)
}

/// A promise of what `answer` gives, which the environment's own thread asks for when it is told that there is news: to
/// have the runtime ask would wake two threads more. For what takes no time, as a message's confirm.
pub(crate) fn soon<'a, T: Send + 'static>(
    env: Env<'a>,
    answer: Answer<T>,
    convert: Convert<T>,
) -> Result<Value<'a>> {
    let (deferred, promise) = Deferred::new(env)?;
    let mailbox = env.isolate()?.mailbox.clone();
    Arc::new(Asked { open: Mutex::new(Some((answer, deferred))), mailbox, convert }).ask(env)?;
    Ok(promise)
}

struct Asked<T> {
    /// None once it is answered.
    open: Mutex<Option<(Answer<T>, Deferred)>>,
    mailbox: Arc<Mailbox>,
    convert: Convert<T>,
}

impl<T: Send + 'static> Asked<T> {
    fn ask(self: Arc<Self>, env: Env<'_>) -> Result<()> {
        let runtime = runtime()?;
        let convert = self.convert;
        let waker = Waker::from(self.clone());
        let mut open = self.open.lock();
        let Some((answer, _)) = open.as_mut() else { return Ok(()) };
        let polled = {
            let _inside = runtime.enter();
            answer.as_mut().poll(&mut Context::from_waker(&waker))
        };
        let Poll::Ready(value) = polled else { return Ok(()) };
        let answered = open.take();
        drop(open);
        answered.map_or(Ok(()), |(_, deferred)| deferred.settle_here(env, |env| convert(env, value?)))
    }
}

impl<T: Send + 'static> Wake for Asked<T> {
    fn wake(self: Arc<Self>) {
        self.mailbox.clone().post(Mail::Task(Box::new(move |env| self.ask(env))));
    }
}

/// For answers that say nothing but that it is done.
pub(crate) fn done(env: Env<'_>, (): ()) -> Result<Value<'_>> {
    Ok(env.nothing())
}

/// For counts of messages.
pub(crate) fn count(env: Env<'_>, count: u64) -> Result<Value<'_>> {
    env.number(count as f64)
}

//! Values that are there at once, or promises.
//!
//! For `inproc:` nearly every answer is ready when it is given, and JavaScript gets the value itself, with
//! neither a promise nor a hop between threads.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use warrenmq::client::runtime;
use warrenmq::error::Result as CoreResult;

use crate::js::{Deferred, Env, Result, Value};

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

/// For answers that say nothing but that it is done.
pub(crate) fn done(env: Env<'_>, (): ()) -> Result<Value<'_>> {
    Ok(env.nothing())
}

/// For counts of messages.
pub(crate) fn count(env: Env<'_>, count: u64) -> Result<Value<'_>> {
    env.number(count as f64)
}

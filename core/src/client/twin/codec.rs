//! Values as bytes, for what crosses between two modules now and then: arguments, answers, errors, events. Both are of
//! the same build on the same machine, so that numbers go as they lie in memory.

#![expect(unsafe_code, reason = "operations are named by statics of the other module")]

use std::error::Error as StdError;
use std::sync::Arc;
use std::{fmt, io};

use super::owned::Slice;
use crate::client::driver::{BatchOutcome, ConnectionEvent, Outcome};
use crate::client::{ConnectOptions, QueueInfo};
use crate::error::{Error, Kind, Result, Scope};
use crate::wire::Table;

/// What can be written.
pub(super) trait Put {
    fn put(&self, out: &mut Vec<u8>);
}

/// What can be read, `None` where the bytes are none of it.
pub(super) trait Get<'a>: Sized {
    fn get(from: &mut &'a [u8]) -> Option<Self>;
}

pub(super) fn encode(value: impl Put) -> Vec<u8> {
    let mut out = Vec::new();
    value.put(&mut out);
    out
}

/// Reads a whole value.
///
/// # Errors
/// `InternalError` when the bytes are none of it, which is a defect.
pub(super) fn decode<'a, T: Get<'a>>(mut bytes: &'a [u8]) -> Result<T> {
    T::get(&mut bytes).ok_or_else(|| {
        let reason = "what came from the other module of this process cannot be read";
        Error::new(Kind::InternalError, "call", reason)
    })
}

impl<T: Put + ?Sized> Put for &T {
    fn put(&self, out: &mut Vec<u8>) {
        (**self).put(out);
    }
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Put for $number {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_ne_bytes());
            }
        }

        impl Get<'_> for $number {
            fn get(from: &mut &[u8]) -> Option<Self> {
                from.split_off(..size_of::<Self>())?.try_into().ok().map(Self::from_ne_bytes)
            }
        }
    )*};
}

numbers!(u8 u16 i32 u64 usize);

impl Put for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push((*self).into());
    }
}

impl Get<'_> for bool {
    fn get(from: &mut &[u8]) -> Option<Self> {
        from.split_off_first().map(|byte| *byte != 0)
    }
}

impl Put for [u8] {
    fn put(&self, out: &mut Vec<u8>) {
        self.len().put(out);
        out.extend_from_slice(self);
    }
}

impl<'a> Get<'a> for &'a [u8] {
    fn get(from: &mut &'a [u8]) -> Option<Self> {
        let len = usize::get(from)?;
        from.split_off(..len)
    }
}

impl Put for str {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_bytes().put(out);
    }
}

impl<'a> Get<'a> for &'a str {
    fn get(from: &mut &'a [u8]) -> Option<Self> {
        std::str::from_utf8(Get::get(from)?).ok()
    }
}

impl<T: Put> Put for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }
}

impl<'a, T: Get<'a>> Get<'a> for Option<T> {
    fn get(from: &mut &'a [u8]) -> Option<Self> {
        match bool::get(from)? {
            true => T::get(from).map(Some),
            false => Some(None),
        }
    }
}

impl<T: Put> Put for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.len().put(out);
        self.iter().for_each(|value| value.put(out));
    }
}

impl<'a, T: Get<'a>> Get<'a> for Vec<T> {
    fn get(from: &mut &'a [u8]) -> Option<Self> {
        let len = usize::get(from)?;
        (0..len).map(|_| T::get(from)).collect()
    }
}

macro_rules! tuples {
    ($(($($name:ident)*))*) => {$(
        #[allow(non_snake_case, clippy::unused_unit, unused_variables)]
        impl<$($name: Put),*> Put for ($($name,)*) {
            fn put(&self, out: &mut Vec<u8>) {
                let ($($name,)*) = self;
                $($name.put(out);)*
            }
        }

        #[allow(non_snake_case, clippy::unused_unit, unused_variables)]
        impl<'a, $($name: Get<'a>),*> Get<'a> for ($($name,)*) {
            fn get(from: &mut &'a [u8]) -> Option<Self> {
                $(let $name = $name::get(from)?;)*
                Some(($($name,)*))
            }
        }
    )*};
}

tuples! { () (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) (A B C D E F G) }

impl Put for Table {
    fn put(&self, out: &mut Vec<u8>) {
        let mut encoded = Vec::new();
        self.encode(&mut encoded);
        encoded.put(out);
    }
}

impl Get<'_> for Table {
    fn get(from: &mut &[u8]) -> Option<Self> {
        Table::decode(Get::get(from)?).ok()
    }
}

/// A record, field by field.
macro_rules! records {
    ($($record:ident { $($field:ident),* })*) => {$(
        impl Put for $record {
            fn put(&self, out: &mut Vec<u8>) {
                let $record { $($field),* } = self;
                $($field.put(out);)*
            }
        }

        impl Get<'_> for $record {
            fn get(from: &mut &[u8]) -> Option<Self> {
                $(let $field = Get::get(from)?;)*
                Some($record { $($field),* })
            }
        }
    )*};
}

records! {
    Outcome { confirmed, routed }
    BatchOutcome { confirmed, unrouted }
    QueueInfo { name, messages, unacked, consumers }
    ConnectOptions { name, timeout, host_timeout, listen, max_in_flight }
}

/// Owned texts, durations: by way of what has the same meaning.
macro_rules! as_others {
    ($($owned:ty: |$value:ident| $borrow:expr, $other:ty => $own:expr;)*) => {$(
        impl Put for $owned {
            fn put(&self, out: &mut Vec<u8>) {
                let $value = self;
                $borrow.put(out);
            }
        }

        impl Get<'_> for $owned {
            fn get(from: &mut &[u8]) -> Option<Self> {
                <$other>::get(from).map($own)
            }
        }
    )*};
}

as_others! {
    String: |text| **text, &str => Into::into;
    Arc<str>: |text| **text, &str => Into::into;
    std::time::Duration: |time| (time.as_secs(), u64::from(time.subsec_nanos())),
        (u64, u64) => |(seconds, nanoseconds)| std::time::Duration::new(seconds, nanoseconds as u32);
}

/// The whole chain: an error of ours as such, one of the operating system by its number, any other by its text.
impl Put for Error {
    fn put(&self, out: &mut Vec<u8>) {
        let operation = Slice::of(self.operation().as_bytes()).parts();
        (self.kind().code(), self.scope() == Scope::Connection, operation).put(out);
        (self.entity(), self.reason(), self.advice()).put(out);
        put_cause(self.source(), out);
    }
}

impl Get<'_> for Error {
    fn get(from: &mut &[u8]) -> Option<Self> {
        let (code, closes_connection, operation): (u16, bool, (usize, usize)) = Get::get(from)?;
        // SAFETY: it was the `&'static str` of an operation, in a module that is pinned before it is called.
        let operation = unsafe { Slice::lasting(operation) };
        let (entity, reason, advice): (&str, &str, Option<&str>) = Get::get(from)?;
        let mut error = Error::new(Kind::from_code(code)?, operation, reason).on(entity);
        error = match closes_connection {
            true => error.closing_connection(),
            false => error.closing_channel(),
        };
        if let Some(advice) = advice {
            error = error.advise(advice);
        }
        Some(match get_cause(from)? {
            None => error,
            Some(Cause::Ours(cause)) => error.caused_by(cause),
            Some(Cause::System(cause)) => error.caused_by(cause),
            Some(Cause::Told(cause)) => error.caused_by(cause),
        })
    }
}

enum Cause {
    Ours(Error),
    System(io::Error),
    Told(Told),
}

/// An error of a type that the other module does not know.
#[derive(Debug)]
struct Told {
    text: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for Told {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

fn put_cause(cause: Option<&(dyn StdError + 'static)>, out: &mut Vec<u8>) {
    let Some(cause) = cause else { return 0u8.put(out) };
    let system = cause.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
    match (cause.downcast_ref::<Error>(), system) {
        (Some(error), _) => (1u8, error).put(out),
        (None, Some(number)) => (2u8, number).put(out),
        (None, None) => {
            (3u8, cause.to_string()).put(out);
            put_cause(cause.source(), out);
        }
    }
}

fn get_cause(from: &mut &[u8]) -> Option<Option<Cause>> {
    Some(Some(match u8::get(from)? {
        0 => return Some(None),
        1 => Cause::Ours(Error::get(from)?),
        2 => Cause::System(io::Error::from_raw_os_error(i32::get(from)?)),
        _ => {
            let text = String::get(from)?;
            let source = get_cause(from)?.map(|cause| -> Box<dyn StdError + Send + Sync> {
                match cause {
                    Cause::Ours(cause) => Box::new(cause),
                    Cause::System(cause) => Box::new(cause),
                    Cause::Told(cause) => Box::new(cause),
                }
            });
            Cause::Told(Told { text, source })
        }
    }))
}

impl Put for ConnectionEvent {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            ConnectionEvent::Blocked(reason) => (0u8, reason).put(out),
            ConnectionEvent::Unblocked => 1u8.put(out),
            ConnectionEvent::Reconnected => 2u8.put(out),
            ConnectionEvent::Unresponsive(error) => (3u8, error).put(out),
            ConnectionEvent::Responsive => 4u8.put(out),
            ConnectionEvent::Closed(reason) => (5u8, reason).put(out),
        }
    }
}

impl Get<'_> for ConnectionEvent {
    fn get(from: &mut &[u8]) -> Option<Self> {
        Some(match u8::get(from)? {
            0 => ConnectionEvent::Blocked(Get::get(from)?),
            1 => ConnectionEvent::Unblocked,
            2 => ConnectionEvent::Reconnected,
            3 => ConnectionEvent::Unresponsive(Get::get(from)?),
            4 => ConnectionEvent::Responsive,
            5 => ConnectionEvent::Closed(Get::get(from)?),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What it says and what each of its causes does.
    fn chain(error: &dyn StdError) -> Vec<String> {
        let causes = error.source().map(chain).unwrap_or_default();
        [vec![error.to_string()], causes].concat()
    }

    #[test]
    fn an_error_arrives_with_everything_that_it_says_and_all_its_causes() {
        let disk = io::Error::from_raw_os_error(28);
        let parse = "x".parse::<u8>().unwrap_err();
        let deeper = Error::new(Kind::ResourceError, "queue.declare", "the disk").caused_by(disk);
        let wrapped = Told { text: "wrapped".into(), source: Some(Box::new(parse)) };
        let middle = Error::new(Kind::Closed, "basic.consume", "gone").caused_by(wrapped);
        for error in [
            Error::new(Kind::NotFound, "basic.get", "no queue 'x' in vhost '/'").on("queue 'x'"),
            Error::new(Kind::Closed, "publish", "it is closed").advise("open a new one").caused_by(deeper),
            Error::new(Kind::NotAllowed, "connect", "no").closing_channel().caused_by(middle),
        ] {
            let bytes = encode(&error);
            let arrived: Error = decode(&bytes).unwrap();
            assert_eq!(chain(&arrived), chain(&error));
            assert_eq!((arrived.kind(), arrived.scope()), (error.kind(), error.scope()));
            assert_eq!((arrived.entity(), arrived.advice()), (error.entity(), error.advice()));
            for length in 0..bytes.len() {
                assert!(decode::<Error>(&bytes[..length]).is_err());
            }
        }
    }

    #[test]
    fn a_number_of_the_operating_system_stays_one() {
        let error = Error::new(Kind::ResourceError, "x", "y").caused_by(io::Error::from_raw_os_error(28));
        let bytes = encode(error);
        let arrived: Error = decode(&bytes).unwrap();
        let cause = arrived.source().and_then(|cause| cause.downcast_ref::<io::Error>());
        assert_eq!(cause.and_then(io::Error::raw_os_error), Some(28));
    }
}

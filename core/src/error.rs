//! The one error type of the house.
//!
//! An [`Error`] says what was attempted (`operation`), on what (`entity`), why it failed
//! (`kind` and `reason`) and, where that helps, what to do (`advice`). The reply texts that clients
//! of RabbitMQ match on (`NOT_FOUND - no queue 'x' in vhost '/'`) are [`Error::reply_text`].

use std::fmt;
use std::sync::Arc;

/// `Result` with the house's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        /// What went wrong, in AMQP 0-9-1's terms (spec section 1.2, "constants") and, above 1000,
        /// in the terms of our own client.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum Kind { $($(#[$doc])* $name = $code,)* }

        impl Kind {
            /// Every kind, for tables of exceptions in the bindings.
            pub const ALL: &'static [Kind] = &[$(Kind::$name,)*];

            /// The name as it stands in reply texts: `NOT_FOUND`, `PRECONDITION_FAILED` …
            pub const fn name(self) -> &'static str { match self { $(Kind::$name => $text,)* } }

            /// The kind with this AMQP reply code.
            pub const fn from_code(code: u16) -> Option<Kind> { match code { $($code => Some(Kind::$name),)* _ => None } }
        }
    };
}

kinds! {
    /// The body is larger than the broker takes.
    ContentTooLarge = 311, "CONTENT_TOO_LARGE";
    /// No queue took a mandatory message.
    NoRoute = 312, "NO_ROUTE";
    /// No consumer was ready for an immediate message (direct reply-to).
    NoConsumers = 313, "NO_CONSUMERS";
    /// An operator closed the connection, or the broker stops.
    ConnectionForced = 320, "CONNECTION_FORCED";
    /// Unknown virtual host.
    InvalidPath = 402, "INVALID_PATH";
    /// Wrong password, or no permission.
    AccessRefused = 403, "ACCESS_REFUSED";
    /// No such queue, exchange, binding or virtual host.
    NotFound = 404, "NOT_FOUND";
    /// Another connection has this exclusively.
    ResourceLocked = 405, "RESOURCE_LOCKED";
    /// An argument or a state does not fit.
    PreconditionFailed = 406, "PRECONDITION_FAILED";
    /// A frame that cannot be read.
    FrameError = 501, "FRAME_ERROR";
    /// A field that cannot be read.
    SyntaxError = 502, "SYNTAX_ERROR";
    /// A method that is not allowed now.
    CommandInvalid = 503, "COMMAND_INVALID";
    /// A channel number that is not open, or open already.
    ChannelError = 504, "CHANNEL_ERROR";
    /// A frame that was not expected here.
    UnexpectedFrame = 505, "UNEXPECTED_FRAME";
    /// Out of memory, disk or another resource.
    ResourceError = 506, "RESOURCE_ERROR";
    /// Forbidden by the rules, whoever asks.
    NotAllowed = 530, "NOT_ALLOWED";
    /// The broker has no such function.
    NotImplemented = 540, "NOT_IMPLEMENTED";
    /// A defect of the broker.
    InternalError = 541, "INTERNAL_ERROR";

    /// Nothing came within the time given.
    Timeout = 1001, "TIMEOUT";
    /// This connection, channel or consumer is closed.
    Closed = 1002, "CLOSED";
    /// No broker answers at this address.
    Unreachable = 1003, "UNREACHABLE";
    /// The caller gave something unusable.
    InvalidArgument = 1004, "INVALID_ARGUMENT";
    /// The broker refused to take the message, or the transaction.
    Nacked = 1005, "NACKED";
    /// Too many publishes are under way without being awaited.
    Backpressure = 1006, "BACKPRESSURE";
    /// This transport or build cannot do that.
    Unsupported = 1007, "UNSUPPORTED";
    /// The process was forked after this connection was opened.
    Forked = 1008, "FORKED";
    /// The other side of a remote call failed.
    Remote = 1009, "REMOTE";
}

/// How far an error reaches at the wire: it closes one channel or the whole connection
/// (AMQP 0-9-1 section 4.10; the spec's "hard" and "soft" errors).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Closes the channel only.
    Channel,
    /// Closes the connection.
    Connection,
}

impl Kind {
    /// The AMQP reply code, or our own code above 1000.
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// How far the spec says that an error of this kind reaches.
    pub const fn scope(self) -> Scope {
        match self {
            Kind::ContentTooLarge
            | Kind::NoRoute
            | Kind::NoConsumers
            | Kind::AccessRefused
            | Kind::NotFound
            | Kind::ResourceLocked
            | Kind::PreconditionFailed => Scope::Channel,
            _ => Scope::Connection,
        }
    }
}

/// An error with everything that a caller needs to act on it. Cheap to move, cheap to clone.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: Kind,
    scope: Scope,
    operation: &'static str,
    entity: String,
    reason: String,
    advice: Option<String>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of this kind while doing `operation` (`queue.declare`, `connect` …).
    pub fn new(kind: Kind, operation: &'static str, reason: impl Into<String>) -> Self {
        Error(Box::new(Inner {
            kind,
            scope: kind.scope(),
            operation,
            entity: String::new(),
            reason: reason.into(),
            advice: None,
            source: None,
        }))
    }

    /// Names the thing that the operation was about: `queue 'tasks' in vhost '/'`, a URL, an address.
    #[must_use]
    pub fn on(mut self, entity: impl Into<String>) -> Self {
        self.0.entity = entity.into();
        self
    }

    /// Says what the caller can do about it.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.0.advice = Some(advice.into());
        self
    }

    /// Keeps the error that caused this one.
    #[must_use]
    pub fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// Closes the connection although the spec would only close the channel.
    #[must_use]
    pub fn closing_connection(mut self) -> Self {
        self.0.scope = Scope::Connection;
        self
    }

    /// Closes the channel only although the spec would close the connection (RabbitMQ does so in places).
    #[must_use]
    pub fn closing_channel(mut self) -> Self {
        self.0.scope = Scope::Channel;
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// How far the error reaches at the wire.
    pub fn scope(&self) -> Scope {
        self.0.scope
    }

    /// What was attempted.
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// What it was attempted on; empty where the operation says it all.
    pub fn entity(&self) -> &str {
        &self.0.entity
    }

    /// Why it failed, without the kind's name.
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// What the caller can do about it.
    pub fn advice(&self) -> Option<&str> {
        self.0.advice.as_deref()
    }

    /// The text for the wire, equal to RabbitMQ's: `NOT_FOUND - no queue 'x' in vhost '/'`.
    pub fn reply_text(&self) -> String {
        format!("{} - {}", self.0.kind.name(), self.0.reason)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.operation)?;
        if !self.0.entity.is_empty() {
            write!(f, " {}", self.0.entity)?;
        }
        write!(f, ": {} - {}", self.0.kind.name(), self.0.reason)?;
        if let Some(advice) = &self.0.advice {
            write!(f, " ({advice})")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("scope", &self.0.scope)
            .field("operation", &self.0.operation)
            .field("entity", &self.0.entity)
            .field("reason", &self.0.reason)
            .field("advice", &self.0.advice)
            .field("source", &self.0.source)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|e| e as _)
    }
}

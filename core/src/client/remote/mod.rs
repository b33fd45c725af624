//! A broker in another process, by AMQP frames through our own codec: `local:` in a process that does not host the
//! directory's broker, over the socket in the directory, and `amqp:` over TCP and TLS.
//!
//! lapin, which carried `amqp:` before, makes one system call and several wake-ups for each frame: about 30,000
//! publishes a second however it is asked, against a million so, for 70 µs of a processor against 2.
//!
//! | file | holds |
//! |---|---|
//! | `peer` | who is at the other end |
//! | `dial`, `handshake` | from a directory to a socket, and from any socket to a connection that is open |
//! | `line` | the writing half: frames gathered by any thread, written by whoever finds nobody else at it |
//! | `burst` | which writes are better left to a thread that comes by now and then |
//! | `reader` | the task that reads, and what it does when the socket ends |
//! | `intake` | from the socket to the channels, by that task or by a thread that waits for an answer |
//! | `heartbeat` | signs of life |
//! | `silence` | a host that gives no sign of life |
//! | `revival` | from a host that is gone to the next one |
//! | `connection` | channels by their numbers, events, closing |
//! | `channel` | a channel: calls that await their answers, and how it ends |
//! | `last_queue` | what an empty queue name means |
//! | `incoming` | what comes on a channel: answers, deliveries, confirms |
//! | `methods` | the channel's calls |
//! | `publishing`, `settling` | those of them that are made for every message |
//! | `window` | publishes from the call to the confirm |
//! | `returns` | which of them no queue took |
//! | `consumer` | from the mailbox to who takes |
//!
//! No message has a task or, in a batch, a future of its own. A publish is encoded straight into the connection's
//! buffer; the calling thread also writes it, as long as it is alone, and leaves it to others under load.
//! What one read brings is sorted into the mailboxes in one go.

mod burst;
mod channel;
mod connection;
mod consumer;
mod dial;
pub(super) mod handshake;
mod heartbeat;
mod incoming;
mod intake;
mod last_queue;
mod line;
mod methods;
mod peer;
mod publishing;
mod reader;
mod returns;
mod revival;
mod settling;
mod silence;
mod window;

#[cfg(test)]
mod tests;

pub(super) use connection::Remote;

//! `amqp:`, `amqps:` — any AMQP 0-9-1 broker, through lapin.
//!
//! | file | holds |
//! |---|---|
//! | `address` | what a URL says |
//! | `connection` | connecting, events, closing |
//! | `channel` | the task that keeps a channel's calls in order, and what is known of the channel |
//! | `methods` | the channel's calls |
//! | `publisher` | publishes from the call to the confirm, and which of them came back unrouted |
//! | `consumer` | deliveries on their way to who takes them |
//! | `tls` | certificates, ours and the broker's |
//! | `values`, `errors` | properties and errors: ours ⇄ lapin's |
//!
//! Everything runs on [`runtime`](super::runtime()), sockets and heartbeats included; the threads of a
//! program only leave commands and take answers and deliveries.

mod address;
mod channel;
mod connection;
mod consumer;
mod errors;
mod methods;
mod publisher;
mod tls;
mod values;

pub(super) use connection::Amqp;

//! WarrenMQ's core: everything that is not a language.
//!
//! | where | what |
//! |---|---|
//! | [`message`] | a message as the broker holds it |
//! | [`broker`] | the domain: virtual hosts, exchanges, queues, consumers, and [`broker::Channel`], the only door to them |
//! | [`routing`] | where an exchange sends a message, one file per exchange type |
//! | [`storage`] | what is on disk: segments of messages, acks, recovery |
//! | [`wire`] | AMQP 0-9-1 bytes ⇄ values, generated from the spec |
//! | [`server`] | AMQP connections: handshake, read loop, and the writing half that every publisher may use |
//! | [`client`] | one client API over the transports `inproc:`, `local:` and `amqp:`; the language modules are its fronts |
//! | [`host`], `control`, `status` | a broker that lives in a directory; what other processes may ask of it; what there is in one |
//! | `doorway`, `namespace`, `fork`, [`condition`] | sockets in a directory, for other processes of the same user; what their numbers say; what a forked child must not keep; waiting that leaves it nothing |
//! | [`cli`] | the `warrenmq` command |
//! | [`error`], [`clock`], [`auth`], [`memory`], [`disk`] | the one error type; time; users and what they may do; what messages cost; space on the disk |
//!
//! [`broker`] and [`routing`] are synchronous and know no socket, file, task or language.
//!
//! A message has one way through the house, and it never turns back:
//!
//! ```text
//! bytes ─▶ wire ─▶ server ─┐                                       ┌─▶ server ─▶ wire ─▶ bytes
//!                          ├─▶ broker::Channel ─▶ routing ─▶ Queue ─▶ Outbox ─┤
//! Node/Python ─▶ client ───┘                            │          └─▶ client ─▶ Node/Python
//!                                                       └─▶ storage (when durable)
//! ```

pub mod auth;
pub mod broker;
pub mod cli;
pub mod client;
pub mod clock;
pub mod condition;
mod control;
pub mod disk;
mod doorway;
pub mod error;
mod fork;
pub mod host;
pub mod memory;
pub mod message;
mod namespace;
pub mod routing;
pub mod server;
mod status;
pub mod storage;
pub mod wire;

pub use error::{Error, Kind, Result};

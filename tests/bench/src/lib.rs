//! Load for an AMQP 0-9-1 broker, made from raw frames.
//!
//! The load shares the machine with the broker, so what it spends the broker cannot: blocking
//! sockets, a thread per side, the same prebuilt bytes written again and again, and a reader that
//! hops from frame to frame. It knows just enough of the protocol for that and shares no code with
//! the broker, so that a mistake there is not repeated here.
//!
//! * [`wire`]: frames to bytes and back; [`url`]: where the broker is; [`connection`]: the handshake
//! * [`confirms`]: which published messages the broker has not confirmed yet
//! * [`throughput`], [`rpc`], [`fill`], [`drain`], [`start`], [`disk`]: one kind of measurement each
//! * [`traffic`]: what stands between producer and consumer; [`crowd`]: what each of many costs
//! * [`broker`]: a broker process that we start and end; [`process`]: what the kernel says it costs
//! * [`mirror`]: the cheapest thing that behaves like a broker, to find the ceiling of the load itself
//! * [`stats`]: medians and percentiles

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod broker;
pub mod confirms;
pub mod connection;
pub mod crowd;
pub mod disk;
pub mod drain;
pub mod fill;
pub mod mirror;
pub mod process;
mod producer;
pub mod rpc;
pub mod start;
pub mod stats;
pub mod throughput;
pub mod traffic;
pub mod url;
pub mod wire;

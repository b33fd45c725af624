//! What an `x-recent-history` exchange remembers for those who bind later
//! (RabbitMQ's plug-in `rabbitmq_recent_history_exchange`).

use std::collections::VecDeque;

use parking_lot::Mutex;

use crate::error::{Error, Kind, Result};
use crate::message::Message;
use crate::wire::table::{Table, Value};
use crate::wire::term::Term;

/// The last messages of an exchange.
#[derive(Debug)]
pub(super) struct History {
    length: usize,
    messages: Mutex<VecDeque<Message>>,
}

impl History {
    /// Of as many messages as the exchange's `x-recent-history-length` says, 20 without it.
    pub(super) fn new(arguments: &Table) -> Result<Self> {
        let length = match arguments.get("x-recent-history-length") {
            None => 20,
            Some(value) => {
                let length = value.as_integer().filter(|length| *length > 0);
                length.and_then(|length| usize::try_from(length).ok()).ok_or_else(|| {
                    let reason = format!(
                        "Invalid argument {}, 'x-recent-history-length' must be a positive integer",
                        Term(value)
                    );
                    Error::new(Kind::PreconditionFailed, "exchange.declare", reason)
                })?
            }
        };
        Ok(History { length, messages: Mutex::default() })
    }

    /// Remembers a message, unless its header `x-recent-history-no-store` forbids it.
    pub(super) fn record(&self, message: &Message) {
        if message.properties().header("x-recent-history-no-store") == Some(Value::Bool(true)) {
            return;
        }
        let mut messages = self.messages.lock();
        while messages.len() >= self.length {
            messages.pop_front();
        }
        messages.push_back(message.clone());
    }

    /// What it remembers, the oldest first.
    pub(super) fn messages(&self) -> Vec<Message> {
        self.messages.lock().iter().cloned().collect()
    }
}

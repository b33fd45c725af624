//! Policies: arguments for many queues and exchanges at once, by name, changed while they are in use
//! (<https://www.rabbitmq.com/docs/parameters#policies>).
//!
//! | file | holds |
//! |---|---|
//! | here | what a policy is; setting and clearing it |
//! | `keys` | which settings there are, and what they may be |
//! | `effective` | which policy applies to what, and what comes of a policy and an operator's |

mod effective;
mod keys;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use effective::Effective;
pub(super) use effective::{Policies, Subject};

use super::Broker;
use super::outbox::Wakes;
use super::record::{Change, Definition};
use crate::error::{Error, Kind, Result};

/// A policy, or an operator policy. Serialised as in RabbitMQ's definitions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Policy {
    /// The virtual host.
    pub vhost: String,
    /// Its name.
    pub name: String,
    /// A regular expression, found anywhere in the names of queues and exchanges.
    pub pattern: String,
    /// What it is for.
    #[serde(default)]
    pub apply_to: ApplyTo,
    /// Of those that match, the one with the highest priority applies.
    #[serde(default)]
    pub priority: i64,
    /// Settings: `{"message-ttl": 60000}`. Durations are milliseconds.
    pub definition: Map<String, Value>,
}

/// What a policy is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApplyTo {
    /// Queues and exchanges.
    #[default]
    All,
    /// Queues of every type.
    Queues,
    /// Classic queues.
    ClassicQueues,
    /// Quorum queues.
    QuorumQueues,
    /// Streams.
    Streams,
    /// Exchanges.
    Exchanges,
}

/// Whose policy it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Set by those who use the broker.
    User,
    /// Set by those who run it: it limits what the other sets.
    Operator,
}

impl Broker {
    /// Sets a policy, or replaces the one of its name. Queues and exchanges follow at once.
    ///
    /// # Errors
    /// `NotFound` when there is no such virtual host; `InvalidArgument`, with RabbitMQ's text, for a pattern that
    /// is no regular expression, an unknown setting, or a value that a setting cannot have.
    pub fn set_policy(&self, policy: Policy) -> Result<()> {
        self.put_policy("set_policy", Side::User, policy)
    }

    /// Sets an operator policy, or replaces the one of its name. It may set limits only; where a policy sets
    /// them too, the smaller one holds (<https://www.rabbitmq.com/docs/parameters#operator-policies>).
    ///
    /// # Errors
    /// As [`Broker::set_policy`].
    pub fn set_operator_policy(&self, policy: Policy) -> Result<()> {
        self.put_policy("set_operator_policy", Side::Operator, policy)
    }

    fn put_policy(&self, operation: &'static str, side: Side, policy: Policy) -> Result<()> {
        let vhost = self.existing(operation, &policy.vhost)?;
        keys::check(side, &policy).map_err(|reason| {
            let (vhost, name) = (&policy.vhost, &policy.name);
            Error::new(Kind::InvalidArgument, operation, format!("Validation failed\n\n{reason}\n"))
                .on(format!("policy '{name}' in vhost '{vhost}'"))
        })?;
        let mut wakes = Wakes::default();
        let recorded = Change::Put(Definition::Policy(side, policy.clone()));
        let put = |policies: &mut Policies| policies.put(operation, side, policy);
        vhost.change_policies(operation, put, recorded, &mut wakes)
    }

    /// Removes a policy.
    ///
    /// # Errors
    /// `NotFound` when there is no such policy.
    pub fn clear_policy(&self, vhost: &str, name: &str) -> Result<()> {
        self.remove_policy("clear_policy", Side::User, vhost, name)
    }

    /// Removes an operator policy.
    ///
    /// # Errors
    /// `NotFound` when there is no such policy.
    pub fn clear_operator_policy(&self, vhost: &str, name: &str) -> Result<()> {
        self.remove_policy("clear_operator_policy", Side::Operator, vhost, name)
    }

    fn remove_policy(&self, operation: &'static str, side: Side, vhost: &str, name: &str) -> Result<()> {
        let removed = |policies: &mut Policies| match policies.remove(side, name) {
            true => Ok(()),
            false => {
                Err(Error::new(Kind::NotFound, operation, format!("no policy '{name}' in vhost '{vhost}'")))
            }
        };
        let recorded = Change::DeletePolicy(side, vhost.into(), name.into());
        self.existing(operation, vhost)?.change_policies(operation, removed, recorded, &mut Wakes::default())
    }

    /// Every policy, by virtual host and name.
    pub fn policies(&self) -> Vec<Policy> {
        self.list_policies(Side::User)
    }

    /// Every operator policy, by virtual host and name.
    pub fn operator_policies(&self) -> Vec<Policy> {
        self.list_policies(Side::Operator)
    }

    fn list_policies(&self, side: Side) -> Vec<Policy> {
        let vhosts: Vec<_> = self.vhosts.read().values().cloned().collect();
        let mut list: Vec<_> = vhosts.iter().flat_map(|vhost| vhost.policies(side)).collect();
        list.sort_by(|a, b| (&a.vhost, &a.name).cmp(&(&b.vhost, &b.name)));
        list
    }
}

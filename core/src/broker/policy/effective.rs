//! Which policies apply to a queue or exchange, and what comes of them (RabbitMQ's `rabbit_policy`).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::{ApplyTo, Policy, Side};
use crate::auth::pattern::Pattern;
use crate::broker::definitions::json;
use crate::broker::queue::QueueKind;
use crate::error::Result;
use crate::wire::table::Table;

/// What a policy may apply to.
#[derive(Clone, Copy, Debug)]
pub(in crate::broker) enum Subject<'a> {
    Queue(&'a str, QueueKind),
    Exchange(&'a str),
}

/// What applies to a queue or exchange.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effective {
    /// The policy's name.
    pub policy: Option<Arc<str>>,
    /// The operator policy's name.
    pub operator_policy: Option<Arc<str>>,
    /// The settings of both, under the names that policies have for them (`message-ttl`).
    pub definition: Table,
}

/// The policies of a virtual host.
#[derive(Clone, Debug, Default)]
pub(in crate::broker) struct Policies {
    /// By name, so that of two with the same priority always the same applies.
    user: BTreeMap<Arc<str>, Compiled>,
    operator: BTreeMap<Arc<str>, Compiled>,
}

#[derive(Clone, Debug)]
struct Compiled {
    policy: Policy,
    pattern: Pattern,
}

impl Compiled {
    fn applies_to(&self, subject: Subject<'_>) -> bool {
        use ApplyTo::{All, ClassicQueues, Exchanges, Queues, QuorumQueues, Streams};
        let apply_to = self.policy.apply_to;
        match subject {
            Subject::Exchange(name) => matches!(apply_to, All | Exchanges) && self.pattern.matches(name),
            Subject::Queue(name, kind) => {
                let type_fits = match kind {
                    QueueKind::Classic => matches!(apply_to, All | Queues | ClassicQueues),
                    QueueKind::Quorum => matches!(apply_to, All | Queues | QuorumQueues),
                    QueueKind::Stream => matches!(apply_to, All | Queues | Streams),
                };
                type_fits
                    && !self.policy.definition.keys().any(|key| excluded(kind).contains(&key.as_str()))
                    && self.pattern.matches(name)
            }
        }
    }
}

/// Settings that keep a whole policy from queues of a type (RabbitMQ's `unsupported_policies` of
/// `rabbit_classic_queue` and `rabbit_quorum_queue`). Delivery limit and dead-letter strategy are not among those of classic
/// queues, which have both here.
fn excluded(kind: QueueKind) -> &'static [&'static str] {
    match kind {
        QueueKind::Classic => &[
            "initial-cluster-size",
            "max-age",
            "queue-leader-locator",
            "stream-filter-size-bytes",
            "stream-max-segment-size-bytes",
            "target-group-size",
        ],
        QueueKind::Stream => &[
            "dead-letter-exchange",
            "dead-letter-routing-key",
            "dead-letter-strategy",
            "delivery-limit",
            "expires",
            "ha-mode",
            "ha-params",
            "ha-promote-on-failure",
            "ha-promote-on-shutdown",
            "ha-sync-mode",
            "max-in-memory-bytes",
            "max-in-memory-length",
            "max-length",
            "max-priority",
            "message-ttl",
            "overflow",
            "queue-master-locator",
            "queue-mode",
            "target-group-size",
        ],
        QueueKind::Quorum => &[
            "ha-mode",
            "ha-params",
            "ha-promote-on-failure",
            "ha-promote-on-shutdown",
            "ha-sync-mode",
            "initial-cluster-size",
            "max-age",
            "queue-master-locator",
            "queue-mode",
            "stream-filter-size-bytes",
            "stream-max-segment-size-bytes",
        ],
    }
}

impl Policies {
    fn side(&mut self, side: Side) -> &mut BTreeMap<Arc<str>, Compiled> {
        match side {
            Side::User => &mut self.user,
            Side::Operator => &mut self.operator,
        }
    }

    /// Adds a policy, or replaces the one of its name.
    pub(super) fn put(&mut self, operation: &'static str, side: Side, policy: Policy) -> Result<()> {
        let pattern = Pattern::new(operation, &policy.pattern)?;
        self.side(side).insert(policy.name.as_str().into(), Compiled { policy, pattern });
        Ok(())
    }

    /// Removes a policy; whether there was one.
    pub(super) fn remove(&mut self, side: Side, name: &str) -> bool {
        self.side(side).remove(name).is_some()
    }

    /// Every policy, by name.
    pub(in crate::broker) fn list(&self, side: Side) -> Vec<Policy> {
        let policies = if side == Side::User { &self.user } else { &self.operator };
        policies.values().map(|compiled| compiled.policy.clone()).collect()
    }

    /// What applies to a queue or exchange.
    pub(in crate::broker) fn effective(&self, subject: Subject<'_>) -> Effective {
        if self.user.is_empty() && self.operator.is_empty() {
            return Effective::default();
        }
        let (user, operator) = (applying(&self.user, subject), applying(&self.operator, subject));
        let none = Map::new();
        let definition =
            |found: Option<(&Arc<str>, &Compiled)>| found.map(|(_, found)| found.policy.definition.clone());
        let mut merged = definition(user).unwrap_or_default();
        for (key, limit) in definition(operator).unwrap_or(none) {
            match merged.get(&key) {
                Some(value) if !stricter(&key, &limit, value) => {}
                _ => {
                    merged.insert(key, limit);
                }
            }
        }
        Effective {
            policy: user.map(|(name, _)| name.clone()),
            operator_policy: operator.map(|(name, _)| name.clone()),
            definition: json::to_table(&merged),
        }
    }
}

/// The one with the highest priority.
fn applying<'a>(
    policies: &'a BTreeMap<Arc<str>, Compiled>,
    subject: Subject<'_>,
) -> Option<(&'a Arc<str>, &'a Compiled)> {
    let mut best: Option<(&Arc<str>, &Compiled)> = None;
    for (name, candidate) in policies {
        if best.is_none_or(|(_, best)| candidate.policy.priority > best.policy.priority)
            && candidate.applies_to(subject)
        {
            best = Some((name, candidate));
        }
    }
    best
}

/// Whether an operator's limit holds against the one of a policy: the smaller number does, but of group sizes the
/// larger (`rabbit_policies:merge_policy_value`).
fn stricter(key: &str, operator: &Value, user: &Value) -> bool {
    let (operator, user) = (operator.as_i64(), user.as_i64());
    if key == "target-group-size" { operator > user } else { operator < user }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::wire::Value as Field;

    fn policy(name: &str, pattern: &str, apply_to: ApplyTo, priority: i64, definition: &Value) -> Policy {
        Policy {
            vhost: "/".into(),
            name: name.into(),
            pattern: pattern.into(),
            apply_to,
            priority,
            definition: definition.as_object().unwrap().clone(),
        }
    }

    fn policies(user: Vec<Policy>, operator: Vec<Policy>) -> Policies {
        let mut policies = Policies::default();
        for (side, list) in [(Side::User, user), (Side::Operator, operator)] {
            for policy in list {
                policies.put("set_policy", side, policy).unwrap();
            }
        }
        policies
    }

    const CLASSIC: Subject<'static> = Subject::Queue("tasks", QueueKind::Classic);

    fn name(policies: &Policies, subject: Subject<'_>) -> Option<String> {
        policies.effective(subject).policy.map(|name| name.to_string())
    }

    #[test]
    fn of_those_that_match_the_one_with_the_highest_priority_applies_alone() {
        let policies = policies(
            vec![
                policy("low", ".*", ApplyTo::All, 1, &json!({"message-ttl": 5, "max-length": 9})),
                policy("high", "^ta", ApplyTo::Queues, 2, &json!({"message-ttl": 7})),
                policy("other", "^x", ApplyTo::Queues, 3, &json!({"message-ttl": 8})),
            ],
            Vec::new(),
        );
        let effective = policies.effective(CLASSIC);
        assert_eq!(effective.policy.as_deref(), Some("high"));
        assert_eq!(effective.definition, Table(vec![("message-ttl".into(), Field::I64(7))]));
        assert_eq!(name(&policies, Subject::Exchange("tasks")).as_deref(), Some("low"));
    }

    #[test]
    fn a_policy_is_for_what_it_says() {
        let of = |apply_to| {
            let policies =
                policies(vec![policy("p", "", apply_to, 0, &json!({"max-length": 1}))], Vec::new());
            let quorum = Subject::Queue("tasks", QueueKind::Quorum);
            [CLASSIC, quorum, Subject::Exchange("tasks")].map(|subject| name(&policies, subject).is_some())
        };
        assert_eq!(of(ApplyTo::All), [true, true, true]);
        assert_eq!(of(ApplyTo::Queues), [true, true, false]);
        assert_eq!(of(ApplyTo::ClassicQueues), [true, false, false]);
        assert_eq!(of(ApplyTo::QuorumQueues), [false, true, false]);
        assert_eq!(of(ApplyTo::Exchanges), [false, false, true]);
        assert_eq!(of(ApplyTo::Streams), [false, false, false]);
    }

    #[test]
    fn a_setting_that_a_type_of_queue_does_not_have_keeps_the_whole_policy_from_it() {
        let mirrored = json!({"ha-mode": "all", "max-length": 1});
        let policies = policies(vec![policy("ha", "", ApplyTo::All, 0, &mirrored)], Vec::new());
        assert!(name(&policies, CLASSIC).is_some());
        assert!(name(&policies, Subject::Queue("tasks", QueueKind::Quorum)).is_none());
    }

    #[test]
    fn of_a_policys_limit_and_an_operators_the_smaller_holds() {
        let user = json!({"max-length": 10, "message-ttl": 5, "overflow": "reject-publish"});
        let operator = json!({"max-length": 3, "message-ttl": 50, "expires": 100});
        let policies = policies(
            vec![policy("p", "", ApplyTo::All, 0, &user)],
            vec![policy("o", "", ApplyTo::Queues, 0, &operator)],
        );
        let Effective { policy, operator_policy, definition } = policies.effective(CLASSIC);
        assert_eq!((policy.as_deref(), operator_policy.as_deref()), (Some("p"), Some("o")));
        let number = |key: &str| definition.get(key).and_then(Field::as_integer);
        assert_eq!(number("max-length"), Some(3));
        assert_eq!(number("message-ttl"), Some(5));
        assert_eq!(number("expires"), Some(100));
        assert!(definition.get("overflow").is_some());
    }
}

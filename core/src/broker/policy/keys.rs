//! The settings that policies know, and what they may be. Texts as RabbitMQ's `rabbit_policies`,
//! `rabbit_mirror_queue_misc` and `rabbit_policy`.

use serde_json::Value;

use super::{Policy, Side};
use crate::auth::pattern::Pattern;

/// What a value must be.
enum Form {
    Text,
    /// An integer from this one on.
    From(i64),
    /// An integer within these.
    Within(i64, i64),
    OneOf(&'static [&'static str]),
    /// A number and a unit of time: Y, M, D, h, m or s.
    Age,
    /// For mirrored queues: taken, as one node has nothing to mirror to.
    Any,
}

use Form::{Age, Any, From, OneOf, Text, Within};

/// A setting, its form, and what RabbitMQ says of a value of another form: `… is not a valid` this.
const KEYS: [(&str, Form, &str); 28] = [
    ("alternate-exchange", Text, "alternate exchange name"),
    ("consumer-timeout", From(0), "consumer timeout"),
    ("dead-letter-exchange", Text, "dead letter exchange name"),
    ("dead-letter-routing-key", Text, "dead letter routing key"),
    ("dead-letter-strategy", OneOf(&["at-most-once", "at-least-once"]), "dead letter strategy"),
    ("delivery-limit", From(0), "delivery limit"),
    ("expires", From(1), "queue expiry"),
    ("ha-mode", Any, "ha-mode"),
    ("ha-params", Any, "ha-params"),
    ("ha-promote-on-failure", Any, "ha-promote-on-failure"),
    ("ha-promote-on-shutdown", Any, "ha-promote-on-shutdown"),
    ("ha-sync-batch-size", Any, "ha-sync-batch-size"),
    ("ha-sync-mode", Any, "ha-sync-mode"),
    ("initial-cluster-size", From(0), "cluster size"),
    ("max-age", Age, "max age"),
    ("max-in-memory-bytes", From(0), "maximum memory in bytes"),
    ("max-in-memory-length", From(0), "maximum memory in bytes"),
    ("max-length", From(0), "maximum length"),
    ("max-length-bytes", From(0), "maximum length in bytes"),
    ("message-ttl", From(0), "message TTL"),
    ("overflow", OneOf(&["drop-head", "reject-publish", "reject-publish-dlx"]), "overflow value"),
    (
        "queue-leader-locator",
        OneOf(&["client-local", "balanced", "random", "least-leaders"]),
        "queue leader locator value",
    ),
    ("queue-master-locator", Any, "queue master locator"),
    ("queue-mode", OneOf(&["default", "lazy"]), "queue-mode value"),
    ("queue-version", Within(1, 2), "queue-version value"),
    ("stream-filter-size-bytes", Within(16, 255), "filter size"),
    ("stream-max-segment-size-bytes", From(0), "segment size"),
    ("target-group-size", From(1), "target count"),
];

/// What operators may set.
const OPERATOR: [&str; 8] = [
    "delivery-limit",
    "expires",
    "max-in-memory-bytes",
    "max-in-memory-length",
    "max-length",
    "max-length-bytes",
    "message-ttl",
    "target-group-size",
];

/// Refuses a policy that RabbitMQ refuses.
pub(super) fn check(side: Side, policy: &Policy) -> Result<(), String> {
    if let Err(error) = Pattern::new("set_policy", &policy.pattern) {
        return Err(format!("pattern should be regular expression but is invalid: {}", error.reason()));
    }
    if policy.definition.is_empty() {
        return Err("no policy provided".into());
    }
    let mut unknown = Vec::new();
    for (key, value) in &policy.definition {
        let known = KEYS.iter().find(|(name, ..)| name == key);
        match known {
            Some((_, form, what)) if side == Side::User || OPERATOR.contains(&key.as_str()) => {
                if !fits(form, value) {
                    return Err(format!("{} is not a valid {what}", term(value)));
                }
            }
            _ => unknown.push(format!("{{<<\"{key}\">>,{}}}", term(value))),
        }
    }
    match unknown.is_empty() {
        true => Ok(()),
        false => Err(format!("[{}] are not recognised policy settings", unknown.join(","))),
    }
}

fn fits(form: &Form, value: &Value) -> bool {
    match form {
        Text => value.is_string(),
        From(least) => value.as_i64().is_some_and(|number| number >= *least),
        Within(least, most) => value.as_i64().is_some_and(|number| (*least..=*most).contains(&number)),
        OneOf(values) => value.as_str().is_some_and(|text| values.contains(&text)),
        Age => value.as_str().is_some_and(is_age),
        Any => true,
    }
}

/// `7D`, `12h` … (<https://www.rabbitmq.com/docs/streams#retention>).
fn is_age(text: &str) -> bool {
    let number = text.trim_end_matches(['Y', 'M', 'D', 'h', 'm', 's']);
    text.len() == number.len() + 1 && number.parse::<u64>().is_ok()
}

/// A value as RabbitMQ shows it.
fn term(value: &Value) -> String {
    match value {
        Value::String(text) => format!("<<\"{text}\">>"),
        Value::Array(values) => format!("[{}]", values.iter().map(term).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::ApplyTo;
    use super::*;

    fn verdict(side: Side, definition: &Value) -> Result<(), String> {
        let policy = Policy {
            vhost: "/".into(),
            name: "p".into(),
            pattern: ".*".into(),
            apply_to: ApplyTo::All,
            priority: 0,
            definition: definition.as_object().unwrap().clone(),
        };
        check(side, &policy)
    }

    #[test]
    fn every_setting_has_its_form_and_what_does_not_fit_is_named() {
        let user = |definition| verdict(Side::User, &definition);
        assert!(
            user(json!({"message-ttl": 0, "overflow": "drop-head", "max-age": "7D", "ha-mode": "all"}))
                .is_ok()
        );
        for (definition, text) in [
            (json!({"message-ttl": "x"}), "<<\"x\">> is not a valid message TTL"),
            (json!({"message-ttl": -1}), "-1 is not a valid message TTL"),
            (json!({"expires": 0}), "0 is not a valid queue expiry"),
            (json!({"max-length": 1.5}), "1.5 is not a valid maximum length"),
            (json!({"overflow": "drop"}), "<<\"drop\">> is not a valid overflow value"),
            (json!({"max-age": "7"}), "<<\"7\">> is not a valid max age"),
            (json!({"max-age": "hh"}), "<<\"hh\">> is not a valid max age"),
            (json!({"queue-version": 3}), "3 is not a valid queue-version value"),
            (json!({"bogus": true}), "[{<<\"bogus\">>,true}] are not recognised policy settings"),
            (json!({}), "no policy provided"),
        ] {
            assert_eq!(user(definition), Err(text.into()));
        }
    }

    #[test]
    fn operators_set_limits_only() {
        assert!(verdict(Side::Operator, &json!({"max-length": 5})).is_ok());
        assert_eq!(
            verdict(Side::Operator, &json!({"dead-letter-exchange": "x"})),
            Err("[{<<\"dead-letter-exchange\">>,<<\"x\">>}] are not recognised policy settings".into())
        );
    }
}

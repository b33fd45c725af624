//! Policies that come and go while queues and exchanges are in use.

use serde_json::{Value as Json, json};

use super::rules::Stage;
use super::*;

fn policy(name: &str, pattern: &str, definition: &Json) -> Policy {
    Policy {
        vhost: "/".into(),
        name: name.into(),
        pattern: pattern.into(),
        apply_to: ApplyTo::All,
        priority: 0,
        definition: definition.as_object().unwrap().clone(),
    }
}

fn effective(broker: &Broker, queue: &str) -> Effective {
    let vhost = broker.vhost("/").unwrap();
    vhost.queues().into_iter().find(|status| &*status.info.name == queue).unwrap().effective
}

fn waiting(stage: &mut Stage, queue: &str) -> u64 {
    stage.channel.check_queue(queue).unwrap().messages
}

#[test]
fn a_queue_follows_a_policy_that_is_set_changed_and_cleared_under_it() {
    let mut stage = Stage::new();
    stage.queue("tasks", &[]);
    for body in [b"1", b"2", b"3", b"4"] {
        stage.send("tasks", body);
    }
    stage.broker.set_policy(policy("p", "^ta", &json!({"max-length": 3}))).unwrap();
    assert_eq!(waiting(&mut stage, "tasks"), 3, "at once");
    assert_eq!(effective(&stage.broker, "tasks").policy.as_deref(), Some("p"));
    stage.broker.set_operator_policy(policy("o", "", &json!({"max-length": 1}))).unwrap();
    assert_eq!(waiting(&mut stage, "tasks"), 1);
    stage.broker.clear_operator_policy("/", "o").unwrap();
    stage.broker.clear_policy("/", "p").unwrap();
    for body in [b"5", b"6", b"7", b"8"] {
        stage.send("tasks", body);
    }
    assert_eq!(waiting(&mut stage, "tasks"), 5);
    assert_eq!(effective(&stage.broker, "tasks"), Effective::default());
    assert_eq!(stage.broker.clear_policy("/", "p").unwrap_err().kind(), Kind::NotFound);
}

#[test]
fn a_queue_that_is_declared_later_follows_the_policies_there_are() {
    let mut stage = Stage::new();
    stage.broker.set_policy(policy("p", "", &json!({"max-length": 2}))).unwrap();
    stage.queue("late", &[]);
    stage.queue("strict", &[("x-max-length", Value::I32(1))]);
    for queue in ["late", "strict"] {
        (0..4).for_each(|_| stage.send(queue, b"x"));
    }
    assert_eq!((waiting(&mut stage, "late"), waiting(&mut stage, "strict")), (2, 1));
}

#[test]
fn an_exchange_gets_its_alternate_from_a_policy_unless_it_was_declared_with_one() {
    let mut stage = Stage::new();
    stage.queue("rest", &[]);
    stage.queue("declared", &[]);
    let arguments = &Table::default();
    for (source, destination) in [("amq.fanout", "rest"), ("amq.direct", "declared")] {
        let binding = Binding { source, destination, routing_key: "k", arguments };
        stage.channel.bind_queue(binding, &mut Wakes::default()).unwrap();
    }
    let mut options = ExchangeOptions::new(crate::routing::Kind::Direct);
    stage.channel.declare_exchange("x", "direct", options.clone()).unwrap();
    options.arguments.insert("alternate-exchange", Value::LongString("amq.direct".into()));
    stage.channel.declare_exchange("own", "direct", options).unwrap();

    assert!(!send(&mut stage.channel, "x", "k", b"1"));
    stage.broker.set_policy(policy("p", "", &json!({"alternate-exchange": "amq.fanout"}))).unwrap();
    assert!(send(&mut stage.channel, "x", "k", b"2"), "the route that was remembered is void");
    assert!(send(&mut stage.channel, "own", "k", b"3"));
    assert_eq!((waiting(&mut stage, "rest"), waiting(&mut stage, "declared")), (1, 1));
    stage.broker.clear_policy("/", "p").unwrap();
    assert!(!send(&mut stage.channel, "x", "k", b"4"));
}

#[test]
fn a_policy_that_cannot_be_is_refused_and_the_old_one_stays() {
    let mut stage = Stage::new();
    stage.queue("q", &[]);
    stage.broker.set_policy(policy("p", "", &json!({"max-length": 2}))).unwrap();
    let refused = |policy| stage.broker.set_policy(policy).unwrap_err().reason().to_owned();
    assert_eq!(
        refused(policy("p", "", &json!({"max-length": "two"}))),
        "Validation failed\n\n<<\"two\">> is not a valid maximum length\n"
    );
    assert!(refused(policy("p", "(", &json!({"max-length": 2}))).contains("invalid"));
    assert!(refused(Policy { vhost: "v".into(), ..policy("p", "", &json!({})) }).contains("no vhost 'v'"));
    assert_eq!(effective(&stage.broker, "q").definition.get("max-length"), Some(&Value::I64(2)));
}

//! The clients that lead to another process: over AMQP against WarrenMQ's own server, against RabbitMQ, and against
//! the broker that `WARRENMQ_TEST_AMQP_URL` names; over a directory's socket.

#![allow(clippy::unwrap_used)] // a test that fails may panic

mod brokers;
mod door;
mod failover;
mod handover;
mod local;
mod scenarios;

use std::env;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use brokers::RabbitMq;
use scenarios::{ALL, AMQP, open, run};

/// Some scenarios block the whole broker, so one broker at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn all(url: &str) {
    for (name, scenario) in ALL.iter().chain(AMQP) {
        eprintln!("  {name}");
        scenario(url);
    }
}

/// Past the test harness, which shows the output of failed tests only.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

#[test]
fn against_warrenmq() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let broker = open("inproc://amqp-client");
    let address = run(broker.listen("127.0.0.1:0")).unwrap();
    all(&format!("amqp://{address}"));
}

#[test]
fn against_rabbitmq() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(rabbit) = RabbitMq::start() else {
        say("skipped: no RabbitMQ installed");
        return;
    };
    all(&rabbit.url());
    for (name, scenario) in scenarios::RABBITMQ {
        eprintln!("  {name}");
        scenario(&rabbit);
    }
}

#[test]
fn against_the_broker_in_the_environment() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    match env::var("WARRENMQ_TEST_AMQP_URL") {
        Ok(url) => all(&url),
        Err(_) => say("skipped: WARRENMQ_TEST_AMQP_URL is not set"),
    }
}

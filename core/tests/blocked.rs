//! Publishers that are held back while a resource is short, and told so.

#![allow(clippy::unwrap_used)] // a test that fails may panic

use std::future::Future;
use std::sync::mpsc;
use std::time::Duration;

use warrenmq::broker::{Alarm, Broker, Options};
use warrenmq::client::{
    Channel, ConnectOptions, Connection, ConnectionEvent, Publish, Publishing, QueueOptions, runtime,
};
use warrenmq::message::Body;
use warrenmq::server::{Limits, Server};

fn run<T>(future: impl Future<Output = T>) -> T {
    runtime().unwrap().block_on(future)
}

fn send(channel: &Channel) -> Publishing {
    let publish = Publish {
        exchange: "",
        routing_key: "tasks",
        mandatory: false,
        properties: &[0, 0],
        body: Body::Slice(b""), // which is published as well as any other
    };
    channel.publish(publish).unwrap()
}

fn confirmed(publishing: Publishing) -> bool {
    match publishing {
        Publishing::Done(outcome) => outcome.confirmed,
        Publishing::Pending(answer) => run(answer).unwrap().confirmed,
    }
}

#[test]
fn who_publishes_is_told_why_it_waits_and_goes_on_afterwards() {
    let broker = Broker::new(Options::default());
    let server = run(Server::listen(broker.clone(), "127.0.0.1:0", Limits::default())).unwrap();
    let url = format!("amqp://{}", server.address());
    let connect = || run(Connection::open(&url, &ConnectOptions::default())).unwrap();
    let (publisher, reader) = (connect(), connect());
    let (tell, told) = mpsc::channel();
    publisher.on_event(std::sync::Arc::new(move |event| tell.send(event).unwrap()));
    let channel = run(publisher.channel()).unwrap();
    run(channel.declare_queue("tasks", false, QueueOptions::default())).unwrap();
    assert!(confirmed(send(&channel)));
    let wait = Duration::from_secs(20);
    // By its answer the server has looked whether to hold back who published before.
    run(channel.declare_queue("tasks", true, QueueOptions::default())).unwrap();

    broker.set_alarm(Alarm::Memory, true);
    broker.set_alarm(Alarm::Disk, true);
    assert!(told.try_recv().is_err(), "nobody is told before it publishes");
    let first = send(&channel);
    let event = told.recv_timeout(wait).unwrap();
    assert!(matches!(&event, ConnectionEvent::Blocked(why) if why == "low on memory & disk"), "{event:?}");
    assert!(confirmed(first), "what was read before is taken");
    let second = send(&channel);
    // Who does not publish goes on.
    let other = run(reader.channel()).unwrap();
    assert_eq!(run(other.declare_queue("tasks", true, QueueOptions::default())).unwrap().messages, 2);

    broker.set_alarm(Alarm::Memory, false);
    assert_eq!(broker.blocked(), Some("low on disk"));
    broker.set_alarm(Alarm::Disk, false);
    assert!(matches!(told.recv_timeout(wait).unwrap(), ConnectionEvent::Unblocked));
    assert!(confirmed(second));
    run(publisher.close()).unwrap();
    run(reader.close()).unwrap();
    run(server.stop());
}

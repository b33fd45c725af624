//! Who may do what, changed while sessions are open.

use super::*;
use crate::auth::{Permissions, TopicPermissions, User, UserLimits};

/// A broker with the user `ann`, who may do what these patterns say.
fn broker_with_ann(configure: &str, write: &str, read: &str) -> Arc<Broker> {
    let broker = Broker::new(Options::default());
    broker.users().add(User::without_password("ann")).unwrap();
    allow(&broker, configure, write, read);
    broker
}

fn allow(broker: &Broker, configure: &str, write: &str, read: &str) {
    let [configure, write, read] = [configure, write, read].map(Into::into);
    let permissions = Permissions { configure, write, read, ..Permissions::all("ann", "/") };
    broker.set_permissions(permissions).unwrap();
}

fn publish(channel: &mut Channel, exchange: &str, routing_key: &str, properties: &[u8]) -> Result<bool> {
    let body = Body::Slice(b"x");
    let publish = Publish { exchange, routing_key, mandatory: false, properties, body };
    channel.publish(publish, &mut Wakes::default())
}

const PLAIN: &[u8] = &[0, 0];

#[test]
fn a_remembered_route_is_no_way_around_a_permission_that_was_taken_away() {
    let broker = broker_with_ann("", "^q$|^amq.default$", "");
    let session = broker.open("/", "ann").unwrap();
    let mut channel = channel(&session);
    super::channel(&broker.open("/", "guest").unwrap()).declare_queue("q", QueueOptions::default()).unwrap();
    for _ in 0..3 {
        assert!(publish(&mut channel, "", "q", PLAIN).unwrap());
    }
    allow(&broker, "", "", "");
    let error = publish(&mut channel, "", "q", PLAIN).unwrap_err();
    let text = "ACCESS_REFUSED - write access to exchange 'amq.default' in vhost '/' refused for user 'ann'";
    assert_eq!(error.reply_text(), text);
    allow(&broker, "", ".*", "");
    assert!(publish(&mut channel, "", "q", PLAIN).unwrap());
    broker.clear_permissions("/", "ann").unwrap();
    assert!(publish(&mut channel, "", "q", PLAIN).is_err());
}

#[test]
fn a_copy_goes_only_to_topics_that_one_may_write_to() {
    let broker = broker_with_ann(".*", ".*", ".*");
    let permissions = TopicPermissions {
        user: "ann".into(),
        vhost: "/".into(),
        exchange: "amq.topic".into(),
        write: "^own".into(),
        read: ".*".into(),
    };
    broker.set_topic_permissions(permissions).unwrap();
    let session = broker.open("/", "ann").unwrap();
    let copied = |key: &'static str| {
        let mut headers = Table::default();
        headers.insert("CC", Value::Array(vec![Value::LongString(key.into())]));
        crate::wire::PropertiesView::EMPTY.with_headers(&headers)
    };
    assert!(publish(&mut channel(&session), "amq.topic", "own.a", &copied("own.b")).is_ok());
    let error = publish(&mut channel(&session), "amq.topic", "own.a", &copied("other")).unwrap_err();
    assert!(error.reason().starts_with("write access to topic 'other' in exchange 'amq.topic'"), "{error}");
    assert!(publish(&mut channel(&session), "amq.direct", "own.a", &copied("other")).is_ok());
    broker.clear_topic_permissions("/", "ann", None).unwrap();
    assert!(publish(&mut channel(&session), "amq.topic", "own.a", &copied("other")).is_ok());
}

#[test]
fn the_host_s_own_program_may_do_everything_and_is_not_counted() {
    let options = Options { max_connections: Some(0), max_channels: Some(0), ..Options::default() };
    let broker = Broker::new(options);
    broker.delete_user("guest").unwrap();
    let session = broker.open_embedded("/").unwrap();
    channel(&session).declare_queue("q", QueueOptions::default()).unwrap();
    assert!(broker.open("/", "guest").is_err());
}

#[test]
fn the_broker_has_no_more_connections_and_channels_than_it_may() {
    let options = Options { max_connections: Some(1), max_channels: Some(1), ..Options::default() };
    let broker = Broker::new(Options { name: "node".into(), ..options });
    let session = broker.open("/", "guest").unwrap();
    let error = broker.open("/", "guest").unwrap_err();
    assert_eq!(error.reply_text(), "NOT_ALLOWED - connection refused: node connection limit (1) is reached");
    let channel = session.channel(Box::new(Deaf)).unwrap();
    let error = session.channel(Box::new(Deaf)).unwrap_err();
    let text =
        "NOT_ALLOWED - number of channels opened on node 'node' has reached the maximum allowed limit of (1)";
    assert_eq!(error.reply_text(), text);
    drop(channel);
    assert!(session.channel(Box::new(Deaf)).is_ok());
    drop(session);
    assert!(broker.open("/", "guest").is_ok());
}

#[test]
fn a_user_who_opens_as_many_channels_as_it_may_gets_another_when_one_is_closed() {
    let broker = broker_with_ann(".*", ".*", ".*");
    let limits = UserLimits { max_channels: Some(2), max_connections: Some(-1) };
    broker.users().set_limits("ann", limits).unwrap();
    let (first, second) = (broker.open("/", "ann").unwrap(), broker.open("/", "ann").unwrap());
    let (a, _b) = (channel(&first), channel(&second));
    let error = second.channel(Box::new(Deaf)).unwrap_err();
    let text = "NOT_ALLOWED - number of channels opened for user 'ann' has reached the maximum allowed user limit of (2)";
    assert_eq!(error.reply_text(), text);
    drop(a);
    assert!(second.channel(Box::new(Deaf)).is_ok());
}

#[test]
fn a_deleted_virtual_host_ends_its_sessions_and_takes_everything_along() {
    let broker = Broker::new(Options::default());
    broker.add_vhost("v", VhostMetadata::default()).unwrap();
    assert_eq!(broker.add_vhost("v", VhostMetadata::default()).unwrap_err().kind(), Kind::PreconditionFailed);
    assert!(broker.open("v", "guest").is_err(), "nobody has permissions yet");
    broker.set_permissions(Permissions::all("guest", "v")).unwrap();
    let (there, elsewhere) = (broker.open("v", "guest").unwrap(), broker.open("/", "guest").unwrap());
    let mut reader = channel(&there);
    reader.declare_queue("q", QueueOptions::default()).unwrap();
    consume(&mut reader, "q").unwrap();
    let (told, heard) = std::sync::mpsc::channel();
    there.on_ended(Box::new(move || told.send(()).unwrap()));

    broker.delete_vhost("v").unwrap();
    heard.try_recv().unwrap();
    assert_eq!(there.ended().unwrap().reply_text(), "CONNECTION_FORCED - vhost 'v' is deleted");
    assert!(elsewhere.ended().is_none());
    let mut events = Vec::new();
    reader.outbox().take(usize::MAX, &mut events, &mut Wakes::default());
    assert!(matches!(&events[..], [Event::Cancelled { .. }]), "consumers are told that their queue is gone");

    assert_eq!(broker.delete_vhost("v").unwrap_err().kind(), Kind::NotFound);
    broker.add_vhost("v", VhostMetadata::default()).unwrap();
    assert!(broker.open("v", "guest").is_err(), "permissions went with it");
}

#[test]
fn a_deleted_user_s_sessions_end_and_one_session_can_be_ended_by_its_number() {
    let broker = broker_with_ann(".*", ".*", ".*");
    let (ann, guest) = (broker.open("/", "ann").unwrap(), broker.open("/", "guest").unwrap());
    broker.delete_user("ann").unwrap();
    assert_eq!(ann.ended().unwrap().reply_text(), "CONNECTION_FORCED - user 'ann' is deleted");
    assert!(guest.ended().is_none() && broker.open("/", "ann").is_err());
    let numbers: Vec<u64> = broker.sessions().iter().map(|session| session.id).collect();
    assert_eq!(numbers.len(), 2);
    broker.close_session(numbers[1], "Closed via management plugin").unwrap();
    assert_eq!(guest.ended().unwrap().reason(), "Closed via management plugin");
    drop((ann, guest));
    assert!(broker.sessions().is_empty());
    assert_eq!(broker.close_session(numbers[1], "").unwrap_err().kind(), Kind::NotFound);
}

#[test]
fn a_virtual_host_has_no_more_queues_and_bindings_than_it_may() {
    let broker = Broker::new(Options::default());
    let limits = VhostLimits { max_queues: Some(1), max_bindings: Some(1), ..VhostLimits::default() };
    broker.set_vhost_limits("/", limits).unwrap();
    let session = broker.open("/", "guest").unwrap();
    let mut channel = channel(&session);
    channel.declare_queue("a", QueueOptions::default()).unwrap();
    let error = channel.declare_queue("b", QueueOptions::default()).unwrap_err();
    let text = "PRECONDITION_FAILED - cannot declare queue 'b': queue limit in vhost '/' (1) is reached";
    assert_eq!(error.reply_text(), text);
    let arguments = &Table::default();
    let mut bind = |routing_key| {
        let binding = Binding { source: "amq.direct", destination: "a", routing_key, arguments };
        channel.bind_queue(binding, &mut Wakes::default())
    };
    bind("1").unwrap();
    bind("1").expect("it is there already");
    let text = "PRECONDITION_FAILED - cannot bind: binding limit in vhost '/' (1) is reached";
    assert_eq!(bind("2").unwrap_err().reply_text(), text);
}

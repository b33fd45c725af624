//! What is not durable, at the broker that follows on one that was killed.

use std::sync::Arc;

use super::rules::START;
use super::*;
use crate::clock::Clock;

/// Of processes that are attached.
const OWNER: u64 = 1 << 63;
const OTHER: u64 = OWNER + 1;

/// Keeps the memo as `storage` does.
#[derive(Debug, Default)]
struct Notes {
    changes: Mutex<Vec<Trace>>,
    attached: Mutex<HashSet<u64>>,
}

impl Notes {
    fn left(&self) -> Transient {
        let mut left = Transient::default();
        self.changes.lock().iter().for_each(|change| left.apply(change.clone()));
        left
    }
}

impl Memo for Notes {
    fn note(&self, change: &Trace) {
        self.changes.lock().push(change.clone());
    }

    fn is_attached(&self, number: u64) -> bool {
        self.attached.lock().contains(&number)
    }
}

/// A broker, and who is attached to it.
struct Site {
    clock: Clock,
    broker: Arc<Broker>,
    notes: Arc<Notes>,
}

impl Site {
    fn new() -> Self {
        let clock = Clock::held(START);
        let notes = Arc::new(Notes::default());
        let broker = Broker::new(Options { clock: clock.clone(), ..Options::default() });
        broker.take_up(&Transient::default(), HashSet::new(), notes.clone());
        Site { clock, broker, notes }
    }

    /// One that is killed, and followed by another. None of its sessions may be used any more.
    fn fail_over(&mut self, attached: &[u64]) {
        let left = self.notes.left();
        let notes = Arc::new(Notes::default());
        notes.attached.lock().extend(attached);
        left.changes().for_each(|change| notes.note(&change));
        let broker = Broker::new(Options { clock: self.clock.clone(), ..Options::default() });
        broker.take_up(&left, attached.iter().copied().collect(), notes.clone());
        (self.broker, self.notes) = (broker, notes);
    }

    /// The channel of a connection that never ends in good order: of the host itself, or of a process that is attached.
    fn connect(&self, number: Option<u64>) -> &'static mut Channel {
        let session = Box::leak(Box::new(self.broker.open_attached("/", number).unwrap()));
        Box::leak(Box::new(channel(session)))
    }

    fn host(&self) -> &'static mut Channel {
        self.connect(None)
    }

    fn attach(&self, number: u64) -> &'static mut Channel {
        self.connect(Some(number))
    }

    /// The processes of these connections end.
    fn end(&self, numbers: &[u64]) {
        self.notes.attached.lock().retain(|number| !numbers.contains(number));
    }

    fn pass(&self, milliseconds: u64) {
        self.clock.advance(std::time::Duration::from_millis(milliseconds));
        self.broker.run_due();
    }

    fn queues(&self) -> Vec<String> {
        let queues = self.broker.vhost("/").unwrap().queues();
        let mut names: Vec<_> = queues.iter().map(|queue| queue.info.name.to_string()).collect();
        names.sort();
        names
    }

    fn has_exchange(&self, name: &str) -> bool {
        self.broker.vhost("/").unwrap().has_exchange(name)
    }
}

fn exclusive() -> QueueOptions {
    QueueOptions { exclusive: true, ..QueueOptions::default() }
}

fn auto_delete() -> QueueOptions {
    QueueOptions { auto_delete: true, ..QueueOptions::default() }
}

fn exchange(auto_delete: bool) -> ExchangeOptions {
    ExchangeOptions { auto_delete, ..ExchangeOptions::new(crate::routing::Kind::Fanout) }
}

fn bind(channel: &mut Channel, source: &str, destination: &str) {
    let (routing_key, arguments) = ("", &Table::default());
    let binding = Binding { source, destination, routing_key, arguments };
    channel.bind_queue(binding, &mut Wakes::default()).unwrap();
}

#[test]
fn what_the_killed_host_itself_had_declared_is_there_with_its_bindings() {
    let mut site = Site::new();
    let own = site.host();
    let arguments = Table(vec![("x-max-length".into(), Value::I32(1))]);
    let bounded = || QueueOptions { arguments: arguments.clone(), ..QueueOptions::default() };
    own.declare_queue("q", bounded()).unwrap();
    own.declare_exchange("e", "fanout", exchange(false)).unwrap();
    bind(own, "e", "q");
    bind(own, "amq.fanout", "q");
    for _ in 0..2 {
        site.fail_over(&[OTHER]);
        let other = site.attach(OTHER);
        assert!(send(other, "e", "", b"1") && send(other, "amq.fanout", "", b"2"));
        // Were it another one, this would be refused.
        assert_eq!(other.declare_queue("q", bounded()).unwrap().messages, 1);
        other.declare_exchange("e", "fanout", exchange(false)).unwrap();
    }
}

#[test]
fn what_was_deleted_and_unbound_before_stays_so() {
    let mut site = Site::new();
    let first = site.attach(OWNER);
    for name in ["deleted", "unbound", "left"] {
        first.declare_queue(name, QueueOptions::default()).unwrap();
        first.declare_exchange(name, "fanout", exchange(name == "unbound")).unwrap();
        bind(first, name, name);
        bind(first, "amq.fanout", name);
    }
    first.delete_queue("deleted", false, false, &mut Wakes::default()).unwrap();
    first.delete_exchange("deleted", false).unwrap();
    for source in ["unbound", "amq.fanout"] {
        let (destination, routing_key, arguments) = ("unbound", "", &Table::default());
        first.unbind_queue(Binding { source, destination, routing_key, arguments }).unwrap();
    }
    site.fail_over(&[OWNER]);
    assert_eq!(site.queues(), ["left", "unbound"]);
    let there = ["deleted", "unbound", "left"].map(|name| site.has_exchange(name));
    assert_eq!(there, [false, false, true]); // the second went with its last binding
    let second = site.attach(OWNER);
    assert!(send(second, "amq.fanout", "", b"1"));
    assert_eq!(second.check_queue("unbound").unwrap().messages, 0);
    assert_eq!(second.check_queue("left").unwrap().messages, 1);
}

#[test]
fn an_exclusive_queue_is_locked_and_takes_messages_until_its_owner_is_back_with_whom_it_goes() {
    let mut site = Site::new();
    let owner = site.attach(OWNER);
    owner.declare_queue("own", QueueOptions { durable: true, ..exclusive() }).unwrap();
    bind(owner, "amq.fanout", "own");
    assert!(send(owner, "", "own", b"before"));
    site.fail_over(&[OWNER, OTHER]);
    site.pass(3_600_000); // however long he is stopped
    let other = site.attach(OTHER);
    assert_eq!(other.check_queue("own").unwrap_err().kind(), Kind::ResourceLocked);
    assert_eq!(other.declare_queue("own", exclusive()).unwrap_err().kind(), Kind::ResourceLocked);
    assert!(send(other, "amq.fanout", "", b"after"));
    let session = site.broker.open_attached("/", Some(OWNER)).unwrap();
    let mut owner = channel(&session);
    // It is in memory, be it declared as durable: as in RabbitMQ, an exclusive queue cannot outlive a broker.
    assert_eq!(owner.declare_queue("own", exclusive()).unwrap().messages, 1);
    consume(&mut owner, "own").unwrap();
    assert_eq!(bodies(&owner), *b"a");
    drop((owner, session));
    assert!(site.queues().is_empty());
}

#[test]
fn an_exclusive_queue_goes_when_its_owner_s_process_has_ended_or_was_the_host() {
    let mut site = Site::new();
    let (host, owner) = (site.host(), site.attach(OWNER));
    host.declare_queue("host's", exclusive()).unwrap();
    host.declare_exchange("host's", "fanout", exchange(true)).unwrap();
    bind(host, "host's", "host's");
    owner.declare_queue("owner's", exclusive()).unwrap();
    site.fail_over(&[OWNER, OTHER]);
    assert_eq!((site.queues(), site.has_exchange("host's")), (vec!["owner's".to_owned()], false));
    site.pass(1000);
    assert_eq!(site.queues(), ["owner's"]);
    site.end(&[OWNER]);
    site.pass(1000);
    assert!(site.queues().is_empty());
    // The next host hears of it.
    site.fail_over(&[OWNER, OTHER]);
    assert!(site.queues().is_empty());
}

#[test]
fn what_goes_with_its_last_consumer_goes_if_none_comes_back_once_everybody_is_there() {
    let mut site = Site::new();
    let owner = site.attach(OWNER);
    for name in ["new", "left", "kept"] {
        owner.declare_queue(name, auto_delete()).unwrap();
    }
    consume(owner, "kept").unwrap();
    consume(site.host(), "left").unwrap();
    site.fail_over(&[OWNER, OTHER]);
    site.attach(OTHER);
    site.pass(3_600_000);
    assert_eq!(site.queues(), ["kept", "left", "new"], "one is absent, and may have had the consumer");
    consume(site.attach(OWNER), "kept").unwrap();
    site.pass(1000);
    assert_eq!(site.queues(), ["kept", "left", "new"], "he may not have consumed again yet");
    site.pass(10_000);
    assert_eq!(site.queues(), ["kept", "new"], "of which the latter never had a consumer");
}

#[test]
fn a_host_that_ends_in_good_order_leaves_exclusive_queues_to_their_owners() {
    let mut site = Site::new();
    let session = site.broker.open_attached("/", Some(OWNER)).unwrap();
    channel(&session).declare_queue("own", exclusive()).unwrap();
    site.broker.freeze();
    drop(session);
    site.fail_over(&[OWNER]);
    assert!(site.attach(OWNER).check_queue("own").is_ok());
}

#[test]
fn a_virtual_host_that_was_deleted_leaves_nothing_to_one_of_its_name() {
    let site = Site::new();
    let broker = &site.broker;
    broker.add_vhost("v", VhostMetadata::default()).unwrap();
    let session = broker.open_embedded("v").unwrap();
    channel(&session).declare_exchange("e", "fanout", exchange(false)).unwrap();
    drop(session);
    broker.delete_vhost("v").unwrap();
    assert_eq!(site.notes.left().changes().count(), 0);
}

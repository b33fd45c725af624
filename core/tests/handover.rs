//! A host that ends while other processes are attached gives along what is transient, and the next one goes on with it.

#![allow(clippy::unwrap_used)] // a test that fails may panic

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;
use warrenmq::broker::store::Origin;
use warrenmq::broker::{
    Binding, Channel, Client, ExchangeOptions, Options, Outlet, Publish, QueueOptions, Resume, Session,
    Settle, Wakes,
};
use warrenmq::clock::Clock;
use warrenmq::host::Host;
use warrenmq::message::Body;
use warrenmq::routing::Kind;
use warrenmq::storage::{self, Attachment, Directory};
use warrenmq::wire::{Properties, ShortString, Table, Value};

struct Deaf;

impl Outlet for Deaf {
    fn ready(&self) {}
}

/// A host, and a connection of another process.
struct Site {
    host: Host,
    session: Option<Session>,
    channel: Option<Channel>,
}

impl Site {
    fn open(folder: &Path) -> Self {
        Self::with_memory(folder, Options::default().queue_memory)
    }

    fn with_memory(folder: &Path, queue_memory: usize) -> Self {
        let options = Options { queue_memory, ..Options::default() };
        let storage = storage::Options::default();
        let host = Host::with(Directory::open(folder).unwrap(), options, storage, None).unwrap();
        let session = host.broker().open("/", "guest").unwrap();
        session.introduce(Client { process: Some(1), ..Client::default() });
        let channel = session.channel(Box::new(Deaf)).unwrap();
        Site { host, session: Some(session), channel: Some(channel) }
    }

    /// Ends it as a host does: nothing is handed out any more, connections are closed, and then the rest.
    fn end(mut self) {
        self.host.leave();
        drop(self.channel.take());
        drop(self.session.take());
    }

    /// Goes on as the connection of this number.
    fn attach(&mut self, number: u64) {
        let session = self.host.broker().open_attached("/", Some(number)).unwrap();
        self.channel = Some(session.channel(Box::new(Deaf)).unwrap());
        self.session = Some(session);
    }

    fn channel(&mut self) -> &mut Channel {
        self.channel.as_mut().unwrap()
    }

    fn queue(&mut self, name: &str, durable: bool, arguments: &[(&str, Value)]) {
        let mut table = Table::default();
        arguments.iter().for_each(|(name, value)| table.insert(name, value.clone()));
        let options = QueueOptions { durable, arguments: table, ..QueueOptions::default() };
        self.channel().declare_queue(name, options).unwrap();
    }

    fn send(&mut self, exchange: &str, key: &str, properties: &Properties, body: &str) {
        let mut encoded = Vec::new();
        properties.encode(&mut encoded);
        let publish = Publish {
            exchange,
            routing_key: key,
            mandatory: false,
            properties: &encoded,
            body: Body::Slice(body.as_bytes()),
        };
        let mut wakes = Wakes::default();
        self.channel().publish(publish, &mut wakes).unwrap();
        self.channel().flush(&mut wakes);
    }

    fn transient(&mut self, key: &str, body: &str) {
        self.send("", key, &Properties::default(), body);
    }

    fn persistent(&mut self, key: &str, body: &str) {
        self.send("", key, &Properties { delivery_mode: Some(2), ..Properties::default() }, body);
    }

    /// Fetches a message, with whether it was delivered before; its delivery tag.
    fn get(&mut self, queue: &str) -> Option<(String, bool, u64)> {
        let got = self.channel().get(queue, false, &mut Wakes::default()).unwrap()?;
        let body = String::from_utf8(got.message.body().to_vec()).unwrap();
        Some((body, got.redelivered, got.tag))
    }

    fn ack(&mut self, tag: u64) {
        self.channel().settle(&[(tag, false)], Settle::Ack, &mut Wakes::default()).unwrap();
    }

    /// Everything in a queue, acknowledged; those that were delivered before with a mark.
    fn take_all(&mut self, queue: &str) -> Vec<String> {
        let mut all = Vec::new();
        while let Some((body, redelivered, tag)) = self.get(queue) {
            self.ack(tag);
            all.push(if redelivered { body + "!" } else { body });
        }
        all
    }
}

#[test]
fn transient_and_persistent_messages_keep_their_order_and_their_marks() {
    let folder = TempDir::new().unwrap();
    for durable in [true, false] {
        let mut site = Site::open(folder.path());
        let queue = if durable { "durable" } else { "passing" };
        site.queue(queue, durable, &[]);
        for number in 0..10 {
            match number % 3 {
                0 => site.persistent(queue, &number.to_string()),
                _ => site.transient(queue, &number.to_string()),
            }
        }
        let (_, _, first) = site.get(queue).unwrap();
        site.get(queue).unwrap();
        site.get(queue).unwrap();
        site.ack(first);
        site.end();
        // And once more, with nothing done in between.
        Site::open(folder.path()).end();
        let mut site = Site::open(folder.path());
        site.transient(queue, "10");
        site.persistent(queue, "11");
        let all = ["1!", "2!", "3", "4", "5", "6", "7", "8", "9", "10", "11"];
        assert_eq!(site.take_all(queue), all);
        site.end();
        assert!(Site::open(folder.path()).take_all(queue).is_empty());
    }
}

#[test]
fn what_did_not_fit_into_memory_goes_along_too() {
    let folder = TempDir::new().unwrap();
    let memory = 20_000;
    let mut site = Site::with_memory(folder.path(), memory);
    let all: Vec<String> = (0..500).map(|number| format!("{number:0>500}")).collect();
    for (queue, durable) in [("durable", true), ("passing", false)] {
        site.queue(queue, durable, &[]);
        for (number, body) in all.iter().enumerate() {
            if durable && number % 2 == 0 {
                site.persistent(queue, body)
            } else {
                site.transient(queue, body)
            }
        }
        // Some of it is read back before.
        for body in &all[..100] {
            let (got, _, tag) = site.get(queue).unwrap();
            assert_eq!(got, *body);
            site.ack(tag);
        }
    }
    site.end();
    let mut site = Site::with_memory(folder.path(), memory);
    for queue in ["durable", "passing"] {
        let (got, _, tag) = site.get(queue).unwrap();
        assert_eq!(got, all[100]);
        site.ack(tag);
        site.transient(queue, "last");
    }
    site.end();
    let mut site = Site::with_memory(folder.path(), memory);
    for queue in ["durable", "passing"] {
        let mut left = all[101..].to_vec();
        left.push("last".into());
        assert_eq!(site.take_all(queue), left, "{queue}");
        for number in 0..200 {
            site.transient(queue, &format!("{number:0>500}"));
        }
        assert_eq!(site.take_all(queue).len(), 200);
    }
}

#[test]
fn priorities_expiry_and_counts_of_deliveries_go_along() {
    let folder = TempDir::new().unwrap();
    let mut site = Site::open(folder.path());
    site.queue("ranked", false, &[("x-max-priority", Value::U8(5))]);
    site.queue("counted", false, &[]);
    for priority in [1, 5, 3] {
        let properties = Properties { priority: Some(priority), ..Properties::default() };
        site.send("", "ranked", &properties, &priority.to_string());
    }
    let short = Properties { expiration: Some(ShortString::truncated("300")), ..Properties::default() };
    site.send("", "counted", &short, "soon gone");
    site.transient("counted", "again");
    for _ in 0..2 {
        let (_, _, tag) = {
            site.get("counted").unwrap();
            site.get("counted").unwrap()
        };
        site.channel().settle(&[(tag, true)], Settle::Requeue, &mut Wakes::default()).unwrap();
    }
    site.end();
    let mut site = Site::open(folder.path());
    assert_eq!(site.take_all("ranked"), ["5", "3", "1"]);
    std::thread::sleep(Duration::from_millis(310));
    let got = site.channel().get("counted", true, &mut Wakes::default()).unwrap().unwrap();
    assert_eq!((got.message.body(), got.redelivered), (b"again".as_slice(), true));
    let count = got.message.properties().header("x-delivery-count").unwrap();
    assert_eq!(count.as_integer(), Some(2));
}

/// A publisher who goes on with each host, having heard of nothing, and will send so many publishes again.
fn go_on(site: &mut Site, again: u64) {
    let settled = Origin { publisher: 7.try_into().unwrap(), sequence: 0 };
    site.channel().resume(Resume { settled, again, since: SystemTime::UNIX_EPOCH });
    site.channel().confirm_select().unwrap();
}

#[test]
fn what_is_sent_again_is_not_doubled_though_it_was_in_memory_only() {
    let folder = TempDir::new().unwrap();
    let memory = 20_000;
    let bodies = |numbers: std::ops::Range<u32>| numbers.map(|number| format!("{number:0>400}"));
    let ranked = [("x-max-priority", Value::U8(2))];
    for (queue, durable, arguments, count) in [
        ("durable", true, &[][..], 20),
        ("passing", false, &[], 20),
        ("ranked", false, &ranked, 20),
        ("long and durable", true, &[], 300),
        ("long", false, &[], 300),
    ] {
        let mut site = Site::with_memory(folder.path(), memory);
        site.queue(queue, durable, arguments);
        go_on(&mut site, 0);
        bodies(0..count).for_each(|body| site.transient(queue, &body));
        // One that comes back, and one that is settled by the next host before the publisher comes.
        site.get(queue).unwrap();
        site.end();
        let mut site = Site::with_memory(folder.path(), memory);
        let (_, _, tag) = site.get(queue).unwrap();
        site.ack(tag);
        go_on(&mut site, count.into());
        bodies(0..count + 1).for_each(|body| site.transient(queue, &body));
        let left: Vec<String> = bodies(1..count + 1).collect();
        assert_eq!(site.take_all(queue), left, "{queue}");
        site.end();
    }
}

#[test]
fn what_is_sent_again_and_waits_for_its_time_is_not_doubled() {
    let folder = TempDir::new().unwrap();
    let later = || {
        let headers = Table(vec![("x-delay".into(), Value::I32(90_000))]);
        Properties { headers: Some(headers), ..Properties::default() }
    };
    let mut site = Site::open(folder.path());
    site.queue("later", true, &[]);
    go_on(&mut site, 0);
    ["a", "b"].iter().for_each(|body| site.send("", "later", &later(), body));
    site.end();
    let mut site = Site::open(folder.path());
    go_on(&mut site, 2);
    ["a", "b", "c"].iter().for_each(|body| site.send("", "later", &later(), body));
    let delayed = site.host.broker().vhost("/").unwrap().delayed();
    assert_eq!(delayed.iter().map(|one| one.message.body()).collect::<Vec<_>>(), [b"a", b"b", b"c"]);
}

#[test]
fn messages_that_wait_for_their_time_go_along() {
    let folder = TempDir::new().unwrap();
    let mut site = Site::open(folder.path());
    site.queue("later", true, &[]);
    for (delay, body) in [(400, "second"), (1, "first"), (90_000, "far")] {
        let headers = Table(vec![("x-delay".into(), Value::I32(delay))]);
        site.send("", "later", &Properties { headers: Some(headers), ..Properties::default() }, body);
    }
    let begun = Instant::now();
    site.end();
    let mut site = Site::open(folder.path());
    let mut all = Vec::new();
    while all.len() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(10), "only {all:?} came");
        all.extend(site.take_all("later"));
    }
    assert_eq!(all, ["first", "second"]);
    assert!(begun.elapsed() >= Duration::from_millis(300));
    let delayed = site.host.broker().vhost("/").unwrap().delayed();
    assert_eq!(delayed.iter().map(|one| one.message.body()).collect::<Vec<_>>(), [b"far"]);
}

#[test]
fn exchanges_bindings_and_queues_that_are_not_durable_go_along() {
    let folder = TempDir::new().unwrap();
    let mut site = Site::open(folder.path());
    let channel = site.channel();
    channel.declare_exchange("passing", "topic", ExchangeOptions::new(Kind::Topic)).unwrap();
    let lasting = ExchangeOptions { durable: true, ..ExchangeOptions::new(Kind::Direct) };
    channel.declare_exchange("lasting", "direct", lasting).unwrap();
    for (queue, durable, auto_delete) in [("lasting", true, false), ("shared", false, true)] {
        let options = QueueOptions { durable, auto_delete, ..QueueOptions::default() };
        channel.declare_queue(queue, options).unwrap();
        for exchange in ["passing", "lasting"] {
            let arguments = Table::default();
            let binding =
                Binding { source: exchange, destination: queue, routing_key: "key", arguments: &arguments };
            channel.bind_queue(binding, &mut Wakes::default()).unwrap();
        }
    }
    let consume = warrenmq::broker::ConsumeOptions { queue: "shared", ..Default::default() };
    channel.consume(&consume, &mut Wakes::default()).unwrap();
    site.end();
    let mut site = Site::open(folder.path());
    for exchange in ["passing", "lasting"] {
        site.send(exchange, "key", &Properties::default(), exchange);
    }
    for queue in ["lasting", "shared"] {
        assert_eq!(site.take_all(queue), ["passing", "lasting"], "{queue}");
    }
}

fn mine() -> QueueOptions {
    QueueOptions { exclusive: true, ..QueueOptions::default() }
}

/// The number of its owner's connection.
const OWNER: u64 = u64::MAX;

/// Has the owner, who is attached, declare an exclusive queue, and ends the host; it is held until he is gone.
fn leave_mine(folder: &Path, fill: impl FnOnce(&mut Site)) -> Attachment {
    let mut site = Site::open(folder);
    let attachment = Attachment::new(folder, OWNER).unwrap();
    site.attach(OWNER);
    site.channel().declare_queue("mine", mine()).unwrap();
    fill(&mut site);
    site.end();
    attachment
}

#[test]
fn an_exclusive_queue_waits_for_its_owner_with_its_messages_and_bindings() {
    let folder = TempDir::new().unwrap();
    let _attachment = leave_mine(folder.path(), |site| {
        let arguments = Table::default();
        let binding =
            Binding { source: "amq.fanout", destination: "mine", routing_key: "", arguments: &arguments };
        site.channel().bind_queue(binding, &mut Wakes::default()).unwrap();
        for number in 0..4 {
            site.transient("mine", &number.to_string());
        }
        let (_, _, first) = site.get("mine").unwrap();
        site.get("mine").unwrap();
        site.ack(first);
    });
    let mut site = Site::open(folder.path());
    site.send("amq.fanout", "", &Properties::default(), "early");
    let error = site.channel().get("mine", true, &mut Wakes::default()).unwrap_err();
    assert_eq!(error.kind(), warrenmq::error::Kind::ResourceLocked);
    let other = site.host.broker().open("/", "guest").unwrap();
    let mut others = other.channel(Box::new(Deaf)).unwrap();
    assert!(others.declare_queue("mine", mine()).is_err(), "another connection is not its owner");
    site.attach(OWNER);
    assert_eq!(site.channel().declare_queue("mine", mine()).unwrap().messages, 4);
    assert!(others.declare_queue("mine", mine()).is_err());
    assert_eq!(site.take_all("mine"), ["1!", "2", "3", "early"]);
    drop(site.channel.take());
    drop(site.session.take());
    others.declare_queue("mine", mine()).unwrap(); // it went with its owner
}

#[test]
fn an_exclusive_queue_whose_owner_has_ended_is_given_up() {
    let folder = TempDir::new().unwrap();
    let attachment = leave_mine(folder.path(), |site| site.transient("mine", "gone"));
    let clock = Clock::held(Clock::System.now_ms());
    let options = Options { clock: clock.clone(), ..Options::default() };
    let host = Host::open(folder.path(), options).unwrap();
    let queues = || host.broker().vhost("/").unwrap().queues().len();
    clock.advance(Duration::from_secs(60));
    host.broker().run_due();
    assert_eq!(queues(), 1);
    drop(attachment);
    clock.advance(Duration::from_secs(1));
    host.broker().run_due();
    assert_eq!(queues(), 0);
}

#[test]
fn ids_that_were_seen_go_along_also_of_messages_that_are_settled() {
    let folder = TempDir::new().unwrap();
    let with_id = |id: &str| {
        let id = Value::LongString(bytes::Bytes::copy_from_slice(id.as_bytes()));
        let headers = Table(vec![("x-deduplication-header".into(), id)]);
        Properties { headers: Some(headers), ..Properties::default() }
    };
    for (queue, durable) in [("passing", false), ("durable", true)] {
        let mut site = Site::open(folder.path());
        let arguments = [("x-message-deduplication", Value::Bool(true)), ("x-cache-size", Value::I32(3))];
        site.queue(queue, durable, &arguments);
        for id in ["0", "1", "2", "3"] {
            site.send("", queue, &with_id(id), id);
        }
        let (_, _, tag) = site.get(queue).unwrap();
        site.ack(tag);
        site.end();
        Site::open(folder.path()).end();
        let mut site = Site::open(folder.path());
        for id in ["1", "3", "4", "1"] {
            site.send("", queue, &with_id(id), id); // with 4 it forgets 1
        }
        assert_eq!(site.take_all(queue), ["1", "2", "3", "4", "1"], "{queue}");
        site.end();
    }
}

#[test]
fn what_exchanges_remember_goes_along() {
    let folder = TempDir::new().unwrap();
    for (exchange, durable) in [("passing", false), ("lasting", true)] {
        let mut site = Site::open(folder.path());
        let mut arguments = Table::default();
        arguments.insert("x-recent-history-length", Value::I32(2));
        let options = ExchangeOptions { durable, arguments, ..ExchangeOptions::new(Kind::RecentHistory) };
        site.channel().declare_exchange(exchange, "x-recent-history", options).unwrap();
        for body in ["a", "b", "c"] {
            site.send(exchange, "", &Properties::default(), body);
        }
        site.end();
        let mut site = Site::open(folder.path());
        site.queue(exchange, false, &[]);
        let arguments = Table::default();
        let binding =
            Binding { source: exchange, destination: exchange, routing_key: "", arguments: &arguments };
        site.channel().bind_queue(binding, &mut Wakes::default()).unwrap();
        assert_eq!(site.take_all(exchange), ["b", "c"]);
        site.end();
    }
}

#[test]
fn without_anybody_attached_what_is_transient_ends_with_the_host() {
    let folder = TempDir::new().unwrap();
    let mut site = Site::open(folder.path());
    site.queue("durable", true, &[]);
    site.queue("passing", false, &[]);
    for queue in ["durable", "passing"] {
        site.transient(queue, "gone");
        site.persistent(queue, "kept");
    }
    drop(site.channel.take());
    drop(site.session.take());
    site.end();
    assert!(!folder.path().join("handover").exists());
    let mut site = Site::open(folder.path());
    assert_eq!(site.take_all("durable"), ["kept"]);
    assert!(site.channel().get("passing", true, &mut Wakes::default()).is_err());
}

#[test]
fn what_nobody_took_over_in_time_is_given_up() {
    let folder = TempDir::new().unwrap();
    let mut site = Site::open(folder.path());
    site.queue("durable", true, &[]);
    site.transient("durable", "gone");
    site.persistent("durable", "kept");
    site.end();
    let left = folder.path().join("handover");
    let text = std::fs::read_to_string(&left).unwrap();
    let mut written: serde_json::Value = serde_json::from_str(&text).unwrap();
    written["at"] = (written["at"].as_u64().unwrap() - 6000).into();
    std::fs::write(&left, written.to_string()).unwrap();
    let mut site = Site::open(folder.path());
    assert_eq!(site.take_all("durable"), ["kept"]);
    assert!(!left.exists());
    drop(site);
    let folders = || folder.path().join("queues").read_dir().unwrap();
    assert!(
        folders().all(|entry| entry.unwrap().file_name().to_str().unwrap().len() < 10),
        "{:?}",
        folders()
    );
}

//! Brokers that are started again.

use std::ops::Bound;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};
use tempfile::TempDir;

use super::*;
use crate::auth::{Permissions, TopicPermissions, User, UserLimits};
use crate::broker::{
    ApplyTo, Binding, Broker, Channel, ConsumeOptions, ExchangeOptions, Options, Outlet, Policy,
    QueueOptions, Session, VhostLimits, VhostMetadata, Wakes,
};
use crate::clock::Clock;
use crate::routing;
use crate::wire::table::{Table, Value};

/// A broker that is started again and again on one file.
struct Stage {
    folder: TempDir,
    fault: Arc<Fault>,
    clock: Clock,
    store: Arc<DefinitionStore>,
    broker: Arc<Broker>,
}

/// What is wrong with the disk.
#[derive(Debug, Default)]
struct Fault {
    /// Nothing can be written.
    full: AtomicBool,
    /// Held: whoever syncs waits.
    gate: Mutex<()>,
    /// Syncs that have come to the gate.
    syncs: AtomicU64,
}

#[derive(Debug)]
struct Disk {
    file: FileBackend,
    fault: Arc<Fault>,
}

impl Disk {
    fn check(&self) -> std::io::Result<()> {
        match self.fault.full.load(Relaxed) {
            true => Err(std::io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> std::io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.check()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> std::io::Result<()> {
        self.fault.syncs.fetch_add(1, Relaxed);
        let _open = self.fault.gate.lock();
        self.check()?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.check()?;
        self.file.write(offset, data)
    }

    fn close(&self) -> std::io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }
}

fn start(folder: &TempDir, fault: &Arc<Fault>, clock: &Clock) -> (Arc<DefinitionStore>, Arc<Broker>) {
    let path = folder.path().join("definitions");
    let (at, fault) = (path.clone(), fault.clone());
    let open = move || {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(&at)?;
        let disk = Disk { file: FileBackend::new(file)?, fault: fault.clone() };
        Ok(Database::builder().create_with_backend(disk)?)
    };
    let store = Arc::new(DefinitionStore::with(&path, Box::new(open), None).unwrap());
    let options = Options { clock: clock.clone(), ..Options::default() };
    let broker = Broker::restore(options, store.clone()).unwrap();
    if store.is_new() {
        store.together(|| broker.furnish()).unwrap();
    }
    (store, broker)
}

struct Deaf;

impl Outlet for Deaf {
    fn ready(&self) {}
}

impl Stage {
    fn new() -> Self {
        let (folder, fault) = (TempDir::new().unwrap(), Arc::default());
        let clock = Clock::held(1_000_000);
        let (store, broker) = start(&folder, &fault, &clock);
        Stage { folder, fault, clock, store, broker }
    }

    fn start_again(&mut self) {
        self.store.close();
        (self.store, self.broker) = start(&self.folder, &self.fault, &self.clock);
    }

    fn door(&self) -> (Session, Channel) {
        door(&self.broker)
    }

    fn json(&self) -> String {
        json(&self.broker)
    }
}

fn door(broker: &Arc<Broker>) -> (Session, Channel) {
    let session = broker.open_embedded("/").unwrap();
    let channel = session.channel(Box::new(Deaf)).unwrap();
    (session, channel)
}

/// The definitions that last.
fn json(broker: &Broker) -> String {
    let mut definitions = broker.definitions();
    definitions.queues.retain(|queue| queue.durable);
    definitions.exchanges.retain(|exchange| exchange.durable);
    definitions.to_json()
}

fn durable() -> QueueOptions {
    QueueOptions { durable: true, ..QueueOptions::default() }
}

fn durable_exchange() -> ExchangeOptions {
    ExchangeOptions { durable: true, ..ExchangeOptions::new(routing::Kind::Direct) }
}

fn binding<'a>(
    source: &'a str,
    destination: &'a str,
    routing_key: &'a str,
    arguments: &'a Table,
) -> Binding<'a> {
    Binding { source, destination, routing_key, arguments }
}

fn policy(name: &str, definition: serde_json::Value) -> Policy {
    Policy {
        vhost: "/".into(),
        name: name.into(),
        pattern: "^q".into(),
        apply_to: ApplyTo::Queues,
        priority: 1,
        definition: definition.as_object().unwrap().clone(),
    }
}

/// Something of each kind, all of which lasts.
fn fill(broker: &Arc<Broker>) {
    let metadata =
        VhostMetadata { description: "d".into(), tags: vec!["t".into()], default_queue_type: None };
    broker.add_vhost("v", metadata).unwrap();
    broker.set_vhost_limits("v", VhostLimits { max_queues: Some(3), ..VhostLimits::default() }).unwrap();
    broker.users().add(User::with_password("ann", "secret").unwrap()).unwrap();
    broker.users().set_tags("ann", vec!["monitoring".into()]).unwrap();
    broker.users().set_limits("ann", UserLimits { max_channels: Some(7), ..UserLimits::default() }).unwrap();
    broker.set_permissions(Permissions { write: "^a".into(), ..Permissions::all("ann", "v") }).unwrap();
    let topic = TopicPermissions {
        user: "ann".into(),
        vhost: "v".into(),
        exchange: "amq.topic".into(),
        write: "w".into(),
        read: "r".into(),
    };
    broker.set_topic_permissions(topic).unwrap();
    broker.set_policy(policy("p", serde_json::json!({"message-ttl": 60_000}))).unwrap();
    broker.set_operator_policy(policy("o", serde_json::json!({"max-length": 5}))).unwrap();
    let (_session, mut channel) = door(broker);
    channel.declare_queue("q", durable()).unwrap();
    channel.declare_exchange("e", "topic", durable_exchange()).unwrap();
    channel.declare_exchange("f", "fanout", durable_exchange()).unwrap();
    let none = Table::default();
    channel.bind_queue(binding("e", "q", "a.*", &none), &mut Wakes::default()).unwrap();
    channel.bind_queue(binding("amq.direct", "q", "k", &none), &mut Wakes::default()).unwrap();
    channel.bind_exchange(binding("e", "f", "b", &none), &mut Wakes::default()).unwrap();
}

#[test]
fn everything_that_lasts_is_there_after_a_restart_and_nothing_else() {
    let mut stage = Stage::new();
    fill(&stage.broker);
    let before = stage.json();
    let (session, mut channel) = stage.door();
    channel.declare_queue("transient", QueueOptions::default()).unwrap();
    channel.declare_queue("exclusive", QueueOptions { exclusive: true, ..durable() }).unwrap();
    channel.declare_exchange("passing", "fanout", ExchangeOptions::new(routing::Kind::Fanout)).unwrap();
    let none = Table::default();
    channel.bind_queue(binding("passing", "q", "", &none), &mut Wakes::default()).unwrap();
    channel.bind_queue(binding("e", "transient", "", &none), &mut Wakes::default()).unwrap();
    drop((channel, session));

    stage.start_again();
    assert_eq!(stage.json(), before);
    assert!(stage.broker.users().authenticate("ann", b"secret", false).is_ok());
    let vhost = stage.broker.vhost("/").unwrap();
    let queue = vhost.queues().into_iter().next().unwrap();
    assert_eq!(queue.effective.policy.as_deref(), Some("p"));
    assert_eq!(queue.effective.operator_policy.as_deref(), Some("o"));
    assert_eq!((vhost.queues().len(), vhost.bindings().len()), (1, 3));
}

#[test]
fn what_was_changed_and_deleted_stays_so_after_a_restart() {
    let mut stage = Stage::new();
    fill(&stage.broker);
    let broker = &stage.broker;
    broker.users().add(User::without_password("bob")).unwrap();
    broker.set_permissions(Permissions::all("bob", "/")).unwrap();
    broker.delete_user("bob").unwrap();
    broker.clear_topic_permissions("v", "ann", None).unwrap();
    broker.clear_policy("/", "p").unwrap();
    broker.clear_operator_policy("/", "o").unwrap();
    broker.clear_permissions("v", "ann").unwrap();
    broker.users().set_password("ann", None).unwrap();
    let (session, mut channel) = stage.door();
    channel.unbind_queue(binding("e", "q", "a.*", &Table::default())).unwrap();
    channel.unbind_exchange(binding("e", "f", "b", &Table::default())).unwrap();
    drop((channel, session));
    let before = stage.json();
    stage.start_again();
    assert_eq!(stage.json(), before);

    let (session, mut channel) = stage.door();
    channel.delete_queue("q", false, false, &mut Wakes::default()).unwrap();
    channel.delete_exchange("e", false).unwrap();
    drop((channel, session));
    stage.broker.delete_vhost("v").unwrap();
    stage.broker.add_vhost("v", VhostMetadata::default()).unwrap();
    let before = stage.json();
    stage.start_again();
    assert_eq!(stage.json(), before);
    assert_eq!(stage.broker.definitions().vhosts[1].limits, VhostLimits::default());
    assert!(stage.broker.vhost("/").unwrap().bindings().is_empty());

    // Of the bindings to a queue that was deleted nothing is left for one of its name.
    let (_session, mut channel) = stage.door();
    channel.declare_queue("q", durable()).unwrap();
    drop(channel);
    stage.start_again();
    assert!(stage.broker.vhost("/").unwrap().bindings().is_empty());
}

/// A value of each type, and those that are easily taken for others.
fn arguments() -> Table {
    let bytes = || Bytes::from_static(b"\xFF\x00\xC3");
    let inner = Table(vec![("x".into(), Value::I8(-1)), ("a".into(), Value::Void)]);
    let values = [
        ("bool", Value::Bool(true)),
        ("i8", Value::I8(-8)),
        ("u8", Value::U8(8)),
        ("i16", Value::I16(-16)),
        ("u16", Value::U16(16)),
        ("i32", Value::I32(7)),
        ("u32", Value::U32(7)),
        ("i64", Value::I64(7)),
        ("f32", Value::F32(0.1)),
        ("f64", Value::F64(-0.0)),
        ("decimal", Value::Decimal(2, 314)),
        ("text", Value::LongString(bytes())),
        ("bytes", Value::ByteArray(bytes())),
        ("time", Value::Timestamp(1_700_000_000)),
        ("table", Value::Table(inner)),
        ("array", Value::Array(vec![Value::I32(1), Value::I64(1), Value::Array(vec![Value::Void])])),
        ("void", Value::Void),
    ];
    Table(values.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

#[test]
fn arguments_come_back_exactly() {
    let mut stage = Stage::new();
    let arguments = arguments();
    let (session, mut channel) = stage.door();
    channel.declare_queue("q", QueueOptions { arguments: arguments.clone(), ..durable() }).unwrap();
    let options = ExchangeOptions { arguments: arguments.clone(), ..durable_exchange() };
    channel.declare_exchange("e", "direct", options).unwrap();
    channel.bind_queue(binding("e", "q", "k", &arguments), &mut Wakes::default()).unwrap();
    let bound = stage.broker.vhost("/").unwrap().bindings()[0].arguments.clone();
    drop((channel, session));

    stage.start_again();
    let vhost = stage.broker.vhost("/").unwrap();
    assert_eq!(vhost.queues()[0].options.arguments, arguments);
    let exchange = vhost.exchanges().into_iter().find(|exchange| &*exchange.name == "e").unwrap();
    assert_eq!(exchange.options.arguments, arguments);
    assert_eq!(vhost.bindings()[0].arguments, bound);

    // It is the same binding: with its arguments in another order it can be unbound for good.
    let (session, mut channel) = stage.door();
    let mut reversed = arguments;
    reversed.0.reverse();
    channel.unbind_queue(binding("e", "q", "k", &reversed)).unwrap();
    drop((channel, session));
    stage.start_again();
    assert!(stage.broker.vhost("/").unwrap().bindings().is_empty());
}

fn numbers(store: &DefinitionStore) -> Vec<(String, u64)> {
    let definitions = store.recorded().unwrap();
    let queues = definitions.into_iter().filter_map(|definition| match definition {
        Definition::Queue(number, queue, _) => Some((queue.name, number)),
        _ => None,
    });
    queues.collect()
}

#[test]
fn a_queue_keeps_its_number_and_none_is_given_twice() {
    let mut stage = Stage::new();
    let mut given = std::collections::HashSet::new();
    for round in 0..3 {
        stage.start_again();
        let (session, mut channel) = stage.door();
        for queue in ["a", "b"] {
            channel.delete_queue(queue, false, false, &mut Wakes::default()).unwrap();
            channel.declare_queue(queue, durable()).unwrap();
        }
        drop((channel, session));
        stage.store.close();
        (stage.store, stage.broker) = start(&stage.folder, &stage.fault, &stage.clock);
        let numbers = numbers(&stage.store);
        assert_eq!(numbers.len(), 2);
        assert!(numbers.iter().all(|(_, number)| given.insert(*number)), "round {round}: {numbers:?}");
        // The last ones are deleted, and yet not given again.
        let (_session, mut channel) = stage.door();
        channel.delete_queue("a", false, false, &mut Wakes::default()).unwrap();
        channel.delete_queue("b", false, false, &mut Wakes::default()).unwrap();
    }
}

#[test]
fn what_goes_by_itself_does_not_come_back() {
    let mut stage = Stage::new();
    let none = Table::default();
    let (session, mut channel) = stage.door();
    let auto_delete = QueueOptions { auto_delete: true, ..durable() };
    channel.declare_queue("consumed", auto_delete).unwrap();
    let expires = Table(vec![("x-expires".into(), Value::I32(1000))]);
    channel.declare_queue("expires", QueueOptions { arguments: expires, ..durable() }).unwrap();
    channel.declare_queue("stays", durable()).unwrap();
    let options = ExchangeOptions { auto_delete: true, ..durable_exchange() };
    channel.declare_exchange("first", "fanout", options.clone()).unwrap();
    channel.declare_exchange("second", "fanout", options).unwrap();
    channel.bind_exchange(binding("second", "first", "", &none), &mut Wakes::default()).unwrap();
    channel.bind_queue(binding("first", "consumed", "", &none), &mut Wakes::default()).unwrap();

    let consume = ConsumeOptions { queue: "consumed", tag: "c", ..ConsumeOptions::default() };
    channel.consume(&consume, &mut Wakes::default()).unwrap();
    channel.cancel("c", &mut Wakes::default());
    stage.clock.advance(Duration::from_secs(2));
    stage.broker.run_due();
    drop((channel, session));
    stage.start_again();
    let vhost = stage.broker.vhost("/").unwrap();
    let queues: Vec<_> = vhost.queues().into_iter().map(|queue| queue.info.name).collect();
    assert_eq!(queues, ["stays".into()]);
    let exchanges = vhost.exchanges().into_iter().filter(|exchange| !exchange.name.starts_with("amq."));
    assert_eq!((exchanges.count(), vhost.bindings().len()), (0, 0));
}

#[test]
fn what_cannot_be_kept_fails_and_leaves_the_broker_as_it_was() {
    let mut stage = Stage::new();
    fill(&stage.broker);
    let before = stage.json();
    let none = Table::default();
    let (session, mut channel) = stage.door();
    let broker = stage.broker.clone();
    stage.fault.full.store(true, Relaxed);
    let wakes = &mut Wakes::default();
    let refused = [
        channel.declare_queue("new", durable()).map(drop),
        channel.declare_exchange("new", "fanout", durable_exchange()),
        channel.bind_queue(binding("e", "q", "new", &none), wakes),
        channel.unbind_queue(binding("e", "q", "a.*", &none)),
        channel.bind_exchange(binding("f", "e", "", &none), wakes),
        channel.delete_queue("q", false, false, wakes).map(drop),
        channel.delete_exchange("e", false),
        broker.add_vhost("new", VhostMetadata::default()),
        broker.set_vhost_limits("/", VhostLimits { max_queues: Some(1), ..VhostLimits::default() }),
        broker.delete_vhost("/"),
        broker.users().add(User::without_password("new")),
        broker.users().set_tags("ann", Vec::new()),
        broker.delete_user("ann"),
        broker.set_permissions(Permissions::all("ann", "/")),
        broker.clear_permissions("v", "ann"),
        broker.set_policy(policy("new", serde_json::json!({"max-length": 1}))),
        broker.clear_policy("/", "p"),
    ];
    for (index, result) in refused.into_iter().enumerate() {
        let error = result.expect_err(&format!("change {index}"));
        assert_eq!(error.kind(), Kind::ResourceError, "{error}");
        assert!(error.entity().ends_with("definitions"), "{error}");
    }
    assert_eq!(stage.json(), before);
    // Non-durable things need no disk.
    channel.declare_queue("transient", QueueOptions::default()).unwrap();

    stage.fault.full.store(false, Relaxed);
    channel.bind_queue(binding("e", "q", "new", &none), wakes).unwrap();
    channel.declare_queue("new", durable()).unwrap();
    drop((channel, session));
    let after = stage.json();
    stage.start_again();
    assert_eq!(stage.json(), after);
}

#[test]
fn changes_that_come_while_the_disk_is_busy_share_a_commit() {
    const THREADS: usize = 40;
    let stage = Stage::new();
    let busy = stage.fault.gate.lock();
    let before = stage.fault.syncs.load(Relaxed);
    std::thread::scope(|scope| {
        let declare = |name: String| {
            let (_session, mut channel) = stage.door();
            channel.declare_queue(&name, durable()).unwrap();
        };
        let threads: Vec<_> = (0..THREADS).map(|n| scope.spawn(move || declare(format!("q{n}")))).collect();
        // Each has its number, and with the topology's lock that was held then, its place in a commit: in the one
        // that waits for the disk, or in the next.
        while stage.store.next_queue.load(Relaxed) <= THREADS as u64 {
            std::thread::yield_now();
        }
        assert!(stage.broker.vhost("/").unwrap().queues().is_empty(), "not there before it is on disk");
        assert!(!threads.iter().any(|thread| thread.is_finished()), "declared without the disk");
        drop(busy);
    });
    assert_eq!(stage.broker.vhost("/").unwrap().queues().len(), THREADS);
    let commits = stage.fault.syncs.load(Relaxed) - before;
    assert!(commits <= 2, "{commits} syncs");
}

#[test]
fn nothing_is_bound_to_an_exchange_whose_deletion_is_on_its_way_to_the_disk() {
    let stage = Stage::new();
    fill(&stage.broker);
    let busy = stage.fault.gate.lock();
    let before = stage.fault.syncs.load(Relaxed);
    let none = Table::default();
    let (told, heard) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let stage = &stage;
        let deleted = scope.spawn(|| stage.door().1.delete_exchange("e", false));
        while stage.fault.syncs.load(Relaxed) == before {
            std::thread::yield_now();
        }
        let none = &none;
        scope.spawn(move || {
            let bound = stage.door().1.bind_queue(binding("e", "q", "new", none), &mut Wakes::default());
            told.send(bound.map_err(|error| error.reply_text())).unwrap();
        });
        let bound = heard.recv_timeout(Duration::from_secs(20));
        drop(busy);
        assert_eq!(bound, Ok(Err("NOT_FOUND - no exchange 'e' in vhost '/'".into())));
        deleted.join().unwrap().unwrap();
    });
}

#[test]
fn whatever_is_changed_at_the_same_time_is_on_disk_as_it_is_in_the_broker() {
    let mut stage = Stage::new();
    for round in 0..6 {
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let broker = &stage.broker;
                scope.spawn(move || change_at_random(broker, round * 10 + thread));
            }
        });
        let before = stage.json();
        stage.start_again();
        assert_eq!(stage.json(), before, "round {round}");
    }
}

/// Does this and that to few things, so that others are at the same ones.
fn change_at_random(broker: &Arc<Broker>, seed: u64) {
    let (_session, mut channel) = door(broker);
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut any = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let none = Table::default();
    let wakes = &mut Wakes::default();
    for _ in 0..60 {
        let queue = ["a", "b", "c"][any(3) as usize];
        let exchange = ["d", "e", "f"][any(3) as usize];
        let key = ["k", "l"][any(2) as usize];
        // "f" goes with its last binding.
        let options = ExchangeOptions { auto_delete: exchange == "f", ..durable_exchange() };
        // What somebody else has just deleted is an error, which closes nothing here.
        let _ = match any(10) {
            0 | 1 => channel.declare_queue(queue, durable()).map(drop),
            2 | 3 => channel.declare_exchange(exchange, "direct", options),
            4 | 5 => channel.bind_queue(binding(exchange, queue, key, &none), wakes),
            6 => channel.bind_exchange(binding("d", exchange, key, &none), wakes),
            7 => channel.unbind_queue(binding(exchange, queue, key, &none)),
            8 => channel.delete_queue(queue, false, false, wakes).map(drop),
            _ => channel.delete_exchange(exchange, false),
        };
    }
}

#[test]
fn what_is_done_together_is_there_in_whole_or_not_at_all() {
    let mut stage = Stage::new();
    let before = stage.json();
    let broker = stage.broker.clone();
    let failed = stage.store.together(|| {
        fill(&broker);
        Err(Error::new(Kind::InvalidArgument, "test", "changed my mind"))
    });
    assert_eq!(failed.unwrap_err().kind(), Kind::InvalidArgument);
    stage.start_again();
    assert_eq!(stage.json(), before);

    let broker = stage.broker.clone();
    let syncs = stage.fault.syncs.load(Relaxed);
    let filling = || {
        fill(&broker);
        Ok(())
    };
    stage.store.together(filling).unwrap();
    assert!(stage.fault.syncs.load(Relaxed) - syncs <= 2, "one commit");
    let filled = stage.json();
    stage.start_again();
    assert_eq!(stage.json(), filled);
}

#[test]
fn definitions_of_a_newer_version_are_refused() {
    let stage = Stage::new();
    stage.store.close();
    let path = stage.folder.path().join("definitions");
    let database = Database::open(&path).map_err(|error| error.to_string()).unwrap();
    tables::pretend_newer(&database).unwrap();
    drop(database);
    let error = DefinitionStore::open(&path).unwrap_err();
    assert!(error.to_string().contains("written by a newer version: format 2"), "{error}");
    assert_eq!(error.entity(), path.display().to_string());
}

#[test]
fn a_file_that_holds_something_else_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("definitions");
    std::fs::write(&path, "no database").unwrap();
    let error = DefinitionStore::open(&path).unwrap_err();
    assert_eq!(error.kind(), Kind::ResourceError);
    assert_eq!(std::fs::read(&path).unwrap(), b"no database");
}

#[test]
fn a_file_at_rest_is_closed_and_who_reads_it_leaves_it_as_it_is() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("definitions");
    let store = Arc::new(DefinitionStore::open(&path).unwrap());
    let broker = Broker::restore(Options::default(), store.clone()).unwrap();
    store.together(|| broker.furnish()).unwrap();
    let patience = Instant::now() + Duration::from_secs(20);
    while Database::builder().open_read_only(&path).is_err() {
        assert!(Instant::now() < patience, "it stays open");
        std::thread::sleep(Duration::from_millis(10));
    }
    let (_session, mut channel) = door(&broker);
    channel.declare_queue("later", durable()).unwrap();
    drop((channel, _session, broker, store));

    let before = std::fs::read(&path).unwrap();
    let store = DefinitionStore::open(&path).unwrap();
    assert_eq!(numbers(&store).len(), 1);
    assert!(std::fs::read(&path).unwrap() == before, "it was written to");
}

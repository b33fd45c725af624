//! A directory that another process hosts.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use warrenmq::broker::Binding;
use warrenmq::client::{
    BatchPublishing, ConnectOptions, Connection, ConnectionEvent, ConsumeOptions, Delivery, Publish,
    QueueOptions, Settle,
};
use warrenmq::error::{Error, Kind};
use warrenmq::wire::Table;

use crate::scenarios::{ALL, bodies, consume, open, outcome, publish, queue, run, send, take};

const BINARY: &str = env!("CARGO_BIN_EXE_warrenmq");

/// `warrenmq serve`, which hosts a directory until it is dropped.
pub(crate) struct Host(pub(crate) Child);

impl Host {
    /// One that is ready.
    pub(crate) fn of(directory: &Path) -> Self {
        let host = Self::start(directory);
        host.ready().expect("it says when it is ready")
    }

    /// One that is ready, and sees none of the processes here. None where the system has no such thing.
    fn elsewhere(directory: &Path) -> Option<Self> {
        let unshared = ["-r", "-p", "-f", "--kill-child", BINARY];
        Self::by(Command::new("unshare").args(unshared), directory)?.ready()
    }

    /// One that hosts the directory if nobody else does.
    fn start(directory: &Path) -> Self {
        Self::by(&mut Command::new(BINARY), directory).expect("the broker starts")
    }

    fn by(command: &mut Command, directory: &Path) -> Option<Self> {
        command.args(["serve", "--amqp", "127.0.0.1:0", "--data"]).arg(directory);
        command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok().map(Host)
    }

    fn ready(mut self) -> Option<Self> {
        let mut ready = String::new();
        BufReader::new(self.0.stdout.take()?).read_line(&mut ready).ok()?;
        ready.starts_with("ready ").then_some(self)
    }

    /// Returns when it does nothing any more, until it is killed or has to go on.
    pub(crate) fn stop(&self) {
        let pid = Pid::from_child(&self.0);
        kill_process(pid, Signal::STOP).unwrap();
        waitpid(Some(pid), WaitOptions::UNTRACED).unwrap();
    }

    /// By SIGKILL, or in good order.
    pub(crate) fn end(&mut self, killed: bool) {
        let how = if killed { Signal::KILL } else { Signal::TERM };
        let _ = kill_process(Pid::from_child(&self.0), how); // it may have ended, as somebody else hosts
        self.0.wait().expect("it ends");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn url(directory: &Path) -> String {
    format!("local:{}", directory.display())
}

#[test]
fn every_scenario_holds_for_a_process_that_attaches() {
    let folder = tempfile::TempDir::new().unwrap();
    let _host = Host::of(folder.path());
    assert_eq!(open(&url(folder.path())).transport(), "local");
    for (name, scenario) in ALL {
        eprintln!("  {name}");
        scenario(&url(folder.path()));
    }
}

/// Short, as it is meant to run out.
fn try_open(url: &str) -> Result<Connection, Error> {
    let options = ConnectOptions { timeout: Duration::from_millis(300), ..ConnectOptions::default() };
    run(Connection::open(url, &options))
}

/// A connection to a host, with what it is told.
fn listening(directory: &Path) -> (Connection, Arc<Mutex<Vec<ConnectionEvent>>>) {
    let connection = open(&url(directory));
    let events = Arc::new(Mutex::new(Vec::new()));
    let heard = events.clone();
    connection.on_event(Arc::new(move |event| heard.lock().unwrap().push(event)));
    (connection, events)
}

pub(crate) fn durable() -> QueueOptions {
    QueueOptions { durable: true, ..QueueOptions::default() }
}

pub(crate) fn persistent<'a>(queue: &'a str, body: &'a [u8]) -> Publish<'a> {
    Publish { properties: &[0x10, 0, 2], ..publish(queue, body) }
}

#[test]
fn when_the_host_is_killed_a_process_that_was_attached_takes_over_and_goes_on() {
    let folder = tempfile::TempDir::new().unwrap();
    let host = Host::of(folder.path());
    let (connection, events) = listening(folder.path());
    let channel = run(connection.channel()).unwrap();
    run(channel.declare_queue("kept", false, durable())).unwrap();
    let gone =
        run(channel.declare_queue("", false, QueueOptions { exclusive: true, ..QueueOptions::default() }));
    let gone = gone.unwrap().name;
    let arguments = Table::default();
    let binding =
        Binding { source: "amq.topic", destination: &gone, routing_key: "news.#", arguments: &arguments };
    run(channel.bind_queue(binding)).unwrap();
    run(channel.qos(2, false)).unwrap();
    let (kept, news) = (consume(&channel, "kept"), consume(&channel, &gone));
    let tag = news.tag().to_owned();
    for body in ["a", "b", "c"] {
        assert!(outcome(channel.publish(persistent("kept", body.as_bytes())).unwrap()).unwrap().routed);
    }
    let before = take(&kept, 2);
    assert_eq!(bodies(&before), ["a", "b"]);
    channel.settle(&[(before[0].tag, false)], Settle::Ack).unwrap();
    run(channel.declare_queue("kept", true, durable())).unwrap(); // so that the host has seen it

    drop(host);
    // Without awaiting anything: it waits for the new host.
    let publishing = channel.publish(persistent("kept", b"d")).unwrap();
    assert!(outcome(publishing).unwrap().routed);
    // Late, and for what the host had delivered that is gone.
    channel.settle(&[(before[1].tag, false)], Settle::Ack).unwrap();
    // The last one is behind all that came again, an acknowledged message maybe among it: nobody confirms acks.
    let mut again = Vec::new();
    while again.last().is_none_or(|delivery: &Delivery| delivery.message.body() != b"d") {
        let taken = take(&kept, 1);
        channel.settle(&[(taken[0].tag, false)], Settle::Ack).unwrap();
        again.extend(taken);
    }
    let redelivered =
        |body: &str| again.iter().any(|it| it.message.body() == body.as_bytes() && it.redelivered);
    assert!(redelivered("b") && bodies(&again).contains(&"c".to_owned()), "{again:?}");

    let publishing =
        channel.publish(Publish { exchange: "amq.topic", ..publish("news.today", b"x") }).unwrap();
    assert!(outcome(publishing).unwrap().routed);
    assert_eq!((bodies(&take(&news, 1)), news.tag()), (vec!["x".to_owned()], &*tag));
    assert!(channel.is_open());
    let events = events.lock().unwrap().clone();
    assert!(matches!(&events[..], [ConnectionEvent::Reconnected]), "{events:?}");
    run(connection.close()).unwrap();
}

#[test]
fn confirmed_messages_outlive_host_after_host() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut host = Host::of(folder.path());
    let connection = open(&url(folder.path()));
    let channel = run(connection.channel()).unwrap();
    run(channel.declare_queue("kept", false, durable())).unwrap();
    let mut under_way = Vec::new();
    for round in 0..3 {
        for number in 0..500 {
            let body = format!("{round} {number}");
            under_way.push(channel.publish(persistent("kept", body.as_bytes())).unwrap());
        }
        let mut batch = (0..500).map(|_| persistent("kept", b"batch"));
        let batch = channel.publish_all(&mut batch).unwrap();
        host.end(round % 2 == 0);
        // Who is first has the directory: this process, or the next host.
        host = Host::start(folder.path());
        let BatchPublishing::Pending(batch) = batch else { panic!("not done yet") };
        assert_eq!(run(batch).unwrap().confirmed, 500);
        for publishing in under_way.drain(..) {
            assert!(outcome(publishing).unwrap().routed);
        }
        host.end(true);
        host = Host::start(folder.path());
    }
    let consumer = consume(&channel, "kept");
    let mut got = std::collections::HashSet::new();
    let mut in_batches = 0;
    while got.len() < 1500 || in_batches < 1500 {
        for delivery in take(&consumer, 1) {
            match String::from_utf8_lossy(delivery.message.body()) {
                body if body == "batch" => in_batches += 1,
                body => drop(got.insert(body.into_owned())),
            }
            channel.settle(&[(delivery.tag, false)], Settle::Ack).unwrap();
        }
    }
    run(connection.close()).unwrap();
}

#[test]
fn who_comes_after_a_host_that_was_killed_hosts_himself() {
    let folder = tempfile::TempDir::new().unwrap();
    drop(Host::of(folder.path()));
    assert!(folder.path().join("socket").exists(), "a killed process leaves its socket");
    let connection = try_open(&url(folder.path())).unwrap();
    assert!(run(connection.listen("127.0.0.1:0")).is_ok(), "only a host can listen");
}

#[test]
fn a_host_that_is_stopped_is_named_and_keeps_the_directory() {
    let folder = tempfile::TempDir::new().unwrap();
    let host = Host::of(folder.path());
    host.stop();
    let error = try_open(&url(folder.path())).unwrap_err();
    kill_process(Pid::from_child(&host.0), Signal::CONT).unwrap();
    assert_eq!(error.kind(), Kind::Timeout);
    assert!(error.to_string().contains(&format!("in use by process {}", host.0.id())), "{error}");
    assert!(error.to_string().contains("have it go on or end it"), "{error}");
    run(Connection::open(&url(folder.path()), &ConnectOptions::default())).unwrap();
}

#[test]
fn the_number_of_a_process_that_cannot_be_seen_is_not_taken_for_that_of_another() {
    let folder = tempfile::TempDir::new().unwrap();
    let Some(_host) = Host::elsewhere(folder.path()) else {
        eprintln!("  skipped: no PID namespace can be made");
        return;
    };
    let (_connection, channel, name) = queue(&url(folder.path()));
    assert!(send(&channel, &name, "far").routed);
    let told = |command: &str, option: &str| {
        let told = Command::new(BINARY).args([command, option]).arg(folder.path()).output().unwrap();
        String::from_utf8_lossy(&[told.stdout, told.stderr].concat()).into_owned()
    };
    let status = told("status", "--over=0");
    assert!(status.contains("is hosted by process 1 of another PID namespace"), "{status}");
    assert!(status.contains("\nelsewhere "), "{status}");
    let refusal = told("serve", "--data");
    assert!(refusal.contains("in use by process 1 of another PID namespace"), "{refusal}");
}

#[test]
fn a_path_longer_than_a_socket_s_name_works_and_the_socket_is_its_owner_s_alone() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("a".repeat(120)).join("b".repeat(120));
    let _host = Host::of(&path);
    let (_connection, channel, name) = queue(&url(&path));
    assert!(send(&channel, &name, "far").routed);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&path.join("socket"))), (0o700, 0o600));
}

#[test]
fn a_process_of_another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("  skipped: only root can be another user");
        return;
    }
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("data");
    // Every door but the last is opened.
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let _host = Host::of(&path);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    for door in ["socket", "control"] {
        std::fs::set_permissions(path.join(door), PermissionsExt::from_mode(0o666)).unwrap();
    }
    let greet = "import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n\
                 try:\n s.sendall({'socket': b'AMQP\\0\\0\\x09\\x01', 'control': b'status'}[sys.argv[2]])\n\
                 \x20if sys.argv[2] == 'control': s.shutdown(socket.SHUT_WR)\n print(len(s.recv(100)))\n\
                 except (ConnectionResetError, BrokenPipeError):\n print(0)";
    let greeted = |door: &str, user: u32| {
        let output = Command::new("python3")
            .args(["-c", greet])
            .arg(path.join(door))
            .arg(door)
            .uid(user)
            .output()
            .expect("python3 runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    for door in ["socket", "control"] {
        assert_eq!(greeted(door, 0), "100", "its own user is let in by {door}");
        assert_eq!(greeted(door, 65_534), "0", "another user is let in by {door}");
    }
}

#[test]
fn deliveries_that_nobody_takes_are_left_to_the_host_and_nothing_is_lost() {
    let folder = tempfile::TempDir::new().unwrap();
    let _host = Host::of(folder.path());
    let (_connection, publisher, name) = queue(&url(folder.path()));
    let reader = open(&url(folder.path()));
    run(publisher.declare_queue("much", false, QueueOptions::default())).unwrap();
    let channel = run(reader.channel()).unwrap();
    let options = ConsumeOptions { queue: "much", no_ack: true, ..ConsumeOptions::default() };
    let consumer = run(channel.consume(&options)).unwrap();
    let body = vec![b'x'; 1 << 20];
    for _ in 0..128 {
        assert!(outcome(publisher.publish(publish("much", &body)).unwrap()).unwrap().routed);
    }
    thread::sleep(Duration::from_millis(200)); // so that what comes unasked has come
    let mut taken = Vec::new();
    consumer.take(usize::MAX, &mut taken).unwrap();
    assert!(taken.len() < 100, "{} MiB were taken in unasked", taken.len());
    assert_eq!(taken.len() + take(&consumer, 128 - taken.len()).len(), 128);
    let _ = name;
}

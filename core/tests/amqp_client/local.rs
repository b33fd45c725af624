//! A directory that another process hosts.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use warrenmq::client::{ConnectOptions, Connection, ConnectionEvent, ConsumeOptions, QueueOptions};
use warrenmq::error::{Error, Kind};

use crate::scenarios::{ALL, bodies, consume, end, open, outcome, publish, queue, run, send, take};

/// `warrenmq serve`, which hosts a directory until it is dropped.
pub(crate) struct Host(pub(crate) Child);

impl Host {
    pub(crate) fn of(directory: &Path) -> Self {
        let mut host = Command::new(env!("CARGO_BIN_EXE_warrenmq"))
            .args(["serve", "--amqp", "127.0.0.1:0", "--data"])
            .arg(directory)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the broker starts");
        let mut ready = String::new();
        let output = host.stdout.take().expect("its output is piped");
        BufReader::new(output).read_line(&mut ready).expect("it says when it is ready");
        assert!(ready.starts_with("ready "), "{ready}");
        Host(host)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn url(directory: &Path) -> String {
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

#[test]
fn the_end_of_the_host_is_told_once_to_everybody() {
    let folder = tempfile::TempDir::new().unwrap();
    let host = Host::of(folder.path());
    let (connection, channel, name) = queue(&url(folder.path()));
    let consumer = consume(&channel, &name);
    send(&channel, &name, "last");
    assert!(consumer.wait(Some(Duration::from_secs(20))));
    let events = Arc::new(Mutex::new(Vec::new()));
    let heard = events.clone();
    connection.on_event(Arc::new(move |event| heard.lock().unwrap().push(event)));
    drop(host);
    assert_eq!(bodies(&take(&consumer, 1)), ["last"]);
    let error = end(&consumer);
    assert_eq!(error.kind(), Kind::Closed);
    assert!(error.to_string().contains("the connection was lost"), "{error}");
    assert!(!connection.is_open() && !channel.is_open());
    let error = run(channel.purge_queue(&name)).unwrap_err();
    assert_eq!(error.kind(), Kind::Closed);
    run(channel.close()).unwrap();
    run(connection.close()).unwrap();
    let events = events.lock().unwrap().clone();
    assert!(matches!(&events[..], [ConnectionEvent::Closed(Some(_))]), "{events:?}");
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
    let pid = rustix::process::Pid::from_child(&host.0);
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let error = try_open(&url(folder.path())).unwrap_err();
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    assert_eq!(error.kind(), Kind::Timeout);
    assert!(error.to_string().contains(&format!("in use by process {}", host.0.id())), "{error}");
    assert!(error.to_string().contains("have it go on or end it"), "{error}");
    run(Connection::open(&url(folder.path()), &ConnectOptions::default())).unwrap();
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
    std::fs::set_permissions(path.join("socket"), PermissionsExt::from_mode(0o666)).unwrap();
    let greet = "import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n\
                 s.sendall(b'AMQP\\0\\0\\x09\\x01')\n\
                 try: print(len(s.recv(100)))\nexcept ConnectionResetError: print(0)";
    let greeted = |user: u32| {
        let output = Command::new("python3")
            .args(["-c", greet])
            .arg(path.join("socket"))
            .uid(user)
            .output()
            .expect("python3 runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    assert_eq!(greeted(0), "100", "the broker greets its own user");
    assert_eq!(greeted(65_534), "0", "the broker greets another user");
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

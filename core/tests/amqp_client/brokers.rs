//! Brokers to test against, and what stands between them and the client.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

/// A RabbitMQ that this process started, and ends.
pub(crate) struct RabbitMq {
    process: Child,
    port: u16,
    home: PathBuf,
    /// Where it listens with TLS, and the certificate to trust there; if there is an openssl to make one.
    pub(crate) tls: Option<(u16, PathBuf)>,
}

impl RabbitMq {
    /// Starts one on free ports with its files in a directory of its own; none if it is not installed.
    pub(crate) fn start() -> Option<Self> {
        let server = PathBuf::from("/usr/lib/rabbitmq/bin/rabbitmq-server");
        if !server.exists() {
            return None;
        }
        let home = env::temp_dir().join(format!("warrenmq-oracle-{}", std::process::id()));
        fs::create_dir_all(&home).expect("a directory for RabbitMQ");
        fs::write(home.join("enabled_plugins"), "[].").expect("RabbitMQ's list of plug-ins");
        let port = free_port();
        let tls = certificate(&home).map(|(certificate, key)| {
            let (certificate, key, port) = (certificate.display(), key.display(), free_port());
            let config = format!(
                "listeners.ssl.default = 127.0.0.1:{port}\nssl_options.cacertfile = {certificate}\n\
                 ssl_options.certfile = {certificate}\nssl_options.keyfile = {key}\n"
            );
            fs::write(home.join("rabbitmq.conf"), config).expect("RabbitMQ's configuration");
            (port, home.join("certificate.pem"))
        });
        let log = fs::File::create(home.join("output")).expect("a file for RabbitMQ's output");
        let mut command = Command::new(server);
        Self::surroundings(&mut command, &home, port);
        command
            .env("RABBITMQ_DIST_PORT", free_port().to_string())
            .stdout(log.try_clone().expect("the file twice"))
            .stderr(log)
            .stdin(Stdio::null());
        let process = command.spawn().expect("RabbitMQ starts");
        let rabbit = RabbitMq { process, port, home, tls };
        eprintln!("starting RabbitMQ on port {port}");
        let patience = Instant::now();
        while !greets(port) {
            assert!(
                patience.elapsed() < Duration::from_secs(90),
                "RabbitMQ does not come up: {}",
                rabbit.output()
            );
            thread::sleep(Duration::from_millis(200));
        }
        Some(rabbit)
    }

    fn surroundings(command: &mut Command, home: &Path, port: u16) {
        command
            .env("HOME", home)
            .env("RABBITMQ_NODENAME", format!("warrenmq-{port}@localhost"))
            .env("RABBITMQ_NODE_PORT", port.to_string())
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_MNESIA_BASE", home.join("mnesia"))
            .env("RABBITMQ_LOG_BASE", home.join("log"))
            .env("RABBITMQ_PID_FILE", home.join("pid"))
            .env("RABBITMQ_CONFIG_FILE", home.join("rabbitmq.conf"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", home.join("enabled_plugins"));
    }

    pub(crate) fn url(&self) -> String {
        format!("amqp://127.0.0.1:{}", self.port)
    }

    /// Runs `rabbitmqctl`.
    pub(crate) fn control(&self, arguments: &[&str]) {
        let mut command = Command::new("/usr/lib/rabbitmq/bin/rabbitmqctl");
        Self::surroundings(&mut command, &self.home, self.port);
        let output = command.args(arguments).output().expect("rabbitmqctl runs");
        assert!(output.status.success(), "rabbitmqctl {arguments:?}: {output:?}");
    }

    fn output(&self) -> String {
        fs::read_to_string(self.home.join("output")).unwrap_or_default()
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        let mut command = Command::new("/usr/lib/rabbitmq/bin/rabbitmqctl");
        Self::surroundings(&mut command, &self.home, self.port);
        let _ = command.arg("stop").stdout(Stdio::null()).stderr(Stdio::null()).status();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.home);
    }
}

/// A certificate for localhost, signed by itself, and its key.
fn certificate(home: &Path) -> Option<(PathBuf, PathBuf)> {
    let (certificate, key) = (home.join("certificate.pem"), home.join("key.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .stderr(Stdio::null())
        .status();
    made.is_ok_and(|status| status.success()).then_some((certificate, key))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// Whether an AMQP broker answers to the protocol header.
fn greets(port: u16) -> bool {
    let Ok(mut socket) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let greeted = socket
        .set_read_timeout(Some(Duration::from_secs(5)))
        .and_then(|()| socket.write_all(b"AMQP\0\0\x09\x01"))
        .and_then(|()| socket.read_exact(&mut [0; 8]));
    greeted.is_ok()
}

/// Passes bytes on, until it is cut.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    sockets: Arc<Mutex<Vec<TcpStream>>>,
    frozen: Arc<AtomicBool>,
}

impl Proxy {
    /// In front of the broker at `HOST:PORT`.
    pub(crate) fn before(broker: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let sockets = Arc::<Mutex<Vec<TcpStream>>>::default();
        let frozen = Arc::<AtomicBool>::default();
        let (broker, kept, holds) = (broker.to_string(), sockets.clone(), frozen.clone());
        thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(&broker)) else { return };
                let ends = || (client.try_clone().expect("a clone"), server.try_clone().expect("a clone"));
                let (from_client, to_server) = ends();
                let (to_client, from_server) = ends();
                kept.lock().expect("no panic").extend([client, server]);
                thread::spawn(move || pass(from_client, to_server, &AtomicBool::new(false)));
                let frozen = holds.clone();
                thread::spawn(move || pass(from_server, to_client, &frozen));
            }
        });
        Proxy { port, sockets, frozen }
    }

    /// Passes on nothing to the client any more.
    pub(crate) fn freeze(&self) {
        self.frozen.store(true, SeqCst);
    }

    /// Cuts what goes through it.
    pub(crate) fn cut(&self) {
        for socket in self.sockets.lock().expect("no panic").drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, frozen: &AtomicBool) {
    let mut buffer = [0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if !frozen.load(SeqCst) && to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

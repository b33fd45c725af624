//! Clients that speak TLS, and those who do it wrong.

#![allow(clippy::unwrap_used)] // a test that fails may panic

use std::fs;
use std::future::Future;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use warrenmq::Kind;
use warrenmq::auth::{Permissions, User, UserLimits};
use warrenmq::broker::{Broker, Options};
use warrenmq::client::{
    ConnectOptions, Connection, ConsumeOptions, Delivery, Publish, Publishing, QueueOptions, runtime,
};
use warrenmq::message::Body;
use warrenmq::server::{Limits, LoginFrom, Server, Tls, TlsOptions, Verify};

fn run<T>(future: impl Future<Output = T>) -> T {
    runtime().unwrap().block_on(future)
}

/// An authority, and what it has signed: for the broker as `localhost`, and for clients.
struct Authority {
    directory: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(test: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("warrenmq-tls-{}-{test}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        fs::write(directory.join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        let authority = Authority { directory, issuer: Issuer::new(params, key) };
        authority.sign("broker", CertificateParams::new(vec!["localhost".into()]).unwrap());
        for name in ["guest", "worker"] {
            let mut client = CertificateParams::default();
            client.distinguished_name.remove(DnType::CommonName);
            client.distinguished_name.push(DnType::OrganizationName, "Rabbits, Ltd");
            client.distinguished_name.push(DnType::CommonName, name);
            authority.sign(name, client);
        }
        authority
    }

    fn sign(&self, name: &str, params: CertificateParams) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.file(&format!("{name}.pem")), certificate.pem()).unwrap();
        fs::write(self.file(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn listen(&self, verify: Verify, login_from: LoginFrom) -> Server {
        let options = TlsOptions {
            certificate: self.file("broker.pem"),
            key: self.file("broker.key"),
            authorities: Some(self.file("ca.pem")),
            verify,
            login_from,
        };
        let limits = Limits { handshake: Duration::from_millis(700), ..Limits::default() };
        let broker = Broker::new(Options::default());
        let name = r"CN=worker,O=Rabbits\, Ltd";
        broker
            .users()
            .add(User { name: name.into(), tags: vec![], limits: UserLimits::default(), password: None })
            .unwrap();
        broker.set_permissions(Permissions::all(name, "/")).unwrap();
        run(Server::listen_tls(broker, "127.0.0.1:0", limits, Tls::load(&options).unwrap())).unwrap()
    }

    /// For a client that trusts the authority; `more` for what it shows.
    fn url(&self, server: &Server, more: &str) -> String {
        let port = server.address().port();
        format!("amqps://localhost:{port}?cacertfile={}{more}", self.file("ca.pem").display())
    }

    fn shown(&self, name: &str) -> String {
        let (certificate, key) = (self.file(&format!("{name}.pem")), self.file(&format!("{name}.key")));
        format!("&certfile={}&keyfile={}", certificate.display(), key.display())
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn open(url: &str) -> warrenmq::Result<Connection> {
    run(Connection::open(url, &ConnectOptions::default()))
}

/// Sends bodies round and says whether they came back as they were.
fn works(connection: &Connection, bodies: &[Vec<u8>]) -> bool {
    let channel = run(connection.channel()).unwrap();
    let options = QueueOptions { exclusive: true, ..QueueOptions::default() };
    let queue = run(channel.declare_queue("", false, options)).unwrap().name;
    let consumer =
        run(channel.consume(&ConsumeOptions { queue: &queue, no_ack: true, ..Default::default() }));
    let consumer = consumer.unwrap();
    let publishes: Vec<_> =
        bodies.iter().map(|body| channel.publish(publish(&queue, body)).unwrap()).collect();
    for publishing in publishes {
        if let Publishing::Pending(answer) = publishing {
            assert!(run(answer).unwrap().routed);
        }
    }
    let mut taken: Vec<Delivery> = Vec::new();
    while taken.len() < bodies.len() {
        assert!(consumer.wait(Some(Duration::from_secs(20))), "only {} came", taken.len());
        consumer.take(usize::MAX, &mut taken).unwrap();
    }
    run(channel.delete_queue(&queue, false, false)).unwrap();
    taken.iter().map(|delivery| delivery.message.body()).eq(bodies.iter().map(|body| &body[..]))
}

fn publish<'a>(queue: &'a str, body: &'a [u8]) -> Publish<'a> {
    Publish {
        exchange: "",
        routing_key: queue,
        mandatory: false,
        properties: &[0, 0],
        body: Body::Slice(body),
    }
}

#[test]
fn messages_of_every_size_go_round() {
    let authority = Authority::new("sizes");
    let server = authority.listen(Verify::None, LoginFrom::default());
    let connection = open(&authority.url(&server, "")).unwrap();
    let body = |size: usize| (0..size).map(|index| (index * 31 % 251) as u8).collect::<Vec<_>>();
    assert!(works(&connection, &[0, 1, 100, 16_384, 16_385, 131_072, 3_000_000].map(body)));
    assert!(works(&connection, &(0..5000).map(|size| body(size % 300)).collect::<Vec<_>>()));
    run(connection.close()).unwrap();
    run(server.stop());
}

#[test]
fn a_client_that_does_not_trust_the_broker_stays_away_unless_it_does_not_care() {
    let authority = Authority::new("trust");
    let server = authority.listen(Verify::None, LoginFrom::default());
    let url = format!("amqps://localhost:{}", server.address().port());
    let error = open(&url).unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable, "{error}");
    assert!(works(&open(&format!("{url}?verify=verify_none")).unwrap(), &[vec![1]]));
    let wrong = authority.url(&server, "&server_name_indication=elsewhere");
    assert_eq!(open(&wrong).unwrap_err().kind(), Kind::Unreachable);
}

#[test]
fn who_has_to_show_a_certificate_is_refused_without_one() {
    let authority = Authority::new("require");
    let server = authority.listen(Verify::Require, LoginFrom::default());
    let error = open(&authority.url(&server, "")).unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable, "{error}");
    let stranger = Authority::new("stranger");
    assert_eq!(
        open(&authority.url(&server, &stranger.shown("guest"))).unwrap_err().kind(),
        Kind::Unreachable
    );
    assert!(works(&open(&authority.url(&server, &authority.shown("guest"))).unwrap(), &[vec![1]]));
}

#[test]
fn a_certificate_is_a_login_where_certificates_are_verified() {
    let authority = Authority::new("external");
    let external = |more: String| format!("{more}&auth_mechanism=external");
    let server = authority.listen(Verify::Peer, LoginFrom::CommonName);
    let url = authority.url(&server, &external(authority.shown("guest")));
    assert!(works(&open(&url).unwrap(), &[vec![1]]));
    let refused = |server: &Server, more: String| {
        let error = open(&authority.url(server, &external(more))).unwrap_err();
        assert_eq!(error.kind(), Kind::AccessRefused, "{error}");
        assert!(
            error.reason().contains("Login was refused using authentication mechanism EXTERNAL"),
            "{error}"
        );
    };
    refused(&server, String::new());
    let by_subject = authority.listen(Verify::Peer, LoginFrom::DistinguishedName);
    refused(&by_subject, authority.shown("guest"));
    let worker = authority.url(&by_subject, &external(authority.shown("worker")));
    assert!(works(&open(&worker).unwrap(), &[vec![1]]));
    refused(&authority.listen(Verify::None, LoginFrom::CommonName), authority.shown("guest"));
    // A password does as well.
    assert!(works(&open(&authority.url(&server, "")).unwrap(), &[vec![1]]));
}

#[test]
fn who_speaks_no_tls_or_nothing_at_all_is_sent_away_and_disturbs_nobody() {
    let authority = Authority::new("plain");
    let server = authority.listen(Verify::None, LoginFrom::default());
    let neighbour = open(&authority.url(&server, "")).unwrap();
    let mut answers = Vec::new();
    for start in [&b"AMQP\0\0\x09\x01"[..], b"", b"\x16\x03\x01\xff\xff", b"GET / HTTP/1.1\r\n\r\n"] {
        let mut socket = TcpStream::connect(server.address()).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket.write_all(start).unwrap();
        let mut answer = Vec::new();
        // Reset or closed, but not left open.
        let ended = socket.read_to_end(&mut answer);
        assert!(!matches!(&ended, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock), "{start:?}");
        answers.push(answer);
        assert!(works(&neighbour, &[vec![1]]));
    }
    assert_eq!(answers[0].first(), Some(&0x15), "a TLS alert");
}

#[test]
fn files_that_do_not_fit_are_named() {
    let authority = Authority::new("files");
    let options = TlsOptions {
        certificate: authority.file("broker.pem"),
        key: authority.file("guest.key"),
        authorities: None,
        verify: Verify::None,
        login_from: LoginFrom::default(),
    };
    let load = |options: &TlsOptions| Tls::load(options).unwrap_err().to_string();
    assert!(load(&options).contains("broker.pem"));
    assert!(load(&TlsOptions { key: authority.file("nothing"), ..options.clone() }).contains("nothing"));
    let swapped = TlsOptions { certificate: authority.file("broker.key"), ..options.clone() };
    assert!(load(&swapped).contains("holds no certificate"));
    assert!(load(&TlsOptions { verify: Verify::Require, ..options }).contains("--tls-ca"));
}

//! What a client says to hosts that come and go.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use bytes::BytesMut;

use crate::client::{ConnectOptions, Connection, ConnectionEvent, Publish, Publishing, process};
use crate::doorway;
use crate::error::Kind;
use crate::message::Body;
use crate::server::identity::NUMBERED_RETURNS;
use crate::storage::Directory;
use crate::wire::frame::PROTOCOL_HEADER;
use crate::wire::{
    FrameKind, Method, PropertiesView, ShortString, Table, Value, basic, channel, connection, next_frame,
    queue,
};

/// How long a client may take to say something.
const PATIENCE: Duration = Duration::from_secs(10);

/// A process that has a directory, and says what a test has it say.
struct Host {
    folder: tempfile::TempDir,
    _directory: Directory,
    listener: UnixListener,
}

impl Host {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::open(folder.path()).unwrap();
        let listener = doorway::listen(folder.path(), doorway::AMQP).unwrap();
        listener.set_nonblocking(true).unwrap();
        Host { folder, _directory: directory, listener }
    }

    fn url(&self) -> String {
        format!("local:{}", self.folder.path().display())
    }

    /// The next connection; a test whose client has failed does not wait for ever.
    fn accept(&self) -> UnixStream {
        let begun = Instant::now();
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).unwrap();
                    return stream;
                }
                Err(error) => assert!(begun.elapsed() < PATIENCE, "nobody connects: {error}"),
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Greets the next connection.
    fn greet(&self) -> Guest {
        let stream = self.accept();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut guest = Guest { stream, buffer: BytesMut::new() };
        let mut header = [0; PROTOCOL_HEADER.len()];
        guest.stream.read_exact(&mut header).unwrap();
        let mut capabilities = Table::default();
        capabilities.insert(NUMBERED_RETURNS, Value::Bool(true));
        let mut server_properties = Table::default();
        server_properties.insert("capabilities", Value::Table(capabilities));
        let start = connection::Start {
            version_major: 0,
            version_minor: 9,
            server_properties,
            mechanisms: "EXTERNAL".into(),
            locales: "en_US".into(),
        };
        guest.say(0, Method::ConnectionStart(start));
        guest.hear(); // start-ok
        guest
    }

    /// Lets the next connection in.
    fn admit(&self) -> Guest {
        let mut guest = self.greet();
        let tune = connection::Tune { channel_max: 100, frame_max: 131_072, heartbeat: 0 };
        guest.say(0, Method::ConnectionTune(tune));
        guest.hear(); // tune-ok
        guest.hear(); // open
        guest.say(0, Method::ConnectionOpenOk(connection::OpenOk::default()));
        guest
    }
}

/// A client, as its host sees it.
struct Guest {
    stream: UnixStream,
    buffer: BytesMut,
}

impl Guest {
    fn say(&mut self, channel: u16, method: Method) {
        let mut out = BytesMut::new();
        method.encode(channel, &mut out);
        self.stream.write_all(&out).unwrap();
    }

    /// The next method.
    fn hear(&mut self) -> Method {
        loop {
            if let Some(frame) = next_frame(&self.buffer, 0).unwrap() {
                let (kind, length) = (frame.kind, frame.total_len());
                let method = (kind == FrameKind::Method).then(|| Method::decode(frame.payload).unwrap());
                let _ = self.buffer.split_to(length);
                match method {
                    Some(method) => return method,
                    None => continue,
                }
            }
            let mut read = [0; 4096];
            let count = self.stream.read(&mut read).unwrap();
            assert!(count > 0, "the client has gone");
            self.buffer.extend_from_slice(&read[..count]);
        }
    }

    /// The names of the next methods.
    fn names(&mut self, count: usize) -> Vec<&'static str> {
        (0..count).map(|_| self.hear().name()).collect()
    }
}

#[test]
fn a_channel_is_restored_once_though_host_after_host_goes_before_it_has_answered() {
    let host = Host::new();
    let url = host.url();
    let client = std::thread::spawn(move || {
        let runtime = process::runtime().unwrap();
        runtime.block_on(async {
            let connection = Connection::open(&url, &ConnectOptions::default()).await.unwrap();
            let channel = connection.channel().await.unwrap();
            channel.qos(7, false).await.unwrap();
            channel.purge_queue("q").await.unwrap()
        })
    });
    let opened = || Method::ChannelOpenOk(channel::OpenOk::default());
    let limited = || Method::BasicQosOk(basic::QosOk {});
    let mut first = host.admit();
    assert_eq!(first.names(1), ["channel.open"]);
    first.say(1, opened());
    assert_eq!(first.names(1), ["basic.qos"]);
    first.say(1, limited());
    assert_eq!(first.names(1), ["queue.purge"]);
    drop(first);
    for _ in 0..2 {
        assert_eq!(host.admit().names(3), ["channel.open", "basic.qos", "queue.purge"]);
    }
    let mut last = host.admit();
    assert_eq!(last.names(3), ["channel.open", "basic.qos", "queue.purge"]);
    last.say(1, opened());
    last.say(1, limited());
    last.say(1, Method::QueuePurgeOk(queue::PurgeOk { message_count: 5 }));
    assert_eq!(client.join().unwrap(), 5);
}

#[test]
fn a_host_that_stops_while_one_connects_is_not_the_last() {
    let host = Host::new();
    let url = host.url();
    let client = std::thread::spawn(move || {
        process::runtime().unwrap().block_on(async {
            let connection = Connection::open(&url, &ConnectOptions::default()).await.unwrap();
            connection.channel().await.unwrap().purge_queue("q").await.unwrap()
        })
    });
    let turn_away = || {
        let reply_text = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'";
        let reply_text = ShortString::truncated(reply_text);
        let close = connection::Close { reply_code: 320, reply_text, ..connection::Close::default() };
        host.greet().say(0, Method::ConnectionClose(close));
    };
    turn_away();
    drop(host.admit());
    turn_away();
    let mut last = host.admit();
    assert_eq!(last.names(1), ["channel.open"]);
    last.say(1, Method::ChannelOpenOk(channel::OpenOk::default()));
    assert_eq!(last.names(1), ["queue.purge"]);
    last.say(1, Method::QueuePurgeOk(queue::PurgeOk { message_count: 5 }));
    assert_eq!(client.join().unwrap(), 5);
}

#[test]
fn a_host_that_is_silent_fails_what_is_awaited_and_is_heard_again_where_it_was() {
    let host = Host::new();
    let url = host.url();
    let (tell, told) = mpsc::channel();
    let (go_on, gone_on) = mpsc::channel::<()>();
    let client = std::thread::spawn(move || {
        let runtime = process::runtime().unwrap();
        let options = ConnectOptions { host_timeout: Some(Duration::ZERO), ..Default::default() };
        let open = async {
            let connection = Connection::open(&url, &options).await.unwrap();
            connection.on_event(Arc::new(move |event| tell.send(event).unwrap()));
            let channel = connection.channel().await.unwrap();
            (connection, channel)
        };
        let (connection, channel) = runtime.block_on(open);
        let publish = || match channel.publish(Publish {
            exchange: "",
            routing_key: "q",
            mandatory: false,
            properties: PropertiesView::EMPTY.0,
            body: Body::Slice(b"hello"),
        }) {
            Ok(Publishing::Pending(answer)) => answer,
            other => panic!("{other:?}"),
        };
        let (purged, published, got) = runtime
            .block_on(async { tokio::join!(channel.purge_queue("q"), publish(), channel.get("q", false)) });
        gone_on.recv().unwrap();
        let again = runtime.block_on(channel.purge_queue("r"));
        drop(connection);
        (purged.unwrap_err(), published.unwrap_err(), got.unwrap_err(), again.unwrap())
    });
    let mut guest = host.admit();
    assert_eq!(guest.names(1), ["channel.open"]);
    guest.say(1, Method::ChannelOpenOk(channel::OpenOk::default()));
    let mut asked = guest.names(4);
    asked.sort_unstable();
    assert_eq!(asked, ["basic.get", "basic.publish", "confirm.select", "queue.purge"]);
    let within = Duration::from_secs(10);
    let event = told.recv_timeout(within).unwrap();
    let process = std::process::id();
    assert!(
        matches!(&event, ConnectionEvent::Unresponsive(error) if error.reason().contains(&format!("process {process},"))),
        "{event:?}"
    );
    // What it says late is taken, though nobody waits for it: what was fetched goes back.
    guest.say(1, Method::QueuePurgeOk(queue::PurgeOk { message_count: 5 }));
    guest.say(1, Method::BasicAck(basic::Ack { delivery_tag: 1, multiple: false }));
    let got =
        basic::GetOk { delivery_tag: 1, routing_key: ShortString::truncated("q"), ..Default::default() };
    guest.say(1, Method::BasicGetOk(got));
    guest.stream.write_all(b"\x02\0\x01\0\0\0\x0e\0\x3c\0\0\0\0\0\0\0\0\0\0\0\0\xce").unwrap();
    assert!(matches!(told.recv_timeout(within).unwrap(), ConnectionEvent::Responsive));
    assert!(matches!(guest.hear(), Method::BasicNack(nack) if nack.delivery_tag == 1 && nack.requeue));
    go_on.send(()).unwrap();
    assert_eq!(guest.names(1), ["queue.purge"]);
    guest.say(1, Method::QueuePurgeOk(queue::PurgeOk { message_count: 6 }));
    let (purged, published, got, again) = client.join().unwrap();
    for error in [&purged, &published, &got] {
        assert_eq!(error.kind(), Kind::Timeout, "{error}");
        assert!(error.reason().ends_with("has given no sign of life for 2s"), "{error}");
    }
    assert_eq!((purged.operation(), published.operation()), ("queue.purge", "basic.publish"));
    assert_eq!(again, 6);
}

#[test]
fn a_host_that_beats_is_not_taken_for_silent_though_it_says_nothing_else() {
    let host = Host::new();
    let url = host.url();
    let client = std::thread::spawn(move || {
        let options = ConnectOptions { host_timeout: Some(Duration::ZERO), ..Default::default() };
        process::runtime().unwrap().block_on(async {
            let connection = Connection::open(&url, &options).await.unwrap();
            connection.channel().await.map(drop)
        })
    });
    let mut guest = host.admit();
    assert_eq!(guest.names(1), ["channel.open"]);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        guest.stream.write_all(b"\x08\0\0\0\0\0\0\xce").unwrap();
        std::thread::sleep(Duration::from_millis(200));
    }
    guest.say(1, Method::ChannelOpenOk(channel::OpenOk::default()));
    client.join().unwrap().unwrap();
}

//! What a client says to hosts that come and go.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use bytes::BytesMut;

use crate::client::{ConnectOptions, Connection, process};
use crate::doorway;
use crate::server::identity::NUMBERED_RETURNS;
use crate::storage::Directory;
use crate::wire::frame::PROTOCOL_HEADER;
use crate::wire::{
    FrameKind, Method, ShortString, Table, Value, basic, channel, connection, next_frame, queue,
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

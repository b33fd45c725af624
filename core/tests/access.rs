//! What the broker does to connections, as their clients see it.

#![allow(clippy::unwrap_used)] // a test that fails may panic

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use std::sync::Arc;

use warrenmq::auth::Permissions;
use warrenmq::broker::{Broker, Options, VhostMetadata};
use warrenmq::client::{ConnectOptions, Connection, ConnectionEvent};
use warrenmq::server::{Limits, Server};

/// A connection to this virtual host, and what ends it.
async fn connect(server: &Server, vhost: &str) -> (Connection, Receiver<String>) {
    let url = format!("amqp://guest:guest@{}/{vhost}", server.address());
    let connection = Connection::open(&url, &ConnectOptions::default()).await.unwrap();
    let (told, heard) = channel();
    connection.on_event(Arc::new(move |event| {
        if let ConnectionEvent::Closed(Some(error)) = event {
            let _ = told.send(error.reply_text());
        }
    }));
    (connection, heard)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_told_that_its_virtual_host_or_its_user_is_deleted() {
    let broker = Broker::new(Options::default());
    broker.add_vhost("v", VhostMetadata::default()).unwrap();
    broker.set_permissions(Permissions::all("guest", "v")).unwrap();
    let server = Server::listen(broker.clone(), "127.0.0.1:0", Limits::default()).await.unwrap();
    let (there, end_there) = connect(&server, "v").await;
    let (elsewhere, end_elsewhere) = connect(&server, "%2F").await;
    let patience = Duration::from_secs(20);

    broker.delete_vhost("v").unwrap();
    assert_eq!(end_there.recv_timeout(patience).unwrap(), "CONNECTION_FORCED - vhost 'v' is deleted");
    assert!(!there.is_open() && elsewhere.is_open());

    broker.delete_user("guest").unwrap();
    assert_eq!(end_elsewhere.recv_timeout(patience).unwrap(), "CONNECTION_FORCED - user 'guest' is deleted");
    server.stop().await;
}

//! Connections.

use std::sync::Arc;
use std::time::Duration;

use warrenmq::client::{ConnectOptions, Connection, ConnectionEvent};

use crate::answer::{done, later, now_or_later};
use crate::js::{Call, Env, Mail, Result, Value};

/// What JavaScript holds.
pub(crate) struct Handle {
    pub(crate) connection: Connection,
    /// The broker is in this process, so that answers are there at once.
    pub(crate) embedded: bool,
}

/// `connect(url, name, timeout, hostTimeout, listen)`, in milliseconds; a `hostTimeout` of null for ever → a connection.
pub(crate) fn connect<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    let url = call.argument(0).string()?;
    let mut options =
        ConnectOptions { name: call.argument(1).optional(Value::string)?, ..Default::default() };
    if let Some(timeout) = call.argument(2).optional(|value| value.integer(u32::MAX.into()))? {
        options.timeout = Duration::from_millis(timeout);
    }
    let within = call.argument(3).optional(|value| value.integer(u32::MAX.into()))?;
    options.host_timeout = within.map(Duration::from_millis);
    options.listen = call.argument(4).elements()?.into_iter().map(Value::string).collect::<Result<_>>()?;
    let embedded = url.starts_with("inproc:");
    let connecting = async move { Connection::open(&url, &options).await };
    now_or_later(call.env, embedded, connecting, opened)
}

fn opened(env: Env<'_>, connection: Connection) -> Result<Value<'_>> {
    let embedded = connection.transport() == "inproc";
    env.handle(Handle { connection, embedded })
}

pub(crate) fn is_open<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    call.env.boolean(call.argument(0).held::<Handle>()?.connection.is_open())
}

/// `listen(connection, address)` → the address that it listens on.
pub(crate) fn listen<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    let connection = call.argument(0).held::<Handle>()?.connection.clone();
    let address = call.argument(1).string()?;
    let listening = async move { connection.listen(&address).await.map(|address| address.to_string()) };
    later(call.env, listening, |env, address| env.string(&address))
}

/// `listening(connection)` → where it listens.
pub(crate) fn listening<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    let addresses = call.argument(0).held::<Handle>()?.connection.listening();
    call.env.array(addresses.iter().map(|address| call.env.string(&address.to_string())))
}

/// `onEvent(connection, number)`: from now on the environment hears `event(number, name, detail)` of it.
pub(crate) fn on_event<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    let connection = &call.argument(0).held::<Handle>()?.connection;
    let number = call.argument(1).integer(u32::MAX.into())?;
    let mailbox = call.env.isolate()?.mailbox.clone();
    connection.on_event(Arc::new(move |event| {
        mailbox.post(Mail::Task(Box::new(move |env| tell(env, number, event))));
    }));
    Ok(call.env.nothing())
}

fn tell(env: Env<'_>, number: u64, event: ConnectionEvent) -> Result<()> {
    let (name, detail) = match event {
        ConnectionEvent::Blocked(reason) => ("blocked", env.string(&reason)?),
        ConnectionEvent::Unblocked => ("unblocked", env.nothing()),
        ConnectionEvent::Reconnected => ("reconnected", env.nothing()),
        ConnectionEvent::Unresponsive(error) => ("unresponsive", env.error(&error)?),
        ConnectionEvent::Responsive => ("responsive", env.nothing()),
        ConnectionEvent::Closed(None) => ("close", env.nothing()),
        ConnectionEvent::Closed(Some(error)) => ("close", env.error(&error)?),
    };
    env.event(&[env.number(number as f64)?, env.string(name)?, detail])
}

pub(crate) fn close<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    let handle = call.argument(0).held::<Handle>()?;
    let connection = handle.connection.clone();
    now_or_later(call.env, handle.embedded, async move { connection.close().await }, done)
}

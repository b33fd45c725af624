//! The native half of the `warrenmq` npm package: moves batches, maps errors. What programs use is the
//! TypeScript layer in `lib/`, which calls the functions that [`register`] lists.
//!
//! | where | what |
//! |---|---|
//! | `js` | a small safe layer over Node-API; all the `unsafe` code |
//! | `answer` | values that are there at once, or promises |
//! | `connection`, `channel` | what happens now and then: connect, declare, bind, settle … |
//! | `publish` | sending: one call per message or per batch |
//! | `consume` | receiving: one call per batch of deliveries, into a buffer of JavaScript's |
//! | `record` | how a delivery lies in that buffer |
//! | `properties`, `table` | message properties and field tables ⇄ objects |

/// As in the `warrenmq` binary: messages are made on one thread and freed on another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod answer;
mod channel;
mod connection;
mod consume;
mod js;
mod properties;
mod publish;
mod record;
mod table;

use js::{Call, Env, Result, Value};

type Entry = for<'a> fn(&Call<'a>) -> Result<Value<'a>>;

/// What `lib/native.ts` declares, name by name.
const FUNCTIONS: &[(&str, Entry)] = &[
    ("setUp", set_up),
    ("version", version),
    ("kinds", kinds),
    ("cli", cli),
    ("connect", connection::connect),
    ("isOpen", connection::is_open),
    ("listen", connection::listen),
    ("listening", connection::listening),
    ("onEvent", connection::on_event),
    ("closeConnection", connection::close),
    ("openChannel", channel::open),
    ("isChannelOpen", channel::is_open),
    ("declareQueue", channel::declare_queue),
    ("deleteQueue", channel::delete_queue),
    ("purgeQueue", channel::purge_queue),
    ("declareExchange", channel::declare_exchange),
    ("deleteExchange", channel::delete_exchange),
    ("bind", channel::bind),
    ("unbind", channel::unbind),
    ("prefetch", channel::prefetch),
    ("extend", channel::extend),
    ("recover", channel::recover),
    ("txSelect", channel::tx_select),
    ("txCommit", channel::tx_commit),
    ("txRollback", channel::tx_rollback),
    ("closeChannel", channel::close),
    ("settle", channel::settle),
    ("get", channel::get),
    ("publisher", publish::publisher),
    ("publish", publish::publish),
    ("publishMany", publish::publish_many),
    ("consume", consume::consume),
    ("cancel", consume::cancel),
    ("ending", ending),
    ("hold", hold),
    ("release", release),
    ("encodeProperties", properties::encode),
    ("decodeProperties", properties::decode),
    ("record", record::of_message),
];

fn register<'a>(env: Env<'a>, exports: Value<'a>) -> Result<()> {
    FUNCTIONS.iter().try_for_each(|&(name, entry)| exports.set(name, env.function(entry)?))
}

/// `setUp(makeError, ready, event)`: to be called once, before anything else.
fn set_up<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    call.env.set_up(call.argument(0), call.argument(1), call.argument(2))?;
    Ok(call.env.nothing())
}

fn version<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    call.env.string(env!("CARGO_PKG_VERSION"))
}

/// `kinds()` → the codes of all errors by their names.
fn kinds<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    let object = call.env.object()?;
    for kind in warrenmq::Kind::ALL {
        object.set(kind.name(), call.env.number(kind.code().into())?)?;
    }
    Ok(object)
}

/// `cli(args)` → the exit status, when the command is done: the thread is its own until then.
fn cli<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    let arguments = call.argument(0).elements()?.into_iter().map(|value| Ok(value.string()?.into()));
    let arguments = arguments.collect::<Result<Vec<std::ffi::OsString>>>()?;
    call.env.number(warrenmq::cli::run(arguments).into())
}

/// `ending()`: before the process ends.
fn ending<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    warrenmq::client::before_exit();
    Ok(call.env.nothing())
}

fn hold<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    call.env.hold()?;
    Ok(call.env.nothing())
}

fn release<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    call.env.release()?;
    Ok(call.env.nothing())
}

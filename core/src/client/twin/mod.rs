//! One process, several modules: the one for Python and the one for Node are two shared libraries, each with its own
//! copy of all this. So that a URL names the same broker in both, one of them has the brokers, and the other, whose
//! calls go through a table of C functions, uses them.
//!
//! | file | holds |
//! |---|---|
//! | here | which module opens what a URL names |
//! | `rendezvous` | how the modules of a process find one another, and which of them has the brokers |
//! | `table` | the functions, and when two modules fit together |
//! | `lent` | their implementation, over any connection of this module |
//! | `adopted` | connections of the other module's, as the drivers that this one's are |
//! | `owned` | pointers with the functions that release what they point to |
//! | `codec` | arguments, answers, errors and events as bytes |
//!
//! No Rust type, allocation or panic goes from one to the other. A message is copied once on its way, when it is
//! short; a long body is not: whoever made it releases it when the last holder, on either side, lets go of it.
//!
//! The `unsafe` code is in `owned`, in `rendezvous`, where the two sides call one another (`lent/functions`,
//! `adopted/calls`), and in a line or two of `table` and `codec`. This is no crate of its own because it implements and
//! calls the drivers, which are private here.

mod adopted;
mod codec;
mod lent;
mod owned;
mod rendezvous;
mod table;

#[cfg(test)]
mod tests;

use std::os::fd::RawFd;
use std::ptr;
use std::sync::Arc;

use super::driver::ConnectionDriver;
use super::{ConnectOptions, Url};
use crate::error::Result;
use adopted::Adopted;
use table::{Header, Table};

/// Has the other module open what a URL names, if it is the one that has the brokers of this process.
///
/// # Errors
/// `Unsupported` when the two do not fit together, as brokers by their names would be two each.
pub(super) async fn open(
    url: &str,
    parsed: &Url,
    options: &ConnectOptions,
) -> Result<Option<Arc<dyn ConnectionDriver>>> {
    let transport = match parsed {
        // Nobody else could open it, and what is in this module is nearer.
        Url::Inproc { name } if name.is_empty() => return Ok(None),
        Url::Inproc { .. } => "inproc",
        Url::Local { .. } => "local",
        Url::Amqp { .. } => return Ok(None),
    };
    let table = match lender() {
        Ok(None) => return Ok(None),
        Ok(Some(table)) => table,
        // Two modules that do not fit come together in a directory as two processes do.
        Err(_) if transport == "local" => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(Some(Arc::new(Adopted::open(table, transport, url, options).await?)))
}

/// The table of the module that has the brokers of this process; none when it is this one.
fn lender() -> Result<Option<&'static Table>> {
    table_of(rendezvous::settled(&lent::TABLE.header))
}

fn table_of(header: &'static Header) -> Result<Option<&'static Table>> {
    if ptr::eq(header, &lent::TABLE.header) {
        return Ok(None);
    }
    match header.check() {
        Ok(table) => Ok(Some(table)),
        Err(error) => Err(match rendezvous::object_of(ptr::from_ref(header).cast()) {
            Some(object) => error.on(object.to_string_lossy()),
            None => error,
        }),
    }
}

/// Before the process ends: tells the module that has the brokers.
pub(super) fn before_exit() {
    if let Some(table) = found() {
        adopted::before_exit(table);
    }
}

/// In the child of a fork: has the module that has the brokers start afresh as well. What it had open.
pub(super) fn after_fork() -> Vec<RawFd> {
    found().map(adopted::after_fork).unwrap_or_default()
}

/// The table of the other module, if this one uses it.
fn found() -> Option<&'static Table> {
    rendezvous::found().and_then(|header| table_of(header).ok().flatten())
}

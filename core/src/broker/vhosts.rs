//! The virtual hosts of a broker: adding, deleting, limits, and who comes in.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::Broker;
use super::definitions::VhostDefinition;
use super::delay::new_number;
use super::outbox::Wakes;
use super::record::{Change, Definition};
use super::session::{Authority, Session, SessionInfo};
use super::transient::Trace;
use super::vhost::{Settings, Vhost};
use crate::auth::{check_name, limit};
use crate::error::{Error, Kind, Result};

/// What a virtual host may have at a time; negative or none: no limit
/// (<https://www.rabbitmq.com/docs/vhosts#limits>). Serialised as in RabbitMQ's definitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct VhostLimits {
    /// Connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<i64>,
    /// Queues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_queues: Option<i64>,
    /// Bindings; RabbitMQ has no such limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bindings: Option<i64>,
}

/// What people say of a virtual host. Serialised as in RabbitMQ's definitions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VhostMetadata {
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Words to find it by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The type of queues that are declared without `x-queue-type`, where they can be of that type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_queue_type: Option<String>,
}

/// What listings say of a virtual host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VhostInfo {
    /// Its name.
    pub name: String,
    /// What people say of it.
    pub metadata: VhostMetadata,
    /// What it may have at a time.
    pub limits: VhostLimits,
    /// Connections to it, those of the host's own program not counted.
    pub connections: u64,
}

impl Broker {
    /// Opens a session of `user` in a virtual host: what a connection is to the broker.
    ///
    /// # Errors
    /// `NotAllowed`: there is no such virtual host, the user has no permissions in it, or there are as many
    /// connections as the broker, the virtual host or the user may have. Order and texts are RabbitMQ's
    /// (rabbit_reader, `handle_method0(connection.open)`).
    pub fn open(self: &Arc<Self>, vhost: &str, user: &str) -> Result<Session> {
        let refuse = |reason: String| {
            Error::new(Kind::NotAllowed, "connection.open", reason).on(format!("vhost '{vhost}'"))
        };
        let on_node = self.connections.take(self.options.max_connections).map_err(|limit| {
            refuse(format!("connection refused: node connection limit ({limit}) is reached"))
        })?;
        let found = self.vhost(vhost).ok_or_else(|| refuse(format!("vhost {vhost} not found")))?;
        let denied = || format!("access to vhost '{vhost}' refused for user '{user}'");
        let in_vhost = found
            .connections
            .take(limit(found.limits().max_connections))
            .map_err(|limit| refuse(format!("{}: connection limit ({limit}) is reached", denied())))?;
        let guest = self.users.enter(user).ok_or_else(|| refuse(denied()))?.map_err(|limit| {
            refuse(format!(
                "connection refused for user '{user}': user connection limit ({limit}) is reached"
            ))
        })?;
        if !self.users.grants(user, vhost).is_some_and(|grants| grants.may_enter()) {
            return Err(refuse(denied()));
        }
        let authority =
            Authority::User { impersonator: guest.impersonator, _seats: [on_node, in_vhost, guest.seat] };
        let session = self.session(found, user, authority, None);
        // Deleted meanwhile, by somebody who did not see this session yet.
        if self.vhost(vhost).is_none_or(|current| !Arc::ptr_eq(&current, session.vhost())) {
            return Err(refuse(format!("vhost {vhost} not found")));
        }
        Ok(session)
    }

    /// Opens a session of the program that the broker lives in, as `guest`: it may do everything, and limits do
    /// not count it.
    ///
    /// # Errors
    /// `NotAllowed`: there is no such virtual host.
    pub fn open_embedded(self: &Arc<Self>, vhost: &str) -> Result<Session> {
        self.open_attached(vhost, None)
    }

    /// The same of a program that is attached to the broker's directory, and may have been attached to the host before
    /// by this number: what belonged to it there belongs to it here.
    ///
    /// # Errors
    /// As [`Broker::open_embedded`].
    pub fn open_attached(self: &Arc<Self>, vhost: &str, attachment: Option<u64>) -> Result<Session> {
        let found = self.vhost(vhost).ok_or_else(|| {
            Error::new(Kind::NotAllowed, "connection.open", format!("vhost {vhost} not found"))
                .on(format!("vhost '{vhost}'"))
        })?;
        let session = self.session(found, "guest", Authority::Host, attachment);
        let absent = self.absent.lock().clone();
        if let (Some(absent), Some(attachment)) = (absent, attachment) {
            absent.back(attachment).iter().for_each(|queue| session.shared().owns(queue));
        }
        Ok(session)
    }

    fn session(
        self: &Arc<Self>,
        vhost: Arc<Vhost>,
        user: &str,
        authority: Authority,
        attachment: Option<u64>,
    ) -> Session {
        let id = self.next_session.fetch_add(1, Relaxed);
        let session = Session::new(self.clone(), vhost, user, authority, id, attachment);
        self.sessions.lock().insert(id, Arc::downgrade(session.shared()));
        session
    }

    // --- sessions ---

    /// Every open session, by number.
    pub fn sessions(&self) -> Vec<SessionInfo> {
        let vhosts: Vec<_> = self.vhosts.read().values().cloned().collect();
        let mut consumers = HashMap::<u64, u64>::new();
        for session in vhosts.iter().flat_map(|vhost| vhost.consumers_of()) {
            *consumers.entry(session).or_default() += 1;
        }
        let sessions = self.sessions.lock();
        let open = sessions.values().filter_map(Weak::upgrade);
        let mut list: Vec<_> =
            open.map(|session| session.info(consumers.get(&session.id).copied().unwrap_or(0))).collect();
        list.sort_by_key(|session| session.id);
        list
    }

    /// Closes a connection, telling it `why` (320, `CONNECTION_FORCED`).
    ///
    /// # Errors
    /// `NotFound` when there is no such session.
    pub fn close_session(&self, id: u64, why: &str) -> Result<()> {
        match self.end_sessions(why, |session| session.id == id) {
            0 => Err(Error::new(Kind::NotFound, "close_connection", format!("no connection {id}"))),
            _ => Ok(()),
        }
    }

    /// Ends the sessions of this process itself: what they have unacknowledged is in the queues again.
    pub(crate) fn end_own_sessions(&self) {
        let own = std::process::id();
        self.end_sessions("the process ends", |session| session.is_within(own));
    }

    /// Ends the sessions that are chosen; how many those were.
    pub(super) fn end_sessions(&self, why: &str, chosen: impl Fn(&super::session::Shared) -> bool) -> usize {
        let sessions: Vec<_> = self.sessions.lock().values().filter_map(std::sync::Weak::upgrade).collect();
        let chosen = sessions.iter().filter(|session| chosen(session));
        chosen.map(|session| session.end(Error::new(Kind::ConnectionForced, "close", why))).count()
    }

    // --- virtual hosts ---

    /// The virtual host of this name.
    pub fn vhost(&self, name: &str) -> Option<Arc<Vhost>> {
        self.vhosts.read().get(name).cloned()
    }

    /// Adds a virtual host. Nobody has permissions in it yet.
    ///
    /// # Errors
    /// `PreconditionFailed` when there is one of this name, `InvalidArgument` for a name that is empty or longer
    /// than 255 bytes, or a default queue type that does not exist.
    pub fn add_vhost(&self, name: &str, metadata: VhostMetadata) -> Result<()> {
        self.add_numbered_vhost(new_number()?, name, metadata)
    }

    pub(super) fn add_numbered_vhost(&self, number: u64, name: &str, metadata: VhostMetadata) -> Result<()> {
        check_name("add_vhost", "vhost", name)?;
        check_queue_type("add_vhost", &metadata)?;
        let _held = self.changing.hold(name.into());
        if self.vhost(name).is_some() {
            let reason = format!("vhost '{name}' already exists");
            return Err(Error::new(Kind::PreconditionFailed, "add_vhost", reason));
        }
        let settings = Settings { metadata, limits: VhostLimits::default() };
        self.recorder.keep("add_vhost", || settings.recorded(number, name))?;
        let vhost = Vhost::new(name, number, &self.timers, self.recorder.clone(), &self.options)?;
        *vhost.settings.write() = settings;
        self.vhosts.write().insert(name.into(), vhost);
        Ok(())
    }

    /// Deletes a virtual host with all that is in it, and closes its connections (320, as RabbitMQ's
    /// `rabbit_connection_tracking` does).
    ///
    /// # Errors
    /// `NotFound` when there is no such virtual host.
    pub fn delete_vhost(&self, name: &str) -> Result<()> {
        const OPERATION: &str = "delete_vhost";
        let _held = self.changing.hold(name.into());
        let vhost = self.existing(OPERATION, name)?;
        let noted = {
            let mut topology = vhost.topology.write();
            topology.gone = true; // what would be declared from now on would be noted after the deletion
            self.recorder.get().map(|record| record.note(vec![Change::DeleteVhost(name.into())]))
        };
        if let Some(Err(error)) = noted.map(|noted| noted.wait(OPERATION)) {
            vhost.topology.write().gone = false;
            return Err(error);
        }
        self.vhosts.write().remove(name);
        vhost.remember(|| Trace::NoVhost(name.into()));
        let mut wakes = Wakes::default();
        vhost.delete_queues(&mut wakes);
        vhost.delayed.delete();
        wakes.run();
        self.end_sessions(&format!("vhost '{name}' is deleted"), |session| {
            Arc::ptr_eq(&session.vhost, &vhost)
        });
        self.users.forget_vhost(name);
        Ok(())
    }

    /// Replaces what people say of a virtual host. The default queue type holds for queues to come.
    ///
    /// # Errors
    /// `NotFound` when there is no such virtual host, `InvalidArgument` for a default queue type that does not
    /// exist.
    pub fn set_vhost_metadata(&self, name: &str, metadata: VhostMetadata) -> Result<()> {
        check_queue_type("set_vhost_metadata", &metadata)?;
        self.change_settings("set_vhost_metadata", name, |settings| settings.metadata = metadata)
    }

    /// Replaces the limits of a virtual host. What is there stays, even if it is more.
    ///
    /// # Errors
    /// `NotFound` when there is no such virtual host.
    pub fn set_vhost_limits(&self, name: &str, limits: VhostLimits) -> Result<()> {
        self.change_settings("set_vhost_limits", name, |settings| settings.limits = limits)
    }

    fn change_settings(
        &self,
        operation: &'static str,
        name: &str,
        change: impl FnOnce(&mut Settings),
    ) -> Result<()> {
        let _held = self.changing.hold(name.into());
        let vhost = self.existing(operation, name)?;
        let mut settings = vhost.settings.read().clone();
        change(&mut settings);
        self.recorder.keep(operation, || settings.recorded(vhost.number, name))?;
        *vhost.settings.write() = settings;
        Ok(())
    }

    /// Every virtual host, by name.
    pub fn vhosts(&self) -> Vec<VhostInfo> {
        let mut list: Vec<_> = self.vhosts.read().values().map(|vhost| vhost.info()).collect();
        list.sort_by(|a, b| a.name.cmp(&b.name));
        list
    }

    pub(super) fn existing(&self, operation: &'static str, vhost: &str) -> Result<Arc<Vhost>> {
        self.vhost(vhost).ok_or_else(|| no_such_vhost(operation, vhost))
    }
}

impl Settings {
    fn recorded(&self, number: u64, name: &str) -> Change {
        let (limits, metadata) = (self.limits, self.metadata.clone());
        Change::Put(Definition::Vhost(number, VhostDefinition { name: name.into(), limits, metadata }))
    }
}

fn no_such_vhost(operation: &'static str, name: &str) -> Error {
    Error::new(Kind::NotFound, operation, format!("no vhost '{name}'")).on(format!("vhost '{name}'"))
}

fn check_queue_type(operation: &'static str, metadata: &VhostMetadata) -> Result<()> {
    match metadata.default_queue_type.as_deref() {
        None | Some("classic" | "quorum" | "stream") => Ok(()),
        Some(other) => {
            let reason = format!("unknown default queue type '{other}'");
            Err(Error::new(Kind::InvalidArgument, operation, reason).advise("use classic, quorum or stream"))
        }
    }
}

//! What the channel's user may do: asked by everything that a channel does to queues and exchanges, so that no
//! door has rules of its own. Texts as RabbitMQ 3.13's `rabbit_access_control`.
//!
//! Publishing asks only when a route is not remembered (see [`crate::broker::route`]): a change of permissions
//! makes channels forget their routes, because it counts up the virtual host's generation.

use std::sync::Arc;

use super::Channel;
use crate::auth::{Grants, Right};
use crate::broker::session::Authority;
use crate::error::{Error, Kind, Result};

/// What is to be used.
#[derive(Clone, Copy, Debug)]
pub(super) enum Resource<'a> {
    Queue(&'a str),
    Exchange(&'a str),
}

/// What a channel remembers of its user's permissions, valid for one generation of the virtual host.
#[derive(Default)]
pub(super) struct Remembered {
    generation: u64,
    grants: Option<Arc<Grants>>,
}

impl Channel {
    /// The user's permissions; None for a session that may do everything.
    fn grants(&mut self) -> Option<&Grants> {
        let session = &self.session;
        if matches!(session.authority, Authority::Host) {
            return None;
        }
        // Read before the permissions: a change meanwhile makes what is remembered void, never wrong.
        let generation = session.vhost.generation();
        let remembered = &mut self.remembered;
        if remembered.grants.is_none() || remembered.generation != generation {
            *remembered = Remembered { generation, grants: session.grants() };
        }
        remembered.grants.as_deref()
    }

    /// Refuses what the user has no permission for.
    pub(super) fn permit(
        &mut self,
        operation: &'static str,
        right: Right,
        resource: Resource<'_>,
    ) -> Result<()> {
        let name = match resource {
            Resource::Exchange("") => "amq.default",
            Resource::Exchange(name) | Resource::Queue(name) => name,
        };
        if self.grants().is_none_or(|grants| grants.allow(right, name)) {
            return Ok(());
        }
        let kind = if matches!(resource, Resource::Queue(_)) { "queue" } else { "exchange" };
        let entity = format!("{kind} '{name}' in vhost '{}'", self.session.vhost.name);
        let reason = format!("{right} access to {entity} refused for user '{}'", self.session.user);
        Err(Error::new(Kind::AccessRefused, operation, reason).on(entity))
    }

    /// Refuses a routing key of a topic exchange that the user may not write or read. Other exchanges have no
    /// such restrictions.
    pub(super) fn permit_topic(
        &mut self,
        operation: &'static str,
        right: Right,
        exchange: &str,
        routing_key: &str,
    ) -> Result<()> {
        let allowed = |grants: &Grants| grants.allow_topic(right, exchange, routing_key);
        if self.grants().is_none_or(allowed) || !self.session.vhost.is_topic(exchange) {
            return Ok(());
        }
        let entity = format!("exchange '{exchange}' in vhost '{}'", self.session.vhost.name);
        let user = &self.session.user;
        let reason = format!("{right} access to topic '{routing_key}' in {entity} refused for user '{user}'");
        Err(Error::new(Kind::AccessRefused, operation, reason).on(entity))
    }
}

//! Users and what they may do: the administration of it.
//!
//! Whoever changes a permission also counts up the virtual host's generation, so that channels look again: what
//! they remember of routes and permissions holds for one generation. A virtual host is held meanwhile, so that
//! nothing is granted in one that is being deleted.

use super::Broker;
use super::record::{Change, Definition};
use crate::auth::{Grants, Permissions, TopicPermissions};
use crate::error::Result;

impl Broker {
    /// Deletes a user with its permissions, and closes its connections (320, as RabbitMQ's
    /// `rabbit_connection_tracking` does).
    ///
    /// # Errors
    /// `NotFound` when there is no such user.
    pub fn delete_user(&self, user: &str) -> Result<()> {
        self.users.delete(user)?;
        self.end_sessions(&format!("user '{user}' is deleted"), |session| *session.user == *user);
        self.vhosts.read().values().for_each(|vhost| vhost.changed());
        Ok(())
    }

    /// Sets what a user may do in a virtual host; open connections follow at once.
    ///
    /// # Errors
    /// `NotFound` when there is no such user or virtual host, `InvalidArgument` for a pattern that is no regular
    /// expression.
    pub fn set_permissions(&self, permissions: Permissions) -> Result<()> {
        const OPERATION: &str = "set_permissions";
        let _held = self.changing.hold(permissions.vhost.as_str().into());
        let vhost = self.existing(OPERATION, &permissions.vhost)?;
        let user = permissions.user.clone();
        let recorded = Change::Put(Definition::Permissions(permissions.clone()));
        let with = |grants: &Grants| grants.with(permissions);
        self.users.change_grants(OPERATION, &user, vhost.name(), with, recorded)?;
        vhost.changed();
        Ok(())
    }

    /// Takes a user's permissions in a virtual host away. Connections that are open stay open, and may do
    /// nothing. That there are none is no error.
    ///
    /// # Errors
    /// `NotFound` when there is no such user or virtual host.
    pub fn clear_permissions(&self, vhost: &str, user: &str) -> Result<()> {
        const OPERATION: &str = "clear_permissions";
        let _held = self.changing.hold(vhost.into());
        let vhost = self.existing(OPERATION, vhost)?;
        let recorded = Change::DeletePermissions(vhost.name().into(), user.into());
        self.users.change_grants(OPERATION, user, vhost.name(), |grants| Ok(grants.without()), recorded)?;
        vhost.changed();
        Ok(())
    }

    /// Every permission, by virtual host and user.
    pub fn permissions(&self) -> Vec<Permissions> {
        let mut list: Vec<_> =
            self.users.all_grants().iter().filter_map(|grants| grants.permissions().cloned()).collect();
        list.sort_by(|a, b| (&a.vhost, &a.user).cmp(&(&b.vhost, &b.user)));
        list
    }

    /// Sets what a user may do with the routing keys of a topic exchange, which need not exist yet.
    ///
    /// # Errors
    /// `NotFound` when there is no such user or virtual host, `InvalidArgument` for a pattern that is no regular
    /// expression.
    pub fn set_topic_permissions(&self, permissions: TopicPermissions) -> Result<()> {
        const OPERATION: &str = "set_topic_permissions";
        let _held = self.changing.hold(permissions.vhost.as_str().into());
        let vhost = self.existing(OPERATION, &permissions.vhost)?;
        let user = permissions.user.clone();
        let recorded = Change::Put(Definition::TopicPermissions(permissions.clone()));
        let with = |grants: &Grants| grants.with_topic(permissions);
        self.users.change_grants(OPERATION, &user, vhost.name(), with, recorded)?;
        vhost.changed();
        Ok(())
    }

    /// Lifts a user's restrictions on the routing keys of an exchange, or without one of all exchanges of the
    /// virtual host. That there are none is no error.
    ///
    /// # Errors
    /// `NotFound` when there is no such user or virtual host.
    pub fn clear_topic_permissions(&self, vhost: &str, user: &str, exchange: Option<&str>) -> Result<()> {
        const OPERATION: &str = "clear_topic_permissions";
        let _held = self.changing.hold(vhost.into());
        let vhost = self.existing(OPERATION, vhost)?;
        let exchanges = exchange.map(Into::into);
        let recorded = Change::DeleteTopicPermissions(vhost.name().into(), user.into(), exchanges);
        let without = |grants: &Grants| Ok(grants.without_topic(exchange));
        self.users.change_grants(OPERATION, user, vhost.name(), without, recorded)?;
        vhost.changed();
        Ok(())
    }

    /// Every topic permission, by virtual host, user and exchange.
    pub fn topic_permissions(&self) -> Vec<TopicPermissions> {
        let grants = self.users.all_grants();
        let mut list: Vec<_> = grants.iter().flat_map(|grants| grants.topic_permissions().cloned()).collect();
        list.sort_by(|a, b| (&a.vhost, &a.user, &a.exchange).cmp(&(&b.vhost, &b.user, &b.exchange)));
        list
    }
}

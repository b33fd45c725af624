//! Permissions of a user in a virtual host (<https://www.rabbitmq.com/docs/access-control#authorisation>).

use std::fmt;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::pattern::Pattern;
use crate::error::Result;

/// What one may do with a queue or an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Create and delete it.
    Configure,
    /// Put messages into it: publish to it, bind it to something.
    Write,
    /// Take messages out of it: consume, get, purge, bind something to it.
    Read,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Right::Configure => "configure",
            Right::Write => "write",
            Right::Read => "read",
        })
    }
}

/// What a user may do in a virtual host: for each right a regular expression, found anywhere in the name of the
/// queue or exchange. The empty one allows nothing, the default exchange goes by `amq.default`.
///
/// Serialised as in RabbitMQ's definitions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permissions {
    /// The user.
    pub user: String,
    /// The virtual host.
    pub vhost: String,
    /// What may be created and deleted.
    pub configure: String,
    /// What may be written to.
    pub write: String,
    /// What may be read from.
    pub read: String,
}

impl Permissions {
    /// Permissions for everything: `.*` three times.
    pub fn all(user: &str, vhost: &str) -> Self {
        let any = || ".*".to_owned();
        Permissions { user: user.into(), vhost: vhost.into(), configure: any(), write: any(), read: any() }
    }
}

/// What a user may do with the routing keys of a topic exchange; without any, everything. In the patterns
/// `{username}` and `{vhost}` stand for the names
/// (<https://www.rabbitmq.com/docs/access-control#topic-authorisation>).
///
/// Serialised as in RabbitMQ's definitions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicPermissions {
    /// The user.
    pub user: String,
    /// The virtual host.
    pub vhost: String,
    /// The exchange.
    pub exchange: String,
    /// Routing keys that may be published with.
    pub write: String,
    /// Routing keys that may be bound with.
    pub read: String,
}

/// Everything that one user may do in one virtual host. Never changed: replaced.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grants {
    rights: Option<Rights>,
    topics: HashMap<Box<str>, Topic>,
}

#[derive(Clone, Debug)]
struct Rights {
    texts: Permissions,
    configure: Pattern,
    write: Pattern,
    read: Pattern,
}

#[derive(Clone, Debug)]
struct Topic {
    texts: TopicPermissions,
    write: Pattern,
    read: Pattern,
}

/// An empty pattern allows nothing (`rabbit_auth_backend_internal:check_resource_access`).
fn compile(operation: &'static str, text: &str) -> Result<Pattern> {
    Pattern::new(operation, if text.is_empty() { "^$" } else { text })
}

impl Grants {
    /// These with other permissions.
    pub(crate) fn with(&self, texts: Permissions) -> Result<Grants> {
        let compile = |text: &str| compile("set_permissions", text);
        let rights = Rights {
            configure: compile(&texts.configure)?,
            write: compile(&texts.write)?,
            read: compile(&texts.read)?,
            texts,
        };
        Ok(Grants { rights: Some(rights), topics: self.topics.clone() })
    }

    /// These without permissions.
    pub(crate) fn without(&self) -> Grants {
        Grants { rights: None, topics: self.topics.clone() }
    }

    /// These with other permissions for an exchange's topics.
    pub(crate) fn with_topic(&self, texts: TopicPermissions) -> Result<Grants> {
        let compile = |text: &str| {
            let text = text.replace("{username}", &texts.user).replace("{vhost}", &texts.vhost);
            compile("set_topic_permissions", &text)
        };
        let (write, read) = (compile(&texts.write)?, compile(&texts.read)?);
        let mut grants = self.clone();
        grants.topics.insert(texts.exchange.as_str().into(), Topic { texts, write, read });
        Ok(grants)
    }

    /// These without those for the topics of an exchange, or of all.
    pub(crate) fn without_topic(&self, exchange: Option<&str>) -> Grants {
        let mut grants = self.clone();
        grants.topics.retain(|name, _| exchange.is_some_and(|exchange| **name != *exchange));
        grants
    }

    /// Nothing is granted any more.
    pub(crate) fn is_empty(&self) -> bool {
        self.rights.is_none() && self.topics.is_empty()
    }

    /// The virtual host may be entered.
    pub(crate) fn may_enter(&self) -> bool {
        self.rights.is_some()
    }

    /// Whether a queue or exchange of this name may be used so.
    pub(crate) fn allow(&self, right: Right, name: &str) -> bool {
        self.rights.as_ref().is_some_and(|rights| {
            let pattern = match right {
                Right::Configure => &rights.configure,
                Right::Write => &rights.write,
                Right::Read => &rights.read,
            };
            pattern.matches(name)
        })
    }

    /// Whether a routing key of a topic exchange may be used so.
    pub(crate) fn allow_topic(&self, right: Right, exchange: &str, routing_key: &str) -> bool {
        self.topics.get(exchange).is_none_or(|topic| {
            let pattern = if right == Right::Write { &topic.write } else { &topic.read };
            pattern.matches(routing_key)
        })
    }

    /// As they were set.
    pub(crate) fn permissions(&self) -> Option<&Permissions> {
        self.rights.as_ref().map(|rights| &rights.texts)
    }

    /// As they were set.
    pub(crate) fn topic_permissions(&self) -> impl Iterator<Item = &TopicPermissions> {
        self.topics.values().map(|topic| &topic.texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_pattern_allows_nothing() {
        let permissions = Permissions { configure: String::new(), ..Permissions::all("u", "/") };
        let grants = Grants::default().with(permissions).unwrap();
        assert!(!grants.allow(Right::Configure, "q") && grants.allow(Right::Read, "q"));
        assert!(grants.may_enter() && !Grants::default().may_enter());
    }

    #[test]
    fn topics_are_open_until_they_are_restricted_and_patterns_know_the_user() {
        let open = Grants::default();
        assert!(open.allow_topic(Right::Write, "amq.topic", "anything"));
        let texts = TopicPermissions {
            user: "ann".into(),
            vhost: "/".into(),
            exchange: "amq.topic".into(),
            write: r"^{username}\..*".into(),
            read: String::new(),
        };
        let restricted = open.with_topic(texts).unwrap();
        assert!(restricted.allow_topic(Right::Write, "amq.topic", "ann.x"));
        assert!(!restricted.allow_topic(Right::Write, "amq.topic", "bob.x"));
        assert!(!restricted.allow_topic(Right::Read, "amq.topic", "ann.x"));
        assert!(restricted.allow_topic(Right::Write, "other", "bob.x"));
        assert!(restricted.without_topic(None).is_empty());
    }
}

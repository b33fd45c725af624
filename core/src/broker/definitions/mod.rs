//! Definitions: everything of a broker but its messages, as RabbitMQ's JSON
//! (<https://www.rabbitmq.com/docs/definitions>).
//!
//! | file | holds |
//! |---|---|
//! | here | the document |
//! | `import` | from the document into a broker |
//! | `export` | from a broker into the document |
//! | `json` | arguments between JSON and the protocol's tables |

mod export;
mod import;
pub(super) mod json;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::policy::Policy;
use super::vhosts::{VhostLimits, VhostMetadata};
use crate::auth::{PasswordHash, Permissions, TopicPermissions, User, UserLimits};
use crate::error::{Error, Kind, Result};

/// A document of definitions. What is missing is empty.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Definitions {
    /// The version of RabbitMQ that wrote it; ours says which one it is compatible with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rabbitmq_version: Option<String>,
    /// Users.
    pub users: Vec<UserDefinition>,
    /// Virtual hosts.
    pub vhosts: Vec<VhostDefinition>,
    /// Permissions in virtual hosts.
    pub permissions: Vec<Permissions>,
    /// Permissions for the routing keys of topic exchanges.
    pub topic_permissions: Vec<TopicPermissions>,
    /// Limits of virtual hosts (`vhost-limits`) and operator policies (`operator_policy`). Those of RabbitMQ's
    /// plug-ins are passed over with a warning.
    pub parameters: Vec<Parameter>,
    /// Policies.
    pub policies: Vec<Policy>,
    /// Queues.
    pub queues: Vec<QueueDefinition>,
    /// Exchanges.
    pub exchanges: Vec<ExchangeDefinition>,
    /// Bindings.
    pub bindings: Vec<BindingDefinition>,
}

/// A user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UserDefinition {
    /// The name.
    pub name: String,
    /// The hash; empty or missing: no password, the user comes in by certificate only.
    #[serde(default)]
    pub password_hash: String,
    /// `rabbit_password_hashing_sha256` (also when missing), `rabbit_password_hashing_sha512` or `argon2id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashing_algorithm: Option<String>,
    /// The password itself, instead of a hash. Never exported.
    #[serde(default, skip_serializing)]
    pub password: Option<String>,
    /// A list, or words between commas.
    #[serde(default, deserialize_with = "tags")]
    pub tags: Vec<String>,
    /// What it may have at a time.
    #[serde(default, deserialize_with = "object_or_list")]
    pub limits: UserLimits,
}

impl UserDefinition {
    /// Of a user as the broker has it.
    pub(crate) fn of(user: &User) -> Self {
        let (password_hash, hashing_algorithm) = match &user.password {
            Some(hash) => {
                let (text, algorithm) = hash.export();
                (text, Some(algorithm.into()))
            }
            None => Default::default(),
        };
        UserDefinition {
            name: user.name.clone(),
            password_hash,
            hashing_algorithm,
            password: None,
            tags: user.tags.clone(),
            limits: user.limits,
        }
    }

    /// The user that it describes. Hashing a password takes some 15 ms.
    pub(super) fn user(&self) -> Result<User> {
        let password = match (&self.password, self.password_hash.as_str()) {
            (Some(_), hash) if !hash.is_empty() => {
                let reason = "both password and password_hash are given";
                return Err(Error::new(Kind::InvalidArgument, "import definitions", reason));
            }
            (Some(password), _) if !password.is_empty() => Some(PasswordHash::new(password.as_bytes())?),
            (_, "") => None,
            (_, hash) => Some(PasswordHash::import(hash, self.hashing_algorithm.as_deref())?),
        };
        Ok(User { name: self.name.clone(), tags: self.tags.clone(), limits: self.limits, password })
    }
}

/// A virtual host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VhostDefinition {
    /// The name.
    pub name: String,
    /// What it may have at a time.
    #[serde(default, deserialize_with = "object_or_list")]
    pub limits: VhostLimits,
    /// What people say of it.
    #[serde(default)]
    pub metadata: VhostMetadata,
}

/// A runtime parameter.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Parameter {
    /// The virtual host.
    pub vhost: String,
    /// What it belongs to.
    pub component: String,
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Value,
}

/// A queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct QueueDefinition {
    /// The name.
    pub name: String,
    /// The virtual host.
    pub vhost: String,
    /// Survives the broker.
    #[serde(default)]
    pub durable: bool,
    /// Goes when its last consumer does.
    #[serde(default)]
    pub auto_delete: bool,
    /// `x-` arguments.
    #[serde(default, deserialize_with = "object_or_list")]
    pub arguments: Map<String, Value>,
}

/// An exchange.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExchangeDefinition {
    /// The name.
    pub name: String,
    /// The virtual host.
    pub vhost: String,
    /// The type's name.
    pub r#type: String,
    /// Survives the broker.
    #[serde(default)]
    pub durable: bool,
    /// Goes when the last binding from it does.
    #[serde(default)]
    pub auto_delete: bool,
    /// Takes messages from other exchanges only.
    #[serde(default)]
    pub internal: bool,
    /// `x-` arguments.
    #[serde(default, deserialize_with = "object_or_list")]
    pub arguments: Map<String, Value>,
}

/// A binding.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BindingDefinition {
    /// The exchange that messages come from.
    pub source: String,
    /// The virtual host.
    pub vhost: String,
    /// The queue or exchange that they go to.
    pub destination: String,
    /// Which of the two that is.
    pub destination_type: DestinationType,
    /// The binding's key.
    #[serde(default)]
    pub routing_key: String,
    /// The binding's arguments.
    #[serde(default, deserialize_with = "object_or_list")]
    pub arguments: Map<String, Value>,
}

/// What a binding leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DestinationType {
    /// A queue.
    Queue,
    /// An exchange.
    Exchange,
}

impl Definitions {
    /// Reads a document.
    ///
    /// # Errors
    /// `InvalidArgument`, with line and column.
    pub fn parse(json: &str) -> Result<Self> {
        serde_json::from_str(json).map_err(|error| {
            Error::new(Kind::InvalidArgument, "import definitions", error.to_string()).caused_by(error)
        })
    }

    /// Writes the document.
    pub fn to_json(&self) -> String {
        // Its keys are strings and its values are plain: there is nothing that could fail.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

/// RabbitMQ writes what is empty as a list, whatever it is.
fn object_or_list<'de, D: Deserializer<'de>, T: Default + for<'a> Deserialize<'a>>(
    deserializer: D,
) -> Result<T, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Array(list) if list.is_empty() => Ok(T::default()),
        Value::Null => Ok(T::default()),
        value => T::deserialize(value).map_err(serde::de::Error::custom),
    }
}

fn tags<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Tags {
        List(Vec<String>),
        Text(String),
    }
    Ok(match Tags::deserialize(deserializer)? {
        Tags::List(list) => list,
        Tags::Text(text) => {
            text.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(Into::into).collect()
        }
    })
}

//! Users: who may come in, and who may do what.
//!
//! | file | holds |
//! |---|---|
//! | `users` | the users of a broker: passwords, tags, limits, and their permissions by virtual host |
//! | `password` | how passwords are kept: argon2id, and RabbitMQ's salted SHA-256 and SHA-512 |
//! | `permissions` | configure, write and read permissions, and those for the topics of an exchange |
//! | `pattern` | regular expressions as RabbitMQ means them |
//! | `seats` | counting what a limit allows |
//!
//! ```
//! use warrenmq::auth::{Permissions, User};
//! use warrenmq::broker::{Broker, Options, VhostMetadata};
//!
//! # fn main() -> warrenmq::Result<()> {
//! let broker = Broker::new(Options::default());
//! broker.add_vhost("shop", VhostMetadata::default())?;
//! broker.users().add(User::with_password("ann", "secret")?)?;
//! // Everything that begins with "orders" may be created and written to, and everything read.
//! broker.set_permissions(Permissions {
//!     configure: "^orders".into(),
//!     write: "^orders".into(),
//!     ..Permissions::all("ann", "shop")
//! })?;
//! assert!(broker.open("shop", "ann").is_ok());
//! println!("{}", broker.definitions().to_json()); // all of it, as RabbitMQ's definitions
//! # Ok(())
//! # }
//! ```
//!
//! Nothing here is asked per message: a channel asks when it declares, consumes, or looks up a route that it
//! does not remember.

mod password;
pub(crate) mod pattern;
mod permissions;
mod seats;
mod users;

pub use password::{Digest, PasswordHash};
pub use permissions::{Permissions, Right, TopicPermissions};
pub use users::{User, UserLimits, Users};

pub(crate) use permissions::Grants;
pub(crate) use seats::{Seat, Seats, limit};
pub(crate) use users::check_name;

//! Whose rules hold where versions of RabbitMQ differ.

use super::queue::QueueOptions;
use crate::error::{Error, Kind, Result};

/// A version of RabbitMQ to be like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// RabbitMQ 3.13.
    #[default]
    #[value(name = "3.13")]
    V3_13,
    /// RabbitMQ 4.3: no queues that are neither durable nor exclusive, no prefetch for a channel as a whole,
    /// bodies up to 16 MiB, 20 deliveries of a quorum queue's message, frames of 8 KiB at least.
    #[value(name = "4.x")]
    V4,
}

impl Profile {
    /// The version that is announced to clients.
    pub fn version(self) -> &'static str {
        match self {
            Profile::V3_13 => "3.13.7",
            Profile::V4 => "4.3.0",
        }
    }

    /// The longest body that is taken, in bytes, unless told otherwise.
    pub fn max_message_size(self) -> usize {
        match self {
            Profile::V3_13 => 128 << 20,
            Profile::V4 => 16 << 20,
        }
    }

    /// How often a quorum queue delivers a message again before it gives up, unless told otherwise.
    pub fn delivery_limit(self) -> Option<u64> {
        match self {
            Profile::V3_13 => None,
            Profile::V4 => Some(20),
        }
    }

    /// The smallest frame-max that a client may ask for, in bytes (0-9-1 section 4.2.3; RabbitMQ 4.1 asks for
    /// 8192).
    pub fn frame_min(self) -> u32 {
        match self {
            Profile::V3_13 => 4096,
            Profile::V4 => 8192,
        }
    }

    /// Refuses a new queue that must not be.
    pub(super) fn permit_queue(self, options: &QueueOptions) -> Result<()> {
        match self {
            Profile::V4 if !options.durable && !options.exclusive => {
                Err(deprecated("queue.declare", "transient_nonexcl_queues")
                    .advise("declare the queue durable, or exclusive"))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a prefetch for a channel as a whole.
    pub(super) fn permit_global_prefetch(self) -> Result<()> {
        match self {
            Profile::V3_13 => Ok(()),
            Profile::V4 => Err(deprecated("basic.qos", "global_qos").advise("limit each consumer")),
        }
    }
}

/// The text is `rabbit_deprecated_features:generate_warnings`'s; at the wire it ends after 255 bytes.
fn deprecated(operation: &'static str, feature: &str) -> Error {
    let reason = format!(
        "Feature `{feature}` is deprecated.\n\
         By default, this feature is not permitted anymore.\n\
         The feature will be removed from a future major RabbitMQ version, regardless of the configuration; \
         actual version to be determined.\n\
         To continue using this feature when it is not permitted by default, set the following parameter in \
         your configuration:\n    \"deprecated_features.permit.{feature} = true\""
    );
    Error::new(Kind::InternalError, operation, reason)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test that fails may panic
mod tests {
    use super::*;
    use crate::broker::{Broker, Options, Outlet, Wakes};

    struct Deaf;

    impl Outlet for Deaf {
        fn ready(&self) {}
    }

    #[test]
    fn the_profile_of_4_x_refuses_transient_shared_queues_and_global_prefetch() {
        let wakes = &mut Wakes::default();
        let session = Broker::new(Options::like(Profile::V4)).open("/", "guest").unwrap();
        let mut channel = session.channel(Box::new(Deaf)).unwrap();
        let transient = QueueOptions::default();
        let error = channel.declare_queue("q", transient.clone()).unwrap_err();
        assert_eq!(error.kind(), Kind::InternalError);
        assert!(error.reason().starts_with("Feature `transient_nonexcl_queues` is deprecated.\nBy default"));
        channel.declare_queue("q", QueueOptions { durable: true, ..transient.clone() }).unwrap();
        channel.declare_queue("x", QueueOptions { exclusive: true, ..transient.clone() }).unwrap();
        // One that is there is compared first.
        assert_eq!(channel.declare_queue("q", transient).unwrap_err().kind(), Kind::PreconditionFailed);
        channel.qos(0, 5, false, wakes).unwrap();
        assert!(channel.qos(0, 5, true, wakes).is_err());
        assert!(channel.check_size((16 << 20) + 1).is_err());
    }
}

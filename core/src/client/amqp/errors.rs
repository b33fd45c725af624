//! lapin's errors as ours.

use lapin::ErrorKind;
use lapin::protocol::AMQPError;

use crate::error::{Error, Kind};

/// The error that `operation` on `entity` failed with.
pub(super) fn translate(error: &lapin::Error, operation: &'static str, entity: &str) -> Error {
    let (kind, reason) = match error.kind() {
        ErrorKind::ProtocolError(refusal) => return refused(refusal, operation, entity),
        ErrorKind::IOError(io) => (Kind::Closed, format!("the connection was lost: {io}")),
        ErrorKind::MissingHeartbeatError => {
            (Kind::Closed, "the connection was lost: the broker sent no heartbeat".into())
        }
        ErrorKind::InvalidChannelState(..) | ErrorKind::InvalidChannel(_) => {
            (Kind::Closed, "the channel is closed".into())
        }
        ErrorKind::InvalidConnectionState(_) => (Kind::Closed, "the connection is closed".into()),
        ErrorKind::ParsingError(_) => {
            (Kind::FrameError, "the broker sent a frame that cannot be read".into())
        }
        ErrorKind::ChannelsLimitReached => {
            (Kind::ResourceError, "the connection has as many channels as the broker allows".into())
        }
        _ => (Kind::InternalError, error.to_string()),
    };
    Error::new(kind, operation, reason).on(entity).caused_by(error.clone())
}

fn refused(refusal: &AMQPError, operation: &'static str, entity: &str) -> Error {
    crate::client::closed::refused(refusal.get_id(), refusal.get_message().as_str(), operation, entity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reply_text_is_the_brokers() {
        let text = "NOT_FOUND - no queue 'x' in vhost '/'";
        let refusal = AMQPError::from_id(404, text.into()).map(ErrorKind::ProtocolError);
        let error = refusal.map(|kind| translate(&kind.into(), "basic.get", "queue 'x'"));
        let error = error.unwrap_or_else(|| panic!("404 is a code of the spec"));
        assert_eq!(error.reply_text(), text);
        assert_eq!(error.to_string(), format!("basic.get queue 'x': {text}"));
    }
}

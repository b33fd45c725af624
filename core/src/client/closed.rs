//! What a broker says when it refuses something, and what is said of that from then on.

use crate::error::{Error, Kind};

/// What the broker itself said: its reply code and, without the name of the code, its text.
pub(super) fn refused(code: u16, text: &str, operation: &'static str, entity: &str) -> Error {
    let kind = Kind::from_code(code).unwrap_or(Kind::InternalError);
    let reason = text.strip_prefix(kind.name()).and_then(|text| text.strip_prefix(" - ")).unwrap_or(text);
    Error::new(kind, operation, reason).on(entity)
}

/// Whether it is what a server says that stops; other reasons for it concern one connection.
pub(super) fn is_shutdown(error: &Error) -> bool {
    error.kind() == Kind::ConnectionForced && error.reason().ends_with("'shutdown'")
}

/// The refusal of an operation on something that is closed already, and why it is.
pub(super) fn closed(what: &str, operation: &'static str, why: Option<&Error>) -> Error {
    match why {
        Some(why) => {
            let reason = match why.kind() {
                Kind::Closed => why.reason().into(),
                _ => format!("the {what} was closed by an error: {}", why.reply_text()),
            };
            Error::new(Kind::Closed, operation, reason).caused_by(why.clone())
        }
        None => Error::new(Kind::Closed, operation, format!("the {what} is closed")),
    }
    .advise(match what {
        "channel" => "open a new one on an open connection",
        _ => "open a new one with connect()",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_closed_says_why_from_then_on() {
        let text = "NOT_FOUND - no queue 'x' in vhost '/'";
        let error = refused(404, text, "basic.get", "queue 'x'");
        assert_eq!((error.kind(), error.reply_text()), (Kind::NotFound, text.into()));
        let later = closed("channel", "queue.bind", Some(&error));
        assert_eq!(later.kind(), Kind::Closed);
        assert!(later.to_string().contains(text), "{later}");
        assert_eq!(std::error::Error::source(&later).map(ToString::to_string), Some(error.to_string()));
    }
}

//! Which broker a URL names.

use std::path::PathBuf;

use crate::error::{Error, Kind, Result};

/// A URL that [`super::Connection::open`] understands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Url {
    /// `inproc://NAME`: the broker of that name in this process.
    Inproc {
        /// May be empty: then the broker is this connection's own.
        name: String,
    },
    /// `local:PATH`: the broker in that directory.
    Local {
        /// Of the directory, absolute or as seen from here.
        path: PathBuf,
    },
    /// `amqp://…` or `amqps://…`, as <https://www.rabbitmq.com/docs/uri-spec> has it.
    Amqp {
        /// The whole URL.
        url: String,
    },
}

impl Url {
    /// Reads a URL.
    ///
    /// # Errors
    /// `InvalidArgument` when the scheme is none of ours.
    pub fn parse(url: &str) -> Result<Url> {
        if let Some(name) = url.strip_prefix("inproc://") {
            return Ok(Url::Inproc { name: name.trim_end_matches('/').into() });
        }
        if let Some(path) = url.strip_prefix("local:").filter(|path| !path.is_empty()) {
            return Ok(Url::Local { path: path.into() });
        }
        if url.starts_with("amqp://") || url.starts_with("amqps://") {
            return Ok(Url::Amqp { url: url.into() });
        }
        let scheme = url.split(':').next().unwrap_or_default();
        Err(Error::new(Kind::InvalidArgument, "connect", format!("unknown scheme '{scheme}'"))
            .on(format!("'{}'", hide_password(url)))
            .advise("use inproc://NAME, local:PATH, amqp://HOST or amqps://HOST"))
    }
}

/// The URL as it may be shown.
pub(super) fn hide_password(url: &str) -> String {
    let Some((before, host)) = url.rsplit_once('@') else { return url.into() };
    match before.rsplit_once(':') {
        Some((user, _)) if !user.ends_with("amqp") && !user.ends_with("amqps") => {
            format!("{user}:***@{host}")
        }
        _ => url.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_its_transport() {
        assert_eq!(Url::parse("inproc://x").ok(), Some(Url::Inproc { name: "x".into() }));
        assert_eq!(Url::parse("local:./q").ok(), Some(Url::Local { path: "./q".into() }));
        assert_eq!(Url::parse("amqps://h/v").ok(), Some(Url::Amqp { url: "amqps://h/v".into() }));
    }

    #[test]
    fn an_unknown_scheme_is_refused_with_what_to_use_instead_and_without_the_password() {
        let error =
            Url::parse("redis://me:secret@host").err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("unknown scheme 'redis'") && error.contains("inproc://NAME"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

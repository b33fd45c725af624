//! Which broker an `amqp:` URL names, and with what limits.
//!
//! As RabbitMQ's URI specification has it, <https://www.rabbitmq.com/docs/uri-spec> and
//! <https://www.rabbitmq.com/docs/uri-query-parameters>.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::tls::TlsParameters;
use crate::client::url::hide_password;
use crate::error::{Error, Kind, Result};

/// What a URL says.
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) password: String,
    pub(super) virtual_host: String,
    pub(super) mechanism: Mechanism,
    /// Seconds; none leaves it to the broker, 0 is without.
    pub(super) heartbeat: Option<u16>,
    pub(super) channel_max: Option<u16>,
    pub(super) frame_max: Option<u32>,
    /// How long opening may take, when the URL says so: `connection_timeout`, in milliseconds.
    pub(super) timeout: Option<Duration>,
    /// None for `amqp:`.
    pub(super) tls: Option<TlsParameters>,
}

/// How one shows who one is: `auth_mechanism`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mechanism {
    #[default]
    Plain,
    /// By the certificate.
    External,
}

impl Address {
    /// Reads `amqp[s]://[user[:password]@]host[:port][/vhost][?…]`. All parts are percent-decoded; where
    /// the URL is silent, it is `guest:guest` on port 5672 (5671 with TLS) in virtual host `/`.
    ///
    /// # Errors
    /// `InvalidArgument`; the password is not shown.
    pub(super) fn parse(url: &str) -> Result<Address> {
        read(url).map_err(|reason| {
            Error::new(Kind::InvalidArgument, "connect", reason)
                .on(format!("'{}'", hide_password(url)))
                .advise("write amqp://USER:PASSWORD@HOST:PORT/VHOST, with %2F for a / in a name")
        })
    }
}

/// `HOST:PORT`, as errors name it.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Address { host, port, .. } = self;
        match host.contains(':') {
            true => write!(f, "[{host}]:{port}"),
            false => write!(f, "{host}:{port}"),
        }
    }
}

fn read(url: &str) -> Result<Address, String> {
    let (scheme, rest) = url.split_once("://").ok_or("no scheme")?;
    let encrypted = scheme == "amqps";
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, virtual_host) = match rest.split_once('/') {
        Some((authority, vhost)) => (authority, decode(vhost)?),
        None => (rest, "/".into()),
    };
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = match user.split_once(':') {
        Some((user, password)) => (decode(user)?, decode(password)?),
        None if user.is_empty() => ("guest".into(), "guest".into()),
        None => (decode(user)?, String::new()),
    };
    let (host, port) = match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':').unwrap_or(port)),
        None => host.rsplit_once(':').unwrap_or((host, "")),
    };
    let port = match port {
        "" if encrypted => 5671,
        "" => 5672,
        port => number("port", port)?,
    };
    let host = match host {
        "" => "localhost".into(),
        host => decode(host)?,
    };

    let (mut mechanism, mut heartbeat, mut channel_max, mut frame_max) = Default::default();
    let (mut timeout, mut tls) = (None, TlsParameters::default());
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match name {
            "heartbeat" => heartbeat = Some(number(name, value)?),
            "channel_max" => channel_max = Some(number(name, value)?),
            "frame_max" => frame_max = Some(number(name, value)?),
            "connection_timeout" => timeout = Some(Duration::from_millis(number(name, value)?)),
            "auth_mechanism" => {
                mechanism = match &*value.to_ascii_lowercase() {
                    "plain" => Mechanism::Plain,
                    "external" => Mechanism::External,
                    _ => return Err(format!("auth_mechanism is neither plain nor external: '{value}'")),
                }
            }
            "cacertfile" => tls.trusted = Some(decode(value)?),
            "certfile" => tls.certificate = Some(decode(value)?),
            "keyfile" => tls.key = Some(decode(value)?),
            "server_name_indication" => tls.server_name = Some(decode(value)?),
            "verify" => {
                tls.unverified = match value {
                    "verify_none" => true,
                    "verify_peer" => false,
                    _ => return Err(format!("verify is neither verify_peer nor verify_none: '{value}'")),
                }
            }
            _ => {
                return Err(format!(
                    "unknown parameter '{name}'; known are heartbeat, connection_timeout, channel_max, \
                     frame_max, auth_mechanism, cacertfile, certfile, keyfile, verify and server_name_indication"
                ));
            }
        }
    }
    let tls = encrypted.then_some(tls);
    Ok(Address {
        host,
        port,
        user,
        password,
        virtual_host,
        mechanism,
        heartbeat,
        channel_max,
        frame_max,
        timeout,
        tls,
    })
}

fn number<T: FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name} is no number in its range: '{value}'"))
}

fn decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        bytes.push(match (byte, after) {
            (b'%', &[high, low, ref after @ ..]) => {
                let digit = |octet| char::from(octet).to_digit(16).ok_or("% without two hexadecimal digits");
                rest = after;
                (digit(high)? * 16 + digit(low)?) as u8
            }
            (b'%', _) => return Err("% without two hexadecimal digits".into()),
            _ => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| "what is percent-encoded is not UTF-8".into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test that fails may panic
mod tests {
    use super::*;

    fn parts(url: &str) -> (String, String, String, String) {
        let address = Address::parse(url).unwrap();
        let place = address.to_string();
        (address.user, address.password, place, address.virtual_host)
    }

    #[test]
    fn every_part_may_be_left_out_or_percent_encoded() {
        let of = |user: &str, password: &str, place: &str, vhost: &str| {
            (user.to_string(), password.to_string(), place.to_string(), vhost.to_string())
        };
        assert_eq!(parts("amqp://"), of("guest", "guest", "localhost:5672", "/"));
        assert_eq!(parts("amqps://h"), of("guest", "guest", "h:5671", "/"));
        assert_eq!(parts("amqp://h/"), of("guest", "guest", "h:5672", ""));
        assert_eq!(parts("amqp://me@[::1]:7/%2f"), of("me", "", "[::1]:7", "/"));
        assert_eq!(parts("amqp://u%40x:p%3A%2f@h:9/a%2fb?heartbeat=5"), of("u@x", "p:/", "h:9", "a/b"));
    }

    #[test]
    fn parameters_are_read_and_unknown_ones_refused() {
        let address =
            Address::parse("amqp://h?heartbeat=5&connection_timeout=250&channel_max=9&frame_max=8192")
                .unwrap();
        assert_eq!(address.timeout, Some(Duration::from_millis(250)));
        assert_eq!(address.heartbeat, Some(5));
        assert_eq!(address.channel_max, Some(9));
        assert_eq!(address.frame_max, Some(8192));
        let tls =
            Address::parse("amqps://h?certfile=%2Fc&keyfile=k&verify=verify_none&server_name_indication=x");
        let TlsParameters { certificate, key, unverified, server_name, .. } = tls.unwrap().tls.unwrap();
        assert_eq!((certificate.as_deref(), key.as_deref()), (Some("/c"), Some("k")));
        assert_eq!((unverified, server_name.as_deref()), (true, Some("x")));
        assert!(Address::parse("amqps://h?verify=maybe").is_err());
        assert_eq!(
            Address::parse("amqps://h?auth_mechanism=EXTERNAL").unwrap().mechanism,
            Mechanism::External
        );
        assert!(Address::parse("amqp://h?auth_mechanism=gssapi").is_err());
        let error = Address::parse("amqp://h?hartbeat=5").err().unwrap().to_string();
        assert!(error.contains("unknown parameter 'hartbeat'"), "{error}");
    }

    #[test]
    fn errors_do_not_show_the_password() {
        for url in ["amqp://me:secret@h:port", "amqp://me:secret%zz@h", "amqp://me:secret@h?x=1"] {
            let error = Address::parse(url).err().unwrap().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}

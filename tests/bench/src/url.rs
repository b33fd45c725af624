//! `amqp://user:password@host:port/vhost`.

use std::fmt;
use std::str::FromStr;

/// Where a broker listens and who we are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    pub user: String,
    pub password: String,
    pub host: String,
    pub port: u16,
    pub vhost: String,
}

impl Url {
    /// `guest` on this host's port, in the default virtual host.
    pub fn local(port: u16) -> Self {
        let guest = || "guest".to_owned();
        Self { user: guest(), password: guest(), host: "127.0.0.1".into(), port, vhost: "/".into() }
    }
}

/// Without the password, so that it may be printed.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "amqp://{}:{}", self.host, self.port)
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text
            .strip_prefix("amqp://")
            .ok_or("the URL must begin with amqp:// (TLS would be measured, too)")?;
        let (authority, vhost) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, address) = authority.rsplit_once('@').unwrap_or(("guest:guest", authority));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| format!("bad port: {port}"))?)
            }
            _ => (address, 5672),
        };
        Ok(Self {
            user: decode(user)?,
            password: decode(password)?,
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            // "amqp://host/" names the empty vhost by the letter of the URI rules; everyone who types it means "/".
            vhost: if vhost.is_empty() { "/".into() } else { decode(vhost)? },
        })
    }
}

fn decode(text: &str) -> Result<String, String> {
    let mut parts = text.split('%');
    let mut out = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let byte = part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(byte.ok_or_else(|| format!("bad percent sign in {text}"))?);
        out.extend(&part.as_bytes()[2..]);
    }
    String::from_utf8(out).map_err(|_| format!("not UTF-8: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_has_rabbitmqs_defaults() {
        assert_eq!("amqp://127.0.0.1".parse(), Ok(Url::local(5672)));
        assert_eq!("amqp://guest:guest@127.0.0.1:5672/%2f".parse(), Ok(Url::local(5672)));
        let url: Url = "amqp://a%40b:c@[::1]:7/v".parse().unwrap();
        assert_eq!((&*url.user, &*url.host, url.port, &*url.vhost), ("a@b", "::1", 7, "v"));
        assert!("amqps://h".parse::<Url>().is_err());
        assert!("amqp://%zz@h".parse::<Url>().is_err());
    }
}

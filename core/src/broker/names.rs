//! Names that the broker makes up.

use std::borrow::Cow;

use crate::error::{Error, Kind, Result};

/// `prefix` and 22 characters that nobody can guess: 132 random bits in base64url's alphabet, the form
/// of RabbitMQ's `amq.gen-…` (`rabbit_guid`).
pub(crate) fn generate(prefix: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut random = [0u8; 22];
    // Fails only where the machine has no source of randomness at all; names are unique even then.
    if getrandom::fill(&mut random).is_err() {
        random[..8].copy_from_slice(&super::next_id().to_le_bytes());
    }
    let mut name = String::with_capacity(prefix.len() + random.len());
    name.push_str(prefix);
    name.extend(random.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 63)])));
    name
}

/// A name of a queue or exchange as it is declared and bound: without line feeds and carriage returns, which
/// RabbitMQ leaves out (`rabbit_channel:strip_cr_lf`). Publishing and consuming take names as they are.
pub(crate) fn stripped(name: &str) -> Cow<'_, str> {
    match name.contains(['\n', '\r']) {
        true => name.replace(['\n', '\r'], "").into(),
        false => name.into(),
    }
}

/// Names are short strings: at most 255 bytes (AMQP 0-9-1 section 4.2.5.3).
pub(crate) fn check(operation: &'static str, what: &str, name: &str) -> Result<()> {
    if name.len() <= 255 {
        return Ok(());
    }
    let reason = format!("{what} is {} bytes long, at most 255 are allowed", name.len());
    Err(Error::new(Kind::InvalidArgument, operation, reason)
        .on(format!("{what} '{}…'", name.chars().take(40).collect::<String>())))
}

//! How passwords are kept.
//!
//! New ones as argon2id, which takes some 15 ms and 19 MiB to try one (the parameters that OWASP advises);
//! imported ones as RabbitMQ's definitions have them: base64 of 4 bytes of salt and the digest of salt and
//! password (<https://www.rabbitmq.com/docs/passwords>).

use std::fmt;

use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Sha256, Sha512};

use crate::error::{Error, Kind, Result};

/// RabbitMQ's digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digest {
    /// `rabbit_password_hashing_sha256`, RabbitMQ's default.
    Sha256,
    /// `rabbit_password_hashing_sha512`.
    Sha512,
}

impl Digest {
    fn of(self, salt: [u8; 4], password: &[u8]) -> Box<[u8]> {
        use sha2::Digest;
        match self {
            self::Digest::Sha256 => {
                Sha256::new().chain_update(salt).chain_update(password).finalize().as_slice().into()
            }
            self::Digest::Sha512 => {
                Sha512::new().chain_update(salt).chain_update(password).finalize().as_slice().into()
            }
        }
    }
}

/// A password that one can try, but not read.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(Form);

#[derive(Clone, PartialEq, Eq)]
enum Form {
    Salted {
        digest: Digest,
        salt: [u8; 4],
        hash: Box<[u8]>,
    },
    /// In the PHC format: `$argon2id$v=19$m=…`.
    Argon2(Box<str>),
}

const SHA256: &str = "rabbit_password_hashing_sha256";
const SHA512: &str = "rabbit_password_hashing_sha512";
const ARGON2: &str = "argon2id";

/// OWASP's Password Storage Cheat Sheet, the same as the crate's default. Given here because stored hashes of
/// users that do not exist must cost the same.
fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default())
}

impl PasswordHash {
    /// Hashes a password with argon2id. Takes as long as trying one: some 15 ms.
    ///
    /// # Errors
    /// `ResourceError` when the machine has no randomness for the salt.
    pub fn new(password: &[u8]) -> Result<Self> {
        let failed = |error: &dyn fmt::Display| {
            Error::new(Kind::ResourceError, "hash_password", format!("cannot hash: {error}"))
        };
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|error| failed(&error))?;
        let hash: phc::PasswordHash =
            argon2().hash_password_with_salt(password, &salt).map_err(|error| failed(&error))?;
        Ok(PasswordHash(Form::Argon2(hash.to_string().into())))
    }

    /// Hashes a password as RabbitMQ does. Takes a microsecond, for whoever guesses it as well.
    pub fn salted(digest: Digest, password: &[u8]) -> Self {
        let mut salt = [0; 4];
        // Without randomness the salt is known; it protects against tables of hashes, nothing else.
        let _ = getrandom::fill(&mut salt);
        PasswordHash(Form::Salted { digest, salt, hash: digest.of(salt, password) })
    }

    /// Reads `password_hash` and `hashing_algorithm` of RabbitMQ's definitions (without an algorithm: SHA-256),
    /// or what [`PasswordHash::export`] gave for one of argon2id.
    ///
    /// # Errors
    /// `InvalidArgument` for an algorithm that is not known and a hash that is none.
    pub fn import(hash: &str, algorithm: Option<&str>) -> Result<Self> {
        let refuse = |reason: String| Error::new(Kind::InvalidArgument, "import password hash", reason);
        let digest = match algorithm {
            None | Some(SHA256) => Digest::Sha256,
            Some(SHA512) => Digest::Sha512,
            Some(ARGON2) => {
                return match phc::PasswordHash::new(hash) {
                    Ok(parsed) if parsed.algorithm.as_str() == ARGON2 => {
                        Ok(PasswordHash(Form::Argon2(hash.into())))
                    }
                    _ => Err(refuse("not a hash of argon2id".into())),
                };
            }
            Some(other) => return Err(refuse(format!("unknown hashing_algorithm '{other}'"))),
        };
        let bytes = BASE64.decode(hash).map_err(|_| refuse("password_hash is not base64".into()))?;
        let expected = digest.of([0; 4], b"").len();
        match bytes.split_first_chunk::<4>() {
            Some((salt, hash)) if hash.len() == expected => {
                Ok(PasswordHash(Form::Salted { digest, salt: *salt, hash: hash.into() }))
            }
            _ => {
                Err(refuse(format!("password_hash has {} bytes, {} are expected", bytes.len(), expected + 4)))
            }
        }
    }

    /// `password_hash` and `hashing_algorithm` as in RabbitMQ's definitions.
    pub fn export(&self) -> (String, &'static str) {
        match &self.0 {
            Form::Salted { digest, salt, hash } => {
                let name = if *digest == Digest::Sha256 { SHA256 } else { SHA512 };
                (BASE64.encode([salt, &**hash].concat()), name)
            }
            Form::Argon2(text) => (text.to_string(), ARGON2),
        }
    }

    /// Whether it is this password.
    pub fn verify(&self, password: &[u8]) -> bool {
        match &self.0 {
            Form::Salted { digest, salt, hash } => same(&digest.of(*salt, password), hash),
            Form::Argon2(text) => phc::PasswordHash::new(text)
                .is_ok_and(|hash| argon2().verify_password(password, &hash).is_ok()),
        }
    }

    /// To try it takes long, and much memory.
    pub(super) fn is_slow(&self) -> bool {
        matches!(self.0, Form::Argon2(_))
    }
}

/// Takes as long as trying a password that was hashed with [`PasswordHash::new`].
pub(super) fn pretend(password: &[u8]) {
    let mut out = [0; 32];
    let _ = argon2().hash_password_into(password, b"nobody's own salt", &mut out);
    std::hint::black_box(out);
}

/// Compares without telling by its time where the difference is.
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PasswordHash").field(&self.export().1).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From RabbitMQ's documentation, "Computing password hash": test12 with the salt 908D C60A.
    #[test]
    fn hashes_of_rabbitmq_are_understood() {
        let hash =
            PasswordHash::import("kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR", Some(SHA256)).unwrap();
        assert!(hash.verify(b"test12") && !hash.verify(b"test13"));
        assert_eq!(hash.export().0, "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR");
    }

    #[test]
    fn every_form_survives_export_and_import() {
        for hash in [
            PasswordHash::new(b"secret").unwrap(),
            PasswordHash::salted(Digest::Sha256, b"secret"),
            PasswordHash::salted(Digest::Sha512, b"secret"),
        ] {
            let (text, algorithm) = hash.export();
            let again = PasswordHash::import(&text, Some(algorithm)).unwrap();
            assert!(again == hash && again.verify(b"secret") && !again.verify(b"Secret"));
            assert!(!format!("{hash:?}").contains(&text));
        }
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        assert!(PasswordHash::import("c2hvcnQ=", None).is_err());
        assert!(PasswordHash::import("%", None).is_err());
        assert!(PasswordHash::import("", Some("rabbit_password_hashing_md5")).is_err());
        assert!(PasswordHash::import("$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA", Some(ARGON2)).is_err());
    }
}

//! Users, and who may come in.

use hashbrown::HashMap;
use parking_lot::RwLock;

use crate::error::{Error, Kind, Result};

/// Users and their passwords. A new broker knows `guest` with the password `guest`.
#[derive(Debug)]
pub struct Users(RwLock<HashMap<Box<str>, Box<str>>>);

impl Default for Users {
    fn default() -> Self {
        Users(RwLock::new(HashMap::from_iter([("guest".into(), "guest".into())])))
    }
}

impl Users {
    /// Admits a user with the right password. `guest` comes in from this machine only, as in RabbitMQ
    /// (<https://www.rabbitmq.com/docs/access-control#loopback-users>).
    ///
    /// # Errors
    /// `AccessRefused`; the reason does not tell an unknown user from a wrong password.
    pub fn authenticate(&self, user: &str, password: &[u8], from_loopback: bool) -> Result<()> {
        let refused =
            |why: String| Err(Error::new(Kind::AccessRefused, "login", why).on(format!("user '{user}'")));
        let known = self.0.read().get(user).is_some_and(|expected| same(expected.as_bytes(), password));
        if !known {
            return refused("invalid credentials".into());
        }
        self.admit(user, from_loopback)
    }

    /// Admits a user who has been recognised by other means, such as a certificate.
    ///
    /// # Errors
    /// `AccessRefused`.
    pub fn admit(&self, user: &str, from_loopback: bool) -> Result<()> {
        let refused =
            |why: String| Err(Error::new(Kind::AccessRefused, "login", why).on(format!("user '{user}'")));
        if !self.0.read().contains_key(user) {
            return refused("invalid credentials".into());
        }
        if user == "guest" && !from_loopback {
            return refused(format!("user '{user}' can only connect via localhost"));
        }
        Ok(())
    }
}

/// Compares without telling by its time where the difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guest_comes_in_from_this_machine_only_and_with_its_password_only() {
        let users = Users::default();
        assert!(users.authenticate("guest", b"guest", true).is_ok());
        assert!(users.authenticate("guest", b"guest", false).is_err());
        assert!(users.authenticate("guest", b"Guest", true).is_err());
        assert!(users.authenticate("nobody", b"guest", true).is_err());
    }
}

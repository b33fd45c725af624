//! The users of a broker.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};

use super::password::{Digest, PasswordHash, pretend, same};
use super::permissions::Grants;
use super::seats::{Seat, Seats, limit};
use crate::broker::{Change, Definition, Recorder, UserDefinition};
use crate::error::{Error, Kind, Result};

/// A user, as listings show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// What it may do with the broker itself: `administrator`, `monitoring`, `policymaker`, `management`; with
    /// `impersonator` it may publish in the name of others (<https://www.rabbitmq.com/docs/validated-user-id>).
    pub tags: Vec<String>,
    /// What it may have at a time.
    pub limits: UserLimits,
    /// None: it comes in with a certificate (EXTERNAL), or not at all.
    pub password: Option<PasswordHash>,
}

impl User {
    /// A user without tags and limits. Hashing the password takes some 15 ms.
    ///
    /// # Errors
    /// `ResourceError` when the machine has no randomness for the salt.
    pub fn with_password(name: &str, password: &str) -> Result<Self> {
        Ok(User { password: Some(PasswordHash::new(password.as_bytes())?), ..User::without_password(name) })
    }

    /// `guest`, whose password everybody knows, so that a slow hash of it would be of no use.
    pub(crate) fn guest() -> Self {
        User {
            tags: vec!["administrator".into()],
            password: Some(PasswordHash::salted(Digest::Sha256, b"guest")),
            ..User::without_password("guest")
        }
    }

    /// A user without tags and limits who comes in with a certificate (EXTERNAL).
    pub fn without_password(name: &str) -> Self {
        User { name: name.into(), tags: Vec::new(), limits: UserLimits::default(), password: None }
    }
}

/// What a user may have at a time; negative or none: no limit
/// (<https://www.rabbitmq.com/docs/user-limits>). Serialised as in RabbitMQ's definitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct UserLimits {
    /// Connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<i64>,
    /// Channels, over all connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_channels: Option<i64>,
}

/// Users, their passwords and their permissions. A new broker knows `guest` with the password `guest`.
pub struct Users {
    /// Guards who there is; taken when somebody comes in, when a channel looks up what it may do, and by
    /// administration. A password is never tried under it.
    accounts: RwLock<HashMap<Box<str>, Account>>,
    /// Users that come in from this machine only.
    loopback_only: Vec<String>,
    /// Keys the digests of passwords that were found right, so that they are worth nothing outside this process.
    secret: [u8; 32],
    /// Held while a slow hash is computed: one at a time bounds the memory and the time that strangers can
    /// make the broker spend.
    trying: Mutex<()>,
    /// Held while a change is carried out, one at a time: it is recorded before it is seen.
    changing: Mutex<()>,
    recorder: Recorder,
}

struct Account {
    tags: Vec<String>,
    limits: UserLimits,
    password: Option<PasswordHash>,
    /// The password that a slow hash was found to be that of, as a keyed digest: connecting again is quick.
    recognised: Option<[u8; 32]>,
    connections: Seats,
    channels: Seats,
    /// By virtual host.
    grants: HashMap<Box<str>, Arc<Grants>>,
}

/// A user who has come in, as a session needs it.
pub(crate) struct Guest {
    /// May publish in the name of others.
    pub(crate) impersonator: bool,
    /// The user's place among its connections.
    pub(crate) seat: Seat,
}

impl Users {
    /// Nobody yet.
    pub fn none(loopback_only: Vec<String>) -> Self {
        let mut secret = [0; 32];
        // Without randomness the digests are as good as salted ones.
        let _ = getrandom::fill(&mut secret);
        Users {
            accounts: RwLock::default(),
            loopback_only,
            secret,
            trying: Mutex::default(),
            changing: Mutex::default(),
            recorder: Recorder::default(),
        }
    }

    /// These, with their changes recorded.
    pub(crate) fn recorded_by(self, recorder: Recorder) -> Self {
        Users { recorder, ..self }
    }

    // --- coming in ---

    /// Admits a user with the right password. Takes as long as a slow hash (some 15 ms) unless
    /// [`Users::recognises`] it: not to be called on a thread that others wait for.
    ///
    /// # Errors
    /// `AccessRefused`; neither the reason nor the time tells an unknown user from a wrong password.
    pub fn authenticate(&self, user: &str, password: &[u8], from_loopback: bool) -> Result<()> {
        if password.is_empty() {
            // RabbitMQ refuses it before it looks for the user (`rabbit_auth_backend_internal`).
            return Err(refused(user, "attempted to log in with a blank password"));
        }
        if !self.recognises(user, password) && !self.try_slowly(user, password) {
            return Err(refused(user, "- invalid credentials"));
        }
        self.admit(user, from_loopback)
    }

    /// True when it is the user's password and that is quick to see: because it was tried before, or is kept in
    /// a form that costs nothing to try.
    pub fn recognises(&self, user: &str, password: &[u8]) -> bool {
        let accounts = self.accounts.read();
        let Some(account) = accounts.get(user) else { return false };
        match (&account.password, &account.recognised) {
            (Some(hash), _) if !hash.is_slow() => hash.verify(password),
            (Some(_), Some(known)) => same(known, &self.digest(user, password)),
            _ => false,
        }
    }

    /// A wrong password, of whoever, always takes one slow hash.
    fn try_slowly(&self, user: &str, password: &[u8]) -> bool {
        let hash = self.accounts.read().get(user).and_then(|account| account.password.clone());
        let Some(hash) = hash.filter(PasswordHash::is_slow) else {
            let _one = self.trying.lock();
            pretend(password);
            return false;
        };
        let right = {
            let _one = self.trying.lock();
            hash.verify(password)
        };
        if right && let Some(account) = self.accounts.write().get_mut(user) {
            // Unless it has been changed meanwhile.
            if account.password.as_ref() == Some(&hash) {
                account.recognised = Some(self.digest(user, password));
            }
        }
        right
    }

    fn digest(&self, user: &str, password: &[u8]) -> [u8; 32] {
        use sha2::Digest;
        sha2::Sha256::new()
            .chain_update(self.secret)
            .chain_update((user.len() as u64).to_be_bytes())
            .chain_update(user)
            .chain_update(password)
            .finalize()
            .into()
    }

    /// Admits a user who has proved otherwise who it is (EXTERNAL).
    ///
    /// # Errors
    /// `AccessRefused`: there is no such user, or it comes from elsewhere and may not. `guest` comes in from this
    /// machine only, as in RabbitMQ (<https://www.rabbitmq.com/docs/access-control#loopback-users>).
    pub fn admit(&self, user: &str, from_loopback: bool) -> Result<()> {
        if !self.accounts.read().contains_key(user) {
            return Err(refused(user, "- invalid credentials"));
        }
        if !from_loopback && self.loopback_only.iter().any(|name| name == user) {
            return Err(refused(user, "can only connect via localhost"));
        }
        Ok(())
    }

    /// A place among the user's connections; the limit, when it is reached. None: there is no such user.
    pub(crate) fn enter(&self, user: &str) -> Option<Result<Guest, u64>> {
        let accounts = self.accounts.read();
        let account = accounts.get(user)?;
        let seat = account.connections.take(limit(account.limits.max_connections));
        let impersonator = account.tags.iter().any(|tag| tag == "impersonator");
        Some(seat.map(|seat| Guest { impersonator, seat }))
    }

    /// A place among the user's channels; the limit, when it is reached. A user who is gone has none left to
    /// take.
    pub(crate) fn take_channel(&self, user: &str) -> Result<Seat, u64> {
        match self.accounts.read().get(user) {
            Some(account) => account.channels.take(limit(account.limits.max_channels)),
            None => Err(0),
        }
    }

    // --- who there is ---

    /// Adds a user.
    ///
    /// # Errors
    /// `PreconditionFailed` when there is one of this name, `InvalidArgument` for a name that is empty or longer
    /// than 255 bytes.
    pub fn add(&self, user: User) -> Result<()> {
        const OPERATION: &str = "add_user";
        check_name(OPERATION, "user", &user.name)?;
        let _one = self.changing.lock();
        if self.accounts.read().contains_key(user.name.as_str()) {
            let reason = format!("user '{}' already exists", user.name);
            return Err(Error::new(Kind::PreconditionFailed, OPERATION, reason));
        }
        self.keep(OPERATION, user)
    }

    /// Changes a user's tags, limits and password, or adds it. Its permissions stay.
    ///
    /// # Errors
    /// `InvalidArgument` for a name that is empty or longer than 255 bytes.
    pub fn put(&self, user: User) -> Result<()> {
        check_name("put_user", "user", &user.name)?;
        let _one = self.changing.lock();
        self.keep("put_user", user)
    }

    /// Has a user recorded, and then seen.
    fn keep(&self, operation: &'static str, user: User) -> Result<()> {
        self.recorder.keep(operation, || Change::Put(Definition::User(UserDefinition::of(&user))))?;
        let mut accounts = self.accounts.write();
        match accounts.get_mut(user.name.as_str()) {
            Some(account) => account.become_like(user),
            None => {
                accounts.insert(user.name.as_str().into(), Account::new(user));
            }
        }
        Ok(())
    }

    pub(crate) fn delete(&self, user: &str) -> Result<()> {
        const OPERATION: &str = "delete_user";
        let _one = self.changing.lock();
        if !self.accounts.read().contains_key(user) {
            return Err(no_such_user(OPERATION, user));
        }
        self.recorder.keep(OPERATION, || Change::DeleteUser(user.into()))?;
        self.accounts.write().remove(user);
        Ok(())
    }

    /// The user of this name.
    pub fn get(&self, user: &str) -> Option<User> {
        self.accounts.read().get(user).map(|account| account.user(user))
    }

    /// Every user, by name.
    pub fn list(&self) -> Vec<User> {
        let mut users: Vec<_> =
            self.accounts.read().iter().map(|(name, account)| account.user(name)).collect();
        users.sort_by(|a, b| a.name.cmp(&b.name));
        users
    }

    fn change(&self, operation: &'static str, user: &str, change: impl FnOnce(&mut User)) -> Result<()> {
        let _one = self.changing.lock();
        let mut user = self.get(user).ok_or_else(|| no_such_user(operation, user))?;
        change(&mut user);
        self.keep(operation, user)
    }

    /// Changes the password; with None the user comes in by certificate only. Connections that are open stay.
    ///
    /// # Errors
    /// `NotFound` when there is no such user.
    pub fn set_password(&self, user: &str, password: Option<PasswordHash>) -> Result<()> {
        self.change("change_password", user, |user| user.password = password)
    }

    /// Replaces the tags; seen by connections to come.
    ///
    /// # Errors
    /// `NotFound` when there is no such user.
    pub fn set_tags(&self, user: &str, tags: Vec<String>) -> Result<()> {
        self.change("set_user_tags", user, |user| user.tags = tags)
    }

    /// Replaces the limits; they hold for connections and channels to come.
    ///
    /// # Errors
    /// `NotFound` when there is no such user.
    pub fn set_limits(&self, user: &str, limits: UserLimits) -> Result<()> {
        self.change("set_user_limits", user, |user| user.limits = limits)
    }

    // --- what they may do ---

    /// What a user may do in a virtual host.
    pub(crate) fn grants(&self, user: &str, vhost: &str) -> Option<Arc<Grants>> {
        self.accounts.read().get(user)?.grants.get(vhost).cloned()
    }

    pub(crate) fn change_grants(
        &self,
        operation: &'static str,
        user: &str,
        vhost: &str,
        change: impl FnOnce(&Grants) -> Result<Grants>,
        recorded: Change,
    ) -> Result<()> {
        let _one = self.changing.lock();
        if !self.accounts.read().contains_key(user) {
            return Err(no_such_user(operation, user));
        }
        let changed = change(&self.grants(user, vhost).unwrap_or_default())?;
        self.recorder.keep(operation, || recorded)?;
        if let Some(account) = self.accounts.write().get_mut(user) {
            match changed.is_empty() {
                true => account.grants.remove(vhost),
                false => account.grants.insert(vhost.into(), Arc::new(changed)),
            };
        }
        Ok(())
    }

    /// Forgets what anybody may do in a virtual host that is gone.
    pub(crate) fn forget_vhost(&self, vhost: &str) {
        self.accounts.write().values_mut().for_each(|account| {
            account.grants.remove(vhost);
        });
    }

    /// Everything that is granted, in no order.
    pub(crate) fn all_grants(&self) -> Vec<Arc<Grants>> {
        let accounts = self.accounts.read();
        accounts.values().flat_map(|account| account.grants.values().cloned()).collect()
    }
}

impl Account {
    fn new(user: User) -> Self {
        Account {
            tags: user.tags,
            limits: user.limits,
            password: user.password,
            recognised: None,
            connections: Seats::default(),
            channels: Seats::default(),
            grants: HashMap::new(),
        }
    }

    /// Connections and permissions stay.
    fn become_like(&mut self, user: User) {
        if self.password != user.password {
            self.recognised = None;
        }
        self.tags = user.tags;
        self.limits = user.limits;
        self.password = user.password;
    }

    fn user(&self, name: &str) -> User {
        User {
            name: name.into(),
            tags: self.tags.clone(),
            limits: self.limits,
            password: self.password.clone(),
        }
    }
}

fn refused(user: &str, why: &str) -> Error {
    Error::new(Kind::AccessRefused, "login", format!("user '{user}' {why}")).on(format!("user '{user}'"))
}

fn no_such_user(operation: &'static str, user: &str) -> Error {
    Error::new(Kind::NotFound, operation, format!("no user '{user}'")).on(format!("user '{user}'"))
}

/// Names of users and virtual hosts are short strings (`connection.open`).
pub(crate) fn check_name(operation: &'static str, what: &str, name: &str) -> Result<()> {
    if (1..=255).contains(&name.len()) {
        return Ok(());
    }
    let reason = format!("{what} name of {} bytes; it must have 1 to 255", name.len());
    Err(Error::new(Kind::InvalidArgument, operation, reason))
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Users").field("loopback_only", &self.loopback_only).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> Users {
        let users = Users::none(vec!["guest".into()]);
        users.put(User::guest()).unwrap();
        users
    }

    fn ann(password: Option<PasswordHash>) -> User {
        User { password, ..User::without_password("ann") }
    }

    #[test]
    fn guest_comes_in_from_this_machine_only_and_with_its_password_only() {
        let users = users();
        assert!(users.authenticate("guest", b"guest", true).is_ok());
        assert!(users.authenticate("guest", b"guest", false).is_err());
        assert!(users.authenticate("guest", b"Guest", true).is_err());
        assert!(users.recognises("guest", b"guest"), "at once");
    }

    #[test]
    fn an_unknown_user_and_a_wrong_password_look_alike() {
        let users = users();
        let text = |user: &str| users.authenticate(user, b"wrong", true).unwrap_err().reason().to_owned();
        assert_eq!(text("guest").replace("guest", "X"), text("nobody").replace("nobody", "X"));
    }

    #[test]
    fn a_right_password_is_recognised_the_second_time_until_it_is_changed() {
        let users = users();
        users.add(ann(Some(PasswordHash::new(b"secret").unwrap()))).unwrap();
        assert!(!users.recognises("ann", b"secret"));
        assert!(users.authenticate("ann", b"secret", false).is_ok());
        assert!(users.recognises("ann", b"secret") && !users.recognises("ann", b"Secret"));
        users.set_password("ann", Some(PasswordHash::new(b"other").unwrap())).unwrap();
        assert!(!users.recognises("ann", b"secret"));
        assert!(users.authenticate("ann", b"secret", true).is_err());
    }

    #[test]
    fn without_a_password_one_comes_in_only_by_other_proof() {
        let users = users();
        users.add(ann(None)).unwrap();
        assert!(users.authenticate("ann", b"", true).is_err());
        assert!(users.authenticate("ann", b"x", true).is_err());
        assert!(users.admit("ann", false).is_ok() && users.admit("bob", false).is_err());
    }

    #[test]
    fn a_user_is_added_once_and_changed_only_while_it_exists() {
        let users = users();
        users.add(ann(None)).unwrap();
        assert_eq!(users.add(ann(None)).unwrap_err().kind(), Kind::PreconditionFailed);
        users.delete("ann").unwrap();
        assert_eq!(users.set_tags("ann", Vec::new()).unwrap_err().kind(), Kind::NotFound);
        assert_eq!(users.list().len(), 1);
    }
}

//! Who is logged in from this process: the same user or TURN account twice is a cause of its own.
//!
//! Users are kept as keyed hashes, never as words. A [`Login`] counts until it is dropped. Other processes are not seen; what their
//! logins do shows in a server's words only.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use crate::diagnosis::facts::IdentityFacts;
use crate::peer::SessionConfig;
use crate::socket::SocketConfig;

/// One user of one server; means nothing outside of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity(u64);

/// All logins of an engine.
#[derive(Default)]
pub(super) struct Identities {
    hashing: RandomState,
    logins: Mutex<HashMap<Identity, Vec<(u64, Instant)>>>,
}

/// A login; it counts until it is dropped.
pub(super) struct Login {
    identities: Arc<Identities>,
    identity: Identity,
    number: u64,
    at: Instant,
}

impl Identities {
    /// The user of a WebSocket: its credentials, where it has some that tell users apart.
    pub(super) fn of_socket(&self, config: &SocketConfig) -> Option<Identity> {
        let server = config.server().ok()?;
        let credentials = config.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("Authorization"));
        let query = config.url.split_once('?').map(|(_, query)| query).filter(|query| !query.is_empty());
        match (credentials, query) {
            (None, None) => None,
            (credentials, query) => Some(Identity(self.hashing.hash_one((server, credentials, query)))),
        }
    }

    /// A registered name at a signaling server.
    pub(super) fn of_name(&self, server: &str, name: &str) -> Identity {
        Identity(self.hashing.hash_one((server, name)))
    }

    /// The user of a softphone, by whatever its profile says tells users apart; `None` where nothing does.
    pub(super) fn of_softphone(&self, profile: &str, tells: &[&str]) -> Option<Identity> {
        (!tells.is_empty()).then(|| Identity(self.hashing.hash_one((profile, tells))))
    }

    /// The account of a session's TURN servers.
    pub(super) fn of_turn(&self, config: &SessionConfig) -> Option<Identity> {
        let server = config.ice_servers.iter().find(|server| !server.username.is_empty())?;
        Some(Identity(self.hashing.hash_one((server.urls.first(), &server.username))))
    }

    /// Counts a login from now on.
    pub(super) fn login(self: &Arc<Self>, identity: Identity) -> Login {
        let at = Instant::now();
        let mut logins = self.logins.lock();
        let same = logins.entry(identity).or_default();
        let number = same.last().map_or(0, |(last, _)| last + 1);
        same.push((number, at));
        drop(logins);
        Login { identities: Arc::clone(self), identity, number, at }
    }

    /// How many logins of that user there are.
    pub(super) fn count(&self, identity: Identity) -> u32 {
        let count = self.logins.lock().get(&identity).map_or(0, Vec::len);
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

impl Login {
    /// The logins of the same user beside this one.
    pub(super) fn others(&self) -> u32 {
        self.identities.count(self.identity).saturating_sub(1)
    }

    /// The others, as seen from the end of this one at `ended`.
    fn facts(&self, ended: Instant) -> IdentityFacts {
        let logins = self.identities.logins.lock();
        let others = logins.get(&self.identity).into_iter().flatten().filter(|(number, _)| *number != self.number);
        let later = others.clone().map(|(_, at)| *at).filter(|at| (self.at..=ended).contains(at)).max();
        IdentityFacts {
            same_user_here: u32::try_from(others.count()).unwrap_or(u32::MAX),
            other_login_before_us: later.map(|at| super::micros(ended.duration_since(at))),
            same_turn_account_here: 0,
        }
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        let mut logins = self.identities.logins.lock();
        if let Some(same) = logins.get_mut(&self.identity) {
            same.retain(|(number, _)| *number != self.number);
            if same.is_empty() {
                logins.remove(&self.identity);
            }
        }
    }
}

/// What the logins of one socket say at its end.
pub(super) fn facts_of(logins: &[Login], ended: Instant) -> IdentityFacts {
    logins.iter().map(|login| login.facts(ended)).fold(IdentityFacts::default(), |sum, one| IdentityFacts {
        same_user_here: sum.same_user_here.max(one.same_user_here),
        other_login_before_us: match (sum.other_login_before_us, one.other_login_before_us) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        },
        same_turn_account_here: 0,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_same_credentials_at_the_same_server_are_the_same_user() {
        let identities = Identities::default();
        let of = |json: &str| identities.of_socket(&SocketConfig::from_json(json.as_bytes()).expect("a configuration"));
        let one = of(r#"{"url":"ws://a.example/x","headers":[["Authorization","Bearer 1"]]}"#);
        assert!(one.is_some());
        assert_eq!(
            of(r#"{"url":"ws://a.example/x","headers":[["authorization","Bearer 1"]]}"#).is_some(),
            one.is_some()
        );
        assert_ne!(of(r#"{"url":"ws://a.example/x","headers":[["Authorization","Bearer 2"]]}"#), one);
        assert_ne!(of(r#"{"url":"ws://b.example/x","headers":[["Authorization","Bearer 1"]]}"#), one);
        assert_eq!(of(r#"{"url":"ws://a.example/x"}"#), None, "nothing tells users apart");
        assert_eq!(of(r#"{"url":"ws://a.example/x?user=1"}"#), of(r#"{"url":"ws://a.example/x?user=1"}"#));
        assert_ne!(of(r#"{"url":"ws://a.example/x?user=1"}"#), of(r#"{"url":"ws://a.example/x?user=2"}"#));
    }

    #[test]
    fn a_later_login_of_the_same_user_is_seen_from_the_end_of_the_first() {
        let identities = Arc::new(Identities::default());
        let user = identities.of_name("a.example:80", "anna");
        let first = identities.login(user);
        assert_eq!(facts_of(std::slice::from_ref(&first), Instant::now()), IdentityFacts::default());
        let second = identities.login(user);
        let stranger = identities.login(identities.of_name("a.example:80", "ben"));
        let ended = Instant::now() + Duration::from_millis(50);
        let facts = facts_of(std::slice::from_ref(&first), ended);
        assert_eq!(facts.same_user_here, 1);
        assert!(facts.other_login_before_us.is_some_and(|us| us >= 50_000), "{facts:?}");
        assert_eq!(facts_of(std::slice::from_ref(&second), ended).other_login_before_us, None, "it was the later one");
        assert_eq!((first.others(), stranger.others()), (1, 0));
        drop(second);
        drop(stranger);
        assert_eq!(first.others(), 0);
        drop(first);
        assert!(identities.logins.lock().is_empty());
    }
}

//! The session of the next offer, made ahead: gathering with STUN and TURN servers takes time that a sample should not wait for.
//!
//! One per place, only once the plan has offered twice, so that a plan that calls once pays nothing; for the same canned
//! text, the same servers and the same address, and for a minute. Dropping it closes the session in the background.
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::autoice::trickle;
use crate::peer::{ConnectionState, IceCandidateInit, Session, SessionConfig};

/// How long a session waits for its offer.
pub(super) const KEPT: Duration = Duration::from_secs(60);
/// Offers that show that there will be more.
const OFFERS: u32 = 2;

/// A session with its description.
pub(super) struct Made {
    pub(super) session: Session,
    /// Its description, with the candidates.
    pub(super) live: String,
    pub(super) candidates: Vec<IceCandidateInit>,
    /// There will be no more of them.
    pub(super) ended: bool,
    pub(super) at: Instant,
}

impl Made {
    pub(super) fn with_candidates(mut self) -> Self {
        let lines: Vec<String> = self.candidates.iter().map(|candidate| candidate.candidate.clone()).collect();
        self.live = trickle::with_candidates(&self.live, &lines, self.ended);
        self
    }
}

/// What is ready at one place.
#[derive(Default)]
pub(super) struct Ahead {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    offers: u32,
    canned: String,
    /// A session is being made or kept.
    busy: bool,
    made: Option<(u64, Made)>,
}

impl Ahead {
    /// The plan has sent an offer.
    pub(super) fn offered(&self, canned: &str) {
        let mut state = self.state.lock();
        state.offers = state.offers.saturating_add(1);
        if state.canned != canned {
            canned.clone_into(&mut state.canned);
        }
    }

    /// The canned text of the next offer, where a session is to be made for it; whoever gets it has to make one.
    pub(super) fn wanted(&self) -> Option<String> {
        let mut state = self.state.lock();
        if state.offers < OFFERS || state.busy {
            return None;
        }
        state.busy = true;
        Some(state.canned.clone())
    }

    /// The session that is ready for such an offer.
    pub(super) fn take(&self, canned: &str, config: &SessionConfig) -> Option<Made> {
        let mut state = self.state.lock();
        let fits = state.made.as_ref().is_some_and(|(key, made)| {
            *key == self::key(canned, config)
                && made.at.elapsed() < KEPT
                && made.session.connection_state() == ConnectionState::New
        });
        if !fits {
            return None;
        }
        state.busy = false;
        state.made.take().map(|(_, made)| made)
    }

    /// Keeps a session; false where nobody wants it any more.
    pub(super) fn keep(&self, key: u64, made: Made) -> bool {
        let mut state = self.state.lock();
        let wanted = state.busy;
        if wanted {
            state.made = Some((key, made));
        }
        wanted
    }

    /// Closes a session that nobody took.
    pub(super) fn forget(&self, key: u64) {
        let mut state = self.state.lock();
        if state.made.as_ref().is_some_and(|(other, made)| *other == key && made.at.elapsed() >= KEPT) {
            state.made = None;
            state.busy = false;
        }
    }

    /// Closes what is ready, and what is being made once it is; the plan has to show again that it goes on.
    pub(super) fn clear(&self) {
        *self.state.lock() = State::default();
    }
}

/// What an offer and its session are known by.
pub(super) fn key(canned: &str, config: &SessionConfig) -> u64 {
    let mut hasher = DefaultHasher::new();
    canned.hash(&mut hasher);
    for server in &config.ice_servers {
        (&server.urls, &server.username, &server.credential, &server.secret).hash(&mut hasher);
    }
    (config.source_address, config.route_hint).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn made() -> Made {
        let session = Session::new(SessionConfig::default()).await.expect("a session");
        Made { session, live: String::new(), candidates: vec![], ended: true, at: Instant::now() }
    }

    #[tokio::test]
    async fn a_session_is_made_ahead_once_the_plan_has_offered_twice_and_fits_only_its_offer() {
        let (ahead, config) = (Ahead::default(), SessionConfig::default());
        ahead.offered("canned");
        assert_eq!(ahead.wanted(), None);
        ahead.offered("canned");
        assert_eq!(ahead.wanted().as_deref(), Some("canned"));
        assert_eq!(ahead.wanted(), None, "one at a time");
        assert!(ahead.keep(key("canned", &config), made().await));
        assert!(ahead.take("other", &config).is_none());
        let elsewhere = SessionConfig { route_hint: Some([127, 0, 0, 2].into()), ..config.clone() };
        assert!(ahead.take("canned", &elsewhere).is_none());
        assert!(ahead.take("canned", &config).is_some());
        assert!(ahead.take("canned", &config).is_none(), "taken once");
        assert!(ahead.wanted().is_some(), "the next one may be made");
    }

    #[tokio::test]
    async fn what_was_being_made_when_all_ended_is_not_kept() {
        let ahead = Ahead::default();
        ahead.offered("canned");
        ahead.offered("canned");
        assert!(ahead.wanted().is_some());
        ahead.clear();
        assert!(!ahead.keep(key("canned", &SessionConfig::default()), made().await));
        assert_eq!(ahead.wanted(), None);
    }
}

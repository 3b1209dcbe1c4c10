//! Scopes: who owns what, and how it ends.
//!
//! Closing a scope forgets its names at once, decides what became of its Auto ICE calls and then says good-bye: calls first (bounded by 2 s, all at the same time),
//! then softphones (unregistered as their profile says) and sockets (close frame 1000), bounded by 500 ms, then TCP. What is being opened in it is ended. Closing again finds
//! nothing. Dropping the future of a close leaves the rest to the bounds of the sockets and sessions themselves.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::socket::CloseCause;

use super::auto_ice::ScopeIce;
use super::error::EngineError;
use super::runtime::Unwatched;
use super::sessions::Softphone;
use super::sockets::{CLOSE_SOCKET, NORMAL_CLOSURE, SocketEntry, cause_json};
use super::softphones::SoftphoneEntry;
use super::tables::{OperationKey, ScopeKey, SessionKey, SocketKey, SoftphoneKey, Tables};
use super::{Engine, State};

/// How long the good-byes of the calls of a scope may take together.
pub(super) const HANG_UP: Duration = Duration::from_secs(2);

/// What a scope and those under it owned.
#[derive(Default)]
struct Estate {
    sessions: Vec<(SessionKey, String, Arc<Softphone>)>,
    sockets: Vec<SocketEntry>,
    softphones: Vec<SoftphoneEntry>,
    auto_ice: Vec<Arc<ScopeIce>>,
    scopes: usize,
}

impl Tables {
    /// Takes a scope and those under it out of the tables. Sessions stay counted until they have ended.
    fn dissolve(&mut self, scope: ScopeKey, estate: &mut Estate) {
        let Some(entry) = self.scopes.remove(scope) else { return };
        entry.ending.cancel();
        if let Some(parent) = entry.parent.and_then(|parent| self.scopes.get_mut(parent)) {
            parent.children.retain(|child| *child != scope);
        }
        for child in entry.children {
            self.dissolve(child, estate);
        }
        let sockets: Vec<SocketKey> = entry.sockets.into_values().collect();
        estate.sockets.extend(sockets.into_iter().filter_map(|key| self.sockets.remove(key)));
        let softphones: Vec<SoftphoneKey> = entry.softphones.into_values().collect();
        estate.softphones.extend(softphones.into_iter().filter_map(|key| self.softphones.remove(key)));
        for key in entry.channels {
            self.channels.remove(key);
        }
        estate.auto_ice.push(entry.auto_ice);
        for key in entry.sessions.into_values() {
            if let Some(session) = self.sessions.get_mut(key)
                && !session.leaving
            {
                session.leaving = true;
                estate.sessions.push((key, session.name.clone(), Arc::clone(&session.softphone)));
            }
        }
        estate.scopes += 1;
    }
}

impl Engine {
    /// A new scope; the null parent is none.
    ///
    /// # Errors
    /// A stale parent.
    pub fn open_scope(&self, parent: Option<ScopeKey>) -> Result<ScopeKey, EngineError> {
        self.state.tables().open_scope(parent)
    }

    /// Whether the scope is closed.
    pub fn is_scope_closed(&self, scope: ScopeKey) -> bool {
        !self.state.tables().scopes.contains_key(scope)
    }

    /// Closes a scope and those under it; says what was closed. Idempotent.
    ///
    /// # Errors
    /// [`EngineError::Unfinished`] when `deadline` passed; the rest ends by its own bounds in the background.
    pub fn close_scope(&self, scope: ScopeKey, deadline: Duration) -> Result<Value, EngineError> {
        let mut estate = Estate::default();
        self.state.tables().dissolve(scope, &mut estate);
        if estate.sessions.is_empty() && estate.sockets.is_empty() && estate.softphones.is_empty() {
            let results = take_results(&estate.auto_ice);
            return Ok(json!({"sockets": [], "sessions": [], "autoIce": results, "scopes": estate.scopes}));
        }
        let state = Arc::clone(&self.state);
        let slack = deadline.saturating_add(Duration::from_millis(250));
        self.wait("close scope", OperationKey::default(), slack, Unwatched::Continue, async move {
            Ok(settle(state, estate, deadline).await)
        })
    }
}

/// Closes every scope and lab.
pub(super) async fn close_everything(state: Arc<State>, deadline: Duration) -> Value {
    let mut estate = Estate::default();
    let labs = {
        let mut tables = state.tables();
        let scopes: Vec<ScopeKey> = tables.scopes.keys().collect();
        for scope in scopes {
            tables.dissolve(scope, &mut estate);
        }
        tables.labs.drain().map(|(_, lab)| lab).collect::<Vec<_>>()
    };
    let closed = settle(state, estate, deadline).await;
    let mut stopping = JoinSet::new();
    for lab in labs {
        stopping.spawn(async move { lab.stop(deadline).await });
    }
    stopping.join_all().await;
    closed
}

/// Says good-bye for everything in `estate`, within `deadline`.
async fn settle(state: Arc<State>, estate: Estate, deadline: Duration) -> Value {
    let for_calls = HANG_UP.min(deadline.mul_f32(0.75));
    let for_sockets = CLOSE_SOCKET.min(deadline.saturating_sub(for_calls).max(Duration::from_millis(50)));
    // Before the sessions end, so that what is undecided is told as what it is.
    futures_util::future::join_all(estate.auto_ice.iter().map(|ice| ice.end())).await;
    let mut calls = JoinSet::new();
    for (key, name, softphone) in estate.sessions {
        let state = Arc::clone(&state);
        calls.spawn(async move {
            let before = softphone.session().connection_state();
            let report = state.end_session(key, softphone, for_calls).await;
            json!({"name": name, "state": before, "report": report})
        });
    }
    let sessions = calls.join_all().await;
    let mut farewells = JoinSet::new();
    for SoftphoneEntry { name, phone, .. } in estate.softphones {
        let state = Arc::clone(&state);
        farewells.spawn(async move { json!({"name": name, "report": state.say_farewell(phone, for_sockets).await}) });
    }
    let mut closes = JoinSet::new();
    for SocketEntry { name, socket, .. } in estate.sockets {
        closes.spawn(async move {
            let cause = match socket.close_cause() {
                Some(cause) => cause,
                None => socket.close(NORMAL_CLOSURE, "", for_sockets).await,
            };
            socket.abort(CloseCause::ScopeEnded);
            json!({"name": name, "cause": cause_json(&cause)})
        });
    }
    let sockets = closes.join_all().await;
    let softphones = farewells.join_all().await;
    let results = take_results(&estate.auto_ice);
    let mut closed = json!({"sockets": sockets, "sessions": sessions, "autoIce": results, "scopes": estate.scopes});
    if let (Value::Object(members), false) = (&mut closed, softphones.is_empty()) {
        members.insert("softphones".to_owned(), json!(softphones));
    }
    closed
}

/// What Auto ICE has to tell of these scopes.
fn take_results(scopes: &[Arc<ScopeIce>]) -> Vec<Value> {
    scopes.iter().flat_map(|ice| ice.take()).collect()
}

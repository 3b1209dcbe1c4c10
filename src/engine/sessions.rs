//! Sessions by handle and by name.
//!
//! A session is counted from its start until it has ended; while it says good-bye it has no handle any more. What cancels
//! a good-bye cancels the wait for it, never the closing: a session is always closed. One that is dropped before it got a
//! handle is closed in the background.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::config::{ConfigError, from_json};
use crate::diagnosis::facts::SessionFacts;
use crate::peer::{ConnectionState, IceCandidateInit, MediaCounters, PeerError, Session, SessionConfig};
use crate::signaling::call::Call;
use crate::signaling::outcome::{CallCode, CallLoss, CallOutcome};
use crate::signaling::softphone::PhoneCall;
use crate::socket::CloseCause;

use super::error::EngineError;
use super::identities::Login;
use super::runtime::Unwatched;
use super::scopes::HANG_UP;
use super::tables::{Handle, OperationKey, ScopeKey, SessionKey};
use super::tally::SessionCount;
use super::{Engine, State, check_name, micros};

/// How long making a session may take; it is local work and one bind.
const NEW_SESSION: Duration = Duration::from_secs(10);

/// A session as the tables know it.
pub(super) struct SessionEntry {
    pub(super) name: String,
    pub(super) scope: ScopeKey,
    pub(super) softphone: Arc<Softphone>,
    /// It is saying good-bye: counted, but without a handle.
    pub(super) leaving: bool,
}

/// A session and the call it carries, if a call of ours made it.
pub(super) struct Softphone {
    carries: Carries,
    /// The TURN account it uses.
    turn: Option<Login>,
    last_check: Mutex<Option<(Instant, MediaCounters)>>,
}

/// What a session belongs to.
enum Carries {
    /// Nothing of ours: the plan carries its descriptions.
    Nothing(Session),
    /// A call over a signaling WebSocket.
    Call(Box<Call>),
    /// A call of a registered softphone.
    Phone(Box<Phoned>),
}

/// A call of a registered softphone.
pub(super) struct Phoned {
    pub(super) call: PhoneCall,
    /// How long a hang-up waits for the other side's consent.
    pub(super) bye_timeout: Duration,
    /// Counts it as one of its softphone's.
    pub(super) _counted: Arc<()>,
    /// What it began with; another one may have replaced it.
    pub(super) first: Session,
}

impl Softphone {
    pub(super) fn of_session(session: Session, turn: Option<Login>) -> Self {
        Self { carries: Carries::Nothing(session), turn, last_check: Mutex::new(None) }
    }

    pub(super) fn of_call(call: Call, turn: Option<Login>) -> Self {
        Self { carries: Carries::Call(Box::new(call)), turn, last_check: Mutex::new(None) }
    }

    pub(super) fn of_phone(phoned: Phoned, turn: Option<Login>) -> Self {
        Self { carries: Carries::Phone(Box::new(phoned)), turn, last_check: Mutex::new(None) }
    }

    /// What a diagnosis may know of the call it carries, and when that started; `None` where no call of ours made it.
    pub(super) fn call_facts(&self) -> Option<(SessionFacts, Instant)> {
        match &self.carries {
            Carries::Nothing(_) => None,
            Carries::Call(call) => Some((call.facts(), call.started())),
            Carries::Phone(phoned) => Some((phoned.call.facts(), phoned.call.started())),
        }
    }

    /// The call of a registered softphone that it carries.
    pub(super) fn phoned(&self) -> Option<&Phoned> {
        match &self.carries {
            Carries::Phone(phoned) => Some(phoned),
            Carries::Nothing(_) | Carries::Call(_) => None,
        }
    }

    /// What setting its call up came to.
    pub(super) fn outcome(&self) -> Option<&CallOutcome> {
        match &self.carries {
            Carries::Nothing(_) => None,
            Carries::Call(call) => Some(call.outcome()),
            Carries::Phone(phoned) => phoned.call.outcome(),
        }
    }

    /// When it began.
    fn began(&self) -> Instant {
        match &self.carries {
            Carries::Nothing(session) => session.started(),
            Carries::Call(call) => call.started(),
            Carries::Phone(phoned) => phoned.call.started(),
        }
    }

    /// How the call it carries was lost; `None` while it is up, and where no call of ours made it.
    fn call_lost(&self) -> Option<CallLoss> {
        match &self.carries {
            Carries::Nothing(_) => None,
            Carries::Call(call) => call.lost(),
            Carries::Phone(phoned) => phoned.call.lost(),
        }
    }

    /// How the connection of its signaling was lost.
    fn signaling_lost(&self) -> Option<CloseCause> {
        match &self.carries {
            Carries::Nothing(_) => None,
            Carries::Call(call) => call.signaling_lost(),
            Carries::Phone(phoned) => phoned.call.signaling_lost(),
        }
    }

    /// Packet accounts of all that it carried.
    fn counters(&self) -> MediaCounters {
        match &self.carries {
            Carries::Phone(phoned) => phoned.call.counters(),
            Carries::Nothing(_) | Carries::Call(_) => self.session().counters(),
        }
    }

    /// Other sessions of this process with the same TURN account.
    pub(super) fn same_turn_account(&self) -> u32 {
        self.turn.as_ref().map_or(0, Login::others)
    }

    /// Its session, the newest where one replaced another.
    pub(super) fn session(&self) -> Session {
        match &self.carries {
            Carries::Nothing(session) => session.clone(),
            Carries::Call(call) => call.session().clone(),
            Carries::Phone(phoned) => phoned.call.session().unwrap_or_else(|| phoned.first.clone()),
        }
    }

    /// What is counted of it now.
    pub(super) fn count(&self) -> SessionCount {
        let session = self.session();
        // A session that replaced another may not be connected yet; its call has been.
        let connected = session.phases().dtls_connected_us.is_some() || self.phoned().is_some();
        let failed = session.connection_state() == ConnectionState::Failed && !connected;
        SessionCount { connected, failed, media: self.counters() }
    }

    /// Whether media flows in: connected, not hung up by the other side, and at least one RTP packet came.
    pub(super) fn is_talking(&self) -> bool {
        let session = self.session();
        session.connection_state() == ConnectionState::Connected
            && session.phases().first_rtp_us.is_some()
            && self.call_lost().is_none()
    }

    async fn hang_up(&self, deadline: Duration) -> Value {
        let session = match &self.carries {
            Carries::Nothing(session) => session,
            Carries::Call(call) => return json!(call.hang_up(deadline).await),
            Carries::Phone(phoned) => return json!(phoned.call.hang_up(deadline, phoned.bye_timeout).await),
        };
        let (lost, up) = (self.lost(), session.phases().dtls_connected_us);
        let duration = up.map_or(0, |up| micros(session.started().elapsed()).saturating_sub(up));
        let begun = Instant::now();
        session.stop_audio();
        session.close(deadline).await;
        json!({
            "media": session.counters(),
            "peerMedia": null,
            "peerMediaMissing": "no signaling of ours carries the other side's accounts",
            "agrees": false,
            "durationUs": duration,
            "hangUpUs": micros(begun.elapsed()),
            "phases": session.phases(),
            "lost": lost,
            "timeline": session.timeline(),
        })
    }

    /// How it ended against our will; `None` while it is up.
    fn lost(&self) -> Option<Value> {
        match &self.carries {
            Carries::Nothing(session) if session.connection_state() == ConnectionState::Failed => {
                let detail = session.pending_phase().map(|pending| pending.detail);
                Some(json!({"code": CallCode::ConnectionLost, "message": detail}))
            }
            _ => self.call_lost().map(|loss| json!(loss)),
        }
    }

    pub(super) fn report(&self, lost: Option<Value>) -> Value {
        let session = self.session();
        json!({
            "state": session.connection_state(),
            "counters": self.counters(),
            "phases": session.phases(),
            "timeline": session.timeline(),
            "selectedPair": session.selected_pair(),
            "dtmfHeard": session.dtmf_heard(),
            "lost": lost,
            "signalingLost": self.signaling_lost(),
            "outcome": self.outcome(),
        })
    }

    async fn check(&self) -> Value {
        let session = self.session();
        let stats = session.stats().await;
        let now = Instant::now();
        let totals = self.counters();
        let (since, before) = self
            .last_check
            .lock()
            .replace((now, totals))
            .unwrap_or_else(|| (session.started(), MediaCounters::default()));
        json!({
            "intervalMs": now.saturating_duration_since(since).as_secs_f64() * 1e3,
            "packetsSent": totals.packets_sent.saturating_sub(before.packets_sent),
            "packetsReceived": totals.packets_received.saturating_sub(before.packets_received),
            "packetsLost": totals.packets_lost - before.packets_lost,
            "packetsSkipped": totals.packets_skipped.saturating_sub(before.packets_skipped),
            "socketDrops": totals.socket_drops.saturating_sub(before.socket_drops),
            "bytesSent": totals.bytes_sent.saturating_sub(before.bytes_sent),
            "bytesReceived": totals.bytes_received.saturating_sub(before.bytes_received),
            "jitterMs": totals.jitter * 1e3,
            "roundTripTimeMs": round_trip_time_ms(&stats),
            "state": session.connection_state(),
            "totals": totals,
        })
    }
}

/// A deadline that the caller did not give is a failure of the session, not a timeout of the caller's.
fn own_deadline(error: EngineError) -> EngineError {
    match error {
        EngineError::Deadline { what, deadline_ms } => {
            EngineError::Peer(PeerError::Deadline { phase: what, deadline_ms })
        }
        other => other,
    }
}

/// RTCP's round trip time where there is one (W3C `remote-inbound-rtp`), else that of the ICE checks (`candidate-pair`).
fn round_trip_time_ms(stats: &Value) -> Option<f64> {
    let objects: Vec<&Value> = match stats {
        Value::Array(list) => list.iter().collect(),
        Value::Object(map) => map.values().collect(),
        _ => Vec::new(),
    };
    let seconds = |kind: &str, member: &str| {
        objects
            .iter()
            .filter(|object| object["type"] == kind)
            .filter_map(|object| object[member].as_f64())
            .find(|seconds| *seconds > 0.0)
    };
    seconds("remote-inbound-rtp", "roundTripTime")
        .or_else(|| seconds("candidate-pair", "currentRoundTripTime"))
        .map(|seconds| seconds * 1e3)
}

/// Where a session can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Milestone {
    /// ICE and DTLS are done.
    Connected,
    /// The first RTP packet came in.
    Media,
}

impl std::str::FromStr for Milestone {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match text {
            "connected" => Ok(Self::Connected),
            "media" => Ok(Self::Media),
            _ => Err(ConfigError::new("state", text, "connected or media")),
        }
    }
}

impl State {
    /// How a softphone ended against our will, and why; `None` while it is up.
    fn loss(&self, softphone: &Softphone) -> Option<Value> {
        let mut lost = softphone.lost()?;
        if let Value::Object(members) = &mut lost {
            members.extend(self.explain_loss(softphone));
        }
        Some(lost)
    }

    pub(super) fn softphone(&self, key: SessionKey) -> Result<Arc<Softphone>, EngineError> {
        let tables = self.tables();
        let entry = tables.sessions.get(key).filter(|entry| !entry.leaving);
        entry.map(|entry| Arc::clone(&entry.softphone)).ok_or_else(|| key.stale())
    }

    /// Takes a fresh softphone into its scope. One that the scope has under the name ends in the background. A scope that
    /// closed meanwhile gives the softphone back.
    pub(super) fn keep_session(
        self: &Arc<Self>,
        scope: ScopeKey,
        name: String,
        softphone: Softphone,
    ) -> Result<SessionKey, (EngineError, Box<Softphone>)> {
        let mut tables = self.tables();
        if let Err(closed) = tables.scope(scope) {
            return Err((closed, Box::new(softphone)));
        }
        let entry = SessionEntry { name: name.clone(), scope, softphone: Arc::new(softphone), leaving: false };
        let key = tables.sessions.insert(entry);
        let before = tables.scopes.get_mut(scope).and_then(|entry| entry.sessions.insert(name, key));
        drop(tables);
        if let Some((before, softphone)) = before.and_then(|before| Some((before, self.start_leaving(before)?))) {
            let state = Arc::clone(self);
            tokio::spawn(async move { state.end_session(before, softphone, HANG_UP).await });
        }
        self.watch_generator();
        Ok(key)
    }

    /// Takes the handle away; `None` when it was taken before. The caller must end the session.
    pub(super) fn start_leaving(&self, key: SessionKey) -> Option<Arc<Softphone>> {
        let mut tables = self.tables();
        let entry = tables.sessions.get_mut(key).filter(|entry| !entry.leaving)?;
        entry.leaving = true;
        let (scope, softphone) = (entry.scope, Arc::clone(&entry.softphone));
        if let Some(scope) = tables.scopes.get_mut(scope) {
            // It may have a second name.
            scope.sessions.retain(|_, named| *named != key);
        }
        Some(softphone)
    }

    /// Hangs up, closes and moves the counts of a session that is leaving to the tally; says how the call was. Runs to its
    /// end, which `deadline` bounds, also when its future is dropped.
    pub(super) async fn end_session(
        self: &Arc<Self>,
        key: SessionKey,
        softphone: Arc<Softphone>,
        deadline: Duration,
    ) -> Value {
        let state = Arc::clone(self);
        let ending = tokio::spawn(async move {
            let phone = Arc::clone(&softphone);
            // Before the hang-up, which ends what there is to be seen.
            let (lost, began) = (state.loss(&softphone), phone.began());
            let hung_up = tokio::spawn(async move { phone.hang_up(deadline).await }).await;
            let hung_up = hung_up.map(|mut report| {
                state.add_starved(&mut report, began, Instant::now());
                if let (Value::Object(members), Some(lost)) = (&mut report, lost) {
                    members.insert("lost".to_owned(), lost);
                }
                report
            });
            let mut tables = state.tables();
            if tables.sessions.remove(key).is_some() {
                tables.tally.left(&softphone.count());
            }
            drop(tables);
            hung_up.unwrap_or_else(|error| json!({"unfinished": format!("hanging up failed: {error}")}))
        });
        ending.await.unwrap_or_else(|error| json!({"unfinished": format!("hanging up failed: {error}")}))
    }
}

impl Engine {
    /// A session without signaling of ours.
    ///
    /// # Errors
    /// [`EngineError::Config`] before anything is bound; [`EngineError::Peer`]; a stale scope or operation; a cancel.
    pub fn new_session(
        &self,
        scope: ScopeKey,
        operation: OperationKey,
        name: &str,
        config: &[u8],
    ) -> Result<SessionKey, EngineError> {
        check_name(name)?;
        let config = SessionConfig::from_json(config)?;
        let ending = self.state.tables().scope(scope)?.ending.clone();
        let state = Arc::clone(&self.state);
        let name = name.to_owned();
        let _busy = self.state.opening(&self.runtime);
        let began = Instant::now();
        let turn = state.identities.of_turn(&config).map(|identity| state.identities.login(identity));
        let made = self.wait("new session", operation, NEW_SESSION, Unwatched::Drop, async move {
            state.tables().tally.softphones_started += 1;
            let session = tokio::select! {
                () = ending.cancelled() => return Err(scope.stale()),
                made = Session::new(config) => made
                    .inspect_err(|_| state.tables().tally.softphones_failed += 1)
                    .map_err(|error| state.explain_session(error, None, began))?,
            };
            state.tables().tally.udp_sockets_opened += 1;
            match state.keep_session(scope, name, Softphone::of_session(session, turn)) {
                Ok(key) => Ok(key),
                Err((closed, softphone)) => {
                    softphone.session().close(HANG_UP).await;
                    Err(closed)
                }
            }
        });
        made.map_err(own_deadline)
    }

    /// The session of that name in `scope` or above.
    ///
    /// # Errors
    /// A stale scope.
    pub fn find_session(&self, scope: ScopeKey, name: &str) -> Result<Option<SessionKey>, EngineError> {
        self.state.tables().look_up(scope, |entry| entry.sessions.get(name).copied())
    }

    /// Local offer.
    ///
    /// # Errors
    /// [`EngineError::Peer`], a stale key, the deadline, a cancel.
    pub fn create_offer(
        &self,
        key: SessionKey,
        operation: OperationKey,
        deadline: Duration,
    ) -> Result<String, EngineError> {
        let softphone = self.state.softphone(key)?;
        self.wait("create offer", operation, deadline, Unwatched::Drop, async move {
            Ok(softphone.session().create_offer().await?)
        })
    }

    /// Answer to a remote offer.
    ///
    /// # Errors
    /// [`EngineError::Peer`], a stale key, the deadline, a cancel.
    pub fn create_answer(
        &self,
        key: SessionKey,
        operation: OperationKey,
        offer: String,
        deadline: Duration,
    ) -> Result<String, EngineError> {
        let softphone = self.state.softphone(key)?;
        let (state, began) = (Arc::clone(&self.state), Instant::now());
        self.wait("create answer", operation, deadline, Unwatched::Drop, async move {
            let answer = softphone.session().create_answer(&offer).await;
            answer.map_err(|error| state.explain_session(error, Some(&softphone.session()), began))
        })
    }

    /// Applies the remote answer.
    ///
    /// # Errors
    /// [`EngineError::Peer`], a stale key, the deadline, a cancel.
    pub fn set_remote_answer(
        &self,
        key: SessionKey,
        operation: OperationKey,
        answer: String,
        deadline: Duration,
    ) -> Result<(), EngineError> {
        let softphone = self.state.softphone(key)?;
        let (state, began) = (Arc::clone(&self.state), Instant::now());
        self.wait("apply remote answer", operation, deadline, Unwatched::Drop, async move {
            let applied = softphone.session().set_remote_answer(&answer).await;
            applied.map_err(|error| state.explain_session(error, Some(&softphone.session()), began))
        })
    }

    /// Applies a remote candidate (W3C `RTCIceCandidateInit` as JSON).
    ///
    /// # Errors
    /// [`EngineError::Config`] for JSON that is no candidate; [`EngineError::Peer`]; a stale key.
    pub fn add_ice_candidate(&self, key: SessionKey, candidate: &[u8]) -> Result<(), EngineError> {
        let candidate: IceCandidateInit = from_json(candidate)?;
        let softphone = self.state.softphone(key)?;
        let added = self.wait("add candidate", OperationKey::default(), NEW_SESSION, Unwatched::Drop, async move {
            Ok(softphone.session().add_ice_candidate(candidate).await?)
        });
        added.map_err(own_deadline)
    }

    /// The next local candidate; `None` at their end.
    ///
    /// # Errors
    /// A stale key, the deadline, a cancel.
    pub fn next_local_candidate(
        &self,
        key: SessionKey,
        operation: OperationKey,
        deadline: Duration,
    ) -> Result<Option<IceCandidateInit>, EngineError> {
        let softphone = self.state.softphone(key)?;
        self.wait("next candidate", operation, deadline, Unwatched::Drop, async move {
            Ok(softphone.session().next_local_candidate().await)
        })
    }

    /// Waits for a milestone; gives the state then.
    ///
    /// # Errors
    /// [`EngineError::Peer`] when it will never be reached; a stale key, the deadline, a cancel.
    pub fn await_milestone(
        &self,
        key: SessionKey,
        operation: OperationKey,
        milestone: Milestone,
        deadline: Duration,
    ) -> Result<ConnectionState, EngineError> {
        let softphone = self.state.softphone(key)?;
        let what = match milestone {
            Milestone::Connected => "wait for ICE and DTLS",
            Milestone::Media => "wait for the first RTP packet",
        };
        let (state, began) = (Arc::clone(&self.state), Instant::now());
        self.wait(what, operation, deadline, Unwatched::Drop, async move {
            let reached = match milestone {
                Milestone::Connected => softphone.session().connected().await,
                Milestone::Media => softphone.session().first_rtp().await,
            };
            reached.map_err(|error| state.explain_session(error, Some(&softphone.session()), began))?;
            Ok(softphone.session().connection_state())
        })
    }

    /// The state now.
    ///
    /// # Errors
    /// A stale key.
    pub fn connection_state(&self, key: SessionKey) -> Result<ConnectionState, EngineError> {
        Ok(self.state.softphone(key)?.session().connection_state())
    }

    /// Whether it ended against our will; `false` for a stale key. Costs much less than the report that says how.
    pub fn is_session_lost(&self, key: SessionKey) -> bool {
        self.state.softphone(key).is_ok_and(|softphone| softphone.lost().is_some())
    }

    /// What is known now.
    ///
    /// # Errors
    /// A stale key.
    pub fn session_report(&self, key: SessionKey) -> Result<Value, EngineError> {
        let softphone = self.state.softphone(key)?;
        Ok(softphone.report(self.state.loss(&softphone)))
    }

    /// Media since the last check.
    ///
    /// # Errors
    /// A stale key, the deadline, a cancel.
    pub fn check_media(
        &self,
        key: SessionKey,
        operation: OperationKey,
        deadline: Duration,
    ) -> Result<Value, EngineError> {
        let softphone = self.state.softphone(key)?;
        let state = Arc::clone(&self.state);
        self.wait("check media", operation, deadline, Unwatched::Drop, async move {
            let since = softphone.last_check.lock().map_or_else(|| softphone.began(), |(at, _)| at);
            let mut check = softphone.check().await;
            state.add_starved(&mut check, since, Instant::now());
            Ok(check)
        })
    }

    /// W3C statistics.
    ///
    /// # Errors
    /// A stale key, the deadline, a cancel.
    pub fn stats(&self, key: SessionKey, operation: OperationKey, deadline: Duration) -> Result<Value, EngineError> {
        let softphone = self.state.softphone(key)?;
        self.wait("get statistics", operation, deadline, Unwatched::Drop, async move {
            Ok(softphone.session().stats().await)
        })
    }

    /// Hangs up, closes and forgets; says how the call was.
    ///
    /// # Errors
    /// A stale key; a cancel, which ends the wait, not the closing.
    pub fn hang_up(&self, key: SessionKey, operation: OperationKey, deadline: Duration) -> Result<Value, EngineError> {
        self.cancellation(operation)?;
        let softphone = self.state.start_leaving(key).ok_or_else(|| key.stale())?;
        let state = Arc::clone(&self.state);
        let outer = deadline.saturating_add(HANG_UP);
        self.wait("hang up", operation, outer, Unwatched::Continue, async move {
            Ok(state.end_session(key, softphone, deadline).await)
        })
    }

    /// Hangs up within two seconds and forgets; `false` when that was done before.
    ///
    /// # Errors
    /// A panic inside.
    pub fn close_session(&self, key: SessionKey) -> Result<bool, EngineError> {
        match self.hang_up(key, OperationKey::default(), HANG_UP) {
            Ok(_) => Ok(true),
            Err(EngineError::Stale { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

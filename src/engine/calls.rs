//! Calls: sessions that a signaling WebSocket sets up.
//!
//! A call that does not come up is an outcome, not an error. A set-up that is cancelled, late or overtaken by the end of its
//! scope says good-bye and closes its session in the background.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::diagnosis::facts::IdentityFacts;
use crate::signaling::call::{self, CallConfig, Registration};
use crate::signaling::outcome::{CallCode, CallFailure};
use crate::socket::Socket;

use super::error::EngineError;
use super::gate::{Pass, Start, take_gate};
use super::identities::Login;
use super::runtime::Unwatched;
use super::scopes::HANG_UP;
use super::sessions::Softphone;
use super::tables::{Handle, OperationKey, ScopeKey, SessionKey, SocketKey};
use super::{Engine, State, check_name, micros};

/// What became of setting up a call.
#[derive(Debug)]
pub struct Placed {
    /// The [`crate::signaling::outcome::CallOutcome`] as JSON.
    pub outcome: Value,
    /// The session, when the call is up.
    pub session: Option<SessionKey>,
}

/// Which side of the call we are.
pub(super) enum Role {
    Calling,
    /// The duration is how long an offer may keep us waiting.
    Answering(Duration),
}

/// A call that did not come up, with what only the engine knows of it: the same user elsewhere, and how many other sessions
/// have the same TURN account.
pub(super) type Failed = (CallFailure, IdentityFacts, u32);

impl State {
    /// Counts what a set-up came to; `Ok` says whether the call has a UDP socket of its own.
    fn count_call(&self, role: &Role, result: Result<bool, &CallFailure>) {
        let mut tables = self.tables();
        let tally = &mut tables.tally;
        match (role, result) {
            (Role::Calling, Ok(own)) => tally.udp_sockets_opened += i64::from(own),
            (Role::Answering(_), Ok(own)) => {
                tally.softphones_started += 1;
                tally.udp_sockets_opened += i64::from(own);
            }
            (role, Err(CallFailure { outcome, .. })) => {
                let began = matches!(role, Role::Calling) || outcome.offer_sdp.is_some();
                tally.softphones_started += i64::from(matches!(role, Role::Answering(_)) && began);
                tally.softphones_failed += i64::from(began && outcome.code != CallCode::Cancelled);
                let without_socket = matches!(outcome.code, CallCode::Config | CallCode::UdpSocket(_));
                tally.udp_sockets_opened += i64::from(outcome.offer_sdp.is_some() && !without_socket);
            }
        }
    }

    /// Hangs up the session that a scope has under a name, for another one to take its place.
    pub(super) async fn make_room(self: &Arc<Self>, scope: ScopeKey, name: &str) -> Result<(), EngineError> {
        let before = self.tables().scope(scope)?.sessions.get(name).copied();
        if let Some((key, softphone)) = before.and_then(|key| Some((key, self.start_leaving(key)?))) {
            self.end_session(key, softphone, HANG_UP).await;
        }
        Ok(())
    }

    /// Counts what a set-up came to, keeps the session of a call that is up, and tells it to the caller. `waited`: in the gate.
    pub(super) fn placed(
        self: &Arc<Self>,
        role: &Role,
        (scope, name): (ScopeKey, String),
        result: Result<Softphone, Failed>,
        waited: Option<Duration>,
    ) -> Result<Placed, EngineError> {
        let has_own_socket =
            |softphone: &Softphone| softphone.outcome().is_none_or(|outcome| !outcome.persistent_connection);
        self.count_call(role, result.as_ref().map(has_own_socket).map_err(|(failure, ..)| failure));
        match result {
            Ok(softphone) => {
                let outcome = with_gate_wait(json!(softphone.outcome()), waited);
                let session = self.keep_session(scope, name, softphone).map_err(|(closed, _)| closed)?;
                Ok(Placed { outcome, session: Some(session) })
            }
            Err((mut failure, identity, turn_others)) => {
                self.explain_call(&mut failure, identity, turn_others);
                Ok(Placed { outcome: with_gate_wait(json!(failure.outcome), waited), session: None })
            }
        }
    }

    async fn set_up(
        self: Arc<Self>,
        role: Role,
        (scope, name): (ScopeKey, String),
        (signaling, socket): (SocketKey, Socket),
        config: CallConfig,
        pass: Option<Pass>,
    ) -> Result<Placed, EngineError> {
        let waited = pass.as_ref().map(|pass| pass.waited);
        self.make_room(scope, &name).await?;
        let turn = self.identities.of_turn(&config.session).map(|identity| self.identities.login(identity));
        let result = match role {
            Role::Calling => {
                self.tables().tally.softphones_started += 1;
                call::place_then(socket, &config, move || drop(pass)).await
            }
            Role::Answering(deadline) => call::answer_next(socket, &config, deadline).await,
        };
        let result = match result {
            Ok(mut call) => {
                call.starved(self.starved_reasons(call.started(), Instant::now()));
                Ok(Softphone::of_call(call, turn))
            }
            Err(failure) => Err((failure, self.identity_of(signaling), turn.as_ref().map_or(0, Login::others))),
        };
        self.placed(&role, (scope, name), result, waited)
    }
}

/// The outcome of a gated call says how long it waited for its start, which is no part of its times.
fn with_gate_wait(mut outcome: Value, waited: Option<Duration>) -> Value {
    if let (Value::Object(members), Some(waited)) = (&mut outcome, waited) {
        members.insert("gateWaitUs".to_owned(), json!(micros(waited)));
    }
    outcome
}

impl Engine {
    /// Calls somebody over a signaling socket; see [`call::place`]. With a member `gate` ([`super::GateConfig`]) in the
    /// configuration it first waits for its start, which `deadline` does not count, and holds its place until it is
    /// connected or has failed. Answering does not pass a gate: the caller decides when it starts.
    ///
    /// # Errors
    /// [`EngineError::Config`] before any packet; a stale scope, socket or operation; the deadline, a cancel.
    pub fn place_call(
        &self,
        scope: ScopeKey,
        operation: OperationKey,
        name: &str,
        socket: SocketKey,
        config: &[u8],
        deadline: Duration,
    ) -> Result<Placed, EngineError> {
        self.call("place call", Role::Calling, (scope, operation, name), socket, config, deadline)
    }

    /// Answers the next call that reaches a registered signaling socket; see [`call::answer_next`].
    ///
    /// # Errors
    /// As [`Engine::place_call`].
    pub fn answer_call(
        &self,
        scope: ScopeKey,
        operation: OperationKey,
        name: &str,
        socket: SocketKey,
        config: &[u8],
        deadline: Duration,
    ) -> Result<Placed, EngineError> {
        self.call("answer call", Role::Answering(deadline), (scope, operation, name), socket, config, deadline)
    }

    fn call(
        &self,
        what: &'static str,
        role: Role,
        (scope, operation, name): (ScopeKey, OperationKey, &str),
        socket: SocketKey,
        config: &[u8],
        deadline: Duration,
    ) -> Result<Placed, EngineError> {
        check_name(name)?;
        let (gate, config) = take_gate(config)?;
        let config = CallConfig::from_json(&config)?;
        let ending = self.state.tables().scope(scope)?.ending.clone();
        let signaling = (socket, self.socket(socket)?);
        let pass = match role {
            Role::Calling => {
                self.pass_gate(Start::Call, gate, &signaling.1.opened().peer.to_string(), operation, scope)?
            }
            Role::Answering(_) => None,
        };
        let setting_up = Arc::clone(&self.state).set_up(role, (scope, name.to_owned()), signaling, config, pass);
        let _busy = self.state.opening(&self.runtime);
        self.wait(what, operation, deadline, Unwatched::Drop, async move {
            tokio::select! {
                () = ending.cancelled() => Err(scope.stale()),
                placed = setting_up => placed,
            }
        })
    }

    /// Makes a signaling socket reachable under a name; see [`call::register`].
    ///
    /// # Errors
    /// [`EngineError::Call`] when it was refused or the socket is closed; a stale key, the deadline, a cancel.
    pub fn register(
        &self,
        socket: SocketKey,
        operation: OperationKey,
        name: String,
        deadline: Duration,
    ) -> Result<Registration, EngineError> {
        let (key, socket) = (socket, self.socket(socket)?);
        let state = Arc::clone(&self.state);
        self.wait("register", operation, deadline, Unwatched::Drop, async move {
            let identity = state.identities.of_name(&socket.opened().peer.to_string(), &name);
            match call::register(&socket, &name, deadline).await {
                Ok(registration) => {
                    let login = state.identities.login(identity);
                    if let Some(entry) = state.tables().sockets.get_mut(key) {
                        entry.logins.push(login);
                    }
                    Ok(registration)
                }
                Err(mut failure) => {
                    let same_user_here = state.identities.count(identity);
                    let identity = IdentityFacts { same_user_here, ..state.identity_of(key) };
                    state.explain_call(&mut failure, identity, 0);
                    Err(failure.into())
                }
            }
        })
        .map_err(|error| match error {
            EngineError::Call(failure) if failure.code() == CallCode::SignalingTimeout => {
                let deadline_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
                EngineError::Deadline { what: "register", deadline_ms }
            }
            other => other,
        })
    }
}

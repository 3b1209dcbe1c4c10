//! WebSockets by handle and by name.
//!
//! A socket stays known, with its close cause and its queued frames, until it is closed through the engine, released, or
//! its scope closes. Cancelling a call leaves the socket as it is; an opening that is cancelled leaves nothing behind.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use crate::config::ConfigError;
use crate::diagnosis::cause_of_close;
use crate::socket::{CloseCause, Frame, Matching, Opcode, Sent, Socket, SocketConfig, SocketError};

use super::auto_ice::{Place, take_auto_ice};
use super::error::EngineError;
use super::gate::{Start, retry_after, take_gate};
use super::identities::Login;
use super::matcher::Matcher;
use super::operations::Operation;
use super::runtime::{self, Unwatched};
use super::tables::{Handle, OperationKey, ScopeKey, SocketKey};
use super::{Engine, State, check_name, micros};

/// How long a socket's closing handshake may take where the caller gives no time.
pub(super) const CLOSE_SOCKET: Duration = Duration::from_millis(500);
/// Status of a close that nobody gave a status for (RFC 6455 §7.4.1).
pub(super) const NORMAL_CLOSURE: u16 = 1000;
/// The cause of a socket whose TCP connection we dropped without a close frame (1006, RFC 6455 §7.1.5).
pub const ABORTED: CloseCause = CloseCause::ClosedByUs { code: 1006 };
/// Largest payload of a control frame (RFC 6455 §5.5).
const CONTROL_PAYLOAD: usize = 125;

/// A socket as the tables know it.
pub(super) struct SocketEntry {
    pub(super) name: String,
    pub(super) scope: ScopeKey,
    pub(super) socket: Socket,
    /// How long it waited for its start, where there was a gate.
    pub(super) gate_wait: Option<Duration>,
    /// When its opening began, the gate left out.
    pub(super) began: Instant,
    /// Who is logged in over it.
    pub(super) logins: Vec<Login>,
    /// Where Auto ICE looks at its messages.
    place: Option<Arc<Place>>,
}

/// A frame and its times as seen by the call that took it.
#[derive(Debug)]
pub struct Received {
    /// The frame.
    pub frame: Frame,
    /// Start of the call → arrival; zero when the frame was queued already.
    pub waited: Duration,
}

/// What an exchange gives: bytes on the wire and the time until they were with the kernel, and what came then.
pub type Exchanged = ((usize, Duration), Result<Received, EngineError>);

/// What a call that waits for a frame is called.
const RECEIVE: &str = "wait for a frame";

impl State {
    fn socket(&self, key: SocketKey) -> Result<Socket, EngineError> {
        self.tables().sockets.get(key).map(|entry| entry.socket.clone()).ok_or_else(|| key.stale())
    }

    /// A socket, and what to wait on for a cancel.
    fn in_use(&self, key: SocketKey, operation: OperationKey) -> Result<InUse, EngineError> {
        let tables = self.tables();
        let (socket, place) = {
            let entry = tables.sockets.get(key).ok_or_else(|| key.stale())?;
            (entry.socket.clone(), entry.place.clone())
        };
        Ok(InUse { socket, place, operation: tables.operation(operation)? })
    }

    /// Takes a fresh socket into its scope; a scope that closed meanwhile refuses it, and the socket is dropped.
    fn keep_socket(
        self: &Arc<Self>,
        scope: ScopeKey,
        name: String,
        socket: Socket,
        (began, gate_wait): (Instant, Option<Duration>),
        login: Option<Login>,
        place: Option<Arc<Place>>,
    ) -> Result<SocketKey, EngineError> {
        let mut tables = self.tables();
        if let Err(closed) = tables.scope(scope) {
            drop(tables);
            socket.abort(CloseCause::ScopeEnded);
            return Err(closed);
        }
        tables.tally.web_sockets_opened += 1;
        let logins = login.into_iter().collect();
        let peer = socket.opened().peer.ip();
        let entry = SocketEntry { name: name.clone(), scope, socket, gate_wait, began, logins, place: place.clone() };
        let key = tables.sockets.insert(entry);
        if let Some(place) = place {
            place.carried_by(key, peer);
        }
        let before = tables.scope_mut(scope)?.sockets.insert(name, key);
        let before = before.and_then(|before| tables.sockets.remove(before));
        drop(tables);
        if let Some(entry) = before {
            entry.socket.abort(ABORTED);
        }
        self.watch_generator();
        Ok(key)
    }

    /// Forgets a socket, by its key; `None` when it was forgotten before.
    pub(super) fn forget_socket(&self, key: SocketKey) -> Option<SocketEntry> {
        let mut tables = self.tables();
        let entry = tables.sockets.remove(key)?;
        if let Some(scope) = tables.scopes.get_mut(entry.scope)
            && scope.sockets.get(&entry.name) == Some(&key)
        {
            scope.sockets.remove(&entry.name);
        }
        Some(entry)
    }
}

impl Engine {
    /// Opens a WebSocket in `scope` under `name`; one that the scope has under that name is aborted first. With a member
    /// `gate` ([`super::GateConfig`]) in the configuration it first waits for its start, which `deadline` does not count.
    ///
    /// # Errors
    /// [`EngineError::Config`] before any packet; [`EngineError::Socket`], also for `deadline`; a stale scope or
    /// operation; a cancel.
    pub fn open_socket(
        &self,
        scope: ScopeKey,
        operation: OperationKey,
        name: &str,
        config: &[u8],
        deadline: Duration,
    ) -> Result<SocketKey, EngineError> {
        check_name(name)?;
        let (gate, config) = take_gate(config)?;
        let (auto_ice, config) = take_auto_ice(&config)?;
        let config = SocketConfig::from_json(&config)?;
        let ending = self.state.tables().scope(scope)?.ending.clone();
        self.release_socket(scope, name)?;
        let server = config.server()?;
        let pass = self.pass_gate(Start::WebSocket, gate, &server, operation, scope)?;
        let gate_wait = pass.as_ref().map(|pass| pass.waited);
        let _busy = self.state.opening(&self.runtime);
        let began = Instant::now();
        let state = Arc::clone(&self.state);
        let name = name.to_owned();
        let identity = state.identities.of_socket(&config);
        let runtime = self.runtime.handle();
        let place = auto_ice.map(|config| self.state.socket_place(scope, &name, runtime, config)).transpose()?;
        let origin = (server.clone(), config.source_address.is_some());
        let same_user = identity.map_or(0, |identity| state.identities.count(identity));
        let observer = place.as_ref().map(|place| self.state.observer(place));
        let opening = async move {
            let _pass = pass;
            let opened = tokio::select! {
                () = ending.cancelled() => return Err(scope.stale()),
                // Boxed, so that the caller's stack, which a thread keeps as deep as it ever was, is not moved through it.
                opened = Box::pin(Socket::open_observed(&config, observer)) => opened,
            };
            match opened {
                Ok((socket, _)) => {
                    let login = identity.map(|identity| state.identities.login(identity));
                    state.keep_socket(scope, name, socket, (began, gate_wait), login, place)
                }
                Err(failure) => {
                    let origin = (&*origin.0, origin.1);
                    Err(state.explain_opening(failure.error, Some(&failure.phases), origin, same_user, began))
                }
            }
        };
        let opened = self.wait("open WebSocket", operation, deadline, Unwatched::Drop, opening).map_err(|e| match e {
            EngineError::Deadline { deadline_ms, .. } => {
                let error = SocketError::Deadline { phase: "open WebSocket", deadline_ms };
                self.state.explain_opening(error, None, (&server, false), 0, began)
            }
            other => other,
        });
        let error = opened.as_ref().err().and_then(EngineError::socket);
        if error.is_some() || matches!(opened, Err(EngineError::Panicked { .. })) {
            self.state.tables().tally.web_sockets_failed += 1;
        }
        let (Some(error), Some(waited), Some(gate)) = (error, gate_wait, gate) else {
            return opened;
        };
        if let SocketError::Status { headers, .. } = error
            && let Some(wait) = retry_after(headers, SystemTime::now())
        {
            self.state.gates.gate(Start::WebSocket, gate).hold_back(&server, wait);
        }
        opened.map_err(|error| EngineError::AfterGate { error: Box::new(error), gate_wait_us: micros(waited) })
    }

    /// The socket of that name in `scope` or above.
    ///
    /// # Errors
    /// A stale scope.
    pub fn find_socket(&self, scope: ScopeKey, name: &str) -> Result<Option<SocketKey>, EngineError> {
        self.state.tables().look_up(scope, |entry| entry.sockets.get(name).copied())
    }

    /// Forgets the socket of that name in `scope` itself and drops its TCP connection.
    ///
    /// # Errors
    /// A stale scope.
    pub fn release_socket(&self, scope: ScopeKey, name: &str) -> Result<(), EngineError> {
        let key = self.state.tables().scope(scope)?.sockets.get(name).copied();
        if let Some(entry) = key.and_then(|key| self.state.forget_socket(key)) {
            entry.socket.abort(ABORTED);
        }
        Ok(())
    }

    /// How it was opened: the phases and the server's answer ([`crate::socket::Opened`]), `gateWaitUs` where there was a gate,
    /// and whether the generator was `starved` meanwhile (`starvedReasons`).
    ///
    /// # Errors
    /// A stale key.
    pub fn socket_opened(&self, key: SocketKey) -> Result<Value, EngineError> {
        let (socket, gate_wait, began) = {
            let tables = self.state.tables();
            let entry = tables.sockets.get(key).ok_or_else(|| key.stale())?;
            (entry.socket.clone(), entry.gate_wait, entry.began)
        };
        let mut opened = json!(socket.opened());
        if let (Value::Object(members), Some(waited)) = (&mut opened, gate_wait) {
            members.insert("gateWaitUs".to_owned(), json!(micros(waited)));
        }
        self.state.add_starved(&mut opened, began, socket.started());
        Ok(opened)
    }

    /// The socket itself.
    ///
    /// # Errors
    /// A stale key.
    pub fn socket(&self, key: SocketKey) -> Result<Socket, EngineError> {
        self.state.socket(key)
    }

    /// Closing handshake; the socket keeps its name and queue. A cancel ends the wait, not the closing.
    ///
    /// # Errors
    /// A reason of more than 123 bytes; a stale key, a cancel.
    pub fn close_socket_with(
        &self,
        key: SocketKey,
        operation: OperationKey,
        status: u16,
        reason: String,
        deadline: Duration,
    ) -> Result<CloseCause, EngineError> {
        if reason.len() > CONTROL_PAYLOAD - 2 {
            let refused = "at most 123 bytes of UTF-8 (RFC 6455 section 5.5)";
            return Err(ConfigError::new("reason", reason, refused).into());
        }
        let socket = self.state.socket(key)?;
        let outer = deadline.saturating_add(CLOSE_SOCKET);
        self.wait("close WebSocket", operation, outer, Unwatched::Continue, async move {
            Ok(socket.close(status, &reason, deadline).await)
        })
    }

    /// Closes with status 1000, bounded by 500 ms, and forgets the socket; `false` when it was forgotten before.
    ///
    /// # Errors
    /// A panic inside.
    pub fn close_socket(&self, key: SocketKey) -> Result<bool, EngineError> {
        let Some(SocketEntry { socket, .. }) = self.state.forget_socket(key) else { return Ok(false) };
        let outer = CLOSE_SOCKET.saturating_mul(2);
        self.wait("close WebSocket", OperationKey::default(), outer, Unwatched::Continue, async move {
            socket.close(NORMAL_CLOSURE, "", CLOSE_SOCKET).await;
            Ok(true)
        })
    }
}

/// A socket in use: one call, or the two of an exchange, of a thread of the caller.
struct InUse {
    socket: Socket,
    /// Where Auto ICE looks at its messages.
    place: Option<Arc<Place>>,
    operation: Option<Arc<Operation>>,
}

impl InUse {
    /// Sends one frame. `start`: now.
    fn send(
        &self,
        opcode: Opcode,
        fin: bool,
        payload: &[u8],
        start: Instant,
        deadline: Duration,
    ) -> Result<Sent, EngineError> {
        let control = matches!(opcode, Opcode::Close | Opcode::Ping | Opcode::Pong);
        if control && (payload.len() > CONTROL_PAYLOAD || !fin) {
            let reason = "a control frame has at most 125 bytes and is final (RFC 6455 section 5.5)";
            return Err(ConfigError::new("payload", format!("{} bytes", payload.len()), reason).into());
        }
        let sending = async { Ok(self.socket.send_from(start, opcode, fin, payload).await?) };
        runtime::park("send a frame", self.operation.as_deref(), start, deadline, sending)
    }

    /// Takes the next frame, or the next that matches. `start`: now.
    fn receive(
        &self,
        what: &'static str,
        matches: Option<&Matching<'_>>,
        start: Instant,
        deadline: Duration,
    ) -> Result<Received, EngineError> {
        if self.operation.as_deref().is_some_and(Operation::is_cancelled) {
            return Err(EngineError::Cancelled { what });
        }
        let until = runtime::until(start, deadline);
        let frame = self
            .socket
            .receive_here(matches, start, until, runtime::cancelled(self.operation.as_deref()))
            .map_err(|missed| runtime::missed_error(missed, what, deadline))??;
        Ok(Received { waited: frame.at.saturating_duration_since(start), frame })
    }
}

/// Using a socket: a failure says why.
impl Engine {
    /// Lets `work` use a socket, and explains its failure.
    fn use_socket<T>(
        &self,
        key: SocketKey,
        operation: OperationKey,
        work: impl FnOnce(&InUse) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        self.state
            .in_use(key, operation)
            .and_then(|used| work(&used))
            .map_err(|error| self.state.explain_use(key, error))
    }

    /// Sends one frame; gives its bytes on the wire and the time until they were with the kernel.
    ///
    /// # Errors
    /// [`EngineError::Socket`] with its explanation when the socket is closed; a stale key, the deadline, a cancel.
    pub fn send(
        &self,
        key: SocketKey,
        operation: OperationKey,
        opcode: Opcode,
        fin: bool,
        payload: &[u8],
        deadline: Duration,
    ) -> Result<(usize, Duration), EngineError> {
        let (sent, start) =
            self.use_socket(key, operation, |used| self.send_live(used, operation, (opcode, fin), payload, deadline))?;
        Ok((sent.bytes, sent.at.saturating_duration_since(start)))
    }

    /// Sends one frame, with live descriptions in the places of canned ones where the socket has Auto ICE; gives the moment from
    /// which it counts, too, which is after that.
    fn send_live(
        &self,
        used: &InUse,
        operation: OperationKey,
        (opcode, fin): (Opcode, bool),
        payload: &[u8],
        deadline: Duration,
    ) -> Result<(Sent, Instant), EngineError> {
        let prepared = self.live_frame(used.place.as_ref(), operation, (opcode, fin), payload)?;
        let (live, after) = prepared.map(|prepared| (prepared.message, prepared.after)).unzip();
        let live = live.flatten();
        let ends_it = opcode == Opcode::Close && used.socket.close_cause().is_none();
        let start = Instant::now();
        let sent = used.send(opcode, fin, live.as_deref().unwrap_or(payload), start, deadline)?;
        if let Some(after) = after {
            after.sent(sent.at);
        }
        if let Some(place) = used.place.as_ref().filter(|_| ends_it) {
            place.closed_by_plan();
        }
        Ok((sent, start))
    }

    /// Sends one frame and then takes the next: what [`Engine::send`] gives, and what [`Engine::receive`] does. `deadlines`:
    /// of the one and of the other, which counts from when the frame was sent.
    ///
    /// # Errors
    /// Those of sending; those of receiving are within.
    pub fn exchange(
        &self,
        key: SocketKey,
        operation: OperationKey,
        opcode: Opcode,
        fin: bool,
        payload: &[u8],
        deadlines: (Duration, Duration),
    ) -> Result<Exchanged, EngineError> {
        let (sent, start, received) = self.use_socket(key, operation, |used| {
            let (sent, start) = self.send_live(used, operation, (opcode, fin), payload, deadlines.0)?;
            Ok((sent, start, used.receive(RECEIVE, None, sent.at, deadlines.1)))
        })?;
        Ok((
            (sent.bytes, sent.at.saturating_duration_since(start)),
            received.map_err(|error| self.state.explain_use(key, error)),
        ))
    }

    /// The next frame.
    ///
    /// # Errors
    /// [`EngineError::Socket`] with its explanation when nothing is queued and the socket is closed; a stale key, the
    /// deadline, a cancel.
    pub fn receive(
        &self,
        key: SocketKey,
        operation: OperationKey,
        deadline: Duration,
    ) -> Result<Received, EngineError> {
        self.use_socket(key, operation, |used| used.receive(RECEIVE, None, Instant::now(), deadline))
    }

    /// The first frame that matches; the others stay queued.
    ///
    /// # Errors
    /// As [`Engine::receive`].
    pub fn receive_matching(
        &self,
        key: SocketKey,
        operation: OperationKey,
        matcher: Matcher,
        deadline: Duration,
    ) -> Result<Received, EngineError> {
        self.use_socket(key, operation, |used| {
            let matches = |frame: &Frame| matcher.matches(frame);
            used.receive("wait for a matching frame", Some(&matches), Instant::now(), deadline)
        })
    }

    /// How a socket ended ([`cause_json`]), and why: members `verdict`, `starved` and `starvedReasons`; `None` while it is
    /// open.
    ///
    /// # Errors
    /// A stale key.
    pub fn socket_end(&self, key: SocketKey) -> Result<Option<Value>, EngineError> {
        let Some(cause) = self.socket(key)?.close_cause() else { return Ok(None) };
        let mut end = cause_json(&cause);
        if let (Value::Object(members), Some(explanation)) = (&mut end, self.state.explain_end(key, cause)) {
            members.extend(explanation.members());
        }
        Ok(Some(end))
    }
}

/// A close cause as JSON, with a sentence in `description`.
pub fn cause_json(cause: &CloseCause) -> Value {
    let mut value = json!(cause);
    if let Value::Object(fields) = &mut value {
        fields.insert("description".to_owned(), Value::String(cause.to_string()));
        fields.insert("resultCode".to_owned(), json!(cause_of_close(cause)));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_cause_says_in_a_sentence_what_the_wire_showed() {
        let cause = CloseCause::CloseFrame { code: Some(1001), reason: "going away".to_owned() };
        let json = cause_json(&cause);
        assert_eq!(json["kind"], "closeFrame");
        assert_eq!(json["code"], 1001);
        assert_eq!(json["description"], cause.to_string());
        assert_eq!(json["resultCode"], "CLOSED_BY_SERVER");
        assert_eq!(cause_json(&CloseCause::Fin)["kind"], "fin");
    }
}

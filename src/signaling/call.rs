//! A call over an open WebSocket: placed, answered, held, hung up.
//!
//! [`place`] offers, [`answer_next`] answers, [`register`] makes a socket reachable under a name. All three take only their
//! own messages from the socket; the plan's frames reach its readers untouched. Guarantees:
//! - configuration is checked before any packet leaves;
//! - every wait has a deadline, and every failure says which phase was not reached, with the evidence; the WebSocket and ICE
//!   are kept apart: a closed socket is never an ICE failure, and a call that is up does not need its socket;
//! - cancel: dropping a future of this module, or a [`Call`] that was not hung up, says `Bye` (if the peer knows of the call)
//!   and closes the session in the background, within about three seconds;
//! - [`Call::hang_up`] exchanges packet accounts with the peer, is bounded by its deadline, and is idempotent.
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::{timeout, timeout_at};

use super::accounts;
use super::dialog::{CallTap, DRAIN, Dialog, Ending, Event, Hold, View, call_message, micros};
use super::json::{MAX_NAME_BYTES, Message};
use super::outcome::{
    CallCode, CallError, CallFailure, CallLoss, CallOutcome, CallPhases, CallReport, EndedBy, WorstStates, missing,
};
use crate::config::{ConfigError, from_json};
use crate::peer::{ConnectionState, PeerError, Session, SessionConfig};
use crate::socket::{CloseCause, Frame, Opcode, Socket, SocketError, Tap, TapGuard};

/// Longest accepted time of any call setting, ms (one hour).
const MAX_TIME_MS: u64 = 3_600_000;
/// Of a hang-up's deadline this much is kept for closing the session.
const CLOSE_RESERVE: Duration = Duration::from_millis(500);

/// How a call is placed or answered; JSON names are camelCase.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CallConfig {
    /// Whom to call: a registered name, or `tone` / `echo` at a lab; absent = the server's default. Not used by
    /// [`answer_next`].
    pub to: Option<String>,
    /// The session's own configuration; its `connectTimeoutMs` (default 30000) runs from the offer (answering: from the
    /// answer) to DTLS done.
    pub session: SessionConfig,
    /// Offer sent → answer received, ms (default 10000).
    pub answer_timeout_ms: u64,
    /// DTLS done → first RTP packet in, ms (default 5000).
    pub first_rtp_timeout_ms: u64,
    /// Whether a call is up only with its first RTP packet in (default true), or with DTLS done.
    pub await_media: bool,
    /// Hang-up: how long the peer's `Bye` is waited for, ms (default 2000).
    pub bye_timeout_ms: u64,
}

impl Default for CallConfig {
    fn default() -> Self {
        Self {
            to: None,
            session: SessionConfig::default(),
            answer_timeout_ms: 10_000,
            first_rtp_timeout_ms: 5_000,
            await_media: true,
            bye_timeout_ms: 2_000,
        }
    }
}

impl CallConfig {
    /// Parses and checks JSON; an empty object is the default.
    ///
    /// # Errors
    /// [`ConfigError`] by field name (`session.iceServers[0].urls[0]`).
    pub fn from_json(json: &[u8]) -> Result<Self, ConfigError> {
        let config: Self = from_json(json)?;
        config.check()?;
        Ok(config)
    }

    /// Checks what the types alone cannot.
    ///
    /// # Errors
    /// [`ConfigError`] by field name.
    pub fn check(&self) -> Result<(), ConfigError> {
        if let Some(to) = &self.to {
            check_name("to", to)?;
        }
        for (field, value) in [
            ("answerTimeoutMs", self.answer_timeout_ms),
            ("firstRtpTimeoutMs", self.first_rtp_timeout_ms),
            ("byeTimeoutMs", self.bye_timeout_ms),
        ] {
            if value == 0 || value > MAX_TIME_MS {
                return Err(ConfigError::new(field, value, format!("1 to {MAX_TIME_MS} ms")));
            }
        }
        self.session.check().map_err(|error| ConfigError { field: format!("session.{}", error.field), ..error })
    }
}

fn check_name(field: &str, name: &str) -> Result<(), ConfigError> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        return Err(ConfigError::new(
            field,
            name,
            format!("a name has 1 to {MAX_NAME_BYTES} bytes and no control characters"),
        ));
    }
    Ok(())
}

/// Calls `config.to` over `socket` and returns when the call is up: ICE and DTLS connected and, with `awaitMedia`, the
/// first RTP packet in. Has to run on a tokio runtime, which then carries the call.
///
/// # Errors
/// [`CallFailure`] with the phase that was not reached and the evidence.
pub async fn place(socket: Socket, config: &CallConfig) -> Result<Call, CallFailure> {
    let mut setup = SetUp::new();
    let result = setup.place(socket, config).await;
    setup.finish(result, config)
}

/// Answers the next offer that reaches `socket` within `deadline`, also one that came earlier and was read by nobody. The
/// socket has to be registered ([`register`]) for others to reach it. Times of the outcome run from the offer's arrival.
///
/// # Errors
/// [`CallFailure`]; without an offer in time it is [`CallCode::SignalingTimeout`].
pub async fn answer_next(socket: Socket, config: &CallConfig, deadline: Duration) -> Result<Call, CallFailure> {
    let mut setup = SetUp::new();
    let result = setup.answer(socket, config, deadline).await;
    setup.finish(result, config)
}

/// What registering said.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Registration {
    /// The name the socket is reachable under as long as it is open.
    pub name: String,
    /// Request with the kernel → confirmation received, µs.
    pub elapsed_us: u64,
}

/// Makes `socket` reachable under `name` as long as it is open.
///
/// # Errors
/// [`CallFailure`]: refused (`NAME_IN_USE` and the like stand in the details), no confirmation within `deadline`, or the
/// socket is closed.
pub async fn register(socket: &Socket, name: &str, deadline: Duration) -> Result<Registration, CallFailure> {
    let setup = SetUp::new();
    let attempt = async {
        check_name("name", name).map_err(|error| Trouble::config(&error))?;
        let (events, mut received) = mpsc::channel(4);
        let _tap = socket.tap(Arc::new(RegistrationTap { name: name.to_owned(), events }));
        let request = Message::Register { name: name.to_owned() };
        let sent = socket
            .send(Opcode::Text, true, request.encode().as_bytes())
            .await
            .map_err(|error| Trouble::socket("registering", &error))?;
        match timeout(deadline, received.recv()).await {
            Ok(Some(Event::Message(Message::Registered { .. }, at))) => {
                Ok(Registration { name: name.to_owned(), elapsed_us: micros(at.saturating_duration_since(sent.at)) })
            }
            Ok(Some(Event::Message(Message::Error { code, message, .. }, _))) => Err(Trouble::new(
                CallCode::SignalingRefused,
                format!("the name '{name}' was refused: {code}: {message}"),
                json!({"code": code, "message": message}),
            )),
            Ok(Some(Event::Closed(cause))) => Err(Trouble::closed("registering", &cause)),
            Ok(_) => Err(Trouble::new(CallCode::SignalingRefused, "the server's answer makes no sense", Value::Null)),
            Err(_) => Err(Trouble::new(
                CallCode::SignalingTimeout,
                format!("the name '{name}' was not confirmed within {} ms", deadline.as_millis()),
                json!({"waitedMs": u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX)}),
            )),
        }
    };
    attempt.await.map_err(|trouble| CallFailure { outcome: Box::new(setup.outcome(Err(trouble))) })
}

/// Takes the answer to a registration.
struct RegistrationTap {
    name: String,
    events: mpsc::Sender<Event>,
}

impl Tap for RegistrationTap {
    fn frame(&self, frame: &Frame) -> bool {
        if frame.opcode != Opcode::Text || !frame.fin {
            return false;
        }
        let Some(message) = std::str::from_utf8(&frame.payload).ok().and_then(|text| Message::decode(text).ok()) else {
            return false;
        };
        let ours = match &message {
            Message::Registered { name } => *name == self.name,
            Message::Error { call: None, code, .. } => code.starts_with("NAME_") || code == "ALREADY_REGISTERED",
            _ => false,
        };
        ours && self.events.try_send(Event::Message(message, frame.at)).is_ok()
    }

    fn closed(&self, cause: &CloseCause) {
        if self.events.try_send(Event::Closed(cause.clone())).is_err() {
            log::debug!("the end of a signaling socket found its registration done");
        }
    }
}

/// What went wrong, before it becomes a [`CallFailure`].
struct Trouble {
    code: CallCode,
    message: String,
    details: Value,
}

impl Trouble {
    fn new(code: CallCode, message: impl Into<String>, details: Value) -> Self {
        Self { code, message: message.into(), details }
    }

    fn config(error: &ConfigError) -> Self {
        let details = json!({"field": error.field, "value": error.value, "reason": error.reason});
        Self::new(CallCode::Config, error.to_string(), details)
    }

    fn closed(doing: &str, cause: &CloseCause) -> Self {
        let details = json!({"closeCause": cause});
        Self::new(
            CallCode::SignalingClosed,
            format!("the signaling WebSocket closed while {doing}: {cause:?}"),
            details,
        )
    }

    fn socket(doing: &str, error: &SocketError) -> Self {
        match error {
            SocketError::Closed { cause } => Self::closed(doing, cause),
            SocketError::Config(error) => Self::config(error),
            other => Self::new(CallCode::SignalingClosed, format!("{doing}: {other}"), Value::Null),
        }
    }

    /// A session's error before it was to connect.
    fn session(error: &PeerError) -> Self {
        let details = match error {
            PeerError::Config(error) => return Self::config(error),
            PeerError::UdpSocket { errno, .. } => json!({"errno": errno}),
            PeerError::Sdp { operation, .. } => json!({"operation": operation}),
            PeerError::Deadline { phase, deadline_ms } => json!({"phase": phase, "deadlineMs": deadline_ms}),
            PeerError::Closed | PeerError::Failed { .. } => Value::Null,
        };
        let code = match error {
            PeerError::Config(_) => CallCode::Config,
            PeerError::UdpSocket { .. } => CallCode::UdpSocket,
            PeerError::Sdp { .. } => CallCode::SdpRejected,
            PeerError::Deadline { .. } | PeerError::Failed { .. } => CallCode::IceFailed,
            PeerError::Closed => CallCode::SessionClosed,
        };
        Self::new(code, error.to_string(), details)
    }

    /// The peer refused or hung up during the set-up, or the socket closed before the answer.
    fn other_side(view: &View, doing: &str) -> Self {
        if let Some(refused) = &view.refused {
            let text = format!("the other side refused while {doing}: {}: {}", refused.code, refused.message);
            let details = json!({"code": refused.code, "message": refused.message});
            return Self::new(CallCode::SignalingRefused, text, details);
        }
        if view.ending == Ending::Peers {
            let reason = view.peer_bye.as_ref().and_then(|bye| bye.reason.clone());
            let text =
                format!("the other side hung up while {doing}: {}", reason.as_deref().unwrap_or("no reason given"));
            return Self::new(CallCode::EndedByPeer, text, json!({"reason": reason}));
        }
        match &view.socket_closed {
            Some(cause) => Self::closed(doing, cause),
            None => Self::new(CallCode::SessionClosed, format!("the call ended while {doing}"), Value::Null),
        }
    }
}

/// A call being set up, and what is known of it so far.
struct SetUp {
    started: Instant,
    call: String,
    hold: Option<Hold>,
    offer: Option<String>,
    answer: Option<String>,
    signaling_us: Option<u64>,
    /// The answer was applied (calling) or sent (answering).
    checks_began: Option<Instant>,
}

impl SetUp {
    fn new() -> Self {
        Self {
            started: Instant::now(),
            call: String::new(),
            hold: None,
            offer: None,
            answer: None,
            signaling_us: None,
            checks_began: None,
        }
    }

    /// A session for this call, whose local address is the one that reaches the signaling server unless configured.
    async fn session(&mut self, socket: &Socket, config: &CallConfig) -> Result<Arc<Dialog>, Trouble> {
        if let Some(cause) = socket.close_cause() {
            return Err(Trouble::closed("starting the call", &cause));
        }
        let mut session_config = config.session.clone();
        session_config.route_hint.get_or_insert_with(|| socket.opened().peer.ip());
        let session = Session::new(session_config).await.map_err(|error| Trouble::session(&error))?;
        let dialog = Dialog::new(self.call.clone(), socket.clone(), session);
        self.hold = Some(Hold::new(Arc::clone(&dialog)));
        Ok(dialog)
    }

    fn offered(&self) {
        if let Some(hold) = &self.hold {
            hold.offered();
        }
    }

    async fn place(&mut self, socket: Socket, config: &CallConfig) -> Result<(), Trouble> {
        config.check().map_err(|error| Trouble::config(&error))?;
        self.call = format!("{:032x}", rand::random::<u128>());
        let dialog = self.session(&socket, config).await?;
        let offer = dialog.session.create_offer().await.map_err(|error| Trouble::session(&error))?;
        self.offer = Some(offer.clone());

        let (tap, events) = CallTap::call(&self.call);
        let guard = socket.tap(tap);
        tokio::spawn(Arc::clone(&dialog).run(events, guard, config.session.trickle));
        self.offered();
        let message = Message::Offer { call: self.call.clone(), to: config.to.clone(), from: None, sdp: offer };
        let sent = dialog.say(&message).await.map_err(|error| Trouble::socket("sending the offer", &error))?;
        dialog.note(sent.at, "offer sent");
        dialog.described();

        let answered = self.answered(&dialog, sent.at, Duration::from_millis(config.answer_timeout_ms)).await?;
        self.signaling_us = Some(micros(answered.0.saturating_duration_since(sent.at)));
        self.checks_began = Some(answered.1);
        self.await_up(&dialog, sent.at, config).await
    }

    /// Waits for the answer and its application: when it was received and when it was applied.
    async fn answered(
        &mut self,
        dialog: &Dialog,
        sent: Instant,
        within: Duration,
    ) -> Result<(Instant, Instant), Trouble> {
        let mut views = dialog.view.subscribe();
        let known = views.wait_for(|view| {
            view.answered.is_some()
                || view.refused.is_some()
                || view.ending == Ending::Peers
                || view.socket_closed.is_some()
        });
        let Ok(Ok(view)) = timeout_at((sent + within).into(), known).await else {
            return Err(Trouble::new(
                CallCode::SignalingTimeout,
                format!("no answer to the offer within {} ms; the signaling WebSocket is open", within.as_millis()),
                json!({"waitedMs": u64::try_from(within.as_millis()).unwrap_or(u64::MAX), "phase": "answer"}),
            ));
        };
        let Some(answered) = view.answered.clone() else {
            return Err(Trouble::other_side(&view, "the answer was awaited"));
        };
        drop(view);
        self.answer = Some(answered.sdp);
        match answered.result {
            Ok(()) => Ok((answered.received, answered.applied)),
            Err(error) => {
                let mut trouble = Trouble::session(&error);
                if trouble.code != CallCode::SdpRejected {
                    trouble.message = format!("the answer could not be applied: {}", trouble.message);
                }
                Err(trouble)
            }
        }
    }

    async fn answer(&mut self, socket: Socket, config: &CallConfig, deadline: Duration) -> Result<(), Trouble> {
        config.check().map_err(|error| Trouble::config(&error))?;
        let (tap, mut events) = CallTap::next_offer();
        let guard = socket.tap(Arc::clone(&tap) as Arc<dyn Tap>);
        let offer = next_offer(&socket, &tap, &mut events, deadline).await?;
        self.started = offer.at;
        self.call = offer.call;
        self.offer = Some(offer.sdp.clone());
        let dialog = match self.session(&socket, config).await {
            Ok(dialog) => dialog,
            Err(trouble) => {
                let code = "ANSWER_FAILED".to_owned();
                let refusal = Message::Error { call: Some(self.call.clone()), code, message: trouble.message.clone() };
                if let Err(error) = socket.send(Opcode::Text, true, refusal.encode().as_bytes()).await {
                    log::debug!("call {}: the refusal was not sent: {error}", self.call);
                }
                return Err(trouble);
            }
        };
        dialog.note(offer.at, "offer received");
        tokio::spawn(Arc::clone(&dialog).run(events, guard, config.session.trickle));
        self.offered();
        let answer = dialog.session.create_answer(&offer.sdp).await.map_err(|error| Trouble::session(&error))?;
        self.answer = Some(answer.clone());
        let message = Message::Answer { call: self.call.clone(), sdp: answer };
        let sent = dialog.say(&message).await.map_err(|error| Trouble::socket("sending the answer", &error))?;
        dialog.note(sent.at, "answer sent");
        self.signaling_us = Some(micros(sent.at.saturating_duration_since(offer.at)));
        self.checks_began = Some(sent.at);
        dialog.described();
        if offer.queued {
            take_queued(&socket, &dialog).await;
        }
        self.await_up(&dialog, sent.at, config).await
    }

    /// Waits until ICE and DTLS are connected and, if wanted, the first RTP packet is in.
    async fn await_up(&self, dialog: &Dialog, since: Instant, config: &CallConfig) -> Result<(), Trouble> {
        let connect = Duration::from_millis(config.session.connect_timeout_ms);
        match or_other_side(dialog, dialog.session.connected(), since + connect, "connecting").await {
            Waited::Done(Ok(())) => {}
            Waited::Done(Err(error)) => return Err(self.not_connected(dialog, Some(&error), connect)),
            Waited::OtherSide(trouble) => return Err(trouble),
            Waited::Late => return Err(self.not_connected(dialog, None, connect)),
        }
        if !config.await_media {
            return Ok(());
        }
        let first_rtp = Duration::from_millis(config.first_rtp_timeout_ms);
        let up = Instant::now();
        match or_other_side(dialog, dialog.session.first_rtp(), up + first_rtp, "the first RTP packet was awaited")
            .await
        {
            Waited::Done(Ok(())) => Ok(()),
            Waited::Done(Err(error)) => Err(Trouble::new(
                CallCode::ConnectionLost,
                format!("the connection was lost before the first RTP packet: {error}"),
                json!({"media": dialog.session.counters()}),
            )),
            Waited::OtherSide(trouble) => Err(trouble),
            Waited::Late => {
                let media = dialog.session.counters();
                Err(Trouble::new(
                    CallCode::MediaNoneIn,
                    format!(
                        "ICE and DTLS are connected, but no RTP packet came in within {} ms ({} sent, {} dropped by the \
                         kernel at our socket)",
                        first_rtp.as_millis(),
                        media.packets_sent,
                        media.socket_drops
                    ),
                    json!({
                        "firstRtpTimeoutMs": config.first_rtp_timeout_ms,
                        "pending": dialog.session.pending_phase(),
                        "media": media,
                        "wire": dialog.session.wire(),
                    }),
                ))
            }
        }
    }

    /// Why a session did not connect: which of ICE and DTLS, and whether it gave up or ran out of time.
    fn not_connected(&self, dialog: &Dialog, error: Option<&PeerError>, within: Duration) -> Trouble {
        let phases = dialog.session.phases();
        let code = match (error, phases.ice_connected_us) {
            (Some(PeerError::Closed), _) => CallCode::SessionClosed,
            (Some(_), None) => CallCode::IceFailed,
            (Some(_), Some(_)) => CallCode::DtlsFailed,
            (None, None) => CallCode::IceTimeout,
            (None, Some(_)) => CallCode::DtlsTimeout,
        };
        let view = dialog.view.borrow().clone();
        let what = if phases.ice_connected_us.is_some() { "DTLS" } else { "ICE" };
        let pending = dialog.session.pending_phase();
        let evidence = pending.as_ref().map_or("no phase is open", |pending| &*pending.detail);
        let mut message = match error {
            Some(PeerError::Failed { .. }) => format!("{what} failed: {evidence}"),
            Some(error) => format!("{what} failed: {error}: {evidence}"),
            None => format!("{what} did not connect within {} ms: {evidence}", within.as_millis()),
        };
        message.push_str(&format!("; signaling took {} ms", self.signaling_us.unwrap_or_default() / 1000));
        if let Some((count, last)) = &view.refused_candidates {
            message.push_str(&format!("; {count} remote candidates were not usable ({last})"));
        }
        if let Some(cause) = &view.socket_closed {
            message.push_str(&format!(
                "; the signaling WebSocket closed meanwhile ({cause:?}), so candidates may be missing"
            ));
        }
        let details = json!({
            "phase": what,
            "pending": pending,
            "signalingMs": self.signaling_us.map(|us| us / 1000),
            "connectTimeoutMs": u64::try_from(within.as_millis()).unwrap_or(u64::MAX),
            "candidatesTrickledOut": view.local_candidates,
            "candidatesTrickledIn": view.remote_candidates,
            "candidatesRefused": view.refused_candidates.as_ref().map_or(0, |(count, _)| *count),
            "connectionState": dialog.session.connection_state(),
            "session": error.map(ToString::to_string),
            "signalingClosed": view.socket_closed,
            "wire": dialog.session.wire(),
        });
        Trouble::new(code, message, details)
    }

    /// The call, or the failure whose session and signaling end in the background.
    fn finish(mut self, result: Result<(), Trouble>, config: &CallConfig) -> Result<Call, CallFailure> {
        match (result, self.hold.take()) {
            (Ok(()), Some(hold)) => {
                let outcome = self.outcome_of(Some(&hold.dialog), Ok(()));
                Ok(Call {
                    hold,
                    outcome,
                    bye_timeout: Duration::from_millis(config.bye_timeout_ms),
                    started: self.started,
                    report: tokio::sync::Mutex::new(None),
                })
            }
            (Err(trouble), Some(hold)) => {
                hold.set_reason(trouble.code.as_str());
                let outcome = Box::new(self.outcome_of(Some(&hold.dialog), Err(trouble)));
                Err(CallFailure { outcome })
            }
            (result, None) => {
                let trouble = result
                    .err()
                    .unwrap_or_else(|| Trouble::new(CallCode::SessionClosed, "the call has no session", Value::Null));
                Err(CallFailure { outcome: Box::new(self.outcome(Err(trouble))) })
            }
        }
    }

    fn outcome(&self, result: Result<(), Trouble>) -> CallOutcome {
        self.outcome_of(self.hold.as_ref().map(|hold| &*hold.dialog), result)
    }

    fn outcome_of(&self, dialog: Option<&Dialog>, result: Result<(), Trouble>) -> CallOutcome {
        let now = micros(self.started.elapsed());
        let session = dialog.map(|dialog| &dialog.session);
        let marks = session.map(|session| Marks::of(session, self.started)).unwrap_or_default();
        let phases = CallPhases {
            gather_us: marks.gather_us,
            signaling_us: self.signaling_us,
            ice_us: marks.ice_connected.zip(self.checks_began).map(|(connected, began)| {
                connected.saturating_sub(micros(began.saturating_duration_since(self.started)))
            }),
            dtls_us: marks.dtls_connected.zip(marks.ice_connected).map(|(dtls, ice)| dtls.saturating_sub(ice)),
            first_rtp_us: marks.first_rtp.zip(marks.dtls_connected).map(|(rtp, dtls)| rtp.saturating_sub(dtls)),
        };
        let negotiated = session.and_then(Session::codec);
        let success = result.is_ok();
        let (code, message, error) = match result {
            Ok(()) => (CallCode::Ok, "OK".to_owned(), None),
            Err(Trouble { code, message, details }) => {
                (code, message, Some(CallError { error: code.heading(), code, details }))
            }
        };
        CallOutcome {
            success,
            code,
            message,
            call: self.call.clone(),
            elapsed_us: if success {
                // The first packet may come before our side of the handshake is done; the call is up with both.
                marks.first_rtp.max(marks.dtls_connected).unwrap_or(now)
            } else {
                now
            },
            connect_us: marks.ice_connected,
            latency_us: marks.dtls_connected,
            phases,
            selected_pair: session.and_then(Session::selected_pair),
            codec: negotiated.map(|(codec, _)| codec),
            payload_type: negotiated.map(|(_, payload_type)| payload_type),
            state: session.map_or(ConnectionState::New, Session::connection_state),
            timeline: dialog.map(|dialog| dialog.timeline(self.started)).unwrap_or_default(),
            offer_sdp: self.offer.clone(),
            answer_sdp: self.answer.clone(),
            error,
        }
    }
}

/// A session's phases as µs since its call started (`gather_us` is a duration).
#[derive(Default)]
struct Marks {
    gather_us: Option<u64>,
    ice_connected: Option<u64>,
    dtls_connected: Option<u64>,
    first_rtp: Option<u64>,
}

impl Marks {
    fn of(session: &Session, started: Instant) -> Self {
        let offset = micros(session.started().saturating_duration_since(started));
        let phases = session.phases();
        let since = |at: Option<u64>| at.map(|at| at.saturating_add(offset));
        Self {
            gather_us: phases.gathered_us,
            ice_connected: since(phases.ice_connected_us),
            dtls_connected: since(phases.dtls_connected_us),
            first_rtp: since(phases.first_rtp_us),
        }
    }
}

/// How a wait for the session ended.
enum Waited<T> {
    Done(T),
    OtherSide(Trouble),
    Late,
}

/// Waits for `work` until `deadline`, or until the other side refuses or hangs up. A closed socket does not matter here.
async fn or_other_side<T>(dialog: &Dialog, work: impl Future<Output = T>, deadline: Instant, doing: &str) -> Waited<T> {
    let mut views: watch::Receiver<View> = dialog.view.subscribe();
    let other_side = views.wait_for(|view| view.refused.is_some() || view.ending == Ending::Peers);
    tokio::select! {
        done = work => Waited::Done(done),
        view = other_side => match view {
            Ok(view) => Waited::OtherSide(Trouble::other_side(&view, doing)),
            Err(_) => Waited::Late,
        },
        () = tokio::time::sleep_until(deadline.into()) => Waited::Late,
    }
}

/// An offer to be answered.
struct NextOffer {
    call: String,
    sdp: String,
    at: Instant,
    /// It was found in the socket's queue, so more messages of its call may be there.
    queued: bool,
}

/// The next offer: one that waits in the socket's queue, or one that the tap takes.
async fn next_offer(
    socket: &Socket,
    tap: &CallTap,
    events: &mut mpsc::Receiver<Event>,
    deadline: Duration,
) -> Result<NextOffer, Trouble> {
    let queued = socket.receive_matching(&|frame| matches!(call_message(frame), Some(Message::Offer { .. })));
    let found = async {
        tokio::select! {
            biased;
            frame = queued => match frame {
                Ok(frame) => match call_message(&frame) {
                    Some(Message::Offer { call, sdp, .. }) if tap.bind(&call) => {
                        Ok(NextOffer { call, sdp, at: frame.at, queued: true })
                    }
                    other => Err(Trouble::new(
                        CallCode::SignalingRefused,
                        format!("two offers arrived at once; this one was not answered: {:?}", other.and_then(|message| message.call().map(str::to_owned))),
                        Value::Null,
                    )),
                },
                Err(error) => Err(Trouble::socket("an offer was awaited", &error)),
            },
            event = events.recv() => match event {
                Some(Event::Message(Message::Offer { call, sdp, .. }, at)) => Ok(NextOffer { call, sdp, at, queued: false }),
                Some(Event::Closed(cause)) => Err(Trouble::closed("an offer was awaited", &cause)),
                Some(Event::Message(..)) | None => {
                    Err(Trouble::new(CallCode::SignalingRefused, "a call began without an offer", Value::Null))
                }
            },
        }
    };
    timeout(deadline, found).await.unwrap_or_else(|_| {
        Err(Trouble::new(
            CallCode::SignalingTimeout,
            format!("no offer arrived within {} ms; the signaling WebSocket is open", deadline.as_millis()),
            json!({"waitedMs": u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX), "phase": "offer"}),
        ))
    })
}

/// Messages of the call that came between its offer and the tap, and lie in the socket's queue.
async fn take_queued(socket: &Socket, dialog: &Dialog) {
    // The reader may be about to queue one more that it looked at before the tap was there; a moment is enough for it.
    const MOMENT: Duration = Duration::from_millis(20);
    let ours = |frame: &Frame| call_message(frame).is_some_and(|message| message.call() == Some(&*dialog.call));
    while let Ok(Ok(frame)) = timeout(MOMENT, socket.receive_matching(&ours)).await {
        if let Some(message) = call_message(&frame)
            && dialog.take(message, frame.at).await
        {
            return;
        }
    }
}

/// A call that is up. It lives until [`Call::hang_up`], or until it is dropped, which hangs up in the background.
pub struct Call {
    hold: Hold,
    outcome: CallOutcome,
    bye_timeout: Duration,
    started: Instant,
    report: tokio::sync::Mutex<Option<CallReport>>,
}

impl Call {
    /// Its session.
    pub fn session(&self) -> &Session {
        &self.hold.dialog.session
    }

    /// Its name on the signaling socket.
    pub fn id(&self) -> &str {
        &self.hold.dialog.call
    }

    /// What setting it up came to.
    pub fn outcome(&self) -> &CallOutcome {
        &self.outcome
    }

    /// How the call was lost, if the peer hung up or the connection failed; `None` while it is up, and after our own
    /// hang-up.
    pub fn lost(&self) -> Option<CallLoss> {
        let dialog = &self.hold.dialog;
        let view = dialog.view.borrow().clone();
        match (view.ending, view.ended_by_peer) {
            (Ending::Peers, ended) => {
                let reason = view.peer_bye.as_ref().and_then(|bye| bye.reason.as_deref()).unwrap_or("no reason given");
                let at = ended.unwrap_or_else(Instant::now);
                Some(CallLoss {
                    code: CallCode::EndedByPeer,
                    message: format!("the other side hung up: {reason}"),
                    at_us: micros(at.saturating_duration_since(self.started)),
                })
            }
            (Ending::None, _) => self.connection_lost(),
            (Ending::Ours, _) => None,
        }
    }

    fn connection_lost(&self) -> Option<CallLoss> {
        let dialog = &self.hold.dialog;
        let state = dialog.session.connection_state();
        if !matches!(state, ConnectionState::Failed | ConnectionState::Closed) {
            return None;
        }
        let timeline = dialog.timeline(self.started);
        let state = state.name();
        let at_us = timeline
            .iter()
            .rfind(|(_, machine, new)| *machine == "connectionState" && *new == state)
            .map_or_else(|| micros(self.started.elapsed()), |(at, _, _)| *at);
        let media = dialog.session.counters();
        Some(CallLoss {
            code: CallCode::ConnectionLost,
            message: format!(
                "the connection is {state}; {} packets had been sent and {} received",
                media.packets_sent, media.packets_received
            ),
            at_us,
        })
    }

    /// How the signaling WebSocket was lost; `None` while it is open. The call does not need it to go on.
    pub fn signaling_lost(&self) -> Option<CloseCause> {
        self.hold.dialog.view.borrow().socket_closed.clone()
    }

    /// Hangs up: stops our audio, says `Bye` with our accounts, goes on receiving until the peer's `Bye` is there and its
    /// last packets are in, closes the session. Bounded by `deadline` and by `byeTimeoutMs`; what is missing then is stated
    /// in the report. Hanging up a call that the peer ended only reports. Idempotent: the second caller gets the same report.
    pub async fn hang_up(&self, deadline: Duration) -> CallReport {
        let mut done = self.report.lock().await;
        if let Some(report) = &*done {
            return report.clone();
        }
        let report = self.end(tokio::time::Instant::now() + deadline).await;
        self.hold.release();
        *done = Some(report.clone());
        report
    }

    async fn end(&self, end: tokio::time::Instant) -> CallReport {
        let begun = Instant::now();
        let dialog = &self.hold.dialog;
        let lost = self.lost();
        let by_us = dialog.end_by_us() || dialog.view.borrow().ending == Ending::Ours;
        let bye_end = end.checked_sub(CLOSE_RESERVE).unwrap_or(end).min(tokio::time::Instant::now() + self.bye_timeout);
        let mut why_missing = None;
        if by_us {
            why_missing = self.exchange_accounts(bye_end).await;
        } else {
            let mut views = dialog.view.subscribe();
            if timeout_at(end, views.wait_for(|view| view.ended_by_peer.is_some())).await.is_err() {
                why_missing = Some("the peer's hang-up was not complete at the deadline".to_owned());
            }
        }
        dialog.over();
        let left = end.saturating_duration_since(tokio::time::Instant::now()).max(CLOSE_RESERVE);
        dialog.session.close(left).await;
        let view = dialog.view.borrow().clone();
        self.report(begun, by_us, lost, why_missing, &view)
    }

    /// The farewell of our own hang-up; why the peer's accounts are missing, if they are.
    async fn exchange_accounts(&self, end: tokio::time::Instant) -> Option<String> {
        let dialog = &self.hold.dialog;
        dialog.session.stop_audio();
        let ours = accounts::at_rest(&dialog.session).await;
        // A hang-up that was cancelled half-way may have the peer's accounts already.
        if dialog.view.borrow().peer_bye.is_none()
            && let Err(error) = dialog.say_bye(None, ours).await
        {
            return Some(format!("our bye could not be sent: {error}"));
        }
        let mut views = dialog.view.subscribe();
        let known =
            views.wait_for(|view| view.peer_bye.is_some() || view.refused.is_some() || view.socket_closed.is_some());
        let view = match timeout_at(end, known).await {
            Ok(Ok(view)) => view.clone(),
            Ok(Err(_)) | Err(_) => return Some("the peer did not answer our bye in time".to_owned()),
        };
        match (view.peer_bye, view.refused, view.socket_closed) {
            (Some(bye), _, _) => {
                let expected = bye.media.map_or(0, |media| media.packets_sent);
                let drain = (tokio::time::Instant::now() + DRAIN).min(end);
                accounts::received(&dialog.session, expected, drain).await;
                bye.media.is_none().then(|| "the peer's bye states no accounts".to_owned())
            }
            (None, Some(refused), _) => {
                Some(format!("the peer refused our bye: {}: {}", refused.code, refused.message))
            }
            (None, None, Some(cause)) => Some(format!("the signaling WebSocket is closed: {cause:?}")),
            (None, None, None) => Some("the peer did not answer our bye in time".to_owned()),
        }
    }

    fn report(
        &self,
        begun: Instant,
        by_us: bool,
        lost: Option<CallLoss>,
        why_missing: Option<String>,
        view: &View,
    ) -> CallReport {
        let dialog = &self.hold.dialog;
        let media = dialog.session.counters();
        let peer_media = view.peer_bye.as_ref().and_then(|bye| bye.media);
        // The peer that hangs up first writes down what it has received before our last packets are in.
        let lost_outgoing = peer_media.filter(|_| by_us).map(|peer| missing(media.packets_sent, peer.packets_received));
        let lost_incoming = peer_media.map(|peer| missing(peer.packets_sent, media.packets_received));
        let timeline = dialog.timeline(self.started);
        let ended = view.ended_by_peer.map_or(begun, |at| at.min(begun));
        let up = self.outcome.latency_us.unwrap_or(self.outcome.elapsed_us);
        CallReport {
            call: dialog.call.clone(),
            ended_by: if by_us { EndedBy::Us } else { EndedBy::Peer },
            reason: view.peer_bye.as_ref().and_then(|bye| bye.reason.clone()),
            media,
            peer_media_missing: match peer_media {
                Some(_) => None,
                None => why_missing.or_else(|| Some("the peer's bye states no accounts".to_owned())),
            },
            peer_media,
            agrees: lost_incoming == Some(0) && lost_outgoing.is_none_or(|lost| lost == 0),
            lost_outgoing,
            lost_incoming,
            duration_us: micros(ended.saturating_duration_since(self.started)).saturating_sub(up),
            hang_up_us: micros(begun.elapsed()),
            worst_states: WorstStates::of(timeline.iter().map(|(_, machine, state)| (*machine, &**state))),
            phases: self.outcome.phases,
            lost,
            signaling_lost: view.socket_closed.clone(),
            timeline,
        }
    }
}

/// Keeps the compiler honest about what may cross threads.
const _: fn() = || {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Call>();
    shared::<TapGuard>();
};

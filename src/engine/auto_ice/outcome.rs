//! What a call of Auto ICE came to, in the shape of a placed call's outcome.
//!
//! Times count from the moment at which the plan's description was with the kernel; what happened before it is at 0. Nothing
//! waits here.
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use crate::autoice::dialogs::Role;
use crate::diagnosis::facts::{End, SessionFacts, Step};
use crate::peer::{ConnectionState, PeerError, Session};
use crate::signaling::call::trouble::{Fact, Trouble};
use crate::signaling::outcome::{CallCode, CallError, CallFailure, CallLoss, CallOutcome, CallPhases, Marks, Moment};
use crate::socket::CloseCause;

use super::super::micros;
use super::config::AutoIceConfig;

/// When what happened to a call's signaling.
pub(super) struct Moments {
    /// Our description was with the kernel, on both clocks.
    pub(super) sent: Option<(Instant, SystemTime)>,
    /// The last message of the call, either way.
    pub(super) last_signaling: Instant,
    /// The other side's offer was read (answering).
    pub(super) offered: Option<Instant>,
    /// The other side's answer was read (offering).
    pub(super) answered: Option<Instant>,
    /// Both descriptions were there.
    pub(super) checks_began: Option<Instant>,
    /// The other side's first description.
    pub(super) remote: Option<String>,
    /// Remote candidates that could not be used, with the last reason.
    pub(super) refused_candidates: Option<(u32, String)>,
    /// The socket that carried the call is gone.
    pub(super) socket_closed: Option<(CloseCause, Instant)>,
    began: Instant,
    timeline: Vec<(Instant, String)>,
}

impl Moments {
    /// Of a call whose description is being made.
    pub(super) fn new(began: Instant) -> Self {
        Self {
            sent: None,
            last_signaling: began,
            offered: None,
            answered: None,
            checks_began: None,
            remote: None,
            refused_candidates: None,
            socket_closed: None,
            began,
            timeline: Vec::new(),
        }
    }

    /// When the call started.
    pub(super) fn started(&self) -> Instant {
        self.sent.map_or(self.began, |(at, _)| at)
    }

    /// Notes a moment for the timeline.
    pub(super) fn note(&mut self, at: Instant, what: impl Into<String>) {
        /// A call that is renegotiated for ever does not grow.
        const MOST: usize = 200;
        if self.timeline.len() < MOST {
            self.timeline.push((at, what.into()));
        }
    }

    /// A message of the call went out or came in.
    pub(super) fn signaling(&mut self, at: Instant) {
        self.last_signaling = self.last_signaling.max(at);
    }
}

/// Why a call did not come up.
pub(super) struct Failure {
    pub(super) message: String,
    trouble: Trouble,
    /// The step that a diagnosis asks about, where the code alone does not say.
    step: Option<Step>,
}

impl Failure {
    fn new(trouble: Trouble) -> Self {
        Self { message: trouble.message.clone(), trouble, step: None }
    }

    /// A session's error; `doing` is what could not be done.
    pub(super) fn of_session(error: &PeerError, doing: &str) -> Self {
        let mut trouble = Trouble::session(error);
        trouble.message = format!("{doing}: {}", trouble.message);
        Self::new(trouble)
    }
}

/// Everything that an outcome is made from.
pub(super) struct Story<'a> {
    pub(super) role: Role,
    pub(super) call: &'a str,
    pub(super) session: &'a Session,
    /// Our description on the wire.
    pub(super) ours: String,
    pub(super) moments: &'a Moments,
    pub(super) config: &'a AutoIceConfig,
}

impl Story<'_> {
    /// The call is up.
    pub(super) fn success(&self) -> CallOutcome {
        let started = self.moments.started();
        let marks = Marks::of(self.session, started);
        let elapsed = marks.first_rtp.max(marks.dtls_connected).unwrap_or_else(|| micros(started.elapsed()));
        CallOutcome { elapsed_us: elapsed, ..self.outcome(CallCode::Ok, "OK".to_owned()) }
    }

    /// The session gave up, or the other side ended it.
    pub(super) fn broke(&self, error: &PeerError) -> Failure {
        let phases = self.session.phases();
        if phases.dtls_connected_us.is_some() {
            let details = json!({"media": self.session.counters()});
            let message = format!("the connection was lost before the first RTP packet: {error}");
            return Failure::new(Trouble::new(CallCode::ConnectionLost, message, details));
        }
        let code = match (error, phases.ice_connected_us) {
            (PeerError::Closed, _) => CallCode::SessionClosed,
            (_, None) => CallCode::IceFailed,
            (_, Some(_)) => CallCode::DtlsFailed,
        };
        let ended = matches!(error, PeerError::Failed { state: ConnectionState::Closed, .. });
        let fact = if ended { Fact::PeerEnded(Some("DTLS close_notify".to_owned())) } else { Fact::None };
        let message = format!("{} failed: {}", self.phase(), self.evidence());
        Failure::new(Trouble::new(code, message, self.details(Some(error))).with(fact))
    }

    /// Nothing came of it within the time since the last signaling message.
    pub(super) fn late(&self) -> Failure {
        let within = self.config.connect_timeout();
        let since = match self.described() {
            true => "the last signaling message",
            false => "the offer",
        };
        if !self.described() {
            let waited = self.moments.last_signaling.elapsed();
            if let Some((cause, _)) = &self.moments.socket_closed {
                return Failure::new(Trouble::closed("the answer was awaited", cause));
            }
            let message = format!(
                "no answer was read within {} ms after {since}; the plan has to read it, in whatever sampler",
                within.as_millis()
            );
            let details = json!({"waitedMs": millis(waited), "phase": "answer"});
            let trouble = Trouble::new(CallCode::SignalingTimeout, message, details);
            return Failure::new(trouble.with(Fact::Waited(micros(waited))));
        }
        let code = match self.session.phases().ice_connected_us {
            None => CallCode::IceTimeout,
            Some(_) => CallCode::DtlsTimeout,
        };
        let message = format!(
            "{} did not connect within {} ms after {since}: {}",
            self.phase(),
            within.as_millis(),
            self.evidence()
        );
        Failure::new(Trouble::new(code, message, self.details(None)))
    }

    /// ICE and DTLS are up, and no media came.
    pub(super) fn no_media(&self) -> Failure {
        let media = self.session.counters();
        let message = format!(
            "ICE and DTLS are connected, but no RTP packet came in within {} ms ({} sent, {} dropped by the kernel at our \
             socket)",
            self.config.first_rtp_timeout_ms, media.packets_sent, media.socket_drops
        );
        Failure::new(Trouble::new(CallCode::MediaNoneIn, message, self.details(None)))
    }

    /// It was ended before it was up.
    pub(super) fn ended_early(&self, code: CallCode, by: &str) -> Failure {
        let (what, step) = match (self.described(), self.session.phases()) {
            (false, _) => ("an answer was read", Step::Signaling),
            (true, phases) if phases.ice_connected_us.is_none() => ("ICE had connected", Step::Ice),
            (true, phases) if phases.dtls_connected_us.is_none() => ("DTLS was done", Step::Dtls),
            (true, _) => ("the first RTP packet came in", Step::Media),
        };
        let since = millis(self.moments.last_signaling.elapsed());
        let message = format!("{by} before {what}, {since} ms after the last signaling message: {}", self.evidence());
        let fact = if code == CallCode::EndedByPeer { Fact::PeerEnded(None) } else { Fact::None };
        let step = (code == CallCode::EndedByPeer).then_some(step);
        Failure { step, ..Failure::new(Trouble::new(code, message, self.details(None)).with(fact)) }
    }

    /// A call that was up is no more.
    pub(super) fn loss(&self, error: &PeerError) -> CallLoss {
        let started = self.moments.started();
        let state = match error {
            PeerError::Failed { state, .. } => state.name(),
            _ => ConnectionState::Closed.name(),
        };
        let timeline = self.timeline();
        let at_us = timeline
            .iter()
            .rfind(|(_, machine, new)| *machine == "connectionState" && new == state)
            .map_or_else(|| micros(started.elapsed()), |(at, _, _)| *at);
        let media = self.session.counters();
        let message = format!(
            "the connection is {state}; {} packets had been sent and {} received",
            media.packets_sent, media.packets_received
        );
        CallLoss { code: CallCode::ConnectionLost, message, at_us, verdict: None }
    }

    /// The failure with the verdict's facts; the verdict itself is the engine's to give.
    pub(super) fn failure(&self, failure: Failure) -> CallFailure {
        let started = self.moments.started();
        let mut facts = self.facts();
        failure.trouble.tell(&mut facts);
        if let Some(step) = failure.step
            && facts.end == (End::EndedByPeer { reason: None })
            && step == Step::Signaling
        {
            facts.end = End::EndedByPeer { reason: Some("a hang-up before the answer".to_owned()) };
        }
        let Trouble { code, message, details, fact: _ } = failure.trouble;
        let error = CallError { error: code.heading(), code, details, verdict: None };
        let outcome = CallOutcome { success: false, error: Some(error), ..self.outcome(code, message) };
        CallFailure {
            outcome: Box::new(outcome),
            facts: Box::new(facts),
            started,
            session_started: self.session.started(),
        }
    }

    fn facts(&self) -> SessionFacts {
        let mut facts = self.session.facts();
        let since = |at: Instant| micros(at.saturating_duration_since(self.session.started()));
        let moments = self.moments;
        facts.refused_candidates = moments.refused_candidates.clone();
        facts.signaling.sent_us = moments.sent.map(|(at, _)| since(at));
        facts.signaling.received_us = moments.answered.or(moments.offered).map(since);
        facts.signaling.closed_us = moments.socket_closed.as_ref().map(|(_, at)| since(*at));
        facts.signaling.closed = moments.socket_closed.as_ref().map(|(cause, _)| cause.clone());
        facts
    }

    /// Whether both descriptions are there.
    fn described(&self) -> bool {
        self.role == Role::Answerer || self.moments.answered.is_some()
    }

    fn phase(&self) -> &'static str {
        if self.session.phases().ice_connected_us.is_some() { "DTLS" } else { "ICE" }
    }

    fn evidence(&self) -> String {
        let pending = self.session.pending_phase();
        let mut evidence = pending.map_or_else(|| "no phase is open".to_owned(), |pending| pending.detail);
        if let Some((count, last)) = &self.moments.refused_candidates {
            evidence.push_str(&format!("; {count} remote candidates were not usable ({last})"));
        }
        if let Some((cause, _)) = &self.moments.socket_closed {
            evidence.push_str(&format!(
                "; the signaling WebSocket closed meanwhile ({cause}), so candidates may be missing"
            ));
        }
        evidence
    }

    fn details(&self, error: Option<&PeerError>) -> Value {
        json!({
            "phase": self.phase(),
            "pending": self.session.pending_phase(),
            "signalingMs": self.signaling_us().map(|us| us / 1000),
            "connectTimeoutMs": self.config.session.connect_timeout_ms,
            "firstRtpTimeoutMs": self.config.first_rtp_timeout_ms,
            "sinceLastSignalingMs": millis(self.moments.last_signaling.elapsed()),
            "candidatesRefused": self.moments.refused_candidates.as_ref().map_or(0, |(count, _)| *count),
            "connectionState": self.session.connection_state(),
            "session": error.map(ToString::to_string),
            "signalingClosed": self.moments.socket_closed.as_ref().map(|(cause, _)| cause),
            "media": self.session.counters(),
            "wire": self.session.wire(),
        })
    }

    fn signaling_us(&self) -> Option<u64> {
        let (sent, _) = self.moments.sent?;
        match self.role {
            Role::Offerer => Some(micros(self.moments.answered?.saturating_duration_since(sent))),
            Role::Answerer => Some(micros(sent.saturating_duration_since(self.moments.offered?))),
        }
    }

    /// Session states and signaling, in order of time, µs since the start.
    fn timeline(&self) -> Vec<Moment> {
        let started = self.moments.started();
        let since = |at: Instant| micros(at.saturating_duration_since(started));
        let session = self.session.started();
        let states = self.session.timeline().into_iter();
        let mut timeline: Vec<Moment> = states
            .map(|(at, machine, state)| (since(session + Duration::from_micros(at)), machine, state))
            .chain(self.moments.timeline.iter().map(|(at, what)| (since(*at), "signaling", what.clone())))
            .collect();
        timeline.sort_by_key(|(at, _, _)| *at);
        timeline
    }

    fn outcome(&self, code: CallCode, message: String) -> CallOutcome {
        let started = self.moments.started();
        let marks = Marks::of(self.session, started);
        let began = self.moments.checks_began.map(|at| micros(at.saturating_duration_since(started)));
        let negotiated = self.session.codec();
        let (offer_sdp, answer_sdp) = match self.role {
            Role::Offerer => (Some(self.ours.clone()), self.moments.remote.clone()),
            Role::Answerer => (self.moments.remote.clone(), Some(self.ours.clone())),
        };
        CallOutcome {
            success: code == CallCode::Ok,
            code,
            message,
            call: self.call.to_owned(),
            elapsed_us: micros(started.elapsed()),
            connect_us: marks.ice_connected,
            latency_us: marks.dtls_connected,
            phases: CallPhases {
                gather_us: marks.gather_us,
                signaling_us: self.signaling_us(),
                ice_us: marks.ice_connected.zip(began).map(|(connected, began)| connected.saturating_sub(began)),
                dtls_us: marks.dtls_connected.zip(marks.ice_connected).map(|(dtls, ice)| dtls.saturating_sub(ice)),
                first_rtp_us: marks.first_rtp.zip(marks.dtls_connected).map(|(rtp, dtls)| rtp.saturating_sub(dtls)),
            },
            selected_pair: self.session.selected_pair(),
            codec: negotiated.map(|(codec, _)| codec),
            payload_type: negotiated.map(|(_, payload_type)| payload_type),
            state: self.session.connection_state(),
            timeline: self.timeline(),
            offer_sdp,
            answer_sdp,
            error: None,
            persistent_connection: false,
            starved: false,
            starved_reasons: Vec::new(),
        }
    }
}

/// The failure of a call that has no session: nothing of it was sent.
pub(super) fn without_session(error: &PeerError, call: &str, role: Role, began: Instant) -> CallFailure {
    let trouble = Trouble::session(error);
    let mut facts = SessionFacts { now_us: micros(began.elapsed()), ..SessionFacts::default() };
    trouble.tell(&mut facts);
    let Trouble { code, message, details, fact: _ } = trouble;
    let message = format!("the plan's {} went out as it is, since there was no live one: {message}", role.name());
    let outcome = CallOutcome {
        success: false,
        code,
        message,
        call: call.to_owned(),
        elapsed_us: micros(began.elapsed()),
        connect_us: None,
        latency_us: None,
        phases: CallPhases::default(),
        selected_pair: None,
        codec: None,
        payload_type: None,
        state: ConnectionState::New,
        timeline: Vec::new(),
        offer_sdp: None,
        answer_sdp: None,
        error: Some(CallError { error: code.heading(), code, details, verdict: None }),
        persistent_connection: false,
        starved: false,
        starved_reasons: Vec::new(),
    };
    CallFailure { outcome: Box::new(outcome), facts: Box::new(facts), started: began, session_started: began }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

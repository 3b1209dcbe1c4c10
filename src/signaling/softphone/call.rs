//! A softphone's call as one that is placed or answered, held and hung up, in the words of [`crate::signaling::outcome`].
//!
//! [`place`] and [`answer`] return when the call is up or has failed. Guarantees:
//! - configuration is checked before any packet leaves, and every wait has a deadline;
//! - every failure says which phase was not reached, with the evidence; times are those of the wire, and those of an answered
//!   call run from the moment it came in;
//! - a softphone that loses its connection loses no call: a call that is up does not need it;
//! - cancel: dropping a future of this module, or a [`PhoneCall`] that was not hung up, hangs up as the profile says (a call
//!   that still rings is refused) and closes the session in the background, within about three seconds.
//!
//! Nothing here knows in which protocol the softphone speaks.
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::time::{timeout, timeout_at};

use super::failure::{Failure, SessionFault};
use super::{CallState, CallView, Described, Registration, Softphone, SoftphoneCall, SoftphoneError, SoftphoneView};
use crate::config::{ConfigError, from_json};
use crate::diagnosis::facts::{End, SessionFacts};
use crate::diagnosis::{cause_of_close, diagnose};
use crate::peer::{ConnectionState, MediaCounters, PeerError, Session};
use crate::signaling::call::trouble::{Fact, Trouble};
use crate::signaling::dialog::micros;
use crate::signaling::outcome::{
    self, Accounts, CallCode, CallFailure, CallLoss, CallOutcome, CallReport, Course, WorstStates, connection_lost,
};
use crate::signaling::profile::{Command, EndedBy};
use crate::socket::CloseCause;

/// Longest accepted time of any setting, ms (one day).
const MAX_TIME_MS: u64 = 86_400_000;
/// How long the hang-up of an abandoned call may take.
const FAREWELL_DEADLINE: Duration = Duration::from_secs(2);
/// Of a hang-up's deadline at most this much, and at most a quarter, is kept for closing the session.
const CLOSE_RESERVE: Duration = Duration::from_millis(500);
/// How often the packets of a call on a persistent connection are looked at.
const AUDIO_POLL: Duration = Duration::from_millis(5);
/// What is told of an end without a reason.
const NO_REASON: &str = "no reason given";

/// How a call is placed or answered; JSON names are camelCase.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PhoneCallConfig {
    /// Whom to call, as the profile's protocol names them (default empty). Not used by [`answer`].
    pub to: String,
    /// Whether a call is up only with its first RTP packet in (default true), or with DTLS done.
    pub await_media: bool,
    /// Placed or accepted → offer and answer exchanged, ms (default 30000: the other side may let it ring).
    pub answer_timeout_ms: u64,
    /// Offer and answer exchanged → DTLS done, ms (default: that of the session's configuration).
    pub connect_timeout_ms: Option<u64>,
    /// DTLS done → first RTP packet in, ms (default 5000).
    pub first_rtp_timeout_ms: u64,
    /// Answering: how long a call is waited for, ms (default 60000; 0 = one that waits already).
    pub incoming_timeout_ms: u64,
    /// Answering: how long it rings before it is accepted, ms from the moment it came in (default 0).
    pub ring_ms: u64,
}

impl Default for PhoneCallConfig {
    fn default() -> Self {
        Self {
            to: String::new(),
            await_media: true,
            answer_timeout_ms: 30_000,
            connect_timeout_ms: None,
            first_rtp_timeout_ms: 5_000,
            incoming_timeout_ms: 60_000,
            ring_ms: 0,
        }
    }
}

impl PhoneCallConfig {
    /// Parses and checks JSON; an empty object is the default.
    ///
    /// # Errors
    /// [`ConfigError`] by field name.
    pub fn from_json(json: &[u8]) -> Result<Self, ConfigError> {
        let config: Self = from_json(json)?;
        for (field, value, least) in [
            ("answerTimeoutMs", Some(config.answer_timeout_ms), 1),
            ("connectTimeoutMs", config.connect_timeout_ms, 1),
            ("firstRtpTimeoutMs", Some(config.first_rtp_timeout_ms), 1),
            ("incomingTimeoutMs", Some(config.incoming_timeout_ms), 0),
            ("ringMs", Some(config.ring_ms), 0),
        ] {
            if let Some(value) = value.filter(|value| *value < least || *value > MAX_TIME_MS) {
                return Err(ConfigError::new(field, value, format!("{least} to {MAX_TIME_MS} ms")));
            }
        }
        if config.to.chars().any(char::is_control) {
            return Err(ConfigError::new("to", &config.to, "no control characters"));
        }
        Ok(config)
    }
}

/// Places a call and returns when it is up; `handshaken` runs once ICE and DTLS are done, before media is waited for.
///
/// # Errors
/// [`CallFailure`] with the phase that was not reached and the evidence; the call ends in the background.
pub async fn place(
    phone: &Softphone,
    config: &PhoneCallConfig,
    handshaken: impl FnOnce() + Send,
) -> Result<PhoneCall, CallFailure> {
    let started = Instant::now();
    let call = match phone.place(&config.to).await {
        Ok(call) => call,
        Err(error) => return Err(unplaced(started, not_registered(&error, &phone.view()))),
    };
    let call = PhoneCall::new(call, started);
    let since = call.started;
    match call.await_up(since, config, handshaken).await {
        Ok(()) => Ok(call.up()),
        Err(trouble) => Err(call.failure(trouble)),
    }
}

/// Takes the next call that comes in, also one that has been answered already as the protocol says, lets it ring, answers it
/// and returns when it is up. Calls that were over before are passed over; `missed` is told of each.
///
/// # Errors
/// [`CallFailure`]; without a call in time it is [`CallCode::SignalingTimeout`].
pub async fn answer(
    phone: &Softphone,
    config: &PhoneCallConfig,
    missed: impl Fn() + Send,
) -> Result<PhoneCall, CallFailure> {
    let started = Instant::now();
    let call = match incoming(phone, config, missed).await {
        Ok(call) => call,
        Err(trouble) => return Err(unplaced(started, trouble)),
    };
    let came = call.view().began;
    let mut call = PhoneCall::new(call, came);
    match call.take(config).await {
        Ok(()) => Ok(call.up()),
        Err(trouble) => Err(call.failure(trouble)),
    }
}

/// The next call that is not over.
async fn incoming(
    phone: &Softphone,
    config: &PhoneCallConfig,
    missed: impl Fn() + Send,
) -> Result<SoftphoneCall, Trouble> {
    let within = Duration::from_millis(config.incoming_timeout_ms);
    let mut views = phone.view.clone();
    let found = async {
        loop {
            let is_over = |view: &SoftphoneView| matches!(view.registration, Registration::Ended { .. });
            let ended = async { views.wait_for(is_over).await.is_ok() };
            let next = async { phone.incoming.lock().await.recv().await };
            let call = tokio::select! {
                biased;
                call = next => call,
                _ = ended => None,
            };
            let Some(call) = call else {
                return Err(not_registered(&SoftphoneError::gone(), &phone.view()));
            };
            let (is_over, name) = {
                let view = call.view.borrow();
                (matches!(view.state, CallState::Ended { .. }), view.name.clone().unwrap_or_default())
            };
            if !is_over {
                return Ok(call);
            }
            log::info!("softphone: the call '{name}' was over before it was taken");
            missed();
        }
    };
    timeout(within, found).await.unwrap_or_else(|_| {
        let state = match phone.view().registration {
            Registration::Registered(_) => "the softphone is registered".to_owned(),
            Registration::Pending => "the softphone is being registered".to_owned(),
            Registration::Reconnecting { why, .. } => format!("the softphone reconnects: {why}"),
            Registration::Ended { why } => format!("the softphone is not registered: {why}"),
        };
        let ms = config.incoming_timeout_ms;
        let text = format!("no call came in within {ms} ms; {state}");
        let details = json!({"waitedMs": ms, "phase": "incoming call"});
        Err(Trouble::new(CallCode::SignalingTimeout, text, details).with(Fact::Waited(micros(within))))
    })
}

/// A softphone that cannot place or take calls.
fn not_registered(error: &SoftphoneError, phone: &SoftphoneView) -> Trouble {
    let why = match &phone.registration {
        Registration::Registered(_) | Registration::Pending => error.to_string(),
        Registration::Reconnecting { why, .. } | Registration::Ended { why } => why.clone(),
    };
    let text = format!("the softphone is not registered: {why}");
    let details = json!({"registration": why, "phase": "registration"});
    match &phone.failure {
        Some(Failure::Closed { cause, .. }) => {
            Trouble::new(CallCode::SignalingClosed(cause_of_close(cause)), text, details)
                .with(Fact::Closed(cause.clone()))
        }
        Some(Failure::Unreached { error, .. }) => {
            let cause = crate::diagnosis::cause_of_socket_error(error);
            Trouble::new(CallCode::SignalingClosed(cause), text, details)
        }
        Some(Failure::Ours { .. }) => Trouble::new(CallCode::SessionClosed, text, details),
        Some(Failure::Late { waited, .. }) => {
            Trouble::new(CallCode::SignalingTimeout, text, details).with(Fact::Waited(micros(*waited)))
        }
        Some(Failure::Refused { .. }) | None => Trouble::new(CallCode::SignalingRefused, text, details)
            .with(Fact::Refused("NOT_REGISTERED".to_owned(), why)),
    }
}

/// The failure of a call that has not begun.
fn unplaced(started: Instant, trouble: Trouble) -> CallFailure {
    let mut facts = SessionFacts { now_us: micros(started.elapsed()), ..SessionFacts::default() };
    trouble.tell(&mut facts);
    let course = Course {
        started,
        call: String::new(),
        session: None,
        is_new: true,
        timeline: Vec::new(),
        offer: None,
        answer: None,
        signaling_us: None,
        checks_began: None,
    };
    course.failure(trouble, facts)
}

/// A call of a softphone that is held by its user. It lives until [`PhoneCall::hang_up`], or until it is dropped, which hangs
/// up in the background.
pub struct PhoneCall {
    call: SoftphoneCall,
    started: Instant,
    /// How long it rang before it was accepted.
    rang: Option<Duration>,
    outcome: Option<CallOutcome>,
    runtime: Handle,
    report: tokio::sync::Mutex<Option<CallReport>>,
    released: parking_lot::Mutex<bool>,
}

impl Drop for PhoneCall {
    fn drop(&mut self) {
        if *self.released.get_mut() {
            return;
        }
        let call = self.call.clone();
        self.runtime.spawn(async move {
            if call.view().state == CallState::Incoming
                && let Err(error) = call.command(Command::Reject).await
            {
                log::debug!("a call was not refused: {error}");
            }
            let session = call.view().session;
            if let Some(session) = &session {
                session.stop_audio();
            }
            if let Err(error) = call.hang_up(FAREWELL_DEADLINE).await {
                log::debug!("a call that nobody holds any more was not hung up: {error}");
            }
            if let Some(session) = session.filter(|_| !call.view().persistent) {
                session.close(CLOSE_RESERVE).await;
            }
        });
    }
}

impl PhoneCall {
    fn new(call: SoftphoneCall, started: Instant) -> Self {
        Self {
            call,
            started,
            rang: None,
            outcome: None,
            runtime: Handle::current(),
            report: tokio::sync::Mutex::new(None),
            released: parking_lot::Mutex::new(false),
        }
    }

    /// Rings and accepts, then waits until the call is up.
    async fn take(&mut self, config: &PhoneCallConfig) -> Result<(), Trouble> {
        let mut views = self.call.view.clone();
        let accept_at = self.started + Duration::from_millis(config.ring_ms);
        let rings = |view: &CallView| view.state == CallState::Incoming;
        if rings(&self.call.view()) {
            let over = views.wait_for(|view| !rings(view));
            // Somebody else may answer, or the caller give up, while it rings.
            let _stopped = timeout_at(accept_at.into(), over).await.is_ok();
            let view = self.call.view();
            if let CallState::Ended { by, reason } = &view.state {
                return Err(self.over(&view, *by, reason.as_deref(), "it rang"));
            }
            if rings(&view) {
                let accepted = Instant::now();
                self.rang = Some(accepted.saturating_duration_since(self.started));
                self.call.accept().await.map_err(|error| not_registered(&error, &self.call.phone()))?;
            }
        }
        self.await_up(Instant::now(), config, || ()).await
    }

    /// Waits until offer and answer are exchanged, ICE and DTLS are connected and, if wanted, the first RTP packet is in.
    async fn await_up(
        &self,
        since: Instant,
        config: &PhoneCallConfig,
        handshaken: impl FnOnce() + Send,
    ) -> Result<(), Trouble> {
        let within = Duration::from_millis(config.answer_timeout_ms);
        let described = self.until(since + within, described).await;
        let view = match described {
            Reached::Yes(view) => view,
            Reached::Over(view, by, reason) => {
                return Err(self.over(&view, by, reason.as_deref(), "offer and answer were awaited"));
            }
            Reached::Late => return Err(self.undescribed(within)),
        };
        let checks_began = view.answer.as_ref().map_or(since, checks_began);
        // Without a time of its own the session's counts, and that is its task's to keep.
        let connect = config.connect_timeout_ms.map(Duration::from_millis);
        let by = connect.map(|connect| checks_began + connect);
        let connected = |view: &CallView| view.session.as_ref().is_some_and(is_connected);
        let view = match self.until_maybe(by, connected).await {
            Reached::Yes(view) => view,
            Reached::Over(view, by, reason) => {
                return Err(self.over(&view, by, reason.as_deref(), "connecting"));
            }
            Reached::Late => return Err(self.unconnected(connect.unwrap_or_default())),
        };
        handshaken();
        let Some(session) = view.session.filter(|_| config.await_media) else { return Ok(()) };
        let first_rtp = Duration::from_millis(config.first_rtp_timeout_ms);
        let heard = async {
            if view.persistent {
                // The session heard others before.
                return Ok(timeout(first_rtp, self.audio()).await.ok());
            }
            let up = session.started() + Duration::from_micros(session.phases().dtls_connected_us.unwrap_or_default());
            timeout_at((up.max(since) + first_rtp).into(), session.first_rtp()).await.ok().transpose()
        };
        let mut views = self.call.view.clone();
        let is_over = |view: &CallView| matches!(view.state, CallState::Ended { .. });
        let over = async { views.wait_for(is_over).await.is_ok() };
        let heard = tokio::select! {
            biased;
            heard = heard => Some(heard),
            _over = over => None,
        };
        let state = self.call.view();
        match (heard, &state.state) {
            (Some(Ok(Some(()))), _) => Ok(()),
            (Some(Ok(None)), _) => Err(Trouble::no_media(&session, first_rtp)),
            (Some(Err(_)), CallState::Ended { by: by @ (EndedBy::Peer | EndedBy::Refusal), reason })
            | (None, CallState::Ended { by, reason }) => {
                Err(self.over(&state, *by, reason.as_deref(), "the first RTP packet was awaited"))
            }
            (Some(Err(error)), _) => Err(Trouble::lost_before_media(&session, &error)),
            (None, _) => Err(Trouble::new(CallCode::SessionClosed, "the softphone has ended", Value::Null)),
        }
    }

    /// Waits for audio of this call.
    async fn audio(&self) {
        while self.counters().packets_received == 0 {
            tokio::time::sleep(AUDIO_POLL).await;
        }
    }

    async fn until(&self, deadline: Instant, reached: impl Fn(&CallView) -> bool) -> Reached {
        self.until_maybe(Some(deadline), reached).await
    }

    /// Waits until `reached`, until the call is over, or until the deadline.
    async fn until_maybe(&self, deadline: Option<Instant>, reached: impl Fn(&CallView) -> bool) -> Reached {
        let mut views = self.call.view.clone();
        let known = views.wait_for(|view| reached(view) || matches!(view.state, CallState::Ended { .. }));
        let known = async {
            match deadline {
                Some(deadline) => timeout_at(deadline.into(), known).await.ok(),
                None => Some(known.await),
            }
        };
        match known.await {
            None => Reached::Late,
            Some(Ok(view)) => {
                let view = view.clone();
                match &view.state {
                    CallState::Ended { by, reason } => {
                        let (by, reason) = (*by, reason.clone());
                        Reached::Over(view, by, reason)
                    }
                    _ => Reached::Yes(view),
                }
            }
            Some(Err(_)) => Reached::Over(self.call.view(), EndedBy::Us, Some("the softphone has ended".to_owned())),
        }
    }

    /// The call ended before it was up.
    fn over(&self, view: &CallView, by: EndedBy, reason: Option<&str>, doing: &str) -> Trouble {
        let said = reason.unwrap_or(NO_REASON);
        let details = json!({"reason": reason, "phase": doing});
        match (by, &view.failure, &view.session) {
            (EndedBy::Refusal, ..) => {
                let text = format!("the other side refused while {doing}: {said}");
                Trouble::new(CallCode::SignalingRefused, text, details)
                    .with(Fact::Refused(said.to_owned(), String::new()))
            }
            (EndedBy::Peer, ..) => {
                let text = format!("the other side hung up while {doing}: {said}");
                Trouble::new(CallCode::EndedByPeer, text, details).with(Fact::PeerEnded(reason.map(str::to_owned)))
            }
            (_, Some(fault), Some(session)) => self.faulty(fault, session, view),
            (_, Some(SessionFault::Session(error)), None) => Trouble::session(error),
            (EndedBy::Us, ..) => {
                Trouble::new(CallCode::SessionClosed, format!("the call was ended while {doing}: {said}"), details)
            }
            (EndedBy::Failure, ..) => {
                let phone = self.call.phone();
                if !matches!(phone.registration, Registration::Registered(_)) {
                    return not_registered(&SoftphoneError::gone(), &phone);
                }
                let text = format!("the call failed while {doing}: {said}");
                Trouble::new(CallCode::SignalingRefused, text, details)
                    .with(Fact::Refused(said.to_owned(), String::new()))
            }
        }
    }

    /// The session of the call failed.
    fn faulty(&self, fault: &SessionFault, session: &Session, view: &CallView) -> Trouble {
        match fault {
            SessionFault::Session(error @ (PeerError::Sdp { .. } | PeerError::UdpSocket { .. })) => {
                Trouble::session(error)
            }
            SessionFault::Session(error) | SessionFault::GaveUp { error } => {
                self.not_connected(session, Some(error), Duration::ZERO, view)
            }
            SessionFault::NotConnected { within, .. } => self.not_connected(session, None, *within, view),
            SessionFault::Lost(state) => {
                let error = PeerError::Failed { state: *state, detail: fault.to_string() };
                match session.phases().dtls_connected_us {
                    Some(_) => Trouble::lost_before_media(session, &error),
                    None => self.not_connected(session, Some(&error), Duration::ZERO, view),
                }
            }
        }
    }

    fn not_connected(
        &self,
        session: &Session,
        error: Option<&PeerError>,
        within: Duration,
        view: &CallView,
    ) -> Trouble {
        let mut trouble = Trouble::not_connected(session, error, within, signaling_us(view));
        if let Some((count, last)) = &view.refused_candidates {
            trouble.message.push_str(&format!("; {count} remote candidates were not usable ({last})"));
        }
        let phone = self.call.phone();
        if let Registration::Reconnecting { why, .. } | Registration::Ended { why } = &phone.registration {
            let what = format!("; the softphone lost its registration meanwhile ({why}), so candidates may be missing");
            trouble.message.push_str(&what);
        }
        trouble
    }

    fn unconnected(&self, within: Duration) -> Trouble {
        let view = self.call.view();
        match &view.session {
            Some(session) => self.not_connected(session, None, within, &view),
            None => self.undescribed(within),
        }
    }

    /// Offer and answer were not exchanged in time.
    fn undescribed(&self, within: Duration) -> Trouble {
        let view = self.call.view();
        let ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        let missing = match (&view.offer, &view.state) {
            (Some(offer), _) if offer.ours => "no answer to our offer",
            (Some(_), _) => "our answer was not made",
            (None, CallState::Ringing) => "it rings at the other side, and no offer came",
            (None, _) => "no offer came",
        };
        let phone = self.call.phone();
        let state = match &phone.registration {
            Registration::Reconnecting { why, .. } | Registration::Ended { why } => {
                format!("the softphone is not registered: {why}")
            }
            _ => "the softphone is registered".to_owned(),
        };
        let problem = phone.problems.front().map_or_else(String::new, |problem| format!("; {problem}"));
        let details = json!({"waitedMs": ms, "phase": "answer", "problems": phone.problems});
        Trouble::new(CallCode::SignalingTimeout, format!("{missing} within {ms} ms; {state}{problem}"), details)
            .with(Fact::Waited(micros(within)))
    }

    /// Its outcome is made now that it is up.
    fn up(mut self) -> Self {
        let view = self.call.view();
        self.outcome = Some(self.course(&view).outcome(Ok(())));
        self
    }

    fn failure(&self, trouble: Trouble) -> CallFailure {
        let view = self.call.view();
        let mut facts = self.facts_of(&view);
        trouble.tell(&mut facts);
        self.course(&view).failure(trouble, facts)
    }

    fn course<'a>(&self, view: &'a CallView) -> Course<'a> {
        Course {
            started: self.started,
            call: view.name.clone().unwrap_or_default(),
            session: view.session.as_ref(),
            // What was done before the call is none of its phases.
            is_new: !view.persistent,
            timeline: self.timeline(view),
            offer: view.offer.as_ref().map(|offer| offer.sdp.clone()),
            answer: view.answer.as_ref().map(|answer| answer.sdp.clone()),
            signaling_us: signaling_us(view),
            checks_began: view.answer.as_ref().map(checks_began),
        }
    }

    fn timeline(&self, view: &CallView) -> Vec<outcome::Moment> {
        let mut moments = view.moments.clone();
        let accepted = self.rang.map(|rang| (self.started + rang, "accepted".to_owned()));
        moments.extend(accepted);
        for (what, described) in [("offer", &view.offer), ("answer", &view.answer)] {
            let Some(described) = described else { continue };
            let way = if described.ours { "sent" } else { "received" };
            moments.push((described.at, format!("{what} {way}")));
            moments.extend(described.applied.map(|at| (at, format!("{what} applied"))));
        }
        if let (Some(at), CallState::Ended { by, reason }) = (view.ended, &view.state) {
            moments.push((at, format!("ended ({by:?}): {}", reason.as_deref().unwrap_or(NO_REASON))));
        }
        outcome::timeline(view.session.as_ref(), moments, self.started)
    }

    /// Its session, the newest where one replaced another.
    pub fn session(&self) -> Option<Session> {
        self.call.view.borrow().session.clone()
    }

    /// Packet accounts of all its sessions.
    pub fn counters(&self) -> MediaCounters {
        self.call.view.borrow().counters()
    }

    /// The softphone's call itself.
    pub fn inner(&self) -> &SoftphoneCall {
        &self.call
    }

    /// What setting it up came to; `None` while it is being set up.
    pub fn outcome(&self) -> Option<&CallOutcome> {
        self.outcome.as_ref()
    }

    /// How long it rang at our side before it was accepted; `None` of one that did not ring.
    pub fn rang(&self) -> Option<Duration> {
        self.rang
    }

    /// When the call started, from which its outcome and report count.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Notes why the generator could not keep its own times during the set-up; nothing when it could.
    pub(crate) fn starved(&mut self, reasons: Vec<String>) {
        if let Some(outcome) = &mut self.outcome {
            outcome.starved = !reasons.is_empty();
            outcome.starved_reasons = reasons;
        }
    }

    /// How the call was lost, if the peer hung up or the connection failed; `None` while it is up, and after our own hang-up.
    pub fn lost(&self) -> Option<CallLoss> {
        let view = self.call.view();
        let since = |at: Option<Instant>| {
            at.map_or_else(|| micros(self.started.elapsed()), |at| micros(at.saturating_duration_since(self.started)))
        };
        match &view.state {
            CallState::Ended { by: EndedBy::Us, .. } => None,
            CallState::Ended { by: EndedBy::Peer | EndedBy::Refusal, reason } => Some(CallLoss {
                code: CallCode::EndedByPeer,
                message: format!("the other side hung up: {}", reason.as_deref().unwrap_or(NO_REASON)),
                at_us: since(view.ended),
                verdict: None,
            }),
            CallState::Ended { by: EndedBy::Failure, reason } => {
                let why = view.failure.as_ref().map(ToString::to_string).or_else(|| reason.clone());
                let media = view.session.as_ref().map(Session::counters).unwrap_or_default();
                Some(CallLoss {
                    code: CallCode::ConnectionLost,
                    message: format!(
                        "{}; {} packets had been sent and {} received",
                        why.as_deref().unwrap_or(NO_REASON),
                        media.packets_sent,
                        media.packets_received
                    ),
                    at_us: self.lost_at(&view).unwrap_or_else(|| since(view.ended)),
                    verdict: None,
                })
            }
            _ => connection_lost(view.session.as_ref()?, &self.timeline(&view), self.started),
        }
    }

    /// When its session failed or was closed by the other side.
    fn lost_at(&self, view: &CallView) -> Option<u64> {
        let timeline = self.timeline(view);
        let failed = timeline.iter().rfind(|(_, machine, state)| *machine == "connectionState" && *state == "failed");
        failed.map(|(at, ..)| *at)
    }

    fn facts_of(&self, view: &CallView) -> SessionFacts {
        let Some(session) = &view.session else {
            return SessionFacts { now_us: micros(self.started.elapsed()), ..SessionFacts::default() };
        };
        let mut facts = session.facts();
        let since = |at: Instant| micros(at.saturating_duration_since(session.started()));
        facts.refused_candidates.clone_from(&view.refused_candidates);
        for described in [&view.offer, &view.answer].into_iter().flatten() {
            let place = if described.ours { &mut facts.signaling.sent_us } else { &mut facts.signaling.received_us };
            *place = Some(since(described.at));
        }
        facts.signaling.closed = self.signaling_lost();
        facts.peer_received = view.remote_media.map(|media| media.packets_received);
        facts
    }

    /// What a diagnosis may know of the call, up to its loss where it is lost; times are µs since its session was created.
    pub fn facts(&self) -> SessionFacts {
        let view = self.call.view();
        let mut facts = self.facts_of(&view);
        let state = view.session.as_ref().map_or(ConnectionState::New, Session::connection_state);
        facts.end = match (&view.state, state) {
            (CallState::Ended { by: EndedBy::Us, .. }, _) => End::HungUp,
            (CallState::Ended { by: EndedBy::Peer | EndedBy::Refusal, reason }, _) => {
                End::EndedByPeer { reason: reason.clone() }
            }
            (CallState::Ended { by: EndedBy::Failure, .. }, _) | (_, ConnectionState::Failed) => End::Lost,
            (_, ConnectionState::Closed) => End::EndedByPeer { reason: Some("DTLS close_notify".to_owned()) },
            _ => End::Open,
        };
        if let (End::Lost | End::EndedByPeer { .. }, Some(lost), Some(session)) =
            (&facts.end, self.lost(), &view.session)
        {
            let offset = micros(session.started().saturating_duration_since(self.started));
            facts.now_us = lost.at_us.saturating_sub(offset);
        }
        facts
    }

    /// How its softphone's connection was lost; `None` while that is there. The call does not need it to go on.
    pub fn signaling_lost(&self) -> Option<CloseCause> {
        match &self.call.phone.borrow().failure {
            Some(Failure::Closed { cause, .. }) => Some(cause.clone()),
            _ => None,
        }
    }

    /// Hangs up as the profile says, waits for the other side's consent and closes the session. Bounded by `deadline`, of
    /// which at most `within` is waited for consent. Hanging up a call that is over only reports. Idempotent.
    pub async fn hang_up(&self, deadline: Duration, within: Duration) -> CallReport {
        let mut done = self.report.lock().await;
        if let Some(report) = &*done {
            return report.clone();
        }
        let begun = Instant::now();
        let end = begun + deadline;
        let lost = self.lost();
        if let Some(session) = self.session() {
            session.stop_audio();
        }
        let consent = deadline.saturating_sub(CLOSE_RESERVE.min(deadline / 4)).min(within);
        if let Err(error) = self.call.hang_up(consent).await {
            log::debug!("a call was not hung up as its profile says: {error}");
        }
        if let Some(session) = self.session().filter(|_| !self.call.view().persistent) {
            // What is not closed by then goes on closing in the background.
            session.close(end.saturating_duration_since(Instant::now())).await;
        }
        let report = self.report(begun, lost);
        *self.released.lock() = true;
        *done = Some(report.clone());
        report
    }

    /// Why the other side's accounts are missing, if they are.
    fn accounts_missing(&self, view: &CallView) -> Option<String> {
        if view.remote_media.is_some() {
            return None;
        }
        Some(match (self.call.profile().carries_accounts(), &view.state) {
            (false, _) => "the protocol of this profile carries no packet accounts".to_owned(),
            (true, CallState::Ended { by: EndedBy::Us, reason: Some(reason) }) => {
                format!("the other side did not state its packet accounts: {reason}")
            }
            (true, _) => "the other side did not state its packet accounts".to_owned(),
        })
    }

    fn report(&self, begun: Instant, lost: Option<CallLoss>) -> CallReport {
        let view = self.call.view();
        let timeline = self.timeline(&view);
        let (by_us, reason) = match &view.state {
            CallState::Ended { by, reason } => (!matches!(by, EndedBy::Peer | EndedBy::Refusal), reason.clone()),
            _ => (true, None),
        };
        let since = |at: Instant| micros(at.saturating_duration_since(self.started));
        let ended_us = lost.as_ref().map_or_else(|| since(begun), |lost| lost.at_us);
        let up = self.outcome.as_ref().and_then(|outcome| outcome.latency_us.or(Some(outcome.elapsed_us)));
        let offset = view.session.as_ref().map(|session| session.started().saturating_duration_since(self.started));
        let verdict = match (&lost, offset) {
            (None, Some(offset)) => diagnose(&self.facts()).map(|verdict| verdict.later_by(offset)),
            _ => None,
        };
        let media = self.counters();
        let accounts = Accounts::of(&media, view.remote_media.as_ref(), by_us);
        CallReport {
            call: view.name.clone().unwrap_or_default(),
            ended_by: if by_us { outcome::EndedBy::Us } else { outcome::EndedBy::Peer },
            reason,
            media,
            peer_media: view.remote_media,
            peer_media_missing: self.accounts_missing(&view),
            lost_outgoing: accounts.lost_outgoing,
            lost_incoming: accounts.lost_incoming,
            agrees: accounts.agree,
            duration_us: up.map_or(0, |up| ended_us.saturating_sub(up)),
            hang_up_us: micros(begun.elapsed()),
            worst_states: WorstStates::of(timeline.iter().map(|(_, machine, state)| (*machine, &**state))),
            phases: self.outcome.as_ref().map(|outcome| outcome.phases).unwrap_or_default(),
            lost,
            verdict,
            signaling_lost: self.signaling_lost(),
            timeline,
        }
    }
}

/// How a wait for a call ended.
enum Reached {
    Yes(CallView),
    Over(CallView, EndedBy, Option<String>),
    Late,
}

/// Offer and answer are exchanged.
fn described(view: &CallView) -> bool {
    let exchanged = view.answer.as_ref().is_some_and(|answer| answer.ours || answer.applied.is_some());
    view.session.is_some() && (exchanged || view.persistent)
}

fn is_connected(session: &Session) -> bool {
    session.phases().dtls_connected_us.is_some()
}

/// When ICE could begin: the answer was applied, or sent.
fn checks_began(answer: &Described) -> Instant {
    answer.applied.unwrap_or(answer.at)
}

/// We offered: offer with the kernel → answer received; else offer received → answer with the kernel.
fn signaling_us(view: &CallView) -> Option<u64> {
    let (offer, answer) = (view.offer.as_ref()?, view.answer.as_ref()?);
    Some(micros(answer.at.saturating_duration_since(offer.at)))
}

/// Keeps the compiler honest about what may cross threads.
const _: fn() = || {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<PhoneCall>();
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_out_of_range_and_unknown_fields_are_refused_by_name() {
        for (json, field) in [
            (r#"{"answerTimeoutMs":0}"#, "answerTimeoutMs"),
            (r#"{"ringMs":86400001}"#, "ringMs"),
            (r#"{"to":"a\nb"}"#, "to"),
            (r#"{"wait":1}"#, "wait"),
        ] {
            let error = PhoneCallConfig::from_json(json.as_bytes()).expect_err(json);
            assert_eq!(error.field, field, "{error}");
        }
        let config = PhoneCallConfig::from_json(b"{}").expect("the default");
        assert!(config.await_media && config.connect_timeout_ms.is_none());
    }

    #[test]
    fn the_last_description_of_ours_gets_the_time_at_which_it_was_sent() {
        let begun = Instant::now();
        let mut view = CallView::beginning(begun);
        view.offer = Some(Described::new("v=0".to_owned(), false, begun));
        view.answer = Some(Described::new("v=0".to_owned(), true, begun + Duration::from_millis(5)));
        view.sent(begun + Duration::from_millis(7));
        assert_eq!(signaling_us(&view), Some(7_000));
        assert_eq!(view.offer.expect("kept").at, begun);
    }
}

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
mod config;
mod registration;
mod setup;
pub(crate) mod trouble;

use std::time::{Duration, Instant};

use tokio::time::timeout_at;

pub use self::config::CallConfig;
pub use self::registration::{Registration, register};
use self::setup::SetUp;
use crate::diagnosis::diagnose;
use crate::diagnosis::facts::{End, SessionFacts};
use crate::peer::{ConnectionState, Session};
use crate::signaling::accounts;
use crate::signaling::dialog::{Ending, Hold, View, micros};
use crate::signaling::outcome::{
    Accounts, CallCode, CallFailure, CallLoss, CallOutcome, CallReport, EndedBy, WorstStates, connection_lost,
};
use crate::socket::{CloseCause, Socket, TapGuard};

/// Of a hang-up's deadline at most this much, and at most a quarter, is kept for closing the session.
const CLOSE_RESERVE: Duration = Duration::from_millis(500);

/// Calls `config.to` over `socket` and returns when the call is up: ICE and DTLS connected and, with `awaitMedia`, the
/// first RTP packet in. Has to run on a tokio runtime, which then carries the call.
///
/// # Errors
/// [`CallFailure`] with the phase that was not reached and the evidence.
pub async fn place(socket: Socket, config: &CallConfig) -> Result<Call, CallFailure> {
    place_then(socket, config, || ()).await
}

/// As [`place`]; `handshaken` runs once ICE and DTLS are done, before media is waited for, and is dropped when the call does
/// not get there.
///
/// # Errors
/// As [`place`].
pub async fn place_then(
    socket: Socket,
    config: &CallConfig,
    handshaken: impl FnOnce() + Send,
) -> Result<Call, CallFailure> {
    let mut setup = SetUp::new();
    let result = setup.place(socket, config, handshaken).await;
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
                    verdict: None,
                })
            }
            (Ending::None, _) => self.connection_lost(),
            (Ending::Ours, _) => None,
        }
    }

    fn connection_lost(&self) -> Option<CallLoss> {
        let dialog = &self.hold.dialog;
        connection_lost(&dialog.session, &dialog.timeline(self.started), self.started)
    }

    /// Notes why the generator could not keep its own times during the set-up; nothing when it could.
    pub(crate) fn starved(&mut self, reasons: Vec<String>) {
        self.outcome.starved = !reasons.is_empty();
        self.outcome.starved_reasons = reasons;
    }

    /// When the call started, from which its outcome and report count.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// What a diagnosis may know of the call, up to its loss where it is lost; times are µs since its session was created.
    pub fn facts(&self) -> SessionFacts {
        let dialog = &self.hold.dialog;
        let mut facts = dialog.facts();
        let (ending, reason) = {
            let view = dialog.view.borrow();
            (view.ending, view.peer_bye.as_ref().and_then(|bye| bye.reason.clone()))
        };
        facts.end = match (ending, dialog.session.connection_state()) {
            (Ending::Peers, _) => End::EndedByPeer { reason },
            (Ending::Ours, _) => End::HungUp,
            (Ending::None, ConnectionState::Failed) => End::Lost,
            (Ending::None, ConnectionState::Closed) => {
                End::EndedByPeer { reason: Some("DTLS close_notify".to_owned()) }
            }
            (Ending::None, _) => End::Open,
        };
        if let (End::Lost | End::EndedByPeer { .. }, Some(lost)) = (&facts.end, self.lost()) {
            let offset = micros(dialog.session.started().saturating_duration_since(self.started));
            facts.now_us = lost.at_us.saturating_sub(offset);
        }
        facts
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
        let report = self.end(deadline).await;
        self.hold.release();
        *done = Some(report.clone());
        report
    }

    async fn end(&self, deadline: Duration) -> CallReport {
        let begun = Instant::now();
        let end = tokio::time::Instant::now() + deadline;
        let dialog = &self.hold.dialog;
        let lost = self.lost();
        let by_us = dialog.end_by_us() || dialog.view.borrow().ending == Ending::Ours;
        let bye_end = end - CLOSE_RESERVE.min(deadline / 4);
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
        // What is not closed by then goes on closing in the background.
        dialog.session.close(end.saturating_duration_since(tokio::time::Instant::now())).await;
        let view = dialog.view.borrow().clone();
        self.report(begun, by_us, lost, why_missing, &view)
    }

    /// The farewell of our own hang-up; why the peer's accounts are missing, if they are.
    async fn exchange_accounts(&self, end: tokio::time::Instant) -> Option<String> {
        let dialog = &self.hold.dialog;
        dialog.session.stop_audio();
        let ours =
            timeout_at(end, accounts::at_rest(&dialog.session)).await.unwrap_or_else(|_| dialog.session.counters());
        // A hang-up that was cancelled half-way may have the peer's accounts already.
        if dialog.view.borrow().peer_bye.is_none() {
            match timeout_at(end, dialog.say_bye(None, ours)).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Some(format!("our bye could not be sent: {error}")),
                Err(_) => return Some("our bye could not be sent in time: the peer's TCP takes no more".to_owned()),
            }
        }
        let mut views = dialog.view.subscribe();
        let known =
            views.wait_for(|view| view.peer_bye.is_some() || view.refused.is_some() || view.socket_closed.is_some());
        let view = match timeout_at(end.min(tokio::time::Instant::now() + self.bye_timeout), known).await {
            Ok(Ok(view)) => view.clone(),
            Ok(Err(_)) | Err(_) => return Some("the peer did not answer our bye in time".to_owned()),
        };
        match (view.peer_bye, view.refused, view.socket_closed) {
            (Some(bye), _, _) => {
                let expected = bye.media.map_or(0, |media| media.packets_sent);
                let drain = (tokio::time::Instant::now() + accounts::DRAIN).min(end);
                accounts::received(&dialog.session, expected, drain).await;
                bye.media.is_none().then(|| "the peer's bye states no accounts".to_owned())
            }
            (None, Some(refused), _) => {
                Some(format!("the peer refused our bye: {}: {}", refused.code, refused.message))
            }
            (None, None, Some(cause)) => Some(format!("the signaling WebSocket is closed: {cause}")),
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
        let accounts = Accounts::of(&media, peer_media.as_ref(), by_us);
        let timeline = dialog.timeline(self.started);
        let ended_us = lost.as_ref().map_or_else(|| micros(begun.duration_since(self.started)), |lost| lost.at_us);
        let offset = dialog.session.started().saturating_duration_since(self.started);
        let verdict = match lost {
            Some(_) => None,
            None => diagnose(&self.facts()).map(|verdict| verdict.later_by(offset)),
        };
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
            agrees: accounts.agree,
            lost_outgoing: accounts.lost_outgoing,
            lost_incoming: accounts.lost_incoming,
            duration_us: ended_us.saturating_sub(up),
            hang_up_us: micros(begun.elapsed()),
            worst_states: WorstStates::of(timeline.iter().map(|(_, machine, state)| (*machine, &**state))),
            phases: self.outcome.phases,
            lost,
            verdict,
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

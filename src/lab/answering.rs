//! One answering peer: a real session at the other end of a call to `tone` or `echo`.
//!
//! Guarantees: every call that was opened in the ledger is closed in it, with its last packet accounts; a `Bye` is
//! answered within 1.5 s plus the time its last packet needs to leave; nothing waits without a deadline except for
//! the caller, whose vanishing ends the call after [`GRACE`]. Dropping the future closes the session in the background.
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, sleep_until, timeout, timeout_at};

use super::Shared;
use super::config::LabConfig;
use super::switchboard::{CallEvent, LineId};
use crate::peer::{ConnectionState, IceCandidateInit, PeerError, Session, SessionConfig};
use crate::signaling::accounts;
use crate::signaling::json::Message;
use crate::signaling::sdp::without_candidates;

/// How long a call outlives its caller's WebSocket.
pub(super) const GRACE: Duration = Duration::from_secs(2);
/// How long making the answer may take.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);
/// A call that has not connected by then counts as failed.
const CONNECT_DEADLINE: Duration = Duration::from_secs(60);
/// How long closing the session may take.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);
/// How long the caller's answer to a `Bye` of the lab is waited for.
const BYE_DEADLINE: Duration = Duration::from_millis(500);
/// How often a connected call is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// A call that was offered to the lab.
pub(super) struct Incoming {
    pub(super) line: LineId,
    pub(super) call: String,
    pub(super) echo: bool,
    pub(super) offer: String,
    pub(super) replies: mpsc::Sender<Message>,
}

/// Carries one call from its offer to its end.
pub(super) async fn answer(incoming: Incoming, mut events: mpsc::Receiver<CallEvent>, lab: Arc<Shared>) {
    let open = lab.ledger.call_opened();
    let call = Answering { incoming: &incoming, lab: &lab };
    if lab.config.faults.never_answer {
        call.linger(&mut events, None).await;
    } else {
        match call.session().await {
            Ok((session, answer)) => {
                open.attach(session.clone());
                call.carry(&session, answer, &mut events).await;
                session.close(CLOSE_DEADLINE).await;
            }
            Err(error) => {
                lab.ledger.calls_failed.add(1);
                let code = match error {
                    PeerError::Sdp { .. } | PeerError::Config(_) => "SDP_REJECTED",
                    _ => "ANSWER_FAILED",
                };
                call.say(Message::Error {
                    call: Some(incoming.call.clone()),
                    code: code.into(),
                    message: error.to_string(),
                })
                .await;
            }
        }
    }
    lab.switchboard.call_ended(incoming.line, &incoming.call);
}

struct Answering<'a> {
    incoming: &'a Incoming,
    lab: &'a Arc<Shared>,
}

impl Answering<'_> {
    /// A session with the offer applied, and its answer.
    async fn session(&self) -> Result<(Session, String), PeerError> {
        let session = Session::new(session_config(&self.lab.config, self.incoming.echo)).await?;
        if self.incoming.echo {
            session.echo_audio();
        }
        let drop_candidates = self.lab.config.faults.drop_candidates;
        let offer =
            if drop_candidates { without_candidates(&self.incoming.offer) } else { self.incoming.offer.clone() };
        let made = timeout(ANSWER_DEADLINE, session.create_answer(&offer)).await.unwrap_or_else(|_| {
            let deadline_ms = u64::try_from(ANSWER_DEADLINE.as_millis()).unwrap_or(u64::MAX);
            Err(PeerError::Deadline { phase: "answer", deadline_ms })
        });
        match made {
            Ok(answer) if drop_candidates => Ok((session, without_candidates(&answer))),
            Ok(answer) => Ok((session, answer)),
            Err(error) => {
                session.close(CLOSE_DEADLINE).await;
                Err(error)
            }
        }
    }

    async fn carry(&self, session: &Session, answer: String, events: &mut mpsc::Receiver<CallEvent>) {
        let faults = &self.lab.config.faults;
        let answer_at = Instant::now() + Duration::from_millis(faults.answer_delay_ms);
        let connect_by = answer_at + CONNECT_DEADLINE;
        let mut answer = Some(answer);
        let mut gathering = true;
        let mut connected = false;
        let until_connected = session.connected();
        tokio::pin!(until_connected);
        let mut look = tokio::time::interval_at(Instant::now() + LOOK, LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.lab.end_calls.cancelled() => return self.hang_up(session, "the lab stops", events).await,
                event = events.recv() => match event {
                    Some(CallEvent::Candidate(candidate)) => {
                        if !faults.drop_candidates && let Err(error) = session.add_ice_candidate(candidate).await {
                            log::debug!("lab call {}: candidate refused: {error}", self.incoming.call);
                        }
                    }
                    Some(CallEvent::Bye { packets_sent }) => return self.answer_bye(session, packets_sent).await,
                    Some(CallEvent::GivenUp) => return,
                    Some(CallEvent::LineGone) | None => {
                        self.lab.ledger.calls_abandoned.add(1);
                        tokio::select! {
                            () = self.lab.end_calls.cancelled() => {}
                            () = tokio::time::sleep(GRACE) => {}
                        }
                        return;
                    }
                },
                () = sleep_until(answer_at), if answer.is_some() => {
                    if let Some(sdp) = answer.take() {
                        self.lab.ledger.calls_answered.add(1);
                        self.say(Message::Answer { call: self.incoming.call.clone(), sdp }).await;
                    }
                }
                candidate = session.next_local_candidate(), if gathering && answer.is_none() => {
                    gathering = candidate.is_some();
                    if !faults.drop_candidates {
                        let candidate = candidate.unwrap_or_else(end_of_candidates);
                        self.say(Message::Candidate { call: self.incoming.call.clone(), candidate }).await;
                    }
                }
                result = &mut until_connected, if !connected => match result {
                    Ok(()) => connected = true,
                    Err(error) => return self.failed(session, &error.to_string(), events).await,
                },
                () = sleep_until(connect_by), if !connected => {
                    return self.failed(session, "not connected within 60 s of the answer", events).await;
                }
                _ = look.tick(), if connected => {
                    if matches!(session.connection_state(), ConnectionState::Failed | ConnectionState::Closed) {
                        return self.hang_up(session, "the connection to the caller failed", events).await;
                    }
                }
            }
        }
    }

    /// The caller hung up: stop, wait for its last packets, state our own accounts.
    async fn answer_bye(&self, session: &Session, packets_sent: Option<u64>) {
        session.stop_audio();
        accounts::received(session, packets_sent.unwrap_or(0), Instant::now() + accounts::DRAIN).await;
        let media = Some(accounts::at_rest(session).await);
        self.say(Message::Bye { call: self.incoming.call.clone(), reason: None, media }).await;
    }

    /// The lab hangs up: say so, and wait for the caller's accounts so that both sides' last packets are counted.
    async fn hang_up(&self, session: &Session, reason: &str, events: &mut mpsc::Receiver<CallEvent>) {
        session.stop_audio();
        let media = Some(accounts::at_rest(session).await);
        self.say(Message::Bye { call: self.incoming.call.clone(), reason: Some(reason.into()), media }).await;
        if let Some(packets_sent) = self.linger(events, Some(Instant::now() + BYE_DEADLINE)).await {
            accounts::received(session, packets_sent, Instant::now() + accounts::DRAIN).await;
        }
    }

    /// The call never connected. The caller finds that out, with its own evidence, from its own side; so nothing is
    /// said, and its hang-up is waited for.
    async fn failed(&self, session: &Session, detail: &str, events: &mut mpsc::Receiver<CallEvent>) {
        self.lab.ledger.calls_failed.add(1);
        log::debug!("lab call {}: {detail}", self.incoming.call);
        session.stop_audio();
        if self.linger(events, Some(Instant::now() + CONNECT_DEADLINE)).await.is_some() {
            let media = Some(session.counters());
            self.say(Message::Bye { call: self.incoming.call.clone(), reason: None, media }).await;
        }
    }

    /// Takes events until the caller's hang-up, the lab's end or `deadline`; the packets the caller says it sent, if it
    /// hung up by `Bye`. A call that was never answered answers the `Bye` itself.
    async fn linger(&self, events: &mut mpsc::Receiver<CallEvent>, deadline: Option<Instant>) -> Option<u64> {
        let stopping = async {
            if deadline.is_none() {
                self.lab.end_calls.cancelled().await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        let bye = async {
            loop {
                match events.recv().await {
                    Some(CallEvent::Candidate(_)) => {}
                    Some(CallEvent::Bye { packets_sent }) => break Some(packets_sent.unwrap_or(0)),
                    Some(CallEvent::GivenUp | CallEvent::LineGone) | None => break None,
                }
            }
        };
        let far = Instant::now() + Duration::from_secs(86_400);
        let heard = tokio::select! {
            () = stopping => None,
            heard = timeout_at(deadline.unwrap_or(far), bye) => heard.unwrap_or(None),
        };
        if deadline.is_none() && heard.is_some() {
            self.say(Message::Bye { call: self.incoming.call.clone(), reason: None, media: None }).await;
        }
        heard
    }

    /// Sends to the caller; a WebSocket that is gone is noticed through the events.
    async fn say(&self, message: Message) {
        if self.incoming.replies.send(message).await.is_err() {
            log::debug!("lab call {}: the caller's WebSocket is gone", self.incoming.call);
        }
    }
}

/// An echo never plays by itself: `sendAudio` would start the source at connect.
fn session_config(config: &LabConfig, echo: bool) -> SessionConfig {
    let send_audio = !echo && !config.faults.mute;
    SessionConfig { source_address: Some(config.address), send_audio, ..SessionConfig::default() }
}

/// The mark that no more candidates follow (RFC 8838 §8.2, `RTCIceCandidateInit` with an empty candidate).
fn end_of_candidates() -> IceCandidateInit {
    IceCandidateInit { candidate: String::new(), sdp_mid: None, sdp_m_line_index: Some(0), username_fragment: None }
}

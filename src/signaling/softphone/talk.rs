//! One PeerConnection of a softphone's call.
//!
//! Its task makes the session, applies what it is told, and tells what happens, in order. It ends when its commands end:
//! then it closes the session, bounded.
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::actor::Note;
use super::{CallState, CallView, Described, SessionFault};
use crate::peer::{ConnectionState, IceCandidateInit, MediaDirection, PeerError, Session, SessionConfig};
use crate::signaling::accounts;
use crate::signaling::profile::{CallKey, Input, PeerEvent, PeerNumber};

/// How often the state of a connected session is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How long closing a session may take.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);

/// What a PeerConnection is told.
#[derive(Debug)]
pub(in crate::signaling) enum PeerCommand {
    Offer,
    Renegotiate {
        direction: MediaDirection,
        restart_ice: bool,
    },
    Answer(String),
    Apply(String),
    Candidate(IceCandidateInit),
    /// Send no more; wait for so many packets of the other side.
    Rest(u64),
}

/// Which one it is, and whom it tells.
pub(in crate::signaling) struct Talk {
    pub(in crate::signaling) call: CallKey,
    pub(in crate::signaling) peer: PeerNumber,
    pub(in crate::signaling) notes: mpsc::WeakSender<Note>,
    pub(in crate::signaling) view: watch::Sender<CallView>,
}

impl Talk {
    async fn tell(&self, event: PeerEvent) {
        if let Some(notes) = self.notes.upgrade() {
            // Without a softphone there is nobody to tell.
            let _told = notes.send(Note::Input(Input::Peer { call: self.call, peer: self.peer, event })).await;
        }
    }

    async fn failed(&self, fault: impl Into<SessionFault>) {
        let fault = fault.into();
        let detail = fault.to_string();
        self.view.send_modify(|view| view.failure = Some(fault));
        self.tell(PeerEvent::Failed { detail }).await;
    }

    /// The descriptions of the call, for who sets it up; one that is known keeps its time.
    fn described(&self, described: Described, is_offer: bool) {
        self.view.send_modify(|view| {
            let place = if is_offer { &mut view.offer } else { &mut view.answer };
            if place.as_ref().is_none_or(|known| known.sdp != described.sdp) {
                *place = Some(described);
            }
        });
    }

    /// Carries the PeerConnection from its first command to its end.
    pub(in crate::signaling) async fn run(self, config: SessionConfig, mut commands: mpsc::Receiver<PeerCommand>) {
        let connect_within = Duration::from_millis(config.connect_timeout_ms);
        let session = match Session::new(config).await {
            Ok(session) => session,
            Err(error) => return self.failed(error).await,
        };
        self.view.send_modify(|view| view.session = Some(session.clone()));
        self.carry(&session, connect_within, &mut commands).await;
        session.close(CLOSE_DEADLINE).await;
        self.view.send_modify(|view| {
            // What was replaced stays counted; the last one counts for itself.
            if view.session.as_ref().is_some_and(|now| now.started() != session.started()) {
                view.earlier.add(&session.counters());
            }
        });
    }

    async fn carry(&self, session: &Session, connect_within: Duration, commands: &mut mpsc::Receiver<PeerCommand>) {
        let mut gathering = false;
        let mut connect_by = None;
        let mut connected = false;
        let mut over = false;
        let mut state = ConnectionState::New;
        let until_connected = session.connected();
        tokio::pin!(until_connected);
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                command = commands.recv() => {
                    let Some(command) = command else { return };
                    match self.obey(session, command).await {
                        Ok(described) => {
                            gathering |= described;
                            if described {
                                connect_by.get_or_insert_with(|| Instant::now() + connect_within);
                            }
                        }
                        Err(error) if !over => {
                            over = true;
                            self.failed(error).await;
                        }
                        Err(error) => log::debug!("a session that has failed was told more: {error}"),
                    }
                }
                candidate = session.next_local_candidate(), if gathering => match candidate {
                    Some(candidate) => self.tell(PeerEvent::LocalCandidate(candidate)).await,
                    None => {
                        gathering = false;
                        self.tell(PeerEvent::EndOfCandidates).await;
                    }
                },
                done = &mut until_connected, if !connected && !over => match done {
                    Ok(()) => {
                        connected = true;
                        state = ConnectionState::Connected;
                        self.view.send_modify(|view| {
                            if !matches!(view.state, CallState::Ended { .. }) {
                                view.state = CallState::Connected;
                            }
                        });
                        self.tell(PeerEvent::Connected).await;
                    }
                    Err(error) => {
                        over = true;
                        self.failed(SessionFault::GaveUp { error }).await;
                    }
                },
                () = at(connect_by), if !connected && !over => {
                    over = true;
                    let evidence = session.pending_phase().map_or_else(String::new, |phase| format!(": {}", phase.detail));
                    self.failed(SessionFault::NotConnected { within: connect_within, evidence }).await;
                }
                _ = look.tick(), if connected && !over => {
                    let now = session.connection_state();
                    if now == state {
                        continue;
                    }
                    state = now;
                    match now {
                        ConnectionState::Disconnected => self.tell(PeerEvent::Disconnected).await,
                        ConnectionState::Failed | ConnectionState::Closed => {
                            over = true;
                            self.failed(SessionFault::Lost(now)).await;
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    /// Does a command; whether a local description was made by it.
    async fn obey(&self, session: &Session, command: PeerCommand) -> Result<bool, PeerError> {
        match command {
            PeerCommand::Offer => {
                let offer = session.create_offer().await?;
                self.described(Described::new(offer.clone(), true, std::time::Instant::now()), true);
                self.tell(PeerEvent::LocalOffer(offer)).await;
                Ok(true)
            }
            PeerCommand::Renegotiate { direction, restart_ice } => {
                session.set_direction(direction)?;
                if restart_ice {
                    session.restart_ice();
                }
                let offer = session.create_offer().await?;
                self.described(Described::new(offer.clone(), true, std::time::Instant::now()), true);
                self.tell(PeerEvent::LocalOffer(offer)).await;
                Ok(true)
            }
            PeerCommand::Answer(offer) => {
                self.described(Described::new(offer.clone(), false, std::time::Instant::now()), true);
                let answer = session.create_answer(&offer).await?;
                self.described(Described::new(answer.clone(), true, std::time::Instant::now()), false);
                self.tell(PeerEvent::LocalAnswer(answer)).await;
                Ok(true)
            }
            PeerCommand::Apply(answer) => {
                self.described(Described::new(answer.clone(), false, std::time::Instant::now()), false);
                session.set_remote_answer(&answer).await?;
                self.view.send_modify(|view| {
                    if let Some(answer) = &mut view.answer {
                        answer.applied = Some(std::time::Instant::now());
                    }
                });
                Ok(false)
            }
            PeerCommand::Rest(packets) => {
                session.stop_audio();
                accounts::received(session, packets, Instant::now() + accounts::DRAIN).await;
                let mut media = accounts::at_rest(session).await;
                media.add(&self.view.borrow().earlier);
                self.tell(PeerEvent::Rested(media)).await;
                Ok(false)
            }
            PeerCommand::Candidate(candidate) => {
                // One candidate that is not usable is no reason to give the others up.
                if let Err(error) = session.add_ice_candidate(candidate).await {
                    log::warn!("a softphone's call: a remote candidate is not usable: {error}");
                    self.view.send_modify(|view| {
                        let refused = view.refused_candidates.get_or_insert_with(|| (0, String::new()));
                        *refused = (refused.0 + 1, error.to_string());
                    });
                }
                Ok(false)
            }
        }
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

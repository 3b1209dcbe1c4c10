//! One PeerConnection of a softphone's call.
//!
//! Its task makes the session, applies what it is told, and tells what happens, in order. It ends when its commands end:
//! then it closes the session, bounded.
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::actor::Note;
use super::{CallState, CallView};
use crate::peer::{ConnectionState, IceCandidateInit, MediaDirection, PeerError, Session, SessionConfig};
use crate::signaling::profile::{CallKey, Input, PeerEvent, PeerNumber};

/// How often the state of a connected session is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How long closing a session may take.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);

/// What a PeerConnection is told.
#[derive(Debug)]
pub(super) enum PeerCommand {
    Offer,
    Renegotiate { direction: MediaDirection, restart_ice: bool },
    Answer(String),
    Apply(String),
    Candidate(IceCandidateInit),
}

/// Which one it is, and whom it tells.
pub(super) struct Talk {
    pub(super) call: CallKey,
    pub(super) peer: PeerNumber,
    pub(super) notes: mpsc::WeakSender<Note>,
    pub(super) view: watch::Sender<CallView>,
}

impl Talk {
    async fn tell(&self, event: PeerEvent) {
        if let Some(notes) = self.notes.upgrade() {
            // Without a softphone there is nobody to tell.
            let _told = notes.send(Note::Input(Input::Peer { call: self.call, peer: self.peer, event })).await;
        }
    }

    async fn failed(&self, detail: String) {
        self.view.send_modify(|view| view.failure = Some(detail.clone()));
        self.tell(PeerEvent::Failed { detail }).await;
    }

    /// Carries the PeerConnection from its first command to its end.
    pub(super) async fn run(self, config: SessionConfig, mut commands: mpsc::Receiver<PeerCommand>) {
        let connect_within = Duration::from_millis(config.connect_timeout_ms);
        let session = match Session::new(config).await {
            Ok(session) => session,
            Err(error) => return self.failed(error.to_string()).await,
        };
        self.view.send_modify(|view| view.session = Some(session.clone()));
        self.carry(&session, connect_within, &mut commands).await;
        session.close(CLOSE_DEADLINE).await;
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
                            self.failed(error.to_string()).await;
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
                        self.failed(error.to_string()).await;
                    }
                },
                () = at(connect_by), if !connected && !over => {
                    over = true;
                    let evidence = session.pending_phase().map_or_else(String::new, |phase| format!(": {}", phase.detail));
                    let ms = connect_within.as_millis();
                    self.failed(format!("not connected within {ms} ms{evidence}")).await;
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
                            self.failed(format!("the connection is {}", now.name())).await;
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
                self.tell(PeerEvent::LocalOffer(offer)).await;
                Ok(true)
            }
            PeerCommand::Renegotiate { direction, restart_ice } => {
                session.set_direction(direction)?;
                if restart_ice {
                    session.restart_ice();
                }
                let offer = session.create_offer().await?;
                self.tell(PeerEvent::LocalOffer(offer)).await;
                Ok(true)
            }
            PeerCommand::Answer(offer) => {
                let answer = session.create_answer(&offer).await?;
                self.tell(PeerEvent::LocalAnswer(answer)).await;
                Ok(true)
            }
            PeerCommand::Apply(answer) => session.set_remote_answer(&answer).await.map(|()| false),
            PeerCommand::Candidate(candidate) => {
                // One candidate that is not usable is no reason to give the others up.
                if let Err(error) = session.add_ice_candidate(candidate).await {
                    log::warn!("a softphone's call: a remote candidate is not usable: {error}");
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

//! What has happened to a session so far, and waiting for more.
//!
//! Written by the engine's callbacks at the instant they are made, read by everybody. A callback runs on the engine's own
//! task, so none of them waits for anything outside.
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};
use webrtc::data_channel::DataChannel;
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionEventHandler, RTCIceConnectionState, RTCIceGatheringState, RTCPeerConnectionIceEvent,
    RTCPeerConnectionState, RTCSignalingState,
};

use super::census;
use super::negotiation::TransportLine;
use super::{ConnectionState, IceCandidateInit, MediaDirection, PeerError, PendingPhase, SessionPhases, stats};
use crate::media::talker::Talker;
use crate::net::runtime::SessionRuntime;
use crate::net::wire::{Wire, WireFacts};

/// The state of one session.
pub(super) struct Progress {
    pub(super) wire: Arc<Wire>,
    state: Mutex<State>,
}

/// The plain values behind [`Progress`].
#[derive(Default)]
pub(super) struct State {
    pub(super) connection: ConnectionState,
    pub(super) phases: SessionPhases,
    pub(super) timeline: Vec<(u64, &'static str, String)>,
    /// The line our candidates belong to.
    pub(super) transport_line: TransportLine,
    /// Local candidates nobody has taken yet.
    pub(super) candidates: VecDeque<IceCandidateInit>,
    /// Local candidates found so far.
    pub(super) candidates_found: usize,
    /// These, as in SDP (RFC 8839 §5.1).
    pub(super) local_candidates: Vec<String>,
    /// The other side's candidates we were told of, as in SDP (RFC 8839 §5.1).
    pub(super) remote_candidates: Vec<String>,
    /// The other side has said that it has no more of them (RFC 8838 §13).
    pub(super) remote_candidates_ended: bool,
    /// No more local candidates will come.
    pub(super) gathered: bool,
    /// When gathering counts as over, once it has begun.
    pub(super) gather_deadline: Option<Instant>,
    /// The other side's description has been applied.
    pub(super) described: bool,
    /// When that was.
    pub(super) described_us: Option<u64>,
    /// Direction of the audio line, once agreed.
    pub(super) direction: Option<MediaDirection>,
    /// It counts among the sessions that are up.
    pub(super) counted: bool,
    pub(super) selected_pair: Option<(String, String)>,
    /// We are closing or have closed.
    pub(super) closing: bool,
    /// Everything is closed.
    pub(super) closed: bool,
}

impl State {
    /// It is up no more by our own doing.
    pub(super) fn uncount(&mut self) {
        if std::mem::take(&mut self.counted) {
            census::down(None);
        }
    }
}

impl Progress {
    pub(super) fn new(wire: Arc<Wire>) -> Self {
        Self { wire, state: Mutex::default() }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Changes the state, with a line in the timeline, and tells the waiters.
    pub(super) fn record(&self, machine: &'static str, value: impl Into<String>, change: impl FnOnce(&mut State, u64)) {
        let at_us = self.now_us();
        let mut state = self.state.lock();
        state.timeline.push((at_us, machine, value.into()));
        change(&mut state, at_us);
        drop(state);
        self.wire.changed().notify_waiters();
    }

    /// Changes the state and tells the waiters.
    pub(super) fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.wire.changed().notify_waiters();
    }

    /// Waits until `ready` gives a value; it is asked now and after every change. Cancel safe, no deadline of its own.
    pub(super) async fn wait<T>(&self, mut ready: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            // Registered before asking, so that no change in between is missed.
            let mut changed = pin!(self.wire.changed().notified());
            changed.as_mut().enable();
            if let Some(value) = ready(&mut self.state.lock()) {
                return value;
            }
            changed.await;
        }
    }

    /// The state as it is to be told: an engine that ended by itself or a fatal alert before `connected` is a failure,
    /// though the engine does not call it one.
    pub(super) fn connection_state(&self) -> ConnectionState {
        let state = self.state.lock();
        if state.connection >= ConnectionState::Failed {
            return state.connection;
        }
        match self.wire.glance(|facts| broken(&state, facts)) {
            true => ConnectionState::Failed,
            false => state.connection,
        }
    }

    /// The outcome of connecting, once there is one.
    pub(super) fn outcome(&self, state: &State) -> Option<Result<(), PeerError>> {
        match state.connection {
            _ if state.closing => Some(Err(PeerError::Closed)),
            ConnectionState::Closed => {
                let detail = "the other side closed the connection (DTLS close_notify)".to_owned();
                Some(Err(PeerError::Failed { state: ConnectionState::Closed, detail }))
            }
            ConnectionState::Failed => Some(Err(failed(state, &self.wire.facts()))),
            _ if self.wire.glance(|facts| broken(state, facts)) => Some(Err(failed(state, &self.wire.facts()))),
            ConnectionState::Connected => Some(Ok(())),
            ConnectionState::New | ConnectionState::Connecting | ConnectionState::Disconnected => None,
        }
    }

    /// The first phase not reached.
    pub(super) fn pending_phase(&self) -> Option<PendingPhase> {
        let state = self.state.lock();
        pending(&state, &self.wire.facts())
    }

    /// µs since the session was created.
    pub(super) fn now_us(&self) -> u64 {
        u64::try_from(self.wire.started().elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

fn broken(state: &State, facts: &WireFacts) -> bool {
    let alert = state.phases.dtls_connected_us.is_none()
        && [facts.dtls_alert_sent, facts.dtls_alert_received].into_iter().flatten().any(|alert| alert.is_fatal());
    alert || facts.engine_ended
}

fn failed(state: &State, facts: &WireFacts) -> PeerError {
    let detail = match pending(state, facts) {
        Some(PendingPhase { phase, detail }) => format!("{phase}: {detail}"),
        None if facts.engine_ended => "the WebRTC engine ended by itself".into(),
        None => format!("ICE: the connection was lost; {}", silence(facts)),
    };
    PeerError::Failed { state: ConnectionState::Failed, detail }
}

/// The first phase that `state` has not reached, in words of the wire.
fn pending(state: &State, facts: &WireFacts) -> Option<PendingPhase> {
    let ms = |us: Option<u64>| us.map_or_else(|| "never".into(), |us| format!("{} ms", us / 1000));
    let some = |phase, detail| Some(PendingPhase { phase, detail });
    if state.phases.ice_connected_us.is_none() {
        if !state.described {
            let gathering = if state.gathered { "complete" } else { "not complete" };
            let found = state.candidates_found;
            return some(
                "signaling",
                format!("no description of the other side; gathering {gathering}, {found} local candidates"),
            );
        }
        let mut detail = format!(
            "no candidate pair works: {} checks sent (first {}, last {}), {} answered; {} checks received (first {}); \
             {} local and {} remote candidates",
            facts.checks_sent,
            ms(facts.first_check_sent_us),
            ms(facts.last_check_sent_us),
            facts.check_responses_received,
            facts.checks_received,
            ms(facts.first_check_received_us),
            state.candidates_found,
            state.remote_candidates.len(),
        );
        if let Some(error) = facts.last_stun_error {
            detail += &format!("; STUN error {} at {} ms", error.code, error.at_us / 1000);
        }
        detail += &send_errors(facts);
        return some("ICE", detail);
    }
    if state.phases.dtls_connected_us.is_none() {
        let mut detail = format!(
            "the handshake did not finish: {} records sent, {} received",
            facts.dtls_records_sent, facts.dtls_records_received
        );
        for (way, alert) in [("sent", facts.dtls_alert_sent), ("received", facts.dtls_alert_received)] {
            if let Some(alert) = alert {
                detail += &format!("; alert {} ({}) {way}", alert.name(), alert.description);
                if alert.name() == "bad_certificate" {
                    detail += ": the certificate does not have the fingerprint of the description (a=fingerprint)";
                }
            }
        }
        if facts.dtls_records_received == 0 {
            detail += "; the other side never spoke DTLS";
        }
        detail += &send_errors(facts);
        return some("DTLS", detail);
    }
    if facts.first_rtp_received_us.is_none() {
        let mut detail = format!(
            "no RTP packet received, {} sent; {} RTCP packets received{}",
            facts.rtp_sent,
            facts.rtcp_received,
            send_errors(facts)
        );
        if let Some(direction) = state.direction.filter(|direction| !direction.receives()) {
            detail += &format!("; none is to come: the audio line was agreed as {}", direction.name());
        }
        return some("media", detail);
    }
    None
}

fn send_errors(facts: &WireFacts) -> String {
    match facts.last_send_error {
        Some(error) => {
            let words = error
                .errno
                .map_or_else(String::new, |errno| format!(" ({})", std::io::Error::from_raw_os_error(errno)));
            format!("; {} datagrams refused by the kernel, the last to {}{words}", facts.send_errors, error.destination)
        }
        None => String::new(),
    }
}

fn silence(facts: &WireFacts) -> String {
    format!(
        "{} checks sent, {} answered, {} RTP packets received",
        facts.checks_sent, facts.check_responses_received, facts.rtp_received
    )
}

/// Takes what a data channel receives and drops it, so that nothing queues up; ends with the channel.
pub(super) async fn listen(channel: Arc<dyn DataChannel>) {
    while channel.poll().await.is_some() {}
}

/// Receives the engine's events.
pub(super) struct Handler {
    pub(super) progress: Arc<Progress>,
    pub(super) talker: Arc<Talker>,
    pub(super) runtime: Arc<SessionRuntime>,
    /// Play at connect.
    pub(super) send_audio: bool,
    /// The engine's connection; weak, since that owns this handler.
    pub(super) connection: OnceLock<Weak<dyn PeerConnection>>,
}

impl Handler {
    /// Keeps count of the sessions that are up, and of losses.
    fn count(&self, state: &mut State, connection: ConnectionState) {
        match connection {
            ConnectionState::Connected if !state.closing && !state.counted => {
                state.counted = true;
                census::up();
            }
            ConnectionState::Failed if std::mem::take(&mut state.counted) => {
                let (remote, relay) = self.progress.wire.glance(|facts| {
                    let relay = facts.pairs.iter().find(|pair| pair.nominated_us.is_some()).and_then(|pair| pair.relay);
                    (facts.answered_by.map(|remote| remote.ip()), relay.map(|relay| relay.ip()))
                });
                census::down(Some(census::Loss { at: Instant::now(), remote, relay }));
            }
            ConnectionState::Closed => state.uncount(),
            _ => {}
        }
    }
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        match event.candidate.to_json() {
            Ok(init) => self.progress.update(|state| {
                state.candidates_found += 1;
                state.local_candidates.push(init.candidate.clone());
                state.candidates.push_back(IceCandidateInit {
                    candidate: init.candidate,
                    sdp_mid: Some(state.transport_line.mid.clone()),
                    sdp_m_line_index: Some(state.transport_line.index),
                    username_fragment: init.username_fragment,
                });
            }),
            Err(error) => log::warn!("a local candidate could not be written: {error}"),
        }
    }

    async fn on_ice_gathering_state_change(&self, value: RTCIceGatheringState) {
        let complete = value == RTCIceGatheringState::Complete;
        self.progress.record("iceGatheringState", value.to_string(), |state, at_us| {
            if complete {
                state.gathered = true;
                state.phases.gathered_us.get_or_insert(at_us);
            }
        });
    }

    async fn on_signaling_state_change(&self, value: RTCSignalingState) {
        self.progress.record("signalingState", value.to_string(), |_, _| {});
    }

    async fn on_ice_connection_state_change(&self, value: RTCIceConnectionState) {
        let up = matches!(value, RTCIceConnectionState::Connected | RTCIceConnectionState::Completed);
        self.progress.record("iceConnectionState", value.to_string(), |state, at_us| {
            if up {
                state.phases.ice_connected_us.get_or_insert(at_us);
            }
        });
        if up {
            self.talker.wait(false);
        }
        // DTLS begins with this event and its first flight would lie until the next check.
        self.runtime.nudge();
        if up && let Some(connection) = self.connection.get().and_then(Weak::upgrade) {
            let report = connection.get_stats(Instant::now(), webrtc::peer_connection::StatsSelector::None).await;
            let answered_by = self.progress.wire.glance(|facts| facts.answered_by);
            let pair = stats::selected_pair(&report, answered_by, &self.progress.state().remote_candidates);
            self.progress.update(|state| state.selected_pair = pair.or_else(|| state.selected_pair.take()));
        }
    }

    async fn on_data_channel(&self, channel: Arc<dyn DataChannel>) {
        tokio::spawn(listen(channel));
    }

    async fn on_connection_state_change(&self, value: RTCPeerConnectionState) {
        let connection = match value {
            RTCPeerConnectionState::Connecting => ConnectionState::Connecting,
            RTCPeerConnectionState::Connected => ConnectionState::Connected,
            RTCPeerConnectionState::Disconnected => ConnectionState::Disconnected,
            RTCPeerConnectionState::Failed => ConnectionState::Failed,
            RTCPeerConnectionState::Closed => ConnectionState::Closed,
            _ => ConnectionState::New,
        };
        let mut first = false;
        self.progress.record("connectionState", connection.name(), |state, at_us| {
            state.connection = connection;
            if connection == ConnectionState::Connected {
                first = state.phases.dtls_connected_us.is_none();
                state.phases.dtls_connected_us.get_or_insert(at_us);
            }
            self.count(state, connection);
        });
        if first && self.send_audio {
            self.talker.play();
        }
        if connection >= ConnectionState::Failed {
            self.talker.silence();
        }
    }
}

//! WebRTC sessions: offer, answer, trickle, close; hides the engine crate completely.
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::config::ConfigError;
use crate::media::AudioCodec;

/// One STUN/TURN server (W3C `RTCIceServer`).
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IceServer {
    /// `stun:host[:port]`, `turn:host[:port][?transport=udp|tcp]`, `turns:…`.
    pub urls: Vec<String>,
    /// User name.
    #[serde(default)]
    pub username: String,
    /// Password; never shown.
    #[serde(default)]
    pub credential: String,
}
/// W3C `RTCIceTransportPolicy`.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum IceTransportPolicy {
    #[default]
    All,
    Relay,
}

/// Configuration of one session; JSON names are camelCase.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SessionConfig {
    /// ICE servers (default none).
    pub ice_servers: Vec<IceServer>,
    /// Policy (default all).
    pub ice_transport_policy: IceTransportPolicy,
    /// Local address to bind (default: the address the route to the signaling server uses, else 127.0.0.1… see docs).
    pub source_address: Option<IpAddr>,
    /// Send candidates as they come (default true) or wait for gathering.
    pub trickle: bool,
    /// Gathering deadline in ms (default 5000): what is there by then is used.
    pub gather_timeout_ms: u64,
    /// Offer → connected deadline, ms (default 30000).
    pub connect_timeout_ms: u64,
    /// Codec preference order (default [opus, pcmu]).
    pub codecs: Vec<AudioCodec>,
    /// Send audio (default true).
    pub send_audio: bool,
    /// ICE check interval in ms (default 50).
    pub ice_check_interval_ms: u64,
}
impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            ice_servers: vec![],
            ice_transport_policy: IceTransportPolicy::All,
            source_address: None,
            trickle: true,
            gather_timeout_ms: 5_000,
            connect_timeout_ms: 30_000,
            codecs: vec![AudioCodec::Opus, AudioCodec::Pcmu],
            send_audio: true,
            ice_check_interval_ms: 50,
        }
    }
}
impl SessionConfig {
    /// Parses and checks JSON.
    pub fn from_json(_json: &[u8]) -> Result<Self, ConfigError> {
        todo!()
    }
    /// Checks ranges, URLs, schemes, ports.
    pub fn check(&self) -> Result<(), ConfigError> {
        todo!()
    }
}

/// A trickled candidate (W3C `RTCIceCandidateInit`); empty `candidate` = end of candidates.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct IceCandidateInit {
    pub candidate: String,
    #[serde(default)]
    pub sdp_mid: Option<String>,
    #[serde(default)]
    pub sdp_m_line_index: Option<u16>,
    #[serde(default)]
    pub username_fragment: Option<String>,
}

/// W3C `RTCPeerConnectionState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum ConnectionState {
    New,
    Connecting,
    Connected,
    Disconnected,
    Failed,
    Closed,
}

/// Durations since the session was created, taken at the wire; `None` until reached.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct SessionPhases {
    /// Gathering complete.
    pub gathered_us: Option<u64>,
    /// First pair nominated: ICE connected.
    pub ice_connected_us: Option<u64>,
    /// DTLS finished.
    pub dtls_connected_us: Option<u64>,
    /// First RTP packet received.
    pub first_rtp_us: Option<u64>,
    /// First RTP packet sent.
    pub first_rtp_sent_us: Option<u64>,
}

/// Packet accounts of a session, counted at its UDP socket.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct MediaCounters {
    pub packets_sent: u64,
    pub bytes_sent: u64,
    pub packets_received: u64,
    pub bytes_received: u64,
    /// Expected (by sequence numbers) minus received; negative with duplicates (RFC 3550 A.3).
    pub packets_lost: i64,
    /// The kernel's drop counter of our UDP socket (SO_MEMINFO).
    pub socket_drops: u64,
    /// Packets that should have been sent but whose time had passed (schedule skips).
    pub packets_skipped: u64,
    /// RFC 3550 interarrival jitter, seconds.
    pub jitter: f64,
    /// RTCP packets.
    pub rtcp_sent: u64,
    pub rtcp_received: u64,
}

/// Why a session operation failed.
#[derive(Clone, Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum PeerError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("no UDP socket: {detail}")]
    UdpSocket { errno: Option<i32>, detail: String },
    #[error("{operation}: {detail}")]
    Sdp { operation: &'static str, detail: String },
    #[error("{phase}: not reached within {deadline_ms} ms")]
    Deadline { phase: &'static str, deadline_ms: u64 },
    #[error("the session is closed")]
    Closed,
    #[error("{detail}")]
    Failed { state: ConnectionState, detail: String },
}

/// One PeerConnection with one audio line. Cloning shares it. Ends only by [`Session::close`].
#[derive(Clone)]
pub struct Session {
    _inner: Arc<()>,
}
impl Session {
    /// Binds its UDP socket and makes the PeerConnection. No packet leaves yet.
    pub async fn new(_config: SessionConfig) -> Result<Self, PeerError> {
        todo!()
    }
    /// Local offer, set as local description; waits for gathering unless `trickle`.
    pub async fn create_offer(&self) -> Result<String, PeerError> {
        todo!()
    }
    /// Applies a remote offer, returns our answer (set as local description; waits for gathering unless `trickle`).
    pub async fn create_answer(&self, _offer: &str) -> Result<String, PeerError> {
        todo!()
    }
    /// Applies the remote answer.
    pub async fn set_remote_answer(&self, _answer: &str) -> Result<(), PeerError> {
        todo!()
    }
    /// Applies a remote candidate; before the remote description it is kept and applied after.
    pub async fn add_ice_candidate(&self, _candidate: IceCandidateInit) -> Result<(), PeerError> {
        todo!()
    }
    /// Next local candidate to trickle; `None` when gathering has ended and all were taken. Cancel safe.
    pub async fn next_local_candidate(&self) -> Option<IceCandidateInit> {
        todo!()
    }
    /// Resolves when `connected` (ICE + DTLS), or fails when failed/closed. Cancel safe; no deadline of its own.
    pub async fn connected(&self) -> Result<(), PeerError> {
        todo!()
    }
    /// Resolves at the first RTP packet in. Cancel safe; no deadline of its own.
    pub async fn first_rtp(&self) -> Result<(), PeerError> {
        todo!()
    }
    /// State now.
    pub fn connection_state(&self) -> ConnectionState {
        todo!()
    }
    /// All state changes so far: (µs since start, which machine, new state) e.g. (1200, "iceConnectionState", "checking").
    pub fn timeline(&self) -> Vec<(u64, &'static str, String)> {
        todo!()
    }
    /// Phases so far.
    pub fn phases(&self) -> SessionPhases {
        todo!()
    }
    /// Counters now.
    pub fn counters(&self) -> MediaCounters {
        todo!()
    }
    /// Starts to send audio at 50 packets/s (automatic at connect when `sendAudio`).
    pub fn start_audio(&self) {
        todo!()
    }
    /// Stops sending after the current packet; receiving goes on.
    pub fn stop_audio(&self) {
        todo!()
    }
    /// Echo mode: send back received payloads instead of the source (used by the lab).
    pub fn echo_audio(&self) {
        todo!()
    }
    /// getStats as W3C RTCStats objects.
    pub async fn stats(&self) -> serde_json::Value {
        todo!()
    }
    /// Selected pair `(local, remote)` as "type ip:port protocol".
    pub fn selected_pair(&self) -> Option<(String, String)> {
        todo!()
    }
    /// When it was created.
    pub fn started(&self) -> Instant {
        todo!()
    }
    /// Closes everything (RTCP BYE first), bounded by `deadline`. Idempotent.
    pub async fn close(&self, _deadline: Duration) {
        todo!()
    }
}

//! WebRTC sessions: offer, answer, trickle, close; hides the engine crate completely.
//!
//! Guarantees. A session owns exactly one UDP socket, bound to one concrete address, and one fresh certificate. No wait
//! is unbounded but those that say so, and those end when the session closes. Every instant is taken where the packet or
//! the engine's event is handled, not where a caller wakes. Every account is kept at the socket ([`crate::net::wire`]).
//!
//! Dropping a future of a session loses nothing that has happened. Dropping the last clone of a [`Session`] closes it in
//! the background of the runtime it was made on.
pub(crate) mod census;
mod config;
mod dtmf;
mod earpiece;
pub(crate) mod media_line;
mod negotiation;
mod progress;
mod session;
mod stats;

use serde::{Deserialize, Serialize};

use crate::config::ConfigError;

pub(crate) use config::IceUrl;
pub use config::{IceServer, IceTransportPolicy, SessionConfig};
pub use dtmf::DtmfError;
pub use media_line::{MediaCodec, MediaDirection, MediaLine};
pub use session::Session;

/// A trickled candidate (W3C `RTCIceCandidateInit`); empty `candidate` = end of candidates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IceCandidateInit {
    /// The `candidate-attribute` of RFC 8839 §5.1, with its `candidate:`.
    pub candidate: String,
    /// Media stream identification tag (`a=mid`) of the media section it belongs to.
    #[serde(default)]
    pub sdp_mid: Option<String>,
    /// Index of that media section, from 0.
    #[serde(default)]
    pub sdp_m_line_index: Option<u16>,
    /// `a=ice-ufrag` of the generation it belongs to.
    #[serde(default)]
    pub username_fragment: Option<String>,
}

/// W3C `RTCPeerConnectionState`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectionState {
    /// Nothing has begun.
    #[default]
    New,
    /// ICE or DTLS is under way.
    Connecting,
    /// ICE and DTLS are up.
    Connected,
    /// Nothing was heard for 5 s; may come back.
    Disconnected,
    /// Will not come back.
    Failed,
    /// Closed by us.
    Closed,
}

impl ConnectionState {
    /// The W3C word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
            Self::Failed => "failed",
            Self::Closed => "closed",
        }
    }
}

/// Durations since the session was created, taken at the wire, in µs; `None` until reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionPhases {
    /// Gathering complete, or its deadline.
    pub gathered_us: Option<u64>,
    /// First pair nominated: ICE connected.
    pub ice_connected_us: Option<u64>,
    /// DTLS finished: `connectionState` is `connected`.
    pub dtls_connected_us: Option<u64>,
    /// First RTP packet received.
    pub first_rtp_us: Option<u64>,
    /// First RTP packet sent.
    pub first_rtp_sent_us: Option<u64>,
}

/// Packet accounts of a session, counted at its UDP socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MediaCounters {
    /// RTP packets handed to the kernel.
    pub packets_sent: u64,
    /// Their UDP payload bytes.
    pub bytes_sent: u64,
    /// RTP packets of the audio line read from the kernel.
    pub packets_received: u64,
    /// Those of other lines: video, further audio lines.
    #[serde(default)]
    pub other_packets_received: u64,
    /// Their UDP payload bytes.
    pub bytes_received: u64,
    /// Of the audio line: expected (by sequence numbers) minus received; negative with duplicates (RFC 3550 A.3).
    pub packets_lost: i64,
    /// The kernel's drop counter of our UDP socket (SO_MEMINFO).
    pub socket_drops: u64,
    /// Packets that should have been sent but whose time had passed (schedule skips).
    pub packets_skipped: u64,
    /// RFC 3550 interarrival jitter of the audio line, seconds, on kernel arrival times.
    pub jitter: f64,
    /// RTCP packets sent.
    pub rtcp_sent: u64,
    /// RTCP packets received.
    pub rtcp_received: u64,
}

impl MediaCounters {
    /// Adds the accounts of a session that was replaced; the jitter stays that of the newer one.
    pub(crate) fn add(&mut self, other: &Self) {
        self.packets_sent += other.packets_sent;
        self.bytes_sent += other.bytes_sent;
        self.packets_received += other.packets_received;
        self.other_packets_received += other.other_packets_received;
        self.bytes_received += other.bytes_received;
        self.packets_lost += other.packets_lost;
        self.socket_drops += other.socket_drops;
        self.packets_skipped += other.packets_skipped;
        self.rtcp_sent += other.rtcp_sent;
        self.rtcp_received += other.rtcp_received;
    }

    /// Leaves what was counted since `earlier` of the same session; the jitter stays.
    pub(crate) fn subtract(&mut self, earlier: &Self) {
        self.packets_sent = self.packets_sent.saturating_sub(earlier.packets_sent);
        self.bytes_sent = self.bytes_sent.saturating_sub(earlier.bytes_sent);
        self.packets_received = self.packets_received.saturating_sub(earlier.packets_received);
        self.other_packets_received = self.other_packets_received.saturating_sub(earlier.other_packets_received);
        self.bytes_received = self.bytes_received.saturating_sub(earlier.bytes_received);
        self.packets_lost -= earlier.packets_lost;
        self.socket_drops = self.socket_drops.saturating_sub(earlier.socket_drops);
        self.packets_skipped = self.packets_skipped.saturating_sub(earlier.packets_skipped);
        self.rtcp_sent = self.rtcp_sent.saturating_sub(earlier.rtcp_sent);
        self.rtcp_received = self.rtcp_received.saturating_sub(earlier.rtcp_received);
    }
}

/// A phase that has not been reached, and what the wire says about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingPhase {
    /// `gathering`, `signaling`, `ICE`, `DTLS` or `media`.
    pub phase: &'static str,
    /// One sentence of wire facts.
    pub detail: String,
}

/// Why a session operation failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PeerError {
    /// The configuration is not usable.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is no UDP socket to be had.
    #[error("no UDP socket: {detail}")]
    UdpSocket {
        /// errno of `bind`, where there was one.
        errno: Option<i32>,
        /// The address and the system's words.
        detail: String,
    },
    /// A description or candidate was not usable.
    #[error("{operation}: {detail}")]
    Sdp {
        /// W3C name of the operation, such as `setRemoteDescription`.
        operation: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// A phase took too long.
    #[error("{phase}: not reached within {deadline_ms} ms")]
    Deadline {
        /// The phase.
        phase: &'static str,
        /// The deadline, ms.
        deadline_ms: u64,
    },
    /// The session was closed by us.
    #[error("the session is closed")]
    Closed,
    /// The session failed.
    #[error("{detail}")]
    Failed {
        /// State at that time.
        state: ConnectionState,
        /// Which phase was not reached, with the wire's facts.
        detail: String,
    },
}

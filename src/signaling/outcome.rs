//! What a call came to: outcome, failure, loss and the report at hang-up, as plain values.
//!
//! Everything here is data that the user can act on: a fixed code for counting, a sentence for reading, and the evidence it
//! rests on. Durations are µs; they were taken at the wire or right at the system call. Pure: nothing waits here.
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use crate::diagnosis::facts::SessionFacts;
use crate::diagnosis::{Cause, Verdict};
use crate::media::AudioCodec;
use crate::peer::{ConnectionState, MediaCounters, Session};
use crate::signaling::dialog::micros;
use crate::socket::CloseCause;

/// The fixed codes of calls. Their JSON form is what JMeter counts and groups by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CallCode {
    /// The call is up; `200`, as JMeter's results say.
    #[serde(rename = "200")]
    Ok,
    /// A configuration value cannot be used; no packet left.
    Config,
    /// The WebSocket that carries the signaling was or became closed before the answer.
    SignalingClosed,
    /// No answer (or, answering, no offer) in time.
    SignalingTimeout,
    /// The other side refused: unknown name, busy, name in use.
    SignalingRefused,
    /// An SDP could not be used, ours or theirs.
    SdpRejected,
    /// No UDP socket could be had.
    UdpSocket,
    /// The ICE agent gave up (RFC 8445).
    IceFailed,
    /// ICE did not connect in time.
    IceTimeout,
    /// ICE connected, and the DTLS handshake failed.
    DtlsFailed,
    /// ICE connected, and DTLS did not finish in time.
    DtlsTimeout,
    /// ICE and DTLS are up, and no RTP packet came in time.
    MediaNoneIn,
    /// The other side hung up.
    EndedByPeer,
    /// A call that was up lost its connection (consent, RFC 7675, or transport).
    ConnectionLost,
    /// The session was closed while the call was being set up.
    SessionClosed,
    /// The operation was cancelled by its owner.
    Cancelled,
}

impl CallCode {
    /// The code as text, the same as its JSON form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "200",
            Self::Config => Cause::Config.as_str(),
            Self::SignalingClosed => "SIGNALING_CLOSED",
            Self::SignalingTimeout => Cause::SignalingTimeout.as_str(),
            Self::SignalingRefused => Cause::SignalingRefused.as_str(),
            Self::SdpRejected => Cause::SdpRejected.as_str(),
            Self::UdpSocket => "UDP_SOCKET",
            Self::IceFailed => "ICE_FAILED",
            Self::IceTimeout => "ICE_TIMEOUT",
            Self::DtlsFailed => "DTLS_FAILED",
            Self::DtlsTimeout => "DTLS_TIMEOUT",
            Self::MediaNoneIn => Cause::MediaNoneIn.as_str(),
            Self::EndedByPeer => Cause::EndedByPeer.as_str(),
            Self::ConnectionLost => "CONNECTION_LOST",
            Self::SessionClosed => "SESSION_CLOSED",
            Self::Cancelled => Cause::Cancelled.as_str(),
        }
    }

    /// A heading for people.
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Config => "Configuration Refused",
            Self::SignalingClosed => "Signaling WebSocket Closed",
            Self::SignalingTimeout => "Signaling Timed Out",
            Self::SignalingRefused => "Call Refused",
            Self::SdpRejected => "SDP Rejected",
            Self::UdpSocket => "No UDP Socket",
            Self::IceFailed => "ICE Connection Failed",
            Self::IceTimeout => "ICE Connection Timed Out",
            Self::DtlsFailed => "DTLS Handshake Failed",
            Self::DtlsTimeout => "DTLS Handshake Timed Out",
            Self::MediaNoneIn => "No Media Received",
            Self::EndedByPeer => "Ended by Peer",
            Self::ConnectionLost => "Connection Lost",
            Self::SessionClosed => "Session Closed",
            Self::Cancelled => "Cancelled",
        }
    }
}

impl std::fmt::Display for CallCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The phases of a call's set-up, each a duration in µs; `null` where it was not reached. Phases that ran at the same time
/// as another one (trickle ICE) are not meant to add up.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallPhases {
    /// Session created → gathering complete.
    pub gather_us: Option<u64>,
    /// Calling: offer with the kernel → answer received. Answering: offer received → answer with the kernel.
    pub signaling_us: Option<u64>,
    /// Answer applied (calling) or sent (answering) → ICE connected; 0 when ICE was faster.
    pub ice_us: Option<u64>,
    /// ICE connected → DTLS done.
    pub dtls_us: Option<u64>,
    /// DTLS done → first RTP packet in; 0 when the packet was faster than the end of our handshake.
    pub first_rtp_us: Option<u64>,
}

/// A session's phases as µs since its call started (`gather_us` is a duration). What was reached before the start counts as 0.
#[derive(Default)]
pub(crate) struct Marks {
    pub(crate) gather_us: Option<u64>,
    pub(crate) ice_connected: Option<u64>,
    pub(crate) dtls_connected: Option<u64>,
    pub(crate) first_rtp: Option<u64>,
}

impl Marks {
    pub(crate) fn of(session: &Session, started: Instant) -> Self {
        let phases = session.phases();
        let since = |at: Option<u64>| {
            let at = session.started() + Duration::from_micros(at?);
            Some(micros(at.saturating_duration_since(started)))
        };
        Self {
            gather_us: phases.gathered_us,
            ice_connected: since(phases.ice_connected_us),
            dtls_connected: since(phases.dtls_connected_us),
            first_rtp: since(phases.first_rtp_us),
        }
    }
}

/// What failed, as it stands in a result: `{"error":"ICE Connection Failed","code":"ICE_FAILED","details":{…}}`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallError {
    /// Heading for people.
    pub error: &'static str,
    /// Code for counting.
    pub code: CallCode,
    /// The evidence, by name.
    pub details: Value,
    /// Why, as members `cause`, `confidence`, `evidence`, `advice`, `also` of the same object.
    #[serde(flatten)]
    pub verdict: Option<Verdict>,
}

/// One moment of a call: `(µs since the call started, which machine, its new state)`; machines are the W3C state names and
/// `signaling`.
pub type Moment = (u64, &'static str, String);

/// What setting up a call came to.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallOutcome {
    /// Whether the call is up.
    pub success: bool,
    /// Code for counting.
    pub code: CallCode,
    /// `OK`, or a sentence: what failed, where, with the evidence.
    pub message: String,
    /// The name of the call on its signaling socket.
    pub call: String,
    /// Start → first RTP packet in (start → DTLS done where no media is awaited); of a failure: start → failure.
    pub elapsed_us: u64,
    /// Start → ICE connected.
    pub connect_us: Option<u64>,
    /// Start → DTLS done.
    pub latency_us: Option<u64>,
    /// The phases one by one.
    pub phases: CallPhases,
    /// Selected candidate pair, local and remote, each as `type ip:port protocol`.
    pub selected_pair: Option<(String, String)>,
    /// Negotiated codec; `null` before the negotiation.
    pub codec: Option<AudioCodec>,
    /// Negotiated RTP payload type.
    pub payload_type: Option<u8>,
    /// W3C `RTCPeerConnectionState` at the end of the set-up.
    pub state: ConnectionState,
    /// What happened when.
    pub timeline: Vec<Moment>,
    /// The offer; `null` when there was none.
    pub offer_sdp: Option<String>,
    /// The answer; `null` when there was none.
    pub answer_sdp: Option<String>,
    /// What failed; `null` on success.
    pub error: Option<CallError>,
    /// Whether the generator could not keep its own times meanwhile.
    pub starved: bool,
    /// How that was seen; empty when it could.
    pub starved_reasons: Vec<String>,
}

/// A call that did not come up; its session is being closed in the background (bounded).
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}: {}", .outcome.code, .outcome.message)]
pub struct CallFailure {
    /// What it came to; `success` is false and `error` is there. Boxed, because a `Result` is moved about.
    pub outcome: Box<CallOutcome>,
    /// What its verdict was made from, without what only others know: the generator, the same user elsewhere.
    pub facts: Box<SessionFacts>,
    /// When the call started, from which the outcome counts.
    pub started: Instant,
    /// When its session was created, from which the facts count; the start where there was none.
    pub session_started: Instant,
}

impl CallFailure {
    /// Its code.
    pub fn code(&self) -> CallCode {
        self.outcome.code
    }
}

/// How a call that was up was lost.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallLoss {
    /// [`CallCode::EndedByPeer`] or [`CallCode::ConnectionLost`].
    pub code: CallCode,
    /// A sentence with the evidence.
    pub message: String,
    /// When, µs since the call started.
    pub at_us: u64,
    /// Why, as members `cause`, `confidence`, `evidence`, `advice`, `also` of the same object; where it was asked for.
    #[serde(flatten)]
    pub verdict: Option<Verdict>,
}

/// Who ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum EndedBy {
    /// We hung up.
    Us,
    /// The peer hung up.
    Peer,
}

/// The worst a call's state machines have been in while the call was up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorstStates {
    /// Worst W3C `iceConnectionState` after the first `connected`; `null` if it never connected.
    pub ice_connection_state: Option<String>,
    /// Worst W3C `connectionState` after the first `connected`; `null` if it never connected.
    pub connection_state: Option<String>,
}

impl WorstStates {
    /// The worst states of a timeline; closing is not a state of a call that is up.
    pub(super) fn of<'a>(timeline: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        fn worse(worst: &mut Option<String>, state: &str) {
            let rank = |state: &str| match state {
                "connected" | "completed" => Some(0),
                "checking" | "connecting" => Some(1),
                "disconnected" => Some(2),
                "failed" => Some(3),
                _ => None,
            };
            let Some(new) = rank(state) else { return };
            match worst.as_deref().and_then(rank) {
                None if new == 0 => *worst = Some(state.to_owned()),
                Some(old) if new > old => *worst = Some(state.to_owned()),
                _ => {}
            }
        }
        let mut worst = Self::default();
        for (machine, state) in timeline {
            match machine {
                "iceConnectionState" => worse(&mut worst.ice_connection_state, state),
                "connectionState" => worse(&mut worst.connection_state, state),
                _ => {}
            }
        }
        worst
    }
}

/// What a call was, at its end.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallReport {
    /// The name of the call on its signaling socket.
    pub call: String,
    /// Who ended it.
    pub ended_by: EndedBy,
    /// The peer's reason, if it stated one.
    pub reason: Option<String>,
    /// Our packet accounts.
    pub media: MediaCounters,
    /// The peer's packet accounts from its `Bye`.
    pub peer_media: Option<MediaCounters>,
    /// Why `peerMedia` is `null`.
    pub peer_media_missing: Option<String>,
    /// Packets we sent minus packets the peer received; negative with duplicates. `null` when the peer ended the call: its
    /// `Bye` was written before our last packets reached it.
    pub lost_outgoing: Option<i64>,
    /// Packets the peer sent minus packets we received; negative with duplicates.
    pub lost_incoming: Option<i64>,
    /// Whether both accounts are there and agree to the packet in every direction that is known.
    pub agrees: bool,
    /// DTLS done → hang-up, or loss of the call, µs; 0 if the call never was up.
    pub duration_us: u64,
    /// Hang-up → both accounts exchanged and the session closed, µs.
    pub hang_up_us: u64,
    /// The worst states while the call was up.
    pub worst_states: WorstStates,
    /// The phases of the set-up.
    pub phases: CallPhases,
    /// How the call was lost before the hang-up; `null` if it was not.
    pub lost: Option<CallLoss>,
    /// What is wrong with a call that was not lost, as a diagnosis tells it; `null` when nothing is.
    pub verdict: Option<Verdict>,
    /// How the signaling WebSocket was lost; `null` while it is open. Media does not need it.
    pub signaling_lost: Option<CloseCause>,
    /// What happened when.
    pub timeline: Vec<Moment>,
}

/// Packets of one direction that one side sent and the other did not get.
pub(super) fn missing(sent: u64, received: u64) -> i64 {
    i64::try_from(i128::from(sent) - i128::from(received)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_same_as_text_and_as_json() {
        for code in [
            CallCode::Ok,
            CallCode::Config,
            CallCode::SignalingClosed,
            CallCode::SignalingTimeout,
            CallCode::SignalingRefused,
            CallCode::SdpRejected,
            CallCode::UdpSocket,
            CallCode::IceFailed,
            CallCode::IceTimeout,
            CallCode::DtlsFailed,
            CallCode::DtlsTimeout,
            CallCode::MediaNoneIn,
            CallCode::EndedByPeer,
            CallCode::ConnectionLost,
            CallCode::SessionClosed,
            CallCode::Cancelled,
        ] {
            assert_eq!(serde_json::to_value(code).expect("json"), Value::from(code.as_str()));
        }
    }

    #[test]
    fn a_code_that_is_also_a_cause_is_the_same_word() {
        for (code, cause) in [
            (CallCode::Config, Cause::Config),
            (CallCode::SignalingTimeout, Cause::SignalingTimeout),
            (CallCode::SignalingRefused, Cause::SignalingRefused),
            (CallCode::SdpRejected, Cause::SdpRejected),
            (CallCode::MediaNoneIn, Cause::MediaNoneIn),
            (CallCode::EndedByPeer, Cause::EndedByPeer),
            (CallCode::Cancelled, Cause::Cancelled),
        ] {
            assert_eq!(serde_json::to_value(code).expect("json"), Value::from(cause.as_str()));
        }
    }

    #[test]
    fn the_worst_state_is_the_worst_after_the_first_connected() {
        let timeline = [
            ("iceConnectionState", "checking"),
            ("iceConnectionState", "connected"),
            ("connectionState", "connected"),
            ("iceConnectionState", "disconnected"),
            ("iceConnectionState", "connected"),
            ("connectionState", "closed"),
        ];
        let worst = WorstStates::of(timeline.into_iter());
        assert_eq!(worst.ice_connection_state.as_deref(), Some("disconnected"));
        assert_eq!(worst.connection_state.as_deref(), Some("connected"));
        assert_eq!(WorstStates::of([("connectionState", "failed")].into_iter()), WorstStates::default());
    }

    #[test]
    fn missing_packets_are_signed() {
        assert_eq!((missing(10, 8), missing(8, 10), missing(u64::MAX, 0)), (2, -2, i64::MAX));
    }
}

//! What a call came to: outcome, failure, loss and the report at hang-up, as plain values.
//!
//! Everything here is data that the user can act on: a fixed code for counting, a sentence for reading, and the evidence it
//! rests on. Durations are µs; they were taken at the wire or right at the system call. Pure: nothing waits here.
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use crate::diagnosis::facts::SessionFacts;
use crate::diagnosis::{Cause, Verdict, diagnose};
use crate::media::AudioCodec;
use crate::peer::{ConnectionState, MediaCounters, Session};
use crate::signaling::call::trouble::Trouble;
use crate::signaling::dialog::micros;
use crate::socket::CloseCause;

/// What a call came to. Its JSON form is what JMeter counts and groups by: `200`, or a word of the one list of codes
/// ([`Cause`]). Two steps share a word where only the way they failed differs; the heading tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallCode {
    /// The call is up; `200`, as JMeter's results say.
    Ok,
    /// A configuration value cannot be used; no packet left.
    Config,
    /// The WebSocket that carries the signaling was or became closed before the answer; how it closed is the code.
    SignalingClosed(Cause),
    /// No answer (or, answering, no offer) in time.
    SignalingTimeout,
    /// The other side refused: unknown name, busy, name in use.
    SignalingRefused,
    /// An SDP could not be used, ours or theirs.
    SdpRejected,
    /// No UDP socket could be had; why is the code.
    UdpSocket(Cause),
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
    /// The word of the one list; `None` of a call that is up.
    pub const fn cause(self) -> Option<Cause> {
        Some(match self {
            Self::Ok => return None,
            Self::Config => Cause::Config,
            Self::SignalingClosed(cause) | Self::UdpSocket(cause) => cause,
            Self::SignalingTimeout => Cause::SignalingTimeout,
            Self::SignalingRefused => Cause::SignalingRefused,
            Self::SdpRejected => Cause::SdpRejected,
            Self::IceFailed | Self::IceTimeout => Cause::IceFailed,
            Self::DtlsFailed | Self::DtlsTimeout => Cause::DtlsFailed,
            Self::MediaNoneIn => Cause::MediaNoneIn,
            Self::EndedByPeer => Cause::EndedByPeer,
            Self::ConnectionLost => Cause::CallLost,
            Self::SessionClosed | Self::Cancelled => Cause::Cancelled,
        })
    }

    /// The code as text, the same as its JSON form.
    pub const fn as_str(self) -> &'static str {
        match self.cause() {
            None => "200",
            Some(cause) => cause.as_str(),
        }
    }

    /// A heading for people.
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Config => "Configuration Refused",
            Self::SignalingClosed(_) => "Signaling WebSocket Closed",
            Self::SignalingTimeout => "Signaling Timed Out",
            Self::SignalingRefused => "Call Refused",
            Self::SdpRejected => "SDP Rejected",
            Self::UdpSocket(_) => "No UDP Socket",
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

impl Serialize for CallCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
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

/// The course of a set-up, from which its outcome is made.
pub(crate) struct Course<'a> {
    /// When the call started.
    pub(crate) started: Instant,
    /// Its name in the protocol.
    pub(crate) call: String,
    pub(crate) session: Option<&'a Session>,
    /// Whether the session is the call's own, and no persistent connection that was up before it.
    pub(crate) is_new: bool,
    pub(crate) timeline: Vec<Moment>,
    pub(crate) offer: Option<String>,
    pub(crate) answer: Option<String>,
    pub(crate) signaling_us: Option<u64>,
    /// The answer was applied (calling) or sent (answering).
    pub(crate) checks_began: Option<Instant>,
}

impl Course<'_> {
    /// What it came to.
    pub(crate) fn outcome(self, result: Result<(), Trouble>) -> CallOutcome {
        let Course { started, call, session, is_new, timeline, offer, answer, signaling_us, checks_began } = self;
        let now = micros(started.elapsed());
        let own = session.filter(|_| is_new);
        let marks = own.map(|session| Marks::of(session, started)).unwrap_or_default();
        let phases = CallPhases {
            gather_us: marks.gather_us,
            signaling_us,
            ice_us: marks
                .ice_connected
                .zip(checks_began)
                .map(|(connected, began)| connected.saturating_sub(micros(began.saturating_duration_since(started)))),
            dtls_us: marks.dtls_connected.zip(marks.ice_connected).map(|(dtls, ice)| dtls.saturating_sub(ice)),
            first_rtp_us: marks.first_rtp.zip(marks.dtls_connected).map(|(rtp, dtls)| rtp.saturating_sub(dtls)),
        };
        let negotiated = session.and_then(Session::codec);
        let success = result.is_ok();
        let (code, message, error) = match result {
            Ok(()) => (CallCode::Ok, "OK".to_owned(), None),
            Err(Trouble { code, message, details, fact: _ }) => {
                (code, message, Some(CallError { error: code.heading(), code, details, verdict: None }))
            }
        };
        CallOutcome {
            success,
            code,
            message,
            call,
            elapsed_us: if success {
                // The first packet may come before our side of the handshake is done; the call is up with both.
                marks.first_rtp.max(marks.dtls_connected).unwrap_or(now)
            } else {
                now
            },
            connect_us: marks.ice_connected,
            latency_us: marks.dtls_connected,
            phases,
            selected_pair: session.and_then(Session::selected_pair),
            codec: negotiated.map(|(codec, _)| codec),
            payload_type: negotiated.map(|(_, payload_type)| payload_type),
            state: session.map_or(ConnectionState::New, Session::connection_state),
            timeline,
            offer_sdp: offer,
            answer_sdp: answer,
            error,
            persistent_connection: session.is_some() && !is_new,
            starved: false,
            starved_reasons: Vec::new(),
        }
    }

    /// The failure, with the verdict that `facts` of this call alone give.
    pub(crate) fn failure(self, trouble: Trouble, facts: SessionFacts) -> CallFailure {
        let started = self.started;
        let session_started = self.session.map_or(started, Session::started);
        let mut outcome = Box::new(self.outcome(Err(trouble)));
        if let Some(error) = &mut outcome.error {
            let offset = session_started.saturating_duration_since(started);
            error.verdict = diagnose(&facts).map(|verdict| verdict.later_by(offset));
        }
        CallFailure { outcome, facts: Box::new(facts), started, session_started }
    }
}

/// A session's states and `moments` of its signaling, in order of time, µs since `started`.
pub(crate) fn timeline(
    session: Option<&Session>,
    moments: impl IntoIterator<Item = (Instant, String)>,
    started: Instant,
) -> Vec<Moment> {
    let since = |at: Instant| micros(at.saturating_duration_since(started));
    let of_session = session.into_iter().flat_map(|session| {
        let offset = since(session.started());
        session.timeline().into_iter().map(move |(at, machine, state)| (at.saturating_add(offset), machine, state))
    });
    let mut timeline: Vec<Moment> = of_session.collect();
    timeline.extend(moments.into_iter().map(|(at, what)| (since(at), "signaling", what)));
    timeline.sort_by_key(|(at, _, _)| *at);
    timeline
}

/// How the connection of a call that was up was lost; `None` while it is there.
pub(crate) fn connection_lost(session: &Session, timeline: &[Moment], started: Instant) -> Option<CallLoss> {
    let state = session.connection_state();
    if !matches!(state, ConnectionState::Failed | ConnectionState::Closed) {
        return None;
    }
    let state = state.name();
    let at_us = timeline
        .iter()
        .rfind(|(_, machine, new)| *machine == "connectionState" && *new == state)
        .map_or_else(|| micros(started.elapsed()), |(at, _, _)| *at);
    let media = session.counters();
    let message = format!(
        "the connection is {state}; {} packets had been sent and {} received",
        media.packets_sent, media.packets_received
    );
    Some(CallLoss { code: CallCode::ConnectionLost, message, at_us, verdict: None })
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
    /// Whether the call came up on a connection that was there before it: it has no phases of its own.
    pub persistent_connection: bool,
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

/// Both sides' packet accounts, compared at the end of a call.
pub(super) struct Accounts {
    pub(super) lost_outgoing: Option<i64>,
    pub(super) lost_incoming: Option<i64>,
    pub(super) agree: bool,
}

impl Accounts {
    /// `by_us`: we hung up. The peer that hangs up first writes down what it has received before our last packets are in.
    pub(super) fn of(ours: &MediaCounters, peers: Option<&MediaCounters>, by_us: bool) -> Self {
        let lost_outgoing = peers.filter(|_| by_us).map(|peer| missing(ours.packets_sent, peer.packets_received));
        let lost_incoming = peers.map(|peer| missing(peer.packets_sent, ours.packets_received));
        Self {
            lost_outgoing,
            lost_incoming,
            agree: lost_incoming == Some(0) && lost_outgoing.is_none_or(|lost| lost == 0),
        }
    }
}

/// Packets of one direction that one side sent and the other did not get.
fn missing(sent: u64, received: u64) -> i64 {
    i64::try_from(i128::from(sent) - i128::from(received)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_a_word_of_the_one_list_or_200() {
        assert_eq!(serde_json::to_value(CallCode::Ok).expect("json"), "200");
        for (code, word) in [
            (CallCode::Config, "CONFIG"),
            (CallCode::SignalingClosed(Cause::ClosedByFin), "CLOSED_BY_FIN"),
            (CallCode::UdpSocket(Cause::GenFds), "GEN_FDS"),
            (CallCode::IceFailed, "ICE_FAILED"),
            (CallCode::IceTimeout, "ICE_FAILED"),
            (CallCode::DtlsTimeout, "DTLS_FAILED"),
            (CallCode::ConnectionLost, "CALL_LOST"),
            (CallCode::SessionClosed, "CANCELLED"),
        ] {
            assert_eq!(serde_json::to_value(code).expect("json"), word);
            assert_eq!((code.as_str(), code.cause().map(Cause::as_str)), (word, Some(word)));
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

//! What went wrong with a call, in the words and with the code it is reported by. Pure.
use std::time::Duration;

use serde_json::{Value, json};

use crate::config::ConfigError;
use crate::diagnosis::facts::{End, SessionFacts, Step};
use crate::diagnosis::{cause_of_bind_error, cause_of_close, cause_of_socket_error};
use crate::peer::{ConnectionState, PeerError, Session};
use crate::signaling::dialog::{Ending, View};
use crate::signaling::outcome::CallCode;
use crate::socket::{CloseCause, SocketError};

/// What went wrong, before it becomes a [`CallFailure`].
pub(crate) struct Trouble {
    pub(crate) code: CallCode,
    pub(crate) message: String,
    pub(crate) details: Value,
    /// What of it a diagnosis can use.
    pub(crate) fact: Fact,
}

/// What a failure itself adds to the facts of its session.
#[derive(Default)]
pub(crate) enum Fact {
    #[default]
    None,
    /// The signaling socket had ended.
    Closed(CloseCause),
    /// Something was awaited for so long, µs.
    Waited(u64),
    /// The other side refused, with code and text.
    Refused(String, String),
    /// There was no UDP socket, with errno.
    Bind(Option<i32>),
    /// The other side ended it, and its reason.
    PeerEnded(Option<String>),
}

impl Trouble {
    pub(crate) fn new(code: CallCode, message: impl Into<String>, details: Value) -> Self {
        Self { code, message: message.into(), details, fact: Fact::None }
    }

    /// With what a diagnosis can use of it.
    pub(crate) fn with(mut self, fact: Fact) -> Self {
        self.fact = fact;
        self
    }

    /// Adds to the facts of a session how it ended.
    pub(crate) fn tell(&self, facts: &mut SessionFacts) {
        facts.end = match self.code {
            CallCode::Ok => End::Open,
            CallCode::Config => End::SetUp(Step::Config),
            CallCode::SignalingClosed(_) | CallCode::SignalingTimeout | CallCode::SignalingRefused => {
                End::SetUp(Step::Signaling)
            }
            CallCode::SdpRejected => End::SetUp(Step::Description),
            CallCode::UdpSocket(_) => End::SetUp(Step::Bind),
            CallCode::IceFailed | CallCode::IceTimeout => End::SetUp(Step::Ice),
            CallCode::DtlsFailed | CallCode::DtlsTimeout => End::SetUp(Step::Dtls),
            CallCode::MediaNoneIn => End::SetUp(Step::Media),
            CallCode::EndedByPeer => End::EndedByPeer { reason: None },
            CallCode::ConnectionLost => End::Lost,
            CallCode::SessionClosed | CallCode::Cancelled => End::Cancelled,
        };
        match self.code {
            CallCode::Config => facts.configured.refused = Some(self.message.clone()),
            CallCode::SdpRejected => facts.signaling.rejected = Some(self.message.clone()),
            _ => {}
        }
        match &self.fact {
            Fact::None => {}
            Fact::Closed(cause) => facts.signaling.closed = Some(cause.clone()),
            Fact::Waited(us) => facts.signaling.waited_us = Some(*us),
            Fact::Refused(code, text) => facts.signaling.refused = Some((code.clone(), text.clone())),
            Fact::Bind(errno) => facts.bind_error = Some((*errno, self.message.clone())),
            Fact::PeerEnded(reason) => facts.end = End::EndedByPeer { reason: reason.clone() },
        }
    }

    pub(super) fn config(error: &ConfigError) -> Self {
        let details = json!({"field": error.field, "value": error.value, "reason": error.reason});
        Self::new(CallCode::Config, error.to_string(), details)
    }

    pub(crate) fn closed(doing: &str, cause: &CloseCause) -> Self {
        let details = json!({"closeCause": cause});
        let code = CallCode::SignalingClosed(cause_of_close(cause));
        Self::new(code, format!("the signaling WebSocket closed while {doing}: {cause}"), details)
            .with(Fact::Closed(cause.clone()))
    }

    pub(super) fn socket(doing: &str, error: &SocketError) -> Self {
        match error {
            SocketError::Closed { cause } => Self::closed(doing, cause),
            SocketError::Config(error) => Self::config(error),
            other => {
                let code = CallCode::SignalingClosed(cause_of_socket_error(other));
                Self::new(code, format!("{doing}: {other}"), Value::Null)
            }
        }
    }

    /// A session's error before it was to connect.
    pub(crate) fn session(error: &PeerError) -> Self {
        let details = match error {
            PeerError::Config(error) => return Self::config(error),
            PeerError::UdpSocket { errno, .. } => json!({"errno": errno}),
            PeerError::Sdp { operation, .. } => json!({"operation": operation}),
            PeerError::Deadline { phase, deadline_ms } => json!({"phase": phase, "deadlineMs": deadline_ms}),
            PeerError::Closed | PeerError::Failed { .. } => Value::Null,
        };
        let code = match error {
            PeerError::Config(_) => CallCode::Config,
            PeerError::UdpSocket { errno, .. } => CallCode::UdpSocket(cause_of_bind_error(*errno)),
            PeerError::Sdp { .. } => CallCode::SdpRejected,
            PeerError::Deadline { .. } | PeerError::Failed { .. } => CallCode::IceFailed,
            PeerError::Closed => CallCode::SessionClosed,
        };
        let fact = match error {
            PeerError::UdpSocket { errno, .. } => Fact::Bind(*errno),
            _ => Fact::None,
        };
        Self::new(code, error.to_string(), details).with(fact)
    }

    /// Why a session did not connect: which of ICE and DTLS, and whether it gave up or ran out of time.
    pub(crate) fn not_connected(
        session: &Session,
        error: Option<&PeerError>,
        within: Duration,
        signaling_us: Option<u64>,
    ) -> Self {
        let phases = session.phases();
        let code = match (error, phases.ice_connected_us) {
            (Some(PeerError::Closed), _) => CallCode::SessionClosed,
            (Some(_), None) => CallCode::IceFailed,
            (Some(_), Some(_)) => CallCode::DtlsFailed,
            (None, None) => CallCode::IceTimeout,
            (None, Some(_)) => CallCode::DtlsTimeout,
        };
        let what = if phases.ice_connected_us.is_some() { "DTLS" } else { "ICE" };
        let pending = session.pending_phase();
        let evidence = pending.as_ref().map_or("no phase is open", |pending| &*pending.detail);
        let mut message = match error {
            Some(PeerError::Failed { .. }) => format!("{what} failed: {evidence}"),
            Some(error) => format!("{what} failed: {error}: {evidence}"),
            None => format!("{what} did not connect within {} ms: {evidence}", within.as_millis()),
        };
        message.push_str(&format!("; signaling took {} ms", signaling_us.unwrap_or_default() / 1000));
        let details = json!({
            "phase": what,
            "pending": pending,
            "signalingMs": signaling_us.map(|us| us / 1000),
            "connectTimeoutMs": u64::try_from(within.as_millis()).unwrap_or(u64::MAX),
            "connectionState": session.connection_state(),
            "session": error.map(ToString::to_string),
            "wire": session.wire(),
        });
        let fact = match error {
            Some(PeerError::Failed { state: ConnectionState::Closed, .. }) => {
                Fact::PeerEnded(Some("DTLS close_notify".to_owned()))
            }
            _ => Fact::None,
        };
        Self::new(code, message, details).with(fact)
    }

    /// A connection that was lost before it brought media.
    pub(crate) fn lost_before_media(session: &Session, error: &PeerError) -> Self {
        Self::new(
            CallCode::ConnectionLost,
            format!("the connection was lost before the first RTP packet: {error}"),
            json!({"media": session.counters()}),
        )
    }

    /// A connection that brought no media in time.
    pub(crate) fn no_media(session: &Session, within: Duration) -> Self {
        let media = session.counters();
        let text = format!(
            "ICE and DTLS are connected, but no RTP packet came in within {} ms ({} sent, {} dropped by the kernel at our \
             socket)",
            within.as_millis(),
            media.packets_sent,
            media.socket_drops
        );
        let details = json!({
            "firstRtpTimeoutMs": u64::try_from(within.as_millis()).unwrap_or(u64::MAX),
            "pending": session.pending_phase(),
            "media": media,
            "wire": session.wire(),
        });
        Self::new(CallCode::MediaNoneIn, text, details)
    }

    /// The peer refused or hung up during the set-up, or the socket closed before the answer.
    pub(super) fn other_side(view: &View, doing: &str) -> Self {
        if let Some(refused) = &view.refused {
            let text = format!("the other side refused while {doing}: {}: {}", refused.code, refused.message);
            let details = json!({"code": refused.code, "message": refused.message});
            let fact = Fact::Refused(refused.code.clone(), refused.message.clone());
            return Self::new(CallCode::SignalingRefused, text, details).with(fact);
        }
        if view.ending == Ending::Peers {
            let reason = view.peer_bye.as_ref().and_then(|bye| bye.reason.clone());
            let text =
                format!("the other side hung up while {doing}: {}", reason.as_deref().unwrap_or("no reason given"));
            let details = json!({"reason": reason});
            return Self::new(CallCode::EndedByPeer, text, details).with(Fact::PeerEnded(reason));
        }
        match &view.socket_closed {
            Some(cause) => Self::closed(doing, cause),
            None => Self::new(CallCode::SessionClosed, format!("the call ended while {doing}"), Value::Null),
        }
    }
}

//! What went wrong with a call, in the words and with the code it is reported by. Pure.
use serde_json::{Value, json};

use crate::config::ConfigError;
use crate::diagnosis::facts::{End, SessionFacts, Step};
use crate::peer::PeerError;
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
            CallCode::SignalingClosed | CallCode::SignalingTimeout | CallCode::SignalingRefused => {
                End::SetUp(Step::Signaling)
            }
            CallCode::SdpRejected => End::SetUp(Step::Description),
            CallCode::UdpSocket => End::SetUp(Step::Bind),
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
        Self::new(CallCode::SignalingClosed, format!("the signaling WebSocket closed while {doing}: {cause}"), details)
            .with(Fact::Closed(cause.clone()))
    }

    pub(super) fn socket(doing: &str, error: &SocketError) -> Self {
        match error {
            SocketError::Closed { cause } => Self::closed(doing, cause),
            SocketError::Config(error) => Self::config(error),
            other => Self::new(CallCode::SignalingClosed, format!("{doing}: {other}"), Value::Null),
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
            PeerError::UdpSocket { .. } => CallCode::UdpSocket,
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

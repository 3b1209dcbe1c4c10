//! What went wrong with a call, in the words and with the code it is reported by. Pure.
use serde_json::{Value, json};

use crate::config::ConfigError;
use crate::peer::PeerError;
use crate::signaling::dialog::{Ending, View};
use crate::signaling::outcome::CallCode;
use crate::socket::{CloseCause, SocketError};

/// What went wrong, before it becomes a [`CallFailure`].
pub(super) struct Trouble {
    pub(super) code: CallCode,
    pub(super) message: String,
    pub(super) details: Value,
}

impl Trouble {
    pub(super) fn new(code: CallCode, message: impl Into<String>, details: Value) -> Self {
        Self { code, message: message.into(), details }
    }

    pub(super) fn config(error: &ConfigError) -> Self {
        let details = json!({"field": error.field, "value": error.value, "reason": error.reason});
        Self::new(CallCode::Config, error.to_string(), details)
    }

    pub(super) fn closed(doing: &str, cause: &CloseCause) -> Self {
        let details = json!({"closeCause": cause});
        Self::new(CallCode::SignalingClosed, format!("the signaling WebSocket closed while {doing}: {cause}"), details)
    }

    pub(super) fn socket(doing: &str, error: &SocketError) -> Self {
        match error {
            SocketError::Closed { cause } => Self::closed(doing, cause),
            SocketError::Config(error) => Self::config(error),
            other => Self::new(CallCode::SignalingClosed, format!("{doing}: {other}"), Value::Null),
        }
    }

    /// A session's error before it was to connect.
    pub(super) fn session(error: &PeerError) -> Self {
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
        Self::new(code, error.to_string(), details)
    }

    /// The peer refused or hung up during the set-up, or the socket closed before the answer.
    pub(super) fn other_side(view: &View, doing: &str) -> Self {
        if let Some(refused) = &view.refused {
            let text = format!("the other side refused while {doing}: {}: {}", refused.code, refused.message);
            let details = json!({"code": refused.code, "message": refused.message});
            return Self::new(CallCode::SignalingRefused, text, details);
        }
        if view.ending == Ending::Peers {
            let reason = view.peer_bye.as_ref().and_then(|bye| bye.reason.clone());
            let text =
                format!("the other side hung up while {doing}: {}", reason.as_deref().unwrap_or("no reason given"));
            return Self::new(CallCode::EndedByPeer, text, json!({"reason": reason}));
        }
        match &view.socket_closed {
            Some(cause) => Self::closed(doing, cause),
            None => Self::new(CallCode::SessionClosed, format!("the call ended while {doing}"), Value::Null),
        }
    }
}

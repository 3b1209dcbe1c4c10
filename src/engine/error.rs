//! What the engine answers when it cannot do what it was asked.
//!
//! Every error is data a user can act on: [`EngineError::cause`] is the word that results carry, [`EngineError::code`] the kind of
//! error that programs tell apart, the text says what failed, where and with what evidence, and [`EngineError::details`] carries
//! every fact as JSON. Nothing here holds a secret.

use serde_json::{Value, json};

use crate::config::ConfigError;
use crate::diagnosis::{Cause, cause_of_bind_error, cause_of_socket_error};
use crate::lab::LabError;
use crate::peer::PeerError;
use crate::signaling::outcome::CallFailure;
use crate::socket::SocketError;

use super::explain::Explanation;
use super::tables::Kind;

/// Why an operation of the engine failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EngineError {
    /// Signaling refused, or its socket is closed.
    #[error("{}", .0.outcome.message)]
    Call(#[from] CallFailure),
    /// Somebody cancelled the operation (or had cancelled it before it began).
    #[error("{what}: cancelled")]
    Cancelled {
        /// What was being done.
        what: &'static str,
    },
    /// A value of a configuration or an argument cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The deadline passed first; what was being waited for is untouched and nothing is lost.
    #[error("{what}: not done within {deadline_ms} ms")]
    Deadline {
        /// What was being done.
        what: &'static str,
        /// The deadline, ms from the start of the call.
        deadline_ms: u64,
    },
    /// A start that had to wait in its gate failed afterwards.
    #[error("{error}")]
    AfterGate {
        /// Why.
        error: Box<Self>,
        /// How long it had waited, µs.
        gate_wait_us: u64,
    },
    /// A failure whose reason is known.
    #[error("{error}")]
    Explained {
        /// What failed.
        error: Box<Self>,
        /// Why.
        explanation: Box<Explanation>,
    },
    /// A lab could not be started.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// A bug of ours: the work panicked. The engine goes on.
    #[error("{what}: the engine panicked: {text}")]
    Panicked {
        /// What was being done.
        what: &'static str,
        /// The panic's text.
        text: String,
    },
    /// A session refused or failed.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// The runtime could not be started.
    #[error("the engine cannot start its threads: {detail}")]
    Runtime {
        /// The system's text.
        detail: String,
    },
    /// A good-bye took too long for its caller; it ends by its own bounds in the background.
    #[error("{what}: not finished within {deadline_ms} ms; it ends in the background")]
    Unfinished {
        /// What was being done.
        what: &'static str,
        /// How long it was waited for, ms.
        deadline_ms: u64,
    },
    /// A call cannot do what it was told to.
    #[error("'{command}' cannot be done: {why}")]
    Unsupported {
        /// What was asked for.
        command: String,
        /// Who does not know how, by name, and what to do.
        why: String,
    },
    /// A WebSocket could not be opened or used.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The handle names nothing: it was closed, belongs to something that was closed, or was never given out.
    #[error("the {kind} is closed (handle {handle:#x} names nothing)")]
    Stale {
        /// What the handle should have named.
        kind: Kind,
        /// The handle.
        handle: u64,
    },
}

impl EngineError {
    /// What stands for the failure in results, a word of the one list: why it failed where that is known, else what failed.
    pub fn cause(&self) -> Cause {
        match self {
            Self::AfterGate { error, .. } => error.cause(),
            Self::Explained { error, explanation } => {
                explanation.verdict.as_ref().map_or_else(|| error.cause(), |verdict| verdict.cause)
            }
            Self::Call(failure) => failure.code().cause().unwrap_or(Cause::EngineFailed),
            Self::Cancelled { .. } | Self::Stale { .. } | Self::Peer(PeerError::Closed) => Cause::Cancelled,
            Self::Config(_) | Self::Lab(_) | Self::Peer(PeerError::Config(_)) | Self::Unsupported { .. } => {
                Cause::Config
            }
            Self::Deadline { .. } | Self::Unfinished { .. } => Cause::SignalingTimeout,
            Self::Panicked { .. } | Self::Runtime { .. } => Cause::EngineFailed,
            Self::Peer(PeerError::UdpSocket { errno, .. }) => cause_of_bind_error(*errno),
            Self::Peer(PeerError::Sdp { .. }) => Cause::SdpRejected,
            Self::Peer(PeerError::Deadline { .. } | PeerError::Failed { .. }) => Cause::IceFailed,
            Self::Socket(error) => cause_of_socket_error(error),
        }
    }

    /// The kind of failure in one fixed word, for programs; results carry [`Self::cause`].
    pub fn code(&self) -> &'static str {
        match self {
            Self::AfterGate { error, .. } | Self::Explained { error, .. } => error.code(),
            Self::Call(failure) => failure.code().as_str(),
            Self::Cancelled { .. } => "CANCELLED",
            Self::Config(_)
            | Self::Lab(LabError::Config(_))
            | Self::Peer(PeerError::Config(_))
            | Self::Socket(SocketError::Config(_)) => "CONFIG",
            Self::Deadline { .. } => "TIMEOUT",
            Self::Lab(LabError::Listen { .. }) => "LISTEN",
            Self::Panicked { .. } => "NATIVE_PANIC",
            Self::Peer(PeerError::UdpSocket { .. }) => "UDP_SOCKET",
            Self::Peer(PeerError::Sdp { .. }) => "SDP",
            Self::Peer(PeerError::Closed) => "SESSION_CLOSED",
            Self::Peer(_) => "SESSION_FAILED",
            Self::Runtime { .. } => "RUNTIME",
            Self::Socket(error) => socket_code(error),
            Self::Stale { .. } => "STALE",
            Self::Unfinished { .. } => "UNFINISHED",
            Self::Unsupported { .. } => "UNSUPPORTED",
        }
    }

    /// Every fact of the failure, as a JSON object.
    pub fn details(&self) -> Value {
        match self {
            Self::AfterGate { error, gate_wait_us } => {
                let mut details = error.details();
                if let Value::Object(members) = &mut details {
                    members.insert("gateWaitUs".to_owned(), json!(gate_wait_us));
                }
                details
            }
            Self::Explained { error, explanation } => {
                let mut details = error.details();
                if let Value::Object(members) = &mut details {
                    members.extend(explanation.members());
                }
                details
            }
            Self::Call(failure) => call_details(failure),
            Self::Deadline { what, deadline_ms } | Self::Unfinished { what, deadline_ms } => {
                json!({"what": what, "deadlineMs": deadline_ms})
            }
            Self::Lab(LabError::Listen { address, detail }) => json!({"address": address, "detail": detail}),
            Self::Peer(error) => peer_details(error),
            Self::Socket(error) => socket_details(error),
            Self::Unsupported { command, .. } => json!({"command": command}),
            Self::Cancelled { what } | Self::Panicked { what, .. } => json!({"what": what}),
            Self::Config(_) | Self::Lab(_) | Self::Runtime { .. } | Self::Stale { .. } => json!({}),
        }
    }

    /// The configuration error inside, whichever room found it.
    pub fn config(&self) -> Option<&ConfigError> {
        match self {
            Self::Config(error)
            | Self::Lab(LabError::Config(error))
            | Self::Peer(PeerError::Config(error))
            | Self::Socket(SocketError::Config(error)) => Some(error),
            _ => None,
        }
    }

    /// The WebSocket error inside, however it is wrapped.
    pub fn socket(&self) -> Option<&SocketError> {
        match self {
            Self::Socket(error) => Some(error),
            Self::AfterGate { error, .. } | Self::Explained { error, .. } => error.socket(),
            _ => None,
        }
    }
}

fn call_details(failure: &CallFailure) -> Value {
    let outcome = &failure.outcome;
    let error = outcome.error.as_ref();
    let mut details = error.map_or(Value::Null, |error| error.details.clone());
    if details.is_null() {
        details = json!({});
    }
    if let Value::Object(members) = &mut details {
        let verdict = error.and_then(|error| error.verdict.clone());
        members.extend(Explanation { verdict, starved_reasons: outcome.starved_reasons.clone() }.members());
    }
    details
}

fn socket_code(error: &SocketError) -> &'static str {
    match error {
        SocketError::Config(_) => "CONFIG",
        SocketError::Dns { .. } => "DNS",
        SocketError::Connect { timed_out: true, .. } => "CONNECT_TIMEOUT",
        SocketError::Connect { .. } => "CONNECT",
        SocketError::Tls { .. } => "TLS",
        SocketError::Proxy { .. } => "PROXY",
        SocketError::Status { .. } => "UPGRADE_STATUS",
        SocketError::Upgrade { .. } => "UPGRADE",
        SocketError::Deadline { .. } => "TIMEOUT",
        SocketError::Lapse { .. } => "FRAME",
        SocketError::Closed { .. } => "CLOSED",
    }
}

fn socket_details(error: &SocketError) -> Value {
    match error {
        SocketError::Config(error) => json!({"field": error.field, "value": error.value, "reason": error.reason}),
        SocketError::Dns { host, rcode, timed_out, elapsed_ms, detail } => {
            json!({"host": host, "rcode": rcode, "timedOut": timed_out, "elapsedMs": elapsed_ms, "detail": detail})
        }
        SocketError::Connect { errno, timed_out, attempts, detail } => {
            json!({"errno": errno, "timedOut": timed_out, "attempts": attempts, "detail": detail})
        }
        SocketError::Tls { alert, detail } => json!({"alert": alert, "detail": detail}),
        SocketError::Proxy { status, detail } => json!({"status": status, "detail": detail}),
        SocketError::Status { status, status_line, headers, body, request_bytes, response_bytes } => json!({
            "status": status, "statusLine": status_line, "headers": headers, "body": body,
            "requestBytes": request_bytes, "responseBytes": response_bytes,
        }),
        SocketError::Upgrade { detail, .. } => json!({"detail": detail}),
        SocketError::Deadline { phase, deadline_ms } => json!({"phase": phase, "deadlineMs": deadline_ms}),
        SocketError::Lapse { lapse } => json!({"detail": lapse.to_string()}),
        SocketError::Closed { cause } => json!({"cause": super::sockets::cause_json(cause)}),
    }
}

fn peer_details(error: &PeerError) -> Value {
    match error {
        PeerError::Config(error) => json!({"field": error.field, "value": error.value, "reason": error.reason}),
        PeerError::UdpSocket { errno, detail } => json!({"errno": errno, "detail": detail}),
        PeerError::Sdp { operation, detail } => json!({"operation": operation, "detail": detail}),
        PeerError::Deadline { phase, deadline_ms } => json!({"phase": phase, "deadlineMs": deadline_ms}),
        PeerError::Closed => json!({}),
        PeerError::Failed { state, detail } => json!({"state": state, "detail": detail}),
    }
}

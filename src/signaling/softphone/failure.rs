//! Why a softphone is not registered, and why the session of a call failed: plain values for a diagnosis. Pure.
use std::time::Duration;

use crate::net::http::HttpError;
use crate::peer::{ConnectionState, PeerError};
use crate::socket::{CloseCause, Phases, SocketError};

/// Why a softphone is not registered.
#[derive(Clone, Debug)]
pub enum Failure {
    /// The server was not reached, or it refused what comes before the login.
    Unreached {
        /// What was asked for, such as `the HTTP request 'channel'`; `None` of the connection itself.
        request: Option<String>,
        /// The server, as `host:port`.
        server: String,
        /// Why.
        error: Box<SocketError>,
        /// The phases before it.
        phases: Option<Box<Phases>>,
    },
    /// The connection ended.
    Closed {
        /// How.
        cause: CloseCause,
        /// How long it had been silent in both directions before; `None` where that is not known.
        idle: Option<Duration>,
    },
    /// The server said no, or ended the registration, in its own words.
    Refused {
        /// What it said.
        why: String,
    },
    /// The server was silent for too long.
    Late {
        /// What was awaited.
        why: String,
        /// How long.
        waited: Duration,
    },
    /// Nobody but ourselves is the reason.
    Ours {
        /// What was done, or could not be.
        why: String,
    },
}

impl Failure {
    /// An HTTP request that had no response, or none that says yes.
    pub(in crate::signaling) fn of_request(name: &str, url: &str, error: SocketError) -> Self {
        let request = Some(format!("the HTTP request '{name}'"));
        Self::Unreached { request, server: server_of(url), error: Box::new(error), phases: None }
    }
}

/// An HTTP error as that of a WebSocket, whose words of the one list they share.
pub(in crate::signaling) fn of_http(error: &HttpError) -> SocketError {
    match error {
        HttpError::Config(error) => SocketError::Config(error.clone()),
        HttpError::Failed { cause: Some(cause), .. } => (**cause).clone(),
        HttpError::Failed { phase: "tls", detail, .. } => SocketError::Tls { alert: None, detail: detail.clone() },
        HttpError::Failed { detail, .. } => SocketError::Upgrade { ended: None, detail: detail.clone() },
        HttpError::Deadline { phase, ms, .. } => SocketError::Deadline { phase, deadline_ms: *ms },
    }
}

/// A response that does not say yes.
pub(in crate::signaling) fn of_status(status: u16, retry_after: Option<Duration>) -> SocketError {
    let retry_after = retry_after.map(|wait| ("Retry-After".to_owned(), wait.as_secs().to_string()));
    SocketError::Status {
        status,
        status_line: format!("HTTP status {status}"),
        headers: retry_after.into_iter().collect(),
        body: String::new(),
        request_bytes: 0,
        response_bytes: 0,
    }
}

/// `host:port` of a URL, or its host; nothing else of it.
pub(in crate::signaling) fn server_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').map_or(authority, |(_, host)| host).to_owned()
}

/// Why the session of a call failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SessionFault {
    /// It could not do what it was told.
    #[error(transparent)]
    Session(#[from] PeerError),
    /// ICE or DTLS gave up.
    #[error("{error}")]
    GaveUp {
        /// Its own words.
        error: PeerError,
    },
    /// It did not connect in time.
    #[error("not connected within {} ms{evidence}", .within.as_millis())]
    NotConnected {
        /// How long it had.
        within: Duration,
        /// What was missing, with `: ` before it; empty where that is not known.
        evidence: String,
    },
    /// It was connected and is not any more.
    #[error("the connection is {}", .0.name())]
    Lost(ConnectionState),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_url_only_the_server_is_told() {
        for (url, server) in [
            ("https://api.example/api/v2/users/me", "api.example"),
            ("ws://127.0.0.1:8188/?token=s3cret", "127.0.0.1:8188"),
            ("wss://user:s3cret@[2001:db8::1]:443/x", "[2001:db8::1]:443"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(server_of(url), server, "{url}");
        }
    }

    #[test]
    fn a_status_keeps_its_retry_after() {
        match of_status(429, Some(Duration::from_secs(7))) {
            SocketError::Status { status: 429, headers, .. } => {
                assert_eq!(headers, [("Retry-After".to_owned(), "7".to_owned())]);
            }
            other => panic!("{other}"),
        }
    }
}

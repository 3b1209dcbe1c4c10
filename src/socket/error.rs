//! Why an operation on a socket failed, as data.

use super::{CloseCause, Lapse};
use crate::config::ConfigError;
use crate::net::resolver::DnsError;
use crate::net::tcp::ConnectError;

/// Why an operation on a socket failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SocketError {
    /// The configuration, or what was to be sent, is not usable; nothing was sent.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The host has no address.
    #[error("{host}: {detail}")]
    Dns {
        /// The name asked for.
        host: String,
        /// `NXDOMAIN`, `SERVFAIL`, …; `None` where nobody answered or the system hides it.
        rcode: Option<String>,
        /// Whether the answer was still missing when the time was up.
        timed_out: bool,
        /// How long the answer took or was waited for, in ms.
        elapsed_ms: u64,
        /// What happened.
        detail: String,
    },
    /// No address could be connected to.
    #[error("{detail}")]
    Connect {
        /// errno of the attempt that says most.
        errno: Option<i32>,
        /// Whether an attempt was still unanswered at the deadline.
        timed_out: bool,
        /// One line per address tried.
        attempts: Vec<String>,
        /// What happened, and what to do.
        detail: String,
    },
    /// TLS was not established.
    #[error("{detail}")]
    Tls {
        /// Name of the alert the server sent (RFC 8446 §6), if it sent one.
        alert: Option<String>,
        /// What happened, and what to do.
        detail: String,
    },
    /// The proxy did not connect us.
    #[error("{detail}")]
    Proxy {
        /// Its HTTP status, if it answered.
        status: Option<u16>,
        /// What happened.
        detail: String,
    },
    /// The server answered the upgrade with another status than 101.
    #[error("Got unexpected status {status} with statusLine:{status_line}")]
    Status {
        /// HTTP status.
        status: u16,
        /// The whole status line.
        status_line: String,
        /// Response headers in order, `Retry-After` among them.
        headers: Vec<(String, String)>,
        /// The body, as far as it came within a second and 16 KiB.
        body: String,
        /// Bytes of the request.
        request_bytes: usize,
        /// Bytes of the response head.
        response_bytes: usize,
    },
    /// The answer to the upgrade is none of RFC 6455 §4.2.2.
    #[error("{detail}")]
    Upgrade {
        /// How the connection ended instead, where no answer or only a part of one came.
        ended: Option<CloseCause>,
        /// What is wrong with it.
        detail: String,
    },
    /// A phase took longer than its deadline.
    #[error("{phase}: no answer within {deadline_ms} ms")]
    Deadline {
        /// `proxy`, `tls` or `upgrade`.
        phase: &'static str,
        /// The deadline in ms.
        deadline_ms: u64,
    },
    /// A frame broke the protocol where that is not the end of the socket (see [`Literal`](super::Literal)).
    #[error("{lapse}")]
    Lapse {
        /// How.
        lapse: Lapse,
    },
    /// The socket had already ended, or ended meanwhile.
    #[error("the socket is closed: {cause}")]
    Closed {
        /// Why.
        cause: CloseCause,
    },
}

impl From<DnsError> for SocketError {
    fn from(error: DnsError) -> Self {
        let DnsError { host, rcode, timed_out, elapsed, detail } = error;
        Self::Dns { host, rcode, timed_out, elapsed_ms: elapsed.as_millis() as u64, detail }
    }
}

impl From<ConnectError> for SocketError {
    fn from(error: ConnectError) -> Self {
        let ConnectError { errno, timed_out, attempts, detail } = error;
        Self::Connect { errno, timed_out, attempts, detail }
    }
}

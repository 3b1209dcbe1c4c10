//! TURN over UDP, TCP and TLS (RFC 8656): one allocation per session, from the first server that gives one.
//!
//! The engine has a TURN client for UDP that gives up on the first complication. It therefore talks to [`Relay`], a server
//! that exists only for it at an address that nobody has, and we talk to the real ones: we choose the server (in the order
//! of the configuration, those that were dead lately last), connect to it, sign every request, answer challenges (401) and
//! stale nonces (438), follow a 300, take a new socket on a 437, and tell the engine the outcome. Data passes unchanged.
//!
//! Guarantees: allocating ends at the gathering deadline with an outcome for every server tried; the allocation is deleted
//! when the session closes (Refresh with LIFETIME 0, waited for at most [`RELEASE_TIMEOUT`]); passwords are never shown.
//! Cancel: [`Relay::stop`] ends allocating at any point and drops what was connected.
mod allocation;
mod dead_servers;
mod framing;
mod link;
mod message;
mod relay;

use std::sync::Arc;
use std::time::Duration;

use super::facts::ServerTransport;

pub use relay::Relay;
pub(super) use relay::{Incoming, Outgoing};

/// How long closing waits for the server's word that the allocation is gone.
pub const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

/// One TURN URL with its credentials.
#[derive(Clone)]
pub struct TurnServer {
    /// Its place among the URLs of the configuration, which is that in [`super::facts::WireFacts::ice_servers`].
    pub index: usize,
    /// Host name or IP address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// UDP, TCP or TLS.
    pub transport: ServerTransport,
    /// User name of the long-term credentials (RFC 8489 §9.2).
    pub username: String,
    /// Their password; never shown.
    pub credential: String,
    /// Whom to trust; `Some` for [`ServerTransport::Tls`].
    pub tls: Option<Arc<rustls::ClientConfig>>,
}

impl std::fmt::Debug for TurnServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TurnServer")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("transport", &self.transport)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

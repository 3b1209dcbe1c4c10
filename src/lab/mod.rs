//! The embedded counterpart: signaling, answering peers and STUN on loopback.
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::ConfigError;

/// What a lab listens on and how it behaves; JSON names are camelCase.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LabConfig {
    /// Address to listen on (default 127.0.0.1); another than loopback needs `allowRemote`.
    pub address: IpAddr,
    /// Signaling port (default 0 = any free).
    pub port: u16,
    /// STUN port (default 0 = any free).
    pub stun_port: u16,
    /// Allow a non-loopback address (default false).
    pub allow_remote: bool,
    /// Cut sockets that were silent for this long, ms; 0 = never (default 0).
    pub idle_cut_ms: u64,
}
impl Default for LabConfig {
    fn default() -> Self {
        Self { address: IpAddr::from([127, 0, 0, 1]), port: 0, stun_port: 0, allow_remote: false, idle_cut_ms: 0 }
    }
}

/// What the lab has seen so far.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct LabCounters {
    pub sockets_opened: u64,
    pub sockets_open: u64,
    pub calls_answered: u64,
    pub calls_open: u64,
    pub calls_failed: u64,
    pub packets_sent: u64,
    pub packets_received: u64,
    pub packets_lost: i64,
    pub socket_drops: u64,
    pub stun_requests: u64,
}

/// A running lab; must be stopped.
pub struct Lab {
    _inner: (),
}
impl Lab {
    /// Binds and starts.
    pub async fn start(_config: LabConfig) -> Result<Self, LabError> {
        todo!()
    }
    /// `ws://address:port/`.
    pub fn signaling_url(&self) -> String {
        todo!()
    }
    /// `stun:address:port`.
    pub fn stun_url(&self) -> String {
        todo!()
    }
    /// Signaling address.
    pub fn address(&self) -> SocketAddr {
        todo!()
    }
    /// Counters now.
    pub fn counters(&self) -> LabCounters {
        todo!()
    }
    /// Ends calls and sockets, bounded. Idempotent.
    pub async fn stop(&self, _deadline: Duration) -> LabCounters {
        todo!()
    }
}
/// Why a lab could not start.
#[derive(Clone, Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum LabError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("cannot listen on {address}: {detail}")]
    Listen { address: SocketAddr, detail: String },
}

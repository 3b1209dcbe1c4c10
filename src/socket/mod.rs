//! Persistent WebSockets (RFC 6455) that stay alive while nobody reads.
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::config::ConfigError;

/// Configuration of one WebSocket; JSON field names are the camelCase of these.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SocketConfig {
    /// `ws://` or `wss://` URL with path and query; no fragment.
    pub url: String,
    /// Request headers in order, sent as given; handshake headers we own are refused by name.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// Deadline of DNS, in ms (default 5000).
    #[serde(default = "default_dns_timeout_ms")]
    pub dns_timeout_ms: u64,
    /// Deadline of the TCP connect over all addresses, in ms (default 20000).
    #[serde(default = "default_connect_timeout_ms")]
    pub connect_timeout_ms: u64,
    /// Deadline of TLS and of the upgrade response, each, in ms (default 6000); 0 = no deadline of its own.
    #[serde(default = "default_handshake_timeout_ms")]
    pub handshake_timeout_ms: u64,
    /// Whom to trust over TLS.
    #[serde(default)]
    pub trust: Trust,
    /// PEM client certificate chain + PKCS#8 key, if any.
    #[serde(default)]
    pub client_certificate: Option<ClientCertificate>,
    /// HTTP CONNECT proxy.
    #[serde(default)]
    pub proxy: Option<Proxy>,
    /// Local address to bind, if any.
    #[serde(default)]
    pub source_address: Option<IpAddr>,
    /// Addresses to use instead of DNS (JMeter's DNS Cache Manager); empty = resolve.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// WebSocket ping interval in ms with ±20 % jitter; 0 = off (default 0).
    #[serde(default)]
    pub ping_interval_ms: u64,
    /// How long a pong (or any frame) may be missing after a ping before the socket counts as dead, ms (default 10000).
    #[serde(default = "default_ping_timeout_ms")]
    pub ping_timeout_ms: u64,
    /// Text to send every `pingIntervalMs` instead of a ping frame (application keep-alive).
    #[serde(default)]
    pub ping_text: Option<String>,
    /// Answer pings in the background (default true).
    #[serde(default = "yes")]
    pub auto_pong: bool,
    /// Frames kept for later readers (default 1024); the oldest is dropped and counted beyond that.
    #[serde(default = "default_queue_frames")]
    pub queue_frames: usize,
    /// Largest accepted frame payload in bytes (default 64 MiB).
    #[serde(default = "default_max_frame_bytes")]
    pub max_frame_bytes: usize,
    /// Offer permessage-deflate (RFC 7692) (default false).
    #[serde(default)]
    pub deflate: bool,
}
fn default_dns_timeout_ms() -> u64 {
    5_000
}
fn default_connect_timeout_ms() -> u64 {
    20_000
}
fn default_handshake_timeout_ms() -> u64 {
    6_000
}
fn default_ping_timeout_ms() -> u64 {
    10_000
}
fn default_queue_frames() -> usize {
    1024
}
fn default_max_frame_bytes() -> usize {
    64 << 20
}
fn yes() -> bool {
    true
}

/// Whom a `wss` connection trusts.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Trust {
    /// The system's certificate store, host name verified.
    #[default]
    System,
    /// Everybody, as JMeter does unless configured.
    All,
    /// Only these PEM certificates.
    Pem(String),
}
/// Client certificate for mutual TLS.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientCertificate {
    /// PEM chain, leaf first.
    pub chain_pem: String,
    /// PEM PKCS#8 key.
    pub key_pem: String,
}
/// HTTP CONNECT proxy with optional Basic credentials.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Proxy {
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User.
    #[serde(default)]
    pub user: Option<String>,
    /// Password.
    #[serde(default)]
    pub password: Option<String>,
}

impl std::fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientCertificate").field("key_pem", &"***").finish_non_exhaustive()
    }
}
impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy").field("host", &self.host).field("port", &self.port).field("password", &"***").finish()
    }
}

impl SocketConfig {
    /// Parses and checks JSON.
    pub fn from_json(_json: &[u8]) -> Result<Self, ConfigError> {
        todo!()
    }
}

/// Frame opcodes (RFC 6455 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
#[serde(rename_all = "camelCase")]
#[repr(u8)]
pub enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

/// One frame as it was on the wire.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Opcode.
    pub opcode: Opcode,
    /// FIN bit.
    pub fin: bool,
    /// RSV1 (compressed).
    pub compressed: bool,
    /// Payload; inflated when the message was compressed.
    pub payload: Bytes,
    /// Bytes on the wire of header (and payload).
    pub header_bytes: usize,
    /// Payload bytes on the wire.
    pub wire_payload_bytes: usize,
    /// When its last byte arrived.
    pub at: Instant,
}

/// Durations of the phases of opening, and what the server said.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Opened {
    /// DNS, µs; `None` when not needed.
    pub dns_us: Option<u64>,
    /// TCP, µs.
    pub tcp_us: u64,
    /// TLS, µs.
    pub tls_us: Option<u64>,
    /// Upgrade request sent → response complete, µs.
    pub upgrade_us: u64,
    /// All phases, µs.
    pub total_us: u64,
    /// First response byte, µs since the upgrade request was sent.
    pub first_byte_us: u64,
    /// HTTP status.
    pub status: u16,
    /// Status line.
    pub status_line: String,
    /// Response headers in order.
    pub headers: Vec<(String, String)>,
    /// Bytes of request and response.
    pub request_bytes: usize,
    /// Bytes of the response head.
    pub response_bytes: usize,
    /// Peer address.
    pub peer: SocketAddr,
    /// Local address.
    pub local: SocketAddr,
}

/// Why and how a socket ended, kept exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum CloseCause {
    /// Close frame received.
    CloseFrame {
        /// Status code on the wire; `None` = empty close (1005).
        code: Option<u16>,
        /// Reason text.
        reason: String,
    },
    /// We sent close first and the peer answered (or not).
    ClosedByUs {
        /// Status we sent.
        code: u16,
    },
    /// TCP FIN without a close frame (equivalent code 1006).
    Fin,
    /// TCP RST (1006).
    Reset,
    /// No pong within the deadline.
    PingTimeout {
        /// Silence in ms.
        silent_ms: u64,
    },
    /// TLS alert.
    TlsAlert {
        /// Alert name (RFC 8446 §6).
        alert: String,
    },
    /// Frame violates the protocol.
    Protocol {
        /// What.
        detail: String,
    },
    /// Other I/O error.
    Io {
        /// errno.
        errno: Option<i32>,
        /// Text.
        detail: String,
    },
    /// The owner's scope ended.
    ScopeEnded,
}

/// Why an operation on a socket failed.
#[derive(Clone, Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum SocketError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{host}: {detail}")]
    Dns { host: String, rcode: Option<String>, elapsed_ms: u64, detail: String },
    #[error("{detail}")]
    Connect { errno: Option<i32>, timed_out: bool, attempts: Vec<String>, detail: String },
    #[error("{detail}")]
    Tls { alert: Option<String>, detail: String },
    #[error("{detail}")]
    Proxy { status: Option<u16>, detail: String },
    #[error("Got unexpected status {status} with statusLine:{status_line}")]
    Status {
        status: u16,
        status_line: String,
        headers: Vec<(String, String)>,
        body: String,
        request_bytes: usize,
        response_bytes: usize,
    },
    #[error("{detail}")]
    Upgrade { detail: String },
    #[error("{phase}: no answer within {deadline_ms} ms")]
    Deadline { phase: &'static str, deadline_ms: u64 },
    #[error("the socket is closed: {cause:?}")]
    Closed { cause: CloseCause },
}

/// Counters of one socket.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct SocketCounters {
    pub frames_sent: u64,
    pub frames_received: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub pings_sent: u64,
    pub pings_received: u64,
    pub pongs_sent: u64,
    pub pongs_received: u64,
    pub overflowed: u64,
    pub queued: u64,
}

/// What [`Socket::send`] did.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Bytes on the wire (header + payload).
    pub bytes: usize,
    /// When the last byte was handed to the kernel.
    pub at: Instant,
}

/// Sees every frame before readers do, on the reader task: must not block.
pub trait Tap: Send + Sync + 'static {
    /// `true` consumes the frame: it is not queued for readers.
    fn frame(&self, frame: &Frame) -> bool;
    /// The socket ended.
    fn closed(&self, cause: &CloseCause);
}

/// One open WebSocket. Cloning shares it; it lives until closed or aborted.
#[derive(Clone)]
pub struct Socket {
    _inner: Arc<()>,
}

impl Socket {
    /// Opens a WebSocket.
    pub async fn open(_config: &SocketConfig) -> Result<(Self, Opened), SocketError> {
        todo!()
    }
    /// Sends one frame; returns when it is with the kernel.
    pub async fn send(&self, _opcode: Opcode, _fin: bool, _payload: &[u8]) -> Result<Sent, SocketError> {
        todo!()
    }
    /// Next frame for readers (data and control frames in wire order). Cancel safe.
    pub async fn receive(&self) -> Result<Frame, SocketError> {
        todo!()
    }
    /// First queued or arriving frame that matches; the others stay queued, in order. Cancel safe.
    pub async fn receive_matching(
        &self,
        _matches: &(dyn Fn(&Frame) -> bool + Send + Sync),
    ) -> Result<Frame, SocketError> {
        todo!()
    }
    /// Adds a tap at the end of the list; removed when the guard drops.
    pub fn tap(&self, _tap: Arc<dyn Tap>) -> TapGuard {
        todo!()
    }
    /// Close handshake with status and reason, waits for the peer's close or `deadline`.
    pub async fn close(&self, _code: u16, _reason: &str, _deadline: Duration) -> CloseCause {
        todo!()
    }
    /// Drops TCP at once.
    pub fn abort(&self, _cause: CloseCause) {
        todo!()
    }
    /// `None` while open.
    pub fn close_cause(&self) -> Option<CloseCause> {
        todo!()
    }
    /// What opening said.
    pub fn opened(&self) -> &Opened {
        todo!()
    }
    /// Counters now.
    pub fn counters(&self) -> SocketCounters {
        todo!()
    }
}
/// Removes its tap on drop.
pub struct TapGuard {
    _inner: (),
}

//! What was observed on the wire of one session, as plain values.
//!
//! One serialisable snapshot, [`WireFacts`], in camelCase. Every time is in µs since the session was created, taken where
//! the packet or the system call was. Nothing here does anything: the account is kept in [`super::wire`], every list in it
//! is bounded and has a count of what did not fit. `WireFacts::default()` is a session that has not sent anything.
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// Everything observed so far. Times are µs since the session was created.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WireFacts {
    /// ICE connectivity checks (Binding requests with USERNAME) sent.
    pub checks_sent: u64,
    /// Success responses to them received.
    pub check_responses_received: u64,
    /// ICE connectivity checks received.
    pub checks_received: u64,
    /// Success responses to them sent.
    pub check_responses_sent: u64,
    /// First check sent.
    pub first_check_sent_us: Option<u64>,
    /// Last check sent.
    pub last_check_sent_us: Option<u64>,
    /// First check received: the other side is there and has our description.
    pub first_check_received_us: Option<u64>,
    /// First response to one of our checks.
    pub first_check_response_us: Option<u64>,
    /// Who answered our latest check; through a relay the peer's address as the relay sees it.
    pub answered_by: Option<SocketAddr>,
    /// Requests to STUN and TURN servers sent, retransmissions included.
    pub server_requests_sent: u64,
    /// Success responses of STUN and TURN servers received.
    pub server_responses_received: u64,
    /// STUN error responses received, of any kind.
    pub stun_errors_received: u64,
    /// The latest STUN error response received.
    pub last_stun_error: Option<StunError>,
    /// DTLS records sent.
    pub dtls_records_sent: u64,
    /// DTLS records received.
    pub dtls_records_received: u64,
    /// First DTLS record sent.
    pub first_dtls_sent_us: Option<u64>,
    /// First DTLS record received.
    pub first_dtls_received_us: Option<u64>,
    /// The first clear-text DTLS alert sent.
    pub dtls_alert_sent: Option<DtlsAlert>,
    /// The first clear-text DTLS alert received.
    pub dtls_alert_received: Option<DtlsAlert>,
    /// RTP packets sent.
    pub rtp_sent: u64,
    /// UDP payload bytes of RTP packets sent.
    pub rtp_bytes_sent: u64,
    /// RTP packets received.
    pub rtp_received: u64,
    /// UDP payload bytes of RTP packets received.
    pub rtp_bytes_received: u64,
    /// Of the RTP packets received those that are not of the audio line, such as video.
    #[serde(default)]
    pub rtp_other_received: u64,
    /// Their UDP payload bytes.
    #[serde(default)]
    pub rtp_other_bytes_received: u64,
    /// First RTP packet sent.
    pub first_rtp_sent_us: Option<u64>,
    /// First RTP packet received.
    pub first_rtp_received_us: Option<u64>,
    /// Last RTP packet sent.
    pub last_rtp_sent_us: Option<u64>,
    /// Last RTP packet received.
    pub last_rtp_received_us: Option<u64>,
    /// RTCP packets sent.
    pub rtcp_sent: u64,
    /// RTCP packets received.
    pub rtcp_received: u64,
    /// Expected minus received RTP packets over all streams of the audio line (RFC 3550 A.3); negative with duplicates.
    pub rtp_lost: i64,
    /// Interarrival jitter of the latest stream of the audio line in seconds (RFC 3550 A.8), on the kernel's arrival times.
    pub jitter: f64,
    /// Datagrams that are none of the above.
    pub other_datagrams: u64,
    /// Datagrams the kernel refused to send.
    pub send_errors: u64,
    /// The latest of these refusals.
    pub last_send_error: Option<SendError>,
    /// The latest host name that did not resolve, and why.
    pub last_resolve_error: Option<String>,
    /// Longest time a datagram waited in the kernel until we read it, µs: our own lag, not the network's.
    pub longest_read_lag_us: u64,
    /// Datagrams the kernel dropped because the socket's receive buffer was full (`SO_MEMINFO`).
    pub socket_drops: u64,
    /// The engine's task has ended by itself, not because the session was closed.
    pub engine_ended: bool,

    /// Local address of the session's UDP socket.
    pub local_address: Option<SocketAddr>,
    /// Host names looked up for ICE servers, oldest first; at most [`MAX_RESOLUTIONS`], of which successes make room first.
    pub resolutions: Vec<Resolution>,
    /// The ICE servers by URL, in the order of the configuration; at most [`MAX_ICE_SERVERS`].
    pub ice_servers: Vec<IceServerFacts>,
    /// URLs beyond these.
    pub ice_servers_omitted: u64,
    /// Transactions with STUN and TURN servers, by the time they began; at most [`MAX_TRANSACTIONS`]. Of a longer account
    /// the oldest successes make room first.
    pub transactions: Vec<StunTransaction>,
    /// Transactions that had to make room.
    pub transactions_omitted: u64,
    /// ICE candidate pairs by the time of their first check; at most [`MAX_PAIRS`].
    pub pairs: Vec<PairFacts>,
    /// Checks, of both directions, on pairs beyond [`MAX_PAIRS`].
    pub checks_omitted: u64,
    /// Checks received whose USERNAME does not begin with our present `a=ice-ufrag`: the other side uses a description
    /// that is not ours (RFC 8445 §7.3).
    pub foreign_checks_received: u64,
    /// The latest of these.
    pub foreign_check: Option<ForeignCheck>,
    /// Checks for us whose USERNAME does not end with the `a=ice-ufrag` of the other side's description: that description
    /// is not its present one (RFC 8445 §7.2.2).
    pub unknown_sender_checks_received: u64,
    /// The latest of these; its `ufrag` is the sender's.
    pub unknown_sender_check: Option<ForeignCheck>,
    /// What keeps an established path alive (RFC 7675).
    pub consent: ConsentFacts,
    /// DTLS sent.
    pub dtls_sent: DtlsFlow,
    /// DTLS received.
    pub dtls_received: DtlsFlow,
    /// The certificate the other side showed, against the `a=fingerprint` of its description.
    pub remote_certificate: Option<CertificateFacts>,
    /// Refusals of socket calls, one entry per call, errno and destination; at most [`MAX_SOCKET_ERRORS`].
    pub socket_errors: Vec<SocketError>,
    /// Refusals beyond these.
    pub socket_errors_omitted: u64,
    /// ICMP errors that came back (RFC 792, RFC 4443), one entry per type, code and destination; at most
    /// [`MAX_ICMP_ERRORS`].
    pub icmp_errors: Vec<IcmpError>,
    /// ICMP errors beyond these.
    pub icmp_errors_omitted: u64,
    /// The last [`MAX_MOMENTS`] noteworthy moments, oldest first.
    pub moments: Vec<Moment>,
    /// Moments that made room for these.
    pub moments_omitted: u64,
}

/// Entries of [`WireFacts::resolutions`] at most.
pub const MAX_RESOLUTIONS: usize = 3;
/// Entries of [`WireFacts::ice_servers`] at most.
pub const MAX_ICE_SERVERS: usize = 6;
/// Entries of [`WireFacts::transactions`] at most.
pub const MAX_TRANSACTIONS: usize = 10;
/// Entries of [`WireFacts::pairs`] at most.
pub const MAX_PAIRS: usize = 8;
/// Entries of [`WireFacts::socket_errors`] at most.
pub const MAX_SOCKET_ERRORS: usize = 4;
/// Entries of [`WireFacts::icmp_errors`] at most.
pub const MAX_ICMP_ERRORS: usize = 3;
/// Entries of [`WireFacts::moments`] at most.
pub const MAX_MOMENTS: usize = 24;

/// A STUN error response (RFC 8489 §14.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StunError {
    /// STUN method, such as 1 = Binding, 3 = Allocate.
    pub method: u16,
    /// Error code, such as 401.
    pub code: u16,
    /// When.
    pub at_us: u64,
}

/// A DTLS alert in clear text (RFC 5246 §7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DtlsAlert {
    /// 1 = warning, 2 = fatal.
    pub level: u8,
    /// Description code, such as 42 = bad_certificate.
    pub description: u8,
    /// When.
    pub at_us: u64,
}

impl DtlsAlert {
    /// Whether it ends the handshake.
    pub fn is_fatal(&self) -> bool {
        self.level == 2
    }

    /// The description's name of RFC 5246 §7.2.
    pub fn name(&self) -> &'static str {
        match self.description {
            0 => "close_notify",
            10 => "unexpected_message",
            20 => "bad_record_mac",
            22 => "record_overflow",
            40 => "handshake_failure",
            42 => "bad_certificate",
            43 => "unsupported_certificate",
            44 => "certificate_revoked",
            45 => "certificate_expired",
            46 => "certificate_unknown",
            47 => "illegal_parameter",
            48 => "unknown_ca",
            49 => "access_denied",
            50 => "decode_error",
            51 => "decrypt_error",
            70 => "protocol_version",
            71 => "insufficient_security",
            80 => "internal_error",
            86 => "inappropriate_fallback",
            90 => "user_canceled",
            _ => "unnamed",
        }
    }
}

/// A datagram the kernel refused to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendError {
    /// errno, where the system gave one.
    pub errno: Option<i32>,
    /// Where it should have gone.
    pub destination: SocketAddr,
    /// When.
    pub at_us: u64,
}

/// One look-up of a host name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Resolution {
    /// The name.
    pub host: String,
    /// Addresses found; 0 with an error.
    pub addresses: usize,
    /// Whether the answer was already there.
    pub from_cache: bool,
    /// How long the session waited, µs.
    pub elapsed_us: u64,
    /// DNS response code, such as `NXDOMAIN`, where a server gave one.
    pub rcode: Option<String>,
    /// Whether the answer was still missing at the deadline.
    pub timed_out: bool,
    /// What went wrong, for people.
    pub error: Option<String>,
    /// When it ended.
    pub at_us: u64,
}

/// How a STUN or TURN server is talked to (RFC 7065 §3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerTransport {
    /// `stun:`, `turn:`, `turn:…?transport=udp`.
    #[default]
    Udp,
    /// `turn:…?transport=tcp`.
    Tcp,
    /// `turns:`.
    Tls,
}

impl ServerTransport {
    /// The word of the facts: `udp`, `tcp` or `tls`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
}

/// One URL of the configured ICE servers, and how far it came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IceServerFacts {
    /// The URL as configured; it has no credentials.
    pub url: String,
    /// How it is talked to.
    pub transport: ServerTransport,
    /// Address used; `None` until the name is resolved.
    pub address: Option<SocketAddr>,
    /// How far it came.
    pub state: IceServerState,
    /// It failed shortly before, for another session of this process, and was therefore tried after the others.
    pub remembered_dead: bool,
    /// When it was first tried.
    pub tried_us: Option<u64>,
    /// TCP connection up, µs after it was first tried; only [`ServerTransport::Tcp`] and [`ServerTransport::Tls`].
    pub tcp_connected_us: Option<u64>,
    /// TLS handshake done, µs after it was first tried.
    pub tls_connected_us: Option<u64>,
    /// It answered as wanted (STUN: a mapped address; TURN: an allocation).
    pub ready_us: Option<u64>,
    /// Why it was given up: STUN error, refused connection, TLS alert, silence…, for people.
    pub failure: Option<String>,
    /// It was given up because the time for it was over, and for no word of its own.
    pub timed_out: bool,
    /// errno of its TCP connection, where that was refused.
    pub errno: Option<i32>,
    /// When it was given up.
    pub failed_us: Option<u64>,
    /// Allocate requests that were sent again with a new nonce (438).
    pub nonce_retries: u32,
    /// Where a 300 (Try Alternate) sent us.
    pub alternate_server: Option<SocketAddr>,
    /// The allocation was deleted at close (Refresh with LIFETIME 0 answered, or its connection closed).
    pub released: bool,
}

/// How far an ICE server came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum IceServerState {
    /// Not tried (yet): an earlier server serves.
    #[default]
    Unused,
    /// Being resolved, connected to, or asked.
    Trying,
    /// It serves.
    Ready,
    /// Given up.
    Failed,
}

/// STUN methods (RFC 8489 §18.2, RFC 8656 §17).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum StunMethod {
    /// 0x001.
    #[default]
    Binding,
    /// 0x003.
    Allocate,
    /// 0x004.
    Refresh,
    /// 0x008.
    CreatePermission,
    /// 0x009.
    ChannelBind,
    /// Any other.
    Other,
}

impl StunMethod {
    /// The method of this number.
    pub const fn of(number: u16) -> Self {
        match number {
            0x001 => Self::Binding,
            0x003 => Self::Allocate,
            0x004 => Self::Refresh,
            0x008 => Self::CreatePermission,
            0x009 => Self::ChannelBind,
            _ => Self::Other,
        }
    }

    /// The word of the RFC, such as `Allocate`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Binding => "Binding",
            Self::Allocate => "Allocate",
            Self::Refresh => "Refresh",
            Self::CreatePermission => "CreatePermission",
            Self::ChannelBind => "ChannelBind",
            Self::Other => "STUN",
        }
    }
}

/// One transaction with a STUN or TURN server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StunTransaction {
    /// Method.
    pub method: StunMethod,
    /// The server; `None` only in a default value.
    pub server: Option<SocketAddr>,
    /// How it is talked to.
    pub transport: ServerTransport,
    /// How often the request was sent.
    pub sends: u32,
    /// First send.
    pub first_sent_us: u64,
    /// Last send.
    pub last_sent_us: u64,
    /// The response came, of whatever kind; `None` = silence so far.
    pub answered_us: Option<u64>,
    /// Response − the send before it, µs; which send it answers is known only where `sends` is 1.
    pub rtt_us: Option<u64>,
    /// Error code of the response (RFC 8489 §14.8, RFC 8656 §19); `None` with `answered_us` = success.
    pub error_code: Option<u16>,
    /// The request carried MESSAGE-INTEGRITY: a 401 on it is a refusal and no challenge.
    pub with_integrity: bool,
    /// The response carried another NONCE than the request; `None` where one of them carried none.
    pub nonce_changed: Option<bool>,
    /// ALTERNATE-SERVER of a 300.
    pub alternate_server: Option<SocketAddr>,
    /// LIFETIME asked for, s; 0 in a Refresh = delete the allocation.
    pub requested_lifetime_s: Option<u32>,
    /// LIFETIME of the response, s.
    pub lifetime_s: Option<u32>,
    /// XOR-MAPPED-ADDRESS: the session's address as the server sees it.
    pub mapped_address: Option<SocketAddr>,
    /// XOR-RELAYED-ADDRESS: the allocation's address.
    pub relayed_address: Option<SocketAddr>,
    /// XOR-PEER-ADDRESS of a CreatePermission (the first one) or ChannelBind request.
    pub peer_address: Option<SocketAddr>,
}

impl StunTransaction {
    /// Whether the server refused the credentials: 401 to a request that carried them (RFC 8489 §9.2.4).
    pub fn credentials_refused(&self) -> bool {
        self.error_code == Some(401) && self.with_integrity
    }

    /// Whether it is the normal challenge that begins the long-term credential mechanism (RFC 8489 §9.2).
    pub fn is_challenge(&self) -> bool {
        self.error_code == Some(401) && !self.with_integrity
    }

    /// Whether nothing has come back.
    pub fn is_unanswered(&self) -> bool {
        self.answered_us.is_none()
    }
}

/// The connectivity checks of one candidate pair (RFC 8445 §7).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PairFacts {
    /// Address of the other side; `None` only in a default value.
    pub remote: Option<SocketAddr>,
    /// Our side is a relay: its address (XOR-RELAYED-ADDRESS), or the TURN server where that was not seen.
    pub relay: Option<SocketAddr>,
    /// Checks sent.
    pub checks_sent: u32,
    /// Success responses to them received.
    pub checks_answered: u32,
    /// Checks received.
    pub checks_received: u32,
    /// Success responses to these sent.
    pub checks_served: u32,
    /// Error responses 400 (Bad Request) received.
    pub bad_requests: u32,
    /// Error responses 401 (Unauthenticated): the check's ufrag or password is not theirs.
    pub unauthenticated: u32,
    /// Error responses 487 (Role Conflict).
    pub role_conflicts: u32,
    /// Error responses with another code.
    pub other_errors: u32,
    /// The latest error code received.
    pub last_error_code: Option<u16>,
    /// Error responses sent by us.
    pub errors_sent: u32,
    /// Responses that came from another address than the check went to (RFC 8445 §7.2.5.2.1): the pair fails.
    pub answered_elsewhere: u32,
    /// The latest such address.
    pub answered_from: Option<SocketAddr>,
    /// A check with USE-CANDIDATE was sent.
    pub use_candidate_sent: bool,
    /// A check with USE-CANDIDATE was received.
    pub use_candidate_received: bool,
    /// Nominated: a check with USE-CANDIDATE was answered with success, in either direction.
    pub nominated_us: Option<u64>,
    /// First check sent.
    pub first_sent_us: Option<u64>,
    /// Last check sent.
    pub last_sent_us: Option<u64>,
    /// First success response received.
    pub first_answered_us: Option<u64>,
    /// Last success response received.
    pub last_answered_us: Option<u64>,
    /// First check received.
    pub first_received_us: Option<u64>,
    /// Last check received.
    pub last_received_us: Option<u64>,
    /// Round-trip time of the latest answered check, µs.
    pub rtt_us: Option<u64>,
    /// Our address in the latest success response (XOR-MAPPED-ADDRESS).
    pub mapped_address: Option<SocketAddr>,
}

/// A check meant for somebody else, or for an earlier description of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ForeignCheck {
    /// The ufrag that is wrong, its first 16 bytes: whom it was meant for, USERNAME up to the colon, or its sender's.
    pub ufrag: String,
    /// Who sent it.
    pub source: Option<SocketAddr>,
    /// When.
    pub at_us: u64,
}

/// What keeps an established path alive: from the first nomination on every check is a consent check (RFC 7675 §5.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsentFacts {
    /// Checks sent since the first nomination.
    pub requests_sent: u64,
    /// Success responses received since then.
    pub responses_received: u64,
    /// Last of these requests.
    pub last_request_sent_us: Option<u64>,
    /// Last of these responses.
    pub last_response_received_us: Option<u64>,
    /// Longest time between two of these requests, µs: longer than 6 s and we did not ask (RFC 7675 §5.1: 5 s × 1.2).
    pub longest_request_gap_us: u64,
    /// Last datagram received at all, from whomever.
    pub last_datagram_received_us: Option<u64>,
    /// Our address in the latest response on the nominated pair.
    pub mapped_address: Option<SocketAddr>,
    /// Our address in the responses before it changed: the NAT forgot us.
    pub former_mapped_address: Option<SocketAddr>,
    /// When it changed last.
    pub mapped_address_changed_us: Option<u64>,
}

/// DTLS in one direction (RFC 6347 §4).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DtlsFlow {
    /// Records.
    pub records: u64,
    /// Largest record with its header, bytes.
    pub largest_record_bytes: u32,
    /// Largest datagram with DTLS records, UDP payload bytes.
    pub largest_datagram_bytes: u32,
    /// Handshake messages in clear text that were seen before (`message_seq`): retransmissions.
    pub retransmissions: u32,
    /// Type of the latest handshake message in clear text (RFC 5246 §7.4, RFC 6347 §4.3.2), such as 1 = ClientHello.
    pub last_handshake_type: Option<u8>,
    /// `message_seq` of the latest new handshake message in clear text.
    pub last_message_seq: Option<u16>,
    /// Encrypted records (epoch 1 and later): this direction's keys are in use.
    pub encrypted_records: u64,
    /// First record.
    pub first_us: Option<u64>,
    /// Last record.
    pub last_us: Option<u64>,
}

impl DtlsFlow {
    /// The name of the latest handshake message in clear text.
    pub fn last_handshake_name(&self) -> Option<&'static str> {
        self.last_handshake_type.map(|kind| match kind {
            0 => "HelloRequest",
            1 => "ClientHello",
            2 => "ServerHello",
            3 => "HelloVerifyRequest",
            4 => "NewSessionTicket",
            11 => "Certificate",
            12 => "ServerKeyExchange",
            13 => "CertificateRequest",
            14 => "ServerHelloDone",
            15 => "CertificateVerify",
            16 => "ClientKeyExchange",
            20 => "Finished",
            _ => "unnamed",
        })
    }
}

/// The certificate the other side showed in clear text (DTLS 1.2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CertificateFacts {
    /// Its SHA-256 in the notation of `a=fingerprint` (RFC 8122 §5).
    pub fingerprint: String,
    /// The `a=fingerprint:sha-256` of its description; `None` when there is none or no description yet.
    pub expected: Option<String>,
    /// When it came.
    pub at_us: u64,
}

impl CertificateFacts {
    /// Whether the certificate is not the one of the description.
    pub fn is_mismatch(&self) -> bool {
        self.expected.as_ref().is_some_and(|expected| !expected.eq_ignore_ascii_case(&self.fingerprint))
    }
}

/// A call of the socket interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SocketCall {
    /// `socket`.
    Socket,
    /// `bind`.
    Bind,
    /// `connect`.
    Connect,
    /// `sendto`, `send`, `write`.
    #[default]
    Send,
    /// `recvmsg`, `recv`, `read`.
    Recv,
}

impl SocketCall {
    /// The call's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::Bind => "bind",
            Self::Connect => "connect",
            Self::Send => "send",
            Self::Recv => "recv",
        }
    }
}

/// Refusals of one socket call with one errno.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SocketError {
    /// The call.
    pub call: SocketCall,
    /// errno; `None` where the system gave none.
    pub errno: Option<i32>,
    /// Where it should have gone; `None` for `bind` and `recv`.
    pub destination: Option<SocketAddr>,
    /// How often.
    pub count: u64,
    /// The first.
    pub at_us: u64,
    /// The last.
    pub last_us: u64,
}

/// An ICMP error for a datagram of ours, from the socket's error queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IcmpError {
    /// ICMP type (IPv4: 3 = Destination Unreachable; IPv6: 1 = Destination Unreachable).
    pub icmp_type: u8,
    /// ICMP code (IPv4 3/3, IPv6 1/4 = port unreachable).
    pub icmp_code: u8,
    /// errno the kernel makes of it.
    pub errno: i32,
    /// Where the datagram went.
    pub destination: Option<SocketAddr>,
    /// Who sent the error: the host itself or a router on the way.
    pub offender: Option<IpAddr>,
    /// How often.
    pub count: u64,
    /// The first.
    pub at_us: u64,
    /// The last.
    pub last_us: u64,
}

impl IcmpError {
    /// Whether nobody listens on the port (ICMP 3/3, ICMPv6 1/4).
    pub fn is_port_unreachable(&self) -> bool {
        match self.offender.or_else(|| self.destination.map(|address| address.ip())) {
            Some(IpAddr::V6(_)) => (self.icmp_type, self.icmp_code) == (1, 4),
            _ => (self.icmp_type, self.icmp_code) == (3, 3),
        }
    }

    /// Whether a firewall says so (ICMP 3/9, 3/10, 3/13; ICMPv6 1/1).
    pub fn is_prohibited(&self) -> bool {
        match self.offender.or_else(|| self.destination.map(|address| address.ip())) {
            Some(IpAddr::V6(_)) => (self.icmp_type, self.icmp_code) == (1, 1),
            _ => self.icmp_type == 3 && matches!(self.icmp_code, 9 | 10 | 13),
        }
    }
}

/// Something worth a line of evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Moment {
    /// When; of a repeated one the first.
    pub at_us: u64,
    /// What.
    pub event: MomentEvent,
    /// With whom.
    pub address: Option<SocketAddr>,
    /// Number that goes with the event, as said there; else 0.
    pub value: u32,
    /// How often in a row.
    pub count: u32,
}

/// What a [`Moment`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MomentEvent {
    /// A STUN or TURN server was first asked; value = method.
    ServerAsked,
    /// It answered with success; value = method.
    ServerAnswered,
    /// It answered with an error; value = code.
    ServerRefused,
    /// A TCP connection to it is up; value = ms it took.
    ServerConnected,
    /// Its TCP or TLS connection failed or ended; value = errno or 0.
    ServerLost,
    /// The next server takes its place.
    ServerReplaced,
    /// First check sent on a pair.
    CheckSent,
    /// First check received on a pair.
    CheckReceived,
    /// First success response on a pair.
    CheckAnswered,
    /// A check was answered with an error; value = code.
    CheckRefused,
    /// A check was answered from another address than it went to.
    CheckAnsweredElsewhere,
    /// A check for another ufrag came in.
    ForeignCheck,
    /// The pair is nominated.
    Nominated,
    /// Our address as the other side sees it changed.
    MappedAddressChanged,
    /// A DTLS handshake message in clear text left, for the first time; value = its type.
    DtlsSent,
    /// A DTLS handshake message in clear text came, for the first time; value = its type.
    DtlsReceived,
    /// A clear-text alert left; value = description.
    AlertSent,
    /// A clear-text alert came; value = description.
    AlertReceived,
    /// The certificate is not the one of `a=fingerprint`.
    CertificateMismatch,
    /// First RTP packet sent.
    RtpSent,
    /// First RTP packet received.
    RtpReceived,
    /// A socket call was refused; value = errno.
    SocketRefused,
    /// An ICMP error came; value = type × 256 + code.
    IcmpReceived,
    /// The engine's task ended.
    EngineEnded,
}

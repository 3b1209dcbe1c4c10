//! What a verdict is made from: plain values, taken by others and handed over in one piece.
//!
//! Nothing here is read by this room itself. Times are µs since the session was created (of a socket: since its opening
//! began), unless a name says otherwise. No value of these types holds a password, a nonce or a token; user names stand in
//! them only where they are needed to tell an expired credential from a wrong one, and never reach the evidence.

use std::net::SocketAddr;

use crate::net::wire::WireFacts;
use crate::socket::{CloseCause, SocketError};

/// Everything that is known of one call or session when its verdict is asked for.
#[derive(Clone, Debug, Default)]
pub struct SessionFacts {
    /// When the verdict is asked for.
    pub now_us: u64,
    /// How it ended, or that it goes on.
    pub end: End,
    /// What was configured.
    pub configured: Configured,
    /// The local side's candidates found so far.
    pub local_candidates: Vec<Candidate>,
    /// The remote side's candidates we were told of.
    pub remote_candidates: Vec<Candidate>,
    /// The remote side said that no more candidates come.
    pub remote_candidates_ended: bool,
    /// Gathering complete, or its deadline.
    pub gathered_us: Option<u64>,
    /// The remote description was applied.
    pub described_us: Option<u64>,
    /// ICE connected for the first time.
    pub ice_connected_us: Option<u64>,
    /// DTLS done.
    pub dtls_connected_us: Option<u64>,
    /// The signaling of the call.
    pub signaling: SignalingFacts,
    /// What went over the session's sockets.
    pub wire: WireFacts,
    /// STUN and TURN transactions, one entry per server, method and outcome.
    pub transactions: Vec<ServerTransaction>,
    /// ICE checks per pair.
    pub pairs: Vec<PairChecks>,
    /// Inbound checks whose USERNAME is not for our current ufrag: the other side uses an old description of ours.
    pub foreign_ufrag_checks: u64,
    /// Checks of ours that were answered by 400 or 401: the other side does not know our description or its own any more.
    pub checks_refused: u64,
    /// Last consent check (RFC 7675) sent.
    pub last_consent_sent_us: Option<u64>,
    /// Last valid response to a consent check.
    pub last_consent_response_us: Option<u64>,
    /// Last datagram of any kind received.
    pub last_received_us: Option<u64>,
    /// System calls on this session's sockets that failed.
    pub failed_calls: Vec<FailedCall>,
    /// ICMP errors for this session's datagrams.
    pub icmp: Vec<IcmpError>,
    /// Host names that did not resolve or were slow.
    pub lookups: Vec<Lookup>,
    /// Datagrams that the kernel dropped at our sockets for want of receive buffer.
    pub socket_drops: u64,
    /// The generator meanwhile.
    pub generator: GeneratorFacts,
    /// The same user elsewhere.
    pub identity: IdentityFacts,
    /// Other sessions of this generator.
    pub others: OtherSessions,
}

/// How far a session got and how it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// It is being set up, or it is up: no failure is stated; a verdict comes only from what cannot heal.
    #[default]
    Open,
    /// The set-up failed at this step.
    SetUp(Step),
    /// It was up and lost its connection.
    Lost,
    /// The other side hung up.
    EndedByPeer {
        /// Its reason, as far as it stated one.
        reason: Option<String>,
    },
    /// Our side stopped it: a stop of the test, the end of a scope, a close by the plan.
    Cancelled,
}

/// A step of a set-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A configuration value was refused.
    Config,
    /// The UDP socket.
    Bind,
    /// Offer and answer.
    Signaling,
    /// A description was refused.
    Description,
    /// ICE.
    Ice,
    /// DTLS.
    Dtls,
    /// The first RTP packet.
    Media,
}

/// What was configured for a session, without secrets.
#[derive(Clone, Debug, Default)]
pub struct Configured {
    /// STUN and TURN URLs (RFC 7064, RFC 7065).
    pub ice_urls: Vec<String>,
    /// Whether only relayed candidates may be used.
    pub relay_only: bool,
    /// When the TURN user name ends, for names of the form `<unix time>:<name>` (TURN REST), in seconds since the epoch.
    pub turn_expires_s: Option<u64>,
    /// The wall clock at `now_us`, in seconds since the epoch.
    pub wall_clock_s: u64,
}

/// A candidate (RFC 8839 §5.1), as far as pairing needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// `host`, `srflx`, `prflx`, `relay`.
    pub kind: String,
    /// `udp` or `tcp`.
    pub transport: String,
    /// IP address, or a `.local` name (mDNS).
    pub address: String,
    /// Port.
    pub port: u16,
}

/// The signaling of a call.
#[derive(Clone, Debug, Default)]
pub struct SignalingFacts {
    /// Our description went out.
    pub sent_us: Option<u64>,
    /// The other side's description came in.
    pub received_us: Option<u64>,
    /// How long it was waited for, where it was given up.
    pub waited_us: Option<u64>,
    /// Code and text of a refusal.
    pub refused: Option<(String, String)>,
    /// How the signaling WebSocket ended, and when.
    pub closed: Option<(CloseCause, Option<u64>)>,
    /// What is wrong with a description.
    pub rejected: Option<String>,
}

/// A kind of transaction with one STUN or TURN server (RFC 8489 §6, RFC 8656).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTransaction {
    /// STUN method: 1 = Binding, 3 = Allocate, 4 = Refresh, 8 = CreatePermission, 9 = ChannelBind.
    pub method: u16,
    /// The server.
    pub server: SocketAddr,
    /// `udp`, `tcp` or `tls`.
    pub transport: &'static str,
    /// Requests sent, retransmissions included.
    pub sends: u32,
    /// First and last send.
    pub first_sent_us: u64,
    /// Last send.
    pub last_sent_us: u64,
    /// Answer.
    pub answered_us: Option<u64>,
    /// Error code of the answer (RFC 8489 §14.8); `None` for a success or no answer.
    pub error: Option<u16>,
    /// The request carried MESSAGE-INTEGRITY: a 401 then is a rejection and no challenge.
    pub with_integrity: bool,
    /// 438 answers in a row.
    pub stale_nonces: u32,
    /// XOR-PEER-ADDRESS of the request: whom a 403 forbids.
    pub peer: Option<SocketAddr>,
    /// ALTERNATE-SERVER of a 300.
    pub alternate_server: Option<SocketAddr>,
}

/// ICE checks of one candidate pair.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PairChecks {
    /// `type ip:port` of both ends, as far as known.
    pub local: String,
    /// The remote end.
    pub remote: String,
    /// Checks sent.
    pub sent: u32,
    /// Answered with success.
    pub answered: u32,
    /// Checks received from there.
    pub received: u32,
    /// Error answers and the last code.
    pub errors: u32,
    /// Last error code, such as 487.
    pub last_error: Option<u16>,
    /// Last check sent.
    pub last_sent_us: Option<u64>,
}

/// A system call that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedCall {
    /// `bind`, `connect`, `send`, `recv`, `socket`.
    pub call: &'static str,
    /// errno.
    pub errno: i32,
    /// Where to.
    pub destination: Option<SocketAddr>,
    /// When.
    pub at_us: u64,
    /// How often.
    pub count: u64,
}

/// An ICMP error from the socket's error queue (IP_RECVERR).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IcmpError {
    /// ICMP type (3 = destination unreachable; ICMPv6: 1).
    pub kind: u8,
    /// ICMP code (3/3 port unreachable, 3/13 prohibited).
    pub code: u8,
    /// Whether these are ICMPv6 numbers.
    pub v6: bool,
    /// Who sent it.
    pub offender: Option<std::net::IpAddr>,
    /// Whom the datagram was for.
    pub destination: SocketAddr,
    /// When.
    pub at_us: u64,
}

/// A look-up of a host name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The name.
    pub host: String,
    /// `NXDOMAIN`, `SERVFAIL`, …; `None` where nobody answered, the system hides it, or it worked.
    pub rcode: Option<String>,
    /// Whether nobody answered in time.
    pub timed_out: bool,
    /// Whether it brought addresses.
    pub resolved: bool,
    /// How long it took.
    pub elapsed_us: u64,
    /// When it ended.
    pub at_us: Option<u64>,
}

/// How the generator was between two moments of a sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GeneratorFacts {
    /// Why it counts as starved, in words with figures; empty when it does not.
    pub starved: Vec<String>,
    /// Longest delay of a timer of the runtime, ms.
    pub loop_lag_ms: Option<f64>,
    /// Longest time a datagram waited in the kernel until it was read, ms.
    pub socket_lag_ms: Option<f64>,
    /// Open descriptors and their limit.
    pub fds: Option<(u64, u64)>,
    /// UDP sockets of this network namespace, and local ports there are.
    pub udp_ports: Option<(u64, u64)>,
    /// TCP sockets in TIME_WAIT, and local ports there are.
    pub tcp_time_wait: Option<(u64, u64)>,
    /// Datagrams dropped for want of receive buffer in the whole network namespace meanwhile.
    pub receive_buffer_errors: u64,
}

/// The same user, or the same TURN account, elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentityFacts {
    /// Others of this process that use the same signaling name on the same server now.
    pub same_name_here: u32,
    /// Others of this process that use the same TURN user name on the same server now.
    pub same_turn_user_here: u32,
    /// When the same name was last logged in by another socket of this process.
    pub other_login_us: Option<u64>,
}

/// What happened to other sessions of this generator at about the same time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OtherSessions {
    /// Sessions that were up one second before the loss.
    pub up: u32,
    /// Sessions lost within the same second, this one included.
    pub lost_together: u32,
    /// What they share, such as `relay 192.0.2.1`.
    pub shared: Option<String>,
}

/// Everything that is known of one WebSocket when its verdict is asked for.
#[derive(Clone, Debug, Default)]
pub struct SocketFacts {
    /// When the verdict is asked for.
    pub now_us: u64,
    /// Why opening or using it failed.
    pub error: Option<SocketError>,
    /// How it ended, where it was open.
    pub closed: Option<CloseCause>,
    /// How long it had been silent before its end.
    pub idle_us: Option<u64>,
    /// How long the name look-up took, where there was one.
    pub dns_us: Option<u64>,
    /// Whether the addresses came from the cache.
    pub dns_from_cache: Option<bool>,
    /// `host:port`, no path and no query.
    pub server: String,
    /// The generator meanwhile.
    pub generator: GeneratorFacts,
    /// The same user elsewhere.
    pub identity: IdentityFacts,
}

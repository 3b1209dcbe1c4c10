//! What a verdict is made from: plain values, taken by others and handed over in one piece.
//!
//! Nothing here is read by this room itself. Times are µs since the session was created (of a socket: since its opening
//! began), unless a name says otherwise. No value of these types holds a password, a nonce, a token or a user name.

use crate::net::facts::WireFacts;
use crate::peer::MediaDirection;
use crate::socket::{CloseCause, SocketError};

/// Everything that is known of one call or session when its verdict is asked for.
#[derive(Clone, Debug, Default)]
pub struct SessionFacts {
    /// When the verdict is asked for; of a lost session when it was lost.
    pub now_us: u64,
    /// How it ended, or that it goes on.
    pub end: End,
    /// What was configured.
    pub configured: Configured,
    /// errno of the bind of its UDP socket, and the system's words, where that failed.
    pub bind_error: Option<(Option<i32>, String)>,
    /// The local side's candidates found so far.
    pub local_candidates: Vec<Candidate>,
    /// The remote side's candidates we were told of.
    pub remote_candidates: Vec<Candidate>,
    /// The remote side said that no more candidates come.
    pub remote_candidates_ended: bool,
    /// Remote candidates that could not be used, and why the last one could not.
    pub refused_candidates: Option<(u32, String)>,
    /// Gathering complete, or at its deadline.
    pub gathered_us: Option<u64>,
    /// The remote description was applied.
    pub described_us: Option<u64>,
    /// ICE connected for the first time.
    pub ice_connected_us: Option<u64>,
    /// DTLS done.
    pub dtls_connected_us: Option<u64>,
    /// Direction of the audio line, seen from us, once agreed.
    pub direction: Option<MediaDirection>,
    /// The signaling of the call.
    pub signaling: SignalingFacts,
    /// What went over the session's sockets.
    pub wire: WireFacts,
    /// RTP packets that the other side says it received of ours.
    pub peer_received: Option<u64>,
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
    /// It is being set up, or it is up: a verdict comes only from what will not heal by itself.
    #[default]
    Open,
    /// The set-up failed at this step.
    SetUp(Step),
    /// It was up and lost its connection.
    Lost,
    /// It was hung up, and both sides' accounts are there.
    HungUp,
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
    /// Number of STUN and TURN servers.
    pub ice_servers: usize,
    /// Whether only relayed candidates may be used.
    pub relay_only: bool,
    /// Whether we are to send audio.
    pub send_audio: bool,
    /// When the TURN user name ends, for names of the form `<unix time>:<name>` (TURN REST), in seconds since the epoch; the
    /// earliest of several.
    pub turn_expires_s: Option<u64>,
    /// The wall clock when the verdict is asked for, in seconds since the epoch.
    pub wall_clock_s: u64,
    /// How long connecting may take.
    pub connect_timeout_us: u64,
    /// A reason why the configuration was refused.
    pub refused: Option<String>,
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

impl Candidate {
    /// Reads a `candidate-attribute` (RFC 8839 §5.1), with or without its `a=` and `candidate:`; `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix("a=").unwrap_or(text);
        let mut words = text.strip_prefix("candidate:").unwrap_or(text).split_ascii_whitespace().skip(2);
        let transport = words.next()?.to_ascii_lowercase();
        let address = words.nth(1)?.to_owned();
        let port = words.next()?.parse().ok()?;
        if words.next()? != "typ" {
            return None;
        }
        Some(Self { kind: words.next()?.to_owned(), transport, address, port })
    }
}

impl std::fmt::Display for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}:{}/{}", self.kind, self.address, self.port, self.transport)
    }
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
    /// How the signaling WebSocket ended.
    pub closed: Option<CloseCause>,
    /// When it ended.
    pub closed_us: Option<u64>,
    /// What is wrong with a description.
    pub rejected: Option<String>,
}

/// How the generator was between two moments of a sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GeneratorFacts {
    /// Why its own times cannot be trusted, in words with figures; empty when they can.
    pub starved: Vec<String>,
    /// How long timers of the engine were late, all together, µs: so much of the time it did nothing.
    pub stalled_us: u64,
    /// The time looked at, µs.
    pub window_us: u64,
    /// Which of its limits are reached or nearly so, in words with figures.
    pub limits: Vec<String>,
    /// The limit of open descriptors of this process.
    pub fd_limit: Option<u64>,
    /// Local ports there are (net.ipv4.ip_local_port_range).
    pub ports: Option<u64>,
    /// TCP sockets of this network namespace, those in TIME_WAIT included.
    pub tcp_sockets: Option<u64>,
    /// TCP sockets in TIME_WAIT.
    pub tcp_time_wait: Option<u64>,
    /// UDP sockets of this network namespace.
    pub udp_sockets: Option<u64>,
    /// Datagrams dropped for want of receive buffer in the whole network namespace meanwhile.
    pub receive_buffer_errors: u64,
}

/// The same user, or the same TURN account, elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentityFacts {
    /// Other sockets of this process that are logged in as the same user of the same server.
    pub same_user_here: u32,
    /// How long before this end another socket of this process logged in as the same user, µs.
    pub other_login_before_us: Option<u64>,
    /// Other sessions of this process that use the same TURN account now.
    pub same_turn_account_here: u32,
}

/// What happened to other sessions of this generator at about the same time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OtherSessions {
    /// Sessions that were up right before the loss, this one included.
    pub up: u32,
    /// Sessions lost within the same second, this one included.
    pub lost_together: u32,
    /// What those share, such as `the remote address 192.0.2.1`.
    pub shared: Option<String>,
}

/// Everything that is known of one WebSocket when its verdict is asked for.
#[derive(Clone, Debug, Default)]
pub struct SocketFacts {
    /// Why opening or using it failed.
    pub error: Option<SocketError>,
    /// How it ended, where it was open.
    pub closed: Option<CloseCause>,
    /// When it ended or failed.
    pub ended_us: Option<u64>,
    /// How long it had been silent in both directions before its end, keep-alive pings included.
    pub idle_us: Option<u64>,
    /// How long the name look-up took, where there was one.
    pub dns_us: Option<u64>,
    /// Whether the addresses came from the cache.
    pub dns_from_cache: bool,
    /// `host:port`, no path and no query.
    pub server: String,
    /// What was asked for, where it was not the upgrade to a WebSocket, such as `the HTTP request 'channel'`.
    pub request: Option<String>,
    /// Whether the plan gave a source address.
    pub source_address: bool,
    /// The generator meanwhile.
    pub generator: GeneratorFacts,
    /// The same user elsewhere.
    pub identity: IdentityFacts,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_candidate_is_read_with_and_without_its_prefix() {
        let text = "candidate:1 1 UDP 2130706431 192.0.2.7 5000 typ srflx raddr 0.0.0.0 rport 0";
        let candidate = Candidate::parse(text).expect("a candidate");
        assert_eq!(candidate.to_string(), "srflx 192.0.2.7:5000/udp");
        assert_eq!(Candidate::parse(&format!("a={text}")), Some(candidate.clone()));
        assert_eq!(Candidate::parse(text.trim_start_matches("candidate:")), Some(candidate));
    }

    #[test]
    fn what_is_no_candidate_is_none() {
        for text in
            ["", "candidate:", "candidate:1 1 udp 1 192.0.2.7 port typ host", "candidate:1 1 udp 1 a 5 host", "x"]
        {
            assert_eq!(Candidate::parse(text), None, "{text}");
        }
    }
}

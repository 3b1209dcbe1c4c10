//! The one list of codes: what failed and why, one word each.
//!
//! A response code says *what* failed (`ICE_FAILED`: ICE did not connect), a cause says *why* (`TURN_QUOTA`). Both are words of
//! this list, and where the step that failed is itself the reason they are the same word. `docs/causes.md` is made from it.
//! Pure.

use std::fmt;

use serde::{Serialize, Serializer};

/// Where a cause lies, in the order in which a call passes the layers: among equally certain causes the first one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// What was asked for.
    Plan,
    /// The machine that generates the load.
    Generator,
    /// Host names.
    Names,
    /// TCP and TLS.
    Connection,
    /// The WebSocket and the messages on it.
    Signaling,
    /// STUN and TURN servers.
    Servers,
    /// Interactive Connectivity Establishment.
    Ice,
    /// The DTLS handshake.
    Dtls,
    /// RTP.
    Media,
    /// A connection that was up: consent (RFC 7675).
    Consent,
    /// The end of a call.
    Ending,
    /// Codes that only say which step failed or which limit was broken; never a cause.
    Step,
}

impl Layer {
    /// The layer in words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plan => "test plan",
            Self::Generator => "generator",
            Self::Names => "DNS",
            Self::Connection => "TCP and TLS",
            Self::Signaling => "signaling",
            Self::Servers => "STUN and TURN",
            Self::Ice => "ICE",
            Self::Dtls => "DTLS",
            Self::Media => "media",
            Self::Consent => "consent",
            Self::Ending => "end of the call",
            Self::Step => "codes of what failed, which are never causes",
        }
    }
}

macro_rules! causes {
    ($($(#[doc = $meaning:literal])+ $name:ident = $code:literal {
        layer: $layer:ident,
        heading: $heading:literal,
        separates: $separates:literal,
        advice: $advice:literal $(,)?
    })+) => {
        /// What failed or why. At most 60, never renamed once released.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Cause {
            $($(#[doc = $meaning])+ $name,)+
        }

        impl Cause {
            /// All causes, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The word that stands in results.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// A heading for people.
            pub const fn heading(self) -> &'static str {
                match self { $(Self::$name => $heading,)+ }
            }

            /// Where it lies.
            pub const fn layer(self) -> Layer {
                match self { $(Self::$name => Layer::$layer,)+ }
            }

            /// What it means, in a sentence or two.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($meaning, "\n"),+),)+ }
            }

            /// Which fact tells it from its look-alikes.
            pub const fn separates(self) -> &'static str {
                match self { $(Self::$name => $separates,)+ }
            }

            /// What to do; a word in braces stands for a fact of the case, one that all cases of a kind share: results are grouped by it.
            pub const fn advice(self) -> &'static str {
                match self { $(Self::$name => $advice,)+ }
            }
        }
    };
}

causes! {
    /// A field of an element has a value that cannot be used, or names a WebSocket or call that is not there. Nothing was sent.
    Config = "CONFIG" {
        layer: Plan,
        heading: "Configuration Refused",
        separates: "refused before any packet; the message names field and value",
        advice: "Correct the field that the message names.",
    }
    /// Our own side stopped it: a stop of the test, the end of its thread, a close by the plan.
    Cancelled = "CANCELLED" {
        layer: Plan,
        heading: "Cancelled",
        separates: "the close or the cancel was ours",
        advice: "Nothing failed. If the plan should have waited, look for what ended it: Stop, the scheduler, a Close or Hang Up before.",
    }
    /// The local address has no UDP port left.
    GenUdpPorts = "GEN_UDP_PORTS" {
        layer: Generator,
        heading: "No UDP Port Left",
        separates: "errno EADDRINUSE of bind to port 0; a wrong address is EADDRNOTAVAIL",
        advice: "Widen net.ipv4.ip_local_port_range ({ports} ports now), take more source addresses, or spread the softphones over more generators. A softphone needs one port: many more sockets than softphones is a leak.",
    }
    /// No local TCP port is left towards that server.
    GenTcpPorts = "GEN_TCP_PORTS" {
        layer: Generator,
        heading: "No TCP Port Left",
        separates: "errno EADDRNOTAVAIL or EADDRINUSE of connect, with most local ports in use or in TIME_WAIT",
        advice: "Keep WebSockets open across iterations instead of opening one per iteration (TIME_WAIT holds a port for 60 s), widen net.ipv4.ip_local_port_range, or take more source addresses.",
    }
    /// The process or the machine may open no more files and sockets.
    GenFds = "GEN_FDS" {
        layer: Generator,
        heading: "Too Many Open Files",
        separates: "errno EMFILE: limit of the process; ENFILE: limit of the machine",
        advice: "Raise the limit of open files: of the process by ulimit -n or LimitNOFILE of systemd, of the machine by fs.file-max. {limit}",
    }
    /// The kernel dropped what had arrived, because it was not read in time.
    GenReceiveBuffer = "GEN_RECEIVE_BUFFER" {
        layer: Generator,
        heading: "Receive Buffer Overflow",
        separates: "the socket's own drop counter (SO_MEMINFO); loss in the network leaves it at zero",
        advice: "The network delivered these packets and this machine lost them: fewer softphones per generator, more CPU, or a larger net.core.rmem_max.",
    }
    /// The generator got too little CPU to keep its own times; what looks like a slow or silent server may be this machine.
    GenCpuStarved = "GEN_CPU_STARVED" {
        layer: Generator,
        heading: "Generator Starved of CPU",
        separates: "timers of the runtime late, datagrams waiting in the kernel, or the CPU quota used up, within the time of the sample; likely when a third of that time was lost, else only possible",
        advice: "Do not read this sample as a fault of the server. Fewer softphones per generator, more cores, a higher CPU limit of the container, or JMeter's distributed mode.",
    }
    /// Packets do not leave: this machine's rules, its routes or a router on the way refuse them.
    SendRefused = "SEND_REFUSED" {
        layer: Generator,
        heading: "Packets Refused on the Way",
        separates: "errno of the send (EPERM, EACCES: rule; ENETUNREACH, EHOSTUNREACH: route; ENOBUFS: queue) or an ICMP message with its sender",
        advice: "The refusal names what has to change: a firewall rule, a route, a queue. {refusal}",
    }
    /// The name does not exist.
    DnsNxdomain = "DNS_NXDOMAIN" {
        layer: Names,
        heading: "Name Does Not Exist",
        separates: "response code NXDOMAIN, an authoritative no",
        advice: "Correct the host name '{host}', or give this machine the name server that knows it.",
    }
    /// The name server answered, and there is no address in it.
    DnsNoAddress = "DNS_NO_ADDRESS" {
        layer: Names,
        heading: "No Address for Name",
        separates: "response code SERVFAIL or REFUSED, NOERROR without an A or AAAA record (NODATA), or an error of the system's resolver that hides its code; the evidence says which",
        advice: "Ask the name server of this machine for '{host}' by hand (dig). {record}",
    }
    /// No name server answered.
    DnsTimeout = "DNS_TIMEOUT" {
        layer: Names,
        heading: "Name Server Silent",
        separates: "no answer until the deadline; a broken name server answers at once",
        advice: "Check the name servers in /etc/resolv.conf; under load use a resolver on this machine. Names are cached unless the plan switches that off.",
    }
    /// The name was resolved, but late.
    DnsSlow = "DNS_SLOW" {
        layer: Names,
        heading: "Name Resolution Slow",
        separates: "an answer after a second or more",
        advice: "Use a resolver near this machine; leave the cache on so that each name is asked for once.",
    }
    /// The host is there and nobody listens on that TCP port.
    ConnectRefused = "CONNECT_REFUSED" {
        layer: Connection,
        heading: "Connection Refused",
        separates: "errno ECONNREFUSED: an RST answered; a firewall that drops gives silence",
        advice: "Start the server, or correct the port of {server}.",
    }
    /// TCP, TLS, the proxy or the upgrade was not answered in time.
    ConnectTimeout = "CONNECT_TIMEOUT" {
        layer: Connection,
        heading: "Connection Not Answered",
        separates: "silence until the deadline; the evidence names the phase that was silent",
        advice: "A firewall that drops, a full backlog, or a wrong address: try {server} from another machine, and lower the start rate if it answers there.",
    }
    /// TLS ended with an alert.
    TlsAlert = "TLS_ALERT" {
        layer: Connection,
        heading: "TLS Alert",
        separates: "the alert's own name (RFC 8446 section 6) from the server",
        advice: "The name of the alert says what the server objects to. {alert}",
    }
    /// TLS was not established, and no alert says why.
    TlsFailed = "TLS_FAILED" {
        layer: Connection,
        heading: "TLS Failed",
        separates: "our own check of the certificate, bytes that are no TLS, or an end during the handshake",
        advice: "Give the issuer of the server's certificate as trusted, correct the host name, or use the port that speaks TLS.",
    }
    /// The server wants other credentials for the WebSocket.
    UpgradeUnauthorized = "UPGRADE_UNAUTHORIZED" {
        layer: Signaling,
        heading: "Upgrade Not Authorised",
        separates: "HTTP status 401, 403 or 407 instead of 101",
        advice: "Send valid credentials with the upgrade: get the token in the plan and put it into a Header Manager; a token that was valid at the start may have expired.",
    }
    /// The server limits how many WebSockets are opened.
    UpgradeRateLimited = "UPGRADE_RATE_LIMITED" {
        layer: Signaling,
        heading: "Upgrades Rate Limited",
        separates: "HTTP status 429 or 503 instead of 101, often with Retry-After",
        advice: "Open WebSockets more slowly ({retryAfter}); keep them open across iterations. The rate limit is the server's.",
    }
    /// The server does not open a WebSocket there.
    UpgradeRefused = "UPGRADE_REFUSED" {
        layer: Signaling,
        heading: "Upgrade Refused",
        separates: "any other HTTP status than 101",
        advice: "Status {status} from {server}: check the path, and that a proxy in front lets WebSockets through.",
    }
    /// What the server sent is no WebSocket protocol.
    WebsocketProtocol = "WEBSOCKET_PROTOCOL" {
        layer: Signaling,
        heading: "Not the WebSocket Protocol",
        separates: "an answer or a frame that breaks RFC 6455; the evidence says how",
        advice: "A wrong port, or a proxy that changes what it passes on. If it is the server itself, this is its bug.",
    }
    /// The server closed the WebSocket with a status.
    ClosedByServer = "CLOSED_BY_SERVER" {
        layer: Signaling,
        heading: "WebSocket Closed by Server",
        separates: "a close frame with its status",
        advice: "The status says why (RFC 6455 section 7.4.1). {status}",
    }
    /// TCP was ended without a close frame.
    ClosedByFin = "CLOSED_BY_FIN" {
        layer: Signaling,
        heading: "WebSocket Cut (FIN)",
        separates: "a FIN without a close frame; equal idle times before each cut are a timer on the way",
        advice: "Mostly an idle timeout of a load balancer or proxy, or a server that ended: switch keep-alive pings on (shorter than that timeout), and look at the server's log at that time.",
    }
    /// TCP was reset.
    ClosedByReset = "CLOSED_BY_RESET" {
        layer: Signaling,
        heading: "WebSocket Cut (RST)",
        separates: "errno ECONNRESET or EPIPE",
        advice: "A process that was killed, a load balancer that drains, or a NAT that forgot the connection: keep-alive pings help against the last.",
    }
    /// The connection is dead, and nobody said so.
    ClosedHalfOpen = "CLOSED_HALF_OPEN" {
        layer: Signaling,
        heading: "WebSocket Half-Open",
        separates: "no answer to a ping, or TCP gave up retransmitting; no FIN and no RST came",
        advice: "A NAT or firewall on the way forgot the connection, or the server hangs: keep-alive pings at a shorter interval, and a look at the server's CPU.",
    }
    /// Offer or answer was not answered in time.
    SignalingTimeout = "SIGNALING_TIMEOUT" {
        layer: Signaling,
        heading: "Signaling Timed Out",
        separates: "the WebSocket is open and silent about this call",
        advice: "The server or the called side is too slow or does not answer: check that the callee is registered, and the answer timeout.",
    }
    /// The other side refused the call.
    SignalingRefused = "SIGNALING_REFUSED" {
        layer: Signaling,
        heading: "Call Refused",
        separates: "a coded refusal of the server or the callee",
        advice: "The refusal says why: {refusal}.",
    }
    /// A session description cannot be used.
    SdpRejected = "SDP_REJECTED" {
        layer: Signaling,
        heading: "SDP Rejected",
        separates: "the parser or the negotiation refused it, before any check was sent",
        advice: "Compare both descriptions in the sample's data: common codecs, an audio line, ICE and DTLS attributes.",
    }
    /// The same user is logged in twice; the server put one of them out.
    DuplicateIdentity = "DUPLICATE_IDENTITY" {
        layer: Signaling,
        heading: "Same User Twice",
        separates: "a refusal or a close that says so, or one right after another login of the same user by this generator; other workers are not seen, their logins show in the server's words only",
        advice: "Give each softphone a user of its own: split the CSV of users between workers (one file per worker, or a CSV Data Set that is not shared), and do not log in again while the old socket is open.",
    }
    /// A STUN server does not answer.
    StunSilent = "STUN_SILENT" {
        layer: Servers,
        heading: "STUN Server Silent",
        separates: "Binding requests sent again and again, no answer, no ICMP",
        advice: "UDP to {server} is dropped on the way, or nothing is there: open UDP in the firewall, or check host and port.",
    }
    /// Nothing listens on the server's UDP port.
    StunPortClosed = "STUN_PORT_CLOSED" {
        layer: Servers,
        heading: "STUN Port Closed",
        separates: "ICMP port unreachable from the server's address; also of a relay that ends in mid-call",
        advice: "The host of {server} is up and no server listens on that port: start it, or correct the port.",
    }
    /// A TURN server does not answer an Allocate request.
    TurnSilent = "TURN_SILENT" {
        layer: Servers,
        heading: "TURN Server Silent",
        separates: "Allocate requests without any answer; a server that answers Binding meanwhile limits its 401 challenges",
        advice: "If Binding is answered by the same server, it limits challenges per source address: start fewer relayed softphones per second. Else UDP to {server} is dropped: open it, or use TURN over TCP or TLS.",
    }
    /// The TURN server does not accept user name and password.
    TurnCredentialsRejected = "TURN_CREDENTIALS_REJECTED" {
        layer: Servers,
        heading: "TURN Credentials Rejected",
        separates: "401 for a request that carried MESSAGE-INTEGRITY; the first 401, without it, is only the challenge",
        advice: "Correct user name and credential of {server}, or the realm and secret at the server. This is no network timeout: the server answered.",
    }
    /// Time-limited TURN credentials had expired.
    TurnCredentialsExpired = "TURN_CREDENTIALS_EXPIRED" {
        layer: Servers,
        heading: "TURN Credentials Expired",
        separates: "401 with MESSAGE-INTEGRITY, and the time in the user name lies in the past",
        advice: "Fetch TURN credentials per session, right before the call, and compare the clocks of generator and server.",
    }
    /// The TURN server's quota of allocations is used up.
    TurnQuota = "TURN_QUOTA" {
        layer: Servers,
        heading: "TURN Quota Reached",
        separates: "486 after successful authentication; failures begin at a constant number of users",
        advice: "Use a TURN user per softphone or raise the quota (coturn: user-quota, total-quota). Allocations that were not released count for up to 10 minutes.",
    }
    /// The TURN server has no relay port left.
    TurnCapacity = "TURN_CAPACITY" {
        layer: Servers,
        heading: "TURN Server Full",
        separates: "508 Insufficient Capacity",
        advice: "Widen the server's relay ports (coturn: min-port, max-port) or add servers; coturn gives up at about half its range.",
    }
    /// The relay may not reach the other side.
    TurnPeerForbidden = "TURN_PEER_FORBIDDEN" {
        layer: Servers,
        heading: "TURN Peer Forbidden",
        separates: "403 for CreatePermission or ChannelBind: the relay is there and useless",
        advice: "The server denies {peer} as a peer (coturn: denied-peer-ip, allowed-peer-ip; loopback needs allow-loopback-peers).",
    }
    /// The TURN server calls every nonce stale.
    TurnStaleNonce = "TURN_STALE_NONCE" {
        layer: Servers,
        heading: "TURN Nonce Stale Again and Again",
        separates: "438 twice in a row; one 438 is normal",
        advice: "Several servers behind one address do not share their nonces: pin a client to one server, or use names of their own.",
    }
    /// The TURN server refused for another reason, or sent us elsewhere and no relay came of it.
    TurnRefused = "TURN_REFUSED" {
        layer: Servers,
        heading: "TURN Request Refused",
        separates: "another error code than 401, 403, 438, 486 and 508; 300 Try Alternate where the alternate server gave no relay",
        advice: "The code says why (RFC 8489, RFC 8656). {code}",
    }
    /// Gathering found no candidate that may be used.
    IceNoLocalCandidates = "ICE_NO_LOCAL_CANDIDATES" {
        layer: Ice,
        heading: "No Local Candidates",
        separates: "gathering complete, or at its deadline, with none",
        advice: "With the relay policy a TURN server has to give one: see what its transactions say. Without it, check the source address.",
    }
    /// The other side named no candidate.
    IceNoRemoteCandidates = "ICE_NO_REMOTE_CANDIDATES" {
        layer: Ice,
        heading: "No Remote Candidates",
        separates: "none in the description, none trickled; so no check was sent",
        advice: "The other side gathered nothing, or its candidates did not arrive: look at its TURN configuration, and whether the signaling passes trickled candidates on.",
    }
    /// No candidate of one side fits one of the other.
    IceNoCompatiblePairs = "ICE_NO_COMPATIBLE_PAIRS" {
        layer: Ice,
        heading: "No Compatible Candidate Pairs",
        separates: "candidates on both sides, but no two of one family and transport, or the other side's are mDNS names (.local) only",
        advice: "Give both sides a kind of candidate in common, or a relay that has both. {apart}",
    }
    /// The description came when the checks had no time left.
    IceAnswerLate = "ICE_ANSWER_LATE" {
        layer: Ice,
        heading: "Answer Too Late for ICE",
        separates: "checks of the other side before ours and none after, or hardly any time between answer and deadline",
        advice: "Many stacks give a pair up after 1.4 s of checks. Speed the answer up, trickle candidates, or give connecting more time.",
    }
    /// One side uses an old description of the other.
    IceStaleUfrag = "ICE_STALE_UFRAG" {
        layer: Ice,
        heading: "Stale Session Description",
        separates: "checks whose USERNAME has another ufrag than the current one, or checks answered with 400 or 401",
        advice: "A recorded SDP is replayed, or two calls are mixed up: send each offer's own answer, and take SDP from variables that belong to the same iteration.",
    }
    /// Checks went out on every pair and none was answered.
    IceChecksUnanswered = "ICE_CHECKS_UNANSWERED" {
        layer: Ice,
        heading: "Checks Unanswered",
        separates: "checks out, no response in; checks in without responses is a block in one direction",
        advice: "The other side is gone, or UDP between both is blocked: open UDP, or give both a TURN relay. {direction}",
    }
    /// Both sides are behind one NAT that does not turn packets round.
    IceNoHairpin = "ICE_NO_HAIRPIN" {
        layer: Ice,
        heading: "NAT Does Not Hairpin",
        separates: "both sides have the same public address, and only the pair through it could work",
        advice: "Run generator and peer on different sides of the NAT, switch hairpinning (NAT loopback) on, or use a TURN relay.",
    }
    /// ICE is up, and the other side never spoke DTLS.
    DtlsSilent = "DTLS_SILENT" {
        layer: Dtls,
        heading: "DTLS Unanswered",
        separates: "DTLS records out, none in, while checks are answered; certain when the socket was read for 2.5 s after the first record",
        advice: "Both sides wait or both act (a=setup), the peer is overloaded, or a firewall passes STUN and drops DTLS.",
    }
    /// The certificate is not the one that the description promised.
    DtlsFingerprint = "DTLS_FINGERPRINT" {
        layer: Dtls,
        heading: "DTLS Fingerprint Mismatch",
        separates: "clear-text alert bad_certificate (42) in one direction",
        advice: "The a=fingerprint belongs to another session: a replayed or mixed up SDP, or a server in between that ends DTLS itself.",
    }
    /// The DTLS handshake ended with another alert.
    DtlsAlert = "DTLS_ALERT" {
        layer: Dtls,
        heading: "DTLS Alert",
        separates: "a fatal alert in clear text; the evidence has its name and direction",
        advice: "Compare what both sides support: DTLS 1.2, ECDHE, an SRTP profile in common.",
    }
    /// The DTLS handshake failed. As a cause: it began, no alert came, and it did not end.
    DtlsFailed = "DTLS_FAILED" {
        layer: Dtls,
        heading: "DTLS Handshake Failed",
        separates: "as a cause: records in both directions, no alert and no end; small records pass and large ones do not if the path loses large packets",
        advice: "Look for a path MTU below 1200 bytes, for loss, and for a peer without CPU for its handshakes.",
    }
    /// Everything is connected, and no media comes in.
    MediaNoneIn = "MEDIA_NONE_IN" {
        layer: Media,
        heading: "No Media Received",
        separates: "ICE and DTLS done, RTP out, none in, none dropped by our socket; certain when the socket was read for a second after DTLS",
        advice: "The other side does not send: direction of the audio line, hold, an agent that has not joined, or a media server without a source.",
    }
    /// Everything is connected, and our media does not arrive or leave.
    MediaNoneOut = "MEDIA_NONE_OUT" {
        layer: Media,
        heading: "No Media Sent",
        separates: "the other side's account is zero, or no RTP packet left us",
        advice: "Check that audio is switched on and that the audio line's direction lets us send; else media towards the peer is dropped on the way.",
    }
    /// The path or the other side went away.
    ConsentLostPath = "CONSENT_LOST_PATH" {
        layer: Consent,
        heading: "Path Lost",
        separates: "consent checks out, no responses, and media stopped as well; certain when the connection to a relay was cut",
        advice: "Look at what ended at that moment: the peer, a relay, a NAT binding (keep-alive), a network interface. A loss after exactly 300 or 600 s is a TURN permission or allocation.",
    }
    /// The other side's ICE stopped answering while its media still came, or its port closed.
    ConsentLostPeer = "CONSENT_LOST_PEER" {
        layer: Consent,
        heading: "Peer Stopped Answering",
        separates: "media still came in while no consent check was answered; or ICMP port unreachable from the peer",
        advice: "The path is fine: the peer is overloaded, or its process ended. Look at the peer's machine.",
    }
    /// Our own consent checks were not sent in time.
    ConsentLostGenerator = "CONSENT_LOST_GENERATOR" {
        layer: Consent,
        heading: "Consent Checks Not Sent",
        separates: "a gap between our own consent checks, before the loss",
        advice: "This machine stopped working for seconds: see the generator's figures for that time. Fewer softphones per generator.",
    }
    /// Many sessions were lost at once: they share the reason.
    ConsentLostTogether = "CONSENT_LOST_TOGETHER" {
        layer: Consent,
        heading: "Many Lost at Once",
        separates: "at least three and a fifth of the sessions that were up, within one second",
        advice: "Look for what they share ({shared}): one relay, one media server, one NAT, or this generator. It is one fault, not many.",
    }
    /// The other side hung up.
    EndedByPeer = "ENDED_BY_PEER" {
        layer: Ending,
        heading: "Ended by Peer",
        separates: "its good-bye in the signaling, or DTLS close_notify",
        advice: "If the plan should have kept the call, look at the other side's reason and its own limits.",
    }
    /// A fault of jmeter-webrtc itself, or its native library cannot be loaded.
    EngineFailed = "ENGINE_FAILED" {
        layer: Ending,
        heading: "Engine Failed",
        separates: "the engine's task ended by itself, without an alert and without an answer missing; or the message names the library",
        advice: "Where the message names the native library, install the jar for this platform. Otherwise this is a bug of jmeter-webrtc: report it with this sample's data.",
    }
    /// ICE did not connect, or not in time. Why is said by the cause.
    IceFailed = "ICE_FAILED" {
        layer: Step,
        heading: "ICE Connection Failed",
        separates: "code of a *WebRTC Call* and of a *WebRTC Await Connected*",
        advice: "See the cause.",
    }
    /// A call that was connected is lost. Why is said by the cause.
    CallLost = "CALL_LOST" {
        layer: Step,
        heading: "Call Lost",
        separates: "code of `WebRTC lost`, and of elements that need the call",
        advice: "See the cause.",
    }
    /// A limit or expectation of the plan is not met: loss, jitter or round trip time of a *WebRTC Media Check*, a check of a
    /// *WebRTC Preflight*, the type of a frame.
    CheckFailed = "CHECK_FAILED" {
        layer: Step,
        heading: "Check Failed",
        separates: "code of these elements; the message names what was found and what was wanted",
        advice: "See the message and the evidence.",
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Cause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The whole text of `docs/causes.md`: what a verdict is, and one row per cause, grouped by layer.
pub fn document() -> String {
    let mut text = INTRODUCTION.to_owned();
    let mut layer = None;
    for &cause in Cause::ALL {
        if layer != Some(cause.layer()) {
            layer = Some(cause.layer());
            let mut name = cause.layer().name().to_owned();
            name[..1].make_ascii_uppercase();
            text.push_str(&format!(
                "\n## {name}\n\n| cause | means | what separates it | what to do |\n|---|---|---|---|\n"
            ));
        }
        let meaning = cause.meaning().split_whitespace().collect::<Vec<_>>().join(" ");
        // What is only known in a case stands at the end, as a sentence of its own.
        let advice = match cause.advice().rsplit_once(" {") {
            Some((general, word)) if word.ends_with('}') => general,
            _ => cause.advice(),
        };
        let advice = advice.replace(['{', '}'], "*");
        let (heading, separates) = (cause.heading(), cause.separates());
        text.push_str(&format!("| `{cause}` | **{heading}.** {meaning} | {separates} | {advice} |\n"));
    }
    text
}

/// What stands above the tables.
const INTRODUCTION: &str = r#"<!-- Written by `cargo run --example causes`; a test fails when it is stale. -->
# Causes

A failed result says two things. Its **code** says *what* failed: the step that was not reached, such as `ICE_FAILED`
([results.md](results.md#response-codes)). Its **cause** says *why*, such as `TURN_QUOTA`. Where the step itself is the reason, both are the
same word. This page lists every code and every cause there is; the last table has those that only say what failed.

```json
{"error":"ICE Connection Timed Out","code":"ICE_FAILED","details":{},
 "cause":"TURN_CREDENTIALS_REJECTED","confidence":"certain",
 "evidence":[{"atUs":20113,"fact":"203.0.113.9:3478/udp answered Allocate with 401"}],
 "advice":"Correct user name and credential …","also":[{"cause":"GEN_CPU_STARVED","confidence":"likely"}]}
```

- `confidence` is `certain` when a packet, an errno or a counter names the cause; `likely` when a rule over several facts does;
  `ambiguous` when several causes fit.
- A certain cause goes before a likely one, and so on. Among equals the first layer that a call passes goes first, which is the
  order of this page. What else was found stands in `also`. The one exception: a likely cause that explains exactly the fact that leads goes before
  it, such as a second login of the same user before the close that it brought.
- `evidence` has at most eight facts; `atUs` is µs since the start of the sample's call or connection, `null` where a fact has no one moment. No
  secret stands in it.
- `starved` is true when this generator could not keep its own times while the sample ran; `starvedReasons` says how it was seen. A starved
  sample that failed by silence has the cause `GEN_CPU_STARVED` if the generator lost a third of its time, else it stands in `also`. What the wire
  itself says stays the cause, whatever the generator's state: a coded answer of a server; and that no media or no DTLS came, where a later
  datagram was read from the same socket, which is read in the order of arrival.
- 1006 is never on the wire (RFC 6455 section 7.4.1) and never an ICE cause: what lies beneath it is `CLOSED_BY_FIN`, `CLOSED_BY_RESET`,
  `CLOSED_HALF_OPEN` or `TLS_ALERT`.
"#;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn there_are_at_most_sixty_causes_and_each_has_a_word_of_its_own() {
        assert!(Cause::ALL.len() <= 60, "{}", Cause::ALL.len());
        let words: HashSet<_> = Cause::ALL.iter().map(|cause| cause.as_str()).collect();
        assert_eq!(words.len(), Cause::ALL.len());
        for word in words {
            assert!(word.chars().all(|c| c.is_ascii_uppercase() || c == '_'), "{word}");
        }
    }

    #[test]
    fn the_causes_stand_in_the_order_of_their_layers() {
        assert!(Cause::ALL.windows(2).all(|pair| pair[0].layer() <= pair[1].layer()));
    }

    #[test]
    fn every_cause_is_explained_in_all_columns() {
        for cause in Cause::ALL {
            for text in [cause.heading(), cause.meaning().trim(), cause.separates(), cause.advice()] {
                assert!(text.len() > 3 && !text.contains('|'), "{cause}: {text}");
            }
        }
    }

    #[test]
    fn the_documentation_is_what_this_list_says() {
        let written = include_str!("../../docs/causes.md");
        assert!(written == document(), "docs/causes.md is stale: cargo run --example causes > docs/causes.md");
    }
    #[test]
    fn what_the_plugin_says_itself_is_in_the_list() {
        let source = include_str!("../../jmeter-plugin/src/main/java/io/github/jmeterwebrtc/jmeter/result/Codes.java");
        let words: Vec<_> = source.lines().filter_map(|line| line.split_once(" = \"")?.1.strip_suffix("\";")).collect();
        assert!(!words.is_empty());
        for word in words {
            assert!(Cause::ALL.iter().any(|cause| cause.as_str() == word), "{word}");
        }
    }

    #[test]
    fn the_documentation_of_results_names_only_words_of_the_list() {
        let text = include_str!("../../docs/results.md");
        let codes = text.split("## Response codes").nth(1).expect("a chapter on response codes");
        for word in codes.split('`').skip(1).step_by(2) {
            let shaped_like_one = word.contains('_') && word.chars().all(|c| c.is_ascii_uppercase() || c == '_');
            assert!(!shaped_like_one || Cause::ALL.iter().any(|cause| cause.as_str() == word), "{word}");
        }
    }
}

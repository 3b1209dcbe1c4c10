//! Facts and the verdicts they have to lead to: at least one case for every cause.

use std::net::SocketAddr;

use super::facts::*;
use super::*;
use crate::config::ConfigError;
use crate::net::facts::*;
use crate::peer::MediaDirection;
use crate::socket::{CloseCause, SocketError as WebSocketError};

/// A moment of the cases, µs.
const NOW: u64 = 30_000_000;

enum Case {
    Session(Box<SessionFacts>),
    Socket(Box<SocketFacts>),
}

impl Case {
    fn verdict(&self) -> Option<Verdict> {
        match self {
            Self::Session(facts) => diagnose(facts),
            Self::Socket(facts) => diagnose_socket(facts),
        }
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn candidate(kind: &str, address: &str) -> Candidate {
    Candidate { kind: kind.into(), transport: "udp".into(), address: address.into(), port: 5000 }
}

/// A session whose set-up failed at `step` after 30 s; candidates of two networks, nothing on the wire yet.
pub(super) fn failed(step: Step) -> SessionFacts {
    SessionFacts {
        now_us: NOW,
        end: End::SetUp(step),
        configured: Configured {
            ice_servers: 1,
            send_audio: true,
            wall_clock_s: 1_800_000_000,
            connect_timeout_us: NOW,
            ..Configured::default()
        },
        local_candidates: vec![candidate("host", "10.0.0.1"), candidate("srflx", "192.0.2.1")],
        remote_candidates: vec![candidate("host", "10.9.0.1"), candidate("srflx", "198.51.100.1")],
        remote_candidates_ended: true,
        gathered_us: Some(50_000),
        described_us: Some(100_000),
        ..SessionFacts::default()
    }
}

fn session(step: Step, change: impl FnOnce(&mut SessionFacts)) -> Case {
    let mut facts = failed(step);
    change(&mut facts);
    Case::Session(Box::new(facts))
}

/// A generator that lost so much of 30 s.
fn starved(stalled_us: u64) -> GeneratorFacts {
    let starved = vec!["a timer was 700 ms late".into()];
    GeneratorFacts { starved, stalled_us, window_us: 30_000_000, ..GeneratorFacts::default() }
}

/// ICE that sent its checks into silence.
fn unanswered(change: impl FnOnce(&mut SessionFacts)) -> Case {
    session(Step::Ice, |facts| {
        facts.wire.checks_sent = 40;
        facts.wire.first_check_sent_us = Some(110_000);
        facts.wire.last_check_sent_us = Some(29_000_000);
        facts.wire.pairs = ["10.9.0.1:5000", "198.51.100.1:5000"]
            .map(|remote| PairFacts { remote: Some(address(remote)), checks_sent: 20, ..PairFacts::default() })
            .to_vec();
        change(facts);
    })
}

const SERVER: &str = "203.0.113.9:3478";

/// A relay that served from the beginning on.
fn serving(transport: ServerTransport) -> IceServerFacts {
    IceServerFacts {
        url: format!("turn:{SERVER}"),
        transport,
        address: Some(address(SERVER)),
        state: IceServerState::Ready,
        ready_us: Some(90_000),
        ..IceServerFacts::default()
    }
}

fn asked(method: StunMethod) -> StunTransaction {
    StunTransaction {
        method,
        server: Some(address(SERVER)),
        sends: 7,
        first_sent_us: 1_000,
        last_sent_us: 6_200_000,
        ..StunTransaction::default()
    }
}

fn answered(method: StunMethod, code: u16) -> StunTransaction {
    StunTransaction {
        sends: 1,
        answered_us: Some(20_000),
        error_code: Some(code),
        with_integrity: true,
        ..asked(method)
    }
}

/// A session that may use relays only and got none from its server.
fn relay(transactions: Vec<StunTransaction>) -> Case {
    relay_with(transactions, |_| {})
}

fn relay_with(transactions: Vec<StunTransaction>, change: impl FnOnce(&mut SessionFacts)) -> Case {
    session(Step::Ice, |facts| {
        facts.configured.relay_only = true;
        facts.local_candidates.clear();
        facts.wire.transactions = transactions;
        change(facts);
    })
}

fn lookup(rcode: Option<&str>, timed_out: bool) -> Case {
    relay_with(vec![], |facts| {
        facts.wire.resolutions.push(Resolution {
            host: "turn.example".into(),
            rcode: rcode.map(Into::into),
            timed_out,
            error: Some("it failed".into()),
            elapsed_us: 10_000_000,
            ..Resolution::default()
        });
    })
}

fn lost(change: impl FnOnce(&mut SessionFacts)) -> Case {
    session(Step::Ice, |facts| {
        facts.end = End::Lost;
        facts.ice_connected_us = Some(200_000);
        facts.dtls_connected_us = Some(250_000);
        let wire = &mut facts.wire;
        wire.consent.requests_sent = 14;
        wire.consent.responses_received = 4;
        wire.consent.last_request_sent_us = Some(NOW - 2_000_000);
        wire.consent.last_response_received_us = Some(5_000_000);
        wire.consent.last_datagram_received_us = Some(5_000_000);
        wire.last_rtp_received_us = Some(5_000_000);
        wire.pairs = vec![PairFacts { remote: Some(address("10.9.0.1:5000")), ..PairFacts::default() }];
        change(facts);
    })
}

fn dtls(change: impl FnOnce(&mut SessionFacts)) -> Case {
    session(Step::Dtls, |facts| {
        facts.ice_connected_us = Some(200_000);
        facts.wire.dtls_records_sent = 8;
        facts.wire.first_dtls_sent_us = Some(210_000);
        facts.wire.check_responses_received = 3;
        change(facts);
    })
}

fn media(change: impl FnOnce(&mut SessionFacts)) -> Case {
    session(Step::Media, |facts| {
        facts.dtls_connected_us = Some(250_000);
        facts.wire.rtp_sent = 250;
        change(facts);
    })
}

fn socket(error: WebSocketError) -> Case {
    socket_with(error, |_| {})
}

fn socket_with(error: WebSocketError, change: impl FnOnce(&mut SocketFacts)) -> Case {
    let mut facts = SocketFacts {
        error: Some(error),
        ended_us: Some(NOW),
        server: "ws.example:443".into(),
        ..SocketFacts::default()
    };
    change(&mut facts);
    Case::Socket(Box::new(facts))
}

fn connect(errno: Option<i32>, timed_out: bool) -> WebSocketError {
    let attempts = vec!["203.0.113.5:443: it failed".to_owned()];
    WebSocketError::Connect { errno, timed_out, attempts, detail: "cannot connect".into() }
}

fn status(status: u16, headers: &[(&str, &str)]) -> WebSocketError {
    WebSocketError::Status {
        status,
        status_line: format!("HTTP/1.1 {status} No"),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        body: "the body is not evidence".into(),
        request_bytes: 1,
        response_bytes: 1,
    }
}

fn closed(cause: CloseCause) -> Case {
    socket(WebSocketError::Closed { cause })
}

fn close_frame(code: u16, reason: &str) -> CloseCause {
    CloseCause::CloseFrame { code: Some(code), reason: reason.into() }
}

fn refused_send(errno: i32) -> SocketError {
    let destination = Some(address("10.9.0.1:5000"));
    SocketError { call: SocketCall::Send, errno: Some(errno), destination, count: 40, at_us: 111_000, last_us: NOW }
}

fn icmp(icmp_type: u8, icmp_code: u8, destination: &str) -> IcmpError {
    IcmpError {
        icmp_type,
        icmp_code,
        errno: libc::ECONNREFUSED,
        destination: Some(address(destination)),
        offender: Some(address(destination).ip()),
        count: 3,
        at_us: 112_000,
        last_us: 113_000,
    }
}

fn server(transport: ServerTransport, change: impl FnOnce(&mut IceServerFacts)) -> Case {
    relay_with(vec![], |facts| {
        let mut server = IceServerFacts {
            url: "turns:turn.example".into(),
            transport,
            address: Some(address("203.0.113.9:5349")),
            state: IceServerState::Failed,
            tried_us: Some(1_000),
            failed_us: Some(5_000_000),
            ..IceServerFacts::default()
        };
        change(&mut server);
        facts.wire.ice_servers.push(server);
    })
}

/// Name of the case, the verdict it has to lead to, the facts.
fn cases() -> Vec<(&'static str, Cause, Confidence, Case)> {
    use Confidence::{Ambiguous, Certain, Likely};
    let bind = |errno, words: &str| {
        let words = words.to_owned();
        session(Step::Bind, move |facts| facts.bind_error = Some((errno, words)))
    };
    vec![
        (
            "a refused field",
            Cause::Config,
            Certain,
            session(Step::Config, |facts| facts.configured.refused = Some("to: ''".into())),
        ),
        (
            "a source address of another machine",
            Cause::Config,
            Certain,
            bind(Some(libc::EADDRNOTAVAIL), "no such address"),
        ),
        (
            "a refused field of a socket",
            Cause::Config,
            Certain,
            socket(ConfigError::new("url", "x", "ws: or wss:").into()),
        ),
        ("a stop", Cause::Cancelled, Certain, session(Step::Ice, |facts| facts.end = End::Cancelled)),
        ("a close by the plan", Cause::Cancelled, Certain, closed(CloseCause::ClosedByUs { code: 1000 })),
        ("no UDP port", Cause::GenUdpPorts, Certain, bind(Some(libc::EADDRINUSE), "address in use")),
        (
            "no UDP port for a moment",
            Cause::GenUdpPorts,
            Certain,
            session(Step::Bind, |facts| {
                facts.bind_error = Some((None, "it worked when tried again".into()));
                facts.generator.udp_sockets = Some(10);
                facts.generator.ports = Some(10);
            }),
        ),
        ("no descriptor for a session", Cause::GenFds, Certain, bind(Some(libc::EMFILE), "too many open files")),
        ("no descriptor for a socket", Cause::GenFds, Certain, socket(connect(Some(libc::EMFILE), false))),
        ("no descriptor on the machine", Cause::GenFds, Certain, socket(connect(Some(libc::ENFILE), false))),
        (
            "no TCP port",
            Cause::GenTcpPorts,
            Certain,
            socket_with(connect(Some(libc::EADDRNOTAVAIL), false), |facts| {
                facts.generator.tcp_sockets = Some(28_200);
                facts.generator.ports = Some(28_232);
                facts.generator.tcp_time_wait = Some(28_000);
            }),
        ),
        ("no TCP port, without counts", Cause::GenTcpPorts, Likely, socket(connect(Some(libc::EADDRNOTAVAIL), false))),
        (
            "an overflowing receive buffer",
            Cause::GenReceiveBuffer,
            Certain,
            media(|facts| facts.wire.socket_drops = 97),
        ),
        (
            "a starved generator and silence",
            Cause::GenCpuStarved,
            Likely,
            unanswered(|facts| {
                facts.generator = starved(10_000_000);
            }),
        ),
        (
            "an output rule",
            Cause::SendRefused,
            Certain,
            session(Step::Ice, |facts| {
                facts.wire.socket_errors.push(refused_send(libc::EPERM));
            }),
        ),
        (
            "no route",
            Cause::SendRefused,
            Certain,
            session(Step::Ice, |facts| {
                facts.wire.socket_errors.push(refused_send(libc::ENETUNREACH));
            }),
        ),
        (
            "a firewall that says so",
            Cause::SendRefused,
            Certain,
            unanswered(|facts| {
                facts.wire.icmp_errors.push(icmp(3, 13, "10.9.0.1:5000"));
            }),
        ),
        ("an output rule for TCP", Cause::SendRefused, Certain, socket(connect(Some(libc::EACCES), false))),
        ("NXDOMAIN", Cause::DnsNxdomain, Certain, lookup(Some("NXDOMAIN"), false)),
        ("NODATA", Cause::DnsNoAddress, Certain, lookup(Some("NODATA"), false)),
        ("SERVFAIL", Cause::DnsNoAddress, Certain, lookup(Some("SERVFAIL"), false)),
        ("a silent name server", Cause::DnsTimeout, Certain, lookup(None, true)),
        ("a name server that a stopped generator may not have heard", Cause::GenCpuStarved, Likely, {
            let mut case = lookup(None, true);
            if let Case::Session(facts) = &mut case {
                facts.generator.starved.push("timers were 9.5 s late".into());
                facts.generator.stalled_us = 9_500_000;
                facts.generator.window_us = 10_000_000;
            }
            case
        }),
        (
            "NXDOMAIN of a socket's host",
            Cause::DnsNxdomain,
            Certain,
            socket(WebSocketError::Dns {
                host: "ws.example".into(),
                rcode: Some("NXDOMAIN".into()),
                timed_out: false,
                elapsed_ms: 1,
                detail: "no such name".into(),
            }),
        ),
        (
            "the system's resolver",
            Cause::DnsNxdomain,
            Likely,
            socket(WebSocketError::Dns {
                host: "ws.example".into(),
                rcode: None,
                timed_out: false,
                elapsed_ms: 1,
                detail: "Name or service not known".into(),
            }),
        ),
        (
            "a slow name server",
            Cause::DnsSlow,
            Likely,
            unanswered(|facts| {
                facts.wire.resolutions.push(Resolution {
                    host: "stun.example".into(),
                    addresses: 1,
                    elapsed_us: 4_900_000,
                    ..Resolution::default()
                })
            }),
        ),
        (
            "a slow name before a silent upgrade",
            Cause::DnsSlow,
            Likely,
            socket_with(WebSocketError::Deadline { phase: "upgrade", deadline_ms: 5000 }, |facts| {
                facts.dns_us = Some(3_000_000)
            }),
        ),
        ("a closed TCP port", Cause::ConnectRefused, Certain, socket(connect(Some(libc::ECONNREFUSED), false))),
        (
            "a closed TCP port of a TURN server",
            Cause::ConnectRefused,
            Certain,
            server(ServerTransport::Tcp, |server| {
                server.errno = Some(libc::ECONNREFUSED);
            }),
        ),
        ("a silent TCP port", Cause::ConnectTimeout, Likely, socket(connect(None, true))),
        (
            "a silent upgrade",
            Cause::ConnectTimeout,
            Likely,
            socket(WebSocketError::Deadline { phase: "upgrade", deadline_ms: 9 }),
        ),
        ("a silent TCP port of a TURN server", Cause::ConnectTimeout, Likely, server(ServerTransport::Tcp, |_| {})),
        (
            "a TLS alert",
            Cause::TlsAlert,
            Certain,
            socket(WebSocketError::Tls { alert: Some("unknown_ca".into()), detail: "TLS: alert".into() }),
        ),
        (
            "a TLS alert of an open socket",
            Cause::TlsAlert,
            Certain,
            closed(CloseCause::TlsAlert { alert: "bad_record_mac".into() }),
        ),
        (
            "an unknown issuer",
            Cause::TlsFailed,
            Certain,
            socket(WebSocketError::Tls { alert: None, detail: "UnknownIssuer".into() }),
        ),
        (
            "TLS of a TURN server",
            Cause::TlsFailed,
            Certain,
            server(ServerTransport::Tls, |server| {
                server.tcp_connected_us = Some(300);
                server.failure = Some("TLS: UnknownIssuer".into());
            }),
        ),
        ("401 to the upgrade", Cause::UpgradeUnauthorized, Certain, socket(status(401, &[]))),
        (
            "407 of a proxy",
            Cause::UpgradeUnauthorized,
            Certain,
            socket(WebSocketError::Proxy { status: Some(407), detail: "the proxy refuses".into() }),
        ),
        ("429 to the upgrade", Cause::UpgradeRateLimited, Certain, socket(status(429, &[("retry-after", "7")]))),
        ("503 to the upgrade", Cause::UpgradeRateLimited, Certain, socket(status(503, &[]))),
        ("404 to the upgrade", Cause::UpgradeRefused, Certain, socket(status(404, &[]))),
        (
            "bytes that are no HTTP",
            Cause::WebsocketProtocol,
            Certain,
            socket(WebSocketError::Upgrade { ended: None, detail: "no HTTP".into() }),
        ),
        (
            "a frame that breaks the protocol",
            Cause::WebsocketProtocol,
            Certain,
            closed(CloseCause::Protocol { detail: "RSV".into() }),
        ),
        ("a close frame", Cause::ClosedByServer, Certain, closed(close_frame(1011, "oops"))),
        ("a FIN", Cause::ClosedByFin, Certain, closed(CloseCause::Fin)),
        (
            "a FIN during the upgrade",
            Cause::ClosedByFin,
            Certain,
            socket(WebSocketError::Upgrade { ended: Some(CloseCause::Fin), detail: "end of stream".into() }),
        ),
        ("an RST", Cause::ClosedByReset, Certain, closed(CloseCause::Reset)),
        ("an unanswered ping", Cause::ClosedHalfOpen, Certain, closed(CloseCause::PingTimeout { silent_ms: 20_000 })),
        (
            "TCP that gave up",
            Cause::ClosedHalfOpen,
            Certain,
            closed(CloseCause::Io { errno: Some(libc::ETIMEDOUT), detail: "timed out".into() }),
        ),
        (
            "a FIN before the answer",
            Cause::ClosedByFin,
            Certain,
            session(Step::Signaling, |facts| {
                facts.signaling.closed = Some(CloseCause::Fin);
            }),
        ),
        (
            "no answer",
            Cause::SignalingTimeout,
            Likely,
            session(Step::Signaling, |facts| facts.signaling.waited_us = Some(10_000_000)),
        ),
        (
            "a refusal",
            Cause::SignalingRefused,
            Certain,
            session(Step::Signaling, |facts| {
                facts.signaling.refused = Some(("NOT_FOUND".into(), "nobody is registered as 'x'".into()));
            }),
        ),
        (
            "an unusable answer",
            Cause::SdpRejected,
            Certain,
            session(Step::Description, |facts| {
                facts.signaling.rejected = Some("no codec in common".into());
            }),
        ),
        (
            "a name in use",
            Cause::DuplicateIdentity,
            Certain,
            session(Step::Signaling, |facts| {
                facts.signaling.refused = Some(("NAME_IN_USE".into(), "another WebSocket has it".into()));
            }),
        ),
        (
            "a close right after another login",
            Cause::DuplicateIdentity,
            Likely,
            socket_with(WebSocketError::Closed { cause: close_frame(4001, "") }, |facts| {
                facts.identity = IdentityFacts {
                    same_user_here: 1,
                    other_login_before_us: Some(40_000),
                    ..IdentityFacts::default()
                };
            }),
        ),
        (
            "a close that speaks of another login",
            Cause::DuplicateIdentity,
            Likely,
            closed(close_frame(1000, "Logged in elsewhere")),
        ),
        (
            "a hang-up that speaks of another login",
            Cause::DuplicateIdentity,
            Likely,
            session(Step::Ice, |facts| {
                facts.end = End::EndedByPeer { reason: Some("replaced by another session".into()) };
            }),
        ),
        (
            "a silent STUN server",
            Cause::StunSilent,
            Likely,
            unanswered(|facts| {
                facts.wire.transactions = vec![asked(StunMethod::Binding)];
            }),
        ),
        (
            "a closed STUN port",
            Cause::StunPortClosed,
            Certain,
            unanswered(|facts| {
                facts.wire.transactions = vec![asked(StunMethod::Binding)];
                facts.wire.icmp_errors.push(icmp(3, 3, SERVER));
            }),
        ),
        (
            "a TURN server that talks nonsense",
            Cause::TurnRefused,
            Likely,
            server(ServerTransport::Udp, |server| {
                server.failure = Some("the server answered with something that is not STUN".into());
            }),
        ),
        (
            "a closed TURN port that was asked once",
            Cause::StunPortClosed,
            Certain,
            relay_with(vec![StunTransaction { sends: 1, ..asked(StunMethod::Allocate) }], |facts| {
                facts.wire.icmp_errors.push(icmp(3, 3, SERVER));
            }),
        ),
        ("a silent TURN server", Cause::TurnSilent, Likely, relay(vec![asked(StunMethod::Allocate)])),
        (
            "a TURN server that limits its challenges",
            Cause::TurnSilent,
            Likely,
            relay(vec![
                StunTransaction { answered_us: Some(5_000), ..asked(StunMethod::Binding) },
                asked(StunMethod::Allocate),
            ]),
        ),
        (
            "a wrong TURN password",
            Cause::TurnCredentialsRejected,
            Certain,
            relay(vec![
                StunTransaction { with_integrity: false, ..answered(StunMethod::Allocate, 401) },
                answered(StunMethod::Allocate, 401),
            ]),
        ),
        (
            "an expired TURN user name",
            Cause::TurnCredentialsExpired,
            Certain,
            relay_with(vec![answered(StunMethod::Allocate, 401)], |facts| {
                facts.configured.turn_expires_s = Some(1_799_999_000)
            }),
        ),
        (
            "486",
            Cause::TurnQuota,
            Certain,
            relay_with(vec![answered(StunMethod::Allocate, 486)], |facts| facts.identity.same_turn_account_here = 3),
        ),
        ("508", Cause::TurnCapacity, Certain, relay(vec![answered(StunMethod::Allocate, 508)])),
        (
            "403 for a peer",
            Cause::TurnPeerForbidden,
            Certain,
            unanswered(|facts| {
                facts.wire.transactions = vec![StunTransaction {
                    peer_address: Some(address("127.0.0.1:5000")),
                    ..answered(StunMethod::CreatePermission, 403)
                }];
            }),
        ),
        ("438 again and again", Cause::TurnStaleNonce, Certain, relay(vec![answered(StunMethod::Allocate, 438); 3])),
        (
            "300",
            Cause::TurnRefused,
            Certain,
            relay(vec![StunTransaction {
                alternate_server: Some(address("203.0.113.10:3478")),
                ..answered(StunMethod::Allocate, 300)
            }]),
        ),
        ("437", Cause::TurnRefused, Certain, relay(vec![answered(StunMethod::Allocate, 437)])),
        (
            "nothing gathered",
            Cause::IceNoLocalCandidates,
            Certain,
            session(Step::Ice, |facts| facts.local_candidates.clear()),
        ),
        (
            "nothing offered",
            Cause::IceNoRemoteCandidates,
            Certain,
            session(Step::Ice, |facts| facts.remote_candidates.clear()),
        ),
        (
            "two families",
            Cause::IceNoCompatiblePairs,
            Certain,
            session(Step::Ice, |facts| {
                facts.remote_candidates = vec![candidate("host", "2001:db8::1")];
            }),
        ),
        (
            "two transports",
            Cause::IceNoCompatiblePairs,
            Certain,
            session(Step::Ice, |facts| {
                facts.remote_candidates = vec![Candidate { transport: "tcp".into(), ..candidate("host", "10.9.0.1") }];
            }),
        ),
        (
            "mDNS",
            Cause::IceNoCompatiblePairs,
            Certain,
            session(Step::Ice, |facts| {
                facts.remote_candidates = vec![candidate("host", "6c1f0c5e.local")];
            }),
        ),
        (
            "an answer at the deadline",
            Cause::IceAnswerLate,
            Certain,
            session(Step::Ice, |facts| {
                facts.described_us = Some(NOW - 200_000);
            }),
        ),
        (
            "an answer at the deadline, after which a check was still answered",
            Cause::IceAnswerLate,
            Certain,
            session(Step::Ice, |facts| {
                facts.described_us = Some(NOW - 200_000);
                facts.wire.checks_sent = 1;
                facts.wire.check_responses_received = 1;
            }),
        ),
        (
            "checks of a peer that gave up before ours",
            Cause::IceAnswerLate,
            Likely,
            unanswered(|facts| {
                facts.described_us = Some(9_000_000);
                facts.wire.first_check_sent_us = Some(9_010_000);
                facts.wire.checks_received = 8;
                facts.wire.pairs[0].last_received_us = Some(1_500_000);
            }),
        ),
        (
            "an answer of another call",
            Cause::IceStaleUfrag,
            Certain,
            unanswered(|facts| facts.wire.unknown_sender_checks_received = 59),
        ),
        (
            "checks for another description",
            Cause::IceStaleUfrag,
            Certain,
            unanswered(|facts| {
                facts.wire.foreign_checks_received = 12;
                facts.wire.foreign_check = Some(ForeignCheck { ufrag: "old".into(), source: None, at_us: 120_000 });
            }),
        ),
        (
            "checks answered with 401",
            Cause::IceStaleUfrag,
            Certain,
            unanswered(|facts| facts.wire.pairs[0].unauthenticated = 5),
        ),
        ("silence", Cause::IceChecksUnanswered, Likely, unanswered(|_| {})),
        (
            "ports of the peer that are closed",
            Cause::IceChecksUnanswered,
            Certain,
            unanswered(|facts| {
                facts.wire.icmp_errors = vec![icmp(3, 3, "10.9.0.1:5000"), icmp(3, 3, "198.51.100.1:5000")];
            }),
        ),
        (
            "answers without a nomination",
            Cause::IceChecksUnanswered,
            Ambiguous,
            unanswered(|facts| {
                facts.wire.check_responses_received = 3;
                facts.wire.pairs[0].role_conflicts = 3;
            }),
        ),
        (
            "one NAT for both",
            Cause::IceNoHairpin,
            Likely,
            unanswered(|facts| {
                facts.remote_candidates[1] = candidate("srflx", "192.0.2.1");
            }),
        ),
        ("DTLS into silence", Cause::DtlsSilent, Likely, dtls(|_| {})),
        (
            "a DTLS alert 42",
            Cause::DtlsFingerprint,
            Certain,
            dtls(|facts| {
                facts.wire.dtls_alert_received = Some(DtlsAlert { level: 2, description: 42, at_us: 300_000 });
            }),
        ),
        (
            "another certificate",
            Cause::DtlsFingerprint,
            Certain,
            dtls(|facts| {
                facts.wire.remote_certificate = Some(CertificateFacts {
                    fingerprint: "AA:BB".into(),
                    expected: Some("AA:CC".into()),
                    at_us: 280_000,
                });
            }),
        ),
        (
            "a DTLS alert 40",
            Cause::DtlsAlert,
            Certain,
            dtls(|facts| {
                facts.wire.dtls_alert_sent = Some(DtlsAlert { level: 2, description: 40, at_us: 300_000 });
            }),
        ),
        (
            "half a DTLS handshake",
            Cause::DtlsFailed,
            Likely,
            dtls(|facts| {
                facts.wire.dtls_records_received = 3;
                facts.wire.dtls_received.last_handshake_type = Some(2);
            }),
        ),
        ("no packet in", Cause::MediaNoneIn, Likely, media(|_| {})),
        (
            "no packet in, and the socket was read",
            Cause::MediaNoneIn,
            Certain,
            media(|facts| facts.wire.consent.last_datagram_received_us = Some(1_250_000)),
        ),
        (
            "no DTLS in, and the socket was read",
            Cause::DtlsSilent,
            Certain,
            dtls(|facts| facts.wire.consent.last_datagram_received_us = Some(2_710_000)),
        ),
        (
            "no packet in, as agreed",
            Cause::MediaNoneIn,
            Certain,
            media(|facts| facts.direction = Some(MediaDirection::Sendonly)),
        ),
        (
            "no packet arrived",
            Cause::MediaNoneOut,
            Certain,
            session(Step::Media, |facts| {
                facts.end = End::HungUp;
                facts.dtls_connected_us = Some(250_000);
                facts.wire.rtp_sent = 500;
                facts.wire.rtp_received = 500;
                facts.peer_received = Some(0);
            }),
        ),
        ("a dead path", Cause::ConsentLostPath, Likely, lost(|_| {})),
        (
            "a peer that answers nothing and still talks",
            Cause::ConsentLostPeer,
            Likely,
            lost(|facts| {
                facts.wire.last_rtp_received_us = Some(NOW - 20_000);
                facts.wire.consent.last_datagram_received_us = Some(NOW - 20_000);
            }),
        ),
        (
            "a peer whose port closed",
            Cause::ConsentLostPeer,
            Certain,
            lost(|facts| {
                facts.wire.icmp_errors = vec![icmp(3, 3, "10.9.0.1:5000")];
            }),
        ),
        (
            "consent checks that were not sent",
            Cause::ConsentLostGenerator,
            Certain,
            lost(|facts| {
                facts.wire.consent.last_request_sent_us = Some(4_000_000);
            }),
        ),
        (
            "many at once",
            Cause::ConsentLostTogether,
            Likely,
            lost(|facts| {
                facts.others =
                    OtherSessions { up: 200, lost_together: 60, shared: Some("the relay 203.0.113.9".into()) };
            }),
        ),
        (
            "a hang-up",
            Cause::EndedByPeer,
            Certain,
            session(Step::Ice, |facts| facts.end = End::EndedByPeer { reason: None }),
        ),
        (
            "a port that was closed after the generator had not asked for longer than consent lasts",
            Cause::ConsentLostGenerator,
            Certain,
            lost(|facts| {
                facts.wire.consent.longest_request_gap_us = 30_000_000;
                facts.wire.icmp_errors = vec![IcmpError {
                    icmp_type: 3,
                    icmp_code: 3,
                    destination: Some(address("10.9.0.1:5000")),
                    at_us: NOW - 1_000_000,
                    last_us: NOW - 1_000_000,
                    ..IcmpError::default()
                }];
            }),
        ),
        (
            "a relay whose connection was cut, so that no check of ours left any more",
            Cause::ConsentLostPath,
            Certain,
            lost(|facts| {
                facts.wire.consent.last_request_sent_us = Some(5_000_000);
                facts.wire.ice_servers = vec![IceServerFacts {
                    state: IceServerState::Failed,
                    failed_us: Some(5_100_000),
                    failure: Some("recv: the server closed the connection".into()),
                    ..serving(ServerTransport::Tcp)
                }];
            }),
        ),
        (
            "a relay whose port was closed in mid-call",
            Cause::StunPortClosed,
            Certain,
            lost(|facts| {
                facts.wire.ice_servers = vec![serving(ServerTransport::Udp)];
                facts.wire.icmp_errors = vec![IcmpError {
                    icmp_type: 3,
                    icmp_code: 3,
                    destination: Some(address(SERVER)),
                    at_us: 5_100_000,
                    last_us: 5_100_000,
                    ..IcmpError::default()
                }];
            }),
        ),
        (
            "a hang-up of a call whose path was gone before",
            Cause::ConsentLostPath,
            Likely,
            lost(|facts| {
                facts.end = End::EndedByPeer { reason: Some("the connection to the caller failed".into()) };
            }),
        ),
        (
            "a hang-up of a call whose checks were not answered any more",
            Cause::ConsentLostPeer,
            Likely,
            lost(|facts| {
                facts.end = End::EndedByPeer { reason: None };
                facts.wire.consent.last_datagram_received_us = Some(NOW - 20_000);
                facts.wire.last_rtp_received_us = Some(NOW - 20_000);
            }),
        ),
        (
            "a hang-up of a call that worked",
            Cause::EndedByPeer,
            Certain,
            lost(|facts| {
                facts.end = End::EndedByPeer { reason: None };
                facts.wire.consent.last_datagram_received_us = Some(NOW - 20_000);
                facts.wire.consent.last_response_received_us = Some(NOW - 2_500_000);
            }),
        ),
        (
            "an engine that ended",
            Cause::EngineFailed,
            Certain,
            lost(|facts| {
                facts.wire.engine_ended = true;
                facts.wire.consent.last_datagram_received_us = Some(NOW - 10_000);
            }),
        ),
    ]
}

#[test]
fn facts_lead_to_their_cause() {
    for (name, cause, confidence, case) in cases() {
        let verdict = case.verdict().unwrap_or_else(|| panic!("{name}: no verdict"));
        assert_eq!((verdict.cause, verdict.confidence), (cause, confidence), "{name}: {verdict:#?}");
        assert!(!verdict.evidence.is_empty() || cause == Cause::EngineFailed, "{name}: {verdict:#?}");
        for verdict in std::iter::once(&verdict).chain(&verdict.also) {
            assert!(!verdict.advice.contains(['{', '}']), "{name}: {}", verdict.advice);
        }
    }
}

#[test]
fn every_cause_has_facts_that_lead_to_it() {
    let led_to: Vec<Cause> = cases().into_iter().map(|(_, cause, _, _)| cause).collect();
    for cause in Cause::ALL {
        assert_eq!(led_to.contains(cause), cause.layer() != Layer::Step, "{cause}");
    }
}

#[test]
fn a_coded_rejection_on_a_starved_machine_wins_and_both_are_shown() {
    let case = relay_with(vec![answered(StunMethod::Allocate, 401)], |facts| {
        facts.generator = starved(30_000_000);
    });
    let verdict = case.verdict().expect("a verdict");
    assert_eq!((verdict.cause, verdict.confidence), (Cause::TurnCredentialsRejected, Confidence::Certain));
    assert!(verdict.also.iter().any(|other| other.cause == Cause::GenCpuStarved), "{verdict:#?}");
}

/// Of two faults at once: what leads, and what stands first beside it.
fn leads(case: &Case) -> (Cause, Confidence, Vec<Cause>) {
    let verdict = case.verdict().expect("a verdict");
    (verdict.cause, verdict.confidence, verdict.also.iter().map(|other| other.cause).collect())
}

#[test]
fn media_that_did_not_come_go_before_a_starved_generator_where_the_socket_was_read() {
    let case = media(|facts| {
        facts.generator = starved(20_000_000);
        facts.wire.consent.last_datagram_received_us = Some(1_250_000);
    });
    assert_eq!(leads(&case), (Cause::MediaNoneIn, Confidence::Certain, vec![Cause::GenCpuStarved]));
}

#[test]
fn a_peer_that_hangs_up_because_nothing_connects_stands_before_why_nothing_does() {
    let case = unanswered(|facts| facts.end = End::EndedByPeer { reason: None });
    assert_eq!(leads(&case), (Cause::EndedByPeer, Confidence::Certain, vec![Cause::IceChecksUnanswered]));
    let at_once = unanswered(|facts| {
        facts.end = End::EndedByPeer { reason: Some("busy".into()) };
        facts.now_us = 1_500_000;
    });
    assert_eq!(leads(&at_once), (Cause::EndedByPeer, Confidence::Certain, vec![]));
}

#[test]
fn a_starved_generator_goes_before_media_that_may_lie_unread() {
    for (read_until, drops) in [(None, 0), (Some(1_249_999), 0), (Some(9_000_000), 1)] {
        let case = media(|facts| {
            facts.generator = starved(20_000_000);
            facts.wire.consent.last_datagram_received_us = read_until;
            facts.wire.socket_drops = drops;
        });
        let (cause, _, also) = leads(&case);
        assert!(matches!(cause, Cause::GenCpuStarved | Cause::GenReceiveBuffer), "{cause}");
        assert!(also.contains(&Cause::MediaNoneIn), "{also:?}");
    }
}

#[test]
fn silence_of_dtls_goes_before_a_starved_generator_where_the_socket_was_read() {
    let case = dtls(|facts| {
        facts.generator = starved(20_000_000);
        facts.wire.consent.last_datagram_received_us = Some(2_710_000);
    });
    assert_eq!(leads(&case), (Cause::DtlsSilent, Confidence::Certain, vec![Cause::GenCpuStarved]));
    let unread = dtls(|facts| facts.generator = starved(20_000_000));
    assert_eq!(leads(&unread).0, Cause::GenCpuStarved);
}

#[test]
fn a_generator_that_lost_little_of_its_time_is_only_a_possibility() {
    let verdict = unanswered(|facts| facts.generator = starved(9_999_999)).verdict().expect("a verdict");
    assert_eq!(verdict.cause, Cause::IceChecksUnanswered);
    assert_eq!((verdict.also[0].cause, verdict.also[0].confidence), (Cause::GenCpuStarved, Confidence::Ambiguous));
}

#[test]
fn what_a_later_try_made_good_is_no_cause() {
    let case = unanswered(|facts| {
        facts.wire.transactions = vec![
            StunTransaction { with_integrity: false, ..answered(StunMethod::Allocate, 401) },
            answered(StunMethod::Allocate, 438),
            StunTransaction { error_code: None, ..answered(StunMethod::Allocate, 0) },
        ];
    });
    assert_eq!(case.verdict().expect("a verdict").cause, Cause::IceChecksUnanswered);
}

#[test]
fn the_silence_of_a_server_that_is_not_needed_is_only_a_possibility() {
    let case = unanswered(|facts| {
        facts.local_candidates = vec![candidate("host", "127.0.0.1")];
        facts.remote_candidates = vec![candidate("host", "127.0.0.1")];
        facts.wire.transactions = vec![asked(StunMethod::Binding)];
    });
    let verdict = case.verdict().expect("a verdict");
    assert_eq!(verdict.cause, Cause::IceChecksUnanswered);
    assert_eq!(verdict.also[0].confidence, Confidence::Ambiguous, "{verdict:#?}");
}

#[test]
fn a_websocket_that_was_cut_is_never_an_ice_cause() {
    for cause in
        [CloseCause::Fin, CloseCause::Reset, close_frame(1006, "odd"), CloseCause::PingTimeout { silent_ms: 1 }]
    {
        let verdict = session(Step::Signaling, |facts| facts.signaling.closed = Some(cause.clone()))
            .verdict()
            .expect("a verdict");
        assert_eq!(verdict.cause.layer(), Layer::Signaling, "{cause:?}");
        assert_eq!(closed(cause.clone()).verdict().expect("a verdict").cause.layer(), Layer::Signaling, "{cause:?}");
    }
}

#[test]
fn a_session_that_is_up_or_on_its_way_has_no_verdict() {
    let mut facts = failed(Step::Ice);
    facts.end = End::Open;
    facts.now_us = 1_000_000;
    assert_eq!(diagnose(&facts), None, "checks have just begun");
    facts.ice_connected_us = Some(1_100_000);
    facts.now_us = 1_200_000;
    assert_eq!(diagnose(&facts), None, "DTLS has just begun");
    facts.dtls_connected_us = Some(1_300_000);
    facts.now_us = NOW;
    facts.wire.consent.last_datagram_received_us = Some(NOW - 20_000);
    facts.wire.last_rtp_received_us = Some(NOW - 20_000);
    facts.wire.rtp_received = 1000;
    facts.wire.rtp_lost = 1;
    facts.generator = starved(30_000_000);
    assert_eq!(diagnose(&facts), None, "one lost packet, and a starved second");
    facts.end = End::HungUp;
    facts.peer_received = Some(999);
    facts.wire.rtp_sent = 1000;
    assert_eq!(diagnose(&facts), None, "a healthy call that was hung up");
    (facts.direction, facts.wire.rtp_received) = (Some(MediaDirection::Sendonly), 0);
    assert_eq!(diagnose(&facts), None, "a call in which nothing was to come in");
    assert_eq!(diagnose_socket(&SocketFacts::default()), None, "an open socket");
}

#[test]
fn a_session_on_its_way_has_a_verdict_as_soon_as_its_checks_are_spent() {
    let Case::Session(mut facts) = unanswered(|_| {}) else { panic!("a session") };
    facts.end = End::Open;
    facts.now_us = 110_000 + 1_399_999;
    assert_eq!(diagnose(&facts), None);
    facts.now_us += 1;
    assert_eq!(diagnose(&facts).map(|verdict| verdict.cause), Some(Cause::IceChecksUnanswered));
    facts.wire.transactions = vec![answered(StunMethod::Allocate, 486)];
    assert_eq!(diagnose(&facts).map(|verdict| verdict.cause), Some(Cause::TurnQuota));
}

#[test]
fn an_alert_is_a_verdict_at_once() {
    let Case::Session(mut facts) = dtls(|facts| {
        facts.wire.dtls_alert_received = Some(DtlsAlert { level: 2, description: 42, at_us: 300_000 });
    }) else {
        panic!("a session")
    };
    facts.end = End::Open;
    facts.now_us = 300_001;
    assert_eq!(diagnose(&facts).map(|verdict| verdict.cause), Some(Cause::DtlsFingerprint));
}

#[test]
fn the_end_of_a_socket_after_all_candidates_came_is_no_cause() {
    let with = |ended| {
        unanswered(|facts| {
            facts.signaling.closed = Some(CloseCause::Fin);
            facts.remote_candidates_ended = ended;
        })
        .verdict()
        .expect("a verdict")
    };
    assert_eq!((with(true).cause, with(true).also), (Cause::IceChecksUnanswered, vec![]));
    assert_eq!((with(false).cause, with(false).confidence), (Cause::ClosedByFin, Confidence::Likely));
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    fn any_address() -> impl Strategy<Value = SocketAddr> {
        prop_oneof![
            any::<([u8; 4], u16)>().prop_map(SocketAddr::from),
            any::<([u16; 8], u16)>().prop_map(SocketAddr::from)
        ]
    }

    fn any_us() -> impl Strategy<Value = u64> {
        prop_oneof![0..60_000_000u64, Just(0), Just(u64::MAX)]
    }

    fn any_transaction() -> impl Strategy<Value = StunTransaction> {
        let code =
            prop_oneof![Just(None), Just(Some(401)), Just(Some(438)), Just(Some(486)), any::<u16>().prop_map(Some)];
        (0..12u16, any_address(), 0..9u32, any_us(), proptest::option::of(any_us()), code, any::<bool>()).prop_map(
            |(method, server, sends, first_sent_us, answered_us, error_code, with_integrity)| StunTransaction {
                method: StunMethod::of(method),
                server: Some(server),
                sends,
                first_sent_us,
                answered_us,
                error_code,
                with_integrity,
                ..StunTransaction::default()
            },
        )
    }

    fn any_end() -> impl Strategy<Value = End> {
        let step = proptest::sample::select(vec![
            Step::Config,
            Step::Bind,
            Step::Signaling,
            Step::Description,
            Step::Ice,
            Step::Dtls,
            Step::Media,
        ]);
        prop_oneof![
            Just(End::Open),
            step.prop_map(End::SetUp),
            Just(End::Lost),
            Just(End::HungUp),
            proptest::option::of(".*").prop_map(|reason| End::EndedByPeer { reason }),
        ]
    }

    prop_compose! {
        fn any_wire()(
            transactions in proptest::collection::vec(any_transaction(), 0..6),
            counts in any::<[u16; 8]>(),
            moments in proptest::collection::vec(proptest::option::of(any_us()), 8),
            remotes in proptest::collection::vec(any_address(), 0..4),
            errnos in proptest::collection::vec((any_address(), 0..140i32, any_us()), 0..4),
            icmp in proptest::collection::vec((any::<(u8, u8)>(), any_address(), any_us()), 0..3),
            alert in proptest::option::of((0..3u8, any::<u8>(), any_us())),
            engine_ended in any::<bool>(),
        ) -> WireFacts {
            let count = |index: usize| u64::from(counts[index] % 3) * u64::from(counts[index]);
            WireFacts {
                transactions,
                checks_sent: count(0),
                check_responses_received: count(1),
                checks_received: count(2),
                dtls_records_sent: count(3),
                dtls_records_received: count(4),
                rtp_sent: count(5),
                rtp_received: count(6),
                socket_drops: count(7),
                first_check_sent_us: moments[0],
                last_check_sent_us: moments[1],
                first_dtls_sent_us: moments[2],
                last_rtp_received_us: moments[3],
                consent: ConsentFacts {
                    last_request_sent_us: moments[4],
                    last_response_received_us: moments[5],
                    last_datagram_received_us: moments[6],
                    longest_request_gap_us: moments[7].unwrap_or_default(),
                    ..ConsentFacts::default()
                },
                pairs: remotes.iter().map(|remote| PairFacts {
                    remote: Some(*remote), last_received_us: moments[0], ..PairFacts::default()
                }).collect(),
                socket_errors: errnos.into_iter().map(|(to, errno, at_us)| SocketError {
                    errno: Some(errno), destination: Some(to), at_us, ..SocketError::default()
                }).collect(),
                icmp_errors: icmp.into_iter().map(|((icmp_type, icmp_code), to, at_us)| IcmpError {
                    icmp_type, icmp_code, destination: Some(to), at_us, ..IcmpError::default()
                }).collect(),
                dtls_alert_received: alert.map(|(level, description, at_us)| DtlsAlert { level, description, at_us }),
                engine_ended,
                ..WireFacts::default()
            }
        }
    }

    prop_compose! {
        fn any_facts()(
            wire in any_wire(),
            end in any_end(),
            now_us in any_us(),
            moments in proptest::collection::vec(proptest::option::of(any_us()), 6),
            candidates in proptest::collection::vec((any::<bool>(), any_address(), 0..4usize), 0..6),
            bind in proptest::option::of(0..140i32),
            starved in any::<bool>(),
            flags in any::<[bool; 4]>(),
            texts in proptest::collection::vec(".*", 3),
            identity in any::<[u8; 3]>(),
        ) -> SessionFacts {
            let side = |ours: bool| candidates.iter().filter(|(side, _, _)| *side == ours).map(|(_, address, kind)| Candidate {
                kind: ["host", "srflx", "prflx", "relay"][*kind].into(),
                transport: "udp".into(),
                address: address.ip().to_string(),
                port: address.port(),
            }).collect();
            SessionFacts {
                now_us,
                bind_error: bind.map(|errno| (Some(errno), texts[0].clone())),
                local_candidates: side(true),
                remote_candidates: side(false),
                remote_candidates_ended: flags[0],
                gathered_us: moments[0],
                described_us: moments[1],
                ice_connected_us: moments[2],
                dtls_connected_us: moments[3],
                signaling: SignalingFacts {
                    sent_us: moments[4],
                    waited_us: moments[5],
                    refused: flags[1].then(|| (texts[1].clone(), texts[2].clone())),
                    closed: flags[2].then_some(CloseCause::Fin),
                    ..SignalingFacts::default()
                },
                configured: Configured { relay_only: flags[3], turn_expires_s: moments[0], wall_clock_s: now_us, ..Configured::default() },
                generator: GeneratorFacts { starved: if starved { vec![texts[0].clone()] } else { vec![] }, ..GeneratorFacts::default() },
                identity: IdentityFacts {
                    same_user_here: identity[0].into(),
                    same_turn_account_here: identity[1].into(),
                    other_login_before_us: moments[1],
                },
                others: OtherSessions { up: identity[2].into(), lost_together: identity[1].into(), shared: None },
                peer_received: moments[2],
                wire,
                end,
                ..SessionFacts::default()
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_the_facts_a_verdict_is_in_order_and_bounded(facts in any_facts()) {
            if let Some(verdict) = diagnose(&facts) {
                prop_assert!(!verdict.advice.is_empty());
                prop_assert!(verdict.also.len() <= 4 && verdict.evidence.len() <= 8);
                let certain_beside = verdict.also.iter().any(|other| other.confidence == Confidence::Certain);
                let explains = verdict.cause == Cause::DuplicateIdentity || verdict.cause == Cause::IceNoHairpin
                    || verdict.cause.layer() == Layer::Consent;
                prop_assert!(verdict.confidence == Confidence::Certain || !certain_beside || explains, "{:#?}", verdict);
                prop_assert!(verdict.also.iter().all(|other| other.also.is_empty() && other.cause != verdict.cause));
                if let (Cause::GenCpuStarved, true) = (verdict.cause, certain_beside) {
                    prop_assert!(false, "a likely state of the generator above a certain fact: {verdict:#?}");
                }
                serde_json::to_string(&verdict).expect("plain values");
            }
        }

        #[test]
        fn signaling_that_fails_never_has_a_cause_of_ice(mut facts in any_facts()) {
            facts.end = End::SetUp(Step::Signaling);
            if let Some(verdict) = diagnose(&facts) {
                let layers = std::iter::once(&verdict).chain(&verdict.also).map(|verdict| verdict.cause.layer());
                prop_assert!(layers.into_iter().all(|layer| layer < Layer::Servers), "{verdict:#?}");
            }
        }

        #[test]
        fn the_body_and_the_headers_of_a_refusal_are_no_evidence(code in 300..600u16, secret in "s3cret[a-z]{8}") {
            let error = WebSocketError::Status {
                status: code,
                status_line: format!("HTTP/1.1 {code} No"),
                headers: vec![("Set-Cookie".into(), secret.clone()), ("WWW-Authenticate".into(), secret.clone())],
                body: secret.clone(),
                request_bytes: 0,
                response_bytes: 0,
            };
            let verdict = socket(error).verdict().expect("a verdict");
            let text = format!("{verdict:?}");
            prop_assert!(!text.contains(&secret));
        }
    }
}

//! WebSockets and the signaling on them. Pure.

use super::cause::Cause;
use super::facts::{IdentityFacts, SessionFacts, SocketFacts};
use super::generator::{refused_by_errno, tcp_ports};
use super::names;
use super::verdict::{Confidence, Finding, Verdict};
use crate::socket::{CloseCause, SocketError};

/// A close so soon after another login of the same user is probably its consequence.
const AFTER_LOGIN_US: u64 = 3_000_000;

/// Words with which servers say that a user is logged in elsewhere, in lower case.
const ELSEWHERE: [&str; 14] = [
    "in use",
    "in_use",
    "already registered",
    "already logged",
    "already connected",
    "another session",
    "another device",
    "another location",
    "elsewhere",
    "duplicate",
    "replaced",
    "superseded",
    "conflict",
    "signed in",
];

fn says_elsewhere(text: &str) -> bool {
    let text = text.to_lowercase();
    ELSEWHERE.iter().any(|words| text.contains(words))
}

/// Why a call got no answer.
pub(super) fn find(facts: &SessionFacts, findings: &mut Vec<Finding>) {
    let signaling = &facts.signaling;
    if let Some((code, text)) = &signaling.refused {
        let refusal = if text.is_empty() { code.clone() } else { format!("{code}: {text}") };
        let fact = format!("the server answered {refusal}");
        if says_elsewhere(code) || says_elsewhere(text) {
            findings.push(
                elsewhere(Verdict::certain(Cause::DuplicateIdentity).at(facts.now_us, fact), &facts.identity).into(),
            );
        } else {
            findings
                .push(Verdict::certain(Cause::SignalingRefused).at(facts.now_us, fact).with("refusal", code).into());
        }
    }
    if let Some(cause) = &signaling.closed {
        closed(cause, signaling.closed_us, None, &facts.identity, findings);
    }
    if let Some(waited) = signaling.waited_us {
        let fact = format!("no answer for {} ms; the WebSocket is open", waited / 1000);
        findings.push(
            Verdict::likely(Cause::SignalingTimeout).at(signaling.sent_us, "our message went out").fact(fact).into(),
        );
    }
}

/// A WebSocket that closed before all candidates were exchanged may be why ICE lacks some.
pub(super) fn closed_meanwhile(facts: &SessionFacts, findings: &mut Vec<Finding>) {
    let signaling = &facts.signaling;
    let Some(cause) = signaling.closed.as_ref().filter(|_| !facts.remote_candidates_ended) else { return };
    let mut found = Vec::new();
    closed(cause, signaling.closed_us, None, &facts.identity, &mut found);
    findings.extend(found.into_iter().map(|mut finding| {
        finding.verdict.confidence = finding.verdict.confidence.min(Confidence::Likely);
        finding.verdict = finding.verdict.fact("the other side had not said that its candidates are complete");
        finding
    }));
}

/// Why the other side hung up.
pub(super) fn ended_by_peer(reason: Option<&str>, facts: &SessionFacts, findings: &mut Vec<Finding>) {
    let said = reason.map_or_else(|| "without a reason".to_owned(), |reason| format!("with the reason '{reason}'"));
    let verdict = Verdict::certain(Cause::EndedByPeer).at(facts.now_us, format!("the other side hung up {said}"));
    findings.push(verdict.into());
    if reason.is_some_and(says_elsewhere) {
        let verdict =
            elsewhere(Verdict::likely(Cause::DuplicateIdentity).fact(format!("it hung up {said}")), &facts.identity);
        findings.push(verdict.explaining(&[Cause::EndedByPeer]));
    }
}

fn elsewhere(verdict: Verdict, identity: &IdentityFacts) -> Verdict {
    let here = match identity.same_user_here {
        0 => {
            "no other socket of this process is that user: look at the other workers, and at who else uses the account"
                .to_owned()
        }
        others => format!("{others} other sockets of this process are logged in as the same user"),
    };
    verdict.fact(here)
}

/// Why a WebSocket ended.
pub(super) fn closed(
    cause: &CloseCause,
    at_us: Option<u64>,
    idle_us: Option<u64>,
    identity: &IdentityFacts,
    findings: &mut Vec<Finding>,
) {
    let verdict = match cause {
        CloseCause::CloseFrame { code, reason } => Verdict::certain(Cause::ClosedByServer)
            .at(at_us, cause.to_string())
            .with("status", status_advice(*code, reason)),
        CloseCause::ClosedByUs { .. } | CloseCause::ScopeEnded => {
            Verdict::certain(Cause::Cancelled).at(at_us, cause.to_string())
        }
        CloseCause::Fin => Verdict::certain(Cause::ClosedByFin).at(at_us, cause.to_string()),
        CloseCause::Reset => Verdict::certain(Cause::ClosedByReset).at(at_us, cause.to_string()),
        CloseCause::PingTimeout { .. } | CloseCause::Io { errno: Some(libc::ETIMEDOUT), .. } => {
            Verdict::certain(Cause::ClosedHalfOpen).at(at_us, cause.to_string())
        }
        CloseCause::TlsAlert { alert } => tls_alert(alert).at(at_us, cause.to_string()),
        CloseCause::Protocol { .. } => Verdict::certain(Cause::WebsocketProtocol).at(at_us, cause.to_string()),
        CloseCause::Io { errno, .. } => errno
            .and_then(|errno| refused_by_errno(errno, None, &super::facts::GeneratorFacts::default()))
            .unwrap_or_else(|| Verdict::certain(Cause::ClosedByReset))
            .at(at_us, cause.to_string()),
    };
    let idle = idle_us.map(|idle| format!("the connection had been idle for {} ms", idle / 1000));
    findings.push(verdict.maybe(idle).into());

    const CUTS: &[Cause] = &[Cause::ClosedByServer, Cause::ClosedByFin, Cause::ClosedByReset];
    let by_server = matches!(cause, CloseCause::CloseFrame { .. } | CloseCause::Fin | CloseCause::Reset);
    let says = matches!(cause, CloseCause::CloseFrame { reason, .. } if says_elsewhere(reason));
    let soon = identity.other_login_before_us.filter(|before| by_server && *before <= AFTER_LOGIN_US);
    if says || soon.is_some() {
        let mut verdict = Verdict::likely(Cause::DuplicateIdentity);
        if let Some(before) = soon {
            verdict = verdict.at(
                at_us.map(|at| at.saturating_sub(before)),
                format!(
                    "another socket of this process logged in as the same user {} ms before the close",
                    before / 1000
                ),
            );
        }
        if says {
            verdict = elsewhere(verdict.fact(cause.to_string()), identity);
        }
        findings.push(verdict.explaining(CUTS));
    }
}

/// What to do about a close status (RFC 6455 §7.4.1, IANA registry).
fn status_advice(code: Option<u16>, reason: &str) -> String {
    let advice = match code {
        None => "The server closed without a status: look at its log.",
        Some(1000) => "The server considers this session over: look at what it expects next, such as a new login.",
        Some(1001) => "The server or a proxy goes away: a restart, or a limit on how long a connection may live.",
        Some(1002) => {
            "The server objects to our frames: compare the plan's messages and compression with what it expects."
        }
        Some(1003 | 1007) => "The server cannot read a message of the plan: text or binary, and its encoding.",
        Some(1008) => {
            "A rule of the server was broken: a token that expired, a missing subscription, too many messages."
        }
        Some(1009) => "A message of the plan is too big for the server.",
        Some(1011) => "The server failed: look at its log at that time.",
        Some(1012) => "The server restarts: connect again, spread over some seconds.",
        Some(1013) => "The server is overloaded: connect again later and more slowly.",
        Some(1014) => "A gateway in front got no good answer from its server.",
        Some(3000) => "The server wants other credentials.",
        Some(3003) => "The server allows this user no more.",
        Some(3008) => "The server waited too long for a message of the plan.",
        Some(4000..=4999) => "A status of the application's own: its documentation says what it means.",
        Some(_) => "A status without a fixed meaning: look at the server's log.",
    };
    let reason = if reason.is_empty() { String::new() } else { " Its reason stands in the evidence.".to_owned() };
    format!("{advice}{reason}")
}

fn tls_alert(alert: &str) -> Verdict {
    let advice = match alert {
        "certificate_required"
        | "bad_certificate"
        | "certificate_unknown"
        | "certificate_expired"
        | "certificate_revoked"
        | "unsupported_certificate"
        | "access_denied" => {
            "The server wants a client certificate that it accepts: give the keystore of one that is valid."
        }
        "unknown_ca" => "The server does not know the issuer of our client certificate.",
        "protocol_version" | "handshake_failure" | "insufficient_security" => {
            "No TLS version or cipher in common: 1.2 or 1.3 with ECDHE and an AEAD cipher is needed."
        }
        "unrecognized_name" => "The server has no certificate for that host name: use the name it was issued for.",
        "no_application_protocol" => "The server wants another application protocol (ALPN).",
        _ => "Look at the server's log at that time.",
    };
    Verdict::certain(Cause::TlsAlert).with("alert", advice)
}

/// Why a WebSocket could not be opened or used.
pub(super) fn of_socket(facts: &SocketFacts, findings: &mut Vec<Finding>) {
    let at = facts.ended_us;
    let server = &*facts.server;
    match &facts.error {
        None => {}
        Some(SocketError::Config(error)) => {
            findings.push(Verdict::certain(Cause::Config).fact(format!("{}: {}", error.field, error.reason)).into());
        }
        Some(SocketError::Dns { host, rcode, timed_out, elapsed_ms, detail }) => {
            let elapsed_us = elapsed_ms.saturating_mul(1000);
            findings.push(names::unresolved(host, rcode.as_deref(), *timed_out, elapsed_us, detail).into());
        }
        Some(SocketError::Connect { errno, timed_out, attempts, detail }) => {
            connect(facts, *errno, *timed_out, attempts, detail, findings);
        }
        Some(SocketError::Tls { alert: Some(alert), .. }) => {
            findings.push(tls_alert(alert).at(at, format!("the server sent the alert {alert}")).into());
        }
        Some(SocketError::Tls { alert: None, detail }) => {
            findings.push(Verdict::certain(Cause::TlsFailed).at(at, detail).into());
        }
        Some(SocketError::Proxy { status, detail }) => {
            let verdict = match status {
                Some(407 | 401 | 403) => Verdict::certain(Cause::UpgradeUnauthorized),
                Some(status) => Verdict::certain(Cause::UpgradeRefused).with("status", status.to_string()),
                None => Verdict::certain(Cause::ClosedByFin),
            };
            findings.push(verdict.at(at, detail).with("server", "the proxy").into());
        }
        Some(SocketError::Status { status, status_line, headers, .. }) => {
            let (expected, fact) = match &facts.request {
                None => ("101", format!("{server} did not upgrade")),
                Some(request) => ("a success", format!("{server} refused {request}")),
            };
            findings.push(refused_upgrade(*status, (status_line, expected), headers, server).at(at, fact).into());
        }
        Some(SocketError::Upgrade { ended: Some(cause), .. }) => {
            closed(cause, at, None, &facts.identity, findings);
            if let Some(first) = findings.last_mut() {
                first.verdict = first.verdict.clone().fact("before the upgrade was answered");
            }
        }
        Some(SocketError::Upgrade { ended: None, detail }) => {
            findings.push(Verdict::certain(Cause::WebsocketProtocol).at(at, detail).into());
        }
        Some(SocketError::Deadline { phase, deadline_ms }) => {
            let fact = format!("{phase}: no answer within {deadline_ms} ms");
            findings.push(Verdict::likely(Cause::ConnectTimeout).at(at, fact).with("server", server).into());
        }
        Some(SocketError::Lapse { lapse }) => {
            findings.push(Verdict::certain(Cause::WebsocketProtocol).at(at, lapse.to_string()).into());
        }
        Some(SocketError::Closed { cause }) => closed(cause, at, facts.idle_us, &facts.identity, findings),
    }
    if facts.error.is_none()
        && let Some(cause) = &facts.closed
    {
        closed(cause, at, facts.idle_us, &facts.identity, findings);
    }
    // A late name is a reason for what was then too late, not for what was refused.
    let too_late =
        matches!(&facts.error, Some(SocketError::Deadline { .. } | SocketError::Connect { timed_out: true, .. }));
    if too_late
        && !facts.dns_from_cache
        && let Some(verdict) = facts.dns_us.and_then(|took| names::slow(server, took))
    {
        findings.push(verdict.into());
    }
}

fn connect(
    facts: &SocketFacts,
    errno: Option<i32>,
    timed_out: bool,
    attempts: &[String],
    detail: &str,
    findings: &mut Vec<Finding>,
) {
    let generator = &facts.generator;
    let verdict = match errno {
        Some(libc::ECONNREFUSED) => Verdict::certain(Cause::ConnectRefused),
        Some(errno @ (libc::EADDRNOTAVAIL | libc::EADDRINUSE)) => tcp_ports(errno, facts.source_address, generator),
        Some(libc::ECONNRESET) => Verdict::certain(Cause::ClosedByReset),
        Some(libc::ETIMEDOUT) => Verdict::likely(Cause::ConnectTimeout),
        // One address without a route does not explain another one that is silent.
        Some(libc::ENETUNREACH | libc::EHOSTUNREACH) if timed_out => Verdict::likely(Cause::ConnectTimeout),
        Some(errno) => match refused_by_errno(errno, None, generator) {
            Some(verdict) => verdict,
            None => Verdict::likely(Cause::ConnectTimeout),
        },
        None if timed_out => Verdict::likely(Cause::ConnectTimeout),
        None => Verdict::certain(Cause::Config).fact(detail),
    };
    let verdict = attempts.iter().take(3).fold(verdict, |verdict, attempt| verdict.at(facts.ended_us, attempt));
    findings.push(verdict.with("server", &facts.server).into());
}

fn refused_upgrade(
    status: u16,
    (status_line, expected): (&str, &str),
    headers: &[(String, String)],
    server: &str,
) -> Verdict {
    let verdict = match status {
        401 | 403 | 407 => Verdict::certain(Cause::UpgradeUnauthorized),
        429 | 503 => {
            let after =
                headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("Retry-After")).map(|(_, value)| value);
            let words = match after {
                Some(_) => "its Retry-After says how long to wait",
                None => "it names no time to wait",
            };
            Verdict::certain(Cause::UpgradeRateLimited)
                .maybe(after.map(|value| format!("Retry-After: {value}")))
                .with("retryAfter", words)
        }
        status => Verdict::certain(Cause::UpgradeRefused).with("status", status.to_string()),
    };
    verdict.fact(format!("'{status_line}' instead of {expected}")).with("server", server)
}

//! STUN and TURN servers: coded answers, silence, and connections to them. Pure.

use std::net::SocketAddr;

use super::cause::Cause;
use super::facts::{End, SessionFacts};
use super::generator::{refused_by_errno, tcp_ports};
use super::ice::direct_path_exists;
use super::verdict::{Confidence, Finding, Verdict};
use crate::net::facts::{IceServerFacts, IceServerState, ServerTransport, StunMethod, StunTransaction};

/// Silence for this long, with a request sent again meanwhile, is no lost packet any more.
const SILENT_US: u64 = 1_400_000;

/// What the session's STUN and TURN servers said, or did not say.
pub(super) fn find(facts: &SessionFacts, findings: &mut Vec<Finding>) {
    let wire = &facts.wire;
    let relayed = facts.local_candidates.iter().any(|candidate| candidate.kind == "relay")
        || wire.transactions.iter().any(|t| t.method == StunMethod::Allocate && succeeded(t));
    for transaction in &wire.transactions {
        // What another server, or a second try, made good is no cause.
        let mended = wire.transactions.iter().any(|later| {
            later.method == transaction.method
                && later.peer_address == transaction.peer_address
                && later.first_sent_us >= transaction.first_sent_us
                && succeeded(later)
        });
        if mended || (transaction.method == StunMethod::Allocate && relayed) {
            continue;
        }
        if let Some(verdict) = refusal(facts, transaction) {
            findings.push(verdict.into());
        }
        if transaction.error_code == Some(486) && facts.identity.same_turn_account_here > 0 {
            let others = facts.identity.same_turn_account_here;
            let fact = format!(
                "{others} other sessions of this process use the same TURN account, and the server counts per user"
            );
            findings.push(Verdict::likely(Cause::DuplicateIdentity).fact(fact).into());
        }
    }
    for server in &wire.ice_servers {
        if let Some(verdict) = connection(facts, server).filter(|_| !relayed) {
            findings.push(verdict.into());
        }
    }
    if !relayed || matches!(facts.end, End::Lost) {
        silence(facts, findings);
    }
    if !relayed && findings.is_empty() {
        given_up(facts, findings);
    }
}

/// Servers that were given up for a reason that nothing else here knows. Silence is none of them: whether it was long
/// enough to mean something is judged by its transactions.
fn given_up(facts: &SessionFacts, findings: &mut Vec<Finding>) {
    let refused = |server: &&IceServerFacts| server.state == IceServerState::Failed && !server.timed_out;
    for server in facts.wire.ice_servers.iter().filter(refused) {
        let Some(why) = &server.failure else { continue };
        let verdict = Verdict::likely(Cause::TurnRefused).at(server.failed_us, format!("{}: {why}", server.url));
        findings
            .push(verdict.with("code", "The server gave no code; why it was given up stands in the evidence.").into());
    }
}

fn succeeded(transaction: &StunTransaction) -> bool {
    transaction.answered_us.is_some() && transaction.error_code.is_none()
}

fn name(transaction: &StunTransaction) -> String {
    let server = transaction.server.map_or_else(|| "the server".to_owned(), |server| server.to_string());
    format!("{server}/{}", transaction.transport.name())
}

/// What a coded answer means; `None` for what belongs to a normal course.
fn refusal(facts: &SessionFacts, transaction: &StunTransaction) -> Option<Verdict> {
    let code = transaction.error_code?;
    let server = name(transaction);
    let method = transaction.method.name();
    let verdict = match code {
        401 if transaction.with_integrity => rejected(facts),
        401 => return None,
        486 => Verdict::certain(Cause::TurnQuota),
        508 => Verdict::certain(Cause::TurnCapacity),
        403 if matches!(transaction.method, StunMethod::CreatePermission | StunMethod::ChannelBind) => {
            let peer =
                transaction.peer_address.map_or_else(|| "the other side".to_owned(), |peer| peer.ip().to_string());
            Verdict::certain(Cause::TurnPeerForbidden)
                .fact(format!("the relay may not send to {peer}"))
                .with("peer", peer)
        }
        438 => {
            let same = |t: &&StunTransaction| t.server == transaction.server && t.error_code == Some(438);
            let stale = facts.wire.transactions.iter().filter(same).count();
            let retries: u32 = facts.wire.ice_servers.iter().map(|server| server.nonce_retries).sum();
            if stale < 2 && retries < 2 {
                return None;
            }
            Verdict::certain(Cause::TurnStaleNonce)
                .fact(format!("{stale} answers 438 Stale Nonce, {retries} repetitions by us"))
        }
        300 => {
            let to = transaction.alternate_server.map_or_else(|| "it names".to_owned(), |server| server.to_string());
            let advice =
                format!("300 Try Alternate: put the server {to} into the plan, and see whether it can be reached.");
            Verdict::certain(Cause::TurnRefused).fact(format!("300 Try Alternate: {to}")).with("code", advice)
        }
        code => Verdict::certain(Cause::TurnRefused).with("code", words_of(code)),
    };
    let at = transaction.answered_us.unwrap_or(transaction.last_sent_us);
    Some(verdict.at(at, format!("{server} answered {method} with {code}")).with("server", server))
}

fn rejected(facts: &SessionFacts) -> Verdict {
    let configured = &facts.configured;
    match configured.turn_expires_s {
        Some(until) if until < configured.wall_clock_s => {
            let ago = configured.wall_clock_s - until;
            Verdict::certain(Cause::TurnCredentialsExpired)
                .fact(format!("the time in the user name passed {ago} s ago"))
        }
        _ => Verdict::certain(Cause::TurnCredentialsRejected)
            .fact("the request carried MESSAGE-INTEGRITY: 401 is a rejection"),
    }
}

/// The TURN error codes (RFC 8656 §19) that have no cause of their own.
fn words_of(code: u16) -> &'static str {
    match code {
        400 => {
            "400 Bad Request: the server does not understand a request; a transport it does not offer, or an old version."
        }
        403 => "403 Forbidden: the server allows this user no relay.",
        420 => "420 Unknown Attribute: the server lacks a feature that the request needs.",
        437 => {
            "437 Allocation Mismatch: the server still has, or no longer has, an allocation of this port; a port used again too soon, \
             or a server that was restarted."
        }
        440 => "440 Address Family not Supported: the server has no relay address of that family.",
        441 => {
            "441 Wrong Credentials: another user name than that of the allocation; do not change credentials during a call."
        }
        442 => "442 Unsupported Transport Protocol: the server does not relay UDP.",
        443 => "443 Peer Address Family Mismatch: the relay and the other side are of different families.",
        500..=599 => "The server failed: look at its log.",
        _ => "An error code that is none of RFC 8489 and RFC 8656: look at the server's log.",
    }
}

/// What became of the connection to a TURN server over TCP or TLS.
fn connection(facts: &SessionFacts, server: &IceServerFacts) -> Option<Verdict> {
    if server.state != IceServerState::Failed || server.transport == ServerTransport::Udp {
        return None;
    }
    let why = server.failure.as_deref().unwrap_or("it was given up");
    let verdict = match server.errno {
        Some(libc::ECONNREFUSED) => Verdict::certain(Cause::ConnectRefused),
        Some(errno @ (libc::EADDRNOTAVAIL | libc::EADDRINUSE)) => tcp_ports(errno, false, &facts.generator),
        Some(libc::ETIMEDOUT) => Verdict::likely(Cause::ConnectTimeout),
        Some(errno) if server.tcp_connected_us.is_none() => refused_by_errno(errno, server.address, &facts.generator)?,
        None if server.tcp_connected_us.is_none() && server.address.is_some() => Verdict::likely(Cause::ConnectTimeout),
        _ if server.transport == ServerTransport::Tls
            && server.tls_connected_us.is_none()
            && server.tcp_connected_us.is_some() =>
        {
            if why.contains("alert") {
                Verdict::certain(Cause::TlsAlert)
                    .with("alert", "The TURN server ended TLS with an alert: compare versions and ciphers.")
            } else {
                Verdict::certain(Cause::TlsFailed)
            }
        }
        _ => return None,
    };
    let at = server.failed_us.or(server.tried_us);
    Some(verdict.at(at, format!("{}: {why}", server.url)).with("server", &server.url))
}

/// The relay of a session that was up has ended: the connection to it was cut, or nobody listens on its port any more.
pub(super) fn relay_ended(facts: &SessionFacts) -> Option<Verdict> {
    let wire = &facts.wire;
    for server in wire.ice_servers.iter().filter(|server| server.ready_us.is_some()) {
        let cut = server.state == IceServerState::Failed && server.failed_us >= server.ready_us;
        if server.transport != ServerTransport::Udp && cut {
            let why = server.failure.as_deref().unwrap_or("it ended");
            let fact = format!("the connection to the relay {} was cut: {why}", server.url);
            return Some(Verdict::certain(Cause::ConsentLostPath).at(server.failed_us, fact));
        }
        let closed = wire.icmp_errors.iter().rfind(|error| {
            error.is_port_unreachable() && error.destination == server.address && Some(error.last_us) > server.ready_us
        });
        if let Some(icmp) = closed.filter(|_| server.transport == ServerTransport::Udp && server.address.is_some()) {
            let fact = format!("ICMP port unreachable: nobody listens on the relay {} any more", server.url);
            return Some(Verdict::certain(Cause::StunPortClosed).at(icmp.at_us, fact).with("server", &server.url));
        }
    }
    None
}

/// Servers that say nothing at all, or nothing to what matters.
fn silence(facts: &SessionFacts, findings: &mut Vec<Finding>) {
    let transactions = &facts.wire.transactions;
    let mut servers: Vec<(SocketAddr, ServerTransport)> = Vec::new();
    for transaction in transactions {
        if let Some(server) = transaction.server
            && !servers.contains(&(server, transaction.transport))
        {
            servers.push((server, transaction.transport));
        }
    }
    for (server, transport) in servers {
        let its: Vec<&StunTransaction> =
            transactions.iter().filter(|t| (t.server, t.transport) == (Some(server), transport)).collect();
        let closed = facts
            .wire
            .icmp_errors
            .iter()
            .find(|error| error.is_port_unreachable() && error.destination == Some(server));
        let is_silence = |t: &StunTransaction| {
            let long = facts.now_us >= t.first_sent_us.saturating_add(SILENT_US);
            // What comes back from a closed port needs no second try.
            t.is_unanswered() && (closed.is_some() || (long && (t.sends >= 2 || transport != ServerTransport::Udp)))
        };
        let Some(silent) = its.iter().rev().find(|t| is_silence(t)) else { continue };
        let answers_binding = its.iter().any(|t| t.method == StunMethod::Binding && t.answered_us.is_some());
        let answers_any = its.iter().any(|t| t.answered_us.is_some());
        let verdict = match (closed, silent.method) {
            (Some(icmp), _) => {
                let by = icmp.offender.map_or_else(|| server.ip().to_string(), |by| by.to_string());
                Verdict::certain(Cause::StunPortClosed).at(icmp.at_us, format!("ICMP port unreachable from {by}"))
            }
            (None, StunMethod::Binding) if answers_any => continue,
            (None, StunMethod::Binding) => Verdict::likely(Cause::StunSilent),
            (None, _) => Verdict::likely(Cause::TurnSilent)
                .maybe(answers_binding.then(|| "the same server answers Binding requests meanwhile".to_owned())),
        };
        let mut verdict = verdict.at(
            silent.first_sent_us,
            format!(
                "{} to {server}/{} sent {} times, no answer for {} ms",
                silent.method.name(),
                transport.name(),
                silent.sends,
                facts.now_us.saturating_sub(silent.first_sent_us) / 1000
            ),
        );
        // Where both sides are in one network they need no server to meet, so its silence need not be the reason.
        if !facts.configured.relay_only && direct_path_exists(facts) {
            verdict.confidence = Confidence::Ambiguous;
        }
        findings.push(verdict.with("server", server.to_string()).into());
    }
}

//! ICE: candidates, descriptions and checks. Pure.

use std::net::IpAddr;

use super::cause::Cause;
use super::facts::{Candidate, End, SessionFacts};
use super::generator::stood_still;
use super::verdict::{Confidence, Finding, Verdict};

/// As long as many stacks check a pair: 7 checks at 200 ms.
const CHECKS_SPENT_US: u64 = 1_400_000;
/// How long a description without candidates may wait for trickled ones before it counts as one without.
const TRICKLE_US: u64 = 5_000_000;

/// What to do about addresses that a browser hides behind mDNS names.
const ONLY_MDNS: &str = "A .local name can be resolved on the browser's own link only: let the other side use a STUN or TURN \
                         server, or switch its mDNS candidates off.";

/// Why ICE does not connect. Of a session that goes on only what the checks of 1.4 s say.
pub(super) fn find(facts: &SessionFacts, findings: &mut Vec<Finding>) {
    let settled = facts.end != End::Open;
    local(facts, findings);
    let Some(described) = facts.described_us else { return };
    let wire = &facts.wire;
    if remote(facts, described, settled, findings) {
        return;
    }
    let too_late = too_late(facts, described, settled, findings);
    if wire.check_responses_received == 0 {
        stale(facts, findings);
        if !too_late {
            late(facts, described, findings);
        }
        hairpin(facts, settled, findings);
    }
    unanswered(facts, settled, findings);
    if settled && wire.engine_ended && wire.checks_sent == 0 {
        findings
            .push(Verdict::certain(Cause::EngineFailed).fact("the engine's task ended before the first check").into());
    }
}

/// Whether ICE is not connected although checks have gone out for as long as many stacks send them.
pub(super) fn has_spent_its_checks(facts: &SessionFacts) -> bool {
    let checking = facts.wire.first_check_sent_us.map_or(0, |first| facts.now_us.saturating_sub(first));
    facts.ice_connected_us.is_none() && checking >= CHECKS_SPENT_US
}

fn local(facts: &SessionFacts, findings: &mut Vec<Finding>) {
    let Some(gathered) = facts.gathered_us.filter(|_| facts.local_candidates.is_empty()) else { return };
    // Where a server says why there is none, that is the cause and this its consequence.
    let confidence = if findings.is_empty() { Confidence::Certain } else { Confidence::Likely };
    let policy = if facts.configured.relay_only { "relays only" } else { "all kinds" };
    let fact = format!("gathering ended without a candidate; {} ICE servers, {policy}", facts.configured.ice_servers);
    findings.push(Verdict::new(Cause::IceNoLocalCandidates, confidence).at(gathered, fact).into());
}

/// What the remote candidates alone say; whether that settles it.
fn remote(facts: &SessionFacts, described: u64, settled: bool, findings: &mut Vec<Finding>) -> bool {
    let remotes = &facts.remote_candidates;
    if remotes.is_empty() {
        let waited = facts.now_us.saturating_sub(described);
        // Candidates of the other side are not needed where its checks reach us.
        if facts.wire.checks_received > 0 || !(settled || facts.remote_candidates_ended || waited >= TRICKLE_US) {
            return false;
        }
        let ended = if facts.remote_candidates_ended { "it said that none will come" } else { "none was trickled" };
        let refused = facts.refused_candidates.as_ref().map(|(count, why)| format!("{count} were not usable: {why}"));
        let fact = format!("the other side's description has no candidate, and {ended} within {} ms", waited / 1000);
        findings.push(Verdict::certain(Cause::IceNoRemoteCandidates).at(described, fact).maybe(refused).into());
        return true;
    }
    if remotes.iter().all(Candidate::is_mdns) {
        let fact = format!("{} remote candidates, all of them .local names: {}", remotes.len(), remotes[0]);
        if facts.wire.check_responses_received == 0 {
            let verdict = Verdict::certain(Cause::IceNoCompatiblePairs).at(described, fact).with("apart", ONLY_MDNS);
            findings.push(verdict.into());
            return true;
        }
    }
    let locals = &facts.local_candidates;
    let fit = remotes.iter().any(|remote| locals.iter().any(|local| local.fits(remote)));
    if !fit && !locals.is_empty() && facts.wire.check_responses_received == 0 {
        let list = |candidates: &[Candidate]| {
            candidates.iter().take(3).map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        let verdict = Verdict::certain(Cause::IceNoCompatiblePairs)
            .at(described, format!("ours: {}", list(locals)))
            .fact(format!("theirs: {}", list(remotes)))
            .with("apart", "Here IPv4 meets IPv6, or UDP meets TCP.");
        findings.push(verdict.into());
        return true;
    }
    false
}

fn stale(facts: &SessionFacts, findings: &mut Vec<Finding>) {
    let wire = &facts.wire;
    let mut verdict = Verdict::certain(Cause::IceStaleUfrag);
    if wire.foreign_checks_received > 0 {
        let foreign = wire.foreign_check.as_ref();
        let from = foreign.and_then(|check| check.source).map_or_else(String::new, |source| format!(" from {source}"));
        let fact = format!("{} checks{from} are meant for another ufrag than ours", wire.foreign_checks_received);
        verdict = verdict.at(foreign.map(|check| check.at_us), fact);
    }
    if wire.unknown_sender_checks_received > 0 {
        let check = wire.unknown_sender_check.as_ref();
        let from = check.and_then(|check| check.source).map_or_else(String::new, |source| format!(" from {source}"));
        let fact = format!(
            "{} checks{from} have another ufrag than the description we were given",
            wire.unknown_sender_checks_received
        );
        verdict = verdict.at(check.map(|check| check.at_us), fact);
    }
    for pair in wire.pairs.iter().filter(|pair| pair.unauthenticated > 0 || pair.bad_requests > 0) {
        let remote = pair.remote.map_or_else(String::new, |remote| format!("{remote} "));
        let fact = format!(
            "{remote}answered our checks with 401 {} times and 400 {} times: it knows another description",
            pair.unauthenticated, pair.bad_requests
        );
        verdict = verdict.at(pair.last_sent_us, fact);
    }
    if !verdict.evidence.is_empty() {
        findings.push(verdict.into());
    }
}

/// An answer that left no time for checks, whether or not one was still answered; `true` where that is so.
fn too_late(facts: &SessionFacts, described: u64, settled: bool, findings: &mut Vec<Finding>) -> bool {
    let asked = facts.signaling.sent_us.unwrap_or_default();
    let took = described.saturating_sub(asked);
    let left = facts.now_us.saturating_sub(described);
    let budget = facts.configured.connect_timeout_us;
    let too_late = settled
        && left < CHECKS_SPENT_US
        && took >= CHECKS_SPENT_US
        && budget > 0
        && took.saturating_add(left).saturating_add(CHECKS_SPENT_US) >= budget;
    if too_late {
        let fact = format!(
            "the answer was applied {} ms after the offer; {} ms were left for checks",
            took / 1000,
            left / 1000
        );
        // A generator that stood still may have had the answer long before it read it.
        let confidence = if stood_still(&facts.generator) { Confidence::Likely } else { Confidence::Certain };
        findings.push(Verdict::new(Cause::IceAnswerLate, confidence).at(described, fact).into());
    }
    too_late
}

/// The other side had given up checking before we began.
fn late(facts: &SessionFacts, described: u64, findings: &mut Vec<Finding>) {
    let wire = &facts.wire;
    let asked = facts.signaling.sent_us.unwrap_or_default();
    let took_words = format!("{} ms", described.saturating_sub(asked) / 1000);
    let last_check = wire.pairs.iter().filter_map(|pair| pair.last_received_us).max();
    if let (Some(last), Some(first_sent)) = (last_check, wire.first_check_sent_us)
        && last < first_sent
        && wire.checks_sent >= 2
    {
        let verdict = Verdict::likely(Cause::IceAnswerLate)
            .at(last, format!("last of {} checks of the other side", wire.checks_received))
            .at(first_sent, format!("our first check, {took_words} after our description went out; none was answered"));
        findings.push(verdict.into());
    }
}

fn hairpin(facts: &SessionFacts, settled: bool, findings: &mut Vec<Finding>) {
    let public = |candidates: &[Candidate]| -> Vec<IpAddr> {
        candidates.iter().filter(|candidate| candidate.kind == "srflx").filter_map(Candidate::ip).collect()
    };
    let ours = public(&facts.local_candidates);
    let Some(shared) = public(&facts.remote_candidates).into_iter().find(|address| ours.contains(address)) else {
        return;
    };
    if !spent(facts, settled) || direct_path_exists(facts) {
        return;
    }
    let tried = facts
        .wire
        .pairs
        .iter()
        .filter(|pair| pair.remote.is_some_and(|remote| remote.ip() == shared))
        .map(|p| p.checks_sent);
    let verdict = Verdict::likely(Cause::IceNoHairpin)
        .fact(format!("both sides have the public address {shared}"))
        .fact(format!("{} checks sent to it, none answered", tried.sum::<u32>()));
    findings.push(verdict.explaining(&[Cause::IceChecksUnanswered]));
}

/// Whether checks have gone out for as long as that says something.
fn spent(facts: &SessionFacts, settled: bool) -> bool {
    let since = facts.wire.first_check_sent_us;
    facts.wire.checks_sent >= 2
        && (settled || since.is_some_and(|since| facts.now_us >= since.saturating_add(CHECKS_SPENT_US)))
}

fn unanswered(facts: &SessionFacts, settled: bool, findings: &mut Vec<Finding>) {
    let wire = &facts.wire;
    if wire.check_responses_received > 0 {
        if settled {
            let conflicts: u32 = wire.pairs.iter().map(|pair| pair.role_conflicts).sum();
            let elsewhere: u32 = wire.pairs.iter().map(|pair| pair.answered_elsewhere).sum();
            let verdict = Verdict::new(Cause::IceChecksUnanswered, Confidence::Ambiguous)
                .fact(format!(
                    "{} of {} checks were answered, and no pair was nominated",
                    wire.check_responses_received, wire.checks_sent
                ))
                .maybe((conflicts > 0).then(|| format!("{conflicts} role conflicts (487)")))
                .maybe((elsewhere > 0).then(|| format!("{elsewhere} answers came from another address than was asked")))
                .with("direction", "Some checks were answered: look at nomination and roles.");
            findings.push(verdict.into());
        }
        return;
    }
    if !settled && !spent(facts, settled) {
        return;
    }
    let closed: Vec<_> = wire.icmp_errors.iter().filter(|error| error.is_port_unreachable()).collect();
    let peers: Vec<_> = wire.pairs.iter().filter_map(|pair| pair.remote).collect();
    let all_closed =
        !peers.is_empty() && peers.iter().all(|peer| closed.iter().any(|error| error.destination == Some(*peer)));
    let mut verdict = if all_closed {
        Verdict::certain(Cause::IceChecksUnanswered)
    } else if wire.checks_sent == 0 {
        Verdict::new(Cause::IceChecksUnanswered, Confidence::Ambiguous)
    } else {
        Verdict::likely(Cause::IceChecksUnanswered)
    };
    verdict = verdict.at(
        wire.first_check_sent_us,
        format!(
            "{} checks sent on {} pairs, none answered; {} checks received",
            wire.checks_sent,
            wire.pairs.len(),
            wire.checks_received
        ),
    );
    for error in closed.iter().filter(|error| error.destination.is_some_and(|to| peers.contains(&to))).take(2) {
        let to = error.destination.map_or_else(String::new, |to| to.to_string());
        verdict = verdict.at(error.at_us, format!("ICMP port unreachable: nobody listens on {to}"));
    }
    for pair in wire.pairs.iter().take(3) {
        let remote = pair.remote.map_or_else(|| "unknown".to_owned(), |remote| remote.to_string());
        let through = pair.relay.map_or_else(String::new, |relay| format!(" through relay {relay}"));
        verdict = verdict.at(
            pair.last_sent_us,
            format!("{remote}{through}: {} sent, {} received", pair.checks_sent, pair.checks_received),
        );
    }
    let direction = match (wire.checks_received, all_closed) {
        (_, true) => "The other side's ports are closed: its process has ended, or it answered with old addresses.",
        (0, _) => "",
        _ => "The other side's checks reach us, so only our direction, or its answers, are blocked.",
    };
    findings.push(verdict.with("direction", direction).into());
}

/// Whether both sides have host candidates in one network, so that no server and no NAT lies between.
pub(super) fn direct_path_exists(facts: &SessionFacts) -> bool {
    let hosts = |candidates: &[Candidate]| -> Vec<IpAddr> {
        candidates.iter().filter(|candidate| candidate.kind == "host").filter_map(Candidate::ip).collect()
    };
    let remotes = hosts(&facts.remote_candidates);
    hosts(&facts.local_candidates).iter().any(|local| remotes.iter().any(|remote| near(local, remote)))
}

/// Whether two addresses are of one network as far as can be told without its mask: loopback, or the same /24 (IPv6: /64).
fn near(one: &IpAddr, other: &IpAddr) -> bool {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            (one.is_loopback() && other.is_loopback()) || one.octets()[..3] == other.octets()[..3]
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => one.segments()[..4] == other.segments()[..4],
        _ => false,
    }
}

impl Candidate {
    fn ip(&self) -> Option<IpAddr> {
        self.address.parse().ok()
    }

    fn is_mdns(&self) -> bool {
        self.address.to_ascii_lowercase().ends_with(".local")
    }

    /// Whether the two could be a pair: one transport, one family; a name that is not resolved may be of either.
    fn fits(&self, other: &Self) -> bool {
        let family = match (self.ip(), other.ip()) {
            (Some(one), Some(other)) => one.is_ipv4() == other.is_ipv4(),
            _ => !other.is_mdns() && !self.is_mdns(),
        };
        self.transport == other.transport && family
    }
}

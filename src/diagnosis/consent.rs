//! A connection that was up and is lost (RFC 7675). Pure.

use super::cause::Cause;
use super::facts::{End, SessionFacts};
use super::servers;
use super::verdict::{Finding, Verdict};

/// A longer gap between two checks of our own, and we did not ask (RFC 7675 §5.1: 5 s × 1.2).
const LONGEST_GAP_US: u64 = 6_000_000;
/// Consent expires after this time without it (RFC 7675 §5.1).
const CONSENT_EXPIRES_US: u64 = 30_000_000;
/// W3C `disconnected` in the engine: nothing received for so long.
const DISCONNECTED_US: u64 = 5_000_000;
/// Media this long after the last answered check: the path works.
const PATH_WORKS_US: u64 = 3_000_000;
/// Lifetimes of a TURN permission and allocation (RFC 8656 §9, §7), and how near a loss has to be.
const TURN_LIFETIMES_US: [(u64, &str); 2] = [(300_000_000, "permission"), (600_000_000, "allocation")];
const NEAR_US: u64 = 10_000_000;

/// Why a session that was up was lost, or is about to be.
pub(super) fn find(facts: &SessionFacts, findings: &mut Vec<Finding>) {
    let wire = &facts.wire;
    let consent = &wire.consent;
    let last_received = consent.last_datagram_received_us.or(wire.last_rtp_received_us);
    let silent = facts.now_us.saturating_sub(last_received.unwrap_or_default());
    // The other side may notice first, and hang up a call whose path is gone or whose checks it answers no more.
    let hung_up = matches!(facts.end, End::EndedByPeer { .. });
    let last_answer = consent.last_response_received_us.or(wire.first_check_response_us);
    let asked_in_vain =
        consent.last_request_sent_us.zip(last_answer).map_or(0, |(asked, answer)| asked.saturating_sub(answer));
    let works = last_received.is_none() || silent < DISCONNECTED_US;
    if works && (facts.end == End::Open || (hung_up && asked_in_vain < DISCONNECTED_US)) {
        return;
    }
    if !hung_up && wire.engine_ended && silent < DISCONNECTED_US {
        findings
            .push(Verdict::certain(Cause::EngineFailed).fact("the engine's task ended while datagrams came in").into());
        return;
    }
    let peers: Vec<_> = wire.pairs.iter().filter_map(|pair| pair.remote).collect();
    let closed = wire.icmp_errors.iter().rfind(|error| {
        error.is_port_unreachable()
            && error.destination.is_some_and(|to| peers.contains(&to) || wire.answered_by == Some(to))
    });
    let last_asked = consent.last_request_sent_us.or(wire.last_check_sent_us);
    let not_asking = last_asked.map_or(0, |last| facts.now_us.saturating_sub(last));
    let media_goes_on = wire.last_rtp_received_us.zip(last_answer).is_some_and(|(media, answer)| {
        media > answer.saturating_add(PATH_WORKS_US) && facts.now_us.saturating_sub(media) < DISCONNECTED_US
    });
    let since = format!("nothing received for {} ms", silent / 1000);
    // Without its relay nothing that we send leaves, so that neither we nor the other side can be blamed.
    let relay_ended = servers::relay_ended(facts);
    // Whoever is not asked for so long has to go (RFC 7675 §5.1); that its port is closed then is a consequence.
    let gap = consent.longest_request_gap_us.max(not_asking);
    let verdict = if let Some(verdict) = relay_ended {
        verdict.at(last_received, since)
    } else if gap >= CONSENT_EXPIRES_US {
        Verdict::certain(Cause::ConsentLostGenerator)
            .fact(format!("for {} ms no consent check of ours was sent: the other side's consent ran out", gap / 1000))
            .maybe_at(closed.map(|error| error.at_us), "ICMP port unreachable: the other side had closed its port")
    } else if let Some(error) = closed {
        let to = error.destination.map_or_else(String::new, |to| to.to_string());
        Verdict::certain(Cause::ConsentLostPeer)
            .at(error.at_us, format!("ICMP port unreachable: nobody listens on {to} any more"))
    } else if not_asking > LONGEST_GAP_US {
        Verdict::certain(Cause::ConsentLostGenerator)
            .at(last_asked, format!("our last consent check, {} ms before the loss", not_asking / 1000))
    } else if consent.longest_request_gap_us > LONGEST_GAP_US {
        Verdict::likely(Cause::ConsentLostGenerator)
            .fact(format!("a gap of {} ms between two consent checks of ours", consent.longest_request_gap_us / 1000))
    } else if media_goes_on {
        Verdict::likely(Cause::ConsentLostPeer)
            .at(last_answer, "last consent check that was answered")
            .at(wire.last_rtp_received_us, "RTP still came in")
    } else {
        Verdict::likely(Cause::ConsentLostPath)
            .at(last_received, since)
            .fact(format!("{} consent checks sent, {} answered", consent.requests_sent, consent.responses_received))
            .maybe(lifetime(facts))
    };
    let moved = consent.mapped_address_changed_us.and_then(|at| {
        let (former, now) = (consent.former_mapped_address?, consent.mapped_address?);
        Some((at, format!("our public address changed from {former} to {now}: a NAT forgot us")))
    });
    let verdict = match moved {
        Some((at, fact)) => verdict.at(at, fact),
        None => verdict,
    };
    findings.push(verdict.explaining(&[Cause::EndedByPeer]));
    together(facts, findings);
}

/// A loss that is as old as a TURN lifetime is none of the network.
fn lifetime(facts: &SessionFacts) -> Option<String> {
    let relayed = facts.local_candidates.iter().any(|candidate| candidate.kind == "relay");
    let up = facts.ice_connected_us.filter(|_| relayed)?;
    let last = facts.wire.consent.last_datagram_received_us?;
    let (_, what) = TURN_LIFETIMES_US.iter().find(|(life, _)| last.abs_diff(up.saturating_add(*life)) <= NEAR_US)?;
    Some(format!("the last datagram came when a TURN {what} ends that was not refreshed"))
}

fn together(facts: &SessionFacts, findings: &mut Vec<Finding>) {
    let others = &facts.others;
    if others.lost_together < 3 || others.lost_together.saturating_mul(5) < others.up {
        return;
    }
    let shared = others.shared.as_deref().unwrap_or("nothing that this generator sees");
    let verdict = Verdict::likely(Cause::ConsentLostTogether)
        .at(facts.now_us, format!("{} of {} sessions were lost within one second", others.lost_together, others.up))
        .fact(format!("they share {shared}"))
        .with("shared", shared);
    findings.push(verdict.explaining(&[Cause::ConsentLostPath, Cause::ConsentLostPeer]));
}

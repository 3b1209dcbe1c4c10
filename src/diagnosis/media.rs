//! Media that does not flow. Pure.

use super::cause::Cause;
use super::facts::SessionFacts;
use super::verdict::{Finding, Verdict};
use crate::peer::MediaDirection;

/// So many packets without a single one of the other direction are no accident of the end: one second of audio.
const ENOUGH_PACKETS: u64 = 50;

/// Why the first packet did not come.
pub(super) fn none_in(facts: &SessionFacts, findings: &mut Vec<Finding>) {
    let wire = &facts.wire;
    if wire.rtp_received > 0 {
        return;
    }
    let agreed = facts.direction.filter(|direction| !direction.receives());
    let verdict = match agreed {
        None => Verdict::likely(Cause::MediaNoneIn),
        Some(_) => Verdict::certain(Cause::MediaNoneIn),
    };
    let mut verdict = verdict.at(facts.dtls_connected_us, "DTLS done").fact(format!(
        "{} RTP packets sent, none received; {} RTCP packets received",
        wire.rtp_sent, wire.rtcp_received
    ));
    if let Some(direction) = agreed {
        let word = direction.name();
        verdict = verdict.fact(format!("the descriptions agree on a={word} (seen from here): nothing is to come in"));
    }
    findings.push(verdict.into());
    let may_send = facts.direction.is_none_or(MediaDirection::sends);
    if may_send && facts.configured.send_audio && wire.rtp_sent == 0 && wire.socket_errors.is_empty() {
        let verdict =
            Verdict::likely(Cause::MediaNoneOut).at(facts.dtls_connected_us, "connected; no RTP packet left us");
        findings.push(verdict.into());
    }
}

/// What the accounts at the end of a call say.
pub(super) fn accounts(facts: &SessionFacts, findings: &mut Vec<Finding>) {
    let wire = &facts.wire;
    if facts.dtls_connected_us.is_none() {
        return;
    }
    if facts.peer_received == Some(0) && wire.rtp_sent >= ENOUGH_PACKETS {
        let fact = format!("{} RTP packets sent; the other side says it received none", wire.rtp_sent);
        findings.push(Verdict::certain(Cause::MediaNoneOut).at(wire.first_rtp_sent_us, fact).into());
    }
    let may_receive = facts.direction.is_none_or(MediaDirection::receives);
    if may_receive && wire.rtp_received == 0 && wire.rtp_sent >= ENOUGH_PACKETS {
        none_in(facts, findings);
    }
}

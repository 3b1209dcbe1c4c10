//! The DTLS handshake. Pure.

use super::cause::Cause;
use super::facts::{End, SessionFacts};
use super::media::read_after;
use super::verdict::{Confidence, Finding, Verdict};
use crate::net::facts::{DtlsAlert, DtlsFlow};

/// Description of `bad_certificate` (RFC 5246 §7.2): what a certificate without the promised fingerprint is refused with.
const BAD_CERTIFICATE: u8 = 42;
/// Silence for this long after the first record, which is then on its third send, says something.
const SILENT_US: u64 = 2_500_000;

/// Why DTLS is not done.
pub(super) fn find(facts: &SessionFacts, findings: &mut Vec<Finding>) {
    let wire = &facts.wire;
    let settled = facts.end != End::Open;
    let mismatch = wire.remote_certificate.as_ref().filter(|certificate| certificate.is_mismatch());
    let alert = [("we sent", wire.dtls_alert_sent), ("the other side sent", wire.dtls_alert_received)]
        .into_iter()
        .find_map(|(who, alert)| Some((who, alert.filter(DtlsAlert::is_fatal)?)));
    if mismatch.is_some() || alert.is_some_and(|(_, alert)| alert.description == BAD_CERTIFICATE) {
        let mut verdict = Verdict::certain(Cause::DtlsFingerprint);
        if let Some(certificate) = mismatch {
            verdict =
                verdict.at(certificate.at_us, format!("the other side's certificate is {}", certificate.fingerprint));
            verdict =
                verdict.maybe(certificate.expected.as_ref().map(|expected| format!("its description says {expected}")));
        }
        findings.push(with_alert(verdict, alert).into());
        return;
    }
    if alert.is_some() {
        findings.push(with_alert(Verdict::certain(Cause::DtlsAlert), alert).into());
        return;
    }
    let waited = wire.first_dtls_sent_us.map_or(0, |first| facts.now_us.saturating_sub(first));
    if !settled && (waited < SILENT_US || wire.dtls_records_sent < 2) {
        return;
    }
    let up = facts.ice_connected_us;
    if wire.dtls_records_received == 0 {
        let fact = match wire.dtls_records_sent {
            0 => "neither side began the handshake: both wait for the other (a=setup)".to_owned(),
            sent => format!("{sent} records sent, none received; {} checks answered", wire.check_responses_received),
        };
        // No record came for so long although the socket was read: no lack of CPU of ours explains that.
        let none_for = wire.first_dtls_sent_us.or(up).map_or(0, |began| read_after(facts, began));
        let confidence = if none_for >= SILENT_US { Confidence::Certain } else { Confidence::Likely };
        let verdict = Verdict::new(Cause::DtlsSilent, confidence);
        findings.push(verdict.at(up, "ICE connected").at(wire.first_dtls_sent_us, fact).into());
        return;
    }
    let verdict = Verdict::likely(Cause::DtlsFailed)
        .at(up, "ICE connected")
        .at(wire.dtls_sent.last_us, flow("sent", wire.dtls_records_sent, &wire.dtls_sent))
        .at(wire.dtls_received.last_us, flow("received", wire.dtls_records_received, &wire.dtls_received));
    findings.push(verdict.into());
}

fn with_alert(verdict: Verdict, alert: Option<(&str, DtlsAlert)>) -> Verdict {
    match alert {
        Some((who, alert)) => {
            verdict.at(alert.at_us, format!("{who} the alert {} ({})", alert.name(), alert.description))
        }
        None => verdict,
    }
}

fn flow(way: &str, records: u64, flow: &DtlsFlow) -> String {
    let last = flow.last_handshake_name().map_or_else(String::new, |name| format!(", last {name}"));
    format!(
        "{records} records {way}{last}, largest {} bytes, {} repeated",
        flow.largest_record_bytes, flow.retransmissions
    )
}

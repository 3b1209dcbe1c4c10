//! getStats in the words of W3C webrtc-stats, with the wire's figures where the engine's are wrong.
use std::net::SocketAddr;

use serde_json::{Map, Value, json};
use webrtc::peer_connection::{RTCStatsReport, RTCStatsReportEntry};

use super::earpiece::Heard;
use crate::net::wire::WireFacts;

/// Prefixes of the engine's ids of candidate objects.
const LOCAL: &str = "RTCLocalIceCandidate_";
const REMOTE: &str = "RTCRemoteIceCandidate_";

/// A map from id to RTCStats object, as `JSON.stringify(Object.fromEntries(report))` gives it in a browser.
pub(super) fn to_json(report: &RTCStatsReport, facts: &WireFacts, heard: &Heard, clock_rate: u32) -> Value {
    let objects = report.iter().filter_map(|entry| {
        let mut object = object(entry)?;
        match entry {
            RTCStatsReportEntry::InboundRtp(_) => {
                // The engine counts jitter in ticks and only when a report leaves.
                object.insert("jitter".into(), json!(facts.jitter));
                object.insert("packetsLost".into(), json!(facts.rtp_lost));
                object.insert("packetsReceived".into(), json!(facts.rtp_received - facts.rtp_other_received));
                object.insert("bytesReceived".into(), json!(heard.payload_bytes));
                object.insert("headerBytesReceived".into(), json!(heard.header_bytes));
                if let Some(last) = heard.last_packet_ms {
                    object.insert("lastPacketReceivedTimestamp".into(), json!(last));
                }
            }
            RTCStatsReportEntry::RemoteInboundRtp(_) => {
                // The engine has no round-trip time and overlooks reports inside Sender Reports.
                let report = heard.report?;
                let jitter = f64::from(report.jitter_ticks) / f64::from(clock_rate.max(1));
                object.insert("fractionLost".into(), json!(report.fraction_lost));
                object.insert("packetsLost".into(), json!(report.packets_lost));
                object.insert("jitter".into(), json!(jitter));
                object.insert("totalRoundTripTime".into(), json!(report.total_round_trip_time));
                object.insert("roundTripTimeMeasurements".into(), json!(report.round_trip_time_measurements));
                match report.round_trip_time {
                    Some(time) => object.insert("roundTripTime".into(), json!(time)),
                    None => object.remove("roundTripTime"),
                };
            }
            RTCStatsReportEntry::IceCandidatePair(pair) => {
                // The engine names candidates without the prefix of their own objects.
                object.insert("localCandidateId".into(), json!(format!("{LOCAL}{}", pair.local_candidate_id)));
                object.insert("remoteCandidateId".into(), json!(format!("{REMOTE}{}", pair.remote_candidate_id)));
            }
            // The engine's 16 bits do not hold a priority.
            RTCStatsReportEntry::LocalCandidate(_) | RTCStatsReportEntry::RemoteCandidate(_) => {
                object.remove("priority");
            }
            _ => {}
        }
        Some((entry.id().to_owned(), Value::Object(object)))
    });
    Value::Object(objects.collect())
}

fn object(entry: &RTCStatsReportEntry) -> Option<Map<String, Value>> {
    use RTCStatsReportEntry as E;
    let value = match entry {
        E::PeerConnection(stats) => serde_json::to_value(stats),
        E::Transport(stats) => serde_json::to_value(stats),
        E::IceCandidatePair(stats) => serde_json::to_value(stats),
        E::LocalCandidate(stats) | E::RemoteCandidate(stats) => serde_json::to_value(stats),
        E::Certificate(stats) => serde_json::to_value(stats),
        E::Codec(stats) => serde_json::to_value(stats),
        E::DataChannel(stats) => serde_json::to_value(stats),
        E::InboundRtp(stats) => serde_json::to_value(stats),
        E::OutboundRtp(stats) => serde_json::to_value(stats),
        E::RemoteInboundRtp(stats) => serde_json::to_value(stats),
        E::RemoteOutboundRtp(stats) => serde_json::to_value(stats),
        E::AudioSource(stats) => serde_json::to_value(stats),
        E::VideoSource(stats) => serde_json::to_value(stats),
        E::AudioPlayout(stats) => serde_json::to_value(stats),
        _ => return None,
    };
    match value {
        Ok(Value::Object(object)) => Some(object),
        Ok(_) => None,
        Err(error) => {
            log::warn!("a statistics object could not be written: {error}");
            None
        }
    }
}

/// The nominated pair as `("type ip:port protocol", "type ip:port protocol")`, local first.
///
/// The engine reports remote candidates only when they were trickled. Otherwise the remote one is who `answered_by` the
/// latest check, of the type it has among the `told` candidates (RFC 8839 §5.1), else peer reflexive (RFC 8445 §7.3.1.3).
pub(super) fn selected_pair(
    report: &RTCStatsReport,
    answered_by: Option<SocketAddr>,
    told: &[String],
) -> Option<(String, String)> {
    let pair = report.candidate_pairs().find(|pair| pair.nominated)?;
    let reported = |prefix: &str, id: &str| match report.get(&format!("{prefix}{id}"))? {
        RTCStatsReportEntry::LocalCandidate(candidate) | RTCStatsReportEntry::RemoteCandidate(candidate) => {
            let address = candidate.address.as_deref().unwrap_or("?");
            let address = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
            let (kind, port, protocol) = (candidate.candidate_type, candidate.port, &candidate.protocol);
            Some(format!("{kind} {address}:{port} {protocol}"))
        }
        _ => None,
    };
    let local = reported(LOCAL, &pair.local_candidate_id)?;
    let remote = reported(REMOTE, &pair.remote_candidate_id).or_else(|| {
        let address = answered_by?;
        Some(format!("{} {address} udp", told_type(told, address).unwrap_or("prflx")))
    })?;
    Some((local, remote))
}

/// The type of the candidate with this address among `candidates` as in SDP:
/// `foundation component transport priority address port "typ" type …`.
fn told_type(candidates: &[String], address: SocketAddr) -> Option<&str> {
    candidates.iter().find_map(|candidate| {
        let words: Vec<&str> = candidate.split_whitespace().collect();
        let [_, _, _, _, ip, port, "typ", kind, ..] = words[..] else { return None };
        (ip.parse() == Ok(address.ip()) && port.parse() == Ok(address.port())).then_some(kind)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_of_a_remote_address_is_the_one_we_were_told() {
        let told = [
            "candidate:1 1 udp 2130706431 192.0.2.7 5000 typ host".to_owned(),
            "2 1 udp 1694498815 198.51.100.1 6000 typ srflx raddr 192.0.2.7 rport 5000".to_owned(),
            "nonsense".to_owned(),
        ];
        let of = |address: &str| told_type(&told, address.parse().expect("an address"));
        assert_eq!(of("192.0.2.7:5000"), Some("host"));
        assert_eq!(of("198.51.100.1:6000"), Some("srflx"));
        assert_eq!(of("198.51.100.1:6001"), None);
    }
}

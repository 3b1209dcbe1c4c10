//! DTLS 1.2 in clear text: records, handshake messages, alerts, the certificate (RFC 6347 §4, RFC 5246 §7).
//!
//! Everything before the change of keys can be read by anybody; after it only the number and size of records.
use std::net::SocketAddr;

use super::facts::{DtlsAlert, DtlsFlow, MomentEvent};
use super::moments::Moments;

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const RECORD_HEADER: usize = 13;
const HANDSHAKE_HEADER: usize = 12;
/// Handshake message type Certificate.
const CERTIFICATE: u8 = 11;

/// Which way a flow goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Sent,
    Received,
}

/// What a datagram of a flow brought beyond its counts.
#[derive(Default)]
pub(super) struct News<'a> {
    /// The first clear-text alert in it.
    pub(super) alert: Option<DtlsAlert>,
    /// The certificate of its sender in DER, where the message lies in one piece in this datagram.
    pub(super) certificate: Option<&'a [u8]>,
}

/// Counts a datagram into `flow`.
pub(super) fn account<'a>(
    flow: &mut DtlsFlow,
    mut datagram: &'a [u8],
    direction: Direction,
    remote: Option<SocketAddr>,
    at_us: u64,
    moments: &mut Moments,
) -> News<'a> {
    let mut news = News::default();
    flow.first_us.get_or_insert(at_us);
    flow.last_us = Some(at_us);
    flow.largest_datagram_bytes = flow.largest_datagram_bytes.max(small(datagram.len()));
    while let [kind, _, _, epoch_high, epoch_low, _, _, _, _, _, _, length_high, length_low, rest @ ..] = datagram {
        let length = usize::from(u16::from_be_bytes([*length_high, *length_low])).min(rest.len());
        let (fragment, next) = rest.split_at(length);
        flow.records += 1;
        flow.largest_record_bytes = flow.largest_record_bytes.max(small(RECORD_HEADER + length));
        if [*epoch_high, *epoch_low] != [0, 0] {
            flow.encrypted_records += 1;
        } else if *kind == HANDSHAKE {
            if let Some(certificate) = handshake(flow, fragment, direction, remote, at_us, moments) {
                news.certificate = Some(certificate);
            }
        } else if let (ALERT, [level, description], None) = (*kind, fragment, news.alert) {
            news.alert = Some(DtlsAlert { level: *level, description: *description, at_us });
            let event = match direction {
                Direction::Sent => MomentEvent::AlertSent,
                Direction::Received => MomentEvent::AlertReceived,
            };
            moments.note(at_us, event, remote, u32::from(*description));
        }
        datagram = next;
    }
    news
}

/// The handshake messages of one record; returns the certificate if it is whole.
fn handshake<'a>(
    flow: &mut DtlsFlow,
    mut fragment: &'a [u8],
    direction: Direction,
    remote: Option<SocketAddr>,
    at_us: u64,
    moments: &mut Moments,
) -> Option<&'a [u8]> {
    let mut certificate = None;
    while fragment.len() >= HANDSHAKE_HEADER {
        let (header, rest) = fragment.split_at(HANDSHAKE_HEADER);
        let (kind, length) = (header[0], number(&header[1..4]));
        let sequence = u16::from_be_bytes([header[4], header[5]]);
        let (offset, piece) = (number(&header[6..9]), number(&header[9..12]));
        let (body, next) = rest.split_at(piece.min(rest.len()));
        if offset == 0 {
            if flow.last_message_seq.is_some_and(|last| sequence <= last) {
                flow.retransmissions += 1;
            } else {
                flow.last_message_seq = Some(sequence);
                flow.last_handshake_type = Some(kind);
                let event = match direction {
                    Direction::Sent => MomentEvent::DtlsSent,
                    Direction::Received => MomentEvent::DtlsReceived,
                };
                moments.note(at_us, event, remote, u32::from(kind));
            }
            if kind == CERTIFICATE && body.len() == length {
                certificate = first_certificate(body).or(certificate);
            }
        }
        fragment = next;
    }
    certificate
}

/// The end entity's certificate of a Certificate message (RFC 5246 §7.4.2): a list of certificates, each and all behind
/// 24 bits of length.
fn first_certificate(body: &[u8]) -> Option<&[u8]> {
    let length = number(body.get(3..6)?);
    body.get(6..6 + length)
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

fn small(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, epoch: u8, fragment: &[u8]) -> Vec<u8> {
        let mut record = vec![kind, 254, 253, 0, epoch, 0, 0, 0, 0, 0, 0];
        record.extend((fragment.len() as u16).to_be_bytes());
        record.extend(fragment);
        record
    }

    fn message(kind: u8, sequence: u8, body: &[u8]) -> Vec<u8> {
        let length = [0, (body.len() >> 8) as u8, body.len() as u8];
        let mut message = vec![kind, length[0], length[1], length[2], 0, sequence, 0, 0, 0];
        message.extend(length);
        message.extend(body);
        message
    }

    fn counted(datagrams: &[Vec<u8>]) -> DtlsFlow {
        let (mut flow, mut moments) = (DtlsFlow::default(), Moments::default());
        for (at_us, datagram) in datagrams.iter().enumerate() {
            account(&mut flow, datagram, Direction::Sent, None, at_us as u64, &mut moments);
        }
        flow
    }

    #[test]
    fn a_repeated_client_hello_is_a_retransmission() {
        let hello = record(HANDSHAKE, 0, &message(1, 0, &[0; 40]));
        let flow = counted(&[hello.clone(), hello.clone(), hello]);
        assert_eq!((flow.records, flow.retransmissions), (3, 2));
        assert_eq!(flow.last_handshake_name(), Some("ClientHello"));
        assert_eq!((flow.first_us, flow.last_us), (Some(0), Some(2)));
    }

    #[test]
    fn records_are_measured_each_and_encrypted_ones_not_read() {
        let mut flight = record(HANDSHAKE, 0, &message(11, 2, &[0; 500]));
        flight.extend(record(HANDSHAKE, 0, &message(16, 3, &[0; 30])));
        flight.extend(record(HANDSHAKE, 1, &[9; 40]));
        let total = flight.len();
        let flow = counted(&[flight]);
        assert_eq!((flow.records, flow.encrypted_records), (3, 1));
        assert_eq!(flow.largest_record_bytes as usize, RECORD_HEADER + HANDSHAKE_HEADER + 500);
        assert_eq!(flow.largest_datagram_bytes as usize, total);
        assert_eq!(flow.last_handshake_name(), Some("ClientKeyExchange"));
    }

    #[test]
    fn the_first_certificate_is_found_when_it_is_in_one_piece() {
        let body = [&[0, 0, 6, 0, 0, 3][..], b"DER"].concat();
        let whole = record(HANDSHAKE, 0, &message(CERTIFICATE, 1, &body));
        let (mut flow, mut moments) = (DtlsFlow::default(), Moments::default());
        let found = account(&mut flow, &whole, Direction::Received, None, 0, &mut moments).certificate;
        assert_eq!(found, Some(&b"DER"[..]));
        for length in 0..whole.len() {
            let cut = account(&mut flow, &whole[..length], Direction::Received, None, 0, &mut moments);
            assert_eq!(cut.certificate, None, "{length}");
        }
    }
}

//! STUN Binding (RFC 8489) for the lab: an address mirror over UDP.
//!
//! Guarantees: only well-formed Binding requests are answered, one datagram for one, so the lab can never amplify
//! by more than the size of one small response, never answers a response, and never fails on garbage.
//! [`respond`] is pure; [`serve`] owns one UDP socket and ends, closing it, when it is dropped or stopped.
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

use super::ledger::Ledger;

const MAGIC_COOKIE: u32 = 0x2112_A442;
const HEADER_BYTES: usize = 20;
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;
const ATTRIBUTE_ERROR_CODE: u16 = 0x0009;
const ATTRIBUTE_UNKNOWN_ATTRIBUTES: u16 = 0x000A;
const ATTRIBUTE_XOR_MAPPED_ADDRESS: u16 = 0x0020;
const ATTRIBUTE_FINGERPRINT: u16 = 0x8028;
/// The constant the FINGERPRINT is XORed with (RFC 8489 §14.7).
const FINGERPRINT_XOR: u32 = 0x5354_554E;
/// Comprehension-required attributes that may stand in a Binding request and change nothing here: MESSAGE-INTEGRITY,
/// USERNAME, MESSAGE-INTEGRITY-SHA256, USERHASH, PASSWORD-ALGORITHM, REALM, NONCE, PRIORITY, USE-CANDIDATE.
const TOLERATED: [u16; 9] = [0x0006, 0x0008, 0x0014, 0x0015, 0x001C, 0x001D, 0x001E, 0x0024, 0x0025];
/// At most this many unknown attributes are named in an error, so that a request never grows the answer much.
const MAX_UNKNOWN_NAMED: usize = 8;

/// Answers `request` that came from `source`: a Binding success with XOR-MAPPED-ADDRESS and FINGERPRINT, a 420 error
/// for comprehension-required attributes nobody knows (RFC 8489 §6.3.1), or `None` for everything that is to be ignored.
pub(super) fn respond(request: &[u8], source: SocketAddr) -> Option<Vec<u8>> {
    let header = request.get(..HEADER_BYTES)?;
    let kind = u16::from_be_bytes([header[0], header[1]]);
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let cookie = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    if kind != BINDING_REQUEST || cookie != MAGIC_COOKIE || length % 4 != 0 || request.len() != HEADER_BYTES + length {
        return None;
    }
    let unknown = unknown_attributes(request)?;
    let mut response = Vec::with_capacity(64);
    let code = if unknown.is_empty() { BINDING_SUCCESS } else { BINDING_ERROR };
    response.extend_from_slice(&code.to_be_bytes());
    response.extend_from_slice(&[0, 0]);
    response.extend_from_slice(&header[4..]);
    if unknown.is_empty() {
        push_attribute(&mut response, ATTRIBUTE_XOR_MAPPED_ADDRESS, &xor_mapped_address(source, &header[4..]));
    } else {
        let mut error = vec![0, 0, 4, 20];
        error.extend_from_slice(b"Unknown Attribute");
        push_attribute(&mut response, ATTRIBUTE_ERROR_CODE, &error);
        let named: Vec<u8> = unknown.iter().take(MAX_UNKNOWN_NAMED).flat_map(|kind| kind.to_be_bytes()).collect();
        push_attribute(&mut response, ATTRIBUTE_UNKNOWN_ATTRIBUTES, &named);
    }
    push_fingerprint(&mut response);
    Some(response)
}

/// Walks the attributes: `None` when one is cut off or a FINGERPRINT is wrong or not last, else the unknown ones.
fn unknown_attributes(message: &[u8]) -> Option<Vec<u16>> {
    let mut unknown = Vec::new();
    let mut at = HEADER_BYTES;
    while at < message.len() {
        let head = message.get(at..at + 4)?;
        let kind = u16::from_be_bytes([head[0], head[1]]);
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = message.get(at + 4..at + 4 + length)?;
        let next = at + 4 + length.next_multiple_of(4);
        if kind == ATTRIBUTE_FINGERPRINT {
            let expected = crc32fast::hash(&message[..at]) ^ FINGERPRINT_XOR;
            if value != expected.to_be_bytes() || next != message.len() {
                return None;
            }
        } else if kind < 0x8000 && !TOLERATED.contains(&kind) {
            unknown.push(kind);
        }
        at = next;
    }
    (at == message.len()).then_some(unknown)
}

/// The value of XOR-MAPPED-ADDRESS (RFC 8489 §14.2); `key` is magic cookie and transaction id, 16 bytes.
fn xor_mapped_address(address: SocketAddr, key: &[u8]) -> Vec<u8> {
    let (family, octets) = match address.ip().to_canonical() {
        IpAddr::V4(ip) => (1, ip.octets().to_vec()),
        IpAddr::V6(ip) => (2, ip.octets().to_vec()),
    };
    let mut value = vec![0, family];
    value.extend(address.port().to_be_bytes().iter().zip(key).map(|(byte, key)| byte ^ key));
    value.extend(octets.iter().zip(key).map(|(byte, key)| byte ^ key));
    value
}

/// Appends an attribute with its padding and sets the header's length.
fn push_attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len()).expect("lab attributes are far below 64 KiB");
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&length.to_be_bytes());
    message.extend_from_slice(value);
    message.resize(message.len().next_multiple_of(4), 0);
    let end = message.len();
    set_length(message, end);
}

fn push_fingerprint(message: &mut Vec<u8>) {
    // The header's length counts the FINGERPRINT itself while the CRC is taken (RFC 8489 §14.7).
    let end = message.len();
    set_length(message, end + 8);
    let fingerprint = crc32fast::hash(message) ^ FINGERPRINT_XOR;
    push_attribute(message, ATTRIBUTE_FINGERPRINT, &fingerprint.to_be_bytes());
}

fn set_length(message: &mut [u8], end: usize) {
    let length = u16::try_from(end - HEADER_BYTES).expect("lab responses are far below 64 KiB");
    message[2..4].copy_from_slice(&length.to_be_bytes());
}

/// Answers Binding requests on `socket` until `stop`; counts them, and what was ignored, in `ledger`.
pub(super) async fn serve(socket: UdpSocket, ledger: Arc<Ledger>, stop: CancellationToken) {
    let mut datagram = [0_u8; 1500];
    loop {
        let received = tokio::select! {
            () = stop.cancelled() => return,
            received = socket.recv_from(&mut datagram) => received,
        };
        match received {
            Ok((length, source)) => match respond(&datagram[..length], source) {
                Some(response) => {
                    ledger.stun_requests.add(1);
                    if let Err(error) = socket.send_to(&response, source).await {
                        log::debug!("STUN response to {source} was not sent: {error}");
                    }
                }
                None => {
                    ledger.stun_ignored.add(1);
                }
            },
            // An ICMP error of an earlier response shows up here; the socket itself is fine.
            Err(error) => {
                log::debug!("STUN socket: {error}");
                tokio::task::yield_now().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5769 §2.1's transaction id in a plain Binding request.
    fn request(attributes: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x00, 0x01];
        bytes.extend_from_slice(&(attributes.len() as u16).to_be_bytes());
        bytes.extend_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
        bytes.extend_from_slice(&[0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae]);
        bytes.extend_from_slice(attributes);
        bytes
    }

    #[test]
    fn the_mapped_address_of_rfc_5769_is_encoded_as_its_test_vector_says() {
        let response = respond(&request(&[]), "192.0.2.1:32853".parse().expect("address")).expect("answered");
        // RFC 5769 §2.2: XOR-MAPPED-ADDRESS of 192.0.2.1:32853.
        let expected = [0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43];
        assert_eq!(&response[..2], &[0x01, 0x01]);
        assert_eq!(&response[20..32], &expected);
        let response = respond(&request(&[]), "[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().expect("address"))
            .expect("answered");
        // RFC 5769 §2.3, IPv6.
        let expected = [
            0x00, 0x20, 0x00, 0x14, 0x00, 0x02, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25,
            0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9,
        ];
        assert_eq!(&response[20..44], &expected);
    }

    #[test]
    fn a_response_is_read_by_an_independent_stun_implementation() {
        let source: SocketAddr = "127.0.0.1:40000".parse().expect("address");
        let response = respond(&request(&[]), source).expect("answered");
        let mut message = rtc::stun::message::Message { raw: response, ..Default::default() };
        message.decode().expect("well-formed");
        rtc::stun::fingerprint::FINGERPRINT.check(&message).expect("fingerprint holds");
        let mut mapped = rtc::stun::xoraddr::XorMappedAddress::default();
        rtc::stun::message::Getter::get_from(&mut mapped, &message).expect("mapped address");
        assert_eq!(SocketAddr::new(mapped.ip, mapped.port), source);
    }

    #[test]
    fn an_unknown_required_attribute_gets_a_420_that_names_it() {
        let response =
            respond(&request(&[0x7f, 0xff, 0x00, 0x00]), "127.0.0.1:1".parse().expect("address")).expect("answered");
        assert_eq!(&response[..2], &[0x01, 0x11]);
        assert_eq!(&response[20..28], &[0x00, 0x09, 0x00, 0x15, 0, 0, 4, 20]);
        assert_eq!(&response[48..54], &[0x00, 0x0a, 0x00, 0x02, 0x7f, 0xff]);
    }

    #[test]
    fn an_unknown_optional_attribute_changes_nothing() {
        let response = respond(&request(&[0x80, 0x22, 0x00, 0x01, b'x', 0, 0, 0]), "127.0.0.1:1".parse().expect("a"));
        assert_eq!(&response.expect("answered")[..2], &[0x01, 0x01]);
    }

    #[test]
    fn garbage_is_ignored() {
        let source: SocketAddr = "127.0.0.1:1".parse().expect("address");
        let good = request(&[]);
        for length in 0..good.len() {
            assert!(respond(&good[..length], source).is_none(), "cut at {length}");
        }
        let mut wrong_cookie = good.clone();
        wrong_cookie[4] = 0;
        let mut indication = good.clone();
        indication[1] = 0x11;
        let mut longer = good;
        longer.push(0);
        let cut_attribute = request(&[0x80, 0x22, 0x00, 0x09, 1, 2, 3, 4]);
        let wrong_fingerprint = request(&[0x80, 0x28, 0x00, 0x04, 1, 2, 3, 4]);
        let own_response = respond(&request(&[]), source).expect("answered");
        for bytes in [wrong_cookie, indication, longer, cut_attribute, wrong_fingerprint, own_response] {
            assert!(respond(&bytes, source).is_none(), "{bytes:?}");
        }
    }

    #[test]
    fn no_input_whatever_makes_it_panic_or_amplify_much() {
        proptest::proptest!(|(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200), real in proptest::bool::ANY)| {
            let bytes = if real { let mut whole = bytes; whole.truncate(whole.len() / 4 * 4); request(&whole) } else { bytes };
            if let Some(response) = respond(&bytes, "[::1]:9".parse().expect("address")) {
                proptest::prop_assert!(response.len() <= 80);
            }
        });
    }
}

//! STUN messages, read without copying (RFC 8489 §5, ICE RFC 8445 §7, TURN RFC 8656).
//!
//! Pure reading of bytes from outside: whatever is cut or wrong reads as absent, and nothing is allocated.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Identifies a transaction (RFC 8489 §6).
pub(super) type TransactionId = [u8; 12];

/// STUN message class (RFC 8489 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StunClass {
    Request,
    Indication,
    Success,
    Error,
}

pub(super) const BINDING: u16 = 0x001;
pub(super) const CHANNEL_BIND: u16 = 0x009;

pub(super) const USERNAME: u16 = 0x0006;
pub(super) const MESSAGE_INTEGRITY: u16 = 0x0008;
pub(super) const ERROR_CODE: u16 = 0x0009;
pub(super) const CHANNEL_NUMBER: u16 = 0x000c;
pub(super) const LIFETIME: u16 = 0x000d;
pub(super) const XOR_PEER_ADDRESS: u16 = 0x0012;
pub(super) const DATA: u16 = 0x0013;
pub(super) const REALM: u16 = 0x0014;
pub(super) const NONCE: u16 = 0x0015;
pub(super) const XOR_RELAYED_ADDRESS: u16 = 0x0016;
pub(super) const MESSAGE_INTEGRITY_SHA256: u16 = 0x001c;
pub(super) const XOR_MAPPED_ADDRESS: u16 = 0x0020;
pub(super) const USE_CANDIDATE: u16 = 0x0025;
pub(super) const FINGERPRINT: u16 = 0x8028;
pub(super) const ALTERNATE_SERVER: u16 = 0x8023;

const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

/// A STUN message.
#[derive(Clone, Copy)]
pub(super) struct Stun<'a> {
    message: &'a [u8],
}

impl<'a> Stun<'a> {
    pub(super) const HEADER: usize = 20;

    pub(super) fn parse(message: &'a [u8]) -> Option<Self> {
        let cookie = message.get(4..8)?;
        (message.len() >= Self::HEADER && message[0] < 4 && cookie == MAGIC_COOKIE).then_some(Self { message })
    }

    pub(super) fn class(&self) -> StunClass {
        match (self.message[0] & 1, self.message[1] & 0x10) {
            (0, 0) => StunClass::Request,
            (0, _) => StunClass::Indication,
            (_, 0) => StunClass::Success,
            _ => StunClass::Error,
        }
    }

    pub(super) fn method(&self) -> u16 {
        let kind = u16::from_be_bytes([self.message[0], self.message[1]]);
        kind & 0x000f | (kind & 0x00e0) >> 1 | (kind & 0x3e00) >> 2
    }

    pub(super) fn transaction_id(&self) -> TransactionId {
        let mut id = [0; 12];
        id.copy_from_slice(&self.message[8..Self::HEADER]);
        id
    }

    /// A connectivity check carries the user name of the pair and no realm (RFC 8445 §7.1.2).
    pub(super) fn is_check(&self) -> bool {
        self.method() == BINDING && self.has(USERNAME) && !self.has(REALM)
    }

    pub(super) fn has(&self, attribute: u16) -> bool {
        self.attribute(attribute).is_some()
    }

    /// Whether it is signed, with whichever algorithm (RFC 8489 §14.5, §14.6).
    pub(super) fn has_integrity(&self) -> bool {
        self.has(MESSAGE_INTEGRITY) || self.has(MESSAGE_INTEGRITY_SHA256)
    }

    pub(super) fn error_code(&self) -> Option<u16> {
        match self.attribute(ERROR_CODE)? {
            [_, _, class, number, ..] => Some(u16::from(class & 7) * 100 + u16::from(*number)),
            _ => None,
        }
    }

    /// LIFETIME in s (RFC 8656 §18.2).
    pub(super) fn lifetime(&self) -> Option<u32> {
        Some(u32::from_be_bytes(self.attribute(LIFETIME)?.try_into().ok()?))
    }

    /// CHANNEL-NUMBER (RFC 8656 §18.1).
    pub(super) fn channel_number(&self) -> Option<u16> {
        match self.attribute(CHANNEL_NUMBER)? {
            [high, low, ..] => Some(u16::from_be_bytes([*high, *low])),
            _ => None,
        }
    }

    /// The datagram inside a Send or Data indication (RFC 8656 §11).
    pub(super) fn data(&self) -> Option<&'a [u8]> {
        self.attribute(DATA)
    }

    /// An address in clear (MAPPED-ADDRESS, ALTERNATE-SERVER; RFC 8489 §14.1).
    pub(super) fn address(&self, attribute: u16) -> Option<SocketAddr> {
        self.address_with(attribute, [0; 16])
    }

    /// An address under the XOR of cookie and transaction id (RFC 8489 §14.2).
    pub(super) fn xor_address(&self, attribute: u16) -> Option<SocketAddr> {
        let mut mask = [0; 16];
        mask.copy_from_slice(&self.message[4..Self::HEADER]);
        self.address_with(attribute, mask)
    }

    fn address_with(&self, attribute: u16, mask: [u8; 16]) -> Option<SocketAddr> {
        let (family, port, address) = match self.attribute(attribute)? {
            [_, family, high, low, address @ ..] => (*family, [high ^ mask[0], low ^ mask[1]], address),
            _ => return None,
        };
        let ip: IpAddr = match family {
            1 => {
                let bytes: [u8; 4] = address.get(..4)?.try_into().ok()?;
                Ipv4Addr::from(std::array::from_fn(|at| bytes[at] ^ mask[at])).into()
            }
            2 => {
                let bytes: [u8; 16] = address.get(..16)?.try_into().ok()?;
                Ipv6Addr::from(std::array::from_fn::<u8, 16, _>(|at| bytes[at] ^ mask[at])).into()
            }
            _ => return None,
        };
        Some(SocketAddr::new(ip, u16::from_be_bytes(port)))
    }

    /// The value of the first attribute of this type.
    pub(super) fn attribute(&self, wanted: u16) -> Option<&'a [u8]> {
        self.attributes().find_map(|(kind, value)| (kind == wanted).then_some(value))
    }

    /// Every whole attribute in order.
    pub(super) fn attributes(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let mut rest = &self.message[Self::HEADER..];
        std::iter::from_fn(move || {
            let [kind_high, kind_low, length_high, length_low, tail @ ..] = rest else { return None };
            let length = usize::from(u16::from_be_bytes([*length_high, *length_low]));
            let value = tail.get(..length)?;
            rest = tail.get(length.next_multiple_of(4)..).unwrap_or_default();
            Some((u16::from_be_bytes([*kind_high, *kind_low]), value))
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A message of this type with these attributes; its transaction id is twelve times `id`.
    pub(in crate::net) fn message(kind: u16, id: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (attribute, value) in attributes {
            body.extend(attribute.to_be_bytes());
            body.extend((value.len() as u16).to_be_bytes());
            body.extend_from_slice(value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        let mut message = kind.to_be_bytes().to_vec();
        message.extend((body.len() as u16).to_be_bytes());
        message.extend(MAGIC_COOKIE);
        message.extend([id; 12]);
        message.extend(body);
        message
    }

    /// The value of an address attribute under XOR, for transaction ids that are twelve times `id`.
    pub(in crate::net) fn xored(address: &str, id: u8) -> Vec<u8> {
        let address: SocketAddr = address.parse().expect("an address");
        let mut mask = MAGIC_COOKIE.to_vec();
        mask.extend([id; 12]);
        let (family, ip) = match address.ip() {
            IpAddr::V4(ip) => (1, ip.octets().to_vec()),
            IpAddr::V6(ip) => (2, ip.octets().to_vec()),
        };
        let port = address.port().to_be_bytes();
        let mut value = vec![0, family, port[0] ^ mask[0], port[1] ^ mask[1]];
        value.extend(ip.iter().zip(&mask).map(|(byte, mask)| byte ^ mask));
        value
    }

    #[test]
    fn addresses_are_read_in_both_families() {
        for address in ["192.0.2.7:3478", "[2001:db8::7]:50000"] {
            let bytes = message(0x0103, 9, &[(XOR_RELAYED_ADDRESS, &xored(address, 9))]);
            let stun = Stun::parse(&bytes).expect("STUN");
            assert_eq!(stun.xor_address(XOR_RELAYED_ADDRESS), Some(address.parse().expect("an address")));
            assert_eq!(stun.xor_address(XOR_MAPPED_ADDRESS), None);
        }
    }

    #[test]
    fn method_and_class_are_taken_apart() {
        for (kind, method, class) in [
            (0x0001, BINDING, StunClass::Request),
            (0x0113, 0x003, StunClass::Error),
            (0x0104, 0x004, StunClass::Success),
            (0x0017, 0x007, StunClass::Indication),
            (0x0009, CHANNEL_BIND, StunClass::Request),
        ] {
            let bytes = message(kind, 0, &[]);
            let stun = Stun::parse(&bytes).expect("STUN");
            assert_eq!((stun.method(), stun.class()), (method, class), "{kind:#06x}");
        }
    }

    #[test]
    fn an_attribute_that_is_cut_is_absent() {
        let bytes = message(0x0113, 0, &[(REALM, b"realm"), (ERROR_CODE, &[0, 0, 4, 38])]);
        for length in 0..=bytes.len() {
            let code = Stun::parse(&bytes[..length]).and_then(|stun| stun.error_code());
            assert_eq!(code, (length == bytes.len()).then_some(438), "{length}");
        }
    }
}

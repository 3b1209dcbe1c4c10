//! What a datagram is, by its first bytes (RFC 7983 §7, RFC 5761 §4). Pure.
use super::stun::Stun;

/// The protocols that share a session's socket.
pub(super) enum Kind<'a> {
    Stun(Stun<'a>),
    /// Channel number and what it carries (RFC 8656 §12.4).
    ChannelData(u16, &'a [u8]),
    Dtls,
    Rtp,
    Rtcp,
    Other,
}

impl<'a> Kind<'a> {
    pub(super) fn of(datagram: &'a [u8]) -> Self {
        match datagram {
            [0..=3, ..] => Stun::parse(datagram).map_or(Self::Other, Self::Stun),
            [20..=63, ..] => Self::Dtls,
            [number @ 64..=79, low_number, high, low, rest @ ..] => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                let number = u16::from_be_bytes([*number, *low_number]);
                Self::ChannelData(number, &rest[..length.min(rest.len())])
            }
            [128..=191, second, ..] if matches!(second & 0x7f, 64..=95) => Self::Rtcp,
            [128..=191, ..] if datagram.len() >= 12 => Self::Rtp,
            _ => Self::Other,
        }
    }
}

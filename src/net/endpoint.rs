//! Transport addresses in as few bytes as they need, for accounts that are kept per session.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A transport address in 20 bytes, or none. The scope of a link-local IPv6 address is not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Endpoint {
    ip: [u8; 16],
    port: u16,
    family: Family,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Family {
    #[default]
    None,
    V4,
    V6,
}

impl Endpoint {
    pub(super) const NONE: Self = Self { ip: [0; 16], port: 0, family: Family::None };

    pub(super) fn get(self) -> Option<SocketAddr> {
        let ip: IpAddr = match self.family {
            Family::None => return None,
            Family::V4 => Ipv4Addr::new(self.ip[0], self.ip[1], self.ip[2], self.ip[3]).into(),
            Family::V6 => Ipv6Addr::from(self.ip).into(),
        };
        Some(SocketAddr::new(ip, self.port))
    }

    pub(super) fn is_none(self) -> bool {
        self.family == Family::None
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        let mut ip = [0; 16];
        let family = match address.ip() {
            IpAddr::V4(v4) => {
                ip[..4].copy_from_slice(&v4.octets());
                Family::V4
            }
            IpAddr::V6(v6) => {
                ip = v6.octets();
                Family::V6
            }
        };
        Self { ip, port: address.port(), family }
    }
}

impl From<Option<SocketAddr>> for Endpoint {
    fn from(address: Option<SocketAddr>) -> Self {
        address.map_or(Self::NONE, Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_comes_back_as_it_went_in() {
        for address in ["192.0.2.7:3478", "[2001:db8::7]:50000"] {
            let address: SocketAddr = address.parse().expect("an address");
            assert_eq!(Endpoint::from(address).get(), Some(address));
        }
        assert_eq!(Endpoint::from(None).get(), None);
        assert_eq!(size_of::<Endpoint>(), 20);
    }
}

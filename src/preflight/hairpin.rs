//! Whether two softphones behind the same NAT reach each other by their public addresses (hairpinning, RFC 4787 §6).

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rtc::stun::attributes::ATTR_XORMAPPED_ADDRESS;
use rtc::stun::message::{BINDING_REQUEST, Message, Setter, TransactionId};
use rtc::stun::xoraddr::XorMappedAddress;
use tokio::net::UdpSocket;
use tokio::time::timeout_at;

use super::probe::any;
use crate::net::udp::route_source;

const TRIES: u32 = 3;
const BETWEEN: Duration = Duration::from_millis(300);

/// What came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hairpin {
    /// The server sees our own address: there is no NAT on the way.
    NoNat,
    /// The NAT brings a packet to our public address back to us.
    Supported(SocketAddr),
    /// It does not.
    Missing(SocketAddr),
    /// The STUN server did not answer.
    Unknown,
}

/// Looks, by a STUN server over UDP.
pub(super) async fn look(server: SocketAddr, source: Option<IpAddr>, timeout: Duration) -> Hairpin {
    let deadline = Instant::now() + timeout;
    let (Ok(receiver), Ok(sender)) =
        (UdpSocket::bind(any(server.ip(), source)).await, UdpSocket::bind(any(server.ip(), source)).await)
    else {
        return Hairpin::Unknown;
    };
    let Some(mapped) = mapped_address(&receiver, server, deadline).await else { return Hairpin::Unknown };
    if source.or_else(|| route_source(server.ip()).ok()) == Some(mapped.ip()) {
        return Hairpin::NoNat;
    }
    // The sender has a mapping of its own, as another softphone has; a filter may want to see it send first.
    if mapped_address(&sender, server, deadline).await.is_none() {
        return Hairpin::Unknown;
    }
    let token = rand::random::<u128>().to_be_bytes();
    for _ in 0..TRIES {
        if let Err(error) = sender.send_to(&token, mapped).await {
            log::debug!("hairpin probe to {mapped}: {error}");
        }
        let mut buffer = [0; 64];
        let until = Instant::now() + BETWEEN;
        while let Ok(Ok((length, _))) = timeout_at(until.into(), receiver.recv_from(&mut buffer)).await {
            if buffer[..length] == token {
                return Hairpin::Supported(mapped);
            }
        }
    }
    Hairpin::Missing(mapped)
}

async fn mapped_address(socket: &UdpSocket, server: SocketAddr, deadline: Instant) -> Option<SocketAddr> {
    let mut request = Message::new();
    TransactionId::new().add_to(&mut request).ok()?;
    BINDING_REQUEST.add_to(&mut request).ok()?;
    request.write_header();
    let mut buffer = [0; 2048];
    while Instant::now() < deadline {
        socket.send_to(&request.raw, server).await.ok()?;
        let until = (Instant::now() + BETWEEN).min(deadline);
        while let Ok(Ok((length, from))) = timeout_at(until.into(), socket.recv_from(&mut buffer)).await {
            if from != server || length < 20 || buffer[4..20] != request.raw[4..20] {
                continue;
            }
            let mut response = Message { raw: buffer[..length].to_vec(), ..Message::default() };
            response.decode().ok()?;
            let mut address = XorMappedAddress::default();
            address.get_from_as(&response, ATTR_XORMAPPED_ADDRESS).ok()?;
            return Some(SocketAddr::new(address.ip, address.port));
        }
    }
    None
}

//! The one UDP socket of a session.
//!
//! Plain datagrams, one system call each: no coalescing buffers (they cost 190 KiB per session and blur arrival times).
//! Every datagram passes the [`Wire`] on its way. Nothing is buffered here, so cancel loses nothing; dropping the last
//! reference closes the descriptor.
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::io::Interest;
use webrtc::runtime::{AsyncUdpSocket, RecvMeta, Transmit};

use super::sys;
use super::wire::Wire;

/// Receive buffer asked for, in bytes: about 1,000 audio packets as the kernel counts them, 20 s of one call.
const RECEIVE_BUFFER_BYTES: usize = 256 << 10;
/// What the kernel counts for the smallest datagram against the receive buffer, in bytes, at the least.
const SMALLEST_DATAGRAM_COST: usize = 256;
/// Larger than any datagram of a call; only its beginning is looked at.
const MAX_DATAGRAM_BYTES: usize = 2048;

/// A UDP socket whose every datagram is reported to a [`Wire`].
#[derive(Debug)]
pub struct ObservedUdpSocket {
    socket: tokio::net::UdpSocket,
    wire: Arc<Wire>,
}

impl ObservedUdpSocket {
    /// Takes over a bound socket. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// When the socket cannot be set up or registered with the runtime.
    pub fn new(socket: UdpSocket, wire: Arc<Wire>) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        sys::enable_timestamps(socket.as_fd())?;
        sys::set_receive_buffer(socket.as_fd(), RECEIVE_BUFFER_BYTES)?;
        let socket = tokio::net::UdpSocket::from_std(socket)?;
        Ok(Self { socket, wire })
    }

    /// Datagrams the kernel dropped for want of receive buffer; 0 where the kernel does not say.
    pub fn receive_drops(&self) -> u64 {
        sys::receive_drops(self.socket.as_fd()).unwrap_or(0)
    }
}

impl ObservedUdpSocket {
    /// Reports to the [`Wire`] what has arrived and nobody has read, so that a closing session accounts for it. At most
    /// as much as the receive buffer holds; what comes later is not waited for.
    pub fn take_unread(&self) {
        let mut datagram = [0; MAX_DATAGRAM_BYTES];
        for _ in 0..RECEIVE_BUFFER_BYTES / SMALLEST_DATAGRAM_COST {
            // Around tokio, whose word on readiness may be older than the datagram.
            let received = sys::receive(self.socket.as_fd(), &mut [IoSliceMut::new(&mut datagram)]);
            let Ok(received) = received else { return };
            let queued = queued_for(received.kernel_time);
            self.wire.received(&datagram[..received.len], received.source, std::time::Instant::now(), queued);
        }
    }
}

impl AsyncUdpSocket for ObservedUdpSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        let result = ready!(self.socket.poll_send_to(cx, transmit.contents, transmit.destination));
        match &result {
            Ok(_) => self.wire.sent(transmit.contents, std::time::Instant::now()),
            Err(error) => self.wire.send_failed(transmit.destination, error),
        }
        Poll::Ready(result)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let [buffer, ..] = buffers else { return Poll::Ready(Ok(0)) };
        let [first, ..] = meta else { return Poll::Ready(Ok(0)) };
        loop {
            ready!(self.socket.poll_recv_ready(cx))?;
            // Through `try_io`, which tells tokio when the socket ran dry; its readiness would stay set otherwise.
            let received = match self
                .socket
                .try_io(Interest::READABLE, || sys::receive(self.socket.as_fd(), std::slice::from_mut(buffer)))
            {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Poll::Ready(Err(error)),
                Ok(received) => received,
            };
            let queued = queued_for(received.kernel_time);
            self.wire.received(&buffer[..received.len], received.source, std::time::Instant::now(), queued);
            *first = RecvMeta::default();
            first.addr = received.source;
            first.len = received.len;
            first.stride = received.len.max(1);
            first.timestamp = received.kernel_time;
            return Poll::Ready(Ok(1));
        }
    }
}

/// How long a datagram that arrived at `kernel_time` (since the Unix epoch) has lain in the kernel; 0 where that is unknown.
fn queued_for(kernel_time: Option<Duration>) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    kernel_time.and_then(|time| now.checked_sub(time)).unwrap_or_default()
}

/// The local address from which the kernel would send to `destination`. Sends nothing: connecting a UDP socket only
/// looks up the route.
///
/// # Errors
/// The errno of the lookup, such as `ENETUNREACH`.
pub fn route_source(destination: IpAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match destination {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    // The discard port (RFC 863); any would do, since nothing is sent.
    socket.connect((destination, 9))?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_nobody_read_is_accounted_for() {
        let wire = Arc::new(Wire::new(std::time::Instant::now()));
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("bound");
        let address = socket.local_addr().expect("address");
        let observed = ObservedUdpSocket::new(socket, Arc::clone(&wire)).expect("observed");
        let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("bound");
        for sequence in 0..3u8 {
            peer.send_to(&[0x80, 111, 0, sequence, 0, 0, 0, 0, 0, 0, 0, 1, 7], address).expect("sent");
        }
        observed.take_unread();
        observed.take_unread();
        assert_eq!(wire.facts().rtp_received, 3);
    }
}

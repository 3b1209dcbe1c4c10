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
            let queued = received.kernel_time.and_then(|time| since_unix_epoch().checked_sub(time)).unwrap_or_default();
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

fn since_unix_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
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

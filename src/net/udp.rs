//! The one UDP socket of a session.
//!
//! Plain datagrams, one system call each: no coalescing buffers (they cost 190 KiB per session and blur arrival times).
//! Every datagram passes the [`Wire`] on its way. Nothing is buffered here, so cancel loses nothing; dropping the last
//! reference closes the descriptor.
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::io::Interest;
use webrtc::runtime::{AsyncUdpSocket, RecvMeta, Transmit};

use super::datagram::Kind;
use super::facts::{ServerTransport, SocketCall};
use super::turn::{Incoming, Outgoing, Relay};
use super::wire::Wire;
use super::{read_lag, sys};

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
    relay: Option<Arc<Relay>>,
    /// Something other than RTP was received since the last look.
    control_received: AtomicBool,
    /// RTP was received since the last look.
    media_received: AtomicBool,
}

impl ObservedUdpSocket {
    /// Takes over a bound socket. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// When the socket cannot be set up or registered with the runtime.
    pub fn new(socket: UdpSocket, wire: Arc<Wire>) -> io::Result<Self> {
        Self::with_relay(socket, wire, None)
    }

    /// The same, for a session with a `relay`: what is for its TURN server goes and comes through it.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_relay(socket: UdpSocket, wire: Arc<Wire>, relay: Option<Arc<Relay>>) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        sys::enable_timestamps(socket.as_fd())?;
        sys::enable_error_queue(socket.as_fd(), address)?;
        sys::set_receive_buffer(socket.as_fd(), RECEIVE_BUFFER_BYTES)?;
        let socket = tokio::net::UdpSocket::from_std(socket)?;
        wire.bound(address);
        let (control_received, media_received) = Default::default();
        Ok(Self { socket, wire, relay, control_received, media_received })
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
            let received = self.receive(&mut IoSliceMut::new(&mut datagram));
            let Ok(received) = received else { return };
            let queued = queued_for(received.kernel_time);
            self.wire.received(&datagram[..received.len], received.source, Instant::now(), queued);
        }
    }
}

impl ObservedUdpSocket {
    /// Whether a datagram or an error has arrived that nobody has read.
    pub(super) fn has_unread(&self) -> bool {
        sys::wait_readable(self.socket.as_fd(), None, Duration::ZERO).bytes
    }

    /// Takes every ICMP error that has come back; returns whether there was one.
    pub fn take_queued_errors(&self) -> bool {
        let mut any = false;
        // As many as the receive buffer can hold at the most; they share it with the datagrams.
        for _ in 0..RECEIVE_BUFFER_BYTES / SMALLEST_DATAGRAM_COST {
            let Ok(error) = sys::take_queued_error(self.socket.as_fd()) else { break };
            self.wire.returned(&error);
            if let Some(relay) = &self.relay {
                relay.unreachable(error.destination, error.errno);
            }
            any = true;
        }
        any
    }

    /// Hands one datagram to the kernel. An ICMP error that came back for an earlier one is accounted for and does not
    /// stop this one.
    fn send(&self, datagram: &[u8], destination: SocketAddr) -> io::Result<usize> {
        let result = sys::send(self.socket.as_fd(), datagram, destination);
        match &result {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock && self.take_queued_errors() => {
                sys::send(self.socket.as_fd(), datagram, destination)
            }
            _ => result,
        }
    }

    /// Hands one datagram to the kernel without waiting. It is accounted for before, since the answer may be read on
    /// another thread before this one goes on; a refusal is accounted for besides.
    pub(super) fn send_observed(&self, datagram: &[u8], destination: SocketAddr) -> io::Result<usize> {
        self.wire.sent(datagram, destination, ServerTransport::Udp, Instant::now());
        let result = self.send(datagram, destination);
        if let Err(error) = &result {
            self.wire.refused(SocketCall::Send, Some(destination), error);
        }
        result
    }

    fn poll_send_observed(
        &self,
        cx: &mut Context<'_>,
        datagram: &[u8],
        destination: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        // Before the call, in which loopback delivers and may even answer.
        let mut at = Instant::now();
        let mut result = self.send(datagram, destination);
        if result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            ready!(self.socket.poll_send_ready(cx))?;
            // After an ICMP error tokio takes the socket for writable for ever. Where it is not, this datagram is lost
            // here, and that is told, as it would be lost in the network.
            at = Instant::now();
            result = self.send(datagram, destination);
        }
        match &result {
            Ok(_) => self.wire.sent(datagram, destination, ServerTransport::Udp, at),
            Err(error) => self.wire.refused(SocketCall::Send, Some(destination), error),
        }
        Poll::Ready(result)
    }

    /// Takes one datagram, around ICMP errors, which it accounts for.
    fn receive(&self, buffer: &mut IoSliceMut<'_>) -> io::Result<sys::Received> {
        loop {
            let result = sys::receive(self.socket.as_fd(), std::slice::from_mut(buffer));
            match &result {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock && self.take_queued_errors() => {}
                _ => return result,
            }
        }
    }

    /// The next datagram for the engine: its length, from whom, and when the kernel took it in.
    fn poll_receive(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut IoSliceMut<'_>,
    ) -> Poll<io::Result<(usize, SocketAddr, Option<Duration>)>> {
        if let Some(relay) = &self.relay
            && let Poll::Ready(length) = relay.poll_incoming(cx, buffer)
        {
            self.note_kind(&buffer[..length]);
            return Poll::Ready(Ok((length, relay.engine_address(), None)));
        }
        loop {
            ready!(self.socket.poll_recv_ready(cx))?;
            // Through `try_io`, which tells tokio when the socket ran dry; its readiness would stay set otherwise.
            let received = match self.socket.try_io(Interest::READABLE, || self.receive(buffer)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => {
                    self.wire.refused(SocketCall::Recv, None, &error);
                    return Poll::Ready(Err(error));
                }
                Ok(received) => received,
            };
            let queued = queued_for(received.kernel_time);
            let datagram = &buffer[..received.len];
            self.wire.received(datagram, received.source, Instant::now(), queued);
            let mut source = received.source;
            if let Some(relay) = &self.relay {
                match relay.incoming(datagram, source) {
                    Incoming::Deliver => source = relay.engine_address(),
                    Incoming::Taken => continue,
                    Incoming::Reply(reply, server) => {
                        // A reply that does not leave is accounted for; the request is sent again by its owner.
                        let _ = self.send_observed(&reply, server);
                        continue;
                    }
                    Incoming::Foreign => {}
                }
                self.note_kind(datagram);
            }
            return Poll::Ready(Ok((received.len, source, received.kernel_time)));
        }
    }

    /// Receives one datagram into `buffer`, outside the engine; as far as the relay is concerned it is handled.
    pub(super) async fn receive_once(&self, buffer: &mut [u8]) -> io::Result<usize> {
        std::future::poll_fn(|cx| self.poll_receive(cx, &mut IoSliceMut::new(buffer))).await.map(|(length, ..)| length)
    }

    fn note_kind(&self, datagram: &[u8]) {
        let media = match Kind::of(datagram) {
            Kind::Rtp => true,
            Kind::ChannelData(_, inner) => matches!(Kind::of(inner), Kind::Rtp),
            _ => false,
        };
        match media {
            true => self.media_received.store(true, Ordering::Relaxed),
            false => self.control_received.store(true, Ordering::Relaxed),
        }
    }

    /// Whether RTP and nothing but RTP was received since the last call; sessions without a relay do not look.
    pub(super) fn received_only_media(&self) -> bool {
        let control = self.control_received.swap(false, Ordering::Relaxed);
        self.media_received.swap(false, Ordering::Relaxed) && !control
    }
}

impl AsyncUdpSocket for ObservedUdpSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        if let Some(relay) = &self.relay
            && transmit.destination == relay.engine_address()
        {
            return match relay.outgoing(cx, transmit.contents)? {
                Outgoing::Send(message, server) => self.poll_send_observed(cx, &message, server),
                Outgoing::Done => Poll::Ready(Ok(transmit.contents.len())),
            };
        }
        self.poll_send_observed(cx, transmit.contents, transmit.destination)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let [buffer, ..] = buffers else { return Poll::Ready(Ok(0)) };
        let [first, ..] = meta else { return Poll::Ready(Ok(0)) };
        let (length, source, kernel_time) = ready!(self.poll_receive(cx, buffer))?;
        *first = RecvMeta::default();
        first.addr = source;
        first.len = length;
        first.stride = length.max(1);
        first.timestamp = kernel_time;
        Poll::Ready(Ok(1))
    }
}

/// How long a datagram that arrived at `kernel_time` (since the Unix epoch) has lain in the kernel; 0 where that is unknown.
fn queued_for(kernel_time: Option<Duration>) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let queued = kernel_time.and_then(|time| now.checked_sub(time)).unwrap_or_default();
    read_lag::note(queued);
    queued
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
    async fn a_closed_port_is_told_and_stops_nothing() {
        let wire = Arc::new(Wire::new(Instant::now()));
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("bound");
        let observed = ObservedUdpSocket::new(socket, Arc::clone(&wire)).expect("observed");
        let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("bound");
        let closed = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr()).expect("a port");
        let binding = [0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        for destination in [closed, peer.local_addr().expect("address"), closed] {
            let transmit = Transmit { destination, ecn: None, contents: &binding, segment_size: None, src_ip: None };
            let sent = std::future::poll_fn(|cx| observed.poll_send(cx, &transmit));
            let sent = tokio::time::timeout(Duration::from_secs(20), sent).await.expect("no waiting");
            assert_eq!(sent.expect("an earlier error does not stop a later datagram"), binding.len());
        }
        observed.take_queued_errors();
        let facts = wire.facts();
        let [error] = &facts.icmp_errors[..] else { panic!("{facts:?}") };
        assert!(error.is_port_unreachable());
        assert_eq!((error.destination, error.count), (Some(closed), 2));
        assert_eq!((facts.send_errors, facts.socket_errors.len()), (0, 0));
        peer.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        assert_eq!(peer.recv(&mut [0; 64]).expect("delivered"), binding.len());
    }

    #[tokio::test]
    async fn what_nobody_read_is_accounted_for() {
        let wire = Arc::new(Wire::new(Instant::now()));
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

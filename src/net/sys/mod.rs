//! Calls of the system that neither the standard library nor tokio offers, of sockets mostly.
//!
//! `nix` where it has the call, `libc` where it has not. Every call takes a borrowed descriptor and keeps nothing, so
//! there is nothing to undo on drop or cancel.
mod memory;

use std::io::{self, IoSliceMut};
use std::mem::{MaybeUninit, size_of};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, recv, recvmsg, send as send_bytes, sendto, setsockopt, sockopt,
};
use tokio::io::unix::AsyncFd;

pub(crate) use memory::return_freed_memory;

/// Room for the ancillary data of [`receive`], one `SCM_TIMESTAMPNS` (32 bytes), aligned as its header must be.
#[repr(align(8))]
struct Control([u8; 64]);

/// One datagram taken from a socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    /// Payload length in bytes; a longer datagram was cut to the buffer.
    pub(crate) len: usize,
    /// Who sent it.
    pub(crate) source: SocketAddr,
    /// When the kernel took it in, since the Unix epoch; `None` where the socket has no timestamps.
    pub(crate) kernel_time: Option<Duration>,
}

/// Asks the kernel to stamp every datagram on arrival (`SO_TIMESTAMPNS`).
pub(crate) fn enable_timestamps(socket: BorrowedFd<'_>) -> io::Result<()> {
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true).map_err(io::Error::from)
}

/// Asks the kernel to keep the ICMP errors that come back for `local`'s socket (`IP_RECVERR`, `IPV6_RECVERR`). From then
/// on the next call on the socket, whichever it is, fails once with the error's errno.
pub(crate) fn enable_error_queue(socket: BorrowedFd<'_>, local: SocketAddr) -> io::Result<()> {
    match local {
        SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4RecvErr, &true),
        SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvErr, &true),
    }
    .map_err(io::Error::from)
}

/// One error out of a socket's error queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueuedError {
    /// errno that the kernel makes of it.
    pub(crate) errno: i32,
    /// ICMP type.
    pub(crate) icmp_type: u8,
    /// ICMP code.
    pub(crate) icmp_code: u8,
    /// Where the datagram went.
    pub(crate) destination: Option<SocketAddr>,
    /// Who sent the error.
    pub(crate) offender: Option<IpAddr>,
}

/// Takes the next ICMP error out of the error queue without blocking (`recvmsg` with `MSG_ERRQUEUE`, ip(7)); errors of
/// other origin are passed over, since the call that met them has told them.
///
/// # Errors
/// The errno of `recvmsg`; `WouldBlock` when the queue is empty.
pub(crate) fn take_queued_error(socket: BorrowedFd<'_>) -> io::Result<QueuedError> {
    loop {
        // Only the ancillary data is of interest, not the datagram that came back.
        let mut control = ErrorControl([0; 512]);
        let mut start = [0; 8];
        let buffers = &mut [IoSliceMut::new(&mut start)];
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let message = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), buffers, Some(&mut control.0), flags)
            .map_err(io::Error::from)?;
        let destination = message.address.as_ref().and_then(socket_address);
        let Ok(mut messages) = message.cmsgs() else { continue };
        let error = messages.find_map(|message| match message {
            ControlMessageOwned::Ipv4RecvErr(error, offender) if error.ee_origin == libc::SO_EE_ORIGIN_ICMP => {
                let offender = offender.map(|address| IpAddr::from(address.sin_addr.s_addr.to_ne_bytes()));
                Some((error, offender))
            }
            ControlMessageOwned::Ipv6RecvErr(error, offender) if error.ee_origin == libc::SO_EE_ORIGIN_ICMP6 => {
                Some((error, offender.map(|address| IpAddr::from(address.sin6_addr.s6_addr))))
            }
            _ => None,
        });
        if let Some((error, offender)) = error {
            let errno = i32::try_from(error.ee_errno).unwrap_or_default();
            let (icmp_type, icmp_code) = (error.ee_type, error.ee_code);
            return Ok(QueuedError { errno, icmp_type, icmp_code, destination, offender });
        }
    }
}

/// Room for the ancillary data of [`take_queued_error`]: a timestamp, `sock_extended_err` and the offender's address.
#[repr(align(8))]
struct ErrorControl([u8; 512]);

/// Hands one datagram to the kernel without blocking (`sendto`).
///
/// # Errors
/// The errno of `sendto`; `WouldBlock` when the send buffer is full.
pub(crate) fn send(socket: BorrowedFd<'_>, datagram: &[u8], destination: SocketAddr) -> io::Result<usize> {
    let address = SockaddrStorage::from(destination);
    sendto(socket.as_raw_fd(), datagram, &address, MsgFlags::MSG_DONTWAIT).map_err(io::Error::from)
}

/// Asks for a receive buffer of `bytes` (`SO_RCVBUF`); the kernel doubles it and cuts it at twice `net.core.rmem_max`.
pub(crate) fn set_receive_buffer(socket: BorrowedFd<'_>, bytes: usize) -> io::Result<()> {
    setsockopt(&socket, sockopt::RcvBuf, &bytes).map_err(io::Error::from)
}

/// Takes one datagram without blocking (`recvmsg`), with the kernel's arrival time.
///
/// # Errors
/// The errno of `recvmsg`; `WouldBlock` when there is none.
pub(crate) fn receive(socket: BorrowedFd<'_>, buffers: &mut [IoSliceMut<'_>]) -> io::Result<Received> {
    let mut control = Control([0; 64]);
    let message = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), buffers, Some(&mut control.0), MsgFlags::MSG_DONTWAIT)
        .map_err(io::Error::from)?;
    let source = message
        .address
        .as_ref()
        .and_then(socket_address)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a datagram without an IP source address"))?;
    let kernel_time = message.cmsgs().ok().and_then(|mut messages| {
        messages.find_map(|message| match message {
            ControlMessageOwned::ScmTimestampns(time) => Some(Duration::from(time)),
            _ => None,
        })
    });
    Ok(Received { len: message.bytes, source, kernel_time })
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddr::from((v4.ip(), v4.port())));
    }
    address.as_sockaddr_in6().map(|v6| SocketAddr::from((v6.ip(), v6.port())))
}

/// Datagrams that the kernel dropped because this socket's receive buffer was full (`SO_MEMINFO`, `SK_MEMINFO_DROPS`).
///
/// # Errors
/// The errno of `getsockopt` (kernels before 4.12 have no `SO_MEMINFO`).
pub(crate) fn receive_drops(socket: BorrowedFd<'_>) -> io::Result<u64> {
    /// `SK_MEMINFO_VARS` and the index `SK_MEMINFO_DROPS` of `linux/sock_diag.h`.
    const VARIABLES: usize = 9;
    const DROPS: usize = 8;
    let mut values = [0u32; VARIABLES];
    let mut length = libc::socklen_t::try_from(size_of::<[u32; VARIABLES]>()).expect("36 fits in a socklen_t");
    // SAFETY: the descriptor is borrowed and thus open; `values` and `length` outlive the call, and `length` states the
    // exact size of `values`, so the kernel writes within it.
    let status = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            values.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(u64::from(values[DROPS]))
}

/// Hands bytes of a connection to the kernel without blocking (`send`); how many it took.
///
/// # Errors
/// The errno of `send`; `WouldBlock` when the send buffer is full.
pub(crate) fn write_now(tcp: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    send_bytes(tcp.as_raw_fd(), bytes, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL).map_err(io::Error::from)
}

/// Takes bytes of a connection without blocking (`recv`); 0 is the end.
///
/// # Errors
/// The errno of `recv`; `WouldBlock` when there are none.
pub(crate) fn read_now(tcp: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    recv(tcp.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT).map_err(io::Error::from)
}

/// Makes a connection ready for [`read_waiting`], which then waits for `longest` at most (`SO_RCVTIMEO`, and `TCP_INQ` of Linux
/// 4.18).
///
/// # Errors
/// The errno of `setsockopt` or `fcntl`.
pub(crate) fn enable_waiting(tcp: &TcpStream, longest: Duration) -> io::Result<()> {
    let on: libc::c_int = 1;
    let length = libc::socklen_t::try_from(size_of::<libc::c_int>()).expect("4 fits in a socklen_t");
    // SAFETY: the descriptor is borrowed and thus open; `on` outlives the call, and `length` is its exact size.
    let status =
        unsafe { libc::setsockopt(tcp.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INQ, (&raw const on).cast(), length) };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    tcp.set_read_timeout(Some(longest))?;
    tcp.set_nonblocking(false)
}

/// What [`read_waiting`] or [`read_reply`] took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken<'a> {
    /// The bytes; none is the end.
    pub(crate) bytes: &'a [u8],
    /// There are more bytes, or the end is behind these; [`read_reply`] says it only where they fill the buffer.
    pub(crate) more: bool,
}

/// Room for the ancillary data of [`read_waiting`], one `TCP_CM_INQ`, aligned as its header must be.
#[repr(align(8))]
struct InqControl([u8; 24]);

/// Takes bytes of a connection and blocks until there are any (`recvmsg`), as long as [`enable_waiting`] has said at most.
/// Nothing but bytes and the end of the connection ends it earlier.
///
/// # Errors
/// The errno of `recvmsg`; `WouldBlock` when the time was up, `Interrupted` by a signal.
pub(crate) fn read_waiting<'a>(tcp: BorrowedFd<'_>, buffer: &'a mut [MaybeUninit<u8>]) -> io::Result<Taken<'a>> {
    let mut control = InqControl([0; 24]);
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: all of its fields may be zero, which stands for "not given".
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
    (message.msg_control, message.msg_controllen) = (control.0.as_mut_ptr().cast(), control.0.len() as _);
    // SAFETY: the descriptor is borrowed and thus open; `message` points to `buffer`, `part` and `control`, which outlive the
    // call and are as long as it says.
    let read = unsafe { libc::recvmsg(tcp.as_raw_fd(), &raw mut message, 0) };
    let Ok(len) = usize::try_from(read) else { return Err(io::Error::last_os_error()) };
    // SAFETY: the kernel has filled `message`, whose control buffer is still there and aligned as its header must be; what is
    // read of the header and behind it lies within, since the header says so.
    let left = unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        let says_it =
            !header.is_null() && (*header).cmsg_level == libc::IPPROTO_TCP && (*header).cmsg_type == libc::TCP_CM_INQ;
        says_it.then(|| libc::CMSG_DATA(header).cast::<libc::c_int>().read_unaligned())
    };
    // SAFETY: the kernel has written so many bytes from the begin of `buffer`.
    let bytes = unsafe { buffer[..len].assume_init_ref() };
    // It counts one where only the end is left.
    Ok(Taken { bytes, more: left != Some(0) })
}

/// The same (`recv`), for bytes that cannot have lain there for long: a quarter of a microsecond less, and nothing is known of an
/// end right behind them.
///
/// # Errors
/// As [`read_waiting`], those of `recv`.
pub(crate) fn read_reply<'a>(tcp: BorrowedFd<'_>, buffer: &'a mut [MaybeUninit<u8>]) -> io::Result<Taken<'a>> {
    // SAFETY: the descriptor is borrowed and thus open; the kernel writes no more than the length of `buffer` into it.
    let read = unsafe { libc::recv(tcp.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
    let Ok(len) = usize::try_from(read) else { return Err(io::Error::last_os_error()) };
    let more = len == buffer.len();
    // SAFETY: the kernel has written so many bytes from the begin of `buffer`.
    Ok(Taken { bytes: unsafe { buffer[..len].assume_init_ref() }, more })
}

/// What ended [`wait_readable`]; nothing of it when the time was up or a signal came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Readable {
    /// The socket has bytes, an error or its end to read.
    pub(crate) bytes: bool,
    /// The peer has ended its direction, behind the bytes that may be there.
    pub(crate) end: bool,
    /// The other descriptor has something to read.
    pub(crate) woken: bool,
}

/// Blocks until `socket` or `wake` can be read, `timeout` at most (`ppoll`). An error of the call itself, which only a
/// kernel without memory has, counts as readable: the read then tells.
pub(crate) fn wait_readable(socket: BorrowedFd<'_>, wake: Option<BorrowedFd<'_>>, timeout: Duration) -> Readable {
    let mut descriptors = [
        PollFd::new(socket, PollFlags::POLLIN | PollFlags::from_bits_retain(libc::POLLRDHUP)),
        PollFd::new(wake.unwrap_or(socket), if wake.is_some() { PollFlags::POLLIN } else { PollFlags::empty() }),
    ];
    let used = if wake.is_some() { 2 } else { 1 };
    match ppoll(&mut descriptors[..used], Some(timeout.into()), None) {
        Ok(_) => {}
        Err(Errno::EINTR) => return Readable::default(),
        Err(_) => return Readable { bytes: true, end: false, woken: true },
    }
    // `nix` gives nothing where a flag is set that it does not know, and that is POLLRDHUP.
    let seen = descriptors[0].revents().unwrap_or(PollFlags::POLLHUP);
    Readable {
        bytes: !seen.is_empty(),
        end: seen.intersects(PollFlags::POLLHUP | PollFlags::POLLERR),
        woken: wake.is_some() && descriptors[1].any().unwrap_or(true),
    }
}

/// Registers a connection with the poller of the current runtime, until what is returned is dropped (epoll(7)).
///
/// # Errors
/// The errno of `epoll_ctl`: the kernel has no memory, or the user too many watches.
///
/// # Panics
/// Outside of a runtime.
pub(crate) fn register(tcp: Arc<TcpStream>) -> io::Result<AsyncFd<Arc<TcpStream>>> {
    // SAFETY: the descriptor is that of the `TcpStream`, which gives it for as long as it lives; the `Arc` in the `AsyncFd`
    // keeps it alive and open until the `AsyncFd` is dropped, and is never exchanged, since nobody calls `get_mut`.
    Ok(unsafe { AsyncFd::register(tcp) }?)
}

/// Sums of the UDP counters of this network namespace since boot, from `/proc/net/snmp`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UdpCounters {
    /// Datagrams delivered.
    pub in_datagrams: u64,
    /// Datagrams sent.
    pub out_datagrams: u64,
    /// Datagrams dropped because a receive buffer was full.
    pub rcvbuf_errors: u64,
    /// Datagrams dropped because a send buffer or queue was full.
    pub sndbuf_errors: u64,
}

impl UdpCounters {
    /// Reads them now.
    ///
    /// # Errors
    /// When `/proc/net/snmp` cannot be read or has no UDP lines.
    pub fn read() -> io::Result<Self> {
        let text = std::fs::read_to_string("/proc/net/snmp")?;
        Self::parse(&text).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/net/snmp has no Udp lines"))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp: "));
        let (names, values) = (lines.next()?, lines.next()?);
        let value = |name: &str| {
            let position = names.split(' ').position(|candidate| candidate == name)?;
            values.split(' ').nth(position)?.parse().ok()
        };
        Some(Self {
            in_datagrams: value("InDatagrams")?,
            out_datagrams: value("OutDatagrams")?,
            rcvbuf_errors: value("RcvbufErrors")?,
            sndbuf_errors: value("SndbufErrors")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_datagram_comes_with_its_source_and_its_kernel_time() {
        let receiver = UdpSocket::bind("127.0.0.1:0").expect("bind");
        enable_timestamps(receiver.as_fd()).expect("SO_TIMESTAMPNS");
        let sender = UdpSocket::bind("127.0.0.1:0").expect("bind");
        sender.send_to(b"abc", receiver.local_addr().expect("address")).expect("send");
        let mut buffer = [0u8; 16];
        let received = receive(receiver.as_fd(), &mut [IoSliceMut::new(&mut buffer)]).expect("receive");
        assert_eq!(&buffer[..received.len], b"abc");
        assert_eq!(received.source, sender.local_addr().expect("address"));
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        assert!(now.abs_diff(received.kernel_time.expect("stamp")) < Duration::from_secs(60));
    }

    #[test]
    fn a_closed_port_comes_back_as_icmp_with_its_offender() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
        enable_error_queue(socket.as_fd(), socket.local_addr().expect("address")).expect("IP_RECVERR");
        let closed = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port, now closed");
        assert_eq!(take_queued_error(socket.as_fd()).expect_err("empty").kind(), io::ErrorKind::WouldBlock);
        send(socket.as_fd(), b"anybody?", closed).expect("sent");
        let error = take_queued_error(socket.as_fd()).expect("loopback answers at once");
        assert_eq!((error.errno, error.icmp_type, error.icmp_code), (libc::ECONNREFUSED, 3, 3));
        assert_eq!((error.destination, error.offender), (Some(closed), Some(closed.ip())));
        send(socket.as_fd(), b"again", closed).expect("taking the error has cleared it");
    }

    #[test]
    fn a_closed_port_comes_back_over_ipv6_too() {
        let Ok(socket) = UdpSocket::bind("[::1]:0") else { panic!("this machine has no IPv6 on loopback") };
        enable_error_queue(socket.as_fd(), socket.local_addr().expect("address")).expect("IPV6_RECVERR");
        let closed = UdpSocket::bind("[::1]:0").and_then(|socket| socket.local_addr()).expect("a port, now closed");
        send(socket.as_fd(), b"anybody?", closed).expect("sent");
        let error = take_queued_error(socket.as_fd()).expect("loopback answers at once");
        assert_eq!((error.errno, error.icmp_type, error.icmp_code), (libc::ECONNREFUSED, 1, 4));
        assert_eq!((error.destination, error.offender), (Some(closed), Some(closed.ip())));
    }

    #[test]
    fn an_empty_socket_would_block() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
        let error = receive(socket.as_fd(), &mut [IoSliceMut::new(&mut [0u8; 16])]).expect_err("nothing to receive");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    /// A connection whose reads wait for a moment, and its other side.
    fn waiting() -> (TcpStream, TcpStream) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        let tcp = TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
        enable_waiting(&tcp, Duration::from_millis(50)).expect("TCP_INQ");
        (tcp, listener.accept().expect("accept").0)
    }

    #[test]
    fn a_read_that_waits_says_whether_there_is_more() {
        let (tcp, mut peer) = waiting();
        let mut buffer = [MaybeUninit::uninit(); 2];
        let nothing = read_waiting(tcp.as_fd(), &mut buffer).expect_err("nothing was sent");
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        peer.write_all(b"abc").expect("send");
        for expected in [Taken { bytes: b"ab", more: true }, Taken { bytes: b"c", more: false }] {
            assert_eq!(read_waiting(tcp.as_fd(), &mut buffer).expect("bytes"), expected);
        }
        peer.write_all(b"d").expect("send");
        drop(peer);
        // The end comes behind the byte, at any moment.
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(read_waiting(tcp.as_fd(), &mut buffer).expect("a byte"), Taken { bytes: b"d", more: true });
        assert_eq!(read_waiting(tcp.as_fd(), &mut buffer).expect("the end").bytes, b"");
    }

    #[test]
    fn a_read_of_a_reply_says_there_may_be_more_where_the_buffer_is_full() {
        let (tcp, mut peer) = waiting();
        let mut buffer = [MaybeUninit::uninit(); 2];
        let nothing = read_reply(tcp.as_fd(), &mut buffer).expect_err("nothing was sent");
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        peer.write_all(b"abc").expect("send");
        drop(peer);
        for expected in [&b"ab"[..], b"c", b""] {
            let more = expected.len() == 2;
            assert_eq!(
                read_reply(tcp.as_fd(), &mut buffer).expect("bytes, or the end"),
                Taken { bytes: expected, more }
            );
        }
    }

    #[test]
    fn a_blocking_descriptor_is_read_and_written_without_waiting() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        let tcp = TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
        let error = read_now(tcp.as_fd(), &mut [0]).expect_err("nothing was sent");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        while write_now(tcp.as_fd(), &[0; 1 << 16]).is_ok() {}
        let full = write_now(tcp.as_fd(), &[0]).expect_err("nobody reads");
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn datagrams_beyond_the_receive_buffer_are_counted_as_drops() {
        let receiver = UdpSocket::bind("127.0.0.1:0").expect("bind");
        set_receive_buffer(receiver.as_fd(), 4096).expect("SO_RCVBUF");
        let sender = UdpSocket::bind("127.0.0.1:0").expect("bind");
        let address = receiver.local_addr().expect("address");
        for _ in 0..100 {
            sender.send_to(&[0; 200], address).expect("send");
        }
        let mut delivered = 0;
        while receive(receiver.as_fd(), &mut [IoSliceMut::new(&mut [0u8; 256])]).is_ok() {
            delivered += 1;
        }
        assert_eq!(receive_drops(receiver.as_fd()).expect("SO_MEMINFO"), 100 - delivered);
    }

    #[test]
    fn the_udp_lines_of_snmp_are_read_by_name() {
        let text = "Tcp: A\nTcp: 1\nUdp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors\n\
                    Udp: 11 1 2 33 4 5\n";
        let expected = UdpCounters { in_datagrams: 11, out_datagrams: 33, rcvbuf_errors: 4, sndbuf_errors: 5 };
        assert_eq!(UdpCounters::parse(text), Some(expected));
        assert_eq!(UdpCounters::parse("Udp: InDatagrams\n"), None);
    }
}

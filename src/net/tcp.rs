//! TCP connections to whichever address answers first (Happy Eyeballs, RFC 8305).
//!
//! Guarantees: families alternate, the next address is tried [`ATTEMPT_DELAY`] after the one before it
//! or as soon as that one fails, the first connection wins and the others are dropped; `TCP_NODELAY`
//! is set; a source address costs no local port of its own until connected (so that 28,000 ports per
//! *destination* stay usable). A failure lists every attempt with its address, errno and time.
//!
//! Cancel: dropping the future closes every attempt.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::{TcpSocket, TcpStream};

/// Connection Attempt Delay (RFC 8305 §5).
pub const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Why no address could be connected to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct ConnectError {
    /// errno of the attempt that says most: the first that failed for another reason than a missing
    /// route; `None` when none failed before the deadline.
    pub errno: Option<i32>,
    /// Whether at least one attempt was still unanswered at the deadline.
    pub timed_out: bool,
    /// One line per address tried: address, what happened, after how long.
    pub attempts: Vec<String>,
    /// What happened, and what to do where the generator itself is at its limit.
    pub detail: String,
}

/// Connects to the first of `addresses` at `port` that accepts, from `source` if given, within
/// `deadline`.
///
/// # Errors
/// [`ConnectError`] when every attempt failed, the deadline passed, or no address is of the family of
/// `source`.
pub async fn connect(
    addresses: &[IpAddr],
    port: u16,
    source: Option<IpAddr>,
    deadline: Duration,
) -> Result<TcpStream, ConnectError> {
    let begun = Instant::now();
    let usable = addresses.iter().filter(|address| source.is_none_or(|source| source.is_ipv4() == address.is_ipv4()));
    let mut waiting = alternating(usable.copied()).into_iter().map(|ip| SocketAddr::new(ip, port));
    let Some(first) = waiting.next() else {
        let detail = match source {
            Some(source) => format!("no address of {addresses:?} is of the family of the source address {source}"),
            None => "there is no address to connect to".to_owned(),
        };
        return Err(ConnectError { errno: None, timed_out: false, attempts: Vec::new(), detail });
    };

    let mut failed: Vec<(SocketAddr, io::Error, Duration)> = Vec::new();
    let mut under_way = vec![first];
    let mut running = FuturesUnordered::new();
    running.push(attempt(first, source));
    let too_late = tokio::time::sleep(deadline);
    tokio::pin!(too_late);
    loop {
        let next_due = tokio::time::sleep(ATTEMPT_DELAY);
        tokio::select! {
            biased;
            finished = running.next() => match finished {
                Some((_, Ok(stream))) => return Ok(stream),
                Some((address, Err(error))) => {
                    under_way.retain(|other| *other != address);
                    failed.push((address, error, begun.elapsed()));
                }
                None => return Err(failure(&failed, &[], begun.elapsed())),
            },
            () = &mut too_late => return Err(failure(&failed, &under_way, deadline)),
            () = next_due, if waiting.len() > 0 => {}
        }
        if let Some(address) = waiting.next() {
            under_way.push(address);
            running.push(attempt(address, source));
        }
    }
}

/// One attempt; the address comes back with the outcome.
async fn attempt(address: SocketAddr, source: Option<IpAddr>) -> (SocketAddr, io::Result<TcpStream>) {
    let connected = async {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_nodelay(true)?;
        if let Some(source) = source {
            #[cfg(target_os = "linux")]
            nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::IpBindAddressNoPort, &true)?;
            socket.bind(SocketAddr::new(source, 0))?;
        }
        socket.connect(address).await
    };
    (address, connected.await)
}

/// `addresses` with the families taking turns, the family of the first one first (RFC 8305 §4).
fn alternating(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let (mut leading, mut other): (Vec<IpAddr>, Vec<IpAddr>) = (Vec::new(), Vec::new());
    for address in addresses {
        match leading.first() {
            Some(first) if first.is_ipv4() != address.is_ipv4() => other.push(address),
            _ => leading.push(address),
        }
    }
    let rounds = leading.len().max(other.len());
    (0..rounds).flat_map(|round| [leading.get(round), other.get(round)]).flatten().copied().collect()
}

fn failure(failed: &[(SocketAddr, io::Error, Duration)], unanswered: &[SocketAddr], waited: Duration) -> ConnectError {
    let mut attempts: Vec<String> = failed
        .iter()
        .map(|(address, error, after)| format!("{address}: {error} after {:.1} ms", after.as_secs_f64() * 1e3))
        .collect();
    attempts.extend(unanswered.iter().map(|address| format!("{address}: no answer within {} ms", waited.as_millis())));
    let errno = failed.iter().filter_map(|(_, error, _)| error.raw_os_error()).min_by_key(|errno| says_little(*errno));
    let remedy = errno.and_then(remedy).map(|remedy| format!("; {remedy}")).unwrap_or_default();
    let detail = format!("cannot connect: {}{remedy}", attempts.join(", "));
    ConnectError { errno, timed_out: !unanswered.is_empty(), attempts, detail }
}

/// How little `errno` says about the server: without a route of its family nothing was even asked, and
/// on a machine with IPv4 only that is what every IPv6 address ends with.
fn says_little(errno: i32) -> u8 {
    match errno {
        libc::ENETUNREACH | libc::EAFNOSUPPORT => 2,
        libc::EADDRNOTAVAIL | libc::EHOSTUNREACH => 1,
        _ => 0,
    }
}

/// What to do about an errno that speaks of this machine and not of the server.
fn remedy(errno: i32) -> Option<&'static str> {
    match errno {
        libc::EMFILE => Some("this process has too many open files: raise its limit (ulimit -n)"),
        libc::ENFILE => Some("this machine has too many open files: raise fs.file-max"),
        libc::EADDRNOTAVAIL => Some(
            "this machine has no free local port towards that address, or does not own the source address: \
             keep sockets open across iterations, widen net.ipv4.ip_local_port_range or add source addresses",
        ),
        libc::EPERM | libc::EACCES => Some("a rule of this machine's own firewall or routing forbids it"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use tokio::net::TcpListener;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn v4(last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))
    }

    async fn listener() -> (TcpListener, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let port = listener.local_addr().expect("bound").port();
        (listener, port)
    }

    /// A port of 127.0.0.9 whose backlog is full, so that a connect is never answered. On other addresses it may be in use.
    async fn silent_port() -> (TcpSocket, Vec<TcpStream>, u16) {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.9:0".parse().expect("an address")).expect("loopback");
        let address = socket.local_addr().expect("bound");
        let held = std::os::fd::AsFd::as_fd(&socket).try_clone_to_owned().expect("a descriptor");
        nix::sys::socket::listen(&held, nix::sys::socket::Backlog::new(0).expect("a backlog")).expect("listening");
        let mut filling = Vec::new();
        while let Ok(stream) = tokio::time::timeout(Duration::from_millis(100), TcpStream::connect(address)).await {
            filling.push(stream.expect("loopback"));
        }
        (socket, filling, address.port())
    }

    #[test]
    fn families_take_turns_led_by_the_first() {
        let v6 = |last| IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last));
        let mixed = [v6(1), v6(2), v6(3), v4(1)];
        assert_eq!(alternating(mixed.into_iter()), [v6(1), v4(1), v6(2), v6(3)]);
        assert_eq!(alternating([v4(1), v6(1)].into_iter()), [v4(1), v6(1)]);
    }

    #[tokio::test]
    async fn a_refused_address_gives_way_to_the_next_at_once() {
        let (_listener, port) = listener().await;
        let begun = Instant::now();
        let stream = connect(&[v4(2), v4(1)], port, None, PATIENCE).await.expect("127.0.0.1 listens");
        assert_eq!(stream.peer_addr().expect("connected").ip(), v4(1));
        assert!(stream.nodelay().expect("connected"));
        assert!(begun.elapsed() < PATIENCE / 2);
    }

    #[tokio::test]
    async fn a_silent_address_gives_way_to_the_next_after_the_attempt_delay() {
        let (_socket, _filling, _listener, port) = loop {
            let (socket, filling, port) = silent_port().await;
            match TcpListener::bind((v4(1), port)).await {
                Ok(listener) => break (socket, filling, listener, port),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{error}"),
            }
        };
        let begun = Instant::now();
        let stream = connect(&[v4(9), v4(1)], port, None, PATIENCE).await.expect("127.0.0.1 listens");
        assert_eq!(stream.peer_addr().expect("connected").ip(), v4(1));
        assert!(begun.elapsed() >= ATTEMPT_DELAY);
    }

    #[tokio::test]
    async fn a_failure_names_every_address_and_the_errno() {
        let (listener, port) = listener().await;
        drop(listener);
        let error = connect(&[v4(1), v4(2)], port, None, PATIENCE).await.expect_err("nobody listens");
        assert_eq!(error.errno, Some(libc::ECONNREFUSED));
        assert!(!error.timed_out);
        assert_eq!(error.attempts.len(), 2);
        assert!(error.attempts[1].starts_with(&format!("127.0.0.2:{port}: Connection refused")), "{error}");
    }

    #[test]
    fn a_missing_route_does_not_hide_what_the_server_said() {
        let failed =
            |errno| ("192.0.2.1:9".parse().expect("an address"), io::Error::from_raw_os_error(errno), Duration::ZERO);
        let errno = |errnos: &[i32]| {
            failure(&errnos.iter().map(|errno| failed(*errno)).collect::<Vec<_>>(), &[], Duration::ZERO).errno
        };
        assert_eq!(errno(&[libc::ENETUNREACH, libc::ECONNREFUSED, libc::ECONNRESET]), Some(libc::ECONNREFUSED));
        assert_eq!(errno(&[libc::ENETUNREACH, libc::EADDRNOTAVAIL]), Some(libc::EADDRNOTAVAIL));
        assert_eq!(errno(&[libc::ENETUNREACH]), Some(libc::ENETUNREACH));
        assert_eq!(errno(&[]), None);
    }

    #[tokio::test]
    async fn silence_is_a_timeout_at_the_deadline() {
        let (_socket, _filling, port) = silent_port().await;
        let error = connect(&[v4(9)], port, None, Duration::from_millis(50)).await.expect_err("silence");
        assert!(error.timed_out && error.errno.is_none(), "{error}");
        assert!(error.detail.contains("no answer within 50 ms"), "{error}");
    }

    #[tokio::test]
    async fn the_source_address_is_used() {
        let (listener, port) = listener().await;
        let _stream = connect(&[v4(1)], port, Some(v4(7)), PATIENCE).await.expect("127.0.0.1 listens");
        assert_eq!(listener.accept().await.expect("connected").1.ip(), v4(7));
    }

    #[tokio::test]
    async fn a_source_address_of_the_other_family_is_an_error_by_name() {
        let source = IpAddr::V6(Ipv6Addr::LOCALHOST);
        let error = connect(&[v4(1)], 9, Some(source), PATIENCE).await.expect_err("no family in common");
        assert!(error.detail.contains("source address ::1"), "{error}");
    }
}

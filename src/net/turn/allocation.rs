//! Getting an allocation: server by server, and with each the exchange of RFC 8656 §7 with all its turns.
//!
//! Each server gets an even share of what is left until the deadline. Dropping the future closes what it has opened.
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use rustls_pki_types::ServerName;
use tokio::net::UdpSocket;
use tokio_rustls::TlsConnector;

use super::link::{Connection, Link, StreamLink};
use super::message::{self, Login};
use super::relay::Relay;
use super::{TurnServer, dead_servers};
use crate::net::facts::{IceServerFacts, IceServerState, MomentEvent, ServerTransport, SocketCall};
use crate::net::stun::{ALTERNATE_SERVER, Stun, StunClass, TransactionId, XOR_MAPPED_ADDRESS, XOR_RELAYED_ADDRESS};
use crate::net::{resolver, tcp};

/// First retransmission of a request (RFC 8489 §6.2.1); the next ones take twice as long each.
const RTO: Duration = Duration::from_millis(500);
/// Longest time between two retransmissions.
const MAX_RTO: Duration = Duration::from_secs(8);
/// When after a send ICMP errors are looked for, which the kernel does not wake us for.
const ICMP_AFTER: Duration = Duration::from_millis(30);
/// How often a server may have changed its nonce (438) or sent us elsewhere (300) before we give it up.
const MAX_TURNS: u32 = 3;
/// Default lifetime of an allocation (RFC 8656 §3.2), where a server does not name it.
const DEFAULT_LIFETIME_S: u32 = 600;

/// What a server gave.
#[derive(Debug)]
pub(super) struct Allocation {
    /// Place of the server in the configuration.
    pub(super) index: usize,
    pub(super) link: Link,
    pub(super) login: Option<Login>,
    pub(super) relayed: SocketAddr,
    pub(super) mapped: Option<SocketAddr>,
    pub(super) lifetime_s: u32,
}

/// Why a server gave nothing.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) reason: String,
    /// STUN error code.
    pub(super) code: Option<u16>,
    errno: Option<i32>,
    /// The server does not serve anybody, as far as we can tell.
    dead: bool,
    /// The time for the server was over.
    timed_out: bool,
}

impl Failure {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), code: None, errno: None, dead: false, timed_out: false }
    }

    fn dead(reason: impl Into<String>, errno: Option<i32>) -> Self {
        Self { reason: reason.into(), code: None, errno, dead: true, timed_out: false }
    }

    /// The network says that nobody is there.
    pub(super) fn unreachable(error: &io::Error) -> Self {
        Self::dead(format!("ICMP: {error}"), error.raw_os_error())
    }

    fn coded(code: u16, stun: &Stun<'_>, signed: bool) -> Self {
        const ERROR_CODE: u16 = crate::net::stun::ERROR_CODE;
        let phrase = stun.attribute(ERROR_CODE).and_then(|value| value.get(4..)).unwrap_or_default();
        let phrase = String::from_utf8_lossy(phrase);
        let reason = match (code, signed) {
            (401, true) => format!("401 {phrase}: user name or password refused"),
            _ => format!("{code} {phrase}"),
        };
        // 508: it has no relay port left, for anybody (RFC 8656 §19).
        Self { reason, code: Some(code), errno: None, dead: code == 508, timed_out: false }
    }
}

/// Tries the servers of `relay` until one gives an allocation.
///
/// # Errors
/// The failure of the last one.
pub(super) async fn allocate(relay: &Relay, deadline: Instant) -> Result<Allocation, Failure> {
    let mut servers: Vec<(&TurnServer, bool)> = relay
        .servers()
        .iter()
        .map(|server| (server, dead_servers::is_dead(&server.host, server.port, server.transport)))
        .collect();
    servers.sort_by_key(|(_, dead)| *dead);
    let mut last = Failure::new("no TURN server is configured");
    let mut to_try = servers.len();
    for (server, remembered_dead) in servers {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(to_try.max(1)).unwrap_or(1);
        to_try -= 1;
        relay.wire().ice_server(server.index, |facts, now_us| {
            facts.state = IceServerState::Trying;
            facts.remembered_dead = remembered_dead;
            facts.tried_us = Some(now_us);
        });
        let outcome = match tokio::time::timeout(share, allocate_at(relay, server, share)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let reason = format!("no answer within {} ms", share.as_millis());
                Err(Failure { timed_out: true, ..Failure::dead(reason, None) })
            }
        };
        match outcome {
            Ok(allocation) => {
                dead_servers::lives(&server.host, server.port, server.transport);
                relay.wire().ice_server(server.index, |facts, now_us| {
                    facts.state = IceServerState::Ready;
                    facts.ready_us = Some(now_us);
                });
                return Ok(allocation);
            }
            Err(failure) => {
                relay.forget_exchange();
                if failure.dead {
                    dead_servers::died(&server.host, server.port, server.transport);
                }
                relay.wire().ice_server(server.index, |facts, now_us| {
                    facts.state = IceServerState::Failed;
                    facts.failed_us = Some(now_us);
                    facts.failure = Some(failure.reason.clone());
                    facts.timed_out = failure.timed_out;
                    facts.errno = failure.errno;
                });
                log::debug!("TURN server {}:{}: {}", server.host, server.port, failure.reason);
                if to_try > 0 {
                    relay.wire().note(MomentEvent::ServerReplaced, None, u32::from(failure.code.unwrap_or_default()));
                }
                last = failure;
            }
        }
    }
    Err(last)
}

/// One server, with its challenges, nonces, redirections and one new socket.
async fn allocate_at(relay: &Relay, server: &TurnServer, deadline: Duration) -> Result<Allocation, Failure> {
    let addresses = addresses(relay, server, deadline).await?;
    let mut link = connect(relay, server, &addresses, server.port, deadline).await?;
    let mut login: Option<Login> = None;
    let (mut turns, mut another_socket) = (0, false);
    // A session over IPv6 has remote candidates of that family, which an IPv4 relay does not reach.
    let mut v6 = relay.local_ip().is_ipv6();
    let unusable = |error: io::Error| Failure::new(format!("the request could not be made: {error}"));
    loop {
        // A new transaction each time (RFC 8489 §9.2.5).
        let request = message::allocate(v6).map_err(unusable)?;
        let request = match &login {
            Some(login) => login.sign(&request).map_err(unusable)?,
            None => request,
        };
        relay.logged_in(login.as_ref());
        let response = exchange(relay, &mut link, &request).await?;
        let Some(stun) = Stun::parse(&response) else {
            return Err(Failure::dead("the server answered with something that is not STUN", None));
        };
        if stun.class() == StunClass::Success {
            let Some(relayed) = stun.xor_address(XOR_RELAYED_ADDRESS) else {
                return Err(Failure::new("the server's answer has no XOR-RELAYED-ADDRESS"));
            };
            let mapped = stun.xor_address(XOR_MAPPED_ADDRESS);
            let lifetime_s = stun.lifetime().filter(|lifetime| *lifetime > 0).unwrap_or(DEFAULT_LIFETIME_S);
            return Ok(Allocation { index: server.index, link, login, relayed, mapped, lifetime_s });
        }
        let code = stun.error_code().unwrap_or_default();
        let refused = Failure::coded(code, &stun, login.is_some());
        match (code, &mut login) {
            (401, None) => {
                let answer = Login::to(&stun, &server.username, &server.credential);
                login = Some(answer.ok_or_else(|| Failure::new("the server's challenge has no REALM or NONCE"))?);
            }
            // Old servers say 401 for a nonce that is no longer good.
            (401 | 438, Some(login)) => {
                if turns == MAX_TURNS || !login.renew(&stun) {
                    return Err(refused);
                }
                turns += 1;
                relay.wire().ice_server(server.index, |facts, _| facts.nonce_retries += 1);
            }
            (300, _) if turns < MAX_TURNS => {
                turns += 1;
                let alternate = stun.address(ALTERNATE_SERVER).ok_or(refused)?;
                relay.wire().ice_server(server.index, |facts, _| facts.alternate_server = Some(alternate));
                link = connect(relay, server, &[alternate.ip()], alternate.port(), deadline).await?;
                login = None;
            }
            // It relays only IPv4 (RFC 8656 §7.2).
            (440, _) if v6 => v6 = false,
            // The server has an allocation of somebody else on our address and port: theirs is not ours to delete.
            (437, _) if !another_socket => {
                another_socket = true;
                link = match link {
                    Link::Stream(_) => connect(relay, server, &addresses, server.port, deadline).await?,
                    Link::Shared(address) | Link::Own(_, address) => own_socket(relay, address).await?,
                };
                login = None;
            }
            _ => return Err(refused),
        }
    }
}

/// The server's addresses of the session's family.
async fn addresses(relay: &Relay, server: &TurnServer, deadline: Duration) -> Result<Vec<IpAddr>, Failure> {
    let outcome = resolver::resolve(&server.host, deadline).await;
    if resolver::without_dns(&server.host).is_none() {
        relay.wire().looked_up(&server.host, &outcome);
    }
    let resolved = outcome.map_err(|error| Failure::new(error.to_string()))?;
    let local = relay.local_ip();
    let usable: Vec<IpAddr> =
        resolved.addresses.into_iter().filter(|address| address.is_ipv4() == local.is_ipv4()).collect();
    match usable.is_empty() {
        true => Err(Failure::new(format!("{} has no address of the family of {local}", server.host))),
        false => Ok(usable),
    }
}

async fn connect(
    relay: &Relay,
    server: &TurnServer,
    addresses: &[IpAddr],
    port: u16,
    deadline: Duration,
) -> Result<Link, Failure> {
    let begun = Instant::now();
    let took = || u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    let [first, ..] = addresses else { return Err(Failure::new("no address")) };
    let change = |change: &dyn Fn(&mut IceServerFacts)| relay.wire().ice_server(server.index, |facts, _| change(facts));
    let first = SocketAddr::new(*first, port);
    change(&|facts| facts.address = Some(first));
    if server.transport == ServerTransport::Udp {
        return Ok(Link::Shared(first));
    }
    let stream = match tcp::connect(addresses, port, Some(relay.local_ip()), deadline).await {
        Ok(stream) => stream,
        Err(error) => {
            let system = error.errno.map_or_else(|| io::ErrorKind::TimedOut.into(), io::Error::from_raw_os_error);
            relay.wire().refused(SocketCall::Connect, Some(first), &system);
            return Err(Failure::dead(error.detail, error.errno));
        }
    };
    let address = stream.peer_addr().unwrap_or(first);
    change(&|facts| (facts.address, facts.tcp_connected_us) = (Some(address), Some(took())));
    relay.wire().note(MomentEvent::ServerConnected, Some(address), u32::try_from(took() / 1000).unwrap_or(u32::MAX));
    let Some(tls) = server.tls.as_ref().filter(|_| server.transport == ServerTransport::Tls) else {
        return Ok(Link::Stream(Box::new(StreamLink::new(Connection::Tcp(stream), address))));
    };
    let name = ServerName::try_from(server.host.clone())
        .map_err(|error| Failure::new(format!("'{}' is no name for TLS: {error}", server.host)))?;
    match TlsConnector::from(Arc::clone(tls)).connect(name, stream).await {
        Ok(stream) => {
            change(&|facts| facts.tls_connected_us = Some(took()));
            Ok(Link::Stream(Box::new(StreamLink::new(Connection::Tls(Box::new(stream)), address))))
        }
        Err(error) => {
            relay.wire().note(MomentEvent::ServerLost, Some(address), errno_of(&error));
            Err(Failure::dead(format!("TLS: {error}"), error.raw_os_error()))
        }
    }
}

/// A UDP socket of its own to the server.
async fn own_socket(relay: &Relay, server: SocketAddr) -> Result<Link, Failure> {
    let refused = |call: SocketCall, error: io::Error| {
        relay.wire().refused(call, Some(server), &error);
        Failure {
            reason: format!("{}: {error}", call.name()),
            code: None,
            errno: error.raw_os_error(),
            dead: false,
            timed_out: false,
        }
    };
    let local = SocketAddr::new(relay.local_ip(), 0);
    let socket = UdpSocket::bind(local).await.map_err(|error| refused(SocketCall::Bind, error))?;
    socket.connect(server).await.map_err(|error| refused(SocketCall::Connect, error))?;
    Ok(Link::Own(socket, server))
}

/// Sends `request` until its response is there; bounded by the caller.
async fn exchange(relay: &Relay, link: &mut Link, request: &[u8]) -> Result<Vec<u8>, Failure> {
    let Some(id) = Stun::parse(request).map(|stun| stun.transaction_id()) else {
        return Err(Failure::new("the request is no STUN message"));
    };
    let mut rto = RTO;
    loop {
        send(relay, link, request).await?;
        if !link.is_datagram() {
            return response(relay, link, id).await;
        }
        let waiting = async {
            tokio::select! {
                response = response(relay, link, id) => Some(response),
                () = async {
                    tokio::time::sleep(ICMP_AFTER.min(rto)).await;
                    relay.take_queued_errors();
                    tokio::time::sleep(rto.saturating_sub(ICMP_AFTER)).await;
                } => None,
            }
        };
        if let Some(response) = waiting.await {
            return response;
        }
        rto = (rto * 2).min(MAX_RTO);
    }
}

async fn send(relay: &Relay, link: &mut Link, message: &[u8]) -> Result<(), Failure> {
    let (server, transport) = (link.server(), link.transport());
    let sent = match link {
        Link::Shared(server) => {
            if !relay.expect(*server, message) {
                return Err(Failure::new("the session is closing"));
            }
            // Accounted for by the socket.
            return relay.send_shared(message, *server).map_err(|error| {
                let reason = format!("the request to {server} could not be sent: {error}");
                Failure { reason, code: None, errno: error.raw_os_error(), dead: false, timed_out: false }
            });
        }
        Link::Own(socket, _) => socket.send(message).await.map(drop),
        Link::Stream(stream) => {
            let sent = poll_fn(|cx| Poll::Ready(stream.send(cx, message))).await;
            match sent {
                Ok(()) => poll_fn(|cx| stream.poll_flush(cx)).await,
                Err(error) => Err(error),
            }
        }
    };
    match sent {
        Ok(()) => {
            relay.wire().sent(message, server, transport, Instant::now());
            Ok(())
        }
        Err(error) => Err(lost(relay, SocketCall::Send, server, &error)),
    }
}

/// The response with this transaction id.
async fn response(relay: &Relay, link: &mut Link, id: TransactionId) -> Result<Vec<u8>, Failure> {
    let server = link.server();
    let mut buffer = vec![0; 2048];
    loop {
        let received = match link {
            Link::Shared(_) => return relay.expected().await,
            Link::Own(socket, _) => socket.recv(&mut buffer).await,
            Link::Stream(stream) => poll_fn(|cx| stream.poll_receive(cx, &mut buffer)).await,
        };
        let length = received.map_err(|error| lost(relay, SocketCall::Recv, server, &error))?;
        let message = &buffer[..length];
        relay.wire().received(message, server, Instant::now(), Duration::ZERO);
        if Stun::parse(message).is_some_and(|stun| stun.transaction_id() == id) {
            return Ok(message.to_vec());
        }
    }
}

fn lost(relay: &Relay, call: SocketCall, server: SocketAddr, error: &io::Error) -> Failure {
    relay.wire().refused(call, Some(server), error);
    relay.wire().note(MomentEvent::ServerLost, Some(server), errno_of(error));
    Failure::dead(format!("{}: {error}", call.name()), error.raw_os_error())
}

fn errno_of(error: &io::Error) -> u32 {
    error.raw_os_error().unwrap_or_default().unsigned_abs()
}

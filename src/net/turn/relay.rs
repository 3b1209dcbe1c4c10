//! The TURN server that the engine sees, and the traffic between it and the real one.
use std::borrow::Cow;
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::allocation::{self, Allocation, Failure};
use super::link::Link;
use super::message::{self, Login};
use super::{RELEASE_TIMEOUT, TurnServer};
use crate::net::datagram::Kind;
use crate::net::facts::{IceServerState, MomentEvent, SocketCall};
use crate::net::stun::{Stun, StunClass, TransactionId};
use crate::net::udp::ObservedUdpSocket;
use crate::net::wire::Wire;

/// Where the engine believes its TURN server is: addresses that nobody has (RFC 7600 §4, RFC 6666).
const ENGINE_V4: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 0, 8)), 3478);
const ENGINE_V6: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 8)), 3478);

/// Requests of the engine that wait for an answer at the most.
const MAX_PENDING: usize = 16;
/// How often one of them is signed anew.
const MAX_RETRIES: u8 = 3;
/// The engine gives its first request up after the seventh send, 7.8 s; the answer to this one lets it go on to its second.
const LAST_HOLD: u32 = 6;
/// After this long the engine has given its second request up as well: 4.6 s until the sixth send of the first, 7.8 s more.
const ENGINE_PATIENCE: Duration = Duration::from_secs(12);
/// When a Refresh that deletes the allocation is sent again.
const RELEASE_RETRY: Duration = Duration::from_millis(300);

const ALLOCATE: u16 = 0x003;
const REFRESH: u16 = 0x004;

/// The relay of one session.
#[derive(Debug)]
pub struct Relay {
    wire: Arc<Wire>,
    servers: Vec<TurnServer>,
    local_ip: IpAddr,
    /// How long getting an allocation may take.
    gather_timeout: Duration,
    socket: OnceLock<Weak<ObservedUdpSocket>>,
    state: Mutex<State>,
    /// The engine's task, where it waits for datagrams.
    reader: AtomicWaker,
    /// Told when an answer that is waited for has come.
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    task: Option<AbortHandle>,
    /// The engine's first Allocate request, and how often it was sent.
    attempt: Option<(Vec<u8>, u32)>,
    /// Its second one.
    request: Option<Vec<u8>>,
    outcome: Option<Outcome>,
    /// What the engine is to be told.
    inbox: VecDeque<Vec<u8>>,
    link: Option<Link>,
    login: Option<Login>,
    pending: Vec<Pending>,
    /// The exchange of the task over the session's own socket.
    awaited: Option<(SocketAddr, TransactionId)>,
    /// It carries credentials, so that its answer may be an allocation.
    awaited_signed: bool,
    answer: Option<Result<Vec<u8>, Failure>>,
    /// Place of the server that serves.
    index: usize,
    released: bool,
    stopped: bool,
}

impl State {
    /// A request as the server wants it.
    fn authenticated(&self, request: &[u8]) -> io::Result<Vec<u8>> {
        match &self.login {
            Some(login) => login.sign(request),
            None => message::bare(request),
        }
    }

    /// Whether a request that makes an allocation went out over the session's own socket, and the task has not settled yet what
    /// came of it: its answer is on its way, or is there and not looked at.
    fn is_allocating(&self) -> bool {
        self.awaited_signed && self.task.is_some()
    }
}

#[derive(Debug)]
enum Outcome {
    Allocated { relayed: SocketAddr, mapped: Option<SocketAddr>, lifetime_s: u32 },
    Failed { code: u16, reason: String },
}

/// A request of the engine that the server has not answered.
#[derive(Debug)]
struct Pending {
    id: TransactionId,
    request: Vec<u8>,
    retries: u8,
    deletes: bool,
}

/// Where a message of the engine goes.
pub(in crate::net) enum Outgoing<'a> {
    /// Over the session's own socket.
    Send(Cow<'a, [u8]>, SocketAddr),
    /// It was taken care of.
    Done,
}

/// What a message from a server's address is.
pub(in crate::net) enum Incoming {
    /// For the engine, as of its TURN server.
    Deliver,
    /// Ours.
    Taken,
    /// Ours, and this is the reply over the session's own socket.
    Reply(Vec<u8>, SocketAddr),
    /// Not of TURN.
    Foreign,
}

impl Relay {
    /// A relay over the first of `servers` that serves, for a session at `local_ip`; no packet leaves yet.
    pub fn new(wire: Arc<Wire>, servers: Vec<TurnServer>, local_ip: IpAddr, gather_timeout: Duration) -> Self {
        Self {
            wire,
            servers,
            local_ip,
            gather_timeout,
            socket: OnceLock::new(),
            state: Mutex::default(),
            reader: AtomicWaker::new(),
            arrived: Notify::new(),
        }
    }

    /// The URL by which the engine knows it.
    pub fn engine_url(local_ip: IpAddr) -> String {
        format!("turn:{}?transport=udp", if local_ip.is_ipv4() { ENGINE_V4 } else { ENGINE_V6 })
    }

    /// Whether the session has an allocation.
    pub fn is_allocated(&self) -> bool {
        self.state.lock().link.is_some()
    }

    /// The address by which the engine knows it.
    pub(in crate::net) fn engine_address(&self) -> SocketAddr {
        if self.local_ip.is_ipv4() { ENGINE_V4 } else { ENGINE_V6 }
    }

    pub(in crate::net) fn attach(&self, socket: &Arc<ObservedUdpSocket>) {
        // One socket per session: the first stays.
        let _ = self.socket.set(Arc::downgrade(socket));
    }

    pub(super) fn wire(&self) -> &Wire {
        &self.wire
    }

    pub(super) fn servers(&self) -> &[TurnServer] {
        &self.servers
    }

    pub(super) fn local_ip(&self) -> IpAddr {
        self.local_ip
    }

    /// Ends allocating, unless an allocation may be on its way, which [`Self::release`] waits for; what is connected stays
    /// for that, too.
    pub fn stop(&self) {
        let mut state = self.state.lock();
        state.stopped = true;
        if !state.is_allocating()
            && let Some(task) = state.task.take()
        {
            task.abort();
        }
    }

    /// A message of the engine for its TURN server.
    pub(in crate::net) fn outgoing<'a>(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
        message: &'a [u8],
    ) -> io::Result<Outgoing<'a>> {
        let mut state = self.state.lock();
        let mut message = Cow::Borrowed(message);
        if let Kind::Stun(stun) = Kind::of(&message)
            && stun.class() == StunClass::Request
        {
            if stun.method() == ALLOCATE {
                self.asked(&mut state, &stun, &message)?;
                return Ok(Outgoing::Done);
            }
            let signed = state.authenticated(&message)?;
            let (id, deletes) = (stun.transaction_id(), stun.method() == REFRESH && stun.lifetime() == Some(0));
            remember(&mut state.pending, Pending { id, request: message.into_owned(), retries: 0, deletes });
            message = Cow::Owned(signed);
        }
        match &mut state.link {
            Some(Link::Shared(server)) => Ok(Outgoing::Send(message, *server)),
            Some(_) => {
                self.send_linked(&mut state, cx, &message);
                Ok(Outgoing::Done)
            }
            // The server is gone, which the facts say; the engine finds out by the silence.
            None => Ok(Outgoing::Done),
        }
    }

    /// The next message for the engine that does not come over the session's own socket.
    pub(in crate::net) fn poll_incoming(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<usize> {
        self.reader.register(cx.waker());
        let mut state = self.state.lock();
        if let Some(message) = state.inbox.pop_front() {
            let length = message.len().min(buffer.len());
            buffer[..length].copy_from_slice(&message[..length]);
            return Poll::Ready(length);
        }
        loop {
            let (server, received) = match &mut state.link {
                None | Some(Link::Shared(_)) => return Poll::Pending,
                Some(Link::Own(socket, server)) => {
                    let mut read = tokio::io::ReadBuf::new(buffer);
                    let received = socket.poll_recv(cx, &mut read).map_ok(|()| read.filled().len());
                    (*server, received)
                }
                Some(Link::Stream(stream)) => {
                    let received = stream.poll_receive(cx, buffer);
                    (stream.server(), received)
                }
            };
            let length = match received {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(length)) => length,
                Poll::Ready(Err(error)) => {
                    self.lost(&mut state, SocketCall::Recv, server, &error);
                    return Poll::Pending;
                }
            };
            let message = &buffer[..length];
            self.wire.received(message, server, Instant::now(), Duration::ZERO);
            match self.sort(&mut state, message, server) {
                Incoming::Deliver => return Poll::Ready(length),
                Incoming::Reply(reply, _) => self.send_linked(&mut state, cx, &reply),
                Incoming::Taken | Incoming::Foreign => {}
            }
        }
    }

    /// What a datagram is that came over the session's own socket from `source`.
    pub(in crate::net) fn incoming(&self, message: &[u8], source: SocketAddr) -> Incoming {
        let mut state = self.state.lock();
        let serves = matches!(&state.link, Some(Link::Shared(server)) if *server == source);
        let awaited = matches!(&state.awaited, Some((server, _)) if *server == source);
        if !serves && !awaited {
            return Incoming::Foreign;
        }
        self.sort(&mut state, message, source)
    }

    /// An ICMP error came back for a datagram to `destination`.
    pub(in crate::net) fn unreachable(&self, destination: Option<SocketAddr>, errno: i32) {
        let mut state = self.state.lock();
        if destination.is_some() && state.awaited.map(|(server, _)| server) == destination {
            let error = io::Error::from_raw_os_error(errno);
            state.answer = Some(Err(Failure::unreachable(&error)));
            state.awaited = None;
            self.arrived.notify_one();
        }
    }

    /// Deletes the allocation and gives up the server, once the engine has stopped: waits for the server's word, at most
    /// [`RELEASE_TIMEOUT`].
    pub async fn release(&self, socket: &ObservedUdpSocket) {
        let allocating = async {
            while self.state.lock().task.is_some() {
                tokio::select! {
                    _ = self.receive_one(socket) => {}
                    // The task goes on with what was received.
                    () = tokio::time::sleep(Duration::from_millis(1)) => {}
                }
            }
        };
        if self.state.lock().is_allocating() {
            let in_time = tokio::time::timeout(RELEASE_TIMEOUT, allocating).await.is_ok();
            if !in_time && let Err(error) = self.delete_unseen(socket) {
                log::debug!("an allocation that may come could not be deleted: {error}");
            }
        }
        if let Some(task) = self.state.lock().task.take() {
            task.abort();
        }
        let index = {
            let mut state = self.state.lock();
            if state.link.is_none() {
                return;
            }
            state.inbox.clear();
            state.index
        };
        let work = async {
            let mut due = tokio::time::interval(RELEASE_RETRY);
            loop {
                tokio::select! {
                    () = self.read_until_released(socket) => return,
                    _ = due.tick() => if let Err(error) = self.send_release(socket).await {
                        log::debug!("the allocation could not be deleted: {error}");
                        return;
                    },
                }
            }
        };
        let in_time = tokio::time::timeout(RELEASE_TIMEOUT, work).await.is_ok();
        let mut state = self.state.lock();
        let stream = state.link.as_ref().is_some_and(|link| !link.is_datagram());
        // A server ends the allocation of a connection with the connection (RFC 8656 §5).
        let released = state.released || stream;
        state.link = None;
        drop(state);
        self.wire.ice_server(index, |facts, _| facts.released = released);
        if !in_time && !released {
            log::debug!("the TURN server did not confirm that the allocation is deleted");
        }
    }

    /// Sends the deletion after an Allocate request whose answer did not come in time: the server handles one after the
    /// other.
    fn delete_unseen(&self, socket: &ObservedUdpSocket) -> io::Result<()> {
        let state = self.state.lock();
        let Some((server, _)) = state.awaited else { return Ok(()) };
        let request = state.authenticated(&message::delete()?)?;
        drop(state);
        socket.send_observed(&request, server).map(drop)
    }

    async fn read_until_released(&self, socket: &ObservedUdpSocket) {
        loop {
            {
                let state = self.state.lock();
                if state.released || state.link.is_none() {
                    return;
                }
            }
            self.receive_one(socket).await;
        }
    }

    /// Handles one message; what comes for the engine has no reader any more.
    async fn receive_one(&self, socket: &ObservedUdpSocket) {
        if let Err(error) = socket.receive_once(&mut [0; 2048]).await {
            log::debug!("receiving while closing: {error}");
            // A socket that only fails must not keep a processor busy until the deadline.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Sends the request that deletes the allocation: the engine's own one again, if it is on its way.
    async fn send_release(&self, socket: &ObservedUdpSocket) -> io::Result<()> {
        let (signed, shared) = {
            let mut state = self.state.lock();
            let request = match state.pending.iter().find(|pending| pending.deletes) {
                Some(pending) => pending.request.clone(),
                None => message::delete()?,
            };
            let signed = state.authenticated(&request)?;
            let shared = match &state.link {
                Some(Link::Shared(server)) => Some(*server),
                _ => None,
            };
            if let Some(id) = Stun::parse(&request).map(|stun| stun.transaction_id()) {
                remember(&mut state.pending, Pending { id, request, retries: 0, deletes: true });
            }
            (signed, shared)
        };
        match shared {
            Some(server) => socket.send_observed(&signed, server).map(drop),
            None => {
                std::future::poll_fn(|cx| {
                    self.send_linked(&mut self.state.lock(), cx, &signed);
                    Poll::Ready(())
                })
                .await;
                Ok(())
            }
        }
    }

    /// The engine wants an allocation.
    fn asked(self: &Arc<Self>, state: &mut State, stun: &Stun<'_>, message: &[u8]) -> io::Result<()> {
        if stun.has_integrity() {
            state.request = Some(message.to_vec());
        } else {
            let sends = state.attempt.as_ref().map_or(0, |(_, sends)| *sends) + 1;
            state.attempt = Some((message.to_vec(), sends));
            if state.task.is_none() && state.outcome.is_none() && !state.stopped {
                let relay = Arc::clone(self);
                let deadline = Instant::now() + self.gather_timeout.min(ENGINE_PATIENCE);
                state.task = Some(tokio::spawn(async move { relay.allocate(deadline).await }).abort_handle());
            }
        }
        self.answer(state)
    }

    async fn allocate(&self, deadline: Instant) {
        let outcome = allocation::allocate(self, deadline).await;
        let mut state = self.state.lock();
        state.task = None;
        state.outcome = Some(match outcome {
            Ok(Allocation { index, link, login, relayed, mapped, lifetime_s }) => {
                (state.index, state.link, state.login) = (index, Some(link), login);
                Outcome::Allocated { relayed, mapped, lifetime_s }
            }
            // 500: for the engine every failure is one.
            Err(Failure { code, reason, .. }) => Outcome::Failed { code: code.unwrap_or(500), reason },
        });
        if let Err(error) = self.answer(&mut state) {
            log::warn!("the WebRTC engine could not be told about its relay: {error}");
        }
        drop(state);
        self.reader.wake();
    }

    /// Answers the engine's requests as far as there is something to say.
    fn answer(&self, state: &mut State) -> io::Result<()> {
        let last_chance = |(_, sends): &mut (Vec<u8>, u32)| *sends >= LAST_HOLD;
        let attempt = match state.outcome {
            Some(_) => state.attempt.take(),
            None => state.attempt.take_if(last_chance),
        };
        if let Some(stun) = attempt.as_ref().and_then(|(attempt, _)| Stun::parse(attempt)) {
            state.inbox.push_back(message::challenge(&stun)?);
        }
        let (Some(outcome), Some(request)) = (&state.outcome, &state.request) else {
            self.reader.wake();
            return Ok(());
        };
        if let Some(stun) = Stun::parse(request) {
            state.inbox.push_back(match outcome {
                Outcome::Allocated { relayed, mapped, lifetime_s } => {
                    message::allocated(&stun, *relayed, *mapped, *lifetime_s)?
                }
                Outcome::Failed { code, reason } => message::refuse(&stun, *code, reason)?,
            });
        }
        state.request = None;
        self.reader.wake();
        Ok(())
    }

    fn sort(&self, state: &mut State, message: &[u8], source: SocketAddr) -> Incoming {
        let stun = match Kind::of(message) {
            Kind::ChannelData(..) => return Incoming::Deliver,
            Kind::Stun(stun) => stun,
            _ => return Incoming::Foreign,
        };
        let id = stun.transaction_id();
        match stun.class() {
            StunClass::Indication => return Incoming::Deliver,
            StunClass::Request => return Incoming::Foreign,
            StunClass::Success | StunClass::Error => {}
        }
        if state.awaited == Some((source, id)) {
            state.awaited = None;
            state.answer = Some(Ok(message.to_vec()));
            self.arrived.notify_one();
            return Incoming::Taken;
        }
        let Some(at) = state.pending.iter().position(|pending| pending.id == id) else { return Incoming::Foreign };
        let code = stun.error_code();
        if let (Some(401 | 438), Some(login)) = (code, &mut state.login)
            && state.pending[at].retries < MAX_RETRIES
            && login.renew(&stun)
        {
            let pending = &mut state.pending[at];
            pending.retries += 1;
            let (index, signed) = (state.index, login.sign(&pending.request));
            self.wire.ice_server(index, |facts, _| facts.nonce_retries += 1);
            return match signed {
                Ok(signed) => Incoming::Reply(signed, source),
                Err(error) => {
                    log::warn!("a request to the TURN server could not be signed anew: {error}");
                    Incoming::Deliver
                }
            };
        }
        let pending = state.pending.remove(at);
        // 437: there is nothing left to delete.
        if pending.deletes && matches!(code, None | Some(437)) {
            state.released = true;
        }
        Incoming::Deliver
    }

    /// Sends over a link that is not the session's own socket.
    fn send_linked(&self, state: &mut State, cx: &mut Context<'_>, message: &[u8]) {
        let Some(link) = &mut state.link else { return };
        let (server, transport) = (link.server(), link.transport());
        let sent = match link {
            Link::Shared(_) => return,
            Link::Own(socket, _) => match socket.poll_send(cx, message) {
                Poll::Ready(sent) => sent.map(drop),
                Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
            },
            Link::Stream(stream) => stream.send(cx, message),
        };
        match sent {
            Ok(()) => self.wire.sent(message, server, transport, Instant::now()),
            // Dropped like a datagram, and told.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let full = io::Error::from_raw_os_error(libc::EAGAIN);
                self.wire.refused(SocketCall::Send, Some(server), &full);
            }
            Err(error) => self.lost(state, SocketCall::Send, server, &error),
        }
    }

    fn lost(&self, state: &mut State, call: SocketCall, server: SocketAddr, error: &io::Error) {
        self.wire.refused(call, Some(server), error);
        let errno = error.raw_os_error();
        self.wire.note(MomentEvent::ServerLost, Some(server), errno.unwrap_or_default().unsigned_abs());
        self.wire.ice_server(state.index, |facts, now_us| {
            facts.state = IceServerState::Failed;
            facts.failed_us = Some(now_us);
            facts.failure = Some(format!("{}: {error}", call.name()));
            facts.errno = errno;
        });
        // A UDP error is about one datagram; a broken connection stays broken.
        if state.link.as_ref().is_some_and(|link| !link.is_datagram()) {
            state.link = None;
        }
    }
}

/// What the allocation's task does over the session's own socket.
impl Relay {
    /// Prepares for the answer to `request`. Returns whether it may be sent at all: not any more when the session closes,
    /// since nobody would delete what it brings.
    pub(super) fn expect(&self, server: SocketAddr, request: &[u8]) -> bool {
        let mut state = self.state.lock();
        if state.stopped {
            return false;
        }
        let stun = Stun::parse(request);
        state.awaited = stun.map(|stun| (server, stun.transaction_id()));
        state.awaited_signed = stun.is_some_and(|stun| stun.has_integrity());
        state.answer = None;
        true
    }

    /// With what the next request is signed.
    pub(super) fn logged_in(&self, login: Option<&Login>) {
        self.state.lock().login = login.cloned();
    }

    /// An attempt at a server brought nothing: no answer of it is of use any more.
    pub(super) fn forget_exchange(&self) {
        let mut state = self.state.lock();
        (state.awaited, state.awaited_signed, state.answer) = (None, false, None);
    }

    pub(super) async fn expected(&self) -> Result<Vec<u8>, Failure> {
        loop {
            if let Some(answer) = self.state.lock().answer.take() {
                return answer;
            }
            // Keeps one permit, so that an answer in between is not missed.
            self.arrived.notified().await;
        }
    }

    pub(super) fn send_shared(&self, message: &[u8], server: SocketAddr) -> io::Result<()> {
        let socket = self.socket.get().and_then(Weak::upgrade);
        let socket = socket.ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, "the session has no socket"))?;
        match socket.send_observed(message, server) {
            // As if the network had lost it; it is sent again.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            sent => sent.map(drop),
        }
    }

    pub(super) fn take_queued_errors(&self) {
        if let Some(socket) = self.socket.get().and_then(Weak::upgrade) {
            socket.take_queued_errors();
        }
    }
}

fn remember(pending: &mut Vec<Pending>, request: Pending) {
    if let Some(known) = pending.iter_mut().find(|known| known.id == request.id) {
        known.request = request.request;
        return;
    }
    if pending.len() == MAX_PENDING {
        pending.remove(0);
    }
    pending.push(request);
}

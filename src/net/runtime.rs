//! What the engine may use of the world: tasks and timers of tokio, our UDP sockets, our resolver.
//!
//! One [`SessionRuntime`] per session, so that each socket reports to its own [`Wire`]. It owns no task: what the engine
//! spawns ends when the engine's connection is closed.
//!
//! The engine's loop moves what goes through a relay one step per turn and sleeps between: what came through the relay
//! reaches the ICE agent in one turn, its answer the TURN client in the next, the wire in a third. Its sleep is ours, so
//! with a relay every turn that may have moved something gets the two it needs right after it (`RelayTurns`).
//!
//! A connected ICE agent would look around every 200 ms although it has something to do every 2 s (RFC 7675 §5.1). As long
//! as the session is connected it looks half as often ([`SessionRuntime::connected`]); packets wake it as ever.
//!
//! Where a thousand calls connect at once, a session gets its turn long after its check interval has passed, and the engine
//! would repeat checks whose answers lie unread in the socket, which makes the next turn later still. So a sleep that ends late
//! lets the engine read first, and the next one is longer by as much, as a retransmission timer that follows the round-trip
//! time is (RFC 8489 §6.2.1).
use std::future::Future;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use webrtc::runtime::{
    AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, Runtime, TokioRuntime,
};

use super::facts::IceServerState;
use super::resolver::{DnsError, Resolved, resolve, without_dns};
use super::turn::Relay;
use super::udp::ObservedUdpSocket;
use super::wire::Wire;

const TOKIO: TokioRuntime = TokioRuntime;

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The runtime of one session.
#[derive(Debug)]
pub struct SessionRuntime {
    wire: Arc<Wire>,
    /// Deadline of one host name.
    resolve_timeout: Duration,
    socket: Mutex<Option<Arc<ObservedUdpSocket>>>,
    nudge: Arc<Nudge>,
    relay: Option<Arc<Relay>>,
    turns: Arc<RelayTurns>,
    /// `stun:` servers as the engine asks for them, `host:port`, and their places among the configured URLs.
    stun_servers: Vec<(String, usize)>,
    connected: AtomicBool,
    closing: Arc<AtomicBool>,
    /// By how much the engine's last sleep was late, µs.
    late_us: Arc<AtomicU64>,
}

/// The sleep of an ICE agent that has nothing to do (`DEFAULT_CHECK_INTERVAL` of the engine's `rtc-ice`).
const IDLE_TICK: Duration = Duration::from_millis(200);
/// What takes its place while the session is connected. A loss of consent is noticed that much later at most.
const CONNECTED_TICK: Duration = Duration::from_millis(400);

/// A sleep that ends later than this is late: the timer's own step is 1 ms.
const LATE: Duration = Duration::from_millis(5);
/// Longest time by which the next sleep is longer: then checks are repeated after 500 ms, as the RFC's initial value has it.
const LONGEST_LATENESS: Duration = Duration::from_millis(450);

/// Turns that the engine's loop still has to make so that nothing lies in it.
#[derive(Debug, Default)]
struct RelayTurns {
    owed: AtomicU8,
    /// The loop's last sleep was one of none, and it ended.
    made: AtomicBool,
}

/// Turns after one that may have moved something: the core's answer to the TURN client, that of the client to the wire.
const TURNS: u8 = 2;

#[derive(Debug, Default)]
struct Nudge {
    pending: AtomicBool,
    sleeper: AtomicWaker,
}

/// A sleep that a [`Nudge`] ends early.
struct Sleep {
    sleep: Pin<Box<tokio::time::Sleep>>,
    nudge: Arc<Nudge>,
    /// Ends at once.
    turn: Option<Arc<RelayTurns>>,
    /// What the engine reads first when this ends late; taken once it was told to.
    socket: Option<Arc<ObservedUdpSocket>>,
    /// By how much the last sleep was late, µs.
    late_us: Arc<AtomicU64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(turns) = &self.turn {
            turns.made.store(true, Ordering::Relaxed);
            return Poll::Ready(());
        }
        // Registered before looking, so that no nudge in between is missed.
        self.nudge.sleeper.register(cx.waker());
        if self.nudge.pending.swap(false, Ordering::AcqRel) {
            return Poll::Ready(());
        }
        if !self.sleep.is_elapsed() {
            ready!(self.sleep.as_mut().poll(cx));
        }
        let Some(socket) = self.socket.take() else { return Poll::Ready(()) };
        let late = tokio::time::Instant::now().saturating_duration_since(self.sleep.deadline());
        let late = if late > LATE { late.min(LONGEST_LATENESS) } else { Duration::ZERO };
        self.late_us.store(late.as_micros() as u64, Ordering::Relaxed);
        if late.is_zero() || !socket.has_unread() {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl SessionRuntime {
    /// A runtime whose sockets report to `wire` and whose host names must resolve within `resolve_timeout`.
    pub fn new(wire: Arc<Wire>, resolve_timeout: Duration) -> Self {
        Self {
            wire,
            resolve_timeout,
            socket: Mutex::new(None),
            nudge: Arc::default(),
            relay: None,
            turns: Arc::default(),
            stun_servers: Vec::new(),
            connected: AtomicBool::new(false),
            closing: Arc::default(),
            late_us: Arc::default(),
        }
    }

    /// The same with ICE servers: `relay` for those of `turn:`, and those of `stun:` as `host:port` with their places among
    /// the configured URLs.
    pub fn with_ice_servers(mut self, relay: Option<Arc<Relay>>, stun_servers: Vec<(String, usize)>) -> Self {
        self.relay = relay;
        self.stun_servers = stun_servers;
        self
    }

    /// Whether ICE and DTLS are up: then the engine's idle ticks are half as many.
    pub fn connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Release);
    }

    /// How long the engine's loop sleeps when it asks for `duration`.
    ///
    /// What is due sooner than an idle tick (RTCP, retransmissions) keeps its time, and so does everything in a call that is
    /// closing; in one that is being set up or in trouble only where the process keeps its times.
    fn stretched(&self, duration: Duration) -> Duration {
        if self.closing.load(Ordering::Acquire) {
            return duration;
        }
        if !self.connected.load(Ordering::Acquire) {
            return duration.saturating_add(Duration::from_micros(self.late_us.load(Ordering::Relaxed)));
        }
        match duration > IDLE_TICK.mul_f32(0.9) && duration <= IDLE_TICK {
            true => CONNECTED_TICK,
            false => duration,
        }
    }

    /// The session is closing: no sleep is cut short any more, so that the engine has its time to end.
    pub fn closing(&self) {
        self.closing.store(true, Ordering::Release);
        if let Some(relay) = &self.relay {
            relay.stop();
        }
    }

    /// Deletes the allocation, where there is one, and gives up the socket; after the engine has stopped.
    pub async fn release_relay(&self) {
        let socket = self.socket.lock().take();
        if let (Some(relay), Some(socket)) = (&self.relay, socket) {
            relay.release(&socket).await;
        }
    }

    /// Whether this sleep of the engine's loop is to be none.
    fn turn(&self) -> bool {
        let Some(relay) = &self.relay else { return false };
        if self.closing.load(Ordering::Acquire) || !relay.is_allocated() {
            return false;
        }
        let only_media = self.socket.lock().as_ref().is_some_and(|socket| socket.received_only_media());
        let owed = match self.turns.made.swap(false, Ordering::Relaxed) {
            true => self.turns.owed.load(Ordering::Relaxed).saturating_sub(1),
            // Received media is handed on in the turn that takes it in.
            false if only_media => 0,
            false => TURNS,
        };
        self.turns.owed.store(owed, Ordering::Relaxed);
        owed > 0
    }

    /// The session's UDP socket, as long as it is wanted here (see [`Self::release_socket`]).
    pub fn socket(&self) -> Option<Arc<ObservedUdpSocket>> {
        self.socket.lock().clone()
    }

    /// Ends the engine's present sleep, or its next one.
    ///
    /// The engine does not wake up for a new remote candidate, and the first DTLS flight that it makes when ICE connects
    /// leaves only after its next sleep; each costs a whole check interval otherwise.
    pub fn nudge(&self) {
        self.nudge.pending.store(true, Ordering::Release);
        self.nudge.sleeper.wake();
    }

    /// The engine is about to ask a `stun:` server, or cannot.
    fn stun_server_resolved(&self, asked: &str, port: u16, outcome: &Result<Resolved, DnsError>) {
        let local = self.socket.lock().as_ref().and_then(|socket| socket.local_addr().ok());
        for (_, index) in self.stun_servers.iter().filter(|(known, _)| known == asked) {
            self.wire.ice_server(*index, |facts, now_us| {
                facts.tried_us = Some(now_us);
                match outcome {
                    Ok(resolved) => {
                        let of_family =
                            |ip: &&std::net::IpAddr| local.is_none_or(|local| local.is_ipv4() == ip.is_ipv4());
                        let address = resolved.addresses.iter().find(of_family);
                        facts.address = address.map(|ip| SocketAddr::new(*ip, port));
                        facts.state = IceServerState::Trying;
                    }
                    Err(error) => {
                        facts.state = IceServerState::Failed;
                        facts.failed_us = Some(now_us);
                        facts.failure = Some(error.to_string());
                    }
                }
            });
        }
    }

    /// Accounts for what has arrived and nobody has read, and returns the socket's count of drops. Without a relay it also
    /// gives up our hold on the socket, so that the engine's closing closes it.
    pub fn release_socket(&self) -> u64 {
        let mut held = self.socket.lock();
        let drops = held.as_ref().map_or(0, |socket| {
            socket.take_unread();
            socket.receive_drops()
        });
        if self.relay.is_none() {
            *held = None;
        }
        drops
    }
}

impl Runtime for SessionRuntime {
    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) -> Box<dyn JoinHandle> {
        let (wire, closing) = (Arc::clone(&self.wire), Arc::clone(&self.closing));
        // The engine spawns its driver through here. Its end is a fact of the session, and a fault unless the session is closing.
        TOKIO.spawn(Box::pin(async move {
            future.await;
            wire.engine_ended(closing.load(Ordering::Acquire));
        }))
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let socket = ObservedUdpSocket::with_relay(socket, Arc::clone(&self.wire), self.relay.clone())?;
        let socket = Arc::new(socket);
        if let Some(relay) = &self.relay {
            relay.attach(&socket);
        }
        *self.socket.lock() = Some(Arc::clone(&socket));
        Ok(socket)
    }

    fn wrap_tcp_listener(&self, listener: std::net::TcpListener) -> io::Result<Arc<dyn AsyncTcpListener>> {
        TOKIO.wrap_tcp_listener(listener)
    }

    fn connect_tcp<'a>(&'a self, address: SocketAddr) -> Boxed<'a, io::Result<Arc<dyn AsyncTcpStream>>> {
        Box::pin(async move { TOKIO.connect_tcp(address).await })
    }

    fn resolve_host<'a>(&'a self, host: &'a str) -> Boxed<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move {
            // The engine waits for this inside its loop, so it must never take long.
            let (name, port) = host_and_port(host)?;
            let outcome = resolve(name, self.resolve_timeout).await;
            if without_dns(name).is_none() {
                self.wire.looked_up(name, &outcome);
            }
            self.stun_server_resolved(host, port, &outcome);
            match outcome {
                Ok(resolved) => Ok(resolved.addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect()),
                Err(error) => Err(io::Error::other(error)),
            }
        })
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        let turn = self.turn().then(|| Arc::clone(&self.turns));
        // Closing sleeps as long as it says: it is how long the engine's task may take to end.
        let nudge = match self.closing.load(Ordering::Acquire) {
            true => Arc::default(),
            false => Arc::clone(&self.nudge),
        };
        let sleep = Box::pin(tokio::time::sleep(self.stretched(duration)));
        let socket = match self.connected.load(Ordering::Acquire) {
            true => None,
            false => self.socket(),
        };
        Box::pin(Sleep { sleep, nudge, turn, socket, late_us: Arc::clone(&self.late_us) })
    }

    fn interval(&self, period: Duration) -> Box<dyn AsyncInterval> {
        TOKIO.interval(period)
    }

    fn block_on(&self, future: Pin<Box<dyn Future<Output = ()> + '_>>) {
        TOKIO.block_on(future);
    }

    fn yield_now(&self) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        TOKIO.yield_now()
    }

    fn name(&self) -> &'static str {
        "jmeter-webrtc"
    }
}

/// The parts of `host:port`; the host may be an IPv6 address in brackets.
fn host_and_port(text: &str) -> io::Result<(&str, u16)> {
    text.rsplit_once(':')
        .and_then(|(host, port)| Some((host, port.parse().ok()?)))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("'{text}' is not host:port")))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn runtime() -> (Arc<Wire>, SessionRuntime) {
        let wire = Arc::new(Wire::new(Instant::now()));
        (Arc::clone(&wire), SessionRuntime::new(wire, Duration::from_secs(5)))
    }

    #[tokio::test]
    async fn addresses_resolve_with_their_port() {
        let (_, runtime) = runtime();
        let addresses = runtime.resolve_host("[::1]:3478").await.expect("a literal");
        assert_eq!(addresses, vec!["[::1]:3478".parse::<SocketAddr>().expect("address")]);
        assert!(runtime.resolve_host("localhost:1").await.expect("a name").contains(&([127, 0, 0, 1], 1).into()));
        assert!(runtime.resolve_host("no port").await.is_err());
    }

    #[tokio::test]
    async fn a_nudge_ends_the_present_sleep_and_only_one() {
        let (_, runtime) = runtime();
        let sleep = runtime.sleep(Duration::from_secs(3600));
        runtime.nudge();
        tokio::time::timeout(Duration::from_secs(10), sleep).await.expect("ended by the nudge");
        let sleep = runtime.sleep(Duration::from_secs(3600));
        assert!(tokio::time::timeout(Duration::from_millis(20), sleep).await.is_err());
    }

    #[test]
    fn only_the_idle_ticks_of_a_connected_session_are_fewer() {
        let (_, runtime) = runtime();
        let tick = Duration::from_millis(199);
        assert_eq!(runtime.stretched(tick), tick, "not connected yet");
        runtime.connected(true);
        assert_eq!(runtime.stretched(tick), CONNECTED_TICK);
        for due in [Duration::ZERO, Duration::from_millis(50), Duration::from_millis(201), Duration::from_secs(3600)] {
            assert_eq!(runtime.stretched(due), due, "something is due");
        }
        runtime.connected(false);
        assert_eq!(runtime.stretched(tick), tick, "in trouble");
        runtime.connected(true);
        runtime.closing();
        assert_eq!(runtime.stretched(tick), tick, "closing");
    }

    #[tokio::test]
    async fn a_sleep_that_ends_late_lets_the_engine_read_first_and_makes_the_next_one_longer() {
        let (_, runtime) = runtime();
        let bound = UdpSocket::bind(("127.0.0.1", 0)).expect("bound");
        let address = bound.local_addr().expect("address");
        let socket = runtime.wrap_udp_socket(bound).expect("wrapped");
        let tick = Duration::from_millis(10);
        let late = |unread: bool| {
            let mut sleep = runtime.sleep(tick);
            let too_long = runtime.stretched(tick) + Duration::from_millis(40);
            if unread {
                UdpSocket::bind(("127.0.0.1", 0)).and_then(|peer| peer.send_to(b"x", address)).expect("sent");
            }
            async move {
                let mut context = Context::from_waker(std::task::Waker::noop());
                assert!(sleep.as_mut().poll(&mut context).is_pending());
                std::thread::sleep(too_long);
                // The timers get their turn.
                tokio::time::sleep(Duration::from_millis(1)).await;
                [sleep.as_mut().poll(&mut context), sleep.as_mut().poll(&mut context)]
            }
        };
        // The sleep that has not begun yet is not late.
        assert_eq!(runtime.stretched(tick), tick);
        let [first, second] = late(true).await;
        assert!(first.is_pending() && second.is_ready(), "what has come is read first, and then it is time");
        let longer = runtime.stretched(tick);
        assert!(longer > tick * 3 && longer <= tick + LONGEST_LATENESS, "{longer:?}");
        runtime.connected(true);
        assert_eq!(runtime.stretched(tick), tick, "connected");
        runtime.connected(false);
        let mut buffer = [0; 8];
        let read = std::future::poll_fn(|cx| {
            let mut meta = [webrtc::runtime::RecvMeta::default()];
            socket.poll_recv(cx, &mut [io::IoSliceMut::new(&mut buffer)], &mut meta)
        });
        assert_eq!(read.await.expect("there"), 1);
        let [first, _] = late(false).await;
        assert!(first.is_ready(), "nothing has come");
    }

    #[tokio::test]
    async fn the_end_of_the_engines_task_is_a_fact_of_the_wire() {
        let (wire, runtime) = runtime();
        let changed = wire.changed().notified();
        runtime.spawn(Box::pin(async {}));
        tokio::time::timeout(Duration::from_secs(10), changed).await.expect("told");
        assert!(wire.facts().engine_ended);
    }

    #[tokio::test]
    async fn the_end_that_closing_brings_is_no_fault_of_the_engine() {
        let (wire, runtime) = runtime();
        runtime.closing();
        let changed = wire.changed().notified();
        runtime.spawn(Box::pin(async {}));
        tokio::time::timeout(Duration::from_secs(10), changed).await.expect("told");
        assert!(!wire.facts().engine_ended);
    }
}

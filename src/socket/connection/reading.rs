//! The read side of one socket: bytes become frames, and it is known when the server was heard.
//!
//! Guarantees: all of this is behind one lock, and whoever holds it reads *and* parses before it lets go, so that bytes are
//! taken in the order of the wire whichever thread reads; while a thread reads without it ([`super::lending`]), nobody else does.
//! Nothing here waits. Between two reads only a partial frame is
//! kept; the buffer that the kernel fills is shared by all sockets and given back at once.
//!
//! Drop: gives the descriptor back, as soon as no reader waits for it any more.

use std::io;
use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Connection;
use super::lending::Watch;
use crate::net::sys;
use crate::socket::config::SocketConfig;
use crate::socket::deflate::{Agreed, Inflater};
use crate::socket::frame::{self, FrameParser, Violation};
use crate::socket::literal::LiteralParser;
use crate::socket::wire::Incoming;
use crate::socket::{CloseCause, Frame, Opcode};

/// How long the server may take to end TCP after the closing handshake (RFC 6455 §7.1.1).
const LINGER: Duration = Duration::from_secs(2);

/// Reads in a row before others get their turn.
const READS_IN_A_ROW: usize = 16;

/// What the kernel fills, in bytes.
const BUFFER: usize = 64 << 10;

/// Buffers that are kept for the next reads; only as many are in use as threads read in the same moment.
const KEPT_BUFFERS: usize = 8;

static BUFFERS: Mutex<Vec<Box<[u8]>>> = Mutex::new(Vec::new());

/// Lends a buffer to `read`.
fn with_buffer<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    let kept = BUFFERS.lock().pop();
    let mut buffer = kept.unwrap_or_else(|| vec![0; BUFFER].into_boxed_slice());
    let done = read(&mut buffer);
    let mut buffers = BUFFERS.lock();
    if buffers.len() < KEPT_BUFFERS {
        buffers.push(buffer);
    }
    done
}

/// What a failed read means: nothing where there only was nothing yet.
fn nothing(error: io::Error) -> io::Result<Incoming> {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(Incoming::Nothing),
        _ => Err(error),
    }
}

/// The read side of one socket; whoever has it reads.
pub(super) struct Reading {
    /// `None` when the socket is given up.
    pub(super) tcp: Option<Arc<TcpStream>>,
    parser: Parser,
    keep_alive: Option<Box<KeepAlive>>,
    /// Set after the end, while the server may still end TCP on its side.
    pub(super) linger_until: Option<Instant>,
    /// Nothing more will be read.
    pub(super) over: bool,
    /// The last read was cut short: there may be more that no event announces.
    pub(super) more: bool,
    /// When bytes last came.
    pub(super) at: Option<Instant>,
    /// Who waits for bytes.
    pub(super) watch: Watch,
}

/// How much was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Took {
    /// All there was; the next bytes make an event.
    All,
    /// Not all, because nobody wants more now.
    Some,
    /// As much as is taken in one go.
    Enough,
    /// The last there will be.
    End,
}

/// Whether the task goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    GoOn,
    Stop,
}

/// How frames are taken from the wire.
enum Parser {
    /// By RFC 6455; a violation ends the socket.
    Checked(FrameParser),
    /// As they come.
    Literal(LiteralParser),
}

impl Parser {
    fn next(&mut self, input: &mut &[u8], at: Instant) -> Result<Option<Frame>, Violation> {
        match self {
            Self::Checked(parser) => parser.next(input, at),
            Self::Literal(parser) => Ok(parser.next(input, at)),
        }
    }

    /// Whether a frame has begun that is taken as it comes.
    fn has_begun(&self) -> bool {
        matches!(self, Self::Literal(parser) if parser.has_begun())
    }

    /// What the end of TCP makes of a partial frame.
    fn end(&mut self) -> Option<Frame> {
        match self {
            Self::Checked(_) => None,
            Self::Literal(parser) => parser.end(Instant::now()),
        }
    }
}

impl Reading {
    /// The read side of a connection that has just been upgraded.
    pub(super) fn new(tcp: Arc<TcpStream>, agreed: Option<Agreed>, config: &SocketConfig) -> Self {
        let parser = match &config.literal {
            None => Parser::Checked(FrameParser::new(config.max_frame_bytes, agreed.map(Inflater::new))),
            Some(literal) => Parser::Literal(LiteralParser::new(literal.inflate)),
        };
        let keep_alive = KeepAlive::of(config, &tcp);
        let tcp = Some(tcp);
        let watch = Watch::default();
        Self { tcp, parser, keep_alive, linger_until: None, over: false, more: false, at: None, watch }
    }

    /// Takes what is there: until the kernel says that there is nothing more where it is `thorough`; else a short read says so, but
    /// for the end of TCP.
    pub(super) fn read(&mut self, connection: &Connection, thorough: bool) -> Took {
        let took = with_buffer(|buffer| self.read_into(buffer, connection, thorough));
        self.more = took == Took::Enough;
        self.over |= took == Took::End;
        if connection.secure {
            // TLS may have to answer what it has read.
            connection.flush();
        }
        took
    }

    fn read_into(&mut self, buffer: &mut [u8], connection: &Connection, thorough: bool) -> Took {
        for _ in 0..READS_IN_A_ROW {
            if self.over || self.watch.is_outside() || !connection.may_read() {
                // TLS may hold what the kernel does not tell of.
                return if connection.secure { Took::Enough } else { Took::Some };
            }
            let incoming = if connection.secure {
                let mut core = connection.core.lock();
                let Some(wire) = &mut core.wire else { return Took::End };
                wire.read_decrypted(buffer)
            } else {
                let Some(tcp) = &self.tcp else { return Took::End };
                sys::read_now(tcp.as_fd(), buffer).map_or_else(nothing, |read| Ok(Incoming::of(read)))
            };
            if let Incoming::Bytes(read) = self.take_in(connection, incoming, buffer, None) {
                if !thorough && !connection.secure && read < buffer.len() {
                    return Took::All;
                }
            } else {
                return if self.over { Took::End } else { Took::All };
            }
        }
        Took::Enough
    }

    /// Takes in what one read has brought. `first`: where the first frame for readers goes, instead of the inbox.
    fn take_in(
        &mut self,
        connection: &Connection,
        incoming: io::Result<Incoming>,
        buffer: &[u8],
        first: Option<&mut Option<Frame>>,
    ) -> Incoming {
        match incoming {
            Ok(Incoming::Bytes(read)) => {
                self.bytes(connection, &buffer[..read], Instant::now(), first);
                return Incoming::Bytes(read);
            }
            Ok(Incoming::Nothing) => return Incoming::Nothing,
            Ok(Incoming::End) => {
                if let Some(partial) = self.parser.end() {
                    connection.frame(partial, first);
                }
                connection.end(connection.cause_of_end());
            }
            Err(error) => connection.end(self.cause_of(&error)),
        }
        self.over = true;
        Incoming::End
    }

    /// Takes in what a thread has read without the lock, and what was behind it; the first frame for readers is the thread's.
    pub(super) fn take_over(
        &mut self,
        connection: &Connection,
        read: io::Result<sys::Taken<'_>>,
    ) -> (Option<Frame>, Took) {
        let mut first = None;
        let (bytes, more) = read.as_ref().map_or((&[][..], false), |taken| (taken.bytes, taken.more));
        let incoming = read.map_or_else(nothing, |taken| Ok(Incoming::of(taken.bytes.len())));
        self.watch.comes_back();
        let took = match self.take_in(connection, incoming, bytes, Some(&mut first)) {
            // The thread wants no more than it has: what reads on demand leaves the rest to the kernel.
            Incoming::Bytes(_) if first.is_some() && connection.read_on_demand => Took::Some,
            Incoming::Bytes(_) if more => self.read(connection, true),
            Incoming::Bytes(_) | Incoming::Nothing => Took::All,
            Incoming::End => Took::End,
        };
        (first, took)
    }

    /// Whether a thread may read without the lock for a moment: not while the task has to judge how long the server is silent.
    pub(super) fn may_be_read_outside(&self, longest: Duration) -> bool {
        self.keep_alive.as_ref().is_none_or(|keep_alive| keep_alive.leaves(longest))
    }

    /// Whether a part of a literal frame has come.
    pub(super) fn has_begun_a_frame(&self) -> bool {
        self.parser.has_begun()
    }

    fn cause_of(&self, error: &io::Error) -> CloseCause {
        match &self.keep_alive {
            // The kernel gave up on an unacknowledged application ping (TCP_USER_TIMEOUT).
            Some(keep_alive) if error.raw_os_error() == Some(libc::ETIMEDOUT) => {
                CloseCause::PingTimeout { silent_ms: keep_alive.heard.elapsed().as_millis() as u64 }
            }
            _ => CloseCause::of_io(error),
        }
    }

    /// Bytes of the server arrived `at`. `first`: where the first frame for readers goes, instead of the inbox.
    pub(super) fn bytes(
        &mut self,
        connection: &Connection,
        mut bytes: &[u8],
        at: Instant,
        mut first: Option<&mut Option<Frame>>,
    ) {
        if let Some(keep_alive) = &mut self.keep_alive {
            keep_alive.heard = at;
            keep_alive.unanswered_since = None;
        }
        self.at = Some(at);
        connection.heard(at);
        while self.linger_until.is_none() {
            match self.parser.next(&mut bytes, at) {
                Ok(Some(frame)) if frame.opcode == Opcode::Close => {
                    connection.close_received(frame, first.as_deref_mut());
                    self.linger_until = Some(at + LINGER);
                }
                Ok(Some(frame)) => connection.frame(frame, first.as_deref_mut()),
                Ok(None) => return,
                Err(violation) => {
                    let Violation { status, .. } = violation;
                    connection.send_close(status, "");
                    connection.end(violation.into());
                    self.linger_until = Some(at + LINGER);
                }
            }
        }
    }

    /// When something has to be done even if nothing comes.
    pub(super) fn due(&self) -> Option<Instant> {
        match (self.linger_until, &self.keep_alive) {
            (Some(until), _) => Some(until),
            (None, Some(keep_alive)) => Some(keep_alive.due()),
            (None, None) => None,
        }
    }

    /// Does what is due.
    pub(super) fn time(&mut self, connection: &Connection, now: Instant) -> Next {
        if let Some(until) = self.linger_until {
            return if now >= until { Next::Stop } else { Next::GoOn };
        }
        if let Some(keep_alive) = &mut self.keep_alive
            && keep_alive.is_overdue(now)
            && !connection.may_read()
        {
            // The answer may be there, behind what nobody reads.
            keep_alive.unanswered_since = Some(now);
        }
        if self.keep_alive.as_ref().is_some_and(|keep_alive| keep_alive.is_overdue(now)) {
            // On a busy machine the answer may be there already, unread.
            if self.read(connection, true) == Took::End {
                return Next::Stop;
            }
            if let Some(keep_alive) = &self.keep_alive
                && keep_alive.is_overdue(now)
            {
                let silent_ms = now.saturating_duration_since(keep_alive.heard).as_millis() as u64;
                connection.end(CloseCause::PingTimeout { silent_ms });
                return Next::Stop;
            }
        }
        if let Some(keep_alive) = &mut self.keep_alive
            && now >= keep_alive.next
        {
            keep_alive.sent(now, rand::random_range(0.8..1.2));
            let (opcode, payload) = match &keep_alive.text {
                Some(text) => (Opcode::Text, text.as_bytes()),
                None => (Opcode::Ping, connection.mark.as_slice()),
            };
            let closing = connection.core.lock().close_sent.is_some();
            connection.write(|wire| {
                // A ping behind frames that do not get out tells nothing and only piles up.
                if closing || wire.is_waiting() {
                    return Ok(());
                }
                if opcode == Opcode::Ping {
                    connection.pings_sent.fetch_add(1, Ordering::Relaxed);
                }
                wire.send(frame::encode(opcode, true, false, payload, frame::masking_key())).map(|_| ())
            });
        }
        Next::GoOn
    }
}

/// When the next ping is due and since when one is unanswered. Pure.
struct KeepAlive {
    interval: Duration,
    /// `None` = an answer may be missing for ever.
    timeout: Option<Duration>,
    text: Option<String>,
    next: Instant,
    unanswered_since: Option<Instant>,
    /// When the last bytes came.
    heard: Instant,
}

impl KeepAlive {
    fn of(config: &SocketConfig, tcp: &TcpStream) -> Option<Box<Self>> {
        if config.ping_interval_ms == 0 {
            return None;
        }
        let interval = Duration::from_millis(config.ping_interval_ms);
        let timeout = (config.ping_timeout_ms > 0).then(|| Duration::from_millis(config.ping_timeout_ms));
        let text = config.ping_text.clone();
        if text.is_some() {
            // A server need not answer a text, but its kernel has to acknowledge it. Where the option
            // does not exist a dead peer is found by TCP itself, later.
            #[cfg(target_os = "linux")]
            let _set = socket2::SockRef::from(tcp).set_tcp_user_timeout(timeout);
        }
        #[cfg(not(target_os = "linux"))]
        let _unused = tcp;
        let now = Instant::now();
        // The first ping at a random point of the interval: sockets opened together must not ping together.
        let next = now + interval.mul_f64(rand::random::<f64>());
        Some(Box::new(Self { interval, timeout, text, next, unanswered_since: None, heard: now }))
    }

    /// A ping went out at `now`; the next one follows after the interval times `jitter`.
    fn sent(&mut self, now: Instant, jitter: f64) {
        self.next = now + self.interval.mul_f64(jitter);
        if self.text.is_none() {
            self.unanswered_since.get_or_insert(now);
        }
    }

    /// Whether no answer can be overdue within `longest` from now on.
    fn leaves(&self, longest: Duration) -> bool {
        self.unanswered_since.is_none() && self.timeout.is_none_or(|timeout| timeout > longest)
    }

    fn deadline(&self) -> Option<Instant> {
        Some(self.unanswered_since? + self.timeout?)
    }

    fn is_overdue(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|deadline| now >= deadline)
    }

    fn due(&self) -> Instant {
        self.deadline().map_or(self.next, |deadline| deadline.min(self.next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_is_overdue_only_when_nothing_came_within_the_timeout() {
        let now = Instant::now();
        let (interval, timeout) = (Duration::from_secs(10), Duration::from_secs(3));
        let mut keep_alive =
            KeepAlive { interval, timeout: Some(timeout), text: None, next: now, unanswered_since: None, heard: now };
        assert_eq!(keep_alive.due(), now);
        keep_alive.sent(now, 1.2);
        assert_eq!(keep_alive.due(), now + timeout);
        assert!(!keep_alive.is_overdue(now + timeout - Duration::from_millis(1)));
        assert!(keep_alive.is_overdue(now + timeout));
        keep_alive.unanswered_since = None;
        assert!(!keep_alive.is_overdue(now + timeout));
        assert_eq!(keep_alive.due(), now + Duration::from_secs(12));
    }

    #[test]
    fn a_thread_may_read_alone_while_no_answer_can_be_overdue() {
        let now = Instant::now();
        let (interval, timeout) = (Duration::from_secs(10), Duration::from_secs(3));
        let mut keep_alive =
            KeepAlive { interval, timeout: Some(timeout), text: None, next: now, unanswered_since: None, heard: now };
        assert!(keep_alive.leaves(Duration::from_millis(100)));
        assert!(!keep_alive.leaves(timeout));
        keep_alive.sent(now, 1.0);
        assert!(!keep_alive.leaves(Duration::from_millis(100)), "an answer is missing");
        keep_alive.timeout = None;
        keep_alive.unanswered_since = None;
        assert!(keep_alive.leaves(timeout), "an answer may be missing for ever");
    }

    #[test]
    fn a_text_of_the_application_is_never_overdue() {
        let now = Instant::now();
        let mut keep_alive = KeepAlive {
            interval: Duration::from_secs(1),
            timeout: Some(Duration::from_secs(1)),
            text: Some("ping".to_owned()),
            next: now,
            unanswered_since: None,
            heard: now,
        };
        keep_alive.sent(now, 1.0);
        assert!(!keep_alive.is_overdue(now + Duration::from_secs(60)));
    }
}

//! One open WebSocket and the task that lives with it.
//!
//! Guarantees: exactly one task per socket reads, answers pings, sends keep-alive pings and finds out
//! how the socket ends, whether or not anybody reads; senders write to the kernel themselves and never
//! wait for that task unless the kernel is full. The first cause of the end is kept and never changes.
//! Whoever waits is woken at the end, also when the task panics or its runtime is gone. An idle socket
//! holds no read buffer: bytes are read into a buffer of the thread, and only partial frames are kept.
//!
//! Drop and cancel: the task holds the connection and not the handle; when the last handle is dropped
//! TCP is ended at once and the task with it.

use std::cell::RefCell;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};

use super::config::SocketConfig;
use super::deflate::{self, Inflater};
use super::dial::{Dialed, Opened};
use super::frame::{self, FrameParser, LONGEST_CONTROL_PAYLOAD, Violation};
use super::inbox::Inbox;
use super::literal::LiteralParser;
use super::wire::{Handed, Incoming, Wire};
use super::{CloseCause, Frame, Observer, Opcode, SocketError, Tap};
use crate::config::ConfigError;

/// How long the server may take to end TCP after the closing handshake (RFC 6455 §7.1.1).
const LINGER: Duration = Duration::from_secs(2);

/// Reads in a row before other tasks of the thread get their turn.
const READS_IN_A_ROW: usize = 16;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; 64 << 10].into_boxed_slice());
}

/// Counters of one socket. Bytes are those of WebSocket frames, header and payload; the upgrade and
/// TLS do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SocketCounters {
    /// Frames handed to the kernel, control frames too.
    pub frames_sent: u64,
    /// Complete frames that came, control frames too.
    pub frames_received: u64,
    /// Bytes of the frames sent.
    pub bytes_sent: u64,
    /// Bytes of the frames received.
    pub bytes_received: u64,
    /// Pings sent, by keep-alive and by request.
    pub pings_sent: u64,
    /// Pings received.
    pub pings_received: u64,
    /// Pongs sent, by ourselves and by request.
    pub pongs_sent: u64,
    /// Pongs received.
    pub pongs_received: u64,
    /// Frames dropped because the queue was full.
    pub overflowed: u64,
    /// Frames queued now.
    pub queued: u64,
}

/// What [`super::Socket::send`] did.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Bytes on the wire (header + payload), without TLS.
    pub bytes: usize,
    /// When the last byte was handed to the kernel.
    pub at: Instant,
}

/// What the handles and the task of one socket share.
pub(super) struct Connection {
    pub(super) opened: Opened,
    auto_pong: bool,
    deliver_pings: bool,
    echo_close: bool,
    deflate_outgoing: bool,
    /// Reads only while somebody waits for a frame.
    read_on_demand: bool,
    /// Lets the kernel decide what still goes out after the end.
    write_after_end: bool,
    /// Frames are sent as they are given.
    literal: bool,
    secure: bool,
    /// The payload of our own keep-alive pings, by which their pongs are known.
    mark: [u8; 8],
    core: Mutex<Core>,
    inbox: Inbox,
    taps: Mutex<Taps>,
    observer: Option<Arc<dyn Observer>>,
    /// Wakes the task.
    wake: Notify,
    /// Wakes those who wait for the end.
    ended: Notify,
    /// How many wait for a frame; kept only where reading is on demand.
    demand: AtomicUsize,
    frames_received: AtomicU64,
    bytes_received: AtomicU64,
    pings_sent: AtomicU64,
    pings_received: AtomicU64,
    pongs_sent: AtomicU64,
    pongs_received: AtomicU64,
    /// When the connection was taken over.
    started: Instant,
    /// Last bytes of the server, µs after that.
    heard_us: AtomicU64,
}

struct Core {
    /// `None` when TCP has been given up.
    wire: Option<Wire>,
    /// Status of the close frame we sent.
    close_sent: Option<u16>,
    /// Why writing failed; the task looks first whether the reading side knows better.
    write_failure: Option<CloseCause>,
    cause: Option<CloseCause>,
    ended_at: Option<Instant>,
    /// What the wire had sent when it was given up.
    frames_sent: u64,
    bytes_sent: u64,
    pongs_answered: u64,
}

#[derive(Default)]
struct Taps {
    next_id: u64,
    list: Arc<[(u64, Arc<dyn Tap>)]>,
}

impl Connection {
    /// Takes over a dialed connection and starts its task on the current runtime.
    pub(super) fn start(dialed: Dialed, config: &SocketConfig, observer: Option<Arc<dyn Observer>>) -> Arc<Self> {
        let Dialed { tcp, tls, leftover, agreed, opened } = dialed;
        let tcp = Arc::new(tcp);
        let parser = match &config.literal {
            None => Parser::Checked(FrameParser::new(config.max_frame_bytes, agreed.map(Inflater::new))),
            Some(literal) => Parser::Literal(LiteralParser::new(literal.inflate)),
        };
        let keep_alive = KeepAlive::of(config, &tcp);
        let connection = Arc::new(Self {
            opened,
            auto_pong: config.auto_pong,
            deliver_pings: config.deliver_pings,
            echo_close: config.echo_close,
            // The compressor has one window size; a server that wants a smaller one gets plain frames.
            deflate_outgoing: config.deflate_outgoing
                && agreed.is_some_and(|agreed| agreed.client_max_window_bits == 15),
            read_on_demand: config.literal.as_ref().is_some_and(|literal| literal.read_on_demand),
            write_after_end: config.literal.as_ref().is_some_and(|literal| literal.write_after_end),
            literal: config.literal.is_some(),
            secure: tls.is_some(),
            mark: rand::random(),
            core: Mutex::new(Core {
                wire: Some(Wire::new(Arc::clone(&tcp), tls)),
                close_sent: None,
                write_failure: None,
                cause: None,
                ended_at: None,
                frames_sent: 0,
                bytes_sent: 0,
                pongs_answered: 0,
            }),
            inbox: Inbox::new(config.queue_frames, config.queue_bytes),
            taps: Mutex::default(),
            observer,
            wake: Notify::new(),
            ended: Notify::new(),
            demand: AtomicUsize::new(0),
            frames_received: AtomicU64::new(0),
            bytes_received: AtomicU64::new(0),
            pings_sent: AtomicU64::new(0),
            pings_received: AtomicU64::new(0),
            pongs_sent: AtomicU64::new(0),
            pongs_received: AtomicU64::new(0),
            started: Instant::now(),
            heard_us: AtomicU64::new(0),
        });
        let task = Task {
            connection: LastWord(Arc::clone(&connection)),
            tcp,
            parser,
            keep_alive,
            linger_until: None,
            over: false,
            write_dead: false,
        };
        tokio::spawn(task.run(leftover));
        connection
    }

    /// Sends one frame; see [`super::Socket::send`].
    pub(super) async fn send(&self, opcode: Opcode, fin: bool, payload: &[u8]) -> Result<Sent, SocketError> {
        if opcode.is_control() && !self.literal {
            if payload.len() > LONGEST_CONTROL_PAYLOAD {
                let reason = format!("a {opcode:?} frame has at most {LONGEST_CONTROL_PAYLOAD} bytes of payload");
                return Err(ConfigError::new("payload", format_args!("{} bytes", payload.len()), reason).into());
            }
            if !fin {
                return Err(ConfigError::new("fin", false, "a control frame cannot be fragmented").into());
            }
        }
        let encoded = if self.deflate_outgoing && fin && matches!(opcode, Opcode::Text | Opcode::Binary) {
            frame::encode(opcode, fin, true, &deflate::deflate(payload), rand::random())
        } else {
            frame::encode(opcode, fin, false, payload, rand::random())
        };
        let bytes = encoded.len();
        let handed = {
            let mut core = self.core.lock();
            if !self.write_after_end {
                core.check_may_send(opcode)?;
            }
            if opcode == Opcode::Close {
                core.close_sent = Some(close_status(payload));
            }
            core.wire.as_mut().map(|wire| wire.send(encoded))
        };
        let at = match handed {
            Some(Ok(Handed::Sent(at))) => at,
            Some(Ok(Handed::Waiting(id, sent))) => {
                self.wake.notify_one();
                let handing = Handing { connection: self, id, opcode, sent };
                match handing.finished().await {
                    Some(at) => at,
                    None => return Err(SocketError::Closed { cause: self.ended().await }),
                }
            }
            Some(Err(error)) if self.write_after_end => {
                let cause = CloseCause::Io { errno: error.raw_os_error(), detail: error.to_string() };
                return Err(SocketError::Closed { cause });
            }
            Some(Err(error)) => {
                self.writing_failed(&error);
                return Err(SocketError::Closed { cause: self.ended().await });
            }
            None => return Err(SocketError::Closed { cause: self.ended().await }),
        };
        match opcode {
            Opcode::Ping => self.pings_sent.fetch_add(1, Ordering::Relaxed),
            Opcode::Pong => self.pongs_sent.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
        Ok(Sent { bytes, at })
    }

    /// The first frame for readers that matches.
    pub(super) async fn receive(&self, matches: &(dyn Fn(&Frame) -> bool + Send + Sync)) -> Result<Frame, SocketError> {
        let reading = self.inbox.read(matches);
        let _demand = self.read_on_demand.then(|| Demand::of(self));
        let frame = reading.await.map_err(|cause| SocketError::Closed { cause })?;
        match frame.lapse {
            None => Ok(frame),
            Some(lapse) => Err(SocketError::Lapse { lapse: *lapse }),
        }
    }

    /// Whether the task may read: a socket that reads on demand leaves everything in the kernel until then.
    fn may_read(&self) -> bool {
        !self.read_on_demand
            || self.demand.load(Ordering::Acquire) > 0 && self.inbox.queued.load(Ordering::Relaxed) == 0
    }

    /// The closing handshake; see [`super::Socket::close`].
    pub(super) async fn close(&self, status: u16, reason: &str, deadline: Duration) -> CloseCause {
        let payload = frame::close_payload(status, reason);
        let handshake = async {
            // Whether our close frame went out or could not: the end comes, and its cause says which.
            let _sent = self.send(Opcode::Close, true, &payload).await;
            self.ended().await
        };
        match tokio::time::timeout(deadline, handshake).await {
            Ok(cause) => cause,
            Err(_) => {
                self.abort(CloseCause::ClosedByUs { code: status });
                self.cause().unwrap_or(CloseCause::ClosedByUs { code: status })
            }
        }
    }

    /// Ends the socket with `cause` and gives TCP up at once.
    pub(super) fn abort(&self, cause: CloseCause) {
        self.end(cause);
        self.release();
        self.wake.notify_one();
    }

    pub(super) fn cause(&self) -> Option<CloseCause> {
        self.core.lock().cause.clone()
    }

    pub(super) fn counters(&self) -> SocketCounters {
        let core = self.core.lock();
        let (mut frames_sent, mut bytes_sent, mut pongs) = (core.frames_sent, core.bytes_sent, core.pongs_answered);
        if let Some(wire) = &core.wire {
            frames_sent += wire.frames_sent;
            bytes_sent += wire.bytes_sent;
            pongs += wire.pongs_sent;
        }
        drop(core);
        SocketCounters {
            frames_sent,
            frames_received: self.frames_received.load(Ordering::Relaxed),
            bytes_sent,
            bytes_received: self.bytes_received.load(Ordering::Relaxed),
            pings_sent: self.pings_sent.load(Ordering::Relaxed),
            pings_received: self.pings_received.load(Ordering::Relaxed),
            pongs_sent: pongs + self.pongs_sent.load(Ordering::Relaxed),
            pongs_received: self.pongs_received.load(Ordering::Relaxed),
            overflowed: self.inbox.overflowed.load(Ordering::Relaxed),
            queued: self.inbox.queued.load(Ordering::Relaxed),
        }
    }

    /// Adds a tap; one that comes after the end hears of it at once.
    pub(super) fn tap(self: &Arc<Self>, tap: Arc<dyn Tap>) -> TapGuard {
        let mut taps = self.taps.lock();
        let id = taps.next_id;
        taps.next_id += 1;
        let guard = TapGuard { connection: Arc::downgrade(self), id };
        // Under the lock of the list, which the end takes after it has set the cause.
        if let Some(cause) = self.cause() {
            drop(taps);
            tap.closed(&cause);
        } else {
            taps.list = taps.list.iter().cloned().chain([(id, tap)]).collect();
        }
        guard
    }

    /// Waits for the end.
    /// When it ended, and for how long the server had been silent then; `None` while it is open.
    pub(super) fn end_times(&self) -> Option<(Instant, Duration)> {
        let at = self.core.lock().ended_at?;
        let heard = self.started + Duration::from_micros(self.heard_us.load(Ordering::Relaxed));
        Some((at, at.saturating_duration_since(heard)))
    }

    /// When it was opened.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    fn heard(&self, at: Instant) {
        let us = at.saturating_duration_since(self.started).as_micros();
        self.heard_us.store(u64::try_from(us).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    async fn ended(&self) -> CloseCause {
        loop {
            let notified = self.ended.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if let Some(cause) = self.cause() {
                return cause;
            }
            notified.await;
        }
    }

    /// Sets the cause of the end, once, and tells everybody. TCP stays until [`Connection::release`].
    fn end(&self, cause: CloseCause) {
        if let Some(cause) = self.settle(cause) {
            self.tell(&cause);
        }
    }

    /// Sets the cause of the end and gives it; `None` when there was one already.
    fn settle(&self, cause: CloseCause) -> Option<CloseCause> {
        let mut core = self.core.lock();
        if core.cause.is_some() {
            return None;
        }
        let cause = match (cause, core.close_sent) {
            // How TCP ends after our own close frame is the server's business.
            (CloseCause::Fin | CloseCause::Reset | CloseCause::Io { .. }, Some(code)) if !self.write_after_end => {
                CloseCause::ClosedByUs { code }
            }
            (cause, _) => cause,
        };
        core.ended_at = Some(Instant::now());
        Some(core.cause.insert(cause).clone())
    }

    /// Tells everybody of the end.
    fn tell(&self, cause: &CloseCause) {
        self.inbox.end(cause);
        let taps = std::mem::take(&mut self.taps.lock().list);
        self.ended.notify_waiters();
        if let Some(observer) = &self.observer {
            observer.closed(cause);
        }
        for (_, tap) in taps.iter() {
            tap.closed(cause);
        }
    }

    /// Gives TCP up; what waited to go out is dropped and its senders hear of the end.
    fn release(&self) {
        let mut core = self.core.lock();
        if let Some(mut wire) = core.wire.take() {
            core.frames_sent = wire.frames_sent;
            core.bytes_sent = wire.bytes_sent;
            core.pongs_answered = wire.pongs_sent;
            wire.shut_down();
        }
    }

    fn writing_failed(&self, error: &io::Error) {
        self.core.lock().write_failure.get_or_insert_with(|| CloseCause::of_io(error));
        self.wake.notify_one();
    }

    /// Lets `write` have the wire, if there still is one.
    fn write(&self, write: impl FnOnce(&mut Wire) -> io::Result<()>) {
        let written = self.core.lock().wire.as_mut().map(write);
        if let Some(Err(error)) = written {
            self.writing_failed(&error);
        }
    }

    /// A frame has come: what the protocol asks for, then the taps, then the readers.
    fn frame(&self, frame: Frame) {
        self.frames_received.fetch_add(1, Ordering::Relaxed);
        self.bytes_received.fetch_add((frame.header_bytes + frame.wire_payload_bytes) as u64, Ordering::Relaxed);
        let mut for_readers = true;
        match frame.opcode {
            Opcode::Ping => {
                self.pings_received.fetch_add(1, Ordering::Relaxed);
                for_readers = self.deliver_pings;
                if self.auto_pong {
                    let pong = frame::encode(Opcode::Pong, true, false, &frame.payload, rand::random());
                    self.write(|wire| wire.answer(pong));
                }
            }
            Opcode::Pong => {
                self.pongs_received.fetch_add(1, Ordering::Relaxed);
                for_readers = frame.payload != self.mark.as_slice();
            }
            Opcode::Continuation | Opcode::Text | Opcode::Binary | Opcode::Close => {}
        }
        if let Some(observer) = &self.observer {
            observer.frame(&frame);
        }
        let taps = Arc::clone(&self.taps.lock().list);
        for (_, tap) in taps.iter() {
            if tap.frame(&frame) {
                for_readers = false;
                break;
            }
        }
        if for_readers {
            self.inbox.push(frame);
        }
    }

    /// The peer's close frame has come: answer it, keep its cause, then deliver it. Whoever reads it may give TCP up at
    /// once, and finds answer and cause in their place.
    fn close_received(&self, frame: Frame) {
        let (code, reason) = frame.close_status();
        let answer = {
            let core = self.core.lock();
            self.echo_close && core.close_sent.is_none()
        };
        let close_sent = self.core.lock().close_sent;
        if answer {
            // A status that must not be on the wire is answered as the breach it is (RFC 6455 §7.4.1).
            let status = match code {
                Some(code @ (1000..=1003 | 1007..=1014 | 3000..=4999)) => code,
                Some(_) => 1002,
                None => 1005,
            };
            self.send_close(status, "");
        }
        let first = self.settle(match close_sent {
            Some(code) => CloseCause::ClosedByUs { code },
            None => CloseCause::CloseFrame { code, reason },
        });
        self.frame(frame);
        if let Some(cause) = first {
            self.tell(&cause);
        }
    }

    /// Sends a close frame as far as the kernel takes it.
    fn send_close(&self, status: u16, reason: &str) {
        let payload = frame::close_payload(status, reason);
        let encoded = frame::encode(Opcode::Close, true, false, &payload, rand::random());
        let mut core = self.core.lock();
        core.close_sent = Some(status);
        if let Some(wire) = &mut core.wire {
            // The socket ends now in any case, with a cause that is already known.
            let _handed = wire.send(encoded);
        }
    }
}

impl Core {
    fn check_may_send(&self, opcode: Opcode) -> Result<(), SocketError> {
        match (&self.cause, self.close_sent) {
            (None, None) => Ok(()),
            // A close frame that was not answered in the background may be answered by hand.
            (Some(CloseCause::CloseFrame { .. }), None) if opcode == Opcode::Close && self.wire.is_some() => Ok(()),
            (Some(cause), _) => Err(SocketError::Closed { cause: cause.clone() }),
            (None, Some(code)) => Err(SocketError::Closed { cause: CloseCause::ClosedByUs { code } }),
        }
    }
}

fn close_status(payload: &[u8]) -> u16 {
    match payload {
        [high, low, ..] => u16::from_be_bytes([*high, *low]),
        _ => 1005,
    }
}

/// Somebody waits for a frame of a socket that reads on demand.
struct Demand<'a>(&'a Connection);

impl<'a> Demand<'a> {
    fn of(connection: &'a Connection) -> Self {
        connection.demand.fetch_add(1, Ordering::Release);
        connection.wake.notify_one();
        Self(connection)
    }
}

impl Drop for Demand<'_> {
    fn drop(&mut self) {
        self.0.demand.fetch_sub(1, Ordering::Release);
    }
}

/// A frame that waits for the kernel; withdrawn on drop if nothing of it has gone out.
struct Handing<'a> {
    connection: &'a Connection,
    id: u64,
    opcode: Opcode,
    sent: oneshot::Receiver<Instant>,
}

impl Handing<'_> {
    async fn finished(mut self) -> Option<Instant> {
        (&mut self.sent).await.ok()
    }
}

impl Drop for Handing<'_> {
    fn drop(&mut self) {
        let mut core = self.connection.core.lock();
        let withdrawn = core.wire.as_mut().is_some_and(|wire| wire.withdraw(self.id));
        if withdrawn && self.opcode == Opcode::Close && core.cause.is_none() {
            core.close_sent = None;
        }
    }
}

/// Removes its tap on drop.
pub struct TapGuard {
    connection: Weak<Connection>,
    id: u64,
}

impl Drop for TapGuard {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.upgrade() {
            let mut taps = connection.taps.lock();
            taps.list = taps.list.iter().filter(|(id, _)| *id != self.id).cloned().collect();
        }
    }
}

/// The task's hold on the connection: however the task ends, the connection ends with it.
struct LastWord(Arc<Connection>);

impl Drop for LastWord {
    fn drop(&mut self) {
        let detail = "the task of the socket was ended from outside".to_owned();
        self.0.end(CloseCause::Io { errno: None, detail });
        self.0.release();
    }
}

/// The task of one socket.
struct Task {
    connection: LastWord,
    tcp: Arc<TcpStream>,
    parser: Parser,
    keep_alive: Option<Box<KeepAlive>>,
    /// Set after the end, while the server may still end TCP on its side.
    linger_until: Option<Instant>,
    /// Nothing more will be read, but what is sent still goes to the kernel.
    over: bool,
    /// What waits to go out never will; only with `write_after_end`.
    write_dead: bool,
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

    /// What the end of TCP makes of a partial frame.
    fn end(&mut self) -> Option<Frame> {
        match self {
            Self::Checked(_) => None,
            Self::Literal(parser) => parser.end(Instant::now()),
        }
    }
}

/// Whether the task goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    GoOn,
    Stop,
}

impl Task {
    async fn run(mut self, leftover: Vec<u8>) {
        if !leftover.is_empty() {
            self.bytes(&leftover, Instant::now());
        }
        drop(leftover);
        // TLS may hold frames that came with the answer to the upgrade and that no event announces.
        if self.read() == Next::Stop {
            if !self.connection.0.write_after_end {
                return;
            }
            self.over = true;
        }
        loop {
            let connection = &self.connection.0;
            let (waiting, write_failure) = {
                let mut core = connection.core.lock();
                let Some(wire) = &core.wire else { return };
                (wire.is_waiting() && !self.write_dead, core.write_failure.take())
            };
            if write_failure.is_some() && connection.write_after_end {
                // Whoever sends next hears of it from the kernel.
                self.write_dead = true;
                continue;
            }
            if let Some(cause) = write_failure {
                // What came before the server ended TCP says more than that writing failed.
                if self.read() == Next::GoOn {
                    self.connection.0.end(cause);
                }
                return;
            }
            let reading = !self.over && connection.may_read();
            let interest = match (waiting, reading) {
                (true, true) => Interest::READABLE | Interest::WRITABLE,
                (true, false) => Interest::WRITABLE,
                (false, _) => Interest::READABLE,
            };
            let due = self.due();
            tokio::select! {
                biased;
                () = connection.wake.notified() => {}
                ready = self.tcp.ready(interest), if waiting || reading => {
                    if let Err(error) = ready {
                        // Only a runtime that shuts down refuses to wait.
                        connection.end(CloseCause::of_io(&error));
                        return;
                    }
                    if self.ready() == Next::Stop {
                        if !self.connection.0.write_after_end {
                            return;
                        }
                        self.over = true;
                    }
                }
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => {
                    if self.time() == Next::Stop {
                        return;
                    }
                }
            }
        }
    }

    /// The kernel can take or give something.
    fn ready(&mut self) -> Next {
        if !self.write_dead {
            self.connection.0.write(|wire| if wire.is_waiting() { wire.flush().map(|_| ()) } else { Ok(()) });
        }
        if self.over { Next::GoOn } else { self.read() }
    }

    /// Reads what is there, for a while.
    fn read(&mut self) -> Next {
        SCRATCH.with_borrow_mut(|scratch| {
            for _ in 0..READS_IN_A_ROW {
                let connection = &self.connection.0;
                if !connection.may_read() {
                    return Next::GoOn;
                }
                let incoming = if connection.secure {
                    let mut core = connection.core.lock();
                    let Some(wire) = &mut core.wire else { return Next::Stop };
                    wire.read_decrypted(scratch)
                } else {
                    match self.tcp.try_read(scratch) {
                        Ok(0) => Ok(Incoming::End),
                        Ok(read) => Ok(Incoming::Bytes(read)),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Incoming::Nothing),
                        Err(error) => Err(error),
                    }
                };
                match incoming {
                    Ok(Incoming::Bytes(read)) => self.bytes(&scratch[..read], Instant::now()),
                    Ok(Incoming::Nothing) => return Next::GoOn,
                    Ok(Incoming::End) => {
                        if let Some(partial) = self.parser.end() {
                            connection.frame(partial);
                        }
                        connection.end(CloseCause::Fin);
                        return Next::Stop;
                    }
                    Err(error) => {
                        connection.end(self.cause_of(&error));
                        return Next::Stop;
                    }
                }
            }
            Next::GoOn
        })
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

    /// Bytes of the server arrived `at`.
    fn bytes(&mut self, mut bytes: &[u8], at: Instant) {
        if let Some(keep_alive) = &mut self.keep_alive {
            keep_alive.heard = at;
            keep_alive.unanswered_since = None;
        }
        let connection = &self.connection.0;
        connection.heard(at);
        while self.linger_until.is_none() {
            match self.parser.next(&mut bytes, at) {
                Ok(Some(frame)) if frame.opcode == Opcode::Close => {
                    connection.close_received(frame);
                    self.linger_until = Some(at + LINGER);
                }
                Ok(Some(frame)) => connection.frame(frame),
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
    fn due(&self) -> Option<Instant> {
        match (self.linger_until, &self.keep_alive) {
            (Some(until), _) => Some(until),
            (None, Some(keep_alive)) => Some(keep_alive.due()),
            (None, None) => None,
        }
    }

    /// Does what is due.
    fn time(&mut self) -> Next {
        let now = Instant::now();
        if let Some(until) = self.linger_until {
            return if now >= until { Next::Stop } else { Next::GoOn };
        }
        if self.keep_alive.as_ref().is_some_and(|keep_alive| keep_alive.is_overdue(now)) {
            // On a busy machine the answer may be there already, unread.
            if self.read() == Next::Stop {
                return Next::Stop;
            }
            if let Some(keep_alive) = &self.keep_alive
                && keep_alive.is_overdue(now)
            {
                let silent_ms = now.saturating_duration_since(keep_alive.heard).as_millis() as u64;
                self.connection.0.end(CloseCause::PingTimeout { silent_ms });
                return Next::Stop;
            }
        }
        if let Some(keep_alive) = &mut self.keep_alive
            && now >= keep_alive.next
        {
            let connection = &self.connection.0;
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
                wire.send(frame::encode(opcode, true, false, payload, rand::random())).map(|_| ())
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

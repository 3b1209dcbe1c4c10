//! One open WebSocket, and the task that lives with it.
//!
//! Guarantees: pings are answered, keep-alive pings sent and the end of the socket found out whether or
//! not anybody reads; senders write to the kernel themselves and never wait for the task unless the
//! kernel is full. The first cause of the end is kept and never changes. Whoever waits is woken at the
//! end, also when the task panics or its runtime is gone. An idle socket holds no read buffer, and only
//! partial frames are kept.
//!
//! Drop and cancel: the task holds the connection and not the handle; when the last handle is dropped
//! TCP is ended at once and the task with it.

mod lending;
mod reading;
mod task;

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::{Notify, oneshot};

use super::config::SocketConfig;
use super::deflate;
use super::dial::{Dialed, Opened};
use super::frame::{self, LONGEST_CONTROL_PAYLOAD};
use super::inbox::{Beyond, Inbox};
use super::wire::{Handed, Wire};
use super::{CloseCause, Frame, Matching, Observer, Opcode, SocketError, Tap};
use crate::config::ConfigError;
use crate::net::parker::{self, Missed};
use crate::net::sys;
use crate::net::wire::micros;
use lending::{BlockingRead, LONGEST_ALONE};
use reading::Reading;
use task::Task;

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
    /// A thread may wait in a read of the descriptor.
    blocks: bool,
    /// The payload of our own keep-alive pings, by which their pongs are known.
    mark: [u8; 8],
    /// Taken before any other lock here, and never while one of them is held.
    reading: Mutex<Reading>,
    core: Mutex<Core>,
    inbox: Inbox,
    taps: Mutex<Taps>,
    observer: Option<Arc<dyn Observer>>,
    /// Whether there are taps.
    tapped: AtomicBool,
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
    /// Last frame of a sender that was with the kernel, µs after that.
    sent_us: AtomicU64,
}

struct Core {
    /// `None` when TCP has been given up.
    wire: Option<Wire>,
    /// Status of the close frame we sent.
    close_sent: Option<u16>,
    /// Why writing failed; the task looks first whether the reading side knows better.
    write_failure: Option<CloseCause>,
    /// A write was told of a reset, which the kernel tells once.
    was_reset: bool,
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
    ///
    /// # Errors
    /// [`SocketError::Closed`] when the runtime does not let go of the descriptor.
    pub(super) fn start(
        dialed: Dialed,
        config: &SocketConfig,
        observer: Option<Arc<dyn Observer>>,
    ) -> Result<Arc<Self>, SocketError> {
        let Dialed { tcp, tls, leftover, agreed, opened } = dialed;
        let tcp = tcp.into_std().map_err(|error| SocketError::Closed { cause: CloseCause::of_io(&error) })?;
        // Where the kernel does not know how, threads wait for the descriptor by poll(2).
        let blocks = tls.is_none() && sys::enable_waiting(&tcp, LONGEST_ALONE).is_ok();
        let tcp = Arc::new(tcp);
        // A plan written for another client gets every frame, as from there.
        let beyond = if config.literal.is_some() { Beyond::Rest } else { Beyond::OldestGoes };
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
            blocks,
            mark: rand::random(),
            reading: Mutex::new(Reading::new(Arc::clone(&tcp), agreed, config)),
            core: Mutex::new(Core {
                wire: Some(Wire::new(Arc::clone(&tcp), tls)),
                close_sent: None,
                write_failure: None,
                was_reset: false,
                cause: None,
                ended_at: None,
                frames_sent: 0,
                bytes_sent: 0,
                pongs_answered: 0,
            }),
            inbox: Inbox::new(config.queue_frames, config.queue_bytes, beyond),
            taps: Mutex::default(),
            observer,
            tapped: AtomicBool::new(false),
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
            sent_us: AtomicU64::new(0),
        });
        tokio::spawn(Task::of(Arc::clone(&connection), tcp).run(leftover));
        Ok(connection)
    }

    /// Sends one frame; see [`super::Socket::send`].
    pub(super) async fn send(
        &self,
        start: Instant,
        opcode: Opcode,
        fin: bool,
        payload: &[u8],
    ) -> Result<Sent, SocketError> {
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
            frame::encode(opcode, fin, true, &deflate::deflate(payload), frame::masking_key())
        } else {
            frame::encode(opcode, fin, false, payload, frame::masking_key())
        };
        let bytes = encoded.len();
        self.look(start);
        let handed = {
            let mut core = self.core.lock();
            if !self.write_after_end {
                core.check_may_send(opcode)?;
            }
            if opcode == Opcode::Close {
                core.close_sent = Some(close_status(payload));
            }
            let handed = core.wire.as_mut().map(|wire| wire.send(encoded));
            if let Some(Err(error)) = &handed
                && !self.write_after_end
            {
                core.writing_failed(error);
            }
            handed
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
            Some(Err(_)) => {
                self.wake.notify_one();
                return Err(SocketError::Closed { cause: self.ended().await });
            }
            None => return Err(SocketError::Closed { cause: self.ended().await }),
        };
        self.sent_us.store(self.us_until(at), Ordering::Relaxed);
        match opcode {
            Opcode::Ping => self.pings_sent.fetch_add(1, Ordering::Relaxed),
            Opcode::Pong => self.pongs_sent.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
        Ok(Sent { bytes, at })
    }

    /// The first frame for readers that matches.
    pub(super) async fn receive(&self, matches: Option<&Matching<'_>>) -> Result<Frame, SocketError> {
        let mut reading = self.inbox.read(matches);
        let _demand = self.read_on_demand.then(|| Demand::of(self));
        let mut called = false;
        let read = poll_fn(|context| {
            let polled = Pin::new(&mut reading).poll(context);
            if polled.is_pending() && !std::mem::replace(&mut called, true) {
                self.call_back();
                self.tell_of_demand();
            }
            polled
        });
        let read = read.await;
        self.read_on();
        readable(read)
    }

    /// The same on the calling thread, which waits for the bytes itself where that is faster.
    pub(super) fn receive_here(
        &self,
        matches: Option<&Matching<'_>>,
        start: Instant,
        until: Instant,
        cancelled: impl Future<Output = ()>,
    ) -> Result<Result<Frame, SocketError>, Missed> {
        if until <= start {
            // Nothing is waited for, but what has come is taken.
            self.look(start);
        }
        let _demand = self.read_on_demand.then(|| Demand::of(self));
        if matches.is_none()
            // The kernel may take a few milliseconds more.
            && until >= start + LONGEST_ALONE * 2
            && let Some(frame) = self.receive_alone(start)
        {
            return Ok(readable(Ok(frame)));
        }
        let blocking = BlockingRead::of(self, start);
        let mut read = pin!(self.inbox.read(matches));
        let mut cancelled = pin!(cancelled);
        let (mut now, mut ends) = (start, until);
        loop {
            let park = |parker: &parker::Parker, left| blocking.park(parker, left);
            match parker::block_on(read.as_mut(), now, ends, cancelled.as_mut(), park) {
                Err(Missed::Deadline) if matches.is_none() => {
                    let later =
                        self.goes_on_until(until.saturating_duration_since(start)).filter(|later| *later > ends);
                    let Some(later) = later else { return Err(Missed::Deadline) };
                    (now, ends) = (Instant::now(), later);
                }
                read => {
                    self.read_on();
                    return read.map(readable);
                }
            }
        }
    }

    /// Until when somebody who waits `patience` for bytes waits for the rest of a frame: as for a plan's own client each read
    /// of the connection has that time, and not all of them together. `None` where no frame has begun.
    fn goes_on_until(&self, patience: Duration) -> Option<Instant> {
        let begun = self.literal && !patience.is_zero() && self.reading.lock().has_begun_a_frame();
        begun.then(|| self.started + Duration::from_micros(self.heard_us.load(Ordering::Relaxed)) + patience)
    }

    /// Whether anybody may read: a socket that reads on demand leaves everything in the kernel until then, and one that drops
    /// nothing what it has no room for.
    fn may_read(&self) -> bool {
        if self.read_on_demand {
            self.demand.load(Ordering::Acquire) > 0 && self.inbox.queued.load(Ordering::Relaxed) == 0
        } else {
            !self.inbox.is_full()
        }
    }

    /// Lets the task read on where the frame just taken has made room.
    fn read_on(&self) {
        if self.inbox.has_got_room() {
            self.wake.notify_one();
        }
    }

    /// Somebody waits for the task to read, which it may do now also where it reads on demand.
    fn tell_of_demand(&self) {
        if self.read_on_demand {
            self.wake.notify_one();
        }
    }

    /// The closing handshake; see [`super::Socket::close`].
    pub(super) async fn close(&self, status: u16, reason: &str, deadline: Duration) -> CloseCause {
        let payload = frame::close_payload(status, reason);
        let handshake = async {
            // Whether our close frame went out or could not: the end comes, and its cause says which.
            let _sent = self.send(Instant::now(), Opcode::Close, true, &payload).await;
            self.ended().await
        };
        match tokio::time::timeout(deadline, handshake).await {
            Ok(cause) => cause,
            Err(_) => {
                self.abort(CloseCause::ClosedByUs { code: status });
                self.known_cause().unwrap_or(CloseCause::ClosedByUs { code: status })
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
        self.look(Instant::now());
        self.known_cause()
    }

    /// The cause of the end as far as it was read.
    fn known_cause(&self) -> Option<CloseCause> {
        self.core.lock().cause.clone()
    }

    pub(super) fn counters(&self) -> SocketCounters {
        self.look(Instant::now());
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
        if let Some(cause) = self.known_cause() {
            drop(taps);
            tap.closed(&cause);
        } else {
            taps.list = taps.list.iter().cloned().chain([(id, tap)]).collect();
            self.tapped.store(true, Ordering::Release);
            drop(taps);
            self.call_back();
        }
        guard
    }

    /// When it ended, and for how long the server had been silent then; `None` while it is open.
    pub(super) fn end_times(&self) -> Option<(Instant, Duration)> {
        self.look(Instant::now());
        let at = self.core.lock().ended_at?;
        let heard = self.started + Duration::from_micros(self.heard_us.load(Ordering::Relaxed));
        Some((at, at.saturating_duration_since(heard)))
    }

    /// When it was opened.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    fn heard(&self, at: Instant) {
        self.heard_us.store(self.us_until(at), Ordering::Relaxed);
    }

    /// Whether the last bytes came less than `age` before `now`.
    fn was_heard_within(&self, age: Duration, now: Instant) -> bool {
        self.us_until(now) < self.heard_us.load(Ordering::Relaxed).saturating_add(micros(age))
    }

    /// Whether the last frame was sent less than `age` before `now`.
    fn has_sent_within(&self, age: Duration, now: Instant) -> bool {
        self.us_until(now) < self.sent_us.load(Ordering::Relaxed).saturating_add(micros(age))
    }

    /// µs from the taking over of the connection until `at`.
    fn us_until(&self, at: Instant) -> u64 {
        micros(at.saturating_duration_since(self.started))
    }

    /// Whether there are taps.
    fn is_tapped(&self) -> bool {
        self.tapped.load(Ordering::Acquire)
    }

    /// Waits for the end.
    async fn ended(&self) -> CloseCause {
        loop {
            let notified = self.ended.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if let Some(cause) = self.known_cause() {
                return cause;
            }
            self.call_back();
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

    /// Why the server's direction is at its end.
    fn cause_of_end(&self) -> CloseCause {
        if self.core.lock().was_reset { CloseCause::Reset } else { CloseCause::Fin }
    }

    /// Lets `write` have the wire, if there still is one; what the kernel does not take is then the task's.
    fn write(&self, write: impl FnOnce(&mut Wire) -> io::Result<()>) {
        let mut core = self.core.lock();
        let Some(wire) = &mut core.wire else { return };
        let written = write(wire);
        let waiting = wire.is_waiting();
        if let Err(error) = &written {
            core.writing_failed(error);
        }
        drop(core);
        if waiting || written.is_err() {
            self.wake.notify_one();
        }
    }

    /// Sends what waits to go out; whether the kernel has left something.
    fn flush(&self) -> bool {
        let mut core = self.core.lock();
        let Some(wire) = &mut core.wire else { return false };
        if !wire.is_waiting() {
            return false;
        }
        let flushed = wire.flush();
        let Err(error) = flushed else { return flushed.is_ok_and(|all| !all) };
        core.writing_failed(&error);
        drop(core);
        self.wake.notify_one();
        false
    }

    /// A frame has come: what the protocol asks for, then the taps, then the readers. `first`: where one for readers goes that
    /// is the first, instead of the inbox.
    fn frame(&self, frame: Frame, first: Option<&mut Option<Frame>>) {
        self.frames_received.fetch_add(1, Ordering::Relaxed);
        self.bytes_received.fetch_add((frame.header_bytes + frame.wire_payload_bytes) as u64, Ordering::Relaxed);
        let mut for_readers = true;
        match frame.opcode {
            Opcode::Ping => {
                self.pings_received.fetch_add(1, Ordering::Relaxed);
                for_readers = self.deliver_pings;
                if self.auto_pong {
                    let pong = frame::encode(Opcode::Pong, true, false, &frame.payload, frame::masking_key());
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
        if self.is_tapped() {
            let taps = Arc::clone(&self.taps.lock().list);
            for_readers &= !taps.iter().any(|(_, tap)| tap.frame(&frame));
        }
        match first {
            _ if !for_readers => {}
            Some(first @ None) if !self.inbox.is_ended() => *first = Some(frame),
            _ => self.inbox.push(frame),
        }
    }

    /// The peer's close frame has come: answer it, keep its cause, then deliver it. Whoever reads it may give TCP up at
    /// once, and finds answer and cause in their place.
    fn close_received(&self, frame: Frame, first: Option<&mut Option<Frame>>) {
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
        let settled = self.settle(match close_sent {
            Some(code) => CloseCause::ClosedByUs { code },
            None => CloseCause::CloseFrame { code, reason },
        });
        self.frame(frame, first);
        if let Some(cause) = settled {
            self.tell(&cause);
        }
    }

    /// Sends a close frame as far as the kernel takes it.
    fn send_close(&self, status: u16, reason: &str) {
        let payload = frame::close_payload(status, reason);
        let encoded = frame::encode(Opcode::Close, true, false, &payload, frame::masking_key());
        let mut core = self.core.lock();
        core.close_sent = Some(status);
        if let Some(wire) = &mut core.wire {
            // The socket ends now in any case, with a cause that is already known.
            let _handed = wire.send(encoded);
        }
        drop(core);
        // What the kernel did not take is the task's.
        self.wake.notify_one();
    }
}

impl Core {
    /// To be noted before the lock is free again: whoever then reads the end knows why.
    fn writing_failed(&mut self, error: &io::Error) {
        // Behind a FIN it would be a broken pipe.
        self.was_reset |= error.kind() == io::ErrorKind::ConnectionReset;
        self.write_failure.get_or_insert_with(|| CloseCause::of_io(error));
    }

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

/// What a read gives its reader.
fn readable(read: Result<Frame, CloseCause>) -> Result<Frame, SocketError> {
    let frame = read.map_err(|cause| SocketError::Closed { cause })?;
    match frame.lapse {
        None => Ok(frame),
        Some(lapse) => Err(SocketError::Lapse { lapse: *lapse }),
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
            connection.tapped.store(!taps.list.is_empty(), Ordering::Release);
        }
    }
}

//! How a thread of the caller waits: for a waker, and for a socket at the same time.
//!
//! Guarantees: a wake that comes at any time after the future was polled ends the wait that follows, or keeps it from
//! beginning; none is lost. A wait may end for no reason: who waits polls again. A thread that waits for a socket keeps one
//! event descriptor (eventfd(2)) for that until it ends, and a wake costs a system call only while its thread waits.
//!
//! Cancel and drop: dropping the future that is waited for takes its wakers along; a late one only ends a later wait early.

use std::os::fd::{AsFd, BorrowedFd};
use std::pin::pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::sys;

/// The thread does not wait.
const AWAKE: u8 = 0;
/// It is parked.
const PARKED: u8 = 1;
/// It is in poll(2).
const POLLING: u8 = 2;
/// It was woken, and has not seen it yet.
const WOKEN: u8 = 3;

thread_local! {
    static PARKER: Parker = Parker::new();
}

/// Why a wait ended without its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// It was cancelled.
    Cancelled,
    /// Its time was up.
    Deadline,
}

/// What a thread waits with; each thread has its own.
pub(crate) struct Parker {
    signal: Arc<Signal>,
    waker: Waker,
}

/// What wakes the thread of a parker.
struct Signal {
    thread: Thread,
    state: AtomicU8,
    event: OnceLock<EventFd>,
}

impl Parker {
    fn new() -> Self {
        let signal = Signal { thread: std::thread::current(), state: AtomicU8::new(AWAKE), event: OnceLock::new() };
        let signal = Arc::new(signal);
        Self { waker: Waker::from(Arc::clone(&signal)), signal }
    }

    /// Waits for a wake, `timeout` at most.
    pub(crate) fn park(&self, timeout: Duration) {
        if self.signal.begins(PARKED) {
            std::thread::park_timeout(timeout);
            self.signal.state.store(AWAKE, Ordering::SeqCst);
        }
    }

    /// Waits for a wake or until `socket` has something to read, `timeout` at most; what it has. Where the process has no
    /// descriptor left for wakes, it waits for the socket in steps of a few milliseconds.
    pub(crate) fn park_readable(&self, socket: BorrowedFd<'_>, timeout: Duration) -> sys::Readable {
        const WITHOUT_EVENT: Duration = Duration::from_millis(5);
        let Some(event) = self.signal.event() else {
            return sys::wait_readable(socket, None, timeout.min(WITHOUT_EVENT));
        };
        if !self.signal.begins(POLLING) {
            return sys::Readable::default();
        }
        let readable = sys::wait_readable(socket, Some(event.as_fd()), timeout);
        self.signal.state.store(AWAKE, Ordering::SeqCst);
        if readable.woken {
            // It does not block, and finds nothing only when nobody has woken.
            let _count = event.read();
        }
        readable
    }
}

impl Signal {
    /// Goes from awake to `waiting`; not so when a wake has come, which is seen thereby.
    fn begins(&self, waiting: u8) -> bool {
        if self.state.compare_exchange(AWAKE, waiting, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            return true;
        }
        self.state.store(AWAKE, Ordering::SeqCst);
        false
    }

    fn event(&self) -> Option<&EventFd> {
        if let Some(event) = self.event.get() {
            return Some(event);
        }
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).ok()?;
        Some(self.event.get_or_init(|| event))
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        match self.state.swap(WOKEN, Ordering::SeqCst) {
            PARKED => self.thread.unpark(),
            POLLING => {
                if let Some(event) = self.event.get() {
                    // It fails only when it is full of wakes that were not seen yet.
                    let _written = event.write(1);
                }
            }
            _ => {}
        }
    }
}

/// Polls `work` on this very thread, which waits by `park` until it is done, `until` passes or `cancelled` is ready.
///
/// Only for work that never blocks, needs little stack and no runtime. It costs no task and no timer, and whoever completes
/// the work wakes this thread and nobody else. The work is dropped on deadline and cancel, after a last look at whether it
/// is done. `park` may end early, and waits no longer than it is told. `start`: now, or a moment ago.
pub(crate) fn block_on<T>(
    work: impl Future<Output = T>,
    start: Instant,
    until: Instant,
    cancelled: impl Future<Output = ()>,
    mut park: impl FnMut(&Parker, Duration),
) -> Result<T, Missed> {
    PARKER.with(|parker| {
        let mut context = Context::from_waker(&parker.waker);
        let mut work = pin!(work);
        let mut cancelled = pin!(cancelled);
        let mut now = Some(start);
        loop {
            if let Poll::Ready(done) = work.as_mut().poll(&mut context) {
                return Ok(done);
            }
            // Behind the work: most of it is done at once, and whoever is cancelled before does not come here.
            if cancelled.as_mut().poll(&mut context).is_ready() {
                return Err(Missed::Cancelled);
            }
            let left = until.saturating_duration_since(now.take().unwrap_or_else(Instant::now));
            if left.is_zero() {
                return Err(Missed::Deadline);
            }
            park(parker, left);
        }
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc;

    use tokio::sync::oneshot;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn connected() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let one = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        (one, listener.accept().expect("accepted").0)
    }

    fn soon() -> Instant {
        Instant::now() + SOON
    }

    #[test]
    fn a_thread_that_waits_for_a_socket_is_woken_by_what_completes_its_work() {
        let (socket, _peer) = connected();
        let (give, take) = oneshot::channel();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            let _taken = give.send(7);
        });
        let outcome = block_on(take, Instant::now(), soon(), std::future::pending(), |parker, left| {
            assert!(!parker.park_readable(socket.as_fd(), left).bytes, "nothing was sent");
        });
        assert_eq!(outcome, Ok(Ok(7)));
    }

    #[test]
    fn a_thread_that_waits_for_a_socket_sees_its_bytes_and_its_end() {
        let (socket, mut peer) = connected();
        let mut seen = Vec::new();
        peer.write_all(b"x").expect("sent");
        PARKER.with(|parker| seen.push(parker.park_readable(socket.as_fd(), SOON)));
        drop(peer);
        PARKER.with(|parker| {
            let until = soon();
            while !seen.iter().any(|seen: &sys::Readable| seen.end) && Instant::now() < until {
                seen.push(parker.park_readable(socket.as_fd(), SOON));
            }
        });
        assert!(seen[0].bytes, "{seen:?}");
        assert!(seen.last().is_some_and(|last| last.end), "{seen:?}");
    }

    #[test]
    fn a_wait_ends_with_its_time_and_with_a_cancel() {
        let (socket, _peer) = connected();
        let wait = |parker: &Parker, left| {
            let _seen = parker.park_readable(socket.as_fd(), left);
        };
        let never = || std::future::pending::<()>();
        let late = block_on(never(), Instant::now(), Instant::now() + Duration::from_millis(20), never(), wait);
        assert_eq!(late, Err(Missed::Deadline));
        let (cancel, cancelled) = oneshot::channel::<()>();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            drop(cancel);
        });
        let ended = block_on(never(), Instant::now(), soon(), async { drop(cancelled.await) }, wait);
        assert_eq!(ended, Err(Missed::Cancelled));
    }

    #[test]
    fn of_twenty_thousand_wakes_at_any_moment_none_is_lost() {
        let (socket, _peer) = connected();
        let (to_waker, wakes) = mpsc::channel::<oneshot::Sender<u32>>();
        let waker = std::thread::spawn(move || {
            for (number, give) in wakes.iter().enumerate() {
                for _ in 0..number % 97 * 20 {
                    std::hint::spin_loop();
                }
                let _taken = give.send(1);
            }
        });
        let until = soon();
        let mut woken = 0;
        for number in 0..20_000 {
            let (give, take) = oneshot::channel();
            to_waker.send(give).expect("the other thread lives");
            let outcome = block_on(take, Instant::now(), until, std::future::pending(), |parker, left| {
                if number % 2 == 0 {
                    parker.park(left);
                } else {
                    let _seen = parker.park_readable(socket.as_fd(), left);
                }
            });
            woken += outcome.expect("no wake is lost").expect("sent");
        }
        drop(to_waker);
        waker.join().expect("no panic");
        assert_eq!(woken, 20_000);
    }
}

//! Who waits for the bytes of a socket: its task, the thread that wants the next frame, or for a moment nobody.
//!
//! A frame that the task reads costs two wake-ups before a script has it. So a thread that comes back for the next frame
//! shortly after it has got one waits for the descriptor itself, and the task lets go of it. Where nobody else wants anything of the
//! socket it waits in the read itself at first, which is a system call less and neither queue nor waker ([`Connection::receive_alone`]).
//!
//! Guarantees:
//! - One of three waits, under the lock of [`Reading`]: the task, one thread, or nobody; nobody for [`REST`] at most, then the
//!   task does again. So a ping that comes while a script sleeps is answered, and the end noticed, that much later at worst.
//! - A thread that waits in the read does so without the lock, for [`LONGEST_ALONE`] at most: nobody else reads meanwhile, and a
//!   cancel is seen that much later.
//! - Whoever looks at the socket meanwhile ([`Connection::look`]), or waits for something of it without reading
//!   ([`Connection::call_back`]), does not wait for that.
//! - Else it decides about speed only: anybody who holds the lock may read, and whoever waits for a frame or for the end is
//!   woken by its waker, also when it waits for the descriptor.
//! - With [taps](super::super::Tap), and with several readers, the task waits.
//!
//! Drop and cancel: a [`BlockingRead`] that is dropped gives the read side back.

use std::cell::{Cell, RefCell};
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use super::Connection;
use super::reading::{Reading, Took};
use crate::net::parker::Parker;
use crate::net::sys;
use crate::socket::{CloseCause, Frame};

/// How long nobody waits after a thread has got its frame: longer than a busy script needs until it wants the next one.
const REST: Duration = Duration::from_millis(100);

/// The tasks of busy sockets look at moments that are so far apart: 200 of them wake the runtime 20 times a second, and not 2,000.
const LOOKS: Duration = Duration::from_millis(50);

/// How long a thread waits in the read itself.
pub(super) const LONGEST_ALONE: Duration = Duration::from_millis(100);

/// What it reads at once, in bytes; what is longer is read on with the buffer of all.
const ALONE_BUFFER: usize = 1 << 10;

/// What was read less than this ago is the present.
const PRESENT: Duration = Duration::from_millis(1);

/// Who waits for bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Watcher {
    #[default]
    Task,
    Thread,
    Nobody,
}

/// The first of [`LOOKS`] that is [`REST`] after `now` or later.
fn look_after(now: Instant) -> Instant {
    static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let rest = (now + REST).saturating_duration_since(*ORIGIN);
    let looks = rest.as_nanos().div_ceil(LOOKS.as_nanos());
    *ORIGIN + LOOKS * u32::try_from(looks).unwrap_or(u32::MAX)
}

/// Who waits for bytes, and how that goes on. Pure.
#[derive(Debug, Default)]
pub(super) struct Watch {
    watcher: Watcher,
    /// The thread that waits is in the read, without the lock.
    outside: bool,
    /// When a thread last stopped waiting.
    returned: Option<Instant>,
    /// How often a thread began to.
    lends: u32,
    /// The value of `lends` at the task's last look.
    seen: u32,
    /// The task does not look again before it is told of the return.
    told: bool,
    /// Somebody else waits for something: the task takes over at the return.
    wanted: bool,
}

impl Watch {
    /// Whether the task waits for bytes from `now` on, and if it does not, when it has to look again; `None` = when it is
    /// told.
    pub(super) fn task_looks(&mut self, now: Instant) -> (bool, Option<Instant>) {
        match self.watcher {
            Watcher::Task => (true, None),
            Watcher::Thread if self.seen == self.lends => {
                self.told = true;
                (false, None)
            }
            Watcher::Thread => {
                self.seen = self.lends;
                (false, Some(look_after(now)))
            }
            Watcher::Nobody => match self.returned.map(|returned| (returned + REST, returned)) {
                Some((until, returned)) if now < until => (false, Some(look_after(returned))),
                _ => {
                    self.watcher = Watcher::Task;
                    (true, None)
                }
            },
        }
    }

    /// Whether a thread reads without the lock.
    pub(super) fn is_outside(&self) -> bool {
        self.outside
    }

    /// The thread that has read without the lock has it again.
    pub(super) fn comes_back(&mut self) {
        self.outside = false;
    }

    /// Whether the task waits for bytes.
    pub(super) fn is_with_task(&self) -> bool {
        self.watcher == Watcher::Task
    }

    /// A thread wants to wait; whether it may, and whether the task has to be told. `alone`: no one else wants a frame.
    fn lend(&mut self, now: Instant, alone: bool) -> (bool, bool) {
        let busy = self.returned.is_some_and(|returned| now < returned + REST);
        let from_task = self.watcher == Watcher::Task;
        if self.watcher == Watcher::Thread || !alone || from_task && !busy {
            return (false, false);
        }
        self.watcher = Watcher::Thread;
        self.lends = self.lends.wrapping_add(1);
        (true, from_task)
    }

    /// A thread has stopped waiting, for bytes if it `held` the read side; whether the task has to be told.
    fn give_back(&mut self, held: bool, now: Instant) -> bool {
        self.returned = Some(now);
        if !held {
            return false;
        }
        let wanted = std::mem::take(&mut self.wanted);
        self.watcher = if wanted { Watcher::Task } else { Watcher::Nobody };
        std::mem::take(&mut self.told) || wanted
    }

    /// The task is to wait as soon as no thread does; whether it has to be told now.
    pub(super) fn call_back(&mut self) -> bool {
        match self.watcher {
            Watcher::Task => false,
            Watcher::Thread => {
                self.wanted = true;
                false
            }
            Watcher::Nobody => {
                self.watcher = Watcher::Task;
                true
            }
        }
    }

    /// Whether what was last read is too old to say how things are.
    fn is_blind(&self, now: Instant) -> bool {
        self.watcher == Watcher::Nobody && self.returned.is_none_or(|returned| now >= returned + PRESENT)
    }
}

/// A read on the thread that waits for it; see [`Connection::receive_here`].
pub(super) struct BlockingRead<'a> {
    connection: &'a Connection,
    start: Instant,
    /// When it has last read bytes.
    read: Cell<Option<Instant>>,
    /// The descriptor, while this thread waits for bytes.
    held: RefCell<Option<Arc<TcpStream>>>,
}

impl<'a> BlockingRead<'a> {
    /// A read that begins at `start`, which is now.
    pub(super) fn of(connection: &'a Connection, start: Instant) -> Self {
        Self { connection, start, read: Cell::new(None), held: RefCell::new(None) }
    }

    /// Waits until something has changed, `timeout` at most: for bytes, which it reads, or to be woken.
    pub(super) fn park(&self, parker: &Parker, timeout: Duration) {
        let connection = self.connection;
        let mut held = self.held.borrow_mut();
        if held.is_none() {
            *held = connection.lend(self.start, false);
        }
        let Some(tcp) = held.as_ref() else {
            connection.call_back();
            connection.tell_of_demand();
            return parker.park(timeout);
        };
        if !connection.may_read() {
            return parker.park(timeout);
        }
        if connection.secure && connection.reading.lock().more {
            return self.read.set(connection.read_here(true));
        }
        let readable = parker.park_readable(tcp.as_fd(), timeout);
        self.read.set(if readable.bytes { connection.read_here(readable.end) } else { None });
    }
}

impl Drop for BlockingRead<'_> {
    fn drop(&mut self) {
        let held = self.held.get_mut().take();
        let now = self.read.get().unwrap_or_else(Instant::now);
        let told = self.connection.reading.lock().watch.give_back(held.is_some(), now);
        if told {
            self.connection.wake.notify_one();
        }
    }
}

impl Connection {
    /// The next frame, if nobody else wants anything of the socket and one comes soon: the calling thread waits in the read.
    pub(super) fn receive_alone(&self, start: Instant) -> Option<Frame> {
        let tcp = self.lend(start, true)?;
        let mut buffer = [MaybeUninit::uninit(); ALONE_BUFFER];
        // What comes less than a moment after a frame was sent, before which everything was read, is younger than that.
        let read = if self.has_sent_within(PRESENT, start) {
            sys::read_reply(tcp.as_fd(), &mut buffer)
        } else {
            sys::read_waiting(tcp.as_fd(), &mut buffer)
        };
        let taken = catch_unwind(AssertUnwindSafe(|| {
            let mut reading = self.reading.lock();
            reading.at = None;
            let (frame, took) = reading.take_over(self, read);
            let at = reading.at.unwrap_or_else(Instant::now);
            let told = reading.watch.give_back(true, at);
            (frame, told || took == Took::End || reading.linger_until.is_some())
        }));
        let (frame, told) = taken.unwrap_or_else(|_| {
            // The lock is free again, and the watch as it was.
            self.reading.lock().watch.comes_back();
            self.abort_after_panic();
            (None, true)
        });
        if told {
            self.wake.notify_one();
        }
        frame
    }

    /// Lets the calling thread wait for bytes, if it is worth it and nobody else is concerned; `outside`: in the read, without the
    /// lock.
    fn lend(&self, now: Instant, outside: bool) -> Option<Arc<TcpStream>> {
        if self.is_tapped() || outside && !(self.blocks && self.may_read()) {
            return None;
        }
        let mut reading = self.reading.lock();
        // Under the lock, which whoever queues a frame holds.
        let alone = match outside {
            true => self.inbox.is_idle() && !reading.more && reading.may_be_read_outside(LONGEST_ALONE),
            false => self.inbox.readers() <= 1,
        };
        let Reading { tcp: Some(tcp), watch, over: false, linger_until: None, .. } = &mut *reading else { return None };
        let (lent, told) = watch.lend(now, alone);
        watch.outside |= lent && outside;
        let tcp = lent.then(|| Arc::clone(tcp));
        drop(reading);
        if told {
            self.wake.notify_one();
        }
        tcp
    }

    /// Somebody waits who does not read: the task has to, as soon as no thread does.
    pub(super) fn call_back(&self) {
        if self.reading.lock().watch.call_back() {
            self.wake.notify_one();
        }
    }

    /// Takes in what has come while nobody waited for it, so that what is asked `now` is as things are.
    pub(super) fn look(&self, now: Instant) {
        if self.was_heard_within(PRESENT, now) {
            return;
        }
        // Where the lock is taken, somebody reads in this moment.
        let Some(reading) = self.reading.try_lock() else { return };
        if !reading.over && reading.watch.is_blind(now) {
            drop(reading);
            let _at = self.read_here(true);
        }
    }

    /// Reads on this thread; when the bytes came, if any did. A tap that panics ends the socket, as it does in the task.
    fn read_here(&self, thorough: bool) -> Option<Instant> {
        let read = catch_unwind(AssertUnwindSafe(|| {
            let mut reading = self.reading.lock();
            reading.at = None;
            let took = reading.read(self, thorough);
            (took == Took::End || reading.linger_until.is_some(), reading.at)
        }));
        let Ok((ended, at)) = read else {
            self.abort_after_panic();
            return None;
        };
        if ended {
            // The rest is the task's.
            self.wake.notify_one();
        }
        at
    }

    fn abort_after_panic(&self) {
        self.abort(CloseCause::Io { errno: None, detail: "a tap of the socket panicked".to_owned() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    /// A watch whose thread has got a frame at `now`.
    fn returned(now: Instant) -> Watch {
        let mut watch = Watch::default();
        assert!(!watch.give_back(false, now));
        watch
    }

    #[test]
    fn the_first_read_after_a_pause_leaves_the_waiting_to_the_task() {
        let now = Instant::now();
        let mut watch = Watch::default();
        assert_eq!(watch.lend(now, true), (false, false));
        assert!(!watch.give_back(false, now));
        assert_eq!(watch.lend(now + REST, true), (false, false));
        assert!(watch.is_with_task());
    }

    #[test]
    fn a_thread_that_comes_back_soon_waits_itself_and_tells_the_task_once() {
        let now = Instant::now();
        let mut watch = returned(now);
        assert_eq!(watch.lend(now + MILLISECOND, true), (true, true));
        assert!(!watch.is_with_task());
        assert!(!watch.give_back(true, now + MILLISECOND * 2));
        assert_eq!(watch.lend(now + MILLISECOND * 3, true), (true, false));
    }

    #[test]
    fn only_one_thread_waits_and_only_when_it_is_alone() {
        let now = Instant::now();
        let mut watch = returned(now);
        assert_eq!(watch.lend(now, false), (false, false));
        assert_eq!(watch.lend(now, true), (true, true));
        assert_eq!(watch.lend(now, true), (false, false));
    }

    #[test]
    fn a_while_after_the_last_return_the_task_waits_again() {
        let now = Instant::now();
        let mut watch = returned(now);
        watch.lend(now, true);
        watch.give_back(true, now);
        assert_eq!(watch.task_looks(now + MILLISECOND), (false, Some(look_after(now))));
        assert_eq!(watch.task_looks(look_after(now)), (true, None));
    }

    #[test]
    fn a_long_wait_of_a_thread_costs_the_task_two_looks() {
        let now = Instant::now();
        let mut watch = returned(now);
        watch.lend(now, true);
        assert_eq!(watch.task_looks(now), (false, Some(look_after(now))));
        assert_eq!(watch.task_looks(now + REST), (false, None));
        assert!(watch.give_back(true, now + REST * 50), "the task waits to be told");
        assert_eq!(watch.task_looks(now + REST * 50), (false, Some(look_after(now + REST * 50))));
    }

    #[test]
    fn the_tasks_of_a_process_look_together_after_a_rest() {
        let now = Instant::now();
        for micros in (0..200_000).step_by(777) {
            let returned = now + Duration::from_micros(micros);
            let waits = look_after(returned) - returned;
            assert!((REST..REST + LOOKS).contains(&waits), "{waits:?}");
        }
        let spread = (look_after(now + LOOKS) - look_after(now)).as_micros();
        assert_eq!(spread, LOOKS.as_micros(), "from one look to the next");
    }

    #[test]
    fn who_waits_for_something_else_calls_the_task_back() {
        let now = Instant::now();
        let mut watch = returned(now);
        assert!(!watch.call_back(), "it waits already");
        watch.lend(now, true);
        assert!(!watch.call_back(), "at the return");
        assert!(watch.give_back(true, now));
        assert!(watch.is_with_task());
        watch.lend(now, true);
        watch.give_back(true, now);
        assert!(watch.call_back(), "at once");
        assert!(watch.is_with_task());
    }

    #[test]
    fn what_nobody_has_read_for_a_millisecond_is_not_the_present() {
        let now = Instant::now();
        let mut watch = returned(now);
        assert!(!watch.is_blind(now + REST), "the task waits");
        watch.lend(now, true);
        assert!(!watch.is_blind(now + REST), "a thread waits");
        watch.give_back(true, now);
        assert!(!watch.is_blind(now));
        assert!(watch.is_blind(now + PRESENT));
    }
}

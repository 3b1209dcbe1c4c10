//! Frames that wait for readers.
//!
//! Guarantees: frames are kept in wire order and bounded in number and bytes; beyond that the oldest is dropped and counted, or
//! none is and whoever reads from the wire is to rest ([`Beyond`]); readers are served first come: a frame goes to the reader that
//! has waited longest among those it matches; after the end what is queued can still be read, then every reader
//! gets the cause. Never blocks; wakes readers only after its lock is free.
//!
//! Cancel: dropping a read takes nothing and lets the readers behind it pass.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::{CloseCause, Frame, Matching};

/// What becomes of frames beyond the bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beyond {
    /// The oldest goes, for whoever wants to know how things are now.
    OldestGoes,
    /// All are kept, and the inbox [is full](Inbox::is_full) until readers have taken half of them: what was read from the wire
    /// together still comes in.
    Rest,
}

/// Queued frames and waiting readers of one socket.
pub(super) struct Inbox {
    most_frames: usize,
    most_bytes: usize,
    beyond: Beyond,
    /// Nothing more is to be read from the wire.
    full: AtomicBool,
    /// It was full and is no longer, which nobody was told.
    has_room: AtomicBool,
    /// Frames dropped for want of room.
    pub(super) overflowed: AtomicU64,
    /// Frames queued now.
    pub(super) queued: AtomicU64,
    /// How many wait for a frame.
    readers: AtomicUsize,
    ended: AtomicBool,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// Frames with their numbers, which only rise.
    frames: VecDeque<(u64, Frame)>,
    bytes: usize,
    next_number: u64,
    /// Readers in the order they came.
    readers: VecDeque<Reader>,
    next_ticket: u64,
    ended: Option<CloseCause>,
    /// The bounds hold no longer.
    unbounded: bool,
}

struct Reader {
    ticket: u64,
    /// The number of the first frame it has not looked at.
    looked_until: u64,
    waker: Option<Waker>,
}

impl Inbox {
    /// An empty inbox for `most_frames` frames (at least one) and `most_bytes` of payload, which a
    /// single frame may exceed.
    pub(super) fn new(most_frames: usize, most_bytes: usize, beyond: Beyond) -> Self {
        Self {
            most_frames,
            most_bytes,
            beyond,
            full: AtomicBool::new(false),
            has_room: AtomicBool::new(false),
            overflowed: AtomicU64::new(0),
            queued: AtomicU64::new(0),
            readers: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
            kept: Mutex::default(),
        }
    }

    /// Queues `frame`. After the end nothing is queued any more.
    pub(super) fn push(&self, frame: Frame) {
        let mut kept = self.kept.lock();
        if kept.ended.is_some() {
            return;
        }
        while self.beyond == Beyond::OldestGoes
            && !kept.frames.is_empty()
            && (kept.frames.len() >= self.most_frames || kept.bytes + frame.payload.len() > self.most_bytes)
        {
            kept.take(0);
            self.overflowed.fetch_add(1, Ordering::Relaxed);
        }
        kept.bytes += frame.payload.len();
        let number = kept.next_number;
        kept.next_number += 1;
        kept.frames.push_back((number, frame));
        self.queued.store(kept.frames.len() as u64, Ordering::Relaxed);
        if self.beyond == Beyond::Rest
            && !kept.unbounded
            && (kept.frames.len() >= self.most_frames || kept.bytes >= self.most_bytes)
        {
            self.full.store(true, Ordering::Release);
        }
        // The first reader looks first; it wakes the next one when the frame is not for it.
        let first = kept.readers.front_mut().and_then(|reader| reader.waker.take());
        drop(kept);
        if let Some(waker) = first {
            waker.wake();
        }
    }

    /// Whether nothing more is to be read from the wire for now; only with [`Beyond::Rest`].
    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    /// Whether there is room again since the last call that said so.
    pub(super) fn has_got_room(&self) -> bool {
        self.has_room.load(Ordering::Relaxed) && self.has_room.swap(false, Ordering::AcqRel)
    }

    /// Lets in what there still is, without bounds: for a connection that is over. Whether it was full.
    pub(super) fn open_up(&self) -> bool {
        self.kept.lock().unbounded = true;
        self.full.swap(false, Ordering::AcqRel)
    }

    /// A frame was taken out of `kept`.
    fn taken_from(&self, kept: &Kept) {
        self.queued.store(kept.frames.len() as u64, Ordering::Relaxed);
        let has_room = kept.frames.len() <= self.most_frames / 2 && kept.bytes <= self.most_bytes / 2;
        if has_room && self.is_full() {
            self.full.store(false, Ordering::Release);
            self.has_room.store(true, Ordering::Release);
        }
    }

    /// Ends the inbox with `cause`; later calls change nothing.
    pub(super) fn end(&self, cause: &CloseCause) {
        let mut kept = self.kept.lock();
        kept.ended.get_or_insert_with(|| cause.clone());
        self.ended.store(true, Ordering::Release);
        let wakers = kept.wakers();
        drop(kept);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// How many wait for a frame.
    pub(super) fn readers(&self) -> usize {
        self.readers.load(Ordering::Acquire)
    }

    /// Whether [`Inbox::end`] was called.
    pub(super) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Whether nothing is queued, nobody waits, and there may be more to come.
    pub(super) fn is_idle(&self) -> bool {
        self.queued.load(Ordering::Acquire) == 0 && self.readers() == 0 && !self.is_ended()
    }

    /// The first frame, queued or to come, for which `matches` holds; `None` = any.
    pub(super) fn read<'a>(&'a self, matches: Option<&'a Matching<'a>>) -> Read<'a> {
        Read { inbox: self, matches, ticket: None }
    }
}

impl Kept {
    fn take(&mut self, place: usize) -> Option<Frame> {
        let (_, frame) = self.frames.remove(place)?;
        self.bytes -= frame.payload.len();
        if self.frames.is_empty() && self.frames.capacity() > 64 {
            // An idle socket must not keep the room of its busiest moment.
            self.frames = VecDeque::new();
        }
        Some(frame)
    }

    fn wakers(&mut self) -> Vec<Waker> {
        self.readers.iter_mut().filter_map(|reader| reader.waker.take()).collect()
    }

    /// Takes a reader off the list and returns whom to wake: everybody behind it may be next.
    fn leave(&mut self, ticket: u64) -> Vec<Waker> {
        if self.readers.len() == 1 && self.readers[0].ticket == ticket {
            self.readers.clear();
            return Vec::new();
        }
        self.readers.retain(|reader| reader.ticket != ticket);
        self.wakers()
    }

    /// What the reader with `ticket` has to do next.
    fn next_step(&mut self, ticket: u64, takes_any: bool) -> Step {
        let Some(place) = self.readers.iter().position(|reader| reader.ticket == ticket) else {
            return Step::Wait;
        };
        let looked_until = self.readers[place].looked_until;
        let earlier = self.readers.iter().take(place).map(|reader| reader.looked_until).min().unwrap_or(u64::MAX);
        let next = self.frames.iter().enumerate().find(|(_, (number, _))| *number >= looked_until);
        match (next, &self.ended) {
            (Some((place, (number, _))), _) if *number < earlier && takes_any => Step::Take(place),
            (Some((_, (number, frame))), _) if *number < earlier => Step::Look(*number, frame.clone()),
            (None, Some(cause)) => Step::End(cause.clone()),
            _ => Step::Wait,
        }
    }
}

enum Step {
    /// Take the frame in this place.
    Take(usize),
    /// Look whether this frame matches.
    Look(u64, Frame),
    /// Nothing more will come.
    End(CloseCause),
    /// Wait for a frame, or for the readers that came before.
    Wait,
}

/// A read under way; see [`Inbox::read`].
pub(super) struct Read<'a> {
    inbox: &'a Inbox,
    matches: Option<&'a Matching<'a>>,
    ticket: Option<u64>,
}

impl Read<'_> {
    /// Takes it off the list of readers and returns whom to wake.
    fn leave(&mut self, kept: &mut Kept, ticket: u64) -> Vec<Waker> {
        self.ticket = None;
        self.inbox.readers.fetch_sub(1, Ordering::Release);
        kept.leave(ticket)
    }
}

impl Future for Read<'_> {
    type Output = Result<Frame, CloseCause>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let inbox = self.inbox;
        let mut kept = inbox.kept.lock();
        let ticket = match self.ticket {
            Some(ticket) => ticket,
            None => {
                let ticket = kept.next_ticket;
                kept.next_ticket += 1;
                kept.readers.push_back(Reader { ticket, looked_until: 0, waker: None });
                inbox.readers.fetch_add(1, Ordering::Release);
                self.ticket = Some(ticket);
                ticket
            }
        };
        loop {
            match kept.next_step(ticket, self.matches.is_none()) {
                Step::Take(place) => {
                    let Some(frame) = kept.take(place) else { continue };
                    inbox.taken_from(&kept);
                    let wakers = self.leave(&mut kept, ticket);
                    drop(kept);
                    wakers.into_iter().for_each(Waker::wake);
                    return Poll::Ready(Ok(frame));
                }
                Step::Look(number, frame) => {
                    // Without the lock: what `matches` does is not known here.
                    drop(kept);
                    let mine = self.matches.is_none_or(|matches| matches(&frame));
                    kept = inbox.kept.lock();
                    if mine {
                        // It may have been dropped for want of room meanwhile: then it is not served.
                        let place = kept.frames.iter().position(|(other, _)| *other == number);
                        if let Some(frame) = place.and_then(|place| kept.take(place)) {
                            inbox.taken_from(&kept);
                            let wakers = self.leave(&mut kept, ticket);
                            drop(kept);
                            wakers.into_iter().for_each(Waker::wake);
                            return Poll::Ready(Ok(frame));
                        }
                    }
                    let Some(place) = kept.readers.iter().position(|reader| reader.ticket == ticket) else {
                        continue;
                    };
                    kept.readers[place].looked_until = number + 1;
                    let behind = kept.readers.get_mut(place + 1).and_then(|reader| reader.waker.take());
                    if let Some(waker) = behind {
                        waker.wake();
                    }
                }
                Step::End(cause) => {
                    let wakers = self.leave(&mut kept, ticket);
                    drop(kept);
                    wakers.into_iter().for_each(Waker::wake);
                    return Poll::Ready(Err(cause));
                }
                Step::Wait => {
                    if let Some(reader) = kept.readers.iter_mut().find(|reader| reader.ticket == ticket) {
                        reader.waker = Some(context.waker().clone());
                    }
                    return Poll::Pending;
                }
            }
        }
    }
}

impl Drop for Read<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let inbox = self.inbox;
            let wakers = self.leave(&mut inbox.kept.lock(), ticket);
            wakers.into_iter().for_each(Waker::wake);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use super::super::Opcode;
    use super::*;

    fn frame(text: &str) -> Frame {
        Frame {
            opcode: Opcode::Text,
            fin: true,
            compressed: false,
            payload: text.as_bytes().into(),
            header_bytes: 2,
            wire_payload_bytes: text.len(),
            at: Instant::now(),
            arriving_us: 0,
            lapse: None,
        }
    }

    async fn read(inbox: &Inbox) -> Result<String, CloseCause> {
        read_with(inbox, None).await
    }

    async fn read_matching(
        inbox: &Inbox,
        matches: impl Fn(&Frame) -> bool + Send + Sync,
    ) -> Result<String, CloseCause> {
        read_with(inbox, Some(&matches)).await
    }

    async fn read_with(inbox: &Inbox, matches: Option<&Matching<'_>>) -> Result<String, CloseCause> {
        let read = tokio::time::timeout(Duration::from_secs(20), inbox.read(matches)).await.expect("in time");
        read.map(|frame| String::from_utf8_lossy(&frame.payload).into_owned())
    }

    #[tokio::test]
    async fn beyond_the_bound_the_oldest_frame_goes_and_is_counted() {
        let inbox = Inbox::new(2, 100, Beyond::OldestGoes);
        for text in ["1", "2", "3"] {
            inbox.push(frame(text));
        }
        assert_eq!(inbox.overflowed.load(Ordering::Relaxed), 1);
        assert_eq!(inbox.queued.load(Ordering::Relaxed), 2);
        assert_eq!(read(&inbox).await.expect("queued"), "2");
    }

    #[tokio::test]
    async fn bytes_are_bounded_too_but_the_newest_frame_always_stays() {
        let inbox = Inbox::new(100, 5, Beyond::OldestGoes);
        inbox.push(frame("123"));
        inbox.push(frame("45"));
        assert_eq!(inbox.overflowed.load(Ordering::Relaxed), 0);
        inbox.push(frame("longer than all"));
        assert_eq!(inbox.overflowed.load(Ordering::Relaxed), 2);
        assert_eq!(read(&inbox).await.expect("queued"), "longer than all");
    }

    #[tokio::test]
    async fn an_inbox_that_drops_nothing_is_full_until_half_of_it_is_taken() {
        let inbox = Inbox::new(4, 100, Beyond::Rest);
        for text in ["1", "2", "3", "4", "5"] {
            assert_eq!(inbox.is_full(), text == "5");
            inbox.push(frame(text));
        }
        for (text, full) in [("1", true), ("2", true), ("3", false), ("4", false), ("5", false)] {
            assert_eq!(read(&inbox).await.expect("queued"), text);
            assert_eq!((inbox.is_full(), inbox.has_got_room()), (full, text == "3"));
        }
        inbox.push(frame(&"long".repeat(30)));
        assert!(inbox.is_full(), "by its bytes");
        assert!(inbox.open_up());
        inbox.push(frame("one more"));
        assert!(!inbox.is_full() && !inbox.has_got_room());
        assert_eq!(inbox.overflowed.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_matching_read_leaves_the_others_in_order() {
        let inbox = Inbox::new(10, 100, Beyond::OldestGoes);
        for text in ["a", "b", "c"] {
            inbox.push(frame(text));
        }
        assert_eq!(read_matching(&inbox, |frame| frame.payload == "b").await.expect("queued"), "b");
        assert_eq!(read(&inbox).await.expect("queued"), "a");
        assert_eq!(read(&inbox).await.expect("queued"), "c");
    }

    #[tokio::test]
    async fn readers_are_served_first_come() {
        let inbox = Arc::new(Inbox::new(10, 100, Beyond::OldestGoes));
        let mut readers = Vec::new();
        for number in 0..5 {
            let theirs = Arc::clone(&inbox);
            readers.push(tokio::spawn(async move {
                if number == 1 {
                    read_matching(&theirs, |frame| frame.payload == "special").await
                } else {
                    read(&theirs).await
                }
            }));
            tokio::task::yield_now().await;
        }
        for text in ["0", "2", "3", "special", "4"] {
            inbox.push(frame(text));
        }
        let mut got = Vec::new();
        for reader in readers {
            got.push(reader.await.expect("no panic").expect("a frame"));
        }
        assert_eq!(got, ["0", "special", "2", "3", "4"]);
    }

    #[tokio::test]
    async fn a_dropped_read_takes_nothing_and_lets_the_next_pass() {
        let inbox = Inbox::new(10, 100, Beyond::OldestGoes);
        {
            let never = |_: &Frame| true;
            let first = inbox.read(Some(&never));
            tokio::pin!(first);
            assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            inbox.push(frame("kept"));
        }
        assert_eq!(read(&inbox).await.expect("queued"), "kept");
        assert!(inbox.kept.lock().readers.is_empty());
    }

    #[tokio::test]
    async fn after_the_end_what_is_queued_can_still_be_read() {
        let inbox = Inbox::new(10, 100, Beyond::OldestGoes);
        inbox.push(frame("last"));
        inbox.end(&CloseCause::Fin);
        inbox.end(&CloseCause::Reset);
        inbox.push(frame("too late"));
        assert_eq!(read_matching(&inbox, |frame| frame.payload == "other").await, Err(CloseCause::Fin));
        assert_eq!(read(&inbox).await, Ok("last".to_owned()));
        assert_eq!(read(&inbox).await, Err(CloseCause::Fin));
    }

    #[tokio::test]
    async fn the_end_wakes_every_reader() {
        let inbox = Arc::new(Inbox::new(10, 100, Beyond::OldestGoes));
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let theirs = Arc::clone(&inbox);
                tokio::spawn(async move { read(&theirs).await })
            })
            .collect();
        tokio::task::yield_now().await;
        inbox.end(&CloseCause::Reset);
        for reader in readers {
            assert_eq!(reader.await.expect("no panic"), Err(CloseCause::Reset));
        }
    }
}

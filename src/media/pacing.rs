//! When audio packets leave: 50 a second per session, on an absolute schedule.
//!
//! One task per tokio runtime serves all talkers. The 20 ms packet time is cut into slots of 1 ms; a talker gets a
//! random slot when it starts, so that sessions started together do not send together. The task wakes only for occupied
//! slots: 2,000 sessions cost 1,000 wake-ups a second, not 100,000.
//!
//! A packet time that is over before it could be served is skipped and counted, never made good in a burst. The task
//! ends when its last talker leaves; dropping the runtime takes talkers off the schedule.
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::{Handle, Id};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::PACKET_TIME;
use super::lag::record_schedule_lag;
use super::talker::Talker;

/// Slots of 1 ms in a packet time.
const SLOTS: u64 = PACKET_TIME.as_millis() as u64;

/// The pacers of all runtimes of the process; there is one in production, one per test otherwise.
static PACERS: LazyLock<Mutex<HashMap<Id, Arc<Pacer>>>> = LazyLock::new(Mutex::default);

/// Puts a talker on the schedule of the current tokio runtime, in a random slot.
pub(crate) fn enrol(talker: Arc<Talker>) {
    let runtime = Handle::current();
    let id = runtime.id();
    let mut pacers = PACERS.lock();
    if let Some(pacer) = pacers.get(&id) {
        pacer.joining.lock().push(talker);
        pacer.joined.notify_one();
        return;
    }
    let pacer = Arc::new(Pacer { joining: Mutex::new(vec![talker]), joined: Notify::new() });
    pacers.insert(id, Arc::clone(&pacer));
    drop(pacers);
    let tenure = Tenure { id, pacer, slots: Slots::default() };
    runtime.spawn(async move { tenure.run().await });
}

/// Where a runtime's talkers sign up.
struct Pacer {
    /// Talkers that get their slot at the next wake-up.
    joining: Mutex<Vec<Arc<Talker>>>,
    joined: Notify,
}

/// Talkers by the slot of the packet time in which they send.
#[derive(Default)]
struct Slots([Vec<Arc<Talker>>; SLOTS as usize]);

impl Slots {
    /// The next slot time after `time` (in slots since the start) that has a talker.
    fn next_after(&self, time: u64) -> Option<u64> {
        (time + 1..=time + SLOTS).find(|time| !self.0[(time % SLOTS) as usize].is_empty())
    }

    /// Serves the slot times `after + 1 ..= now`; of those that fall into the same slot only the last one sends.
    fn serve(&mut self, after: u64, now: u64, lag_of: impl Fn(u64) -> Duration) {
        let first_on_time = (now + 1).saturating_sub(SLOTS).max(after + 1);
        for time in first_on_time..=now {
            let missed = (time - (after + 1)) / SLOTS;
            let talkers = &mut self.0[(time % SLOTS) as usize];
            if !talkers.is_empty() {
                talkers.retain(|talker| talker.tick(missed));
                // A skipped packet has its lag too; without it a starved generator would look healthy.
                for late in 0..=missed {
                    record_schedule_lag(lag_of(time - late * SLOTS), talkers.len() as u64);
                }
            }
        }
    }

    fn seat(&mut self, talker: Arc<Talker>) {
        self.0[rand::random_range(0..SLOTS) as usize].push(talker);
    }
}

/// The pacer's task; dropped with it, however it ends.
struct Tenure {
    id: Id,
    pacer: Arc<Pacer>,
    slots: Slots,
}

impl Tenure {
    async fn run(mut self) {
        let start = Instant::now();
        let at = |time: u64| start + Duration::from_millis(time);
        let mut served = 0;
        loop {
            for talker in self.pacer.joining.lock().drain(..) {
                self.slots.seat(talker);
            }
            let Some(next) = self.slots.next_after(served) else {
                if self.retire() {
                    return;
                }
                continue;
            };
            tokio::select! {
                () = tokio::time::sleep_until(at(next)) => {}
                () = self.pacer.joined.notified() => {}
            }
            // Those who joined are seated only after everything due has been served, so that none starts late.
            let now = Instant::now();
            let time = u64::try_from((now - start).as_millis()).unwrap_or(u64::MAX);
            self.slots.serve(served, time, |time| now.saturating_duration_since(at(time)));
            served = time;
        }
    }

    /// Ends the pacer if nobody joined meanwhile.
    fn retire(&self) -> bool {
        let mut pacers = PACERS.lock();
        let idle = self.pacer.joining.lock().is_empty();
        if idle {
            pacers.remove(&self.id);
        }
        idle
    }
}

impl Drop for Tenure {
    fn drop(&mut self) {
        let mut pacers = PACERS.lock();
        if pacers.get(&self.id).is_some_and(|pacer| Arc::ptr_eq(pacer, &self.pacer)) {
            pacers.remove(&self.id);
        }
        drop(pacers);
        let joining = std::mem::take(&mut *self.pacer.joining.lock());
        for talker in joining.into_iter().chain(self.slots.0.iter_mut().flat_map(std::mem::take)) {
            talker.unpaced();
        }
    }
}

#[cfg(test)]
mod tests {
    use rtc::rtp;

    use super::super::AudioCodec;
    use super::super::talker::PacketSink;
    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<(Instant, rtp::Header)>>>);
    impl PacketSink for Sink {
        fn try_send(&self, packet: rtp::Packet) -> bool {
            self.0.lock().push((Instant::now(), packet.header));
            true
        }
    }

    fn talker() -> (Arc<Talker>, Sink) {
        let sink = Sink::default();
        let talker = Arc::new(Talker::new(1, Box::new(sink.clone())));
        talker.negotiated(AudioCodec::Pcmu, 0);
        (talker, sink)
    }

    /// One talker in slot 5.
    fn seated() -> (Slots, Arc<Talker>, Sink) {
        let (talker, sink) = talker();
        talker.set_playing();
        let mut slots = Slots::default();
        slots.0[5].push(Arc::clone(&talker));
        (slots, talker, sink)
    }

    #[test]
    fn a_second_of_schedule_is_fifty_packets_in_any_rhythm_of_waking() {
        for step in [1, 7, 20] {
            let (mut slots, talker, sink) = seated();
            let mut served = 0;
            while served < 1000 {
                slots.serve(served, served + step, |_| Duration::ZERO);
                served += step;
            }
            assert!((50..=51).contains(&sink.0.lock().len()), "{step} ms: {}", sink.0.lock().len());
            assert_eq!(talker.skipped(), 0, "{step} ms");
        }
    }

    #[test]
    fn packet_times_that_passed_during_a_standstill_are_skipped_and_not_sent_in_a_burst() {
        let (mut slots, talker, sink) = seated();
        slots.serve(0, 100, |_| Duration::ZERO);
        let before = sink.0.lock().len();
        slots.serve(100, 1100, |_| Duration::ZERO);
        let packets = sink.0.lock().clone();
        assert_eq!(packets.len() - before, 1);
        let (first, last) = (&packets[0].1, &packets[packets.len() - 1].1);
        let ticks = u64::from(last.timestamp.wrapping_sub(first.timestamp) / 160);
        assert_eq!(ticks, packets.len() as u64 - 1 + talker.skipped() - 4, "the first wake-up had skipped four");
        assert_eq!(talker.skipped(), 4 + 49);
    }

    #[test]
    fn skipped_packets_count_in_the_schedule_lag() {
        let (mut slots, _, _) = seated();
        let asked = std::cell::RefCell::new(Vec::new());
        slots.serve(0, 70, |time| {
            asked.borrow_mut().push(70 - time);
            Duration::from_millis(70 - time)
        });
        assert_eq!(asked.into_inner(), [5, 25, 45, 65], "ms of lag: one packet sent, three skipped");
    }

    #[test]
    fn only_slots_with_talkers_are_woken_for() {
        let (slots, _, _) = seated();
        assert_eq!(slots.next_after(0), Some(5));
        assert_eq!(slots.next_after(5), Some(25));
        assert_eq!(Slots::default().next_after(0), None);
    }

    #[tokio::test]
    async fn the_pacer_ends_with_its_last_talker_and_starts_again_for_a_new_one() {
        let (talker, sink) = talker();
        let tasks = || Handle::current().metrics().num_alive_tasks();
        let before = tasks();
        talker.play();
        assert_eq!(tasks(), before + 1);
        tokio::time::sleep(Duration::from_millis(100)).await;
        talker.silence();
        let deadline = Instant::now() + Duration::from_secs(10);
        while tasks() > before {
            assert!(Instant::now() < deadline, "the pacer goes on without talkers");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let sent = sink.0.lock().len();
        talker.play();
        while sink.0.lock().len() < sent + 3 {
            assert!(Instant::now() < deadline, "the talker is not paced again");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[test]
    fn a_talker_survives_the_end_of_its_runtime() {
        let (talker, sink) = talker();
        for _ in 0..2 {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("runtime");
            let before = sink.0.lock().len();
            runtime.block_on(async {
                talker.play();
                let deadline = Instant::now() + Duration::from_secs(10);
                while sink.0.lock().len() == before {
                    assert!(Instant::now() < deadline, "the talker is not paced");
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
            drop(runtime);
        }
    }
}

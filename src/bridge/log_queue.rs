//! Log records on their way to SLF4J: a bounded queue that a Java thread drains.
//!
//! Whoever logs never waits for Java. When the queue is full the newest record is dropped and counted, and the next batch
//! says how many. Panics are logged too, since nobody reads a JVM's standard error.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use log::{Level, LevelFilter, Log, Metadata, Record};
use parking_lot::{Condvar, Mutex};

/// Records kept for the drain thread.
const CAPACITY: usize = 8192;
/// Longest text of one record, bytes; the rest is cut off.
const LONGEST_TEXT: usize = 16 * 1024;
/// Most records in one batch.
const BATCH: usize = 1024;

static QUEUE: LogQueue = LogQueue::new();

/// Makes the queue this process's logger and sends panics to it. Only the first call has an effect.
pub(super) fn install() {
    if log::set_logger(&QUEUE).is_ok() {
        log::set_max_level(LevelFilter::Warn);
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            log::error!(target: "panic", "{panic}");
            if log::max_level() == LevelFilter::Off {
                before(panic);
            }
        }));
    }
}

/// Sets what is recorded at all: 0 off, 1 error … 5 trace.
pub(super) fn set_level(level: i32) {
    log::set_max_level(match level {
        ..=0 => LevelFilter::Off,
        1 => LevelFilter::Error,
        2 => LevelFilter::Warn,
        3 => LevelFilter::Info,
        4 => LevelFilter::Debug,
        5.. => LevelFilter::Trace,
    });
}

/// The next batch, packed; waits at most `wait` for its first record. `None` when there was none.
pub(super) fn drain(wait: Duration) -> Option<Vec<u8>> {
    QUEUE.drain(wait)
}

struct Entry {
    level: Level,
    target: String,
    text: String,
}

struct Records {
    waiting: VecDeque<Entry>,
    dropped: u64,
}

struct LogQueue {
    records: Mutex<Records>,
    arrived: Condvar,
}

impl LogQueue {
    const fn new() -> Self {
        Self { records: Mutex::new(Records { waiting: VecDeque::new(), dropped: 0 }), arrived: Condvar::new() }
    }

    fn drain(&self, wait: Duration) -> Option<Vec<u8>> {
        let until = Instant::now() + wait;
        let mut records = self.records.lock();
        while records.waiting.is_empty() && records.dropped == 0 {
            if self.arrived.wait_until(&mut records, until).timed_out() {
                break;
            }
        }
        if records.waiting.is_empty() && records.dropped == 0 {
            return None;
        }
        let dropped = std::mem::take(&mut records.dropped);
        let count = records.waiting.len().min(BATCH);
        let batch: Vec<Entry> = records.waiting.drain(..count).collect();
        drop(records);
        Some(packed(dropped, &batch))
    }
}

impl Log for LogQueue {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        level_of(metadata) <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let mut text = record.args().to_string();
        if text.len() > LONGEST_TEXT {
            text.truncate(text.floor_char_boundary(LONGEST_TEXT));
            text.push('…');
        }
        let entry = Entry { level: level_of(record.metadata()), target: record.target().to_owned(), text };
        let mut records = self.records.lock();
        if records.waiting.len() == CAPACITY {
            records.dropped += 1;
            return;
        }
        records.waiting.push_back(entry);
        let first = records.waiting.len() == 1;
        drop(records);
        if first {
            self.arrived.notify_one();
        }
    }

    fn flush(&self) {}
}

/// The WebRTC engine's crates warn about what is normal under load (a candidate that does not answer, a packet after the
/// end): for them everything below an error is for those who debug.
fn level_of(metadata: &Metadata<'_>) -> Level {
    let room = metadata.target().split("::").next().unwrap_or_default();
    let engine_crate = room == "webrtc" || room == "rtc" || room.starts_with("rtc_") || room.starts_with("webrtc_");
    if engine_crate && metadata.level() != Level::Error { metadata.level().max(Level::Debug) } else { metadata.level() }
}

/// Big endian: records dropped (8), then per record level (1), length of target (2), target, length of text (4), text.
fn packed(dropped: u64, batch: &[Entry]) -> Vec<u8> {
    let mut out = dropped.to_be_bytes().to_vec();
    for Entry { level, target, text } in batch {
        let target = &target.as_bytes()[..target.len().min(usize::from(u16::MAX))];
        out.push(*level as u8);
        out.extend(u16::try_from(target.len()).unwrap_or(u16::MAX).to_be_bytes());
        out.extend(target);
        out.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend(text.as_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(queue: &LogQueue, target: &str, level: Level, text: &str) {
        queue.log(&Record::builder().target(target).level(level).args(format_args!("{text}")).build());
    }

    #[test]
    fn an_empty_queue_waits_no_longer_than_asked() {
        assert!(LogQueue::new().drain(Duration::from_millis(10)).is_none());
    }

    #[test]
    fn what_does_not_fit_is_counted_and_told() {
        log::set_max_level(LevelFilter::Trace);
        let queue = LogQueue::new();
        for _ in 0..CAPACITY + 3 {
            record(&queue, "socket", Level::Info, "x");
        }
        let batch = queue.drain(Duration::ZERO).expect("a batch");
        assert_eq!(batch[..8], 3_u64.to_be_bytes());
        assert_eq!(batch[8], 3);
        assert_eq!(batch[9..11], 6_u16.to_be_bytes());
        assert_eq!(&batch[11..17], b"socket");
        let mut batches = 1;
        while queue.drain(Duration::ZERO).is_some() {
            batches += 1;
        }
        assert_eq!(batches, CAPACITY / BATCH);
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        log::set_max_level(LevelFilter::Trace);
        let queue = LogQueue::new();
        record(&queue, "t", Level::Info, &"ä".repeat(LONGEST_TEXT));
        let batch = queue.drain(Duration::ZERO).expect("a batch");
        assert!(String::from_utf8(batch[16..].to_vec()).expect("UTF-8").ends_with('…'));
    }

    #[test]
    fn warnings_of_the_webrtc_crates_are_for_those_who_debug() {
        let level = |target: &str, level| level_of(&Metadata::builder().target(target).level(level).build());
        assert_eq!(level("rtc_ice::agent", Level::Warn), Level::Debug);
        assert_eq!(level("webrtc::peer_connection", Level::Info), Level::Debug);
        assert_eq!(level("rtc", Level::Trace), Level::Trace);
        assert_eq!(level("rtc_dtls", Level::Error), Level::Error);
        assert_eq!(level("jmeter_webrtc::socket", Level::Warn), Level::Warn);
    }
}

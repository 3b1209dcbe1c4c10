//! Loss and jitter of one RTP stream (RFC 3550 A.1, A.3, A.8). Pure: takes time as an argument.

/// Loss and jitter of one SSRC.
#[derive(Clone, Debug)]
pub(super) struct InboundStream {
    pub(super) ssrc: u32,
    /// Sequence number of the first packet of the current run.
    base: u16,
    /// Highest sequence number so far, extended by its wraps.
    highest: u64,
    received: i64,
    /// Loss of runs before the sender restarted its numbering.
    lost_before: i64,
    last_timestamp: u32,
    last_arrival_us: u64,
    pub(super) jitter_us: f64,
}

impl InboundStream {
    pub(super) fn new(ssrc: u32, sequence: u16, timestamp: u32, at_us: u64) -> Self {
        Self {
            ssrc,
            base: sequence,
            highest: u64::from(sequence),
            received: 1,
            lost_before: 0,
            last_timestamp: timestamp,
            last_arrival_us: at_us,
            jitter_us: 0.0,
        }
    }

    /// Without a timestamp it has no part in the jitter: those of a telephone event stand still (RFC 4733 §2.5.1.2).
    pub(super) fn packet(&mut self, sequence: u16, timestamp: Option<u32>, at_us: u64, clock_rate: u32) {
        /// RFC 3550 A.1: a larger step forward, or further back than the second, is a restart.
        const MAX_DROPOUT: u16 = 3000;
        const MAX_MISORDER: u16 = 1000;
        let step = sequence.wrapping_sub(self.highest as u16);
        if step > 0 && step < MAX_DROPOUT {
            self.highest += u64::from(step);
        } else if step != 0 && step <= u16::MAX - MAX_MISORDER {
            self.lost_before = self.lost();
            self.base = sequence;
            self.highest = u64::from(sequence);
            self.received = 0;
        }
        self.received += 1;
        let Some(timestamp) = timestamp else { return };
        if clock_rate > 0 {
            // RFC 3550 A.8, in µs instead of ticks so that a clock rate learnt late needs no conversion.
            let sent_us = f64::from(timestamp.wrapping_sub(self.last_timestamp) as i32) * 1e6 / f64::from(clock_rate);
            let arrived_us = at_us as f64 - self.last_arrival_us as f64;
            self.jitter_us += ((arrived_us - sent_us).abs() - self.jitter_us) / 16.0;
        }
        self.last_timestamp = timestamp;
        self.last_arrival_us = at_us;
    }

    pub(super) fn lost(&self) -> i64 {
        let expected = self.highest - u64::from(self.base) + 1;
        self.lost_before + i64::try_from(expected).unwrap_or(i64::MAX) - self.received
    }
}

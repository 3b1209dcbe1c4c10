//! How many messages a softphone sends at a time: a token bucket. Pure: the time is an argument.
//!
//! Guarantee: messages leave in their order. Those that wait are bounded, and forgotten with the WebSocket they were for.
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::format::Rate;

/// Messages that may wait.
const WAITING: usize = 1024;

/// The messages of one softphone that wait for their turn.
#[derive(Debug)]
pub(super) struct Bucket {
    burst: f64,
    per_second: f64,
    tokens: f64,
    /// When the tokens were counted.
    at: Instant,
    waiting: VecDeque<Message>,
}

/// A message, and the template it was made of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) text: String,
    pub(super) template: String,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(rate: &Rate, now: Instant) -> Self {
        let (burst, per_second) = (f64::from(rate.burst), f64::from(rate.per_second));
        Self { burst, per_second, tokens: burst, at: now, waiting: VecDeque::new() }
    }

    /// Takes a message: given back if it may leave now, kept if it has to wait.
    ///
    /// # Errors
    /// The message, where too many wait already.
    pub(super) fn take(&mut self, message: Message, now: Instant) -> Result<Option<Message>, Message> {
        self.count(now);
        if self.waiting.is_empty() && self.tokens >= 1.0 {
            self.tokens -= 1.0;
            Ok(Some(message))
        } else if self.waiting.len() < WAITING {
            self.waiting.push_back(message);
            Ok(None)
        } else {
            Err(message)
        }
    }

    /// The next message whose turn has come.
    pub(super) fn due(&mut self, now: Instant) -> Option<Message> {
        self.count(now);
        if self.tokens < 1.0 {
            return None;
        }
        let message = self.waiting.pop_front()?;
        self.tokens -= 1.0;
        Some(message)
    }

    /// The next message, whether or not its turn has come.
    pub(super) fn take_waiting(&mut self) -> Option<Message> {
        self.waiting.pop_front()
    }

    /// When the turn of the next one comes; `None` while none waits.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.waiting.front()?;
        let missing = (1.0 - self.tokens).max(0.0);
        // Rounded up: a moment early there would be no token yet.
        Some(self.at + Duration::from_secs_f64(missing / self.per_second) + Duration::from_micros(1))
    }

    /// Forgets what waits.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    fn count(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + since * self.per_second).min(self.burst);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: u32) -> Message {
        Message { text: number.to_string(), template: "m".to_owned() }
    }

    #[test]
    fn a_burst_leaves_at_once_and_the_rest_in_order_at_the_rate() {
        let now = Instant::now();
        let mut bucket = Bucket::new(&Rate { burst: 20, per_second: 25 }, now);
        let left =
            (0..30).filter(|number| bucket.take(message(*number), now).expect("there is room").is_some()).count();
        assert_eq!(left, 20);
        let mut at = now;
        for number in 20..30 {
            at = bucket.deadline().expect("some wait");
            assert_eq!(bucket.due(at), Some(message(number)));
            assert_eq!(bucket.due(at), None, "one token at a time");
        }
        assert_eq!(bucket.deadline(), None);
        let took = at.duration_since(now).as_millis();
        assert_eq!(took, 400, "ten messages at 25 a second");
        let later = at + Duration::from_secs(60);
        let left =
            (0..30).filter(|number| bucket.take(message(*number), later).expect("there is room").is_some()).count();
        assert_eq!(left, 20, "a pause fills it, and no more than that");
    }

    #[test]
    fn what_waits_is_bounded_and_forgotten_with_its_websocket() {
        let now = Instant::now();
        let mut bucket = Bucket::new(&Rate { burst: 1, per_second: 1 }, now);
        let refused = (0..2000).filter(|number| bucket.take(message(*number), now).is_err()).count();
        assert_eq!(refused, 2000 - 1 - WAITING);
        bucket.clear();
        assert_eq!((bucket.deadline(), bucket.due(now + Duration::from_secs(9))), (None, None));
    }
}

//! How many sessions of this process are up, and which were lost when: what one loss has in common with others.
//!
//! One account for the process, bounded; told at the engine's events, read when a loss is explained. Nothing waits here.
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::diagnosis::facts::OtherSessions;

/// Losses kept; a test that loses more at once has one reason for all of them.
const KEPT: usize = 4096;
/// Losses so near to each other are told together.
const TOGETHER: Duration = Duration::from_secs(1);

static CENSUS: Mutex<Census> = Mutex::new(Census::new());

struct Census {
    up: u32,
    losses: VecDeque<Loss>,
}

/// One loss.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loss {
    pub(super) at: Instant,
    /// The other side's address.
    pub(super) remote: Option<IpAddr>,
    /// Our relay.
    pub(super) relay: Option<IpAddr>,
}

/// A session is up.
pub(super) fn up() {
    CENSUS.lock().up += 1;
}

/// A session that was up is not any more, lost or closed.
pub(super) fn down(loss: Option<Loss>) {
    let mut census = CENSUS.lock();
    census.up = census.up.saturating_sub(1);
    if let Some(loss) = loss {
        census.lost(loss);
    }
}

/// What happened around a loss at `at`.
pub(crate) fn around(at: Instant) -> OtherSessions {
    CENSUS.lock().around(at)
}

impl Census {
    const fn new() -> Self {
        Self { up: 0, losses: VecDeque::new() }
    }

    fn lost(&mut self, loss: Loss) {
        if self.losses.len() >= KEPT {
            self.losses.pop_front();
        }
        self.losses.push_back(loss);
    }

    fn around(&self, at: Instant) -> OtherSessions {
        let near = |loss: &&Loss| loss.at.max(at).duration_since(loss.at.min(at)) <= TOGETHER;
        let together: Vec<&Loss> = self.losses.iter().filter(near).collect();
        let since = self.losses.iter().filter(|loss| loss.at + TOGETHER >= at).count();
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let shared = |of: fn(&Loss) -> Option<IpAddr>| {
            let first = of(together.first()?)?;
            together.iter().all(|loss| of(loss) == Some(first)).then_some(first)
        };
        OtherSessions {
            up: self.up.saturating_add(count(since)),
            lost_together: count(together.len()),
            shared: shared(|loss| loss.relay)
                .map(|relay| format!("the relay {relay}"))
                .or_else(|| shared(|loss| loss.remote).map(|remote| format!("the remote address {remote}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_within_a_second_are_told_together_with_what_they_share() {
        let begun = Instant::now();
        let mut census = Census { up: 7, ..Census::new() };
        let remote = Some(IpAddr::from([192, 0, 2, 7]));
        for ms in [0, 10, 400, 900, 5_000] {
            census.lost(Loss { at: begun + Duration::from_millis(ms), remote, relay: None });
        }
        let around = census.around(begun + Duration::from_millis(10));
        assert_eq!((around.lost_together, around.up), (4, 12));
        assert_eq!(around.shared.as_deref(), Some("the remote address 192.0.2.7"));
        census.lost(Loss { at: begun + Duration::from_millis(20), remote: None, relay: None });
        assert_eq!(census.around(begun).shared, None);
        assert_eq!(census.around(begun + Duration::from_secs(60)).lost_together, 0);
    }

    #[test]
    fn no_more_losses_are_kept_than_help() {
        let mut census = Census::new();
        for _ in 0..2 * KEPT {
            census.lost(Loss { at: Instant::now(), remote: None, relay: None });
        }
        assert_eq!(census.losses.len(), KEPT);
    }
}

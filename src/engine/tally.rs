//! The counts of what has left, so that a snapshot is complete without keeping what is over.
//!
//! Pure numbers. They may be negative for a moment of a test: [`super::Engine::begin_test`] subtracts what live entries
//! had counted before it, and those add their whole count when they leave.

use crate::peer::MediaCounters;

/// Packet accounts, summed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct MediaTally {
    pub(super) packets_sent: i64,
    pub(super) packets_received: i64,
    pub(super) packets_lost: i64,
    pub(super) packets_skipped: i64,
    pub(super) socket_drops: i64,
}

impl MediaTally {
    /// Adds `sign` times the counters of one session.
    fn add(&mut self, counters: &MediaCounters, sign: i64) {
        self.packets_sent += sign * signed(counters.packets_sent);
        self.packets_received += sign * signed(counters.packets_received);
        self.packets_lost += sign * counters.packets_lost;
        self.packets_skipped += sign * signed(counters.packets_skipped);
        self.socket_drops += sign * signed(counters.socket_drops);
    }
}

/// What is counted of one session.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SessionCount {
    /// It got as far as ICE and DTLS.
    pub(super) connected: bool,
    /// It failed, or its call did.
    pub(super) failed: bool,
    pub(super) media: MediaCounters,
}

/// Softphones that are registered by a profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RegistrationTally {
    /// Begun.
    pub(super) started: i64,
    /// Succeeded.
    pub(super) registered: i64,
    /// Failed; one that was cancelled did not.
    pub(super) failed: i64,
    /// Unregistered, by the plan or with their scope.
    pub(super) ended: i64,
    /// Calls that were over before anybody took them.
    pub(super) calls_missed: i64,
}

/// Counts since the test began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) softphones_started: i64,
    pub(super) softphones_connected: i64,
    pub(super) softphones_failed: i64,
    pub(super) softphones_ended: i64,
    pub(super) web_sockets_opened: i64,
    pub(super) web_sockets_failed: i64,
    pub(super) udp_sockets_opened: i64,
    pub(super) registrations: RegistrationTally,
    pub(super) media: MediaTally,
}

impl Tally {
    /// A session left.
    pub(super) fn left(&mut self, session: &SessionCount) {
        self.softphones_ended += 1;
        self.count(session, 1);
    }

    /// Adds a session's counts: one that left, or one that is live for a snapshot.
    pub(super) fn with_live(mut self, session: &SessionCount) -> Self {
        self.count(session, 1);
        self
    }

    /// A tally that starts from zero while `live` sessions go on.
    pub(super) fn starting_with<'a>(live: impl IntoIterator<Item = &'a SessionCount>) -> Self {
        let mut tally = Self::default();
        for session in live {
            tally.count(session, -1);
        }
        tally
    }

    fn count(&mut self, session: &SessionCount, sign: i64) {
        self.softphones_connected += sign * i64::from(session.connected);
        self.softphones_failed += sign * i64::from(session.failed);
        self.media.add(&session.media, sign);
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(connected: bool, packets_sent: u64) -> SessionCount {
        SessionCount { connected, failed: false, media: MediaCounters { packets_sent, ..MediaCounters::default() } }
    }

    #[test]
    fn what_leaves_stays_counted() {
        let mut tally = Tally::default();
        tally.left(&session(true, 10));
        let with_live = tally.with_live(&session(true, 5));
        assert_eq!((with_live.softphones_connected, with_live.softphones_ended), (2, 1));
        assert_eq!(with_live.media.packets_sent, 15);
    }

    #[test]
    fn a_new_test_counts_only_what_comes_after_its_start() {
        let before = session(true, 100);
        let mut tally = Tally::starting_with([&before]);
        assert_eq!(tally.with_live(&before).media.packets_sent, 0);
        tally.left(&session(true, 130));
        assert_eq!((tally.media.packets_sent, tally.softphones_connected, tally.softphones_ended), (30, 0, 1));
    }
}

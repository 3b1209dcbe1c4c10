//! The last noteworthy moments of a session, for the evidence of a verdict.
//!
//! A ring: the oldest makes room. The same event again in a row is one entry with a count, so that a retransmission does
//! not push out what led to it.
use super::bounded::Bounded;
use super::endpoint::Endpoint;
use super::facts::{MAX_MOMENTS, Moment, MomentEvent, WireFacts};

/// The ring.
#[derive(Debug, Default)]
pub(super) struct Moments {
    ring: Bounded<Entry, MAX_MOMENTS>,
}

#[derive(Debug)]
struct Entry {
    at_us: u64,
    address: Endpoint,
    value: u32,
    count: u32,
    event: MomentEvent,
}

impl Moments {
    #[cfg(test)]
    pub(super) const HEAP_BYTES: usize = Bounded::<Entry, MAX_MOMENTS>::HEAP_BYTES;

    pub(super) fn note(&mut self, at_us: u64, event: MomentEvent, address: impl Into<Endpoint>, value: u32) {
        let address = address.into();
        if let Some(last) = self.ring.last_mut()
            && (last.event, last.address, last.value) == (event, address, value)
        {
            last.count = last.count.saturating_add(1);
            return;
        }
        self.ring.push_over(Entry { at_us, address, value, count: 1, event }, |_| 0);
    }

    pub(super) fn tell(&self, facts: &mut WireFacts) {
        let moments = self.ring.iter().map(|entry| Moment {
            at_us: entry.at_us,
            event: entry.event,
            address: entry.address.get(),
            value: entry.value,
            count: entry.count,
        });
        facts.moments = moments.collect();
        facts.moments_omitted = self.ring.omitted();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(moments: &Moments) -> WireFacts {
        let mut facts = WireFacts::default();
        moments.tell(&mut facts);
        facts
    }

    #[test]
    fn a_repeated_moment_is_counted_and_keeps_its_time() {
        let mut moments = Moments::default();
        for at_us in 1..=3 {
            moments.note(at_us, MomentEvent::DtlsSent, None, 1);
        }
        moments.note(4, MomentEvent::DtlsSent, None, 2);
        let facts = told(&moments);
        let counts: Vec<_> = facts.moments.iter().map(|moment| (moment.at_us, moment.count)).collect();
        assert_eq!(counts, [(1, 3), (4, 1)]);
    }

    #[test]
    fn the_oldest_moment_makes_room() {
        let mut moments = Moments::default();
        for value in 0..40 {
            moments.note(u64::from(value), MomentEvent::SocketRefused, None, value);
        }
        let facts = told(&moments);
        assert_eq!(facts.moments.len(), MAX_MOMENTS);
        assert_eq!(facts.moments[0].value as usize, 40 - MAX_MOMENTS);
        assert_eq!(facts.moments_omitted as usize, 40 - MAX_MOMENTS);
    }
}

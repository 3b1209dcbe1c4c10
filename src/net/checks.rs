//! Connectivity checks by candidate pair, and the consent that they renew (RFC 8445 §7, RFC 7675).
//!
//! A response belongs to the check with its transaction id, of which the last few are remembered; one that is older is
//! counted for the pair it came from.
use std::net::SocketAddr;

use super::bounded::Bounded;
use super::endpoint::Endpoint;
use super::facts::{ConsentFacts, ForeignCheck, MAX_PAIRS, MomentEvent, PairFacts, WireFacts};
use super::moments::Moments;
use super::stun::{Stun, TransactionId, USE_CANDIDATE, USERNAME, XOR_MAPPED_ADDRESS};

/// Checks whose response can be told to its pair even from elsewhere.
const IN_FLIGHT: usize = 12;
/// Bytes of a ufrag that are kept; it has at least 4 (RFC 8839 §5.4).
const UFRAG_BYTES: usize = 16;
/// Not yet.
const NEVER: u64 = u64::MAX;

/// Over which way a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Path {
    /// The other side.
    pub(super) remote: SocketAddr,
    /// The relay's server, where one is between.
    pub(super) server: Option<SocketAddr>,
}

/// The account.
#[derive(Debug, Default)]
pub(super) struct Checks {
    pairs: Bounded<Pair, MAX_PAIRS>,
    /// The server of the session's relay.
    server: Option<SocketAddr>,
    in_flight: Bounded<InFlight, IN_FLIGHT>,
    /// Oldest place in `in_flight` once that is full.
    oldest: usize,
    local_ufrag: Option<Box<str>>,
    foreign: u64,
    foreign_at_us: u64,
    foreign_source: Endpoint,
    foreign_ufrag: [u8; UFRAG_BYTES],
}

#[derive(Debug)]
struct InFlight {
    id: TransactionId,
    pair: u8,
    use_candidate: bool,
    sent_us: u64,
}

#[derive(Debug)]
struct Pair {
    remote: Endpoint,
    mapped: Endpoint,
    answered_from: Endpoint,
    checks_sent: u32,
    checks_answered: u32,
    checks_received: u32,
    checks_served: u32,
    bad_requests: u16,
    unauthenticated: u16,
    role_conflicts: u16,
    other_errors: u16,
    errors_sent: u16,
    answered_elsewhere: u16,
    rtt_us: u32,
    last_error_code: u16,
    relayed: bool,
    use_candidate_sent: bool,
    use_candidate_received: bool,
    nominated_us: u64,
    first_sent_us: u64,
    last_sent_us: u64,
    first_answered_us: u64,
    last_answered_us: u64,
    first_received_us: u64,
    last_received_us: u64,
}

impl Checks {
    #[cfg(test)]
    pub(super) const HEAP_BYTES: usize =
        Bounded::<Pair, MAX_PAIRS>::HEAP_BYTES + Bounded::<InFlight, IN_FLIGHT>::HEAP_BYTES;

    /// Our description says `a=ice-ufrag:` this.
    pub(super) fn described(&mut self, local_ufrag: &str) {
        self.local_ufrag = Some(local_ufrag.into());
    }

    /// A check left.
    pub(super) fn sent(
        &mut self,
        stun: &Stun<'_>,
        path: Path,
        at_us: u64,
        consent: &mut ConsentFacts,
        moments: &mut Moments,
    ) {
        let Some((at, pair)) = self.pair(path) else { return };
        let use_candidate = stun.has(USE_CANDIDATE);
        pair.checks_sent = pair.checks_sent.saturating_add(1);
        pair.use_candidate_sent |= use_candidate;
        if pair.first_sent_us == NEVER {
            pair.first_sent_us = at_us;
            moments.note(at_us, MomentEvent::CheckSent, path.remote, 0);
        }
        pair.last_sent_us = at_us;
        if pair.nominated_us != NEVER {
            consent.requests_sent += 1;
            if let Some(last) = consent.last_request_sent_us.replace(at_us) {
                consent.longest_request_gap_us = consent.longest_request_gap_us.max(at_us.saturating_sub(last));
            }
        }
        let entry = InFlight { id: stun.transaction_id(), pair: at as u8, use_candidate, sent_us: at_us };
        if self.in_flight.len() < IN_FLIGHT {
            let _ = self.in_flight.push(entry);
        } else if let Some(place) = self.in_flight.get_mut(self.oldest) {
            *place = entry;
            self.oldest = (self.oldest + 1) % IN_FLIGHT;
        }
    }

    /// A success or error response to a Binding request came. Returns whether it answers a check of ours that is still
    /// remembered.
    pub(super) fn answered(
        &mut self,
        stun: &Stun<'_>,
        path: Path,
        at_us: u64,
        consent: &mut ConsentFacts,
        moments: &mut Moments,
    ) -> bool {
        let id = stun.transaction_id();
        let known = self.in_flight.iter().find(|entry| entry.id == id);
        let known = known.map(|entry| (usize::from(entry.pair), entry.use_candidate, entry.sent_us));
        let at = match known {
            Some((at, ..)) => at,
            None => match self.pairs.iter().position(|pair| pair.is(path)) {
                Some(at) => at,
                None => return false,
            },
        };
        let Some(pair) = self.pairs.get_mut(at) else { return false };
        if let Some(code) = stun.error_code() {
            pair.last_error_code = code;
            let counter = match code {
                400 => &mut pair.bad_requests,
                401 => &mut pair.unauthenticated,
                487 => &mut pair.role_conflicts,
                _ => &mut pair.other_errors,
            };
            *counter = counter.saturating_add(1);
            moments.note(at_us, MomentEvent::CheckRefused, path.remote, u32::from(code));
            return known.is_some();
        }
        if pair.remote.get() != Some(path.remote) {
            pair.answered_elsewhere = pair.answered_elsewhere.saturating_add(1);
            pair.answered_from = path.remote.into();
            moments.note(at_us, MomentEvent::CheckAnsweredElsewhere, path.remote, 0);
        }
        pair.checks_answered = pair.checks_answered.saturating_add(1);
        if pair.first_answered_us == NEVER {
            pair.first_answered_us = at_us;
            moments.note(at_us, MomentEvent::CheckAnswered, pair.remote, 0);
        }
        pair.last_answered_us = at_us;
        if let Some((_, use_candidate, sent_us)) = known {
            pair.rtt_us = u32::try_from(at_us.saturating_sub(sent_us)).unwrap_or(u32::MAX);
            if use_candidate {
                pair.nominated(at_us, moments);
            }
        }
        pair.mapped = stun.xor_address(XOR_MAPPED_ADDRESS).into();
        let (nominated, mapped) = (pair.nominated_us != NEVER, pair.mapped);
        if nominated {
            consent.responses_received += 1;
            consent.last_response_received_us = Some(at_us);
            if !mapped.is_none() && consent.mapped_address != mapped.get() {
                if consent.mapped_address.is_some() {
                    consent.former_mapped_address = consent.mapped_address;
                    consent.mapped_address_changed_us = Some(at_us);
                    moments.note(at_us, MomentEvent::MappedAddressChanged, mapped, 0);
                }
                consent.mapped_address = mapped.get();
            }
        }
        known.is_some()
    }

    /// A check came.
    pub(super) fn received(&mut self, stun: &Stun<'_>, path: Path, at_us: u64, moments: &mut Moments) {
        if let Some(meant_for) = self.foreign_ufrag(stun) {
            let kept = meant_for.len().min(UFRAG_BYTES);
            self.foreign += 1;
            self.foreign_at_us = at_us;
            self.foreign_source = path.remote.into();
            self.foreign_ufrag = [0; UFRAG_BYTES];
            self.foreign_ufrag[..kept].copy_from_slice(&meant_for[..kept]);
            moments.note(at_us, MomentEvent::ForeignCheck, path.remote, 0);
            return;
        }
        let Some((_, pair)) = self.pair(path) else { return };
        pair.checks_received = pair.checks_received.saturating_add(1);
        pair.use_candidate_received |= stun.has(USE_CANDIDATE);
        if pair.first_received_us == NEVER {
            pair.first_received_us = at_us;
            moments.note(at_us, MomentEvent::CheckReceived, path.remote, 0);
        }
        pair.last_received_us = at_us;
    }

    /// Our response to a check left.
    pub(super) fn served(&mut self, success: bool, path: Path, at_us: u64, moments: &mut Moments) {
        let Some((_, pair)) = self.pair(path) else { return };
        if !success {
            pair.errors_sent = pair.errors_sent.saturating_add(1);
            return;
        }
        pair.checks_served = pair.checks_served.saturating_add(1);
        if pair.use_candidate_received {
            pair.nominated(at_us, moments);
        }
    }

    /// `relayed` is the address of the session's allocation, where there is one.
    pub(super) fn tell(&self, relayed: Option<SocketAddr>, facts: &mut WireFacts) {
        let relay = relayed.or(self.server);
        facts.pairs = self.pairs.iter().map(|pair| pair.tell(relay)).collect();
        facts.checks_omitted = self.pairs.omitted();
        facts.foreign_checks_received = self.foreign;
        facts.foreign_check = (self.foreign > 0).then(|| {
            let length = self.foreign_ufrag.iter().position(|byte| *byte == 0).unwrap_or(UFRAG_BYTES);
            ForeignCheck {
                ufrag: String::from_utf8_lossy(&self.foreign_ufrag[..length]).into_owned(),
                source: self.foreign_source.get(),
                at_us: self.foreign_at_us,
            }
        });
    }

    /// The ufrag a check is meant for, where that is not ours (RFC 8445 §7.2.2: USERNAME is `theirs:ours` as its sender
    /// sees it).
    fn foreign_ufrag<'a>(&self, stun: &Stun<'a>) -> Option<&'a [u8]> {
        let local = self.local_ufrag.as_deref()?;
        let username = stun.attribute(USERNAME)?;
        let meant_for = username.split(|byte| *byte == b':').next().unwrap_or(username);
        (meant_for != local.as_bytes()).then_some(meant_for)
    }

    fn pair(&mut self, path: Path) -> Option<(usize, &mut Pair)> {
        self.server = path.server.or(self.server);
        let at = match self.pairs.iter().position(|pair| pair.is(path)) {
            Some(at) => at,
            None => {
                self.pairs.push(Pair::new(path))?;
                self.pairs.len() - 1
            }
        };
        self.pairs.get_mut(at).map(|pair| (at, pair))
    }
}

impl Pair {
    fn new(path: Path) -> Self {
        Self {
            remote: path.remote.into(),
            relayed: path.server.is_some(),
            mapped: Endpoint::NONE,
            answered_from: Endpoint::NONE,
            checks_sent: 0,
            checks_answered: 0,
            checks_received: 0,
            checks_served: 0,
            bad_requests: 0,
            unauthenticated: 0,
            role_conflicts: 0,
            other_errors: 0,
            errors_sent: 0,
            answered_elsewhere: 0,
            rtt_us: 0,
            last_error_code: 0,
            use_candidate_sent: false,
            use_candidate_received: false,
            nominated_us: NEVER,
            first_sent_us: NEVER,
            last_sent_us: NEVER,
            first_answered_us: NEVER,
            last_answered_us: NEVER,
            first_received_us: NEVER,
            last_received_us: NEVER,
        }
    }

    fn is(&self, path: Path) -> bool {
        self.remote == path.remote.into() && self.relayed == path.server.is_some()
    }

    fn nominated(&mut self, at_us: u64, moments: &mut Moments) {
        if self.nominated_us == NEVER {
            self.nominated_us = at_us;
            moments.note(at_us, MomentEvent::Nominated, self.remote, 0);
        }
    }

    fn tell(&self, relay: Option<SocketAddr>) -> PairFacts {
        let reached = |at_us: u64| (at_us != NEVER).then_some(at_us);
        PairFacts {
            remote: self.remote.get(),
            relay: relay.filter(|_| self.relayed),
            checks_sent: self.checks_sent,
            checks_answered: self.checks_answered,
            checks_received: self.checks_received,
            checks_served: self.checks_served,
            bad_requests: u32::from(self.bad_requests),
            unauthenticated: u32::from(self.unauthenticated),
            role_conflicts: u32::from(self.role_conflicts),
            other_errors: u32::from(self.other_errors),
            last_error_code: (self.last_error_code > 0).then_some(self.last_error_code),
            errors_sent: u32::from(self.errors_sent),
            answered_elsewhere: u32::from(self.answered_elsewhere),
            answered_from: self.answered_from.get(),
            use_candidate_sent: self.use_candidate_sent,
            use_candidate_received: self.use_candidate_received,
            nominated_us: reached(self.nominated_us),
            first_sent_us: reached(self.first_sent_us),
            last_sent_us: reached(self.last_sent_us),
            first_answered_us: reached(self.first_answered_us),
            last_answered_us: reached(self.last_answered_us),
            first_received_us: reached(self.first_received_us),
            last_received_us: reached(self.last_received_us),
            rtt_us: (self.first_answered_us != NEVER).then_some(u64::from(self.rtt_us)),
            mapped_address: self.mapped.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::stun::ERROR_CODE;
    use super::super::stun::tests::{message, xored};
    use super::*;

    fn path(remote: &str) -> Path {
        Path { remote: remote.parse().expect("an address"), server: None }
    }

    #[derive(Default)]
    struct Account {
        checks: Checks,
        consent: ConsentFacts,
        moments: Moments,
    }

    impl Account {
        fn sent(&mut self, id: u8, attributes: &[(u16, &[u8])], to: &str, at_us: u64) {
            let bytes = message(0x0001, id, attributes);
            let stun = Stun::parse(&bytes).expect("STUN");
            self.checks.sent(&stun, path(to), at_us, &mut self.consent, &mut self.moments);
        }

        fn answered(&mut self, kind: u16, id: u8, attributes: &[(u16, &[u8])], from: &str, at_us: u64) -> bool {
            let bytes = message(kind, id, attributes);
            let stun = Stun::parse(&bytes).expect("STUN");
            self.checks.answered(&stun, path(from), at_us, &mut self.consent, &mut self.moments)
        }

        fn received(&mut self, attributes: &[(u16, &[u8])], from: &str, at_us: u64) {
            let bytes = message(0x0001, 99, attributes);
            self.checks.received(&Stun::parse(&bytes).expect("STUN"), path(from), at_us, &mut self.moments);
        }

        fn told(&self) -> WireFacts {
            let mut facts = WireFacts::default();
            self.checks.tell(None, &mut facts);
            self.moments.tell(&mut facts);
            facts
        }
    }

    const HERE: &str = "192.0.2.1:1000";
    const THERE: &str = "192.0.2.2:2000";

    #[test]
    fn a_pair_counts_its_checks_and_takes_the_time_of_the_answer() {
        let mut account = Account::default();
        account.sent(1, &[], HERE, 10);
        account.sent(2, &[], THERE, 20);
        account.sent(3, &[], HERE, 60);
        assert!(account.answered(0x0101, 3, &[], HERE, 90));
        let facts = account.told();
        let [first, second] = &facts.pairs[..] else { panic!("{facts:?}") };
        assert_eq!((first.checks_sent, first.checks_answered, first.rtt_us), (2, 1, Some(30)));
        assert_eq!((first.first_sent_us, first.last_sent_us, first.first_answered_us), (Some(10), Some(60), Some(90)));
        assert_eq!((second.checks_sent, second.checks_answered, second.rtt_us), (1, 0, None));
        assert_eq!(first.nominated_us, None);
    }

    #[test]
    fn a_pair_is_nominated_when_its_use_candidate_is_answered() {
        let mut account = Account::default();
        account.sent(1, &[(USE_CANDIDATE, b"")], HERE, 10);
        assert_eq!(account.told().pairs[0].nominated_us, None);
        account.answered(0x0101, 1, &[], HERE, 20);
        assert_eq!(account.told().pairs[0].nominated_us, Some(20));

        let mut controlled = Account::default();
        controlled.received(&[(USE_CANDIDATE, b"")], THERE, 5);
        controlled.checks.served(true, path(THERE), 6, &mut controlled.moments);
        assert_eq!(controlled.told().pairs[0].nominated_us, Some(6));
    }

    #[test]
    fn an_answer_from_elsewhere_is_told_to_the_pair_that_asked() {
        let mut account = Account::default();
        account.sent(1, &[], HERE, 10);
        assert!(account.answered(0x0101, 1, &[], THERE, 20));
        let facts = account.told();
        assert_eq!(facts.pairs.len(), 1);
        assert_eq!(facts.pairs[0].answered_elsewhere, 1);
        assert_eq!(facts.pairs[0].answered_from, Some(THERE.parse().expect("an address")));
    }

    #[test]
    fn error_codes_are_counted_by_kind() {
        let mut account = Account::default();
        for (id, code) in [(1, 1), (2, 87), (3, 0), (4, 1)] {
            account.sent(id, &[], HERE, u64::from(id));
            assert!(account.answered(0x0111, id, &[(ERROR_CODE, &[0, 0, 4, code])], HERE, 9));
        }
        let pair = &account.told().pairs[0];
        assert_eq!((pair.bad_requests, pair.unauthenticated, pair.role_conflicts), (1, 2, 1));
        assert_eq!((pair.last_error_code, pair.checks_answered), (Some(401), 0));
    }

    #[test]
    fn a_check_for_another_ufrag_is_foreign_and_makes_no_pair() {
        let mut account = Account::default();
        account.received(&[(USERNAME, b"early:them")], THERE, 1);
        account.checks.described("ours");
        account.received(&[(USERNAME, b"ours:them")], HERE, 2);
        account.received(&[(USERNAME, b"stale:them")], THERE, 3);
        account.received(&[(USERNAME, b"oursish:them")], THERE, 4);
        let facts = account.told();
        assert_eq!((facts.foreign_checks_received, facts.pairs.len()), (2, 2));
        let foreign = facts.foreign_check.expect("the latest");
        assert_eq!((foreign.ufrag.as_str(), foreign.at_us), ("oursish", 4));
    }

    #[test]
    fn consent_begins_with_the_nomination_and_sees_the_nat_forget() {
        let mut account = Account::default();
        for (id, port, at_us) in [(1, 1000, 1_000), (2, 1000, 2_000), (3, 1001, 9_000)] {
            let mapped = xored(&format!("198.51.100.7:{port}"), id);
            account.sent(id, &[(USE_CANDIDATE, b"")], HERE, at_us);
            account.answered(0x0101, id, &[(XOR_MAPPED_ADDRESS, &mapped)], HERE, at_us + 10);
        }
        account.sent(4, &[], HERE, 10_000);
        let consent = account.consent;
        assert_eq!((consent.requests_sent, consent.responses_received), (3, 3));
        assert_eq!((consent.last_request_sent_us, consent.last_response_received_us), (Some(10_000), Some(9_010)));
        assert_eq!(consent.longest_request_gap_us, 7_000);
        assert_eq!(consent.former_mapped_address, Some("198.51.100.7:1000".parse().expect("an address")));
        assert_eq!(consent.mapped_address_changed_us, Some(9_010));
    }

    #[test]
    fn pairs_beyond_the_bound_are_counted() {
        let mut account = Account::default();
        for port in 1..=20u8 {
            account.sent(port, &[], &format!("192.0.2.1:{port}"), 1);
        }
        let facts = account.told();
        assert_eq!((facts.pairs.len(), facts.checks_omitted), (MAX_PAIRS, 20 - MAX_PAIRS as u64));
    }
}

//! The wire observer of a session: what really went over its UDP socket.
//!
//! A pure account: it is told every datagram with its time and keeps counters, instants and the few facts that name a
//! cause (STUN error codes, DTLS alerts, errnos). It allocates nothing per packet, opens nothing and waits for nothing;
//! readers get a copy. Sources: STUN RFC 8489, ICE RFC 8445, ChannelData RFC 8656 §12.4, DTLS 1.2 RFC 6347 §4.1,
//! demultiplexing RFC 7983, RTP and its accounts RFC 3550 (A.3 loss, A.8 jitter), RTCP mux RFC 5761.
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

pub use super::facts::{DtlsAlert, SendError, StunError, WireFacts};
use super::resolver::DnsError;

/// The observer of one session's socket.
#[derive(Debug)]
pub struct Wire {
    started: Instant,
    account: Mutex<Account>,
    /// Told when something a waiter may wait for has happened: first RTP in, a fatal alert, the engine's end.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Account {
    facts: WireFacts,
    /// Ticks per second of the negotiated codec; 0 until negotiated.
    clock_rate: u32,
    /// Streams received, the latest last; more than [`MAX_STREAMS`] are counted but get no loss account.
    streams: Vec<InboundStream>,
    /// Drops of the socket at the time it was given up.
    drops_at_end: Option<u64>,
}

/// Streams with a loss account of their own; a call has one, a transfer or an early medium a second.
const MAX_STREAMS: usize = 8;

impl Wire {
    /// An observer for a session created at `started`.
    pub fn new(started: Instant) -> Self {
        Self { started, account: Mutex::default(), changed: Notify::new() }
    }

    /// When the session was created.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Tells the clock rate of the negotiated codec, in ticks per second, which the jitter needs.
    pub fn negotiated(&self, clock_rate: u32) {
        self.account.lock().clock_rate = clock_rate;
    }

    /// A datagram was handed to the kernel at `at`.
    pub fn sent(&self, datagram: &[u8], at: Instant) {
        let at_us = self.micros(at);
        let mut account = self.account.lock();
        let fatal = account.sent(datagram, at_us);
        drop(account);
        if fatal {
            self.changed.notify_waiters();
        }
    }

    /// A datagram from `source` was read at `at`, after `queued` in the kernel.
    pub fn received(&self, datagram: &[u8], source: SocketAddr, at: Instant, queued: Duration) {
        let arrival_us = self.micros(at).saturating_sub(micros(queued));
        let mut account = self.account.lock();
        account.facts.longest_read_lag_us = account.facts.longest_read_lag_us.max(micros(queued));
        let wanted = account.received(datagram, Some(source), arrival_us);
        drop(account);
        if wanted {
            self.changed.notify_waiters();
        }
    }

    /// The kernel refused a datagram.
    pub fn send_failed(&self, destination: SocketAddr, error: &io::Error) {
        let at_us = self.micros(Instant::now());
        let facts = &mut self.account.lock().facts;
        facts.send_errors += 1;
        facts.last_send_error = Some(SendError { errno: error.raw_os_error(), destination, at_us });
    }

    /// A host name did not resolve.
    pub fn resolve_failed(&self, error: &DnsError) {
        let rcode = error.rcode.as_ref().map_or_else(String::new, |rcode| format!(" ({rcode})"));
        self.account.lock().facts.last_resolve_error = Some(format!("{error}{rcode}"));
    }

    /// The engine's task has ended.
    pub fn engine_ended(&self) {
        self.account.lock().facts.engine_ended = true;
        self.changed.notify_waiters();
    }

    /// A copy of everything observed so far.
    pub fn facts(&self) -> WireFacts {
        let account = self.account.lock();
        let mut facts = account.facts.clone();
        facts.rtp_lost = account.streams.iter().map(InboundStream::lost).sum();
        facts.jitter = match (account.streams.last(), account.clock_rate) {
            (Some(stream), rate) if rate > 0 => stream.jitter_us / 1e6,
            _ => 0.0,
        };
        facts
    }

    /// The receive drops noted when the socket was given up, if it was.
    pub fn drops_at_end(&self) -> Option<u64> {
        self.account.lock().drops_at_end
    }

    /// Notes the receive drops of the socket that is being given up.
    pub fn socket_released(&self, drops: u64) {
        self.account.lock().drops_at_end.get_or_insert(drops);
    }

    /// Told (all waiters) at the first RTP packet in, at a fatal alert and at the engine's end.
    pub fn changed(&self) -> &Notify {
        &self.changed
    }

    fn micros(&self, at: Instant) -> u64 {
        micros(at.saturating_duration_since(self.started))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl Account {
    /// Returns whether a waiter may care.
    fn sent(&mut self, datagram: &[u8], at_us: u64) -> bool {
        let facts = &mut self.facts;
        match Kind::of(datagram) {
            Kind::Stun(stun) => match (stun.class(), stun.is_check()) {
                (StunClass::Request, true) => {
                    facts.checks_sent += 1;
                    facts.first_check_sent_us.get_or_insert(at_us);
                    facts.last_check_sent_us = Some(at_us);
                }
                (StunClass::Request, false) => facts.server_requests_sent += 1,
                (StunClass::Success, _) => facts.check_responses_sent += 1,
                (StunClass::Indication, _) => {
                    if let Some(inner) = stun.data() {
                        return self.sent(inner, at_us);
                    }
                }
                (StunClass::Error, _) => {}
            },
            Kind::ChannelData(inner) => return self.sent(inner, at_us),
            Kind::Dtls => {
                facts.first_dtls_sent_us.get_or_insert(at_us);
                let (records, alert) = dtls_records(datagram, at_us);
                facts.dtls_records_sent += records;
                if let (Some(alert), None) = (alert, facts.dtls_alert_sent) {
                    facts.dtls_alert_sent = Some(alert);
                    return alert.is_fatal();
                }
            }
            Kind::Rtp => {
                facts.rtp_sent += 1;
                facts.rtp_bytes_sent += datagram.len() as u64;
                facts.first_rtp_sent_us.get_or_insert(at_us);
            }
            Kind::Rtcp => facts.rtcp_sent += 1,
            Kind::Other => facts.other_datagrams += 1,
        }
        false
    }

    /// Returns whether a waiter may care. `source` is not known of what a relay wrapped.
    fn received(&mut self, datagram: &[u8], source: Option<SocketAddr>, at_us: u64) -> bool {
        let facts = &mut self.facts;
        match Kind::of(datagram) {
            Kind::Stun(stun) => match stun.class() {
                StunClass::Request => {
                    facts.checks_received += 1;
                    facts.first_check_received_us.get_or_insert(at_us);
                }
                // Servers do not sign their Binding responses and sign others with a REALM's key; a peer signs always.
                // What tells a check's response from an Allocate's is the method.
                StunClass::Success if stun.method() == BINDING && stun.has(MESSAGE_INTEGRITY) => {
                    facts.check_responses_received += 1;
                    facts.answered_by = source.or(facts.answered_by);
                    facts.first_check_response_us.get_or_insert(at_us);
                }
                StunClass::Success => facts.server_responses_received += 1,
                StunClass::Error => {
                    facts.stun_errors_received += 1;
                    if let Some(code) = stun.error_code() {
                        facts.last_stun_error = Some(StunError { method: stun.method(), code, at_us });
                    }
                }
                StunClass::Indication => {
                    if let Some(inner) = stun.data() {
                        return self.received(inner, None, at_us);
                    }
                }
            },
            Kind::ChannelData(inner) => return self.received(inner, None, at_us),
            Kind::Dtls => {
                facts.first_dtls_received_us.get_or_insert(at_us);
                let (records, alert) = dtls_records(datagram, at_us);
                facts.dtls_records_received += records;
                if let (Some(alert), None) = (alert, facts.dtls_alert_received) {
                    facts.dtls_alert_received = Some(alert);
                    return alert.is_fatal();
                }
            }
            Kind::Rtp => {
                facts.rtp_received += 1;
                facts.rtp_bytes_received += datagram.len() as u64;
                facts.last_rtp_received_us = Some(at_us);
                let first = facts.first_rtp_received_us.is_none();
                facts.first_rtp_received_us.get_or_insert(at_us);
                self.rtp(datagram, at_us);
                return first;
            }
            Kind::Rtcp => facts.rtcp_received += 1,
            Kind::Other => facts.other_datagrams += 1,
        }
        false
    }

    fn rtp(&mut self, packet: &[u8], at_us: u64) {
        let sequence = u16::from_be_bytes([packet[2], packet[3]]);
        let timestamp = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
        let ssrc = u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]]);
        if let Some(stream) = self.streams.iter_mut().rev().find(|stream| stream.ssrc == ssrc) {
            stream.packet(sequence, timestamp, at_us, self.clock_rate);
        } else if self.streams.len() < MAX_STREAMS {
            self.streams.push(InboundStream::new(ssrc, sequence, timestamp, at_us));
        }
    }
}

/// Loss and jitter of one SSRC.
#[derive(Clone, Debug)]
struct InboundStream {
    ssrc: u32,
    /// Sequence number of the first packet of the current run.
    base: u16,
    /// Highest sequence number so far, extended by its wraps.
    highest: u64,
    received: i64,
    /// Loss of runs before the sender restarted its numbering.
    lost_before: i64,
    last_timestamp: u32,
    last_arrival_us: u64,
    jitter_us: f64,
}

impl InboundStream {
    fn new(ssrc: u32, sequence: u16, timestamp: u32, at_us: u64) -> Self {
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

    fn packet(&mut self, sequence: u16, timestamp: u32, at_us: u64, clock_rate: u32) {
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
        if clock_rate > 0 {
            // RFC 3550 A.8, in µs instead of ticks so that a clock rate learnt late needs no conversion.
            let sent_us = f64::from(timestamp.wrapping_sub(self.last_timestamp) as i32) * 1e6 / f64::from(clock_rate);
            let arrived_us = at_us as f64 - self.last_arrival_us as f64;
            self.jitter_us += ((arrived_us - sent_us).abs() - self.jitter_us) / 16.0;
        }
        self.last_timestamp = timestamp;
        self.last_arrival_us = at_us;
    }

    fn lost(&self) -> i64 {
        let expected = self.highest - u64::from(self.base) + 1;
        self.lost_before + i64::try_from(expected).unwrap_or(i64::MAX) - self.received
    }
}

/// What a datagram is, by its first bytes (RFC 7983 §7, RFC 5761 §4).
enum Kind<'a> {
    Stun(Stun<'a>),
    ChannelData(&'a [u8]),
    Dtls,
    Rtp,
    Rtcp,
    Other,
}

impl<'a> Kind<'a> {
    fn of(datagram: &'a [u8]) -> Self {
        match datagram {
            [0..=3, ..] => Stun::parse(datagram).map_or(Self::Other, Self::Stun),
            [20..=63, ..] => Self::Dtls,
            [64..=79, _, high, low, rest @ ..] => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                Self::ChannelData(&rest[..length.min(rest.len())])
            }
            [128..=191, second, ..] if matches!(second & 0x7f, 64..=95) => Self::Rtcp,
            [128..=191, ..] if datagram.len() >= 12 => Self::Rtp,
            _ => Self::Other,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum StunClass {
    Request,
    Indication,
    Success,
    Error,
}

const BINDING: u16 = 0x001;
const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const ERROR_CODE: u16 = 0x0009;
const DATA: u16 = 0x0013;
const REALM: u16 = 0x0014;

/// A STUN message (RFC 8489 §5), read without copying.
struct Stun<'a> {
    message: &'a [u8],
}

impl<'a> Stun<'a> {
    const HEADER: usize = 20;

    fn parse(message: &'a [u8]) -> Option<Self> {
        let cookie = message.get(4..8)?;
        (message.len() >= Self::HEADER && cookie == [0x21, 0x12, 0xa4, 0x42]).then_some(Self { message })
    }

    fn class(&self) -> StunClass {
        match (self.message[0] & 1, self.message[1] & 0x10) {
            (0, 0) => StunClass::Request,
            (0, _) => StunClass::Indication,
            (_, 0) => StunClass::Success,
            _ => StunClass::Error,
        }
    }

    fn method(&self) -> u16 {
        let kind = u16::from_be_bytes([self.message[0], self.message[1]]);
        kind & 0x000f | (kind & 0x00e0) >> 1 | (kind & 0x3e00) >> 2
    }

    /// A connectivity check carries the user name of the pair and no realm (RFC 8445 §7.1.2).
    fn is_check(&self) -> bool {
        self.method() == BINDING && self.has(USERNAME) && !self.has(REALM)
    }

    fn has(&self, attribute: u16) -> bool {
        self.attribute(attribute).is_some()
    }

    fn error_code(&self) -> Option<u16> {
        match self.attribute(ERROR_CODE)? {
            [_, _, class, number, ..] => Some(u16::from(class & 7) * 100 + u16::from(*number)),
            _ => None,
        }
    }

    /// The datagram inside a Send or Data indication (RFC 8656 §11).
    fn data(&self) -> Option<&'a [u8]> {
        self.attribute(DATA)
    }

    fn attribute(&self, wanted: u16) -> Option<&'a [u8]> {
        let mut rest = &self.message[Self::HEADER..];
        while let [kind_high, kind_low, length_high, length_low, tail @ ..] = rest {
            let length = usize::from(u16::from_be_bytes([*length_high, *length_low]));
            if u16::from_be_bytes([*kind_high, *kind_low]) == wanted {
                return tail.get(..length);
            }
            rest = tail.get(length.next_multiple_of(4)..)?;
        }
        None
    }
}

/// Counts the DTLS records of a datagram and finds the first clear-text alert (RFC 6347 §4.1, RFC 5246 §7.2).
fn dtls_records(mut datagram: &[u8], at_us: u64) -> (u64, Option<DtlsAlert>) {
    const ALERT: u8 = 21;
    let (mut records, mut alert) = (0, None);
    while let [kind, _, _, epoch_high, epoch_low, _, _, _, _, _, _, length_high, length_low, rest @ ..] = datagram {
        records += 1;
        let length = usize::from(u16::from_be_bytes([*length_high, *length_low])).min(rest.len());
        let (fragment, next) = rest.split_at(length);
        if let (ALERT, [0, 0], [level, description], None) = (*kind, [*epoch_high, *epoch_low], fragment, alert) {
            alert = Some(DtlsAlert { level: *level, description: *description, at_us });
        }
        datagram = next;
    }
    (records, alert)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 5004);

    fn rtp(sequence: u16, timestamp: u32) -> Vec<u8> {
        let mut packet = vec![0x80, 111];
        packet.extend(sequence.to_be_bytes());
        packet.extend(timestamp.to_be_bytes());
        packet.extend(7u32.to_be_bytes());
        packet.extend([0; 20]);
        packet
    }

    fn stun(kind: u16, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (attribute, value) in attributes {
            body.extend(attribute.to_be_bytes());
            body.extend((value.len() as u16).to_be_bytes());
            body.extend_from_slice(value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        let mut message = kind.to_be_bytes().to_vec();
        message.extend((body.len() as u16).to_be_bytes());
        message.extend([0x21, 0x12, 0xa4, 0x42]);
        message.extend([0; 12]);
        message.extend(body);
        message
    }

    fn observed(datagrams: impl IntoIterator<Item = (u64, Vec<u8>)>) -> WireFacts {
        let started = Instant::now();
        let wire = Wire::new(started);
        wire.negotiated(48_000);
        for (at_ms, datagram) in datagrams {
            wire.received(&datagram, PEER, started + Duration::from_millis(at_ms), Duration::ZERO);
        }
        wire.facts()
    }

    #[test]
    fn a_gap_in_sequence_numbers_is_loss_and_a_wrap_is_not() {
        let facts =
            observed([65534u16, 65535, 0, 1, 4].into_iter().enumerate().map(|(n, s)| (n as u64 * 20, rtp(s, 0))));
        assert_eq!((facts.rtp_received, facts.rtp_lost), (5, 2));
    }

    #[test]
    fn a_duplicate_makes_loss_negative_and_a_late_packet_heals_it() {
        assert_eq!(observed([1u16, 2, 2].map(|s| (0, rtp(s, 0)))).rtp_lost, -1);
        assert_eq!(observed([1u16, 3, 2].map(|s| (0, rtp(s, 0)))).rtp_lost, 0);
    }

    #[test]
    fn a_restarted_numbering_keeps_the_loss_before_it() {
        assert_eq!(observed([1u16, 3, 40_000, 40_001].map(|s| (0, rtp(s, 0)))).rtp_lost, 1);
    }

    #[test]
    fn a_steady_stream_has_no_jitter_and_one_late_packet_has() {
        let steady: Vec<_> = (0..50u16).map(|n| (u64::from(n) * 20, rtp(n, u32::from(n) * 960))).collect();
        assert!(observed(steady.clone()).jitter < 1e-9);
        let mut late = steady;
        late[49].0 += 16;
        assert!((observed(late).jitter - 0.001).abs() < 1e-9);
    }

    #[test]
    fn time_in_the_kernel_queue_is_our_lag_and_not_jitter() {
        let started = Instant::now();
        let wire = Wire::new(started);
        wire.negotiated(8_000);
        for n in 0..10u16 {
            let queued = Duration::from_millis(u64::from(n % 3) * 10);
            let read = started + Duration::from_millis(u64::from(n) * 20) + queued;
            wire.received(&rtp(n, u32::from(n) * 160), PEER, read, queued);
        }
        let facts = wire.facts();
        assert!(facts.jitter < 1e-9, "{facts:?}");
        assert_eq!(facts.longest_read_lag_us, 20_000);
    }

    #[test]
    fn a_payload_type_of_the_rtcp_range_is_rtcp() {
        let facts = observed([(0, vec![0x80, 200, 0, 1, 0, 0, 0, 1]), (0, rtp(1, 1))]);
        assert_eq!((facts.rtcp_received, facts.rtp_received), (1, 1));
    }

    #[test]
    fn relayed_media_counts_like_direct_media() {
        let inner = rtp(1, 1);
        let mut channel = vec![0x40, 0, 0, inner.len() as u8];
        channel.extend(&inner);
        let facts = observed([(0, channel), (0, stun(0x0017, &[(DATA, &rtp(2, 1))]))]);
        assert_eq!((facts.rtp_received, facts.rtp_lost), (2, 0));
    }

    #[test]
    fn checks_and_server_requests_are_told_apart() {
        let wire = Wire::new(Instant::now());
        wire.sent(&stun(0x0001, &[]), Instant::now());
        wire.sent(&stun(0x0003, &[(USERNAME, b"user"), (REALM, b"realm")]), Instant::now());
        wire.sent(&stun(0x0001, &[(USERNAME, b"a:b")]), Instant::now());
        wire.received(&stun(0x0101, &[]), PEER, Instant::now(), Duration::ZERO);
        wire.received(&stun(0x0101, &[(MESSAGE_INTEGRITY, &[0; 20])]), PEER, Instant::now(), Duration::ZERO);
        let facts = wire.facts();
        assert_eq!((facts.checks_sent, facts.server_requests_sent), (1, 2));
        assert_eq!((facts.check_responses_received, facts.server_responses_received), (1, 1));
    }

    #[test]
    fn a_stun_error_is_kept_with_method_and_code() {
        let facts = observed([(3, stun(0x0113, &[(ERROR_CODE, &[0, 0, 4, 1, b'U'])]))]);
        assert_eq!(facts.last_stun_error, Some(StunError { method: 3, code: 401, at_us: 3000 }));
    }

    #[test]
    fn a_clear_text_alert_is_kept_and_an_encrypted_one_is_not_read() {
        let record = |epoch: u8| vec![21, 254, 253, 0, epoch, 0, 0, 0, 0, 0, 0, 0, 2, 2, 42];
        let mut handshake = vec![22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 9];
        handshake.extend(record(0));
        let facts = observed([(0, record(1)), (5, handshake)]);
        let alert = facts.dtls_alert_received.expect("the alert");
        assert_eq!((alert.name(), alert.is_fatal(), alert.at_us), ("bad_certificate", true, 5000));
        assert_eq!(facts.dtls_records_received, 3);
    }

    #[test]
    fn bytes_that_are_cut_anywhere_are_survived() {
        let whole = stun(0x0113, &[(USERNAME, b"user"), (ERROR_CODE, &[0, 0, 4, 1])]);
        for datagram in [whole, rtp(1, 2), vec![0x40, 1, 255, 255, 1], vec![22, 254, 253, 0, 0]] {
            observed((0..=datagram.len()).map(|length| (0, datagram[..length].to_vec())));
        }
    }
}

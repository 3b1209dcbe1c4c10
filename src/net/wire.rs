//! The wire observer of a session: what really went over its sockets.
//!
//! An account: it is told every datagram with its time, every refused socket call and every ICMP error, and keeps
//! counters, instants and bounded lists of what names a cause. What is told without a time, and that is never a packet,
//! gets that of the telling. It allocates nothing per packet, opens nothing and waits for nothing; readers get a copy
//! ([`WireFacts`]). It costs a session at most 8 KiB. There is nothing to undo on drop.
//!
//! Sources: STUN RFC 8489, ICE RFC 8445, TURN RFC 8656, DTLS 1.2 RFC 6347, demultiplexing RFC 7983, RTP and its accounts
//! RFC 3550, RTCP mux RFC 5761, consent RFC 7675.
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::bounded::Bounded;
use super::checks::{Checks, Path};
use super::datagram::Kind;
use super::dtls::{self, Direction};
use super::endpoint::Endpoint;
use super::facts::{
    CertificateFacts, IceServerFacts, MAX_RESOLUTIONS, MomentEvent, Resolution, ServerTransport, SocketCall,
};
pub use super::facts::{DtlsAlert, SendError, StunError, WireFacts};
use super::ice_servers::IceServers;
use super::inbound_stream::InboundStream;
use super::moments::Moments;
use super::refusals::Refusals;
use super::resolver::{DnsError, Resolved};
use super::stun::{BINDING, CHANNEL_BIND, Stun, StunClass, XOR_PEER_ADDRESS};
use super::sys::QueuedError;
use super::transactions::Transactions;

/// The observer of one session.
#[derive(Debug)]
pub struct Wire {
    started: Instant,
    account: Mutex<Account>,
    /// Told when something a waiter may wait for has happened: first RTP in, a fatal alert, the engine's end.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Account {
    /// Counters and instants; the lists of it stay empty and are filled in a copy.
    facts: WireFacts,
    transactions: Transactions,
    checks: Checks,
    refusals: Refusals,
    moments: Moments,
    channels: Bounded<Channel, MAX_CHANNELS>,
    resolutions: Bounded<Resolution, MAX_RESOLUTIONS>,
    ice_servers: IceServers,
    /// SHA-256 that the other side's description announces.
    expected_fingerprint: Option<[u8; SHA256_BYTES]>,
    /// SHA-256 of the certificate it showed, and when.
    certificate: Option<([u8; SHA256_BYTES], u64)>,
    /// Ticks per second of the negotiated codec; 0 until negotiated.
    clock_rate: u32,
    /// Payload types that are not of the audio line, one bit each.
    other_payload_types: u128,
    /// Those of its telephone events.
    event_payload_types: u128,
    /// Streams of the audio line received, the latest last; more than [`MAX_STREAMS`] are counted but get no loss account.
    streams: Bounded<InboundStream, MAX_STREAMS>,
    /// Drops of the socket at the time it was given up.
    drops_at_end: Option<u64>,
}

/// A channel of a relay (RFC 8656 §12).
#[derive(Debug)]
struct Channel {
    number: u16,
    peer: Endpoint,
}

/// Streams with a loss account of their own; a call has one, a transfer or an early medium a second.
const MAX_STREAMS: usize = 3;
/// Channels whose peer is remembered; a relay has one per remote candidate that was sent to.
const MAX_CHANNELS: usize = 8;
const SHA256_BYTES: usize = 32;

impl Wire {
    /// An observer for a session created at `started`.
    pub fn new(started: Instant) -> Self {
        Self { started, account: Mutex::default(), changed: Notify::new() }
    }

    /// When the session was created.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Tells the session's own address.
    pub fn bound(&self, address: SocketAddr) {
        self.account.lock().facts.local_address = Some(address);
    }

    /// Tells the clock rate of the negotiated codec, in ticks per second, which the jitter needs (0 without audio), and the
    /// payload types of other lines, one bit each: their packets are counted and have no account of loss and jitter. Those of
    /// telephone events have one of loss, and no part in the jitter.
    pub fn negotiated(&self, clock_rate: u32, other_payload_types: u128, event_payload_types: u128) {
        let mut account = self.account.lock();
        account.clock_rate = clock_rate;
        account.other_payload_types = other_payload_types;
        account.event_payload_types = event_payload_types;
    }

    /// Tells the `a=ice-ufrag` of our description: checks for another one are foreign from now on.
    pub fn described_locally(&self, ufrag: &str) {
        self.account.lock().checks.described(ufrag);
    }

    /// Tells the `a=ice-ufrag` of the other side's description: checks of another one come from somebody else.
    pub fn described_as(&self, remote_ufrag: &str) {
        self.account.lock().checks.described_remotely(remote_ufrag);
    }

    /// Tells the `a=fingerprint:sha-256` of the other side's description, such as `AB:CD:…` (RFC 8122 §5); another
    /// notation is not compared.
    pub fn described_remotely(&self, fingerprint: &str) {
        let mut account = self.account.lock();
        account.expected_fingerprint = from_hex(fingerprint);
        account.compare_certificate(self.micros(Instant::now()));
    }

    /// A datagram was handed to the kernel at `at` for `destination`, over `transport` where that is a server.
    pub fn sent(&self, datagram: &[u8], destination: SocketAddr, transport: ServerTransport, at: Instant) {
        let at_us = self.micros(at);
        let mut account = self.account.lock();
        let fatal = account.sent(datagram, Path { remote: destination, server: None }, transport, at_us);
        drop(account);
        if fatal {
            self.changed.notify_waiters();
        }
    }

    /// A datagram from `source` was read at `at`, after `queued` in the kernel.
    pub fn received(&self, datagram: &[u8], source: SocketAddr, at: Instant, queued: Duration) {
        let lag_us = micros(queued);
        let arrival_us = self.micros(at).saturating_sub(lag_us);
        let mut account = self.account.lock();
        account.facts.longest_read_lag_us = account.facts.longest_read_lag_us.max(lag_us);
        account.facts.consent.last_datagram_received_us = Some(arrival_us);
        let wanted = account.received(datagram, Path { remote: source, server: None }, arrival_us);
        drop(account);
        if wanted {
            self.changed.notify_waiters();
        }
    }

    /// A socket call was refused; `destination` for `send` and `connect`.
    pub fn refused(&self, call: SocketCall, destination: Option<SocketAddr>, error: &io::Error) {
        let at_us = self.micros(Instant::now());
        let account = &mut *self.account.lock();
        let errno = error.raw_os_error();
        account.refusals.call(call, errno, destination, at_us, &mut account.moments);
        if let (SocketCall::Send, Some(destination)) = (call, destination) {
            account.facts.send_errors += 1;
            account.facts.last_send_error = Some(SendError { errno, destination, at_us });
        }
    }

    /// An ICMP error came out of the socket's error queue.
    pub(super) fn returned(&self, error: &QueuedError) {
        let at_us = self.micros(Instant::now());
        let account = &mut *self.account.lock();
        account.refusals.returned(error, at_us, &mut account.moments);
    }

    /// Something worth a line of evidence happened that the datagrams do not show.
    pub fn note(&self, event: MomentEvent, address: Option<SocketAddr>, value: u32) {
        let at_us = self.micros(Instant::now());
        self.account.lock().moments.note(at_us, event, address, value);
    }

    /// A host name was looked up.
    pub fn looked_up(&self, host: &str, outcome: &Result<Resolved, DnsError>) {
        let at_us = self.micros(Instant::now());
        let resolution = match outcome {
            Ok(resolved) => Resolution {
                host: host.to_owned(),
                addresses: resolved.addresses.len(),
                from_cache: resolved.from_cache,
                elapsed_us: micros(resolved.elapsed),
                at_us,
                ..Resolution::default()
            },
            Err(error) => Resolution {
                host: host.to_owned(),
                elapsed_us: micros(error.elapsed),
                rcode: error.rcode.clone(),
                timed_out: error.timed_out,
                error: Some(error.detail.clone()),
                at_us,
                ..Resolution::default()
            },
        };
        let mut account = self.account.lock();
        if let Err(error) = outcome {
            let rcode = error.rcode.as_ref().map_or_else(String::new, |rcode| format!(" ({rcode})"));
            account.facts.last_resolve_error = Some(format!("{error}{rcode}"));
        }
        // Failures stay, successes make room.
        account.resolutions.push_over(resolution, |known| {
            known.iter().position(|resolution| resolution.error.is_none()).unwrap_or_default()
        });
    }

    /// Tells the ICE servers of the configuration, in its order.
    pub fn configured(&self, servers: impl Iterator<Item = (String, ServerTransport)>) {
        let mut account = self.account.lock();
        for (url, transport) in servers {
            account.ice_servers.push(url, transport);
        }
    }

    /// Changes what is known about the ICE server at this place of the configuration; `now_us` is given for its instants.
    pub fn ice_server(&self, index: usize, change: impl FnOnce(&mut IceServerFacts, u64)) {
        let now_us = self.micros(Instant::now());
        self.account.lock().ice_servers.change(index, |server| change(server, now_us));
    }

    /// The engine's task has ended, because the session is `closing`, or by itself.
    pub fn engine_ended(&self, closing: bool) {
        let at_us = self.micros(Instant::now());
        let mut account = self.account.lock();
        account.facts.engine_ended |= !closing;
        account.moments.note(at_us, MomentEvent::EngineEnded, None, 0);
        drop(account);
        self.changed.notify_waiters();
    }

    /// A copy of everything observed so far.
    pub fn facts(&self) -> WireFacts {
        self.account.lock().tell()
    }

    /// Looks at the counters and instants without copying. What [`Self::facts`] puts together is missing in there: the
    /// lists, `rtpLost`, `jitter`, and the DTLS fields that repeat those of `dtlsSent` and `dtlsReceived`.
    pub fn glance<T>(&self, look: impl FnOnce(&WireFacts) -> T) -> T {
        look(&self.account.lock().facts)
    }

    /// As [`Self::glance`], with `rtpLost` and `jitter`: what is counted of media, which is asked for often and of every session.
    pub fn media<T>(&self, look: impl FnOnce(&WireFacts, InboundQuality) -> T) -> T {
        let account = self.account.lock();
        look(&account.facts, account.inbound())
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

/// Loss and jitter of the RTP that came in on the audio line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InboundQuality {
    /// [`WireFacts::rtp_lost`], packets.
    pub lost: i64,
    /// [`WireFacts::jitter`], seconds.
    pub jitter: f64,
}

/// µs of a duration, without the 128-bit division of `as_micros`, which every packet would pay twice.
pub(crate) fn micros(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000).saturating_add(u64::from(duration.subsec_micros()))
}

impl Account {
    /// Returns whether a waiter may care.
    fn sent(&mut self, datagram: &[u8], path: Path, transport: ServerTransport, at_us: u64) -> bool {
        let facts = &mut self.facts;
        match Kind::of(datagram) {
            Kind::Rtp => {
                facts.rtp_sent += 1;
                facts.rtp_bytes_sent += datagram.len() as u64;
                facts.last_rtp_sent_us = Some(at_us);
                if facts.first_rtp_sent_us.is_none() {
                    facts.first_rtp_sent_us = Some(at_us);
                    self.moments.note(at_us, MomentEvent::RtpSent, path.remote, 0);
                }
            }
            Kind::Rtcp => facts.rtcp_sent += 1,
            Kind::ChannelData(number, inner) if !self.channels.is_empty() => {
                let path = self.through_channel(number, path);
                return self.sent(inner, path, transport, at_us);
            }
            Kind::Stun(stun) => match (stun.class(), stun.is_check()) {
                (StunClass::Request, true) => {
                    facts.checks_sent += 1;
                    facts.first_check_sent_us.get_or_insert(at_us);
                    facts.last_check_sent_us = Some(at_us);
                    self.checks.sent(&stun, path, at_us, &mut facts.consent, &mut self.moments);
                }
                (StunClass::Request, false) => {
                    facts.server_requests_sent += 1;
                    self.transactions.asked(&stun, path.remote, transport, at_us, &mut self.moments);
                    if stun.method() == CHANNEL_BIND {
                        self.channel_bound(&stun);
                    }
                }
                (StunClass::Success, _) => {
                    facts.check_responses_sent += 1;
                    self.checks.served(true, path, at_us, &mut self.moments);
                }
                (StunClass::Error, _) => self.checks.served(false, path, at_us, &mut self.moments),
                (StunClass::Indication, _) => {
                    if let Some(inner) = stun.data() {
                        let path = through_indication(&stun, path);
                        return self.sent(inner, path, transport, at_us);
                    }
                }
            },
            Kind::Dtls => {
                let remote = Some(path.remote);
                let flow = &mut facts.dtls_sent;
                let news = dtls::account(flow, datagram, Direction::Sent, remote, at_us, &mut self.moments);
                if let (Some(alert), None) = (news.alert, facts.dtls_alert_sent) {
                    facts.dtls_alert_sent = Some(alert);
                    return alert.is_fatal();
                }
            }
            Kind::ChannelData(..) | Kind::Other => facts.other_datagrams += 1,
        }
        false
    }

    /// Returns whether a waiter may care.
    fn received(&mut self, datagram: &[u8], path: Path, at_us: u64) -> bool {
        let facts = &mut self.facts;
        match Kind::of(datagram) {
            Kind::Rtp => {
                facts.rtp_received += 1;
                facts.rtp_bytes_received += datagram.len() as u64;
                facts.last_rtp_received_us = Some(at_us);
                let first = facts.first_rtp_received_us.is_none();
                if first {
                    facts.first_rtp_received_us = Some(at_us);
                    self.moments.note(at_us, MomentEvent::RtpReceived, path.remote, 0);
                }
                self.rtp(datagram, at_us);
                return first;
            }
            Kind::Rtcp => facts.rtcp_received += 1,
            // Before there is a channel these bytes are something else.
            Kind::ChannelData(number, inner) if !self.channels.is_empty() => {
                let path = self.through_channel(number, path);
                return self.received(inner, path, at_us);
            }
            Kind::Stun(stun) => match stun.class() {
                StunClass::Request => {
                    facts.checks_received += 1;
                    facts.first_check_received_us.get_or_insert(at_us);
                    self.checks.received(&stun, path, at_us, &mut self.moments);
                }
                StunClass::Success => {
                    if self.transactions.answered(&stun, at_us, &mut self.moments) {
                        facts.server_responses_received += 1;
                        self.ice_servers.answered(path.remote, at_us);
                    // Servers do not sign their Binding responses; a peer signs always (RFC 8445 §7.3).
                    } else if self.checks.answered(&stun, path, at_us, &mut facts.consent, &mut self.moments)
                        || stun.method() == BINDING && stun.has_integrity()
                    {
                        facts.check_responses_received += 1;
                        facts.answered_by = Some(path.remote);
                        facts.first_check_response_us.get_or_insert(at_us);
                    } else {
                        facts.server_responses_received += 1;
                    }
                }
                StunClass::Error => {
                    facts.stun_errors_received += 1;
                    if let Some(code) = stun.error_code() {
                        facts.last_stun_error = Some(StunError { method: stun.method(), code, at_us });
                    }
                    if !self.transactions.answered(&stun, at_us, &mut self.moments) && stun.method() == BINDING {
                        self.checks.answered(&stun, path, at_us, &mut facts.consent, &mut self.moments);
                    }
                }
                StunClass::Indication => {
                    if let Some(inner) = stun.data() {
                        return self.received(inner, through_indication(&stun, path), at_us);
                    }
                }
            },
            Kind::Dtls => {
                let remote = Some(path.remote);
                let flow = &mut facts.dtls_received;
                let news = dtls::account(flow, datagram, Direction::Received, remote, at_us, &mut self.moments);
                let alert = news.alert.filter(|_| facts.dtls_alert_received.is_none());
                facts.dtls_alert_received = facts.dtls_alert_received.or(alert);
                if let (Some(certificate), None) = (news.certificate, self.certificate) {
                    self.certificate = sha256(certificate).map(|hash| (hash, at_us));
                    self.compare_certificate(at_us);
                }
                return alert.is_some_and(|alert| alert.is_fatal());
            }
            Kind::ChannelData(..) | Kind::Other => facts.other_datagrams += 1,
        }
        false
    }

    fn rtp(&mut self, packet: &[u8], at_us: u64) {
        if self.other_payload_types & 1 << (packet[1] & 0x7f) != 0 {
            self.facts.rtp_other_received += 1;
            self.facts.rtp_other_bytes_received += packet.len() as u64;
            return;
        }
        let sequence = u16::from_be_bytes([packet[2], packet[3]]);
        let timestamp = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
        let ssrc = u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]]);
        if let Some(stream) = self.streams.iter_mut().rev().find(|stream| stream.ssrc == ssrc) {
            let is_event = self.event_payload_types & 1 << (packet[1] & 0x7f) != 0;
            stream.packet(sequence, Some(timestamp).filter(|_| !is_event), at_us, self.clock_rate);
        } else {
            let _ = self.streams.push(InboundStream::new(ssrc, sequence, timestamp, at_us));
        }
    }

    /// The way of what a channel carries; a channel that was not seen bound leads to its server.
    fn through_channel(&self, number: u16, path: Path) -> Path {
        let bound = self.channels.iter().find(|channel| channel.number == number);
        let peer = bound.and_then(|channel| channel.peer.get());
        Path { remote: peer.unwrap_or(path.remote), server: Some(path.remote) }
    }

    fn channel_bound(&mut self, stun: &Stun<'_>) {
        let (Some(number), Some(peer)) = (stun.channel_number(), stun.xor_address(XOR_PEER_ADDRESS)) else { return };
        match self.channels.iter_mut().find(|channel| channel.number == number) {
            Some(channel) => channel.peer = peer.into(),
            None => self.channels.push_over(Channel { number, peer: peer.into() }, |_| 0),
        }
    }

    fn compare_certificate(&mut self, at_us: u64) {
        if let (Some(expected), Some((shown, _))) = (self.expected_fingerprint, self.certificate)
            && expected != shown
        {
            self.moments.note(at_us, MomentEvent::CertificateMismatch, None, 0);
        }
    }

    fn inbound(&self) -> InboundQuality {
        let jitter = match (self.streams.iter().last(), self.clock_rate) {
            (Some(stream), rate) if rate > 0 => stream.jitter_us / 1e6,
            _ => 0.0,
        };
        InboundQuality { lost: self.streams.iter().map(InboundStream::lost).sum(), jitter }
    }

    fn tell(&self) -> WireFacts {
        let mut facts = self.facts.clone();
        let inbound = self.inbound();
        (facts.rtp_lost, facts.jitter) = (inbound.lost, inbound.jitter);
        facts.dtls_records_sent = facts.dtls_sent.records;
        facts.first_dtls_sent_us = facts.dtls_sent.first_us;
        facts.dtls_records_received = facts.dtls_received.records;
        facts.first_dtls_received_us = facts.dtls_received.first_us;
        facts.socket_drops = self.drops_at_end.unwrap_or_default();
        facts.resolutions = self.resolutions.iter().cloned().collect();
        self.ice_servers.tell(&mut facts);
        facts.remote_certificate = self.certificate.map(|(hash, at_us)| CertificateFacts {
            fingerprint: to_hex(hash),
            expected: self.expected_fingerprint.map(to_hex),
            at_us,
        });
        self.transactions.tell(&mut facts);
        self.checks.tell(self.transactions.relayed_address(), &mut facts);
        self.refusals.tell(&mut facts);
        self.moments.tell(&mut facts);
        facts
    }
}

/// The way of what a Send or Data indication carries (RFC 8656 §11).
fn through_indication(stun: &Stun<'_>, path: Path) -> Path {
    Path { remote: stun.xor_address(XOR_PEER_ADDRESS).unwrap_or(path.remote), server: Some(path.remote) }
}

fn sha256(bytes: &[u8]) -> Option<[u8; SHA256_BYTES]> {
    use rtc::crypto::{HashAlgorithm, default_provider};
    let provider = default_provider().ok()?;
    provider.crypto().hash(HashAlgorithm::Sha256, bytes).ok()?.try_into().ok()
}

/// In the notation of `a=fingerprint` (RFC 8122 §5).
fn to_hex(hash: [u8; SHA256_BYTES]) -> String {
    hash.map(|byte| format!("{byte:02X}")).join(":")
}

fn from_hex(fingerprint: &str) -> Option<[u8; SHA256_BYTES]> {
    let bytes = fingerprint.split(':').map(|byte| u8::from_str_radix(byte, 16).ok());
    bytes.collect::<Option<Vec<u8>>>()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::facts::{IceServerState, MAX_ICE_SERVERS};
    use super::super::stun::tests::{message, xored};
    use super::super::stun::{
        CHANNEL_NUMBER, DATA, ERROR_CODE, MESSAGE_INTEGRITY, REALM, USERNAME, XOR_RELAYED_ADDRESS,
    };
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
        message(kind, 0, attributes)
    }

    fn observed(datagrams: impl IntoIterator<Item = (u64, Vec<u8>)>) -> WireFacts {
        let started = Instant::now();
        let wire = Wire::new(started);
        wire.negotiated(48_000, 0, 0);
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
    fn telephone_events_count_in_loss_and_not_in_jitter() {
        let started = Instant::now();
        let wire = Wire::new(started);
        wire.negotiated(8_000, 0, 1 << 101);
        for number in 0..40u16 {
            // Tones of five packets, one of which is lost.
            let (is_event, start) = (number / 5 % 2 == 1, number - number % 5);
            let mut packet = rtp(number, u32::from(if is_event { start } else { number }) * 160);
            packet[1] = if is_event { 101 } else { 0 };
            if number != 7 {
                let at = started + Duration::from_millis(u64::from(number) * 20);
                wire.received(&packet, PEER, at, Duration::ZERO);
            }
        }
        let facts = wire.facts();
        assert_eq!((facts.rtp_received, facts.rtp_lost), (39, 1));
        assert!(facts.jitter < 1e-9, "{}", facts.jitter);
    }

    #[test]
    fn a_restarted_numbering_keeps_the_loss_before_it() {
        assert_eq!(observed([1u16, 3, 40_000, 40_001].map(|s| (0, rtp(s, 0)))).rtp_lost, 1);
    }

    #[test]
    fn packets_of_another_line_are_counted_and_disturb_neither_loss_nor_jitter() {
        let started = Instant::now();
        let wire = Wire::new(started);
        wire.negotiated(8_000, 1 << 96, 0);
        for n in 0..10u16 {
            let at = started + Duration::from_millis(20 * u64::from(n));
            wire.received(&rtp(n, u32::from(n) * 160), PEER, at, Duration::ZERO);
            let mut video = rtp(n * 7, u32::from(n) * 3000);
            (video[1], video[8]) = (0x80 | 96, 1);
            wire.received(&video, PEER, at, Duration::ZERO);
        }
        let facts = wire.facts();
        assert_eq!((facts.rtp_received, facts.rtp_other_received, facts.rtp_lost), (20, 10, 0));
        assert_eq!(facts.rtp_bytes_received, 2 * facts.rtp_other_bytes_received);
        assert!(facts.jitter < 1e-9, "{facts:?}");
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
        wire.negotiated(8_000, 0, 0);
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
        let wire = Wire::new(Instant::now());
        let peer = xored("198.51.100.7:4000", 4);
        sent(&wire, &message(0x0009, 4, &[(CHANNEL_NUMBER, &[0x40, 0, 0, 0][..]), (XOR_PEER_ADDRESS, &peer)]));
        came(&wire, &channel);
        came(&wire, &stun(0x0017, &[(DATA, &rtp(2, 1))]));
        let facts = wire.facts();
        assert_eq!((facts.rtp_received, facts.rtp_lost), (2, 0));
    }

    fn sent(wire: &Wire, datagram: &[u8]) {
        wire.sent(datagram, PEER, ServerTransport::Udp, Instant::now());
    }

    fn came(wire: &Wire, datagram: &[u8]) {
        wire.received(datagram, PEER, Instant::now(), Duration::ZERO);
    }

    #[test]
    fn bytes_that_look_like_a_channel_are_none_before_one_is_bound() {
        let wire = Wire::new(Instant::now());
        came(&wire, b"HTTP/1.1 400 Bad Request");
        let facts = wire.facts();
        assert_eq!((facts.other_datagrams, facts.dtls_records_received), (1, 0));
    }

    #[test]
    fn checks_and_server_requests_are_told_apart() {
        let wire = Wire::new(Instant::now());
        sent(&wire, &message(0x0001, 1, &[]));
        sent(&wire, &message(0x0003, 2, &[(USERNAME, b"user"), (REALM, b"realm")]));
        sent(&wire, &message(0x0001, 3, &[(USERNAME, b"a:b")]));
        came(&wire, &message(0x0101, 1, &[]));
        came(&wire, &message(0x0101, 3, &[(MESSAGE_INTEGRITY, &[0; 20])]));
        let facts = wire.facts();
        assert_eq!((facts.checks_sent, facts.server_requests_sent), (1, 2));
        assert_eq!((facts.check_responses_received, facts.server_responses_received), (1, 1));
        assert_eq!(facts.transactions.iter().filter(|asked| asked.is_unanswered()).count(), 1);
        assert_eq!(facts.pairs[0].checks_answered, 1);
    }

    #[test]
    fn a_stun_server_is_ready_when_it_has_answered() {
        let wire = Wire::new(Instant::now());
        wire.configured([("stun:h".to_owned(), ServerTransport::Udp)].into_iter());
        wire.ice_server(0, |server, now_us| {
            (server.address, server.state, server.tried_us) = (Some(PEER), IceServerState::Trying, Some(now_us));
        });
        sent(&wire, &message(0x0001, 1, &[]));
        assert_eq!(wire.facts().ice_servers[0].state, IceServerState::Trying);
        came(&wire, &message(0x0101, 1, &[]));
        let server = &wire.facts().ice_servers[0];
        assert!(server.state == IceServerState::Ready && server.ready_us >= server.tried_us, "{server:?}");
    }

    #[test]
    fn checks_through_a_relay_name_the_relay_and_the_peer() {
        let wire = Wire::new(Instant::now());
        let (relayed, peer) = ("192.0.2.1:50000", "198.51.100.7:4000");
        sent(&wire, &message(0x0003, 1, &[(USERNAME, b"u"), (REALM, b"r")]));
        came(&wire, &message(0x0103, 1, &[(XOR_RELAYED_ADDRESS, &xored(relayed, 1))]));
        let check = message(0x0001, 2, &[(USERNAME, b"a:b")]);
        sent(&wire, &message(0x0016, 3, &[(XOR_PEER_ADDRESS, &xored(peer, 3)), (DATA, &check)]));
        let bound = [(CHANNEL_NUMBER, &[0x40, 1, 0, 0][..]), (XOR_PEER_ADDRESS, &xored(peer, 4))];
        sent(&wire, &message(0x0009, 4, &bound));
        let answer = message(0x0101, 2, &[(MESSAGE_INTEGRITY, &[0; 20])]);
        let mut channel = vec![0x40, 1, 0, answer.len() as u8];
        channel.extend(answer);
        came(&wire, &channel);
        let facts = wire.facts();
        let [pair] = &facts.pairs[..] else { panic!("{facts:?}") };
        assert_eq!((pair.checks_sent, pair.checks_answered, pair.answered_elsewhere), (1, 1, 0));
        assert_eq!(pair.relay, Some(relayed.parse().expect("an address")));
        assert_eq!(pair.remote, Some(peer.parse().expect("an address")));
        assert_eq!(facts.answered_by, pair.remote);
    }

    #[test]
    fn a_certificate_is_compared_with_the_description() {
        let wire = Wire::new(Instant::now());
        // SHA-256 of "abc", FIPS 180-2 B.1.
        let right = "BA:78:16:BF:8F:01:CF:EA:41:41:40:DE:5D:AE:22:23:B0:03:61:A3:96:17:7A:9C:B4:10:FF:61:F2:00:15:AD";
        let certificate = [
            &[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 21][..],
            &[11, 0, 0, 9, 0, 1, 0, 0, 0, 0, 0, 9, 0, 0, 6, 0, 0, 3],
            b"abc",
        ]
        .concat();
        came(&wire, &certificate);
        let shown = wire.facts().remote_certificate.expect("shown");
        assert_eq!((shown.fingerprint.as_str(), shown.expected.as_deref()), (right, None));
        wire.described_remotely(&right.to_lowercase());
        assert!(!wire.facts().remote_certificate.expect("shown").is_mismatch());
        wire.described_remotely(&right.replace("BA", "BB"));
        let facts = wire.facts();
        assert!(facts.remote_certificate.expect("shown").is_mismatch());
        assert_eq!(facts.moments.last().map(|moment| moment.event), Some(MomentEvent::CertificateMismatch));
    }

    #[test]
    fn observing_costs_a_session_at_most_eight_kilobytes() {
        // What strings may take: a few host names, URLs and reasons.
        const TEXTS: usize = MAX_RESOLUTIONS * 64 + MAX_ICE_SERVERS * 96;
        let lists = Transactions::HEAP_BYTES
            + Checks::HEAP_BYTES
            + Refusals::HEAP_BYTES
            + Moments::HEAP_BYTES
            + Bounded::<Channel, MAX_CHANNELS>::HEAP_BYTES
            + Bounded::<Resolution, MAX_RESOLUTIONS>::HEAP_BYTES
            + IceServers::HEAP_BYTES
            + Bounded::<InboundStream, MAX_STREAMS>::HEAP_BYTES;
        let all = size_of::<Wire>() + lists + TEXTS;
        assert!(all <= 8192, "{all} bytes: {} fixed, {lists} in lists, {TEXTS} in texts", size_of::<Wire>());
    }

    #[test]
    fn facts_survive_a_round_trip_through_json() {
        let wire = Wire::new(Instant::now());
        sent(&wire, &message(0x0003, 1, &[]));
        wire.refused(SocketCall::Send, Some(PEER), &io::Error::from_raw_os_error(libc::EPERM));
        let facts = wire.facts();
        let json = serde_json::to_string(&facts).expect("serialisable");
        assert!(json.contains("\"withIntegrity\":false") && json.contains("\"method\":\"Allocate\""), "{json}");
        assert_eq!(serde_json::from_str::<WireFacts>(&json).expect("readable"), facts);
    }

    #[test]
    fn the_media_account_is_that_of_the_facts() {
        let wire = Wire::new(Instant::now());
        wire.negotiated(48_000, 0, 0);
        for (number, at_ms) in [(1, 0), (2, 20), (5, 95)] {
            wire.received(
                &rtp(number, 960 * u32::from(number)),
                PEER,
                wire.started() + Duration::from_millis(at_ms),
                Duration::ZERO,
            );
        }
        let facts = wire.facts();
        let seen = wire.media(|counted, inbound| (counted.rtp_received, inbound));
        assert_eq!(seen, (3, InboundQuality { lost: facts.rtp_lost, jitter: facts.jitter }));
        assert!(facts.rtp_lost == 2 && facts.jitter > 0.0, "{facts:?}");
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

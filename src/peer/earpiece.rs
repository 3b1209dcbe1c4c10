//! Where received packets end: the last interceptor of the engine's chain.
//!
//! It takes every decrypted RTP packet, counts it, hands it to an echoing talker and drops it; nothing is decoded or
//! queued, so a session needs no task that reads. It reads the reception reports about us, which the engine overlooks in
//! Sender Reports and never turns into a round-trip time (RFC 3550 §6.4). On the way out it gives packets of telephone events
//! their payload type, which the engine's sender would refuse. Runs on the engine's task; never blocks.
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use rtc::interceptor::{Interceptor, Packet, Slot, StreamInfo, TaggedPacket};
use rtc::rtcp::receiver_report::ReceiverReport;
use rtc::rtcp::reception_report::ReceptionReport;
use rtc::rtcp::sender_report::SenderReport;
use rtc::sansio::Protocol;
use rtc::shared::error::Error;

use crate::media::talker::Talker;
use crate::media::telephone_event::TonesHeard;

/// After every interceptor of the engine.
pub(super) const SLOT: Slot = Slot::Custom(14_000);

/// What has been heard so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard {
    /// Payload bytes of RTP packets, without headers (W3C `bytesReceived`).
    pub(super) payload_bytes: u64,
    /// Header bytes of RTP packets (W3C `headerBytesReceived`).
    pub(super) header_bytes: u64,
    /// Arrival of the latest RTP packet, ms since the Unix epoch.
    pub(super) last_packet_ms: Option<f64>,
    /// The latest reception report about us.
    pub(super) report: Option<Report>,
    /// What the other side has dialled.
    pub(super) tones: TonesHeard,
}

/// How the other side receives us (W3C `RTCRemoteInboundRtpStreamStats`).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Report {
    /// 0..1, since the report before.
    pub(super) fraction_lost: f64,
    /// Since the beginning.
    pub(super) packets_lost: u32,
    /// RTP clock ticks.
    pub(super) jitter_ticks: u32,
    /// Seconds; `None` before a Sender Report of ours was heard there.
    pub(super) round_trip_time: Option<f64>,
    /// Sum of all round-trip times so far, seconds.
    pub(super) total_round_trip_time: f64,
    /// How many these were.
    pub(super) round_trip_time_measurements: u64,
}

/// The interceptor.
pub(super) struct Earpiece {
    talker: Arc<Talker>,
    heard: Arc<Mutex<Heard>>,
    /// Our own stream, which reports name.
    ssrc: u32,
    read: VecDeque<TaggedPacket>,
    write: VecDeque<TaggedPacket>,
}

impl Earpiece {
    /// An earpiece for the stream `ssrc`; `heard` is read by others.
    pub(super) fn new(ssrc: u32, talker: Arc<Talker>, heard: Arc<Mutex<Heard>>) -> Self {
        Self { talker, heard, ssrc, read: VecDeque::new(), write: VecDeque::new() }
    }

    fn report(&self, report: &ReceptionReport) {
        if report.ssrc != self.ssrc {
            return;
        }
        let mut heard = self.heard.lock();
        let before = heard.report.unwrap_or_default();
        let round_trip_time = round_trip_time(ntp_middle(since_unix_epoch()), report);
        heard.report = Some(Report {
            fraction_lost: f64::from(report.fraction_lost) / 256.0,
            packets_lost: report.total_lost,
            jitter_ticks: report.jitter,
            round_trip_time: round_trip_time.or(before.round_trip_time),
            total_round_trip_time: before.total_round_trip_time + round_trip_time.unwrap_or(0.0),
            round_trip_time_measurements: before.round_trip_time_measurements + u64::from(round_trip_time.is_some()),
        });
    }
}

/// A - LSR - DLSR (RFC 3550 §6.4.1) in seconds; `None` without LSR, and where clocks make it absurd.
fn round_trip_time(now: u32, report: &ReceptionReport) -> Option<f64> {
    let units = now.wrapping_sub(report.last_sender_report).wrapping_sub(report.delay);
    // A value just below zero comes from the rounding of both sides.
    let units = if units > u32::MAX - 655 { 0 } else { units };
    let seconds = f64::from(units) / 65536.0;
    (report.last_sender_report != 0 && seconds < 60.0).then_some(seconds)
}

/// The middle 32 bits of an NTP timestamp (RFC 3550 §4): 16.16 seconds.
fn ntp_middle(since_unix_epoch: std::time::Duration) -> u32 {
    const SECONDS_1900_TO_1970: u64 = 2_208_988_800;
    let seconds = since_unix_epoch.as_secs() + SECONDS_1900_TO_1970;
    let fraction = (u64::from(since_unix_epoch.subsec_nanos()) << 16) / 1_000_000_000;
    (seconds << 16 | fraction) as u32
}

fn since_unix_epoch() -> std::time::Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Earpiece {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        match &packet.message.packet {
            Packet::Rtp(rtp) => {
                let mut heard = self.heard.lock();
                heard.payload_bytes += rtp.payload.len() as u64;
                let extensions = if rtp.header.extension { 4 + rtp.header.get_extension_payload_len() } else { 0 };
                heard.header_bytes += (12 + 4 * rtp.header.csrc.len() + extensions) as u64;
                heard.last_packet_ms = Some(since_unix_epoch().as_secs_f64() * 1e3);
                if heard.tones.is_event(rtp.header.payload_type) {
                    heard.tones.packet(rtp.header.ssrc, rtp.header.timestamp, &rtp.payload);
                }
                drop(heard);
                self.talker.received(rtp);
                return Ok(());
            }
            Packet::Rtcp(packets) => {
                for packet in packets {
                    let packet = packet.as_any();
                    let reports = packet
                        .downcast_ref::<ReceiverReport>()
                        .map(|report| &report.reports)
                        .or_else(|| packet.downcast_ref::<SenderReport>().map(|report| &report.reports));
                    reports.into_iter().flatten().for_each(|report| self.report(report));
                }
            }
            _ => {}
        }
        self.read.push_back(packet);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.read.pop_front()
    }

    fn handle_write(&mut self, mut packet: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtp(rtp) = &mut packet.message.packet
            && rtp.header.ssrc == self.ssrc
            && let Some(payload_type) = self.talker.telephone_event(rtp.header.sequence_number)
        {
            rtp.header.payload_type = payload_type;
        }
        self.write.push_back(packet);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.write.pop_front()
    }
}

impl Interceptor for Earpiece {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn report(last_sender_report: u32, delay: u32) -> ReceptionReport {
        ReceptionReport { ssrc: 7, last_sender_report, delay, ..ReceptionReport::default() }
    }

    #[test]
    fn a_round_trip_is_what_is_left_of_the_time_since_our_report() {
        // The example of RFC 3550 §6.4.1, figure 2: A b710:8000, LSR b705:2000, DLSR 5.250 s, round trip 6.125 s.
        let time = round_trip_time(0xb710_8000, &report(0xb705_2000, 0x0005_4000)).expect("a time");
        assert!((time - 6.125).abs() < 1e-9, "{time}");
    }

    #[test]
    fn there_is_no_round_trip_before_a_report_of_ours_was_heard() {
        assert_eq!(round_trip_time(1000, &report(0, 0)), None);
        assert_eq!(round_trip_time(1000, &report(2, 1000)), Some(0.0), "rounding below zero");
        assert_eq!(round_trip_time(1000, &report(0x8000_0000, 0)), None, "a clock that jumped");
    }

    #[test]
    fn ntp_counts_from_1900() {
        assert_eq!(ntp_middle(Duration::from_millis(500)), (2_208_988_800u64 << 16) as u32 | 0x8000);
    }
}

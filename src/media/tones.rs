//! DTMF tones as telephone events (RFC 4733): packets that take the place of audio for as long as a tone sounds. Pure.
use std::collections::VecDeque;

use bytes::Bytes;

/// How long a tone is, in packets of 20 ms.
const TONE: u16 = 8;
/// How often its last packet is sent (RFC 4733 §2.5.1.4).
const ENDS: u16 = 3;
/// Audio between two tones, in packets.
const PAUSE: u16 = 3;
/// Tones that may wait.
const MAX_WAITING: usize = 128;
/// −10 dBm0 (RFC 4733 §2.3.3).
const VOLUME: u8 = 10;
/// The names of the events 0 to 15 (RFC 4733 §3.2).
const EVENTS: &[u8; 16] = b"0123456789*#ABCD";

/// The tones that wait to be sent on one stream, and the one that sounds.
#[derive(Debug, Default)]
pub(crate) struct Tones {
    waiting: VecDeque<u8>,
    sounding: Option<Sounding>,
    pause: u16,
}

#[derive(Debug)]
struct Sounding {
    event: u8,
    timestamp: u32,
    packets: u16,
}

/// One packet of a tone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TonePacket {
    /// Of the tone's beginning, in all its packets.
    pub(crate) timestamp: u32,
    /// The first one.
    pub(crate) marker: bool,
    pub(crate) payload: Bytes,
}

impl Tones {
    /// Adds tones; false, and nothing added, where one is none or too many wait.
    pub(crate) fn add(&mut self, digits: &str) -> bool {
        let event = |digit: u8| EVENTS.iter().position(|known| *known == digit.to_ascii_uppercase());
        let events: Option<Vec<u8>> = digits.bytes().map(|digit| Some(event(digit)? as u8)).collect();
        match events {
            Some(events) if self.waiting.len() + events.len() <= MAX_WAITING => {
                self.waiting.extend(events);
                true
            }
            _ => false,
        }
    }

    /// The packet that is due at `timestamp` instead of audio, if one is; `ticks` are those of a packet.
    pub(crate) fn next(&mut self, timestamp: u32, ticks: u32) -> Option<TonePacket> {
        if self.sounding.is_none() {
            if self.pause > 0 {
                self.pause -= 1;
                return None;
            }
            let event = self.waiting.pop_front()?;
            self.sounding = Some(Sounding { event, timestamp, packets: 0 });
        }
        let sounding = self.sounding.as_mut()?;
        sounding.packets += 1;
        let sounded = sounding.packets.min(TONE);
        let ends = sounding.packets >= TONE;
        let duration = u16::try_from(ticks * u32::from(sounded)).unwrap_or(u16::MAX).to_be_bytes();
        let packet = TonePacket {
            timestamp: sounding.timestamp,
            marker: sounding.packets == 1,
            payload: vec![sounding.event, if ends { 0x80 | VOLUME } else { VOLUME }, duration[0], duration[1]].into(),
        };
        if sounding.packets >= TONE + ENDS - 1 {
            self.sounding = None;
            self.pause = PAUSE;
        }
        Some(packet)
    }
}

/// The tones that were heard on one stream.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    tones: String,
    last: Option<u32>,
}

impl Heard {
    /// Takes a packet; a tone counts once, at its beginning.
    pub(crate) fn take(&mut self, timestamp: u32, payload: &[u8]) {
        let Some(name) = payload.first().and_then(|event| EVENTS.get(usize::from(*event))) else { return };
        if payload.len() >= 4 && self.last != Some(timestamp) && self.tones.len() < MAX_WAITING {
            self.last = Some(timestamp);
            self.tones.push(char::from(*name));
        }
    }

    pub(crate) fn tones(&self) -> &str {
        &self.tones
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_keeps_its_timestamp_grows_and_ends_three_times() {
        let mut tones = Tones::default();
        assert!(tones.add("5#"));
        let mut heard = Heard::default();
        let packets: Vec<_> = (0..40).map(|number| tones.next(1000 + number * 160, 160)).collect();
        let first: Vec<_> = packets.iter().take(10).map(|packet| packet.as_ref().expect("a tone")).collect();
        assert!(first.iter().all(|packet| packet.timestamp == 1000));
        assert_eq!(first.iter().filter(|packet| packet.marker).count(), 1);
        assert_eq!(&first[0].payload[..], [5, 10, 0, 160]);
        assert_eq!(first.iter().filter(|packet| packet.payload[..] == [5, 0x8a, 5, 0]).count(), 3, "160 ms, ended");
        assert!(packets[10..13].iter().all(Option::is_none), "audio between two tones");
        assert_eq!(packets[13].as_ref().map(|packet| packet.payload[0]), Some(11));
        assert!(packets[23..].iter().all(Option::is_none));
        for packet in packets.iter().flatten() {
            heard.take(packet.timestamp, &packet.payload);
        }
        assert_eq!(heard.tones(), "5#");
    }

    #[test]
    fn what_is_no_tone_is_refused_whole_and_too_many_are() {
        let mut tones = Tones::default();
        assert!(!tones.add("12x") && tones.next(0, 160).is_none());
        assert!(tones.add("abcd*0") && !tones.add(&"1".repeat(MAX_WAITING)));
    }
}

//! Telephone events: DTMF as RTP packets in place of the audio (RFC 4733), in the times of W3C `RTCDTMFSender`.
//!
//! A [`Dtmf`] says what is dialled, a [`Dial`] which packet is due when, a [`TonesHeard`] what the other side has dialled. Pure: time
//! comes as RTP timestamps and packet times, packets as header and payload. A dial that is dropped says how far it came.
use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::oneshot;

use super::PACKET_TIME;
use crate::config::ConfigError;

/// Power of a tone, in -dBm0 (RFC 4733 §2.3.3); what browsers send.
const VOLUME: u8 = 10;
/// How often the end of a tone is said (RFC 4733 §2.5.1.4).
const ENDS: u8 = 3;
/// What a comma pauses (W3C `RTCDTMFSender`).
pub(crate) const PAUSE: Duration = Duration::from_secs(2);
/// Most characters of one dialling.
const MOST_DIGITS: usize = 64;
/// Received tones that are kept of a session; later ones are counted only.
const MOST_HEARD: usize = 256;
/// The longest duration that an event packet can say, in RTP clock ticks (RFC 4733 §2.3.5).
const LONGEST: u32 = 0xffff;

/// The events of DTMF in the order of their codes, from 0 (RFC 4733 §3.2).
const EVENTS: &[u8; 16] = b"0123456789*#ABCD";

/// What is dialled: tones and pauses, how long each tone is and what is between two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dtmf {
    digits: String,
    duration: Duration,
    gap: Duration,
}

impl Dtmf {
    /// Length of a tone without another wish (W3C `insertDTMF`), ms.
    pub const DURATION_MS: u64 = 100;
    /// Silence between two tones without another wish (W3C `insertDTMF`), ms.
    pub const GAP_MS: u64 = 70;

    /// `digits` are 1 to 64 of `0`–`9`, `*`, `#`, `A`–`D` (small letters count as capitals) and `,`, which pauses for
    /// two seconds. A tone takes `duration_ms`, 40 to 6000 (default 100), and is followed by `gap_ms` of silence, 30 to 6000
    /// (default 70): the bounds of W3C `RTCDTMFSender`. Both are rounded up to whole packets of 20 ms.
    ///
    /// # Errors
    /// [`ConfigError`] with `digits`, `durationMs` or `gapMs`.
    pub fn new(digits: &str, duration_ms: Option<u64>, gap_ms: Option<u64>) -> Result<Self, ConfigError> {
        let capitals = digits.to_ascii_uppercase();
        let is_known = |digit: u8| digit == b',' || EVENTS.contains(&digit);
        if capitals.is_empty() || capitals.len() > MOST_DIGITS || !capitals.bytes().all(is_known) {
            let accepted =
                format!("1 to {MOST_DIGITS} of 0-9, *, #, A-D (RFC 4733 section 3.2) and ',' for a pause of 2 s");
            return Err(ConfigError::new("digits", digits, accepted));
        }
        let within = |field: &str, given: Option<u64>, default: u64, least: u64| match given.unwrap_or(default) {
            ms if (least..=6000).contains(&ms) => Ok(Duration::from_millis(ms)),
            ms => Err(ConfigError::new(field, ms, format!("{least} to 6000 ms (W3C RTCDTMFSender)"))),
        };
        let duration = within("durationMs", duration_ms, Self::DURATION_MS, 40)?;
        let gap = within("gapMs", gap_ms, Self::GAP_MS, 30)?;
        Ok(Self { digits: capitals, duration, gap })
    }

    /// What is dialled, in capitals.
    pub fn digits(&self) -> &str {
        &self.digits
    }

    /// How long a tone is.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// How many tones that are: commas are none.
    pub fn tones(&self) -> usize {
        self.digits.bytes().filter(|digit| *digit != b',').count()
    }

    /// How long the whole takes as telephone events, with the gap after the last tone.
    pub fn takes(&self) -> Duration {
        let of = |digit: u8| match digit {
            b',' => packets(PAUSE),
            _ => packets(self.duration) + packets(self.gap),
        };
        PACKET_TIME * self.digits.bytes().map(of).sum::<u32>()
    }
}

/// Packet times in `time`, rounded up; [`Dtmf`] keeps it small.
fn packets(time: Duration) -> u32 {
    u32::try_from(time.as_nanos().div_ceil(PACKET_TIME.as_nanos())).unwrap_or(u32::MAX)
}

/// The event of a digit.
fn event_of(digit: u8) -> Option<u8> {
    EVENTS.iter().position(|known| *known == digit).and_then(|code| u8::try_from(code).ok())
}

/// `telephone-event` as the other side takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TelephoneEvents {
    /// RTP payload type.
    pub payload_type: u8,
    /// Ticks per second in which durations are told.
    pub clock_rate: u32,
    /// Which of the events 0 to 15 it takes, one bit each.
    #[serde(skip)]
    pub(crate) events: u16,
}

impl TelephoneEvents {
    /// With the `a=fmtp` of its format: a list such as `0-11,66`; without one it is 0 to 15 (RFC 4733 §2.4.1).
    pub(crate) fn new(payload_type: u8, clock_rate: u32, fmtp: Option<&str>) -> Self {
        let listed = fmtp.map(|fmtp| {
            let range = |part: &str| {
                let part = part.trim();
                let (first, last) = part.split_once('-').unwrap_or((part, part));
                Some(first.parse::<u16>().ok()?..=last.parse::<u16>().ok()?)
            };
            let ranges: Vec<_> = fmtp.trim_start_matches("events=").split(',').filter_map(range).collect();
            (0..16)
                .filter(|code| ranges.iter().any(|range| range.contains(code)))
                .fold(0, |bits, code| bits | 1 << code)
        });
        Self { payload_type, clock_rate, events: listed.unwrap_or(0xffff) }
    }

    /// The first digit that it does not take.
    pub(crate) fn refuses(&self, dtmf: &Dtmf) -> Option<char> {
        let is_taken = |digit: u8| event_of(digit).is_none_or(|code| self.events & (1 << code) != 0);
        dtmf.digits.bytes().find(|digit| !is_taken(*digit)).map(char::from)
    }
}

/// What became of a dialling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Dialled {
    /// Tones whose end was sent.
    pub tones: u32,
    /// RTP packets that carried them.
    pub packets: u32,
    /// Everything was sent.
    #[serde(skip)]
    pub(crate) complete: bool,
}

/// A dialling under way.
pub(crate) struct Dial {
    rest: VecDeque<u8>,
    format: TelephoneEvents,
    /// Ticks per second of the timestamps, which are the audio's.
    audio_rate: u32,
    tone: Duration,
    gap: u32,
    state: State,
    told: Dialled,
    done: Option<oneshot::Sender<Dialled>>,
}

enum State {
    /// Nothing is sent for so many packet times; of the tone before, the end is said so many times more.
    Rest { left: u32, end: Option<(Event, u8)> },
    /// A tone that began so many packet times ago.
    Tone { code: u8, start: u32, elapsed: u32, segment: u32 },
}

/// An event packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// RTP timestamp: the beginning of the tone, or of its segment.
    pub(crate) timestamp: u32,
    /// The first packet of a tone (RFC 4733 §2.5.1.1).
    pub(crate) marker: bool,
    pub(crate) payload: [u8; 4],
}

/// What is due at a packet time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Audio, if there is any.
    Audio,
    /// A packet of an event instead of it.
    Event(Event),
    /// Audio; the dialling is over.
    Over,
}

impl Dial {
    /// Dials `dtmf` to a side that takes it as `format`; `done` is told when it is over, however it ends.
    pub(crate) fn new(dtmf: &Dtmf, format: TelephoneEvents, audio_rate: u32, done: oneshot::Sender<Dialled>) -> Self {
        Self {
            rest: dtmf.digits.bytes().collect(),
            format,
            audio_rate,
            tone: dtmf.duration,
            gap: packets(dtmf.gap),
            state: State::Rest { left: 0, end: None },
            told: Dialled::default(),
            done: Some(done),
        }
    }

    /// RTP payload type of its packets.
    pub(crate) fn payload_type(&self) -> u8 {
        self.format.payload_type
    }

    /// Whether a tone has begun whose end has not been said as often as it has to be.
    pub(crate) fn sounds(&self) -> bool {
        matches!(self.state, State::Tone { .. } | State::Rest { end: Some(_), .. })
    }

    /// Counts a packet of it as sent.
    pub(crate) fn sent(&mut self) {
        self.told.packets += 1;
    }

    /// What is due at the packet time with the timestamp `now`; `missed` packet times before it have passed unused. A dialling
    /// that nobody waits for any more ends with its tone.
    pub(crate) fn due(&mut self, now: u32, missed: u32) -> Due {
        let passed = missed.saturating_add(1);
        if let State::Rest { left, end } = &mut self.state {
            if let Some((event, more)) = *end {
                *left = left.saturating_sub(passed);
                *end = Some((event, more - 1)).filter(|(_, more)| *more > 0);
                return Due::Event(event);
            }
            if *left > 0 {
                *left = left.saturating_sub(passed);
                return Due::Audio;
            }
            let abandoned = self.done.as_ref().is_none_or(oneshot::Sender::is_closed);
            match self.rest.pop_front().filter(|_| !abandoned) {
                None => {
                    self.told.complete = self.rest.is_empty() && !abandoned;
                    return Due::Over;
                }
                Some(digit) => match event_of(digit) {
                    None => {
                        self.state = State::Rest { left: packets(PAUSE) - 1, end: None };
                        return Due::Audio;
                    }
                    // What was missed before its beginning is not part of it.
                    Some(code) => self.state = State::Tone { code, start: now, elapsed: 0, segment: 0 },
                },
            }
            return self.sound(1);
        }
        self.sound(passed)
    }

    /// The packet of a tone that goes on for so many packet times.
    fn sound(&mut self, passed: u32) -> Due {
        let ticks = |time: Duration| {
            u32::try_from(time.as_millis()).unwrap_or(u32::MAX).saturating_mul(self.format.clock_rate / 1000)
        };
        let (whole, per_packet) = (ticks(self.tone), ticks(PACKET_TIME));
        let State::Tone { code, start, elapsed, segment } = &mut self.state else { return Due::Audio };
        let first = *elapsed == 0;
        *elapsed += passed;
        let so_far = elapsed.saturating_mul(per_packet).min(whole);
        let in_segment = so_far - *segment;
        // Timestamps count in the clock of the audio, whatever the events' own is.
        let offset = u64::from(*segment) * u64::from(self.audio_rate) / u64::from(self.format.clock_rate.max(1));
        let timestamp = start.wrapping_add(offset as u32);
        let (code, ends) = (*code, in_segment <= LONGEST && so_far == whole);
        let duration = in_segment.min(LONGEST);
        if in_segment > LONGEST {
            // The tone goes on in the next segment (RFC 4733 §2.5.1.3).
            *segment += LONGEST;
        }
        let [high, low] = (duration as u16).to_be_bytes();
        let payload = [code, u8::from(ends) << 7 | VOLUME, high, low];
        let event = Event { timestamp, marker: first, payload };
        if ends {
            self.told.tones += 1;
            self.state = State::Rest { left: self.gap, end: Some((Event { marker: false, ..event }, ENDS - 1)) };
        }
        Due::Event(event)
    }
}

impl Drop for Dial {
    fn drop(&mut self) {
        if let Some(done) = self.done.take() {
            // Whoever has stopped waiting does not want to know.
            let _ = done.send(self.told);
        }
    }
}

/// What the other side dials, as its packets tell it.
#[derive(Clone, Debug, Default)]
pub(crate) struct TonesHeard {
    /// Payload types that are telephone events by our description, one bit each.
    pub(crate) payload_types: u128,
    digits: String,
    latest: Option<Latest>,
}

/// The newest event.
#[derive(Clone, Copy, Debug)]
struct Latest {
    ssrc: u32,
    timestamp: u32,
    code: u8,
    duration: u16,
    ended: bool,
}

impl TonesHeard {
    /// The tones so far, in their order: at most 256.
    pub(crate) fn digits(&self) -> &str {
        &self.digits
    }

    /// Whether packets of this payload type are events.
    pub(crate) fn is_event(&self, payload_type: u8) -> bool {
        self.payload_types.checked_shr(payload_type.into()).unwrap_or_default() & 1 == 1
    }

    /// Takes an event packet: a tone counts with the first packet of it that arrives, and once (RFC 4733 §2.5.2.2). Events that
    /// are no DTMF are passed over, and so is what is too short to be one.
    pub(crate) fn packet(&mut self, ssrc: u32, timestamp: u32, payload: &[u8]) {
        let &[code, flags, high, low, ..] = payload else { return };
        let (duration, ended) = (u16::from_be_bytes([high, low]), flags & 0x80 != 0);
        let latest = Latest { ssrc, timestamp, code, duration, ended };
        let goes_on = match &mut self.latest {
            Some(known) if known.ssrc == ssrc => {
                let later = timestamp.wrapping_sub(known.timestamp);
                if later == 0 {
                    known.duration = known.duration.max(duration);
                    known.ended |= ended;
                    return;
                }
                // One that was overtaken.
                if later > u32::MAX / 2 {
                    return;
                }
                // The next segment of a long tone.
                known.code == code && !known.ended && known.duration == u16::MAX
            }
            _ => false,
        };
        self.latest = Some(latest);
        if let Some(digit) = EVENTS.get(usize::from(code)).filter(|_| !goes_on && self.digits.len() < MOST_HEARD) {
            self.digits.push(char::from(*digit));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_8000: TelephoneEvents = TelephoneEvents { payload_type: 126, clock_rate: 8000, events: 0xffff };
    const AT_48000: TelephoneEvents = TelephoneEvents { payload_type: 110, clock_rate: 48_000, events: 0xffff };

    /// What is due at each packet time until it is over, and what was told then.
    fn dialled(dtmf: &Dtmf, format: TelephoneEvents, audio_rate: u32) -> (Vec<Due>, Dialled) {
        let (done, mut told) = oneshot::channel();
        let mut dial = Dial::new(dtmf, format, audio_rate, done);
        let mut dues = Vec::new();
        for packet in 0..10_000 {
            match dial.due(1000 + packet * (audio_rate / 50), 0) {
                Due::Over => break,
                due => dues.push(due),
            }
        }
        drop(dial);
        (dues, told.try_recv().expect("told"))
    }

    fn events(dues: &[Due]) -> Vec<Event> {
        let event = |due: &Due| match due {
            Due::Event(event) => Some(*event),
            _ => None,
        };
        dues.iter().filter_map(event).collect()
    }

    fn duration(event: &Event) -> u16 {
        u16::from_be_bytes([event.payload[2], event.payload[3]])
    }

    #[test]
    fn a_tone_grows_keeps_its_timestamp_and_says_its_end_three_times() {
        let (dues, told) = dialled(&Dtmf::new("5", None, None).expect("usable"), AT_8000, 8000);
        let events = events(&dues);
        assert_eq!(events.iter().map(duration).collect::<Vec<_>>(), [160, 320, 480, 640, 800, 800, 800]);
        let ends: Vec<_> = events.iter().map(|event| event.payload[1]).collect();
        assert_eq!(ends, [10, 10, 10, 10, 0x8a, 0x8a, 0x8a], "volume 10, and E");
        let markers: Vec<_> = events.iter().map(|event| event.marker).collect();
        assert_eq!(markers, [true, false, false, false, false, false, false]);
        assert!(events.iter().all(|event| event.timestamp == 1000 && event.payload[0] == 5));
        assert_eq!(dues[7..], [Due::Audio, Due::Audio], "the rest of the gap");
        assert_eq!(told, Dialled { tones: 1, packets: 0, complete: true });
    }

    #[test]
    fn tones_begin_duration_and_gap_apart_and_a_comma_pauses_two_seconds() {
        let starts = |digits: &str, duration: Option<u64>, gap: Option<u64>| {
            let dtmf = Dtmf::new(digits, duration, gap).expect("usable");
            let (dues, told) = dialled(&dtmf, AT_8000, 8000);
            assert_eq!(dtmf.takes(), PACKET_TIME * u32::try_from(dues.len()).expect("few"));
            assert!(told.complete);
            let starts = events(&dues).into_iter().filter(|event| event.marker);
            starts.map(|event| (event.payload[0], (event.timestamp - 1000) / 8)).collect::<Vec<_>>()
        };
        assert_eq!(starts("1*#", None, None), [(1, 0), (10, 180), (11, 360)], "ms");
        assert_eq!(starts("ad", Some(40), Some(30)), [(12, 0), (15, 80)]);
        assert_eq!(starts("1,2", None, None), [(1, 0), (2, 2180)]);
    }

    #[test]
    fn a_tone_that_is_longer_than_a_packet_can_say_has_segments() {
        let (dues, told) = dialled(&Dtmf::new("7", Some(3000), None).expect("usable"), AT_48000, 48_000);
        let events = events(&dues);
        let mut starts: Vec<_> = events.iter().map(|event| event.timestamp - 1000).collect();
        starts.dedup();
        assert_eq!(starts, [0, 0xffff, 2 * 0xffff]);
        assert_eq!(events.iter().filter(|event| event.marker).count(), 1);
        let last = events.last().expect("some");
        assert_eq!((u32::from(duration(last)), last.payload[1]), (144_000 - 2 * 0xffff, 0x8a));
        assert_eq!(told.tones, 1);
        let mut heard = TonesHeard::default();
        events.iter().for_each(|event| heard.packet(7, event.timestamp, &event.payload));
        assert_eq!(heard.digits(), "7", "and is heard as one");
    }

    #[test]
    fn durations_are_told_in_the_clock_of_the_events() {
        let (dues, _) = dialled(&Dtmf::new("0", None, None).expect("usable"), AT_48000, 48_000);
        assert_eq!(duration(&events(&dues)[0]), 960);
        let (dues, _) = dialled(&Dtmf::new("0", None, None).expect("usable"), AT_8000, 48_000);
        assert_eq!(duration(&events(&dues)[0]), 160);
    }

    #[test]
    fn packet_times_that_were_missed_shorten_nothing_but_the_packets() {
        let (done, _told) = oneshot::channel();
        let mut dial = Dial::new(&Dtmf::new("5", None, None).expect("usable"), AT_8000, 8000, done);
        let Due::Event(first) = dial.due(1000, 3) else { panic!("no event") };
        assert_eq!((duration(&first), first.marker), (160, true));
        let Due::Event(second) = dial.due(1480, 2) else { panic!("no event") };
        assert_eq!((duration(&second), second.payload[1]), (640, 10));
        let ends: Vec<_> = (0..3).map(|_| dial.due(2000, 9)).collect();
        assert!(ends.iter().all(|due| matches!(due, Due::Event(event) if event.payload[1] == 0x8a)), "{ends:?}");
        assert_eq!(dial.due(3000, 0), Due::Over);
    }

    #[test]
    fn a_dialling_that_nobody_waits_for_ends_with_its_tone() {
        let (done, told) = oneshot::channel();
        let mut dial = Dial::new(&Dtmf::new("12", None, None).expect("usable"), AT_8000, 8000, done);
        assert!(matches!(dial.due(0, 0), Due::Event(_)));
        drop(told);
        let rest: Vec<_> = (0..20).map(|_| dial.due(0, 0)).collect();
        assert_eq!(events(&rest).len(), 6, "the first one comes to its end");
        assert_eq!(rest[19], Due::Over);
    }

    #[test]
    fn what_is_heard_counts_once_in_any_order_and_with_losses() {
        let (dues, _) = dialled(&Dtmf::new("19*#D", None, None).expect("usable"), AT_8000, 8000);
        let sent = events(&dues);
        let heard = |packets: &[&Event]| {
            let mut heard = TonesHeard::default();
            packets.iter().for_each(|event| heard.packet(7, event.timestamp, &event.payload));
            heard.digits().to_owned()
        };
        let all: Vec<_> = sent.iter().collect();
        assert_eq!(heard(&all), "19*#D");
        let lossy: Vec<_> = sent.iter().skip(6).step_by(7).collect();
        assert_eq!(heard(&lossy), "19*#D", "the last packet of each is enough");
        let mut late = all.clone();
        late.swap(6, 9);
        assert_eq!(heard(&late), "19*#D", "one that was overtaken is no tone");
        let mut strange = TonesHeard::default();
        strange.packet(7, 1, &[]);
        strange.packet(7, 2, &[66, 10, 0, 160]);
        assert_eq!(strange.digits(), "", "a flash is no digit");
    }

    #[test]
    fn only_what_the_other_side_lists_is_taken_there() {
        let dtmf = |digits: &str| Dtmf::new(digits, None, None).expect("usable");
        let listed = |fmtp| TelephoneEvents::new(101, 8000, fmtp);
        assert_eq!(listed(None).refuses(&dtmf("19*#AD,")), None);
        assert_eq!(listed(Some("0-15,66")).refuses(&dtmf("AD")), None);
        assert_eq!(listed(Some("0-11")).refuses(&dtmf("1#A")), Some('A'));
        assert_eq!(listed(Some("0, 5")).refuses(&dtmf("051")), Some('1'));
        assert_eq!(listed(Some("nonsense")).refuses(&dtmf("0")), Some('0'));
    }

    #[test]
    fn what_cannot_be_dialled_is_refused_by_name() {
        let refused = |digits: &str, duration, gap| Dtmf::new(digits, duration, gap).expect_err("refused").field;
        assert_eq!(refused("", None, None), "digits");
        assert_eq!(refused("12x", None, None), "digits");
        assert_eq!(refused(&"1".repeat(65), None, None), "digits");
        assert_eq!(refused("1", Some(39), None), "durationMs");
        assert_eq!(refused("1", Some(6001), None), "durationMs");
        assert_eq!(refused("1", None, Some(29)), "gapMs");
        assert_eq!(Dtmf::new("a,", None, None).expect("usable").digits(), "A,");
    }
}

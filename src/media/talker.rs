//! One session's outgoing audio: which frame comes next, and with which RTP numbers.
//!
//! Sequence numbers are consecutive over what was really handed over; timestamps follow the schedule, so a skipped
//! packet is a gap in time, not in numbers (RFC 3550 §5.1). Nothing here waits: a sink that cannot take a packet at
//! once makes it a skipped one.
//!
//! While it dials, packets of telephone events take the places of audio packets (RFC 4733 §2.5.1): same SSRC, numbers that go on.
//! They are handed over with the payload type of the audio, because the engine takes no other; [`Talker::telephone_event`] gives
//! the one of the wire to who sees them last.
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use rtc::rtp;

use super::source::frames;
use super::telephone_event::{Dial, Due, Event};
use super::{AudioCodec, pacing};

/// Where packets go. Must not block.
pub(crate) trait PacketSink: Send + Sync + 'static {
    /// Takes the packet now, or returns `false` and has not taken it.
    fn try_send(&self, packet: rtp::Packet) -> bool;
}

/// The outgoing audio of one session; paced by [`pacing`] while it plays.
pub(crate) struct Talker {
    sink: Box<dyn PacketSink>,
    ssrc: u32,
    stream: Mutex<Stream>,
    /// How many entries `on_their_way` has, for who asks at every packet.
    events: AtomicUsize,
}

/// What a [`Talker`] sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nothing.
    Silent,
    /// The shipped loop, on schedule.
    Source,
    /// What is received, when it is received.
    Echo,
}

struct Stream {
    mode: Mode,
    /// Codec and negotiated payload type; `None` before the negotiation.
    format: Option<(AudioCodec, u8)>,
    sequence: u16,
    timestamp: u32,
    /// Difference between our timestamps and those echoed.
    echo_offset: Option<u32>,
    next_frame: usize,
    /// The next packet starts a talk spurt (RFC 3551 §4.1).
    marker: bool,
    skipped: u64,
    /// Packets the sink has taken.
    handed: u64,
    /// On the pacer's list.
    paced: bool,
    /// The other side does not want to hear us, or our own description says that we do not send.
    held: bool,
    /// There is no way to the other side for the moment.
    waiting: bool,
    dial: Option<Dial>,
    /// Sequence numbers and payload types of event packets that the sink has taken and the wire has not seen.
    on_their_way: VecDeque<(u16, u8)>,
}

/// Event packets between sink and wire that are remembered: more than the sink's queue has room for are none.
const MOST_ON_THEIR_WAY: usize = 1024;

impl Talker {
    /// A silent talker with random first numbers (RFC 3550 §5.1).
    pub(crate) fn new(ssrc: u32, sink: Box<dyn PacketSink>) -> Self {
        let stream = Stream {
            mode: Mode::Silent,
            format: None,
            // The upper half is left free, so that no wrap meets SRTP's first packets (RFC 3711 §3.3.1).
            sequence: rand::random::<u16>() >> 1,
            timestamp: rand::random(),
            echo_offset: None,
            next_frame: 0,
            marker: true,
            skipped: 0,
            handed: 0,
            paced: false,
            held: false,
            waiting: false,
            dial: None,
            on_their_way: VecDeque::new(),
        };
        Self { sink, ssrc, stream: Mutex::new(stream), events: AtomicUsize::new(0) }
    }

    /// Sets what was negotiated.
    pub(crate) fn negotiated(&self, codec: AudioCodec, payload_type: u8) {
        let mut stream = self.stream.lock();
        if stream.format != Some((codec, payload_type)) {
            stream.format = Some((codec, payload_type));
            stream.next_frame = 0;
        }
    }

    /// Keeps everything back while `held` (a line on hold, RFC 3264 §8.4), whatever the mode; nothing is made good afterwards, and
    /// a dialling ends.
    pub(crate) fn hold(&self, held: bool) {
        let mut stream = self.stream.lock();
        if std::mem::replace(&mut stream.held, held) && !held {
            stream.marker = true;
        }
        stream.dial = stream.dial.take().filter(|_| !held);
    }

    /// Whether the other side does not want to hear us, or our own description says that we do not send.
    pub(crate) fn is_held(&self) -> bool {
        self.stream.lock().held
    }

    /// Dials from the next packet time on, whether or not audio is sent; a dialling under way ends. Must be called on a tokio runtime.
    pub(crate) fn dial(self: &Arc<Self>, dial: Dial) {
        let mut stream = self.stream.lock();
        stream.dial = Some(dial).filter(|_| !stream.held);
        self.paced(stream);
    }

    /// The payload type that a packet of ours has on the wire, if it is one of a telephone event; asked once for each packet, in
    /// the order in which the sink took them.
    pub(crate) fn telephone_event(&self, sequence: u16) -> Option<u8> {
        if self.events.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut stream = self.stream.lock();
        let found = loop {
            match stream.on_their_way.front().copied() {
                Some((number, payload_type)) if number == sequence => {
                    stream.on_their_way.pop_front();
                    break Some(payload_type);
                }
                // One that the engine has lost.
                Some((number, _)) if sequence.wrapping_sub(number) < 0x8000 => {
                    stream.on_their_way.pop_front();
                }
                _ => break None,
            }
        };
        self.events.store(stream.on_their_way.len(), Ordering::Release);
        found
    }

    /// Skips packets while `waiting` for a new way to the other side (an ICE restart): they would be lost, and look like loss on
    /// the network there.
    pub(crate) fn wait(&self, waiting: bool) {
        self.stream.lock().waiting = waiting;
    }

    /// Codec and payload type, once negotiated.
    pub(crate) fn format(&self) -> Option<(AudioCodec, u8)> {
        self.stream.lock().format
    }

    /// Plays the loop from now on. Must be called on a tokio runtime, which then does the pacing.
    pub(crate) fn play(self: &Arc<Self>) {
        let mut stream = self.stream.lock();
        stream.mode = Mode::Source;
        stream.marker = true;
        self.paced(stream);
    }

    /// Puts it on the schedule, unless it is there.
    fn paced(self: &Arc<Self>, mut stream: MutexGuard<'_, Stream>) {
        let enrol = !std::mem::replace(&mut stream.paced, true);
        drop(stream);
        if enrol {
            pacing::enrol(Arc::clone(self));
        }
    }

    /// Sends what is received from now on.
    pub(crate) fn echo(&self) {
        self.set(Mode::Echo);
    }

    /// Sends nothing from now on; a packet under way is not taken back, a dialling ends.
    pub(crate) fn silence(&self) {
        self.set(Mode::Silent);
    }

    fn set(&self, mode: Mode) {
        let mut stream = self.stream.lock();
        stream.mode = mode;
        stream.echo_offset = None;
        stream.marker = true;
        stream.dial = None;
    }

    /// Packets whose time had come and that were not sent.
    pub(crate) fn skipped(&self) -> u64 {
        self.stream.lock().skipped
    }

    /// Packets handed over; final once the talker is silent, though some of them may still be on their way to the wire.
    pub(crate) fn handed(&self) -> u64 {
        self.stream.lock().handed
    }

    /// The pacer's call at each packet time; `missed` packet times before it have passed unused. Returns `false` when
    /// this talker left the schedule.
    pub(crate) fn tick(&self, missed: u64) -> bool {
        let mut guard = self.stream.lock();
        let stream = &mut *guard;
        let plays = stream.mode == Mode::Source;
        if !plays && stream.dial.is_none() {
            stream.paced = false;
            return false;
        }
        let Some((codec, payload_type)) = stream.format else { return true };
        let ticks = codec.ticks_per_packet();
        let sounds = stream.dial.as_ref().is_some_and(Dial::sounds);
        if stream.held || stream.waiting {
            stream.skipped += if stream.held || !(plays || sounds) { 0 } else { missed + 1 };
            // A tone that has begun goes on unheard, the others wait.
            if let Some(dial) = stream.dial.as_mut().filter(|_| sounds) {
                dial.due(stream.timestamp, missed as u32);
            }
            stream.timestamp = stream.timestamp.wrapping_add(ticks.wrapping_mul(missed as u32 + 1));
            return true;
        }
        stream.skipped += if plays || sounds { missed } else { 0 };
        stream.timestamp = stream.timestamp.wrapping_add(ticks.wrapping_mul(missed as u32));
        let frames = frames(codec);
        stream.next_frame = (stream.next_frame + missed as usize) % frames.len();
        match stream.dial.as_mut().map(|dial| dial.due(stream.timestamp, missed as u32)) {
            Some(Due::Event(event)) => {
                self.send_event(stream, payload_type, event);
                // The audio goes on where it would be, with a spurt of its own (RFC 4733 §2.5.1.2).
                stream.marker = true;
                stream.timestamp = stream.timestamp.wrapping_add(ticks);
                stream.next_frame = (stream.next_frame + 1) % frames.len();
                return true;
            }
            Some(Due::Over) => stream.dial = None,
            Some(Due::Audio) | None => {}
        }
        if !plays {
            stream.timestamp = stream.timestamp.wrapping_add(ticks);
            stream.paced = stream.dial.is_some();
            return stream.paced;
        }
        let packet =
            self.packet(payload_type, stream.sequence, stream.timestamp, stream.marker, &frames[stream.next_frame]);
        if self.sink.try_send(packet) {
            stream.handed += 1;
            stream.sequence = stream.sequence.wrapping_add(1);
            stream.marker = false;
        } else {
            stream.skipped += 1;
        }
        stream.timestamp = stream.timestamp.wrapping_add(ticks);
        stream.next_frame = (stream.next_frame + 1) % frames.len();
        true
    }

    /// Hands a packet of an event over under the payload type of the audio.
    fn send_event(&self, stream: &mut Stream, payload_type: u8, event: Event) {
        let Event { timestamp, marker, payload } = event;
        let payload = Bytes::copy_from_slice(&payload);
        let Some(dial) = &mut stream.dial else { return };
        // Before the sink has it: the wire may see it at once, and waits for the lock.
        let events = stream.on_their_way.len() + 1;
        self.events.store(events, Ordering::Release);
        if events <= MOST_ON_THEIR_WAY
            && self.sink.try_send(self.packet(payload_type, stream.sequence, timestamp, marker, &payload))
        {
            stream.on_their_way.push_back((stream.sequence, dial.payload_type()));
            dial.sent();
            stream.handed += 1;
            stream.sequence = stream.sequence.wrapping_add(1);
        } else {
            stream.skipped += 1;
        }
    }

    /// Plays without a schedule, for tests that tick by hand.
    #[cfg(test)]
    pub(crate) fn set_playing(&self) {
        self.stream.lock().mode = Mode::Source;
    }

    /// Takes its name off the schedule: the pacer that would have called is gone.
    pub(crate) fn unpaced(&self) {
        self.stream.lock().paced = false;
    }

    /// A packet was received: sends it back in echo mode, if it has the negotiated payload type.
    pub(crate) fn received(&self, packet: &rtp::Packet) {
        let mut stream = self.stream.lock();
        let (Mode::Echo, Some((_, payload_type))) = (stream.mode, stream.format) else { return };
        let dials = stream.dial.as_ref().is_some_and(Dial::sounds);
        if packet.header.payload_type != payload_type || stream.held || dials {
            return;
        }
        if stream.waiting {
            stream.skipped += 1;
            return;
        }
        let ours = stream.timestamp;
        let offset = *stream.echo_offset.get_or_insert_with(|| ours.wrapping_sub(packet.header.timestamp));
        let timestamp = packet.header.timestamp.wrapping_add(offset);
        let echoed = self.packet(payload_type, stream.sequence, timestamp, packet.header.marker, &packet.payload);
        if self.sink.try_send(echoed) {
            stream.handed += 1;
            stream.sequence = stream.sequence.wrapping_add(1);
        } else {
            stream.skipped += 1;
        }
        stream.timestamp = timestamp;
    }

    fn packet(&self, payload_type: u8, sequence: u16, timestamp: u32, marker: bool, payload: &Bytes) -> rtp::Packet {
        let header = rtp::Header {
            version: 2,
            marker,
            payload_type,
            sequence_number: sequence,
            timestamp,
            ssrc: self.ssrc,
            ..rtp::Header::default()
        };
        rtp::Packet { header, payload: payload.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Dialled, Dtmf, TelephoneEvents};
    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<(Vec<rtp::Packet>, bool)>>);
    impl PacketSink for Sink {
        fn try_send(&self, packet: rtp::Packet) -> bool {
            let mut inner = self.0.lock();
            if !inner.1 {
                inner.0.push(packet);
            }
            !inner.1
        }
    }

    fn talker(codec: AudioCodec) -> (Talker, Sink) {
        let sink = Sink::default();
        let talker = Talker::new(7, Box::new(sink.clone()));
        talker.negotiated(codec, 96);
        talker.set_playing();
        (talker, sink)
    }

    #[test]
    fn packets_are_numbered_in_sequence_and_stamped_20_ms_apart() {
        for (codec, ticks) in [(AudioCodec::Opus, 960), (AudioCodec::Pcmu, 160)] {
            let (talker, sink) = talker(codec);
            (0..3).for_each(|_| assert!(talker.tick(0)));
            let packets = &sink.0.lock().0;
            let (first, last) = (&packets[0].header, &packets[2].header);
            assert_eq!((first.payload_type, first.ssrc, first.version), (96, 7, 2));
            assert_eq!(last.sequence_number.wrapping_sub(first.sequence_number), 2);
            assert_eq!(last.timestamp.wrapping_sub(first.timestamp), 2 * ticks);
            assert!(first.marker && !last.marker);
        }
    }

    #[test]
    fn missed_packets_move_the_timestamp_and_not_the_sequence_number() {
        let (talker, sink) = talker(AudioCodec::Pcmu);
        talker.tick(0);
        talker.tick(3);
        let packets = &sink.0.lock().0;
        assert_eq!(packets[1].header.sequence_number.wrapping_sub(packets[0].header.sequence_number), 1);
        assert_eq!(packets[1].header.timestamp.wrapping_sub(packets[0].header.timestamp), 4 * 160);
        assert_eq!(packets[1].payload, frames(AudioCodec::Pcmu)[4]);
        assert_eq!(talker.skipped(), 3);
    }

    #[test]
    fn a_full_sink_makes_a_skipped_packet() {
        let (talker, sink) = talker(AudioCodec::Opus);
        talker.tick(0);
        sink.0.lock().1 = true;
        assert!(talker.tick(0));
        sink.0.lock().1 = false;
        talker.tick(0);
        assert_eq!((talker.skipped(), talker.handed()), (1, 2));
        talker.silence();
        assert!(!talker.tick(0));
        assert_eq!(talker.handed(), 2, "silence is final");
        let packets = &sink.0.lock().0;
        assert_eq!(packets[1].header.sequence_number.wrapping_sub(packets[0].header.sequence_number), 1);
        assert_eq!(packets[1].header.timestamp.wrapping_sub(packets[0].header.timestamp), 2 * 960);
    }

    #[test]
    fn an_echo_keeps_the_payload_and_the_spacing_of_what_came() {
        let (talker, sink) = talker(AudioCodec::Opus);
        talker.echo();
        let mut packet = rtp::Packet::default();
        for (timestamp, payload_type) in [(1000, 96), (2920, 96), (3880, 0)] {
            packet.header.timestamp = timestamp;
            packet.header.payload_type = payload_type;
            packet.payload = Bytes::from_static(b"voice");
            talker.received(&packet);
        }
        let packets = &sink.0.lock().0;
        assert_eq!(packets.len(), 2, "another payload type is not echoed");
        assert_eq!(packets[1].header.timestamp.wrapping_sub(packets[0].header.timestamp), 1920);
        assert_eq!((packets[1].header.ssrc, &packets[1].payload[..]), (7, &b"voice"[..]));
    }

    #[test]
    fn a_held_talker_stays_on_schedule_and_starts_a_new_spurt_afterwards() {
        let (talker, sink) = talker(AudioCodec::Pcmu);
        talker.tick(0);
        talker.hold(true);
        assert!(talker.tick(2) && talker.tick(0));
        talker.hold(false);
        talker.tick(0);
        assert_eq!((talker.skipped(), talker.handed()), (0, 2), "what was held back was not due");
        let packets = &sink.0.lock().0;
        assert!(packets[1].header.marker);
        assert_eq!(packets[1].header.sequence_number.wrapping_sub(packets[0].header.sequence_number), 1);
        assert_eq!(packets[1].header.timestamp.wrapping_sub(packets[0].header.timestamp), 5 * 160);
    }

    #[test]
    fn packets_that_have_no_way_are_skipped_ones() {
        let (talker, sink) = talker(AudioCodec::Pcmu);
        talker.tick(0);
        talker.wait(true);
        assert!(talker.tick(2) && talker.tick(0));
        talker.wait(false);
        talker.tick(0);
        assert_eq!((talker.skipped(), talker.handed()), (4, 2));
        let packets = &sink.0.lock().0;
        assert_eq!(packets[1].header.sequence_number.wrapping_sub(packets[0].header.sequence_number), 1);
        assert_eq!(packets[1].header.timestamp.wrapping_sub(packets[0].header.timestamp), 5 * 160);
    }

    fn dial(talker: &Talker, digits: &str) -> tokio::sync::oneshot::Receiver<Dialled> {
        let (done, told) = tokio::sync::oneshot::channel();
        let events = TelephoneEvents::new(101, 8000, None);
        let dtmf = Dtmf::new(digits, None, None).expect("usable");
        talker.stream.lock().dial = Some(Dial::new(&dtmf, events, 8000, done));
        told
    }

    #[test]
    fn a_tone_takes_the_places_of_audio_and_the_numbers_go_on() {
        let (talker, sink) = talker(AudioCodec::Pcmu);
        talker.tick(0);
        let mut told = dial(&talker, "5");
        (0..12).for_each(|_| assert!(talker.tick(0)));
        let packets = &sink.0.lock().0;
        let wire: Vec<_> = packets.iter().map(|packet| talker.telephone_event(packet.header.sequence_number)).collect();
        let is_event = |index: &usize| (1..8).contains(index);
        assert_eq!(wire, (0..13).map(|index| is_event(&index).then_some(101)).collect::<Vec<_>>());
        for (index, packet) in packets.iter().enumerate() {
            let header = &packet.header;
            assert_eq!(header.sequence_number, packets[0].header.sequence_number.wrapping_add(index as u16));
            assert_eq!(header.payload_type, 96, "the engine takes no other");
            let place = if is_event(&index) { 1 } else { index as u32 };
            assert_eq!(header.timestamp.wrapping_sub(packets[0].header.timestamp), place * 160, "packet {index}");
            assert_eq!(header.marker, [0, 1, 8].contains(&index), "packet {index}");
        }
        assert_eq!(packets[8].payload, frames(AudioCodec::Pcmu)[8], "audio is where it would be");
        assert_eq!((talker.handed(), talker.skipped()), (13, 0));
        assert_eq!(told.try_recv(), Ok(Dialled { tones: 1, packets: 7, complete: true }));
    }

    #[test]
    fn a_muted_talker_dials_and_leaves_the_schedule_again() {
        let (talker, sink) = talker(AudioCodec::Pcmu);
        talker.silence();
        let mut told = dial(&talker, "5");
        let ticks = (0..20).take_while(|_| talker.tick(0)).count();
        assert_eq!((ticks, sink.0.lock().0.len(), talker.skipped()), (9, 7, 0));
        assert!(told.try_recv().expect("told").complete);
    }

    #[test]
    fn silence_and_hold_end_a_dialling_and_say_how_far_it_came() {
        for end in [Talker::silence, |talker: &Talker| talker.hold(true)] {
            let (talker, sink) = talker(AudioCodec::Pcmu);
            let mut told = dial(&talker, "12");
            (0..10).for_each(|_| assert!(talker.tick(0)));
            end(&talker);
            assert_eq!(told.try_recv(), Ok(Dialled { tones: 1, packets: 8, complete: false }));
            let sent = sink.0.lock().0.len();
            talker.tick(0);
            assert_eq!(sink.0.lock().0.len(), sent);
        }
    }

    #[test]
    fn a_tone_waits_for_a_way_and_one_that_has_begun_goes_on_unheard() {
        let (talker, sink) = talker(AudioCodec::Pcmu);
        talker.wait(true);
        let mut told = dial(&talker, "5");
        (0..50).for_each(|_| assert!(talker.tick(0)));
        assert_eq!(sink.0.lock().0.len(), 0);
        talker.wait(false);
        talker.tick(0);
        talker.wait(true);
        talker.tick(1);
        talker.wait(false);
        (0..9).for_each(|_| assert!(talker.tick(0)));
        assert_eq!(told.try_recv(), Ok(Dialled { tones: 1, packets: 5, complete: true }));
    }

    #[test]
    fn event_packets_that_the_engine_has_lost_are_forgotten() {
        let (talker, sink) = talker(AudioCodec::Pcmu);
        let _told = dial(&talker, "5");
        (0..8).for_each(|_| assert!(talker.tick(0)));
        let number = |index: usize| sink.0.lock().0[index].header.sequence_number;
        assert_eq!(talker.telephone_event(number(3)), Some(101));
        assert_eq!(talker.telephone_event(number(7)), None, "audio");
        assert_eq!(talker.stream.lock().on_their_way.len(), 0);
    }

    #[test]
    fn a_silenced_talker_leaves_the_schedule() {
        let (talker, _) = talker(AudioCodec::Opus);
        talker.silence();
        assert!(!talker.tick(0));
    }
}

//! Frames as they are on the wire (RFC 6455 §5), read and written without I/O.
//!
//! Guarantees: [`FrameParser`] gives the same frames however the bytes are cut; it holds no buffer
//! while no frame is partial, and never allocates more than what has arrived of a payload, rounded up.
//! A frame that breaks the protocol is reported before its payload is waited for.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use smallvec::SmallVec;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::deflate::Inflater;
use super::literal::Lapse;
use super::payload::Payload;

/// A frame as it goes out; a short one, which mostly goes out at once, needs no allocation.
pub(super) type Encoded = SmallVec<[u8; 128]>;

/// The longest header of a frame, in bytes.
const LONGEST_HEADER: usize = 14;

/// The longest payload of a control frame, in bytes (RFC 6455 §5.5).
pub(super) const LONGEST_CONTROL_PAYLOAD: usize = 125;

/// Frame opcodes (RFC 6455 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of the message before it.
    Continuation = 0,
    /// A text message or its first fragment.
    Text = 1,
    /// A binary message or its first fragment.
    Binary = 2,
    /// The closing handshake.
    Close = 8,
    /// A question for a sign of life.
    Ping = 9,
    /// The answer to it, or a sign of life unasked.
    Pong = 10,
}

impl Opcode {
    /// Whether this is a control frame: close, ping or pong (RFC 6455 §5.5).
    pub const fn is_control(self) -> bool {
        self as u8 >= 8
    }

    fn on_wire(self) -> OpCode {
        OpCode::from(self as u8)
    }

    fn from_wire(opcode: OpCode) -> Option<Self> {
        match opcode {
            OpCode::Data(Data::Continue) => Some(Self::Continuation),
            OpCode::Data(Data::Text) => Some(Self::Text),
            OpCode::Data(Data::Binary) => Some(Self::Binary),
            OpCode::Control(Control::Close) => Some(Self::Close),
            OpCode::Control(Control::Ping) => Some(Self::Ping),
            OpCode::Control(Control::Pong) => Some(Self::Pong),
            OpCode::Data(Data::Reserved(_)) | OpCode::Control(Control::Reserved(_)) => None,
        }
    }
}

/// One frame as it was on the wire. Fragments are not joined, text is not checked to be UTF-8.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Opcode.
    pub opcode: Opcode,
    /// FIN bit: the last (or only) fragment of its message.
    pub fin: bool,
    /// RSV1: the message was compressed (RFC 7692 §6); only its first fragment has it.
    pub compressed: bool,
    /// Payload; inflated when the message was compressed.
    pub payload: Payload,
    /// Bytes of the header on the wire.
    pub header_bytes: usize,
    /// Bytes of the payload on the wire.
    pub wire_payload_bytes: usize,
    /// When its last byte arrived, taken right after the system call that read it.
    pub at: Instant,
    /// How long before that its first byte arrived, in µs; 0 where all of it came at once.
    pub arriving_us: u32,
    /// How it breaks the protocol where that is not the end of the socket ([`Literal`](super::Literal));
    /// opcode and payload mean nothing then.
    pub lapse: Option<Box<Lapse>>,
}

impl Frame {
    /// A frame of which only its lapse is known.
    pub(super) fn lapsed(lapse: Lapse, at: Instant) -> Self {
        Self {
            opcode: Opcode::Continuation,
            fin: true,
            compressed: false,
            payload: Payload::default(),
            header_bytes: 0,
            wire_payload_bytes: 0,
            at,
            arriving_us: 0,
            lapse: Some(Box::new(lapse)),
        }
    }

    /// Status code and reason of a close frame (RFC 6455 §5.5.1), as raw as they came; the code is
    /// `None` where the frame has none.
    pub fn close_status(&self) -> (Option<u16>, String) {
        match self.payload.as_ref() {
            [high, low, reason @ ..] => {
                (Some(u16::from_be_bytes([*high, *low])), String::from_utf8_lossy(reason).into_owned())
            }
            _ => (None, String::new()),
        }
    }
}

/// How a peer broke the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    /// The status to close with (RFC 6455 §7.4.1).
    pub(super) status: u16,
    /// What it did.
    pub(super) detail: String,
}

impl Violation {
    fn protocol(detail: impl Into<String>) -> Self {
        Self { status: 1002, detail: detail.into() }
    }

    pub(super) fn too_big(bytes: u64, most: usize) -> Self {
        let detail = format!("a frame of {bytes} bytes is larger than maxFrameBytes ({most})");
        Self { status: 1009, detail }
    }

    pub(super) fn bad_payload(detail: impl Into<String>) -> Self {
        Self { status: 1007, detail: detail.into() }
    }
}

/// Turns the bytes of a server into frames.
pub(super) struct FrameParser {
    most_bytes: usize,
    inflater: Option<Inflater>,
    /// A message is under way; whether it is compressed.
    fragmented: Option<bool>,
    head: [u8; LONGEST_HEADER],
    head_length: u8,
    partial: Option<Box<Partial>>,
    /// When the first byte of a frame came that is not complete.
    began: Option<Instant>,
}

/// A frame whose header is complete and whose payload is not.
struct Partial {
    head: Head,
    payload: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Head {
    opcode: Opcode,
    fin: bool,
    compressed: bool,
    header_bytes: usize,
    payload_bytes: usize,
}

impl FrameParser {
    /// A parser that refuses payloads above `most_bytes`; `inflater` where permessage-deflate was
    /// agreed.
    pub(super) fn new(most_bytes: usize, inflater: Option<Inflater>) -> Self {
        let head = [0; LONGEST_HEADER];
        Self { most_bytes, inflater, fragmented: None, head, head_length: 0, partial: None, began: None }
    }

    /// The next complete frame of `input`, whose bytes it takes; `None` when all of `input` is taken.
    /// `at` is when `input` arrived.
    pub(super) fn next(&mut self, input: &mut &[u8], at: Instant) -> Result<Option<Frame>, Violation> {
        if let Some(mut partial) = self.partial.take() {
            let missing = partial.head.payload_bytes - partial.payload.len();
            partial.payload.extend_from_slice(taken(input, missing));
            if partial.payload.len() < partial.head.payload_bytes {
                self.partial = Some(partial);
                return Ok(None);
            }
            let mut frame = self.frame(partial.head, partial.payload.into(), at)?;
            frame.arriving_us = lasted(self.began.take(), at);
            return Ok(Some(frame));
        }
        let in_pieces = self.head_length > 0;
        let Some(head) = self.head(input)? else {
            if self.head_length > 0 {
                self.began.get_or_insert(at);
            }
            return Ok(None);
        };
        if input.len() >= head.payload_bytes {
            let payload = taken(input, head.payload_bytes).into();
            let mut frame = self.frame(head, payload, at)?;
            if in_pieces {
                frame.arriving_us = lasted(self.began.take(), at);
            }
            return Ok(Some(frame));
        }
        self.began.get_or_insert(at);
        let payload = std::mem::take(input).to_vec();
        self.partial = Some(Box::new(Partial { head, payload }));
        Ok(None)
    }

    /// A complete and checked header, once its bytes are there.
    fn head(&mut self, input: &mut &[u8]) -> Result<Option<Head>, Violation> {
        let kept = usize::from(self.head_length);
        let more = input.len().min(LONGEST_HEADER - kept);
        self.head[kept..kept + more].copy_from_slice(&input[..more]);
        let seen = kept + more;
        let mut cursor = std::io::Cursor::new(&self.head[..seen]);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|error| Violation::protocol(error.to_string()))?;
        let Some((header, payload_bytes)) = parsed else {
            *input = &input[more..];
            self.head_length = seen as u8;
            return Ok(None);
        };
        let header_bytes = cursor.position() as usize;
        *input = &input[header_bytes - kept..];
        self.head_length = 0;
        self.check(&header, header_bytes, payload_bytes).map(Some)
    }

    fn check(&mut self, header: &FrameHeader, header_bytes: usize, payload_bytes: u64) -> Result<Head, Violation> {
        let Some(opcode) = Opcode::from_wire(header.opcode) else {
            return Err(Violation::protocol(format!("the opcode {:?} is reserved", header.opcode)));
        };
        if header.mask.is_some() {
            return Err(Violation::protocol("a server must not mask its frames"));
        }
        if header.rsv2 || header.rsv3 {
            return Err(Violation::protocol("RSV2 or RSV3 is set and no extension that defines it was agreed"));
        }
        if header.len(payload_bytes) != header_bytes {
            return Err(Violation::protocol("the payload length is not in its shortest form"));
        }
        if opcode.is_control() {
            if !header.is_final {
                return Err(Violation::protocol("a control frame is fragmented"));
            }
            if payload_bytes > LONGEST_CONTROL_PAYLOAD as u64 {
                return Err(Violation::protocol(format!("a control frame has {payload_bytes} bytes of payload")));
            }
            if opcode == Opcode::Close && payload_bytes == 1 {
                return Err(Violation::protocol("a close frame has half a status code"));
            }
        }
        if header.rsv1 && (self.inflater.is_none() || opcode.is_control() || opcode == Opcode::Continuation) {
            return Err(Violation::protocol("RSV1 is set where permessage-deflate does not allow it"));
        }
        match (opcode, self.fragmented) {
            (Opcode::Continuation, None) => {
                return Err(Violation::protocol("a continuation frame has no message to continue"));
            }
            (Opcode::Text | Opcode::Binary, Some(_)) => {
                return Err(Violation::protocol("a message begins before the one before it has ended"));
            }
            _ => {}
        }
        if payload_bytes > self.most_bytes as u64 {
            return Err(Violation::too_big(payload_bytes, self.most_bytes));
        }
        let payload_bytes = payload_bytes as usize;
        Ok(Head { opcode, fin: header.is_final, compressed: header.rsv1, header_bytes, payload_bytes })
    }

    /// The frame of `head` and `payload`; keeps account of the message it belongs to.
    fn frame(&mut self, head: Head, payload: Payload, at: Instant) -> Result<Frame, Violation> {
        let Head { opcode, fin, compressed, header_bytes, payload_bytes } = head;
        let mut payload = payload;
        if !opcode.is_control() {
            let message_compressed = self.fragmented.unwrap_or(compressed);
            self.fragmented = (!fin).then_some(message_compressed);
            if let (true, Some(inflater)) = (message_compressed, &mut self.inflater) {
                payload = inflater.inflate(&payload, fin, self.most_bytes)?;
            }
        }
        let wire_payload_bytes = payload_bytes;
        Ok(Frame {
            opcode,
            fin,
            compressed,
            payload,
            header_bytes,
            wire_payload_bytes,
            at,
            arriving_us: 0,
            lapse: None,
        })
    }
}

/// µs from when a frame `began` until its last byte came `at`.
pub(super) fn lasted(began: Option<Instant>, at: Instant) -> u32 {
    let lasted = began.map_or(Duration::ZERO, |began| at.saturating_duration_since(began));
    u32::try_from(lasted.as_micros()).unwrap_or(u32::MAX)
}

/// The first `most` bytes of `input` (or all there are), which are taken from it.
fn taken<'a>(input: &mut &'a [u8], most: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(most.min(input.len()));
    *input = rest;
    taken
}

/// A masking key that nobody can predict from the ones before it (RFC 6455 §5.3): a number's keyed hash, whose key is random and
/// never leaves the process. A generator of random numbers has a state per thread, which a thread that has only just got the CPU
/// back has not at hand.
pub(super) fn masking_key() -> [u8; 4] {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let hash = KEY.hash_one(NUMBER.fetch_add(1, Ordering::Relaxed)).to_ne_bytes();
    [hash[0], hash[1], hash[2], hash[3]]
}

/// A client's frame as it goes on the wire: header with `mask`, payload masked (RFC 6455 §5.3).
pub(super) fn encode(opcode: Opcode, fin: bool, compressed: bool, payload: &[u8], mask: [u8; 4]) -> Encoded {
    let header = FrameHeader {
        is_final: fin,
        rsv1: compressed,
        rsv2: false,
        rsv3: false,
        opcode: opcode.on_wire(),
        mask: Some(mask),
    };
    let length = payload.len() as u64;
    let mut head = [0; LONGEST_HEADER];
    header.format(length, &mut head.as_mut_slice()).expect("no header is longer");
    let begin = header.len(length);
    let mut encoded = Encoded::with_capacity(begin + payload.len());
    encoded.extend_from_slice(&head[..begin]);
    encoded.extend_from_slice(payload);
    let mask = u32::from_ne_bytes(mask);
    let (words, rest) = encoded[begin..].as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ mask).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask.to_ne_bytes()) {
        *byte ^= key;
    }
    encoded
}

/// The payload of a close frame: nothing for 1005, which stands for "no status" (RFC 6455 §7.4.1),
/// and the reason cut to what fits, at a character.
pub(super) fn close_payload(status: u16, reason: &str) -> Vec<u8> {
    if status == 1005 {
        return Vec::new();
    }
    let mut payload = status.to_be_bytes().to_vec();
    let fits = reason.floor_char_boundary(LONGEST_CONTROL_PAYLOAD - payload.len());
    payload.extend_from_slice(&reason.as_bytes()[..fits]);
    payload
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A server's frame: as a client's, without the mask.
    fn from_server(opcode: u8, fin: bool, rsv: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![opcode | rsv << 4 | u8::from(fin) << 7];
        match payload.len() {
            length @ 0..=125 => bytes.push(length as u8),
            length @ 126..=0xffff => {
                bytes.push(126);
                bytes.extend((length as u16).to_be_bytes());
            }
            length => {
                bytes.push(127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend_from_slice(payload);
        bytes
    }

    fn parse(parser: &mut FrameParser, mut input: &[u8]) -> Result<Vec<Frame>, Violation> {
        let mut frames = Vec::new();
        while let Some(frame) = parser.next(&mut input, Instant::now())? {
            frames.push(frame);
        }
        assert!(input.is_empty(), "all input is taken");
        Ok(frames)
    }

    #[test]
    fn a_frame_that_comes_in_pieces_says_how_long_it_took() {
        let begin = Instant::now();
        let after = |ms| begin + Duration::from_millis(ms);
        let bytes = [from_server(1, true, 0, b"whole"), from_server(1, true, 0, b"in pieces")].concat();
        let mut parser = FrameParser::new(1000, None);
        for cut in [8, 12] {
            let (mut first, rest) = bytes.split_at(cut);
            let (mut middle, mut last) = rest.split_at(4);
            let whole = parser.next(&mut first, after(0)).expect("valid").expect("complete");
            assert_eq!(whole.arriving_us, 0);
            assert!(parser.next(&mut first, after(0)).expect("valid").is_none());
            assert!(parser.next(&mut middle, after(50)).expect("valid").is_none());
            let pieces = parser.next(&mut last, after(500)).expect("valid").expect("complete");
            assert_eq!((pieces.arriving_us, pieces.payload.as_ref()), (500_000, b"in pieces".as_slice()));
        }
    }

    fn violation(bytes: &[u8]) -> Violation {
        parse(&mut FrameParser::new(1000, None), bytes).expect_err("a violation")
    }

    #[test]
    fn masking_keys_are_all_different() {
        let keys: std::collections::BTreeSet<_> = (0..1000).map(|_| masking_key()).collect();
        assert!(keys.len() >= 999, "two of a thousand are equal once in nine thousand times");
    }

    #[test]
    fn a_frame_keeps_its_bits_and_sizes() {
        let bytes = from_server(2, true, 0, &[7; 300]);
        let frames = parse(&mut FrameParser::new(1000, None), &bytes).expect("valid");
        let frame = &frames[0];
        assert_eq!((frame.opcode, frame.fin, frame.compressed), (Opcode::Binary, true, false));
        assert_eq!((frame.header_bytes, frame.wire_payload_bytes), (4, 300));
        assert_eq!(frame.payload, vec![7; 300]);
    }

    #[test]
    fn control_frames_may_stand_between_fragments() {
        let mut bytes = from_server(1, false, 0, b"he");
        bytes.extend(from_server(9, true, 0, b"?"));
        bytes.extend(from_server(0, true, 0, b"llo"));
        let frames = parse(&mut FrameParser::new(1000, None), &bytes).expect("valid");
        let seen: Vec<_> = frames.iter().map(|frame| (frame.opcode, frame.fin, frame.payload.as_ref())).collect();
        assert_eq!(
            seen,
            [(Opcode::Text, false, b"he".as_slice()), (Opcode::Ping, true, b"?"), (Opcode::Continuation, true, b"llo")]
        );
    }

    #[test]
    fn every_breach_of_the_protocol_is_named() {
        for (bytes, word) in [
            (from_server(3, true, 0, b""), "opcode"),
            (from_server(11, true, 0, b""), "opcode"),
            (from_server(1, true, 4, b""), "RSV1"),
            (from_server(1, true, 2, b""), "RSV2"),
            (from_server(1, true, 1, b""), "RSV3"),
            (from_server(9, false, 0, b""), "fragmented"),
            (from_server(9, true, 0, &[0; 126]), "control frame has 126"),
            (from_server(8, true, 0, &[3]), "half a status"),
            (from_server(0, true, 0, b"x"), "no message to continue"),
            ([from_server(1, false, 0, b"x"), from_server(1, true, 0, b"y")].concat(), "has ended"),
            (vec![0x81, 0x81, 1, 2, 3, 4, 5], "mask"),
            (vec![0x81, 126, 0, 5], "shortest"),
            (vec![0x81, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], "shortest"),
        ] {
            let violation = violation(&bytes);
            assert!(violation.detail.contains(word), "{word}: {violation:?}");
            assert_eq!(violation.status, 1002);
        }
    }

    #[test]
    fn a_frame_that_is_too_large_is_refused_by_its_header_alone() {
        let violation = violation(&[0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(violation.status, 1009);
        assert!(violation.detail.contains("maxFrameBytes (1000)"), "{violation:?}");
    }

    #[test]
    fn a_claimed_length_allocates_nothing_before_its_bytes_come() {
        let mut parser = FrameParser::new(1 << 31, None);
        let mut input: &[u8] = &[0x82, 127, 0, 0, 0, 0, 0x40, 0, 0, 0, 1, 2, 3];
        assert!(parser.next(&mut input, Instant::now()).expect("valid").is_none());
        assert!(parser.partial.expect("a frame is partial").payload.capacity() < 64);
    }

    #[test]
    fn a_close_status_is_kept_raw() {
        let status = |payload: &[u8]| {
            let bytes = from_server(8, true, 0, payload);
            parse(&mut FrameParser::new(1000, None), &bytes).expect("valid")[0].close_status()
        };
        assert_eq!(status(&[]), (None, String::new()));
        assert_eq!(status(&[0x03, 0xee]), (Some(1006), String::new()));
        assert_eq!(status(&[0x0f, 0xa1, b'b', 0xff]), (Some(4001), "b\u{fffd}".to_owned()));
    }

    #[test]
    fn a_long_close_reason_is_cut_at_a_character() {
        let payload = close_payload(1000, &"é".repeat(100));
        assert_eq!(payload.len(), 124);
        assert!(std::str::from_utf8(&payload[2..]).is_ok());
        assert!(close_payload(1005, "unused").is_empty());
    }

    proptest! {
        #[test]
        fn frames_are_the_same_however_the_bytes_are_cut(
            messages in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..700)), 1..8),
            cuts in prop::collection::vec(1usize..400, 1..40),
        ) {
            let mut bytes = Vec::new();
            for (fragmented, payload) in &messages {
                if *fragmented {
                    let (first, second) = payload.split_at(payload.len() / 2);
                    bytes.extend(from_server(1, false, 0, first));
                    bytes.extend(from_server(10, true, 0, b"pong"));
                    bytes.extend(from_server(0, true, 0, second));
                } else {
                    bytes.extend(from_server(2, true, 0, payload));
                }
            }
            let whole = parse(&mut FrameParser::new(1000, None), &bytes).expect("valid");
            let mut parser = FrameParser::new(1000, None);
            let mut cut = Vec::new();
            let (mut rest, mut sizes) = (bytes.as_slice(), cuts.iter().cycle());
            while !rest.is_empty() {
                let size = *sizes.next().expect("a cycle has no end");
                cut.extend(parse(&mut parser, taken(&mut rest, size)).expect("valid"));
            }
            prop_assert!(parser.partial.is_none() && parser.head_length == 0);
            prop_assert_eq!(cut.len(), whole.len());
            for (one, other) in cut.iter().zip(&whole) {
                prop_assert_eq!(&one.payload, &other.payload);
                prop_assert_eq!((one.opcode, one.fin), (other.opcode, other.fin));
                prop_assert_eq!(one.header_bytes, other.header_bytes);
            }
        }

        #[test]
        fn no_bytes_whatever_break_the_parser(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut parser = FrameParser::new(1000, None);
            let mut input = bytes.as_slice();
            while let Ok(Some(_)) = parser.next(&mut input, Instant::now()) {}
        }

        #[test]
        fn what_a_client_encodes_a_server_reads(
            payload in prop::collection::vec(any::<u8>(), 0..70_000), mask: [u8; 4], fin: bool,
        ) {
            let bytes = encode(Opcode::Binary, fin, false, &payload, mask);
            let mut cursor = std::io::Cursor::new(&bytes);
            let (header, length) = FrameHeader::parse(&mut cursor).expect("valid").expect("complete");
            prop_assert_eq!((header.is_final, header.mask, length), (fin, Some(mask), payload.len() as u64));
            let begin = cursor.position() as usize;
            let unmasked: Vec<u8> = bytes[begin..].iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m).collect();
            prop_assert_eq!(unmasked, payload);
        }
    }
}

//! WebSockets taken word for word, for plans that were written for another client.
//!
//! Existing JMeter plans assert on what the WebSocket Samplers plugin did with a request, an answer and a frame, right or
//! wrong by RFC 6455. Under [`Literal`] the request goes out as given, the answer is read as leniently as that plugin reads
//! it, and a frame that breaks the protocol is a [`Lapse`] of that frame, behind which reading goes on.
//!
//! Guarantees: [`LiteralParser`] gives the same frames however the bytes are cut, and holds no more than what has arrived of
//! one frame. Pure: nothing here opens or waits for anything.

use std::time::Instant;

use flate2::{Decompress, FlushDecompress, Status};
use serde::Deserialize;

use super::SocketError;
use super::close_cause::CloseCause;
use super::config::Target;
use super::frame::{Frame, Opcode, lasted};
use super::payload::Payload;
use super::upgrade::{self, Head};
use crate::config::ConfigError;

/// The longest frame, in bytes of payload: what fits a Java array.
const LONGEST_PAYLOAD: u64 = i32::MAX as u64;

/// What stands for a text of which only a part is there and that part is compressed.
const INCOMPLETE: &[u8] = b"<not showing response data, because it is compressed and at this stage incomplete>";

/// What every compressed message ends with and what is left off on the wire (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Request and connection, word for word; replaces the URL of a configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Literal {
    /// TLS.
    pub secure: bool,
    /// Host as the `Host` header has it, with brackets around an IPv6 address; empty = the loopback address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Request target as it stands in the request line.
    pub target: String,
    /// How compressed frames are taken (default: they are a lapse).
    #[serde(default)]
    pub inflate: Inflate,
    /// Reads from the connection only while somebody waits for a frame (default false): nothing is noticed in between.
    #[serde(default)]
    pub read_on_demand: bool,
    /// Hands frames to the kernel after the server has ended the connection, too (default false): the kernel decides.
    #[serde(default)]
    pub write_after_end: bool,
}

/// How compressed frames (RSV1) are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Inflate {
    /// Each is a lapse.
    #[default]
    Never,
    /// Inflated, whatever the server agreed to.
    Always,
    /// The same, each message on its own.
    EachOnItsOwn,
}

/// How a frame breaks the protocol; reading goes on behind it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lapse {
    /// An opcode that RFC 6455 §5.2 reserves.
    #[error("unsupported frame type: {0}")]
    Opcode(u8),
    /// A continuation without a message to continue.
    #[error("no continuation frame expected")]
    NothingToContinue,
    /// A message begins before the one before it has ended.
    #[error("missing continuation frame")]
    MissingContinuation,
    /// RSV1 where nothing is inflated.
    #[error("a compressed frame, but permessage-deflate was not asked for")]
    NotInflating,
    /// A compressed payload that cannot be inflated.
    #[error("cannot inflate: {0}")]
    Inflating(String),
    /// Longer than 2³¹−1 bytes.
    #[error("frame too large: {0} bytes")]
    TooLarge(u64),
    /// TCP ended within the payload.
    #[error("expected payload of length {expected}, but can only read {read} bytes")]
    Truncated {
        /// Bytes announced.
        expected: usize,
        /// Bytes that came.
        read: usize,
    },
}

impl Literal {
    pub(super) fn target(&self, headers: &[(String, String)]) -> Result<Target, ConfigError> {
        let breaks = |text: &str| text.contains(['\r', '\n']);
        for (field, text) in [("literal.host", &self.host), ("literal.target", &self.target)] {
            if breaks(text) {
                return Err(ConfigError::new(field, text.escape_debug(), "it has a line break"));
            }
        }
        if self.port == 0 {
            return Err(ConfigError::new("literal.port", 0, "it has to be between 1 and 65535"));
        }
        for (number, (name, value)) in headers.iter().enumerate() {
            if breaks(name) || breaks(value) {
                let field = format!("headers[{number}]");
                return Err(ConfigError::new(&field, name.escape_debug(), "it has a line break"));
            }
        }
        let host = self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&self.host);
        Ok(Target { secure: self.secure, host: host.to_owned(), port: self.port, path: self.target.clone() })
    }
}

/// The head of an answer at the begin of `bytes`: `None` while it is not complete and TCP has not `ended`.
///
/// # Errors
/// What is no answer at all.
pub(super) fn head(bytes: &[u8], ended: bool) -> Result<Option<Head>, SocketError> {
    let broken = |detail: &str| SocketError::Closed { cause: CloseCause::Protocol { detail: detail.to_owned() } };
    let mut lines = Vec::new();
    let mut rest = bytes;
    let complete = loop {
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            if ended && !rest.is_empty() {
                lines.push(rest.trim_ascii_end());
                rest = &[];
            }
            break ended;
        };
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        rest = &rest[end + 1..];
        if line.is_empty() {
            break true;
        }
        lines.push(line);
    };
    if !complete {
        if bytes.len() >= upgrade::LONGEST_HEAD {
            return Err(broken(&format!("the head of the answer is longer than {} bytes", upgrade::LONGEST_HEAD)));
        }
        return Ok(None);
    }
    let mut lines = lines.into_iter().map(|line| String::from_utf8_lossy(line).into_owned());
    let Some(status_line) = lines.next() else {
        return Err(SocketError::Closed { cause: CloseCause::Fin });
    };
    let status = status_line
        .strip_prefix("HTTP/")
        .and_then(|rest| rest.split_whitespace().nth(1))
        .filter(|code| code.len() == 3)
        .and_then(|code| code.parse::<u16>().ok());
    let Some(status) = status else { return Err(broken("Invalid status line")) };
    let headers = lines
        .filter_map(|line| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned())))
        .collect();
    Ok(Some(Head { status, status_line, headers, bytes: bytes.len() - rest.len() }))
}

/// Checks a head of status 101 in the order and in the words that assertions of existing plans rely on.
pub(super) fn check(head: &Head, strict: bool, key: &str) -> Result<(), SocketError> {
    let refuse = |detail: &str| Err(SocketError::Upgrade { ended: None, detail: detail.to_owned() });
    if !head.joined("Upgrade").eq_ignore_ascii_case("websocket") {
        return refuse("Server response should contain 'Upgrade' header with value 'websocket'");
    }
    let connection = head.joined("Connection");
    let upgrades = if strict {
        connection.eq_ignore_ascii_case("upgrade")
    } else {
        connection.split(',').any(|token| token.trim().eq_ignore_ascii_case("upgrade"))
    };
    if !upgrades {
        return refuse("Server response should contain 'Connection' header with value 'Upgrade'");
    }
    match head.joined("Sec-WebSocket-Accept") {
        accept if accept.is_empty() => refuse("Server response should contain 'Sec-WebSocket-Accept' header"),
        accept if accept != upgrade::accept_of(key) => {
            refuse("Server response header 'Sec-WebSocket-Accept' has incorrect value.")
        }
        _ => Ok(()),
    }
}

/// Turns the bytes of a server into frames, lapses among them.
pub(super) struct LiteralParser {
    inflate: Inflate,
    decompress: Option<Box<Decompress>>,
    /// What has been inflated of a message that is not complete.
    compressed: Vec<u8>,
    /// The kind of the message under way.
    message: Option<Opcode>,
    /// Whether the frame before was a part of a compressed message.
    compressed_before: bool,
    partial: Vec<u8>,
    /// When its first byte came.
    began: Option<Instant>,
}

struct Header {
    first: u8,
    bytes: usize,
    payload: u64,
}

impl LiteralParser {
    pub(super) fn new(inflate: Inflate) -> Self {
        Self {
            inflate,
            decompress: None,
            compressed: Vec::new(),
            message: None,
            compressed_before: false,
            partial: Vec::new(),
            began: None,
        }
    }

    /// The next complete frame of `input`, whose bytes it takes; `None` when all of `input` is taken.
    pub(super) fn next(&mut self, input: &mut &[u8], at: Instant) -> Option<Frame> {
        if input.is_empty() {
            return None;
        }
        if self.partial.is_empty() {
            let (frame, taken) = self.parse(input, at);
            if frame.is_none() {
                self.partial = input.to_vec();
                self.began = Some(at);
                *input = &[];
            } else {
                *input = &input[taken..];
            }
            return frame;
        }
        // Only what the frame still lacks is added: what follows stays in the input.
        loop {
            let lacks = match Header::parse(&self.partial) {
                Some(header) if header.payload <= LONGEST_PAYLOAD => {
                    (header.bytes + header.payload as usize).saturating_sub(self.partial.len())
                }
                Some(_) => 0,
                None => 1,
            };
            let more = lacks.min(input.len());
            self.partial.extend_from_slice(&input[..more]);
            *input = &input[more..];
            let partial = std::mem::take(&mut self.partial);
            let (frame, _) = self.parse(&partial, at);
            if let Some(mut frame) = frame {
                frame.arriving_us = lasted(self.began.take(), at);
                return Some(frame);
            }
            self.partial = partial;
            if input.is_empty() {
                return None;
            }
        }
    }

    /// Whether a part of a frame has come.
    pub(super) fn has_begun(&self) -> bool {
        !self.partial.is_empty()
    }

    /// What the end of TCP makes of a frame that is not complete: a lapse once its header was.
    pub(super) fn end(&mut self, at: Instant) -> Option<Frame> {
        let partial = std::mem::take(&mut self.partial);
        let header = Header::parse(&partial)?;
        let lapse = Lapse::Truncated { expected: header.payload as usize, read: partial.len() - header.bytes };
        Some(Frame::lapsed(lapse, at))
    }

    /// The frame at the begin of `bytes` and its length.
    fn parse(&mut self, bytes: &[u8], at: Instant) -> (Option<Frame>, usize) {
        let Some(header) = Header::parse(bytes) else { return (None, 0) };
        if header.payload > LONGEST_PAYLOAD {
            return (Some(Frame::lapsed(Lapse::TooLarge(header.payload), at)), header.bytes);
        }
        let end = header.bytes + header.payload as usize;
        let Some(payload) = bytes.get(header.bytes..end) else { return (None, 0) };
        let frame = self.frame(&header, payload, at).unwrap_or_else(|lapse| Frame::lapsed(lapse, at));
        (Some(frame), end)
    }

    fn frame(&mut self, header: &Header, payload: &[u8], at: Instant) -> Result<Frame, Lapse> {
        let (fin, rsv1) = (header.first & 0x80 != 0, header.first & 0x40 != 0);
        let compressed_before = std::mem::take(&mut self.compressed_before);
        let (opcode, kind) = match header.first & 0x0f {
            0 => (Opcode::Continuation, self.message.ok_or(Lapse::NothingToContinue)?),
            code @ (1 | 2) => {
                let opcode = if code == 1 { Opcode::Text } else { Opcode::Binary };
                if self.message.is_some() {
                    return Err(Lapse::MissingContinuation);
                }
                (opcode, opcode)
            }
            8 => (Opcode::Close, Opcode::Close),
            9 => (Opcode::Ping, Opcode::Ping),
            10 => (Opcode::Pong, Opcode::Pong),
            code => return Err(Lapse::Opcode(code)),
        };
        let mut content = Payload::from(payload);
        let mut compressed = false;
        if !opcode.is_control() {
            compressed = if opcode == Opcode::Continuation { compressed_before } else { rsv1 };
            if compressed {
                content = self.inflated(payload, fin, kind)?;
            }
            self.compressed_before = compressed && !fin;
            self.message = (!fin).then_some(kind);
        }
        Ok(Frame {
            opcode,
            fin: fin || opcode.is_control(),
            compressed,
            payload: content,
            header_bytes: header.bytes,
            wire_payload_bytes: payload.len(),
            at,
            arriving_us: 0,
            lapse: None,
        })
    }

    /// The content of a compressed frame: all of the message with its last frame, nothing readable before.
    fn inflated(&mut self, payload: &[u8], fin: bool, kind: Opcode) -> Result<Payload, Lapse> {
        if self.inflate == Inflate::Never {
            return Err(Lapse::NotInflating);
        }
        self.compressed.extend_from_slice(payload);
        if !fin {
            return Ok(if kind == Opcode::Text { INCOMPLETE.into() } else { Payload::default() });
        }
        let mut whole = std::mem::take(&mut self.compressed);
        whole.extend_from_slice(&TAIL);
        let mut decompress = match self.inflate {
            Inflate::Always => self.decompress.take(),
            Inflate::EachOnItsOwn | Inflate::Never => None,
        }
        .unwrap_or_else(|| Box::new(Decompress::new(false)));
        let content = inflate(&mut decompress, &whole)?;
        self.decompress = Some(decompress);
        Ok(content.into())
    }
}

fn inflate(decompress: &mut Decompress, mut input: &[u8]) -> Result<Vec<u8>, Lapse> {
    let mut output = Vec::with_capacity(input.len() * 3);
    loop {
        if output.len() == output.capacity() {
            output.reserve((input.len() * 3).clamp(256, 64 << 10));
        }
        let before = decompress.total_in();
        let status = decompress
            .decompress_vec(input, &mut output, FlushDecompress::Sync)
            .map_err(|error| Lapse::Inflating(error.to_string()))?;
        let taken = (decompress.total_in() - before) as usize;
        input = &input[taken..];
        if output.len() as u64 > LONGEST_PAYLOAD {
            return Err(Lapse::TooLarge(output.len() as u64));
        }
        if status == Status::StreamEnd {
            // A final block ends the stream and not the message (RFC 7692 §7.2.3.4).
            decompress.reset(false);
        }
        let has_room = output.len() < output.capacity();
        if input.is_empty() && (has_room || status == Status::StreamEnd) {
            return Ok(output);
        }
        if taken == 0 && has_room {
            return Err(Lapse::Inflating("it makes no progress".to_owned()));
        }
    }
}

impl Header {
    /// The header at the begin of `bytes`, once it is complete. The MASK bit means nothing from a server.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (first, second) = (*bytes.first()?, *bytes.get(1)?);
        let (length, payload) = match second & 0x7f {
            126 => (4, u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
            127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)),
            short => (2, u64::from(short)),
        };
        Some(Self { first, bytes: length, payload })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames(parser: &mut LiteralParser, mut input: &[u8]) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = parser.next(&mut input, Instant::now()) {
            frames.push(frame);
        }
        assert!(input.is_empty(), "all input is taken");
        frames
    }

    fn seen(bytes: &[u8]) -> Vec<String> {
        frames(&mut LiteralParser::new(Inflate::Never), bytes)
            .iter()
            .map(|frame| match &frame.lapse {
                Some(lapse) => lapse.to_string(),
                None => format!("{:?} {}", frame.opcode, String::from_utf8_lossy(&frame.payload)),
            })
            .collect()
    }

    #[test]
    fn a_frame_that_breaks_the_protocol_is_a_lapse_and_the_next_one_is_read() {
        for (bytes, lapse) in [
            (vec![0x83, 1, b'a'], "unsupported frame type: 3"),
            (vec![0x8b, 0], "unsupported frame type: 11"),
            (vec![0x80, 1, b'a'], "no continuation frame expected"),
            (vec![0xc1, 1, b'a'], "a compressed frame, but permessage-deflate was not asked for"),
            (vec![0x81, 127, 0, 0, 0, 0, 0x80, 0, 0, 0], "frame too large: 2147483648 bytes"),
        ] {
            let bytes = [bytes, vec![0x81, 1, b'x']].concat();
            assert_eq!(seen(&bytes), [lapse, "Text x"]);
        }
    }

    #[test]
    fn a_frame_that_comes_in_pieces_says_how_long_it_took() {
        let begin = Instant::now();
        let mut parser = LiteralParser::new(Inflate::Never);
        let mut next = |mut bytes: &[u8], ms| {
            let frame = parser.next(&mut bytes, begin + std::time::Duration::from_millis(ms));
            (frame.map(|frame| frame.arriving_us), bytes.len())
        };
        assert_eq!(next(&[0x81, 1, b'a', 0x81], 0), (Some(0), 1));
        assert_eq!(next(&[0x81], 0), (None, 0));
        assert_eq!(next(&[2, b'b'], 50), (None, 0));
        assert_eq!(next(&[b'b', 0x81, 1, b'c'], 500), (Some(500_000), 3));
        assert_eq!(next(&[0x81, 1, b'c'], 500), (Some(0), 0));
    }

    #[test]
    fn a_message_that_begins_too_early_does_not_end_the_one_before() {
        let bytes = [0x01, 1, b'a', 0x81, 1, b'b', 0x80, 1, b'c'];
        assert_eq!(seen(&bytes), ["Text a", "missing continuation frame", "Continuation c"]);
    }

    #[test]
    fn reserved_bits_and_the_mask_bit_mean_nothing() {
        assert_eq!(seen(&[0xb1, 0x81, b'a', 0xc9, 1, b'p']), ["Text a", "Ping p"]);
    }

    #[test]
    fn the_end_of_tcp_within_a_payload_is_a_lapse_and_within_a_header_is_nothing() {
        let mut parser = LiteralParser::new(Inflate::Never);
        assert!(frames(&mut parser, &[0x81, 5, b'a', b'b']).is_empty());
        let lapse = parser.end(Instant::now()).and_then(|frame| frame.lapse).expect("a lapse");
        assert_eq!(lapse.to_string(), "expected payload of length 5, but can only read 2 bytes");
        assert!(frames(&mut parser, &[0x81, 126, 0]).is_empty());
        assert!(parser.end(Instant::now()).is_none());
    }

    #[test]
    fn a_compressed_message_is_readable_with_its_last_frame() {
        let mut parser = LiteralParser::new(Inflate::Always);
        // RFC 7692 §7.2.3.1: "Hello", in two fragments.
        let seen = frames(&mut parser, &[0x41, 3, 0xf2, 0x48, 0xcd, 0x80, 4, 0xc9, 0xc9, 0x07, 0x00]);
        assert_eq!(seen[0].payload, INCOMPLETE);
        assert_eq!(seen[1].payload.as_ref(), b"Hello");
        assert_eq!((seen[0].wire_payload_bytes, seen[1].wire_payload_bytes), (3, 4));
    }

    #[test]
    fn an_answer_is_read_as_leniently_as_it_comes() {
        let whole = b"HTTP/1.0 101\nUpgrade:websocket\n\nrest";
        let head = super::head(whole, false).expect("an answer").expect("complete");
        assert_eq!((head.status, head.status_line.as_str(), head.bytes), (101, "HTTP/1.0 101", 32));
        assert_eq!(head.headers, [("Upgrade".to_owned(), "websocket".to_owned())]);
        assert!(super::head(b"HTTP/1.1 101 Switching Proto", false).expect("so far").is_none());
        let cut = super::head(b"HTTP/1.1 101 Switching Proto", true).expect("an answer").expect("all there is");
        assert_eq!(cut.status, 101);
        let nothing = super::head(b"", true).expect_err("nothing");
        assert!(matches!(nothing, SocketError::Closed { cause: CloseCause::Fin }));
        for bytes in [b"SSH-2.0-x\r\n\r\n".as_slice(), b"HTTP/1.1 abc d\r\n\r\n", b"\r\n"] {
            assert!(super::head(bytes, false).is_err());
        }
    }

    proptest! {
        #[test]
        fn however_the_bytes_are_cut_the_frames_are_the_same(
            bytes in prop::collection::vec(prop_oneof![Just(0x81u8), Just(0x01), Just(0x00), Just(2), any::<u8>()], 0..60),
            cut in 0usize..60,
        ) {
            let cut = cut.min(bytes.len());
            let key = |frames: Vec<Frame>| -> Vec<_> {
                frames.into_iter().map(|frame| (frame.opcode as u8, frame.fin, frame.payload, frame.lapse)).collect()
            };
            let whole = key(frames(&mut LiteralParser::new(Inflate::Always), &bytes));
            let mut parser = LiteralParser::new(Inflate::Always);
            let mut parts = frames(&mut parser, &bytes[..cut]);
            parts.extend(frames(&mut parser, &bytes[cut..]));
            prop_assert_eq!(whole, key(parts));
        }
    }
}

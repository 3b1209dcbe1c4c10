//! What message libraries put around the messages of an application: Engine.IO and Socket.IO, SockJS, records that end with 0x1E.
//!
//! Guarantees: pure, linear in the bytes given.
use std::ops::Range;

/// Ends a record of SignalR, and parts packets of Engine.IO 4 in a polled body.
const RECORD_SEPARATOR: u8 = 0x1e;

/// One packet of a polled body of Engine.IO 3: where its length stands, and the packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) digits: Range<usize>,
    pub(super) packet: Range<usize>,
}

/// The records of a text with separators, without them; `None` for a text without any.
pub(super) fn records(text: &[u8]) -> Option<Vec<Range<usize>>> {
    memchr::memchr(RECORD_SEPARATOR, text)?;
    let mut records = Vec::new();
    let mut from = 0;
    for end in memchr::memchr_iter(RECORD_SEPARATOR, text).chain([text.len()]) {
        if end > from {
            records.push(from..end);
        }
        from = end + 1;
    }
    Some(records)
}

/// Where the JSON begins behind the types, namespace and acknowledgement of a packet: `42`, `42/room,7`, `451-`, `5:::`.
pub(super) fn packet_prefix(text: &[u8]) -> Option<usize> {
    let digits = |at: usize| text[at..].iter().take(8).take_while(|byte| byte.is_ascii_digit()).count();
    let mut at = digits(0);
    if !(1..=3).contains(&at) {
        return None;
    }
    match text.get(at)? {
        b':' => {
            // Socket.IO 0.9: type, acknowledgement, endpoint, data.
            for _ in 0..3 {
                let colon = memchr::memchr(b':', text.get(at..text.len().min(at + 64))?)?;
                at += colon + 1;
            }
        }
        _ => {
            if text[at] == b'-' {
                at += 1;
            }
            if text.get(at) == Some(&b'/') {
                at += memchr::memchr(b',', &text[at..text.len().min(at + 256)])? + 1;
            }
            at += digits(at.min(text.len()));
        }
    }
    matches!(text.get(at)?, b'{' | b'[').then_some(at)
}

/// The packets of a polled body of Engine.IO 3: `96:42["…"]2:40`. Lengths are in UTF-16 code units.
pub(super) fn counted_packets(text: &str) -> Option<Vec<Counted>> {
    let mut packets = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let digits = rest.bytes().take(8).take_while(u8::is_ascii_digit).count();
        if !(1..=7).contains(&digits) || packets.len() >= 64 {
            return None;
        }
        let length: usize = rest[..digits].parse().ok()?;
        let packet = rest[digits..].strip_prefix(':')?;
        if !packet.starts_with(|first: char| first.is_ascii_digit()) {
            return None;
        }
        let mut units = 0;
        let bytes: usize = packet
            .chars()
            .take_while(|character| {
                let room = units < length;
                units += if room { character.len_utf16() } else { 0 };
                room
            })
            .map(char::len_utf8)
            .sum();
        if units != length {
            return None;
        }
        let from = at + digits + 1;
        packets.push(Counted { digits: at..at + digits, packet: from..from + bytes });
        at = from + bytes;
    }
    (!packets.is_empty()).then_some(packets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_of_packets_are_told_from_numbers() {
        for (text, at) in [
            ("42[\"a\"]", Some(2)),
            ("42/room,7[\"a\"]", Some(9)),
            ("451-[\"a\"]", Some(4)),
            ("5:::{\"a\":1}", Some(4)),
            ("0{\"sid\":1}", Some(1)),
        ] {
            assert_eq!(packet_prefix(text.as_bytes()), at, "{text}");
        }
        for text in ["42", "1234[1]", "4x[", "", "2020-01-01 {", "5:::", "42/room[1]"] {
            assert_eq!(packet_prefix(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn counted_packets_are_cut_by_utf16() {
        let packets = counted_packets("5:42[\"\u{1f600}2:40").map(|packets| packets.len());
        assert_eq!(packets, None, "the first packet would end within a character");
        let packets = counted_packets("6:42[\"\u{1f600}2:40").expect("packets");
        assert_eq!(packets[1], Counted { digits: 10..11, packet: 12..14 });
        assert_eq!(counted_packets("12:34"), None);
    }

    #[test]
    fn records_end_with_their_separator() {
        assert_eq!(records(b"{}\x1e{1}\x1e"), Some(vec![0..2, 3..6]));
        assert_eq!(records(b"{}"), None);
    }
}

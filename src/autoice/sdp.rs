//! What is a description, a fragment of one, or a candidate: told from the lines alone (RFC 8866, RFC 8840, RFC 8839).
//!
//! Guarantees: pure, linear in the bytes given. Strict: a text that only quotes a description, or breaks off, is none.
use std::ops::Range;

/// How the lines of a text end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Newline {
    CrLf,
    Lf,
    Cr,
}

impl Newline {
    /// The line end of a text; CRLF where there is only one line (RFC 8866 §5), or where it is among several kinds.
    pub(super) fn of(text: &str) -> Self {
        match (text.contains("\r\n"), text.contains('\n'), text.contains('\r')) {
            (true, ..) | (false, false, false) => Self::CrLf,
            (false, true, _) => Self::Lf,
            (false, false, true) => Self::Cr,
        }
    }

    pub(super) fn text(self) -> &'static str {
        match self {
            Self::CrLf => "\r\n",
            Self::Lf => "\n",
            Self::Cr => "\r",
        }
    }
}

/// One line with its end: where its text stands, and where the next one begins.
fn line_at(text: &[u8], at: usize) -> (Range<usize>, usize) {
    match memchr::memchr2(b'\r', b'\n', &text[at..]) {
        Some(found) if text[at + found..].starts_with(b"\r\n") => (at..at + found, at + found + 2),
        Some(found) => (at..at + found, at + found + 1),
        None => (at..text.len(), text.len()),
    }
}

/// Where each description stands that `text` consists of; empty if it is anything else, or more than that.
///
/// A description is `v=0` with `o=`, `s=`, `t=` and at least one `m=` line behind it.
pub(super) fn descriptions(text: &[u8]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    // Which of o=, s=, t= and m= the description at hand has.
    let mut has = [false; 4];
    let mut whole = true;
    let mut at = 0;
    while at < text.len() && whole {
        let (line, next) = line_at(text, at);
        at = next;
        let from = line.start;
        match &text[line] {
            b"v=0" => {
                whole = found.is_empty() || has == [true; 4];
                has = [false; 4];
                found.push(from..next);
            }
            [letter @ b'a'..=b'z', b'=', ..] if !found.is_empty() => {
                if let Some(slot) = b"ostm".iter().position(|known| known == letter) {
                    has[slot] = true;
                }
                if let Some(last) = found.last_mut() {
                    last.end = next;
                }
            }
            blank => whole = blank.iter().all(|byte| byte.is_ascii_whitespace() || *byte == 0),
        }
    }
    if !whole || has != [true; 4] {
        found.clear();
    }
    found
}

/// Where the fragment stands that `text` consists of: nothing but lines of a description, with ICE in them, and no `v=`.
pub(super) fn fragment(text: &[u8]) -> Option<Range<usize>> {
    let mut ice = false;
    let mut end = 0;
    let mut at = 0;
    while at < text.len() {
        let (line, next) = line_at(text, at);
        at = next;
        match &text[line] {
            [b'v', b'=', ..] => return None,
            line @ [b'a' | b'c' | b'm', b'=', ..] => {
                ice |= line == b"a=end-of-candidates"
                    || line.strip_prefix(b"a=").is_some_and(|rest| candidate(rest).is_some())
                    || line.strip_prefix(b"a=ice-ufrag:").is_some_and(is_ufrag);
                end = next;
            }
            blank if blank.iter().all(|byte| byte.is_ascii_whitespace() || *byte == 0) => {}
            _ => return None,
        }
    }
    (ice && end > 0).then_some(0..end)
}

/// RFC 8839 §5.4: 4 to 256 letters, digits, `+` and `/`; `-` and `_` are seen as well.
fn is_ufrag(text: &[u8]) -> bool {
    (4..=256).contains(&text.len()) && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte))
}

/// Where a candidate stands in `text`, from `candidate:` to its last character; blanks and an `a=` may surround it.
pub(super) fn candidate(text: &[u8]) -> Option<Range<usize>> {
    let leading = text.len() - text.trim_ascii_start().len();
    let trimmed = text.trim_ascii();
    let from = leading + if trimmed.starts_with(b"a=") { 2 } else { 0 };
    let end = leading + trimmed.len();
    let line = text.get(from..end)?;
    let mut words = line.strip_prefix(b"candidate:")?.split(|byte| *byte == b' ');
    let number = |word: &[u8]| (1..=10).contains(&word.len()) && word.iter().all(u8::is_ascii_digit);
    let foundation = words.next()?;
    let valid = (1..=32).contains(&foundation.len())
        && number(words.next()?)
        && words
            .next()
            .is_some_and(|transport| !transport.is_empty() && transport.iter().all(u8::is_ascii_alphanumeric))
        && number(words.next()?)
        && words.next().is_some_and(|address| !address.is_empty())
        && number(words.next()?)
        && words.next()? == b"typ"
        && words.next().is_some_and(|kind| !kind.is_empty())
        && line.iter().all(|byte| !byte.is_ascii_control());
    valid.then_some(from..end)
}

/// What a description says about its role and its credentials.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Facts<'a> {
    /// `a=setup:actpass` somewhere.
    pub(super) actpass: bool,
    /// `a=setup:active` or `passive` somewhere.
    pub(super) decided: bool,
    /// Values of `a=fingerprint`, without the name of the hash.
    pub(super) fingerprints: Vec<&'a str>,
    /// Values of `a=ice-pwd`.
    pub(super) passwords: Vec<&'a str>,
    /// It is for WebRTC: ICE credentials, a fingerprint, or a transport over DTLS.
    pub(super) web_rtc: bool,
}

/// Reads what [`Facts`] names.
pub(super) fn facts(sdp: &str) -> Facts<'_> {
    let mut facts = Facts::default();
    for line in sdp.split(['\r', '\n']) {
        if let Some(setup) = line.strip_prefix("a=setup:") {
            facts.actpass |= setup.trim() == "actpass";
            facts.decided |= matches!(setup.trim(), "active" | "passive");
        } else if let Some(fingerprint) = line.strip_prefix("a=fingerprint:") {
            let value = fingerprint.split_whitespace().nth(1).unwrap_or_default();
            facts.web_rtc = true;
            if value.len() >= 20 && !facts.fingerprints.contains(&value) && facts.fingerprints.len() < 8 {
                facts.fingerprints.push(value);
            }
        } else if let Some(password) = line.strip_prefix("a=ice-pwd:") {
            let value = password.trim();
            if value.len() >= 22 && !facts.passwords.contains(&value) && facts.passwords.len() < 8 {
                facts.passwords.push(value);
            }
        } else if line.starts_with("a=ice-ufrag:") || (line.starts_with("m=") && line.contains("TLS/")) {
            facts.web_rtc = true;
        }
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    const SDP: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n";

    #[test]
    fn a_description_needs_its_five_lines() {
        assert_eq!(descriptions(SDP.as_bytes()).first(), Some(&(0..SDP.len())));
        for line in
            ["v=0\r\n", "o=- 1 1 IN IP4 0.0.0.0\r\n", "s=-\r\n", "t=0 0\r\n", "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n"]
        {
            assert!(descriptions(SDP.replace(line, "").as_bytes()).is_empty(), "without {line}");
        }
    }

    #[test]
    fn every_line_end_and_several_descriptions_are_understood() {
        for newline in ["\n", "\r"] {
            let text = format!("\n{}", SDP.replace("\r\n", newline));
            assert_eq!(descriptions(text.as_bytes()).first(), Some(&(1..text.len())));
        }
        assert_eq!(descriptions(format!("{SDP}{SDP}\r\n").as_bytes()), [0..SDP.len(), SDP.len()..2 * SDP.len()]);
    }

    #[test]
    fn a_text_that_quotes_a_description_is_none() {
        for text in
            [format!("see:\r\n{SDP}"), format!("{SDP}that was it"), format!("v=0\r\n{SDP}"), "v=0 is old".to_owned()]
        {
            assert!(descriptions(text.as_bytes()).is_empty(), "{text}");
        }
    }

    #[test]
    fn candidates_follow_the_grammar() {
        let text = "candidate:1 1 udp 2122194687 192.0.2.2 36047 typ host generation 0 ufrag bZR5";
        assert_eq!(candidate(text.as_bytes()), Some(0..text.len()));
        assert_eq!(candidate(format!(" a={text}\r\n").as_bytes()), Some(3..3 + text.len()));
        for wrong in [
            "candidate:",
            "candidate:1 1 udp",
            "the candidate: 1 1 udp 1 h 1 typ host",
            "candidate:1 x udp 1 h 1 typ host",
            "",
        ] {
            assert_eq!(candidate(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn fragments_hold_ice_and_nothing_else() {
        for text in ["a=end-of-candidates\r\n", "m=0 9 RTP/AVP 0\r\na=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n"] {
            assert_eq!(fragment(text.as_bytes()), Some(0..text.len()));
        }
        for text in
            ["a=b", "a=1&b=2", SDP, "a=end-of-candidates\r\nand so on", "a=end-of-candidates too", "a=ice-ufrag: ?", ""]
        {
            assert_eq!(fragment(text.as_bytes()), None, "{text}");
        }
    }
}

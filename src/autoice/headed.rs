//! Messages with headers and a body: SIP (RFC 3261), HTTP (RFC 9112), STOMP 1.2, and the parts of a multipart body (RFC 2046).
//!
//! Guarantees: pure, linear in the bytes given; lines may end with CRLF or, as in plans written in a text box, with LF.
use std::ops::Range;

use super::classify::Sip;

/// A message with headers, by position.
#[derive(Debug)]
pub(super) struct Headed<'a> {
    /// The first line.
    pub(super) start: &'a str,
    /// Name, value, and where the value stands.
    pub(super) headers: Vec<(&'a str, &'a str, Range<usize>)>,
    /// Where the body stands.
    pub(super) body: Range<usize>,
}

impl<'a> Headed<'a> {
    /// Reads `text` from its first line on; `None` where a line before the body is no header.
    pub(super) fn read(text: &'a [u8]) -> Option<Self> {
        let (start, at) = line(text, 0)?;
        let (headers, body) = headers(text, at)?;
        Some(Self { start, headers, body: body..text.len() })
    }

    /// The value of the first header with one of these names, whatever their case.
    pub(super) fn header(&self, names: &[&str]) -> Option<&'a str> {
        self.find(names).map(|(value, _)| value)
    }

    fn find(&self, names: &[&str]) -> Option<(&'a str, Range<usize>)> {
        let named = |name: &str| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        self.headers.iter().find(|(name, ..)| named(name)).map(|(_, value, range)| (*value, range.clone()))
    }

    /// The number of a header, and where its digits stand.
    pub(super) fn length(&self, names: &[&str]) -> Option<(usize, Range<usize>)> {
        let (value, range) = self.find(names)?;
        Some((value.parse().ok()?, range))
    }

    /// What a SIP start line and its headers say; `None` for anything else.
    pub(super) fn sip(&self) -> Option<Sip> {
        let to_tag = self.header(&["To", "t"]).is_some_and(|to| to.to_ascii_lowercase().contains(";tag="));
        if let Some(status) = self.start.strip_prefix("SIP/2.0 ") {
            let status = status.get(..3)?.parse().ok()?;
            let method = self.header(&["CSeq"])?.split_whitespace().nth(1)?.to_owned();
            return Some(Sip { method, status: Some(status), to_tag });
        }
        let request = self.start.strip_suffix(" SIP/2.0")?;
        let (method, uri) = request.split_once(' ')?;
        let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
        (is_method && uri.contains(':')).then(|| Sip { method: method.to_owned(), status: None, to_tag })
    }

    /// Whether the first line is one of HTTP.
    pub(super) fn is_http(&self) -> bool {
        self.start.starts_with("HTTP/1.") || self.start.starts_with("HTTP/2") || self.start.ends_with(" HTTP/1.1")
    }

    /// Whether the first line is a STOMP command that can have a body.
    pub(super) fn is_stomp(&self) -> bool {
        matches!(self.start, "SEND" | "MESSAGE" | "ERROR")
    }
}

/// Whether a text may begin with a start line of SIP, HTTP or STOMP; a cheap look before [`Headed::read`].
pub(super) fn may_begin(text: &[u8]) -> bool {
    let first = &text[..text.len().min(2048)];
    let end = memchr::memchr2(b'\r', b'\n', first).unwrap_or(first.len());
    let line = &first[..end];
    line.starts_with(b"SIP/2.0 ")
        || line.ends_with(b" SIP/2.0")
        || line.starts_with(b"HTTP/")
        || line.ends_with(b" HTTP/1.1")
        || [b"SEND".as_slice(), b"MESSAGE", b"ERROR"].contains(&line)
}

/// The parts of a multipart body, each from its first header to the line end before the next boundary.
pub(super) fn parts(text: &[u8]) -> Option<Vec<Range<usize>>> {
    let (first, mut at) = line(text, 0)?;
    if first.len() < 3 || first.len() > 200 || !first.starts_with("--") || first.contains(char::is_whitespace) {
        return None;
    }
    let boundary = first.as_bytes();
    let mut parts = Vec::new();
    while parts.len() < 16 {
        let found = memchr::memmem::find_iter(&text[at..], boundary)
            .map(|found| at + found)
            .find(|found| *found == at || text[*found - 1] == b'\n')?;
        let end = text[at..found]
            .strip_suffix(b"\r\n")
            .or_else(|| text[at..found].strip_suffix(b"\n"))
            .map_or(at, |part| at + part.len());
        parts.push(at..end);
        at = found + boundary.len();
        if text[at..].starts_with(b"--") {
            return Some(parts);
        }
        at = line(text, at)?.1;
    }
    None
}

/// The headers of a part and where its content begins, within the part.
pub(super) fn part(text: &[u8]) -> Option<Headed<'_>> {
    let (headers, body) = headers(text, 0)?;
    Some(Headed { start: "", headers, body: body..text.len() })
}

/// Headers up to the empty line, and where what is behind it begins.
#[expect(clippy::type_complexity, reason = "the fields of `Headed`, before there is one")]
fn headers(text: &[u8], mut at: usize) -> Option<(Vec<(&str, &str, Range<usize>)>, usize)> {
    let mut headers = Vec::new();
    loop {
        let from = at;
        let (header, next) = line(text, at)?;
        at = next;
        if header.is_empty() {
            return Some((headers, at));
        }
        // A header may go on in the next line (RFC 3261 §7.3.1); what matters here never does.
        if header.starts_with([' ', '\t']) {
            continue;
        }
        if headers.len() >= 200 {
            return None;
        }
        let (name, value) = header.split_once(':')?;
        let value_from = from + name.len() + 1 + (value.len() - value.trim_start().len());
        let value = value.trim();
        headers.push((name.trim_end(), value, value_from..value_from + value.len()));
    }
}

/// The line at `at` without its end, and where the next one begins; `None` behind the last line end or for no UTF-8.
fn line(text: &[u8], at: usize) -> Option<(&str, usize)> {
    let rest = text.get(at..)?;
    let end = memchr::memchr(b'\n', rest)?;
    let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
    Some((std::str::from_utf8(line).ok()?, at + end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_and_a_response_of_sip_are_read() {
        let request = Headed::read(b"INVITE sip:b@lab SIP/2.0\r\nTo: <sip:b@lab>\r\nl: 3\r\n\r\nv=0").expect("SIP");
        assert_eq!(request.sip(), Some(Sip { method: "INVITE".to_owned(), status: None, to_tag: false }));
        assert_eq!(request.length(&["Content-Length", "l"]), Some((3, 46..47)));
        assert_eq!(request.body, 51..54);
        let response = Headed::read(b"SIP/2.0 200 OK\nt: <sip:b@lab>;tag=x\nCSeq: 1 INVITE\n\n").expect("SIP");
        assert_eq!(response.sip(), Some(Sip { method: "INVITE".to_owned(), status: Some(200), to_tag: true }));
    }

    #[test]
    fn the_parts_of_a_body_are_found_between_their_boundaries() {
        let text = b"--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b\r\nA: b\r\n\r\nxy\r\n--b--\r\n";
        let parts = parts(text).expect("multipart");
        let bodies: Vec<&[u8]> = parts
            .iter()
            .map(|range| {
                let part_text = &text[range.clone()];
                &part_text[part(part_text).expect("part").body]
            })
            .collect();
        assert_eq!(bodies, [b"v=0".as_slice(), b"xy".as_slice()]);
    }

    #[test]
    fn what_is_broken_is_nothing() {
        for text in ["", "SEND", "SEND\nx", "SEND\nno header\n\nbody", "SEND\na:b\n"] {
            assert!(Headed::read(text.as_bytes()).is_none(), "{text}");
        }
        for text in ["--", "--b\r\n", "--b\r\nx: y\r\n\r\nno end", "-- b\r\n\r\n-- b--\r\n"] {
            assert!(parts(text.as_bytes()).is_none(), "{text}");
        }
    }
}

//! How a text stands inside another: the escapes of JSON, XML and forms, and base64.
//!
//! Guarantees: [`Wrapping::unwrap`] gives a text only where [`Wrapping::wrap`] can give the same bytes back; what did not change in
//! the text keeps the bytes it had, and what changed is written the way this very place wrote such characters before.
//! Work and memory are linear in the bytes given.
use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// How the text of a place is written in the text around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wrapping {
    /// As it is: the body of a message, one record of several, a CDATA section.
    Plain,
    /// Inside a JSON string (RFC 8259 §7).
    Json,
    /// Between the tags of XML.
    Xml,
    /// Inside an attribute of XML that is quoted with this byte.
    Attribute(u8),
    /// A value of `application/x-www-form-urlencoded`.
    Form,
    /// RFC 4648 §4 or §5.
    Base64(Base64),
}

/// A flavour of base64, as one place uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Base64 {
    /// `-` and `_` instead of `+` and `/`.
    url_safe: bool,
    /// `=` at the end.
    padded: bool,
    /// Characters per line, and whether lines end with CRLF; `None` = one line.
    lines: Option<(usize, bool)>,
    /// Whether the last line has a line end, too.
    ended: bool,
}

/// One escape, or one plain character: where it stands and which bytes it means.
struct Unit {
    from: usize,
    to: usize,
    text: [u8; 4],
    length: u8,
}

impl Unit {
    fn text(&self) -> &[u8] {
        &self.text[..usize::from(self.length)]
    }
}

impl Wrapping {
    /// The text that is wrapped in `source`; `None` for what is broken or could not be written back.
    pub(super) fn unwrap(&self, source: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Plain => Some(source.to_vec()),
            Self::Base64(flavour) => flavour.decode(source),
            Self::Json | Self::Xml | Self::Attribute(_) | Self::Form => {
                let mut text = Vec::with_capacity(source.len());
                let mut at = 0;
                while at < source.len() {
                    let unit = self.unit(source, at)?;
                    text.extend_from_slice(unit.text());
                    at = unit.to;
                }
                Some(text)
            }
        }
    }

    /// `new` as it has to stand where `source` stood, which means `old`.
    pub(super) fn wrap(&self, source: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
        if old == new {
            return source.to_vec();
        }
        match self {
            Self::Plain => new.to_vec(),
            Self::Base64(flavour) => flavour.encode(new),
            Self::Json | Self::Xml | Self::Attribute(_) | Self::Form => self.escape(source, old, new),
        }
    }

    fn escape(&self, source: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
        let same_before = old.iter().zip(new).take_while(|(a, b)| a == b).count();
        let same_behind = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
        let same_behind = same_behind.min(old.len().min(new.len()) - same_before);
        // Both cuts lie between units of the old text, so that no escape is torn.
        let mut style = Style::default();
        let (mut head, mut head_text) = (0, 0);
        let mut tail = None;
        let (mut at, mut text_at) = (0, 0);
        while let Some(unit) = self.unit(source, at) {
            style.saw(&source[unit.from..unit.to], unit.text());
            if tail.is_none() && text_at >= old.len() - same_behind {
                tail = Some((at, text_at));
            }
            at = unit.to;
            text_at += usize::from(unit.length);
            if text_at <= same_before {
                (head, head_text) = (at, text_at);
            }
        }
        let (tail, tail_text) = tail.unwrap_or((source.len(), old.len()));
        let middle = &new[head_text..new.len() - (old.len() - tail_text)];
        let mut wrapped = Vec::with_capacity(source.len() + middle.len());
        wrapped.extend_from_slice(&source[..head]);
        self.write(middle, &style, &mut wrapped);
        wrapped.extend_from_slice(&source[tail..]);
        wrapped
    }

    /// Writes `text` the way `style` says; the rest of a character that was cut goes out byte for byte.
    fn write(&self, text: &[u8], style: &Style, out: &mut Vec<u8>) {
        for chunk in text.utf8_chunks() {
            for character in chunk.valid().chars() {
                match u8::try_from(character).ok().filter(u8::is_ascii) {
                    Some(byte) => match style.seen(byte) {
                        Some(written) => out.extend_from_slice(written),
                        None => self.write_ascii(byte, style, out),
                    },
                    None => self.write_wide(character, style, out),
                }
            }
            for byte in chunk.invalid() {
                match self {
                    Self::Form => percent(*byte, style, out),
                    _ => out.push(*byte),
                }
            }
        }
    }

    /// An ASCII character that this place never wrote before.
    fn write_ascii(&self, byte: u8, style: &Style, out: &mut Vec<u8>) {
        match self {
            Self::Json => match byte {
                b'"' => out.extend_from_slice(b"\\\""),
                b'\\' => out.extend_from_slice(b"\\\\"),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\t' => out.extend_from_slice(b"\\t"),
                0..0x20 => unicode_escape(u16::from(byte), style, out),
                b'<' | b'>' | b'&' | b'\'' | b'=' if style.html_safe => unicode_escape(u16::from(byte), style, out),
                _ => out.push(byte),
            },
            Self::Xml => match byte {
                b'&' => out.extend_from_slice(b"&amp;"),
                b'<' => out.extend_from_slice(b"&lt;"),
                b'>' => out.extend_from_slice(b"&gt;"),
                b'\r' => out.extend_from_slice(b"&#xD;"),
                _ => out.push(byte),
            },
            Self::Attribute(quote) => match byte {
                b'&' => out.extend_from_slice(b"&amp;"),
                b'<' => out.extend_from_slice(b"&lt;"),
                b'\r' => out.extend_from_slice(b"&#xD;"),
                b'\n' => out.extend_from_slice(b"&#xA;"),
                b'\t' => out.extend_from_slice(b"&#x9;"),
                byte if byte == *quote => {
                    out.extend_from_slice(if byte == b'"' { b"&quot;".as_slice() } else { b"&apos;".as_slice() });
                }
                _ => out.push(byte),
            },
            Self::Form => match byte {
                b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'*' => out.push(byte),
                b' ' => out.push(b'+'),
                _ => percent(byte, style, out),
            },
            Self::Plain | Self::Base64(_) => out.push(byte),
        }
    }

    fn write_wide(&self, character: char, style: &Style, out: &mut Vec<u8>) {
        let mut buffer = [0; 4];
        match self {
            Self::Json if style.wide_escaped => {
                let mut pair = [0; 2];
                for half in character.encode_utf16(&mut pair) {
                    unicode_escape(*half, style, out);
                }
            }
            Self::Form => {
                for byte in character.encode_utf8(&mut buffer).bytes() {
                    percent(byte, style, out);
                }
            }
            _ => out.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes()),
        }
    }

    /// The escape or character that begins at `at`; `None` where it is broken.
    fn unit(&self, source: &[u8], at: usize) -> Option<Unit> {
        let byte = *source.get(at)?;
        let plain = Unit { from: at, to: at + 1, text: [byte, 0, 0, 0], length: 1 };
        match (self, byte) {
            (Self::Json, b'\\') => json_escape(source, at),
            (Self::Xml | Self::Attribute(_), b'&') => entity(source, at),
            (Self::Form, b'+') => Some(Unit { text: [b' ', 0, 0, 0], ..plain }),
            (Self::Form, b'%') => {
                let value = hex(source.get(at + 1..at + 3)?)?;
                Some(Unit { to: at + 3, text: [u8::try_from(value).ok()?, 0, 0, 0], ..plain })
            }
            _ => Some(plain),
        }
    }
}

/// How one place writes its characters, learnt from what stands there.
struct Style {
    /// For each ASCII character the first form in which it was seen.
    written: Vec<Option<Box<[u8]>>>,
    /// An escape had a hexadecimal digit in upper case.
    upper: bool,
    /// A percent escape had one in lower case.
    lower: bool,
    /// JSON: `<`, `>`, `&`, `'` or `=` is written as `\u00..`.
    html_safe: bool,
    /// JSON: characters beyond ASCII are written as `\u....`.
    wide_escaped: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self { written: vec![None; 128], upper: false, lower: false, html_safe: false, wide_escaped: false }
    }
}

impl Style {
    fn saw(&mut self, source: &[u8], text: &[u8]) {
        if source.len() > 1 && source.iter().skip(1).any(|byte| byte.is_ascii_uppercase() && byte.is_ascii_hexdigit()) {
            self.upper = true;
        }
        self.lower |= source.len() == 3 && source[0] == b'%' && source[1..].iter().any(u8::is_ascii_lowercase);
        match text {
            [byte] if byte.is_ascii() => {
                if source.len() == 6 && source.starts_with(b"\\u00") && b"<>&'=".contains(byte) {
                    self.html_safe = true;
                }
                let slot = &mut self.written[usize::from(*byte)];
                if slot.is_none() {
                    *slot = Some(source.into());
                }
            }
            _ => self.wide_escaped |= source.starts_with(b"\\u"),
        }
    }

    fn seen(&self, byte: u8) -> Option<&[u8]> {
        self.written[usize::from(byte)].as_deref()
    }
}

fn hex(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn unicode_escape(unit: u16, style: &Style, out: &mut Vec<u8>) {
    let text = if style.upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") };
    out.extend_from_slice(text.as_bytes());
}

/// Upper case unless the place used lower case: RFC 3986 §2.1.
fn percent(byte: u8, style: &Style, out: &mut Vec<u8>) {
    let text = if style.lower && !style.upper { format!("%{byte:02x}") } else { format!("%{byte:02X}") };
    out.extend_from_slice(text.as_bytes());
}

fn json_escape(source: &[u8], at: usize) -> Option<Unit> {
    let simple = |byte| Some(Unit { from: at, to: at + 2, text: [byte, 0, 0, 0], length: 1 });
    match source.get(at + 1)? {
        b'n' => simple(b'\n'),
        b'r' => simple(b'\r'),
        b't' => simple(b'\t'),
        b'b' => simple(8),
        b'f' => simple(12),
        byte @ (b'"' | b'\\' | b'/') => simple(*byte),
        b'u' => {
            let first = hex(source.get(at + 2..at + 6)?)?;
            if (0xd800..0xdc00).contains(&first) {
                if source.get(at + 6..at + 8)? != b"\\u" {
                    return None;
                }
                let second = hex(source.get(at + 8..at + 12)?)?;
                let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                return wide(at, at + 12, 0x1_0000 + ((first - 0xd800) << 10) + low);
            }
            wide(at, at + 6, first)
        }
        _ => None,
    }
}

fn entity(source: &[u8], at: usize) -> Option<Unit> {
    let rest = &source[at + 1..];
    // The longest that means anything is `#x10FFFF;`, with a few zeros in front.
    let length = rest.iter().take(16).position(|byte| *byte == b';')?;
    let to = at + length + 2;
    match &rest[..length] {
        b"amp" => wide(at, to, u32::from('&')),
        b"lt" => wide(at, to, u32::from('<')),
        b"gt" => wide(at, to, u32::from('>')),
        b"quot" => wide(at, to, u32::from('"')),
        b"apos" => wide(at, to, u32::from('\'')),
        [b'#', b'x' | b'X', digits @ ..] => wide(at, to, hex(digits)?),
        [b'#', digits @ ..] => wide(at, to, std::str::from_utf8(digits).ok()?.parse().ok()?),
        _ => None,
    }
}

fn wide(from: usize, to: usize, code: u32) -> Option<Unit> {
    let mut text = [0; 4];
    let length = char::from_u32(code)?.encode_utf8(&mut text).len();
    Some(Unit { from, to, text, length: u8::try_from(length).ok()? })
}

impl Base64 {
    /// The flavour of `source`; `None` where it is no base64 that could be written back the same.
    pub(super) fn of(source: &[u8]) -> Option<Self> {
        let body = source.trim_ascii_end();
        let padded = body.ends_with(b"=");
        let has = |a: u8, b: u8| body.iter().any(|byte| *byte == a || *byte == b);
        let (standard, url_safe) = (has(b'+', b'/'), has(b'-', b'_'));
        if standard && url_safe {
            return None;
        }
        let lines = match memchr::memchr(b'\n', body) {
            Some(end) if end > 0 && body[end - 1] == b'\r' => Some((end - 1, true)),
            Some(end) => Some((end, false)),
            None => None,
        };
        let symbols = body.iter().filter(|byte| !matches!(byte, b'\r' | b'\n')).count();
        let flavour = Self {
            // ASCII has hardly ever a `+`: without a sign of either alphabet a missing `=` tells.
            url_safe: url_safe || (!standard && !padded && symbols % 4 != 0),
            padded: padded || (symbols % 4 == 0 && !url_safe),
            lines,
            ended: body.len() < source.len(),
        };
        let text = flavour.decode_loosely(source)?;
        (flavour.encode(&text) == source).then_some(flavour)
    }

    fn engine(self) -> GeneralPurpose {
        let alphabet = if self.url_safe { URL_SAFE } else { STANDARD };
        let config = GeneralPurposeConfig::new()
            .with_encode_padding(self.padded)
            .with_decode_padding_mode(DecodePaddingMode::Indifferent);
        GeneralPurpose::new(&alphabet, config)
    }

    fn decode_loosely(self, source: &[u8]) -> Option<Vec<u8>> {
        let symbols: Vec<u8> = source.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
        self.engine().decode(symbols).ok()
    }

    fn decode(self, source: &[u8]) -> Option<Vec<u8>> {
        let text = self.decode_loosely(source)?;
        (self.encode(&text) == source).then_some(text)
    }

    fn encode(self, text: &[u8]) -> Vec<u8> {
        let symbols = self.engine().encode(text).into_bytes();
        let end: &[u8] = match self.lines {
            Some((_, true)) => b"\r\n",
            _ => b"\n",
        };
        let width = self.lines.map_or(usize::MAX, |(width, _)| width.max(1));
        let mut out = Vec::with_capacity(symbols.len());
        for (index, line) in symbols.chunks(width).enumerate() {
            if index > 0 {
                out.extend_from_slice(end);
            }
            out.extend_from_slice(line);
        }
        if self.ended {
            out.extend_from_slice(end);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(wrapping: &Wrapping, source: &str, new: &str) -> String {
        let old = wrapping.unwrap(source.as_bytes()).expect("it can be unwrapped");
        String::from_utf8(wrapping.wrap(source.as_bytes(), &old, new.as_bytes())).expect("UTF-8")
    }

    #[test]
    fn what_did_not_change_keeps_its_bytes() {
        let source = r"\u0061b\/c/\u0064 OLD e\/f/g";
        assert_eq!(wrapped(&Wrapping::Json, source, "ab/c/d NEW e/f/g"), r"\u0061b\/c/\u0064 NEW e\/f/g");
        assert_eq!(
            wrapped(&Wrapping::Xml, "&#97;&amp;&#38; OLD &#x26;", "a&& N&W &"),
            "&#97;&amp;&#38; N&amp;W &#x26;"
        );
        assert_eq!(wrapped(&Wrapping::Form, "a+b%20c%3Aold%3A+", "a b c:n:w: "), "a+b%20c%3An%3Aw%3A+");
    }

    #[test]
    fn characters_beyond_ascii_are_written_as_before() {
        assert_eq!(wrapped(&Wrapping::Json, r"\u00eb x", "\u{1f600} y"), r"\ud83d\ude00 y");
        assert_eq!(wrapped(&Wrapping::Json, "ë x", "\u{1f600} y"), "\u{1f600} y");
        assert_eq!(wrapped(&Wrapping::Form, "%c3%ab", "é"), "%c3%a9");
    }

    #[test]
    fn a_text_can_grow_out_of_what_it_repeats() {
        for (old, new) in [("aaa", "aaaaa"), ("aaaaa", "aa"), ("abab", "ababab"), ("", "x"), ("x", "")] {
            assert_eq!(wrapped(&Wrapping::Json, old, new), new);
        }
    }

    #[test]
    fn broken_escapes_are_not_unwrapped() {
        for (wrapping, source) in [
            (Wrapping::Json, r"\x"),
            (Wrapping::Json, r"\u12"),
            (Wrapping::Json, r"\ud800"),
            (Wrapping::Json, r"\udc00"),
            (Wrapping::Json, r"\"),
            (Wrapping::Xml, "&nbsp;"),
            (Wrapping::Xml, "a & b"),
            (Wrapping::Xml, "&#xd800;"),
            (Wrapping::Form, "%4"),
            (Wrapping::Form, "%zz"),
        ] {
            assert_eq!(wrapping.unwrap(source.as_bytes()), None, "{source}");
        }
    }

    #[test]
    fn base64_that_could_not_be_written_back_is_none() {
        for source in ["YQ==YQ==", "YR==", "Y Q==", "a+b-", "YWJj\nYWJjYWJj\nYWJj", "Y"] {
            assert_eq!(Base64::of(source.as_bytes()), None, "{source}");
        }
    }
}

//! SIP messages (RFC 3261 §7) as text: read leniently, written exactly as they are put together.
//!
//! Pure. A WebSocket carries one whole message each (RFC 7118 §4.2), so `Content-Length` may be missing. URIs and parameters stay
//! the text they were: a parser that writes them anew would change `transport=ws`, which digests and other sides compare.
use std::fmt;

/// Longest accepted message, bytes.
const MAX_BYTES: usize = 1 << 20;
/// Most header fields that are accepted.
const MAX_HEADERS: usize = 256;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// A request.
    Request {
        /// `INVITE` and the like, in capitals.
        method: String,
        /// Request-URI.
        uri: String,
    },
    /// A response.
    Response {
        /// 100 to 699.
        status: u16,
        /// Reason phrase, as it was sent.
        reason: String,
    },
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// First line.
    pub(crate) start: Start,
    /// Names (long forms of compact ones) and values, in their order.
    headers: Vec<(String, String)>,
    /// Body.
    pub(crate) body: String,
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// What is wrong with it; the message is not repeated.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_BYTES {
            return Err(format!("a message of {} bytes is longer than {MAX_BYTES}", text.len()));
        }
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let mut lines = head.split("\r\n");
        let start = start_line(lines.next().unwrap_or_default())?;
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines {
            if line.starts_with([' ', '\t']) {
                // A folded line (RFC 3261 §7.3.1).
                let Some((_, value)) = headers.last_mut() else { return Err("it begins with a folded line".into()) };
                value.push(' ');
                value.push_str(line.trim());
                continue;
            }
            let Some((name, value)) = line.split_once(':') else { continue };
            if headers.len() == MAX_HEADERS {
                return Err(format!("it has more than {MAX_HEADERS} header fields"));
            }
            headers.push((long_form(name.trim()).to_owned(), value.trim().to_owned()));
        }
        let mut message = Self { start, headers, body: String::new() };
        for name in ["Call-ID", "CSeq", "From", "To", "Via"] {
            if message.header(name).is_none() {
                return Err(format!("it has no {name}"));
            }
        }
        if message.cseq().is_none() {
            return Err("its CSeq has no number and method".into());
        }
        let length = message.header("Content-Length").and_then(|length| length.parse::<usize>().ok());
        let body = length.map_or(Some(body), |length| body.get(..length.min(body.len())));
        message.body = body.ok_or("its Content-Length ends within a character")?.to_owned();
        Ok(message)
    }

    /// A request without header fields.
    pub(crate) fn request(method: &str, uri: &str) -> Self {
        let start = Start::Request { method: method.to_owned(), uri: uri.to_owned() };
        Self { start, headers: Vec::new(), body: String::new() }
    }

    /// A response to `request` with what has to be copied from it (RFC 3261 §8.2.6.2); `tag` goes to `To` unless it has one.
    pub(crate) fn response(request: &Self, status: u16, reason: &str, tag: &str) -> Self {
        let start = Start::Response { status, reason: reason.to_owned() };
        let mut response = Self { start, headers: Vec::new(), body: String::new() };
        for (name, value) in &request.headers {
            match name.as_str() {
                "Via" | "From" | "Call-ID" | "CSeq" | "Record-Route" => response.add(name, value),
                "To" if status > 100 && parameter(value, "tag").is_none() => {
                    response.add(name, format!("{value};tag={tag}"));
                }
                "To" => response.add(name, value),
                _ => {}
            }
        }
        response
    }

    /// Adds a header field at the end; line ends in it become blanks, so that no value can add another field.
    pub(crate) fn add(&mut self, name: &str, value: impl fmt::Display) {
        let value = value.to_string();
        let value = if value.contains(['\r', '\n']) { value.replace(['\r', '\n'], " ") } else { value };
        self.headers.push((name.to_owned(), value));
    }

    /// Adds a header field, as [`Self::add`], and gives the message back.
    pub(crate) fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.add(name, value);
        self
    }

    /// Sets the body and its type.
    pub(crate) fn with_body(mut self, kind: &str, body: &str) -> Self {
        self.add("Content-Type", kind);
        body.clone_into(&mut self.body);
        self
    }

    /// The first field of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Replaces the first field of this name.
    pub(crate) fn replace(&mut self, name: &str, value: impl fmt::Display) {
        if let Some((_, old)) = self.headers.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            *old = value.to_string();
        }
    }

    /// Inserts a field behind the first one called `after`.
    pub(crate) fn insert_after(&mut self, after: &str, name: &str, value: impl fmt::Display) {
        let place = self.headers.iter().position(|(known, _)| known.eq_ignore_ascii_case(after));
        let place = place.map_or(self.headers.len(), |place| place + 1);
        self.headers.insert(place, (name.to_owned(), value.to_string()));
    }

    /// Inserts a field before all others.
    pub(crate) fn insert_first(&mut self, name: &str, value: impl fmt::Display) {
        self.headers.insert(0, (name.to_owned(), value.to_string()));
    }

    /// Removes the first value of this name (a proxy's own `Via`, RFC 3261 §16.7).
    pub(crate) fn remove_first(&mut self, name: &str) {
        let Some(place) = self.headers.iter().position(|(known, _)| known.eq_ignore_ascii_case(name)) else { return };
        let rest = split_list(&self.headers[place].1).into_iter().skip(1).collect::<Vec<_>>().join(", ");
        if rest.is_empty() {
            self.headers.remove(place);
        } else {
            self.headers[place].1 = rest;
        }
    }

    /// Removes every field of this name.
    pub(crate) fn remove(&mut self, name: &str) {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    }

    /// All values of this name, with lists taken apart at their commas (RFC 3261 §7.3.1).
    pub(crate) fn list(&self, name: &str) -> Vec<&str> {
        let fields = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        fields.flat_map(|(_, value)| split_list(value)).collect()
    }

    /// All values of this name, each as one.
    pub(crate) fn fields<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Whether a list of this name has `token`.
    pub(crate) fn lists(&self, name: &str, token: &str) -> bool {
        self.list(name).iter().any(|listed| listed.eq_ignore_ascii_case(token))
    }

    /// Names of all header fields, in their order.
    #[cfg(test)]
    pub(crate) fn names(&self) -> Vec<&str> {
        self.headers.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Method of a request; empty for a response.
    pub(crate) fn method(&self) -> &str {
        match &self.start {
            Start::Request { method, .. } => method,
            Start::Response { .. } => "",
        }
    }

    /// Status of a response.
    pub(crate) fn status(&self) -> Option<u16> {
        match self.start {
            Start::Response { status, .. } => Some(status),
            Start::Request { .. } => None,
        }
    }

    /// `486 Busy Here`, with the text of `Reason` (RFC 3326) or `Warning` where there is one.
    pub(crate) fn said(&self) -> String {
        let mut said = match &self.start {
            Start::Response { status, reason } => format!("{status} {reason}"),
            Start::Request { method, .. } => method.clone(),
        };
        if let Some(reason) = self.header("Reason").or_else(|| self.header("Warning")) {
            said.push_str(&format!(" ({reason})"));
        }
        said
    }

    /// Number and method of `CSeq`.
    pub(crate) fn cseq(&self) -> Option<(u32, &str)> {
        let (number, method) = self.header("CSeq")?.split_once([' ', '\t'])?;
        Some((number.parse().ok()?, method.trim()))
    }

    /// `Call-ID`.
    pub(crate) fn call_id(&self) -> &str {
        self.header("Call-ID").unwrap_or_default()
    }

    /// `branch` of the topmost `Via`.
    pub(crate) fn branch(&self) -> Option<&str> {
        let top = self.header("Via").map(split_list)?.into_iter().next()?;
        parameter(top, "branch")
    }

    /// The `tag` of `From` or `To`.
    pub(crate) fn tag(&self, name: &str) -> Option<&str> {
        parameter(self.header(name)?, "tag")
    }

    /// URI of the first `Contact`.
    pub(crate) fn contact(&self) -> Option<&str> {
        self.list("Contact").first().map(|contact| uri_of(contact)).filter(|uri| !uri.is_empty())
    }

    /// A session description in the body.
    pub(crate) fn sdp(&self) -> Option<&str> {
        let kind = self.header("Content-Type")?;
        let is_sdp = kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/sdp"));
        (is_sdp && !self.body.trim().is_empty()).then_some(self.body.as_str())
    }

    /// A field that is a number of seconds, such as `Expires`; parameters behind it are passed over.
    pub(crate) fn seconds(&self, name: &str) -> Option<u32> {
        let value = self.header(name)?.split([';', ' ', '(']).next()?;
        value.trim().parse().ok()
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.start {
            Start::Request { method, uri } => write!(f, "{method} {uri} SIP/2.0\r\n")?,
            Start::Response { status, reason } => write!(f, "SIP/2.0 {status} {reason}\r\n")?,
        }
        for (name, value) in &self.headers {
            if name != "Content-Length" {
                write!(f, "{name}: {value}\r\n")?;
            }
        }
        write!(f, "Content-Length: {}\r\n\r\n{}", self.body.len(), self.body)
    }
}

fn start_line(line: &str) -> Result<Start, String> {
    let mut words = line.splitn(3, ' ');
    let (first, second, third) = (words.next(), words.next(), words.next());
    match (first, second, third) {
        (Some(version), Some(status), reason) if version.eq_ignore_ascii_case("SIP/2.0") => {
            let status = status.parse().ok().filter(|status| (100..700).contains(status));
            let status = status.ok_or("its status is no number from 100 to 699")?;
            Ok(Start::Response { status, reason: reason.unwrap_or_default().trim().to_owned() })
        }
        (Some(method), Some(uri), Some(version)) if version.trim().eq_ignore_ascii_case("SIP/2.0") => {
            let is_token = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_graphic());
            if !is_token || uri.is_empty() {
                return Err("its first line is no request line".into());
            }
            Ok(Start::Request { method: method.to_owned(), uri: uri.to_owned() })
        }
        _ => Err("its first line is neither a request line nor a status line of SIP/2.0".into()),
    }
}

/// The long form of a compact name (RFC 3261 §7.3.3, RFC 4028, RFC 3515, RFC 3892, RFC 6665).
fn long_form(name: &str) -> &str {
    const COMPACT: [(&str, &str); 15] = [
        ("i", "Call-ID"),
        ("m", "Contact"),
        ("e", "Content-Encoding"),
        ("l", "Content-Length"),
        ("c", "Content-Type"),
        ("f", "From"),
        ("s", "Subject"),
        ("k", "Supported"),
        ("t", "To"),
        ("v", "Via"),
        ("x", "Session-Expires"),
        ("r", "Refer-To"),
        ("b", "Referred-By"),
        ("o", "Event"),
        ("u", "Allow-Events"),
    ];
    // Names that are copied into responses have one spelling.
    const COPIED: [&str; 6] = ["Call-ID", "CSeq", "From", "Record-Route", "To", "Via"];
    if let Some((_, long)) = COMPACT.iter().find(|(compact, _)| compact.eq_ignore_ascii_case(name)) {
        return long;
    }
    COPIED.into_iter().find(|known| known.eq_ignore_ascii_case(name)).unwrap_or(name)
}

/// Takes a list apart at commas outside of quotes and angle brackets.
pub(crate) fn split_list(value: &str) -> Vec<&str> {
    let (mut parts, mut begin, mut quoted, mut angled, mut escaped) = (Vec::new(), 0, false, false, false);
    for (at, character) in value.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => angled = true,
            '>' if !quoted => angled = false,
            ',' if !quoted && !angled => {
                parts.push(value[begin..at].trim());
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(value[begin..].trim());
    parts.retain(|part| !part.is_empty());
    parts
}

/// A name-addr or addr-spec (RFC 3261 §20.10) as its URI and the parameters of the header field behind it.
fn address(value: &str) -> (&str, &str) {
    let value = value.trim();
    // A quoted display name may have anything in it.
    let after_name = match value.strip_prefix('"') {
        None => value,
        Some(name) => {
            let mut escaped = false;
            let end = name.find(|c| match c {
                _ if escaped => {
                    escaped = false;
                    false
                }
                '\\' => {
                    escaped = true;
                    false
                }
                c => c == '"',
            });
            end.map_or("", |end| &name[end + 1..])
        }
    };
    let (bracket, semicolon) = (after_name.find('<'), after_name.find(';'));
    match bracket.filter(|bracket| semicolon.is_none_or(|semicolon| *bracket < semicolon)) {
        Some(bracket) => after_name[bracket + 1..].split_once('>').unwrap_or_else(|| (&after_name[bracket + 1..], "")),
        // Without brackets, parameters are those of the header field.
        None => semicolon.map_or((after_name, ""), |semicolon| after_name.split_at(semicolon)),
    }
}

/// The URI of a name-addr or addr-spec.
pub(crate) fn uri_of(value: &str) -> &str {
    address(value).0.trim()
}

/// A parameter of a header field, outside of the angle brackets; without quotes.
pub(crate) fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    parameters(value).into_iter().find_map(|part| {
        let (known, value) = part.split_once('=').unwrap_or((part, ""));
        known.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
    })
}

/// The parameters of a header field, each as it was written, taken apart at semicolons outside of quotes.
pub(crate) fn parameters(value: &str) -> Vec<&str> {
    let rest = address(value).1;
    let (mut parts, mut begin, mut quoted) = (Vec::new(), 0, false);
    for (at, byte) in rest.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b';' if !quoted => {
                parts.push(rest[begin..at].trim());
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(rest[begin..].trim());
    parts.retain(|part| !part.is_empty());
    parts
}

/// The standard phrase of a status we send (RFC 3261 §21 and others).
pub(crate) fn phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        200 => "OK",
        202 => "Accepted",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        415 => "Unsupported Media Type",
        420 => "Bad Extension",
        422 => "Session Interval Too Small",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        491 => "Request Pending",
        500 => "Server Internal Error",
        503 => "Service Unavailable",
        603 => "Decline",
        _ => "Failure",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &str = "INVITE sip:bob@lab SIP/2.0\r\nv: SIP/2.0/WS a.invalid;branch=z9hG4bK1, SIP/2.0/WS b\r\n\
        To: \"Bob; <x>\" <sip:bob@lab;user=phone>\r\nf: <sip:alice@lab>;tag=a1\r\ni: c1\r\nCSeq: 7 INVITE\r\n\
        m: <sip:x@a.invalid;transport=ws;ob>;+sip.instance=\"<urn:uuid:1>\"\r\nRecord-Route: <sip:p1;lr>, <sip:p2;lr>\r\n\
        Record-Route: <sip:p3;lr>\r\nSubject: one\r\n two\r\nx: 90;refresher=uac\r\nc: application/sdp\r\n\r\nv=0\r\n";

    #[test]
    fn compact_folded_and_listed_fields_are_read_without_changing_their_text() {
        let message = Message::parse(INVITE).expect("a message");
        assert_eq!((message.method(), message.cseq()), ("INVITE", Some((7, "INVITE"))));
        assert_eq!((message.branch(), message.call_id()), (Some("z9hG4bK1"), "c1"));
        assert_eq!((message.tag("From"), message.tag("To")), (Some("a1"), None));
        assert_eq!(message.contact(), Some("sip:x@a.invalid;transport=ws;ob"));
        assert_eq!(message.list("record-route"), ["<sip:p1;lr>", "<sip:p2;lr>", "<sip:p3;lr>"]);
        assert_eq!(message.header("Subject"), Some("one two"));
        assert_eq!((message.seconds("Session-Expires"), message.sdp()), (Some(90), Some("v=0\r\n")));
        assert_eq!(uri_of(message.header("To").expect("it is there")), "sip:bob@lab;user=phone");
        let contact = "\"A \\\" <x>;tag=no\" <sip:a@b;x=1>;+sip.instance=\"<urn:uuid:1;2>\";expires=120";
        assert_eq!((uri_of(contact), parameter(contact, "expires")), ("sip:a@b;x=1", Some("120")));
        assert_eq!(parameter(contact, "+sip.instance"), Some("<urn:uuid:1;2>"));
        assert_eq!((uri_of("sip:a@b;tag=1"), parameter("sip:a@b;tag=1", "tag")), ("sip:a@b", Some("1")));
        assert_eq!(
            (parameter("90;refresher=uac", "refresher"), parameter("SIP/2.0/WS a;branch=b", "branch")),
            (Some("uac"), Some("b"))
        );
    }

    #[test]
    fn a_message_without_content_length_ends_with_its_frame_and_a_longer_body_is_cut() {
        let with_length = INVITE.replace("c: app", "l: 3\r\nc: app");
        assert_eq!(Message::parse(&with_length).expect("a message").body, "v=0");
        let too_long = INVITE.replace("c: app", "l: 99\r\nc: app");
        assert_eq!(Message::parse(&too_long).expect("a message").body, "v=0\r\n");
        assert!(Message::parse(&too_long.replace("99", "1").replace("v=0", "ü")).is_err(), "within a character");
    }

    #[test]
    fn a_response_copies_what_it_has_to_and_adds_the_tag_once() {
        let request = Message::parse(INVITE).expect("a message");
        let response = Message::response(&request, 180, phrase(180), "t1");
        let text = response.to_string();
        assert!(text.starts_with("SIP/2.0 180 Ringing\r\nVia: SIP/2.0/WS a.invalid;branch=z9hG4bK1"), "{text}");
        assert!(text.contains("<sip:bob@lab;user=phone>;tag=t1\r\n"), "{text}");
        assert!(text.ends_with("Content-Length: 0\r\n\r\n"));
        assert_eq!(Message::parse(&text).expect("a message").tag("To"), Some("t1"));
        assert_eq!(Message::response(&request, 100, phrase(100), "t1").tag("To"), None);
    }

    #[test]
    fn no_value_can_add_a_field_or_a_message() {
        let request = Message::request("INVITE", "sip:b").with("Subject", "x\r\nRoute: <sip:evil>\r\n\r\nBYE");
        assert_eq!(request.to_string().matches("\r\n").count(), 4);
    }

    #[test]
    fn what_is_no_message_is_refused_with_what_is_missing() {
        for (text, says) in [
            ("", "first line"),
            ("hello", "first line"),
            ("INVITE sip:b SIP/3.0\r\n\r\n", "first line"),
            ("SIP/2.0 99 Low\r\n\r\n", "100 to 699"),
            ("SIP/2.0 200 OK\r\n x\r\n\r\n", "folded"),
            ("SIP/2.0 200 OK\r\nCall-ID: 1\r\n\r\n", "no CSeq"),
        ] {
            let error = Message::parse(text).expect_err(text);
            assert!(error.contains(says), "{text:?}: {error}");
        }
        for end in 0..INVITE.len() {
            let _ = Message::parse(&INVITE[..end]).map(|message| (message.said(), message.sdp().is_some()));
        }
    }
}

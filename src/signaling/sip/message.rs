//! SIP messages (RFC 3261 §7), read and written by `rsipstack`; what this adds is what a WebSocket and verbatim text need.
//!
//! Pure. A WebSocket carries one whole message each (RFC 7118 §4.2), so `Content-Length` may be missing. URIs and parameters stay
//! the text they were: taken apart and written anew, as by `rsipstack`'s typed header fields, `transport=ws` becomes
//! `transport=WS`, which digests and other sides compare. So header fields are its untyped ones, and a Request-URI is one opaque
//! text to it. What a message is bounded by, in bytes and in lines, holds before anything is read of it.
use std::borrow::Cow;
use std::fmt;

use rsipstack::dialog::DialogId;
use rsipstack::sip::headers::make_header;
use rsipstack::sip::parser::parse_message;
use rsipstack::sip::typed::tokenizers::CseqTokenizer;
use rsipstack::sip::{
    Domain, HasHeaders as _, Header, Headers, HostWithPort, Method, Request, Response, SipMessage, StatusCode, To, Uri,
    Version,
};
use rsipstack::transaction::key::{TransactionKey, TransactionRole};

/// Longest accepted message, bytes.
const MAX_BYTES: usize = 1 << 20;
/// Most lines of header fields that are accepted.
const MAX_LINES: usize = 256;
/// Said of a first line that is neither of both.
const NO_FIRST_LINE: &str = "its first line is neither a request line nor a status line of SIP/2.0";

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// Without `Content-Length`, which follows from the body; the Request-URI is [`verbatim`].
    sip: Box<SipMessage>,
    /// The method of a request that `rsipstack` has no name for, in whose place it has OPTIONS.
    extension: Option<Box<str>>,
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
        let (head, body) = match text.find("\r\n\r\n") {
            Some(end) => (Cow::Borrowed(&text[..end + 4]), &text[end + 4..]),
            None => (Cow::Owned(format!("{text}\r\n\r\n")), ""),
        };
        if head.matches('\n').count() > MAX_LINES {
            return Err(format!("it has more than {MAX_LINES} lines of header fields"));
        }
        let line = head.lines().next().unwrap_or_default();
        let mut words = line.splitn(3, [' ', '\t']).map(str::trim);
        let mut word = || words.next().unwrap_or_default();
        let (method, uri, version) = (word(), word(), word());
        let mut extension = None;
        // The head only: without Content-Length, `rsipstack` takes the body for empty.
        let read = match parse_message(head.as_bytes()) {
            // It reads no method that it has no name for, which wants its refusal (RFC 3261 §8.2.1), and no URI with a
            // transport it does not know.
            Err(_) if is_token(method) && !uri.is_empty() && version == "SIP/2.0" => {
                extension = method.parse::<Method>().is_err().then(|| method.into());
                let method = if extension.is_some() { "OPTIONS" } else { method };
                parse_message(format!("{method} sip:verbatim.invalid SIP/2.0{}", &head[line.len()..]).as_bytes())
            }
            read => read,
        };
        let mut sip = read.map_err(|_| NO_FIRST_LINE)?;
        match &mut sip {
            SipMessage::Request(request) if request.version == Version::V2 => request.uri = verbatim(uri),
            SipMessage::Response(response) if response.version == Version::V2 => {
                let code = response.status_code.code();
                if !(100..700).contains(&code) {
                    return Err("its status is no number from 100 to 699".into());
                }
                // Its own phrase would not be written again, nor told to the user.
                if let Some(reason) = response.wire_reason.take() {
                    response.status_code = StatusCode::Other(code, reason);
                }
            }
            _ => return Err(NO_FIRST_LINE.into()),
        }
        let mut message = Self { sip: Box::new(sip), extension };
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
        let body = body.ok_or("its Content-Length ends within a character")?;
        message.remove("Content-Length");
        message.set_body(body);
        Ok(message)
    }

    /// A request without header fields; `uri` is written as it is.
    pub(crate) fn request(method: Method, uri: &str) -> Self {
        let (uri, headers, body) = (verbatim(uri), Headers::default(), Vec::new());
        let request = Request { method, uri, version: Version::V2, headers, body };
        Self { sip: Box::new(SipMessage::Request(request)), extension: None }
    }

    /// A response to `request` with what has to be copied from it (RFC 3261 §8.2.6.2); `tag` goes to `To` unless it has one.
    pub(crate) fn response(request: &Self, status: u16, tag: &str) -> Self {
        let mut headers = Headers::default();
        for header in request.sip.headers().iter() {
            match header {
                Header::To(to) if status > 100 && parameter(to.value(), "tag").is_none() => {
                    headers.push(To::new(format!("{};tag={tag}", to.value())).into());
                }
                Header::Via(_)
                | Header::From(_)
                | Header::To(_)
                | Header::CallId(_)
                | Header::CSeq(_)
                | Header::RecordRoute(_) => headers.push(header.clone()),
                _ => {}
            }
        }
        let response = Response { status_code: StatusCode::from(status), headers, ..Response::default() };
        Self { sip: Box::new(SipMessage::Response(response)), extension: None }
    }

    /// Adds a header field at the end; line ends in it become blanks, so that no value can add another field.
    pub(crate) fn add(&mut self, name: &str, value: impl fmt::Display) {
        let value = value.to_string();
        let value = if value.contains(['\r', '\n']) { value.replace(['\r', '\n'], " ") } else { value };
        self.sip.headers_mut().push(make_header(name, value));
    }

    /// Adds a header field, as [`Self::add`], and gives the message back.
    pub(crate) fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.add(name, value);
        self
    }

    /// Sets the body and its type.
    pub(crate) fn with_body(mut self, kind: &str, body: &str) -> Self {
        self.add("Content-Type", kind);
        self.set_body(body);
        self
    }

    fn set_body(&mut self, body: &str) {
        let (SipMessage::Request(Request { body: place, .. }) | SipMessage::Response(Response { body: place, .. })) =
            &mut *self.sip;
        *place = body.as_bytes().to_vec();
    }

    /// The body.
    pub(crate) fn body(&self) -> &str {
        let (SipMessage::Request(Request { body, .. }) | SipMessage::Response(Response { body, .. })) = &*self.sip;
        // It was set from a text.
        std::str::from_utf8(body).unwrap_or_default()
    }

    /// The first field of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.sip.headers().iter().find(|header| is(header, name)).map(Header::value)
    }

    /// Replaces the first field of this name.
    pub(crate) fn replace(&mut self, name: &str, value: impl fmt::Display) {
        if let Some(old) = self.sip.headers_mut().iter_mut().find(|header| is(header, name)) {
            *old = make_header(name, value.to_string());
        }
    }

    /// Inserts a field behind the first one called `after`.
    pub(crate) fn insert_after(&mut self, after: &str, name: &str, value: impl fmt::Display) {
        let Headers(headers) = self.sip.headers_mut();
        let place = headers.iter().position(|header| is(header, after)).map_or(headers.len(), |place| place + 1);
        headers.insert(place, make_header(name, value.to_string()));
    }

    /// Inserts a field before all others.
    pub(crate) fn insert_first(&mut self, name: &str, value: impl fmt::Display) {
        self.sip.headers_mut().push_front(make_header(name, value.to_string()));
    }

    /// Removes the first value of this name (a proxy's own `Via`, RFC 3261 §16.7).
    pub(crate) fn remove_first(&mut self, name: &str) {
        let Headers(headers) = self.sip.headers_mut();
        let Some(place) = headers.iter().position(|header| is(header, name)) else { return };
        let rest = split_list(headers[place].value()).into_iter().skip(1).collect::<Vec<_>>().join(", ");
        if rest.is_empty() {
            headers.remove(place);
        } else {
            headers[place] = make_header(name, rest);
        }
    }

    /// Removes every field of this name.
    pub(crate) fn remove(&mut self, name: &str) {
        self.sip.headers_mut().remove_all(|header| is(header, name));
    }

    /// All values of this name, with lists taken apart at their commas (RFC 3261 §7.3.1).
    pub(crate) fn list(&self, name: &str) -> Vec<&str> {
        self.fields(name).flat_map(split_list).collect()
    }

    /// All values of this name, each as one.
    pub(crate) fn fields<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.sip.headers().iter().filter(move |header| is(header, name)).map(Header::value)
    }

    /// Whether a list of this name has `token`.
    pub(crate) fn lists(&self, name: &str, token: &str) -> bool {
        self.list(name).iter().any(|listed| listed.eq_ignore_ascii_case(token))
    }

    /// Names of all header fields, in their order.
    #[cfg(test)]
    pub(crate) fn names(&self) -> Vec<&str> {
        self.sip.headers().iter().map(Header::name).collect()
    }

    /// Method of a request; none for a response, and for a method that `rsipstack` has no name for.
    pub(crate) fn method(&self) -> Option<Method> {
        match &*self.sip {
            SipMessage::Request(request) => self.extension.is_none().then_some(request.method),
            SipMessage::Response(_) => None,
        }
    }

    /// Request-URI, as it was sent; empty for a response.
    pub(crate) fn uri(&self) -> String {
        match &*self.sip {
            SipMessage::Request(request) => request.uri.to_string(),
            SipMessage::Response(_) => String::new(),
        }
    }

    /// Sends a request elsewhere (a proxy, RFC 3261 §16.6).
    pub(crate) fn retarget(&mut self, uri: &str) {
        if let SipMessage::Request(request) = &mut *self.sip {
            request.uri = verbatim(uri);
        }
    }

    /// Status of a response.
    pub(crate) fn status(&self) -> Option<u16> {
        match &*self.sip {
            SipMessage::Response(response) => Some(response.status_code.code()),
            SipMessage::Request(_) => None,
        }
    }

    /// `486 Busy Here`, with the text of `Reason` (RFC 3326) or `Warning` where there is one; the method of a request.
    pub(crate) fn said(&self) -> String {
        let mut said = match (&*self.sip, &self.extension) {
            (SipMessage::Response(response), _) => response.status_code.to_string(),
            (SipMessage::Request(_), Some(method)) => method.to_string(),
            (SipMessage::Request(request), None) => request.method.to_string(),
        };
        if let Some(reason) = self.header("Reason").or_else(|| self.header("Warning")) {
            said.push_str(&format!(" ({reason})"));
        }
        said
    }

    /// Number and method of `CSeq`.
    pub(crate) fn cseq(&self) -> Option<(u32, &str)> {
        let CseqTokenizer { seq, method } = CseqTokenizer::parse(self.header("CSeq")?).ok()?;
        Some((seq.parse().ok()?, method))
    }

    /// The client transaction that a request begins, or that a response is of (RFC 3261 §17.1.3); none where `CSeq` has a method
    /// without a name.
    pub(crate) fn client_transaction(&self) -> Option<TransactionKey> {
        // Of what the key is made of, since a URI or a parameter that `rsipstack` does not take is no reason to lose a response.
        let (branch, tag) = (self.branch().unwrap_or_default(), self.tag("From").unwrap_or_default());
        let headers = vec![
            make_header("Via", format!("SIP/2.0/WS verbatim.invalid;branch={branch}")),
            make_header("From", format!("<sip:verbatim.invalid>;tag={tag}")),
            make_header("Call-ID", self.call_id().to_owned()),
            make_header("CSeq", self.header("CSeq")?.to_owned()),
        ];
        let response = Response { headers: headers.into(), ..Response::default() };
        TransactionKey::from_response(&response, TransactionRole::Client).ok()
    }

    /// The dialog that a message of the other side is of (RFC 3261 §12): our tag is the local one. A tag that is missing is empty.
    pub(crate) fn dialog(&self) -> DialogId {
        let (ours, theirs) = if self.status().is_some() { ("From", "To") } else { ("To", "From") };
        let tag = |name| self.tag(name).unwrap_or_default().to_owned();
        DialogId { call_id: self.call_id().to_owned(), local_tag: tag(ours), remote_tag: tag(theirs) }
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
        let body = self.body();
        (is_sdp && !body.trim().is_empty()).then_some(body)
    }

    /// A field that is a number of seconds, such as `Expires`; parameters behind it are passed over.
    pub(crate) fn seconds(&self, name: &str) -> Option<u32> {
        let value = self.header(name)?.split([';', ' ', '(']).next()?;
        value.trim().parse().ok()
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.extension {
            Some(method) => write!(f, "{method} {} SIP/2.0", self.uri())?,
            None => f.write_str(&self.sip.start_line())?,
        }
        let body = self.body();
        write!(f, "\r\n{}Content-Length: {}\r\n\r\n{body}", self.sip.headers(), body.len())
    }
}

/// A URI that `rsipstack` writes exactly as `text`, since it takes it for the name of a host.
pub(super) fn verbatim(text: &str) -> Uri {
    Uri { host_with_port: HostWithPort::from(Domain::from(text)), ..Uri::default() }
}

fn is(header: &Header, name: &str) -> bool {
    header.name().eq_ignore_ascii_case(name)
}

/// A token (RFC 3261 §25.1).
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte))
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
        assert_eq!((message.method(), message.cseq()), (Some(Method::Invite), Some((7, "INVITE"))));
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
    fn what_is_read_is_written_again_as_it_was() {
        let text = "INVITE sip:Bob%20x@[::1]:5060;transport=ws;user=phone?Subject=a%20b SIP/2.0\r\n\
            Via: SIP/2.0/WS a.invalid;branch=z9hG4bK1;rport\r\nTo: \"B <x>\" <sip:bob@lab;transport=ws;lr=on>\r\n\
            From: sip:alice@lab;tag=a1\r\nCall-ID: c1\r\nCSeq:  7   INVITE\r\nContact: <sip:a@b;transport=udp;ob>;q=0.50\r\n\
            X-Own: one,  two\r\nContent-Length: 3\r\n\r\nv=0";
        let message = Message::parse(text).expect("a message");
        assert_eq!(message.to_string(), text.replace("CSeq:  7", "CSeq: 7"));
        assert_eq!(message.uri(), "sip:Bob%20x@[::1]:5060;transport=ws;user=phone?Subject=a%20b");
        let refusal = text.replace(
            "INVITE sip:Bob%20x@[::1]:5060;transport=ws;user=phone?Subject=a%20b SIP/2.0",
            "SIP/2.0 403 Not Today",
        );
        let refusal = Message::parse(&refusal).expect("a message");
        assert_eq!((refusal.status(), refusal.said().as_str()), (Some(403), "403 Not Today"));
        assert!(refusal.to_string().starts_with("SIP/2.0 403 Not Today\r\n"));
    }

    #[test]
    fn a_method_without_a_name_and_a_transport_that_is_not_known_are_read() {
        let ping = INVITE.replace("INVITE", "PING");
        let ping = Message::parse(&ping).expect("a message");
        assert_eq!((ping.method(), ping.cseq(), ping.said().as_str()), (None, Some((7, "PING")), "PING"));
        assert!(ping.to_string().starts_with("PING sip:bob@lab SIP/2.0\r\nVia: "));
        let quic = INVITE.replace("INVITE sip:bob@lab", "INVITE sip:bob@lab;transport=quic");
        let quic = Message::parse(&quic).expect("a message");
        assert_eq!((quic.method(), quic.uri().as_str()), (Some(Method::Invite), "sip:bob@lab;transport=quic"));
    }

    #[test]
    fn what_a_message_may_have_is_bounded() {
        let fields = |count: usize| INVITE.replace("Subject: one\r\n", &"Subject: one\r\n".repeat(count));
        assert!(Message::parse(&fields(200)).is_ok());
        assert!(Message::parse(&fields(300)).expect_err("too many").contains("more than 256"));
        let long = format!("{INVITE}{}", "x".repeat(MAX_BYTES));
        assert!(Message::parse(&long).expect_err("too long").contains("longer than"));
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_read_can_be_written_and_is_read_the_same_from_then_on(
            place in 0..INVITE.len(), length in 0..40_usize, noise in "[ -~\\r\\n\\tüü<>\",;:=]{0,12}"
        ) {
            let (before, after) = INVITE.split_at(place);
            let text = format!("{before}{noise}{}", &after[length.min(after.len())..]);
            if let Ok(message) = Message::parse(&text) {
                // Blanks at the end of a folded line are gone by then.
                let written = Message::parse(&message.to_string()).expect("what was written");
                let again = Message::parse(&written.to_string()).expect("what was written");
                proptest::prop_assert_eq!(&again, &written);
                proptest::prop_assert_eq!((message.uri(), message.names()), (written.uri(), written.names()));
                let _ = (message.said(), message.sdp().is_some(), message.client_transaction(), message.dialog());
                let _ = Message::response(&message, 200, "t").to_string();
            }
        }
    }

    #[test]
    fn a_message_without_content_length_ends_with_its_frame_and_a_longer_body_is_cut() {
        let with_length = INVITE.replace("c: app", "l: 3\r\nc: app");
        assert_eq!(Message::parse(&with_length).expect("a message").body(), "v=0");
        let too_long = INVITE.replace("c: app", "l: 99\r\nc: app");
        assert_eq!(Message::parse(&too_long).expect("a message").body(), "v=0\r\n");
        assert!(Message::parse(&too_long.replace("99", "1").replace("v=0", "ü")).is_err(), "within a character");
    }

    #[test]
    fn a_response_copies_what_it_has_to_and_adds_the_tag_once() {
        let request = Message::parse(INVITE).expect("a message");
        let response = Message::response(&request, 180, "t1");
        let text = response.to_string();
        assert!(text.starts_with("SIP/2.0 180 Ringing\r\nVia: SIP/2.0/WS a.invalid;branch=z9hG4bK1"), "{text}");
        assert!(text.contains("<sip:bob@lab;user=phone>;tag=t1\r\n"), "{text}");
        assert!(text.ends_with("Content-Length: 0\r\n\r\n"));
        assert_eq!(Message::parse(&text).expect("a message").tag("To"), Some("t1"));
        assert_eq!(Message::response(&request, 100, "t1").tag("To"), None);
    }

    #[test]
    fn no_value_can_add_a_field_or_a_message() {
        let request = Message::request(Method::Invite, "sip:b").with("Subject", "x\r\nRoute: <sip:evil>\r\n\r\nBYE");
        assert_eq!(request.to_string().matches("\r\n").count(), 4);
    }

    #[test]
    fn what_is_no_message_is_refused_with_what_is_missing() {
        for (text, says) in [
            ("", "first line"),
            ("hello", "first line"),
            ("INVITE sip:b SIP/3.0\r\n\r\n", "first line"),
            ("SIP/2.0 99 Low\r\n\r\n", "100 to 699"),
            ("SIP/2.0 200 OK\r\n x\r\n\r\n", "no Call-ID"),
            ("\r\n\r\nINVITE sip:b SIP/2.0\r\n\r\n", "first line"),
            ("SIP/2.0 abc SIP/2.0\r\n\r\n", "first line"),
            ("INVITE  SIP/2.0\r\n\r\n", "first line"),
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

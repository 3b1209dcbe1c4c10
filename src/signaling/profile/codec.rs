//! Frames become JSON, so that one selector language serves every protocol.
//!
//! Pure. Guarantees: [`Codec::decode`] never panics, takes at most [`MAX_BYTES`], and makes a value whose size is linear in
//! the frame's: nesting is bounded by [`MAX_DEPTH`]. XML with a document type is refused, so no entity can grow.
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Longest frame that is looked at, bytes.
pub const MAX_BYTES: usize = 1 << 20;
/// Deepest nesting of XML elements.
pub const MAX_DEPTH: usize = 64;

/// How a text becomes JSON.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Codec {
    /// As it is (RFC 8259).
    #[default]
    Json,
    /// One XML element: `_` its local name, `@xmlns` its namespace, `@name` its attributes, `#text` its own text, and for each
    /// name of its child elements an array of these.
    Xml,
    /// One SIP message (RFC 3261): `method` and `uri`, or `status` and `reason`; `h` with an array of values for each header
    /// name (lower case, compact forms written out); `body`.
    Sip,
    /// Anything: `text`.
    Text,
    /// Base64 (RFC 4648 §4 or §5) of JSON.
    Base64,
}

impl Codec {
    /// `text` as JSON.
    ///
    /// # Errors
    /// Why it is not of this kind.
    pub fn decode(self, text: &str) -> Result<Value, String> {
        if text.len() > MAX_BYTES {
            return Err(format!("{} bytes are more than the {MAX_BYTES} that are looked at", text.len()));
        }
        match self {
            Self::Json => serde_json::from_str(text).map_err(|error| format!("not JSON: {error}")),
            Self::Xml => xml(text),
            Self::Sip => sip(text),
            Self::Text => Ok(json!({ "text": text })),
            Self::Base64 => base64(text),
        }
    }
}

fn xml(text: &str) -> Result<Value, String> {
    let document = roxmltree::Document::parse(text).map_err(|error| format!("not XML: {error}"))?;
    element(document.root_element(), 0)
}

fn element(node: roxmltree::Node<'_, '_>, depth: usize) -> Result<Value, String> {
    if depth > MAX_DEPTH {
        return Err(format!("XML elements are nested deeper than {MAX_DEPTH}"));
    }
    let mut members = Map::new();
    members.insert("_".to_owned(), node.tag_name().name().into());
    if let Some(namespace) = node.tag_name().namespace() {
        members.insert("@xmlns".to_owned(), namespace.into());
    }
    for attribute in node.attributes() {
        members.insert(["@", attribute.name()].concat(), attribute.value().into());
    }
    let mut own_text = String::new();
    for child in node.children() {
        if child.is_element() {
            let children = members.entry(child.tag_name().name()).or_insert_with(|| json!([]));
            if let Value::Array(children) = children {
                children.push(element(child, depth + 1)?);
            }
        } else if child.is_text() {
            own_text.push_str(child.text().unwrap_or_default());
        }
    }
    if !own_text.is_empty() {
        members.insert("#text".to_owned(), own_text.into());
    }
    Ok(Value::Object(members))
}

/// Header names with a compact form (RFC 3261 §7.3.3 and the IANA registry).
const COMPACT: [(&str, &str); 13] = [
    ("a", "accept-contact"),
    ("b", "referred-by"),
    ("c", "content-type"),
    ("e", "content-encoding"),
    ("f", "from"),
    ("i", "call-id"),
    ("k", "supported"),
    ("l", "content-length"),
    ("m", "contact"),
    ("o", "event"),
    ("s", "subject"),
    ("t", "to"),
    ("v", "via"),
];

fn sip(text: &str) -> Result<Value, String> {
    if text.trim_matches(['\r', '\n']).is_empty() {
        // RFC 5626 §3.5.1 keep-alive.
        return Ok(json!({ "keepalive": text }));
    }
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| (text.trim_end_matches("\r\n"), ""));
    let mut lines = head.split("\r\n");
    let start = lines.next().unwrap_or_default();
    let mut words = start.splitn(3, ' ');
    let mut message = match (words.next(), words.next(), words.next()) {
        (Some("SIP/2.0"), Some(status), reason) => {
            let status: u16 = status.parse().map_err(|_| format!("not SIP: '{status}' is no status"))?;
            json!({"status": status, "reason": reason.unwrap_or_default()})
        }
        (Some(method), Some(uri), Some("SIP/2.0")) => json!({"method": method, "uri": uri}),
        _ => return Err("not SIP: the first line is neither a request's nor a response's (RFC 3261 §7)".to_owned()),
    };
    let mut headers = Map::new();
    let mut last: Option<String> = None;
    for line in lines {
        if line.starts_with([' ', '\t']) {
            // Folded (RFC 3261 §7.3.1).
            let value = last.as_ref().and_then(|name| headers.get_mut(name)).and_then(Value::as_array_mut);
            if let Some(Value::String(value)) = value.and_then(|values| values.last_mut()) {
                value.push(' ');
                value.push_str(line.trim());
            }
            continue;
        }
        let Some((name, value)) = line.split_once(':') else {
            return Err("not SIP: a header line has no colon".to_owned());
        };
        let name = name.trim().to_ascii_lowercase();
        let name = COMPACT.iter().find(|(short, _)| *short == name).map_or(name, |(_, long)| (*long).to_owned());
        if let Value::Array(values) = headers.entry(name.clone()).or_insert_with(|| json!([])) {
            values.push(value.trim().into());
        }
        last = Some(name);
    }
    message["h"] = Value::Object(headers);
    message["body"] = body.into();
    Ok(message)
}

fn base64(text: &str) -> Result<Value, String> {
    let text = text.trim();
    let bytes = STANDARD
        .decode(text)
        .or_else(|_| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')))
        .map_err(|error| format!("not Base64: {error}"))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("Base64, but not of JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_xml_element_keeps_names_attributes_text_and_order_within_a_name() {
        let value = Codec::Xml
            .decode(r#"<iq xmlns="jabber:client" id="a"><s xmlns="x:y"><v n="1"/><v n="2"/></s><t>a&amp;b</t></iq>"#)
            .expect("XML");
        assert_eq!(
            value,
            json!({"_": "iq", "@xmlns": "jabber:client", "@id": "a",
                "s": [{"_": "s", "@xmlns": "x:y", "v": [{"_": "v", "@xmlns": "x:y", "@n": "1"}, {"_": "v", "@xmlns": "x:y", "@n": "2"}]}],
                "t": [{"_": "t", "@xmlns": "jabber:client", "#text": "a&b"}]})
        );
    }

    #[test]
    fn a_prefixed_element_is_known_by_its_local_name() {
        let value = Codec::Xml.decode(r#"<stream:features xmlns:stream="urn:s"><a/></stream:features>"#).expect("XML");
        assert_eq!((&value["_"], &value["@xmlns"]), (&json!("features"), &json!("urn:s")));
    }

    #[test]
    fn xml_that_could_grow_or_overflow_is_refused() {
        let bomb = r#"<!DOCTYPE a [<!ENTITY b "bbbb">]><a>&b;</a>"#;
        assert!(Codec::Xml.decode(bomb).is_err(), "a document type");
        let deep = format!("{}{}", "<a>".repeat(200), "</a>".repeat(200));
        assert!(Codec::Xml.decode(&deep).expect_err("deep").contains("nested"));
        for codec in [Codec::Xml, Codec::Json, Codec::Sip, Codec::Base64] {
            assert!(codec.decode("\u{0}<").is_err(), "{codec:?}");
        }
        assert!(Codec::Text.decode(&" ".repeat(MAX_BYTES + 1)).is_err());
    }

    #[test]
    fn a_sip_request_has_method_headers_and_body() {
        let text = "INVITE sip:bob@lab SIP/2.0\r\nVia: one\r\nv: two\r\ni: abc\r\nSubject: a\r\n b\r\n\r\nv=0\r\n";
        let value = Codec::Sip.decode(text).expect("SIP");
        assert_eq!(
            value,
            json!({"method": "INVITE", "uri": "sip:bob@lab", "body": "v=0\r\n",
                "h": {"via": ["one", "two"], "call-id": ["abc"], "subject": ["a b"]}})
        );
    }

    #[test]
    fn a_sip_response_has_a_number_as_its_status_and_bare_crlf_is_a_keep_alive() {
        let value = Codec::Sip.decode("SIP/2.0 200 OK\r\nCSeq: 1 INVITE\r\n\r\n").expect("SIP");
        assert_eq!((&value["status"], &value["reason"]), (&json!(200), &json!("OK")));
        assert_eq!(Codec::Sip.decode("\r\n\r\n").expect("keep-alive"), json!({"keepalive": "\r\n\r\n"}));
    }

    #[test]
    fn base64_of_either_alphabet_is_read_as_json() {
        assert_eq!(Codec::Base64.decode("eyJhIjoiPz8+In0=").expect("standard"), json!({"a": "??>"}));
        assert_eq!(Codec::Base64.decode("eyJhIjoiPz8-In0").expect("url"), json!({"a": "??>"}));
    }
}

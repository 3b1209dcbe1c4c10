//! Jingle (XEP-0166, XEP-0167, XEP-0176, XEP-0320, XEP-0338, XEP-0339) and session descriptions, one as the other.
//!
//! As libraries of browsers speak it, which leave out what the XEPs ask for (`id`, `generation` and `network` of candidates) and put
//! the attribute `setup` into the fingerprint within the transport. Pure. Guarantees: nothing here panics on what a server
//! sends; everything taken over is bounded and stands on a line of its own, so that no value can bring a line of SDP with it.
use std::fmt::Write as _;

use roxmltree::{Document, Node};
use serde_json::{Value, json};

use crate::sdp::{Description, Section, attribute};

/// Namespace of Jingle itself.
pub(crate) const NAMESPACE: &str = "urn:xmpp:jingle:1";
const RTP: &str = "urn:xmpp:jingle:apps:rtp:1";
const FEEDBACK: &str = "urn:xmpp:jingle:apps:rtp:rtcp-fb:0";
const EXTENSIONS: &str = "urn:xmpp:jingle:apps:rtp:rtp-hdrext:0";
const SOURCES: &str = "urn:xmpp:jingle:apps:rtp:ssma:0";
const STREAMS: &str = "urn:xmpp:jingle:apps:rtp:msid:0";
const GROUPING: &str = "urn:xmpp:jingle:apps:grouping:0";
const ICE: &str = "urn:xmpp:jingle:transports:ice-udp:1";
const DTLS: &str = "urn:xmpp:jingle:apps:dtls:0";

/// Contents of one session.
const MAX_CONTENTS: usize = 16;
/// Elements of one kind in one content.
const MAX_ELEMENTS: usize = 128;
/// Longest value.
const MAX_VALUE: usize = 2048;

/// Who writes a description: `senders` is seen from the initiator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writer {
    Initiator,
    Responder,
}

/// What a stanza with a `jingle` element says: `action`, `sid`, and with it `sdp` (of `session-initiate` and `session-accept`),
/// `fragment` (of `transport-info`) or `reason` (of `session-terminate`). `None` for other stanzas.
///
/// # Errors
/// Why its contents cannot be described.
pub(crate) fn translated(stanza: &str) -> Option<Result<Value, String>> {
    if !stanza.contains(NAMESPACE) {
        return None;
    }
    let document = Document::parse(stanza).ok()?;
    let jingle = document.descendants().find(|node| node.has_tag_name((NAMESPACE, "jingle")))?;
    Some(read(jingle))
}

fn read(jingle: Node<'_, '_>) -> Result<Value, String> {
    let action = value(jingle, "action")?;
    let mut said = json!({"action": action, "sid": value(jingle, "sid")?});
    match action {
        "session-initiate" => said["sdp"] = description(jingle, Writer::Initiator)?.into(),
        "session-accept" => said["sdp"] = description(jingle, Writer::Responder)?.into(),
        "transport-info" => said["fragment"] = fragment(jingle)?.into(),
        "session-terminate" => {
            let reason = jingle.children().find(|node| node.has_tag_name((NAMESPACE, "reason")));
            let condition = reason.and_then(|reason| reason.first_element_child());
            said["reason"] = condition.map_or("", |condition| condition.tag_name().name()).into();
        }
        _ => {}
    }
    Ok(said)
}

// --- Jingle to SDP -------------------------------------------------------------------------------------------------

/// Lines with CRLF; a value with a control character never gets here.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn push(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _written = write!(self.0, "{line}\r\n");
    }
}

/// The session description of a `session-initiate` or `session-accept` that `writer` wrote.
fn description(jingle: Node<'_, '_>, writer: Writer) -> Result<String, String> {
    let contents: Vec<Node<'_, '_>> = children(jingle, NAMESPACE, "content").collect();
    if contents.is_empty() || contents.len() > MAX_CONTENTS {
        return Err(format!("{} contents are not usable: 1 to {MAX_CONTENTS}", contents.len()));
    }
    let mut lines = Lines::default();
    lines.push(format_args!("v=0"));
    lines.push(format_args!("o=- 1 1 IN IP4 0.0.0.0"));
    lines.push(format_args!("s=-"));
    lines.push(format_args!("t=0 0"));
    for group in children(jingle, GROUPING, "group") {
        let names = children(group, GROUPING, "content").map(|content| value(content, "name"));
        let names = names.take(MAX_CONTENTS).collect::<Result<Vec<_>, _>>()?;
        lines.push(format_args!("a=group:{} {}", value(group, "semantics")?, names.join(" ")));
    }
    for content in contents {
        describe(&mut lines, content, writer)?;
    }
    Ok(lines.0)
}

fn describe(lines: &mut Lines, content: Node<'_, '_>, writer: Writer) -> Result<(), String> {
    let rtp = child(content, RTP, "description").ok_or("a content has no RTP description")?;
    let payloads: Vec<_> = children(rtp, RTP, "payload-type").collect();
    let ids = payloads.iter().map(|payload| number(*payload, "id", 127)).collect::<Result<Vec<_>, _>>()?;
    let formats: Vec<String> = ids.iter().map(u64::to_string).collect();
    lines.push(format_args!("m={} 9 UDP/TLS/RTP/SAVPF {}", word(rtp, "media")?, formats.join(" ")));
    lines.push(format_args!("c=IN IP4 0.0.0.0"));
    lines.push(format_args!("a=mid:{}", word(content, "name")?));
    let own = if writer == Writer::Initiator { "initiator" } else { "responder" };
    let direction = match content.attribute("senders").unwrap_or("both") {
        "both" => "sendrecv",
        "none" => "inactive",
        senders if senders == own => "sendonly",
        _ => "recvonly",
    };
    lines.push(format_args!("a={direction}"));
    if child(rtp, RTP, "rtcp-mux").is_some() {
        lines.push(format_args!("a=rtcp-mux"));
    }
    for (payload, id) in payloads.iter().zip(&ids) {
        let channels = match payload.attribute("channels") {
            Some(_) => number(*payload, "channels", 255)?,
            None => 1,
        };
        let channels = if channels > 1 { format!("/{channels}") } else { String::new() };
        let (name, rate) = (word(*payload, "name")?, number(*payload, "clockrate", u32::MAX.into())?);
        lines.push(format_args!("a=rtpmap:{id} {name}/{rate}{channels}"));
        let parameters = children(*payload, RTP, "parameter").map(|parameter| {
            let name = value(parameter, "name")?;
            Ok(match parameter.attribute("value") {
                Some(_) => format!("{name}={}", value(parameter, "value")?),
                None => name.to_owned(),
            })
        });
        let parameters = parameters.collect::<Result<Vec<_>, String>>()?;
        if !parameters.is_empty() {
            lines.push(format_args!("a=fmtp:{id} {}", parameters.join(";")));
        }
        for feedback in children(*payload, FEEDBACK, "rtcp-fb") {
            let subtype = match feedback.attribute("subtype") {
                Some(_) => format!(" {}", value(feedback, "subtype")?),
                None => String::new(),
            };
            lines.push(format_args!("a=rtcp-fb:{id} {}{subtype}", value(feedback, "type")?));
        }
    }
    for extension in children(rtp, EXTENSIONS, "rtp-hdrext") {
        let id = number(extension, "id", 65_535)?;
        lines.push(format_args!("a=extmap:{id} {}", value(extension, "uri")?));
    }
    for source in children(rtp, SOURCES, "source") {
        let ssrc = number(source, "ssrc", u32::MAX.into())?;
        for parameter in children(source, SOURCES, "parameter") {
            lines.push(format_args!("a=ssrc:{ssrc} {}:{}", word(parameter, "name")?, value(parameter, "value")?));
        }
    }
    if let Some(stream) = child(rtp, STREAMS, "stream") {
        lines.push(format_args!("a=msid:{} {}", word(stream, "id")?, word(stream, "track")?));
    }
    let transport = child(content, ICE, "transport").ok_or("a content has no ICE transport")?;
    lines.push(format_args!("a=ice-ufrag:{}", word(transport, "ufrag")?));
    lines.push(format_args!("a=ice-pwd:{}", word(transport, "pwd")?));
    if let Some(fingerprint) = child(transport, DTLS, "fingerprint") {
        let digest = clean(fingerprint.text().unwrap_or_default().trim())?;
        lines.push(format_args!("a=fingerprint:{} {digest}", word(fingerprint, "hash")?));
        if fingerprint.attribute("setup").is_some() {
            lines.push(format_args!("a=setup:{}", word(fingerprint, "setup")?));
        }
    }
    candidates(lines, transport)
}

/// The candidates of a `transport-info` as a fragment (RFC 8840 §9).
fn fragment(jingle: Node<'_, '_>) -> Result<String, String> {
    let mut lines = Lines::default();
    for content in children(jingle, NAMESPACE, "content").take(MAX_CONTENTS) {
        let Some(transport) = child(content, ICE, "transport") else { continue };
        lines.push(format_args!("m=audio 9 UDP/TLS/RTP/SAVPF 0"));
        lines.push(format_args!("a=mid:{}", word(content, "name")?));
        for (attribute, name) in [("ufrag", "ice-ufrag"), ("pwd", "ice-pwd")] {
            if transport.attribute(attribute).is_some() {
                lines.push(format_args!("a={name}:{}", word(transport, attribute)?));
            }
        }
        candidates(&mut lines, transport)?;
        if child(transport, ICE, "gathering-complete").is_some() {
            lines.push(format_args!("a=end-of-candidates"));
        }
    }
    Ok(lines.0)
}

fn candidates(lines: &mut Lines, transport: Node<'_, '_>) -> Result<(), String> {
    for candidate in children(transport, ICE, "candidate") {
        let mut line = format!(
            "a=candidate:{} {} {} {} {} {} typ {}",
            word(candidate, "foundation")?,
            number(candidate, "component", 256)?,
            word(candidate, "protocol")?,
            number(candidate, "priority", u32::MAX.into())?,
            word(candidate, "ip")?,
            number(candidate, "port", 65_535)?,
            word(candidate, "type")?,
        );
        for (attribute, name) in [("rel-addr", "raddr"), ("rel-port", "rport"), ("tcptype", "tcptype")] {
            if candidate.attribute(attribute).is_some() {
                line.push_str(&format!(" {name} {}", word(candidate, attribute)?));
            }
        }
        lines.push(format_args!("{line}"));
    }
    Ok(())
}

fn children<'a, 'input>(
    node: Node<'a, 'input>,
    namespace: &'static str,
    name: &'static str,
) -> impl Iterator<Item = Node<'a, 'input>> {
    node.children().filter(move |child| child.has_tag_name((namespace, name))).take(MAX_ELEMENTS)
}

fn child<'a, 'input>(node: Node<'a, 'input>, namespace: &'static str, name: &'static str) -> Option<Node<'a, 'input>> {
    children(node, namespace, name).next()
}

/// An attribute that can stand on a line.
fn value<'a>(node: Node<'a, '_>, name: &str) -> Result<&'a str, String> {
    let missing = || format!("'{}' has no '{name}'", node.tag_name().name());
    clean(node.attribute(name).ok_or_else(missing)?)
}

/// An attribute that is one word.
fn word<'a>(node: Node<'a, '_>, name: &str) -> Result<&'a str, String> {
    let text = value(node, name)?;
    match text.is_empty() || text.contains(char::is_whitespace) {
        true => Err(format!("'{name}' of '{}' is no word", node.tag_name().name())),
        false => Ok(text),
    }
}

fn number(node: Node<'_, '_>, name: &str, most: u64) -> Result<u64, String> {
    let number = word(node, name)?.parse::<u64>().ok().filter(|number| *number <= most);
    number.ok_or_else(|| format!("'{name}' of '{}' is no number up to {most}", node.tag_name().name()))
}

fn clean(text: &str) -> Result<&str, String> {
    match text.len() > MAX_VALUE || text.contains(char::is_control) {
        true => Err("a value is too long, or has a control character".to_owned()),
        false => Ok(text),
    }
}

// --- SDP to Jingle -------------------------------------------------------------------------------------------------

/// What stands within the `jingle` element of a `session-initiate` or `session-accept`.
///
/// # Errors
/// Why the description cannot be said in Jingle.
pub(crate) fn contents(sdp: &str, writer: Writer) -> Result<String, String> {
    let description = Description::read(sdp);
    if description.media.is_empty() {
        return Err("the description has no media line".to_owned());
    }
    let mut xml = String::new();
    for section in &description.media {
        content(&mut xml, &description, section, writer)?;
    }
    if let Some(mids) = description.bundle() {
        xml.push_str(&format!("<group xmlns=\"{GROUPING}\" semantics=\"BUNDLE\">"));
        for mid in mids {
            open(&mut xml, "content", &[("name", mid)], true);
        }
        xml.push_str("</group>");
    }
    Ok(xml)
}

/// What stands within the `jingle` element of a `transport-info` that tells of new ICE credentials (XEP-0176): the transport
/// of every media line, with its candidates.
///
/// # Errors
/// Why the description has no such transport.
pub(crate) fn transports(sdp: &str) -> Result<String, String> {
    let description = Description::read(sdp);
    if description.media.is_empty() {
        return Err("the description has no media line".to_owned());
    }
    let mut xml = String::new();
    for section in &description.media {
        open(&mut xml, "content", &[("creator", "initiator"), ("name", mid(section)?)], false);
        transport(&mut xml, &description, section)?;
        xml.push_str("</content>");
    }
    Ok(xml)
}

/// A trickled candidate; the empty one is the end of them.
///
/// # Errors
/// Why it is none.
pub(crate) fn candidate(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok("<gathering-complete/>".to_owned());
    }
    let wrong = || format!("'{}' is no candidate", text.chars().take(80).collect::<String>());
    let mut words = text.strip_prefix("candidate:").ok_or_else(wrong)?.split_ascii_whitespace();
    let mut next = || words.next().ok_or_else(wrong);
    let [foundation, component, protocol, priority, ip, port] = [next()?, next()?, next()?, next()?, next()?, next()?];
    if next()? != "typ" {
        return Err(wrong());
    }
    let kind = next()?;
    let rest: Vec<&str> = words.collect();
    let pair = |name: &str| rest.chunks_exact(2).find(|pair| pair[0] == name).map(|pair| pair[1]);
    let protocol = protocol.to_ascii_lowercase();
    let mut attributes = vec![
        ("component", component),
        ("foundation", foundation),
        ("ip", ip),
        ("port", port),
        ("priority", priority),
        ("protocol", &*protocol),
    ];
    attributes.extend(pair("raddr").map(|address| ("rel-addr", address)));
    attributes.extend(pair("rport").map(|port| ("rel-port", port)));
    attributes.extend(pair("tcptype").map(|kind| ("tcptype", kind)));
    attributes.push(("type", kind));
    let mut xml = String::new();
    open(&mut xml, "candidate", &attributes, true);
    Ok(xml)
}

fn content(xml: &mut String, description: &Description, section: &Section, writer: Writer) -> Result<(), String> {
    let mid = mid(section)?;
    let (own, other) = match writer {
        Writer::Initiator => ("initiator", "responder"),
        Writer::Responder => ("responder", "initiator"),
    };
    let mut attributes = vec![("creator", "initiator"), ("name", mid)];
    match description.direction(section) {
        "sendonly" => attributes.push(("senders", own)),
        "recvonly" => attributes.push(("senders", other)),
        "inactive" => attributes.push(("senders", "none")),
        _ => {}
    }
    open(xml, "content", &attributes, false);
    let sources: Vec<(&str, &str)> = section.attributes("ssrc").filter_map(|value| value.split_once(' ')).collect();
    let mut attributes =
        vec![("xmlns", RTP), ("xmlns:rtcpf", FEEDBACK), ("xmlns:rtph", EXTENSIONS), ("media", section.media())];
    attributes.extend(sources.first().map(|(ssrc, _)| ("ssrc", *ssrc)));
    open(xml, "description", &attributes, false);
    if section.attribute("rtcp-mux").is_some() {
        xml.push_str("<rtcp-mux/>");
    }
    for format in section.formats() {
        payload(xml, section, format);
    }
    for extension in section.attributes("extmap") {
        if let Some((id, uri)) = extension.split_once(' ') {
            let id = id.split('/').next().unwrap_or(id);
            open(xml, "rtph:rtp-hdrext", &[("id", id), ("uri", uri.trim())], true);
        }
    }
    let mut written: Vec<&str> = Vec::new();
    for (ssrc, _) in &sources {
        if written.contains(ssrc) {
            continue;
        }
        written.push(ssrc);
        open(xml, "source", &[("xmlns", SOURCES), ("ssrc", ssrc)], false);
        for (_, parameter) in sources.iter().filter(|(other, _)| other == ssrc) {
            let (name, value) = parameter.split_once(':').unwrap_or((parameter, ""));
            open(xml, "parameter", &[("name", name), ("value", value)], true);
        }
        xml.push_str("</source>");
    }
    if let Some((id, track)) = section.attribute("msid").and_then(|msid| msid.split_once(' ')) {
        open(xml, "stream", &[("xmlns", STREAMS), ("id", id), ("track", track)], true);
    }
    xml.push_str("</description>");
    transport(xml, description, section)?;
    xml.push_str("</content>");
    Ok(())
}

fn mid(section: &Section) -> Result<&str, String> {
    section.mid().ok_or_else(|| "a media line has no a=mid".to_owned())
}

fn payload(xml: &mut String, section: &Section, format: &str) {
    let of = |name: &str| {
        let values = section.attributes(name).filter_map(|value| value.split_once(' '));
        values.filter(|(of, _)| *of == format).map(|(_, value)| value.trim()).collect::<Vec<_>>()
    };
    let Some(map) = of("rtpmap").first().copied() else { return };
    let mut parts = map.split('/');
    let (name, rate) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let channels = parts.next().unwrap_or("1");
    let (parameters, feedback) = (of("fmtp"), of("rtcp-fb"));
    let is_empty = parameters.is_empty() && feedback.is_empty();
    let attributes = [("channels", channels), ("clockrate", rate), ("id", format), ("name", name)];
    open(xml, "payload-type", &attributes, is_empty);
    if is_empty {
        return;
    }
    for parameter in parameters.iter().flat_map(|line| line.split(';')).map(str::trim).filter(|text| !text.is_empty()) {
        match parameter.split_once('=') {
            Some((name, value)) => open(xml, "parameter", &[("name", name), ("value", value)], true),
            None => open(xml, "parameter", &[("name", parameter)], true),
        }
    }
    for feedback in feedback {
        let (kind, subtype) = feedback.split_once(' ').map_or((feedback, None), |(kind, rest)| (kind, Some(rest)));
        let mut attributes = vec![("type", kind)];
        attributes.extend(subtype.map(|subtype| ("subtype", subtype)));
        open(xml, "rtcpf:rtcp-fb", &attributes, true);
    }
    xml.push_str("</payload-type>");
}

fn transport(xml: &mut String, description: &Description, section: &Section) -> Result<(), String> {
    let ufrag = description.attribute_of(section, "ice-ufrag").ok_or("a media line has no a=ice-ufrag")?;
    let password = description.attribute_of(section, "ice-pwd").ok_or("a media line has no a=ice-pwd")?;
    open(xml, "transport", &[("xmlns", ICE), ("ufrag", ufrag), ("pwd", password)], false);
    for line in section.lines.iter().filter(|line| attribute(line, "candidate").is_some()) {
        xml.push_str(&candidate(line.trim_start_matches("a="))?);
    }
    if let Some((hash, digest)) =
        description.attribute_of(section, "fingerprint").and_then(|fingerprint| fingerprint.split_once(' '))
    {
        let setup = description.attribute_of(section, "setup").unwrap_or("actpass");
        open(xml, "fingerprint", &[("xmlns", DTLS), ("hash", hash), ("setup", setup)], false);
        xml.push_str(&escaped(digest.trim()));
        xml.push_str("</fingerprint>");
    }
    xml.push_str("</transport>");
    Ok(())
}

fn open(xml: &mut String, name: &str, attributes: &[(&str, &str)], closes: bool) {
    xml.push('<');
    xml.push_str(name);
    for (name, value) in attributes {
        xml.push_str(&format!(" {name}=\"{}\"", escaped(value)));
    }
    xml.push_str(if closes { "/>" } else { ">" });
}

/// As text or attribute; characters that XML 1.0 (§2.2) cannot hold are left out.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => {}
            other if other.is_control() => {}
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RECORDED: &str = include_str!("../../tests/frames/genesys-jingle.frames.txt");

    fn recorded(action: &str) -> &'static str {
        let said = format!("action=\"{action}\"");
        RECORDED.lines().find(|line| line.contains(&said)).expect("recorded").split_once(' ').expect("a kind").1
    }

    fn inner(stanza: &str) -> &str {
        let begin = stanza.find("<content ").expect("contents");
        &stanza[begin..stanza.find("</jingle>").expect("an end")]
    }

    fn said(stanza: &str) -> Value {
        translated(stanza).expect("Jingle").unwrap_or_else(|error| panic!("{error}: {stanza}"))
    }

    #[test]
    fn recorded_contents_come_back_as_they_were_from_their_description() {
        for (action, writer) in [("session-initiate", Writer::Initiator), ("session-accept", Writer::Responder)] {
            let stanza = recorded(action);
            let said = said(stanza);
            assert_eq!((said["action"].as_str(), said["sid"].as_str()), (Some(action), Some("sess-1")));
            let sdp = said["sdp"].as_str().expect("a description");
            assert_eq!(contents(sdp, writer).as_deref(), Ok(inner(stanza)), "{sdp}");
        }
    }

    #[test]
    fn a_description_has_what_a_session_needs() {
        let said = said(recorded("session-initiate"));
        let sdp = said["sdp"].as_str().expect("a description");
        for line in [
            "a=group:BUNDLE 0",
            "a=mid:0",
            "a=sendrecv",
            "a=rtpmap:111 opus/48000/2",
            "a=fmtp:111 minptime=10;useinbandfec=1",
            "a=fmtp:63 111/111",
            "a=rtpmap:0 PCMU/8000",
            "a=ice-ufrag:GUEH",
            "a=setup:actpass",
            "a=candidate:3229573512 1 udp 2122194687 192.0.2.2 38342 typ host",
        ] {
            assert!(sdp.lines().any(|known| known == line), "{line} in {sdp}");
        }
    }

    #[test]
    fn the_dtls_role_of_an_answer_stands_in_its_fingerprint_and_comes_back() {
        let accepted = said(recorded("session-accept"));
        let answer = accepted["sdp"].as_str().expect("a description");
        assert_eq!(answer.matches("a=setup:active\r\n").count(), 1, "{answer}");
        for role in ["active", "passive"] {
            let sdp = answer.replace("a=setup:active", &format!("a=setup:{role}"));
            let xml = contents(&sdp, Writer::Responder).expect("contents");
            let setup = format!("setup=\"{role}\"");
            assert_eq!((xml.matches("setup=").count(), xml.matches(&setup).count()), (1, 1), "{xml}");
            let stanza = format!("<iq><jingle xmlns='{NAMESPACE}' action='session-accept' sid='s'>{xml}</jingle></iq>");
            let back = said(&stanza);
            assert!(back["sdp"].as_str().is_some_and(|sdp| sdp.contains(&format!("a=setup:{role}\r\n"))), "{back}");
        }
    }

    #[test]
    fn candidates_are_trickled_and_end() {
        let stanza = RECORDED.lines().filter(|line| line.contains("transport-info"));
        let fragments: Vec<String> = stanza
            .map(|line| said(line.split_once(' ').expect("a kind").1)["fragment"].as_str().expect("text").to_owned())
            .collect();
        assert!(fragments.iter().all(|fragment| fragment.contains("a=mid:0\r\na=ice-ufrag:TQ5o\r\n")));
        assert!(fragments[0].ends_with("a=end-of-candidates\r\n"));
        assert!(fragments[1].ends_with("a=candidate:3229573512 1 udp 2122194687 192.0.2.2 42785 typ host\r\n"));
        let text =
            "candidate:3229573512 1 UDP 2122194687 192.0.2.2 42785 typ host generation 0 ufrag TQ5o network-id 1";
        let element = candidate(text).expect("a candidate");
        assert!(RECORDED.contains(&element), "{element}");
        assert_eq!(candidate("").as_deref(), Ok("<gathering-complete/>"));
        let relayed = candidate("candidate:1 1 udp 5 h 9 typ relay raddr 192.0.2.1 rport 7").expect("a candidate");
        assert!(relayed.contains("rel-addr=\"192.0.2.1\" rel-port=\"7\" type=\"relay\""), "{relayed}");
        assert!(candidate("candidate:1 1 udp").is_err());
    }

    #[test]
    fn new_credentials_are_told_with_the_transport_alone() {
        let accept = recorded("session-accept");
        let said = said(accept);
        let begin = accept.find("<transport ").expect("a transport");
        let transport = &accept[begin..accept.find("</content>").expect("its end")];
        let expected = format!("<content creator=\"initiator\" name=\"0\">{transport}</content>");
        assert_eq!(transports(said["sdp"].as_str().expect("a description")), Ok(expected));
        assert!(transports("v=0\r\nm=audio 9 X 0\r\na=mid:0\r\n").is_err());
        assert!(transports("v=0\r\n").is_err());
    }

    #[test]
    fn the_reason_of_an_end_is_its_condition() {
        let stanza = recorded("session-terminate");
        assert_eq!(said(stanza)["reason"], "success");
        assert!(translated("<iq><ping xmlns='urn:xmpp:ping'/></iq>").is_none());
    }

    #[test]
    fn who_sends_is_seen_from_the_initiator() {
        let stanza = recorded("session-initiate").replace("name=\"0\">", "name=\"0\" senders=\"initiator\">");
        let said = said(&stanza);
        let sdp = said["sdp"].as_str().expect("a description");
        assert!(sdp.contains("a=sendonly\r\n"));
        assert!(contents(sdp, Writer::Initiator).expect("contents").contains("senders=\"initiator\""));
        assert!(contents(sdp, Writer::Responder).expect("contents").contains("senders=\"responder\""));
    }

    #[test]
    fn what_would_bring_a_line_with_it_is_refused() {
        let stanza = recorded("session-initiate");
        for (from, to) in [
            ("ufrag=\"GUEH\"", "ufrag=\"G&#13;&#10;a=x\""),
            ("name=\"opus\"", "name=\"o&#10;m=video\""),
            ("ip=\"192.0.2.2\"", "ip=\"192.0.2.2 9 typ\""),
            ("port=\"38342\"", "port=\"99999\""),
            ("id=\"111\"", "id=\"-1\""),
            ("<transport ", "<transports "),
        ] {
            assert!(stanza.contains(from), "{from}");
            let damaged = stanza
                .replacen(from, to, 1)
                .replace("</transport>", if to.contains("transports") { "</transports>" } else { "</transport>" });
            assert!(translated(&damaged).expect("Jingle").is_err(), "{to}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn damaged_stanzas_are_read_without_harm(at in 0_usize..5000, cut in 0_usize..64, text in "\\PC{0,12}") {
            let stanza = recorded("session-initiate");
            let at = at.min(stanza.len());
            let end = (at + cut).min(stanza.len());
            if let (Some(before), Some(after)) = (stanza.get(..at), stanza.get(end..))
                && let Some(Ok(said)) = translated(&format!("{before}{text}{after}"))
            {
                for line in said["sdp"].as_str().unwrap_or_default().split("\r\n") {
                    prop_assert!(!line.contains(char::is_control), "{}", line);
                }
            }
        }

        #[test]
        fn any_description_is_written_as_well_formed_xml(text in "(v=0|m=audio 9 X 111|a=mid:|a=ice-ufrag:|a=ice-pwd:|a=rtpmap:111 |a=fmtp:111 |a=ssrc:|a=candidate:|\\PC|\n){0,40}") {
            if let Ok(xml) = contents(&text, Writer::Responder) {
                let whole = format!("<jingle xmlns=\"{NAMESPACE}\">{xml}</jingle>");
                prop_assert!(Document::parse(&whole).is_ok(), "{}", whole);
            }
        }
    }
}

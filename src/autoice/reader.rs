//! Walks through a message, text within text, and collects what it carries.
//!
//! Guarantees: pure; each text is looked at as one thing only, by what it begins with; bounded by [`MAX_DEPTH`] wrappings,
//! [`MAX_PLACES`] texts, [`MAX_JUDGED`] judgements and [`MAX_FINDINGS`] findings.
use std::ops::Range;
use std::sync::Arc;

use super::classify::{self, Level};
use super::finding::{Content, Dialog, Direction, Finding, FoundIceServer, Left, SdpType};
use super::hang_up::{ends_call, ends_dialog, is_hang_up};
use super::headed::{self, Headed};
use super::reading::{MAX_DEPTH, MAX_FINDINGS, Options, Reading, Target};
use super::scope::{Scope, Step, path_of};
use super::splice::{Count, CountUnit, MESSAGE, Place, PlaceId, Slot};
use super::tree::{Kind, TextKind, Tree};
use super::wrapping::{Base64, Wrapping};
use super::{doubt, framing, json, prefilter, repeated, sdp, servers, xml};
use crate::peer::IceCandidateInit;

/// The most texts of one message that are looked into.
const MAX_PLACES: usize = 512;

/// The most objects of one message whose surroundings are looked at for what they might mean.
const MAX_JUDGED: usize = 256;

/// Whether the bytes show lines of a description, in whatever form.
pub(super) fn holds_lines(text: &[u8]) -> bool {
    ["a=fingerprint:", "a=ice-pwd:"].iter().any(|sign| memchr::memmem::find(text, sign.as_bytes()).is_some())
}

/// Bytes that no text has.
fn is_binary(text: &[u8]) -> bool {
    text.iter().any(|byte| byte.is_ascii_control() && !matches!(byte, 0 | b'\t' | b'\n' | b'\r' | 0x0c | 0x1b | 0x1e))
}

/// What was collected so far.
pub(super) struct Reader<'a> {
    message: &'a [u8],
    direction: Direction,
    options: &'a Options,
    findings: Vec<Finding>,
    targets: Vec<Target>,
    left: Vec<Left>,
    places: Vec<Place>,
    counts: Vec<Count>,
    servers: Vec<FoundIceServer>,
    servers_path: String,
    hang_ups: Vec<Finding>,
    judged: usize,
    /// There were more texts than [`MAX_PLACES`].
    overflown: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(message: &'a [u8], direction: Direction, options: &'a Options) -> Self {
        Self {
            message,
            direction,
            options,
            findings: Vec::new(),
            targets: Vec::new(),
            left: Vec::new(),
            places: Vec::new(),
            counts: Vec::new(),
            servers: Vec::new(),
            servers_path: String::new(),
            hang_ups: Vec::new(),
            judged: 0,
            overflown: false,
        }
    }

    /// Makes a place of a part of a text; `None` if it cannot be unwrapped, or if there are too many.
    fn place(
        &mut self,
        parent: PlaceId,
        around: &[u8],
        range: Range<usize>,
        wrapping: Wrapping,
    ) -> Option<(PlaceId, Arc<[u8]>)> {
        if self.places.len() >= MAX_PLACES {
            self.overflown = true;
            return None;
        }
        let text: Arc<[u8]> = wrapping.unwrap(&around[range.clone()])?.into();
        self.places.push(Place { parent, range, wrapping, text: Arc::clone(&text) });
        Some((PlaceId(self.places.len()), text))
    }

    /// Reads a part of a text that is there as it is.
    fn within(&mut self, place: PlaceId, text: &[u8], range: Range<usize>, scope: &Scope<'_>) {
        self.unwrapped(place, text, range, Wrapping::Plain, scope);
    }

    fn unwrapped(&mut self, place: PlaceId, text: &[u8], range: Range<usize>, wrapping: Wrapping, scope: &Scope<'_>) {
        if let Some((inner, text)) = self.place(place, text, range, wrapping) {
            self.walk(inner, &text, scope);
        }
    }

    fn leave(&mut self, reason: impl Into<String>, scope: &Scope<'_>) {
        self.leave_at(reason, scope.path());
    }

    pub(super) fn leave_at(&mut self, reason: impl Into<String>, path: String) {
        if self.left.len() < MAX_FINDINGS {
            let left = Left { reason: reason.into(), path };
            if !self.left.contains(&left) {
                self.left.push(left);
            }
        }
    }

    /// Whether the surroundings of one more object may be looked at.
    fn may_judge(&mut self) -> bool {
        self.judged += 1;
        self.judged <= MAX_JUDGED
    }

    fn find(&mut self, content: Content, dialog: Dialog, path: String, target: Target) {
        if self.findings.len() >= MAX_FINDINGS {
            self.leave_at(
                format!("The message holds more than {MAX_FINDINGS} descriptions and candidates: send fewer at once."),
                path,
            );
            return;
        }
        self.findings.push(Finding { content, dialog, path });
        self.targets.push(target);
    }

    /// Reads the text of a place, by what it begins with.
    pub(super) fn walk(&mut self, place: PlaceId, text: &[u8], scope: &Scope<'_>) {
        if scope.depth > MAX_DEPTH {
            return;
        }
        let lead = match text.strip_prefix(b"\xef\xbb\xbf") {
            Some(_) => 3,
            None => 0,
        };
        let lead = lead + text[lead..].iter().take_while(|byte| byte.is_ascii_whitespace() || **byte == 0).count();
        let rest = &text[lead..];
        if rest.is_empty() {
            return;
        }
        if is_binary(rest) {
            if holds_lines(rest) {
                self.leave(
                    "The description stands in a binary message (such as protobuf), whose lengths enclose it: send JSON if the server takes it, or use ${__webrtcOffer} and ${__webrtcAnswer}.",
                    scope,
                );
            }
            return;
        }
        if headed::may_begin(rest) && self.headed(place, text, lead, scope) {
            return;
        }
        if rest.starts_with(b"--") && self.multipart(place, text, lead, scope) {
            return;
        }
        if let Some(records) = framing::records(text) {
            let several = records.len() > 1;
            for (index, record) in records.into_iter().enumerate() {
                if self.overflown {
                    break;
                }
                let name = if several { format!("record {}", index + 1) } else { "record".to_owned() };
                self.within(place, text, record, &scope.inner(Step::Named(name)));
            }
            return;
        }
        match rest[0] {
            b'{' | b'[' | b'"' => self.json(place, text, lead, scope),
            b'a' if rest.starts_with(b"a[") => {
                self.within(place, text, lead + 1..text.len(), &scope.inner(Step::Named("SockJS".to_owned())));
            }
            b'<' => self.xml(place, text, scope),
            b'0'..=b'9' => self.packets(place, text, lead, scope),
            b'v' | b'a' | b'm' | b'c' if self.lines(place, text, lead, scope) => {}
            _ => self.encoded(place, text, lead, scope),
        }
    }

    /// A description, a fragment or a candidate as it is, or with its line ends written as `\r\n`; whether it is one.
    fn lines(&mut self, place: PlaceId, text: &[u8], lead: usize, scope: &Scope<'_>) -> bool {
        let rest = &text[lead..];
        let descriptions = sdp::descriptions(rest);
        if !descriptions.is_empty() {
            for range in descriptions {
                let slot = Slot { place, range: lead + range.start..lead + range.end };
                self.description(text, slot, scope);
            }
            return true;
        }
        if let Some(range) = sdp::candidate(rest) {
            let single = rest.starts_with(b"candidate:");
            let slot = Slot { place, range: lead + range.start..lead + range.end };
            if single || !rest.ends_with(b"\n") {
                self.candidate(text, slot, scope);
            } else {
                self.fragment(text, Slot { place, range: lead..text.len() }, scope);
            }
            return true;
        }
        if let Some(range) = sdp::fragment(rest) {
            self.fragment(text, Slot { place, range: lead + range.start..lead + range.end }, scope);
            return true;
        }
        let escaped = [b"v=0\\r\\n".as_slice(), b"v=0\\n"].iter().any(|start| rest.starts_with(start))
            || (rest.starts_with(b"a=") || rest.starts_with(b"m=")) && memchr::memmem::find(rest, b"\\n").is_some();
        if escaped && memchr::memchr2(b'\r', b'\n', rest.trim_ascii_end()).is_none() {
            let end = lead + rest.trim_ascii_end().len();
            self.unwrapped(place, text, lead..end, Wrapping::Json, &scope.inner(Step::Silent));
            return true;
        }
        false
    }

    fn doubt(&self, levels: &[Level], scope: &Scope<'_>, lengths: &[usize]) -> Option<String> {
        if let Some(reason) = doubt::about_purpose(levels) {
            return Some(reason);
        }
        if self.direction == Direction::Incoming {
            return None;
        }
        scope.refusal().map(str::to_owned).or_else(|| doubt::about_levels(levels, lengths))
    }

    fn dialog(&self, levels: &[Level], scope: &Scope<'_>) -> Dialog {
        classify::dialog(levels, self.options.dialog_field.as_deref(), scope.call_id(), scope.sip())
    }

    fn description(&mut self, text: &[u8], slot: Slot, scope: &Scope<'_>) {
        let Ok(sdp) = std::str::from_utf8(&text[slot.range.clone()]) else {
            self.leave("The description is no UTF-8: send it as UTF-8 (RFC 8866 §5).", scope);
            return;
        };
        let facts = sdp::facts(sdp);
        if !facts.web_rtc {
            self.leave(
                "The description has neither ICE nor DTLS: it is plain RTP, which needs no live session.",
                scope,
            );
            return;
        }
        let levels = scope.levels();
        if let Some(reason) = self.doubt(&levels, scope, &[sdp.len(), sdp.chars().count(), sdp.encode_utf16().count()])
        {
            self.leave(reason, scope);
            return;
        }
        let kind: Option<SdpType> = classify::kind(&levels, scope.sip(), &facts);
        let dialog = self.dialog(&levels, scope);
        self.find(Content::Description { sdp: sdp.to_owned(), kind }, dialog, scope.path(), Target::Lines { slot });
    }

    fn fragment(&mut self, text: &[u8], slot: Slot, scope: &Scope<'_>) {
        let Ok(sdpfrag) = std::str::from_utf8(&text[slot.range.clone()]) else { return };
        let levels = scope.levels();
        if let Some(reason) = self.doubt(&levels, scope, &[sdpfrag.len()]) {
            self.leave(reason, scope);
            return;
        }
        let dialog = self.dialog(&levels, scope);
        self.find(Content::Fragment { sdpfrag: sdpfrag.to_owned() }, dialog, scope.path(), Target::Lines { slot });
    }

    /// A candidate with what stands beside it in its object.
    fn candidate(&mut self, text: &[u8], slot: Slot, scope: &Scope<'_>) {
        let Ok(candidate) = std::str::from_utf8(&text[slot.range.clone()]).map(str::to_owned) else { return };
        let levels = scope.levels();
        if let Some(reason) = self.doubt(&levels, scope, &[candidate.len()]) {
            self.leave(reason, scope);
            return;
        }
        let dialog = self.dialog(&levels, scope);
        let mut init = IceCandidateInit { candidate, ..IceCandidateInit::default() };
        let mut members = [None, None, None];
        if let (Step::Node { tree, id, .. }, Some(parent_place)) = (&scope.step, self.parent_of(slot.place)) {
            members = self.members(tree, *id, parent_place, &mut init);
        }
        let [mid, index, ufrag] = members;
        let target = Target::Candidate { text: Some(slot), mid, index, ufrag };
        self.find(Content::Candidate(init), dialog, scope.path(), target);
    }

    fn parent_of(&self, place: PlaceId) -> Option<PlaceId> {
        Some(self.places.get(place.0.checked_sub(1)?)?.parent)
    }

    /// `sdpMid`, `sdpMLineIndex` and `usernameFragment` beside the node `id` of a tree over the text of `place`.
    ///
    /// AppRTC calls the first two `id` and `label`.
    fn members(&mut self, tree: &Tree<'_>, id: u32, place: PlaceId, init: &mut IceCandidateInit) -> [Option<Slot>; 3] {
        let mut slots = [None, None, None];
        let Some(mut object) = tree.node(id).parent else { return slots };
        // The text of an element without attributes: its siblings are those of the element.
        if matches!(tree.node(id).kind, Kind::Text(TextKind::Xml | TextKind::Cdata))
            && tree.children(object).nth(1).is_none()
        {
            object = tree.node(object).parent.unwrap_or(object);
        }
        let beside: Vec<u32> = tree.children(object).take(64).filter(|member| *member != id).collect();
        let labelled =
            beside.iter().any(|member| tree.key(*member) == b"label" && tree.node(*member).kind == Kind::Number);
        for member in beside {
            let which = match classify::folded(&String::from_utf8_lossy(tree.key(member))).as_str() {
                "sdpmid" | "mid" => 0,
                "id" if labelled => 0,
                "sdpmlineindex" | "mlineindex" => 1,
                "label" if labelled => 1,
                "usernamefragment" | "ufrag" => 2,
                _ => continue,
            };
            let value = tree.value_of(member);
            let Some(text) = tree.string(value) else { continue };
            match which {
                0 => init.sdp_mid = Some(text),
                1 => init.sdp_m_line_index = text.parse().ok(),
                _ => init.username_fragment = Some(text),
            }
            let range = tree.node(value).range();
            slots[which] = match tree.node(value).kind {
                Kind::Text(kind) => self.place_of_value(place, range, kind.wrapping()),
                Kind::Number => Some(Slot { place, range }),
                _ => None,
            };
        }
        slots
    }

    /// A slot for the whole text of a value in the text of `place`.
    fn place_of_value(&mut self, place: PlaceId, range: Range<usize>, wrapping: Wrapping) -> Option<Slot> {
        let around: Arc<[u8]> = match place {
            MESSAGE => {
                let (inner, text) = self.place(MESSAGE, self.message, range, wrapping)?;
                return Some(Slot { place: inner, range: 0..text.len() });
            }
            place => Arc::clone(&self.places[place.0 - 1].text),
        };
        let (inner, text) = self.place(place, &around, range, wrapping)?;
        Some(Slot { place: inner, range: 0..text.len() })
    }

    /// SIP, HTTP or STOMP; whether it is one.
    fn headed(&mut self, place: PlaceId, text: &[u8], lead: usize, scope: &Scope<'_>) -> bool {
        let Some(mut head) = Headed::read(&text[lead..]) else { return false };
        let sip = head.sip();
        if sip.is_none() && !head.is_http() && !head.is_stomp() {
            return false;
        }
        if head.is_stomp() {
            // The body ends with NUL (STOMP 1.2), behind which there may be line ends.
            let body = &text[lead + head.body.start..];
            let end = match head.length(&["content-length"]) {
                Some((length, _)) if body.get(length) == Some(&0) => length,
                _ => memchr::memchr(0, body).unwrap_or(body.len()),
            };
            head.body.end = head.body.start + end;
        } else if let Some((length, _)) = head.length(&["Content-Length", "l"]) {
            // What is behind the body, if it is nothing but line ends, does not belong to it.
            let body = &text[lead + head.body.start..];
            if body.get(length..).is_some_and(|behind| behind.trim_ascii().is_empty()) {
                head.body.end = head.body.start + length;
            }
        }
        let body = lead + head.body.start..lead + head.body.end;
        let names: &[&str] = if head.is_stomp() { &["content-length"] } else { &["Content-Length", "l"] };
        if let Some((_, digits)) = head.length(names) {
            let digits = lead + digits.start..lead + digits.end;
            self.counts.push(Count { place, digits, counted: body.clone(), unit: CountUnit::Bytes });
        }
        let pairs = || head.headers.iter().map(|(name, value, _)| (*name, *value));
        let name = match &sip {
            Some(sip) => match sip.status {
                Some(status) => format!("SIP {status} to {} body", sip.method),
                None => format!("SIP {} body", sip.method),
            },
            None if head.is_stomp() => "STOMP body".to_owned(),
            None => "HTTP body".to_owned(),
        };
        let call_id = sip.as_ref().and_then(|_| {
            let own = self.options.dialog_field.as_deref().and_then(|field| head.header(&[field]));
            own.or_else(|| head.header(&["Call-ID", "i"])).map(str::to_owned)
        });
        if let (Some(sip), Some(call_id)) = (&sip, &call_id)
            && ends_dialog(sip)
        {
            let dialog = Dialog { id: Some(call_id.clone()), established: sip.to_tag && sip.status.is_none() };
            let path = name.trim_end_matches(" body").to_owned();
            self.hang_ups.push(Finding { content: Content::HangUp, dialog, path });
        }
        let refusal = doubt::about_headers(pairs());
        let scope = scope.inner(Step::Body { name, sip, call_id, refusal });
        if head.is_http() {
            self.links(pairs(), &scope);
        }
        if !body.is_empty() {
            self.within(place, text, body, &scope);
        }
        true
    }

    pub(super) fn links<'h>(&mut self, headers: impl Iterator<Item = (&'h str, &'h str)>, scope: &Scope<'_>) {
        if self.direction == Direction::Incoming {
            for (name, value) in headers {
                if name.eq_ignore_ascii_case("Link") {
                    for server in servers::of_link(value) {
                        self.server(server, || scope.path().replace("HTTP body", "HTTP Link header"));
                    }
                }
            }
        }
    }

    fn server(&mut self, server: FoundIceServer, path: impl FnOnce() -> String) {
        if self.servers.len() < servers::MAX_SERVERS {
            if self.servers.is_empty() {
                self.servers_path = path();
            }
            self.servers.push(server);
        }
    }

    /// The parts of a multipart body; whether it is one.
    fn multipart(&mut self, place: PlaceId, text: &[u8], lead: usize, scope: &Scope<'_>) -> bool {
        let Some(parts) = headed::parts(&text[lead..]) else { return false };
        for (index, range) in parts.into_iter().enumerate() {
            let range = lead + range.start..lead + range.end;
            let Some(part) = headed::part(&text[range.clone()]) else { continue };
            let body = range.start + part.body.start..range.start + part.body.end;
            if let Some((_, digits)) = part.length(&["Content-Length"]) {
                let digits = range.start + digits.start..range.start + digits.end;
                self.counts.push(Count { place, digits, counted: body.clone(), unit: CountUnit::Bytes });
            }
            let refusal = doubt::about_headers(part.headers.iter().map(|(name, value, _)| (*name, *value)));
            let name = format!("part {}", index + 1);
            let scope = scope.inner(Step::Body { name, sip: None, call_id: None, refusal });
            self.within(place, text, body, &scope);
        }
        true
    }

    /// Engine.IO and Socket.IO.
    fn packets(&mut self, place: PlaceId, text: &[u8], lead: usize, scope: &Scope<'_>) {
        let rest = &text[lead..];
        if let Some(prefix) = framing::packet_prefix(rest) {
            let scope = scope.inner(Step::Named("Socket.IO".to_owned()));
            self.within(place, text, lead + prefix..text.len(), &scope);
        } else if let Some(packets) = std::str::from_utf8(rest).ok().and_then(framing::counted_packets) {
            for packet in packets {
                let counted = lead + packet.packet.start..lead + packet.packet.end;
                let digits = lead + packet.digits.start..lead + packet.digits.end;
                self.counts.push(Count { place, digits, counted: counted.clone(), unit: CountUnit::Utf16 });
                self.within(place, text, counted, &scope.inner(Step::Silent));
            }
        }
    }

    fn json(&mut self, place: PlaceId, text: &[u8], lead: usize, scope: &Scope<'_>) {
        match json::tree(&text[lead..]) {
            Ok(_) if lead > 0 => self.within(place, text, lead..text.len(), scope),
            Ok(tree) => self.tree(place, text, &tree, false, scope),
            Err(broken) => {
                if holds_lines(text) {
                    let reason = format!(
                        "The JSON is broken at byte {} ({}): correct the message.",
                        lead + broken.at,
                        broken.why
                    );
                    self.leave(reason, scope);
                }
            }
        }
    }

    fn xml(&mut self, place: PlaceId, text: &[u8], scope: &Scope<'_>) {
        match xml::tree(text) {
            Ok(tree) => self.tree(place, text, &tree, true, scope),
            Err(_) if holds_lines(text) => {
                self.leave(
                    "The XML has too many parts, or is nested too deep: send the description in a message of its own.",
                    scope,
                );
            }
            Err(_) => {}
        }
    }

    fn tree(&mut self, place: PlaceId, text: &[u8], tree: &Tree<'_>, is_xml: bool, scope: &Scope<'_>) {
        if is_xml && is_page(tree) {
            return;
        }
        for id in tree.ids() {
            let node = tree.node(id);
            match node.kind {
                Kind::Text(kind) => {
                    let raw = tree.raw(id);
                    let inner = scope.inner(Step::Node { tree, id, xml: is_xml });
                    if raw.is_empty() {
                        self.end_mark(place, tree, id, scope, is_xml);
                    } else if prefilter::may_hold(raw) {
                        self.unwrapped(place, text, node.range(), kind.wrapping(), &inner);
                    }
                }
                Kind::Null => self.end_mark(place, tree, id, scope, is_xml),
                Kind::Object => {
                    if is_xml {
                        self.element(tree, id, scope);
                    } else {
                        self.object(place, tree, id, scope);
                    }
                }
                Kind::Array | Kind::Number | Kind::Bool => {}
            }
        }
        if !is_xml {
            self.hang_up_event(tree, scope);
        }
    }

    fn element(&mut self, tree: &Tree<'_>, id: u32, scope: &Scope<'_>) {
        let attribute =
            |name: &[u8]| tree.children(id).find(|child| tree.key(*child) == name).map(|child| tree.raw(child));
        if tree.key(id) == b"jingle" && attribute(b"xmlns") == Some(b"urn:xmpp:jingle:1") {
            let action = attribute(b"action").unwrap_or_default();
            if action != b"session-terminate" && action != b"session-info" {
                let reason = "The call is set up with Jingle, which has no description as text: use SDP over XMPP where the server has it.";
                self.leave_at(reason, path_of(tree, id, true));
            }
        }
        if self.direction == Direction::Incoming
            && let Some(server) = servers::of_element(tree, id)
        {
            self.server(server, || scope.inner(Step::Node { tree, id, xml: true }).path());
        }
    }

    fn object(&mut self, place: PlaceId, tree: &Tree<'_>, id: u32, scope: &Scope<'_>) {
        if self.direction == Direction::Incoming
            && let Some(server) = servers::of_object(tree, id)
        {
            let named = if tree.key(id).is_empty() { tree.node(id).parent.unwrap_or(id) } else { id };
            self.server(server, || scope.inner(Step::Node { tree, id: named, xml: false }).path());
        }
        if [b"dtlsParameters".as_slice(), b"iceParameters"].contains(&tree.key(id)) {
            let reason = "The call is set up with ORTC parameters (as mediasoup does) and not with a description: it cannot be made live.";
            self.leave(reason, &scope.inner(Step::Node { tree, id: tree.node(id).parent.unwrap_or(id), xml: false }));
        }
        // Janus: `"candidate":{"completed":true}`.
        if tree.key(id) == b"candidate" {
            let mut members = tree.children(id);
            if let (Some(only), None) = (members.next(), members.next())
                && tree.key(only) == b"completed"
                && tree.raw(only) == b"true"
                && self.may_judge()
            {
                self.end_of_candidates(place, None, &scope.inner(Step::Node { tree, id, xml: false }));
            }
        }
        if ends_call(tree, id, self.direction) && self.may_judge() {
            let levels = classify::levels(tree, id, &scope.levels());
            let own = classify::level(tree, id, None);
            let levels: Vec<Level> = std::iter::once(own).chain(levels).collect();
            self.hang_up(&levels, &scope.inner(Step::Node { tree, id, xml: false }));
        }
    }

    fn hang_up(&mut self, levels: &[Level], scope: &Scope<'_>) {
        let dialog = self.dialog(levels, scope);
        if self.hang_ups.len() < MAX_FINDINGS && !self.hang_ups.iter().any(|known| known.dialog == dialog) {
            self.hang_ups.push(Finding { content: Content::HangUp, dialog, path: scope.path() });
        }
    }

    /// `["hangup", {…}]`, as Socket.IO and Phoenix send it.
    fn hang_up_event(&mut self, tree: &Tree<'_>, scope: &Scope<'_>) {
        let Some(root) = tree.ids().next().filter(|root| tree.node(*root).kind == Kind::Array) else { return };
        let event = tree.children(root).take(4).find(|child| {
            matches!(tree.node(*child).kind, Kind::Text(_)) && tree.string(*child).is_some_and(|name| is_hang_up(&name))
        });
        let Some(event) = event else { return };
        let beside = tree.children(root).take(8).filter(|child| tree.node(*child).kind == Kind::Object);
        let mut levels: Vec<Level> = beside.map(|object| classify::level(tree, object, None)).collect();
        levels.extend(scope.levels());
        self.hang_up(&levels, &scope.inner(Step::Node { tree, id: event, xml: false }));
    }

    /// `"candidate": null` or `""`, if its surroundings are those of a candidate.
    fn end_mark(&mut self, place: PlaceId, tree: &Tree<'_>, id: u32, scope: &Scope<'_>, is_xml: bool) {
        let Some(parent) = tree.node(id).parent else { return };
        if tree.key(id) != b"candidate" || !self.may_judge() {
            return;
        }
        let beside = tree.children(parent).take(32).any(|member| {
            let key = classify::folded(&String::from_utf8_lossy(tree.key(member)));
            ["sdpmid", "sdpmlineindex", "usernamefragment"].contains(&key.as_str())
        });
        let scope = scope.inner(Step::Node { tree, id, xml: is_xml });
        let said = || {
            scope.levels().iter().any(|level| {
                level.members.iter().any(|member| {
                    classify::names_the_message(member, level.key.is_empty())
                        && classify::words(&member.value)
                            .iter()
                            .any(|word| word.contains("candidate") || word == "trickle")
                })
            })
        };
        if beside || said() {
            let slot = match tree.node(id).kind {
                Kind::Text(kind) => self.place_of_value(place, tree.node(id).range(), kind.wrapping()),
                _ => None,
            };
            self.end_of_candidates(place, slot, &scope);
        }
    }

    fn end_of_candidates(&mut self, place: PlaceId, text: Option<Slot>, scope: &Scope<'_>) {
        let dialog = self.dialog(&scope.levels(), scope);
        let mut init = IceCandidateInit::default();
        let mut members = [None, None, None];
        if let Step::Node { tree, id, .. } = &scope.step
            && tree.node(*id).kind != Kind::Object
        {
            members = self.members(tree, *id, place, &mut init);
        }
        let [mid, index, ufrag] = members;
        self.find(Content::Candidate(init), dialog, scope.path(), Target::Candidate { text, mid, index, ufrag });
    }

    /// Base64, a signed token, or a form.
    fn encoded(&mut self, place: PlaceId, text: &[u8], lead: usize, scope: &Scope<'_>) {
        let rest = text[lead..].trim_ascii_end();
        if let Some(found) =
            rest.strip_prefix(b"data:").and_then(|_| memchr::memmem::find(&rest[..rest.len().min(256)], b";base64,"))
        {
            self.base64(place, text, lead + found + 8..lead + rest.len(), scope);
            return;
        }
        if begins_as_base64(rest) {
            if memchr::memchr(b'.', rest).is_some() {
                self.token(rest, scope);
            } else {
                self.base64(place, text, lead..lead + rest.len(), scope);
            }
            return;
        }
        self.form(place, text, lead..lead + rest.len(), scope);
    }

    fn base64(&mut self, place: PlaceId, text: &[u8], range: Range<usize>, scope: &Scope<'_>) {
        if let Some(flavour) = Base64::of(&text[range.clone()]) {
            self.unwrapped(
                place,
                text,
                range,
                Wrapping::Base64(flavour),
                &scope.inner(Step::Named("base64".to_owned())),
            );
        }
    }

    /// A JWS (RFC 7515): what it carries is signed.
    fn token(&mut self, token: &[u8], scope: &Scope<'_>) {
        let mut parts = token.split(|byte| *byte == b'.');
        let (Some(_), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return;
        };
        let text = Base64::of(payload).and_then(|flavour| Wrapping::Base64(flavour).unwrap(payload));
        if text.is_some_and(|text| holds_lines(&text)) {
            self.leave(
                "The description stands in a signed token (JWS): put ${__webrtcOffer} or ${__webrtcAnswer} in the place of the canned text, before it is signed.",
                scope,
            );
        }
    }

    fn form(&mut self, place: PlaceId, text: &[u8], range: Range<usize>, scope: &Scope<'_>) {
        let form = &text[range.clone()];
        let plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'{' | b'}' | b'\\');
        if memchr::memchr(b'=', form).is_none() || !form.iter().all(plain) {
            return;
        }
        let mut from = range.start;
        for field in form.split(|byte| *byte == b'&') {
            let at = from;
            from += field.len() + 1;
            let Some(equals) = memchr::memchr(b'=', field).filter(|equals| (1..=64).contains(equals)) else { continue };
            let value = at + equals + 1..at + field.len();
            if prefilter::may_hold(&text[value.clone()]) {
                let name = String::from_utf8_lossy(&field[..equals]).into_owned();
                self.unwrapped(place, text, value, Wrapping::Form, &scope.inner(Step::Field(name)));
            }
        }
    }

    /// Leaves descriptions whose fingerprint or password stands elsewhere in the message, too: both would have to change.
    fn leave_what_is_repeated(&mut self) {
        let repeated = repeated::in_message(self.message, &self.places, &self.findings, &self.targets);
        for index in repeated.into_iter().rev() {
            let finding = self.findings.remove(index);
            self.targets.remove(index);
            self.leave_at(
                "The message repeats the fingerprint or the ICE password of the description in another field: put ${__webrtcOffer} or ${__webrtcAnswer} in the place of the canned text, and take that field from it.",
                finding.path,
            );
        }
    }

    pub(super) fn finish(mut self) -> Option<Reading> {
        if self.direction == Direction::Outgoing {
            self.leave_what_is_repeated();
        }
        if !self.servers.is_empty() {
            let servers = std::mem::take(&mut self.servers);
            let path = std::mem::take(&mut self.servers_path);
            self.find(Content::IceServers(servers), Dialog::default(), path, Target::Nothing);
        }
        let describes = self.findings.iter().any(|finding| matches!(finding.content, Content::Description { .. }));
        if !describes {
            for finding in std::mem::take(&mut self.hang_ups) {
                self.find(finding.content, finding.dialog, finding.path, Target::Nothing);
            }
        }
        if self.overflown && holds_lines(self.message) {
            self.leave_at(format!("The message has more than {MAX_PLACES} texts that might be descriptions: send it in a message of its own."), "text".to_owned());
        }
        if self.findings.is_empty() && self.left.is_empty() && holds_lines(self.message) {
            self.leave_at(
                "The message shows lines of a description in a form that is not known: put ${__webrtcOffer} or ${__webrtcAnswer} in the place of the canned text.",
                "text".to_owned(),
            );
        }
        (!self.findings.is_empty() || !self.left.is_empty()).then_some(Reading {
            findings: self.findings,
            left: self.left,
            targets: self.targets,
            places: self.places,
            counts: self.counts,
            length: self.message.len(),
        })
    }
}
/// Whether XML is a page for people: what it quotes starts no call.
fn is_page(tree: &Tree<'_>) -> bool {
    let first = tree.ids().find(|id| tree.node(*id).kind == Kind::Object);
    first.is_some_and(|id| {
        let name = tree.key(id).to_ascii_lowercase();
        [
            "html", "head", "p", "pre", "div", "code", "span", "table", "script", "textarea", "svg", "ul", "a", "b",
            "br", "img",
        ]
        .iter()
        .any(|page| name == page.as_bytes())
    })
}

/// Whether a text may be base64 of JSON, of a description or of a candidate.
fn begins_as_base64(text: &[u8]) -> bool {
    text.len() >= 48
        && prefilter::BASE64_STARTS.iter().any(|start| text.starts_with(start.as_bytes()))
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/-_=.\r\n".contains(byte))
}

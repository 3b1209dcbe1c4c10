//! What a canned description asks of a live session, and the live description in its shape.
//!
//! Guarantees. The lines that go out are those of the canned offer in number, kind and order, with its mids, directions, bundle
//! and codecs, as far as a session can keep its word; what it cannot is in the notes or is an error. Nothing of the canned
//! identity (credentials, fingerprint, candidates, SSRCs) is left. An answer keeps the lines of the offer it answers, since no
//! canned answer can. Text is changed line by line, so what is not understood stays. Pure; nothing to cancel.
use crate::peer::{IceCandidateInit, MediaCodec, MediaDirection, MediaLine};
use crate::sdp::{Description, Section, attribute, attribute_name, direction};

/// Why a canned description cannot be made live.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// There is no media line (RFC 8866 §5.14).
    #[error("the description has no media line (m=)")]
    NoMedia,
    /// Every media line is rejected.
    #[error("every media line of the description is rejected (port 0): it asks for no call")]
    AllRejected,
    /// It is plain RTP, or keyed by `a=crypto`: without ICE and DTLS there is no WebRTC session to put in its place.
    #[error("the description has no {missing}: it is not WebRTC and is left as it is")]
    NotWebRtc {
        /// The attribute that is missing.
        missing: &'static str,
    },
    /// An offered audio line has no codec that can be sent.
    #[error(
        "audio line {line} offers only {formats}, none of which can be sent: offer opus, PCMU or PCMA, or take the line out"
    )]
    NoCodec {
        /// Its place among the media lines, from 1.
        line: usize,
        /// The encodings it offers.
        formats: String,
    },
}

/// What a canned description asks of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    media: Vec<MediaLine>,
    ice: (String, String),
    full_ice: bool,
    notes: Vec<String>,
}

impl Shape {
    /// Reads a canned offer or answer.
    ///
    /// # Errors
    /// [`ShapeError`], where no session can stand behind it.
    pub fn of(canned: &str) -> Result<Self, ShapeError> {
        let canned = Description::read(canned);
        if canned.media.is_empty() {
            return Err(ShapeError::NoMedia);
        }
        let accepted = || canned.media.iter().filter(|section| !section.is_rejected());
        if accepted().next().is_none() {
            return Err(ShapeError::AllRejected);
        }
        let of = |name| accepted().find_map(|section| canned.attribute_of(section, name));
        let needed = |name, missing| of(name).ok_or(ShapeError::NotWebRtc { missing });
        let ice = (needed("ice-ufrag", "a=ice-ufrag")?.to_owned(), needed("ice-pwd", "a=ice-pwd")?.to_owned());
        needed("fingerprint", "a=fingerprint")?;
        // An answer takes a role, an offer leaves it open (RFC 8842 §5.2).
        let is_answer = matches!(of("setup"), Some("active" | "passive"));
        let mut notes = vec![];
        let (mut has_audio, mut has_data) = (false, false);
        let mut media = vec![];
        for (index, section) in canned.media.iter().enumerate() {
            let mut line = MediaLine {
                media: section.media().to_owned(),
                mid: section.mid().map(ToOwned::to_owned),
                direction: MediaDirection::named(canned.direction(section)),
                proto: Some(section.proto().to_owned()).filter(|proto| !proto.is_empty()),
                codecs: MediaCodec::all(section),
                rejected: section.is_rejected(),
            };
            let place = index + 1;
            match &*line.media {
                _ if line.rejected => {}
                "audio" if !has_audio => {
                    let formats: Vec<_> = line.codecs.iter().map(|codec| codec.encoding.clone()).collect();
                    has_audio = true;
                    sendable(&mut line.codecs);
                    if !is_answer && line.codecs.iter().all(|codec| codec.audio().is_none()) {
                        return Err(ShapeError::NoCodec { line: place, formats: formats.join(", ") });
                    }
                }
                "application" if line.is_data_channel() && !has_data => {
                    has_data = true;
                    line.codecs.clear();
                    notes.push(format!("line {place}: the data channel is opened and nothing is said on it"));
                }
                "audio" | "video" if !line.codecs.is_empty() => {
                    notes.push(not_sent(place, &line.media, line.direction));
                    line.direction = MediaDirection::of(false, line.direction.receives());
                    receivable(&mut line.codecs);
                }
                _ => {
                    notes.push(format!(
                        "line {place} (m={}) is refused: there is nothing here that can take it",
                        line.media
                    ));
                    line.rejected = true;
                }
            }
            media.push(line);
        }
        if media.iter().all(|line| line.rejected) {
            return Err(ShapeError::AllRejected);
        }
        let full_ice = canned.media.iter().any(|section| section.attribute("candidate").is_some())
            || canned.attribute("candidate").is_some();
        Ok(Self { media, ice, full_ice, notes })
    }

    /// The media lines for [`crate::peer::SessionConfig::media`], in the canned order.
    pub fn media(&self) -> &[MediaLine] {
        &self.media
    }

    /// Whether the canned description has its candidates in it: then the live one is expected to have them too.
    pub fn full_ice(&self) -> bool {
        self.full_ice
    }

    /// `a=ice-ufrag` and `a=ice-pwd` of the canned description. They tell a restart from a plain renegotiation.
    pub fn ice(&self) -> (&str, &str) {
        (&self.ice.0, &self.ice.1)
    }

    /// What the live session does otherwise than the canned client did, as sentences.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// Leaves the codecs that can be sent, each once, and DTMF.
fn sendable(codecs: &mut Vec<MediaCodec>) {
    let mut seen = vec![];
    codecs.retain(|codec| match codec.audio() {
        Some(audio) if !seen.contains(&audio) => {
            seen.push(audio);
            true
        }
        Some(_) => false,
        None => codec.is_telephone_event(),
    });
    // Feedback on audio is never sent.
    codecs.iter_mut().for_each(|codec| codec.rtcp_fb.clear());
}

/// Takes out the feedback that would steer the sender: it never comes, which would starve a sender that waits for it.
fn receivable(codecs: &mut [MediaCodec]) {
    for codec in codecs {
        codec.rtcp_fb.retain(|feedback| feedback != "transport-cc" && feedback != "goog-remb");
    }
}

fn not_sent(place: usize, media: &str, direction: MediaDirection) -> String {
    match direction.receives() {
        true => format!("line {place}: {media} is received and counted, not sent (recvonly)"),
        false => format!("line {place}: {media} would be sent only, which is not done here (inactive)"),
    }
}

/// How much of the canned text stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlay {
    /// The whole description is the live one, in the shape of the canned one.
    #[default]
    Whole,
    /// The canned text, of which the lines of ICE, DTLS and SSRCs are replaced; for servers that want lines of their own back.
    /// An answer is always whole.
    Overlay,
}

/// A live description in the shape of a canned one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shaped {
    /// The text that goes out, with CRLF.
    pub sdp: String,
    /// How mids there and in the session's own description correspond.
    pub mids: Mids,
    /// What the live session does otherwise than the canned client did, as sentences.
    pub notes: Vec<String>,
}

/// Gives a live description the shape of a canned one.
///
/// `live` is what [`crate::peer::Session::create_offer`] or `create_answer` gave, of a session made with the lines of
/// [`Shape::media`] or with others: the n-th line of a media type answers to the n-th.
///
/// # Errors
/// As [`Shape::of`]; [`ShapeError::NotWebRtc`] also when `live` has no credentials.
pub fn shaped(canned: &str, live: &str, mode: Overlay) -> Result<Shaped, ShapeError> {
    let shape = Shape::of(canned)?;
    let (canned, live) = (Description::read(canned), Description::read(live));
    let transport = Transport::of(&live)?;
    if transport.setup != "actpass" {
        return Ok(answer(&canned, &live, mode));
    }
    let pairs = pairs(&canned, &live);
    let mids = Mids::of(&canned, &live, &pairs);
    let bundle = canned.bundle();
    let is_refused = |index: usize| {
        let counterpart = pairs[index].and_then(|index| live.media.get(index));
        canned.media[index].is_rejected() || counterpart.is_none_or(Section::is_rejected)
    };
    let places: Vec<_> = (0..canned.media.len()).filter(|index| !is_refused(*index)).collect();
    let mut written = Description { session: session_lines(&canned, &live, &transport, mode), media: vec![] };
    if let Some(group) = &bundle {
        let left = places.iter().filter_map(|index| canned.media[*index].mid()).filter(|mid| group.contains(mid));
        let left = left.fold("a=group:BUNDLE".to_owned(), |group, mid| group + " " + mid);
        match written.session.iter_mut().find(|line| line.starts_with("a=group:BUNDLE")) {
            Some(line) => *line = left,
            None => written.session.push(left),
        }
    }
    let has_audio = canned.media.iter().position(|section| section.media() == "audio" && !section.is_rejected());
    for (index, section) in canned.media.iter().enumerate() {
        let counterpart = pairs[index].and_then(|index| live.media.get(index));
        let Some(counterpart) = counterpart.filter(|_| !is_refused(index)) else {
            written.media.push(match mode {
                Overlay::Overlay if section.is_rejected() => without_identity(section),
                _ => refused(section),
            });
            continue;
        };
        let mut section = match mode {
            Overlay::Whole => whole(section, counterpart, &transport),
            Overlay::Overlay => overlaid(section, counterpart, &transport, has_audio == Some(index)),
        };
        // One of the bundle has the candidates of all; alone each has its own.
        if bundle.is_none() || places.first() == Some(&index) {
            section.lines.extend(transport.candidates.iter().map(|candidate| format!("a=candidate:{candidate}")));
            section.lines.extend(transport.ended.then(|| "a=end-of-candidates".to_owned()));
        }
        written.media.push(section);
    }
    let mut notes = shape.notes;
    if bundle.is_none() && places.len() > 1 {
        notes.push("the offer has no a=group:BUNDLE: only the audio line gets a transport of its own".to_owned());
    }
    Ok(Shaped { sdp: written.to_string(), mids, notes })
}

/// The live answer with the little that a canned one can add.
fn answer(canned: &Description, live: &Description, mode: Overlay) -> Shaped {
    let mut notes = vec![];
    if mode == Overlay::Overlay {
        notes.push("an answer is always whole: the canned one does not fit the offer that it answers".to_owned());
    }
    let mut written = live.clone();
    for name in ["s=", "i=", "b="] {
        let replaced: Vec<_> = canned.session.iter().filter(|line| line.starts_with(name)).cloned().collect();
        replace_lines(&mut written.session, name, replaced);
    }
    let audio = live.media.iter().position(|section| section.media() == "audio" && !section.is_rejected());
    for (index, section) in live.media.iter().enumerate() {
        let (place, media) = (index + 1, section.media());
        if section.is_rejected() {
            notes.push(format!("line {place} of the offer (m={media}) is refused"));
            continue;
        }
        let same = |other: &&Section| other.media() == media;
        let nth = live.media[..index].iter().filter(same).count();
        if let Some(counterpart) = canned.media.iter().filter(same).nth(nth) {
            let bandwidth: Vec<_> = counterpart.lines.iter().filter(|line| line.starts_with("b=")).cloned().collect();
            replace_lines(&mut written.media[index].lines, "b=", bandwidth);
        }
        match media {
            "application" => {
                notes.push(format!("line {place}: the data channel is opened and nothing is said on it"));
            }
            _ if audio == Some(index) => {}
            _ => notes.push(not_sent(place, media, MediaDirection::named(live.direction(section)))),
        }
    }
    Shaped { sdp: written.to_string(), mids: Mids::default(), notes }
}

/// What identifies the live session on the network.
struct Transport<'a> {
    ufrag: &'a str,
    pwd: &'a str,
    fingerprint: &'a str,
    setup: &'a str,
    /// Of RTP, since RTCP shares its transport.
    candidates: Vec<&'a str>,
    ended: bool,
}

impl<'a> Transport<'a> {
    fn of(live: &'a Description) -> Result<Self, ShapeError> {
        let of = |name, missing| {
            let found = live.media.iter().find_map(|section| live.attribute_of(section, name));
            found.ok_or(ShapeError::NotWebRtc { missing })
        };
        let told = live.media.iter().flat_map(|section| section.attributes("candidate"));
        let mut candidates: Vec<&str> = vec![];
        for candidate in told.filter(|candidate| candidate.split(' ').nth(1) == Some("1")) {
            if !candidates.contains(&candidate) {
                candidates.push(candidate);
            }
        }
        Ok(Self {
            ufrag: of("ice-ufrag", "a=ice-ufrag")?,
            pwd: of("ice-pwd", "a=ice-pwd")?,
            fingerprint: of("fingerprint", "a=fingerprint")?,
            setup: of("setup", "a=setup")?,
            candidates,
            ended: live.media.iter().any(|section| section.attribute("end-of-candidates").is_some()),
        })
    }

    /// Port and `c=` line: the default candidate (RFC 8839 §4.2.1.1: relayed before server reflexive before host) where the
    /// canned line had one, else those of a trickled description.
    fn default_address(&self, canned: &Section) -> (u16, String) {
        let nothing = (9, "c=IN IP4 0.0.0.0".to_owned());
        if canned.port() == 9 || canned.port() == 0 {
            return nothing;
        }
        let candidates = self.candidates.iter().filter_map(|candidate| {
            let words: Vec<&str> = candidate.split(' ').collect();
            let [_, _, protocol, _, address, port, "typ", kind, ..] = words[..] else { return None };
            let rank = ["host", "srflx", "relay"].iter().position(|known| *known == kind)?;
            let address: std::net::IpAddr = address.parse().ok()?;
            protocol.eq_ignore_ascii_case("udp").then_some((rank, address.is_ipv4(), port.parse().ok()?, address))
        });
        let Some((_, is_ipv4, port, address)) = candidates.max() else { return nothing };
        (port, format!("c=IN IP{} {address}", if is_ipv4 { 4 } else { 6 }))
    }

    /// The line that replaces a canned attribute of the transport; `None` for a line that is none of them.
    fn replacement(&self, line: &str) -> Option<Vec<String>> {
        let line = match attribute_name(line)? {
            "ice-ufrag" => format!("a=ice-ufrag:{}", self.ufrag),
            "ice-pwd" => format!("a=ice-pwd:{}", self.pwd),
            "fingerprint" => format!("a=fingerprint:{}", self.fingerprint),
            "setup" => format!("a=setup:{}", self.setup),
            "ice-options" if line.split([':', ' ']).any(|word| word == "trickle") => "a=ice-options:trickle".to_owned(),
            "ice-options" | "ice-lite" | "candidate" | "end-of-candidates" | "remote-candidates" | "crypto" => {
                return Some(vec![]);
            }
            "rtcp" => "a=rtcp:9 IN IP4 0.0.0.0".to_owned(),
            _ => return None,
        };
        Some(vec![line])
    }
}

/// For each canned section the index of the live one it corresponds to: the n-th of a media type to the n-th.
fn pairs(canned: &Description, live: &Description) -> Vec<Option<usize>> {
    let of = |(index, section): (usize, &Section)| {
        let nth = canned.media[..index].iter().filter(|other| other.media() == section.media()).count();
        let live = live.media.iter().enumerate().filter(|(_, other)| other.media() == section.media());
        live.map(|(index, _)| index).nth(nth)
    };
    canned.media.iter().enumerate().map(of).collect()
}

/// The session lines: those of the mode, with the identity of the live session.
fn session_lines(canned: &Description, live: &Description, transport: &Transport<'_>, mode: Overlay) -> Vec<String> {
    let origin = origin(canned, live);
    if mode == Overlay::Overlay {
        let mut lines = vec![];
        for line in &canned.session {
            match transport.replacement(line) {
                Some(replaced) => {
                    // One fingerprint per hash function would be the same line again.
                    lines.extend(replaced.into_iter().filter(|line| !lines.contains(line)).collect::<Vec<_>>());
                }
                None if line.starts_with("o=") => lines.extend(origin.clone()),
                None if line.starts_with("c=") => {
                    let first = canned.media.iter().find(|section| !section.is_rejected());
                    lines.extend(first.map(|section| transport.default_address(section).1));
                }
                None if attribute(line, "msid-semantic").is_some() => lines.push(semantic(line)),
                None if attribute_name(line) == Some("ssrc") => {}
                None => lines.push(line.clone()),
            }
        }
        return lines;
    }
    let kept = |line: &&String| {
        let name = attribute_name(line);
        !matches!(name, Some("fingerprint" | "extmap-allow-mixed" | "group" | "msid-semantic" | "ice-options"))
    };
    let mut lines: Vec<_> = live.session.iter().filter(kept).cloned().collect();
    replace_lines(&mut lines, "o=", origin.into_iter().collect());
    for name in ["s=", "i=", "u=", "e=", "p=", "b=", "t="] {
        let canned: Vec<_> = canned.session.iter().filter(|line| line.starts_with(name)).cloned().collect();
        if !canned.is_empty() {
            replace_lines(&mut lines, name, canned);
        }
    }
    for line in &canned.session {
        match attribute_name(line) {
            Some("fingerprint" | "ice-options") => {
                let replaced = transport.replacement(line).into_iter().flatten();
                lines.extend(replaced.filter(|line| !lines.contains(line)).collect::<Vec<_>>());
            }
            Some("group") if line.starts_with("a=group:BUNDLE") => lines.push(line.clone()),
            Some("extmap-allow-mixed") => lines.push(line.clone()),
            Some("msid-semantic") => lines.push(semantic(line)),
            _ => {}
        }
    }
    lines
}

/// `o=` with the canned user and address and the live session's id and version (RFC 8866 §5.2).
fn origin(canned: &Description, live: &Description) -> Option<String> {
    let of = |description: &Description| {
        let line = description.session.iter().find_map(|line| line.strip_prefix("o="))?;
        let words: Vec<String> = line.split_whitespace().map(ToOwned::to_owned).collect();
        <[String; 6]>::try_from(words).ok()
    };
    let [live_user, id, version, live_network, live_type, live_address] = of(live)?;
    let [user, network, address_type, address] = match of(canned) {
        Some([user, _, _, network, address_type, address]) => [user, network, address_type, address],
        None => [live_user, live_network, live_type, live_address],
    };
    Some(format!("o={user} {id} {version} {network} {address_type} {address}"))
}

/// `a=msid-semantic` without the canned streams.
fn semantic(line: &str) -> String {
    match line.split_once("WMS") {
        Some((before, streams)) if !streams.trim().is_empty() => format!("{before}WMS *"),
        _ => line.to_owned(),
    }
}

/// Replaces the lines of one type at the place of the first, or puts them where their type belongs (RFC 8866 §5).
fn replace_lines(lines: &mut Vec<String>, name: &str, with: Vec<String>) {
    const ORDER: &str = "vosiuepcbtrzka";
    let rank = |line: &str| match line.starts_with("m=") {
        true => None,
        false => line.chars().next().and_then(|letter| ORDER.find(letter)),
    };
    let place = lines.iter().position(|line| line.starts_with(name)).unwrap_or_else(|| {
        let behind = lines.iter().position(|line| rank(line) > rank(name));
        behind.unwrap_or(lines.len())
    });
    lines.retain(|line| !line.starts_with(name));
    let place = place.min(lines.len());
    lines.splice(place..place, with);
}

/// A live section in the shape of a canned one.
fn whole(canned: &Section, live: &Section, transport: &Transport<'_>) -> Section {
    let (port, connection) = transport.default_address(canned);
    let formats: Vec<_> = live.formats().collect();
    let proto = if canned.proto().is_empty() { live.proto() } else { canned.proto() };
    let mut lines = vec![format!("m={} {port} {proto} {}", live.media(), formats.join(" "))];
    lines.extend(canned.lines.iter().filter(|line| line.starts_with("i=")).cloned());
    lines.push(connection);
    lines.extend(canned.lines.iter().filter(|line| line.starts_with("b=")).cloned());
    for line in live.lines.iter().skip(1) {
        match attribute_name(line) {
            Some("mid") => lines.extend(canned.mid().map(|mid| format!("a=mid:{mid}"))),
            Some("rtcp-rsize") if canned.attribute("rtcp-rsize").is_none() => {}
            Some("candidate" | "end-of-candidates" | "fingerprint" | "ice-options") | None => {}
            _ => lines.push(line.clone()),
        }
    }
    for line in &canned.lines {
        match attribute_name(line) {
            Some("fingerprint" | "ice-options" | "rtcp") => {
                let replaced = transport.replacement(line).into_iter().flatten();
                lines.extend(replaced.filter(|line| !lines.contains(line)).collect::<Vec<_>>());
            }
            Some("ptime" | "maxptime" | "label" | "content") => lines.push(line.clone()),
            _ => {}
        }
    }
    Section { lines }
}

/// A canned section with the identity of the live one.
fn overlaid(canned: &Section, live: &Section, transport: &Transport<'_>, is_sent: bool) -> Section {
    let (port, connection) = transport.default_address(canned);
    let formats: Vec<_> = canned.formats().collect();
    let mut lines = vec![format!("m={} {port} {} {}", canned.media(), canned.proto(), formats.join(" "))];
    let of_live = |names: &'static [&'static str]| {
        let is_named = move |line: &&String| attribute_name(line).is_some_and(|name| names.contains(&name));
        live.lines.iter().filter(is_named).cloned().collect::<Vec<_>>()
    };
    let (mut sources, mut streams) = (Some(of_live(&["ssrc"])), Some(of_live(&["msid"])));
    for line in canned.lines.iter().skip(1) {
        if let Some(replaced) = transport.replacement(line) {
            lines.extend(replaced.into_iter().filter(|line| !lines.contains(line)).collect::<Vec<_>>());
            continue;
        }
        match attribute_name(line) {
            Some("ssrc" | "ssrc-group") => lines.extend(sources.take().into_iter().flatten()),
            Some("msid") => lines.extend(streams.take().into_iter().flatten()),
            // What would be sent in several qualities is not sent at all.
            Some("rid" | "simulcast") if !is_sent => {}
            None if line.starts_with("c=") => lines.push(connection.clone()),
            _ if direction(line).is_some() && live.media() != "application" => {
                let theirs = live.lines.iter().find_map(|line| direction(line));
                lines.push(theirs.map_or_else(|| line.clone(), |word| format!("a={word}")));
            }
            _ => lines.push(line.clone()),
        }
    }
    // A line without direction is `sendrecv`; one that is not sent has to say so.
    if !is_sent && live.media() != "application" && !canned.lines.iter().any(|line| direction(line).is_some()) {
        lines.extend(live.lines.iter().find_map(|line| direction(line)).map(|word| format!("a={word}")));
    }
    // Credentials of the session hold for its lines; a line that has none gets none. Our SSRCs are told in any case.
    if is_sent {
        lines.extend(sources.take().into_iter().flatten());
    }
    Section { lines }
}

/// A canned section that is not offered: its place with port 0 (RFC 3264 §6).
fn refused(canned: &Section) -> Section {
    let formats: Vec<_> = canned.formats().collect();
    let mut lines = vec![format!("m={} 0 {} {}", canned.media(), canned.proto(), formats.join(" "))];
    lines.push("c=IN IP4 0.0.0.0".to_owned());
    lines.extend(canned.mid().map(|mid| format!("a=mid:{mid}")));
    lines.push("a=inactive".to_owned());
    Section { lines }
}

/// A canned section that was refused, as it is but for whose it was.
fn without_identity(canned: &Section) -> Section {
    let is_identity = |line: &String| {
        let transport =
            ["ice-ufrag", "ice-pwd", "ice-options", "fingerprint", "candidate", "end-of-candidates", "crypto"];
        attribute_name(line)
            .is_some_and(|name| transport.contains(&name) || matches!(name, "ssrc" | "ssrc-group" | "msid"))
    };
    Section { lines: canned.lines.iter().filter(|line| !is_identity(line)).cloned().collect() }
}

/// How the lines of what went out and of the session's own description correspond. Empty where they are the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mids {
    /// One per line of what went out.
    lines: Vec<Pair>,
    /// The session's own lines, as refused ones, by their order.
    live: Vec<Section>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pair {
    canned: Option<String>,
    live: Option<String>,
    live_index: Option<usize>,
}

impl Mids {
    fn of(canned: &Description, live: &Description, pairs: &[Option<usize>]) -> Self {
        let mid = |section: &Section| section.mid().map(ToOwned::to_owned);
        let of = |(section, pair): (&Section, &Option<usize>)| Pair {
            canned: mid(section),
            live: pair.and_then(|index| mid(&live.media[index])),
            live_index: *pair,
        };
        let lines: Vec<_> = canned.media.iter().zip(pairs).map(of).collect();
        let is_same = |(index, pair): (usize, &Pair)| pair.canned == pair.live && pair.live_index == Some(index);
        if lines.len() == live.media.len() && lines.iter().enumerate().all(is_same) {
            return Self::default();
        }
        Self { lines, live: live.media.iter().map(refused).collect() }
    }

    /// The other side's answer to what went out as the answer to the session's own offer: its lines in that order and with
    /// those mids, also in the bundle; lines that had not gone out come refused.
    pub fn to_live_description(&self, remote: &str) -> String {
        if self.lines.is_empty() {
            return remote.to_owned();
        }
        let remote = Description::read(remote);
        let mut written = Description { session: vec![], media: self.live.clone() };
        let live_mid = |mid: &str| {
            let pair = self.lines.iter().find(|pair| pair.canned.as_deref() == Some(mid));
            pair.and_then(|pair| pair.live.as_deref()).unwrap_or(mid).to_owned()
        };
        for line in &remote.session {
            match line.strip_prefix("a=group:BUNDLE") {
                Some(group) => {
                    let mids = group.split_whitespace().map(live_mid);
                    written.session.push(mids.fold("a=group:BUNDLE".to_owned(), |group, mid| group + " " + &mid));
                }
                None => written.session.push(line.clone()),
            }
        }
        for (index, section) in remote.media.iter().enumerate() {
            // Lines answer each other by their order; a mid that says otherwise is believed.
            let by_mid =
                section.mid().and_then(|mid| self.lines.iter().find(|pair| pair.canned.as_deref() == Some(mid)));
            let Some(pair) = by_mid.or_else(|| self.lines.get(index)) else { continue };
            let Some(place) = pair.live_index.and_then(|index| written.media.get_mut(index)) else { continue };
            let mut section = section.clone();
            section.lines.retain(|line| attribute_name(line) != Some("mid"));
            section.lines.extend(pair.live.as_ref().map(|mid| format!("a=mid:{mid}")));
            *place = section;
        }
        written.to_string()
    }

    /// A candidate of the other side, named as in the session's own description.
    pub fn to_live_candidate(&self, candidate: &IceCandidateInit) -> IceCandidateInit {
        let by_mid =
            candidate.sdp_mid.as_ref().and_then(|mid| self.lines.iter().find(|pair| pair.canned.as_ref() == Some(mid)));
        let by_index = || self.lines.get(usize::from(candidate.sdp_m_line_index?));
        let Some(pair) = by_mid.or_else(by_index) else { return candidate.clone() };
        let index = pair.live_index.and_then(|index| u16::try_from(index).ok());
        IceCandidateInit {
            sdp_mid: candidate.sdp_mid.is_some().then(|| pair.live.clone()).flatten(),
            sdp_m_line_index: candidate.sdp_m_line_index.and(index),
            ..candidate.clone()
        }
    }

    /// A candidate of the session, named as in what went out.
    pub fn to_canned_candidate(&self, candidate: &IceCandidateInit) -> IceCandidateInit {
        if self.lines.is_empty() {
            return candidate.clone();
        }
        let is_it = |pair: &Pair| match (&candidate.sdp_mid, candidate.sdp_m_line_index) {
            (Some(mid), _) => pair.live.as_ref() == Some(mid),
            (None, Some(index)) => pair.live_index == Some(index.into()),
            (None, None) => false,
        };
        let Some(index) = self.lines.iter().position(is_it) else { return candidate.clone() };
        IceCandidateInit {
            sdp_mid: candidate.sdp_mid.as_ref().and_then(|_| self.lines[index].canned.clone()),
            sdp_m_line_index: candidate.sdp_m_line_index.and_then(|_| u16::try_from(index).ok()),
            ..candidate.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHROME: &str = include_str!("../../tests/canned/chrome-audio-video-data.sdp");
    const SIP: &str = include_str!("../../tests/canned/mobile-sip-audio.sdp");
    /// What a session of [`SIP`]'s shape offers.
    const LIVE: &str = "v=0\r\no=- 77 3 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=fingerprint:sha-256 LI:VE\r\n\
        a=extmap-allow-mixed\r\na=group:BUNDLE 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 96 8 0 101 97\r\nc=IN IP4 0.0.0.0\r\n\
        a=setup:actpass\r\na=mid:0\r\na=ice-ufrag:live\r\na=ice-pwd:livepassword\r\na=rtcp-mux\r\na=rtcp-rsize\r\n\
        a=rtpmap:96 opus/48000/2\r\na=msid:jmeter-webrtc audio-7\r\na=ssrc:7 cname:jmeter-webrtc\r\na=sendrecv\r\n\
        a=candidate:1 1 udp 2130706431 192.0.2.7 4000 typ host\r\na=candidate:1 2 udp 2130706431 192.0.2.7 4000 typ host\r\n\
        a=candidate:2 1 udp 16777215 198.51.100.9 5000 typ relay raddr 192.0.2.7 rport 4000\r\na=end-of-candidates\r\n";

    #[test]
    fn an_overlay_replaces_the_lines_of_the_transport_at_both_levels_and_no_other() {
        let overlaid = shaped(SIP, LIVE, Overlay::Overlay).expect("shaped");
        let expected = "v=0\r\no=alice 77 3 IN IP4 192.0.2.30\r\ns=Talk\r\nc=IN IP4 0.0.0.0\r\nb=AS:380\r\nt=0 0\r\n\
            a=ice-pwd:livepassword\r\na=ice-ufrag:live\r\n\
            a=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss,dup,jitt,TTL voip-metrics\r\na=record:off\r\n\
            m=audio 5000 UDP/TLS/RTP/SAVPF 96 8 0 101 97\r\na=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1\r\n\
            a=rtpmap:101 telephone-event/48000\r\na=rtpmap:97 telephone-event/8000\r\na=rtcp-mux\r\n\
            a=fingerprint:sha-256 LI:VE\r\na=setup:actpass\r\na=rtcp-fb:* trr-int 1000\r\na=ssrc:7 cname:jmeter-webrtc\r\n\
            a=candidate:1 1 udp 2130706431 192.0.2.7 4000 typ host\r\n\
            a=candidate:2 1 udp 16777215 198.51.100.9 5000 typ relay raddr 192.0.2.7 rport 4000\r\na=end-of-candidates\r\n";
        // The canned address stood in the session: so does the live one.
        let expected = expected.replace("c=IN IP4 0.0.0.0", "c=IN IP4 198.51.100.9");
        assert_eq!(overlaid.sdp, expected);
    }

    #[test]
    fn a_whole_description_takes_name_bandwidth_and_places_from_the_canned_one() {
        let whole = shaped(SIP, LIVE, Overlay::Whole).expect("shaped").sdp;
        let expected = "v=0\r\no=alice 77 3 IN IP4 192.0.2.30\r\ns=Talk\r\nb=AS:380\r\nt=0 0\r\n\
            m=audio 5000 UDP/TLS/RTP/SAVPF 96 8 0 101 97\r\nc=IN IP4 198.51.100.9\r\na=setup:actpass\r\n\
            a=ice-ufrag:live\r\na=ice-pwd:livepassword\r\na=rtcp-mux\r\na=rtpmap:96 opus/48000/2\r\n\
            a=msid:jmeter-webrtc audio-7\r\na=ssrc:7 cname:jmeter-webrtc\r\na=sendrecv\r\na=fingerprint:sha-256 LI:VE\r\n\
            a=candidate:1 1 udp 2130706431 192.0.2.7 4000 typ host\r\n\
            a=candidate:2 1 udp 16777215 198.51.100.9 5000 typ relay raddr 192.0.2.7 rport 4000\r\na=end-of-candidates\r\n";
        assert_eq!(whole, expected);
    }

    #[test]
    fn what_a_session_does_otherwise_is_in_the_notes() {
        let shape = Shape::of(CHROME).expect("a shape");
        assert_eq!(
            shape.notes(),
            [
                "line 2: video is received and counted, not sent (recvonly)",
                "line 3: the data channel is opened and nothing is said on it"
            ]
        );
        let published =
            CHROME.replace("a=sendrecv", "a=sendonly").replace("webrtc-datachannel", "*").replace("DTLS", "BFCP");
        let published = published.replace("UDP/BFCP/SCTP", "TCP/BFCP");
        let shape = Shape::of(&published).expect("a shape");
        assert_eq!(
            shape.notes(),
            [
                "line 2: video would be sent only, which is not done here (inactive)",
                "line 3 (m=application) is refused: there is nothing here that can take it"
            ]
        );
        let directions: Vec<_> = shape.media().iter().map(|line| (line.direction.name(), line.rejected)).collect();
        assert_eq!(directions, [("sendonly", false), ("inactive", false), ("sendrecv", true)]);
    }

    #[test]
    fn codecs_that_cannot_be_sent_are_left_out_and_dtmf_is_kept() {
        let shape = Shape::of(CHROME).expect("a shape");
        let numbers: Vec<_> = shape.media()[0].codecs.iter().map(|codec| codec.payload_type).collect();
        assert_eq!(numbers, [111, 0, 8, 110, 126]);
        assert!(shape.media()[1].codecs[0].rtcp_fb.iter().all(|feedback| feedback != "goog-remb"));
    }

    #[test]
    fn any_text_is_survived() {
        for end in 0..CHROME.len() {
            let cut = &CHROME[..end];
            let _ = (Shape::of(cut), shaped(cut, LIVE, Overlay::Whole), shaped(cut, LIVE, Overlay::Overlay));
            let _ = shaped(CHROME, cut, Overlay::Whole);
            if let Ok(shaped) = shaped(CHROME, LIVE, Overlay::Whole) {
                let _ = shaped.mids.to_live_description(cut);
            }
        }
    }

    #[test]
    fn candidates_are_renamed_by_mid_or_by_index() {
        let canned = CHROME.replace("a=mid:0", "a=mid:sound").replace("BUNDLE 0", "BUNDLE sound");
        let mids = shaped(&canned, LIVE, Overlay::Whole).expect("shaped").mids;
        let candidate = |mid: Option<&str>, index| IceCandidateInit {
            candidate: "candidate:1".into(),
            sdp_mid: mid.map(Into::into),
            sdp_m_line_index: index,
            username_fragment: None,
        };
        assert_eq!(mids.to_live_candidate(&candidate(Some("sound"), None)), candidate(Some("0"), None));
        assert_eq!(mids.to_live_candidate(&candidate(None, Some(0))), candidate(None, Some(0)));
        assert_eq!(mids.to_canned_candidate(&candidate(Some("0"), Some(0))), candidate(Some("sound"), Some(0)));
        let unknown = candidate(Some("x"), None);
        assert_eq!(mids.to_live_candidate(&unknown), unknown);
        assert_eq!(Mids::default().to_canned_candidate(&unknown), unknown);
    }
}

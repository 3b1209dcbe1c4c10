//! Between the descriptions of the wire and those of the engine. Pure.
//!
//! The engine is told of one audio line (mid `0`, always `sendrecv`) and of at most one line of data channels (mid `1`): these it
//! carries. Everything else is text that is written here: every further line of the wire with its place, mid, direction and
//! codecs, received on the engine's one transport and counted at the socket. So an engine that knows neither lines without mid
//! nor offers without BUNDLE, that stops a line for good when it is on hold, and refuses what it does not know, is not in the way.
//!
//! An answer keeps the offer's lines in number and order (RFC 3264 §6); what is not accepted has port 0. Lines that would need a
//! transport of their own, outside the bundle of the audio line, are refused.
use std::fmt::Write as _;

use super::media_line::{MediaCodec, MediaDirection, MediaLine};
use crate::media::{AudioCodec, TelephoneEvents};
use crate::sdp::{Description, Section, attribute_name, direction};

/// What was agreed for the audio line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Negotiated {
    pub(super) codec: AudioCodec,
    /// The payload type of the other side's description.
    pub(super) payload_type: u8,
    /// Which ways audio flows, seen from us.
    pub(super) direction: MediaDirection,
    /// How the other side takes DTMF, where both have it.
    pub(super) events: Option<TelephoneEvents>,
}

/// The line of a description that carries the candidates of all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TransportLine {
    /// Its `a=mid` (RFC 5888 §4); its index where it has none.
    pub(super) mid: String,
    /// Its index among the media lines, from 0.
    pub(super) index: u16,
}

impl Default for TransportLine {
    /// The first one.
    fn default() -> Self {
        Self { mid: "0".to_owned(), index: 0 }
    }
}

/// The other side's description, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remote {
    /// What the engine is to apply.
    pub(super) engine: String,
    /// Codec and direction of the audio line; `None` where there is none and other lines are accepted.
    pub(super) audio: Option<Negotiated>,
    /// All lines as they stand now, in the order of the wire, seen from us.
    pub(super) lines: Lines,
    /// `a=ice-ufrag` of the transport.
    pub(super) ufrag: Option<String>,
    /// `a=fingerprint` of the transport, with its hash function; SHA-256 where there are several.
    pub(super) fingerprint: Option<String>,
    /// Its candidates as in SDP, without those that cannot be read.
    pub(super) candidates: Vec<String>,
    /// It has no more of them (RFC 8840 §8.2).
    pub(super) candidates_ended: bool,
}

/// Media lines in their order, and whether they share a transport by an `a=group:BUNDLE` line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lines {
    pub(super) lines: Vec<MediaLine>,
    pub(super) bundle: bool,
}

/// Mid of the engine's audio line and of its data channels.
const AUDIO: &str = "0";
const DATA: &str = "1";

impl Lines {
    /// The lines of a first offer, each with a mid.
    pub(super) fn wanted(wanted: &[MediaLine]) -> Self {
        let mut lines = Self { lines: wanted.to_vec(), bundle: true };
        lines.name();
        lines
    }

    /// The lines of the next offer: those of before keep their places, mids and payload types, take direction and acceptance of
    /// their counterparts among `wanted` (the n-th audio line is that of the n-th), and what is new comes behind them.
    pub(super) fn next(&self, wanted: &[MediaLine]) -> Self {
        let mut next = self.clone();
        let mut taken = vec![false; wanted.len()];
        for line in &mut next.lines {
            let mut rest = wanted.iter().zip(&mut taken);
            let Some((counterpart, taken)) = rest.find(|(other, taken)| !**taken && other.media == line.media) else {
                continue;
            };
            *taken = true;
            line.direction = counterpart.direction;
            if line.rejected && !counterpart.rejected {
                line.codecs.clone_from(&counterpart.codecs);
                line.proto.clone_from(&counterpart.proto);
            }
            line.rejected = counterpart.rejected;
        }
        let new = wanted.iter().zip(&taken).filter(|(_, taken)| !**taken);
        next.lines.extend(new.map(|(line, _)| MediaLine { mid: None, ..line.clone() }));
        next.bundle |= next.lines.len() > self.lines.len();
        next.name();
        next
    }

    /// Gives every line without mid, or with one that is taken, its index or the next number that is free.
    fn name(&mut self) {
        for index in 0..self.lines.len() {
            let (before, rest) = self.lines.split_at_mut(index);
            let is_taken = |mid: &str| before.iter().any(|line| line.mid.as_deref() == Some(mid));
            if rest[0].mid.as_deref().is_none_or(is_taken) {
                let others: Vec<_> = rest[1..].iter().filter_map(|line| line.mid.clone()).collect();
                let mut free = (index..).map(|number| number.to_string());
                rest[0].mid = free.find(|mid| !is_taken(mid) && !others.contains(mid));
            }
        }
    }

    /// The line on which audio is sent: the first accepted one with a codec of ours.
    pub(super) fn audio(&self) -> Option<usize> {
        let is_audio = |line: &MediaLine| {
            line.media == "audio" && !line.rejected && line.codecs.iter().any(|codec| codec.audio().is_some())
        };
        self.lines.iter().position(is_audio)
    }

    /// The line of data channels.
    pub(super) fn data(&self) -> Option<usize> {
        self.lines.iter().position(|line| line.is_data_channel() && !line.rejected)
    }

    /// Payload types of the audio line's telephone events, one bit each.
    pub(super) fn event_payload_types(&self) -> u128 {
        let codecs = self.audio().map_or(&[][..], |index| &self.lines[index].codecs);
        let events = codecs.iter().filter(|codec| codec.is_telephone_event());
        events.fold(0, |types, codec| types | bit(codec.payload_type))
    }

    /// Where our candidates stand.
    pub(super) fn transport(&self) -> TransportLine {
        let index = match self.bundle {
            true => self.lines.iter().position(|line| !line.rejected),
            false => self.audio().or_else(|| self.lines.iter().position(|line| !line.rejected)),
        };
        let index = index.unwrap_or_default();
        let mid = self.lines.get(index).and_then(|line| line.mid.clone());
        TransportLine { mid: mid.unwrap_or_else(|| index.to_string()), index: u16::try_from(index).unwrap_or_default() }
    }

    /// Payload types of what is received and is not the audio line, one bit each.
    pub(super) fn other_payload_types(&self) -> u128 {
        let audio = self.audio();
        let of = |line: &MediaLine| line.codecs.iter().fold(0, |types, codec| types | bit(codec.payload_type));
        let others = self.lines.iter().enumerate().filter(|(index, line)| Some(*index) != audio && !line.rejected);
        let others = others.fold(0, |types, (_, line)| types | of(line));
        others & !audio.map_or(0, |index| of(&self.lines[index]))
    }

    /// The engine's description as it goes out: with these lines instead of its own.
    pub(super) fn written(&self, engine: &str) -> String {
        let engine = Description::read(engine);
        let of_engine = |mid: &str| engine.media.iter().find(|section| section.mid() == Some(mid));
        let (audio, data) = (self.audio(), self.data());
        let (transport, empty) = (usize::from(self.transport().index), Section { lines: vec![] });
        let template = of_engine(AUDIO).unwrap_or(&empty);
        let mut written = Description {
            session: engine.session.iter().filter(|line| !line.starts_with("a=group:")).cloned().collect(),
            media: vec![],
        };
        if self.bundle {
            let mids = self.lines.iter().filter(|line| !line.rejected).filter_map(|line| line.mid.as_deref());
            let group = mids.fold("a=group:BUNDLE".to_owned(), |group, mid| group + " " + mid);
            written.session.push(group);
        }
        for (index, line) in self.lines.iter().enumerate() {
            let mut section = match of_engine(DATA) {
                _ if Some(index) == audio => audio_section(line, template),
                Some(channels) if Some(index) == data => data_section(line, channels),
                _ if line.rejected || line.is_data_channel() => rejected_section(line),
                _ if line.codecs.is_empty() => rejected_section(line),
                _ => received_section(line, template),
            };
            if index == transport {
                section.lines.extend(template.lines.iter().filter(|line| is_candidate(line)).cloned());
            }
            written.media.push(section);
        }
        written.to_string()
    }
}

fn bit(payload_type: u8) -> u128 {
    1u128.checked_shl(payload_type.into()).unwrap_or_default()
}

fn is_candidate(line: &str) -> bool {
    matches!(attribute_name(line), Some("candidate" | "end-of-candidates"))
}

fn media_line(line: &MediaLine, port: u16, formats: &str) -> String {
    format!("m={} {port} {} {formats}", line.media, line.proto())
}

fn rtp_line(line: &MediaLine) -> String {
    let numbers = line.codecs.iter().map(|codec| codec.payload_type.to_string());
    media_line(line, 9, &numbers.collect::<Vec<_>>().join(" "))
}

/// The engine's audio section with the mid, direction, transport name and codecs of `line`.
fn audio_section(line: &MediaLine, template: &Section) -> Section {
    let mut lines = vec![rtp_line(line)];
    let mut codecs = Some(line.codecs.iter().flat_map(MediaCodec::lines));
    for text in template.lines.iter().skip(1) {
        match attribute_name(text) {
            Some("mid") => lines.extend(line.mid.as_ref().map(|mid| format!("a=mid:{mid}"))),
            Some("rtpmap" | "fmtp" | "rtcp-fb") => lines.extend(codecs.take().into_iter().flatten()),
            Some("ssrc" | "ssrc-group" | "msid") if !line.direction.sends() => {}
            _ if direction(text).is_some() => lines.push(format!("a={}", line.direction.name())),
            _ if is_candidate(text) => {}
            _ => lines.push(text.clone()),
        }
    }
    lines.extend(codecs.take().into_iter().flatten());
    Section { lines }
}

/// A section of what is only received, on the transport of the audio line.
fn received_section(line: &MediaLine, template: &Section) -> Section {
    let mut lines = vec![rtp_line(line)];
    for text in template.lines.iter().skip(1) {
        match attribute_name(text) {
            Some("mid") => lines.extend(line.mid.as_ref().map(|mid| format!("a=mid:{mid}"))),
            Some("setup" | "ice-ufrag" | "ice-pwd" | "ice-options" | "fingerprint" | "rtcp-mux" | "rtcp-rsize") => {
                lines.push(text.clone());
            }
            None if text.starts_with("c=") => lines.push(text.clone()),
            _ => {}
        }
    }
    lines.extend(line.codecs.iter().flat_map(MediaCodec::lines));
    lines.push(format!("a={}", line.direction.name()));
    Section { lines }
}

/// The engine's section of data channels with the mid of `line`, in the notation of its transport (RFC 8841, or draft 05 of it).
fn data_section(line: &MediaLine, channels: &Section) -> Section {
    let is_old = line.proto() == "DTLS/SCTP";
    let port = channels.attribute("sctp-port").unwrap_or("5000");
    let mut lines = vec![media_line(line, 9, if is_old { port } else { "webrtc-datachannel" })];
    for text in channels.lines.iter().skip(1) {
        match attribute_name(text) {
            Some("mid") => lines.extend(line.mid.as_ref().map(|mid| format!("a=mid:{mid}"))),
            Some("sctp-port") if is_old => lines.push(format!("a=sctpmap:{port} webrtc-datachannel 1024")),
            _ if is_candidate(text) => {}
            _ => lines.push(text.clone()),
        }
    }
    Section { lines }
}

/// A section with port 0 (RFC 3264 §6).
fn rejected_section(line: &MediaLine) -> Section {
    let formats = line.codecs.iter().map(|codec| codec.payload_type.to_string()).collect::<Vec<_>>().join(" ");
    let formats = match &*formats {
        "" if line.is_data_channel() && line.proto() != "DTLS/SCTP" => "webrtc-datachannel",
        "" if line.is_data_channel() => "5000",
        "" => "0",
        formats => formats,
    };
    let mut lines = vec![media_line(line, 0, formats), "c=IN IP4 0.0.0.0".to_owned()];
    lines.extend(line.mid.as_ref().map(|mid| format!("a=mid:{mid}")));
    Section { lines }
}

/// Takes an answer to `offered` apart.
///
/// # Errors
/// A sentence when there is no audio in common, or nothing is accepted.
pub(super) fn answered(answer: &str, offered: &Lines, ours: &[AudioCodec]) -> Result<Remote, String> {
    let answer = Description::read(answer);
    // Lines answer each other by their order (RFC 3264 §6).
    let mut lines = offered.clone();
    for (index, line) in lines.lines.iter_mut().enumerate() {
        let section = answer.media.get(index);
        line.rejected |= section.is_none_or(|section| section.is_rejected() || section.media() != line.media);
        if let (Some(section), false) = (section, line.rejected) {
            let theirs = MediaDirection::named(answer.direction(section));
            line.direction = line.direction.agreed(theirs);
        }
    }
    let sent = offered.audio();
    let audio = match sent.and_then(|index| Some((index, answer.media.get(index)?))) {
        Some((index, section)) if section.media() == "audio" && !section.is_rejected() => {
            let direction = lines.lines[index].direction;
            let takes_events = takes_telephone_events(&offered.lines[index]);
            Some((index, agreed(section, ours, direction, takes_events)?))
        }
        _ if lines.lines.iter().any(|line| !line.rejected) => None,
        Some((_, section)) if section.media() == "audio" => {
            return Err("the other side rejected the audio line (port 0)".into());
        }
        _ if sent.is_some() => return Err("the description has no audio line (m=audio)".into()),
        _ => return Err("the other side rejected every media line (port 0)".into()),
    };
    let remote = Remote::of(&answer, audio, lines, ours);
    // What was offered stays wanted: directions are those of the offer, for the next one.
    let mut lines = remote.lines;
    for (line, offered) in lines.lines.iter_mut().zip(&offered.lines) {
        line.direction = offered.direction;
    }
    Ok(Remote { lines, ..remote })
}

/// Takes an offer apart and decides which of its lines are accepted: one audio line, data channels unless `wanted` has none,
/// and of the rest what `wanted` has as well.
///
/// # Errors
/// A sentence when there is no audio in common.
pub(super) fn offered(offer: &str, wanted: &[MediaLine], ours: &[AudioCodec]) -> Result<Remote, String> {
    let offer = Description::read(offer);
    if offer.media.is_empty() {
        return Err("the description has no audio line (m=audio)".into());
    }
    let audio_lines = || offer.media.iter().enumerate().filter(|(_, section)| section.media() == "audio");
    let wants = |media: &str| wanted.iter().filter(|line| line.media == media).collect::<Vec<_>>();
    let takes_audio = wanted.is_empty() || wants("audio").iter().any(|line| !line.rejected);
    let audio = match audio_lines().find(|(_, section)| takes_audio && !section.is_rejected()) {
        Some((index, section)) => {
            let ours_wanted = wants("audio").first().map_or(MediaDirection::Sendrecv, |line| line.direction);
            let direction = ours_wanted.agreed(MediaDirection::named(offer.direction(section)));
            let takes_events = wanted.is_empty() || wants("audio").iter().any(|line| takes_telephone_events(line));
            Some((index, agreed(section, ours, direction, takes_events)?))
        }
        None if !wanted.is_empty() => None,
        None if audio_lines().next().is_some() => {
            return Err("the other side rejected the audio line (port 0)".into());
        }
        None => return Err("the description has no audio line (m=audio)".into()),
    };
    let bundle = offer.bundle();
    let shares_transport = |index: usize, section: &Section| match (&bundle, section.mid()) {
        _ if audio.is_some_and(|(audio, _)| audio == index) => true,
        (Some(group), Some(mid)) => {
            let audio_mid = audio.and_then(|(audio, _)| offer.media[audio].mid());
            group.contains(&mid) && audio_mid.is_none_or(|mid| group.contains(&mid))
        }
        _ => audio.is_none() && offer.media.iter().filter(|section| !section.is_rejected()).count() == 1,
    };
    let mut counts: Vec<(&str, usize)> = vec![];
    let mut lines = vec![];
    let mut has_data = false;
    for (index, section) in offer.media.iter().enumerate() {
        let media = section.media();
        let place = match counts.iter_mut().find(|(known, _)| *known == media) {
            Some((_, count)) => {
                *count += 1;
                *count
            }
            None => {
                counts.push((media, 0));
                0
            }
        };
        let counterpart = wants(media).get(place).copied().filter(|line| !line.rejected);
        let theirs = MediaDirection::named(offer.direction(section));
        let mut line = MediaLine {
            media: media.to_owned(),
            mid: section.mid().map(ToOwned::to_owned),
            direction: MediaDirection::Inactive,
            proto: Some(section.proto().to_owned()),
            codecs: MediaCodec::all(section),
            rejected: section.is_rejected() || !shares_transport(index, section),
        };
        match (audio, counterpart) {
            (Some((audio, negotiated)), _) if audio == index => {
                line.direction = negotiated.direction;
                line.codecs = common(section, ours, negotiated.events.is_some());
            }
            (_, counterpart) if line.is_data_channel() => {
                line.rejected |= has_data || (!wanted.is_empty() && counterpart.is_none());
                line.codecs.clear();
                has_data |= !line.rejected;
                line.direction = theirs;
            }
            (_, Some(counterpart)) if media == "video" || media == "audio" => {
                let direction = MediaDirection::of(false, counterpart.direction.receives());
                line.direction = direction.agreed(theirs);
                line.codecs = received(line.codecs, &counterpart.codecs);
                line.rejected |= line.codecs.is_empty();
            }
            _ => line.rejected = true,
        }
        lines.push(line);
    }
    if lines.iter().all(|line| line.rejected) {
        return Err("no line of the description can be accepted".into());
    }
    let lines = Lines { lines, bundle: bundle.is_some() };
    Ok(Remote::of(&offer, audio, lines, ours))
}

fn takes_telephone_events(line: &MediaLine) -> bool {
    line.codecs.iter().any(MediaCodec::is_telephone_event)
}

/// The first format of an audio line that is one of `ours`: an answer states the choice, an offer the preference, in that order
/// (RFC 3264 §6.1).
fn agreed(
    section: &Section,
    ours: &[AudioCodec],
    direction: MediaDirection,
    takes_events: bool,
) -> Result<Negotiated, String> {
    let theirs = MediaCodec::all(section);
    let common = |codec: &MediaCodec| Some((codec.audio().filter(|audio| ours.contains(audio))?, codec.payload_type));
    if let Some((codec, payload_type)) = theirs.iter().find_map(common) {
        let events = MediaCodec::telephone_events(&theirs, codec).filter(|_| takes_events);
        return Ok(Negotiated { codec, payload_type, direction, events });
    }
    let ours: Vec<_> = ours.iter().map(|codec| codec.mime_type().trim_start_matches("audio/")).collect();
    let theirs: Vec<_> = theirs.iter().map(|codec| &*codec.encoding).collect();
    Err(format!("no codec in common: here {}, there {}", ours.join(", "), theirs.join(", ")))
}

/// The formats of an audio line that are ours too, one per codec, in its order.
fn common(section: &Section, ours: &[AudioCodec], telephone_events: bool) -> Vec<MediaCodec> {
    let mut seen = vec![];
    let mut common = MediaCodec::all(section);
    common.retain(|codec| match codec.audio().filter(|audio| ours.contains(audio)) {
        Some(audio) if !seen.contains(&audio) => {
            seen.push(audio);
            true
        }
        Some(_) => false,
        None => telephone_events && codec.is_telephone_event(),
    });
    common
}

/// Of the formats offered those that are wanted by name, all if none is; retransmission only of what is left (RFC 4588 §8.1).
fn received(offered: Vec<MediaCodec>, wanted: &[MediaCodec]) -> Vec<MediaCodec> {
    let is_wanted =
        |codec: &MediaCodec| wanted.iter().any(|wanted| wanted.encoding.eq_ignore_ascii_case(&codec.encoding));
    let mut left: Vec<_> = offered.iter().filter(|codec| is_wanted(codec)).cloned().collect();
    if left.iter().all(|codec| apt(codec).is_some()) {
        left = offered;
    }
    let numbers: Vec<_> = left.iter().map(|codec| codec.payload_type).collect();
    left.retain(|codec| apt(codec).is_none_or(|apt| numbers.contains(&apt)));
    // Feedback that steers the sender and never comes would starve it.
    for codec in &mut left {
        codec.rtcp_fb.retain(|feedback| feedback != "transport-cc" && feedback != "goog-remb");
    }
    left
}

/// What an `rtx` format repeats.
fn apt(codec: &MediaCodec) -> Option<u8> {
    let parameters = codec.fmtp.as_deref()?.split(';');
    parameters.into_iter().find_map(|parameter| parameter.trim().strip_prefix("apt=")?.parse().ok())
}

impl Remote {
    fn of(description: &Description, audio: Option<(usize, Negotiated)>, lines: Lines, ours: &[AudioCodec]) -> Self {
        let transport = transport(description, audio.map(|(index, _)| index), &lines);
        let of_transport = |name: &str| match transport {
            Some(section) => description.attribute_of(section, name),
            None => description.attribute(name),
        };
        let (ufrag, pwd, setup) = (of_transport("ice-ufrag"), of_transport("ice-pwd"), of_transport("setup"));
        let fingerprint = fingerprint(description, transport);
        // Bundled lines may each repeat the candidates, or have them in another one than the first.
        let same = description.media.iter().filter(|section| description.attribute_of(section, "ice-ufrag") == ufrag);
        let told = same.flat_map(|section| section.attributes("candidate"));
        let told = told.chain(description.session.iter().filter_map(|line| line.strip_prefix("a=candidate:")));
        let mut candidates: Vec<String> = vec![];
        for candidate in told {
            if candidates.iter().any(|known| known == candidate) {
                continue;
            }
            match rtc::ice::candidate::unmarshal_candidate(candidate) {
                Ok(_) => candidates.push(candidate.to_owned()),
                Err(error) => log::warn!("a candidate of the description was left out, '{candidate}': {error}"),
            }
        }
        let ends = |line: &String| attribute_name(line) == Some("end-of-candidates");
        let candidates_ended = description.session.iter().any(ends)
            || description.media.iter().flat_map(|section| &section.lines).any(ends);

        let mut engine = String::from("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n");
        let mut line = |text: std::fmt::Arguments<'_>| {
            // Writing to a String does not fail.
            let _ = write!(engine, "{text}\r\n");
        };
        let data = lines.data().filter(|index| description.media.get(*index).is_some());
        line(format_args!("a=group:BUNDLE {AUDIO}{}", if data.is_some() { " 1" } else { "" }));
        if description.attribute("ice-lite").is_some() {
            line(format_args!("a=ice-lite"));
        }
        let codecs = match audio {
            Some((index, _)) => common(&description.media[index], ours, false),
            // The engine needs a line; nothing is ever sent on this one.
            None => ours.iter().map(|codec| MediaCodec::of(*codec, codec.offered_payload_type())).collect(),
        };
        let numbers: Vec<_> = codecs.iter().map(|codec| codec.payload_type.to_string()).collect();
        line(format_args!("m=audio 9 UDP/TLS/RTP/SAVPF {}", numbers.join(" ")));
        let transport_lines = |line: &mut dyn FnMut(std::fmt::Arguments<'_>)| {
            line(format_args!("c=IN IP4 0.0.0.0"));
            for (name, value) in [
                ("setup", setup),
                ("ice-ufrag", ufrag),
                ("ice-pwd", pwd),
                ("ice-options", of_transport("ice-options")),
                ("fingerprint", fingerprint),
            ] {
                if let Some(value) = value {
                    line(format_args!("a={name}:{value}"));
                }
            }
        };
        transport_lines(&mut line);
        line(format_args!("a=mid:{AUDIO}"));
        line(format_args!("a=rtcp-mux"));
        codecs.iter().flat_map(MediaCodec::lines).for_each(|text| line(format_args!("{text}")));
        if let Some((index, _)) = audio {
            let section = &description.media[index];
            let sources = section.lines.iter().filter(|text| matches!(attribute_name(text), Some("ssrc" | "msid")));
            sources.for_each(|text| line(format_args!("{text}")));
        }
        line(format_args!("a=sendrecv"));
        candidates.iter().for_each(|candidate| line(format_args!("a=candidate:{candidate}")));
        if candidates_ended {
            line(format_args!("a=end-of-candidates"));
        }
        if let Some(section) = data.map(|index| &description.media[index]) {
            line(format_args!("m=application 9 UDP/DTLS/SCTP webrtc-datachannel"));
            transport_lines(&mut line);
            line(format_args!("a=mid:{DATA}"));
            let old_port = section.attribute("sctpmap").and_then(|map| map.split(' ').next());
            let port = section.attribute("sctp-port").or(old_port).unwrap_or("5000");
            line(format_args!("a=sctp-port:{port}"));
            if let Some(size) = section.attribute("max-message-size") {
                line(format_args!("a=max-message-size:{size}"));
            }
        }
        Self {
            audio: audio.map(|(_, negotiated)| negotiated),
            ufrag: ufrag.map(ToOwned::to_owned),
            fingerprint: fingerprint.map(ToOwned::to_owned),
            candidates,
            candidates_ended,
            engine,
            lines,
        }
    }
}

/// The section whose transport is used: the first of the bundle that is accepted (RFC 9143 §7.2), or the audio line's own.
fn transport<'a>(description: &'a Description, audio: Option<usize>, lines: &Lines) -> Option<&'a Section> {
    let accepted = |index: usize| lines.lines.get(index).is_some_and(|line| !line.rejected);
    let sections = || description.media.iter().enumerate();
    let audio_section = audio.and_then(|index| description.media.get(index));
    if let Some(group) = description.bundle()
        && audio_section.is_none_or(|section| section.mid().is_some_and(|mid| group.contains(&mid)))
    {
        // An offer's first line of the bundle has the transport whether we accept the line or not.
        let first = group.iter().find_map(|mid| {
            let (_, section) = sections().find(|(_, section)| section.mid() == Some(mid))?;
            (!section.is_rejected() && section.attribute("bundle-only").is_none()).then_some(section)
        });
        if first.is_some() {
            return first;
        }
    }
    let first = || sections().find(|(index, _)| accepted(*index)).map(|(_, section)| section);
    audio_section.or_else(first)
}

/// `a=fingerprint` of a section, else of the session; SHA-256 where there are several (RFC 8122 §5).
fn fingerprint<'a>(description: &'a Description, section: Option<&'a Section>) -> Option<&'a str> {
    let best = |lines: &'a [String]| {
        let found = || lines.iter().filter_map(|line| crate::sdp::attribute(line, "fingerprint"));
        let sha256 = found().find(|value| value.get(..8).is_some_and(|name| name.eq_ignore_ascii_case("sha-256 ")));
        sha256.or_else(|| found().next()).map(str::trim)
    };
    section.and_then(|section| best(&section.lines)).or_else(|| best(&description.session))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n";
    const ICE: &str = "a=ice-ufrag:u\r\na=ice-pwd:p\r\na=setup:actpass\r\na=fingerprint:sha-256 AB\r\n";
    const HOST: &str = "candidate:1 1 udp 2130706431 127.0.0.1 4000 typ host";

    fn read(media: &str, ours: &[AudioCodec]) -> Result<(AudioCodec, u8), String> {
        let remote = offered(&format!("{SESSION}{media}"), &[], ours)?;
        let audio = remote.audio.expect("audio");
        Ok((audio.codec, audio.payload_type))
    }

    fn video() -> MediaLine {
        let codec = |payload_type, encoding: &str, fmtp: Option<&str>| MediaCodec {
            payload_type,
            encoding: encoding.into(),
            fmtp: fmtp.map(Into::into),
            rtcp_fb: vec![],
        };
        MediaLine {
            media: "video".into(),
            mid: None,
            direction: MediaDirection::Recvonly,
            proto: None,
            codecs: vec![codec(96, "VP8/90000", None), codec(97, "rtx/90000", Some("apt=96"))],
            rejected: false,
        }
    }

    #[test]
    fn the_other_sides_payload_type_counts() {
        let found = read("m=audio 9 UDP/TLS/RTP/SAVPF 96 0\r\na=rtpmap:96 opus/48000/2\r\n", &AudioCodec::ALL);
        assert_eq!(found, Ok((AudioCodec::Opus, 96)));
    }

    #[test]
    fn the_other_sides_order_wins_and_foreign_codecs_are_passed_over() {
        let line = "m=audio 9 UDP/TLS/RTP/SAVPF 9 0 111\r\na=rtpmap:111 OPUS/48000/2\r\n";
        assert_eq!(read(line, &AudioCodec::ALL), Ok((AudioCodec::Pcmu, 0)));
        assert_eq!(read(line, &[AudioCodec::Opus]), Ok((AudioCodec::Opus, 111)));
    }

    #[test]
    fn no_common_codec_names_both_sides() {
        let error = read("m=audio 9 UDP/TLS/RTP/SAVPF 8 9\r\n", &AudioCodec::OFFERED).expect_err("none");
        assert_eq!(error, "no codec in common: here opus, PCMU, there PCMA/8000, G722/8000");
    }

    #[test]
    fn a_missing_or_rejected_audio_line_is_said_so() {
        let refused = |media: &str| read(media, &AudioCodec::ALL).expect_err("none");
        assert!(refused("m=video 9 UDP/TLS/RTP/SAVPF 96\r\n").contains("m=audio"));
        assert!(refused("m=audio 0 UDP/TLS/RTP/SAVPF 0\r\n").contains("rejected"));
        let lines = Lines::wanted(&[MediaLine::audio(&AudioCodec::OFFERED)]);
        for (media, word) in
            [("m=audio 0 UDP/TLS/RTP/SAVPF 0\r\n", "rejected"), ("m=video 9 RTP/AVP 96\r\n", "m=audio")]
        {
            let error = answered(&format!("{SESSION}{media}"), &lines, &AudioCodec::ALL).expect_err("none");
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn telephone_events_are_agreed_on_where_both_sides_have_them_and_the_engine_is_not_told() {
        let offer = format!(
            "{SESSION}m=audio 9 UDP/TLS/RTP/SAVPF 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-11\r\n{ICE}"
        );
        let remote = offered(&offer, &[], &AudioCodec::ALL).expect("audio");
        let events = remote.audio.and_then(|audio| audio.events).expect("agreed on");
        assert_eq!((events.payload_type, events.clock_rate, events.events), (101, 8000, 0x0fff));
        assert!(!remote.engine.contains("telephone-event"), "{}", remote.engine);
        assert_eq!(remote.lines.event_payload_types(), 1 << 101);
        let mut without = MediaLine::audio(&AudioCodec::ALL);
        without.codecs.retain(|codec| !codec.is_telephone_event());
        let remote = offered(&offer, &[without.clone()], &AudioCodec::ALL).expect("audio");
        assert_eq!(remote.audio.and_then(|audio| audio.events), None);
        assert_eq!(remote.lines.event_payload_types(), 0);

        let lines = Lines::wanted(&[MediaLine::audio(&AudioCodec::OFFERED)]);
        let of = |answer: &str, lines: &Lines| {
            answered(answer, lines, &AudioCodec::ALL).expect("audio").audio.and_then(|audio| audio.events)
        };
        assert!(of(&offer, &lines).is_some());
        assert_eq!(of(&offer, &Lines::wanted(&[without])), None, "it was not offered");
        assert_eq!(of(&format!("{SESSION}m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n{ICE}"), &lines), None);
    }

    #[test]
    fn the_engine_is_told_of_a_line_on_hold_as_one_that_is_not() {
        for (word, direction) in [("inactive", MediaDirection::Inactive), ("sendonly", MediaDirection::Recvonly)] {
            let offer = format!("{SESSION}m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n{ICE}a={word}\r\n");
            let remote = offered(&offer, &[], &AudioCodec::ALL).expect("audio");
            assert!(remote.engine.contains("a=sendrecv\r\n") && !remote.engine.contains(word), "{}", remote.engine);
            assert_eq!(remote.audio.map(|audio| audio.direction), Some(direction));
        }
    }

    #[test]
    fn credentials_and_candidates_of_the_bundle_count_wherever_they_stand() {
        let offer = format!(
            "{SESSION}a=group:BUNDLE v a\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:v\r\n{ICE}a={HOST}\r\n\
             a=candidate:nonsense\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:a\r\na=end-of-candidates\r\n"
        );
        let remote = offered(&offer, &[], &AudioCodec::ALL).expect("audio");
        assert_eq!((remote.ufrag.as_deref(), remote.fingerprint.as_deref()), (Some("u"), Some("sha-256 AB")));
        assert_eq!(remote.candidates, [&HOST["candidate:".len()..]], "what cannot be read is left out");
        assert!(remote.candidates_ended && remote.engine.contains(HOST), "{}", remote.engine);
        assert_eq!(remote.lines.lines.iter().map(|line| line.rejected).collect::<Vec<_>>(), [true, false]);
        assert_eq!(remote.lines.transport(), TransportLine { mid: "a".into(), index: 1 });
    }

    #[test]
    fn a_line_with_a_transport_of_its_own_is_refused() {
        let audio = MediaLine::audio(&AudioCodec::ALL);
        for (group, refused) in [("", true), ("a=group:BUNDLE a\r\n", true), ("a=group:BUNDLE a v\r\n", false)] {
            let offer = format!(
                "{SESSION}{group}m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:a\r\n{ICE}\
                 m=video 9 UDP/TLS/RTP/SAVPF 100\r\na=mid:v\r\na=rtpmap:100 vp8/90000\r\n{ICE}"
            );
            let remote = offered(&offer, &[audio.clone(), video()], &AudioCodec::ALL).expect("audio");
            assert_eq!(remote.lines.lines[1].rejected, refused, "{group}");
            assert_eq!(remote.lines.other_payload_types(), if refused { 0 } else { 1 << 100 });
        }
    }

    #[test]
    fn of_offered_video_the_wanted_codecs_are_taken_with_their_retransmission() {
        let offer = format!(
            "{SESSION}a=group:BUNDLE a v\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:a\r\n{ICE}\
             m=video 9 UDP/TLS/RTP/SAVPF 35 36 98 99\r\na=mid:v\r\na=rtpmap:35 AV1/90000\r\na=rtpmap:36 rtx/90000\r\n\
             a=fmtp:36 apt=35\r\na=rtpmap:98 VP8/90000\r\na=rtpmap:99 rtx/90000\r\na=fmtp:99 apt=98\r\n\
             a=rtcp-fb:98 nack pli\r\na=rtcp-fb:98 transport-cc\r\n{ICE}"
        );
        let wanted = [MediaLine::audio(&AudioCodec::ALL), video()];
        let taken = |offer: &str| {
            let remote = offered(offer, &wanted, &AudioCodec::ALL).expect("audio");
            remote.lines.lines[1].codecs.clone()
        };
        let codecs = taken(&offer);
        assert_eq!(codecs.iter().map(|codec| codec.payload_type).collect::<Vec<_>>(), [98, 99]);
        assert_eq!(codecs[0].rtcp_fb, ["nack pli"], "what steers the sender is not promised");
        let only_av1 = offer.replace("VP8", "VP9");
        assert_eq!(taken(&only_av1).len(), 4, "anything is better than nothing");
    }

    #[test]
    fn the_next_offer_keeps_places_and_mids_and_adds_what_is_new() {
        let mut audio = MediaLine::audio(&AudioCodec::OFFERED);
        audio.mid = Some("1".into());
        let first = Lines::wanted(&[audio.clone()]);
        audio.direction = MediaDirection::Sendonly;
        audio.mid = Some("other".into());
        let next = first.next(&[video(), audio]);
        let told: Vec<_> = next.lines.iter().map(|line| (&*line.media, line.mid.as_deref(), line.direction)).collect();
        assert_eq!(
            told,
            [("audio", Some("1"), MediaDirection::Sendonly), ("video", Some("2"), MediaDirection::Recvonly)]
        );
    }

    #[test]
    fn an_answer_with_fewer_lines_refuses_the_rest() {
        let offered = Lines::wanted(&[MediaLine::audio(&AudioCodec::OFFERED), video()]);
        let answer = format!("{SESSION}m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n{ICE}a=recvonly\r\n");
        let remote = answered(&answer, &offered, &AudioCodec::ALL).expect("audio");
        assert_eq!(remote.lines.lines.iter().map(|line| line.rejected).collect::<Vec<_>>(), [false, true]);
        assert_eq!(remote.audio.map(|audio| audio.direction), Some(MediaDirection::Sendonly));
        assert_eq!(remote.lines.lines[0].direction, MediaDirection::Sendrecv, "what is wanted stays wanted");
    }

    #[test]
    fn any_text_is_survived() {
        let lines = Lines::wanted(&[MediaLine::audio(&AudioCodec::OFFERED), video()]);
        let whole =
            format!("{SESSION}a=group:BUNDLE 0 x\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0 x 300\r\n{ICE}a=mid:0\r\na={HOST}");
        for end in 0..whole.len() {
            let _ = (
                answered(&whole[..end], &lines, &AudioCodec::ALL),
                offered(&whole[..end], &[video()], &AudioCodec::ALL),
            );
        }
        let _ = (lines.written(""), Lines::default().written(&whole));
    }
}

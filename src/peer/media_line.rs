//! The media lines a session negotiates: what an offer of ours has, and what an answer of ours accepts.
use serde::{Deserialize, Serialize};

use crate::config::ConfigError;
use crate::media::{AudioCodec, TelephoneEvents};
use crate::sdp::Section;

/// Which ways media flows on a line (W3C `RTCRtpTransceiverDirection`), seen from the side that writes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MediaDirection {
    /// Both ways.
    #[default]
    Sendrecv,
    /// Only sent.
    Sendonly,
    /// Only received.
    Recvonly,
    /// Neither.
    Inactive,
}

impl MediaDirection {
    /// The direction with these two ways.
    pub const fn of(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::Sendrecv,
            (true, false) => Self::Sendonly,
            (false, true) => Self::Recvonly,
            (false, false) => Self::Inactive,
        }
    }

    /// The direction with this name; anything else is `sendrecv`, as where there is none (RFC 8866 §6.7).
    pub(crate) fn named(word: &str) -> Self {
        match word {
            "sendonly" => Self::Sendonly,
            "recvonly" => Self::Recvonly,
            "inactive" => Self::Inactive,
            _ => Self::Sendrecv,
        }
    }

    /// The W3C word, as in SDP.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sendrecv => "sendrecv",
            Self::Sendonly => "sendonly",
            Self::Recvonly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    /// Whether its side sends.
    pub const fn sends(self) -> bool {
        matches!(self, Self::Sendrecv | Self::Sendonly)
    }

    /// Whether its side receives.
    pub const fn receives(self) -> bool {
        matches!(self, Self::Sendrecv | Self::Recvonly)
    }

    /// What is left of it when the other side wants `theirs` (RFC 3264 §6.1).
    pub const fn agreed(self, theirs: Self) -> Self {
        Self::of(self.sends() && theirs.receives(), self.receives() && theirs.sends())
    }
}

/// One format of a media line.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MediaCodec {
    /// RTP payload type, 0..=127.
    pub payload_type: u8,
    /// Encoding as in `a=rtpmap`, such as `opus/48000/2`.
    pub encoding: String,
    /// Parameters as in `a=fmtp` (default none).
    #[serde(default)]
    pub fmtp: Option<String>,
    /// Feedback as in `a=rtcp-fb`, such as `nack pli` (default none).
    #[serde(default)]
    pub rtcp_fb: Vec<String>,
}

impl MediaCodec {
    /// The one we can send, if it is one of these.
    pub(crate) fn audio(&self) -> Option<AudioCodec> {
        AudioCodec::ALL.into_iter().find(|codec| codec.is_named(&self.encoding))
    }

    /// DTMF (RFC 4733).
    pub(crate) fn is_telephone_event(&self) -> bool {
        let name = self.encoding.split('/').next().unwrap_or_default();
        name.eq_ignore_ascii_case("telephone-event")
    }

    /// DTMF at this clock rate, all its events, with the payload types that browsers give it.
    fn telephone_event(clock_rate: u32) -> Self {
        let payload_type = if clock_rate == 48_000 { 110 } else { 126 };
        let encoding = format!("telephone-event/{clock_rate}");
        Self { payload_type, encoding, fmtp: Some("0-15".to_owned()), rtcp_fb: vec![] }
    }

    /// How a side with these formats takes DTMF beside this codec: in the codec's own clock, else in that of telephones.
    pub(crate) fn telephone_events(formats: &[Self], codec: AudioCodec) -> Option<TelephoneEvents> {
        let events = formats.iter().filter(|format| format.is_telephone_event()).filter_map(|format| {
            let clock_rate = format.encoding.split('/').nth(1)?.parse().ok()?;
            Some(TelephoneEvents::new(format.payload_type, clock_rate, format.fmtp.as_deref()))
        });
        let at = |clock_rate: u32| events.clone().find(|events| events.clock_rate == clock_rate);
        at(codec.clock_rate()).or_else(|| at(8_000))
    }

    /// How we write a codec of ours with this payload type.
    pub(crate) fn of(codec: AudioCodec, payload_type: u8) -> Self {
        let fmtp = Some(codec.fmtp().to_owned()).filter(|fmtp| !fmtp.is_empty());
        Self { payload_type, encoding: codec.encoding().to_owned(), fmtp, rtcp_fb: vec![] }
    }

    /// Its lines: `a=rtpmap`, `a=fmtp`, `a=rtcp-fb`.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        let number = self.payload_type;
        let map = format!("a=rtpmap:{number} {}", self.encoding);
        let fmtp = self.fmtp.as_ref().map(|fmtp| format!("a=fmtp:{number} {fmtp}"));
        let feedback = self.rtcp_fb.iter().map(move |feedback| format!("a=rtcp-fb:{number} {feedback}"));
        std::iter::once(map).chain(fmtp).chain(feedback)
    }

    /// The formats of a section that have a number and a name, in their order.
    pub(crate) fn all(section: &Section) -> Vec<Self> {
        let value = |name: &str, number: &str| {
            let values = section.attributes(name).filter_map(|value| value.split_once(' '));
            let found = values.into_iter().find(|(format, _)| *format == number);
            found.map(|(_, value)| value.trim().to_owned())
        };
        let formats = section.formats().filter_map(|number| {
            let payload_type = number.parse::<u8>().ok().filter(|number| *number < 128)?;
            let named = value("rtpmap", number);
            let encoding = named.or_else(|| static_encoding(payload_type).map(ToOwned::to_owned))?;
            let feedback = section.attributes("rtcp-fb").filter_map(|value| value.split_once(' '));
            let feedback = feedback.filter(|(format, _)| *format == number || *format == "*");
            let rtcp_fb = feedback.map(|(_, value)| value.trim().to_owned()).collect();
            Some(Self { payload_type, encoding, fmtp: value("fmtp", number), rtcp_fb })
        });
        formats.collect()
    }
}

/// Static payload types need no `a=rtpmap` (RFC 3551 §6).
fn static_encoding(payload_type: u8) -> Option<&'static str> {
    match payload_type {
        0 => Some("PCMU/8000"),
        3 => Some("GSM/8000"),
        8 => Some("PCMA/8000"),
        9 => Some("G722/8000"),
        13 => Some("CN/8000"),
        18 => Some("G729/8000"),
        26 => Some("JPEG/90000"),
        31 => Some("H261/90000"),
        34 => Some("H263/90000"),
        _ => None,
    }
}

/// One media line that a session offers, or may accept where the other side offers.
///
/// The first `audio` line is the one on which audio is sent. Further ones, and `video`, are received and counted, never sent:
/// their direction has no `send`. An `application` line (data channels) is opened and stays silent. Every other line is
/// refused, which keeps the places of those that follow.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MediaLine {
    /// Media type of `m=`: `audio`, `video`, `application` or another one (RFC 8866 §5.14).
    pub media: String,
    /// `a=mid` (default: its index).
    #[serde(default)]
    pub mid: Option<String>,
    /// Direction, seen from us (default `sendrecv`).
    #[serde(default)]
    pub direction: MediaDirection,
    /// Transport of `m=` (default `UDP/TLS/RTP/SAVPF`, for `application` `UDP/DTLS/SCTP`).
    #[serde(default)]
    pub proto: Option<String>,
    /// Formats in the order of preference; the data channel has none.
    #[serde(default)]
    pub codecs: Vec<MediaCodec>,
    /// Offered or answered with port 0, to keep its place (default false).
    #[serde(default)]
    pub rejected: bool,
}

impl MediaLine {
    /// The audio line of a softphone that has these codecs, and DTMF in their clocks and in that of telephones, as browsers offer it.
    pub(crate) fn audio(codecs: &[AudioCodec]) -> Self {
        let has_opus = codecs.contains(&AudioCodec::Opus);
        let events = [(48_000, has_opus), (8_000, true)].into_iter().filter(|(_, wanted)| *wanted);
        let codecs = codecs.iter().map(|codec| MediaCodec::of(*codec, codec.offered_payload_type()));
        let codecs = codecs.chain(events.map(|(clock_rate, _)| MediaCodec::telephone_event(clock_rate)));
        Self {
            media: "audio".to_owned(),
            mid: Some("0".to_owned()),
            direction: MediaDirection::Sendrecv,
            proto: None,
            codecs: codecs.collect(),
            rejected: false,
        }
    }

    /// Whether it is a line of data channels.
    pub(crate) fn is_data_channel(&self) -> bool {
        self.media == "application" && self.proto.as_ref().is_none_or(|proto| proto.ends_with("SCTP"))
    }

    /// The transport it is written with.
    pub(crate) fn proto(&self) -> &str {
        match &self.proto {
            Some(proto) => proto,
            None if self.media == "application" => "UDP/DTLS/SCTP",
            None => "UDP/TLS/RTP/SAVPF",
        }
    }

    /// Checks it, named `field`.
    pub(super) fn check(&self, field: &str) -> Result<(), ConfigError> {
        let refuse = |name: &str, value: &str, reason: &str| {
            Err(ConfigError::new(format!("{field}.{name}"), value.to_owned(), reason))
        };
        let is_token = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic());
        if !is_token(&self.media) {
            return refuse("media", &self.media, "audio, video, application or another media type");
        }
        if let Some(mid) = self.mid.as_ref().filter(|mid| !is_token(mid)) {
            return refuse("mid", mid, "a token (RFC 5888)");
        }
        if let Some(proto) = self.proto.as_ref().filter(|proto| !is_token(proto)) {
            return refuse("proto", proto, "a transport such as UDP/TLS/RTP/SAVPF");
        }
        let is_text = |text: &str| !text.is_empty() && !text.contains(['\r', '\n']);
        let mut seen = [false; 128];
        for (index, codec) in self.codecs.iter().enumerate() {
            let number = codec.payload_type;
            match seen.get_mut(usize::from(number)) {
                None => return refuse(&format!("codecs[{index}].payloadType"), &number.to_string(), "0 to 127"),
                Some(true) => {
                    return refuse(&format!("codecs[{index}].payloadType"), &number.to_string(), "it is there before");
                }
                Some(seen) => *seen = true,
            }
            let texts = [("encoding", Some(&codec.encoding)), ("fmtp", codec.fmtp.as_ref())];
            let texts = texts.into_iter().filter_map(|(name, text)| Some((name, text?)));
            for (name, text) in texts.chain(codec.rtcp_fb.iter().map(|text| ("rtcpFb", text))) {
                if !is_text(text) {
                    return refuse(&format!("codecs[{index}].{name}"), text, "one line of text");
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdp::Description;

    #[test]
    fn an_answer_leaves_of_a_direction_what_the_other_side_wants() {
        use MediaDirection::{Inactive, Recvonly, Sendonly, Sendrecv};
        for (ours, theirs, left) in [
            (Sendrecv, Sendrecv, Sendrecv),
            (Sendrecv, Sendonly, Recvonly),
            (Sendrecv, Recvonly, Sendonly),
            (Recvonly, Sendrecv, Recvonly),
            (Recvonly, Recvonly, Inactive),
            (Sendonly, Sendonly, Inactive),
            (Sendrecv, Inactive, Inactive),
        ] {
            assert_eq!(ours.agreed(theirs), left, "{ours:?} {theirs:?}");
        }
    }

    #[test]
    fn formats_are_read_with_their_names_and_parameters() {
        let text = "v=0\nm=audio 9 UDP/TLS/RTP/SAVPF 111 8 101 77 x\na=rtpmap:111 opus/48000/2\n\
            a=fmtp:111 minptime=10;useinbandfec=1\na=rtcp-fb:111 transport-cc\na=rtpmap:101 telephone-event/8000\n";
        let codecs = MediaCodec::all(&Description::read(text).media[0]);
        let told: Vec<_> = codecs.iter().map(|codec| (codec.payload_type, &*codec.encoding)).collect();
        assert_eq!(told, [(111, "opus/48000/2"), (8, "PCMA/8000"), (101, "telephone-event/8000")]);
        assert_eq!(codecs[0].fmtp.as_deref(), Some("minptime=10;useinbandfec=1"));
        assert_eq!(codecs[0].rtcp_fb, ["transport-cc"]);
        assert!(codecs[2].is_telephone_event() && codecs[0].audio() == Some(AudioCodec::Opus));
    }

    #[test]
    fn telephone_events_are_taken_in_the_clock_of_the_codec_where_it_is_there() {
        let formats = |encodings: &[&str]| {
            let format = |(index, encoding): (usize, &&str)| MediaCodec {
                payload_type: 100 + index as u8,
                encoding: (*encoding).to_owned(),
                fmtp: None,
                rtcp_fb: vec![],
            };
            encodings.iter().enumerate().map(format).collect::<Vec<_>>()
        };
        let taken = |encodings: &[&str], codec| {
            let events = MediaCodec::telephone_events(&formats(encodings), codec);
            events.map(|events| (events.payload_type, events.clock_rate))
        };
        let both = ["opus/48000/2", "telephone-event/8000", "TELEPHONE-EVENT/48000"];
        assert_eq!(taken(&both, AudioCodec::Opus), Some((102, 48_000)));
        assert_eq!(taken(&both, AudioCodec::Pcmu), Some((101, 8_000)));
        assert_eq!(taken(&both[..2], AudioCodec::Opus), Some((101, 8_000)));
        assert_eq!(taken(&["telephone-event/16000", "telephone-event"], AudioCodec::Pcma), None);
        let offered = MediaLine::audio(&AudioCodec::OFFERED).codecs;
        let told: Vec<_> = offered.iter().map(|codec| (codec.payload_type, &*codec.encoding)).collect();
        assert_eq!(told[2..], [(110, "telephone-event/48000"), (126, "telephone-event/8000")]);
        assert_eq!(MediaLine::audio(&[AudioCodec::Pcma]).codecs.len(), 2);
    }

    #[test]
    fn every_bad_member_of_a_line_is_refused_by_name() {
        let line = |change: fn(&mut MediaLine)| {
            let mut line = MediaLine::audio(&AudioCodec::ALL);
            change(&mut line);
            line.check("media[0]").map_err(|error| error.field)
        };
        assert_eq!(line(|_| {}), Ok(()));
        assert_eq!(line(|line| line.media = "au dio".into()), Err("media[0].media".into()));
        assert_eq!(line(|line| line.mid = Some("a\nb".into())), Err("media[0].mid".into()));
        assert_eq!(line(|line| line.proto = Some(String::new())), Err("media[0].proto".into()));
        assert_eq!(line(|line| line.codecs[0].payload_type = 128), Err("media[0].codecs[0].payloadType".into()));
        assert_eq!(line(|line| line.codecs[1].payload_type = 111), Err("media[0].codecs[1].payloadType".into()));
        assert_eq!(line(|line| line.codecs[1].encoding = "a\r\nb".into()), Err("media[0].codecs[1].encoding".into()));
    }
}

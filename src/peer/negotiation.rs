//! Which codec a call uses: pure reading of the other side's description.
use rtc::sdp::SessionDescription;

use crate::media::AudioCodec;

/// What was agreed for the audio line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Negotiated {
    pub(super) codec: AudioCodec,
    /// The payload type of the other side's description.
    pub(super) payload_type: u8,
}

/// The first format of the description's first audio line that is one of `ours`: an answer states the choice, an offer
/// the preference, in that order (RFC 3264 §6.1).
///
/// # Errors
/// A sentence when there is no such line or format.
pub(super) fn negotiated(description: &SessionDescription, ours: &[AudioCodec]) -> Result<Negotiated, String> {
    let audio = description
        .media_descriptions
        .iter()
        .find(|media| media.media_name.media == "audio")
        .ok_or("the description has no audio line (m=audio)")?;
    if audio.media_name.port.value == 0 {
        return Err("the other side rejected the audio line (port 0)".into());
    }
    let mut formats = Vec::new();
    for format in &audio.media_name.formats {
        let Ok(payload_type) = format.parse::<u8>() else { continue };
        let Some(name) = rtpmap(audio, format).or_else(|| static_name(payload_type)) else { continue };
        if let Some(codec) = ours.iter().copied().find(|codec| matches(*codec, name)) {
            return Ok(Negotiated { codec, payload_type });
        }
        formats.push(name);
    }
    let ours: Vec<_> = ours.iter().map(|codec| codec.mime_type().trim_start_matches("audio/")).collect();
    Err(format!("no codec in common: here {}, there {}", ours.join(", "), formats.join(", ")))
}

/// The encoding of `a=rtpmap:<format> <encoding>`.
fn rtpmap<'a>(media: &'a rtc::sdp::MediaDescription, format: &str) -> Option<&'a str> {
    media.attributes.iter().filter(|attribute| attribute.key == "rtpmap").find_map(|attribute| {
        let (number, name) = attribute.value.as_deref()?.split_once(' ')?;
        (number == format).then_some(name.trim())
    })
}

/// Static payload types need no `a=rtpmap` (RFC 3551 §6).
fn static_name(payload_type: u8) -> Option<&'static str> {
    match payload_type {
        0 => Some("PCMU/8000"),
        8 => Some("PCMA/8000"),
        9 => Some("G722/8000"),
        _ => None,
    }
}

/// Encoding names compare without case (RFC 8866 §6.6); PCMU may leave out its one channel.
fn matches(codec: AudioCodec, name: &str) -> bool {
    match codec {
        AudioCodec::Opus => name.eq_ignore_ascii_case("opus/48000/2"),
        AudioCodec::Pcmu => name.eq_ignore_ascii_case("PCMU/8000") || name.eq_ignore_ascii_case("PCMU/8000/1"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(media: &str, ours: &[AudioCodec]) -> Result<Negotiated, String> {
        let text = format!("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n{media}");
        let description =
            SessionDescription::unmarshal(&mut std::io::Cursor::new(text.as_bytes())).expect("a description");
        negotiated(&description, ours)
    }

    #[test]
    fn the_other_sides_payload_type_counts() {
        let found = read("m=audio 9 UDP/TLS/RTP/SAVPF 96 0\r\na=rtpmap:96 opus/48000/2\r\n", &AudioCodec::ALL);
        assert_eq!(found, Ok(Negotiated { codec: AudioCodec::Opus, payload_type: 96 }));
    }

    #[test]
    fn the_other_sides_order_wins_and_foreign_codecs_are_passed_over() {
        let line = "m=audio 9 UDP/TLS/RTP/SAVPF 9 0 111\r\na=rtpmap:111 OPUS/48000/2\r\n";
        let expected = Negotiated { codec: AudioCodec::Pcmu, payload_type: 0 };
        assert_eq!(read(line, &AudioCodec::ALL), Ok(expected));
        assert_eq!(read(line, &[AudioCodec::Opus]).map(|found| found.payload_type), Ok(111));
    }

    #[test]
    fn no_common_codec_names_both_sides() {
        let error = read("m=audio 9 UDP/TLS/RTP/SAVPF 8 9\r\n", &AudioCodec::ALL).expect_err("none");
        assert_eq!(error, "no codec in common: here opus, PCMU, there PCMA/8000, G722/8000");
    }

    #[test]
    fn a_missing_or_rejected_audio_line_is_said_so() {
        assert!(read("m=video 9 UDP/TLS/RTP/SAVPF 96\r\n", &AudioCodec::ALL).expect_err("none").contains("m=audio"));
        assert!(read("m=audio 0 UDP/TLS/RTP/SAVPF 0\r\n", &AudioCodec::ALL).expect_err("port 0").contains("rejected"));
    }
}

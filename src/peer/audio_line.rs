//! Where a session's audio line stands in a description, and putting our candidates there.
//!
//! The engine writes local candidates into the first media section and calls every candidate's line 0. An offer may have other
//! lines before the audio line (a browser's video, a data channel), which we refuse with port 0: candidates of a refused line are
//! ignored (RFC 9429 §5.3.1, RFC 8838 §4.1), and the other side would know our address only from our own checks. Pure.
use rtc::sdp::SessionDescription;

/// The audio line of a description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AudioLine {
    /// Its `a=mid` (RFC 5888 §4).
    pub(super) mid: String,
    /// Its index among the media lines, from 0.
    pub(super) index: u16,
}

impl Default for AudioLine {
    /// The audio line of our own offer, which has no other.
    fn default() -> Self {
        Self { mid: "0".to_owned(), index: 0 }
    }
}

impl AudioLine {
    /// The first audio line; a line without `a=mid` is named by its index.
    pub(super) fn of(description: &SessionDescription) -> Option<Self> {
        let found = description.media_descriptions.iter().enumerate();
        let (index, media) = found.into_iter().find(|(_, media)| media.media_name.media == "audio")?;
        let index = u16::try_from(index).ok()?;
        let mid = media.attributes.iter().find(|attribute| attribute.key == "mid");
        let mid = mid.and_then(|attribute| attribute.value.clone()).unwrap_or_else(|| index.to_string());
        Some(Self { mid, index })
    }

    /// `sdp` with its candidates and their end (RFC 8839 §5.1, RFC 8840 §8.2) in this line instead of another one.
    pub(super) fn with_candidates(&self, sdp: &str) -> String {
        if self.index == 0 {
            return sdp.to_owned();
        }
        let is_candidate = |line: &&str| line.starts_with("a=candidate:") || *line == "a=end-of-candidates";
        let candidates: Vec<_> = sdp.lines().filter(is_candidate).collect();
        let mut written = String::with_capacity(sdp.len());
        let mut section = None;
        let mut write = |line: &str| written.extend([line, "\r\n"]);
        for line in sdp.lines().filter(|line| !is_candidate(line)) {
            if line.starts_with("m=") {
                if section == Some(self.index) {
                    candidates.iter().for_each(|candidate| write(candidate));
                }
                section = Some(section.map_or(0, |section| section + 1));
            }
            write(line);
        }
        if section == Some(self.index) {
            candidates.iter().for_each(|candidate| write(candidate));
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIDEO: &str = "m=video 0 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n";
    const AUDIO: &str = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:sound\r\n";
    const DATA: &str = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\n";
    const SESSION: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n";
    const CANDIDATES: &str = "a=candidate:1 1 udp 2130706431 127.0.0.1 4000 typ host\r\na=end-of-candidates\r\n";

    fn audio_line(media: &str) -> Option<AudioLine> {
        let text = format!("{SESSION}{media}");
        let mut reader = std::io::Cursor::new(text.as_bytes());
        AudioLine::of(&SessionDescription::unmarshal(&mut reader).expect("a description"))
    }

    #[test]
    fn the_audio_line_is_found_behind_others() {
        let expected = AudioLine { mid: "sound".into(), index: 1 };
        assert_eq!(audio_line(&[VIDEO, AUDIO, DATA].concat()), Some(expected));
        assert_eq!(audio_line(VIDEO), None);
    }

    #[test]
    fn a_line_without_mid_is_named_by_its_index() {
        let media = format!("{VIDEO}m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n");
        assert_eq!(audio_line(&media), Some(AudioLine { mid: "1".into(), index: 1 }));
    }

    #[test]
    fn candidates_move_from_a_refused_line_to_the_audio_line() {
        let line = AudioLine { mid: "sound".into(), index: 1 };
        for (behind, expected_tail) in [("", ""), (DATA, DATA)] {
            let engine_writes = [SESSION, VIDEO, CANDIDATES, AUDIO, behind].concat();
            let expected = [SESSION, VIDEO, AUDIO, CANDIDATES, expected_tail].concat();
            assert_eq!(line.with_candidates(&engine_writes), expected);
        }
    }

    #[test]
    fn a_description_whose_audio_line_is_first_is_left_alone() {
        let sdp = [SESSION, AUDIO, CANDIDATES].concat();
        assert_eq!(AudioLine::default().with_candidates(&sdp), sdp);
    }
}

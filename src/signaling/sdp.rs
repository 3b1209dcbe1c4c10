//! The few lines of an SDP that signaling itself needs to read (RFC 8866).
//!
//! Pure functions over text; they never fail: what is not there is `None` or left alone.

/// The codec an answer settles on: name as in `a=rtpmap` (`opus`, `PCMU`) and payload type of the first format of the
/// first audio line (RFC 3264 §6.1: the first one listed is the one to use).
pub(crate) fn negotiated_codec(answer: &str) -> Option<(String, u8)> {
    let mut payload_type = None;
    for line in answer.lines() {
        if let Some(media) = line.strip_prefix("m=") {
            if payload_type.is_some() {
                break;
            }
            if media.starts_with("audio ") {
                payload_type = Some(media.split_whitespace().nth(3)?.parse::<u8>().ok()?);
            }
        } else if let (Some(wanted), Some(map)) = (payload_type, line.strip_prefix("a=rtpmap:"))
            && let Some((number, encoding)) = map.split_once(' ')
            && number.parse() == Ok(wanted)
        {
            return Some((encoding.split('/').next().unwrap_or_default().to_owned(), wanted));
        }
    }
    // RFC 3551 §6: PCMU and PCMA need no rtpmap.
    match payload_type? {
        0 => Some(("PCMU".to_owned(), 0)),
        8 => Some(("PCMA".to_owned(), 8)),
        other => Some((String::new(), other)),
    }
}

/// `sdp` without `a=candidate` and `a=end-of-candidates` lines.
pub(crate) fn without_candidates(sdp: &str) -> String {
    sdp.split_inclusive('\n')
        .filter(|line| !line.starts_with("a=candidate:") && !line.starts_with("a=end-of-candidates"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_format_of_the_audio_line_is_the_codec() {
        let sdp = "v=0\r\nm=video 9 X 99\r\na=rtpmap:99 VP8/90000\r\nm=audio 9 UDP/TLS/RTP/SAVPF 96 0\r\n\
                   a=rtpmap:0 PCMU/8000\r\na=rtpmap:96 opus/48000/2\r\n";
        assert_eq!(negotiated_codec(sdp), Some(("opus".to_owned(), 96)));
    }

    #[test]
    fn a_static_payload_type_needs_no_rtpmap() {
        assert_eq!(negotiated_codec("m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n"), Some(("PCMU".to_owned(), 0)));
        assert_eq!(negotiated_codec("m=audio 9\r\n"), None);
        assert_eq!(negotiated_codec("nonsense"), None);
    }

    #[test]
    fn candidates_are_taken_out_and_nothing_else() {
        let sdp = "v=0\r\na=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\na=mid:0\r\na=end-of-candidates\r\n";
        assert_eq!(without_candidates(sdp), "v=0\r\na=mid:0\r\n");
    }
}

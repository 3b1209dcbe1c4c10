//! ICE credentials and candidates in session descriptions and in fragments of them (RFC 8839, RFC 8840 §9). Pure.
use crate::peer::IceCandidateInit;

/// Candidates taken of one fragment.
const MAX_CANDIDATES: usize = 64;

/// User fragment and password of the first media line that has them.
pub(crate) fn ice_credentials(sdp: &str) -> Option<(String, String)> {
    let value = |name: &str| sdp.lines().find_map(|line| line.trim_end().strip_prefix(name)).map(str::to_owned);
    Some((value("a=ice-ufrag:")?, value("a=ice-pwd:")?))
}

/// The candidates of a fragment; the end of them as an empty one. Before `a=mid`, the word behind `m=` names the media line
/// unless it is a kind of media: that is how Genesys Cloud writes it.
pub(crate) fn candidates(fragment: &str) -> Vec<IceCandidateInit> {
    const KINDS: [&str; 5] = ["audio", "video", "application", "text", "message"];
    let mut found = Vec::new();
    let (mut mid, mut line_index, mut user_fragment) = (None, None::<u16>, None);
    for line in fragment.lines().map(str::trim_end) {
        if let Some(media) = line.strip_prefix("m=") {
            line_index = Some(line_index.map_or(0, |index| index.saturating_add(1)));
            let word = media.split_ascii_whitespace().next().unwrap_or_default();
            mid = (!KINDS.contains(&word) && !word.is_empty()).then(|| word.to_owned());
        } else if let Some(name) = line.strip_prefix("a=mid:") {
            mid = Some(name.to_owned());
        } else if let Some(name) = line.strip_prefix("a=ice-ufrag:") {
            user_fragment = Some(name.to_owned());
        } else if line.starts_with("a=candidate:") || line == "a=end-of-candidates" {
            let candidate = line.strip_prefix("a=").filter(|text| text.starts_with("candidate:")).unwrap_or_default();
            found.push(IceCandidateInit {
                candidate: candidate.to_owned(),
                sdp_mid: mid.clone(),
                sdp_m_line_index: line_index.or(Some(0)),
                username_fragment: user_fragment.clone(),
            });
            if found.len() == MAX_CANDIDATES {
                break;
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_gives_its_candidates_with_their_media_line() {
        let text = "m=0 9 RTP/AVP 0\r\na=candidate:1 1 udp 1 192.0.2.2 9 typ host generation 0 ufrag x\r\n";
        let found = candidates(text);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].candidate, "candidate:1 1 udp 1 192.0.2.2 9 typ host generation 0 ufrag x");
        assert_eq!((found[0].sdp_mid.as_deref(), found[0].sdp_m_line_index), (Some("0"), Some(0)));
        let found = candidates(
            "a=ice-ufrag:u\nm=audio 9 X 0\na=mid:a1\na=candidate:1 1 udp 1 h 9 typ host\na=end-of-candidates\n",
        );
        assert_eq!((found[0].sdp_mid.as_deref(), found[0].username_fragment.as_deref()), (Some("a1"), Some("u")));
        assert_eq!(found[1].candidate, "");
        assert_eq!(candidates("a=end-of-candidates\r\n").len(), 1);
        assert!(candidates("nonsense").is_empty());
    }

    #[test]
    fn credentials_need_both_of_their_parts() {
        assert_eq!(ice_credentials("a=ice-ufrag:a\r\na=ice-pwd:b\r\n"), Some(("a".to_owned(), "b".to_owned())));
        assert_eq!(ice_credentials("a=ice-ufrag:a\r\n"), None);
    }
}

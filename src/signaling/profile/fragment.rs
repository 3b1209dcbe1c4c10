//! ICE credentials and candidates in session descriptions and in fragments of them (RFC 8839, RFC 8840 §9). Pure.
use crate::peer::IceCandidateInit;
use crate::sdp::{Description, Section, attribute};

/// Candidates taken of one fragment.
const MAX_CANDIDATES: usize = 64;

/// User fragment and password of the first media line that has them.
pub(crate) fn ice_credentials(sdp: &str) -> Option<(String, String)> {
    let value = |name: &str| sdp.lines().find_map(|line| line.trim_end().strip_prefix(name)).map(str::to_owned);
    Some((value("a=ice-ufrag:")?, value("a=ice-pwd:")?))
}

/// A description whose transport a fragment restarts (RFC 8445 §9): with the fragment's credentials, and without candidates. `None`
/// unless the fragment has another user fragment than the description, and a password. Media lines that the fragment does not
/// name get the first credentials that it has, as those of a bundle do.
pub(crate) fn restarted(sdp: &str, fragment: &str) -> Option<String> {
    let (first, before) = (ice_credentials(fragment)?, ice_credentials(sdp)?);
    if first.0 == before.0 {
        return None;
    }
    let fragment = Description::read(fragment);
    let named = |mid: Option<&str>| {
        let section = fragment.media.iter().find(|section| mid.is_some() && section.mid() == mid)?;
        let value = |name| fragment.attribute_of(section, name).map(str::to_owned);
        Some((value("ice-ufrag")?, value("ice-pwd")?))
    };
    let mut description = Description::read(sdp);
    description.session.retain(|line| !is_of_transport(line));
    for section in &mut description.media {
        let (ufrag, password) = named(section.mid()).unwrap_or_else(|| first.clone());
        let Section { lines } = section;
        lines.retain(|line| !is_of_transport(line));
        lines.extend([format!("a=ice-ufrag:{ufrag}"), format!("a=ice-pwd:{password}")]);
    }
    Some(description.to_string())
}

/// What a restart replaces.
fn is_of_transport(line: &str) -> bool {
    let names = ["ice-ufrag", "ice-pwd", "candidate", "end-of-candidates"];
    names.iter().any(|name| attribute(line, name).is_some())
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
    fn a_fragment_with_another_user_fragment_and_a_password_restarts_the_transport() {
        let sdp = "v=0\r\na=ice-ufrag:old\r\na=ice-pwd:older\r\nm=audio 9 X 0\r\na=mid:0\r\na=candidate:1 1 udp 1 h 9 typ host\r\n\
            a=end-of-candidates\r\nm=video 9 X 96\r\na=mid:1\r\na=ice-ufrag:old\r\na=ice-pwd:older\r\na=rtcp-mux\r\n";
        let told =
            "m=audio 9 X 0\r\na=mid:1\r\na=ice-ufrag:new\r\na=ice-pwd:newer\r\na=candidate:2 1 udp 1 h 9 typ host\r\n";
        let expected = "v=0\r\nm=audio 9 X 0\r\na=mid:0\r\na=ice-ufrag:new\r\na=ice-pwd:newer\r\n\
            m=video 9 X 96\r\na=mid:1\r\na=rtcp-mux\r\na=ice-ufrag:new\r\na=ice-pwd:newer\r\n";
        assert_eq!(restarted(sdp, told).as_deref(), Some(expected));
        let two = format!("{told}m=audio 9 X 0\r\na=mid:0\r\na=ice-ufrag:own\r\na=ice-pwd:owner\r\n");
        assert!(restarted(sdp, &two).expect("restarted").contains("a=mid:0\r\na=ice-ufrag:own\r\na=ice-pwd:owner\r\n"));
        for same in ["a=ice-ufrag:old\r\na=ice-pwd:newer\r\n", "a=ice-ufrag:new\r\n", "a=candidate:1", ""] {
            assert_eq!(restarted(sdp, same), None, "{same}");
        }
        assert_eq!(restarted("v=0\r\n", told), None);
    }

    #[test]
    fn credentials_need_both_of_their_parts() {
        assert_eq!(ice_credentials("a=ice-ufrag:a\r\na=ice-pwd:b\r\n"), Some(("a".to_owned(), "b".to_owned())));
        assert_eq!(ice_credentials("a=ice-ufrag:a\r\n"), None);
    }
}

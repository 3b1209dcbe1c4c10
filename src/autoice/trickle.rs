//! Candidates beside descriptions: putting ours into a description or a canned fragment, reading those of a fragment.
//!
//! Pure functions over text; they never fail, and keep the line ends of what they are given.
use std::fmt::Write as _;

use crate::peer::IceCandidateInit;

/// A description with candidates (RFC 8839 §5.1, without `a=`) at the end of its first media line that is in use, and with
/// their end (RFC 8840 §8.2) where there will be no more. Candidates it has already are taken out.
pub fn with_candidates(sdp: &str, candidates: &[String], ended: bool) -> String {
    let is_theirs = |line: &&str| !line.starts_with("a=candidate:") && line.trim_end() != "a=end-of-candidates";
    let lines: Vec<&str> = sdp.split_inclusive('\n').filter(is_theirs).collect();
    let is_media = |line: &str| line.starts_with("m=");
    let in_use = |line: &str| is_media(line) && line.split_ascii_whitespace().nth(1) != Some("0");
    let first = lines.iter().position(|line| in_use(line)).or_else(|| lines.iter().position(|line| is_media(line)));
    let Some(first) = first else { return sdp.to_owned() };
    let end = lines[first + 1..].iter().position(|line| is_media(line)).map_or(lines.len(), |next| first + 1 + next);
    let newline = line_end(sdp);
    let mut written = lines[..end].concat();
    if !written.ends_with('\n') {
        written.push_str(newline);
    }
    for candidate in candidates {
        written.extend(["a=", attribute(candidate), newline]);
    }
    if ended {
        written.extend(["a=end-of-candidates", newline]);
    }
    written + &lines[end..].concat()
}

/// A canned fragment (RFC 8840) with a live user fragment and password and, from `index` on, live candidates in the places of
/// its own; the last one again where there are fewer. Without any the canned candidates are left out.
pub fn fragment(canned: &str, (ufrag, pwd): (&str, &str), candidates: &[String], mut index: usize) -> String {
    let newline = line_end(canned);
    let mut written = String::with_capacity(canned.len());
    for whole in canned.split_inclusive('\n') {
        let line = whole.trim_end_matches(['\r', '\n']);
        let end = &whole[line.len()..];
        if line.starts_with("a=candidate:") {
            if let Some(candidate) = candidates.get(index).or_else(|| candidates.last()) {
                written.extend([
                    "a=",
                    attribute(&naming(candidate, line, ufrag)),
                    if end.is_empty() { "" } else { newline },
                ]);
            }
            index += 1;
        } else if line.starts_with("a=ice-ufrag:") {
            written.extend(["a=ice-ufrag:", ufrag, end]);
        } else if line.starts_with("a=ice-pwd:") {
            written.extend(["a=ice-pwd:", pwd, end]);
        } else {
            written.push_str(whole);
        }
    }
    written
}

/// A live candidate as the canned one would be written: with or without its `a=`, `candidate:` and `ufrag`.
pub fn candidate(canned: &str, live: &str, ufrag: &str) -> String {
    let live = naming(live, canned, ufrag);
    match (canned.starts_with("a="), canned.trim_start_matches("a=").starts_with("candidate:")) {
        (true, _) => format!("a={}", attribute(&live)),
        (false, true) => attribute(&live).to_owned(),
        (false, false) => attribute(&live).trim_start_matches("candidate:").to_owned(),
    }
}

/// The candidates of a fragment, each with the `a=mid` it stands under; without one the word after `m=` where that is no kind
/// of media. An end of candidates is an empty one.
pub fn candidates_of(sdpfrag: &str) -> Vec<IceCandidateInit> {
    let mut found = Vec::new();
    let (mut ufrag, mut mid) = (None, None);
    for line in sdpfrag.lines().map(str::trim_end) {
        let init = |candidate: &str, mid: &Option<String>, ufrag: &Option<String>| IceCandidateInit {
            candidate: candidate.to_owned(),
            sdp_mid: mid.clone(),
            sdp_m_line_index: None,
            username_fragment: ufrag.clone(),
        };
        if let Some(value) = line.strip_prefix("a=ice-ufrag:") {
            ufrag = Some(value.to_owned());
        } else if let Some(value) = line.strip_prefix("m=") {
            let word = value.split_ascii_whitespace().next().unwrap_or_default();
            mid = (!["audio", "video", "application", "message", "text", "image"].contains(&word))
                .then(|| word.to_owned());
        } else if let Some(value) = line.strip_prefix("a=mid:") {
            mid = Some(value.to_owned());
        } else if line.starts_with("a=candidate:") {
            found.push(init(attribute(line), &mid, &ufrag));
        } else if line == "a=end-of-candidates" {
            found.push(init("", &mid, &ufrag));
        }
    }
    found
}

/// The user fragment and password of a description, of its first media line that has its own, else of the session.
pub fn credentials(sdp: &str) -> Option<(&str, &str)> {
    let value = |name: &str| sdp.lines().find_map(|line| line.trim_end().strip_prefix(name));
    value("a=ice-ufrag:").zip(value("a=ice-pwd:"))
}

/// `live` with the extension `ufrag` (RFC 8838 §5) where `canned` has one.
fn naming(live: &str, canned: &str, ufrag: &str) -> String {
    let mut words = live.split_ascii_whitespace();
    let mut named = String::with_capacity(live.len() + 16);
    while let Some(word) = words.next() {
        if word == "ufrag" {
            words.next();
            continue;
        }
        let gap = if named.is_empty() { "" } else { " " };
        named.extend([gap, word]);
    }
    if canned.split_ascii_whitespace().any(|word| word == "ufrag") {
        // Writing to a string does not fail.
        let _ = write!(named, " ufrag {ufrag}");
    }
    named
}

/// `candidate:…` of a candidate with or without `a=` and `candidate:`.
fn attribute(candidate: &str) -> &str {
    candidate.strip_prefix("a=").unwrap_or(candidate)
}

fn line_end(text: &str) -> &'static str {
    match text.contains('\n') && !text.contains("\r\n") {
        true => "\n",
        false => "\r\n",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIVE: &str = "candidate:7 1 udp 2130706431 192.0.2.7 5000 typ host";

    fn live() -> Vec<String> {
        vec![LIVE.to_owned(), LIVE.replace("5000", "5001")]
    }

    #[test]
    fn candidates_stand_in_the_first_media_line_in_use() {
        let sdp =
            "v=0\r\nm=video 0 RTP/SAVPF 0\r\na=mid:0\r\nm=audio 9 RTP/SAVPF 0\r\na=mid:1\r\nm=application 9 x y\r\n";
        let written = with_candidates(sdp, &live(), true);
        let expected = format!("a=mid:1\r\na={LIVE}\r\na={}\r\na=end-of-candidates\r\nm=application", live()[1]);
        assert!(written.contains(&expected), "{written}");
        assert_eq!(with_candidates(&written, &live(), true), written, "written twice it is the same");
        assert_eq!(with_candidates(&written, &[], false), sdp);
    }

    #[test]
    fn a_canned_fragment_keeps_its_form() {
        let canned =
            "m=0 9 RTP/AVP 0\na=candidate:1 1 udp 1 10.0.0.1 9 typ host generation 0 ufrag NTZC network-id 3\n";
        let written = fragment(canned, ("live", "secret"), &live(), 1);
        assert_eq!(written, format!("m=0 9 RTP/AVP 0\na={} ufrag live\n", live()[1]));
        let whip = "a=ice-ufrag:old\r\na=ice-pwd:older\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=end-of-candidates\r\n";
        let written = fragment(whip, ("live", "secret"), &live(), 0);
        assert_eq!(written, whip.replace("older", "secret").replace("old", "live"));
    }

    #[test]
    fn beyond_the_last_candidate_the_last_one_is_repeated() {
        let canned = "a=candidate:1 1 udp 1 10.0.0.1 9 typ host\r\n";
        assert_eq!(fragment(canned, ("u", "p"), &live(), 9), format!("a={}\r\n", live()[1]));
        assert_eq!(fragment(canned, ("u", "p"), &[], 0), "");
    }

    #[test]
    fn a_candidate_is_written_as_the_canned_one_was() {
        assert_eq!(candidate("candidate:1 1 udp 1 10.0.0.1 9 typ host", LIVE, "u"), LIVE);
        assert_eq!(candidate("a=candidate:1 1 udp 1 10.0.0.1 9 typ host", LIVE, "u"), format!("a={LIVE}"));
        assert_eq!(candidate("1 1 udp 1 10.0.0.1 9 typ host", LIVE, "u"), LIVE.trim_start_matches("candidate:"));
        let with = format!("{LIVE} ufrag engine");
        assert_eq!(candidate("candidate:1 1 udp 1 10.0.0.1 9 typ host", &with, "u"), LIVE);
        assert_eq!(candidate("candidate:1 1 udp 1 a 9 typ host ufrag x", &with, "u"), format!("{LIVE} ufrag u"));
    }

    #[test]
    fn the_candidates_of_a_fragment_know_their_media_line() {
        let genesys = "m=0 9 RTP/AVP 0\r\na=candidate:1 1 udp 1 10.0.0.1 9 typ host\r\n";
        let found = candidates_of(genesys);
        assert_eq!((found[0].sdp_mid.as_deref(), &*found[0].candidate), (Some("0"), &genesys.trim_end()[19..]));
        let whip = "a=ice-ufrag:u\r\nm=audio 9 RTP/AVP 0\r\na=mid:a\r\na=candidate:1 1 udp 1 b 9 typ host\r\na=end-of-candidates\r\n";
        let found = candidates_of(whip);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].sdp_mid.as_deref(), found[0].username_fragment.as_deref()), (Some("a"), Some("u")));
        assert_eq!(found[1].candidate, "");
    }
}

//! Fragments of session descriptions as WHIP sends them (RFC 8840 §9, RFC 9725 §4.3). Pure; reading never fails.
use std::fmt::Write as _;

use crate::peer::IceCandidateInit;
use crate::sdp::{Description, attribute_name};
use crate::signaling::profile::fragment::{candidates, ice_credentials};

/// Longest line that is taken over from a fragment.
const MAX_LINE: usize = 2048;

/// What is written.
pub(crate) struct Fragment<'a> {
    /// The description that the candidates belong to.
    pub(crate) of: &'a str,
    /// Candidates that it does not have itself.
    pub(crate) candidates: &'a [IceCandidateInit],
    /// No more follow.
    pub(crate) ends: bool,
}

impl Fragment<'_> {
    /// The fragment, of the media line that carries the transport: the first one in use (RFC 9143 §7). With the `candidates` go
    /// those that stand in the description only when `whole`, as an ICE restart needs them.
    pub(crate) fn write(&self, whole: bool) -> Option<String> {
        let description = Description::read(self.of);
        let section = description.media.iter().find(|section| !section.is_rejected())?;
        let (ufrag, password) = ice_credentials(self.of)?;
        let mut text = String::new();
        let mut line = |line: std::fmt::Arguments<'_>| {
            // Writing to a String cannot fail.
            let _written = text.write_fmt(format_args!("{line}\r\n"));
        };
        if let Some(mids) = description.bundle() {
            line(format_args!("a=group:BUNDLE {}", mids.join(" ")));
        }
        line(format_args!("{}", section.lines.first()?));
        if let Some(mid) = section.mid() {
            line(format_args!("a=mid:{mid}"));
        }
        line(format_args!("a=ice-ufrag:{ufrag}"));
        line(format_args!("a=ice-pwd:{password}"));
        if whole {
            for candidate in section.attributes("candidate") {
                line(format_args!("a=candidate:{candidate}"));
            }
        }
        for candidate in self.candidates.iter().filter(|candidate| is_one_line(&candidate.candidate)) {
            line(format_args!("a={}", candidate.candidate));
        }
        if self.ends {
            line(format_args!("a=end-of-candidates"));
        }
        Some(text)
    }
}

fn is_one_line(candidate: &str) -> bool {
    candidate.starts_with("candidate:") && candidate.len() <= MAX_LINE && !candidate.contains(['\r', '\n'])
}

/// The last `description` with the ICE credentials and candidates of a `fragment` in place of its own: what the other side means
/// by answering an ICE restart with a fragment. `None` where the fragment has no credentials.
pub(crate) fn restarted(description: &str, fragment: &str) -> Option<String> {
    let (ufrag, password) = ice_credentials(fragment)?;
    if [&ufrag, &password].into_iter().any(|text| text.len() > MAX_LINE || text.is_empty()) {
        return None;
    }
    let mut description = Description::read(description);
    let is_old = |line: &String| {
        matches!(attribute_name(line), Some("ice-ufrag" | "ice-pwd" | "candidate" | "end-of-candidates"))
    };
    description.session.retain(|line| !is_old(line));
    let found = candidates(fragment);
    let mut carries = true;
    for section in &mut description.media {
        section.lines.retain(|line| !is_old(line));
        if section.is_rejected() {
            continue;
        }
        section.lines.push(format!("a=ice-ufrag:{ufrag}"));
        section.lines.push(format!("a=ice-pwd:{password}"));
        if std::mem::take(&mut carries) {
            for candidate in &found {
                section.lines.push(match is_one_line(&candidate.candidate) {
                    true => format!("a={}", candidate.candidate),
                    false => "a=end-of-candidates".to_owned(),
                });
            }
        }
    }
    Some(description.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:old\r\na=ice-pwd:oldpassword\r\n\
        a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n";

    fn candidate(text: &str) -> IceCandidateInit {
        IceCandidateInit { candidate: text.to_owned(), ..IceCandidateInit::default() }
    }

    #[test]
    fn a_fragment_has_group_media_line_credentials_and_candidates() {
        let new = [candidate("candidate:2 1 udp 1 192.0.2.2 9 typ host"), candidate("a\r\nb")];
        let fragment = Fragment { of: OFFER, candidates: &new, ends: true };
        let head = "a=group:BUNDLE 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:old\r\n\
                    a=ice-pwd:oldpassword\r\n";
        let tail = "a=candidate:2 1 udp 1 192.0.2.2 9 typ host\r\na=end-of-candidates\r\n";
        assert_eq!(fragment.write(false), Some(format!("{head}{tail}")));
        let whole = format!("{head}a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n{tail}");
        assert_eq!(fragment.write(true), Some(whole));
    }

    #[test]
    fn a_restart_changes_credentials_and_candidates_and_nothing_else() {
        let fragment = "m=audio 9 X 0\na=mid:0\na=ice-ufrag:new\na=ice-pwd:newpassword\n\
                        a=candidate:3 1 udp 1 192.0.2.3 9 typ host\na=end-of-candidates\n";
        let expected =
            OFFER.replace("old", "new").replace("candidate:1 1 udp 1 192.0.2.1", "candidate:3 1 udp 1 192.0.2.3")
                + "a=end-of-candidates\r\n";
        assert_eq!(restarted(OFFER, fragment), Some(expected));
        assert_eq!(restarted(OFFER, "a=end-of-candidates"), None);
    }

    proptest! {
        #[test]
        fn any_fragment_is_read_without_harm(text in "(a=|m=|ice-ufrag:|ice-pwd:|candidate:|mid:|end-of-candidates|\\PC|\r?\n){0,40}") {
            if let Some(description) = restarted(OFFER, &text) {
                // What was read stands on lines of its own: nothing but ICE was brought in.
                for line in description.lines() {
                    let is_ice = ["a=ice-ufrag:", "a=ice-pwd:", "a=candidate:", "a=end-of-candidates"]
                        .iter().any(|begin| line.starts_with(begin));
                    prop_assert!(is_ice || OFFER.lines().any(|known| known == line), "{}", line);
                }
            }
            Fragment { of: &text, candidates: &[], ends: true }.write(true);
        }
    }
}

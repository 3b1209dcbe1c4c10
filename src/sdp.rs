//! Session descriptions as the lines they are (RFC 8866).
//!
//! What this project changes in a description it changes line by line, so that everything it does not understand stays as it
//! came. Reading never fails: what is no line of a description is kept or ignored. Pure; nothing is opened or waited for.
use std::fmt;

/// A session description: the lines of the session, then the media sections in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Description {
    /// The lines before the first `m=`, without line ends.
    pub(crate) session: Vec<String>,
    /// The media sections (RFC 8866 §5.14).
    pub(crate) media: Vec<Section>,
}

/// One media section: its `m=` line and what follows up to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    /// The lines, `m=` first, without line ends; never empty.
    pub(crate) lines: Vec<String>,
}

impl Description {
    /// Reads text with any line ends; empty lines are left out.
    pub(crate) fn read(text: &str) -> Self {
        let mut description = Self::default();
        for line in text.split(['\n', '\r']).filter(|line| !line.is_empty()) {
            match description.media.last_mut() {
                _ if line.starts_with("m=") => description.media.push(Section { lines: vec![line.to_owned()] }),
                Some(section) => section.lines.push(line.to_owned()),
                None => description.session.push(line.to_owned()),
            }
        }
        description
    }

    /// The value of the session's first `a=name`, empty for a property attribute.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.session.iter().find_map(|line| attribute(line, name))
    }

    /// The value of `a=name` of a section, else of the session.
    pub(crate) fn attribute_of<'a>(&'a self, section: &'a Section, name: &str) -> Option<&'a str> {
        section.attribute(name).or_else(|| self.attribute(name))
    }

    /// The mids of the first `a=group:BUNDLE` (RFC 9143), `None` without one.
    pub(crate) fn bundle(&self) -> Option<Vec<&str>> {
        let groups = self.session.iter().filter_map(|line| attribute(line, "group"));
        groups.into_iter().find_map(|group| {
            let mut words = group.split_whitespace();
            (words.next()? == "BUNDLE").then(|| words.collect())
        })
    }

    /// The words of the direction attribute of a section, else of the session; without one `sendrecv` (RFC 8866 §6.7).
    pub(crate) fn direction(&self, section: &Section) -> &'static str {
        let of = |lines: &[String]| lines.iter().find_map(|line| direction(line));
        of(&section.lines).or_else(|| of(&self.session)).unwrap_or("sendrecv")
    }
}

impl fmt::Display for Description {
    /// The text with CRLF after every line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let media = self.media.iter().flat_map(|section| &section.lines);
        self.session.iter().chain(media).try_for_each(|line| write!(f, "{line}\r\n"))
    }
}

impl Section {
    /// The words of `m=<media> <port> <proto> <fmt> …`.
    fn words(&self) -> impl Iterator<Item = &str> {
        self.lines.first().and_then(|line| line.strip_prefix("m=")).unwrap_or_default().split_whitespace()
    }

    /// `audio`, `video`, `application` or another media type.
    pub(crate) fn media(&self) -> &str {
        self.words().next().unwrap_or_default()
    }

    /// The port, without a count of ports; 0 where there is none.
    pub(crate) fn port(&self) -> u16 {
        let port = self.words().nth(1).unwrap_or_default();
        port.split('/').next().and_then(|port| port.parse().ok()).unwrap_or_default()
    }

    /// The transport, such as `UDP/TLS/RTP/SAVPF`.
    pub(crate) fn proto(&self) -> &str {
        self.words().nth(2).unwrap_or_default()
    }

    /// The formats: payload types of RTP.
    pub(crate) fn formats(&self) -> impl Iterator<Item = &str> {
        self.words().skip(3)
    }

    /// Refused or switched off (RFC 3264 §6, §8.2): port 0, unless that is only a line that waits for its bundle (RFC 9143 §6).
    pub(crate) fn is_rejected(&self) -> bool {
        self.port() == 0 && self.attribute("bundle-only").is_none()
    }

    /// The value of the first `a=name`, empty for a property attribute.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes(name).next()
    }

    /// The values of all `a=name`.
    pub(crate) fn attributes<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.lines.iter().filter_map(move |line| attribute(line, name))
    }

    /// `a=mid` (RFC 5888 §4).
    pub(crate) fn mid(&self) -> Option<&str> {
        self.attribute("mid").map(str::trim).filter(|mid| !mid.is_empty())
    }
}

/// The value of `a=name` or `a=name:value`; `None` for another line.
pub(crate) fn attribute<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let rest = line.strip_prefix("a=")?.strip_prefix(name)?;
    match rest.strip_prefix(':') {
        Some(value) => Some(value),
        None => rest.is_empty().then_some(""),
    }
}

/// The name of an attribute line.
pub(crate) fn attribute_name(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("a=")?;
    Some(rest.split(':').next().unwrap_or(rest))
}

/// The word of a direction attribute; `None` for another line.
pub(crate) fn direction(line: &str) -> Option<&'static str> {
    ["sendrecv", "sendonly", "recvonly", "inactive"].into_iter().find(|word| line.strip_prefix("a=") == Some(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE a b\r\na=recvonly\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\na=mid:a\r\na=rtcp-mux\r\n\
        m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:b\r\na=inactive\r\n";

    #[test]
    fn a_description_is_written_as_it_was_read() {
        assert_eq!(Description::read(TEXT).to_string(), TEXT);
        assert_eq!(Description::read(&TEXT.replace("\r\n", "\n")).to_string(), TEXT);
    }

    #[test]
    fn the_words_of_a_media_line_are_told_apart() {
        let description = Description::read(TEXT);
        let [audio, video] = &description.media[..] else { panic!("{description:?}") };
        assert_eq!((audio.media(), audio.port(), audio.proto()), ("audio", 9, "UDP/TLS/RTP/SAVPF"));
        assert_eq!(audio.formats().collect::<Vec<_>>(), ["111", "0"]);
        assert_eq!((audio.mid(), audio.attribute("rtcp-mux"), audio.attribute("rtcp")), (Some("a"), Some(""), None));
        assert!(video.is_rejected() && !audio.is_rejected());
        assert_eq!(description.bundle(), Some(vec!["a", "b"]));
    }

    #[test]
    fn a_section_without_a_direction_takes_the_sessions() {
        let description = Description::read(TEXT);
        assert_eq!(description.direction(&description.media[0]), "recvonly");
        assert_eq!(description.direction(&description.media[1]), "inactive");
        let description = Description::read("v=0\r\nm=audio 9 RTP/AVP 0\r\n");
        assert_eq!(description.direction(&description.media[0]), "sendrecv");
    }

    #[test]
    fn a_line_that_waits_for_its_bundle_is_not_refused() {
        let description = Description::read("v=0\nm=video 0 UDP/TLS/RTP/SAVPF 96\na=bundle-only\n");
        assert!(!description.media[0].is_rejected());
    }

    #[test]
    fn what_is_no_description_is_survived() {
        for text in ["", "m=", "m=audio", "\r\n\r\n", "a=mid", "m=audio x y z\na="] {
            for section in Description::read(text).media {
                let _ = (section.media(), section.port(), section.proto(), section.mid(), section.is_rejected());
            }
        }
    }
}

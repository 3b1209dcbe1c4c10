//! Descriptions for the tests of Auto ICE, and what they have in common.
use jmeter_webrtc::autoice::{Content, Reading, Replacement};
use jmeter_webrtc::peer::IceCandidateInit;

/// An offer as a browser writes it.
pub(crate) const OFFER: &str = "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:bZR5\r\na=ice-pwd:XpFDDc76s84+DZlMsHAllQGa\r\n\
    a=fingerprint:sha-256 1F:4A:F0:4A:FD:0B:2E:EF:21:6B:BD:B7:84:4F:3A:6A:CC:F9:B8:D7:4B:38:8C:FB:7D:29:9A:51:D7:D2:15:79\r\n\
    a=setup:actpass\r\na=mid:0\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n";

/// Another one to put in its place, with characters that every wrapping has to escape.
pub(crate) const LIVE: &str = "v=0\r\no=- 1 3 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 4711 UDP/TLS/RTP/SAVPF 111 0\r\n\
    c=IN IP4 127.0.0.1\r\na=candidate:1 1 udp 2122 127.0.0.1 4711 typ host\r\na=ice-ufrag:Live\r\n\
    a=ice-pwd:liveliveliveliveli/e&v<>=\r\n\
    a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n\
    a=setup:actpass\r\na=mid:0\r\n";

/// What was found, to be put back.
pub(crate) fn same(reading: &Reading) -> Vec<Replacement> {
    let same = |content: &Content| match content {
        Content::Description { sdp, .. } => Replacement::Description(sdp.clone()),
        Content::Fragment { sdpfrag } => Replacement::Fragment(sdpfrag.clone()),
        Content::Candidate(candidate) => Replacement::Candidate(candidate.clone()),
        Content::IceServers(_) | Content::HangUp => Replacement::Keep,
    };
    reading.findings.iter().map(|finding| same(&finding.content)).collect()
}

/// Something else for everything that was found.
pub(crate) fn other(reading: &Reading) -> Vec<Replacement> {
    let other = |content: &Content| match content {
        Content::Description { .. } => Replacement::Description(LIVE.to_owned()),
        Content::Fragment { .. } => Replacement::Fragment("a=end-of-candidates\r\n".to_owned()),
        Content::Candidate(_) => Replacement::Candidate(IceCandidateInit {
            candidate: "candidate:9 1 udp 1 127.0.0.1 1 typ host".to_owned(),
            sdp_mid: Some("au\"dio".to_owned()),
            sdp_m_line_index: Some(12),
            username_fragment: Some("Live".to_owned()),
        }),
        Content::IceServers(_) | Content::HangUp => Replacement::Keep,
    };
    reading.findings.iter().map(|finding| other(&finding.content)).collect()
}

/// Whether something in a message could be changed.
pub(crate) fn is_swap(content: &Content) -> bool {
    matches!(content, Content::Description { .. } | Content::Fragment { .. } | Content::Candidate(_))
}

/// The lines of a description, whatever they end with.
pub(crate) fn lines(sdp: &str) -> impl Iterator<Item = &str> {
    sdp.split(['\r', '\n']).filter(|line| !line.is_empty())
}

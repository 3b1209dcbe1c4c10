//! Frames that real programs exchanged: what is in them is found and told apart in both directions, and nothing else is.
//!
//! `tests/autoice/frames` holds them as recorded; `C>` the client sent, `S>` the server.
use jmeter_webrtc::autoice::{Content, Direction, Finding, Options, Reading, Replacement, read};

/// The frames of a recording with one frame per line.
fn line_frames(text: &str) -> Vec<(Direction, String)> {
    text.lines().filter_map(|line| frame(line, "C> ", "S> ")).collect()
}

fn frame(line: &str, client: &str, server: &str) -> Option<(Direction, String)> {
    let sent = line.strip_prefix(client).map(|text| (Direction::Outgoing, text.to_owned()));
    sent.or_else(|| line.strip_prefix(server).map(|text| (Direction::Incoming, text.to_owned())))
}

/// The frames of a recording in which each begins with its direction and ends with `----`; their lines end with CRLF.
fn block_frames(text: &str) -> Vec<(Direction, String)> {
    text.split("\n----\n")
        .filter_map(|block| {
            let at = if block.starts_with(['C', 'S']) {
                0
            } else {
                block.find("\nC>\n").or_else(|| block.find("\nS>\n"))? + 1
            };
            frame(&block[at..].replace("\r\n", "\n").replace('\n', "\r\n"), "C>\r\n", "S>\r\n")
        })
        .collect()
}

/// The recorder of the Janus frames cut them at 1,000 characters: the last whole line of the description ends it.
fn completed(frame: String) -> String {
    if serde_json::from_str::<serde_json::Value>(&frame).is_ok() {
        return frame;
    }
    let end = frame.rfind("\\r\\n").expect("a cut description");
    let whole = format!("{}\\r\\n\"}}}}", &frame[..end]);
    serde_json::from_str::<serde_json::Value>(&whole).expect("JSON");
    whole
}

fn summary(finding: &Finding) -> String {
    let content = match &finding.content {
        Content::Description { kind: Some(kind), .. } => format!("{kind:?}").to_lowercase(),
        Content::Description { kind: None, .. } => "offer or answer".to_owned(),
        Content::Candidate(candidate) if candidate.candidate.is_empty() => "end of candidates".to_owned(),
        Content::Candidate(_) => "candidate".to_owned(),
        Content::Fragment { .. } => "fragment".to_owned(),
        Content::IceServers(servers) => {
            format!("servers {}", servers.iter().flat_map(|server| &server.urls).cloned().collect::<Vec<_>>().join(" "))
        }
        Content::HangUp => "hang-up".to_owned(),
    };
    let dialog = finding.dialog.id.as_deref().unwrap_or("-");
    let established = if finding.dialog.established { " established" } else { "" };
    format!("{content} | {} | {dialog}{established}", finding.path)
}

/// What is found in `frames`, each line with its direction; what is left alone as `left`.
fn found(frames: &[(Direction, String)]) -> Vec<String> {
    let mut lines = Vec::new();
    for (direction, frame) in frames {
        let way = if *direction == Direction::Outgoing { ">" } else { "<" };
        let Some(reading) = read(frame.as_bytes(), *direction, &Options::default()) else { continue };
        assert_same(&reading, frame);
        lines.extend(reading.findings.iter().map(|finding| format!("{way} {}", summary(finding))));
        lines.extend(reading.left.iter().map(|left| format!("{way} left | {}", left.path)));
    }
    lines
}

/// What was found, put back, gives the frame byte for byte.
fn assert_same(reading: &Reading, frame: &str) {
    let same: Vec<Replacement> = reading
        .findings
        .iter()
        .map(|finding| match &finding.content {
            Content::Description { sdp, .. } => Replacement::Description(sdp.clone()),
            Content::Fragment { sdpfrag } => Replacement::Fragment(sdpfrag.clone()),
            Content::Candidate(candidate) => Replacement::Candidate(candidate.clone()),
            Content::IceServers(_) | Content::HangUp => Replacement::Keep,
        })
        .collect();
    assert_eq!(String::from_utf8_lossy(&reading.replaced(frame.as_bytes(), &same)), *frame);
}

#[test]
fn the_frames_of_janus_are_understood() {
    let frames = line_frames(include_str!("autoice/frames/janus-1.1.2-echotest.frames.txt"));
    let frames: Vec<_> = frames.into_iter().map(|(direction, frame)| (direction, completed(frame))).collect();
    assert_eq!(
        found(&frames),
        [
            "> offer | JSON jsep.sdp | 8244467842892561",
            "> candidate | JSON candidate.candidate | 8244467842892561",
            "> candidate | JSON candidate.candidate | 8244467842892561",
            "> candidate | JSON candidate.candidate | 8244467842892561",
            "> candidate | JSON candidate.candidate | 8244467842892561",
            "< candidate | JSON candidate.candidate | 8244467842892561",
            "< answer | JSON jsep.sdp | 8244467842892561",
            "< candidate | JSON candidate.candidate | 8244467842892561",
            "< candidate | JSON candidate.candidate | 8244467842892561",
            "< end of candidates | JSON candidate | 8244467842892561",
            "> end of candidates | JSON candidate | 8244467842892561",
            "> hang-up | JSON | 8244467842892561",
            "< hang-up | JSON | 8244467842892561",
            "> hang-up | JSON | 4124813703597065",
        ]
    );
}

#[test]
fn the_frames_of_jssip_are_understood() {
    let frames = block_frames(include_str!("autoice/frames/jssip-3.13.8.frames.txt"));
    assert_eq!(
        found(&frames),
        [
            "> offer | SIP INVITE body | 7d0j87a3r55j73fecplf",
            "< answer | SIP 200 to INVITE body | 7d0j87a3r55j73fecplf",
            "< answer | SIP 200 to INVITE body | 7d0j87a3r55j73fecplf",
            "> offer | SIP INVITE body | 7d0j87a3r55j73fecplf established",
            "< answer | SIP 200 to INVITE body | 7d0j87a3r55j73fecplf",
            "< answer | SIP 200 to INVITE body | 7d0j87a3r55j73fecplf",
            "> hang-up | SIP BYE | 7d0j87a3r55j73fecplf established",
        ]
    );
}

#[test]
fn the_frames_of_genesys_with_descriptions_are_understood() {
    let frames = line_frames(include_str!("autoice/frames/genesys-sdp-over-xmpp.frames.txt"));
    assert_eq!(
        found(&frames),
        [
            "< servers turn:127.0.0.1:3478 | XMPP iq/services/service | -",
            "< servers stun:127.0.0.1:3478 | XMPP iq/services/service | -",
            "< servers turn:127.0.0.1:3478 | XMPP iq/services/service | -",
            "< servers stun:127.0.0.1:3478 | XMPP iq/services/service | -",
            "< offer | XMPP iq/genesys-webrtc → JSON params.sdp | sess-1",
            "> answer | XMPP iq/genesys-webrtc → JSON params.sdp | sess-1",
            "> fragment | XMPP iq/genesys-webrtc → JSON params.sdp | sess-1",
            "> fragment | XMPP iq/genesys-webrtc → JSON params.sdp | sess-1",
            "> fragment | XMPP iq/genesys-webrtc → JSON params.sdp | sess-1",
            "> fragment | XMPP iq/genesys-webrtc → JSON params.sdp | sess-1",
            "< hang-up | XMPP iq/genesys-webrtc → JSON | sess-1",
        ]
    );
}

#[test]
fn the_frames_of_genesys_with_jingle_are_left_alone() {
    let frames = line_frames(include_str!("autoice/frames/genesys-jingle.frames.txt"));
    assert_eq!(
        found(&frames),
        [
            "< servers turn:127.0.0.1:3478 | XMPP iq/services/service | -",
            "< servers stun:127.0.0.1:3478 | XMPP iq/services/service | -",
            "< servers turn:127.0.0.1:3478 | XMPP iq/services/service | -",
            "< servers stun:127.0.0.1:3478 | XMPP iq/services/service | -",
            "< left | XMPP iq/jingle",
            "> left | XMPP iq/jingle",
            "> left | XMPP iq/jingle",
            "> left | XMPP iq/jingle",
            "> left | XMPP iq/jingle",
            "> left | XMPP iq/jingle",
        ]
    );
}

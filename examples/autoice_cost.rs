//! Prints what Auto ICE costs per message, in nanoseconds, on one core: messages without a description, and with one.
//!
//! `autoice_cost [ROUNDS]` (default 200,000; those with a description take a hundredth of it). Build it with `--release`.
use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use jmeter_webrtc::autoice::{Direction, Options, Replacement, read};

const SDP: &str = "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:bZR5\r\n\
    a=ice-pwd:XpFDDc76s84+DZlMsHAllQGa\r\na=ice-options:trickle\r\n\
    a=fingerprint:sha-256 1F:4A:F0:4A:FD:0B:2E:EF:21:6B:BD:B7:84:4F:3A:6A:CC:F9:B8:D7:4B:38:8C:FB:7D:29:9A:51:D7:D2:15:79\r\n\
    a=setup:actpass\r\na=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n\
    a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=ssrc:3662117894 cname:n/oRRvCV1LVHjfkq\r\n";

/// JSON of some 1 KiB, as a notification channel sends it.
fn event() -> String {
    let participant = |id: usize| serde_json::json!({"id": format!("participant-{id}"), "purpose": "agent", "state": "connected", "muted": false, "held": false});
    let body: Vec<_> = (0..10).map(participant).collect();
    serde_json::json!({"topicName": "v2.users.1.conversations", "version": "2", "eventBody": {"id": "conversation-1", "participants": body}}).to_string()
}

fn measure(name: &str, message: &str, rounds: u32, replaces: bool) {
    let options = Options::default();
    let start = Instant::now();
    for _ in 0..rounds {
        let reading = read(black_box(message.as_bytes()), Direction::Outgoing, &options);
        if let (true, Some(reading)) = (replaces, &reading) {
            black_box(reading.replaced(message.as_bytes(), &[Replacement::Description(SDP.replace("bZR5", "Live"))]));
        }
        black_box(&reading);
    }
    let each = start.elapsed().as_nanos() / u128::from(rounds.max(1));
    println!("{name:<34} {:>6} bytes {each:>8} ns per message", message.len());
}

fn main() -> ExitCode {
    let rounds = match std::env::args().nth(1).map(|text| text.parse::<u32>()) {
        None => 200_000,
        Some(Ok(rounds)) if rounds > 0 => rounds,
        Some(_) => {
            eprintln!("usage: autoice_cost [ROUNDS], a number from 1");
            return ExitCode::FAILURE;
        }
    };
    let event = event();
    let offer = serde_json::json!({"type": "offer", "callId": "c-1", "sdp": SDP}).to_string();
    measure("JSON event, nothing in it", &event, rounds, false);
    measure(
        "XMPP ping",
        "<iq xmlns=\"jabber:client\" type=\"get\" id=\"1\"><ping xmlns=\"urn:xmpp:ping\"/></iq>",
        rounds,
        false,
    );
    let near = event.replace("\"agent\"", "\"candidate\"");
    measure("JSON event with a word of ours", &near, rounds / 10, false);
    let few = rounds / 100;
    measure("offer in JSON, read", &offer, few, false);
    measure("offer in JSON, read and replaced", &offer, few, true);
    measure("offer in JSON in JSON, replaced", &serde_json::json!({"data": offer}).to_string(), few, true);
    ExitCode::SUCCESS
}

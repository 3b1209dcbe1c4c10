//! An open socket: frames both ways, keep-alive, taps, compression.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use jmeter_webrtc::socket::{CloseCause, Frame, Opcode, Socket, SocketConfig, SocketError, Tap};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tungstenite::Message;

use crate::server::{
    client_frame, config_for, frame, literal_config, open, serve, serve_upgraded, until_end, upgrade, within,
};

/// An independent peer that echoes messages.
async fn echo_server() -> std::net::SocketAddr {
    serve(|stream| async move {
        let mut peer = tokio_tungstenite::accept_async(stream).await.expect("the client upgrades");
        while let Some(Ok(message)) = peer.next().await {
            if (message.is_text() || message.is_binary()) && peer.send(message).await.is_err() {
                break;
            }
        }
    })
    .await
}

/// A server that sends `bytes` and reports what the client sends.
async fn server_that_sends(bytes: Vec<u8>) -> (std::net::SocketAddr, mpsc::UnboundedReceiver<(u8, Vec<u8>)>) {
    let (frames, seen) = mpsc::unbounded_channel();
    let address = serve_upgraded(move |mut stream| {
        let (bytes, frames) = (bytes.clone(), frames.clone());
        async move {
            stream.write_all(&bytes).await.expect("the client reads");
            while let Some(frame) = client_frame(&mut stream).await {
                // The test may be over already.
                if frames.send(frame).is_err() {
                    break;
                }
            }
        }
    })
    .await;
    (address, seen)
}

async fn text(socket: &Socket) -> String {
    let frame = within(socket.receive()).await.expect("a frame");
    String::from_utf8(frame.payload.to_vec()).expect("text")
}

#[tokio::test]
async fn frames_of_all_sizes_pass_both_ways() {
    let socket = open(echo_server().await).await;
    for size in [0, 1, 125, 126, 65_535, 65_536, 3 << 20] {
        let payload: Vec<u8> = (0..size).map(|byte| (byte % 251) as u8).collect();
        let sent = within(async { tokio::join!(socket.send(Opcode::Binary, true, &payload), socket.receive()) }).await;
        let header = if size < 126 {
            6
        } else if size < 65_536 {
            8
        } else {
            14
        };
        assert_eq!(sent.0.expect("the server reads").bytes, size + header);
        let received = sent.1.expect("an echo");
        assert_eq!((received.opcode, received.fin, received.wire_payload_bytes), (Opcode::Binary, true, size));
        assert_eq!(received.header_bytes, header - 4);
        assert!(received.payload == payload, "{size} bytes");
    }
    let counters = socket.counters();
    assert_eq!((counters.frames_sent, counters.frames_received), (7, 7));
    assert_eq!(counters.bytes_sent, counters.bytes_received + 7 * 4);
}

#[tokio::test]
async fn times_are_taken_at_the_wire_in_order() {
    let socket = open(echo_server().await).await;
    let before = Instant::now();
    let sent = within(socket.send(Opcode::Text, true, b"when")).await.expect("the server reads");
    let received = within(socket.receive()).await.expect("an echo");
    assert!(before <= sent.at && sent.at <= Instant::now());
    assert!(before <= received.at && received.at <= Instant::now());
}

#[tokio::test]
async fn a_frame_in_pieces_says_when_its_first_byte_came() {
    let address = serve_upgraded(|mut stream| async move {
        let bytes = frame(0x81, b"in pieces");
        stream.write_all(&bytes[..2]).await.expect("the client reads");
        tokio::time::sleep(Duration::from_millis(500)).await;
        stream.write_all(&bytes[2..]).await.expect("the client reads");
        stream.write_all(&frame(0x81, b"whole")).await.expect("the client reads");
        until_end(&mut stream).await;
    })
    .await;
    for config in [config_for(address), literal_config(address, false)] {
        let before = Instant::now();
        let (socket, _) = within(Socket::open(&config)).await.expect("the server upgrades");
        let pieces = within(socket.receive()).await.expect("a frame");
        let arriving = Duration::from_micros(u64::from(pieces.arriving_us));
        assert!(arriving >= Duration::from_millis(100), "{arriving:?}");
        assert!(before + arriving <= pieces.at);
        assert_eq!(within(socket.receive()).await.expect("a frame").arriving_us, 0);
    }
}

#[tokio::test]
async fn a_ping_is_answered_while_nobody_reads_and_readers_do_not_see_it() {
    let bytes = [frame(0x89, b"are you there"), frame(0x89, b""), frame(0x81, b"text")].concat();
    let (address, mut seen) = server_that_sends(bytes).await;
    let socket = open(address).await;
    assert_eq!(within(seen.recv()).await, Some((0x8a, b"are you there".to_vec())));
    assert_eq!(within(seen.recv()).await, Some((0x8a, Vec::new())));
    assert_eq!(text(&socket).await, "text");
    let counters = socket.counters();
    assert_eq!((counters.pings_received, counters.pongs_sent), (2, 2));
}

#[tokio::test]
async fn pings_can_be_delivered_and_left_unanswered() {
    let bytes = [frame(0x89, b"ping"), frame(0x8a, b"unasked"), frame(0x81, b"text")].concat();
    let (address, mut seen) = server_that_sends(bytes).await;
    let mut config = config_for(address);
    (config.deliver_pings, config.auto_pong) = (true, false);
    let (socket, _) = within(Socket::open(&config)).await.expect("the server upgrades");
    let mut opcodes = Vec::new();
    for _ in 0..3 {
        opcodes.push(within(socket.receive()).await.expect("a frame").opcode);
    }
    assert_eq!(opcodes, [Opcode::Ping, Opcode::Pong, Opcode::Text]);
    within(socket.send(Opcode::Pong, true, b"by hand")).await.expect("the server reads");
    assert_eq!(within(seen.recv()).await, Some((0x8a, b"by hand".to_vec())));
    assert_eq!(socket.counters().pongs_sent, 1);
}

/// A server that cuts a client which is silent for three seconds, and answers pings.
async fn impatient_server() -> std::net::SocketAddr {
    serve_upgraded(|mut stream| async move {
        while let Ok(Some((first, payload))) =
            tokio::time::timeout(Duration::from_secs(3), client_frame(&mut stream)).await
        {
            if first == 0x89 {
                stream.write_all(&frame(0x8a, &payload)).await.expect("the client reads");
            }
        }
    })
    .await
}

#[tokio::test]
async fn keep_alive_pings_outlive_a_server_that_cuts_idle_sockets() {
    let address = impatient_server().await;
    let idle = open(address).await;
    let mut config = config_for(address);
    config.ping_interval_ms = 100;
    let (kept, _) = within(Socket::open(&config)).await.expect("the server upgrades");
    assert!(matches!(within(idle.receive()).await, Err(SocketError::Closed { cause: CloseCause::Fin })));
    tokio::time::sleep(Duration::from_millis(4_500)).await;
    assert_eq!(kept.close_cause(), None);
    let counters = kept.counters();
    assert!(counters.pings_sent >= 3 && counters.pongs_received >= 2, "{counters:?}");
    assert_eq!(counters.queued, 0, "pongs to keep-alive pings are not for readers");
}

#[tokio::test]
async fn a_text_of_the_application_keeps_alive_too() {
    let (address, mut seen) = server_that_sends(Vec::new()).await;
    let mut config = config_for(address);
    config.ping_interval_ms = 50;
    config.ping_timeout_ms = 60;
    config.ping_text = Some(r#"{"message":"ping"}"#.to_owned());
    let (socket, _) = within(Socket::open(&config)).await.expect("the server upgrades");
    for _ in 0..4 {
        assert_eq!(within(seen.recv()).await, Some((0x81, br#"{"message":"ping"}"#.to_vec())));
    }
    assert_eq!(socket.close_cause(), None, "a text need not be answered");
}

#[tokio::test]
async fn a_server_that_answers_no_ping_is_given_up_with_the_silence_told() {
    let (address, _seen) = server_that_sends(Vec::new()).await;
    let mut config = config_for(address);
    (config.ping_interval_ms, config.ping_timeout_ms) = (50, 200);
    let (socket, _) = within(Socket::open(&config)).await.expect("the server upgrades");
    let error = within(socket.receive()).await.expect_err("the end");
    let SocketError::Closed { cause: CloseCause::PingTimeout { silent_ms } } = error else { panic!("{error}") };
    assert!(silent_ms >= 200, "{silent_ms}");
    let error = within(socket.send(Opcode::Text, true, b"x")).await.expect_err("the end");
    assert!(matches!(error, SocketError::Closed { cause: CloseCause::PingTimeout { .. } }), "{error}");
}

#[tokio::test]
async fn any_frame_counts_as_a_sign_of_life() {
    let address = serve_upgraded(|mut stream| async move {
        while stream.write_all(&frame(0x81, b"busy")).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let mut config = config_for(address);
    (config.ping_interval_ms, config.ping_timeout_ms) = (30, 3_000);
    let (socket, _) = within(Socket::open(&config)).await.expect("the server upgrades");
    tokio::time::sleep(Duration::from_millis(4_500)).await;
    assert_eq!(socket.close_cause(), None);
}

#[tokio::test]
async fn fragments_come_one_by_one_with_control_frames_between_in_wire_order() {
    let bytes = [frame(0x01, b"he"), frame(0x8a, b"!"), frame(0x00, b"l"), frame(0x80, b"lo")].concat();
    let (address, _seen) = server_that_sends(bytes).await;
    let socket = open(address).await;
    let mut got = Vec::new();
    for _ in 0..4 {
        let frame = within(socket.receive()).await.expect("a frame");
        got.push((frame.opcode, frame.fin, frame.payload.to_vec()));
    }
    let expected = [
        (Opcode::Text, false, b"he".to_vec()),
        (Opcode::Pong, true, b"!".to_vec()),
        (Opcode::Continuation, false, b"l".to_vec()),
        (Opcode::Continuation, true, b"lo".to_vec()),
    ];
    assert_eq!(got, expected);
}

#[tokio::test]
async fn fragments_can_be_sent_with_a_ping_between() {
    let (messages, mut seen) = mpsc::unbounded_channel();
    let address = serve(move |stream| {
        let messages = messages.clone();
        async move {
            let mut peer = tokio_tungstenite::accept_async(stream).await.expect("the client upgrades");
            while let Some(Ok(message)) = peer.next().await {
                messages.send(message).expect("the test listens");
            }
        }
    })
    .await;
    let socket = open(address).await;
    within(socket.send(Opcode::Text, false, b"he")).await.expect("the server reads");
    within(socket.send(Opcode::Ping, true, b"?")).await.expect("the server reads");
    within(socket.send(Opcode::Continuation, true, b"llo")).await.expect("the server reads");
    assert_eq!(within(seen.recv()).await, Some(Message::Ping("?".into())));
    assert_eq!(within(seen.recv()).await, Some(Message::text("hello")));
    assert_eq!(text(&socket).await, "?", "a pong to a ping by hand is for readers");
}

#[tokio::test]
async fn thousands_of_frames_keep_their_order() {
    let bytes: Vec<u8> = (0..20_000).flat_map(|number: u32| frame(0x81, number.to_string().as_bytes())).collect();
    let (address, _seen) = server_that_sends(bytes).await;
    let mut config = config_for(address);
    config.queue_frames = 20_000;
    let (socket, _) = within(Socket::open(&config)).await.expect("the server upgrades");
    for number in 0..20_000 {
        assert_eq!(text(&socket).await, number.to_string());
    }
    assert_eq!(socket.counters().overflowed, 0);
}

#[tokio::test]
async fn beyond_the_queue_the_oldest_frames_go_and_are_counted() {
    let bytes: Vec<u8> = (0..10).flat_map(|number: u32| frame(0x81, number.to_string().as_bytes())).collect();
    let (address, _seen) = server_that_sends(bytes).await;
    let mut config = config_for(address);
    config.queue_frames = 4;
    let (socket, _) = within(Socket::open(&config)).await.expect("the server upgrades");
    within(async {
        while socket.counters().frames_received < 10 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(text(&socket).await, "6");
    let counters = socket.counters();
    assert_eq!((counters.overflowed, counters.queued), (6, 3));
}

#[tokio::test]
async fn waiting_for_a_message_leaves_the_others_queued_in_order() {
    let bytes = ["a", "b", "wanted", "c"].iter().flat_map(|text| frame(0x81, text.as_bytes())).collect();
    let (address, _seen) = server_that_sends(bytes).await;
    let socket = open(address).await;
    let wanted = within(socket.receive_matching(&|frame: &Frame| frame.payload == "wanted")).await.expect("a frame");
    assert_eq!(wanted.payload, "wanted");
    assert_eq!([text(&socket).await, text(&socket).await, text(&socket).await], ["a", "b", "c"]);
}

#[tokio::test]
async fn a_read_that_runs_out_of_time_takes_no_frame() {
    let socket = open(echo_server().await).await;
    tokio::time::timeout(Duration::from_millis(50), socket.receive()).await.expect_err("nothing came");
    within(socket.send(Opcode::Text, true, b"late")).await.expect("the server reads");
    assert_eq!(text(&socket).await, "late");
}

/// Takes frames that begin with its prefix and remembers the end.
struct Prefix(&'static str, Mutex<Vec<String>>, Mutex<Vec<CloseCause>>);

impl Prefix {
    fn new(prefix: &'static str) -> Arc<Self> {
        Arc::new(Self(prefix, Mutex::default(), Mutex::default()))
    }
}

impl Tap for Prefix {
    fn frame(&self, frame: &Frame) -> bool {
        let mine = frame.payload.starts_with(self.0.as_bytes());
        if mine {
            self.1.lock().push(String::from_utf8_lossy(&frame.payload).into_owned());
        }
        mine
    }

    fn closed(&self, cause: &CloseCause) {
        self.2.lock().push(cause.clone());
    }
}

#[tokio::test]
async fn a_tap_takes_frames_before_readers_until_its_guard_drops() {
    let socket = open(echo_server().await).await;
    let (first, second) = (Prefix::new("call:1"), Prefix::new("call:"));
    let guard = socket.tap(Arc::clone(&first) as Arc<dyn Tap>);
    let _other = socket.tap(Arc::clone(&second) as Arc<dyn Tap>);
    for message in ["call:1 a", "plan", "call:2 b"] {
        within(socket.send(Opcode::Text, true, message.as_bytes())).await.expect("the server reads");
    }
    assert_eq!(text(&socket).await, "plan");
    drop(guard);
    within(socket.send(Opcode::Text, true, b"call:1 c")).await.expect("the server reads");
    within(socket.send(Opcode::Text, true, b"end")).await.expect("the server reads");
    assert_eq!(text(&socket).await, "end");
    assert_eq!(*first.1.lock(), ["call:1 a"]);
    assert_eq!(*second.1.lock(), ["call:2 b", "call:1 c"]);
}

#[tokio::test]
async fn a_tap_hears_of_the_end_exactly_once_also_when_it_comes_late() {
    let socket = open(echo_server().await).await;
    let (early, late) = (Prefix::new("-"), Prefix::new("-"));
    let _early = socket.tap(Arc::clone(&early) as Arc<dyn Tap>);
    within(socket.close(1000, "", Duration::from_secs(20))).await;
    socket.abort(CloseCause::ScopeEnded);
    let _late = socket.tap(Arc::clone(&late) as Arc<dyn Tap>);
    for tap in [early, late] {
        assert_eq!(*tap.2.lock(), [CloseCause::ClosedByUs { code: 1000 }]);
    }
}

/// A tap that panics must not leave readers waiting for ever.
struct Panicking;

impl Tap for Panicking {
    fn frame(&self, _: &Frame) -> bool {
        panic!("a tap of the test panics on purpose")
    }

    fn closed(&self, _: &CloseCause) {}
}

#[tokio::test]
async fn a_tap_that_panics_ends_its_socket_and_wakes_the_readers() {
    let socket = open(echo_server().await).await;
    let _guard = socket.tap(Arc::new(Panicking));
    within(socket.send(Opcode::Text, true, b"x")).await.expect("the server reads");
    let error = within(socket.receive()).await.expect_err("the end");
    assert!(matches!(error, SocketError::Closed { cause: CloseCause::Io { .. } }), "{error}");
}

#[tokio::test]
async fn concurrent_sends_go_out_whole() {
    let socket = open(echo_server().await).await;
    let senders: Vec<_> = (0..8u8)
        .map(|number| {
            let socket = socket.clone();
            tokio::spawn(async move {
                for _ in 0..20 {
                    socket.send(Opcode::Binary, true, &vec![number; 50_000]).await.expect("the server reads");
                }
            })
        })
        .collect();
    let mut counts = [0; 8];
    for _ in 0..160 {
        let frame = within(socket.receive()).await.expect("an echo");
        let number = frame.payload[0];
        assert!(frame.payload == vec![number; 50_000]);
        counts[usize::from(number)] += 1;
    }
    assert_eq!(counts, [20; 8]);
    for sender in senders {
        within(sender).await.expect("no panic");
    }
}

#[tokio::test]
async fn a_server_that_does_not_read_stops_neither_reading_nor_cancelling() {
    let (go_on, mut waits) = mpsc::unbounded_channel::<()>();
    let (frames, mut seen) = mpsc::unbounded_channel();
    let waits = Arc::new(tokio::sync::Mutex::new(Some(async move { waits.recv().await })));
    let address = serve_upgraded(move |mut stream| {
        let (waits, frames) = (Arc::clone(&waits), frames.clone());
        async move {
            let waits = waits.lock().await.take().expect("one connection");
            stream.write_all(&frame(0x89, b"1")).await.expect("the client reads");
            tokio::time::sleep(Duration::from_millis(300)).await;
            stream
                .write_all(&[frame(0x89, b"2"), frame(0x89, b"3"), frame(0x81, b"read me")].concat())
                .await
                .expect("the client reads");
            waits.await;
            while let Some((first, payload)) = client_frame(&mut stream).await {
                frames.send((first, payload.len(), payload.first().copied())).expect("the test listens");
            }
        }
    })
    .await;
    let socket = open(address).await;
    within(async {
        while socket.counters().pongs_sent < 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    // More than the kernel takes: this send begins and cannot end.
    let huge = vec![b'h'; 32 << 20];
    let begun = tokio::time::timeout(Duration::from_millis(200), socket.send(Opcode::Binary, true, &huge));
    begun.await.expect_err("the server does not read");
    // These have not begun when they are cancelled.
    for _ in 0..3 {
        let waiting = tokio::time::timeout(Duration::from_millis(20), socket.send(Opcode::Text, true, b"never"));
        waiting.await.expect_err("the server does not read");
    }
    assert_eq!(text(&socket).await, "read me");
    go_on.send(()).expect("the server waits");
    assert_eq!(within(seen.recv()).await, Some((0x8a, 1, Some(b'1'))));
    assert_eq!(within(seen.recv()).await, Some((0x82, huge.len(), Some(b'h'))), "what had begun is finished");
    assert_eq!(within(seen.recv()).await, Some((0x8a, 1, Some(b'3'))), "the latest pong stands for all");
    within(socket.send(Opcode::Text, true, b"after")).await.expect("the server reads");
    assert_eq!(within(seen.recv()).await, Some((0x81, 5, Some(b'a'))), "what had not begun was withdrawn");
}

#[tokio::test]
async fn a_control_frame_that_breaks_the_protocol_is_not_sent() {
    let socket = open(echo_server().await).await;
    let error = within(socket.send(Opcode::Ping, true, &[0; 126])).await.expect_err("too long");
    assert!(matches!(&error, SocketError::Config(config) if config.field == "payload"), "{error}");
    let error = within(socket.send(Opcode::Ping, false, b"")).await.expect_err("fragmented");
    assert!(matches!(&error, SocketError::Config(config) if config.field == "fin"), "{error}");
    assert_eq!(socket.counters().frames_sent, 0);
}

/// A server that agrees to compression as `agreed` says, sends `bytes` and reports what comes.
async fn compressing_server(
    agreed: &'static str,
    bytes: Vec<u8>,
) -> (SocketConfig, mpsc::UnboundedReceiver<(u8, Vec<u8>)>) {
    let (frames, seen) = mpsc::unbounded_channel();
    let address = serve(move |mut stream| {
        let (bytes, frames) = (bytes.clone(), frames.clone());
        async move {
            let request = upgrade(&mut stream, &format!("Sec-WebSocket-Extensions: {agreed}\r\n")).await;
            assert!(request.contains("Sec-WebSocket-Extensions: permessage-deflate"), "{request}");
            stream.write_all(&bytes).await.expect("the client reads");
            while let Some(frame) = client_frame(&mut stream).await {
                frames.send(frame).expect("the test listens");
            }
        }
    })
    .await;
    let mut config = config_for(address);
    config.deflate = true;
    (config, seen)
}

/// Compresses messages one after the other with one window (context takeover).
fn deflated(messages: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut compress = flate2::Compress::new(flate2::Compression::default(), false);
    let one = |message: &&[u8]| {
        let mut output = Vec::with_capacity(message.len() + 1024);
        compress.compress_vec(message, &mut output, flate2::FlushCompress::Sync).expect("compressible");
        output.truncate(output.len() - 4);
        output
    };
    messages.iter().map(one).collect()
}

#[tokio::test]
async fn compressed_messages_arrive_inflated_across_fragments_and_with_one_window() {
    let message = b"the same words again and again and again".as_slice();
    let compressed = deflated(&[message, message]);
    assert!(compressed[1].len() < compressed[0].len() / 2, "the window is used");
    let (head, tail) = compressed[1].split_at(3);
    let bytes = [frame(0xc1, &compressed[0]), frame(0x81, b"plain"), frame(0x41, head), frame(0x80, tail)].concat();
    let (config, _seen) = compressing_server("permessage-deflate", bytes).await;
    let (socket, opened) = within(Socket::open(&config)).await.expect("the server upgrades");
    assert!(opened.deflate);
    let first = within(socket.receive()).await.expect("a frame");
    assert_eq!(
        (first.payload.as_ref(), first.compressed, first.wire_payload_bytes),
        (message, true, compressed[0].len())
    );
    assert_eq!(text(&socket).await, "plain");
    let (begin, end) =
        (within(socket.receive()).await.expect("a frame"), within(socket.receive()).await.expect("a frame"));
    assert!(!begin.fin && end.fin && end.opcode == Opcode::Continuation);
    assert_eq!([&begin.payload[..], &end.payload].concat(), message);
}

#[tokio::test]
async fn outgoing_messages_are_compressed_only_on_request() {
    let (mut config, mut seen) = compressing_server("permessage-deflate; client_no_context_takeover", Vec::new()).await;
    let (socket, _) = within(Socket::open(&config)).await.expect("the server upgrades");
    within(socket.send(Opcode::Text, true, b"plain")).await.expect("the server reads");
    assert_eq!(within(seen.recv()).await, Some((0x81, b"plain".to_vec())));
    config.deflate_outgoing = true;
    let (socket, _) = within(Socket::open(&config)).await.expect("the server upgrades");
    for _ in 0..2 {
        let sent = within(socket.send(Opcode::Text, true, &[b'a'; 1000])).await.expect("the server reads");
        let (first, payload) = within(seen.recv()).await.expect("a frame");
        assert_eq!((first, sent.bytes), (0xc1, payload.len() + 6));
        let mut output = Vec::with_capacity(2000);
        let input = [payload.as_slice(), &[0, 0, 0xff, 0xff]].concat();
        let mut decompress = flate2::Decompress::new(false);
        decompress.decompress_vec(&input, &mut output, flate2::FlushDecompress::Sync).expect("valid");
        assert_eq!(output, [b'a'; 1000]);
    }
}

#[tokio::test]
async fn a_bomb_ends_the_socket_instead_of_filling_the_memory() {
    let zeros = vec![0; 64 << 20];
    let mut compress = flate2::Compress::new(flate2::Compression::best(), false);
    let mut bomb = Vec::with_capacity(1 << 20);
    compress.compress_vec(&zeros, &mut bomb, flate2::FlushCompress::Sync).expect("compressible");
    let (mut config, mut seen) = compressing_server("permessage-deflate", frame(0xc2, &bomb[..bomb.len() - 4])).await;
    config.max_frame_bytes = 1 << 20;
    let (socket, _) = within(Socket::open(&config)).await.expect("the server upgrades");
    let error = within(socket.receive()).await.expect_err("the end");
    assert!(error.to_string().contains("maxFrameBytes"), "{error}");
    assert_eq!(within(seen.recv()).await, Some((0x88, 1009u16.to_be_bytes().to_vec())));
}

#[tokio::test]
async fn a_breach_of_the_protocol_is_closed_with_1002_and_kept_as_cause() {
    let (address, mut seen) = server_that_sends([frame(0x81, b"good"), frame(0xc1, b"bad")].concat()).await;
    let socket = open(address).await;
    assert_eq!(text(&socket).await, "good");
    let error = within(socket.receive()).await.expect_err("the end");
    assert!(
        matches!(&error, SocketError::Closed { cause: CloseCause::Protocol { detail } } if detail.contains("RSV1")),
        "{error}"
    );
    assert_eq!(within(seen.recv()).await, Some((0x88, 1002u16.to_be_bytes().to_vec())));
}

#[tokio::test]
async fn a_frame_cut_into_single_bytes_arrives_whole() {
    let address = serve_upgraded(|mut stream| async move {
        stream.set_nodelay(true).expect("a socket");
        for byte in frame(0x82, &[7; 300]) {
            stream.write_all(&[byte]).await.expect("the client reads");
            tokio::task::yield_now().await;
        }
        until_end(&mut stream).await;
    })
    .await;
    let socket = open(address).await;
    assert_eq!(within(socket.receive()).await.expect("a frame").payload, vec![7; 300]);
}

#[tokio::test]
async fn a_socket_does_not_outlive_its_runtime_unnoticed() {
    let address = echo_server().await;
    let opening = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(open(address))
    });
    let socket = tokio::task::spawn_blocking(|| opening.join().expect("no panic")).await.expect("no panic");
    let error = within(socket.receive()).await.expect_err("its runtime is gone");
    assert!(matches!(error, SocketError::Closed { cause: CloseCause::Io { .. } }), "{error}");
}

#[tokio::test]
async fn a_reader_far_behind_is_no_hindrance() {
    let address = serve_upgraded(|mut stream| async move {
        let (mut read, mut write) = stream.split();
        let sending = async {
            for _ in 0..2000 {
                write.write_all(&frame(0x82, &[0; 10_000])).await.expect("the client reads");
            }
            write.write_all(&frame(0x81, b"done")).await.expect("the client reads");
        };
        let reading = async { while matches!(read.read(&mut [0; 1024]).await, Ok(read) if read > 0) {} };
        tokio::join!(sending, reading);
    })
    .await;
    let mut config = config_for(address);
    config.queue_bytes = 100_000;
    let (socket, _) = within(Socket::open(&config)).await.expect("the server upgrades");
    within(socket.receive_matching(&|frame: &Frame| frame.opcode == Opcode::Text)).await.expect("the last frame");
    let counters = socket.counters();
    assert_eq!(counters.frames_received, 2001);
    assert!(counters.queued <= 11 && counters.overflowed >= 1990, "{counters:?}");
}

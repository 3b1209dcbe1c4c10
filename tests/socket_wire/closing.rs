//! How a socket ends, and who is told what.

use std::net::SocketAddr;
use std::time::Duration;

use jmeter_webrtc::socket::{CloseCause, Opcode, Socket, SocketError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::server::{PATIENCE, client_frame, config_for, frame, open, serve_upgraded, until_end, within};

/// A server that sends `bytes`, then ends as `end` says, and reports what the client sends; `None`
/// is the end of the stream.
async fn server_that_ends(bytes: Vec<u8>, end: End) -> (SocketAddr, mpsc::UnboundedReceiver<Option<(u8, Vec<u8>)>>) {
    let (frames, seen) = mpsc::unbounded_channel();
    let address = serve_upgraded(move |mut stream| {
        let (bytes, frames) = (bytes.clone(), frames.clone());
        async move {
            stream.write_all(&bytes).await.expect("the client reads");
            match end {
                End::Never => {}
                End::Fin => stream.shutdown().await.expect("the client is there"),
                End::Reset => return reset(stream),
            }
            loop {
                let frame = client_frame(&mut stream).await;
                let ended = frame.is_none();
                // The test may be over already.
                if frames.send(frame).is_err() || ended {
                    break;
                }
            }
        }
    })
    .await;
    (address, seen)
}

#[derive(Clone, Copy)]
enum End {
    Never,
    Fin,
    Reset,
}

fn reset(stream: TcpStream) {
    stream.set_zero_linger().expect("a socket");
    drop(stream);
}

async fn cause(socket: &Socket) -> CloseCause {
    match within(socket.receive()).await {
        Err(SocketError::Closed { cause }) => cause,
        other => panic!("the end was expected, not {other:?}"),
    }
}

fn close_frame(code: u16, reason: &str) -> Vec<u8> {
    frame(0x88, &[&code.to_be_bytes(), reason.as_bytes()].concat())
}

#[tokio::test]
async fn a_close_frame_is_delivered_answered_once_and_kept_as_cause() {
    let bytes = [frame(0x81, b"before"), close_frame(4001, "token expired")].concat();
    let (address, mut seen) = server_that_ends(bytes, End::Never).await;
    let socket = open(address).await;
    assert_eq!(within(socket.receive()).await.expect("a frame").payload, "before");
    let close = within(socket.receive()).await.expect("the close frame");
    assert_eq!((close.opcode, close.close_status()), (Opcode::Close, (Some(4001), "token expired".to_owned())));
    let expected = CloseCause::CloseFrame { code: Some(4001), reason: "token expired".to_owned() };
    assert_eq!(cause(&socket).await, expected);
    assert_eq!(socket.close_cause(), Some(expected.clone()));
    let error = within(socket.send(Opcode::Text, true, b"x")).await.expect_err("the end");
    assert!(matches!(error, SocketError::Closed { cause } if cause == expected));
    assert_eq!(within(seen.recv()).await, Some(Some((0x88, 4001u16.to_be_bytes().to_vec()))));
    assert_eq!(within(seen.recv()).await, Some(None), "then TCP ends, and nothing is sent before");
}

#[tokio::test]
async fn a_status_that_must_not_be_on_the_wire_is_kept_raw() {
    for (bytes, code) in
        [(close_frame(1006, ""), Some(1006)), (close_frame(1014, ""), Some(1014)), (frame(0x88, b""), None)]
    {
        let (address, mut seen) = server_that_ends(bytes, End::Never).await;
        let socket = open(address).await;
        within(socket.receive()).await.expect("the close frame");
        assert_eq!(cause(&socket).await, CloseCause::CloseFrame { code, reason: String::new() });
        let answer = match code {
            Some(1006) => 1002u16.to_be_bytes().to_vec(),
            Some(code) => code.to_be_bytes().to_vec(),
            None => Vec::new(),
        };
        assert_eq!(within(seen.recv()).await, Some(Some((0x88, answer))));
    }
}

#[tokio::test]
async fn a_close_frame_can_be_left_for_the_user_to_answer() {
    let (address, mut seen) = server_that_ends(close_frame(1001, ""), End::Never).await;
    let mut config = config_for(address);
    config.echo_close = false;
    let (socket, _) = within(Socket::open(&config)).await.expect("the server upgrades");
    within(socket.receive()).await.expect("the close frame");
    within(socket.send(Opcode::Text, true, b"x")).await.expect_err("the end");
    within(socket.send(Opcode::Close, true, &3000u16.to_be_bytes())).await.expect("the answer");
    assert_eq!(within(seen.recv()).await, Some(Some((0x88, 3000u16.to_be_bytes().to_vec()))));
    assert_eq!(socket.close_cause(), Some(CloseCause::CloseFrame { code: Some(1001), reason: String::new() }));
}

#[tokio::test]
async fn a_fin_and_a_reset_are_told_apart_and_queued_frames_survive_both() {
    for (end, expected) in [(End::Fin, CloseCause::Fin), (End::Reset, CloseCause::Reset)] {
        let (address, _seen) = server_that_ends(frame(0x81, b"last words"), end).await;
        let socket = open(address).await;
        within(async {
            while socket.close_cause().is_none() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        assert_eq!(within(socket.receive()).await.expect("a frame").payload, "last words");
        assert_eq!(cause(&socket).await, expected);
        let error = within(socket.send(Opcode::Text, true, b"x")).await.expect_err("the end");
        assert!(matches!(error, SocketError::Closed { cause } if cause == expected));
    }
}

#[tokio::test]
async fn a_fin_within_a_frame_is_a_fin() {
    let (address, _seen) = server_that_ends(frame(0x81, b"cut")[..3].to_vec(), End::Fin).await;
    assert_eq!(cause(&open(address).await).await, CloseCause::Fin);
}

#[tokio::test]
async fn a_close_frame_before_a_reset_is_the_cause() {
    for _ in 0..20 {
        let (address, _seen) = server_that_ends(close_frame(1012, "restart"), End::Reset).await;
        let socket = open(address).await;
        let expected = CloseCause::CloseFrame { code: Some(1012), reason: "restart".to_owned() };
        within(async {
            // Writing meanwhile must not hide it.
            while socket.send(Opcode::Text, true, b"x").await.is_ok() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(socket.close_cause(), Some(expected));
    }
}

#[tokio::test]
async fn closing_by_us_waits_for_the_answer_which_readers_get_too() {
    let address = serve_upgraded(|mut stream| async move {
        let (first, payload) = client_frame(&mut stream).await.expect("a close frame");
        assert_eq!(
            (first, payload.as_slice()),
            (0x88, [&1000u16.to_be_bytes(), b"bye".as_slice()].concat().as_slice())
        );
        let bytes = [frame(0x81, b"one more"), close_frame(1000, "bye")].concat();
        stream.write_all(&bytes).await.expect("the client reads");
    })
    .await;
    let socket = open(address).await;
    assert_eq!(within(socket.close(1000, "bye", PATIENCE)).await, CloseCause::ClosedByUs { code: 1000 });
    assert_eq!(within(socket.receive()).await.expect("a frame").payload, "one more");
    assert_eq!(within(socket.receive()).await.expect("the answer").opcode, Opcode::Close);
    assert_eq!(cause(&socket).await, CloseCause::ClosedByUs { code: 1000 });
    assert_eq!(within(socket.close(4000, "", PATIENCE)).await, CloseCause::ClosedByUs { code: 1000 });
}

#[tokio::test]
async fn a_close_frame_sent_by_hand_ends_sending_but_not_reading() {
    let (go_on, waits) = tokio::sync::oneshot::channel::<()>();
    let waits = std::sync::Arc::new(tokio::sync::Mutex::new(Some(waits)));
    let address = serve_upgraded(move |mut stream| {
        let waits = std::sync::Arc::clone(&waits);
        async move {
            client_frame(&mut stream).await.expect("a close frame");
            let waits = waits.lock().await.take().expect("one connection");
            waits.await.expect("the test goes on");
            stream.write_all(&close_frame(1000, "")).await.expect("the client reads");
        }
    })
    .await;
    let socket = open(address).await;
    within(socket.send(Opcode::Close, true, &1000u16.to_be_bytes())).await.expect("the server reads");
    let error = within(socket.send(Opcode::Text, true, b"x")).await.expect_err("closing");
    assert!(matches!(error, SocketError::Closed { cause: CloseCause::ClosedByUs { code: 1000 } }));
    assert_eq!(socket.close_cause(), None, "not answered yet");
    go_on.send(()).expect("the server waits");
    assert_eq!(within(socket.receive()).await.expect("the answer").opcode, Opcode::Close);
    assert_eq!(cause(&socket).await, CloseCause::ClosedByUs { code: 1000 });
}

#[tokio::test]
async fn a_server_that_never_answers_a_close_is_left_at_the_deadline() {
    let (address, mut seen) = server_that_ends(Vec::new(), End::Never).await;
    let socket = open(address).await;
    let cause = within(socket.close(1001, "", Duration::from_millis(100))).await;
    assert_eq!(cause, CloseCause::ClosedByUs { code: 1001 });
    assert_eq!(within(seen.recv()).await, Some(Some((0x88, 1001u16.to_be_bytes().to_vec()))));
    assert_eq!(within(seen.recv()).await, Some(None), "TCP has ended");
}

#[tokio::test]
async fn a_server_that_ends_tcp_after_our_close_has_answered_it() {
    let address = serve_upgraded(|mut stream| async move {
        client_frame(&mut stream).await.expect("a close frame");
    })
    .await;
    let socket = open(address).await;
    assert_eq!(within(socket.close(1000, "", PATIENCE)).await, CloseCause::ClosedByUs { code: 1000 });
}

#[tokio::test]
async fn a_close_without_status_has_no_payload() {
    let (address, mut seen) = server_that_ends(Vec::new(), End::Never).await;
    let socket = open(address).await;
    within(socket.close(1005, "unused", Duration::from_millis(50))).await;
    assert_eq!(within(seen.recv()).await, Some(Some((0x88, Vec::new()))));
}

#[tokio::test]
async fn aborting_ends_tcp_at_once_and_wakes_everybody() {
    let (address, mut seen) = server_that_ends(Vec::new(), End::Never).await;
    let socket = open(address).await;
    let waiting = tokio::spawn({
        let socket = socket.clone();
        async move { socket.receive().await }
    });
    tokio::task::yield_now().await;
    socket.abort(CloseCause::ScopeEnded);
    let error = within(waiting).await.expect("no panic").expect_err("the end");
    assert!(matches!(error, SocketError::Closed { cause: CloseCause::ScopeEnded }), "{error}");
    assert_eq!(within(seen.recv()).await, Some(None), "without a close frame");
    socket.abort(CloseCause::Fin);
    assert_eq!(socket.close_cause(), Some(CloseCause::ScopeEnded), "the first cause stays");
}

#[tokio::test]
async fn aborting_frees_a_sender_that_waits_for_the_kernel() {
    let (_keep, kept) = mpsc::unbounded_channel::<()>();
    let kept = std::sync::Arc::new(tokio::sync::Mutex::new(kept));
    let address = serve_upgraded(move |stream| {
        let kept = std::sync::Arc::clone(&kept);
        async move {
            kept.lock().await.recv().await;
            drop(stream);
        }
    })
    .await;
    let socket = open(address).await;
    let sending = tokio::spawn({
        let socket = socket.clone();
        async move { socket.send(Opcode::Binary, true, &vec![0; 64 << 20]).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    socket.abort(CloseCause::ScopeEnded);
    let error = within(sending).await.expect("no panic").expect_err("the end");
    assert!(matches!(error, SocketError::Closed { cause: CloseCause::ScopeEnded }), "{error}");
}

#[tokio::test]
async fn dropping_the_last_clone_ends_tcp() {
    let (ends, mut seen) = mpsc::unbounded_channel();
    let address = serve_upgraded(move |mut stream| {
        let ends = ends.clone();
        async move {
            let read = stream.read(&mut [0; 16]).await;
            assert!(matches!(read, Ok(0)), "an orderly end, not {read:?}");
            ends.send(()).expect("the test listens");
        }
    })
    .await;
    let socket = open(address).await;
    let clone = socket.clone();
    drop(socket);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(seen.try_recv().is_err(), "a clone keeps it open");
    assert_eq!(clone.close_cause(), None);
    drop(clone);
    within(seen.recv()).await.expect("the end");
}

#[tokio::test]
async fn counters_stay_readable_after_the_end() {
    let address = serve_upgraded(|mut stream| async move {
        stream.write_all(&[frame(0x89, b"p"), frame(0x81, b"t")].concat()).await.expect("the client reads");
        client_frame(&mut stream).await.expect("a pong");
        client_frame(&mut stream).await.expect("a text");
        stream.write_all(&close_frame(1000, "")).await.expect("the client reads");
        until_end(&mut stream).await;
    })
    .await;
    let socket = open(address).await;
    within(socket.receive()).await.expect("a text");
    within(socket.send(Opcode::Text, true, b"t")).await.expect("the server reads");
    within(socket.receive()).await.expect("the close frame");
    cause(&socket).await;
    socket.abort(CloseCause::ScopeEnded);
    let counters = socket.counters();
    assert_eq!((counters.frames_sent, counters.frames_received), (3, 3));
    assert_eq!((counters.bytes_sent, counters.bytes_received), (7 + 7 + 8, 3 + 3 + 4));
}

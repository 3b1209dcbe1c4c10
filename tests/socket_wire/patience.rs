//! How long a connection that is taken word for word waits: as long for each read as its time says, and not for all together.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jmeter_webrtc::socket::{Missed, Proxy, Socket, SocketConfig, SocketError};
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;

use crate::server::{
    acceptance, config_for, dribble, frame, literal_config, request, serve, serve_upgraded, until_end, upgrade, within,
};

/// The time of a read.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Between two pieces; short enough for a machine that does other things, too.
const PAUSE: Duration = Duration::from_millis(400);
/// So many pieces take longer than the time of one read.
const PIECES: usize = 7;

/// Reads as a script does: on a thread of its own.
async fn read(socket: &Socket, timeout: Duration) -> Result<String, Missed> {
    let socket = socket.clone();
    let read = tokio::task::spawn_blocking(move || {
        let start = Instant::now();
        socket.receive_here(None, start, start + timeout, pending())
    });
    let read = within(read).await.expect("no panic")?;
    Ok(String::from_utf8(read.expect("a frame").payload.to_vec()).expect("text"))
}

async fn open(config: &SocketConfig) -> Socket {
    within(Socket::open(config)).await.expect("the server upgrades").0
}

/// A server that sends a frame in pieces.
async fn dribbling_server() -> SocketAddr {
    serve_upgraded(|mut stream| async move {
        dribble(&mut stream, &frame(0x81, b"in seven pieces"), PIECES, PAUSE).await;
        until_end(&mut stream).await;
    })
    .await
}

#[tokio::test]
async fn a_frame_whose_pieces_come_in_time_may_come_late_as_a_whole() {
    let socket = open(&literal_config(dribbling_server().await, false)).await;
    assert_eq!(read(&socket, TIMEOUT).await.as_deref(), Ok("in seven pieces"));
}

#[tokio::test]
async fn the_time_of_a_socket_that_is_not_literal_is_that_of_the_whole_frame() {
    let socket = open(&config_for(dribbling_server().await)).await;
    assert_eq!(read(&socket, TIMEOUT).await, Err(Missed::Deadline));
    assert_eq!(read(&socket, TIMEOUT).await.as_deref(), Ok("in seven pieces"));
}

#[tokio::test]
async fn a_frame_that_pauses_for_too_long_is_late_and_the_next_read_has_it_whole() {
    let go_on = Arc::new(Notify::new());
    let theirs = Arc::clone(&go_on);
    let address = serve_upgraded(move |mut stream| {
        let theirs = Arc::clone(&theirs);
        async move {
            let bytes = frame(0x81, b"whole");
            stream.write_all(&bytes[..4]).await.expect("the client reads");
            theirs.notified().await;
            stream.write_all(&bytes[4..]).await.expect("the client reads");
            until_end(&mut stream).await;
        }
    })
    .await;
    let socket = open(&literal_config(address, false)).await;
    let started = Instant::now();
    assert_eq!(read(&socket, PAUSE).await, Err(Missed::Deadline));
    assert!(started.elapsed() >= PAUSE);
    // Of the part that came before, nothing is counted again.
    assert_eq!(read(&socket, PAUSE).await, Err(Missed::Deadline));
    go_on.notify_one();
    assert_eq!(read(&socket, TIMEOUT).await.as_deref(), Ok("whole"));
}

#[tokio::test]
async fn an_answer_to_the_upgrade_whose_pieces_come_in_time_may_come_late_as_a_whole() {
    let address = serve(|mut stream| async move {
        let answer = acceptance(&request(&mut stream).await, "");
        dribble(&mut stream, answer.as_bytes(), PIECES, PAUSE).await;
        until_end(&mut stream).await;
    })
    .await;
    for (mut config, opens) in [(literal_config(address, false), true), (config_for(address), false)] {
        config.handshake_timeout_ms = TIMEOUT.as_millis() as u64;
        let opened = within(Socket::open(&config)).await;
        assert_eq!(opened.is_ok(), opens, "{opened:?}");
    }
}

#[tokio::test]
async fn an_answer_to_the_upgrade_that_pauses_for_too_long_is_late() {
    let address = serve(|mut stream| async move {
        let answer = acceptance(&request(&mut stream).await, "");
        stream.write_all(&answer.as_bytes()[..20]).await.expect("the client reads");
        until_end(&mut stream).await;
    })
    .await;
    let mut config = literal_config(address, false);
    config.handshake_timeout_ms = PAUSE.as_millis() as u64;
    let error = within(Socket::open(&config)).await.expect_err("the rest is missing");
    assert!(matches!(error, SocketError::Deadline { phase: "upgrade", deadline_ms: 400 }), "{error}");
}

#[tokio::test]
async fn an_answer_of_the_proxy_whose_pieces_come_in_time_may_come_late_as_a_whole() {
    let address = serve(|mut stream| async move {
        request(&mut stream).await;
        dribble(&mut stream, b"HTTP/1.1 200 Connection established\r\n\r\n", PIECES, PAUSE).await;
        upgrade(&mut stream, "").await;
        until_end(&mut stream).await;
    })
    .await;
    let mut config = literal_config(address, false);
    config.proxy = Some(Proxy { host: "127.0.0.1".to_owned(), port: address.port(), user: None, password: None });
    config.handshake_timeout_ms = TIMEOUT.as_millis() as u64;
    open(&config).await;
}

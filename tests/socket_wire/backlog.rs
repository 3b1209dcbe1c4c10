//! Frames that come faster than a plan reads them: none is lost, and memory stays bounded.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jmeter_webrtc::socket::{CloseCause, Frame, Missed, Opcode, Socket, SocketConfig, SocketError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};

use crate::server::{client_frame, frame, literal_config, serve_upgraded, until_end, within};

/// Frames that may be unread.
const LIMIT: usize = 100;
/// Bytes of each.
const SIZE: usize = 10_000;
/// What is read from the wire at once has so many at most.
const OF_ONE_READ: usize = (64 << 10) / SIZE + 1;

/// A frame that says which it is.
fn numbered(number: u32) -> Vec<u8> {
    let mut payload = vec![0; SIZE];
    payload[..4].copy_from_slice(&number.to_be_bytes());
    frame(0x82, &payload)
}

fn number(frame: &Frame) -> u32 {
    u32::from_be_bytes(frame.payload[..4].try_into().expect("four bytes"))
}

/// A server that sends so many frames and ends TCP, and how many the kernel has taken.
async fn pushing_server(frames: u32) -> (SocketAddr, Arc<AtomicUsize>) {
    let pushed = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&pushed);
    let address = serve_upgraded(move |mut stream| {
        let counted = Arc::clone(&counted);
        async move {
            for number in 0..frames {
                // The client may be gone.
                if stream.write_all(&numbered(number)).await.is_err() {
                    return;
                }
                counted.fetch_add(1, Ordering::Relaxed);
            }
        }
    })
    .await;
    (address, pushed)
}

fn config(address: SocketAddr) -> SocketConfig {
    let mut config = literal_config(address, false);
    config.queue_frames = LIMIT;
    config
}

async fn open(config: &SocketConfig) -> Socket {
    within(Socket::open(config)).await.expect("the server upgrades").0
}

/// Waits until nothing more is read.
async fn until_full(socket: &Socket, limit: usize) {
    within(async {
        while socket.counters().queued < limit as u64 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    })
    .await;
}

fn assert_rests(socket: &Socket) {
    let counters = socket.counters();
    assert_eq!(counters.overflowed, 0);
    assert!(counters.queued <= (LIMIT + OF_ONE_READ) as u64, "{counters:?}");
}

#[tokio::test]
async fn what_nobody_reads_waits_at_the_server_and_comes_whole_and_in_order() {
    const FRAMES: u32 = 4_000;
    let (address, pushed) = pushing_server(FRAMES).await;
    let socket = open(&config(address)).await;
    until_full(&socket, LIMIT).await;
    assert_rests(&socket);
    assert!(pushed.load(Ordering::Relaxed) < FRAMES as usize, "the server waits");
    assert_eq!(socket.close_cause(), None);
    within(async {
        for expected in 0..FRAMES {
            assert_eq!(number(&socket.receive().await.expect("a frame")), expected);
            assert_rests(&socket);
        }
    })
    .await;
    let end = within(socket.receive()).await.expect_err("the end");
    assert!(matches!(end, SocketError::Closed { cause: CloseCause::Fin }), "{end}");
    assert_eq!(socket.counters().frames_received, u64::from(FRAMES));
}

#[tokio::test]
async fn a_thread_reads_them_all_too() {
    const FRAMES: u32 = 2_000;
    let (address, _pushed) = pushing_server(FRAMES).await;
    let socket = open(&config(address)).await;
    until_full(&socket, LIMIT).await;
    let reading = tokio::task::spawn_blocking(move || {
        let read = || socket.receive_here(None, Instant::now(), Instant::now() + Duration::from_secs(20), pending());
        for expected in 0..FRAMES {
            assert_eq!(number(&read().expect("in time").expect("a frame")), expected);
        }
        read().expect("in time").expect_err("the end")
    });
    let end = within(reading).await.expect("no panic");
    assert!(matches!(end, SocketError::Closed { cause: CloseCause::Fin }), "{end}");
}

#[tokio::test]
async fn closing_and_cancelling_do_not_wait_for_readers() {
    let (address, _pushed) = pushing_server(4_000).await;
    let socket = open(&config(address)).await;
    until_full(&socket, LIMIT).await;
    let none = |_: &Frame| false;
    let mine = socket.clone();
    let missed = tokio::task::spawn_blocking(move || {
        let now = Instant::now();
        let late = mine.receive_here(Some(&none), now, now + Duration::from_millis(50), pending()).expect_err("late");
        let (cancel, cancelled) = oneshot::channel::<()>();
        drop(cancel);
        let now = Instant::now();
        let cancelled = async { drop(cancelled.await) };
        let ended = mine.receive_here(Some(&none), now, now + Duration::from_secs(20), cancelled).expect_err("ended");
        (late, ended)
    });
    assert_eq!(within(missed).await.expect("no panic"), (Missed::Deadline, Missed::Cancelled));
    let closed = within(socket.close(1000, "", Duration::from_millis(100))).await;
    assert_eq!(closed, CloseCause::ClosedByUs { code: 1000 });
    assert_eq!(number(&within(socket.receive()).await.expect("it was read before")), 0);
}

#[tokio::test]
async fn a_ping_behind_unread_frames_waits_with_them_and_a_silence_of_our_own_making_is_no_end() {
    const FRAMES: u32 = 300;
    let (pongs, mut seen) = mpsc::unbounded_channel();
    let address = serve_upgraded(move |mut stream| {
        let pongs = pongs.clone();
        async move {
            for number in 0..FRAMES {
                stream.write_all(&numbered(number)).await.expect("the client reads");
            }
            stream.write_all(&frame(0x89, b"late")).await.expect("the client reads");
            while let Some((first, payload)) = client_frame(&mut stream).await {
                match first {
                    0x89 => stream.write_all(&frame(0x8a, &payload)).await.expect("the client reads"),
                    _ => pongs.send(payload).expect("the test listens"),
                }
            }
        }
    })
    .await;
    let mut config = config(address);
    (config.ping_interval_ms, config.ping_timeout_ms) = (50, 400);
    let socket = open(&config).await;
    until_full(&socket, LIMIT).await;
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    assert_eq!(socket.close_cause(), None);
    assert!(seen.try_recv().is_err(), "the ping was not read");
    for expected in 0..FRAMES {
        assert_eq!(number(&within(socket.receive()).await.expect("a frame")), expected);
    }
    assert_eq!(within(seen.recv()).await, Some(b"late".to_vec()));
    assert_eq!(socket.close_cause(), None);
}

#[tokio::test]
async fn a_write_that_fails_loses_no_frame_that_has_come() {
    const FRAMES: u32 = 40;
    let address = serve_upgraded(|mut stream| async move {
        for number in 0..FRAMES {
            let mut payload = vec![0; 1_000];
            payload[..4].copy_from_slice(&number.to_be_bytes());
            stream.write_all(&frame(0x82, &payload)).await.expect("the client reads");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        stream.shutdown().await.expect("FIN");
        // What comes then is answered with RST.
        let _asked = stream.read_u8().await;
    })
    .await;
    let mut config = config(address);
    config.queue_frames = 4;
    let socket = open(&config).await;
    until_full(&socket, 4).await;
    within(async { while socket.send(Opcode::Text, true, b"anybody there?").await.is_ok() {} }).await;
    for expected in 0..FRAMES {
        assert_eq!(number(&within(socket.receive()).await.expect("a frame")), expected);
    }
    let end = within(socket.receive()).await.expect_err("the end");
    assert!(matches!(end, SocketError::Closed { .. }), "{end}");
}

#[tokio::test]
async fn dropping_a_socket_that_rests_ends_it() {
    let (ended, mut seen) = mpsc::unbounded_channel();
    let address = serve_upgraded(move |mut stream| {
        let ended = ended.clone();
        async move {
            while stream.write_all(&numbered(0)).await.is_ok() {}
            until_end(&mut stream).await;
            ended.send(()).expect("the test listens");
        }
    })
    .await;
    let socket = open(&config(address)).await;
    until_full(&socket, LIMIT).await;
    drop(socket);
    assert_eq!(within(seen.recv()).await, Some(()));
}

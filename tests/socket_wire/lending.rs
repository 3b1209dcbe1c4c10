//! Threads that wait for the bytes themselves, and the socket's task that does it when no thread does.

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use jmeter_webrtc::socket::{CloseCause, Frame, Missed, Opcode, Socket, SocketError};
use parking_lot::Mutex;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tungstenite::Message;
use tungstenite::protocol::CloseFrame;

use crate::server::{PATIENCE, client_frame, config_for, frame, open, serve, serve_upgraded, within};

/// Longer than nobody waits for the bytes of a socket.
const LONGER_THAN_REST: Duration = Duration::from_millis(220);

type Read = Result<Result<Frame, SocketError>, Missed>;

fn read_until(socket: &Socket, until: Instant) -> Read {
    socket.receive_here(None, Instant::now(), until, pending())
}

/// The next frame, read on this thread.
fn read(socket: &Socket) -> Read {
    read_until(socket, Instant::now() + PATIENCE)
}

fn text(read: Read) -> String {
    let frame = read.expect("in time").expect("a frame");
    String::from_utf8(frame.payload.to_vec()).expect("text")
}

/// Runs `work` on a thread of its own, as a script's thread is.
async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    within(tokio::task::spawn_blocking(work)).await.expect("no panic")
}

/// Asks and reads so often in a row that the thread waits for the bytes itself.
fn busy(handle: &Handle, socket: &Socket) {
    for number in 0..5 {
        let asked = format!("busy {number}");
        handle.block_on(socket.send(Opcode::Text, true, asked.as_bytes())).expect("the server reads");
        assert_eq!(text(read(socket)), asked);
    }
}

/// A thread that is [`busy`] and then has waited for the bytes itself for a while, and what this last read gives.
async fn busy_then_waiting<T: Send + 'static>(
    socket: &Socket,
    last: impl FnOnce(&Socket) -> T + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    let (handle, mine) = (Handle::current(), socket.clone());
    let (waits, seen) = oneshot::channel();
    let thread = tokio::task::spawn_blocking(move || {
        busy(&handle, &mine);
        waits.send(()).expect("the test listens");
        last(&mine)
    });
    within(seen).await.expect("it was busy");
    tokio::time::sleep(LONGER_THAN_REST).await;
    thread
}

/// What the server does after the first five messages, which it echoes.
async fn after_five_echoes<F>(behaviour: impl Fn(tokio::net::TcpStream) -> F + Clone + Send + 'static) -> Socket
where
    F: Future<Output = ()> + Send + 'static,
{
    open(server_of_five_echoes(behaviour).await).await
}

async fn server_of_five_echoes<F>(
    behaviour: impl Fn(tokio::net::TcpStream) -> F + Clone + Send + 'static,
) -> std::net::SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    serve_upgraded(move |mut stream| {
        let behaviour = behaviour.clone();
        async move {
            for _ in 0..5 {
                let Some((first, payload)) = client_frame(&mut stream).await else { return };
                stream.write_all(&frame(first, &payload)).await.expect("the client reads");
            }
            behaviour(stream).await;
        }
    })
    .await
}

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

#[tokio::test]
async fn a_ping_is_answered_when_the_thread_that_waited_sleeps() {
    let (pongs, mut seen) = mpsc::unbounded_channel();
    let socket = after_five_echoes(move |mut stream| {
        let pongs = pongs.clone();
        async move {
            stream.write_all(&frame(0x89, b"still there?")).await.expect("the client reads");
            let asked = Instant::now();
            let answer = client_frame(&mut stream).await;
            pongs.send((answer, asked.elapsed())).expect("the test listens");
        }
    })
    .await;
    let (handle, mine) = (Handle::current(), socket.clone());
    on_a_thread(move || busy(&handle, &mine)).await;
    let (answer, _took) = within(seen.recv()).await.expect("the server lives");
    assert_eq!(answer, Some((0x8a, b"still there?".to_vec())));
    assert_eq!(socket.counters().pongs_sent, 1);
}

#[tokio::test]
async fn the_end_is_found_out_when_the_thread_that_waited_sleeps() {
    let (ended, mut seen) = mpsc::unbounded_channel();
    let socket = after_five_echoes(move |mut stream| {
        let ended = ended.clone();
        async move {
            stream.shutdown().await.expect("FIN");
            // The client ends its direction only when it has noticed, and nobody asks it.
            ended.send(stream.read_u8().await.is_err()).expect("the test listens");
        }
    })
    .await;
    let (handle, mine) = (Handle::current(), socket.clone());
    on_a_thread(move || busy(&handle, &mine)).await;
    assert_eq!(within(seen.recv()).await, Some(true));
    assert_eq!(socket.close_cause(), Some(CloseCause::Fin));
}

/// The runtime stands still but while the socket is opened: only the thread of the test reads.
#[test]
fn a_script_that_asks_sees_the_end_before_the_task_does() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    let address = listener.local_addr().expect("bound");
    let (closed, seen) = std::sync::mpsc::channel();
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("the client connects");
        // Or the kernel would hold the close frame back until the client acknowledges what is before it.
        stream.set_nodelay(true).expect("TCP_NODELAY");
        let mut peer = tungstenite::accept(stream).expect("it upgrades");
        let asked = peer.read().expect("the client asks");
        peer.send(asked).expect("the client reads");
        let code = tungstenite::protocol::frame::coding::CloseCode::Away;
        peer.close(Some(CloseFrame { code, reason: "".into() })).expect("the client reads");
        closed.send(()).expect("the test listens");
        while peer.read().is_ok() {}
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (socket, _) = runtime.block_on(Socket::open(&config_for(address))).expect("the server upgrades");
    runtime.block_on(socket.send(Opcode::Text, true, b"asked")).expect("the server reads");
    let until = Instant::now() + PATIENCE;
    let first = loop {
        // The first read leaves the waiting to the task, which stands still; the one after it does not.
        let read = read_until(&socket, Instant::now() + Duration::from_millis(10));
        if read.is_ok() || Instant::now() > until {
            break text(read);
        }
    };
    assert_eq!(first, "asked");
    seen.recv_timeout(PATIENCE).expect("the server closes");
    // What was read a millisecond ago is still the present.
    std::thread::sleep(Duration::from_millis(2));
    assert_eq!(socket.close_cause(), Some(CloseCause::CloseFrame { code: Some(1001), reason: String::new() }));
    drop((socket, runtime));
    server.join().expect("no panic");
}

/// A server that replies once more, goes and says so.
async fn reply_and_end(mut stream: tokio::net::TcpStream, gone: std::sync::mpsc::Sender<()>) {
    let _asked = client_frame(&mut stream).await;
    stream.write_all(&frame(0x81, b"the last")).await.expect("the client reads");
    drop(stream);
    gone.send(()).expect("the test listens");
}

#[tokio::test]
async fn the_end_behind_a_reply_is_known_with_the_reply() {
    let (gone, seen) = std::sync::mpsc::channel();
    let socket = after_five_echoes(move |stream| reply_and_end(stream, gone.clone())).await;
    let handle = Handle::current();
    on_a_thread(move || {
        busy(&handle, &socket);
        handle.block_on(socket.send(Opcode::Text, true, b"go")).expect("the server reads");
        seen.recv_timeout(PATIENCE).expect("the server goes");
        // Reply and end are both there; the task does not look yet. What is read right after a send is read without a look behind it.
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(text(read(&socket)), "the last");
        let refused = handle.block_on(socket.send(Opcode::Text, true, b"more")).expect_err("the end is known");
        assert!(matches!(refused, SocketError::Closed { cause: CloseCause::Fin }), "{refused}");
    })
    .await;
}

#[tokio::test]
async fn what_reads_on_demand_leaves_the_end_behind_a_reply_to_the_kernel() {
    let (gone, seen) = std::sync::mpsc::channel();
    let address = server_of_five_echoes(move |stream| reply_and_end(stream, gone.clone())).await;
    let mut config = config_for(address);
    let literal =
        json!({"secure": false, "host": "127.0.0.1", "port": address.port(), "target": "/", "readOnDemand": true});
    config.literal = Some(serde_json::from_value(literal).expect("valid"));
    let (socket, _) = within(Socket::open(&config)).await.expect("the server upgrades");
    let handle = Handle::current();
    on_a_thread(move || {
        busy(&handle, &socket);
        handle.block_on(socket.send(Opcode::Text, true, b"go")).expect("the server reads");
        seen.recv_timeout(PATIENCE).expect("the server goes");
        // Reply and end are both there, and the send is no longer right before.
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(text(read(&socket)), "the last");
        assert_eq!(socket.close_cause(), None, "nobody wants more");
        let end = read(&socket).expect("in time").expect_err("the end");
        assert!(matches!(end, SocketError::Closed { cause: CloseCause::Fin }), "{end}");
    })
    .await;
}

#[tokio::test]
async fn a_ping_is_answered_by_the_thread_that_waits_and_is_no_frame_of_its() {
    let socket = after_five_echoes(|mut stream| async move {
        for number in 0..3_u8 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            stream.write_all(&frame(0x89, &[number])).await.expect("the client reads");
            assert_eq!(client_frame(&mut stream).await, Some((0x8a, vec![number])));
        }
        stream.write_all(&frame(0x81, b"after the pings")).await.expect("the client reads");
        let _end = client_frame(&mut stream).await;
    })
    .await;
    let handle = Handle::current();
    on_a_thread(move || {
        busy(&handle, &socket);
        assert_eq!(text(read(&socket)), "after the pings");
        assert_eq!((socket.counters().pings_received, socket.counters().pongs_sent), (3, 3));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_ends_the_thread_that_waits_and_the_one_that_sends_with_one_cause() {
    let socket = after_five_echoes(|mut stream| async move {
        let _asked = client_frame(&mut stream).await;
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
    })
    .await;
    let waiting = busy_then_waiting(&socket, read).await;
    let refused = within(async {
        loop {
            if let Err(refused) = socket.send(Opcode::Text, true, b"more").await {
                break refused;
            }
        }
    })
    .await;
    let ended = within(waiting).await.expect("no panic").expect("in time").expect_err("the end");
    let cause = socket.close_cause().expect("it ended");
    for error in [refused, ended] {
        assert!(matches!(&error, SocketError::Closed { cause: told } if *told == cause), "{error} and {cause}");
    }
    assert_eq!(cause, CloseCause::Reset);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_runs_into_an_orderly_end_makes_no_reset_of_it() {
    for _ in 0..5 {
        // What it has not read makes the kernel answer with RST once TCP is closed; the FIN was before it.
        let socket = after_five_echoes(|mut stream| async move {
            let _asked = client_frame(&mut stream).await;
            stream.shutdown().await.expect("FIN");
            tokio::time::sleep(Duration::from_millis(1)).await;
        })
        .await;
        let waiting = busy_then_waiting(&socket, read).await;
        within(async { while socket.send(Opcode::Text, true, b"more").await.is_ok() {} }).await;
        let _echo_or_end = within(waiting).await.expect("no panic").expect("in time");
        assert_eq!(socket.close_cause(), Some(CloseCause::Fin));
    }
}

#[tokio::test]
async fn a_wait_for_bytes_ends_with_its_time_and_its_cancel_and_loses_no_frame() {
    let (go_on, waits) = mpsc::unbounded_channel::<()>();
    let waits = Arc::new(tokio::sync::Mutex::new(waits));
    let socket = after_five_echoes(move |mut stream| {
        let waits = Arc::clone(&waits);
        async move {
            waits.lock().await.recv().await;
            stream.write_all(&frame(0x81, b"late")).await.expect("the client reads");
            let _end = client_frame(&mut stream).await;
        }
    })
    .await;
    let (handle, mine) = (Handle::current(), socket.clone());
    on_a_thread(move || {
        busy(&handle, &mine);
        let short = read_until(&mine, Instant::now() + Duration::from_millis(5));
        assert!(matches!(short, Err(Missed::Deadline)), "{short:?}");
        for wait_ms in [0, 1, 50] {
            let (cancel, cancelled) = oneshot::channel::<()>();
            let canceller = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(wait_ms));
                drop(cancel);
            });
            let ended =
                mine.receive_here(None, Instant::now(), Instant::now() + PATIENCE, async { drop(cancelled.await) });
            assert!(matches!(ended, Err(Missed::Cancelled)), "{ended:?}");
            canceller.join().expect("no panic");
        }
        go_on.send(()).expect("the server waits");
        assert_eq!(text(read(&mine)), "late");
    })
    .await;
}

#[tokio::test]
async fn a_thread_that_waits_for_bytes_wakes_when_another_aborts() {
    let socket = after_five_echoes(|mut stream| async move { drop(client_frame(&mut stream).await) }).await;
    let waiting = busy_then_waiting(&socket, read).await;
    socket.abort(CloseCause::ClosedByUs { code: 1006 });
    let ended = within(waiting).await.expect("no panic").expect("in time").expect_err("the end");
    assert!(matches!(ended, SocketError::Closed { cause: CloseCause::ClosedByUs { code: 1006 } }), "{ended}");
}

#[tokio::test]
async fn the_closing_handshake_of_another_ends_a_wait_for_bytes() {
    let socket = open(echo_server().await).await;
    let waiting = busy_then_waiting(&socket, |socket| {
        let close_frame = read(socket).expect("in time").expect("the server's close frame");
        (close_frame.opcode, read(socket).expect("in time").expect_err("the end").to_string())
    })
    .await;
    assert_eq!(within(socket.close(1000, "", PATIENCE)).await, CloseCause::ClosedByUs { code: 1000 });
    let (opcode, end) = within(waiting).await.expect("no panic");
    assert_eq!(opcode, Opcode::Close);
    assert!(end.contains("closed"), "{end}");
}

#[tokio::test]
async fn a_closing_handshake_after_a_busy_thread_does_not_wait_for_it() {
    let socket = open(echo_server().await).await;
    let (handle, mine) = (Handle::current(), socket.clone());
    let cause = on_a_thread(move || {
        busy(&handle, &mine);
        handle.block_on(mine.close(1000, "", PATIENCE))
    })
    .await;
    assert_eq!(cause, CloseCause::ClosedByUs { code: 1000 });
}

#[tokio::test]
async fn keep_alive_pings_go_on_and_find_a_dead_server_while_a_thread_waits_for_bytes() {
    let address = serve_upgraded(|mut stream| async move {
        for _ in 0..5 {
            loop {
                let Some((first, payload)) = client_frame(&mut stream).await else { return };
                if first == 0x89 {
                    stream.write_all(&frame(0x8a, &payload)).await.expect("the client reads");
                    continue;
                }
                stream.write_all(&frame(first, &payload)).await.expect("the client reads");
                break;
            }
        }
        // From here on it reads and is silent.
        while client_frame(&mut stream).await.is_some() {}
    })
    .await;
    let mut config = config_for(address);
    (config.ping_interval_ms, config.ping_timeout_ms) = (50, 2_000);
    let (socket, _) = within(Socket::open(&config)).await.expect("the server upgrades");
    let handle = Handle::current();
    let ended = on_a_thread(move || {
        busy(&handle, &socket);
        read(&socket)
    });
    let SocketError::Closed { cause } = ended.await.expect("in time").expect_err("the end") else { panic!("closed") };
    assert!(matches!(cause, CloseCause::PingTimeout { .. }), "{cause}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_threads_that_wait_for_one_socket_are_served_first_come() {
    let socket = open(echo_server().await).await;
    let handle = Handle::current();
    let mine = socket.clone();
    on_a_thread(move || busy(&handle, &mine)).await;
    for round in 0..50 {
        let mut readers = Vec::new();
        for _ in 0..2 {
            let mine = socket.clone();
            readers.push(tokio::task::spawn_blocking(move || text(read(&mine))));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let mut got = BTreeSet::new();
        for message in [format!("{round} a"), format!("{round} b")] {
            within(socket.send(Opcode::Text, true, message.as_bytes())).await.expect("the server reads");
        }
        for reader in readers {
            got.insert(within(reader).await.expect("no panic"));
        }
        assert_eq!(got.into_iter().collect::<Vec<_>>(), [format!("{round} a"), format!("{round} b")]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_and_a_thread_that_read_in_turns_miss_nothing() {
    let socket = open(echo_server().await).await;
    for round in 0..200 {
        let message = format!("{round}");
        within(socket.send(Opcode::Text, true, message.as_bytes())).await.expect("the server reads");
        let got = if round % 3 == 0 {
            String::from_utf8(within(socket.receive()).await.expect("a frame").payload.to_vec()).expect("text")
        } else {
            let mine = socket.clone();
            on_a_thread(move || text(read(&mine))).await
        };
        assert_eq!(got, message);
    }
}

#[tokio::test]
async fn a_busy_thread_that_waits_for_a_match_leaves_the_others_in_order() {
    let socket = open(echo_server().await).await;
    let handle = Handle::current();
    on_a_thread(move || {
        busy(&handle, &socket);
        for message in ["one", "two", "wanted", "three"] {
            handle.block_on(socket.send(Opcode::Text, true, message.as_bytes())).expect("the server reads");
        }
        let wanted = |frame: &Frame| frame.payload == "wanted";
        assert_eq!(
            text(socket.receive_here(Some(&wanted), Instant::now(), Instant::now() + PATIENCE, pending())),
            "wanted"
        );
        assert_eq!([text(read(&socket)), text(read(&socket)), text(read(&socket))], ["one", "two", "three"]);
    })
    .await;
}

#[tokio::test]
async fn frames_of_many_reads_reach_a_thread_that_waits_for_bytes() {
    let socket = open(echo_server().await).await;
    let handle = Handle::current();
    on_a_thread(move || {
        busy(&handle, &socket);
        for size in [1, 65_536, 3 << 20, 5] {
            let payload = vec![b'z'; size];
            let (mine, sending) = (socket.clone(), payload.clone());
            let sender = handle.spawn(async move { mine.send(Opcode::Binary, true, &sending).await });
            assert!(read(&socket).expect("in time").expect("an echo").payload == payload, "{size} bytes");
            handle.block_on(sender).expect("no panic").expect("the server reads");
        }
    })
    .await;
}

/// Threads that read with short deadlines and cancels, a task that reads, a server that sends numbers and pings, and the
/// socket asked for its state all the while: every number comes exactly once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_storm_of_readers_every_frame_comes_once() {
    const NUMBERS: u32 = 3_000;
    let address = serve(|stream| async move {
        let mut peer = tokio_tungstenite::accept_async(stream).await.expect("the client upgrades");
        for number in 0..NUMBERS {
            if number % 50 == 0 {
                peer.send(Message::Ping(Vec::new().into())).await.expect("the client reads");
            }
            if number % 200 == 0 {
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
            peer.send(Message::Binary(number.to_be_bytes().to_vec().into())).await.expect("the client reads");
        }
        while let Some(Ok(_)) = peer.next().await {}
    })
    .await;
    let mut config = config_for(address);
    config.queue_frames = NUMBERS as usize;
    let (socket, _) = within(Socket::open(&config)).await.expect("the server upgrades");
    let got = Arc::new(Mutex::new(Vec::new()));
    let over = Arc::new(AtomicBool::new(false));
    let mut readers = Vec::new();
    for reader in 0..3_u64 {
        let (socket, got, over) = (socket.clone(), Arc::clone(&got), Arc::clone(&over));
        readers.push(tokio::task::spawn_blocking(move || {
            let mut turn = reader;
            while !over.load(Ordering::Relaxed) {
                turn += 1;
                // The long ones wait in the read itself.
                let long = Duration::from_millis(if turn % 3 == 0 { 150 } else { 0 });
                let until = Instant::now() + long + Duration::from_micros(turn * 37 % 3_000);
                if let Ok(read) = read_until(&socket, until) {
                    got.lock().push(read.expect("a frame").payload);
                }
                if turn % 64 == 0 {
                    std::thread::sleep(Duration::from_millis(turn % 30));
                }
            }
        }));
    }
    let (asked, gets) = (socket.clone(), Arc::clone(&got));
    within(async {
        while gets.lock().len() < NUMBERS as usize {
            assert_eq!(asked.close_cause(), None);
            if let Ok(read) = tokio::time::timeout(Duration::from_millis(1), asked.receive()).await {
                gets.lock().push(read.expect("a frame").payload);
            }
        }
    })
    .await;
    over.store(true, Ordering::Relaxed);
    for reader in readers {
        within(reader).await.expect("no panic");
    }
    let numbers: BTreeSet<_> = got.lock().iter().map(|payload| payload.to_vec()).collect();
    assert_eq!((numbers.len(), got.lock().len()), (NUMBERS as usize, NUMBERS as usize));
    assert_eq!(socket.counters().pings_received, u64::from(NUMBERS / 50));
    assert_eq!(socket.counters().pongs_sent, u64::from(NUMBERS / 50));
}

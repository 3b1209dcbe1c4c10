//! Ends: failures with their phase, closing, dropping, and nothing left behind.
mod peer_support;

use std::time::Duration;

use jmeter_webrtc::media::schedule_lag;
use jmeter_webrtc::peer::{ConnectionState, IceCandidateInit, PeerError, Session};
use nix::sys::socket::{AddressFamily, SockaddrLike, SockaddrStorage, getsockname};
use peer_support::*;
use tokio::runtime::Handle;

/// Tests that count sockets or load the machine take turns.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Open sockets but Unix ones: those, like other descriptors, come and go with the runtimes of tests that wait for their turn,
/// each of which has one for tokio's signals.
fn sockets() -> usize {
    let links = std::fs::read_dir("/proc/self/fd").expect("/proc").flatten();
    links
        .filter_map(|link| link.file_name().to_str()?.parse().ok())
        .filter_map(|descriptor| getsockname::<SockaddrStorage>(descriptor).ok()?.family())
        .filter(|family| *family != AddressFamily::Unix)
        .count()
}

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

#[tokio::test]
async fn a_wrong_fingerprint_fails_in_dtls_and_says_so() {
    let _alone = ALONE.lock().await;
    within(async {
        let (offerer, answerer) = (session(|_| {}).await, session(|_| {}).await);
        let offer = offerer.create_offer().await.expect("offer");
        let answer = answerer.create_answer(&offer).await.expect("answer");
        let at = answer.find("sha-256 ").expect("a fingerprint") + "sha-256 ".len();
        let mut wrong = answer.clone();
        let first = if &answer[at..at + 2] == "00" { "11" } else { "00" };
        wrong.replace_range(at..at + 2, first);
        offerer.set_remote_answer(&wrong).await.expect("applied");
        tokio::join!(trickle(&offerer, &answerer), trickle(&answerer, &offerer));
        let error = offerer.connected().await.expect_err("the certificate is another's");
        assert!(matches!(error, PeerError::Failed { state: ConnectionState::Failed, .. }), "{error:?}");
        assert!(error.to_string().starts_with("DTLS: ") && error.to_string().contains("bad_certificate"), "{error}");
        assert_eq!(offerer.connection_state(), ConnectionState::Failed);
        let error = answerer.connected().await.expect_err("the other side gave up");
        assert!(error.to_string().contains("received"), "{error}");
        close(&offerer, &answerer).await;
    })
    .await;
}

#[tokio::test]
async fn before_and_after_the_description_the_pending_phase_names_what_is_missing() {
    let _alone = ALONE.lock().await;
    within(async {
        let (offerer, answerer) = (session(|_| {}).await, session(|_| {}).await);
        let offer = offerer.create_offer().await.expect("offer");
        let pending = offerer.pending_phase().expect("nothing reached");
        assert_eq!(pending.phase, "signaling");
        let answer = answerer.create_answer(&offer).await.expect("answer");
        offerer.set_remote_answer(&answer).await.expect("applied");
        let nobody = "candidate:1 1 udp 2130706431 127.0.0.1 9 typ host";
        let candidate = IceCandidateInit { candidate: nobody.into(), ..IceCandidateInit::default() };
        offerer.add_ice_candidate(candidate).await.expect("candidate");
        until("checks into the void", || offerer.wire().checks_sent >= 3).await;
        let pending = offerer.pending_phase().expect("no ICE");
        assert_eq!(pending.phase, "ICE");
        assert!(pending.detail.contains("0 answered") && pending.detail.contains("1 remote candidates"), "{pending:?}");
        close(&offerer, &answerer).await;
    })
    .await;
}

#[tokio::test]
async fn nobody_waits_on_a_session_that_closes() {
    let _alone = ALONE.lock().await;
    within(async {
        let one = session(|_| {}).await;
        one.create_offer().await.expect("offer");
        let waiting = one.clone();
        let waiter = tokio::spawn(async move { (waiting.connected().await, waiting.first_rtp().await) });
        tokio::time::sleep(Duration::from_millis(50)).await;
        one.close(Duration::from_secs(2)).await;
        let (connected, heard) = waiter.await.expect("no panic");
        assert!(matches!(connected, Err(PeerError::Closed)) && matches!(heard, Err(PeerError::Closed)));
        assert!(matches!(one.create_offer().await, Err(PeerError::Closed)));
        assert!(one.next_local_candidate().await.is_none_or(|candidate| !candidate.candidate.is_empty()));
    })
    .await;
}

#[tokio::test]
async fn closing_twice_and_at_once_is_closing() {
    let _alone = ALONE.lock().await;
    within(async {
        let (one, other) = connected(|_| {}).await;
        tokio::join!(one.close(Duration::from_secs(2)), one.close(Duration::from_secs(2)));
        one.close(Duration::ZERO).await;
        one.start_audio();
        assert_eq!(one.connection_state(), ConnectionState::Closed);
        other.close(Duration::from_secs(2)).await;
    })
    .await;
}

#[tokio::test]
async fn the_other_side_learns_of_the_end_at_once() {
    let _alone = ALONE.lock().await;
    within(async {
        let (one, other) = connected(|_| {}).await;
        one.close(Duration::from_secs(2)).await;
        until("the other side is told", || other.connection_state() >= ConnectionState::Disconnected).await;
        other.close(Duration::from_secs(2)).await;
    })
    .await;
}

#[tokio::test]
async fn fifty_closed_calls_leave_no_socket_and_no_task() {
    let _alone = ALONE.lock().await;
    within(async {
        let (one, other) = connected(|_| {}).await;
        close(&one, &other).await;
        drop((one, other));
        until("the pacer ends", || tasks() == 0).await;
        let before = sockets();
        let calls = futures_util::future::join_all((0..25).map(|_| connected(|_| {}))).await;
        assert_eq!(sockets(), before + 50, "one socket each");
        futures_util::future::join_all(calls.iter().map(|(one, other)| close(one, other))).await;
        until("sockets and tasks are gone", || sockets() == before && tasks() == 0).await;
    })
    .await;
}

#[tokio::test]
async fn calls_with_video_and_data_leave_no_socket_and_no_task() {
    let _alone = ALONE.lock().await;
    within(async {
        let before = (sockets(), tasks());
        let canned = include_str!("canned/chrome-audio-video-data.sdp");
        let lines = jmeter_webrtc::autoice::Shape::of(canned).expect("a shape").media().to_vec();
        let calls =
            futures_util::future::join_all((0..10).map(|_| connected(|config| config.media.clone_from(&lines))));
        let calls = calls.await;
        for (one, other) in &calls {
            one.restart_ice();
            let offer = one.create_offer().await.expect("offer");
            let answer = other.create_answer(&offer).await.expect("answer");
            one.set_remote_answer(&answer).await.expect("applied");
            one.first_rtp().await.expect("audio");
        }
        futures_util::future::join_all(calls.iter().map(|(one, other)| close(one, other))).await;
        until("sockets and tasks are gone", || (sockets(), tasks()) == before).await;
        // One that was never connected has a channel that never opened.
        let alone = session(|config| config.media.clone_from(&lines)).await;
        alone.create_offer().await.expect("offer");
        alone.close(Duration::from_secs(2)).await;
        until("sockets and tasks are gone", || (sockets(), tasks()) == before).await;
    })
    .await;
}

#[tokio::test]
async fn dropped_sessions_close_themselves() {
    let _alone = ALONE.lock().await;
    within(async {
        let before = (sockets(), tasks());
        let calls = futures_util::future::join_all((0..10).map(|_| connected(|_| {}))).await;
        let clone = calls[0].0.clone();
        drop(calls);
        assert_eq!(clone.connection_state(), ConnectionState::Connected, "a clone keeps its session");
        drop(clone);
        until("sockets and tasks are gone", || (sockets(), tasks()) == before).await;
    })
    .await;
}

#[test]
fn a_session_may_be_dropped_on_a_thread_without_a_runtime_and_after_its_runtime() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("runtime");
    let _alone = runtime.block_on(ALONE.lock());
    let first = runtime.block_on(within(session(|_| {})));
    let second = runtime.block_on(within(session(|_| {})));
    std::thread::spawn(move || {
        first.start_audio();
        drop(first);
    })
    .join()
    .expect("no panic");
    runtime.shutdown_timeout(Duration::from_secs(5));
    drop(second);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_calls_at_once_connect_and_talk() {
    let _alone = ALONE.lock().await;
    within(async {
        jmeter_webrtc::media::reset_schedule_lag();
        let calls: Vec<(Session, Session)> =
            futures_util::future::join_all((0..200).map(|_| tokio::spawn(connected(|_| {}))))
                .await
                .into_iter()
                .map(|call| call.expect("no panic"))
                .collect();
        for (one, other) in &calls {
            one.first_rtp().await.expect("audio");
            other.first_rtp().await.expect("audio");
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        futures_util::future::join_all(calls.iter().map(|(one, other)| drained(one, other))).await;
        assert!(schedule_lag().packets >= 400, "{:?}", schedule_lag());
        futures_util::future::join_all(calls.iter().map(|(one, other)| close(one, other))).await;
    })
    .await;
}

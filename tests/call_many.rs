//! Many calls in one process, and nothing left of them.
#![allow(clippy::unwrap_used)]
mod call_support;

use std::time::Duration;

use call_support::{close, config, descriptors, eventually, hang_up, lab, socket, stop, tasks, within};
use jmeter_webrtc::signaling::call::{CallConfig, place};
use serde_json::json;
use tokio::sync::Mutex;

/// Descriptors and tasks are counted per process: one test at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

/// Opens what a process keeps once (audio, resolver, …), so that it does not count as a leak.
async fn warm_up() -> (usize, usize) {
    let lab = lab(json!({})).await;
    let socket = socket(&lab).await;
    let call = within(place(socket.clone(), &CallConfig::default())).await.unwrap();
    hang_up(&call).await;
    close(&socket).await;
    stop(&lab).await;
    drop((lab, socket, call));
    tokio::time::sleep(Duration::from_millis(300)).await;
    (descriptors(), tasks())
}

async fn nothing_left(baseline: (usize, usize)) {
    eventually("descriptors and tasks are back", || descriptors() <= baseline.0 && tasks() <= baseline.1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_calls_are_accounted_for_to_the_packet_and_leave_nothing() {
    let _alone = ALONE.lock().await;
    let baseline = warm_up().await;
    let lab = lab(json!({})).await;
    let mut calls = Vec::new();
    for _ in 0..50 {
        let socket = socket(&lab).await;
        calls.push(tokio::spawn(async move {
            place(socket.clone(), &CallConfig::default()).await.map(|call| (socket, call))
        }));
    }
    let mut up = Vec::new();
    for call in calls {
        up.push(within(call).await.unwrap().unwrap());
    }
    assert_eq!((lab.counters().sockets_open, lab.counters().calls_open), (50, 50));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut hang_ups = Vec::new();
    for (socket, call) in up {
        hang_ups.push(tokio::spawn(async move {
            let report = hang_up(&call).await;
            close(&socket).await;
            report
        }));
    }
    let (mut sent, mut received) = (0, 0);
    for report in hang_ups {
        let report = within(report).await.unwrap();
        let drops = i64::try_from(report.media.socket_drops + report.peer_media.unwrap().socket_drops).unwrap();
        let lost = report.lost_outgoing.unwrap() + report.lost_incoming.unwrap();
        assert_eq!(lost, drops, "packets are lost only where the kernel says so: {report:?}");
        sent += report.media.packets_sent;
        received += report.media.packets_received;
    }
    let counters = stop(&lab).await;
    assert_eq!(counters.packets_sent - received, 0, "{counters:?}");
    assert_eq!(sent - counters.packets_received, 0, "{counters:?}");
    assert_eq!((counters.calls_answered, counters.calls_failed, counters.calls_abandoned), (50, 0, 0));
    assert_eq!((counters.calls_open, counters.sockets_open), (0, 0));
    drop(lab);
    nothing_left(baseline).await;
}

#[tokio::test]
async fn a_call_that_is_cancelled_at_any_moment_of_its_set_up_leaves_nothing() {
    let _alone = ALONE.lock().await;
    let baseline = warm_up().await;
    let lab = lab(json!({"faults":{"answerDelayMs":60}})).await;
    for after_ms in [0, 1, 5, 20, 50, 70, 100, 150, 250] {
        let socket = socket(&lab).await;
        eventually("the lab has accepted it", || lab.counters().sockets_open == 1).await;
        let before = tasks();
        let config = config(json!({"firstRtpTimeoutMs":2000}));
        let placing = tokio::time::timeout(Duration::from_millis(after_ms), place(socket.clone(), &config));
        drop(placing.await);
        eventually("both ends of the call have ended", || tasks() <= before).await;
        close(&socket).await;
        eventually("the lab has closed it", || lab.counters().sockets_open == 0).await;
    }
    let counters = stop(&lab).await;
    assert_eq!(counters.calls_abandoned, 0, "every peer heard a bye");
    drop(lab);
    nothing_left(baseline).await;
}

#[tokio::test]
async fn a_lab_stopped_with_calls_open_leaves_nothing() {
    let _alone = ALONE.lock().await;
    let baseline = warm_up().await;
    let lab = lab(json!({})).await;
    let mut up = Vec::new();
    for _ in 0..5 {
        let socket = socket(&lab).await;
        up.push((within(place(socket.clone(), &CallConfig::default())).await.unwrap(), socket));
    }
    let counters = stop(&lab).await;
    assert_eq!((counters.calls_open, counters.sockets_open), (0, 0));
    for (call, _) in &up {
        eventually("the call is lost", || call.lost().is_some()).await;
        hang_up(call).await;
    }
    drop((up, lab));
    nothing_left(baseline).await;
}

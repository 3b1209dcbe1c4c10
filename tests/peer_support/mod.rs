//! Two sessions and a wire of function calls between them.
#![allow(dead_code, unreachable_pub, reason = "every test file takes what it needs")]
use std::future::Future;
use std::time::Duration;

use jmeter_webrtc::peer::{MediaCounters, Session, SessionConfig};

/// Far longer than anything here takes; a test that needs it hangs.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Runs `test` with the deadline of all tests.
pub async fn within<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(TIMEOUT, test).await.expect("the test hangs")
}

/// A session on loopback.
pub async fn session(change: impl FnOnce(&mut SessionConfig)) -> Session {
    let mut config = SessionConfig::default();
    change(&mut config);
    Session::new(config).await.expect("a session")
}

/// Offer and answer, with trickling between the two in the background until both have ended it.
pub async fn signal(offerer: &Session, answerer: &Session) {
    let offer = offerer.create_offer().await.expect("offer");
    let answer = answerer.create_answer(&offer).await.expect("answer");
    offerer.set_remote_answer(&answer).await.expect("answer applied");
    tokio::join!(trickle(offerer, answerer), trickle(answerer, offerer));
}

/// Carries the candidates of `from` to `to` until there are no more.
pub async fn trickle(from: &Session, to: &Session) {
    while let Some(candidate) = from.next_local_candidate().await {
        to.add_ice_candidate(candidate).await.expect("candidate");
    }
}

/// Two connected sessions.
pub async fn connected(change: impl Fn(&mut SessionConfig)) -> (Session, Session) {
    let (offerer, answerer) = (session(&change).await, session(&change).await);
    signal(&offerer, &answerer).await;
    let (left, right) = tokio::join!(offerer.connected(), answerer.connected());
    left.expect("offerer connected");
    right.expect("answerer connected");
    (offerer, answerer)
}

/// Waits until `condition` holds.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(15);
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Stops both and waits until what one has sent has reached the other, as far as the kernel delivered it.
pub async fn drained(one: &Session, other: &Session) -> (MediaCounters, MediaCounters) {
    one.stop_audio();
    other.stop_audio();
    let arrived = |from: &Session, to: &Session| {
        let (from, to) = (from.counters(), to.counters());
        from.packets_sent == to.packets_received + to.socket_drops
    };
    until("everything sent is received or dropped by the kernel", || arrived(one, other) && arrived(other, one)).await;
    (one.counters(), other.counters())
}

/// Closes both.
pub async fn close(one: &Session, other: &Session) {
    tokio::join!(one.close(Duration::from_secs(2)), other.close(Duration::from_secs(2)));
}

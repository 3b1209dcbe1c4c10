//! Two hundred relayed softphones at a time.
mod peer_support;
mod turn_support;

use std::sync::Arc;
use std::time::Duration;

use jmeter_webrtc::peer::Session;
use peer_support::{session, trickle};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use turn_support::{Coturn, Over, relay_only};

const SESSIONS: u16 = 200;
/// Calls that are being set up at the same time; the test's machine is shared.
const IN_FLIGHT: usize = 16;

async fn call(server: Arc<Coturn>, over: Over, gate: Arc<Semaphore>) -> (Session, Session) {
    let _place = gate.acquire().await.expect("open");
    let offerer = session(|config| relay_only(config, server.ice_server(over))).await;
    let answerer = session(|_| {}).await;
    let offer = offerer.create_offer().await.expect("offer");
    let answer = answerer.create_answer(&offer).await.expect("answer");
    offerer.set_remote_answer(&answer).await.expect("answer applied");
    tokio::join!(trickle(&offerer, &answerer), trickle(&answerer, &offerer));
    let connected = offerer.connected().await;
    assert!(connected.is_ok(), "{connected:?} {:?}", offerer.wire());
    offerer.first_rtp().await.expect("audio from the answerer");
    answerer.first_rtp().await.expect("audio through the relay");
    (offerer, answerer)
}

async fn many(over: Over) {
    let run = async {
        let server = Arc::new(Coturn::start(SESSIONS * 2, &[]));
        let gate = Arc::new(Semaphore::new(IN_FLIGHT));
        let mut calling = JoinSet::new();
        for _ in 0..SESSIONS {
            calling.spawn(call(Arc::clone(&server), over, Arc::clone(&gate)));
        }
        let calls = calling.join_all().await;
        peer_support::until("one allocation each", || server.allocations() == usize::from(SESSIONS)).await;
        let mut closing = JoinSet::new();
        for (offerer, answerer) in calls {
            closing.spawn(async move {
                tokio::join!(offerer.close(Duration::from_secs(5)), answerer.close(Duration::from_secs(5)));
            });
        }
        closing.join_all().await;
        peer_support::until("the server has no allocation left", || server.allocations() == 0).await;
    };
    tokio::time::timeout(Duration::from_secs(300), run).await.expect("the test hangs");
}

/// Open descriptors of this process.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("procfs").count()
}

// One test, so that nobody else opens anything meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_softphones_talk_through_a_relay_over_each_transport_and_leave_nothing_behind() {
    let before = descriptors();
    for over in [Over::Udp, Over::Tcp, Over::Tls] {
        many(over).await;
        peer_support::until("every socket is closed", || descriptors() == before).await;
    }
}

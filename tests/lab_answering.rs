//! The lab's answering peers, called by a session over an independent WebSocket client.
#![allow(clippy::unwrap_used)]
use std::future::Future;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use jmeter_webrtc::lab::{Lab, LabConfig};
use jmeter_webrtc::peer::{MediaCounters, Session, SessionConfig};
use jmeter_webrtc::signaling::json::Message;
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tungstenite::protocol::Message as Frame;

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), work).await.expect("within 30 s")
}

async fn lab(config: &str) -> Lab {
    Lab::start(LabConfig::from_json(config.as_bytes()).unwrap()).await.unwrap()
}

struct Caller {
    socket: Client,
    session: Session,
}

impl Caller {
    async fn new(lab: &Lab) -> Self {
        let (socket, _) = tokio_tungstenite::connect_async(lab.signaling_url()).await.unwrap();
        Self { socket, session: Session::new(SessionConfig::default()).await.unwrap() }
    }

    async fn say(&mut self, message: Message) {
        self.socket.send(Frame::text(message.encode())).await.unwrap();
    }

    async fn hear(&mut self) -> Message {
        loop {
            if let Frame::Text(text) = within(self.socket.next()).await.expect("open").expect("no error") {
                return Message::decode(&text).unwrap();
            }
        }
    }

    async fn offer(&mut self, call: &str, to: Option<&str>) {
        let sdp = self.session.create_offer().await.unwrap();
        self.say(Message::Offer { call: call.into(), to: to.map(str::to_owned), from: None, sdp }).await;
        while let Some(candidate) = within(self.session.next_local_candidate()).await {
            self.say(Message::Candidate { call: call.into(), candidate }).await;
        }
    }

    /// Works off messages until the session is connected.
    async fn connect(&mut self) {
        let session = self.session.clone();
        let connected = session.connected();
        tokio::pin!(connected);
        loop {
            tokio::select! {
                result = within(&mut connected) => return result.unwrap(),
                message = self.hear() => match message {
                    Message::Answer { sdp, .. } => self.session.set_remote_answer(&sdp).await.unwrap(),
                    Message::Candidate { candidate, .. } => self.session.add_ice_candidate(candidate).await.unwrap(),
                    other => panic!("{other:?}"),
                },
            }
        }
    }

    /// Hangs up and returns our accounts and the lab's.
    async fn hang_up(&mut self, call: &str) -> (MediaCounters, MediaCounters) {
        self.session.stop_audio();
        tokio::time::sleep(Duration::from_millis(60)).await;
        let media = Some(self.session.counters());
        self.say(Message::Bye { call: call.into(), reason: None, media }).await;
        loop {
            match self.hear().await {
                Message::Bye { media: Some(theirs), .. } => {
                    while self.session.counters().packets_received < theirs.packets_sent {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    return (self.session.counters(), theirs);
                }
                Message::Candidate { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn the_tone_talks_and_counts_every_packet_of_both_directions() {
    let lab = lab("{}").await;
    let mut caller = Caller::new(&lab).await;
    caller.offer("c", None).await;
    caller.connect().await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!((lab.counters().calls_answered, lab.counters().calls_open), (1, 1));
    let (ours, theirs) = within(caller.hang_up("c")).await;
    assert_eq!((ours.packets_sent, theirs.packets_sent), (theirs.packets_received, ours.packets_received));
    assert!(ours.packets_sent > 20 && ours.packets_received > 20, "{ours:?}");
    let counters = within(lab.stop(Duration::from_secs(5))).await;
    assert_eq!((counters.packets_sent, counters.packets_received), (theirs.packets_sent, theirs.packets_received));
    assert_eq!((counters.calls_open, counters.calls_failed, counters.packets_lost), (0, 0, 0));
    caller.session.close(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn the_echo_sends_back_what_it_hears_and_nothing_else() {
    let lab = lab("{}").await;
    let mut caller = Caller::new(&lab).await;
    caller.offer("c", Some("echo")).await;
    caller.connect().await;
    tokio::time::sleep(Duration::from_millis(1000)).await;
    let (ours, theirs) = within(caller.hang_up("c")).await;
    assert_eq!((ours.packets_sent, theirs.packets_sent), (theirs.packets_received, ours.packets_received));
    assert!(ours.packets_received > 10, "{ours:?}");
    assert!(theirs.packets_sent <= theirs.packets_received, "{theirs:?}");
    within(lab.stop(Duration::from_secs(5))).await;
    caller.session.close(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn an_offer_that_is_no_sdp_is_refused_and_the_call_name_is_free_again() {
    let lab = lab("{}").await;
    let mut caller = Caller::new(&lab).await;
    for sdp in ["", "v=0", "nonsense\r\n", &"v=0\r\n".repeat(1000)] {
        caller.say(Message::Offer { call: "c".into(), to: None, from: None, sdp: sdp.into() }).await;
        match caller.hear().await {
            Message::Error { call, code, .. } => assert_eq!((call.as_deref(), &*code), (Some("c"), "SDP_REJECTED")),
            other => panic!("{other:?}"),
        }
        within(async {
            while lab.counters().calls_open > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
    assert_eq!((lab.counters().calls_failed, lab.counters().calls_answered), (4, 0));
    caller.session.close(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn the_calls_of_a_vanished_socket_end_after_the_grace_and_are_counted() {
    let lab = lab("{}").await;
    let mut caller = Caller::new(&lab).await;
    caller.offer("c", None).await;
    caller.connect().await;
    let Caller { socket, session } = caller;
    drop(socket);
    let received = session.counters().packets_received;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(session.counters().packets_received > received, "media goes on for the grace");
    within(async {
        while lab.counters().calls_open > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(lab.counters().calls_abandoned, 1);
    session.close(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn stop_ends_open_calls_by_a_bye_with_complete_accounts() {
    let lab = lab("{}").await;
    let mut caller = Caller::new(&lab).await;
    caller.offer("c", None).await;
    caller.connect().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let stopping = tokio::spawn({
        let lab = lab.clone();
        async move { lab.stop(Duration::from_secs(5)).await }
    });
    let theirs = loop {
        match caller.hear().await {
            Message::Bye { reason, media, .. } => {
                assert_eq!(reason.as_deref(), Some("the lab stops"));
                break media.unwrap();
            }
            Message::Candidate { .. } => {}
            other => panic!("{other:?}"),
        }
    };
    caller.session.stop_audio();
    tokio::time::sleep(Duration::from_millis(60)).await;
    let ours = caller.session.counters();
    assert_eq!(ours.packets_received, theirs.packets_sent);
    caller.say(Message::Bye { call: "c".into(), reason: None, media: Some(ours) }).await;
    let counters = within(stopping).await.unwrap();
    assert_eq!((counters.packets_sent, counters.packets_received), (theirs.packets_sent, ours.packets_sent));
    assert_eq!(counters.calls_open, 0);
    caller.session.close(Duration::from_secs(2)).await;
}

//! What the call tests share: a lab in this process, sockets to it, deadlines.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]
use std::future::Future;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use jmeter_webrtc::lab::{Lab, LabConfig};
use jmeter_webrtc::signaling::call::{Call, CallConfig};
use jmeter_webrtc::signaling::json::Message;
use jmeter_webrtc::signaling::outcome::CallReport;
use jmeter_webrtc::socket::{Socket, SocketConfig};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tungstenite::protocol::Message as Frame;

/// Every test ends within this.
pub const TEST_DEADLINE: Duration = Duration::from_secs(45);

pub async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(TEST_DEADLINE, work).await.expect("within 45 s")
}

pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(tokio::time::Instant::now() < end, "not within 20 s: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub async fn lab(config: Value) -> Lab {
    Lab::start(LabConfig::from_json(config.to_string().as_bytes()).unwrap()).await.unwrap()
}

pub async fn stop(lab: &Lab) -> jmeter_webrtc::lab::LabCounters {
    within(lab.stop(Duration::from_secs(5))).await
}

pub async fn socket(lab: &Lab) -> Socket {
    socket_with(lab, json!({})).await
}

pub async fn socket_with(lab: &Lab, more: Value) -> Socket {
    let mut config = json!({"url": lab.signaling_url()});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let config = SocketConfig::from_json(config.to_string().as_bytes()).unwrap();
    within(Socket::open(&config)).await.unwrap().0
}

pub fn config(json: Value) -> CallConfig {
    CallConfig::from_json(json.to_string().as_bytes()).unwrap()
}

pub async fn hang_up(call: &Call) -> CallReport {
    within(call.hang_up(Duration::from_secs(5))).await
}

pub async fn close(socket: &Socket) {
    within(socket.close(1000, "", Duration::from_secs(1))).await;
}

/// A signaling client that is none of ours.
pub struct Stranger(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Stranger {
    pub async fn registered(lab: &Lab, name: &str) -> Self {
        let mut stranger = Self(tokio_tungstenite::connect_async(lab.signaling_url()).await.unwrap().0);
        stranger.say(Message::Register { name: name.into() }).await;
        assert!(matches!(stranger.hear().await, Message::Registered { .. }));
        stranger
    }

    pub async fn say(&mut self, message: Message) {
        self.0.send(Frame::text(message.encode())).await.unwrap();
    }

    pub async fn hear(&mut self) -> Message {
        loop {
            if let Frame::Text(text) = within(self.0.next()).await.expect("open").expect("no error") {
                return Message::decode(&text).unwrap();
            }
        }
    }

    /// The next message that is no candidate.
    pub async fn hear_beyond_candidates(&mut self) -> Message {
        loop {
            match self.hear().await {
                Message::Candidate { .. } => {}
                other => return other,
            }
        }
    }
}

/// Open file descriptors of this process.
pub fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Tasks alive on this runtime.
pub fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

//! The media side of the signaling servers in `tests/auto_ice`: real sessions, told by lines what to do.
//!
//! One JSON object a line comes in, one goes out for each, with the same `id`; requests are worked on at the same time. A
//! peer is made by the first request that names it and ends by `end`, or with standard input. What cannot be done is
//! answered with `error`. Every wait has a deadline.
use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use jmeter_webrtc::peer::{IceCandidateInit, Session, SessionConfig};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How long one request may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long closing a session may take.
const CLOSE_DEADLINE: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
struct Request {
    id: u64,
    peer: String,
    #[serde(flatten)]
    action: Action,
}

/// What a peer is to do.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Action {
    /// Makes an offer: `{"sdp"}`. With `trickle` it has no candidates; `candidates` gives them. `config` as of
    /// `SessionConfig`.
    Offer {
        #[serde(default)]
        config: Value,
    },
    /// Answers an offer: `{"sdp"}`.
    Answer {
        sdp: String,
        #[serde(default)]
        config: Value,
    },
    /// Takes the answer to its offer.
    Accept { sdp: String },
    /// Takes a candidate of the other side.
    Candidate { candidate: IceCandidateInit },
    /// All candidates of its own: `{"candidates":[…]}`.
    Candidates,
    /// How it is: `{"state","packetsSent","packetsReceived"}`.
    Look,
    /// As `look`, for the last time.
    End,
}

#[derive(Clone, Default)]
struct Peers {
    sessions: Arc<Mutex<HashMap<String, Session>>>,
}

impl Peers {
    fn known(&self, peer: &str) -> Result<Session, String> {
        self.sessions.lock().get(peer).cloned().ok_or_else(|| format!("there is no peer '{peer}'"))
    }

    async fn made(&self, peer: &str, config: &Value) -> Result<Session, String> {
        if let Ok(session) = self.known(peer) {
            return Ok(session);
        }
        let text = if config.is_null() { "{}".to_owned() } else { config.to_string() };
        let config = SessionConfig::from_json(text.as_bytes()).map_err(|error| error.to_string())?;
        let session = Session::new(config).await.map_err(|error| error.to_string())?;
        self.sessions.lock().insert(peer.to_owned(), session.clone());
        Ok(session)
    }

    async fn act(&self, peer: &str, action: Action) -> Result<Value, String> {
        let told = |error: jmeter_webrtc::peer::PeerError| error.to_string();
        match action {
            Action::Offer { config } => {
                let session = self.made(peer, &config).await?;
                Ok(json!({"sdp": session.create_offer().await.map_err(told)?}))
            }
            Action::Answer { sdp, config } => {
                let session = self.made(peer, &config).await?;
                Ok(json!({"sdp": session.create_answer(&sdp).await.map_err(told)?}))
            }
            Action::Accept { sdp } => {
                self.known(peer)?.set_remote_answer(&sdp).await.map_err(told)?;
                Ok(json!({}))
            }
            Action::Candidate { candidate } => {
                self.known(peer)?.add_ice_candidate(candidate).await.map_err(told)?;
                Ok(json!({}))
            }
            Action::Candidates => {
                let session = self.known(peer)?;
                let mut candidates = Vec::new();
                while let Some(candidate) = session.next_local_candidate().await {
                    candidates.push(candidate);
                }
                Ok(json!({"candidates": candidates}))
            }
            Action::Look => Ok(look(&self.known(peer)?)),
            Action::End => {
                let session = self.sessions.lock().remove(peer).ok_or_else(|| format!("there is no peer '{peer}'"))?;
                let last = look(&session);
                session.close(CLOSE_DEADLINE).await;
                Ok(last)
            }
        }
    }
}

fn look(session: &Session) -> Value {
    let media = session.counters();
    json!({
        "state": session.connection_state(),
        "packetsSent": media.packets_sent,
        "packetsReceived": media.packets_received,
    })
}

async fn serve(line: String, peers: Peers) -> Value {
    let request: Request = match serde_json::from_str(&line) {
        Ok(request) => request,
        Err(error) => return json!({"error": format!("no request: {error}")}),
    };
    let id = request.id;
    match timeout(DEADLINE, peers.act(&request.peer, request.action)).await {
        Ok(Ok(mut answer)) => {
            answer["id"] = json!(id);
            answer
        }
        Ok(Err(error)) => json!({"id": id, "error": error}),
        Err(_) => json!({"id": id, "error": format!("not done within {DEADLINE:?}")}),
    }
}

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("media_peers: cannot start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let peers = Peers::default();
    let (answers, mut out) = mpsc::unbounded_channel::<Value>();
    let writer = std::thread::spawn(move || {
        while let Some(answer) = out.blocking_recv() {
            println!("{answer}");
        }
    });
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let (answers, peers) = (answers.clone(), peers.clone());
        runtime.spawn(async move {
            let answer = serve(line, peers).await;
            // The writer outlives all requests.
            drop(answers.send(answer));
        });
    }
    let left: Vec<Session> = peers.sessions.lock().drain().map(|(_, session)| session).collect();
    runtime.block_on(async {
        for session in left {
            session.close(CLOSE_DEADLINE).await;
        }
    });
    drop(answers);
    runtime.shutdown_timeout(CLOSE_DEADLINE);
    if writer.join().is_err() {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

//! What the Auto ICE tests share: a server that answers with real sessions and refuses what it has seen before, and a plan.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use jmeter_webrtc::engine::{Engine, Handle, OperationKey, ScopeKey, SocketKey};
use jmeter_webrtc::peer::{IceCandidateInit, Session, SessionConfig};
use jmeter_webrtc::socket::Opcode;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_tungstenite::WebSocketStream;
use tungstenite::protocol::Message;

/// No test waits longer for anything.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A description as somebody has once recorded it.
pub const CANNED: &str = "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
    a=extmap-allow-mixed\r\na=msid-semantic: WMS\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\nc=IN IP4 0.0.0.0\r\n\
    a=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:CANN\r\na=ice-pwd:cannedpasswordof24chars\r\na=ice-options:trickle\r\n\
    a=fingerprint:sha-256 AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA\r\n\
    a=setup:actpass\r\na=mid:0\r\na=sendrecv\r\na=msid:- track\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n\
    a=rtpmap:0 PCMU/8000\r\na=ssrc:1 cname:canned\r\n";

/// The same as an answer.
pub fn canned_answer() -> String {
    CANNED.replace("a=setup:actpass", "a=setup:active")
}

/// A candidate as somebody has once recorded it.
pub const CANNED_CANDIDATE: &str = "candidate:1 1 udp 2122260223 10.9.8.7 54321 typ host generation 0 ufrag CANN";

/// How a server behaves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Habits {
    /// It offers as soon as the socket is open, after so long.
    pub offers_after: Option<Duration>,
    /// Its answer comes so long after the offer.
    pub answer_delay: Duration,
    /// It never answers.
    pub silent: bool,
    /// Its candidates come in messages of their own, so long after its description.
    pub trickles_after: Option<Duration>,
    /// Its description has a candidate where nobody is.
    pub unreachable: bool,
    /// It needs a candidate message before it lets its own ones go.
    pub wants_candidates: bool,
    /// It sends every message in two fragments.
    pub fragments: bool,
}

/// A call as the server sees it.
pub struct ServerCall {
    pub session: Session,
    pub offer: String,
    pub ufrag: String,
    pub fingerprint: String,
    pub ssrcs: Vec<String>,
    pub ended: bool,
}

/// What a server has seen.
#[derive(Default)]
pub struct Seen {
    pub used: HashSet<String>,
    pub calls: Vec<ServerCall>,
    /// Why messages were refused.
    pub refused: Vec<String>,
    /// Every message, as it came.
    pub messages: Vec<Vec<u8>>,
    /// Candidates from the plan.
    pub candidates: Vec<IceCandidateInit>,
}

/// A server on loopback.
pub struct Server {
    pub address: SocketAddr,
    pub seen: Arc<Mutex<Seen>>,
    /// Sockets that are to be dropped without a word: the number of the drop order.
    dropping: tokio::sync::watch::Sender<usize>,
    open: Arc<AtomicUsize>,
    runtime: Option<Runtime>,
}

impl Server {
    pub fn start(habits: Habits) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Seen>> = Arc::default();
        seen.lock().used.extend(["CANN".to_owned(), vec!["AA"; 32].join(":")]);
        let dropping = tokio::sync::watch::Sender::new(0);
        let open = Arc::new(AtomicUsize::new(0));
        let (all, drops, count) = (Arc::clone(&seen), dropping.clone(), Arc::clone(&open));
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, mut dropped, open) = (Arc::clone(&all), drops.subscribe(), Arc::clone(&count));
                tokio::spawn(async move {
                    open.fetch_add(1, Ordering::SeqCst);
                    tokio::select! {
                        () = serve(stream, habits, seen) => {}
                        _ = dropped.changed() => {}
                    }
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, seen, dropping, open, runtime: Some(runtime) }
    }

    pub fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }

    /// Ends the TCP connection of every socket without a close frame.
    pub fn drop_sockets(&self) {
        self.dropping.send_modify(|number| *number += 1);
    }

    pub fn sockets(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// RTP packets of the plan that the server has received, by call.
    pub fn heard(&self) -> Vec<u64> {
        self.seen.lock().calls.iter().map(|call| call.session.counters().packets_received).collect()
    }

    pub fn refused(&self) -> Vec<String> {
        self.seen.lock().refused.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let runtime = self.runtime.take().unwrap();
        let sessions: Vec<Session> = self.seen.lock().calls.drain(..).map(|call| call.session).collect();
        runtime.block_on(async {
            for session in sessions {
                session.close(Duration::from_secs(2)).await;
            }
        });
        runtime.shutdown_timeout(Duration::from_secs(2));
    }
}

fn attributes<'a>(sdp: &'a str, name: &str) -> Vec<&'a str> {
    sdp.lines().filter_map(|line| line.trim_end().strip_prefix(name)).collect()
}

impl Seen {
    /// Refuses a description whose user fragment or fingerprint was seen before.
    fn check(&mut self, sdp: &str) -> Result<(String, String), String> {
        let ufrag = attributes(sdp, "a=ice-ufrag:").first().map(|ufrag| (*ufrag).to_owned()).unwrap_or_default();
        let fingerprint = attributes(sdp, "a=fingerprint:sha-256 ").first().map(|value| (*value).to_owned());
        let fingerprint = fingerprint.unwrap_or_default();
        for value in [&ufrag, &fingerprint] {
            if value.is_empty() || !self.used.insert(value.clone()) {
                let why = format!("stale or missing: '{value}'");
                self.refused.push(why.clone());
                return Err(why);
            }
        }
        Ok((ufrag, fingerprint))
    }

    fn keep(&mut self, session: &Session, sdp: &str, (ufrag, fingerprint): (String, String)) -> usize {
        let ssrcs =
            attributes(sdp, "a=ssrc:").iter().map(|value| value.split(' ').next().unwrap().to_owned()).collect();
        self.calls.push(ServerCall {
            session: session.clone(),
            offer: sdp.to_owned(),
            ufrag,
            fingerprint,
            ssrcs,
            ended: false,
        });
        self.calls.len() - 1
    }
}

/// The dialog of one socket; several calls may come one after the other or at the same time.
struct Connection {
    socket: WebSocketStream<TcpStream>,
    habits: Habits,
    seen: Arc<Mutex<Seen>>,
    /// Calls of this socket: their id, and their number among all.
    calls: Vec<(Value, usize)>,
    /// A session of ours that has offered.
    offered: Option<(Value, Session)>,
    /// Candidates that wait for the plan's.
    held: Vec<Value>,
}

async fn serve(stream: TcpStream, habits: Habits, seen: Arc<Mutex<Seen>>) {
    let Ok(socket) = tokio_tungstenite::accept_async(stream).await else { return };
    let mut connection = Connection { socket, habits, seen, calls: Vec::new(), offered: None, held: Vec::new() };
    if let Some(delay) = habits.offers_after {
        tokio::time::sleep(delay).await;
        connection.offer(json!("server-call")).await;
    }
    while let Some(Ok(message)) = connection.socket.next().await {
        let bytes = match message {
            Message::Text(text) => text.as_bytes().to_vec(),
            Message::Binary(bytes) => bytes.to_vec(),
            Message::Close(_) => break,
            _ => continue,
        };
        connection.seen.lock().messages.push(bytes.clone());
        let text = String::from_utf8(bytes).unwrap();
        if text.starts_with('{') {
            connection.json(serde_json::from_str(&text).unwrap()).await;
        } else if text.contains("SIP/2.0") {
            connection.sip(&text).await;
        } else {
            connection.say(text).await;
        }
    }
}

async fn session() -> Session {
    Session::new(SessionConfig { trickle: false, ..SessionConfig::default() }).await.unwrap()
}

fn without_candidates(sdp: &str) -> (String, Vec<String>) {
    let (theirs, rest): (Vec<&str>, Vec<&str>) =
        sdp.split_inclusive('\n').partition(|line| line.starts_with("a=candidate:") || line.starts_with("a=end-of"));
    let candidates = theirs.iter().filter(|line| line.starts_with("a=candidate:"));
    (rest.concat(), candidates.map(|line| line.trim_end()[2..].to_owned()).collect())
}

impl Connection {
    async fn say(&mut self, text: impl Into<String>) {
        if self.habits.fragments {
            use tungstenite::protocol::frame::Frame;
            use tungstenite::protocol::frame::coding::{Data, OpCode};
            let text = text.into();
            let (first, rest) = text.split_at(text.len() / 2);
            for (part, data, last) in [(first, Data::Text, false), (rest, Data::Continue, true)] {
                let frame = Frame::message(part.to_owned(), OpCode::Data(data), last);
                let _sent = self.socket.send(Message::Frame(frame)).await;
            }
            return;
        }
        // The plan may be gone.
        let _sent = self.socket.send(Message::text(text.into())).await;
    }

    async fn describe(&mut self, kind: &str, id: &Value, sdp: &str) {
        let (bare, candidates) = without_candidates(sdp);
        let mut sdp = sdp.to_owned();
        if self.habits.unreachable {
            sdp = format!("{bare}a=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host\r\n");
        }
        let Some(delay) = self.habits.trickles_after else {
            return self.say(json!({"type": kind, "callId": id, "sdp": sdp}).to_string()).await;
        };
        self.say(json!({"type": kind, "callId": id, "sdp": bare}).to_string()).await;
        let messages = candidates.iter().map(|candidate| {
            json!({"type": "candidate", "callId": id,
                "candidate": {"candidate": candidate, "sdpMid": "0", "sdpMLineIndex": 0}})
        });
        self.held = messages.collect();
        if !self.habits.wants_candidates {
            tokio::time::sleep(delay).await;
            self.release().await;
        }
    }

    async fn release(&mut self) {
        for message in std::mem::take(&mut self.held) {
            self.say(message.to_string()).await;
        }
    }

    async fn offer(&mut self, id: Value) {
        let session = session().await;
        let offer = session.create_offer().await.unwrap();
        self.offered = Some((id.clone(), session));
        self.describe("offer", &id, &offer).await;
    }

    async fn json(&mut self, message: Value) {
        let id = message["callId"].clone();
        match message["type"].as_str().unwrap_or_default() {
            "offer" => {
                let sdp = message["sdp"].as_str().unwrap();
                if self.habits.silent {
                    return;
                }
                match self.answer(id.clone(), sdp).await {
                    Ok(answer) => self.describe("answer", &id, &answer).await,
                    Err(why) => self.say(json!({"type": "error", "callId": id, "reason": why}).to_string()).await,
                }
            }
            "answer" => {
                let sdp = message["sdp"].as_str().unwrap();
                let checked = self.seen.lock().check(sdp);
                match (checked, self.offered.take()) {
                    (Ok(marks), Some((id, session))) => {
                        let number = self.seen.lock().keep(&session, sdp, marks);
                        self.calls.push((id, number));
                        session.set_remote_answer(sdp).await.unwrap();
                        self.say(json!({"type": "accepted"}).to_string()).await;
                    }
                    (checked, _) => {
                        let why = checked.err().unwrap_or_default();
                        self.say(json!({"type": "error", "reason": why}).to_string()).await;
                    }
                }
            }
            "candidate" => {
                let candidate: IceCandidateInit = serde_json::from_value(message["candidate"].clone()).unwrap();
                self.seen.lock().candidates.push(candidate.clone());
                if let Some(session) = self.session_of(&id) {
                    session.add_ice_candidate(candidate).await.unwrap();
                }
                self.release().await;
            }
            "please-offer" => self.offer(id).await,
            "bye" => {
                self.end(&id).await;
                self.say(json!({"type": "ended", "callId": id}).to_string()).await;
            }
            "hang-me-up" => {
                self.say(json!({"type": "bye", "callId": id}).to_string()).await;
                self.end(&id).await;
            }
            "break" => {
                // The connection goes, and signaling says nothing.
                if let Some(session) = self.session_of(&id) {
                    session.close(Duration::from_secs(1)).await;
                }
            }
            _ => self.say(message.to_string()).await,
        }
    }

    async fn answer(&mut self, id: Value, offer: &str) -> Result<String, String> {
        let marks = self.seen.lock().check(offer)?;
        if self.habits.answer_delay > Duration::ZERO {
            tokio::time::sleep(self.habits.answer_delay).await;
        }
        let session = session().await;
        let number = self.seen.lock().keep(&session, offer, marks);
        self.calls.push((id, number));
        session.create_answer(offer).await.map_err(|error| error.to_string())
    }

    fn session_of(&self, id: &Value) -> Option<Session> {
        let (_, number) = self.calls.iter().rev().find(|(other, _)| other == id)?;
        self.seen.lock().calls.get(*number).map(|call| call.session.clone())
    }

    async fn end(&mut self, id: &Value) {
        if let Some(session) = self.session_of(id) {
            if let Some((_, number)) = self.calls.iter().rev().find(|(other, _)| other == id) {
                self.seen.lock().calls[*number].ended = true;
            }
            session.close(Duration::from_secs(1)).await;
        }
    }

    async fn sip(&mut self, message: &str) {
        let header = |name: &str| {
            let found = message.lines().find_map(|line| line.strip_prefix(name));
            found.map(|value| value.trim().to_owned()).unwrap_or_default()
        };
        let (call_id, cseq) = (header("Call-ID:"), header("CSeq:"));
        let id = json!(call_id);
        let (_, body) = message.split_once("\r\n\r\n").unwrap();
        assert_eq!(header("Content-Length:").parse::<usize>().unwrap(), body.len(), "{message}");
        let head = |status: &str| {
            format!(
                "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {};tag=server\r\nCall-ID: {call_id}\r\nCSeq: {cseq}\r\n",
                header("Via:"),
                header("From:"),
                header("To:").split(";tag=").next().unwrap()
            )
        };
        match message.split(' ').next().unwrap() {
            "INVITE" if header("To:").contains(";tag=") => {
                let session = self.session_of(&id).expect("a dialog");
                let answer = session.create_answer(body).await.unwrap();
                let (head, length) = (head("200 OK"), answer.len());
                let reply = format!("{head}Content-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{answer}");
                self.say(reply).await;
            }
            "INVITE" => {
                let reply = match self.answer(id, body).await {
                    Ok(answer) => format!(
                        "{}Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{answer}",
                        head("200 OK"),
                        answer.len()
                    ),
                    Err(why) => {
                        format!("{}Reason: {why}\r\nContent-Length: 0\r\n\r\n", head("488 Not Acceptable Here"))
                    }
                };
                self.say(reply).await;
            }
            "BYE" => {
                self.end(&id).await;
                let reply = format!("{}Content-Length: 0\r\n\r\n", head("200 OK"));
                self.say(reply).await;
            }
            _ => {}
        }
    }
}

/// One thread of a plan.
pub struct Plan<'a> {
    pub engine: &'a Engine,
    pub test: ScopeKey,
    pub thread: ScopeKey,
}

impl<'a> Plan<'a> {
    pub fn new(engine: &'a Engine) -> Self {
        let test = engine.open_scope(None).unwrap();
        Self::of_test(engine, test)
    }

    pub fn of_test(engine: &'a Engine, test: ScopeKey) -> Self {
        Self { engine, test, thread: engine.open_scope(Some(test)).unwrap() }
    }

    pub fn open(&self, url: &str, auto_ice: Value) -> Socket<'a> {
        let config = json!({"url": url, "autoIce": auto_ice}).to_string();
        let none = OperationKey::of(0);
        let key = self.engine.open_socket(self.thread, none, "socket", config.as_bytes(), PATIENCE).unwrap();
        Socket { engine: self.engine, key }
    }

    /// The next result; waits for it.
    pub fn result(&self) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            if self.engine.auto_ice_waiting(self.thread) > 0 {
                let mut results = self.engine.take_auto_ice(self.thread);
                assert_eq!(results.len(), 1, "{results:#?}");
                return results.remove(0);
            }
            assert!(Instant::now() < until, "no result within {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The next result, which must be a call that is up.
    pub fn up(&self) -> Value {
        let result = self.result();
        assert_eq!(result["outcome"]["success"], true, "{result:#}");
        result
    }

    pub fn results(&self) -> Vec<Value> {
        self.engine.take_auto_ice(self.thread)
    }

    pub fn counts(&self) -> Value {
        self.engine.snapshot()["autoIce"].clone()
    }

    pub fn close(&self) -> Value {
        self.engine.close_scope(self.thread, Duration::from_secs(5)).unwrap()
    }
}

/// A socket of a plan.
#[derive(Clone, Copy)]
pub struct Socket<'a> {
    pub engine: &'a Engine,
    pub key: SocketKey,
}

impl Socket<'_> {
    pub fn send(&self, text: &str) -> usize {
        let none = OperationKey::of(0);
        self.engine.send(self.key, none, Opcode::Text, true, text.as_bytes(), PATIENCE).unwrap().0
    }

    pub fn say(&self, message: Value) {
        self.send(&message.to_string());
    }

    pub fn hear(&self) -> String {
        let received = self.engine.receive(self.key, OperationKey::of(0), PATIENCE).unwrap();
        String::from_utf8(received.frame.payload.to_vec()).unwrap()
    }

    pub fn hear_json(&self) -> Value {
        serde_json::from_str(&self.hear()).unwrap()
    }

    pub fn offer(&self, id: &str) {
        self.say(json!({"type": "offer", "callId": id, "sdp": CANNED}));
    }

    pub fn answer(&self, id: &str) {
        self.say(json!({"type": "answer", "callId": id, "sdp": canned_answer()}));
    }

    pub fn close(&self) {
        let deadline = Duration::from_secs(2);
        self.engine.close_socket_with(self.key, OperationKey::of(0), 1000, String::new(), deadline).unwrap();
    }
}

pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Runs a test, which has to end within a minute and a half; a hang ends the process.
pub fn bounded(test: impl FnOnce()) {
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    std::thread::spawn(move || {
        if wait.recv_timeout(Duration::from_secs(90)) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            eprintln!("{name}: not done within 90 s");
            std::process::abort();
        }
    });
    test();
    drop(done);
}

/// Open file descriptors of this process.
pub fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// A STUN server that answers nobody, and how many have asked.
pub fn silent_stun() -> (String, Arc<AtomicUsize>) {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("stun:127.0.0.1:{}", socket.local_addr().unwrap().port());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    std::thread::spawn(move || {
        let mut packet = [0; 1500];
        while socket.recv_from(&mut packet).is_ok() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    (url, asked)
}

//! One streaming WebSocket: SASL, bind, extdisco, publish-subscribe, pings, and the stanzas of calls.
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_util::sync::CancellationToken;
use tungstenite::Message as Frame;

use super::call::CallEvent;
use super::rest::jid;
use super::{Agent, Cloud, MAILBOX};
use crate::signaling::jingle;
use crate::signaling::profile::codec::Codec;
use crate::signaling::profile::fragment;

/// Domain of all users.
pub(super) const DOMAIN: &str = "org1.orgspan.lab";
/// How long one write may take.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);
/// How long a client may take to log in.
const LOGIN_DEADLINE: Duration = Duration::from_secs(60);

/// How a stream error begins (RFC 6120 §4.9).
const STREAM_ERROR: &str = "<stream:error";

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Serves one client until it leaves, is kicked, or what is `up` now goes down.
pub(super) async fn serve(
    mut socket: Socket,
    cloud: Arc<Cloud>,
    user: String,
    kicked: CancellationToken,
    up: CancellationToken,
) {
    let open = cloud.lab.ledger.socket_opened();
    let (mailbox, mut inbox) = mpsc::channel(MAILBOX);
    let mut client = Client {
        connection: cloud.number(),
        bare: jid(&user),
        user,
        cloud: Arc::clone(&cloud),
        mailbox,
        authenticated: false,
        bound: false,
        later: Vec::new(),
    };
    client.later.push((Instant::now() + LOGIN_DEADLINE, Later::LoginDue));
    let ended = loop {
        let due = client.later.iter().map(|(at, _)| *at).min();
        let said = tokio::select! {
            () = up.cancelled() => break "the lab stops or is down",
            () = kicked.cancelled() => break "another WebSocket uses this channel",
            stanza = inbox.recv() => stanza.map(|stanza| vec![stanza]),
            frame = socket.next() => match frame {
                Some(Ok(Frame::Text(text))) => Some(client.take(&text)),
                Some(Ok(Frame::Close(_))) | None => break "the client closed it",
                Some(Ok(_)) => Some(Vec::new()),
                Some(Err(_)) => break "it failed",
            },
            () = at(due) => client.due(Instant::now()),
        };
        let Some(stanzas) = said else { break "the client was asked to leave" };
        let (mut failed, mut last) = (false, false);
        for stanza in stanzas {
            last |= stanza.starts_with(STREAM_ERROR);
            failed |= !matches!(timeout(WRITE_DEADLINE, socket.send(Frame::text(stanza))).await, Ok(Ok(())));
        }
        if failed {
            break "it takes no more";
        }
        if last {
            // There is nothing behind it (RFC 6120 §4.9.1.1).
            break "of a stream error";
        }
    };
    log::debug!("lab genesys: the WebSocket of {} ended: {ended}", client.user);
    client.leave();
    // Bounded, and of no interest beyond.
    let _closed = timeout(Duration::from_secs(1), socket.close(None)).await;
    drop(open);
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// What is done later.
enum Later {
    LoginDue,
    Say(String),
    Ping,
    Move,
}

struct Client {
    connection: u64,
    user: String,
    bare: String,
    cloud: Arc<Cloud>,
    mailbox: mpsc::Sender<String>,
    authenticated: bool,
    bound: bool,
    later: Vec<(Instant, Later)>,
}

impl Client {
    /// Takes it out of the table, unless the user has another WebSocket by now.
    fn leave(&self) {
        let mut agents = self.cloud.agents.lock();
        if agents.get(&self.user).is_some_and(|agent| agent.connection == self.connection) {
            agents.remove(&self.user);
        }
    }

    fn after(&mut self, ms: u64, what: Later) {
        self.later.push((Instant::now() + Duration::from_millis(ms), what));
    }

    /// Does what is due; nothing ends the WebSocket.
    fn due(&mut self, now: Instant) -> Option<Vec<String>> {
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.later).into_iter().partition(|(at, _)| *at <= now);
        self.later = later;
        let mut said = Vec::new();
        for (_, what) in due {
            match what {
                Later::LoginDue if !self.bound => return None,
                Later::LoginDue => {}
                Later::Say(stanza) => said.push(stanza),
                Later::Ping => {
                    let number = self.cloud.number();
                    said.push(format!(
                        r#"<iq xmlns="jabber:client" type="get" id="ping-{number}" to="{}" from="{DOMAIN}"><ping xmlns="urn:xmpp:ping"/></iq>"#,
                        self.full()
                    ));
                    self.after(self.cloud.config.ping_interval_ms, Later::Ping);
                }
                Later::Move => said.push(format!(
                    r#"<iq xmlns="jabber:client" type="set" id="move-{}" to="{}" from="{DOMAIN}"><query xmlns="urn:xmpp:cxfr"/></iq>"#,
                    self.cloud.number(),
                    self.full()
                )),
            }
        }
        Some(said)
    }

    fn full(&self) -> String {
        let agents = self.cloud.agents.lock();
        agents.get(&self.user).map_or_else(|| self.bare.clone(), |agent| agent.full.clone())
    }

    /// Answers one frame.
    fn take(&mut self, text: &str) -> Vec<String> {
        let stanza = match Codec::Xml.decode(text) {
            Ok(stanza) => stanza,
            Err(why) => {
                self.cloud.lab.ledger.messages_refused.add(1);
                log::debug!("lab genesys: {why}");
                return Vec::new();
            }
        };
        match stanza["_"].as_str().unwrap_or_default() {
            "open" => self.features(),
            "auth" => self.authenticate(&stanza),
            "iq" if self.authenticated => self.iq(&stanza, text),
            "message" if self.bound => self.message(&stanza),
            _ => Vec::new(),
        }
    }

    fn features(&self) -> Vec<String> {
        let open = format!(
            r#"<open xmlns="urn:ietf:params:xml:ns:xmpp-framing" from="{DOMAIN}" id="connection-{}" version="1.0" xml:lang="en"/>"#,
            self.connection
        );
        let inner = if self.authenticated {
            r#"<bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"/><session xmlns="urn:ietf:params:xml:ns:xmpp-session"/>"#
        } else {
            r#"<mechanisms xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><mechanism>PLAIN</mechanism><mechanism>ANONYMOUS</mechanism></mechanisms>"#
        };
        let features =
            format!(r#"<stream:features xmlns:stream="http://etherx.jabber.org/streams">{inner}</stream:features>"#);
        vec![open, features]
    }

    fn authenticate(&mut self, stanza: &Value) -> Vec<String> {
        let said = stanza["#text"].as_str().and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).into_owned();
        let expected = format!("\0{}\0authKey:", self.bare);
        let fault = &self.cloud.config.faults.sasl_failure;
        let condition = match (fault.as_str(), said.starts_with(&expected)) {
            ("", true) => {
                self.authenticated = true;
                return vec![r#"<success xmlns="urn:ietf:params:xml:ns:xmpp-sasl"/>"#.to_owned()];
            }
            ("", false) => "not-authorized",
            (condition, _) => condition,
        };
        vec![format!(r#"<failure xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><{condition}/></failure>"#)]
    }

    fn iq(&mut self, stanza: &Value, text: &str) -> Vec<String> {
        let kind = stanza["@type"].as_str().unwrap_or_default();
        if kind == "result" || kind == "error" {
            return Vec::new();
        }
        let id = escape(stanza["@id"].as_str().unwrap_or_default());
        let to = stanza["@to"].as_str().map(escape);
        let result = |inner: &str| {
            // stanza.js waits in vain for an answer from anybody but the one it asked.
            let from = to.as_ref().map(|to| format!(r#" from="{to}""#)).unwrap_or_default();
            format!(r#"<iq xmlns="jabber:client" type="result" id="{id}"{from}>{inner}</iq>"#)
        };
        if let Some(bind) = stanza.get("bind") {
            let resource = bind[0]["resource"][0]["#text"].as_str().filter(|text| !text.is_empty()).unwrap_or("lab");
            let full = format!("{}/{}", self.bare, escape(resource));
            let agent =
                Agent { connection: self.connection, full: full.clone(), called: false, mailbox: self.mailbox.clone() };
            let before = self.cloud.agents.lock().insert(self.user.clone(), agent);
            if let Some(before) = before.filter(|before| before.full == full && before.connection != self.connection) {
                // Two streams cannot have one full JID: the newer one has it (RFC 6120 §7.7.2.2).
                let conflict = format!(
                    r#"{STREAM_ERROR} xmlns:stream="http://etherx.jabber.org/streams"><conflict xmlns="urn:ietf:params:xml:ns:xmpp-streams"/></stream:error>"#
                );
                // A mailbox that is full is one of a client that does not read, or gone already.
                let _told = before.mailbox.try_send(conflict);
            }
            self.bound = true;
            if self.cloud.config.faults.move_after_ms > 0 {
                self.after(self.cloud.config.faults.move_after_ms, Later::Move);
            }
            return vec![result(&format!(
                r#"<bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><jid>{full}</jid></bind>"#
            ))];
        }
        if let Some(services) = stanza.get("services") {
            let answer = result(&self.services(services[0]["@type"].as_str().unwrap_or_default()));
            return match self.cloud.config.faults.extdisco_delay_ms {
                0 => vec![answer],
                ms => {
                    self.after(ms, Later::Say(answer));
                    Vec::new()
                }
            };
        }
        if stanza.get("ping").is_some() {
            return if self.cloud.config.faults.drop_pongs { Vec::new() } else { vec![result("")] };
        }
        if let Some(node) = stanza["pubsub"][0]["subscribe"][0]["@node"].as_str() {
            if node == "enable.server.side.pings" {
                self.after(self.cloud.config.ping_interval_ms, Later::Ping);
            } else if node.ends_with(".conversations") {
                self.cloud.call_from_now_on(&self.user);
            }
            let (node, jid) = (escape(node), self.full());
            return vec![result(&format!(
                r#"<pubsub xmlns="http://jabber.org/protocol/pubsub"><subscription node="{node}" jid="{jid}" subscription="subscribed"/></pubsub>"#
            ))];
        }
        if let Some(text) = stanza["genesys-webrtc"][0]["#text"].as_str() {
            if let Ok(rpc) = Codec::Json.decode(text) {
                self.rpc(&rpc);
            }
            return vec![result("")];
        }
        if stanza.get("jingle").is_some() {
            match jingle::translated(text) {
                Some(Ok(said)) => self.jingle(&said),
                Some(Err(why)) => log::debug!("lab genesys: {why}"),
                None => {}
            }
            return vec![result("")];
        }
        if stanza.get("session").is_some() {
            return vec![result("")];
        }
        self.cloud.lab.ledger.messages_refused.add(1);
        vec![format!(
            r#"<iq xmlns="jabber:client" type="error" id="{id}"><error type="cancel"><service-unavailable xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></iq>"#
        )]
    }

    fn services(&self, kind: &str) -> String {
        let config = &self.cloud.config;
        let service = match (kind, &config.turn, &self.cloud.dead) {
            ("turn", _, Some((_, dead))) => format!(
                r#"<service type="turn" host="{}" port="{}" transport="udp" username="lab" password="lab"/>"#,
                dead.ip(),
                dead.port()
            ),
            ("turn", Some(turn), None) => format!(
                r#"<service type="turn" host="{}" port="{}" transport="{}" username="{}" password="{}"/>"#,
                escape(&turn.host),
                turn.port,
                escape(&turn.transport),
                escape(&turn.username),
                escape(&turn.credential)
            ),
            ("stun", ..) if config.stun => {
                format!(r#"<service type="stun" host="{}" port="{}"/>"#, self.cloud.stun.ip(), self.cloud.stun.port())
            }
            _ => String::new(),
        };
        format!(r#"<services xmlns="urn:xmpp:extdisco:1" type="{}">{service}</services>"#, escape(kind))
    }

    fn message(&self, stanza: &Value) -> Vec<String> {
        let of = |name: &str| stanza[name][0]["@id"].as_str();
        if let Some(session) = of("proceed") {
            self.cloud.tell(session, CallEvent::Proceed);
        } else if let Some(session) = of("reject") {
            self.cloud.tell(session, CallEvent::Terminate);
        }
        Vec::new()
    }

    fn jingle(&self, said: &Value) {
        let text = |name: &str| said[name].as_str().unwrap_or_default();
        let session = text("sid");
        match text("action") {
            "session-accept" => self.cloud.tell(session, CallEvent::Answer(text("sdp").to_owned())),
            "transport-info" => self.cloud.tell(session, CallEvent::Transport(text("fragment").to_owned())),
            "session-terminate" => self.cloud.tell(session, CallEvent::Terminated(text("reason").to_owned())),
            // `session-info` needs no more than its result.
            _ => {}
        }
    }

    fn rpc(&self, rpc: &Value) {
        let params = &rpc["params"];
        let Some(session) = params["sessionId"].as_str() else { return };
        let sdp = || params["sdp"].as_str().unwrap_or_default().to_owned();
        let event = match rpc["method"].as_str().unwrap_or_default() {
            "answer" => CallEvent::Answer(sdp()),
            "iceCandidate" => {
                for candidate in fragment::candidates(&sdp()) {
                    self.cloud.tell(session, CallEvent::Candidate(candidate));
                }
                return;
            }
            "terminate" => {
                let reason = params["reason"].as_str().unwrap_or_default().to_owned();
                CallEvent::Terminated(reason)
            }
            // `info`, `mute` and `unmute` need no more than their result.
            _ => return,
        };
        self.cloud.tell(session, event);
    }
}

/// `text` as it may stand in an attribute or between tags.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

//! One call of the lab to a softphone: proposed, offered, held, terminated. It lives without the softphone's WebSocket.
//!
//! Every wait has a deadline or ends with the lab; the call leaves the tables with its task.
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::Cloud;
use super::stream::escape;
use crate::peer::{ConnectionState, IceCandidateInit, PeerError, Session, SessionConfig};
use crate::signaling::jingle;
use crate::signaling::profile::fragment;

/// How long a softphone may ring.
const PROCEED_DEADLINE: Duration = Duration::from_secs(60);
/// How long the answer may take, and how long connecting.
const STEP_DEADLINE: Duration = Duration::from_secs(30);
/// An offer for a session that is there is said again after so long.
const REINVITE_EVERY: Duration = Duration::from_secs(1);
/// How often an idle persistent connection is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How long closing the session may take.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);

/// What reaches a call.
#[derive(Clone, Debug)]
pub(super) enum CallEvent {
    /// The client will take it.
    Proceed,
    /// The client's answer.
    Answer(String),
    /// A candidate of the client.
    Candidate(IceCandidateInit),
    /// What the client says of its transport in Jingle, as a fragment: candidates, or the answer to a restart of ICE.
    Transport(String),
    /// The client has ended it, and why.
    Terminated(String),
    /// The lab is to end it.
    Terminate,
    /// The client answers the conversation by REST.
    Accepted,
    /// Another conversation uses the persistent connection.
    Conversation {
        /// Its id.
        id: String,
        /// The client has placed it.
        outgoing: bool,
    },
}

impl CallEvent {
    /// What the client said, for counting.
    pub(super) fn word(&self) -> Option<String> {
        match self {
            Self::Proceed => Some("proceed".to_owned()),
            Self::Answer(_) => Some("answer".to_owned()),
            Self::Terminated(reason) => Some(format!("terminate {reason}")),
            Self::Candidate(_) | Self::Transport(_) | Self::Terminate | Self::Accepted | Self::Conversation { .. } => {
                None
            }
        }
    }
}

/// An offer for a session that is there, said again and again until it is answered.
struct Reinvite {
    rpc: Value,
    next: Instant,
    /// It is said so often more, answered or not.
    left: u32,
}

pub(super) struct CloudCall {
    cloud: Arc<Cloud>,
    user: String,
    session: String,
    conversation: String,
    /// The conversation goes on; otherwise this is a persistent connection without one.
    conversing: bool,
    /// It waits for the client's answer by REST.
    alerting: bool,
    /// The gateway's JID; a softphone's peer has `gjoll` behind the @.
    from: String,
}

/// How a part of a call ended.
enum Ended {
    /// The client has ended it.
    ByClient,
    /// It is to be terminated by the lab, with this reason.
    ByLab(String),
}

impl CloudCall {
    pub(super) fn new(cloud: Arc<Cloud>, user: String, session: String, conversation: String, number: u64) -> Self {
        let from = format!("gjoll-{number}@conversation.gjoll.lab");
        Self { cloud, user, session, conversation, conversing: true, alerting: false, from }
    }

    /// Carries the call from its proposal to its end.
    pub(super) async fn run(mut self, mut events: mpsc::Receiver<CallEvent>) {
        let open = self.cloud.lab.ledger.call_opened();
        let mut sessions = Vec::new();
        let ended = self.carry(&mut events, &mut sessions, &open).await;
        if let Ended::ByLab(reason) = ended {
            match self.cloud.config.sdp_over_xmpp {
                true => self.rpc("terminate", json!({"sessionId": self.session, "reason": reason})),
                false => self.jingle("session-terminate", "", &format!("<reason><{reason}/></reason>")),
            }
        }
        if self.conversing {
            self.notify("terminated");
        }
        for session in sessions {
            session.close(CLOSE_DEADLINE).await;
        }
        self.cloud.calls.lock().remove(&self.session);
        drop(open);
        let every = self.cloud.config.call_every_ms;
        if every > 0 {
            self.cloud.call_after(self.user, every);
        }
    }

    async fn carry(
        &mut self,
        events: &mut mpsc::Receiver<CallEvent>,
        sessions: &mut Vec<Session>,
        open: &crate::lab::ledger::OpenCall,
    ) -> Ended {
        let (cloud, name) = (Arc::clone(&self.cloud), self.session.clone());
        let failed = |why: String| {
            log::debug!("lab genesys: call {name}: {why}");
            cloud.lab.ledger.calls_failed.add(1);
            Ended::ByLab("error".to_owned())
        };
        self.propose();
        match timeout(PROCEED_DEADLINE, next(events, |event| matches!(event, CallEvent::Proceed))).await {
            Ok(Ok(_)) => {}
            Ok(Err(ended)) => return ended.unwrap_or_else(|| self.by_lab()),
            Err(_) => {
                self.say(&format!(r#"<retract xmlns="urn:xmpp:jingle-message:0" id="{}"/>"#, self.session));
                return failed("it was not taken".to_owned());
            }
        }
        if self.cloud.config.faults.candidate_before_offer {
            let sdp = "m=0 9 RTP/AVP 0\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host generation 0\r\n";
            self.rpc("iceCandidate", json!({"sessionId": self.session, "sdp": sdp}));
        }
        let (mut session, mut offer) = match self.offer().await {
            Ok(made) => made,
            Err(error) => return failed(error.to_string()),
        };
        sessions.push(session.clone());
        open.attach(session.clone());
        if self.cloud.config.sdp_over_xmpp {
            self.say_rpc(&self.offer_rpc(&offer, false));
        } else {
            let initiator = format!(r#" initiator="{}""#, self.from);
            match jingle::contents(&offer, jingle::Writer::Initiator) {
                Ok(contents) => self.jingle("session-initiate", &initiator, &contents),
                Err(why) => return failed(why),
            }
        }
        let mut deadline = Some(Instant::now() + STEP_DEADLINE);
        let (mut answered, mut connected) = (false, false);
        let mut reinvite_at = None;
        let mut reinvite: Option<Reinvite> = None;
        let (mut last_answer, mut restart_at, mut restart_by) = (String::new(), None, None);
        loop {
            let until_connected = session.clone();
            tokio::select! {
                () = self.cloud.lab.end_calls.cancelled() => return self.by_lab(),
                event = events.recv() => match event {
                    Some(CallEvent::Answer(answer)) if !answered => {
                        answered = true;
                        reinvite = reinvite.filter(|reinvite| reinvite.left > 0);
                        if let Err(error) = session.set_remote_answer(&answer).await {
                            return failed(error.to_string());
                        }
                        last_answer = answer;
                        if !connected {
                            self.cloud.lab.ledger.calls_answered.add(1);
                        }
                        deadline = Some(Instant::now() + STEP_DEADLINE);
                    }
                    Some(CallEvent::Candidate(candidate)) => add(&session, candidate).await,
                    Some(CallEvent::Transport(told)) => {
                        let restarted = restart_by.and_then(|_| fragment::restarted(&last_answer, &told));
                        if let Some(answer) = restarted {
                            restart_by = None;
                            if let Err(error) = session.set_remote_answer(&answer).await {
                                return failed(error.to_string());
                            }
                            last_answer = answer;
                        }
                        for candidate in fragment::candidates(&told) {
                            add(&session, candidate).await;
                        }
                    }
                    Some(CallEvent::Terminated(reason)) => {
                        log::debug!("lab genesys: the client ended call {}: {reason}", self.session);
                        return Ended::ByClient;
                    }
                    Some(CallEvent::Terminate) if !self.conversing => {}
                    Some(CallEvent::Terminate) if connected && self.cloud.config.persistent => deadline = self.stand(),
                    Some(CallEvent::Terminate) | None => return self.by_lab(),
                    Some(CallEvent::Conversation { id, outgoing }) => deadline = self.converse(id, outgoing),
                    Some(CallEvent::Accepted) if self.alerting => deadline = self.accepted(),
                    Some(CallEvent::Accepted) => {}
                    Some(CallEvent::Answer(_)) => reinvite = reinvite.filter(|reinvite| reinvite.left > 0),
                    Some(CallEvent::Proceed) => {}
                },
                done = async move { until_connected.connected().await }, if answered && !connected => match done {
                    Ok(()) => {
                        connected = true;
                        self.notify("connected");
                        let after = |ms: u64| (ms > 0).then(|| Instant::now() + Duration::from_millis(ms));
                        deadline = after(self.cloud.config.call_hold_ms);
                        reinvite_at = after(self.cloud.config.faults.reinvite_after_ms);
                        restart_at = after(self.cloud.config.faults.restart_ice_after_ms);
                    }
                    Err(error) => return failed(error.to_string()),
                },
                () = at(reinvite_at) => {
                    reinvite_at = None;
                    if self.cloud.config.faults.reinvite_new_ice {
                        match self.offer().await {
                            Ok(made) => (session, offer) = made,
                            Err(error) => return failed(error.to_string()),
                        }
                        sessions.push(session.clone());
                        open.attach(session.clone());
                        answered = false;
                        connected = false;
                        deadline = Some(Instant::now() + STEP_DEADLINE);
                    }
                    let rpc = self.offer_rpc(&offer, true);
                    self.say_rpc(&rpc);
                    let left = self.cloud.config.faults.reinvite_repeats;
                    reinvite = Some(Reinvite { rpc, next: Instant::now() + REINVITE_EVERY, left });
                }
                () = at(reinvite.as_ref().map(|reinvite| reinvite.next)) => {
                    if let Some(again) = &mut reinvite {
                        self.say_rpc(&again.rpc);
                        again.next = Instant::now() + REINVITE_EVERY;
                        again.left = again.left.saturating_sub(1);
                    }
                }
                () = at(restart_at) => {
                    restart_at = None;
                    restart_by = Some(Instant::now() + STEP_DEADLINE);
                    session.restart_ice();
                    let offered = session.create_offer().await.map_err(|error| error.to_string());
                    match offered.and_then(|offer| jingle::transports(&offer)) {
                        Ok(transports) => self.jingle("transport-info", "", &transports),
                        Err(why) => return failed(why),
                    }
                }
                // Whoever leaves without a word does not use the connection any more.
                () = sleep(LOOK), if !self.conversing => {
                    if matches!(session.connection_state(), ConnectionState::Closed | ConnectionState::Failed) {
                        return Ended::ByClient;
                    }
                }
                () = at(restart_by) => return failed("the restart of ICE was not answered".to_owned()),
                () = at(deadline) => {
                    if connected && restart_by.is_some() {
                        return failed("the restart of ICE was not answered before the end".to_owned());
                    }
                    if connected && self.conversing && self.cloud.config.persistent {
                        deadline = self.stand();
                        continue;
                    }
                    if connected {
                        return self.by_lab();
                    }
                    return failed("it was not answered, or did not connect".to_owned());
                }
            }
        }
    }

    /// The conversation is over, and the connection stays; until when.
    fn stand(&mut self) -> Option<Instant> {
        self.notify("terminated");
        (self.conversing, self.alerting) = (false, false);
        if let Some(ongoing) = self.cloud.calls.lock().get_mut(&self.session) {
            ongoing.idle = true;
        }
        let every = self.cloud.config.call_every_ms;
        if every > 0 {
            self.cloud.call_after(self.user.clone(), every);
        }
        Some(Instant::now() + Duration::from_millis(self.cloud.config.persistent_idle_ms))
    }

    /// Another conversation uses the connection; until when it is waited for, or goes on.
    fn converse(&mut self, id: String, outgoing: bool) -> Option<Instant> {
        self.conversation = id;
        (self.conversing, self.alerting) = (true, !outgoing);
        self.notify(if outgoing { "contacting" } else { "alerting" });
        if outgoing { self.accepted() } else { Some(Instant::now() + PROCEED_DEADLINE) }
    }

    /// The conversation is up; until when.
    fn accepted(&mut self) -> Option<Instant> {
        self.alerting = false;
        self.cloud.lab.ledger.calls_answered.add(1);
        self.notify("connected");
        let hold = self.cloud.config.call_hold_ms;
        (hold > 0).then(|| Instant::now() + Duration::from_millis(hold))
    }

    fn by_lab(&self) -> Ended {
        Ended::ByLab(self.cloud.config.terminate_reason.clone())
    }

    /// A session of the lab's own and its complete offer.
    async fn offer(&self) -> Result<(Session, String), PeerError> {
        let config =
            SessionConfig { source_address: Some(self.cloud.address.ip()), trickle: false, ..SessionConfig::default() };
        let session = Session::new(config).await?;
        let offer = session.create_offer().await?;
        Ok((session, offer))
    }

    fn propose(&self) {
        let sdp = if self.cloud.config.sdp_over_xmpp { r#" inin-sdp-over-xmpp="true""# } else { "" };
        let auto = if self.cloud.config.auto_answer { r#" inin-autoanswer="true""# } else { "" };
        self.say(&format!(
            r#"<propose xmlns="urn:xmpp:jingle-message:0" id="{}" inin-cid="{}"{auto}{sdp} inin-user-id="{}"><description xmlns="urn:xmpp:jingle:apps:rtp:1" media="audio"/></propose>"#,
            self.session, self.conversation, self.user
        ));
    }

    fn offer_rpc(&self, offer: &str, reinvite: bool) -> Value {
        let mut params = json!({"sessionId": self.session, "conversationId": self.conversation, "sdp": offer});
        if reinvite {
            params["reinvite"] = true.into();
        }
        self.new_rpc("offer", params)
    }

    fn say(&self, inner: &str) {
        let said = self.cloud.say(&self.user, |full| {
            format!(r#"<message xmlns="jabber:client" to="{full}" from="{}">{inner}</message>"#, self.from)
        });
        self.heard(said);
    }

    fn rpc(&self, method: &str, params: Value) {
        self.say_rpc(&self.new_rpc(method, params));
    }

    fn new_rpc(&self, method: &str, params: Value) -> Value {
        let id = format!("{method}-{}", self.cloud.number());
        json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
    }

    fn say_rpc(&self, rpc: &Value) {
        let number = self.cloud.number();
        let said = self.cloud.say(&self.user, |full| {
            format!(
                r#"<iq xmlns="jabber:client" type="set" id="gateway-{number}" to="{full}" from="{}"><genesys-webrtc xmlns="genesys">{}</genesys-webrtc></iq>"#,
                self.from,
                escape(&rpc.to_string())
            )
        });
        self.heard(said);
    }

    fn jingle(&self, action: &str, attributes: &str, inner: &str) {
        let number = self.cloud.number();
        let said = self.cloud.say(&self.user, |full| {
            format!(
                r#"<iq xmlns="jabber:client" type="set" id="gateway-{number}" to="{full}" from="{}"><jingle xmlns="urn:xmpp:jingle:1" sid="{}" action="{action}"{attributes}>{inner}</jingle></iq>"#,
                self.from, self.session
            )
        });
        self.heard(said);
    }

    /// Publishes the state of the conversation, at once or as late as the faults say.
    fn notify(&self, state: &str) {
        let delay = self.cloud.config.faults.event_delay_ms;
        if delay == 0 {
            let said = publish(&self.cloud, &self.user, &self.conversation, state);
            return self.heard(said);
        }
        let (cloud, user, conversation) = (Arc::clone(&self.cloud), self.user.clone(), self.conversation.clone());
        let state = state.to_owned();
        self.cloud.lab.spawn(async move {
            tokio::select! {
                () = cloud.lab.end_lines.cancelled() => {}
                () = tokio::time::sleep(Duration::from_millis(delay)) => {
                    // Whoever has left by then hears nothing.
                    let _heard = publish(&cloud, &user, &conversation, &state);
                }
            }
        });
    }

    fn heard(&self, said: bool) {
        if !said {
            log::debug!("lab genesys: {} has no WebSocket that takes a stanza now", self.user);
        }
    }
}

/// One candidate that is not usable is no reason to give the others up.
async fn add(session: &Session, candidate: IceCandidateInit) {
    if let Err(error) = session.add_ice_candidate(candidate).await {
        log::debug!("lab genesys: a candidate is not usable: {error}");
    }
}

/// A conversation event, as the vendor publishes it; false where the user has no WebSocket that takes it.
fn publish(cloud: &Cloud, user: &str, conversation: &str, state: &str) -> bool {
    let event = json!({"topicName": format!("v2.users.{user}.conversations"), "version": "2", "eventBody": {
        "id": conversation, "participants": [{"id": format!("participant-{conversation}"), "purpose": "agent",
        "userId": user, "calls": [{"state": state}]}]}});
    let number = cloud.number();
    cloud.say(user, |full| {
        format!(
            r#"<message xmlns="jabber:client" from="notifications.lab" to="{full}"><event xmlns="http://jabber.org/protocol/pubsub#event"><items node="v2.users.{user}.conversations"><item id="event-{number}"><json xmlns="urn:xmpp:json:0">{}</json></item></items></event></message>"#,
            escape(&event.to_string())
        )
    })
}

/// The next event that is `wanted`; without one how the call ended (`None`: by the lab).
async fn next(
    events: &mut mpsc::Receiver<CallEvent>,
    wanted: impl Fn(&CallEvent) -> bool,
) -> Result<CallEvent, Option<Ended>> {
    loop {
        match events.recv().await {
            Some(event) if wanted(&event) => return Ok(event),
            Some(CallEvent::Terminated(_)) => return Err(Some(Ended::ByClient)),
            Some(CallEvent::Terminate) | None => return Err(None),
            Some(_) => {}
        }
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

//! A counterpart for Genesys Cloud softphones: REST, XMPP over WebSocket (RFC 7395), calls by JSON-RPC in
//! `genesys-webrtc` elements. Or in Jingle. It offers, the agent answers.
//!
//! Any bearer token is accepted and is a user of its own; `POST /oauth/token` makes one. `POST /lab/calls` with
//! `{"userId":…}` calls a softphone; `POST /lab/outage` with `{"ms":…}` ends all connections and takes none for so long, and
//! `GET /lab/arrivals` tells when each WebSocket was asked for since then; `GET /lab/heard` counts what clients said of their
//! calls: `proceed`, `answer`, and `terminate` with its reason. A second stream with the same full JID ends the
//! first with the stream error `conflict`.
//! Guarantees: a call lives without its WebSocket, as at the vendor's; a second WebSocket on a channel closes the first; an
//! answer to an IQ comes `from` whom it was sent `to`; channels, calls and chats outlive an outage; nothing waits without a deadline but for clients, who may leave at
//! any time. Everything ends with the lab.
mod call;
mod config;
mod desk;
mod rest;
mod stream;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::call::CallEvent;
pub use self::config::{GenesysConfig, GenesysFaults, TurnService};
use super::{ACCEPT_REST, Shared};

/// Stanzas that may wait for a client that does not read.
const MAILBOX: usize = 256;
/// Channels a lab keeps.
const MAX_CHANNELS: usize = 100_000;
/// Arrivals a lab keeps after an outage.
const MAX_ARRIVALS: usize = 100_000;
/// Different words about calls that a lab counts.
const MAX_HEARD: usize = 64;
/// How long the answer to who asked for an outage has.
const LAST_ANSWER: Duration = Duration::from_millis(50);

/// What all tasks of the counterpart share.
pub(super) struct Cloud {
    config: GenesysConfig,
    lab: Arc<Shared>,
    address: SocketAddr,
    stun: SocketAddr,
    /// Bound and never read, for `deadRelay`.
    dead: Option<(UdpSocket, SocketAddr)>,
    next: AtomicU64,
    requests: AtomicU64,
    channels: Mutex<HashMap<String, Channel>>,
    /// Streaming WebSockets by user.
    agents: Mutex<HashMap<String, Agent>>,
    /// Calls by session id.
    calls: Mutex<HashMap<String, Ongoing>>,
    /// Users who will be called.
    due: Mutex<HashSet<String>>,
    chats: Mutex<desk::Chats>,
    /// What clients said of their calls, and how often.
    heard: Mutex<BTreeMap<String, u64>>,
    uptime: Mutex<Uptime>,
}

/// The time between two outages.
struct Uptime {
    /// Ends it, as the lab's end does.
    up: CancellationToken,
    /// How long the outage takes that ends it.
    outage: Duration,
    /// When the outage before it began, and after how many ms each WebSocket was asked for.
    began: Option<Instant>,
    arrivals: Vec<u64>,
}

struct Channel {
    user: String,
    /// Ends the WebSocket that uses it.
    in_use: CancellationToken,
}

#[derive(Clone)]
struct Agent {
    connection: u64,
    full: String,
    /// It is called from time to time.
    called: bool,
    mailbox: mpsc::Sender<String>,
}

struct Ongoing {
    user: String,
    conversation: String,
    /// A persistent connection without a call.
    idle: bool,
    events: mpsc::Sender<CallEvent>,
}

impl Cloud {
    /// Binds what a configuration needs and starts to listen.
    pub(super) async fn start(
        config: GenesysConfig,
        lab: Arc<Shared>,
        listener: TcpListener,
        stun: SocketAddr,
    ) -> std::io::Result<SocketAddr> {
        let address = listener.local_addr()?;
        let dead = if config.faults.dead_relay {
            let socket = UdpSocket::bind((address.ip(), 0)).await?;
            let address = socket.local_addr()?;
            Some((socket, address))
        } else {
            None
        };
        let cloud = Arc::new(Self {
            config,
            lab: Arc::clone(&lab),
            address,
            stun,
            dead,
            next: AtomicU64::new(1),
            requests: AtomicU64::new(0),
            channels: Mutex::default(),
            agents: Mutex::default(),
            calls: Mutex::default(),
            due: Mutex::default(),
            chats: Mutex::default(),
            heard: Mutex::default(),
            uptime: Mutex::new(Uptime {
                up: lab.end_lines.child_token(),
                outage: Duration::ZERO,
                began: None,
                arrivals: Vec::new(),
            }),
        });
        lab.spawn(rest::accept(listener, cloud));
        Ok(address)
    }

    /// Cancelled when everything that is connected now has to end.
    fn up(&self) -> CancellationToken {
        self.uptime.lock().up.clone()
    }

    /// Goes down for so long, as soon as who asked for it has an answer.
    fn go_down(self: &Arc<Self>, outage: Duration) {
        let cloud = Arc::clone(self);
        self.lab.spawn(async move {
            tokio::time::sleep(LAST_ANSWER).await;
            let mut uptime = cloud.uptime.lock();
            uptime.outage = outage;
            uptime.began = Some(Instant::now());
            uptime.arrivals.clear();
            uptime.up.cancel();
        });
    }

    /// Waits for the end of the outage; the listener of the time after it, nothing when the lab ends.
    async fn back(&self) -> Option<TcpListener> {
        let outage = self.uptime.lock().outage;
        tokio::select! {
            () = self.lab.end_lines.cancelled() => return None,
            () = tokio::time::sleep(outage) => {}
        }
        loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => {
                    self.uptime.lock().up = self.lab.end_lines.child_token();
                    return Some(listener);
                }
                // Somebody else has the port meanwhile.
                Err(error) => log::warn!("lab genesys: still down: {}: {error}", self.address),
            }
            tokio::select! {
                () = self.lab.end_lines.cancelled() => return None,
                () = tokio::time::sleep(ACCEPT_REST) => {}
            }
        }
    }

    /// A WebSocket is asked for.
    fn arrived(&self) {
        let mut uptime = self.uptime.lock();
        if let Some(began) = uptime.began
            && uptime.arrivals.len() < MAX_ARRIVALS
        {
            let ms = began.elapsed().as_millis();
            uptime.arrivals.push(u64::try_from(ms).unwrap_or(u64::MAX));
        }
    }

    /// When WebSockets were asked for since the last outage began, ms after that.
    fn arrivals(&self) -> Vec<u64> {
        self.uptime.lock().arrivals.clone()
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// A stanza to a user's WebSocket, made with the user's full JID; false when there is none.
    fn say(&self, user: &str, stanza: impl FnOnce(&str) -> String) -> bool {
        let agent = self.agents.lock().get(user).cloned();
        agent.is_some_and(|agent| agent.mailbox.try_send(stanza(&agent.full)).is_ok())
    }

    /// Tells a call what its client said.
    fn tell(&self, session: &str, event: CallEvent) {
        if let Some(word) = event.word() {
            let mut heard = self.heard.lock();
            if heard.contains_key(&word) || heard.len() < MAX_HEARD {
                *heard.entry(word).or_default() += 1;
            }
        }
        let events = self.calls.lock().get(session).map(|call| call.events.clone());
        if events.is_none_or(|events| events.try_send(event).is_err()) {
            log::debug!("lab genesys: a message of a call that is over, or that does not keep up");
        }
    }

    /// Calls a user, or has the user call; the conversation's id. A persistent connection without a call is used for it.
    fn call(self: &Arc<Self>, user: &str, outgoing: bool) -> String {
        let number = self.number();
        let (session, conversation) = (format!("session-{number}"), format!("conversation-{number}"));
        {
            let mut calls = self.calls.lock();
            let standing = calls.values_mut().find(|call| call.user == user && call.idle);
            if let Some(standing) = standing {
                let event = CallEvent::Conversation { id: conversation.clone(), outgoing };
                if standing.events.try_send(event).is_ok() {
                    standing.idle = false;
                    standing.conversation.clone_from(&conversation);
                    return conversation;
                }
            }
        }
        let (events, inbox) = mpsc::channel(MAILBOX);
        let ongoing = Ongoing { user: user.to_owned(), conversation: conversation.clone(), idle: false, events };
        self.calls.lock().insert(session.clone(), ongoing);
        let call = call::CloudCall::new(Arc::clone(self), user.to_owned(), session, conversation.clone(), number);
        self.lab.spawn(call.run(inbox));
        conversation
    }

    /// A softphone is ready for calls: it is called from time to time, if so configured.
    fn call_from_now_on(self: &Arc<Self>, user: &str) {
        let every = self.config.call_every_ms;
        let begins = every > 0
            && self.agents.lock().get_mut(user).is_some_and(|agent| !std::mem::replace(&mut agent.called, true));
        if begins {
            self.call_after(user.to_owned(), every);
        }
    }

    /// Calls a user after so long who is still there and has no call then; the end of a call is what the next one counts from.
    fn call_after(self: &Arc<Self>, user: String, ms: u64) {
        if !self.due.lock().insert(user.clone()) {
            return;
        }
        let cloud = Arc::clone(self);
        self.lab.spawn(async move {
            tokio::select! {
                () = cloud.lab.end_calls.cancelled() => return,
                () = tokio::time::sleep(Duration::from_millis(ms)) => {}
            }
            cloud.due.lock().remove(&user);
            let talks = cloud.calls.lock().values().any(|call| call.user == user && !call.idle);
            if !talks && cloud.agents.lock().contains_key(&user) {
                cloud.call(&user, false);
            }
        });
    }

    /// Tells the calls of a conversation what its user wants; false when there is none.
    fn tell_conversation(&self, conversation: &str, event: &CallEvent) -> bool {
        let calls = self.calls.lock();
        let mut found = false;
        for call in calls.values().filter(|call| call.conversation == conversation) {
            found |= call.events.try_send(event.clone()).is_ok();
        }
        found
    }
}

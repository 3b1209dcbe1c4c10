//! A counterpart for SIP softphones over WebSocket (RFC 7118): registrar with digest, a proxy between registered users, and
//! answering peers with real sessions: `tone` and `echo`.
//!
//! Every user name has the same password. Guarantees: a call lives without its WebSocket; what a client sends never ends more than
//! its own calls; nothing waits without a deadline but for clients, who may leave at any time. Everything ends with the lab.
mod call;
mod config;
mod line;
mod registrar;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::Instant;

pub use self::config::{SipConfig, SipFaults};
use super::Shared;
use crate::signaling::sip::message::{Message, uri_of};

/// Messages that may wait for a client that does not read, or for a call.
const MAILBOX: usize = 256;
/// How long the listener rests after an accept failed.
const ACCEPT_REST: Duration = Duration::from_millis(50);
/// Tones that are kept.
const MAX_TONES: usize = 10_000;

/// What all tasks of the counterpart share.
pub(super) struct Exchange {
    config: SipConfig,
    lab: Arc<Shared>,
    address: SocketAddr,
    nonce: String,
    next: AtomicU64,
    /// WebSockets by number.
    clients: Mutex<HashMap<u64, mpsc::Sender<String>>>,
    /// Registrations by user name.
    bindings: Mutex<HashMap<String, Binding>>,
    /// Users that were called or cut once already.
    called: Mutex<HashSet<String>>,
    cut: Mutex<HashSet<String>>,
    /// The lab's own calls, by Call-ID.
    calls: Mutex<HashMap<String, mpsc::Sender<Message>>>,
    tones: Mutex<Vec<String>>,
}

/// A registration.
#[derive(Clone)]
struct Binding {
    client: u64,
    contact: String,
    until: Instant,
}

impl Exchange {
    /// Starts to listen.
    pub(super) fn start(config: SipConfig, lab: Arc<Shared>, listener: TcpListener) -> std::io::Result<Arc<Self>> {
        let exchange = Arc::new(Self {
            address: listener.local_addr()?,
            nonce: format!("{:032x}", rand::random::<u128>()),
            config,
            lab: Arc::clone(&lab),
            next: AtomicU64::new(1),
            clients: Mutex::default(),
            bindings: Mutex::default(),
            called: Mutex::default(),
            cut: Mutex::default(),
            calls: Mutex::default(),
            tones: Mutex::default(),
        });
        lab.spawn(accept(listener, Arc::clone(&exchange)));
        Ok(exchange)
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Users whose registration has not expired.
    pub(super) fn registered(&self) -> usize {
        let now = Instant::now();
        self.bindings.lock().values().filter(|binding| binding.until > now).count()
    }

    /// Tones of the calls so far, one text for each call that had some.
    pub(super) fn tones(&self) -> Vec<String> {
        self.tones.lock().clone()
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// A new `Via` of the lab.
    fn via(&self) -> String {
        format!("SIP/2.0/WS lab.invalid;branch=z9hG4bKlab{}", self.number())
    }

    /// Sends to a client; false when it is gone or does not read.
    fn say(&self, client: u64, message: &Message) -> bool {
        let mailbox = self.clients.lock().get(&client).cloned();
        mailbox.is_some_and(|mailbox| mailbox.try_send(message.to_string()).is_ok())
    }

    /// Hands a message of a client to the lab's own call it is of.
    fn tell(&self, message: &Message) -> bool {
        let call = self.calls.lock().get(message.call_id()).cloned();
        call.is_some_and(|call| call.try_send(message.clone()).is_ok())
    }

    /// The registration a Request-URI means: by user name, or by the contact itself.
    fn binding(&self, uri: &str) -> Option<Binding> {
        let bindings = self.bindings.lock();
        let now = Instant::now();
        let of_user = bindings.get(user_of(uri));
        let found = of_user.or_else(|| bindings.values().find(|binding| user_of(&binding.contact) == user_of(uri)));
        found.filter(|binding| binding.until > now).cloned()
    }

    fn heard(&self, tones: String) {
        let mut all = self.tones.lock();
        if !tones.is_empty() && all.len() < MAX_TONES {
            all.push(tones);
        }
    }

    /// A softphone registered: it is called from time to time, if so configured.
    fn call_from_now_on(self: &Arc<Self>, user: &str) {
        let every = self.config.call_every_ms;
        if every > 0 && self.called.lock().insert(user.to_owned()) {
            self.call_after(user.to_owned(), every);
        }
    }

    /// Calls a user who is still there after so long.
    fn call_after(self: &Arc<Self>, user: String, ms: u64) {
        let exchange = Arc::clone(self);
        self.lab.spawn(async move {
            tokio::select! {
                () = exchange.lab.end_calls.cancelled() => return,
                () = tokio::time::sleep(Duration::from_millis(ms)) => {}
            }
            if let Some(binding) = exchange.binding(&format!("sip:{user}@lab")) {
                call::place(Arc::clone(&exchange), user, binding);
            }
        });
    }
}

/// The user name of a SIP URI, or its number; empty without one.
fn user_of(uri: &str) -> &str {
    let uri = uri_of(uri);
    let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    rest.split_once('@').map_or("", |(user, _)| user.split(';').next().unwrap_or_default())
}

async fn accept(listener: TcpListener, exchange: Arc<Exchange>) {
    loop {
        let accepted = tokio::select! {
            () = exchange.lab.end_lines.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => exchange.lab.spawn(line::serve(stream, Arc::clone(&exchange))),
            Err(error) => {
                log::warn!("lab sip: a connection was not accepted: {error}");
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
    }
}

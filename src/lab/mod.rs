//! The embedded counterpart: signaling, answering peers and STUN on loopback.
//!
//! A lab speaks the plain JSON signaling of [`crate::signaling::json`] over WebSocket, on any path. A client may
//! register under a name and be called by others, or call the lab's own answering peers: `tone` (the default) plays
//! the shipped audio, `echo` sends back what it hears; both are real [`crate::peer::Session`]s.
//!
//! Guarantees: nothing listens beyond loopback unless `allowRemote` says so; configuration is checked before anything is
//! bound; no client can end or stall a lab; every wait has a deadline or ends with its client. [`Lab::stop`] ends calls,
//! then WebSockets, then the listeners, and is bounded by its deadline, after which what is left is dropped. Dropping
//! the last clone of a lab drops all of it at once. A cancelled `stop` may be called again.
mod answering;
mod config;
mod connection;
mod faults;
mod genesys;
mod ledger;
mod sip;
mod stun;
mod switchboard;
mod whip;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::{TcpListener, UdpSocket};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::config::LabConfig;
pub use self::faults::LabFaults;
use self::faults::UpgradeLimit;
use self::genesys::Cloud;
pub use self::genesys::{GenesysConfig, GenesysFaults, TurnService};
pub use self::ledger::LabCounters;
use self::ledger::Ledger;
use self::sip::Exchange;
pub use self::sip::{SipConfig, SipFaults};
use self::switchboard::Switchboard;
use self::whip::Gateway;
pub use self::whip::{WhipConfig, WhipFaults};
use crate::config::ConfigError;

/// How long the listener rests after the process ran out of file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// A running lab. Cloning shares it; it ends by [`Lab::stop`] or with its last clone.
#[derive(Clone)]
pub struct Lab {
    inner: Arc<Running>,
}

struct Running {
    shared: Arc<Shared>,
    address: SocketAddr,
    stun_address: SocketAddr,
    genesys_address: Option<SocketAddr>,
    sip: Option<Arc<Exchange>>,
    whip_address: Option<SocketAddr>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.abandon.cancel();
    }
}

/// What all tasks of one lab share.
struct Shared {
    config: LabConfig,
    ledger: Arc<Ledger>,
    switchboard: Switchboard,
    upgrade_limit: Mutex<UpgradeLimit>,
    /// Calls hang up.
    end_calls: CancellationToken,
    /// WebSockets close, listeners end.
    end_lines: CancellationToken,
    /// Whatever still runs is dropped.
    abandon: CancellationToken,
    calls_and_lines: TaskTracker,
}

impl Shared {
    /// Runs `task` until its end or until the lab is abandoned.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let abandon = self.abandon.clone();
        self.calls_and_lines.spawn(async move {
            tokio::select! {
                () = abandon.cancelled() => {}
                () = task => {}
            }
        });
    }
}

impl Lab {
    /// Binds and starts; has to be called on a tokio runtime, which then carries the lab.
    ///
    /// # Errors
    /// [`LabError::Config`] before anything is bound, [`LabError::Listen`] when an address or port cannot be had.
    pub async fn start(config: LabConfig) -> Result<Self, LabError> {
        config.check()?;
        let wanted = SocketAddr::new(config.address, config.port);
        let listener =
            TcpListener::bind(wanted).await.map_err(|error| LabError::listen("signaling", wanted, &error))?;
        let address = listener.local_addr().map_err(|error| LabError::listen("signaling", wanted, &error))?;
        let wanted = SocketAddr::new(config.address, config.stun_port);
        let stun = UdpSocket::bind(wanted).await.map_err(|error| LabError::listen("STUN", wanted, &error))?;
        let stun_address = stun.local_addr().map_err(|error| LabError::listen("STUN", wanted, &error))?;
        let genesys = match &config.genesys {
            None => None,
            Some(genesys) => {
                let wanted = SocketAddr::new(config.address, genesys.port);
                let listener = TcpListener::bind(wanted)
                    .await
                    .map_err(|error| LabError::listen("Genesys Cloud", wanted, &error))?;
                Some((genesys.clone(), listener, wanted))
            }
        };
        let sip = match &config.sip {
            None => None,
            Some(sip) => {
                let wanted = SocketAddr::new(config.address, sip.port);
                let listener =
                    TcpListener::bind(wanted).await.map_err(|error| LabError::listen("SIP", wanted, &error))?;
                Some((sip.clone(), listener, wanted))
            }
        };
        let whip = match &config.whip {
            None => None,
            Some(whip) => {
                let wanted = SocketAddr::new(config.address, whip.port);
                let listener =
                    TcpListener::bind(wanted).await.map_err(|error| LabError::listen("WHIP", wanted, &error))?;
                Some((whip.clone(), listener, wanted))
            }
        };
        let shared = Arc::new(Shared {
            config,
            ledger: Arc::new(Ledger::default()),
            switchboard: Switchboard::default(),
            upgrade_limit: Mutex::default(),
            end_calls: CancellationToken::new(),
            end_lines: CancellationToken::new(),
            abandon: CancellationToken::new(),
            calls_and_lines: TaskTracker::new(),
        });
        shared.spawn(stun::serve(stun, Arc::clone(&shared.ledger), shared.end_lines.clone()));
        shared.spawn(accept(listener, Arc::clone(&shared)));
        let genesys_address = match genesys {
            None => None,
            Some((genesys, listener, wanted)) => {
                let started = Cloud::start(genesys, Arc::clone(&shared), listener, stun_address).await;
                Some(started.map_err(|error| LabError::listen("Genesys Cloud", wanted, &error))?)
            }
        };
        let sip = match sip {
            None => None,
            Some((sip, listener, wanted)) => {
                let started = Exchange::start(sip, Arc::clone(&shared), listener);
                Some(started.map_err(|error| LabError::listen("SIP", wanted, &error))?)
            }
        };
        let whip_address = match whip {
            None => None,
            Some((whip, listener, wanted)) => {
                let started = Gateway::start(whip, &shared, listener, stun_address);
                Some(started.map_err(|error| LabError::listen("WHIP", wanted, &error))?)
            }
        };
        let running = Running { shared, address, stun_address, genesys_address, sip, whip_address };
        Ok(Self { inner: Arc::new(running) })
    }

    /// `ws://address:port/`.
    pub fn signaling_url(&self) -> String {
        format!("ws://{}/", self.inner.address)
    }

    /// `stun:address:port`.
    pub fn stun_url(&self) -> String {
        format!("stun:{}", self.inner.stun_address)
    }

    /// `http://address:port` of the Genesys Cloud counterpart, which has REST and WebSocket; `None` without one.
    pub fn genesys_url(&self) -> Option<String> {
        self.inner.genesys_address.map(|address| format!("http://{address}"))
    }

    /// `ws://address:port/` of the SIP counterpart; `None` without one.
    pub fn sip_url(&self) -> Option<String> {
        self.inner.sip.as_ref().map(|sip| format!("ws://{}/", sip.address()))
    }

    /// Users that are registered at the SIP counterpart now.
    pub fn sip_registered(&self) -> usize {
        self.inner.sip.as_ref().map_or(0, |sip| sip.registered())
    }

    /// DTMF tones that the SIP counterpart's answering peers heard by INFO: one text for each ended call that had some.
    pub fn sip_tones(&self) -> Vec<String> {
        self.inner.sip.as_ref().map_or_else(Vec::new, |sip| sip.tones())
    }

    /// What answering peers of every kind were dialled as telephone events (RFC 4733): one text for each ended call that had some.
    pub fn dtmf_heard(&self) -> Vec<String> {
        self.inner.shared.ledger.dialled()
    }

    /// `http://address:port` of the WHIP and WHEP counterpart, with `/whip/NAME` and `/whep/NAME`; `None` without one.
    pub fn whip_url(&self) -> Option<String> {
        self.inner.whip_address.map(|address| format!("http://{address}"))
    }

    /// Signaling address.
    pub fn address(&self) -> SocketAddr {
        self.inner.address
    }

    /// Counters now.
    pub fn counters(&self) -> LabCounters {
        self.inner.shared.ledger.counters()
    }

    /// Ends calls (each by a `Bye`, its packet accounts complete), then WebSockets (close status 1001) and listeners,
    /// bounded by `deadline`; what is left by then is dropped. Returns the final counters. Idempotent.
    pub async fn stop(&self, deadline: Duration) -> LabCounters {
        let shared = &self.inner.shared;
        let end = Instant::now() + deadline;
        shared.end_calls.cancel();
        // Calls need their WebSockets to say good-bye; a quarter of the time is kept for closing those.
        let calls_end = Instant::now() + deadline.mul_f32(0.75);
        while shared.ledger.counters().calls_open > 0 && Instant::now() < calls_end {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        shared.end_lines.cancel();
        shared.calls_and_lines.close();
        if timeout_at(end, shared.calls_and_lines.wait()).await.is_err() {
            log::debug!("lab: {} tasks are dropped at the stop deadline", shared.calls_and_lines.len());
            shared.abandon.cancel();
            shared.calls_and_lines.wait().await;
        }
        self.counters()
    }
}

async fn accept(listener: TcpListener, lab: Arc<Shared>) {
    loop {
        let accepted = tokio::select! {
            () = lab.end_lines.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, client)) => lab.spawn(connection::serve(stream, client, Arc::clone(&lab))),
            Err(error) => {
                log::warn!("lab: a connection was not accepted: {error}");
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
    }
}

/// Why a lab could not start.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LabError {
    /// A configuration value cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address or port cannot be had.
    #[error("cannot listen on {address}: {detail}")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// The system's reason, and what to do.
        detail: String,
    },
}

impl LabError {
    fn listen(what: &str, address: SocketAddr, error: &std::io::Error) -> Self {
        let remedy = match error.kind() {
            std::io::ErrorKind::AddrInUse => "; choose another port, or 0 for any free one",
            std::io::ErrorKind::AddrNotAvailable => "; choose an address of this machine",
            std::io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege",
            _ => "",
        };
        Self::Listen { address, detail: format!("{what}: {error}{remedy}") }
    }
}

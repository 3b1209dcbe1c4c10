//! The engine: one runtime, everything that has a handle, and who owns it.
//!
//! What is opened belongs to a scope (a test, or a thread whose scope has the test's as parent) under a name. Callers are
//! threads: they park in a method until the result is there, the deadline passes or their operation is cancelled, and
//! nothing that they leave behind keeps a process from ending. A handle that was closed is an error, never a crash.
//!
//! Dropping an [`Engine`] drops its runtime: what is open ends without a good-bye. [`Engine::close_all`] says it.

mod auto_ice;
mod calls;
mod error;
mod explain;
mod gate;
mod generator;
mod identities;
mod labs;
mod matcher;
mod operations;
mod preflight;
mod runtime;
mod scopes;
mod sessions;
mod snapshot;
mod sockets;
mod softphones;
mod tables;
mod tally;

use std::sync::Arc;
use std::time::Duration;

use once_cell::sync::OnceCell;
use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::config::ConfigError;

pub use calls::Placed;
pub use error::EngineError;
pub use explain::Explanation;
pub use gate::GateConfig;
pub use matcher::Matcher;
pub use runtime::panic_text;
pub use sessions::Milestone;
pub use sockets::{ABORTED, Exchanged, Received, cause_json};
pub use softphones::Registering;
pub use tables::{ChannelKey, Handle, Kind, LabKey, OperationKey, ScopeKey, SessionKey, SocketKey, SoftphoneKey};

use auto_ice::AutoIce;
use gate::{Gates, LONGEST_WAIT, Pass, Start};
use generator::{Busy, Watch};
use identities::Identities;
use runtime::Unwatched;
use snapshot::Beginning;
use tables::Tables;

/// Longest name of a socket or session, in characters.
const LONGEST_NAME: usize = 256;

static GLOBAL: OnceCell<Engine> = OnceCell::new();

/// One runtime and all that it keeps open.
pub struct Engine {
    runtime: Runtime,
    state: Arc<State>,
}

/// What tasks of the runtime share; never the runtime itself, which must not be dropped by one of its own tasks.
struct State {
    tables: Mutex<Tables>,
    gates: Gates,
    watch: Watch,
    identities: Arc<Identities>,
    auto_ice: Arc<AutoIce>,
    beginning: Mutex<Beginning>,
}

impl State {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock()
    }

    /// Something is being opened until the guard is dropped: the generator is watched. Called by the caller's thread.
    fn opening(self: &Arc<Self>, runtime: &Runtime) -> Busy<'_> {
        let busy = {
            // Under the lock, under which the probe looks whether it may end.
            let _tables = self.tables();
            self.watch.busy()
        };
        let _context = runtime.enter();
        self.watch_generator();
        busy
    }
}

impl Engine {
    /// The engine of this process; started by the first call.
    ///
    /// # Errors
    /// [`EngineError::Runtime`] when the system gives no threads; the next call tries again.
    pub fn global() -> Result<&'static Self, EngineError> {
        GLOBAL.get_or_try_init(Self::start)
    }

    /// The engine of this process, if it was started.
    pub fn if_started() -> Option<&'static Self> {
        GLOBAL.get()
    }

    /// An engine with a runtime of its own.
    ///
    /// # Errors
    /// [`EngineError::Runtime`] when the system gives no threads.
    pub fn start() -> Result<Self, EngineError> {
        let tables = Tables::default();
        let state = State {
            auto_ice: Arc::clone(&tables.auto_ice),
            tables: Mutex::new(tables),
            gates: Gates::default(),
            watch: Watch::default(),
            identities: Arc::default(),
            beginning: Mutex::new(Beginning::default()),
        };
        Ok(Self { runtime: runtime::start()?, state: Arc::new(state) })
    }

    /// Closes every scope and lab, all at once, and returns when they are closed or `deadline` has passed; what is left
    /// then ends by its own bounds in the background. The engine can be used on.
    pub fn close_all(&self, deadline: Duration) -> Value {
        let state = Arc::clone(&self.state);
        let nobody = CancellationToken::new();
        let closing = async move { Ok(scopes::close_everything(state, deadline).await) };
        let slack = Duration::from_millis(250);
        let closed = runtime::wait(
            &self.runtime,
            "close everything",
            &nobody,
            deadline.saturating_add(slack),
            Unwatched::Continue,
            Box::pin(closing),
        );
        closed.unwrap_or_else(|error| {
            log::warn!("{error}; what is left ends in the background");
            serde_json::json!({"unfinished": error.to_string()})
        })
    }

    /// Counts from zero from now on; what is open stays open and is not counted as opened again.
    pub fn begin_test(&self) {
        self.state.begin_test();
    }

    /// What happened since [`Engine::begin_test`], what is open, and how the process feels.
    pub fn snapshot(&self) -> Value {
        self.state.snapshot(self.runtime.metrics().num_alive_tasks())
    }

    /// The JVM's garbage collectors have paused it for `total` since it started; told about once a second.
    pub fn garbage_collected(&self, total: Duration) {
        self.state.watch.garbage_collected(u64::try_from(total.as_millis()).unwrap_or(u64::MAX));
    }

    /// Parks the calling thread until its start may begin; `None` without a gate.
    fn pass_gate(
        &self,
        start: Start,
        config: Option<GateConfig>,
        server: &str,
        operation: OperationKey,
        scope: ScopeKey,
    ) -> Result<Option<Pass>, EngineError> {
        let Some(config) = config else { return Ok(None) };
        let ending = self.state.tables().scope(scope)?.ending.clone();
        let gate = self.state.gates.gate(start, config);
        let server = server.to_owned();
        self.wait("start gate", operation, LONGEST_WAIT, Unwatched::Drop, async move {
            tokio::select! {
                () = ending.cancelled() => Err(scope.stale()),
                pass = gate.pass(&server) => Ok(Some(pass)),
            }
        })
    }

    /// Parks the calling thread on `work`; see [`runtime::wait`]. Operation 0 is none.
    ///
    /// Boxed where it is made: the stack of the calling thread, which keeps every page that was once touched, holds it once at most.
    #[inline(always)]
    fn wait<T: Send + 'static>(
        &self,
        what: &'static str,
        operation: OperationKey,
        deadline: Duration,
        unwatched: Unwatched,
        work: impl Future<Output = Result<T, EngineError>> + Send + 'static,
    ) -> Result<T, EngineError> {
        self.wait_for(what, operation, deadline, unwatched, Box::pin(work))
    }

    #[inline(never)]
    fn wait_for<T: Send + 'static>(
        &self,
        what: &'static str,
        operation: OperationKey,
        deadline: Duration,
        unwatched: Unwatched,
        work: runtime::Work<T>,
    ) -> Result<T, EngineError> {
        let cancel = self.cancellation(operation)?;
        runtime::wait(&self.runtime, what, &cancel, deadline, unwatched, work)
    }
}

#[cfg(feature = "test-natives")]
impl Engine {
    /// Panics in a task that the caller waits for: only tests ask for it.
    ///
    /// # Errors
    /// Always [`EngineError::Panicked`].
    pub fn panic_in_task(&self, message: String) -> Result<(), EngineError> {
        let deadline = Duration::from_secs(10);
        self.wait("panic on purpose", OperationKey::default(), deadline, Unwatched::Drop, async move {
            panic!("formatted {message}")
        })
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn check_name(name: &str) -> Result<(), ConfigError> {
    if name.chars().count() > LONGEST_NAME {
        return Err(ConfigError::new("name", name, format!("at most {LONGEST_NAME} characters")));
    }
    Ok(())
}

//! The one tokio runtime, and how a thread of the caller waits for work on it.
//!
//! Work runs on the runtime's own threads and not on the caller's stack, except what only sends or receives a frame
//! ([`park`]). The caller parks on the first of: the result, its deadline, its cancellation. On deadline and cancel the
//! work is dropped; what it had finished in the same moment is still handed over, so that nothing is lost. A panic of the
//! work is an error of that one call, of a parked one at the bridge.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::num::NonZero;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use super::error::EngineError;
use super::operations::Operation;
use crate::net::parker::{self, Missed, Parker};

/// More threads than this cost memory and switches without carrying more calls (measured at 2,000 sessions).
const MOST_WORKERS: usize = 4;
/// Java's own thread stacks may be much smaller; the work never runs on them.
const STACK_BYTES: usize = 2 << 20;
/// A deadline beyond this is as good as none, and adding it to a clock must not overflow.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Starts the runtime: at most four workers, named `webrtc-engine`.
pub(super) fn start() -> Result<Runtime, EngineError> {
    let cores = std::thread::available_parallelism().map_or(2, NonZero::get);
    Builder::new_multi_thread()
        .worker_threads(cores.clamp(1, MOST_WORKERS))
        .thread_name("webrtc-engine")
        .thread_stack_size(STACK_BYTES)
        .on_thread_start(super::generator::worker_started)
        .on_thread_stop(super::generator::worker_stopped)
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| EngineError::Runtime { detail: error.to_string() })
}

/// What becomes of the work when its caller stops waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unwatched {
    /// It is dropped.
    Drop,
    /// It goes on to its own, bounded end: good-byes.
    Continue,
}

/// What a thread waits for.
pub(super) type Work<T> = Pin<Box<dyn Future<Output = Result<T, EngineError>> + Send>>;

/// Runs `work` on `runtime` and parks this thread until it is done, `deadline` passes or `cancel` is cancelled.
pub(super) fn wait<T: Send + 'static>(
    runtime: &Runtime,
    what: &'static str,
    cancel: &CancellationToken,
    deadline: Duration,
    unwatched: Unwatched,
    mut work: Work<T>,
) -> Result<T, EngineError> {
    if cancel.is_cancelled() && unwatched == Unwatched::Drop {
        return Err(EngineError::Cancelled { what });
    }
    let until = tokio::time::Instant::now() + deadline.min(LONGEST);
    let (polled, first_poll) = oneshot::channel();
    let mut task = runtime.spawn(async move {
        if let Poll::Ready(done) = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await {
            return done;
        }
        // Nobody listens any more when the caller was cancelled in this moment.
        let _ = polled.send(());
        work.await
    });
    // A deadline of zero still takes what is ready: it counts only once the work had its first turn.
    let too_late = async {
        let _ = first_poll.await;
        tokio::time::sleep_until(until).await;
    };
    runtime.block_on(async {
        let missed = tokio::select! {
            biased;
            joined = &mut task => return settle(what, joined),
            () = cancel.cancelled() => EngineError::Cancelled { what },
            () = too_late => {
                EngineError::Deadline { what, deadline_ms: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX) }
            }
        };
        if unwatched == Unwatched::Continue {
            return Err(match missed {
                EngineError::Deadline { what, deadline_ms } => EngineError::Unfinished { what, deadline_ms },
                other => other,
            });
        }
        task.abort();
        match task.await {
            Err(error) if error.is_cancelled() => Err(missed),
            joined => settle(what, joined),
        }
    })
}

/// Polls `work` on this very thread, which parks until it is done, `deadline` passes or `operation` is cancelled; see
/// [`parker::block_on`]. `start`: now.
pub(super) fn park<T>(
    what: &'static str,
    operation: Option<&Operation>,
    start: Instant,
    deadline: Duration,
    work: impl Future<Output = Result<T, EngineError>>,
) -> Result<T, EngineError> {
    if operation.is_some_and(Operation::is_cancelled) {
        return Err(EngineError::Cancelled { what });
    }
    let mut work = pin!(work);
    // Most of it is done at once, and needs nothing to be woken by.
    if let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        return done;
    }
    parker::block_on(work, start, until(start, deadline), cancelled(operation), Parker::park)
        .unwrap_or_else(|missed| Err(missed_error(missed, what, deadline)))
}

/// Ready when `operation` is cancelled; never where there is none.
pub(super) async fn cancelled(operation: Option<&Operation>) {
    match operation {
        Some(operation) => operation.cancelled().await,
        None => std::future::pending().await,
    }
}

/// When a wait of `deadline` is over that began at `start`.
pub(super) fn until(start: Instant, deadline: Duration) -> Instant {
    start + deadline.min(LONGEST)
}

/// Why a wait of `deadline` on the caller's own thread gave nothing.
pub(super) fn missed_error(missed: Missed, what: &'static str, deadline: Duration) -> EngineError {
    match missed {
        Missed::Cancelled => EngineError::Cancelled { what },
        Missed::Deadline => {
            EngineError::Deadline { what, deadline_ms: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX) }
        }
    }
}

fn settle<T>(what: &'static str, joined: Result<Result<T, EngineError>, JoinError>) -> Result<T, EngineError> {
    joined.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(payload) => Err(EngineError::Panicked { what, text: panic_text(&*payload) }),
        Err(_) => Err(EngineError::Cancelled { what }),
    })
}

/// The text of a panic, formatted or not.
pub fn panic_text(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| payload.downcast_ref::<&'static str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "a panic without text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn run<T: Send + 'static>(
        deadline: Duration,
        work: impl Future<Output = Result<T, EngineError>> + Send + 'static,
    ) -> Result<T, EngineError> {
        let runtime = start().expect("the runtime starts");
        wait(&runtime, "test", &CancellationToken::new(), deadline, Unwatched::Drop, Box::pin(work))
    }

    #[test]
    fn the_result_of_the_work_is_handed_over() {
        assert_eq!(run(SOON, async { Ok(7) }).expect("done"), 7);
    }

    #[test]
    fn a_deadline_of_zero_still_takes_what_is_ready_at_once() {
        let runtime = start().expect("the runtime starts");
        let cancel = CancellationToken::new();
        for _ in 0..200 {
            let ready = wait(&runtime, "test", &cancel, Duration::ZERO, Unwatched::Drop, Box::pin(async { Ok(1) }));
            assert_eq!(ready.expect("what is ready is taken"), 1);
        }
        let never =
            wait::<()>(&runtime, "test", &cancel, Duration::ZERO, Unwatched::Drop, Box::pin(std::future::pending()));
        assert!(matches!(never, Err(EngineError::Deadline { deadline_ms: 0, .. })), "{never:?}");
    }

    #[test]
    fn a_parked_thread_is_woken_by_what_completes_its_work() {
        let runtime = start().expect("the runtime starts");
        let (give, take) = oneshot::channel();
        runtime.spawn(async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let _taken = give.send(7);
        });
        let outcome = park("test", None, Instant::now(), SOON, async { Ok(take.await.expect("sent")) });
        assert_eq!(outcome.expect("done"), 7);
        let ready = park("test", None, Instant::now(), Duration::ZERO, async { Ok(1) });
        assert_eq!(ready.expect("what is ready is taken"), 1);
        let deadline = Duration::from_millis(20);
        let late: Result<(), _> = park("test", None, Instant::now(), deadline, std::future::pending());
        assert!(matches!(late, Err(EngineError::Deadline { deadline_ms: 20, .. })), "{late:?}");
    }

    #[test]
    fn work_that_takes_too_long_ends_with_its_deadline() {
        let outcome = run::<()>(Duration::from_millis(20), std::future::pending());
        assert!(matches!(outcome, Err(EngineError::Deadline { deadline_ms: 20, .. })), "{outcome:?}");
    }

    #[test]
    fn the_longest_deadline_does_not_overflow() {
        assert_eq!(run(Duration::MAX, async { Ok(7) }).expect("done"), 7);
    }

    #[test]
    fn a_formatted_panic_keeps_its_text_and_the_runtime_goes_on() {
        let runtime = start().expect("the runtime starts");
        let cancel = CancellationToken::new();
        let value = 42;
        let outcome: Result<(), _> =
            wait(&runtime, "test", &cancel, SOON, Unwatched::Drop, Box::pin(async move { panic!("value {value}") }));
        assert!(matches!(&outcome, Err(EngineError::Panicked { text, .. }) if text == "value 42"), "{outcome:?}");
        assert_eq!(wait(&runtime, "test", &cancel, SOON, Unwatched::Drop, Box::pin(async { Ok(1) })).expect("done"), 1);
    }

    #[test]
    fn cancelling_before_during_and_after_ends_only_what_waits() {
        let runtime = start().expect("the runtime starts");
        let cancel = CancellationToken::new();
        assert_eq!(wait(&runtime, "test", &cancel, SOON, Unwatched::Drop, Box::pin(async { Ok(1) })).expect("done"), 1);
        let during = cancel.clone();
        runtime.spawn(async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            during.cancel();
        });
        let parked: Result<(), _> =
            wait(&runtime, "test", &cancel, SOON, Unwatched::Drop, Box::pin(std::future::pending()));
        assert!(matches!(parked, Err(EngineError::Cancelled { .. })), "{parked:?}");
        let later: Result<(), _> = wait(&runtime, "test", &cancel, SOON, Unwatched::Drop, Box::pin(async { Ok(()) }));
        assert!(matches!(later, Err(EngineError::Cancelled { .. })), "{later:?}");
    }
}

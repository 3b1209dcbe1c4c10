//! Operations: the cancel button of one call, or of the calls of one sample.
//!
//! Cancelling ends what is parked with the operation and what is asked with it later; nothing else is touched. An
//! operation that has ended can be cancelled without effect, since a cancel may race the end.
//!
//! A future of [`Operation::cancelled`] that is dropped leaves nothing behind.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use slotmap::Key;
use tokio_util::sync::CancellationToken;

use super::Engine;
use super::error::EngineError;
use super::tables::{Handle, OperationKey, Tables};

/// What an operation's handle names.
#[derive(Default)]
pub(super) struct Operation {
    /// For what runs on the runtime.
    token: CancellationToken,
    /// For threads that wait themselves, each with every frame: a token costs several times as much.
    threads: Mutex<Threads>,
}

#[derive(Default)]
struct Threads {
    cancelled: bool,
    wakers: Vec<Waker>,
}

impl Operation {
    fn cancel(&self) {
        self.token.cancel();
        let wakers = {
            let mut threads = self.threads.lock();
            threads.cancelled = true;
            std::mem::take(&mut threads.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Whether it was cancelled.
    pub(super) fn is_cancelled(&self) -> bool {
        self.threads.lock().cancelled
    }

    /// Ready as soon as it is cancelled. For one thread, which polls with the same waker each time.
    pub(super) fn cancelled(&self) -> Cancelled<'_> {
        Cancelled { operation: self, waker: None }
    }
}

/// See [`Operation::cancelled`].
pub(super) struct Cancelled<'a> {
    operation: &'a Operation,
    waker: Option<Waker>,
}

impl Future for Cancelled<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut threads = self.operation.threads.lock();
        if threads.cancelled {
            return Poll::Ready(());
        }
        if self.waker.is_none() {
            threads.wakers.push(context.waker().clone());
            drop(threads);
            self.waker = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Cancelled<'_> {
    fn drop(&mut self) {
        if let Some(waker) = &self.waker {
            let mut threads = self.operation.threads.lock();
            if let Some(place) = threads.wakers.iter().position(|other| other.will_wake(waker)) {
                threads.wakers.swap_remove(place);
            }
        }
    }
}

impl Engine {
    /// A fresh operation.
    pub fn new_operation(&self) -> OperationKey {
        self.state.tables().operations.insert(Arc::default())
    }

    /// Cancels an operation; `false` when it had ended.
    pub fn cancel_operation(&self, key: OperationKey) -> bool {
        let operation = self.state.tables().operations.get(key).cloned();
        operation.inspect(|operation| operation.cancel()).is_some()
    }

    /// Gives an operation back; `false` when it was given back before.
    pub fn end_operation(&self, key: OperationKey) -> bool {
        self.state.tables().operations.remove(key).is_some()
    }

    /// What to wait on for a cancel; for the null key something that never comes.
    pub(super) fn cancellation(&self, key: OperationKey) -> Result<CancellationToken, EngineError> {
        let operation = self.state.tables().operation(key)?;
        Ok(operation.map_or_else(CancellationToken::new, |operation| operation.token.clone()))
    }
}

impl Tables {
    /// What a handle names; `None` for the null key, which nobody cancels.
    pub(super) fn operation(&self, key: OperationKey) -> Result<Option<Arc<Operation>>, EngineError> {
        if key.is_null() {
            return Ok(None);
        }
        self.operations.get(key).cloned().map(Some).ok_or_else(|| key.stale())
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::net::parker::{self, Missed, Parker};

    #[test]
    fn a_cancel_wakes_every_thread_that_waits_and_those_that_come_later() {
        let operation = Arc::new(Operation::default());
        let wait = |operation: &Operation| {
            let start = Instant::now();
            let never = std::future::pending::<()>();
            parker::block_on(never, start, start + Duration::from_secs(20), operation.cancelled(), Parker::park)
        };
        std::thread::scope(|scope| {
            let waiting: Vec<_> = (0..3).map(|_| scope.spawn(|| wait(&operation))).collect();
            while operation.threads.lock().wakers.len() < 3 {
                std::thread::yield_now();
            }
            operation.cancel();
            for waits in waiting {
                assert_eq!(waits.join().expect("no panic"), Err(Missed::Cancelled));
            }
        });
        assert_eq!(wait(&operation), Err(Missed::Cancelled));
    }

    #[test]
    fn a_wait_that_is_over_leaves_no_waker_behind() {
        let operation = Operation::default();
        {
            let mut cancelled = pin!(operation.cancelled());
            assert!(cancelled.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            assert_eq!(operation.threads.lock().wakers.len(), 1);
        }
        assert!(operation.threads.lock().wakers.is_empty());
    }
}

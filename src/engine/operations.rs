//! Operations: the cancel button of one call, or of the calls of one sample.
//!
//! Cancelling ends what is parked with the operation and what is asked with it later; nothing else is touched. An
//! operation that has ended can be cancelled without effect, since a cancel may race the end.

use slotmap::Key;
use tokio_util::sync::CancellationToken;

use super::Engine;
use super::error::EngineError;
use super::tables::{Handle, OperationKey, Tables};

impl Engine {
    /// A fresh operation.
    pub fn new_operation(&self) -> OperationKey {
        self.state.tables().operations.insert(CancellationToken::new())
    }

    /// Cancels an operation; `false` when it had ended.
    pub fn cancel_operation(&self, key: OperationKey) -> bool {
        let token = self.state.tables().operations.get(key).cloned();
        token.inspect(CancellationToken::cancel).is_some()
    }

    /// Gives an operation back; `false` when it was given back before.
    pub fn end_operation(&self, key: OperationKey) -> bool {
        self.state.tables().operations.remove(key).is_some()
    }

    /// What to wait on for a cancel; for the null key something that never comes.
    pub(super) fn cancellation(&self, key: OperationKey) -> Result<CancellationToken, EngineError> {
        self.state.tables().cancellation(key)
    }
}

impl Tables {
    /// As [`Engine::cancellation`].
    pub(super) fn cancellation(&self, key: OperationKey) -> Result<CancellationToken, EngineError> {
        if key.is_null() {
            return Ok(CancellationToken::new());
        }
        self.operations.get(key).cloned().ok_or_else(|| key.stale())
    }
}

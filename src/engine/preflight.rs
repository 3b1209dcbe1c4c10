//! The preflight on the engine's runtime.

use std::time::Duration;

use serde_json::{Value, json};

use crate::preflight::{self, Doctor, HELP, PreflightConfig};

use super::Engine;
use super::error::EngineError;
use super::runtime::Unwatched;
use super::tables::OperationKey;

impl Engine {
    /// Looks at the machine and asks the servers; see [`preflight::run`]. The answer is a [`preflight::Report`] with its
    /// `table` and `firstFailure` (or `null`) beside it.
    ///
    /// # Errors
    /// [`EngineError::Config`] before anything is asked; a stale operation, the deadline, a cancel.
    pub fn preflight(&self, operation: OperationKey, config: &[u8], deadline: Duration) -> Result<Value, EngineError> {
        let config = PreflightConfig::from_json(config)?;
        self.wait("preflight", operation, deadline, Unwatched::Drop, async move {
            let report = preflight::run(&config).await?;
            let (table, failure) = (report.table(), report.first_failure());
            let mut answer = json!(report);
            answer["table"] = json!(table);
            answer["firstFailure"] = json!(failure);
            Ok(answer)
        })
    }

    /// The command line `doctor`: exit status and what is printed. Status 2 is for standard error, with the reason why nothing
    /// could be checked.
    pub fn doctor(&self, arguments: Vec<String>) -> (u8, String) {
        let (config, as_json) = match Doctor::parse(arguments) {
            Ok(Doctor::Help) => return (0, HELP.to_owned()),
            Ok(Doctor::Examine { config, json }) => (config, json),
            Err(sentence) => return (2, format!("doctor: {sentence}\n")),
        };
        let deadline = config.longest();
        let examined = self.wait("doctor", OperationKey::default(), deadline, Unwatched::Drop, async move {
            Ok(preflight::run(&config).await?)
        });
        match examined {
            Ok(report) => report.printed(as_json),
            Err(error) => (2, format!("doctor: {error}\n")),
        }
    }
}

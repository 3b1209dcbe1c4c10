//! Labs by handle: the embedded counterpart inside this process.
//!
//! A lab belongs to nobody but its handle; [`super::Engine::close_all`] stops what is left. A start that is cancelled or
//! late drops the lab, which stops it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::config::from_json;
use crate::lab::{Lab, LabConfig, LabCounters};

use super::Engine;
use super::error::EngineError;
use super::runtime::Unwatched;
use super::tables::{Handle, LabKey, OperationKey};

/// A lab as the tables know it.
pub(super) type LabEntry = Arc<Lab>;

impl Engine {
    /// Starts a lab.
    ///
    /// # Errors
    /// [`EngineError::Config`] before anything is bound, [`EngineError::Lab`], the deadline.
    pub fn start_lab(&self, config: &[u8], deadline: Duration) -> Result<LabKey, EngineError> {
        let config: LabConfig = from_json(config)?;
        let state = Arc::clone(&self.state);
        self.wait("start lab", OperationKey::default(), deadline, Unwatched::Drop, async move {
            let lab = Arc::new(Lab::start(config).await?);
            let key = state.tables().labs.insert(lab);
            state.watch_generator();
            Ok(key)
        })
    }

    /// `{"signalingUrl":…,"stunUrl":…,"softphones":{profile:{parameter:…}}}`, and `genesysUrl` of a lab that has a Genesys Cloud
    /// counterpart; the parameters are those that lead a softphone of the profile to the lab.
    ///
    /// # Errors
    /// A stale key.
    pub fn lab_urls(&self, key: LabKey) -> Result<Value, EngineError> {
        let lab = self.lab(key)?;
        let mut urls = json!({
            "signalingUrl": lab.signaling_url(),
            "stunUrl": lab.stun_url(),
            "softphones": {"json": {"url": lab.signaling_url()}},
        });
        if let Some(url) = lab.genesys_url() {
            let streaming = url.replacen("http", "ws", 1);
            urls["softphones"]["genesys"] = json!({"api": url, "streaming": streaming});
            urls["genesysUrl"] = url.into();
        }
        if let Some(url) = lab.sip_url() {
            urls["softphones"]["sip"] = json!({"server": url});
        }
        if let Some(url) = lab.whip_url() {
            urls["softphones"]["whip"] = json!({"endpoint": format!("{url}/whip/live")});
            urls["softphones"]["whep"] = json!({"endpoint": format!("{url}/whep/live")});
        }
        Ok(urls)
    }

    /// What the lab has seen so far.
    ///
    /// # Errors
    /// A stale key.
    pub fn lab_counters(&self, key: LabKey) -> Result<LabCounters, EngineError> {
        Ok(self.lab(key)?.counters())
    }

    /// Stops a lab and forgets it; `None` when it was forgotten before.
    ///
    /// # Errors
    /// The deadline: the rest ends in the background.
    pub fn stop_lab(&self, key: LabKey, deadline: Duration) -> Result<Option<LabCounters>, EngineError> {
        let Some(lab) = self.state.tables().labs.remove(key) else { return Ok(None) };
        let slack = deadline.saturating_add(Duration::from_millis(500));
        self.wait("stop lab", OperationKey::default(), slack, Unwatched::Continue, async move {
            Ok(Some(lab.stop(deadline).await))
        })
    }

    fn lab(&self, key: LabKey) -> Result<LabEntry, EngineError> {
        self.state.tables().labs.get(key).cloned().ok_or_else(|| key.stale())
    }
}

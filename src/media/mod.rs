//! Audio sources and pacing.
use serde::{Deserialize, Serialize};

/// Audio codecs a softphone offers.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum AudioCodec {
    #[default]
    Opus,
    Pcmu,
}

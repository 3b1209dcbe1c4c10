//! The messages of plain JSON signaling, spoken by the lab and by `WebRTC Call`.
use serde::{Deserialize, Serialize};

use crate::peer::{IceCandidateInit, MediaCounters};

/// One signaling message; `type` tells which.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[allow(missing_docs)]
pub enum Message {
    /// Client → lab: be reachable under a name.
    Register {
        name: String,
    },
    /// Lab → client.
    Registered {
        name: String,
    },
    /// Either way. `to` is a registered name, or `echo` / `tone` (the lab's own answering peers).
    Offer {
        call: String,
        #[serde(default)]
        to: Option<String>,
        #[serde(default)]
        from: Option<String>,
        sdp: String,
    },
    Answer {
        call: String,
        sdp: String,
    },
    /// Empty `candidate.candidate` = end of candidates.
    Candidate {
        call: String,
        candidate: IceCandidateInit,
    },
    /// Hang up; each side states its own packet accounts. The receiver stops sending, waits (≤ 500 ms) until it has
    /// received `packetsSent` packets, and answers with its own `Bye`. The answer to a `Bye` is not answered.
    Bye {
        call: String,
        #[serde(default)]
        reason: Option<String>,
        #[serde(default)]
        media: Option<MediaCounters>,
    },
    Error {
        #[serde(default)]
        call: Option<String>,
        code: String,
        message: String,
    },
    /// Application keep-alive.
    Ping,
    Pong,
}

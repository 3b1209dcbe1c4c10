//! What a message carries, as plain values.
use serde::Serialize;

use crate::peer::IceCandidateInit;

/// Which way a message goes, seen from the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The plan sends it.
    Outgoing,
    /// The plan receives it.
    Incoming,
}

/// W3C `RTCSdpType`, as far as a message says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SdpType {
    /// An offer (RFC 3264).
    Offer,
    /// An answer that is not final.
    Pranswer,
    /// The final answer.
    Answer,
}

/// Which dialog a message belongs to, as far as it says it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Dialog {
    /// The value of the identifier: SIP Call-ID, session or call id; `None` where the message names none.
    pub id: Option<String>,
    /// Whether the message itself proves that the dialog was established before (SIP: a `To` tag in a request).
    pub established: bool,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A whole session description, unwrapped, with its own line ends.
    Description {
        /// The text, from `v=0`.
        sdp: String,
        /// What the message says it is; `None` where only the state of the dialog can tell.
        kind: Option<SdpType>,
    },
    /// One trickled candidate; empty `candidate` = end of candidates (W3C `RTCIceCandidateInit`).
    Candidate(IceCandidateInit),
    /// Candidates as a fragment of a description (RFC 8840 `trickle-ice-sdpfrag`), with its own line ends.
    Fragment {
        /// The text.
        sdpfrag: String,
    },
    /// ICE servers that the other side names for this client.
    IceServers(Vec<FoundIceServer>),
    /// The dialog ends (SIP `BYE` or `CANCEL`, a JSON `bye`, `hangup`, `terminate`).
    HangUp,
}

/// An ICE server in a message of the plan's own traffic; shaped like W3C `RTCIceServer`.
#[derive(Clone, PartialEq, Eq)]
pub struct FoundIceServer {
    /// `stun:`, `turn:` or `turns:` URLs, at least one.
    pub urls: Vec<String>,
    /// User name; empty where there is none.
    pub username: String,
    /// Password; empty where there is none; never shown.
    pub credential: String,
}

impl std::fmt::Debug for FoundIceServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FoundIceServer")
            .field("urls", &self.urls)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// One thing that was found in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub content: Content,
    /// Its dialog.
    pub dialog: Dialog,
    /// Where it stands, for people: the wrappings from the outside in, such as `JSON params.sdpOffer`.
    pub path: String,
}

/// Something that looks like a description and is left alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Left {
    /// Why, as a sentence that ends with what the user can do.
    pub reason: String,
    /// Where it stands, as in [`Finding::path`].
    pub path: String,
}

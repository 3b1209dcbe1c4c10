//! WebRTC over HTTP: ingestion (WHIP, RFC 9725) and egress (WHEP, draft-ietf-wish-whep), as drivers of a profile.
//!
//! An offer goes by POST and its answer comes with 201; candidates and ICE restarts follow by PATCH as fragments of session
//! descriptions (RFC 8840), DELETE ends the session. A WHEP server may make the offer itself (406).
//!
//! Guarantees:
//! - every request has a deadline, of its redirects too; at most one request of a session is under way at a time;
//! - a token goes to the origin of the endpoint only, unless the user says otherwise, and stands in no error or log;
//! - a refusal tells its status and `Retry-After`; what a server does not support (trickle, restart) is reported once and left;
//! - a session that the server made is deleted, however the call ends.
//!
//! Drop and cancel: as for every softphone. A call that nobody holds is deleted in the background, bounded.
mod call;
mod desk;
mod fragment;
mod link;
mod service;

pub(in crate::signaling) use desk::Desk;
pub(crate) use fragment::{Fragment, restarted};

/// Parameters a profile with these drivers may have.
pub(crate) const PARAMS: &[&str] =
    &["endpoint", "token", "trickle", "options", "restartIce", "tokenAcrossOrigins", "withinMs"];

/// Media type of session descriptions (RFC 8866 §8.1).
pub(crate) const SDP: &str = "application/sdp";
/// Media type of fragments of them (RFC 8840 §10.2).
pub(crate) const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

//! Signaling: plain JSON over a WebSocket (offer, answer, candidate, bye).
pub(crate) mod accounts;
pub mod json;
pub(crate) mod sdp;

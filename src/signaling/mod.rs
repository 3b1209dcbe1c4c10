//! Signaling: plain JSON over a WebSocket (offer, answer, candidate, bye).
pub mod json;

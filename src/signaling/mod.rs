//! Signaling: plain JSON over a WebSocket (offer, answer, candidate, bye).
//!
//! [`json`] has the messages, [`call`] the client side of a call, [`outcome`] what it came to. The server side is the lab's
//! ([`crate::lab`]). [`profile`] has protocols as data, [`softphone`] what speaks them;
//! [`whip`] is WebRTC over HTTP.
pub(crate) mod accounts;
pub mod call;
mod dialog;
pub(crate) mod jingle;
pub mod json;
mod keep_alive;
pub mod outcome;
pub mod profile;
pub(crate) mod sdp;
pub mod sip;
pub mod softphone;
pub mod whip;

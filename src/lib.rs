//! Real WebRTC sessions and persistent keep-alive WebSockets for JMeter test plans.
//!
//! Data flows one way: sampler → bridge → engine → ([`socket`] | [`peer`]) → [`net`]. Facts flow
//! back as plain values. Each room opens with its guarantees and what happens on drop and on cancel.

#[cfg(not(panic = "unwind"))]
compile_error!("jmeter-webrtc must be built with panic = \"unwind\": a panic has to become a Java exception");

pub mod autoice;
pub mod bridge;
pub mod config;
pub mod diagnosis;
pub mod engine;
pub mod lab;
pub mod media;
pub mod net;
pub mod peer;
pub mod preflight;
pub(crate) mod sdp;
pub mod signaling;
pub mod socket;

//! Names, sockets and the wire.
pub mod runtime;
pub(crate) mod sys;
pub mod udp;
pub mod wire;

pub use sys::UdpCounters;

//! Names, sockets and the wire.

pub mod facts;
pub mod resolver;
pub mod runtime;
pub(crate) mod sys;
pub mod tcp;
pub mod udp;
pub mod wire;

pub use sys::UdpCounters;

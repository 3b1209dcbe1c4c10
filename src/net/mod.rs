//! Names, sockets and the wire.

mod bounded;
mod checks;
mod datagram;
mod dtls;
mod endpoint;
pub mod facts;
pub mod http;
mod ice_servers;
mod inbound_stream;
mod moments;
pub mod parker;
mod read_lag;
mod refusals;
pub mod resolver;
mod retry_after;
pub mod runtime;
mod stun;
pub(crate) mod sys;
pub mod tcp;
mod transactions;
pub mod turn;
pub mod udp;
pub mod wire;

pub(crate) use read_lag::{longest_read_lag, take_longest_read_lag};
pub(crate) use retry_after::retry_after;
pub use sys::UdpCounters;

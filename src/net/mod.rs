//! Names, sockets and the wire.

pub mod resolver;
pub mod tcp;

//! Names, sockets and the wire.

pub mod resolver;

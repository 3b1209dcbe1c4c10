//! Names, sockets and the wire.

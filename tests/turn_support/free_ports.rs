//! Ports for servers that are started later, below those that the kernel gives to whoever asks for any: one of these might be
//! somebody's before its server binds it.
#![allow(unreachable_pub, reason = "every test file takes what it needs")]
use std::net::{TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

/// A port that nobody has, of UDP and TCP.
pub fn free_port() -> u16 {
    *free_range(1).start()
}

/// So many of them in a row. None comes twice from one process.
pub fn free_range(length: u16) -> std::ops::RangeInclusive<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 10_000;
    // The tests in Python draw theirs from there on.
    const LAST: u16 = 24_000;
    // Test processes beside this one begin elsewhere.
    let offset = u16::try_from(std::process::id() % 28).expect("small") * 500;
    let is_free = |port| UdpSocket::bind(("127.0.0.1", port)).is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok();
    for _ in 0..100 {
        let skipped = NEXT.fetch_add(length, Ordering::Relaxed);
        let first = FIRST + (offset + skipped) % (LAST - FIRST - length);
        let ports = first..=first + length - 1;
        if ports.clone().all(is_free) {
            return ports;
        }
    }
    panic!("no {length} free ports in a row");
}

//! What the kernel refused, and what came back as ICMP: bounded, one entry per kind.
use std::net::{IpAddr, SocketAddr};

use super::bounded::Bounded;
use super::endpoint::Endpoint;
use super::facts::{IcmpError, MAX_ICMP_ERRORS, MAX_SOCKET_ERRORS, MomentEvent, SocketCall, SocketError, WireFacts};
use super::moments::Moments;
use super::sys::QueuedError;

/// The account.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    calls: Bounded<Refused, MAX_SOCKET_ERRORS>,
    icmp: Bounded<Returned, MAX_ICMP_ERRORS>,
}

#[derive(Debug)]
struct Refused {
    at_us: u64,
    last_us: u64,
    count: u64,
    /// 0 = none.
    errno: i32,
    destination: Endpoint,
    call: SocketCall,
}

#[derive(Debug)]
struct Returned {
    at_us: u64,
    last_us: u64,
    count: u64,
    errno: i32,
    destination: Endpoint,
    offender: Endpoint,
    icmp_type: u8,
    icmp_code: u8,
}

impl Refusals {
    #[cfg(test)]
    pub(super) const HEAP_BYTES: usize =
        Bounded::<Refused, MAX_SOCKET_ERRORS>::HEAP_BYTES + Bounded::<Returned, MAX_ICMP_ERRORS>::HEAP_BYTES;

    /// A call failed.
    pub(super) fn call(
        &mut self,
        call: SocketCall,
        errno: Option<i32>,
        destination: Option<SocketAddr>,
        at_us: u64,
        moments: &mut Moments,
    ) {
        let (errno, destination) = (errno.unwrap_or_default(), Endpoint::from(destination));
        moments.note(at_us, MomentEvent::SocketRefused, destination, errno.unsigned_abs());
        let same = |known: &&mut Refused| (known.call, known.errno, known.destination) == (call, errno, destination);
        if let Some(known) = self.calls.iter_mut().find(same) {
            known.count += 1;
            known.last_us = at_us;
            return;
        }
        let _ = self.calls.push(Refused { at_us, last_us: at_us, count: 1, errno, destination, call });
    }

    /// An error came out of the socket's error queue.
    pub(super) fn returned(&mut self, error: &QueuedError, at_us: u64, moments: &mut Moments) {
        let destination = Endpoint::from(error.destination);
        let (icmp_type, icmp_code) = (error.icmp_type, error.icmp_code);
        moments.note(at_us, MomentEvent::IcmpReceived, destination, u32::from(icmp_type) << 8 | u32::from(icmp_code));
        let same = |known: &&mut Returned| {
            (known.icmp_type, known.icmp_code, known.destination) == (icmp_type, icmp_code, destination)
        };
        if let Some(known) = self.icmp.iter_mut().find(same) {
            known.count += 1;
            known.last_us = at_us;
            return;
        }
        let offender = error.offender.map(|ip: IpAddr| SocketAddr::new(ip, 0)).into();
        let entry = Returned {
            at_us,
            last_us: at_us,
            count: 1,
            errno: error.errno,
            destination,
            offender,
            icmp_type,
            icmp_code,
        };
        let _ = self.icmp.push(entry);
    }

    pub(super) fn tell(&self, facts: &mut WireFacts) {
        facts.socket_errors = self.calls.iter().map(Refused::tell).collect();
        facts.socket_errors_omitted = self.calls.omitted();
        facts.icmp_errors = self.icmp.iter().map(Returned::tell).collect();
        facts.icmp_errors_omitted = self.icmp.omitted();
    }
}

impl Refused {
    fn tell(&self) -> SocketError {
        SocketError {
            call: self.call,
            errno: (self.errno != 0).then_some(self.errno),
            destination: self.destination.get(),
            count: self.count,
            at_us: self.at_us,
            last_us: self.last_us,
        }
    }
}

impl Returned {
    fn tell(&self) -> IcmpError {
        IcmpError {
            icmp_type: self.icmp_type,
            icmp_code: self.icmp_code,
            errno: self.errno,
            destination: self.destination.get(),
            offender: self.offender.get().map(|address| address.ip()),
            count: self.count,
            at_us: self.at_us,
            last_us: self.last_us,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_refusal_is_counted_and_another_one_is_listed() {
        let (mut refusals, mut moments) = (Refusals::default(), Moments::default());
        let there: SocketAddr = "192.0.2.1:3478".parse().expect("an address");
        for at_us in [1, 2] {
            refusals.call(SocketCall::Send, Some(libc::EPERM), Some(there), at_us, &mut moments);
        }
        refusals.call(SocketCall::Connect, Some(libc::ECONNREFUSED), Some(there), 3, &mut moments);
        for port in 1..=10 {
            let elsewhere = SocketAddr::new(there.ip(), port);
            refusals.call(SocketCall::Send, Some(libc::EPERM), Some(elsewhere), 4, &mut moments);
        }
        let mut facts = WireFacts::default();
        refusals.tell(&mut facts);
        let first = &facts.socket_errors[0];
        assert_eq!((first.errno, first.count, first.at_us, first.last_us), (Some(libc::EPERM), 2, 1, 2));
        assert_eq!(facts.socket_errors[1].call, SocketCall::Connect);
        assert_eq!(facts.socket_errors.len() as u64 + facts.socket_errors_omitted, 12);
    }
}

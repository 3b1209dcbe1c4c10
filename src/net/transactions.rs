//! Transactions with STUN and TURN servers: what was asked, how often, and what came back (RFC 8489 §6, RFC 8656 §7 to §12).
use super::bounded::Bounded;
use super::endpoint::Endpoint;
use super::facts::{MAX_TRANSACTIONS, MomentEvent, ServerTransport, StunMethod, StunTransaction, WireFacts};
use super::moments::Moments;
use super::stun::{
    ALTERNATE_SERVER, NONCE, Stun, TransactionId, XOR_MAPPED_ADDRESS, XOR_PEER_ADDRESS, XOR_RELAYED_ADDRESS,
};
use std::net::SocketAddr;

/// Absent, in fields that are kept small.
const ABSENT: u32 = u32::MAX;

/// The account.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    records: Bounded<Record, MAX_TRANSACTIONS>,
    /// XOR-RELAYED-ADDRESS of the latest allocation, and the transaction that brought it.
    relayed: Endpoint,
    relayed_by: TransactionId,
}

#[derive(Debug)]
struct Record {
    first_sent_us: u64,
    last_sent_us: u64,
    /// 0 = not answered.
    answered_us: u64,
    id: TransactionId,
    server: Endpoint,
    /// XOR-MAPPED-ADDRESS of the response, ALTERNATE-SERVER of a 300, or XOR-PEER-ADDRESS of the request: no
    /// transaction has two of them.
    address: Endpoint,
    sends: u32,
    requested_lifetime_s: u32,
    lifetime_s: u32,
    /// A fingerprint of the request's NONCE; 0 = none.
    nonce: u32,
    /// 0 = none.
    error_code: u16,
    method: StunMethod,
    transport: ServerTransport,
    with_integrity: bool,
    nonce_changed: Option<bool>,
}

impl Transactions {
    #[cfg(test)]
    pub(super) const HEAP_BYTES: usize = Bounded::<Record, MAX_TRANSACTIONS>::HEAP_BYTES;

    /// A request to a server left.
    pub(super) fn asked(
        &mut self,
        stun: &Stun<'_>,
        server: SocketAddr,
        transport: ServerTransport,
        at_us: u64,
        moments: &mut Moments,
    ) {
        let id = stun.transaction_id();
        let nonce = stun.attribute(NONCE).map_or(0, fingerprint);
        // Sent again, with or without another NONCE: the same transaction.
        if let Some(record) = self.records.iter_mut().rev().find(|record| record.id == id && record.answered_us == 0) {
            record.sends = record.sends.saturating_add(1);
            record.last_sent_us = at_us;
            record.nonce = nonce;
            return;
        }
        let method = StunMethod::of(stun.method());
        moments.note(at_us, MomentEvent::ServerAsked, server, u32::from(stun.method()));
        let record = Record {
            first_sent_us: at_us,
            last_sent_us: at_us,
            answered_us: 0,
            id,
            server: server.into(),
            address: stun.xor_address(XOR_PEER_ADDRESS).into(),
            sends: 1,
            requested_lifetime_s: stun.lifetime().unwrap_or(ABSENT),
            lifetime_s: ABSENT,
            nonce,
            error_code: 0,
            method,
            transport,
            with_integrity: stun.has_integrity(),
            nonce_changed: None,
        };
        let allocation = self.relayed_by;
        self.records.push_over(record, |records| least_telling(records, allocation));
    }

    /// A response came. Returns whether it belongs to a request of ours that was not answered before.
    pub(super) fn answered(&mut self, stun: &Stun<'_>, at_us: u64, moments: &mut Moments) -> bool {
        let id = stun.transaction_id();
        let open = |record: &&mut Record| record.id == id && record.answered_us == 0;
        let Some(record) = self.records.iter_mut().rev().find(open) else { return false };
        record.answered_us = at_us.max(1);
        record.lifetime_s = stun.lifetime().unwrap_or(ABSENT);
        if let Some(relayed) = stun.xor_address(XOR_RELAYED_ADDRESS) {
            (self.relayed, self.relayed_by) = (relayed.into(), id);
        }
        let nonce = stun.attribute(NONCE).map_or(0, fingerprint);
        record.nonce_changed = (nonce != 0 && record.nonce != 0).then_some(nonce != record.nonce);
        let address = stun.xor_address(XOR_MAPPED_ADDRESS).or_else(|| stun.address(ALTERNATE_SERVER));
        if let Some(address) = address {
            record.address = address.into();
        }
        match stun.error_code() {
            Some(code) => {
                record.error_code = code;
                moments.note(at_us, MomentEvent::ServerRefused, record.server, u32::from(code));
            }
            None => moments.note(at_us, MomentEvent::ServerAnswered, record.server, u32::from(stun.method())),
        }
        true
    }

    /// The address of the session's latest allocation.
    pub(super) fn relayed_address(&self) -> Option<SocketAddr> {
        self.relayed.get()
    }

    /// The address that this transaction brought, if it is the latest.
    fn allocated_by(&self, record: &Record) -> Option<SocketAddr> {
        self.relayed.get().filter(|_| record.id == self.relayed_by)
    }

    pub(super) fn tell(&self, facts: &mut WireFacts) {
        facts.transactions = self.records.iter().map(|record| record.tell(self.allocated_by(record))).collect();
        facts.transactions_omitted = self.records.omitted();
    }
}

impl Record {
    fn tell(&self, relayed_address: Option<SocketAddr>) -> StunTransaction {
        let answered_us = (self.answered_us > 0).then_some(self.answered_us);
        let address = |wanted: bool| wanted.then_some(self.address.get()).flatten();
        let asks_peer = matches!(self.method, StunMethod::CreatePermission | StunMethod::ChannelBind);
        let present = |value: u32| (value != ABSENT).then_some(value);
        StunTransaction {
            method: self.method,
            server: self.server.get(),
            transport: self.transport,
            sends: self.sends,
            first_sent_us: self.first_sent_us,
            last_sent_us: self.last_sent_us,
            answered_us,
            rtt_us: answered_us.map(|answered| answered.saturating_sub(self.last_sent_us)),
            error_code: (self.error_code > 0).then_some(self.error_code),
            with_integrity: self.with_integrity,
            nonce_changed: self.nonce_changed,
            alternate_server: address(self.error_code == 300),
            requested_lifetime_s: present(self.requested_lifetime_s),
            lifetime_s: present(self.lifetime_s),
            mapped_address: address(!asks_peer && self.error_code == 0),
            relayed_address,
            peer_address: address(asks_peer),
        }
    }
}

/// Which record says least: the oldest success but the allocation, else the oldest answer, else the oldest.
fn least_telling(records: &[Record], allocation: TransactionId) -> usize {
    let spare = |record: &Record| record.answered_us > 0 && record.error_code == 0 && record.id != allocation;
    let answered = || records.iter().position(|record| record.answered_us > 0 && record.id != allocation);
    records.iter().position(spare).or_else(answered).unwrap_or_default()
}

/// FNV-1a in 32 bits, never 0: enough to tell one NONCE from the next.
fn fingerprint(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)).max(1)
}

#[cfg(test)]
mod tests {
    use super::super::stun::tests::{message, xored};
    use super::super::stun::{ERROR_CODE, LIFETIME, MESSAGE_INTEGRITY, REALM, USERNAME};
    use super::*;

    const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 3478);

    /// Requests (`true`) and responses in turn, 1 ms apart.
    fn told(messages: &[(bool, Vec<u8>)]) -> WireFacts {
        let (mut transactions, mut moments) = (Transactions::default(), Moments::default());
        for (at, (request, bytes)) in messages.iter().enumerate() {
            let stun = Stun::parse(bytes).expect("STUN");
            let at_us = (at as u64 + 1) * 1000;
            match request {
                true => transactions.asked(&stun, SERVER, ServerTransport::Udp, at_us, &mut moments),
                false => assert!(transactions.answered(&stun, at_us, &mut moments)),
            }
        }
        let mut facts = WireFacts::default();
        transactions.tell(&mut facts);
        moments.tell(&mut facts);
        facts
    }

    fn signed(kind: u16, id: u8, nonce: &[u8]) -> Vec<u8> {
        message(kind, id, &[(USERNAME, b"u"), (REALM, b"r"), (NONCE, nonce), (MESSAGE_INTEGRITY, &[0; 20])])
    }

    fn refusal(kind: u16, id: u8, code: u16, nonce: &[u8]) -> Vec<u8> {
        let code = [0, 0, (code / 100) as u8, (code % 100) as u8];
        message(kind, id, &[(ERROR_CODE, &code), (REALM, b"r"), (NONCE, nonce)])
    }

    #[test]
    fn a_challenge_and_a_refusal_are_told_apart() {
        let facts = told(&[
            (true, message(0x0003, 1, &[])),
            (false, refusal(0x0113, 1, 401, b"n1")),
            (true, signed(0x0003, 2, b"n1")),
            (false, refusal(0x0113, 2, 401, b"n1")),
        ]);
        let [challenge, refused] = &facts.transactions[..] else { panic!("{facts:?}") };
        assert!(challenge.is_challenge() && !challenge.credentials_refused());
        assert!(refused.credentials_refused() && refused.nonce_changed == Some(false));
        assert_eq!((refused.method, refused.rtt_us, refused.sends), (StunMethod::Allocate, Some(1000), 1));
    }

    #[test]
    fn a_stale_nonce_comes_with_a_new_one() {
        let facts = told(&[(true, signed(0x0004, 1, b"old")), (false, refusal(0x0114, 1, 438, b"new"))]);
        assert_eq!(facts.transactions[0].nonce_changed, Some(true));
        assert_eq!(facts.transactions[0].error_code, Some(438));
    }

    #[test]
    fn a_retransmission_is_the_same_transaction() {
        let request = message(0x0001, 7, &[]);
        let facts = told(&[(true, request.clone()), (true, request.clone()), (true, request)]);
        let [transaction] = &facts.transactions[..] else { panic!("{facts:?}") };
        assert!(transaction.is_unanswered());
        assert_eq!((transaction.sends, transaction.first_sent_us, transaction.last_sent_us), (3, 1000, 3000));
    }

    #[test]
    fn an_allocation_gives_its_addresses_and_lifetime() {
        let response = message(
            0x0103,
            4,
            &[
                (XOR_RELAYED_ADDRESS, &xored("192.0.2.1:50000", 4)),
                (XOR_MAPPED_ADDRESS, &xored("198.51.100.7:4000", 4)),
                (LIFETIME, &600u32.to_be_bytes()),
            ],
        );
        let facts = told(&[(true, signed(0x0003, 4, b"n")), (false, response)]);
        let transaction = &facts.transactions[0];
        assert_eq!(transaction.relayed_address, Some("192.0.2.1:50000".parse().expect("an address")));
        assert_eq!(transaction.mapped_address, Some("198.51.100.7:4000".parse().expect("an address")));
        assert_eq!((transaction.lifetime_s, transaction.error_code), (Some(600), None));
    }

    #[test]
    fn a_forbidden_peer_and_an_alternate_server_are_named() {
        let alternate = [0, 1, 0x0d, 0x96, 192, 0, 2, 9];
        let facts = told(&[
            (true, message(0x0008, 1, &[(XOR_PEER_ADDRESS, &xored("10.0.0.7:0", 1))])),
            (false, refusal(0x0118, 1, 403, b"n")),
            (true, message(0x0003, 2, &[])),
            (false, message(0x0113, 2, &[(ERROR_CODE, &[0, 0, 3, 0]), (ALTERNATE_SERVER, &alternate)])),
        ]);
        assert_eq!(facts.transactions[0].peer_address, Some("10.0.0.7:0".parse().expect("an address")));
        assert_eq!(facts.transactions[1].alternate_server, Some("192.0.2.9:3478".parse().expect("an address")));
        assert_eq!(facts.transactions[1].mapped_address, None);
    }

    #[test]
    fn successes_make_room_before_failures() {
        let mut messages = vec![(true, signed(0x0003, 200, b"n")), (false, refusal(0x0113, 200, 486, b"n"))];
        for id in 0..30 {
            messages.push((true, signed(0x0004, id, b"n")));
            messages.push((false, message(0x0104, id, &[(LIFETIME, &600u32.to_be_bytes())])));
        }
        let facts = told(&messages);
        assert_eq!(facts.transactions[0].error_code, Some(486));
        assert_eq!(facts.transactions.len(), MAX_TRANSACTIONS);
        assert_eq!(facts.transactions_omitted, 31 - MAX_TRANSACTIONS as u64);
    }

    #[test]
    fn what_coturn_really_says_is_understood() {
        // Recorded from coturn 4.6.1 on loopback.
        const CHALLENGE: &str = concat!(
            "011300482112a442000102030405060708090a0b0009001000000401556e617574686f72697a656400150010646134356130",
            "30333163666136313237001400047465737480220014436f7475726e2d342e362e312027476f72737427",
        );
        const REQUEST: &str = concat!(
            "000300482112a4420102030405060708090a0b0c001900041100000000060005616c69636500000000140004746573740015",
            "00106461343561303033316366613631323700080014f9840f0e053c7594f61b151787e2e5c9df7071bf",
        );
        const SUCCESS: &str = concat!(
            "010300502112a4420102030405060708090a0b0c00160008000145cc5e12a443002000080001f6a25e12a443000d00040000",
            "025880220014436f7475726e2d342e362e312027476f72737427000800149fe6d21eaf8d8b09bbb82f60ccb39db8b99ffa2b",
        );
        const STALE: &str = concat!(
            "011400482112a44202030405060708090a0b0c0d00090010000004265374616c65206e6f6e63650000150010646134356130",
            "30333163666136313237001400047465737480220014436f7475726e2d342e362e312027476f72737427",
        );
        const DELETED: &str = concat!(
            "010400382112a442030405060708090a0b0c0d0e000d00040000000080220014436f7475726e2d342e362e312027476f7273",
            "742700080014ef79297b95027fced3a8a5723fcebd802ddef9e2",
        );
        let hex = |digits: &str| -> Vec<u8> {
            let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal");
            (0..digits.len()).step_by(2).map(byte).collect()
        };
        let id = |first: u8| -> [u8; 12] { std::array::from_fn(|at| first + at as u8) };
        let with_id = |mut bytes: Vec<u8>, first: u8| {
            bytes[8..20].copy_from_slice(&id(first));
            bytes
        };
        let facts = told(&[
            (true, with_id(message(0x0003, 0, &[]), 0)),
            (false, hex(CHALLENGE)),
            (true, hex(REQUEST)),
            (false, hex(SUCCESS)),
            (true, with_id(signed(0x0004, 2, b"xxxxxxxxxxxxxxxx"), 2)),
            (false, hex(STALE)),
            (true, with_id(message(0x0004, 3, &[(LIFETIME, &[0; 4]), (MESSAGE_INTEGRITY, &[0; 20])]), 3)),
            (false, hex(DELETED)),
        ]);
        let [challenge, allocated, stale, deleted] = &facts.transactions[..] else { panic!("{facts:?}") };
        assert!(challenge.is_challenge());
        assert!(allocated.with_integrity && allocated.error_code.is_none());
        assert_eq!(allocated.relayed_address, Some("127.0.0.1:25822".parse().expect("an address")));
        assert_eq!(allocated.mapped_address, Some("127.0.0.1:55216".parse().expect("an address")));
        assert_eq!(allocated.lifetime_s, Some(600));
        assert_eq!((stale.error_code, stale.nonce_changed), (Some(438), Some(true)));
        assert_eq!((deleted.requested_lifetime_s, deleted.lifetime_s, deleted.error_code), (Some(0), Some(0), None));
    }
}

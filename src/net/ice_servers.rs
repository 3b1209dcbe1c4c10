//! The ICE servers of a session in few bytes, and how far each came.
use super::bounded::Bounded;
use super::endpoint::Endpoint;
use super::facts::{IceServerFacts, IceServerState, MAX_ICE_SERVERS, ServerTransport, WireFacts};
use std::net::SocketAddr;

/// Not yet, in fields that are kept small.
const NEVER: u64 = u64::MAX;
const UNKNOWN: u32 = u32::MAX;

/// The account.
#[derive(Debug, Default)]
pub(super) struct IceServers {
    servers: Bounded<Server, MAX_ICE_SERVERS>,
}

#[derive(Debug)]
struct Server {
    url: Box<str>,
    failure: Option<Box<str>>,
    tried_us: u64,
    ready_us: u64,
    failed_us: u64,
    tcp_connected_us: u32,
    tls_connected_us: u32,
    /// 0 = none.
    errno: i32,
    nonce_retries: u16,
    address: Endpoint,
    alternate: Endpoint,
    transport: ServerTransport,
    state: IceServerState,
    remembered_dead: bool,
    timed_out: bool,
    released: bool,
}

impl IceServers {
    #[cfg(test)]
    pub(super) const HEAP_BYTES: usize = Bounded::<Server, MAX_ICE_SERVERS>::HEAP_BYTES;

    pub(super) fn push(&mut self, url: String, transport: ServerTransport) {
        let _ = self.servers.push(Server::from(IceServerFacts { url, transport, ..IceServerFacts::default() }));
    }

    /// Changes what is known about the server at this place of the configuration.
    pub(super) fn change(&mut self, index: usize, change: impl FnOnce(&mut IceServerFacts)) {
        if let Some(server) = self.servers.get_mut(index) {
            let mut facts = server.tell();
            change(&mut facts);
            *server = facts.into();
        }
    }

    /// A STUN server has done all it is for with its answer; the relay's code speaks for TURN servers.
    pub(super) fn answered(&mut self, address: SocketAddr, at_us: u64) {
        let address = Endpoint::from(address);
        let waiting = |known: &&mut Server| {
            known.address == address && known.state == IceServerState::Trying && known.url.starts_with("stun")
        };
        for known in self.servers.iter_mut().filter(waiting) {
            known.state = IceServerState::Ready;
            known.ready_us = at_us;
        }
    }

    pub(super) fn tell(&self, facts: &mut WireFacts) {
        facts.ice_servers = self.servers.iter().map(Server::tell).collect();
        facts.ice_servers_omitted = self.servers.omitted();
    }
}

impl From<IceServerFacts> for Server {
    fn from(facts: IceServerFacts) -> Self {
        let small = |us: Option<u64>| us.and_then(|us| u32::try_from(us).ok()).unwrap_or(UNKNOWN);
        Self {
            url: facts.url.into(),
            failure: facts.failure.map(Into::into),
            tried_us: facts.tried_us.unwrap_or(NEVER),
            ready_us: facts.ready_us.unwrap_or(NEVER),
            failed_us: facts.failed_us.unwrap_or(NEVER),
            tcp_connected_us: small(facts.tcp_connected_us),
            tls_connected_us: small(facts.tls_connected_us),
            errno: facts.errno.unwrap_or_default(),
            nonce_retries: u16::try_from(facts.nonce_retries).unwrap_or(u16::MAX),
            address: facts.address.into(),
            alternate: facts.alternate_server.into(),
            transport: facts.transport,
            state: facts.state,
            remembered_dead: facts.remembered_dead,
            timed_out: facts.timed_out,
            released: facts.released,
        }
    }
}

impl Server {
    fn tell(&self) -> IceServerFacts {
        let reached = |at_us: u64| (at_us != NEVER).then_some(at_us);
        let took = |us: u32| (us != UNKNOWN).then_some(u64::from(us));
        IceServerFacts {
            url: self.url.to_string(),
            transport: self.transport,
            address: self.address.get(),
            state: self.state,
            remembered_dead: self.remembered_dead,
            tried_us: reached(self.tried_us),
            tcp_connected_us: took(self.tcp_connected_us),
            tls_connected_us: took(self.tls_connected_us),
            ready_us: reached(self.ready_us),
            failure: self.failure.as_deref().map(str::to_owned),
            timed_out: self.timed_out,
            errno: (self.errno != 0).then_some(self.errno),
            failed_us: reached(self.failed_us),
            nonce_retries: u32::from(self.nonce_retries),
            alternate_server: self.alternate.get(),
            released: self.released,
        }
    }
}

//! Host names to addresses, once per name for the whole process.
//!
//! Guarantees:
//! - An IP literal and `localhost` never reach a name server.
//! - Callers that ask for the same name at the same time share one query (single flight): 200 users
//!   that start together cost one lookup. An answer is kept for as long as its TTL says and no longer;
//!   a failure is never kept, so the next caller asks again.
//! - The addresses are handed out round robin within each family, so that load spreads over all of
//!   them as it does when every client asks by itself.
//! - DNS is asked directly (hickory) where `/etc/resolv.conf` and the hosts file decide, because only
//!   so the response code (NXDOMAIN, SERVFAIL, …) and the TTL are known; where something else decides
//!   (see [`DnsMode`]) the system's resolver is asked.
//!
//! Cancel: a caller may be dropped at any time. The query goes on for the others (bounded by
//! [`QUERY_LIMIT`]) and its answer is still kept. Nothing here owns a thread; the query is a task of
//! the runtime of the caller that started it, and callers elsewhere ask anew when that runtime ends.

use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolverConfig, ResolverOpts};
use hickory_resolver::net::{DnsError as HickoryDnsError, NetError, runtime::TokioRuntimeProvider};
use hickory_resolver::proto::op::ResponseCode;
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::watch;

/// How long one query may take on its own, whatever its callers' deadlines are; twice what a resolver
/// with the usual two attempts of 5 s needs.
pub const QUERY_LIMIT: Duration = Duration::from_secs(20);

/// How long an answer of the system's resolver, which hides the TTL, is kept: the default of the JVM
/// (`networkaddress.cache.ttl`).
const SYSTEM_TTL: Duration = Duration::from_secs(30);

/// Names kept at most; a plan that makes up a name per user must not grow the process without end.
const CACHED_NAMES: usize = 4096;

/// Who is asked for the addresses of a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DnsMode {
    /// DNS directly where `/etc/resolv.conf` and the hosts file decide; the system's resolver where
    /// `/etc/nsswitch.conf` names other sources (LDAP, mDNS for `.local`, …), or where there is no
    /// `resolv.conf`.
    #[default]
    Auto,
    /// Always the system's resolver (`getaddrinfo`), which hides response codes and TTLs.
    System,
}

/// How a name is looked up.
#[derive(Clone, Copy, Debug)]
pub struct ResolveOptions {
    /// Who is asked.
    pub mode: DnsMode,
    /// Whether an answer that is still valid may be used again, and a query in flight shared.
    pub cache: bool,
}

impl Default for ResolveOptions {
    /// [`DnsMode::Auto`], cached.
    fn default() -> Self {
        Self { mode: DnsMode::Auto, cache: true }
    }
}

/// The addresses of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// At least one address. Rotated by one within each family per call.
    pub addresses: Vec<IpAddr>,
    /// Whether the answer was already there.
    pub from_cache: bool,
    /// How long the caller waited; zero for an IP literal, for `localhost` and from the cache.
    pub elapsed: Duration,
}

/// Why a name has no addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{host}: {detail}")]
pub struct DnsError {
    /// The name that was asked for.
    pub host: String,
    /// The response code as in RFC 1035 §4.1.1 and RFC 6895 §2.3 (`NXDOMAIN`, `SERVFAIL`, `REFUSED`;
    /// `NODATA` = NOERROR without an address, RFC 2308 §2.2); `None` when nobody answered or when the
    /// system's resolver, which hides it, was asked.
    pub rcode: Option<String>,
    /// Whether the answer was still missing when the time was up.
    pub timed_out: bool,
    /// How long the caller waited.
    pub elapsed: Duration,
    /// What happened, for people.
    pub detail: String,
}

/// Resolves `host`, waiting at most `deadline`, with [`ResolveOptions::default`].
///
/// `host` is a name, an IPv4 literal, or an IPv6 literal with or without brackets.
///
/// # Errors
/// [`DnsError`] with the response code where a server answered, `timed_out` where none did in time.
pub async fn resolve(host: &str, deadline: Duration) -> Result<Resolved, DnsError> {
    resolve_with(host, deadline, ResolveOptions::default()).await
}

/// Resolves `host` as [`resolve`] does, with `options`.
///
/// # Errors
/// As [`resolve`].
pub async fn resolve_with(host: &str, deadline: Duration, options: ResolveOptions) -> Result<Resolved, DnsError> {
    if let Some(addresses) = without_dns(host) {
        return Ok(Resolved { addresses, from_cache: false, elapsed: Duration::ZERO });
    }
    let mode = options.mode;
    let query = move |name: String| async move { ask(&name, mode).await };
    if options.cache {
        ANSWERS.resolve(host, mode, deadline, query).await
    } else {
        let begun = Instant::now();
        let answer = match tokio::time::timeout(deadline, query(host.to_owned())).await {
            Ok(answer) => answer,
            Err(_) => Err(Failure::too_late(deadline)),
        };
        match answer {
            Ok(answer) => {
                Ok(Resolved { addresses: answer.addresses.to_vec(), from_cache: false, elapsed: begun.elapsed() })
            }
            Err(failure) => Err(failure.for_host(host, begun.elapsed())),
        }
    }
}

/// The addresses of `host` when no name server is needed: an IP literal (IPv6 with or without
/// brackets) or `localhost` (RFC 6761 §6.3), IPv4 first, as the JVM has it.
pub fn without_dns(host: &str) -> Option<Vec<IpAddr>> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Some(vec![address]);
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    name.eq_ignore_ascii_case("localhost")
        .then(|| vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)])
}

/// What a query brought.
#[derive(Clone, Debug)]
struct Answer {
    addresses: Arc<[IpAddr]>,
    until: Instant,
}

/// Why a query brought nothing; without the facts that differ from caller to caller.
#[derive(Clone, Debug)]
struct Failure {
    rcode: Option<String>,
    timed_out: bool,
    detail: String,
}

impl Failure {
    fn too_late(deadline: Duration) -> Self {
        let detail = format!("no DNS answer within {} ms", deadline.as_millis());
        Self { rcode: None, timed_out: true, detail }
    }

    fn other(detail: impl Into<String>) -> Self {
        Self { rcode: None, timed_out: false, detail: detail.into() }
    }

    fn for_host(self, host: &str, elapsed: Duration) -> DnsError {
        let Self { rcode, timed_out, detail } = self;
        DnsError { host: host.to_owned(), rcode, timed_out, elapsed, detail }
    }
}

type Outcome = Result<Answer, Failure>;
type Key = (String, DnsMode);

/// Answers that are valid and queries that are under way, by name.
struct Answers {
    by_name: Mutex<HashMap<Key, Entry>>,
}

enum Entry {
    /// Somebody asks right now; the outcome comes through the channel.
    Asking(watch::Receiver<Option<Outcome>>),
    /// Known until its TTL ends; `turn` counts the callers for the round robin.
    Known { answer: Answer, turn: usize },
}

static ANSWERS: std::sync::LazyLock<Arc<Answers>> = std::sync::LazyLock::new(|| Arc::new(Answers::empty()));

impl Answers {
    fn empty() -> Self {
        Self { by_name: Mutex::new(HashMap::new()) }
    }

    /// The addresses of `host` by `query`, which is run at most once at a time for one name.
    async fn resolve<Q, F>(
        self: &Arc<Self>,
        host: &str,
        mode: DnsMode,
        deadline: Duration,
        query: Q,
    ) -> Result<Resolved, DnsError>
    where
        Q: Fn(String) -> F + Clone + Send + 'static,
        F: Future<Output = Outcome> + Send,
    {
        let begun = Instant::now();
        let key = (host.to_ascii_lowercase(), mode);
        let waited = tokio::time::timeout(deadline, async {
            loop {
                let mut asking = match self.known_or_asking(&key, query.clone()) {
                    Ok(addresses) => return Ok((addresses, true)),
                    Err(asking) => asking,
                };
                // An error here means that the runtime that asked has ended: ask anew.
                if let Ok(outcome) = asking.wait_for(Option::is_some).await {
                    let outcome = outcome.clone().expect("wait_for returns when there is an outcome");
                    return outcome.map(|answer| (self.in_turn(&key, &answer), false));
                }
            }
        });
        match waited.await {
            Ok(Ok((addresses, true))) => Ok(Resolved { addresses, from_cache: true, elapsed: Duration::ZERO }),
            Ok(Ok((addresses, false))) => Ok(Resolved { addresses, from_cache: false, elapsed: begun.elapsed() }),
            Ok(Err(failure)) => Err(failure.for_host(host, begun.elapsed())),
            Err(_) => Err(Failure::too_late(deadline).for_host(host, begun.elapsed())),
        }
    }

    /// The addresses known for `key`, or the query to wait for, begun here when nobody else has.
    fn known_or_asking<Q, F>(
        self: &Arc<Self>,
        key: &Key,
        query: Q,
    ) -> Result<Vec<IpAddr>, watch::Receiver<Option<Outcome>>>
    where
        Q: Fn(String) -> F + Send + 'static,
        F: Future<Output = Outcome> + Send,
    {
        let mut by_name = self.by_name.lock();
        match by_name.get_mut(key) {
            Some(Entry::Known { answer, turn }) if answer.until > Instant::now() => {
                *turn = turn.wrapping_add(1);
                return Ok(rotated(&answer.addresses, *turn));
            }
            Some(Entry::Asking(asking)) if asking.has_changed().is_ok() => return Err(asking.clone()),
            _ => {}
        }
        let (outcome_sender, asking) = watch::channel(None);
        make_room(&mut by_name);
        by_name.insert(key.clone(), Entry::Asking(asking.clone()));
        let (answers, key) = (Arc::clone(self), key.clone());
        tokio::spawn(async move {
            let outcome = match tokio::time::timeout(QUERY_LIMIT, query(key.0.clone())).await {
                Ok(outcome) => outcome,
                Err(_) => Err(Failure::too_late(QUERY_LIMIT)),
            };
            let mut by_name = answers.by_name.lock();
            match &outcome {
                Ok(answer) => by_name.insert(key, Entry::Known { answer: answer.clone(), turn: 0 }),
                Err(_) => by_name.remove(&key),
            };
            drop(by_name);
            outcome_sender.send_replace(Some(outcome));
        });
        Err(asking)
    }

    /// `answer` rotated by the turn of this caller, so that those who shared a query spread as well.
    fn in_turn(&self, key: &Key, answer: &Answer) -> Vec<IpAddr> {
        match self.by_name.lock().get_mut(key) {
            Some(Entry::Known { turn, .. }) => {
                let mine = *turn;
                *turn = turn.wrapping_add(1);
                rotated(&answer.addresses, mine)
            }
            _ => answer.addresses.to_vec(),
        }
    }
}

/// Keeps `by_name` below its bound: first what is no longer valid goes, then whatever is met first.
fn make_room(by_name: &mut HashMap<Key, Entry>) {
    if by_name.len() < CACHED_NAMES {
        return;
    }
    let now = Instant::now();
    by_name.retain(|_, entry| match entry {
        Entry::Asking(asking) => asking.has_changed().is_ok(),
        Entry::Known { answer, .. } => answer.until > now,
    });
    while by_name.len() >= CACHED_NAMES {
        let Some(any) = by_name.keys().next().cloned() else { return };
        by_name.remove(&any);
    }
}

/// `addresses` with each family rotated by `turn`; the order of the families stays.
fn rotated(addresses: &[IpAddr], turn: usize) -> Vec<IpAddr> {
    let mut rotated = addresses.to_vec();
    for v6 in [false, true] {
        let places: Vec<usize> = (0..addresses.len()).filter(|&place| addresses[place].is_ipv6() == v6).collect();
        for (nth, &place) in places.iter().enumerate() {
            rotated[place] = addresses[places[(nth + turn) % places.len()]];
        }
    }
    rotated
}

/// One query for `host` to whoever decides about names here.
async fn ask(host: &str, mode: DnsMode) -> Outcome {
    if mode == DnsMode::System || system_decides(&nsswitch(), host) {
        return ask_system(host).await;
    }
    // The configuration is read per query: it changes under a laptop or a VPN, and the answers are
    // kept above, so that this is rare.
    match hickory_resolver::system_conf::read_system_conf() {
        Ok((config, options)) if !config.name_servers().is_empty() => ask_dns(host, config, options).await,
        _ => ask_system(host).await,
    }
}

/// The `hosts` line of `/etc/nsswitch.conf`; empty where there is none (musl, macOS).
fn nsswitch() -> String {
    let text = std::fs::read_to_string("/etc/nsswitch.conf").unwrap_or_default();
    text.lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .find_map(|line| line.strip_prefix("hosts:"))
        .unwrap_or_default()
        .to_owned()
}

/// Whether something other than the hosts file and DNS decides about `host`, given the services of
/// the `hosts` line of `nsswitch.conf` (5).
fn system_decides(services: &str, host: &str) -> bool {
    if cfg!(not(target_os = "linux")) {
        return true;
    }
    let single_label = !host.trim_end_matches('.').contains('.');
    let is_local = host.trim_end_matches('.').to_ascii_lowercase().ends_with(".local");
    services.split_whitespace().filter(|service| !service.starts_with('[')).any(|service| match service {
        "files" | "dns" => false,
        // systemd: its stub is in resolv.conf; beyond DNS it knows single-label names of this machine.
        "resolve" | "myhostname" | "mymachines" => single_label,
        "mdns_minimal" | "mdns4_minimal" | "mdns6_minimal" => is_local,
        _ => true,
    })
}

/// Asks the name servers of `config` (and the hosts file) for both families at once.
async fn ask_dns(host: &str, config: ResolverConfig, mut options: ResolverOpts) -> Outcome {
    options.ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    *builder.options_mut() = options;
    let resolver = builder.build().map_err(|error| failure(&error))?;
    let lookup = match resolver.lookup_ip(host).await {
        Ok(lookup) => lookup,
        Err(error @ (NetError::Dns(_) | NetError::Timeout)) => return Err(failure(&error)),
        // No name server could be talked to at all: perhaps the system knows another way.
        Err(_) => return ask_system(host).await,
    };
    let addresses: Arc<[IpAddr]> = lookup.iter().collect();
    if addresses.is_empty() {
        return Err(no_address());
    }
    Ok(Answer { addresses, until: lookup.valid_until() })
}

/// Asks `getaddrinfo` on a thread for blocking calls.
async fn ask_system(host: &str) -> Outcome {
    let found = tokio::net::lookup_host((host, 0)).await.map_err(|error| Failure::other(error.to_string()))?;
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in found.map(|address| address.ip()) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(no_address());
    }
    Ok(Answer { addresses: addresses.into(), until: Instant::now() + SYSTEM_TTL })
}

fn no_address() -> Failure {
    Failure { rcode: Some("NODATA".to_owned()), timed_out: false, detail: "the name has no address".to_owned() }
}

/// The error of hickory in the words of the RFCs.
fn failure(error: &NetError) -> Failure {
    let code = match error {
        NetError::Timeout => {
            let detail = "no name server answered".to_owned();
            return Failure { rcode: None, timed_out: true, detail };
        }
        NetError::Dns(HickoryDnsError::NoRecordsFound(none)) => none.response_code,
        NetError::Dns(HickoryDnsError::ResponseCode(code)) => *code,
        other => return Failure::other(other.to_string()),
    };
    let (name, detail) = match code {
        ResponseCode::NoError => return no_address(),
        ResponseCode::NXDomain => ("NXDOMAIN".to_owned(), "the name does not exist"),
        ResponseCode::ServFail => ("SERVFAIL".to_owned(), "the name server failed"),
        ResponseCode::Refused => ("REFUSED".to_owned(), "the name server refuses the question"),
        ResponseCode::FormErr => ("FORMERR".to_owned(), "the name server does not understand the question"),
        ResponseCode::NotImp => ("NOTIMP".to_owned(), "the name server does not implement the question"),
        other => (format!("{other:?}").to_uppercase(), "the name server answered with an error"),
    };
    Failure { detail: format!("{detail} ({name})"), rcode: Some(name), timed_out: false }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use hickory_resolver::config::{ConnectionConfig, NameServerConfig};
    use tokio::net::UdpSocket;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn v4(last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
    }

    fn answer(addresses: &[IpAddr], ttl: Duration) -> Answer {
        Answer { addresses: addresses.into(), until: Instant::now() + ttl }
    }

    #[tokio::test]
    async fn literals_and_localhost_need_no_name_server() {
        for (host, first) in [
            ("192.0.2.7", v4(7)),
            ("[::1]", IpAddr::V6(Ipv6Addr::LOCALHOST)),
            ("::1", IpAddr::V6(Ipv6Addr::LOCALHOST)),
            ("LocalHost", IpAddr::V4(Ipv4Addr::LOCALHOST)),
            ("localhost.", IpAddr::V4(Ipv4Addr::LOCALHOST)),
        ] {
            let resolved = resolve(host, Duration::ZERO).await.expect("no deadline is needed");
            assert_eq!(resolved.addresses[0], first, "{host}");
            assert!(!resolved.from_cache);
        }
    }

    #[tokio::test]
    async fn callers_at_the_same_time_share_one_query_and_spread_over_its_addresses() {
        let answers = Arc::new(Answers::empty());
        let queries = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&queries);
        let query = move |_: String| {
            counted.fetch_add(1, Ordering::Relaxed);
            async {
                // All callers are there by then.
                tokio::time::sleep(Duration::from_secs(2)).await;
                Ok(answer(&[v4(1), v4(2)], Duration::from_secs(60)))
            }
        };
        let callers = (0..200).map(|_| {
            let (answers, query) = (Arc::clone(&answers), query.clone());
            tokio::spawn(async move { answers.resolve("host.test", DnsMode::Auto, PATIENCE, query).await })
        });
        let mut first = [0, 0];
        for caller in callers.collect::<Vec<_>>() {
            let resolved = caller.await.expect("no panic").expect("an answer");
            assert!(!resolved.from_cache);
            first[usize::from(resolved.addresses[0] == v4(2))] += 1;
        }
        assert_eq!(queries.load(Ordering::Relaxed), 1);
        assert_eq!(first, [100, 100]);
        let again = answers.resolve("HOST.test", DnsMode::Auto, PATIENCE, query).await.expect("an answer");
        assert!(again.from_cache);
        assert_eq!(queries.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn an_answer_is_forgotten_when_its_ttl_ends() {
        let answers = Arc::new(Answers::empty());
        let query = |_: String| async { Ok(answer(&[v4(1)], Duration::ZERO)) };
        for _ in 0..2 {
            let resolved = answers.resolve("host.test", DnsMode::Auto, PATIENCE, query).await.expect("an answer");
            assert!(!resolved.from_cache);
        }
    }

    #[tokio::test]
    async fn a_failure_is_shared_but_not_kept() {
        let answers = Arc::new(Answers::empty());
        let failing = |_: String| async { Err(Failure::other("broken")) };
        let error = answers.resolve("host.test", DnsMode::Auto, PATIENCE, failing).await.expect_err("a failure");
        assert_eq!(error.to_string(), "host.test: broken");
        let working = |_: String| async { Ok(answer(&[v4(1)], Duration::from_secs(1))) };
        answers.resolve("host.test", DnsMode::Auto, PATIENCE, working).await.expect("asked anew");
    }

    #[tokio::test]
    async fn a_caller_gives_up_at_its_deadline_and_the_query_goes_on_for_the_others() {
        let answers = Arc::new(Answers::empty());
        let slow = |_: String| async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            Ok(answer(&[v4(1)], Duration::from_secs(60)))
        };
        let hasty = answers.resolve("host.test", DnsMode::Auto, Duration::from_millis(20), slow);
        let error = hasty.await.expect_err("too late");
        assert!(error.timed_out && error.detail.contains("20 ms"), "{error}");
        let never = |_: String| async { panic!("the query in flight has to be shared") };
        answers.resolve("host.test", DnsMode::Auto, PATIENCE, never).await.expect("the answer of the first query");
    }

    #[test]
    fn a_query_whose_runtime_ended_is_asked_anew() {
        let answers = Arc::new(Answers::empty());
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let stuck = |_: String| std::future::pending::<Outcome>();
        let first = answers.resolve("host.test", DnsMode::Auto, Duration::from_millis(10), stuck);
        runtime().block_on(first).expect_err("too late");
        let working = |_: String| async { Ok(answer(&[v4(1)], Duration::from_secs(1))) };
        let second = answers.resolve("host.test", DnsMode::Auto, PATIENCE, working);
        runtime().block_on(second).expect("asked anew");
    }

    #[test]
    fn the_number_of_kept_names_is_bounded() {
        let mut by_name = HashMap::new();
        for number in 0..CACHED_NAMES {
            let known = Entry::Known { answer: answer(&[v4(1)], Duration::from_secs(60)), turn: 0 };
            by_name.insert((format!("{number}.test"), DnsMode::Auto), known);
        }
        make_room(&mut by_name);
        assert_eq!(by_name.len(), CACHED_NAMES - 1);
    }

    #[test]
    fn families_keep_their_places_when_addresses_rotate() {
        let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
        assert_eq!(rotated(&[v6, v4(1), v4(2), v4(3)], 1), [v6, v4(2), v4(3), v4(1)]);
        assert_eq!(rotated(&[v6], usize::MAX), [v6]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_is_asked_only_where_it_knows_more_than_dns() {
        let debian = " files mdns4_minimal [NOTFOUND=return] dns";
        assert!(!system_decides(debian, "example.com"));
        assert!(system_decides(debian, "printer.local"));
        let fedora = "files myhostname resolve [!UNAVAIL=return] dns";
        assert!(!system_decides(fedora, "example.com"));
        assert!(system_decides(fedora, "workstation"));
        assert!(system_decides("files ldap dns", "example.com"));
        assert!(!system_decides("", "example.com"));
    }

    /// A name server on loopback that answers every question with `rcode` and, for type A without an
    /// error, with `address` for `ttl` seconds; silent when `rcode` is `None`.
    async fn name_server(rcode: Option<u8>, address: Option<[u8; 4]>, ttl: u32) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("loopback");
        let local = socket.local_addr().expect("bound");
        tokio::spawn(async move {
            let mut query = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut query).await {
                let Some(rcode) = rcode else { continue };
                let question_end = 12 + query[12..length].iter().position(|&byte| byte == 0).expect("a name") + 5;
                let is_a = query[question_end - 4..question_end - 2] == [0, 1];
                let answers = u8::from(is_a && rcode == 0 && address.is_some());
                let mut reply = query[..2].to_vec();
                reply.extend([0x81, 0x80 | rcode, 0, 1, 0, answers, 0, 0, 0, 0]);
                reply.extend(&query[12..question_end]);
                if let (1, Some(address)) = (answers, address) {
                    reply.extend([0xc0, 12, 0, 1, 0, 1]);
                    reply.extend(ttl.to_be_bytes());
                    reply.extend([0, 4]);
                    reply.extend(address);
                }
                socket.send_to(&reply, from).await.expect("loopback");
            }
        });
        local
    }

    async fn ask_at(server: SocketAddr, patience: Duration) -> Outcome {
        let mut connection = ConnectionConfig::udp();
        connection.port = server.port();
        let server = NameServerConfig::new(server.ip(), true, vec![connection]);
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        let mut options = ResolverOpts::default();
        options.timeout = patience;
        options.attempts = 1;
        tokio::time::timeout(PATIENCE, ask_dns("softphone.test.", config, options)).await.expect("bounded")
    }

    #[tokio::test]
    async fn dns_answers_carry_their_ttl() {
        let answer =
            ask_at(name_server(Some(0), Some([192, 0, 2, 9]), 77).await, PATIENCE / 4).await.expect("an answer");
        assert_eq!(&*answer.addresses, [v4(9)]);
        let left = answer.until.saturating_duration_since(Instant::now());
        assert!(left <= Duration::from_secs(77) && left > Duration::from_secs(60), "{left:?}");
    }

    #[tokio::test]
    async fn dns_failures_name_the_response_code() {
        for (code, name) in [(3, "NXDOMAIN"), (2, "SERVFAIL"), (5, "REFUSED"), (0, "NODATA")] {
            let failure = ask_at(name_server(Some(code), None, 0).await, PATIENCE / 4).await.expect_err(name);
            assert_eq!(failure.rcode.as_deref(), Some(name), "{failure:?}");
            assert!(!failure.timed_out);
        }
    }

    #[tokio::test]
    async fn a_silent_name_server_is_a_timeout_without_a_response_code() {
        let failure = ask_at(name_server(None, None, 0).await, Duration::from_millis(300)).await.expect_err("silence");
        assert!(failure.timed_out && failure.rcode.is_none(), "{failure:?}");
    }
}

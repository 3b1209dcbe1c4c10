//! Before the test: will this machine hold so many softphones, and do the servers they need answer?
//!
//! Capacity is worked out from what the machine says of itself; nothing is used up to find out. Names, the signaling server
//! and every STUN and TURN server are really asked, each by each transport in its URL and with its credentials, all at once.
//! Every wait has a deadline (`timeoutMs` per step); allocations are given back; dropping a preflight closes its sockets.
//! A preflight never fails as such: what cannot be found out is a check that says so.

mod capacity;
mod command_line;
mod hairpin;
mod machine;
mod probe;
mod report;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::json;

pub use self::command_line::{Doctor, HELP};
pub use self::report::{Check, Report, Status};

use self::hairpin::Hairpin;
use self::machine::Machine;
use self::probe::{Answer, Credentials, Refusal};
use crate::config::{ConfigError, from_json};
use crate::net::facts::ServerTransport;
use crate::net::resolver::{DnsError, ResolveOptions, resolve_with, without_dns};
use crate::peer::{IceServer, IceUrl};
use crate::socket::{Socket, SocketConfig, Trust};

const MOST_SOFTPHONES: u32 = 1_000_000;
const MOST_SERVERS: usize = 16;
/// A name that takes longer than this is worth a word.
const SLOW_DNS: Duration = Duration::from_millis(500);
/// Normal closure (RFC 6455 §7.4.1).
const NORMAL_CLOSURE: u16 = 1000;

/// What is asked about; JSON names are camelCase.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PreflightConfig {
    /// How many softphones (default 200).
    pub softphones: u32,
    /// Over how many seconds they start (default one per 25 softphones, at least 1).
    pub ramp_seconds: Option<f64>,
    /// STUN and TURN servers, as a session has them (default none).
    pub ice_servers: Vec<IceServer>,
    /// `ws` or `wss` URL of the signaling server (default none).
    pub signaling: Option<String>,
    /// Local address to use (default the system's choice).
    pub source_address: Option<IpAddr>,
    /// Deadline of each step: a name, a server (default 5000).
    pub timeout_ms: u64,
    /// Whether TLS certificates have to be valid (default true).
    pub verify_certificate: bool,
}

impl Default for PreflightConfig {
    fn default() -> Self {
        Self {
            softphones: 200,
            ramp_seconds: None,
            ice_servers: Vec::new(),
            signaling: None,
            source_address: None,
            timeout_ms: 5_000,
            verify_certificate: true,
        }
    }
}

/// One URL of an ICE server.
struct Target {
    text: String,
    url: IceUrl,
    credentials: Credentials,
}

impl PreflightConfig {
    /// Parses and checks JSON; an empty object is the default.
    ///
    /// # Errors
    /// [`ConfigError`] by field name (`iceServers[0].urls[0]`).
    pub fn from_json(json: &[u8]) -> Result<Self, ConfigError> {
        let config: Self = from_json(json)?;
        config.check()?;
        Ok(config)
    }

    /// Checks ranges and URLs.
    ///
    /// # Errors
    /// [`ConfigError`] by field name.
    pub fn check(&self) -> Result<(), ConfigError> {
        if !(1..=MOST_SOFTPHONES).contains(&self.softphones) {
            return Err(ConfigError::new("softphones", self.softphones, format!("1 to {MOST_SOFTPHONES}")));
        }
        if let Some(ramp) = self.ramp_seconds
            && !(0.0..=604_800.0).contains(&ramp)
        {
            return Err(ConfigError::new("rampSeconds", ramp, "0 to 604800"));
        }
        if !(100..=60_000).contains(&self.timeout_ms) {
            return Err(ConfigError::new("timeoutMs", self.timeout_ms, "100 to 60000"));
        }
        if self.ice_servers.len() > MOST_SERVERS {
            let value = format!("{} servers", self.ice_servers.len());
            return Err(ConfigError::new("iceServers", value, format!("at most {MOST_SERVERS}")));
        }
        self.targets()?;
        self.signaling_config()?;
        Ok(())
    }

    fn targets(&self) -> Result<Vec<Target>, ConfigError> {
        let mut targets = Vec::new();
        for (index, server) in self.ice_servers.iter().enumerate() {
            let credentials = Credentials { username: server.username.clone(), credential: server.credential.clone() };
            server.check(&format!("iceServers[{index}]"))?;
            for (number, text) in server.urls.iter().enumerate() {
                let field = format!("iceServers[{index}].urls[{number}]");
                let url = IceUrl::parse(text).map_err(|reason| ConfigError::new(field, text, reason))?;
                targets.push(Target { text: text.clone(), url, credentials: credentials.clone() });
            }
        }
        Ok(targets)
    }

    fn signaling_config(&self) -> Result<Option<SocketConfig>, ConfigError> {
        let Some(url) = &self.signaling else { return Ok(None) };
        let trust = if self.verify_certificate { "system" } else { "all" };
        let json = json!({"url": url, "trust": trust, "dnsTimeoutMs": self.timeout_ms,
            "connectTimeoutMs": self.timeout_ms, "handshakeTimeoutMs": self.timeout_ms});
        let config = SocketConfig::from_json(json.to_string().as_bytes());
        config.map(Some).map_err(|error| match &*error.field {
            "url" => ConfigError { field: "signaling".to_owned(), ..error },
            _ => error,
        })
    }

    fn trust(&self) -> Trust {
        if self.verify_certificate { Trust::System } else { Trust::All }
    }

    fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// How long a preflight may take: the longest chain of steps.
    pub fn longest(&self) -> Duration {
        self.timeout() * 8
    }
}

/// Looks at the machine and asks the servers. Has to run on a tokio runtime.
///
/// # Errors
/// [`ConfigError`] before anything is asked.
pub async fn run(config: &PreflightConfig) -> Result<Report, ConfigError> {
    config.check()?;
    let targets = config.targets()?;
    let ramp = config.ramp_seconds.unwrap_or_else(|| (f64::from(config.softphones) / 25.0).max(1.0));
    let mut checks = capacity::checks(&Machine::look(), config.softphones);

    let mut hosts: Vec<&str> = targets.iter().map(|target| &*target.url.host).collect();
    hosts.sort_unstable();
    hosts.dedup();
    let resolving = hosts.into_iter().map(|host| async move { (host, name(host, config).await) });
    let names: BTreeMap<&str, Resolved> = join_all(resolving).await.into_iter().collect();
    for (host, resolved) in &names {
        if without_dns(host).is_none() {
            checks.push(dns_check(host, resolved));
        }
    }
    let found = names.into_iter().filter_map(|(host, resolved)| Some((host, resolved.ok()?.0)));
    let names: BTreeMap<&str, IpAddr> = found.collect();

    let (signaling, servers) = tokio::join!(signaling_check(config), servers(config, &targets, &names));
    checks.extend(signaling);
    let reached_by_stream = servers
        .iter()
        .any(|(target, answer)| target.url.transport != ServerTransport::Udp && matches!(answer, Some(Ok(_))));
    let udp = udp_check(&servers, reached_by_stream);
    checks.extend(servers.iter().map(|(target, answer)| server_check(target, answer.as_ref())));
    checks.push(udp);
    checks.push(hairpin_check(config, &servers, &names).await);

    let distinct = |turn: bool| {
        let count = targets.iter().filter(|target| target.url.turn == turn).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    };
    checks.push(capacity::ramp(config.softphones, ramp, distinct(false), distinct(true)));
    Ok(Report::new(config.softphones, ramp, checks))
}

type Resolved = Result<(IpAddr, Duration), DnsError>;
type Asked<'t> = (&'t Target, Option<Result<Answer, Refusal>>);

/// The address of a host, of the family of the source address where there is one.
async fn name(host: &str, config: &PreflightConfig) -> Resolved {
    let options = ResolveOptions { cache: false, ..ResolveOptions::default() };
    let resolved = resolve_with(host, config.timeout(), options).await?;
    let fits = |address: &&IpAddr| config.source_address.is_none_or(|source| source.is_ipv4() == address.is_ipv4());
    match resolved.addresses.iter().find(fits).or_else(|| resolved.addresses.first()) {
        Some(address) => Ok((*address, resolved.elapsed)),
        None => Err(DnsError {
            host: host.to_owned(),
            rcode: None,
            timed_out: false,
            elapsed: resolved.elapsed,
            detail: "no address".to_owned(),
        }),
    }
}

fn dns_check(host: &str, resolved: &Resolved) -> Check {
    let id = format!("dns:{host}");
    let name = format!("name {host}");
    match resolved {
        Ok((address, took)) => {
            let ms = took.as_secs_f64() * 1e3;
            let status = if *took > SLOW_DNS { Status::Warn } else { Status::Pass };
            Check::new(id, name, status, format!("{address} in {ms:.0} ms"), json!({"address": address, "ms": ms}))
                .advise("a slow resolver delays every first use of the name: a local one helps")
        }
        Err(error) => {
            let facts = json!({"rcode": error.rcode, "timedOut": error.timed_out, "ms": error.elapsed.as_millis()});
            Check::new(id, name, Status::Fail, error.detail.clone(), facts)
                .advise("check the name and /etc/resolv.conf")
        }
    }
}

/// All servers, all at once; without an address a server is not asked.
async fn servers<'t>(
    config: &PreflightConfig,
    targets: &'t [Target],
    names: &BTreeMap<&str, IpAddr>,
) -> Vec<Asked<'t>> {
    let trust = &config.trust();
    join_all(targets.iter().map(|target| async move {
        let answer = match names.get(&*target.url.host) {
            Some(address) => {
                let Target { url, credentials, .. } = target;
                let asked = probe::ask(url, *address, config.source_address, credentials, trust, config.timeout());
                Some(asked.await)
            }
            None => None,
        };
        (target, answer)
    }))
    .await
}

/// A server and the way to it, for people.
fn name_of(url: &IceUrl) -> String {
    let kind = if url.turn { "TURN" } else { "STUN" };
    let transport = url.transport.name().to_uppercase();
    if url.host.contains(':') {
        format!("{kind} [{}]:{} over {transport}", url.host, url.port)
    } else {
        format!("{kind} {}:{} over {transport}", url.host, url.port)
    }
}

fn server_check(target: &Target, answer: Option<&Result<Answer, Refusal>>) -> Check {
    let id = format!("iceServer:{}", target.text);
    let name = name_of(&target.url);
    match answer {
        None => Check::new(id, name, Status::Skip, "not asked: its name has no address", json!({})),
        Some(Ok(answer)) => {
            let ms = answer.round_trip.as_secs_f64() * 1e3;
            let facts = json!({"roundTripMs": ms, "mappedAddress": answer.mapped, "relayedAddress": answer.relayed});
            let mapped = answer.mapped.map(|mapped| format!(", sees us as {}", mapped.ip())).unwrap_or_default();
            match (answer.relayed, answer.open_to_all) {
                (None, _) => Check::new(id, name, Status::Pass, format!("answers in {ms:.1} ms{mapped}"), facts),
                (Some(relayed), false) => {
                    let finding = format!("relays by {relayed}, in {ms:.1} ms{mapped}");
                    Check::new(id, name, Status::Pass, finding, facts)
                }
                (Some(relayed), true) => {
                    let finding = format!("relays by {relayed} without credentials");
                    Check::new(id, name, Status::Warn, finding, facts)
                        .advise("it relays for everybody; that is hardly meant")
                }
            }
        }
        Some(Err(refusal)) => {
            let facts = match refusal {
                Refusal::Rejected { code, authenticated, .. } => {
                    json!({"errorCode": code, "authenticated": authenticated})
                }
                _ => json!({}),
            };
            Check::new(id, name, Status::Fail, refusal.to_string(), facts).advise(refusal.advice(target.url.turn))
        }
    }
}

/// Whether UDP gets out at all.
fn udp_check(servers: &[Asked<'_>], reached_by_stream: bool) -> Check {
    let asked: Vec<&Result<Answer, Refusal>> = servers
        .iter()
        .filter(|(target, _)| target.url.transport == ServerTransport::Udp)
        .filter_map(|(_, answer)| answer.as_ref())
        .collect();
    // An error response came by UDP, and so did an ICMP answer.
    let heard =
        asked.iter().filter(|answer| !matches!(answer, Err(Refusal::Silent(_) | Refusal::Connection(_)))).count();
    let facts = json!({"asked": asked.len(), "answered": heard});
    let name = "UDP";
    if asked.is_empty() {
        return Check::new("udp", name, Status::Skip, "no server over UDP was named", facts);
    }
    if heard > 0 {
        let finding = format!("not blocked: {heard} of {} servers were heard", asked.len());
        return Check::new("udp", name, Status::Pass, finding, facts);
    }
    let finding = if reached_by_stream {
        "blocked: no server answered over UDP, and one did over TCP or TLS"
    } else {
        "no server answered over UDP"
    };
    Check::new("udp", name, Status::Fail, finding, facts)
        .advise("allow outgoing UDP, or relay over turn: with ?transport=tcp or turns:")
}

async fn hairpin_check(config: &PreflightConfig, servers: &[Asked<'_>], names: &BTreeMap<&str, IpAddr>) -> Check {
    let (id, name) = ("hairpin", "hairpin");
    let answering = servers.iter().find(|(target, answer)| {
        target.url.transport == ServerTransport::Udp
            && answer.as_ref().is_some_and(|a| a.as_ref().is_ok_and(|a| a.mapped.is_some()))
    });
    let Some((target, _)) = answering else {
        return Check::new(id, name, Status::Skip, "needs a STUN server that answers over UDP", json!({}));
    };
    let Some(address) = names.get(&*target.url.host) else {
        return Check::new(id, name, Status::Skip, "needs a STUN server that answers over UDP", json!({}));
    };
    let server = SocketAddr::new(*address, target.url.port);
    match hairpin::look(server, config.source_address, config.timeout()).await {
        Hairpin::NoNat => Check::new(id, name, Status::Pass, "not needed: no NAT on the way", json!({"nat": false})),
        Hairpin::Supported(mapped) => {
            let finding = format!("the NAT brings packets to {} back", mapped.ip());
            Check::new(id, name, Status::Pass, finding, json!({"nat": true, "hairpin": true}))
        }
        Hairpin::Missing(mapped) => {
            let finding = format!("the NAT does not bring packets to {} back", mapped.ip());
            Check::new(id, name, Status::Warn, finding, json!({"nat": true, "hairpin": false})).advise(
                "softphones behind this NAT do not reach each other by public addresses: use TURN, or call peers elsewhere",
            )
        }
        Hairpin::Unknown => Check::new(id, name, Status::Skip, "the STUN server did not answer again", json!({})),
    }
}

async fn signaling_check(config: &PreflightConfig) -> Option<Check> {
    let url = config.signaling.as_ref()?;
    let (id, name) = ("signaling", "signaling WebSocket");
    let socket_config = match config.signaling_config() {
        Ok(socket_config) => socket_config?,
        Err(error) => return Some(Check::new(id, name, Status::Fail, error.to_string(), json!({"url": url}))),
    };
    Some(match Socket::open(&socket_config).await {
        Ok((socket, opened)) => {
            socket.close(NORMAL_CLOSURE, "", config.timeout().min(Duration::from_secs(1))).await;
            let ms = Duration::from_micros(opened.total_us).as_secs_f64() * 1e3;
            let facts = json!({"ms": ms, "peer": opened.peer, "tlsUs": opened.tls_us, "dnsUs": opened.dns_us});
            Check::new(id, name, Status::Pass, format!("opened in {ms:.1} ms ({})", opened.peer), facts)
        }
        Err(error) => Check::new(id, name, Status::Fail, error.to_string(), json!({"url": url}))
            .advise("check URL, certificate and what the server wants in the upgrade (a token, an origin)"),
    })
}

#[cfg(test)]
mod tests;

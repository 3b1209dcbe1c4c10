//! Measures what a relay costs a softphone: how long relayed calls take to connect, and what the way through the relay adds.
//!
//! `relay_cost --url turn:127.0.0.1:3478 --username U --credential C [--trust-all] [--sessions 200] [--talk-seconds 10]
//! [--in-flight 32]`
//!
//! Every session offers with relay candidates only to an answering session of this process that has a host candidate. One
//! JSON object is printed: how many connected, connect times (offer → `connected`), round-trip times through the relay
//! (STUN checks at the wire; RTCP through the whole engine), loss, jitter, CPU of this process. Fails if a call does not
//! connect or an allocation is not confirmed as deleted.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jmeter_webrtc::peer::{IceServer, IceTransportPolicy, Session, SessionConfig};
use jmeter_webrtc::socket::Trust;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// How long a call may take to connect, and a session to close.
const CONNECT: Duration = Duration::from_secs(60);
const CLOSE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, usize::from).min(4))
        .enable_all()
        .build()
        .expect("the operating system gives a runtime its epoll");
    match runtime.block_on(measure()) {
        Ok(figures) => {
            println!("{figures}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("relay_cost: {reason}");
            ExitCode::FAILURE
        }
    }
}

async fn measure() -> Result<serde_json::Value, String> {
    let arguments = Arguments::parse()?;
    let gate = Arc::new(Semaphore::new(arguments.in_flight));
    let cpu_before = cpu()?;
    let begun = Instant::now();
    let mut connecting = JoinSet::new();
    for _ in 0..arguments.sessions {
        let (gate, server) = (Arc::clone(&gate), arguments.server.clone());
        connecting.spawn(async move {
            let _place = gate.acquire().await.map_err(|error| error.to_string())?;
            connect(server).await
        });
    }
    let (mut calls, mut times) = (Vec::new(), Vec::new());
    while let Some(call) = connecting.join_next().await {
        let (offerer, answerer, took) = call.map_err(|error| error.to_string())??;
        calls.push((offerer, answerer));
        times.push(took.as_secs_f64() * 1e3);
    }
    let wall = begun.elapsed();
    let cpu_connected = cpu()?;

    tokio::time::sleep(arguments.talk).await;
    let cpu_talked = cpu()?;
    let (mut checks, mut rtcp, mut jitter) = (Vec::new(), Vec::new(), Vec::new());
    let (mut sent, mut received) = (0, 0);
    for (offerer, answerer) in &calls {
        offerer.stop_audio();
        answerer.stop_audio();
        let facts = offerer.wire();
        checks.extend(facts.pairs.iter().filter_map(|pair| pair.rtt_us).map(|rtt| rtt as f64 / 1e3));
        jitter.push(answerer.counters().jitter * 1e3);
        let stats = offerer.stats().await;
        let objects = stats.as_object().into_iter().flatten();
        rtcp.extend(objects.filter_map(|(_, object)| object["roundTripTime"].as_f64()).map(|rtt| rtt * 1e3));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut unreleased = 0;
    for (offerer, answerer) in &calls {
        sent += offerer.counters().packets_sent + answerer.counters().packets_sent;
        received += offerer.counters().packets_received + answerer.counters().packets_received;
        let drops = offerer.counters().socket_drops + answerer.counters().socket_drops;
        received += drops;
    }
    let mut closing = JoinSet::new();
    for (offerer, answerer) in calls {
        closing.spawn(async move {
            tokio::join!(offerer.close(CLOSE), answerer.close(CLOSE));
            offerer.wire().ice_servers.iter().any(|server| server.released)
        });
    }
    while let Some(released) = closing.join_next().await {
        unreleased += usize::from(!released.map_err(|error| error.to_string())?);
    }
    let figures = json!({
        "url": arguments.server.urls[0],
        "sessions": arguments.sessions,
        "connectWallMs": wall.as_millis() as u64,
        "connectMs": spread(times),
        "checkRoundTripMs": spread(checks),
        "rtcpRoundTripMs": spread(rtcp),
        "jitterMs": spread(jitter),
        "packetsSent": sent,
        "packetsMissing": i64::try_from(sent).unwrap_or(i64::MAX) - i64::try_from(received).unwrap_or(i64::MAX),
        "connectCpuMsPerCall": (cpu_connected - cpu_before) * 1e3 / arguments.sessions as f64,
        "talkCpuPercentPerCall": (cpu_talked - cpu_connected) * 100.0 / arguments.talk.as_secs_f64() / arguments.sessions as f64,
        "allocationsNotReleased": unreleased,
    });
    if unreleased > 0 {
        return Err(format!("allocations are left: {figures}"));
    }
    Ok(figures)
}

async fn connect(server: IceServer) -> Result<(Session, Session, Duration), String> {
    let relayed = SessionConfig {
        ice_servers: vec![server],
        ice_transport_policy: IceTransportPolicy::Relay,
        ..SessionConfig::default()
    };
    let offerer = Session::new(relayed).await.map_err(|error| error.to_string())?;
    let answerer = Session::new(SessionConfig::default()).await.map_err(|error| error.to_string())?;
    let begun = Instant::now();
    let work = async {
        let offer = offerer.create_offer().await?;
        let answer = answerer.create_answer(&offer).await?;
        offerer.set_remote_answer(&answer).await?;
        tokio::try_join!(trickle(&offerer, &answerer), trickle(&answerer, &offerer))?;
        offerer.connected().await?;
        let took = begun.elapsed();
        offerer.first_rtp().await?;
        Ok::<_, jmeter_webrtc::peer::PeerError>(took)
    };
    let took = match tokio::time::timeout(CONNECT, work).await {
        Ok(outcome) => outcome.map_err(|error| error.to_string())?,
        Err(_) => return Err(format!("not connected in time: {:?}", offerer.pending_phase())),
    };
    Ok((offerer, answerer, took))
}

async fn trickle(from: &Session, to: &Session) -> Result<(), jmeter_webrtc::peer::PeerError> {
    while let Some(candidate) = from.next_local_candidate().await {
        to.add_ice_candidate(candidate).await?;
    }
    Ok(())
}

/// Median, 95th percentile and greatest of `values`.
fn spread(mut values: Vec<f64>) -> serde_json::Value {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = (values.len() as f64 * share) as usize;
        values.get(place.min(values.len().saturating_sub(1))).map(|value| (value * 1e3).round() / 1e3)
    };
    json!({"count": values.len(), "p50": at(0.5), "p95": at(0.95), "max": at(1.0)})
}

/// CPU time of this process so far, in s.
fn cpu() -> Result<f64, String> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).map_err(|error| error.to_string())?;
    Ok((usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6)
}

struct Arguments {
    server: IceServer,
    sessions: usize,
    in_flight: usize,
    talk: Duration,
}

impl Arguments {
    fn parse() -> Result<Self, String> {
        use lexopt::prelude::*;
        let mut server = IceServer::default();
        let (mut sessions, mut in_flight, mut talk) = (200, 32, 10);
        let mut parser = lexopt::Parser::from_env();
        let text = |parser: &mut lexopt::Parser| {
            parser.value().and_then(|value| value.string()).map_err(|error| error.to_string())
        };
        let number = |parser: &mut lexopt::Parser| text(parser)?.parse::<u64>().map_err(|error| error.to_string());
        while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
            match argument {
                Long("url") => server.urls = vec![text(&mut parser)?],
                Long("username") => server.username = text(&mut parser)?,
                Long("credential") => server.credential = text(&mut parser)?,
                Long("trust-all") => server.trust = Trust::All,
                Long("sessions") => sessions = number(&mut parser)?.max(1) as usize,
                Long("in-flight") => in_flight = number(&mut parser)?.max(1) as usize,
                Long("talk-seconds") => talk = number(&mut parser)?.max(1),
                other => return Err(other.unexpected().to_string()),
            }
        }
        if server.urls.is_empty() {
            return Err("--url is needed".to_owned());
        }
        Ok(Self { server, sessions, in_flight, talk: Duration::from_secs(talk) })
    }
}

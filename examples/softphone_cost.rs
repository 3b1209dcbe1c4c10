//! Measures what softphones cost the generator's process, with the lab in a process of its own.
//!
//! `softphone_cost --signaling ws://127.0.0.1:PORT/ --sessions 200 [--talk-seconds 10] [--trickle no]`
//!
//! All WebSockets are opened first; then all calls start at once to the lab's `echo` peer without sending
//! audio, which gives the cost of a connect and of an idle session; then every session talks at 50 packets/s
//! each way, which gives the cost of a talking second. One JSON object is printed; CPU and resident memory
//! are this process's own, by `getrusage` and `/proc/self/statm`. Fails if any call does not connect.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use jmeter_webrtc::signaling::call::{self, Call, CallConfig};
use jmeter_webrtc::socket::{Socket, SocketConfig};
use nix::sys::resource::{UsageWho, getrusage};
use serde_json::json;
use tokio::task::JoinSet;

const HANG_UP_DEADLINE: Duration = Duration::from_secs(5);

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
            eprintln!("softphone_cost: {reason}");
            ExitCode::FAILURE
        }
    }
}

async fn measure() -> Result<serde_json::Value, String> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let sockets = open_sockets(&arguments).await?;
    let before = Usage::now()?;

    let started = Instant::now();
    let calls = place_calls(&arguments, sockets).await?;
    let connect_wall = started.elapsed();
    let connected = Usage::now()?;
    // What a connect had to send: checks are repeated, and cost, while the answering side is busy.
    let wires: Vec<_> = calls.iter().map(|call| call.session().wire()).collect();
    let checks: u64 = wires.iter().map(|wire| wire.checks_sent + wire.check_responses_sent).sum();
    let dtls: u64 = wires.iter().map(|wire| wire.dtls_records_sent).sum();
    drop(wires);

    tokio::time::sleep(Duration::from_secs(2)).await;
    let idle_start = Usage::now()?;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let idle = Usage::now()?;

    for call in &calls {
        call.session().start_audio();
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let talk_start = Usage::now()?;
    let talk_from = Instant::now();
    tokio::time::sleep(arguments.talk).await;
    let talk_wall = talk_from.elapsed().as_secs_f64();
    let talking = Usage::now()?;

    let (mut sent, mut received, mut skipped, mut lost) = (0, 0, 0, 0);
    let mut ends = JoinSet::new();
    for call in calls {
        ends.spawn(async move {
            let report = call.hang_up(HANG_UP_DEADLINE).await;
            (call.session().counters(), report.agrees)
        });
    }
    let mut agreed = 0;
    while let Some(end) = ends.join_next().await {
        let (media, agrees) = end.map_err(|error| error.to_string())?;
        sent += media.packets_sent;
        received += media.packets_received;
        skipped += media.packets_skipped;
        lost += media.packets_lost;
        agreed += u64::from(agrees);
    }
    let sessions = arguments.sessions as f64;
    Ok(json!({
        "sessions": arguments.sessions,
        "talkSeconds": talk_wall,
        "connectsPerSecond": sessions / connect_wall.as_secs_f64(),
        "cpuMsPerConnect": (connected.cpu_ms - before.cpu_ms) / sessions,
        "checksSentPerConnect": checks as f64 / sessions,
        "dtlsRecordsSentPerConnect": dtls as f64 / sessions,
        "kibPerIdleSession": (idle.resident_kib - before.resident_kib) / sessions,
        "idleCpuMsPerSecond": (idle.cpu_ms - idle_start.cpu_ms) / 4.0 / sessions,
        "kibPerTalkingSession": (talking.resident_kib - before.resident_kib) / sessions,
        "cpuMsPerTalkingSecond": (talking.cpu_ms - talk_start.cpu_ms) / talk_wall / sessions,
        "packetsSent": sent, "packetsReceived": received, "packetsSkipped": skipped, "packetsLost": lost,
        "accountsAgree": agreed,
    }))
}

struct Arguments {
    signaling: String,
    sessions: usize,
    talk: Duration,
    trickle: bool,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut signaling, mut sessions, mut talk, mut trickle) = (None, 200, 10, true);
        while let Some(word) = words.next() {
            let value = words.next().ok_or_else(|| format!("{word} takes a value"))?;
            let number = || value.parse::<u64>().map_err(|error| format!("{word} {value}: {error}"));
            match word.as_str() {
                "--signaling" => signaling = Some(value.clone()),
                "--sessions" => sessions = usize::try_from(number()?).map_err(|error| error.to_string())?,
                "--talk-seconds" => talk = number()?,
                "--trickle" => trickle = value != "no",
                _ => return Err(format!("{word} is not an option")),
            }
        }
        let signaling = signaling.ok_or("--signaling URL is required")?;
        Ok(Self { signaling, sessions, talk: Duration::from_secs(talk), trickle })
    }
}

/// CPU and resident memory of this process at one moment.
struct Usage {
    cpu_ms: f64,
    resident_kib: f64,
}

impl Usage {
    fn now() -> Result<Self, String> {
        let usage = getrusage(UsageWho::RUSAGE_SELF).map_err(|error| format!("getrusage: {error}"))?;
        let milliseconds =
            |time: nix::sys::time::TimeVal| time.tv_sec() as f64 * 1_000.0 + time.tv_usec() as f64 / 1_000.0;
        let statm =
            std::fs::read_to_string("/proc/self/statm").map_err(|error| format!("/proc/self/statm: {error}"))?;
        let pages: f64 = statm
            .split_whitespace()
            .nth(1)
            .and_then(|pages| pages.parse().ok())
            .ok_or("/proc/self/statm has no resident column")?;
        Ok(Self {
            cpu_ms: milliseconds(usage.user_time()) + milliseconds(usage.system_time()),
            resident_kib: pages * 4.0,
        })
    }
}

async fn open_sockets(arguments: &Arguments) -> Result<Vec<Socket>, String> {
    let config = json!({ "url": arguments.signaling, "handshakeTimeoutMs": 20_000 }).to_string();
    let config = SocketConfig::from_json(config.as_bytes()).map_err(|error| error.to_string())?;
    let mut sockets = Vec::with_capacity(arguments.sessions);
    for _ in 0..arguments.sessions {
        sockets.push(Socket::open(&config).await.map_err(|error| error.to_string())?.0);
    }
    Ok(sockets)
}

async fn place_calls(arguments: &Arguments, sockets: Vec<Socket>) -> Result<Vec<Call>, String> {
    let config = json!({
        "to": "echo", "awaitMedia": false, "answerTimeoutMs": 30_000,
        "session": { "sendAudio": false, "connectTimeoutMs": 60_000, "trickle": arguments.trickle },
    });
    let config = CallConfig::from_json(config.to_string().as_bytes()).map_err(|error| error.to_string())?;
    let mut placing = JoinSet::new();
    for socket in sockets {
        let config = config.clone();
        placing.spawn(async move { call::place(socket, &config).await });
    }
    let mut calls = Vec::with_capacity(arguments.sessions);
    while let Some(placed) = placing.join_next().await {
        let placed = placed.map_err(|error| error.to_string())?;
        calls.push(placed.map_err(|failure| failure.to_string())?);
    }
    Ok(calls)
}

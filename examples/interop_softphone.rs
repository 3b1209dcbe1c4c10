//! Our own softphone of the interop suite: one call by [`jmeter_webrtc::signaling::call`] over a
//! [`jmeter_webrtc::socket::Socket`], placed or answered.
//!
//! It understands the command line of `interop/softphones/command_line.py` and ends with the line of
//! `interop/softphones/ending.py`, as the softphones of the other stacks do. Every wait has a deadline; the call is hung up
//! and the socket is closed before the last line, also after a failure.
use std::process::ExitCode;
use std::time::{Duration, Instant};

use jmeter_webrtc::autoice::Shape;
use jmeter_webrtc::media::AudioCodec;
use jmeter_webrtc::peer::{IceServer, SessionConfig};
use jmeter_webrtc::signaling::call::{self, Call, CallConfig};
use jmeter_webrtc::signaling::outcome::{CallFailure, CallOutcome, CallReport};
use jmeter_webrtc::socket::{Socket, SocketConfig};
use lexopt::prelude::*;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

/// How long a registration may take.
const REGISTER_DEADLINE: Duration = Duration::from_secs(5);
/// How long hanging up may take.
const HANG_UP_DEADLINE: Duration = Duration::from_secs(4);
/// How long closing the signaling socket may take.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);
/// How many times its hold a caller waits for the packets it is to see; see `interop/softphones/ending.py`.
const PATIENCE: u32 = 5;
/// How often an answered call is asked whether its caller has hung up.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// RFC 6455 §7.4.1: normal closure.
const NORMAL_CLOSURE: u16 = 1000;

/// Which side of the call this is.
enum Role {
    Caller { to: String },
    Answerer { name: String },
}

struct Options {
    signaling: String,
    stun: Option<String>,
    role: Role,
    codecs: Vec<AudioCodec>,
    trickle: bool,
    film: bool,
    hold: Duration,
    packets: u64,
    deadline: Duration,
}

/// Why there is no report of a whole call, with what was known of it.
struct Failed {
    reason: String,
    known: Value,
}

impl Failed {
    fn new(reason: impl std::fmt::Display) -> Self {
        Self { reason: reason.to_string(), known: json!({}) }
    }
}

impl From<CallFailure> for Failed {
    fn from(failure: CallFailure) -> Self {
        let outcome = &failure.outcome;
        let known = json!({"state": outcome.state, "seen": seen(&outcome.timeline), "outcome": outcome});
        Self { reason: failure.to_string(), known }
    }
}

fn main() -> ExitCode {
    let options = match options(lexopt::Parser::from_env()) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("interop_softphone: {error}");
            return ExitCode::from(2);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("interop_softphone: cannot start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let deadline = options.deadline;
    let ended = runtime.block_on(async {
        timeout(deadline, one_call(&options))
            .await
            .unwrap_or_else(|_| Err(Failed::new(format!("not done within {} s", deadline.as_secs_f64()))))
    });
    runtime.shutdown_timeout(CLOSE_DEADLINE);
    let (line, code) = match ended {
        Ok(report) => (report, ExitCode::SUCCESS),
        Err(failed) => {
            let line = json!({"event": "failed", "reason": failed.reason});
            (merged(line, failed.known), ExitCode::FAILURE)
        }
    };
    let us = json!({"peer": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION")});
    println!("{}", merged(line, us));
    code
}

/// Opens the socket, carries one call to its end, closes the socket.
async fn one_call(options: &Options) -> Result<Value, Failed> {
    let address = json!({"url": options.signaling}).to_string();
    let config = SocketConfig::from_json(address.as_bytes()).map_err(Failed::new)?;
    let (socket, _) = Socket::open(&config).await.map_err(Failed::new)?;
    let ended = match &options.role {
        Role::Caller { to } => place(&socket, to, options).await,
        Role::Answerer { name } => answer(&socket, name, options).await,
    };
    socket.close(NORMAL_CLOSURE, "", CLOSE_DEADLINE).await;
    ended
}

async fn place(socket: &Socket, to: &str, options: &Options) -> Result<Value, Failed> {
    let call = call::place(socket.clone(), &call_config(options, Some(to))?).await?;
    talk(&call, options).await;
    Ok(hang_up(&call).await)
}

/// Holds the call, and longer where the packets asked for are late.
async fn talk(call: &Call, options: &Options) {
    let give_up = Instant::now() + options.hold * PATIENCE;
    sleep(options.hold).await;
    while Instant::now() < give_up && call.lost().is_none() {
        let counted = call.session().counters();
        if counted.packets_sent.min(counted.packets_received) >= options.packets {
            return;
        }
        sleep(LOOK_INTERVAL).await;
    }
}

async fn answer(socket: &Socket, name: &str, options: &Options) -> Result<Value, Failed> {
    call::register(socket, name, REGISTER_DEADLINE).await?;
    println!("{}", json!({"event": "registered"}));
    let call = call::answer_next(socket.clone(), &call_config(options, None)?, options.deadline).await?;
    while call.lost().is_none() {
        sleep(LOOK_INTERVAL).await;
    }
    Ok(hang_up(&call).await)
}

/// A browser's offer of audio, video and data: what a film is to be received with.
const BROWSER_OFFER: &str = include_str!("../tests/canned/chrome-audio-video-data.sdp");

fn call_config(options: &Options, to: Option<&str>) -> Result<CallConfig, Failed> {
    let media = match options.film {
        true => Shape::of(BROWSER_OFFER).map_err(Failed::new)?.media().to_vec(),
        false => vec![],
    };
    let stun = options.stun.iter();
    let ice_servers = stun.map(|url| IceServer { urls: vec![url.clone()], ..IceServer::default() }).collect();
    let session = SessionConfig {
        ice_servers,
        trickle: options.trickle,
        codecs: options.codecs.clone(),
        media,
        ..SessionConfig::default()
    };
    Ok(CallConfig { to: to.map(ToOwned::to_owned), session, ..CallConfig::default() })
}

async fn hang_up(call: &Call) -> Value {
    let report = call.hang_up(HANG_UP_DEADLINE).await;
    ending(call.outcome(), &report)
}

/// The last line of a call that came up; `state` is the worst the connection was in meanwhile.
fn ending(outcome: &CallOutcome, report: &CallReport) -> Value {
    json!({
        "event": "ended",
        "state": report.worst_states.connection_state,
        "codec": outcome.codec,
        "packetsSent": report.media.packets_sent,
        "packetsReceived": report.media.packets_received,
        "packetsLost": report.media.packets_lost,
        "otherPacketsReceived": report.media.other_packets_received,
        "heard": null,
        "peerAccounts": report.peer_media,
        "seen": seen(&report.timeline),
        "report": report,
    })
}

/// A timeline as the suite shows it.
fn seen(timeline: &[(u64, &'static str, String)]) -> Vec<String> {
    timeline.iter().map(|(at, machine, state)| format!("{} ms {machine} {state}", at / 1000)).collect()
}

/// `first` with the fields of `second` added.
fn merged(mut first: Value, second: Value) -> Value {
    if let (Some(into), Value::Object(from)) = (first.as_object_mut(), second) {
        into.extend(from);
    }
    first
}

fn options(mut arguments: lexopt::Parser) -> Result<Options, lexopt::Error> {
    let (mut signaling, mut stun, mut role, mut codecs) = (None, None, None, SessionConfig::default().codecs);
    let (mut trickle, mut film, mut hold_s, mut packets, mut deadline_s) = (true, false, 3.5, 100, 40.0);
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("signaling") => signaling = Some(arguments.value()?.string()?),
            Long("stun") => stun = Some(arguments.value()?.string()?),
            Long("call") => role = Some(Role::Caller { to: arguments.value()?.string()? }),
            Long("answer-as") => role = Some(Role::Answerer { name: arguments.value()?.string()? }),
            Long("codec") => {
                codecs = match arguments.value()?.string()?.as_str() {
                    "opus" => SessionConfig::default().codecs,
                    "pcmu" => vec![AudioCodec::Pcmu],
                    other => return Err(format!("--codec {other}: opus or pcmu").into()),
                }
            }
            Long("full") => trickle = false,
            Long("film") => film = true,
            Long("hold-s") => hold_s = arguments.value()?.parse()?,
            Long("packets") => packets = arguments.value()?.parse()?,
            Long("deadline-s") => deadline_s = arguments.value()?.parse()?,
            other => return Err(other.unexpected()),
        }
    }
    let seconds = |name: &str, value: f64| {
        Duration::try_from_secs_f64(value).map_err(|error| lexopt::Error::from(format!("--{name} {value}: {error}")))
    };
    Ok(Options {
        signaling: signaling.ok_or("--signaling is missing")?,
        stun,
        role: role.ok_or("--call or --answer-as is missing")?,
        codecs,
        trickle,
        film,
        packets,
        hold: seconds("hold-s", hold_s)?,
        deadline: seconds("deadline-s", deadline_s)?,
    })
}

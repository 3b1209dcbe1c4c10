//! A softphone in the language of a profile, for the interop suite: registers, has one call, counts, hangs up.
//!
//! Prints one JSON line: `{"event":"ended"|"failed", …}` with the packets of both directions and the problems that were
//! reported. Every wait has a deadline.
use std::process::ExitCode;
use std::time::Duration;

use jmeter_webrtc::signaling::profile::Command;
use jmeter_webrtc::signaling::softphone::{Softphone, SoftphoneConfig, library};
use lexopt::prelude::*;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

/// How long one step may take.
const STEP: Duration = Duration::from_secs(20);
/// How often packets are counted.
const LOOK: Duration = Duration::from_millis(50);

const HELP: &str = "\
profile_softphone --profile NAME|FILE [--param NAME=VALUE]... [--to WHOM | --wait]
                  [--sent N] [--received N] [--hold-s S] [--restart-ice] [--within-s S]

Ends once it has been in the call for S seconds (default 2) and so many packets were sent and received.
";

struct Options {
    profile: String,
    params: Map<String, Value>,
    to: String,
    wait: bool,
    sent: u64,
    received: u64,
    hold: Duration,
    restart_ice: bool,
    within: Duration,
}

fn main() -> ExitCode {
    let options = match options(lexopt::Parser::from_env()) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("profile_softphone: {error}; see --help");
            return ExitCode::from(2);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("profile_softphone: cannot start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(one_call(&options));
    runtime.shutdown_timeout(Duration::from_secs(2));
    match done {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(line) => {
            println!("{line}");
            ExitCode::FAILURE
        }
    }
}

async fn one_call(options: &Options) -> Result<Value, Value> {
    let failed = |why: String| json!({"event": "failed", "reason": why});
    let profile = library::open(&options.profile, None).map_err(|error| failed(error.to_string()))?;
    let config = json!({"params": options.params}).to_string();
    let config = SoftphoneConfig::from_json(config.as_bytes()).map_err(|error| failed(error.to_string()))?;
    let phone = Softphone::start(profile, config).map_err(|error| failed(error.to_string()))?;
    let failed = |why: String| json!({"event": "failed", "reason": why, "problems": phone.view().problems});
    phone.registered(STEP).await.map_err(|error| failed(error.to_string()))?;
    let call = match options.wait {
        true => phone.next_call(options.within).await,
        false => phone.place(&options.to).await,
    };
    let call = call.map_err(|error| failed(error.to_string()))?;
    let session = call.connected(STEP).await.map_err(|error| failed(error.to_string()))?;
    let begun = Instant::now();
    let end = begun + options.within;
    let mut restarted = !options.restart_ice;
    let (mut sent, mut received) = (options.sent, options.received);
    loop {
        let counters = session.counters();
        let enough = counters.packets_sent >= sent && counters.packets_received >= received;
        if enough && begun.elapsed() >= options.hold {
            if restarted {
                break;
            }
            // As many packets again, behind the restart.
            restarted = true;
            call.command(Command::RestartIce).await.map_err(|error| failed(error.to_string()))?;
            (sent, received) = (counters.packets_sent + options.sent, counters.packets_received + options.received);
        }
        if Instant::now() >= end {
            let (sent, received) = (counters.packets_sent, counters.packets_received);
            return Err(failed(format!("in the call for too long: {sent} packets sent, {received} received")));
        }
        sleep(LOOK).await;
    }
    let (by, reason) = call.hang_up(STEP).await.map_err(|error| failed(error.to_string()))?;
    let counters = session.counters();
    phone.unregister(STEP).await.map_err(|error| failed(error.to_string()))?;
    Ok(json!({
        "event": "ended",
        "by": format!("{by:?}"),
        "reason": reason,
        "codec": session.codec().map(|(codec, _)| codec.encoding()),
        "packetsSent": counters.packets_sent,
        "packetsReceived": counters.packets_received,
        "packetsLost": counters.packets_lost,
        "problems": phone.view().problems,
    }))
}

fn options(mut arguments: lexopt::Parser) -> Result<Option<Options>, lexopt::Error> {
    let mut options = Options {
        profile: String::new(),
        params: Map::new(),
        to: String::new(),
        wait: false,
        sent: 0,
        received: 0,
        hold: Duration::from_secs(2),
        restart_ice: false,
        within: Duration::from_secs(30),
    };
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("profile") => options.profile = arguments.value()?.string()?,
            Long("param") => {
                let text = arguments.value()?.string()?;
                let (name, value) = text.split_once('=').ok_or("--param NAME=VALUE")?;
                options.params.insert(name.to_owned(), value.into());
            }
            Long("to") => options.to = arguments.value()?.string()?,
            Long("wait") => options.wait = true,
            Long("sent") => options.sent = arguments.value()?.parse()?,
            Long("received") => options.received = arguments.value()?.parse()?,
            Long("hold-s") => options.hold = Duration::from_secs(arguments.value()?.parse()?),
            Long("within-s") => options.within = Duration::from_secs(arguments.value()?.parse()?),
            Long("restart-ice") => options.restart_ice = true,
            Long("help") | Short('h') => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    match options.profile.is_empty() {
        true => Err("--profile is missing".into()),
        false => Ok(Some(options)),
    }
}

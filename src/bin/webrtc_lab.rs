//! `webrtc-lab`: the lab as a process of its own, so that a generator's cost is its own.
//!
//! Prints one JSON line when ready, runs until SIGTERM, SIGINT or (on request) the end of its input, then ends calls and
//! sockets within [`STOP_DEADLINE`] and prints the final counters as one JSON line.
//!
//! Signals come through `signal-hook` on a thread of their own. tokio has its `signal` feature, since a dependency asks for it, but
//! the library must never use it: a JVM's signals are none of its business.
use std::io::{Read, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use jmeter_webrtc::lab::{Lab, LabConfig, LabCounters};
use lexopt::prelude::*;
use signal_hook::consts::{SIGINT, SIGTERM};
use tokio::sync::mpsc;

/// How long ending everything may take.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

const HELP: &str = "\
webrtc-lab: WebSocket signaling, answering WebRTC peers and STUN on loopback

Usage: webrtc-lab [options]

  --address A           address to listen on (default 127.0.0.1)
  --port P              signaling port (default 0: any free one)
  --stun-port P         STUN port (default 0: any free one)
  --genesys             play a Genesys Cloud counterpart, too (any free port; more by --config: \"genesys\")
  --sip                 play a SIP registrar, proxy and callee over WebSocket, too (any free port; more by --config: \"sip\")
  --whip                play a WHIP and WHEP counterpart, too (any free port; more by --config: \"whip\")
  --allow-remote        allow an address other than loopback
  --config FILE.json    lab configuration; the options above override it
  --report FILE.json    write the final counters there
  --until-stdin-closes  end when standard input ends, too
  --help, --version

When it is ready it prints one JSON line:
  {\"signalingUrl\":\"ws://127.0.0.1:PORT/\",\"stunUrl\":\"stun:127.0.0.1:PORT\",\"pid\":PID}
It ends on SIGTERM or SIGINT, and then prints its counters as one JSON line.
Call `tone` (the default) to hear audio, `echo` to hear yourself, or the name of a registered client.
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("webrtc-lab: {message}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Default)]
struct Options {
    config: LabConfig,
    report: Option<PathBuf>,
    until_stdin_closes: bool,
}

fn run() -> Result<(), String> {
    let Some(options) = options(lexopt::Parser::from_env())? else { return Ok(()) };
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("webrtc-lab")
        .build()
        .map_err(|error| format!("cannot start the runtime: {error}"))?;
    let ends = ends(options.until_stdin_closes)?;
    let counters = runtime.block_on(serve(options.config, ends))?;
    runtime.shutdown_timeout(Duration::from_secs(1));
    let text = serde_json::to_string(&counters).map_err(|error| error.to_string())?;
    // The report comes first: whoever reads our output may be gone by now.
    if let Some(path) = options.report {
        write_whole(&path, &text)?;
    }
    say(&text)
}

/// Prints one line.
fn say(line: &str) -> Result<(), String> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}").and_then(|()| output.flush()).map_err(|error| format!("standard output: {error}"))
}

/// Reads the command line; `None` when it asked for help or version only.
fn options(mut arguments: lexopt::Parser) -> Result<Option<Options>, String> {
    let mut options = Options::default();
    let (mut file, mut genesys, mut sip, mut whip) = (None, false, false, false);
    let (mut address, mut port, mut stun_port, mut allow_remote) = (None::<IpAddr>, None::<u16>, None::<u16>, false);
    let refused = |error: lexopt::Error| format!("{error}; see --help");
    while let Some(argument) = arguments.next().map_err(refused)? {
        match argument {
            Long("address") => address = Some(parsed(&mut arguments, "--address")?),
            Long("port") => port = Some(parsed(&mut arguments, "--port")?),
            Long("stun-port") => stun_port = Some(parsed(&mut arguments, "--stun-port")?),
            Long("genesys") => genesys = true,
            Long("sip") => sip = true,
            Long("whip") => whip = true,
            Long("allow-remote") => allow_remote = true,
            Long("config") => file = Some(PathBuf::from(arguments.value().map_err(refused)?)),
            Long("report") => options.report = Some(arguments.value().map_err(refused)?.into()),
            Long("until-stdin-closes") => options.until_stdin_closes = true,
            Long("help") | Short('h') => {
                print!("{HELP}");
                return Ok(None);
            }
            Long("version") | Short('V') => {
                println!("webrtc-lab {}", env!("CARGO_PKG_VERSION"));
                return Ok(None);
            }
            other => return Err(refused(other.unexpected())),
        }
    }
    if let Some(path) = file {
        let json = std::fs::read(&path).map_err(|error| format!("--config {}: {error}", path.display()))?;
        options.config =
            jmeter_webrtc::config::from_json(&json).map_err(|error| format!("--config {}: {error}", path.display()))?;
    }
    let config = &mut options.config;
    config.address = address.unwrap_or(config.address);
    config.port = port.unwrap_or(config.port);
    config.stun_port = stun_port.unwrap_or(config.stun_port);
    config.allow_remote |= allow_remote;
    if genesys {
        config.genesys.get_or_insert_default();
    }
    if sip {
        config.sip.get_or_insert_default();
    }
    if whip {
        config.whip.get_or_insert_default();
    }
    config.check().map_err(|error| error.to_string())?;
    Ok(Some(options))
}

fn parsed<T: std::str::FromStr>(arguments: &mut lexopt::Parser, option: &str) -> Result<T, String>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let value = arguments.value().map_err(|error| format!("{option}: {error}; see --help"))?;
    let text = value.to_string_lossy();
    text.parse().map_err(|error| format!("{option}: '{text}' is not usable: {error}"))
}

async fn serve(config: LabConfig, mut ends: mpsc::UnboundedReceiver<()>) -> Result<LabCounters, String> {
    let lab = Lab::start(config).await.map_err(|error| error.to_string())?;
    let mut ready = serde_json::json!({
        "signalingUrl": lab.signaling_url(),
        "stunUrl": lab.stun_url(),
        "pid": std::process::id(),
    });
    if let Some(url) = lab.genesys_url() {
        ready["genesysUrl"] = url.into();
    }
    if let Some(url) = lab.sip_url() {
        ready["sipUrl"] = url.into();
    }
    if let Some(url) = lab.whip_url() {
        ready["whipUrl"] = url.into();
    }
    say(&ready.to_string())?;
    ends.recv().await;
    // A second signal cuts the farewell short.
    let counters = tokio::select! {
        counters = lab.stop(STOP_DEADLINE) => counters,
        _ = ends.recv() => lab.counters(),
    };
    Ok(counters)
}

/// A channel that gets one entry for each reason to end.
fn ends(until_stdin_closes: bool) -> Result<mpsc::UnboundedReceiver<()>, String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT])
        .map_err(|error| format!("cannot listen for SIGTERM and SIGINT: {error}"))?;
    if until_stdin_closes {
        let sender = sender.clone();
        std::thread::spawn(move || {
            let mut scratch = [0_u8; 256];
            while matches!(std::io::stdin().read(&mut scratch), Ok(1..)) {}
            // Nobody listening any more means that the process is ending anyway.
            let _ended = sender.send(());
        });
    }
    std::thread::spawn(move || {
        for _ in signals.forever() {
            if sender.send(()).is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}

/// One descriptor per call and per WebSocket: the soft limit of 1,024 would end a run of 600 softphones.
fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised =
        getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        eprintln!("webrtc-lab: the limit of open files stays as it is: {error}");
    }
}

/// Writes `text` so that a reader sees the whole file or none: beside it first, then renamed over it.
fn write_whole(path: &Path, text: &str) -> Result<(), String> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.part", std::process::id()));
    let failed = |error: std::io::Error| format!("--report {}: {error}", path.display());
    std::fs::write(&beside, format!("{text}\n")).map_err(failed)?;
    std::fs::rename(&beside, path).map_err(failed)
}

//! One SIP softphone, or many that idle, for the runs against other programs (`interop/sip`).
//!
//! Prints JSON lines; the last one has the event `ended` and what was seen. Everything has a deadline; the exit status is 0 only
//! when it came to its end as asked.
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use jmeter_webrtc::media::Dtmf;
use jmeter_webrtc::peer::Session;
use jmeter_webrtc::signaling::profile::Command;
use jmeter_webrtc::signaling::softphone::{
    CallState, Registration, Softphone, SoftphoneCall, SoftphoneConfig, SoftphoneError, library,
};
use lexopt::prelude::*;
use serde_json::{Value, json};

/// How long each step may take.
const STEP: Duration = Duration::from_secs(20);
/// How long the whole call may take.
const WHOLE: Duration = Duration::from_secs(45);
/// A second of talk.
const ENOUGH_PACKETS: u64 = 50;
/// How many of the idle softphones are called in the end.
const CALLED: usize = 10;

#[derive(Default)]
struct Options {
    server: String,
    user: String,
    call: Option<String>,
    restart: bool,
    restarts_of_peer: usize,
    /// What to dial once the other side is heard, as telephone events.
    dial: Option<String>,
    hang_up: bool,
    idle: usize,
    idle_s: u64,
    expires: String,
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("sip_softphone: {error}");
            return ExitCode::FAILURE;
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("sip_softphone: {error}");
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(async {
        match options.idle {
            0 => {
                tokio::time::timeout(WHOLE, talk(&options)).await.unwrap_or_else(|_| Err("not done in 45 s".to_owned()))
            }
            count => idle(&options, count).await,
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            say(&json!({"event": "failed", "why": why}));
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options, lexopt::Error> {
    let mut options = Options { expires: "60".to_owned(), ..Options::default() };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("server") => options.server = arguments.value()?.string()?,
            Long("user") => options.user = arguments.value()?.string()?,
            Long("call") => options.call = Some(arguments.value()?.string()?),
            Long("answer") => options.call = None,
            Long("restart") => options.restart = true,
            Long("restarts-of-peer") => options.restarts_of_peer = arguments.value()?.parse()?,
            Long("dial") => options.dial = Some(arguments.value()?.string()?),
            Long("hang-up") => options.hang_up = true,
            Long("idle") => options.idle = arguments.value()?.parse()?,
            Long("idle-s") => options.idle_s = arguments.value()?.parse()?,
            Long("expires") => options.expires = arguments.value()?.string()?,
            other => return Err(other.unexpected()),
        }
    }
    Ok(options)
}

fn say(line: &Value) {
    println!("{line}");
}

fn start(options: &Options, user: &str, more: &[(&str, &str)]) -> Result<Softphone, String> {
    let profile = library::find("sip", None).map_err(|error| error.to_string())?;
    let mut params: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in [("server", &*options.server), ("password", "secret"), ("expires", &*options.expires)] {
        params.insert(name.to_owned(), value.to_owned());
    }
    params.insert("aor".to_owned(), format!("sip:{user}@lab"));
    params.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let mut config = SoftphoneConfig { params, ..SoftphoneConfig::default() };
    config.session.source_address = Some(std::net::IpAddr::from([127, 0, 0, 1]));
    Softphone::start(profile, config).map_err(|error| error.to_string())
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) -> Result<(), String> {
    let end = tokio::time::Instant::now() + STEP;
    while !holds() {
        if tokio::time::Instant::now() > end {
            return Err(format!("not within 20 s: {what}"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// How often a side has restarted ICE.
fn restarts(session: &Session, by: &str) -> usize {
    session.timeline().iter().filter(|(_, machine, side)| *machine == "iceRestart" && side == by).count()
}

async fn talk(options: &Options) -> Result<(), String> {
    let told = |error: SoftphoneError| error.to_string();
    let phone = start(options, &options.user, &[("autoAnswer", "true")])?;
    phone.registered(STEP).await.map_err(told)?;
    say(&json!({"event": "registered"}));
    let call: SoftphoneCall = match &options.call {
        Some(to) => phone.place(to).await.map_err(told)?,
        None => phone.next_call(STEP).await.map_err(told)?,
    };
    let session = call.connected(STEP).await.map_err(told)?;
    let packets = || session.counters().packets_received;
    until("a second of talk", || packets() > ENOUGH_PACKETS).await?;
    say(&json!({"event": "heard"}));
    let mut dialled = Value::Null;
    if let Some(digits) = &options.dial {
        // Long enough for whoever has to hear them in the sound.
        let dtmf = Dtmf::new(digits, Some(200), Some(200)).map_err(|error| error.to_string())?;
        let sent = session.insert_dtmf(&dtmf).await.map_err(|error| error.to_string())?;
        dialled = json!({"tones": sent.tones, "packets": sent.packets, "events": session.can_insert_dtmf(&dtmf).ok()});
        say(&json!({"event": "dialled"}));
    }
    until("the other side's restarts of ICE", || restarts(&session, "remote") >= options.restarts_of_peer).await?;
    if options.restart {
        // A call at rest: an offer of ours that crosses another one has to wait.
        tokio::time::sleep(Duration::from_secs(1)).await;
        call.command(Command::RestartIce).await.map_err(told)?;
        until("our restart of ICE", || restarts(&session, "local") == 1).await?;
    }
    let before = packets();
    let ended = || matches!(call.view().state, CallState::Ended { .. });
    if options.hang_up {
        until("talk after the restarts", || packets() > before + ENOUGH_PACKETS).await?;
        // The other side needs its second, too.
        tokio::time::sleep(Duration::from_secs(1)).await;
        call.hang_up(STEP).await.map_err(told)?;
    }
    until("the end of the call", ended).await?;
    let after_restart = packets() - before;
    let problems = phone.view().problems;
    phone.unregister(STEP).await.map_err(told)?;
    say(&json!({
        "event": "ended", "packets": packets(), "afterRestart": after_restart, "problems": problems,
        "state": format!("{:?}", call.view().state), "dialled": dialled, "dtmfHeard": session.dtmf_heard(),
        "lost": session.counters().packets_lost,
    }));
    Ok(())
}

async fn idle(options: &Options, count: usize) -> Result<(), String> {
    let mut phones = Vec::new();
    for number in 0..count {
        phones.push(start(options, &format!("{}{number}", options.user), &[])?);
    }
    for phone in &phones {
        phone.registered(STEP).await.map_err(|error| error.to_string())?;
    }
    say(&json!({"event": "registered", "softphones": count}));
    tokio::time::sleep(Duration::from_secs(options.idle_s)).await;
    let views: Vec<_> = phones.iter().map(Softphone::view).collect();
    let registered = views.iter().filter(|view| matches!(view.registration, Registration::Registered(_))).count();
    let again: u32 = views.iter().map(|view| view.registrations - 1).sum();
    let problems: Vec<_> = views.iter().flat_map(|view| view.problems.iter()).take(5).collect();
    // Whoever rings when called has a binding at the server that works.
    let (mut called, mut reached) = (0, 0);
    for number in (1..count).step_by((count / CALLED).max(1)) {
        called += 1;
        let call = phones[0].place(&format!("{}{number}", options.user)).await.map_err(|error| error.to_string())?;
        let incoming = phones[number].next_call(STEP).await;
        if let Ok(incoming) = incoming {
            reached += 1;
            incoming.command(Command::Reject).await.map_err(|error| error.to_string())?;
        }
        call.ended(STEP).await.map_err(|error| error.to_string())?;
    }
    say(&json!({
        "event": "ended", "softphones": count, "idleS": options.idle_s, "registered": registered, "again": again,
        "called": called, "reached": reached, "problems": problems,
    }));
    Ok(())
}

//! What a session costs: CPU per connect, memory idle and talking, CPU per talking second.
//!
//! ```text
//! cargo run --release --example session_cost -- [sessions = 200] [talk seconds = 10]
//! ```
//! Offerers live in this process, answerers in a child of it, so that each side is measured alone; the two share the
//! machine. They signal over one pipe of JSON lines, with complete descriptions and host candidates on loopback. Prints
//! one line of JSON per measure, of the offerers' process.
use std::collections::HashMap;
use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jmeter_webrtc::media::{reset_schedule_lag, schedule_lag};
use jmeter_webrtc::net::UdpCounters;
use jmeter_webrtc::peer::{MediaCounters, Session, SessionConfig};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome<()> {
    raise_open_files()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "answer") {
        return runtime.block_on(answer());
    }
    let number = |index: usize, default: u64| match arguments.get(index) {
        Some(text) => text.parse(),
        None => Ok(default),
    };
    runtime.block_on(measure(number(0, 200)?, Duration::from_secs(number(1, 10)?)))
}

fn config() -> SessionConfig {
    SessionConfig { trickle: false, send_audio: false, ..SessionConfig::default() }
}

async fn measure(count: u64, talk: Duration) -> Outcome<()> {
    let answerers = Answerers::start()?;
    // The first session pays for what all share.
    let first = connect(&answerers, 0).await?;
    first.close(Duration::from_secs(2)).await;
    let per_session = |value: f64| value / count as f64;
    let idle_process = Usage::now()?;

    let started = Instant::now();
    let calls = (1..=count).map(|call| {
        let answerers = answerers.clone();
        tokio::spawn(async move { connect(&answerers, call).await })
    });
    let mut sessions = Vec::new();
    let mut took = Vec::new();
    for call in futures_util::future::join_all(calls).await {
        let session = call??;
        took.push(session.phases().dtls_connected_us.unwrap_or_default() as f64 / 1000.0);
        sessions.push(session);
    }
    let wall = started.elapsed().as_secs_f64();
    took.sort_by(f64::total_cmp);
    let connected = Usage::now()?;
    report("connects per second at once", count as f64 / wall, "1/s", count);
    report("CPU per connect", per_session((connected.cpu - idle_process.cpu).as_secs_f64() * 1e3), "ms", count);
    report("connect p50", took[took.len() / 2], "ms", count);
    report("connect p95", took[took.len() * 95 / 100], "ms", count);

    let before = Usage::now()?;
    tokio::time::sleep(talk).await;
    let after = Usage::now()?;
    let idle = (after.cpu - before.cpu).as_secs_f64() * 1e6 / talk.as_secs_f64();
    report("CPU per idle second", per_session(idle), "µs", count);
    report("memory per idle session", per_session(after.rss_kib - idle_process.rss_kib), "KiB", count);

    answerers.all("talk").await?;
    sessions.iter().for_each(Session::start_audio);
    tokio::time::sleep(Duration::from_secs(1)).await;
    reset_schedule_lag();
    let (before, drops_before) = (Usage::now()?, UdpCounters::read()?);
    tokio::time::sleep(talk).await;
    let (after, drops_after) = (Usage::now()?, UdpCounters::read()?);
    let talking = (after.cpu - before.cpu).as_secs_f64() * 1e3 / talk.as_secs_f64();
    report("CPU per talking second", per_session(talking), "ms", count);
    report("memory per talking session", per_session(after.rss_kib - idle_process.rss_kib), "KiB", count);
    let lag = schedule_lag();
    report("schedule lag p50", lag.p50_us as f64 / 1e3, "ms", count);
    report("schedule lag p99", lag.p99_us as f64 / 1e3, "ms", count);
    report("schedule lag max", lag.max_us as f64 / 1e3, "ms", count);
    report(
        "receive buffer errors of the machine",
        (drops_after.rcvbuf_errors - drops_before.rcvbuf_errors) as f64,
        "1",
        count,
    );

    sessions.iter().for_each(Session::stop_audio);
    answerers.all("hush").await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let sum = |field: fn(&MediaCounters) -> i64| {
        sessions.iter().map(|session| field(&session.counters())).sum::<i64>() as f64
    };
    report("packets sent", sum(|counters| counters.packets_sent as i64), "1", count);
    report("packets received", sum(|counters| counters.packets_received as i64), "1", count);
    report("packets lost", sum(|counters| counters.packets_lost), "1", count);
    report("packets dropped by our sockets", sum(|counters| counters.socket_drops as i64), "1", count);
    report("packets skipped", sum(|counters| counters.packets_skipped as i64), "1", count);

    let started = Instant::now();
    futures_util::future::join_all(sessions.iter().map(|session| session.close(Duration::from_secs(5)))).await;
    report("close of all", started.elapsed().as_secs_f64() * 1e3, "ms", count);
    drop(sessions);
    tokio::time::sleep(Duration::from_millis(300)).await;
    report("sockets left", open_sockets()? as f64 - idle_process.sockets as f64, "1", count);
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    report("tasks left", tasks as f64 - idle_process.tasks as f64, "1", count);
    answerers.stop()
}

fn report(name: &str, value: f64, unit: &str, sessions: u64) {
    println!(
        "{}",
        json!({ "name": name, "value": (value * 1000.0).round() / 1000.0, "unit": unit, "sessions": sessions })
    );
}

async fn connect(answerers: &Answerers, call: u64) -> Outcome<Session> {
    let session = Session::new(config()).await?;
    let offer = session.create_offer().await?;
    let answer = answerers.ask(call, json!({ "call": call, "offer": offer })).await?;
    session.set_remote_answer(answer["answer"].as_str().ok_or("no answer")?).await?;
    tokio::time::timeout(Duration::from_secs(60), session.connected()).await??;
    Ok(session)
}

/// The answering process.
#[derive(Clone)]
struct Answerers {
    child: Arc<Mutex<Child>>,
    input: Arc<Mutex<ChildStdin>>,
    waiting: Arc<Mutex<HashMap<u64, oneshot::Sender<Value>>>>,
}

impl Answerers {
    fn start() -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("answer")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().ok_or("no stdin")?;
        let output = child.stdout.take().ok_or("no stdout")?;
        let waiting: Arc<Mutex<HashMap<u64, oneshot::Sender<Value>>>> = Arc::default();
        let answers = Arc::clone(&waiting);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let Ok(message) = serde_json::from_str::<Value>(&line) else { continue };
                let waiter = message["call"].as_u64().and_then(|call| answers.lock().ok()?.remove(&call));
                if let Some(waiter) = waiter {
                    // The asker may have given up.
                    let _ = waiter.send(message);
                }
            }
        });
        Ok(Self { child: Arc::new(Mutex::new(child)), input: Arc::new(Mutex::new(input)), waiting })
    }

    async fn ask(&self, call: u64, message: Value) -> Outcome<Value> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().map_err(|_| "a reader panicked")?.insert(call, sender);
        writeln!(self.input.lock().map_err(|_| "a writer panicked")?, "{message}")?;
        Ok(tokio::time::timeout(Duration::from_secs(60), receiver).await??)
    }

    /// Tells all answerers to `talk` or to `hush`.
    async fn all(&self, what: &str) -> Outcome<()> {
        self.ask(u64::MAX, json!({ "call": u64::MAX, "all": what })).await.map(|_| ())
    }

    fn stop(&self) -> Outcome<()> {
        let mut child = self.child.lock().map_err(|_| "a reader panicked")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }
}

/// Answers every offer on standard input, on standard output.
async fn answer() -> Outcome<()> {
    let (lines, mut input) = mpsc::unbounded_channel::<String>();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    let sessions: Arc<Mutex<Vec<Session>>> = Arc::default();
    while let Some(line) = input.recv().await {
        let message: Value = serde_json::from_str(&line)?;
        let call = message["call"].as_u64().ok_or("no call")?;
        if let Some(what) = message["all"].as_str() {
            for session in sessions.lock().map_err(|_| "poisoned")?.iter() {
                if what == "talk" { session.start_audio() } else { session.stop_audio() }
            }
            println!("{}", json!({ "call": call }));
            continue;
        }
        let offer = message["offer"].as_str().ok_or("no offer")?.to_owned();
        let sessions = Arc::clone(&sessions);
        tokio::spawn(async move {
            let answered: Outcome<()> = async {
                let session = Session::new(config()).await?;
                let answer = session.create_answer(&offer).await?;
                println!("{}", json!({ "call": call, "answer": answer }));
                sessions.lock().map_err(|_| "poisoned")?.push(session);
                Ok(())
            }
            .await;
            if let Err(error) = answered {
                eprintln!("call {call}: {error}");
            }
        });
    }
    Ok(())
}

/// What this process uses.
struct Usage {
    cpu: Duration,
    rss_kib: f64,
    sockets: usize,
    tasks: usize,
}

impl Usage {
    fn now() -> Outcome<Self> {
        let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF)?;
        let time = |time: nix::sys::time::TimeVal| {
            Duration::from_secs(time.tv_sec().unsigned_abs()) + Duration::from_micros(time.tv_usec().unsigned_abs())
        };
        let status = std::fs::read_to_string("/proc/self/status")?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(Self {
            cpu: time(usage.user_time()) + time(usage.system_time()),
            rss_kib: rss.trim().trim_end_matches(" kB").parse()?,
            sockets: open_sockets()?,
            tasks: tokio::runtime::Handle::current().metrics().num_alive_tasks(),
        })
    }
}

fn open_sockets() -> Outcome<usize> {
    let links = std::fs::read_dir("/proc/self/fd")?.flatten();
    Ok(links
        .filter(|link| std::fs::read_link(link.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:")))
        .count())
}

/// Takes as many open files as the system allows.
fn raise_open_files() -> Outcome<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(())
}

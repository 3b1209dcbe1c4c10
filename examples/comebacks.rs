//! How agents come back after an outage: registers N Genesys Cloud agents at a lab in a process of its own, takes it down, and
//! prints when they were to come back, when they did, and how many at once.
//!
//! `cargo run --release --example comebacks [N] [JITTER] [DOWN_MS]` (default 1000 agents, jitter 0, 2500 ms).
//!
//! Planned times are those of the profile, counted from the outage; arrivals are the lab's. Where arrivals come later than
//! planned, this machine was too slow for so many logins at once. Fails unless all are registered again.

mod genesys_lab;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use genesys_lab::{Failure, Server, serve};
use jmeter_webrtc::net::http::{self, Reach};
use jmeter_webrtc::signaling::profile::Profile;
use jmeter_webrtc::signaling::softphone::{Softphone, SoftphoneConfig};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// How long all of them may take to register, and to come back.
const DEADLINE: Duration = Duration::from_secs(180);
/// How wide the slots are in which agents are counted, ms.
const SLOT_MS: u64 = 100;

fn main() -> Result<(), Failure> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("serve") => runtime.block_on(serve()),
        count => {
            let count = count.unwrap_or("1000").parse()?;
            let jitter: f64 = arguments.next().as_deref().unwrap_or("0").parse()?;
            let down = arguments.next().as_deref().unwrap_or("2500").parse()?;
            let server = Server::start()?;
            runtime.block_on(measure(count, jitter, Duration::from_millis(down), &server.url))
        }
    }
}

async fn measure(count: usize, jitter: f64, down: Duration, url: &str) -> Result<(), Failure> {
    let profile = Arc::new(Profile::parse("genesys", include_str!("../profiles/genesys.json"))?);
    let registering = (0..count).map(|number| register(&profile, url, number, jitter));
    let agents: Vec<_> = stream::iter(registering).buffer_unordered(20).collect().await;
    let agents = agents.into_iter().collect::<Result<Vec<_>, _>>()?;

    let begun = Instant::now();
    let body = Some(format!(r#"{{"ms":{}}}"#, down.as_millis()));
    let asked = http::exchange("POST", &format!("{url}/lab/outage"), &[], body, DEADLINE, &Reach::default()).await?;
    if asked.status != 202 {
        return Err(format!("the lab does not go down: {}", asked.body).into());
    }
    for agent in &agents {
        while agent.view().registrations < 2 {
            if begun.elapsed() > DEADLINE {
                return Err(format!("not back: {:?}", agent.view().registration).into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        agent.registered(DEADLINE).await?;
    }
    let back = begun.elapsed();

    let mut delays = BTreeMap::<u128, usize>::new();
    let mut planned = Vec::new();
    for agent in &agents {
        let waited = agent.view().attempt.waited.ok_or("an agent came back without having waited")?;
        *delays.entry(waited.delay.as_millis()).or_default() += 1;
        planned.push(u64::try_from(waited.due().saturating_duration_since(begun).as_millis())?);
    }
    let arrivals =
        http::exchange("GET", &format!("{url}/lab/arrivals"), &[], None, DEADLINE, &Reach::default()).await?;
    let arrivals: Vec<u64> = serde_json::from_str(&arrivals.body)?;
    println!(
        "{} agents, jitter {jitter}, down for {} ms: all registered again after {} ms",
        agents.len(),
        down.as_millis(),
        back.as_millis()
    );
    if jitter == 0.0 {
        println!("waited before they came back, ms: agents {delays:?}");
    }
    for (what, times) in [("planned", &planned), ("arrived", &arrivals)] {
        println!("{what}: {}", spread(times));
    }
    Ok(())
}

/// How many at most in one slot, and between when and when.
fn spread(times: &[u64]) -> String {
    let mut slots = BTreeMap::<u64, usize>::new();
    for time in times {
        *slots.entry(time / SLOT_MS).or_default() += 1;
    }
    let most = slots.values().max().copied().unwrap_or_default();
    let (first, last) =
        (times.iter().min().copied().unwrap_or_default(), times.iter().max().copied().unwrap_or_default());
    format!(
        "{} from {first} to {last} ms, at most {most} ({:.1} %) in {SLOT_MS} ms",
        times.len(),
        100.0 * most as f64 / times.len().max(1) as f64
    )
}

async fn register(profile: &Arc<Profile>, url: &str, number: usize, jitter: f64) -> Result<Softphone, Failure> {
    let mut config = SoftphoneConfig::default();
    let params = [
        ("token", format!("agent{number}")),
        ("api", url.to_owned()),
        ("streaming", url.replace("http", "ws")),
        ("jitter", jitter.to_string()),
    ];
    config.params.extend(params.map(|(name, value)| (name.to_owned(), value)));
    let softphone = Softphone::start(Arc::clone(profile), config)?;
    softphone.registered(DEADLINE).await?;
    Ok(softphone)
}

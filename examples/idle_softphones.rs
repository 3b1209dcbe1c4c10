//! What idle registered softphones cost: registers N Genesys Cloud agents at a lab in a process of its own and prints KiB of
//! resident memory per softphone and the share of one core that all of them take while they idle and ping.
//!
//! `cargo run --release --example idle_softphones [N] [SECONDS] [RAMP_S]` (default 1000 softphones, 70 s, 14 s). They register
//! evenly over the ramp, so that their pings, one in 14 s each, come evenly, too; with a ramp of 0 they ping in bursts. Seconds
//! that are no multiple of 14 count some pings of some softphones only.

mod genesys_lab;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use genesys_lab::{Failure, Server, serve};
use jmeter_webrtc::signaling::profile::Profile;
use jmeter_webrtc::signaling::softphone::{Registration, Softphone, SoftphoneConfig};
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};

/// How long all of them may take to register.
const REGISTERING: Duration = Duration::from_secs(60);

fn main() -> Result<(), Failure> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("serve") => runtime.block_on(serve()),
        count => {
            let count = count.unwrap_or("1000").parse()?;
            let seconds = arguments.next().as_deref().unwrap_or("70").parse()?;
            let ramp = arguments.next().as_deref().unwrap_or("14").parse()?;
            let server = Server::start()?;
            runtime.block_on(measure(count, Duration::from_secs(seconds), Duration::from_secs(ramp), &server.url))
        }
    }
}

async fn measure(count: usize, idle: Duration, ramp: Duration, url: &str) -> Result<(), Failure> {
    let profile = Arc::new(Profile::parse("genesys", include_str!("../profiles/genesys.json"))?);
    // What the first softphones bring into memory is not theirs.
    let _first = register(&profile, url, 0..20, Duration::ZERO).await?;
    let before = resident_kib()?;
    let softphones = register(&profile, url, 20..20 + count, ramp).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let each = (resident_kib()? - before) / count as f64;
    let (cpu, began) = (processor_time()?, Instant::now());
    tokio::time::sleep(idle).await;
    let share = 100.0 * (processor_time()? - cpu).as_secs_f64() / began.elapsed().as_secs_f64();
    let registered = softphones
        .iter()
        .filter(|phone| {
            matches!(phone.view().registration, Registration::Registered(_)) && phone.view().registrations == 1
        })
        .count();
    println!(
        "{registered} of {count} stayed registered for {} s: {each:.1} KiB each, {share:.2} % of a core in all",
        idle.as_secs()
    );
    Ok(())
}

async fn register(
    profile: &Arc<Profile>,
    url: &str,
    numbers: std::ops::Range<usize>,
    ramp: Duration,
) -> Result<Vec<Softphone>, Failure> {
    let (begun, count) = (tokio::time::Instant::now(), numbers.len());
    let registering = numbers.enumerate().map(|(place, number)| async move {
        tokio::time::sleep_until(begun + ramp.mul_f64(place as f64 / count as f64)).await;
        let mut config = SoftphoneConfig::default();
        let params =
            [("token", format!("agent{number}")), ("api", url.to_owned()), ("streaming", url.replace("http", "ws"))];
        config.params.extend(params.map(|(name, value)| (name.to_owned(), value)));
        let softphone = Softphone::start(Arc::clone(profile), config)?;
        softphone.registered(REGISTERING).await?;
        Ok::<_, Failure>(softphone)
    });
    let registered: Vec<_> = stream::iter(registering).buffer_unordered(20).collect().await;
    registered.into_iter().collect()
}

/// Resident memory of this process in KiB.
fn resident_kib() -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS in /proc/self/status")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// What this process has used of its processors.
fn processor_time() -> Result<Duration, Failure> {
    let used = getrusage(UsageWho::RUSAGE_SELF)?;
    let of = |time: nix::sys::time::TimeVal| {
        Duration::from_micros(u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap_or_default())
    };
    Ok(of(used.user_time()) + of(used.system_time()))
}

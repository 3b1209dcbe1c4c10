//! Places calls to a lab in another process and says what they cost and whether every packet is accounted for.
//!
//! `place_calls ws://127.0.0.1:PORT/ [calls] [hold seconds] [calls in set-up at a time]`; prints one JSON line.
use std::sync::Arc;
use std::time::{Duration, Instant};

use jmeter_webrtc::signaling::call::{CallConfig, place};
use jmeter_webrtc::socket::{Socket, SocketConfig};
use tokio::sync::Semaphore;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("usage: place_calls URL [calls] [hold seconds] [at a time]")?;
    let mut number = |default: usize| arguments.next().map_or(Ok(default), |text| text.parse());
    let (calls, hold, gate) = (number(200)?, number(10)?, number(64)?);
    let (_, hard) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)?;
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, hard, hard)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(url, calls, Duration::from_secs(hold as u64), gate))
}

async fn run(url: String, calls: usize, hold: Duration, gate: usize) -> Result<(), Failure> {
    let config = SocketConfig::from_json(serde_json::json!({"url": url}).to_string().as_bytes())?;
    let gate = Arc::new(Semaphore::new(gate));
    let begun = Instant::now();
    let cpu_before = cpu_ms();
    let mut placing = Vec::new();
    for _ in 0..calls {
        let (config, gate) = (config.clone(), Arc::clone(&gate));
        placing.push(tokio::spawn(async move {
            let _turn = gate.acquire_owned().await?;
            let (socket, _) = Socket::open(&config).await?;
            let call = place(socket.clone(), &CallConfig::default()).await?;
            Ok::<_, Failure>((socket, call))
        }));
    }
    let mut up = Vec::new();
    let mut failures = Vec::new();
    for call in placing {
        match call.await? {
            Ok(call) => up.push(call),
            Err(failure) => failures.push(failure.to_string()),
        }
    }
    let (connect_wall, connect_cpu) = (begun.elapsed(), cpu_ms() - cpu_before);
    let mut elapsed: Vec<u64> = up.iter().map(|(_, call)| call.outcome().elapsed_us / 1000).collect();
    elapsed.sort_unstable();
    let talking_from = (Instant::now(), cpu_ms());
    tokio::time::sleep(hold).await;
    let talking_cpu = cpu_ms() - talking_from.1;
    let talking_wall = talking_from.0.elapsed();
    let rss = rss_kib();
    let hanging_up = Instant::now();
    let mut ending = Vec::new();
    for (socket, call) in up {
        ending.push(tokio::spawn(async move {
            let report = call.hang_up(Duration::from_secs(10)).await;
            socket.close(1000, "", Duration::from_secs(1)).await;
            report
        }));
    }
    let (mut sent, mut received, mut lost, mut drops, mut agreeing) = (0, 0, 0, 0, 0);
    let mut missing = 0;
    for report in ending {
        let report = report.await?;
        sent += report.media.packets_sent;
        received += report.media.packets_received;
        lost += report.lost_incoming.unwrap_or(0) + report.lost_outgoing.unwrap_or(0);
        drops += report.media.socket_drops + report.peer_media.map_or(0, |media| media.socket_drops);
        agreeing += u64::from(report.agrees);
        missing += u64::from(report.peer_media_missing.is_some());
    }
    let at = |part: usize| elapsed.get(elapsed.len().saturating_sub(1) * part / 100).copied();
    println!(
        "{}",
        serde_json::json!({
            "calls": calls, "up": elapsed.len(), "failures": failures, "agreeing": agreeing, "accountsMissing": missing,
            "connectWallMs": connect_wall.as_millis() as u64, "connectCpuMsPerCall": connect_cpu / calls as f64,
            "elapsedP50Ms": at(50), "elapsedP95Ms": at(95), "elapsedMaxMs": at(100),
            "talkingCpuPercentPerCall": talking_cpu / talking_wall.as_millis() as f64 / calls as f64 * 100.0,
            "rssKiB": rss, "packetsSent": sent, "packetsReceived": received, "packetsLost": lost, "socketDrops": drops,
            "hangUpWallMs": hanging_up.elapsed().as_millis() as u64,
        })
    );
    Ok(())
}

/// CPU time of this process, ms.
fn cpu_ms() -> f64 {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF);
    usage.map_or(0.0, |usage| {
        let ms = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 * 1000.0 + time.tv_usec() as f64 / 1000.0;
        ms(usage.user_time()) + ms(usage.system_time())
    })
}

/// Resident memory of this process, KiB.
fn rss_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
}

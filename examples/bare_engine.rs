//! Measures the `webrtc` engine without anything of ours: the yardstick for `softphone_cost`.
//!
//! `bare_engine --sessions 200 [--talk-seconds 10]`
//!
//! The same work as `softphone_cost`, by the engine's own example code: its default runtime and interceptors, mDNS off,
//! one host candidate, whole descriptions instead of trickle ICE, no WebSocket, no observer. The answerers are a second
//! process of this program, fed through its standard input. All offers start at once; then the sessions idle; then both
//! sides send 160 bytes 50 times a second. One JSON object with the names of `softphone_cost` is printed.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use rtc::media_stream::MediaStreamTrack;
use rtc::rtp;
use rtc::rtp_transceiver::rtp_sender::{RTCRtpCodec, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder,
    RTCIceGatheringState, RTCPeerConnectionState, RTCSessionDescription, Registry, SettingEngineBuilder,
    register_default_interceptors,
};

const CONNECT_DEADLINE: Duration = Duration::from_secs(60);
const PAYLOAD_BYTES: usize = 160;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, usize::from).min(4))
        .enable_all()
        .build()
        .expect("the operating system gives a runtime its epoll");
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.first().map(String::as_str) {
        Some("--answer") => runtime.block_on(answer()),
        _ => runtime.block_on(measure(&words)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("bare_engine: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// One PeerConnection with one Opus track, and what its callbacks said.
struct Peer {
    connection: Box<dyn PeerConnection>,
    track: Arc<TrackLocalStaticRTP>,
    ssrc: u32,
    heard: Arc<Heard>,
}

#[derive(Default)]
struct Heard {
    gathered: AtomicBool,
    connected: AtomicBool,
    changed: Notify,
}

struct Handler(Arc<Heard>);

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.0.gathered.store(true, Ordering::Release);
            self.0.changed.notify_waiters();
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        if state == RTCPeerConnectionState::Connected {
            self.0.connected.store(true, Ordering::Release);
            self.0.changed.notify_waiters();
        }
    }
}

impl Heard {
    async fn wait(&self, flag: &AtomicBool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if flag.load(Ordering::Acquire) {
                return;
            }
            changed.await;
        }
    }
}

impl Peer {
    async fn new() -> Result<Self, Failure> {
        let mut media = MediaEngine::default();
        media.register_default_codecs()?;
        let registry = register_default_interceptors(Registry::new(), &mut media)?;
        let settings =
            SettingEngineBuilder::new().with_multicast_dns_mode(rtc::ice::mdns::MulticastDnsMode::Disabled).build();
        let heard = Arc::<Heard>::default();
        let runtime = webrtc::runtime::default_runtime().ok_or("the engine has no default runtime")?;
        let connection = PeerConnectionBuilder::new()
            .with_configuration(RTCConfigurationBuilder::default().build())
            .with_media_engine(media)
            .with_interceptor_registry(registry)
            .with_setting_engine(settings)
            .with_runtime(runtime)
            .with_handler(Arc::new(Handler(Arc::clone(&heard))))
            .with_udp_addrs(vec!["127.0.0.1:0"])
            .build()
            .await?;
        let ssrc = rand::random_range(1..=u32::MAX);
        let codec = RTCRtpCodec {
            mime_type: "audio/opus".to_owned(),
            clock_rate: 48_000,
            channels: 2,
            sdp_fmtp_line: "minptime=10;useinbandfec=1".to_owned(),
            rtcp_feedback: vec![],
        };
        let encoding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(ssrc), ..RTCRtpCodingParameters::default() },
            codec,
            ..RTCRtpEncodingParameters::default()
        };
        let track = Arc::new(TrackLocalStaticRTP::new(MediaStreamTrack::new(
            "bare".to_owned(),
            "audio".to_owned(),
            "audio".to_owned(),
            RtpCodecKind::Audio,
            vec![encoding],
        )));
        connection.add_track(Arc::clone(&track) as Arc<dyn TrackLocal>).await?;
        Ok(Self { connection: Box::new(connection), track, ssrc, heard })
    }

    async fn described(&self, description: RTCSessionDescription) -> Result<String, Failure> {
        self.connection.set_local_description(description).await?;
        self.heard.wait(&self.heard.gathered).await;
        Ok(self.connection.local_description().await.ok_or("no local description")?.sdp)
    }

    /// Sends 50 packets a second until `talking` says stop; missed ticks are skipped.
    async fn talk(self: Arc<Self>, mut talking: watch::Receiver<bool>) {
        if talking.wait_for(|talk| *talk).await.is_err() {
            return;
        }
        // Softphones do not speak in step; together they would need a tenth of the wake-ups.
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..20))).await;
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let payload = bytes::Bytes::from(vec![0x5a; PAYLOAD_BYTES]);
        let mut sequence_number = 0_u16;
        while *talking.borrow() {
            tick.tick().await;
            sequence_number = sequence_number.wrapping_add(1);
            let header = rtp::Header {
                version: 2,
                payload_type: 111,
                sequence_number,
                timestamp: u32::from(sequence_number).wrapping_mul(960),
                ssrc: self.ssrc,
                ..rtp::Header::default()
            };
            // A full queue drops the packet, as the measured program does.
            let _ = self.track.write_rtp(rtp::Packet { header, payload: payload.clone() }).await;
        }
    }
}

/// The second process: answers each offer of its standard input, and talks from the line `talk` on, until its input ends.
async fn answer() -> Result<(), Failure> {
    let mut lines = lines_of(std::io::stdin());
    let answers = written_to(std::io::stdout());
    let (talk, talking) = watch::channel(false);
    let mut peers = JoinSet::new();
    while let Some(line) = lines.recv().await {
        if line == "talk" {
            talk.send_replace(true);
            continue;
        }
        let offer: Value = serde_json::from_str(&line)?;
        let (answers, talking) = (answers.clone(), talking.clone());
        peers.spawn(async move {
            let peer = Arc::new(Peer::new().await?);
            let sdp = offer["offer"].as_str().ok_or("no offer")?.to_owned();
            peer.connection.set_remote_description(RTCSessionDescription::offer(sdp)?).await?;
            let answer = peer.described(peer.connection.create_answer(None).await?).await?;
            answers.send(format!("{}\n", json!({ "id": offer["id"], "answer": answer })))?;
            peer.heard.wait(&peer.heard.connected).await;
            Arc::clone(&peer).talk(talking).await;
            Ok::<_, Failure>(peer)
        });
    }
    talk.send_replace(false);
    peers.shutdown().await;
    Ok(())
}

/// The lines of `input`, read by a thread of its own that ends with it.
fn lines_of(input: impl std::io::Read + Send + 'static) -> mpsc::UnboundedReceiver<String> {
    let (line, lines) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for read in BufReader::new(input).lines() {
            let Ok(read) = read else { return };
            if line.send(read).is_err() {
                return;
            }
        }
    });
    lines
}

/// Writes what it is sent to `output`, by a thread of its own; closes it when the last sender is gone.
fn written_to(mut output: impl std::io::Write + Send + 'static) -> mpsc::UnboundedSender<String> {
    let (line, mut lines) = mpsc::unbounded_channel::<String>();
    std::thread::spawn(move || {
        while let Some(line) = lines.blocking_recv() {
            if output.write_all(line.as_bytes()).and_then(|()| output.flush()).is_err() {
                return;
            }
        }
    });
    line
}

/// Ends the answering process however this one ends.
struct Answerer(Child);

impl Drop for Answerer {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn measure(words: &[String]) -> Result<(), Failure> {
    let (mut sessions, mut talk_seconds) = (200_usize, 10_u64);
    for pair in words.chunks(2) {
        match pair {
            [name, value] if name == "--sessions" => sessions = value.parse()?,
            [name, value] if name == "--talk-seconds" => talk_seconds = value.parse()?,
            _ => return Err(format!("{pair:?} is not an option with its value").into()),
        }
    }
    let child =
        Command::new(std::env::current_exe()?).arg("--answer").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut answerer = Answerer(child);
    let to_answerer = written_to(answerer.0.stdin.take().ok_or("no standard input")?);
    let mut answers = lines_of(answerer.0.stdout.take().ok_or("no standard output")?);
    let before = Usage::now()?;

    let started = Instant::now();
    let mut placing = JoinSet::new();
    let mut waiting = Vec::with_capacity(sessions);
    for id in 0..sessions {
        let (answer, answered) = oneshot::channel::<String>();
        waiting.push(Some(answer));
        let to_answerer = to_answerer.clone();
        placing.spawn(async move {
            let peer = Peer::new().await?;
            let offer = peer.described(peer.connection.create_offer(None).await?).await?;
            to_answerer.send(format!("{}\n", json!({ "id": id, "offer": offer })))?;
            let answer = answered.await?;
            peer.connection.set_remote_description(RTCSessionDescription::answer(answer)?).await?;
            tokio::time::timeout(CONNECT_DEADLINE, peer.heard.wait(&peer.heard.connected)).await?;
            Ok::<_, Failure>(Arc::new(peer))
        });
    }
    let reader = tokio::spawn(async move {
        while let Some(line) = answers.recv().await {
            let Ok(message) = serde_json::from_str::<Value>(&line) else { continue };
            let id = message["id"].as_u64().and_then(|id| usize::try_from(id).ok());
            let slot = id.and_then(|id| waiting.get_mut(id)).and_then(Option::take);
            if let (Some(slot), Some(answer)) = (slot, message["answer"].as_str()) {
                // The session may have given up; its own deadline says so.
                let _ = slot.send(answer.to_owned());
            }
        }
    });
    let mut peers = Vec::with_capacity(sessions);
    while let Some(placed) = placing.join_next().await {
        peers.push(placed??);
    }
    let connect_wall = started.elapsed();
    let connected = Usage::now()?;

    tokio::time::sleep(Duration::from_secs(2)).await;
    let idle_start = Usage::now()?;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let idle = Usage::now()?;

    let (talk, talking) = watch::channel(true);
    to_answerer.send("talk\n".to_owned())?;
    let talkers: Vec<_> = peers.iter().map(|peer| tokio::spawn(Arc::clone(peer).talk(talking.clone()))).collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let talk_start = Usage::now()?;
    let talk_from = Instant::now();
    tokio::time::sleep(Duration::from_secs(talk_seconds)).await;
    let talk_wall = talk_from.elapsed().as_secs_f64();
    let talked = Usage::now()?;

    talk.send_replace(false);
    for talker in talkers {
        talker.await?;
    }
    let count = sessions as f64;
    println!(
        "{}",
        json!({
            "sessions": sessions,
            "talkSeconds": talk_wall,
            "connectsPerSecond": count / connect_wall.as_secs_f64(),
            "cpuMsPerConnect": (connected.cpu_ms - before.cpu_ms) / count,
            "kibPerIdleSession": (idle.resident_kib - before.resident_kib) / count,
            "idleCpuMsPerSecond": (idle.cpu_ms - idle_start.cpu_ms) / 4.0 / count,
            "kibPerTalkingSession": (talked.resident_kib - before.resident_kib) / count,
            "cpuMsPerTalkingSecond": (talked.cpu_ms - talk_start.cpu_ms) / talk_wall / count,
        })
    );
    for peer in &peers {
        peer.connection.close().await?;
    }
    drop(answerer);
    reader.await?;
    Ok(())
}

/// CPU and resident memory of this process at one moment.
struct Usage {
    cpu_ms: f64,
    resident_kib: f64,
}

impl Usage {
    fn now() -> Result<Self, Failure> {
        let usage = getrusage(UsageWho::RUSAGE_SELF)?;
        let milliseconds =
            |time: nix::sys::time::TimeVal| time.tv_sec() as f64 * 1_000.0 + time.tv_usec() as f64 / 1_000.0;
        let statm = std::fs::read_to_string("/proc/self/statm")?;
        let pages: f64 = statm.split_whitespace().nth(1).ok_or("no resident column")?.parse()?;
        Ok(Self {
            cpu_ms: milliseconds(usage.user_time()) + milliseconds(usage.system_time()),
            resident_kib: pages * 4.0,
        })
    }
}

//! One session from offer to close.
use std::io;
use std::net::{IpAddr, UdpSocket};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use parking_lot::Mutex;
use rtc::media_stream::MediaStreamTrack;
use rtc::rtcp::goodbye::Goodbye;
use rtc::rtp;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
};
use tokio::runtime::Handle as TokioHandle;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, RTCConfigurationBuilder, RTCIceCandidateInit, RTCIceServer,
    RTCIceTransportPolicy, RTCSessionDescription, Registry, SettingEngine, SettingEngineBuilder, StatsSelector,
    configure_rtcp_reports,
};

use super::audio_line::AudioLine;
use super::config::{IceTransportPolicy, SessionConfig};
use super::earpiece::{self, Earpiece, Heard};
use super::negotiation::{Negotiated, negotiated};
use super::progress::{Handler, Progress};
use super::{ConnectionState, IceCandidateInit, MediaCounters, PeerError, PendingPhase, SessionPhases, stats};
use crate::diagnosis::facts::{Candidate, SessionFacts};
use crate::media::AudioCodec;
use crate::media::talker::{PacketSink, Talker};
use crate::net::runtime::SessionRuntime;
use crate::net::turn::Relay;
use crate::net::wire::{Wire, WireFacts};

/// How long an RTCP BYE may take to reach the wire before the socket closes over it.
const BYE_TIMEOUT: Duration = Duration::from_millis(50);

/// One PeerConnection with one audio line. Cloning shares it.
///
/// Ends by [`Session::close`]; dropping the last clone does the same in the background.
#[derive(Clone)]
pub struct Session {
    inner: Arc<Inner>,
}

struct Inner {
    config: SessionConfig,
    progress: Arc<Progress>,
    connection: Arc<dyn PeerConnection>,
    track: Arc<TrackLocalStaticRTP>,
    ssrc: u32,
    talker: Arc<Talker>,
    heard: Arc<Mutex<Heard>>,
    runtime: Arc<SessionRuntime>,
    /// Where background work goes when a caller's thread is no runtime's.
    tokio: TokioHandle,
    /// Remote candidates that came before the description they belong to.
    early_candidates: Mutex<Vec<IceCandidateInit>>,
    closing: AtomicBool,
}

impl Session {
    /// Binds its UDP socket and makes the PeerConnection. No packet leaves yet. Must be called on a tokio runtime with
    /// time and I/O.
    ///
    /// # Errors
    /// [`PeerError::Config`], and [`PeerError::UdpSocket`] when there is no socket to be had.
    pub async fn new(config: SessionConfig) -> Result<Self, PeerError> {
        config.check()?;
        let wire = Arc::new(Wire::new(Instant::now()));
        let progress = Arc::new(Progress::new(Arc::clone(&wire)));
        let address = config.local_address();
        wire.configured(config.urls());
        let gather_timeout = Duration::from_millis(config.gather_timeout_ms);
        let turn_servers = config.turn_servers()?;
        let relay = (!turn_servers.is_empty())
            .then(|| Arc::new(Relay::new(Arc::clone(&wire), turn_servers, address, gather_timeout)));
        let runtime = SessionRuntime::new(wire, gather_timeout).with_ice_servers(relay, config.stun_servers());
        let runtime = Arc::new(runtime);
        let ssrc = rand::random_range(1..=u32::MAX);
        let track = Arc::new(TrackLocalStaticRTP::new(audio_track(ssrc, config.codecs[0])));
        let talker = Arc::new(Talker::new(ssrc, Box::new(TrackSink(Arc::clone(&track)))));
        let handler = Arc::new(Handler {
            progress: Arc::clone(&progress),
            talker: Arc::clone(&talker),
            runtime: Arc::clone(&runtime),
            send_audio: config.send_audio,
            connection: OnceLock::new(),
        });
        let heard = Arc::default();
        let ear = Earpiece::new(ssrc, Arc::clone(&talker), Arc::clone(&heard));
        let built = PeerConnectionBuilder::new()
            .with_configuration(engine_configuration(&config, address))
            .with_media_engine(media_engine(&config.codecs)?)
            .with_interceptor_registry(configure_rtcp_reports(Registry::new()).with(earpiece::SLOT, ear))
            .with_setting_engine(setting_engine(&config))
            .with_runtime(Arc::clone(&runtime) as Arc<dyn webrtc::runtime::Runtime>)
            .with_handler(Arc::clone(&handler) as Arc<_>)
            .with_udp_addrs(vec![(address, 0)])
            .build()
            .await;
        let connection: Arc<dyn PeerConnection> = match built {
            Ok(connection) => Arc::new(connection),
            Err(error) => return Err(socket_error(address, &error)),
        };
        if handler.connection.set(Arc::downgrade(&connection)).is_err() {
            return Err(PeerError::Closed);
        }
        let inner = Arc::new(Inner {
            config,
            progress,
            connection,
            track: Arc::clone(&track),
            ssrc,
            talker,
            heard,
            runtime,
            tokio: TokioHandle::current(),
            early_candidates: Mutex::default(),
            closing: AtomicBool::new(false),
        });
        // From here on dropping `session` closes what was made.
        let session = Self { inner };
        session.inner.connection.add_track(track).await.map_err(|error| sdp("addTrack", error))?;
        for transceiver in session.inner.connection.get_transceivers().await {
            // A track narrows the line to its own codec; ours can do them all.
            let codecs = session.inner.config.codecs.iter().map(|codec| codec_parameters(*codec)).collect();
            transceiver.set_codec_preferences(codecs).await.map_err(|error| sdp("setCodecPreferences", error))?;
        }
        Ok(session)
    }

    /// Local offer, set as local description; waits for gathering unless `trickle`.
    ///
    /// # Errors
    /// [`PeerError::Sdp`] when the engine refuses, [`PeerError::Closed`].
    pub async fn create_offer(&self) -> Result<String, PeerError> {
        self.open()?;
        let offer = self.inner.connection.create_offer(None).await.map_err(|error| sdp("createOffer", error))?;
        self.set_local(offer).await
    }

    /// Applies a remote offer, returns our answer (set as local description; waits for gathering unless `trickle`).
    ///
    /// # Errors
    /// [`PeerError::Sdp`] when the offer is not usable or has no codec of ours, [`PeerError::Closed`].
    pub async fn create_answer(&self, offer: &str) -> Result<String, PeerError> {
        self.open()?;
        const OPERATION: &str = "setRemoteDescription(offer)";
        let offer = RTCSessionDescription::offer(offer.to_owned()).map_err(|error| sdp(OPERATION, error))?;
        let agreed = self.apply_remote(OPERATION, offer).await?;
        let answer = self.inner.connection.create_answer(None).await.map_err(|error| sdp("createAnswer", error))?;
        self.agree(agreed);
        self.set_local(answer).await
    }

    /// Applies the remote answer.
    ///
    /// # Errors
    /// [`PeerError::Sdp`] when the answer is not usable or has no codec of ours, [`PeerError::Closed`].
    pub async fn set_remote_answer(&self, answer: &str) -> Result<(), PeerError> {
        self.open()?;
        const OPERATION: &str = "setRemoteDescription(answer)";
        let answer = RTCSessionDescription::answer(answer.to_owned()).map_err(|error| sdp(OPERATION, error))?;
        let agreed = self.apply_remote(OPERATION, answer).await?;
        self.agree(agreed);
        Ok(())
    }

    /// Applies a remote candidate; before the remote description it is kept and applied after. An empty one (end of
    /// candidates) changes nothing.
    ///
    /// # Errors
    /// [`PeerError::Sdp`] when the candidate is not usable, [`PeerError::Closed`].
    pub async fn add_ice_candidate(&self, candidate: IceCandidateInit) -> Result<(), PeerError> {
        self.open()?;
        if candidate.candidate.is_empty() {
            return Ok(());
        }
        {
            let mut early = self.inner.early_candidates.lock();
            if !self.inner.progress.state().described {
                early.push(candidate);
                return Ok(());
            }
        }
        self.apply_candidate(candidate).await
    }

    /// Next local candidate to trickle; `None` when gathering has ended and all were taken. Cancel safe, bounded by
    /// `gatherTimeoutMs` after the local description.
    pub async fn next_local_candidate(&self) -> Option<IceCandidateInit> {
        let next = self.inner.progress.wait(|state| match state.candidates.pop_front() {
            Some(candidate) => Some(Some(candidate)),
            None => (state.gathered || state.connection == ConnectionState::Closed).then_some(None),
        });
        let deadline = self.gather_deadline();
        tokio::select! {
            next = next => next,
            () = deadline => None,
        }
    }

    /// Resolves when `connected` (ICE + DTLS), or fails when failed/closed, or as soon as gathering has ended without a single
    /// candidate while no ICE server is being tried any more. Cancel safe; no deadline of its own.
    ///
    /// # Errors
    /// [`PeerError::Failed`] with the phase that was not reached and the wire's facts, [`PeerError::Closed`].
    pub async fn connected(&self) -> Result<(), PeerError> {
        self.inner.progress.wait(|state| self.inner.progress.outcome(state)).await
    }

    /// Resolves at the first RTP packet in. Cancel safe; no deadline of its own.
    ///
    /// # Errors
    /// As [`Self::connected`].
    pub async fn first_rtp(&self) -> Result<(), PeerError> {
        let progress = &self.inner.progress;
        progress
            .wait(|state| {
                if progress.wire.glance(|facts| facts.first_rtp_received_us.is_some()) {
                    return Some(Ok(()));
                }
                progress.outcome(state).filter(Result::is_err)
            })
            .await
    }

    /// State now.
    pub fn connection_state(&self) -> ConnectionState {
        self.inner.progress.connection_state()
    }

    /// All state changes so far: (µs since start, which machine, new state) e.g. (1200, "iceConnectionState", "checking").
    pub fn timeline(&self) -> Vec<(u64, &'static str, String)> {
        self.inner.progress.state().timeline.clone()
    }

    /// Phases so far.
    pub fn phases(&self) -> SessionPhases {
        let (first_rtp_us, first_rtp_sent_us) =
            self.inner.progress.wire.glance(|facts| (facts.first_rtp_received_us, facts.first_rtp_sent_us));
        SessionPhases { first_rtp_us, first_rtp_sent_us, ..self.inner.progress.state().phases }
    }

    /// The first phase not reached so far, with the wire's facts; `None` once audio has come in. For the word after a
    /// deadline.
    pub fn pending_phase(&self) -> Option<PendingPhase> {
        self.inner.progress.pending_phase()
    }

    /// Everything seen on the wire so far.
    pub fn wire(&self) -> WireFacts {
        let socket = self.inner.runtime.socket();
        if let Some(socket) = &socket {
            socket.take_queued_errors();
        }
        let mut facts = self.inner.progress.wire.facts();
        if let (Some(socket), None) = (socket, self.inner.progress.wire.drops_at_end()) {
            facts.socket_drops = socket.receive_drops();
        }
        facts
    }

    /// Everything that a diagnosis may ask of the session itself: what was configured, both sides' candidates, how far it
    /// came, the wire. Signaling, generator and other sessions are for others to add.
    pub fn facts(&self) -> SessionFacts {
        let wire = self.wire();
        let config = &self.inner.config;
        let state = self.inner.progress.state();
        let read = |candidates: &[String]| candidates.iter().filter_map(|text| Candidate::parse(text)).collect();
        SessionFacts {
            now_us: self.inner.progress.now_us(),
            configured: config.configured(),
            local_candidates: read(&state.local_candidates),
            remote_candidates: read(&state.remote_candidates),
            remote_candidates_ended: state.remote_candidates_ended,
            gathered_us: state.phases.gathered_us,
            described_us: state.described_us,
            ice_connected_us: state.phases.ice_connected_us,
            dtls_connected_us: state.phases.dtls_connected_us,
            wire,
            ..SessionFacts::default()
        }
    }

    /// Counters now.
    pub fn counters(&self) -> MediaCounters {
        let facts = self.inner.progress.wire.facts();
        let drops = match self.inner.progress.wire.drops_at_end() {
            Some(drops) => drops,
            None => self.inner.runtime.socket().map_or(0, |socket| socket.receive_drops()),
        };
        MediaCounters {
            packets_sent: facts.rtp_sent,
            bytes_sent: facts.rtp_bytes_sent,
            packets_received: facts.rtp_received,
            bytes_received: facts.rtp_bytes_received,
            packets_lost: facts.rtp_lost,
            socket_drops: drops,
            packets_skipped: self.inner.talker.skipped(),
            jitter: facts.jitter,
            rtcp_sent: facts.rtcp_sent,
            rtcp_received: facts.rtcp_received,
        }
    }

    /// RTP packets handed to the engine so far; `packetsSent` follows. Final after [`Self::stop_audio`].
    pub(crate) fn packets_handed(&self) -> u64 {
        self.inner.talker.handed()
    }

    /// The negotiated codec and its payload type; `None` before the negotiation.
    pub fn codec(&self) -> Option<(AudioCodec, u8)> {
        self.inner.talker.format()
    }

    /// Starts to send audio at 50 packets/s (automatic at connect when `sendAudio`).
    pub fn start_audio(&self) {
        if !self.inner.closing.load(Ordering::Acquire) {
            let _context = self.inner.tokio.enter();
            self.inner.talker.play();
        }
    }

    /// Stops sending after the current packet; receiving goes on.
    pub fn stop_audio(&self) {
        self.inner.talker.silence();
    }

    /// Echo mode: send back received payloads instead of the source (used by the lab).
    pub fn echo_audio(&self) {
        self.inner.talker.echo();
    }

    /// getStats as W3C RTCStats objects.
    pub async fn stats(&self) -> serde_json::Value {
        let report = self.inner.connection.get_stats(Instant::now(), StatsSelector::None).await;
        let heard = *self.inner.heard.lock();
        let clock_rate = self.codec().map_or(0, |(codec, _)| codec.clock_rate());
        stats::to_json(&report, &self.wire(), &heard, clock_rate)
    }

    /// Selected pair `(local, remote)` as "type ip:port protocol".
    pub fn selected_pair(&self) -> Option<(String, String)> {
        self.inner.progress.state().selected_pair.clone()
    }

    /// When it was created.
    pub fn started(&self) -> Instant {
        self.inner.progress.wire.started()
    }

    /// Closes everything (RTCP BYE first), bounded by `deadline`; what is not done by then goes on in the background.
    /// Idempotent. Counters and timeline stay readable.
    pub async fn close(&self, deadline: Duration) {
        self.inner.begin_close();
        let closed = self.inner.progress.wait(|state| state.closed.then_some(()));
        // Past the deadline the task of `begin_close` finishes alone.
        let _ = tokio::time::timeout(deadline, closed).await;
    }

    fn open(&self) -> Result<(), PeerError> {
        if self.inner.closing.load(Ordering::Acquire) {
            return Err(PeerError::Closed);
        }
        Ok(())
    }

    async fn set_local(&self, description: RTCSessionDescription) -> Result<String, PeerError> {
        let plain = description.sdp.clone();
        if let Some(ufrag) = attribute(&plain, "ice-ufrag") {
            self.inner.progress.wire.described_locally(ufrag);
        }
        let deadline = Instant::now() + Duration::from_millis(self.inner.config.gather_timeout_ms);
        self.inner.progress.update(|state| {
            state.gather_deadline.get_or_insert(deadline);
        });
        let connection = &self.inner.connection;
        connection.set_local_description(description).await.map_err(|error| sdp("setLocalDescription", error))?;
        if self.inner.config.trickle {
            return Ok(plain);
        }
        let gathered = self
            .inner
            .progress
            .wait(|state| (state.gathered || state.connection == ConnectionState::Closed).then_some(()));
        tokio::select! {
            () = gathered => {}
            () = self.gather_deadline() => {}
        }
        let complete = connection.local_description().await;
        let complete = complete.map_or(plain, |description| description.sdp);
        Ok(self.inner.progress.state().audio_line.with_candidates(&complete))
    }

    /// Resolves when gathering has taken as long as it may; what was found by then counts as everything.
    async fn gather_deadline(&self) {
        let deadline = self.inner.progress.wait(|state| state.gather_deadline).await;
        tokio::time::sleep_until(deadline.into()).await;
        if !self.inner.progress.state().gathered {
            // The engine never completes on a server that stays silent, so its word is not waited for.
            self.inner.progress.record("iceGatheringState", "deadline", |state, at_us| {
                state.gathered = true;
                state.phases.gathered_us.get_or_insert(at_us);
            });
        }
    }

    async fn apply_remote(
        &self,
        operation: &'static str,
        description: RTCSessionDescription,
    ) -> Result<Negotiated, PeerError> {
        let parsed = description.unmarshal().map_err(|error| sdp(operation, error))?;
        let agreed =
            negotiated(&parsed, &self.inner.config.codecs).map_err(|detail| PeerError::Sdp { operation, detail })?;
        let audio_line = AudioLine::of(&parsed);
        let fingerprints = description.sdp.lines().filter_map(|line| line.trim_end().strip_prefix("a=fingerprint:"));
        let sha256 = |fingerprint: &str| {
            let (algorithm, value) = fingerprint.split_once(' ')?;
            algorithm.eq_ignore_ascii_case("sha-256").then(|| value.trim().to_owned())
        };
        let fingerprint = fingerprints.into_iter().find_map(sha256);
        let candidates: Vec<String> = parsed
            .media_descriptions
            .iter()
            .flat_map(|media| &media.attributes)
            .filter(|attribute| attribute.key == "candidate")
            .filter_map(|attribute| attribute.value.clone())
            .collect();
        let ufrag = attribute(&description.sdp, "ice-ufrag").map(ToOwned::to_owned);
        self.inner.connection.set_remote_description(description).await.map_err(|error| sdp(operation, error))?;
        if let Some(ufrag) = ufrag {
            self.inner.progress.wire.described_as(&ufrag);
        }
        if let Some(fingerprint) = fingerprint {
            self.inner.progress.wire.described_remotely(&fingerprint);
        }
        let described_us = self.inner.progress.now_us();
        let ended = parsed.media_descriptions.iter().flat_map(|media| &media.attributes);
        let ended = ended.into_iter().any(|attribute| attribute.key == "end-of-candidates");
        let early = {
            let mut early = self.inner.early_candidates.lock();
            self.inner.progress.update(|state| {
                state.described = true;
                state.remote_candidates_ended |= ended;
                state.described_us.get_or_insert(described_us);
                state.audio_line = audio_line.unwrap_or_default();
                state.remote_candidates.extend(candidates);
            });
            std::mem::take(&mut *early)
        };
        for candidate in early {
            // One bad candidate is no reason to refuse the description it came with.
            if let Err(error) = self.apply_candidate(candidate).await {
                log::warn!("a candidate that came before the description was not usable: {error}");
            }
        }
        Ok(agreed)
    }

    async fn apply_candidate(&self, candidate: IceCandidateInit) -> Result<(), PeerError> {
        let init = RTCIceCandidateInit {
            candidate: candidate.candidate.clone(),
            sdp_mid: candidate.sdp_mid,
            sdp_mline_index: candidate.sdp_m_line_index,
            username_fragment: candidate.username_fragment,
            url: None,
        };
        self.inner.connection.add_ice_candidate(init).await.map_err(|error| PeerError::Sdp {
            operation: "addIceCandidate",
            detail: format!("'{}': {error}", candidate.candidate),
        })?;
        self.inner.progress.update(|state| {
            state.remote_candidates_ended |= candidate.candidate.is_empty();
            state.remote_candidates.push(candidate.candidate);
        });
        self.inner.runtime.nudge();
        Ok(())
    }

    /// Makes the outcome of the negotiation known to sender and observer.
    fn agree(&self, agreed: Negotiated) {
        self.inner.talker.negotiated(agreed.codec, agreed.payload_type);
        self.inner.progress.wire.negotiated(agreed.codec.clock_rate());
    }
}

impl Inner {
    /// Starts closing in the background, once.
    fn begin_close(&self) {
        if self.closing.swap(true, Ordering::AcqRel) {
            return;
        }
        self.talker.silence();
        self.progress.update(|state| {
            state.closing = true;
            state.uncount();
        });
        let (progress, runtime) = (Arc::clone(&self.progress), Arc::clone(&self.runtime));
        let (connection, track) = (Arc::clone(&self.connection), Arc::clone(&self.track));
        let ssrc = self.ssrc;
        self.tokio.spawn(async move {
            say_goodbye(&progress, &track, ssrc).await;
            runtime.closing();
            progress.wire.socket_released(runtime.release_socket());
            if let Err(error) = connection.close().await {
                log::warn!("closing a session: {error}");
            }
            runtime.release_relay().await;
            progress.record("connectionState", ConnectionState::Closed.name(), |state, _| {
                state.connection = ConnectionState::Closed;
                state.closed = true;
            });
        });
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.begin_close();
    }
}

/// Sends an RTCP BYE (RFC 3550 §6.6) where there is somebody to hear it, and waits until it has left.
async fn say_goodbye(progress: &Progress, track: &TrackLocalStaticRTP, ssrc: u32) {
    if progress.connection_state() != ConnectionState::Connected {
        return;
    }
    let rtcp_sent = || progress.wire.glance(|facts| facts.rtcp_sent);
    let before = rtcp_sent();
    let goodbye = Goodbye { sources: vec![ssrc], reason: bytes::Bytes::new() };
    let leave = async {
        if track.write_rtcp(vec![Box::new(goodbye)]).await.is_ok() {
            while rtcp_sent() == before {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    };
    // A BYE is a courtesy: closing does not wait longer for it.
    let _ = tokio::time::timeout(BYE_TIMEOUT, leave).await;
}

/// The value of the first `a=name:value` line.
fn attribute<'a>(sdp: &'a str, name: &str) -> Option<&'a str> {
    let of_line = |line: &'a str| line.trim_end().strip_prefix("a=")?.strip_prefix(name)?.strip_prefix(':');
    sdp.lines().find_map(of_line)
}

struct TrackSink(Arc<TrackLocalStaticRTP>);

impl PacketSink for TrackSink {
    fn try_send(&self, packet: rtp::Packet) -> bool {
        // One poll hands the packet to the engine's queue unless that is full; then dropping the future takes it back.
        matches!(self.0.write_rtp(packet).now_or_never(), Some(Ok(())))
    }
}

fn audio_track(ssrc: u32, codec: AudioCodec) -> MediaStreamTrack {
    let encoding = RTCRtpEncodingParameters {
        rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(ssrc), ..RTCRtpCodingParameters::default() },
        codec: engine_codec(codec),
        ..RTCRtpEncodingParameters::default()
    };
    let (stream, track) = ("jmeter-webrtc".to_owned(), format!("audio-{ssrc}"));
    MediaStreamTrack::new(stream, track.clone(), track, RtpCodecKind::Audio, vec![encoding])
}

fn engine_codec(codec: AudioCodec) -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: codec.mime_type().to_owned(),
        clock_rate: codec.clock_rate(),
        channels: codec.channels(),
        sdp_fmtp_line: codec.fmtp().to_owned(),
        rtcp_feedback: vec![],
    }
}

fn codec_parameters(codec: AudioCodec) -> RTCRtpCodecParameters {
    RTCRtpCodecParameters { rtp_codec: engine_codec(codec), payload_type: codec.offered_payload_type() }
}

fn media_engine(codecs: &[AudioCodec]) -> Result<MediaEngine, PeerError> {
    let mut engine = MediaEngine::default();
    for &codec in codecs {
        engine
            .register_codec(codec_parameters(codec), RtpCodecKind::Audio)
            .map_err(|error| sdp("register codec", error))?;
    }
    Ok(engine)
}

fn engine_configuration(config: &SessionConfig, local: IpAddr) -> webrtc::peer_connection::RTCConfiguration {
    let stun = config.stun_urls();
    let mut servers = Vec::new();
    if !stun.is_empty() {
        servers.push(RTCIceServer { urls: stun, ..RTCIceServer::default() });
    }
    if config.has_turn_server() {
        // The engine's server is our relay, which knows the credentials of the real ones.
        servers.push(RTCIceServer {
            urls: vec![Relay::engine_url(local)],
            username: "relay".to_owned(),
            credential: "relay".to_owned(),
        });
    }
    let policy = match config.ice_transport_policy {
        IceTransportPolicy::All => RTCIceTransportPolicy::All,
        IceTransportPolicy::Relay => RTCIceTransportPolicy::Relay,
    };
    RTCConfigurationBuilder::default().with_ice_servers(servers).with_ice_transport_policy(policy).build()
}

fn setting_engine(config: &SessionConfig) -> SettingEngine {
    /// Silence until `disconnected`, and from there until `failed`; consent checks between (the engine's defaults).
    const DISCONNECTED: Duration = Duration::from_secs(5);
    const FAILED: Duration = Duration::from_secs(25);
    const CONSENT: Duration = Duration::from_secs(2);
    let connect = Duration::from_millis(config.connect_timeout_ms);
    let interval = Duration::from_millis(config.ice_check_interval_ms);
    // The engine gives a pair up after so many checks. An answer that is late, or a peer that is slow, must not find us
    // gone before the connect timeout.
    let checks = u16::try_from(connect.as_millis() / interval.as_millis() + 1).unwrap_or(u16::MAX - 1);
    // The engine would hold a working pair back for 0.5 s (server reflexive) or 1 s (a check that overtook its candidate)
    // in the hope of a better one. A browser uses the first that works, and the wait would pass for the network's.
    let builder = SettingEngineBuilder::new()
        .with_srflx_acceptance_min_wait(Some(Duration::ZERO))
        .with_prflx_acceptance_min_wait(Some(Duration::ZERO))
        .with_multicast_dns_mode(rtc::ice::mdns::MulticastDnsMode::Disabled)
        .with_ice_connection_attempts(Some(interval), Some(checks))
        .with_ice_timeouts(Some(DISCONNECTED), Some(FAILED.max(connect.saturating_sub(DISCONNECTED))), Some(CONSENT));
    match config.ice_transport_policy {
        // With relays only there is nothing better to wait for.
        IceTransportPolicy::Relay => builder.with_relay_acceptance_min_wait(Some(Duration::ZERO)),
        IceTransportPolicy::All => builder,
    }
    .build()
}

/// Why the engine has no socket. It keeps the system's word to itself, so the bind is tried again to hear it.
fn socket_error(address: IpAddr, error: &webrtc::error::Error) -> PeerError {
    match UdpSocket::bind((address, 0)).and_then(|socket| socket.set_nonblocking(true)) {
        Err(system) => {
            PeerError::UdpSocket { errno: system.raw_os_error(), detail: format!("bind {address}: {}", words(&system)) }
        }
        Ok(()) => PeerError::UdpSocket { errno: None, detail: format!("{address}: {error}") },
    }
}

fn words(error: &io::Error) -> String {
    let remedy = match error.raw_os_error() {
        Some(libc::EMFILE) => "; raise the limit of open files (ulimit -n)",
        Some(libc::ENFILE) => "; raise fs.file-max",
        Some(libc::EADDRINUSE) => "; no free UDP port: widen net.ipv4.ip_local_port_range or use more source addresses",
        Some(libc::EADDRNOTAVAIL) => "; this machine has no such address: correct sourceAddress",
        _ => "",
    };
    format!("{error}{remedy}")
}

fn sdp(operation: &'static str, error: impl std::fmt::Display) -> PeerError {
    PeerError::Sdp { operation, detail: error.to_string() }
}

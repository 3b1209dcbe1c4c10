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
use rtc::peer_connection::configuration::RTCOfferOptions;
use rtc::rtcp::goodbye::Goodbye;
use rtc::rtp;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
};
use tokio::runtime::Handle as TokioHandle;
use webrtc::data_channel::RTCDataChannelInit;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, RTCConfigurationBuilder, RTCIceCandidateInit, RTCIceServer,
    RTCIceTransportPolicy, RTCSessionDescription, Registry, SettingEngine, SettingEngineBuilder, StatsSelector,
    configure_rtcp_reports,
};

use super::config::{IceTransportPolicy, SessionConfig, check_media};
use super::earpiece::{self, Earpiece, Heard};
use super::negotiation::{self, Lines, Remote};
use super::progress::{Handler, Progress, listen};
use super::{
    ConnectionState, IceCandidateInit, MediaCounters, MediaDirection, MediaLine, PeerError, PendingPhase,
    SessionPhases, stats,
};
use crate::diagnosis::facts::{Candidate, SessionFacts};
use crate::media::talker::{PacketSink, Talker};
use crate::media::telephone_event::Dial;
use crate::media::{AudioCodec, TelephoneEvents};
use crate::net::runtime::SessionRuntime;
use crate::net::turn::Relay;
use crate::net::wire::{Wire, WireFacts};

/// How long an RTCP BYE may take to reach the wire before the socket closes over it.
const BYE_TIMEOUT: Duration = Duration::from_millis(50);

/// One PeerConnection that talks on one audio line. Cloning shares it.
///
/// Further lines of a description, and what becomes of them, are those of `media` in its configuration. Descriptions may be
/// exchanged again at any time, from either side (RFC 3264 §8): codecs and payload types stay, directions and acceptance of
/// lines follow the latest. A remote offer that crosses one of ours rolls ours back (RFC 9429 §4.1.10.2).
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
    negotiation: Mutex<Negotiation>,
    closing: AtomicBool,
    /// Held by who dials.
    dialling: tokio::sync::Mutex<()>,
}

/// How far offers and answers have come.
#[derive(Default)]
struct Negotiation {
    /// Lines that are wanted; empty for the audio line of a softphone.
    wanted: Vec<MediaLine>,
    /// The lines of the latest description, in the order of the wire.
    lines: Lines,
    /// An offer of ours has no answer yet.
    offering: bool,
    /// The next offer restarts ICE.
    restart: bool,
    /// The other side's certificate as its first description announced it.
    fingerprint: Option<String>,
    /// `a=ice-ufrag` of the other side's latest description.
    remote_ufrag: Option<String>,
    /// We are the DTLS server, by the first offer and answer; later ones keep it (RFC 8842 §5.2).
    dtls_server: Option<bool>,
    /// Our own data channel.
    has_channel: bool,
    /// How the other side takes DTMF.
    events: Option<TelephoneEvents>,
}

impl Session {
    /// Binds its UDP socket and makes the PeerConnection. No packet leaves yet. Must be called on a tokio runtime with
    /// time and I/O.
    ///
    /// # Errors
    /// [`PeerError::Config`], and [`PeerError::UdpSocket`] when there is no socket to be had.
    pub async fn new(config: SessionConfig) -> Result<Self, PeerError> {
        config.check()?;
        let codecs = engine_codecs(&config);
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
        let track = Arc::new(TrackLocalStaticRTP::new(audio_track(ssrc, &codecs[0])));
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
        let building = PeerConnectionBuilder::new()
            .with_configuration(engine_configuration(&config, address))
            .with_media_engine(media_engine(&codecs)?)
            .with_interceptor_registry(configure_rtcp_reports(Registry::new()).with(earpiece::SLOT, ear))
            .with_setting_engine(setting_engine(&config))
            .with_runtime(Arc::clone(&runtime) as Arc<dyn webrtc::runtime::Runtime>)
            .with_handler(Arc::clone(&handler) as Arc<_>)
            .with_udp_addrs(vec![(address, 0)])
            .build();
        // Boxed: it is of 20 KiB, which everything that waits for a session would be made of, and be moved with.
        let connection: Arc<dyn PeerConnection> = match Box::pin(building).await {
            Ok(connection) => Arc::new(connection),
            Err(error) => return Err(socket_error(address, &error)),
        };
        if handler.connection.set(Arc::downgrade(&connection)).is_err() {
            return Err(PeerError::Closed);
        }
        let negotiation = Negotiation { wanted: config.media.clone(), ..Negotiation::default() };
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
            negotiation: Mutex::new(negotiation),
            closing: AtomicBool::new(false),
            dialling: tokio::sync::Mutex::default(),
        });
        // From here on dropping `session` closes what was made.
        let session = Self { inner };
        session.inner.connection.add_track(track).await.map_err(|error| sdp("addTrack", error))?;
        for transceiver in session.inner.connection.get_transceivers().await {
            // A track narrows the line to its own codec; ours can do them all.
            transceiver
                .set_codec_preferences(codecs.clone())
                .await
                .map_err(|error| sdp("setCodecPreferences", error))?;
        }
        Ok(session)
    }

    /// Local offer, set as local description; waits for gathering unless `trickle`. Called again it renegotiates: a new
    /// version of the description on the same transport, with every candidate found so far.
    ///
    /// # Errors
    /// [`PeerError::Sdp`] when the engine refuses, [`PeerError::Closed`].
    pub async fn create_offer(&self) -> Result<String, PeerError> {
        self.open()?;
        let (lines, restart, opens_channel) = {
            let mut negotiation = self.inner.negotiation.lock();
            let wanted = match &negotiation.wanted[..] {
                [] => vec![MediaLine::audio(&self.inner.config.codecs)],
                wanted => wanted.to_vec(),
            };
            let lines = match negotiation.lines.lines.is_empty() {
                true => Lines::wanted(&wanted),
                false => negotiation.lines.next(&wanted),
            };
            negotiation.lines = lines.clone();
            negotiation.offering = true;
            let opens_channel = lines.data().is_some() && !std::mem::replace(&mut negotiation.has_channel, true);
            (lines, std::mem::take(&mut negotiation.restart), opens_channel)
        };
        if opens_channel {
            self.open_channel().await?;
        }
        let options = restart.then_some(RTCOfferOptions { ice_restart: true });
        let offer = self.inner.connection.create_offer(options).await.map_err(|error| sdp("createOffer", error))?;
        if restart {
            self.inner.progress.record("iceRestart", "local", |_, _| {});
            // Candidates that come from now on may belong to the answer.
            self.inner.progress.update(|state| state.described = false);
            self.inner.talker.wait(true);
        }
        self.set_local(offer, &lines).await
    }

    /// The next [`Self::create_offer`] restarts ICE: new credentials, new checks on the same socket (W3C `restartIce`). The engine
    /// forgets the old pair at once; packets that are due before the new one is found are skipped and counted as such.
    pub fn restart_ice(&self) {
        self.inner.negotiation.lock().restart = true;
    }

    /// Changes the media lines that the next offer has, or the next answer accepts, as `media` of the configuration. Lines
    /// that were negotiated keep their places, mids and payload types.
    ///
    /// # Errors
    /// [`PeerError::Config`] that names the first member that is not usable.
    pub fn set_media(&self, lines: Vec<MediaLine>) -> Result<(), PeerError> {
        check_media(&lines)?;
        self.inner.negotiation.lock().wanted = lines;
        Ok(())
    }

    /// Changes the direction that the next offer gives the first audio line, or the next answer accepts, seen from us: hold is
    /// `sendonly` (RFC 3264 §8.4).
    ///
    /// # Errors
    /// As [`Self::set_media`].
    pub fn set_direction(&self, direction: MediaDirection) -> Result<(), PeerError> {
        let mut lines = self.inner.negotiation.lock().wanted.clone();
        if lines.is_empty() {
            if direction == MediaDirection::Sendrecv {
                return Ok(());
            }
            lines.push(MediaLine::audio(&self.inner.config.codecs));
        }
        if let Some(audio) = lines.iter_mut().find(|line| line.media == "audio" && !line.rejected) {
            audio.direction = direction;
        }
        self.set_media(lines)
    }

    /// Direction of the audio line as negotiated (W3C `currentDirection`), seen from us; `None` before the negotiation and
    /// without audio line.
    pub fn current_direction(&self) -> Option<MediaDirection> {
        self.inner.progress.state().direction
    }

    /// Applies a remote offer, returns our answer (set as local description; waits for gathering unless `trickle`). Called
    /// again it renegotiates; new ICE credentials in the offer restart ICE.
    ///
    /// # Errors
    /// [`PeerError::Sdp`] when the offer is not usable or has no codec of ours, [`PeerError::Closed`].
    pub async fn create_answer(&self, offer: &str) -> Result<String, PeerError> {
        self.open()?;
        const OPERATION: &str = "setRemoteDescription(offer)";
        let (wanted, crossed) = {
            let negotiation = self.inner.negotiation.lock();
            (negotiation.wanted.clone(), negotiation.offering)
        };
        let remote = negotiation::offered(offer, &wanted, &self.our_codecs())
            .map_err(|detail| PeerError::Sdp { operation: OPERATION, detail })?;
        let description = RTCSessionDescription::offer(remote.engine.clone()).map_err(|error| sdp(OPERATION, error))?;
        self.same_certificate(OPERATION, &remote)?;
        if crossed {
            let rollback = RTCSessionDescription::rollback(None).map_err(|error| sdp(OPERATION, error))?;
            let connection = &self.inner.connection;
            connection.set_local_description(rollback).await.map_err(|error| sdp(OPERATION, error))?;
            self.inner.negotiation.lock().offering = false;
        }
        let (restarts, dtls_server) = {
            let mut negotiation = self.inner.negotiation.lock();
            // The engine answers `active`, always.
            let dtls_server = *negotiation.dtls_server.get_or_insert(false);
            let before = std::mem::replace(&mut negotiation.remote_ufrag, remote.ufrag.clone());
            (before.is_some() && before != remote.ufrag, dtls_server)
        };
        if restarts {
            self.inner.progress.record("iceRestart", "remote", |_, _| {});
            self.inner.talker.wait(true);
        }
        self.apply_remote(OPERATION, description, &remote).await?;
        let answer = self.inner.connection.create_answer(None).await.map_err(|error| sdp("createAnswer", error))?;
        self.agree(&remote);
        let written = self.set_local(answer, &remote.lines).await?;
        Ok(match dtls_server {
            // The association goes on, and the other side would refuse to change roles.
            true => written.replace("a=setup:active\r\n", "a=setup:passive\r\n"),
            false => written,
        })
    }

    /// Applies the remote answer.
    ///
    /// # Errors
    /// [`PeerError::Sdp`] when the answer is not usable or has no codec of ours, [`PeerError::Closed`].
    pub async fn set_remote_answer(&self, answer: &str) -> Result<(), PeerError> {
        self.open()?;
        const OPERATION: &str = "setRemoteDescription(answer)";
        let offered = self.inner.negotiation.lock().lines.clone();
        let remote = negotiation::answered(answer, &offered, &self.our_codecs())
            .map_err(|detail| PeerError::Sdp { operation: OPERATION, detail })?;
        let description =
            RTCSessionDescription::answer(remote.engine.clone()).map_err(|error| sdp(OPERATION, error))?;
        self.same_certificate(OPERATION, &remote)?;
        self.apply_remote(OPERATION, description, &remote).await?;
        {
            let mut negotiation = self.inner.negotiation.lock();
            negotiation.offering = false;
            negotiation.dtls_server.get_or_insert_with(|| remote.engine.contains("a=setup:active\r\n"));
            negotiation.remote_ufrag.clone_from(&remote.ufrag);
        }
        self.agree(&remote);
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

    /// Resolves when it has failed or was closed: [`PeerError::Closed`] by us, [`PeerError::Failed`] otherwise. Cancel safe; no
    /// deadline of its own.
    pub async fn ended(&self) -> PeerError {
        let progress = &self.inner.progress;
        progress.wait(|state| progress.outcome(state).and_then(Result::err)).await
    }

    /// Resolves when we have begun to close it. Cancel safe; no deadline of its own.
    pub async fn closing(&self) {
        self.inner.progress.wait(|state| state.closing.then_some(())).await;
    }

    /// State now.
    pub fn connection_state(&self) -> ConnectionState {
        self.inner.progress.connection_state()
    }

    /// All state changes so far: (µs since start, which machine, new state) e.g. (1200, "iceConnectionState", "checking"); an ICE
    /// restart is "iceRestart", by which side's offer.
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
            direction: state.direction,
            wire,
            ..SessionFacts::default()
        }
    }

    /// Counters now.
    pub fn counters(&self) -> MediaCounters {
        let wire = &self.inner.progress.wire;
        let socket_drops = match wire.drops_at_end() {
            Some(drops) => drops,
            None => self.inner.runtime.socket().map_or(0, |socket| socket.receive_drops()),
        };
        let packets_skipped = self.inner.talker.skipped();
        wire.media(|facts, inbound| MediaCounters {
            packets_sent: facts.rtp_sent,
            bytes_sent: facts.rtp_bytes_sent,
            packets_received: facts.rtp_received - facts.rtp_other_received,
            other_packets_received: facts.rtp_other_received,
            bytes_received: facts.rtp_bytes_received - facts.rtp_other_bytes_received,
            packets_lost: inbound.lost,
            socket_drops,
            packets_skipped,
            jitter: inbound.jitter,
            rtcp_sent: facts.rtcp_sent,
            rtcp_received: facts.rtcp_received,
        })
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

    /// Stops sending after the current packet, and ends a dialling; receiving goes on.
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
        let heard = self.inner.heard.lock().clone();
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

    /// Accounts for what has arrived on the UDP socket and nobody has read, as closing does. Nothing else sees it: for a session
    /// that is about to be closed.
    pub(crate) fn take_in_unread(&self) {
        if let Some(socket) = self.inner.runtime.socket() {
            socket.take_unread();
        }
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

    /// What may be agreed on: the configured codecs, with lines of its own every one.
    fn our_codecs(&self) -> Vec<AudioCodec> {
        match self.inner.negotiation.lock().wanted.is_empty() && self.inner.config.media.is_empty() {
            true => self.inner.config.codecs.clone(),
            false => AudioCodec::ALL.to_vec(),
        }
    }

    /// Opens a data channel that is agreed on beforehand (RFC 8832 §4): the association comes up and nothing is said on it.
    async fn open_channel(&self) -> Result<(), PeerError> {
        /// Far from the numbers that the other side takes for its own channels.
        const STREAM: u16 = 1000;
        let init = RTCDataChannelInit { negotiated: Some(STREAM), ..RTCDataChannelInit::default() };
        let opened = self.inner.connection.create_data_channel("", Some(init)).await;
        let channel = opened.map_err(|error| sdp("createDataChannel", error))?;
        self.inner.tokio.spawn(listen(channel));
        Ok(())
    }

    /// The engine keeps the DTLS association of the first description.
    fn same_certificate(&self, operation: &'static str, remote: &Remote) -> Result<(), PeerError> {
        let mut negotiation = self.inner.negotiation.lock();
        let Some(fingerprint) = &remote.fingerprint else {
            let detail = "the description has no certificate fingerprint (a=fingerprint): it is not WebRTC".to_owned();
            return Err(PeerError::Sdp { operation, detail });
        };
        let first = negotiation.fingerprint.get_or_insert_with(|| fingerprint.clone());
        if !first.eq_ignore_ascii_case(fingerprint) {
            let detail = "the other side has changed its certificate (a=fingerprint), which takes a new session; \
                          it is another peer, or it has restarted"
                .to_owned();
            return Err(PeerError::Sdp { operation, detail });
        }
        Ok(())
    }

    async fn set_local(&self, description: RTCSessionDescription, lines: &Lines) -> Result<String, PeerError> {
        let plain = description.sdp.clone();
        if let Some(ufrag) = attribute(&plain, "ice-ufrag") {
            self.inner.progress.wire.described_locally(ufrag);
        }
        let deadline = Instant::now() + Duration::from_millis(self.inner.config.gather_timeout_ms);
        self.inner.progress.update(|state| {
            state.gather_deadline.get_or_insert(deadline);
            state.transport_line = lines.transport();
        });
        let connection = &self.inner.connection;
        connection.set_local_description(description).await.map_err(|error| sdp("setLocalDescription", error))?;
        if self.inner.config.trickle {
            return Ok(lines.written(&plain));
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
        Ok(lines.written(&complete))
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
        remote: &Remote,
    ) -> Result<(), PeerError> {
        self.inner.connection.set_remote_description(description).await.map_err(|error| sdp(operation, error))?;
        if let Some(ufrag) = &remote.ufrag {
            self.inner.progress.wire.described_as(ufrag);
        }
        let sha256 = remote.fingerprint.as_ref().and_then(|fingerprint| {
            let (algorithm, value) = fingerprint.split_once(' ')?;
            algorithm.eq_ignore_ascii_case("sha-256").then(|| value.trim())
        });
        if let Some(fingerprint) = sha256 {
            self.inner.progress.wire.described_remotely(fingerprint);
        }
        let described_us = self.inner.progress.now_us();
        let early = {
            let mut early = self.inner.early_candidates.lock();
            self.inner.progress.update(|state| {
                state.described = true;
                state.remote_candidates_ended |= remote.candidates_ended;
                state.described_us.get_or_insert(described_us);
                state.transport_line = remote.lines.transport();
                state.remote_candidates.extend(remote.candidates.iter().cloned());
            });
            std::mem::take(&mut *early)
        };
        for candidate in early {
            // One bad candidate is no reason to refuse the description it came with.
            if let Err(error) = self.apply_candidate(candidate).await {
                log::warn!("a candidate that came before the description was not usable: {error}");
            }
        }
        Ok(())
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
    fn agree(&self, remote: &Remote) {
        let direction = remote.audio.map(|audio| audio.direction);
        if let Some(audio) = remote.audio {
            self.inner.talker.negotiated(audio.codec, audio.payload_type);
        }
        self.inner.talker.hold(!direction.is_some_and(MediaDirection::sends));
        let clock_rate = remote.audio.map_or(0, |audio| audio.codec.clock_rate());
        let events = remote.lines.event_payload_types();
        self.inner.progress.wire.negotiated(clock_rate, remote.lines.other_payload_types(), events);
        self.inner.heard.lock().tones.payload_types = events;
        self.inner.progress.update(|state| state.direction = direction);
        let mut negotiation = self.inner.negotiation.lock();
        negotiation.lines = remote.lines.clone();
        negotiation.events = remote.audio.and_then(|audio| audio.events);
    }

    pub(super) fn telephone_events(&self) -> Option<TelephoneEvents> {
        self.inner.negotiation.lock().events
    }

    pub(super) fn talker(&self) -> &Talker {
        &self.inner.talker
    }

    pub(super) fn dialling(&self) -> &tokio::sync::Mutex<()> {
        &self.inner.dialling
    }

    /// Starts to dial in the clock of the negotiated codec; without one, or once it closes, the dial is dropped.
    pub(super) fn start_dial(&self, dial: impl FnOnce(AudioCodec) -> Dial) {
        if let (Some((codec, _)), false) = (self.codec(), self.inner.closing.load(Ordering::Acquire)) {
            let _context = self.inner.tokio.enter();
            self.inner.talker.dial(dial(codec));
        }
    }

    pub(super) fn tones_heard(&self) -> String {
        self.inner.heard.lock().tones.digits().to_owned()
    }

    /// Puts into the timeline by which way DTMF goes; not what, which may be a secret.
    pub(crate) fn note_dtmf(&self, way: &'static str) {
        self.inner.progress.record("dtmf", way, |_, _| {});
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

fn audio_track(ssrc: u32, codec: &RTCRtpCodecParameters) -> MediaStreamTrack {
    let encoding = RTCRtpEncodingParameters {
        rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(ssrc), ..RTCRtpCodingParameters::default() },
        codec: codec.rtp_codec.clone(),
        ..RTCRtpEncodingParameters::default()
    };
    let (stream, track) = ("jmeter-webrtc".to_owned(), format!("audio-{ssrc}"));
    MediaStreamTrack::new(stream, track.clone(), track, RtpCodecKind::Audio, vec![encoding])
}

/// The codecs the engine is to know, by preference: those of the first audio line with its payload types, and with lines of
/// their own the rest behind them, since an answer may take any; without, the configured ones.
fn engine_codecs(config: &SessionConfig) -> Vec<RTCRtpCodecParameters> {
    let first = config.media.iter().find(|line| line.media == "audio" && !line.rejected);
    let mut named: Vec<(AudioCodec, u8)> = vec![];
    for codec in first.iter().flat_map(|line| &line.codecs) {
        if let Some(audio) = codec.audio().filter(|audio| named.iter().all(|(known, _)| known != audio)) {
            named.push((audio, codec.payload_type));
        }
    }
    let taken = first.iter().flat_map(|line| line.codecs.iter().map(|codec| codec.payload_type)).collect::<Vec<_>>();
    let others = if config.media.is_empty() { &config.codecs[..] } else { &AudioCodec::ALL[..] };
    for &codec in others {
        if named.iter().any(|(known, _)| *known == codec) {
            continue;
        }
        let is_free = |number: &u8| !taken.contains(number) && named.iter().all(|(_, known)| known != number);
        let numbers = std::iter::once(codec.offered_payload_type()).chain(96..=127);
        named.extend(numbers.into_iter().find(is_free).map(|number| (codec, number)));
    }
    named.into_iter().map(|(codec, payload_type)| codec_parameters(codec, payload_type)).collect()
}

fn codec_parameters(codec: AudioCodec, payload_type: u8) -> RTCRtpCodecParameters {
    let rtp_codec = RTCRtpCodec {
        mime_type: codec.mime_type().to_owned(),
        clock_rate: codec.clock_rate(),
        channels: codec.channels(),
        sdp_fmtp_line: codec.fmtp().to_owned(),
        rtcp_feedback: vec![],
    };
    RTCRtpCodecParameters { rtp_codec, payload_type }
}

fn media_engine(codecs: &[RTCRtpCodecParameters]) -> Result<MediaEngine, PeerError> {
    let mut engine = MediaEngine::default();
    for codec in codecs {
        engine.register_codec(codec.clone(), RtpCodecKind::Audio).map_err(|error| sdp("register codec", error))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_a_session_is_small_enough_to_be_moved_through_a_callers_stack() {
        let opening = Session::new(SessionConfig::default());
        assert!(size_of_val(&opening) < 4096, "{} bytes", size_of_val(&opening));
    }
}

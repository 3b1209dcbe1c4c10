//! Video and data channels of a peer that really has them: received, counted apart, never sent.
mod peer_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jmeter_webrtc::autoice::{Overlay, Shape, shaped};
use jmeter_webrtc::peer::{Session, SessionConfig};
use peer_support::*;
use rtc::media_stream::MediaStreamTrack;
use rtc::rtp_transceiver::rtp_sender::{RTCRtpCodec, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind};
use webrtc::data_channel::{DataChannel, DataChannelEvent};
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceGatheringState,
    RTCPeerConnectionState, RTCSessionDescription,
};

const CANNED: &str = include_str!("canned/chrome-audio-video-data.sdp");
/// Video packets of the peer, one per ms: more than the audio's, and numbered so that a mix-up would be a great loss.
const VIDEO_PACKETS: u16 = 300;

/// A peer that sends video and has a data channel.
struct Browser {
    connection: Arc<dyn PeerConnection>,
    video: Arc<TrackLocalStaticRTP>,
    events: Arc<Events>,
}

#[derive(Default)]
struct Events {
    gathered: AtomicBool,
    connected: AtomicBool,
    channels_opened: AtomicU64,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Events {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        self.gathered.fetch_or(state == RTCIceGatheringState::Complete, Ordering::SeqCst);
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.connected.store(state == RTCPeerConnectionState::Connected, Ordering::SeqCst);
    }
}

fn track(kind: RtpCodecKind, codec: &str, clock_rate: u32, channels: u16, ssrc: u32) -> TrackLocalStaticRTP {
    let encoding = RTCRtpEncodingParameters {
        rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(ssrc), ..RTCRtpCodingParameters::default() },
        codec: RTCRtpCodec { mime_type: codec.to_owned(), clock_rate, channels, ..RTCRtpCodec::default() },
        ..RTCRtpEncodingParameters::default()
    };
    TrackLocalStaticRTP::new(MediaStreamTrack::new("s".into(), codec.into(), codec.into(), kind, vec![encoding]))
}

impl Browser {
    async fn new() -> Self {
        let mut engine = MediaEngine::default();
        engine.register_default_codecs().expect("codecs");
        let events = Arc::new(Events::default());
        let built = PeerConnectionBuilder::new()
            .with_media_engine(engine)
            .with_handler(Arc::clone(&events) as Arc<_>)
            .with_udp_addrs(vec!["127.0.0.1:0"])
            .build()
            .await;
        let connection: Arc<dyn PeerConnection> = Arc::new(built.expect("a connection"));
        let audio = Arc::new(track(RtpCodecKind::Audio, "audio/opus", 48_000, 2, 11));
        let video = Arc::new(track(RtpCodecKind::Video, "video/VP8", 90_000, 0, 22));
        connection.add_track(audio as Arc<dyn TrackLocal>).await.expect("audio");
        connection.add_track(Arc::clone(&video) as Arc<dyn TrackLocal>).await.expect("video");
        Self { connection, video, events }
    }

    async fn complete(&self) -> String {
        until("gathered", || self.events.gathered.load(Ordering::SeqCst)).await;
        self.connection.local_description().await.expect("a description").sdp
    }

    async fn offer(&self) -> String {
        let channel = self.connection.create_data_channel("chat", None).await.expect("a channel");
        let events = Arc::clone(&self.events);
        tokio::spawn(listen(channel, events));
        let offer = self.connection.create_offer(None).await.expect("offer");
        self.connection.set_local_description(offer).await.expect("set");
        self.complete().await
    }

    async fn answer(&self, offer: &str) -> String {
        let offer = RTCSessionDescription::offer(offer.to_owned()).expect("an offer");
        self.connection.set_remote_description(offer).await.expect("set");
        let answer = self.connection.create_answer(None).await.expect("answer");
        self.connection.set_local_description(answer).await.expect("set");
        self.complete().await
    }

    /// Sends video with payload type `payload_type`.
    async fn film(&self, payload_type: u8) {
        until("connected", || self.events.connected.load(Ordering::SeqCst)).await;
        for number in 0..VIDEO_PACKETS {
            let mut packet = rtc::rtp::Packet::default();
            packet.header.version = 2;
            packet.header.payload_type = payload_type;
            packet.header.ssrc = 22;
            packet.header.sequence_number = number;
            packet.header.timestamp = u32::from(number) * 3000;
            packet.payload = vec![0x10; 900].into();
            self.video.write_rtp(packet).await.expect("sent");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn close(&self) {
        self.connection.close().await.expect("closed");
    }
}

async fn listen(channel: Arc<dyn DataChannel>, events: Arc<Events>) {
    while let Some(event) = channel.poll().await {
        if matches!(event, DataChannelEvent::OnOpen) {
            events.channels_opened.fetch_add(1, Ordering::SeqCst);
            for _ in 0..50 {
                channel.send_text("nobody reads this").await.expect("sent");
            }
        }
    }
}

async fn of_canned() -> Session {
    let media = Shape::of(CANNED).expect("a shape").media().to_vec();
    Session::new(SessionConfig { media, trickle: false, ..SessionConfig::default() }).await.expect("a session")
}

fn payload_type_of_vp8(sdp: &str) -> u8 {
    let map = sdp.lines().find_map(|line| line.strip_prefix("a=rtpmap:")?.strip_suffix(" VP8/90000"));
    map.expect("VP8").parse().expect("a number")
}

/// Every video packet is counted, and none of them for a lost one of the audio.
async fn assert_counted_apart(session: &Session) {
    until("all the video is there", || {
        let counters = session.counters();
        counters.other_packets_received + counters.socket_drops >= u64::from(VIDEO_PACKETS)
    })
    .await;
    let (counters, wire) = (session.counters(), session.wire());
    assert_eq!((counters.packets_received, counters.packets_lost), (0, 0), "the peer sends no audio: {counters:?}");
    assert_eq!(wire.rtp_received, wire.rtp_other_received);
    assert!(wire.first_rtp_received_us.is_some() && counters.jitter < 1e-9, "{counters:?}");
    assert!(counters.packets_sent > 0, "{counters:?}");
}

#[tokio::test]
async fn video_and_data_of_a_peers_offer_are_received() {
    within(async {
        let (browser, session) = (Browser::new().await, of_canned().await);
        let offer = browser.offer().await;
        let live = session.create_answer(&offer).await.expect("answer");
        let answer = shaped(&CANNED.replace("actpass", "active"), &live, Overlay::Whole).expect("shaped");
        assert!(answer.notes.iter().any(|note| note.contains("video is received and counted, not sent")), "{answer:?}");
        let description = RTCSessionDescription::answer(answer.sdp.clone()).expect("an answer");
        browser.connection.set_remote_description(description).await.expect("applied");
        session.connected().await.expect("connected");
        browser.film(payload_type_of_vp8(&answer.sdp)).await;
        assert_counted_apart(&session).await;
        until("the data channel opens", || browser.events.channels_opened.load(Ordering::SeqCst) == 1).await;
        session.close(Duration::from_secs(2)).await;
        browser.close().await;
    })
    .await;
}

#[tokio::test]
async fn video_and_data_of_a_canned_offer_are_answered_and_received() {
    within(async {
        for mode in [Overlay::Whole, Overlay::Overlay] {
            let (browser, session) = (Browser::new().await, of_canned().await);
            let live = session.create_offer().await.expect("offer");
            let offer = shaped(CANNED, &live, mode).expect("shaped");
            let answer = browser.answer(&offer.sdp).await;
            session.set_remote_answer(&offer.mids.to_live_description(&answer)).await.expect("applied");
            session.connected().await.expect("connected");
            browser.film(payload_type_of_vp8(&answer)).await;
            assert_counted_apart(&session).await;
            let stats = session.connection_data().await;
            assert!(stats > 0, "the association of the data channel is up");
            session.close(Duration::from_secs(2)).await;
            browser.close().await;
        }
    })
    .await;
}

trait Data {
    async fn connection_data(&self) -> usize;
}

impl Data for Session {
    /// Open data channels in the session's statistics.
    async fn connection_data(&self) -> usize {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let stats = self.stats().await;
            let objects = stats.as_object().expect("a map").values();
            let open = objects.filter(|object| object["type"] == "data-channel" && object["state"] == "open").count();
            if open > 0 || Instant::now() > deadline {
                return open;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

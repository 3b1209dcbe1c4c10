//! Counts, under callgrind, what observing a packet costs: two sans-IO peers in one thread, no sockets, virtual time.
//!
//! `observer_cost --packets N [--observe]` connects the two (ICE, DTLS), sends N audio packets from one to the other and
//! prints how many arrived. With `--observe` each side's observer is told every datagram, as the session's socket tells
//! it. Run it four times under `valgrind --tool=callgrind`, with two numbers of packets each with and without
//! `--observe`: the instructions per packet are the difference of the two numbers (`scripts/observer-cost.sh`).

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use jmeter_webrtc::net::facts::ServerTransport;
use jmeter_webrtc::net::wire::Wire;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::RTCConfigurationBuilder;
use rtc::peer_connection::configuration::interceptor_registry::configure_rtcp_reports;
use rtc::peer_connection::configuration::media_engine::MediaEngine;
use rtc::peer_connection::configuration::setting_engine::SettingEngineBuilder;
use rtc::peer_connection::event::RTCPeerConnectionEvent;
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::state::RTCPeerConnectionState;
use rtc::peer_connection::transport::{CandidateConfig, CandidateHostConfig, RTCIceCandidate};
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::rtp_transceiver::RTCRtpSenderId;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
};
use rtc::sansio::Protocol;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};

type Failure = Box<dyn std::error::Error>;

/// Between two packets of audio.
const PACKET: Duration = Duration::from_millis(20);
const SSRC: u32 = 7;
/// An audio packet's payload, in bytes.
const PAYLOAD: usize = 160;
/// Steps of 1 ms that connecting may take.
const CONNECT_STEPS: u32 = 20_000;

fn main() -> ExitCode {
    match run() {
        Ok(received) => {
            println!("{received}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("observer_cost: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<u64, Failure> {
    use lexopt::prelude::*;
    let (mut packets, mut observe) = (1000u64, false);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("packets") => packets = parser.value()?.parse()?,
            Long("observe") => observe = true,
            other => return Err(other.unexpected().into()),
        }
    }
    let mut pair = Pair::new(observe)?;
    pair.connect()?;
    let mut received = 0;
    for number in 0..packets {
        pair.say(number)?;
        received += pair.exchange()?;
        pair.pass(PACKET)?;
    }
    if observe {
        let counted = pair.right.wire.facts().rtp_received;
        if counted != received {
            return Err(format!("{received} packets arrived and {counted} were observed").into());
        }
    }
    if received != packets {
        return Err(format!("{received} of {packets} packets arrived").into());
    }
    Ok(received)
}

/// One side.
struct Side {
    core: RTCPeerConnection,
    address: SocketAddr,
    sender: RTCRtpSenderId,
    wire: Wire,
    connected: bool,
}

/// Both, and the time.
struct Pair {
    left: Side,
    right: Side,
    now: Instant,
    observe: bool,
}

impl Pair {
    fn new(observe: bool) -> Result<Self, Failure> {
        let now = Instant::now();
        let (mut left, mut right) = (Side::new(4000, now)?, Side::new(4001, now)?);
        let offer = left.core.create_offer(None)?;
        left.describe(now, offer)?;
        let offer = left.core.local_description().ok_or("no offer")?;
        right.core.set_remote_description(now, offer)?;
        let answer = right.core.create_answer(None)?;
        right.describe(now, answer)?;
        let answer = right.core.local_description().ok_or("no answer")?;
        left.core.set_remote_description(now, answer)?;
        for side in [&left, &right] {
            side.wire.negotiated(48_000, 0, 0);
        }
        Ok(Self { left, right, now, observe })
    }

    fn connect(&mut self) -> Result<(), Failure> {
        for _ in 0..CONNECT_STEPS {
            self.exchange()?;
            if self.left.connected && self.right.connected {
                return Ok(());
            }
            self.pass(Duration::from_millis(1))?;
        }
        Err("the two do not connect".into())
    }

    fn pass(&mut self, time: Duration) -> Result<(), Failure> {
        self.now += time;
        for side in [&mut self.left, &mut self.right] {
            if side.core.poll_timeout().is_some_and(|due| due <= self.now) {
                side.core.handle_timeout(self.now)?;
            }
        }
        Ok(())
    }

    fn say(&mut self, number: u64) -> Result<(), Failure> {
        let header = rtc::rtp::header::Header {
            version: 2,
            payload_type: 111,
            sequence_number: number as u16,
            timestamp: (number * 960) as u32,
            ssrc: SSRC,
            ..Default::default()
        };
        let packet = rtc::rtp::Packet { header, payload: bytes::Bytes::from_static(&[0x55; PAYLOAD]) };
        let mut sender = self.left.core.rtp_sender(self.left.sender).ok_or("no sender")?;
        Ok(sender.write_rtp(self.now, packet)?)
    }

    /// Carries datagrams until nobody has one; returns how many audio packets arrived on the right.
    fn exchange(&mut self) -> Result<u64, Failure> {
        let mut arrived = 0;
        loop {
            let mut idle = true;
            for rightwards in [true, false] {
                let (from, to) = match rightwards {
                    true => (&mut self.left, &mut self.right),
                    false => (&mut self.right, &mut self.left),
                };
                while let Some(message) = from.core.poll_write() {
                    idle = false;
                    if self.observe {
                        from.wire.sent(&message.message, to.address, ServerTransport::Udp, self.now);
                        to.wire.received(&message.message, from.address, self.now, Duration::ZERO);
                    }
                    let transport = TransportContext {
                        local_addr: to.address,
                        peer_addr: from.address,
                        ecn: None,
                        transport_protocol: TransportProtocol::UDP,
                    };
                    to.core.handle_read(TaggedBytesMut { now: self.now, transport, message: message.message })?;
                }
                from.settle();
                to.settle();
                while to.core.poll_media_read().is_some() {
                    arrived += u64::from(rightwards);
                }
            }
            if idle {
                return Ok(arrived);
            }
        }
    }
}

impl Side {
    fn new(port: u16, now: Instant) -> Result<Self, Failure> {
        let codec = RTCRtpCodec {
            mime_type: "audio/opus".to_owned(),
            clock_rate: 48_000,
            channels: 2,
            sdp_fmtp_line: "minptime=10;useinbandfec=1".to_owned(),
            rtcp_feedback: vec![],
        };
        let mut media = MediaEngine::default();
        let parameters = RTCRtpCodecParameters { rtp_codec: codec.clone(), payload_type: 111 };
        media.register_codec(parameters, RtpCodecKind::Audio)?;
        let settings =
            SettingEngineBuilder::new().with_multicast_dns_mode(rtc::ice::mdns::MulticastDnsMode::Disabled).build();
        let mut core = RTCPeerConnectionBuilder::new()
            .with_configuration(RTCConfigurationBuilder::default().build())
            .with_media_engine(media)
            .with_interceptor_registry(configure_rtcp_reports(rtc::interceptor::Registry::new()))
            .with_setting_engine(settings)
            .build(now)?;
        let encoding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(SSRC), ..Default::default() },
            codec,
            ..Default::default()
        };
        let track = MediaStreamTrack::new("s".into(), "t".into(), "t".into(), RtpCodecKind::Audio, vec![encoding]);
        let sender = core.add_track(track)?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Ok(Self { core, address, sender, wire: Wire::new(now), connected: false })
    }

    fn describe(&mut self, now: Instant, description: RTCSessionDescription) -> Result<(), Failure> {
        self.core.set_local_description(now, description)?;
        let base_config = CandidateConfig {
            network: "udp".to_owned(),
            address: self.address.ip().to_string(),
            port: self.address.port(),
            component: 1,
            ..Default::default()
        };
        let candidate = CandidateHostConfig { base_config, ..Default::default() }.new_candidate_host()?;
        self.core.add_local_candidate(RTCIceCandidate::from(&candidate).to_json()?)?;
        Ok(())
    }

    fn settle(&mut self) {
        while let Some(event) = self.core.poll_event() {
            if let RTCPeerConnectionEvent::OnConnectionStateChangeEvent(RTCPeerConnectionState::Connected) = event {
                self.connected = true;
            }
        }
    }
}

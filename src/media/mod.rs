//! Audio sources and pacing.
//!
//! Audio is never encoded at run time: a [`source`] hands out ready 20 ms frames that live once per process, and the
//! `pacing` puts them on the wire's schedule. Nothing here opens a socket or waits for the network.
pub mod lag;
pub(crate) mod pacing;
pub mod source;
pub(crate) mod talker;
pub(crate) mod telephone_event;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use lag::{LagSnapshot, reset_schedule_lag, schedule_lag};
pub(crate) use lag::{longest_schedule_lag, take_longest_schedule_lag};
pub use telephone_event::{Dialled, Dtmf, TelephoneEvents};

/// Time between two audio packets of one session (`ptime`, RFC 4566 §6): 50 packets a second.
pub const PACKET_TIME: Duration = Duration::from_millis(20);

/// Audio codecs a softphone offers.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum AudioCodec {
    /// `opus/48000/2` (RFC 7587).
    #[default]
    Opus,
    /// `PCMU/8000`, G.711 µ-law (RFC 3551 §4.5.14).
    Pcmu,
    /// `PCMA/8000`, G.711 A-law (RFC 3551 §4.5.14).
    Pcma,
}

impl AudioCodec {
    /// Every codec.
    pub const ALL: [Self; 3] = [Self::Opus, Self::Pcmu, Self::Pcma];

    /// What is offered by default, in this order.
    pub const OFFERED: [Self; 2] = [Self::Opus, Self::Pcmu];

    /// MIME type as in `a=rtpmap`, with its `audio/` prefix.
    pub const fn mime_type(self) -> &'static str {
        match self {
            Self::Opus => "audio/opus",
            Self::Pcmu => "audio/PCMU",
            Self::Pcma => "audio/PCMA",
        }
    }

    /// Encoding as in `a=rtpmap`.
    pub const fn encoding(self) -> &'static str {
        match self {
            Self::Opus => "opus/48000/2",
            Self::Pcmu => "PCMU/8000",
            Self::Pcma => "PCMA/8000",
        }
    }

    /// Whether `encoding` is a name of it: names compare without case (RFC 8866 §6.6), and G.711 may say its one channel.
    pub(crate) fn is_named(self, encoding: &str) -> bool {
        let encoding = match self {
            Self::Opus => encoding,
            Self::Pcmu | Self::Pcma => encoding.strip_suffix("/1").unwrap_or(encoding),
        };
        encoding.eq_ignore_ascii_case(self.encoding())
    }

    /// RTP clock rate in ticks per second.
    pub const fn clock_rate(self) -> u32 {
        match self {
            Self::Opus => 48_000,
            Self::Pcmu | Self::Pcma => 8_000,
        }
    }

    /// Channels as in `a=rtpmap`; 0 where none are named. Opus always says 2 (RFC 7587 §7), whatever it carries.
    pub const fn channels(self) -> u16 {
        match self {
            Self::Opus => 2,
            Self::Pcmu | Self::Pcma => 0,
        }
    }

    /// The payload type we offer: 0 for PCMU and 8 for PCMA (static, RFC 3551 §6), 111 for Opus (dynamic).
    pub const fn offered_payload_type(self) -> u8 {
        match self {
            Self::Opus => 111,
            Self::Pcmu => 0,
            Self::Pcma => 8,
        }
    }

    /// `a=fmtp` parameters we offer.
    pub const fn fmtp(self) -> &'static str {
        match self {
            Self::Opus => "minptime=10;useinbandfec=1",
            Self::Pcmu | Self::Pcma => "",
        }
    }

    /// RTP timestamp ticks of one packet.
    pub const fn ticks_per_packet(self) -> u32 {
        self.clock_rate() / 50
    }
}

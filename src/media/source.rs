//! The audio that softphones send: a five second loop in ready frames (`assets/audio`, where its origin is told).
//!
//! Frames are cut once per process and shared by all sessions; taking one copies nothing.
use std::io::Cursor;
use std::sync::LazyLock;

use bytes::Bytes;
use ogg::PacketReader;

use super::AudioCodec;

static OPUS_FILE: &[u8] = include_bytes!("../../assets/audio/voice.opus");
static PCMU_FILE: &[u8] = include_bytes!("../../assets/audio/voice.ulaw");

static OPUS: LazyLock<Vec<Bytes>> =
    LazyLock::new(|| opus_frames(OPUS_FILE).expect("the shipped Opus file is well-formed, as a test shows"));
static PCMU: LazyLock<Vec<Bytes>> = LazyLock::new(|| pcmu_frames(PCMU_FILE));

/// The 20 ms frames of the loop in `codec`, at least one.
pub fn frames(codec: AudioCodec) -> &'static [Bytes] {
    match codec {
        AudioCodec::Opus => &OPUS,
        AudioCodec::Pcmu => &PCMU,
    }
}

/// The audio packets of an Ogg Opus file (RFC 7845): all but the two header packets.
fn opus_frames(file: &'static [u8]) -> Result<Vec<Bytes>, ogg::OggReadError> {
    let mut reader = PacketReader::new(Cursor::new(file));
    let mut frames = Vec::new();
    while let Some(packet) = reader.read_packet()? {
        if !packet.data.starts_with(b"OpusHead") && !packet.data.starts_with(b"OpusTags") {
            frames.push(Bytes::from(packet.data));
        }
    }
    Ok(frames)
}

/// Frames of 160 octets of G.711; a rest that fills none is left out.
fn pcmu_frames(file: &'static [u8]) -> Vec<Bytes> {
    file.chunks_exact(160).map(Bytes::from_static).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loop_lasts_five_seconds_in_every_codec() {
        assert_eq!(frames(AudioCodec::Pcmu).len(), 250);
        // The encoder's own delay makes Opus one frame longer.
        assert!((250..=251).contains(&frames(AudioCodec::Opus).len()));
    }

    #[test]
    fn every_opus_frame_is_one_mono_frame_of_20_ms() {
        for frame in frames(AudioCodec::Opus) {
            // RFC 6716 §3.1: config in the upper five bits, then stereo, then the frame count code (0 = one frame).
            let (config, stereo, count) = (frame[0] >> 3, frame[0] & 4, frame[0] & 3);
            let is_20_ms = match config {
                0..=11 => config % 4 == 1,
                12..=15 => config % 2 == 1,
                _ => config % 4 == 3,
            };
            assert!(is_20_ms && stereo == 0 && count == 0, "TOC {:08b}", frame[0]);
        }
    }

    #[test]
    fn a_damaged_ogg_file_is_an_error() {
        assert!(opus_frames(b"OggS is not enough").is_err());
    }
}

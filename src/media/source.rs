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
static PCMA: LazyLock<Vec<Bytes>> = LazyLock::new(|| {
    let a_law = |frame: &Bytes| frame.iter().map(|octet| a_law(linear(*octet))).collect();
    PCMU.iter().map(a_law).collect()
});

/// The 20 ms frames of the loop in `codec`, at least one.
pub fn frames(codec: AudioCodec) -> &'static [Bytes] {
    match codec {
        AudioCodec::Opus => &OPUS,
        AudioCodec::Pcmu => &PCMU,
        AudioCodec::Pcma => &PCMA,
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

/// The 14-bit sample of a µ-law octet (ITU-T G.711, table 2), scaled to 16 bits.
fn linear(octet: u8) -> i16 {
    let octet = !octet;
    let (segment, step) = (octet >> 4 & 7, i16::from(octet & 15));
    let magnitude = (((step << 3) + 0x84) << segment) - 0x84;
    if octet & 0x80 == 0 { magnitude } else { -magnitude }
}

/// The A-law octet of a 16-bit sample (ITU-T G.711, table 1): sign, segment, step, every even bit inverted.
fn a_law(sample: i16) -> u8 {
    let (sign, magnitude) = if sample < 0 { (0, !sample) } else { (0x80, sample) };
    // 13 bits carry the value.
    let magnitude = (magnitude as u16) >> 3;
    let segment = (16 - (magnitude >> 5).leading_zeros()) as u8;
    let step = if segment < 2 { magnitude >> 1 } else { magnitude >> segment };
    (sign | segment << 4 | (step & 15) as u8) ^ 0x55
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loop_lasts_five_seconds_in_every_codec() {
        assert_eq!(frames(AudioCodec::Pcmu).len(), 250);
        assert_eq!(frames(AudioCodec::Pcma).len(), 250);
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
    fn a_law_octets_are_those_of_the_recommendation() {
        // G.711 table 1: character signals of the decision values, even bits inverted.
        for (sample, octet) in [
            (0, 0xd5),
            (8, 0xd5),
            (16, 0xd4),
            (-1, 0x55),
            (-17, 0x54),
            (496, 0xca),
            (512, 0xf5),
            (1024, 0xe5),
            (-1025, 0x65),
            (32_767, 0xaa),
            (-32_768, 0x2a),
        ] {
            assert_eq!(a_law(sample), octet, "{sample}: {:#x}", a_law(sample));
        }
    }

    #[test]
    fn mu_law_octets_mean_what_the_recommendation_says() {
        for (octet, sample) in
            [(0xff, 0), (0x7f, 0), (0xfe, 8), (0x7e, -8), (0x80, 32_124), (0x00, -32_124), (0xef, 132)]
        {
            assert_eq!(linear(octet), sample, "{octet:#x}");
        }
    }

    #[test]
    fn a_damaged_ogg_file_is_an_error() {
        assert!(opus_frames(b"OggS is not enough").is_err());
    }
}

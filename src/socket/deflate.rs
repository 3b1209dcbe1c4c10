//! permessage-deflate (RFC 7692): what was agreed, and the payloads of compressed messages.
//!
//! Guarantees: a payload never inflates beyond the limit given, so that a small frame cannot fill the
//! memory; a socket keeps an inflater (some 45 KB) only after its first compressed message and only
//! where the server may refer back to it; outgoing messages are compressed each on their own with a
//! compressor of the thread, which costs a socket nothing.

use std::cell::RefCell;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::frame::Violation;
use super::payload::Payload;

/// What every compressed message ends with and what is left off on the wire (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// The extension as we offer it. Without context takeover of our own no compressor is kept per socket.
pub(super) const OFFER: &str = "permessage-deflate";
/// The offer of a client that also compresses what it sends.
pub(super) const OFFER_OUTGOING: &str = "permessage-deflate; client_no_context_takeover";

/// What the server agreed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Agreed {
    /// The server compresses each message on its own.
    pub(super) server_no_context_takeover: bool,
    /// The largest window we may compress with, in bits; 15 where nothing was said.
    pub(super) client_max_window_bits: u8,
}

/// Reads the `Sec-WebSocket-Extensions` of an upgrade response to what was `offered`; both are the
/// values of all such headers, joined by commas. `None` when no extension was agreed.
pub(super) fn agreed(offered: &str, response: &str) -> Result<Option<Agreed>, String> {
    let mut extensions = response.split(',').map(str::trim).filter(|extension| !extension.is_empty());
    let Some(extension) = extensions.next() else { return Ok(None) };
    let refuse = |why: String| Err(format!("Sec-WebSocket-Extensions: '{response}': {why}"));
    if extensions.next().is_some() {
        return refuse("more than one extension was agreed to".to_owned());
    }
    let mut parameters = extension.split(';').map(str::trim);
    let name = parameters.next().unwrap_or_default();
    let offers: Vec<Vec<String>> = offered
        .split(',')
        .map(|offer| offer.split([';', '=']).map(|part| part.trim().to_ascii_lowercase()).collect())
        .collect();
    let was_offered = |name: &str| offers.iter().any(|offer| offer[0].eq_ignore_ascii_case(name));
    if !was_offered(name) {
        return refuse(format!("the extension '{name}' was not offered"));
    }
    if !name.eq_ignore_ascii_case("permessage-deflate") {
        return refuse(format!("the extension '{name}' is not supported"));
    }
    let mut agreed = Agreed { server_no_context_takeover: false, client_max_window_bits: 15 };
    let mut seen: Vec<String> = Vec::new();
    for parameter in parameters {
        let (name, value) = match parameter.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim().trim_matches('"'))),
            None => (parameter, None),
        };
        let name = name.to_ascii_lowercase();
        let bits = value.and_then(|value| value.parse::<u8>().ok()).filter(|bits| (8..=15).contains(bits));
        match (name.as_str(), value, bits) {
            _ if seen.contains(&name) => return refuse(format!("'{name}' is there twice")),
            ("server_no_context_takeover", None, _) => agreed.server_no_context_takeover = true,
            ("client_no_context_takeover", None, _) | ("server_max_window_bits", _, Some(_)) => {}
            ("client_max_window_bits", _, Some(bits)) => {
                if !offers.iter().any(|offer| offer.contains(&name)) {
                    return refuse(format!("'{name}' was not offered"));
                }
                agreed.client_max_window_bits = bits;
            }
            _ => return refuse(format!("'{parameter}' is no parameter of permessage-deflate")),
        }
        seen.push(name);
    }
    Ok(Some(agreed))
}

/// Inflates the messages of a server.
pub(super) struct Inflater {
    agreed: Agreed,
    decompress: Option<Box<Decompress>>,
}

impl Inflater {
    pub(super) fn new(agreed: Agreed) -> Self {
        Self { agreed, decompress: None }
    }

    /// What `input`, one frame of a compressed message, inflates to; `fin` when it is the last one.
    /// More than `most` bytes are a violation.
    pub(super) fn inflate(&mut self, input: &[u8], fin: bool, most: usize) -> Result<Payload, Violation> {
        let mut decompress = self.decompress.take().unwrap_or_else(|| Box::new(Decompress::new(false)));
        let mut output = Vec::new();
        inflate_into(&mut decompress, input, &mut output, most)?;
        if fin {
            inflate_into(&mut decompress, &TAIL, &mut output, most)?;
        }
        if !(fin && self.agreed.server_no_context_takeover) {
            self.decompress = Some(decompress);
        }
        output.shrink_to_fit();
        Ok(output.into())
    }
}

fn inflate_into(
    decompress: &mut Decompress,
    mut input: &[u8],
    output: &mut Vec<u8>,
    most: usize,
) -> Result<(), Violation> {
    loop {
        if output.len() == output.capacity() {
            output.reserve((input.len() * 3).clamp(256, 64 << 10));
        }
        let before = decompress.total_in();
        let status = decompress
            .decompress_vec(input, output, FlushDecompress::Sync)
            .map_err(|error| Violation::bad_payload(format!("a compressed message cannot be inflated: {error}")))?;
        input = &input[(decompress.total_in() - before) as usize..];
        if output.len() > most {
            let detail = format!("a compressed message inflates to more than maxFrameBytes ({most})");
            return Err(Violation { status: 1009, detail });
        }
        if status == Status::StreamEnd {
            // A final block ends the stream and not the message (RFC 7692 §7.2.3.4).
            decompress.reset(false);
        }
        let has_room = output.len() < output.capacity();
        if input.is_empty() && (has_room || status == Status::StreamEnd) {
            return Ok(());
        }
        if status == Status::BufError && has_room {
            return Err(Violation::bad_payload("a compressed message cannot be inflated: it makes no progress"));
        }
    }
}

/// `payload` compressed as one message of its own (RFC 7692 §7.2.1).
pub(super) fn deflate(payload: &[u8]) -> Vec<u8> {
    thread_local! {
        static COMPRESS: RefCell<Compress> = RefCell::new(Compress::new(Compression::default(), false));
    }
    COMPRESS.with_borrow_mut(|compress| {
        compress.reset();
        let mut output = Vec::with_capacity(payload.len() / 2 + 64);
        loop {
            let rest = &payload[compress.total_in() as usize..];
            compress
                .compress_vec(rest, &mut output, FlushCompress::Sync)
                .expect("compressing has no wrong input and no wrong state after a reset");
            if compress.total_in() as usize == payload.len() && output.len() < output.capacity() {
                break;
            }
            output.reserve(output.capacity());
        }
        output.truncate(output.len() - TAIL.len());
        output
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TAKEOVER: Agreed = Agreed { server_no_context_takeover: false, client_max_window_bits: 15 };
    const NO_TAKEOVER: Agreed = Agreed { server_no_context_takeover: true, client_max_window_bits: 15 };

    #[test]
    fn the_parameters_of_the_server_are_honoured() {
        assert_eq!(agreed(OFFER, ""), Ok(None));
        assert_eq!(agreed(OFFER, "permessage-deflate"), Ok(Some(TAKEOVER)));
        let all =
            "Permessage-Deflate; server_no_context_takeover ;client_no_context_takeover; server_max_window_bits=\"10\"";
        assert_eq!(agreed(OFFER, all), Ok(Some(NO_TAKEOVER)));
        let offered = "permessage-deflate; client_max_window_bits";
        let narrow = Agreed { client_max_window_bits: 9, ..TAKEOVER };
        assert_eq!(agreed(offered, "permessage-deflate; client_max_window_bits=9"), Ok(Some(narrow)));
    }

    #[test]
    fn an_answer_that_was_not_offered_is_refused_by_name() {
        for (response, word) in [
            ("x-webkit-deflate-frame", "x-webkit-deflate-frame"),
            ("permessage-deflate, permessage-deflate", "more than one"),
            ("permessage-deflate; client_max_window_bits=10", "client_max_window_bits"),
            ("permessage-deflate; server_max_window_bits=16", "server_max_window_bits"),
            ("permessage-deflate; server_no_context_takeover=1", "server_no_context_takeover"),
            ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", "twice"),
            ("permessage-deflate; level=9", "level"),
        ] {
            let error = agreed(OFFER, response).expect_err(response);
            assert!(error.contains(word), "{error}");
        }
        assert!(agreed("", "permessage-deflate").is_err());
    }

    #[test]
    fn messages_of_the_rfc_inflate() {
        // RFC 7692 §7.2.3.1 and §7.2.3.2: "Hello", and again from the window.
        let mut inflater = Inflater::new(TAKEOVER);
        let first = inflater.inflate(&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], true, 100).expect("valid");
        let second = inflater.inflate(&[0xf2, 0x00, 0x11, 0x00, 0x00], true, 100).expect("valid");
        assert_eq!((first.as_ref(), second.as_ref()), (b"Hello".as_slice(), b"Hello".as_slice()));
        // §7.2.3.3: a block without compression; §7.2.3.4: BFINAL is set.
        for message in [
            [0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00].as_slice(),
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
        ] {
            let mut inflater = Inflater::new(TAKEOVER);
            assert_eq!(inflater.inflate(message, true, 100).expect("valid").as_ref(), b"Hello");
            let next = inflater.inflate(&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], true, 100).expect("valid");
            assert_eq!(next.as_ref(), b"Hello");
        }
    }

    #[test]
    fn fragments_of_a_message_inflate_one_by_one() {
        let mut inflater = Inflater::new(NO_TAKEOVER);
        // RFC 7692 §7.2.3.1, the fragmented example.
        let first = inflater.inflate(&[0xf2, 0x48, 0xcd], false, 100).expect("valid");
        let second = inflater.inflate(&[0xc9, 0xc9, 0x07, 0x00], true, 100).expect("valid");
        assert_eq!([&first[..], &second].concat(), b"Hello");
        assert!(inflater.decompress.is_none(), "nothing is kept without context takeover");
    }

    #[test]
    fn a_small_frame_cannot_inflate_beyond_the_limit() {
        let bomb = deflate(&vec![0; 10 << 20]);
        assert!(bomb.len() < 20_000);
        let violation = Inflater::new(TAKEOVER).inflate(&bomb, true, 1 << 20).expect_err("too large");
        assert_eq!(violation.status, 1009);
    }

    #[test]
    fn garbage_is_a_violation() {
        let violation = Inflater::new(TAKEOVER).inflate(&[0xff; 20], true, 100).expect_err("garbage");
        assert_eq!(violation.status, 1007);
    }

    proptest! {
        #[test]
        fn what_is_deflated_inflates_to_itself(
            messages in prop::collection::vec(prop::collection::vec(0u8..4, 0..20_000), 1..4), takeover: bool,
        ) {
            let mut inflater = Inflater::new(if takeover { TAKEOVER } else { NO_TAKEOVER });
            for message in messages {
                let inflated = inflater.inflate(&deflate(&message), true, 1 << 20).expect("valid");
                prop_assert_eq!(inflated.as_ref(), message.as_slice());
            }
        }

        #[test]
        fn no_bytes_whatever_break_the_inflater(bytes in prop::collection::vec(any::<u8>(), 0..300), fin: bool) {
            let outcome = Inflater::new(TAKEOVER).inflate(&bytes, fin, 1000);
            prop_assert!(outcome.is_err() || outcome.is_ok_and(|inflated| inflated.len() <= 1000));
        }
    }
}

//! Messages of every shape, damaged at random: whatever comes out is read without harm.
//!
//! The corpus is kept in `tests/autoice/corpus`; a message that breaks a rule is written to a file whose name the failure says, and
//! joins it. `make fuzz` runs more rounds (`AUTOICE_FUZZ_ROUNDS`) from another seed (`AUTOICE_FUZZ_SEED`).
#[path = "autoice/support.rs"]
#[allow(dead_code, reason = "each test takes what it needs")]
mod support;

use std::path::Path;

use jmeter_webrtc::autoice::{Content, Direction, Options, read};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use support::{LIVE, OFFER};

/// What damage puts in.
const TOKENS: &[&str] = &[
    "\"",
    "\\",
    "\\\\",
    "\\u003d",
    "\\r\\n",
    "\\\"",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "<",
    ">",
    "&amp;",
    "&#xD;",
    "]]>",
    "\r\n",
    "\n",
    "\r\n\r\n",
    "\0",
    "\u{1e}",
    "v=0",
    "v=0\r\n",
    "a=candidate:1 1 udp 1 ::1 9 typ host\r\n",
    "a=end-of-candidates",
    "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n",
    "%0D",
    "%",
    "+",
    "=",
    "&",
    "eyJ",
    "dj0w",
    "--b1",
    "42",
    "é",
    "\u{1f600}",
    "null",
    "true",
    "1e9",
    "-",
    "Content-Length: 7\r\n",
    "null",
    "\"candidate\":",
    "\"sdp\":",
    "\"type\":\"answer\"",
    "\"type\":\"bye\"",
    "\"level\":\"info\"",
    "\"signature\":",
    "urn:xmpp:jingle:1",
];

fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")),
        Err(_) => default,
    }
}

fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/autoice/corpus");
    let mut corpus: Vec<_> = std::fs::read_dir(folder)
        .expect("the corpus")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| {
            (path.file_name().expect("a name").to_string_lossy().into_owned(), std::fs::read(&path).expect("a message"))
        })
        .collect();
    corpus.sort();
    corpus
}

fn damaged(message: &[u8], others: &[(String, Vec<u8>)], rng: &mut StdRng) -> Vec<u8> {
    let mut message = message.to_vec();
    for _ in 0..rng.random_range(1..5) {
        let at = rng.random_range(0..=message.len());
        let end = (at + rng.random_range(0..40)).min(message.len());
        match rng.random_range(0..8) {
            0 if at < message.len() => message[at] ^= 1 << rng.random_range(0..8),
            1 => message.truncate(at),
            2 => drop(message.drain(at..end)),
            3 => {
                let part = message[at..end].to_vec();
                let to = rng.random_range(0..=message.len());
                message.splice(to..to, part);
            }
            4 => {
                let (_, other) = others.choose(rng).expect("some");
                let from = rng.random_range(0..=other.len());
                message.splice(at..end, other[from..].iter().copied());
            }
            5 if at < message.len() => message[at] = rng.random(),
            _ => drop(message.splice(at..at, TOKENS.choose(rng).expect("some").bytes())),
        }
        message.truncate(20_000);
    }
    message
}

/// The rules; `Err` names the one that was broken.
fn check(message: &[u8]) -> Result<(), String> {
    for direction in [Direction::Outgoing, Direction::Incoming] {
        let Some(reading) = read(message, direction, &Options::default()) else { continue };
        if reading.replaced(message, &support::same(&reading)) != message {
            return Err(format!("{direction:?}: what was put back is not the same: {reading:?}"));
        }
        let after = reading.replaced(message, &support::other(&reading));
        let again = read(&after, direction, &Options::default());
        let before: Vec<_> = reading.findings.iter().filter(|finding| support::is_swap(&finding.content)).collect();
        if before.is_empty() && after != message {
            return Err(format!("{direction:?}: something changed, and nothing was found"));
        }
        // What is left alone can depend on the text that was there (a repeated fingerprint, a length): only what is received is not.
        if direction == Direction::Incoming {
            let found = again.map(|again| again.findings).unwrap_or_default();
            let found: Vec<_> = found.iter().filter(|finding| support::is_swap(&finding.content)).collect();
            if found.len() != before.len() {
                return Err(format!(
                    "{} findings became {}: {before:?} {}",
                    before.len(),
                    found.len(),
                    String::from_utf8_lossy(&after)
                ));
            }
            for finding in found {
                if let Content::Description { sdp, .. } = &finding.content
                    && !support::lines(sdp).eq(LIVE.lines())
                {
                    return Err(format!("another description came out than went in: {sdp}"));
                }
            }
        }
    }
    Ok(())
}

#[test]
fn damaged_messages_are_read_without_harm() {
    let (rounds, seed) = (number("AUTOICE_FUZZ_ROUNDS", 5_000), number("AUTOICE_FUZZ_SEED", 1));
    let corpus = corpus();
    let mut rng = StdRng::seed_from_u64(seed);
    for round in 0..rounds {
        let (name, message) = corpus.choose(&mut rng).expect("some");
        let message = damaged(message, &corpus, &mut rng);
        let outcome = std::panic::catch_unwind(|| check(&message)).unwrap_or_else(|_| Err("a panic".to_owned()));
        if let Err(rule) = outcome {
            let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("autoice-{seed}-{round}"));
            std::fs::write(&file, &message).expect("a file for the message");
            panic!("seed {seed}, round {round}, from {name}: {rule}\nThe message is in {}", file.display());
        }
    }
}

#[test]
fn every_message_of_the_corpus_holds_something() {
    for (name, message) in corpus() {
        let read = |direction| read(&message, direction, &Options::default());
        assert!(read(Direction::Outgoing).is_some() || read(Direction::Incoming).is_some(), "{name}");
        assert_eq!(check(&message), Ok(()), "{name}");
    }
    assert!(check(OFFER.as_bytes()).is_ok());
}

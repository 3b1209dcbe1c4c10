//! Reads one message: what it carries for a call, through every wrapping, and how to put something else there.
//!
//! Guarantees: pure; work and memory are bounded by the message's size, by [`MAX_DEPTH`] steps inwards and [`MAX_FINDINGS`]
//! findings; no panic on anything. What is not understood wholly is not a finding: at most it is [`Left`],
//! with the reason. [`Reading::replaced`] changes what it is told to and the numbers that count it, and nothing else.
use super::finding::{Direction, Finding, Left};
use super::reader::{Reader, holds_lines};
use super::scope::{Scope, Step};
use super::sdp::{self, Newline};
use super::splice::{self, Count, MESSAGE, Place, Slot};
use super::{doubt, prefilter};
use crate::peer::IceCandidateInit;

/// The longest message that is read, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// The most steps into a message that are followed; a wrapping takes one or two.
pub const MAX_DEPTH: usize = 12;

/// The most findings of one message.
pub const MAX_FINDINGS: usize = 64;

/// What the reader has to know beside the message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The user's own name of the dialog id: a member, an element or a header; the last part of a path counts.
    pub dialog_field: Option<String>,
    /// Header lines that travel with the message (HTTP), `Name: value` each; for signatures and for the `Link`s of WHIP.
    pub headers: Option<String>,
}

/// What goes in the place of one finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// It stays.
    Keep,
    /// Another description, with CRLF; for [`super::Content::Description`].
    Description(String),
    /// Another fragment, with CRLF; for [`super::Content::Fragment`].
    Fragment(String),
    /// Another candidate, for [`super::Content::Candidate`]: only members that the message has are changed, and an end of candidates
    /// (empty text) only takes the place of an end. For [`super::Content::Fragment`]: it takes the place of the candidates in it.
    Candidate(IceCandidateInit),
}

/// What a message carries, and where.
#[derive(Clone, Debug)]
pub struct Reading {
    /// In the order of the message.
    pub findings: Vec<Finding>,
    /// What looks like a description and must stay as it is.
    pub left: Vec<Left>,
    pub(super) targets: Vec<Target>,
    pub(super) places: Vec<Place>,
    pub(super) counts: Vec<Count>,
    /// Of the message, in bytes.
    pub(super) length: usize,
}

/// What to change for one finding.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// It is only to know.
    Nothing,
    /// A description or a fragment.
    Lines { slot: Slot },
    /// A candidate: what of it the message has.
    Candidate { text: Option<Slot>, mid: Option<Slot>, index: Option<Slot>, ufrag: Option<Slot> },
}

/// Reads `message`; `None` where it holds nothing, which for most messages one pass over its bytes tells.
pub fn read(message: &[u8], direction: Direction, options: &Options) -> Option<Reading> {
    let linked = options
        .headers
        .as_deref()
        .is_some_and(|headers| direction == Direction::Incoming && headers.contains("ice-server"));
    if !linked && !prefilter::may_hold(message) {
        return None;
    }
    let mut reader = Reader::new(message, direction, options);
    if message.len() > MAX_MESSAGE_BYTES {
        if holds_lines(message) {
            let reason = format!(
                "The message has {} bytes; descriptions are looked for in messages of up to {MAX_MESSAGE_BYTES}: send it in a message of its own.",
                message.len()
            );
            reader.leave_at(reason, "text".to_owned());
        }
    } else {
        let root = Scope { outer: None, depth: 0, step: Step::Message };
        let refusal = options.headers.as_deref().and_then(|headers| doubt::about_headers(header_lines(headers)));
        let body = root.inner(Step::Body { name: "HTTP body".to_owned(), sip: None, call_id: None, refusal });
        reader.walk(MESSAGE, message, if options.headers.is_some() { &body } else { &root });
        if let Some(headers) = options.headers.as_deref() {
            reader.links(header_lines(headers), &body);
        }
    }
    reader.finish()
}

impl Reading {
    /// The message with something else in the place of its findings: `with` has one for each, in the same order.
    ///
    /// The texts take on the line ends and the escapes of the place they go to. What `with` lacks stays; a replacement that does not
    /// fit its finding changes nothing, and neither does a `message` of another length than the one that was read.
    pub fn replaced(&self, message: &[u8], with: &[Replacement]) -> Vec<u8> {
        let mut changes = Vec::new();
        if message.len() == self.length {
            for (target, replacement) in self.targets.iter().zip(with) {
                self.change(message, target, replacement, &mut changes);
            }
        }
        if changes.is_empty() {
            return message.to_vec();
        }
        splice::spliced(message, &self.places, &self.counts, changes)
    }

    fn change(&self, message: &[u8], target: &Target, replacement: &Replacement, changes: &mut Vec<(Slot, Vec<u8>)>) {
        match (target, replacement) {
            (Target::Lines { slot }, Replacement::Description(text) | Replacement::Fragment(text)) => {
                let old = self.text(message, slot);
                if !text.is_empty() && lines(&old).ne(lines(text)) {
                    changes.push((slot.clone(), like(&old, text).into_bytes()));
                }
            }
            (Target::Lines { slot }, Replacement::Candidate(candidate)) if !candidate.candidate.is_empty() => {
                let old = self.text(message, slot);
                let new = with_candidate(&old, &candidate.candidate);
                if sdp::fragment(old.as_bytes()).is_some() && lines(&old).ne(lines(&new)) {
                    changes.push((slot.clone(), like(&old, &new).into_bytes()));
                }
            }
            (Target::Candidate { text, mid, index, ufrag }, Replacement::Candidate(new))
                if !new.candidate.is_empty() =>
            {
                let index_text = new.sdp_m_line_index.map(|index| index.to_string());
                let members = [
                    (text, Some(new.candidate.as_str())),
                    (mid, new.sdp_mid.as_deref()),
                    (index, index_text.as_deref()),
                    (ufrag, new.username_fragment.as_deref()),
                ];
                for (slot, value) in members {
                    if let (Some(slot), Some(value)) = (slot, value)
                        && self.takes(message, slot, value)
                    {
                        changes.push((slot.clone(), value.as_bytes().to_vec()));
                    }
                }
            }
            _ => {}
        }
    }

    /// Whether a value can stand in a slot: in the place of a bare number only another number can.
    fn takes(&self, message: &[u8], slot: &Slot, value: &str) -> bool {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_whole_text = slot.place != MESSAGE && self.places[slot.place.0 - 1].text.len() == slot.range.len();
        is_whole_text || !is_number(&self.text(message, slot)) || is_number(value)
    }

    fn text<'a>(&'a self, message: &'a [u8], slot: &Slot) -> std::borrow::Cow<'a, str> {
        let around = if slot.place == MESSAGE { message } else { &self.places[slot.place.0 - 1].text };
        String::from_utf8_lossy(around.get(slot.range.clone()).unwrap_or_default())
    }
}

/// The lines of a text, whatever they end with.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split(['\r', '\n']).filter(|line| !line.is_empty())
}

/// `new` with the line ends of `old`, and with one behind the last line only if `old` has it.
fn like(old: &str, new: &str) -> String {
    let newline = Newline::of(old).text();
    let mut text = lines(new).collect::<Vec<_>>().join(newline);
    if old.ends_with(['\r', '\n']) {
        text.push_str(newline);
    }
    text
}

/// A fragment with one candidate in the place of its candidates.
fn with_candidate(fragment: &str, candidate: &str) -> String {
    let candidate = candidate.strip_prefix("a=").unwrap_or(candidate);
    let mut text = String::new();
    let mut placed = false;
    for line in lines(fragment) {
        if !line.starts_with("a=candidate:") {
            text.push_str(line);
        } else if placed {
            continue;
        } else {
            placed = true;
            text.push_str("a=");
            text.push_str(candidate);
        }
        text.push_str("\r\n");
    }
    text
}

fn header_lines(headers: &str) -> impl Iterator<Item = (&str, &str)> {
    headers.lines().filter_map(|line| line.split_once(':')).map(|(name, value)| (name.trim(), value.trim()))
}

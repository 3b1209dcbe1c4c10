//! Puts new texts in the places of a message, and nothing else.
//!
//! A message is a tree of places: a text inside a text inside the message, each with the way it is wrapped. Guarantees: bytes
//! outside the changed places stay, except for numbers that count them ([`Count`]); a place that gets the text it had keeps the
//! bytes it had.
use std::ops::Range;
use std::sync::Arc;

use super::wrapping::Wrapping;

/// A place; 0 is the message itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PlaceId(pub(super) usize);

/// The whole message.
pub(super) const MESSAGE: PlaceId = PlaceId(0);

/// A text inside another.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// In which text it stands.
    pub(super) parent: PlaceId,
    /// Where, in the text of `parent`.
    pub(super) range: Range<usize>,
    /// How it is written there.
    pub(super) wrapping: Wrapping,
    /// What it says.
    pub(super) text: Arc<[u8]>,
}

/// A part of the text of a place.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) place: PlaceId,
    pub(super) range: Range<usize>,
}

/// A number in a text that counts a part of the same text.
#[derive(Clone, Debug)]
pub(super) struct Count {
    /// In whose text it stands.
    pub(super) place: PlaceId,
    /// Where its digits are.
    pub(super) digits: Range<usize>,
    /// What it counts.
    pub(super) counted: Range<usize>,
    /// In what.
    pub(super) unit: CountUnit,
}

/// What a number counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CountUnit {
    /// Bytes.
    Bytes,
    /// UTF-16 code units, as JavaScript's `length`.
    Utf16,
}

impl CountUnit {
    pub(super) fn of(self, text: &[u8]) -> usize {
        match self {
            Self::Bytes => text.len(),
            Self::Utf16 => String::from_utf8_lossy(text).encode_utf16().count(),
        }
    }
}

/// One change to the text of a place.
struct Edit {
    range: Range<usize>,
    text: Vec<u8>,
}

/// The message with `changes` made; the places of `places` have numbers from 1, each behind its parent.
pub(super) fn spliced(message: &[u8], places: &[Place], counts: &[Count], changes: Vec<(Slot, Vec<u8>)>) -> Vec<u8> {
    let mut edits: Vec<Vec<Edit>> = Vec::new();
    edits.resize_with(places.len() + 1, Vec::new);
    for (slot, text) in changes {
        if let Some(edits) = edits.get_mut(slot.place.0) {
            edits.push(Edit { range: slot.range, text });
        }
    }
    // From the innermost texts outwards: a parent always has a smaller number.
    for index in (1..=places.len()).rev() {
        let place = &places[index - 1];
        let own = std::mem::take(&mut edits[index]);
        if own.is_empty() {
            continue;
        }
        let text = edited(&place.text, PlaceId(index), own, counts);
        let around = if place.parent == MESSAGE { message } else { &places[place.parent.0 - 1].text };
        let written = place.wrapping.wrap(&around[place.range.clone()], &place.text, &text);
        edits[place.parent.0].push(Edit { range: place.range.clone(), text: written });
    }
    let own = std::mem::take(&mut edits[0]);
    edited(message, MESSAGE, own, counts)
}

/// `text` with `edits` made and with the numbers that count what changed.
fn edited(text: &[u8], place: PlaceId, mut edits: Vec<Edit>, counts: &[Count]) -> Vec<u8> {
    edits.retain(|edit| text.get(edit.range.clone()).is_some_and(|old| old != edit.text));
    edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
    let mut behind = 0;
    edits.retain(|edit| {
        let apart = edit.range.start >= behind;
        behind = behind.max(edit.range.end);
        apart
    });
    // The innermost count first: its digits may be counted by another.
    let mut own: Vec<&Count> = counts.iter().filter(|count| count.place == place).collect();
    own.sort_by_key(|count| count.counted.len());
    for count in own {
        let inside = |edit: &&Edit| edit.range.start >= count.counted.start && edit.range.end <= count.counted.end;
        if !edits.iter().any(|edit| inside(&edit)) {
            continue;
        }
        let part = &text[count.counted.clone()];
        let new = joined(part, count.counted.start, edits.iter().filter(inside));
        let number = count.unit.of(&new).to_string().into_bytes();
        if number != text[count.digits.clone()] {
            edits.push(Edit { range: count.digits.clone(), text: number });
            edits.sort_by_key(|edit| edit.range.start);
        }
    }
    joined(text, 0, edits.iter())
}

/// `text`, which begins at `offset`, with `edits` in their order.
fn joined<'a>(text: &[u8], offset: usize, edits: impl Iterator<Item = &'a Edit>) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    for edit in edits {
        out.extend_from_slice(&text[at..edit.range.start - offset]);
        out.extend_from_slice(&edit.text);
        at = edit.range.end - offset;
    }
    out.extend_from_slice(&text[at..]);
    out
}

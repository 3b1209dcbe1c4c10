//! Finds fingerprints and ICE passwords that stand in a message beside the description they belong to.
//!
//! Guarantees: pure; one pass over each text of the message, however many descriptions it has.
use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::finding::{Content, Finding};
use super::reading::Target;
use super::sdp;
use super::splice::{MESSAGE, Place, PlaceId};

/// Which of the findings, by number and in order, have a fingerprint or a password that also stands outside of what would be
/// replaced.
pub(super) fn in_message(message: &[u8], places: &[Place], findings: &[Finding], targets: &[Target]) -> Vec<usize> {
    let (mut values, mut owners) = (Vec::new(), Vec::new());
    for (index, finding) in findings.iter().enumerate() {
        let Content::Description { sdp, .. } = &finding.content else { continue };
        let facts = sdp::facts(sdp);
        for fingerprint in &facts.fingerprints {
            let hex = fingerprint.replace(':', "");
            values.extend([(*fingerprint).to_owned(), hex.to_ascii_lowercase(), hex.to_ascii_uppercase()]);
        }
        values.extend(facts.passwords.iter().map(|password| (*password).to_owned()));
        owners.resize(values.len(), index);
    }
    if values.is_empty() {
        return Vec::new();
    }
    // Too large an automaton cannot come about: values are short, and there are at most 32 of each finding.
    // It is used for one message: the kind that is built fastest.
    let kind = Some(AhoCorasickKind::NoncontiguousNFA);
    let Ok(search) = AhoCorasick::builder().kind(kind).build(&values) else { return Vec::new() };
    let mut repeated = Vec::new();
    let texts = std::iter::once((MESSAGE, message))
        .chain(places.iter().enumerate().map(|(index, place)| (PlaceId(index + 1), &*place.text)));
    for (id, text) in texts {
        // What would be replaced in this text: the places in it, and the descriptions that stand in it as they are.
        let slots = targets.iter().filter_map(|target| match target {
            Target::Lines { slot } if slot.place == id => Some(slot.range.clone()),
            _ => None,
        });
        let mut covered: Vec<_> =
            places.iter().filter(|place| place.parent == id).map(|place| place.range.clone()).chain(slots).collect();
        covered.sort_by_key(|range| range.start);
        for hit in search.find_overlapping_iter(text) {
            let before = covered.partition_point(|range| range.start <= hit.start());
            if covered[..before].last().is_some_and(|range| range.end >= hit.end()) {
                continue;
            }
            let pattern = hit.pattern().as_usize();
            if repeated.contains(&owners[pattern]) {
                continue;
            }
            let value = &values[pattern];
            // Descriptions can share a fingerprint: each of them would have to change.
            let sharing = values.iter().zip(&owners).filter(|(other, _)| *other == value).map(|(_, owner)| *owner);
            repeated.extend(sharing.filter(|owner| !repeated.contains(owner)).collect::<Vec<_>>());
        }
    }
    repeated.sort_unstable();
    repeated
}

//! What Auto ICE has to tell: results of calls by scope, and counts of the whole test.
//!
//! Results wait, bounded in number, until their scope's owner takes them; how many wait anywhere is one atomic number, so that
//! looking costs nothing. What is left as it is, and what would be swapped, is logged once of each kind and counted.
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::autoice::dialogs::Role;
use crate::peer::IceServer;

use super::super::tables::SessionKey;
use super::config::LatestSettings;
use super::place::{Place, PlaceKind};

/// Results of one scope that may wait; one more drops the oldest, which is told.
const MOST_RESULTS: usize = 10_000;
/// From so many places of one scope on those that nobody uses are forgotten.
const MANY_PLACES: usize = 64;
/// Kinds of what is told once.
const MOST_KINDS: usize = 256;

/// Auto ICE of a whole engine.
#[derive(Default)]
pub(in crate::engine) struct AutoIce {
    /// Results that wait in any scope.
    waiting: Arc<AtomicU64>,
    counts: Mutex<Counts>,
    pub(super) settings: LatestSettings,
    /// Something came in: whoever waits for an offer looks again.
    pub(super) changed: Notify,
}

/// Counts since the test began.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    pub(super) calls: u64,
    pub(super) connected: u64,
    pub(super) failed: u64,
    pub(super) lost: u64,
    pub(super) replaced: u64,
    pub(super) leaked: u64,
    pub(super) renegotiated: u64,
    pub(super) offers: u64,
    pub(super) answers: u64,
    pub(super) candidates: u64,
    would_swap: BTreeMap<(String, String), u64>,
    left: BTreeMap<(String, String), u64>,
}

impl AutoIce {
    pub(super) fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock());
    }

    /// Counts from zero.
    pub(in crate::engine) fn begin_test(&self) {
        *self.counts.lock() = Counts::default();
    }

    /// Something was left as it is; `place` and `path` say where.
    pub(super) fn left(&self, reason: &str, place: &str, path: &str) {
        if once(&mut self.counts.lock().left, reason, path) {
            log::warn!("Auto ICE left a message of '{place}' as it is ({path}): {reason}");
        }
    }

    /// Report mode found something.
    pub(super) fn would_swap(&self, what: &str, place: &str, path: &str) {
        if once(&mut self.counts.lock().would_swap, what, path) {
            log::info!("Auto ICE would put a live {what} into messages of '{place}' ({path})");
        }
    }

    /// The counts as JSON; `None` while there is nothing to count.
    pub(in crate::engine) fn snapshot(&self) -> Option<Value> {
        let counts = self.counts.lock();
        let list = |what: &'static str, kinds: &BTreeMap<(String, String), u64>| -> Vec<Value> {
            kinds.iter().map(|((kind, path), count)| json!({what: kind, "path": path, "count": count})).collect()
        };
        let nothing = counts.calls + counts.failed + counts.candidates == 0;
        if nothing && counts.left.is_empty() && counts.would_swap.is_empty() {
            return None;
        }
        Some(json!({
            "calls": counts.calls,
            "connected": counts.connected,
            "failed": counts.failed,
            "lost": counts.lost,
            "replaced": counts.replaced,
            "leaked": counts.leaked,
            "renegotiated": counts.renegotiated,
            "offers": counts.offers,
            "answers": counts.answers,
            "candidates": counts.candidates,
            "wouldSwap": list("what", &counts.would_swap),
            "left": list("reason", &counts.left),
        }))
    }

    /// Results that wait anywhere.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Acquire)
    }

    /// Where that number stands.
    pub(super) fn waiting_count(&self) -> &AtomicU64 {
        &self.waiting
    }

    /// What a scope needs.
    pub(in crate::engine) fn scope(&self) -> Arc<ScopeIce> {
        Arc::new(ScopeIce { waiting: Arc::clone(&self.waiting), kept: Mutex::default() })
    }
}

/// Counts one of a kind; whether it is the first.
fn once(kinds: &mut BTreeMap<(String, String), u64>, kind: &str, path: &str) -> bool {
    let key = (kind.to_owned(), path.to_owned());
    if let Some(count) = kinds.get_mut(&key) {
        *count += 1;
        return false;
    }
    let room = kinds.len() < MOST_KINDS;
    if room {
        kinds.insert(key, 1);
    }
    room
}

/// Auto ICE of one scope.
pub(in crate::engine) struct ScopeIce {
    waiting: Arc<AtomicU64>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    results: VecDeque<Value>,
    places: HashMap<(PlaceKind, String), Arc<Place>>,
    /// Calls without an id that have been named.
    unnamed: u64,
    /// The session that the default name of a call stands for, by our doing.
    newest: Option<SessionKey>,
    /// ICE servers that the other side named last, to any place of this scope.
    servers: Vec<IceServer>,
}

/// A result as it is told.
pub(super) struct Told<'a> {
    pub(super) kind: &'static str,
    pub(super) call_name: &'a str,
    pub(super) dialog: Option<&'a str>,
    pub(super) place: &'a str,
    pub(super) role: Role,
    pub(super) start: SystemTime,
    pub(super) what: Value,
    pub(super) notes: &'a [String],
    pub(super) report: Option<Value>,
}

impl ScopeIce {
    /// Keeps a result until it is taken.
    pub(super) fn push(&self, result: Told<'_>) {
        let start = result.start.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut what = result.what;
        what["notes"] = json!(result.notes);
        let mut told = json!({
            "kind": result.kind,
            "callName": result.call_name,
            "dialog": result.dialog,
            "place": result.place,
            "role": result.role.name(),
            "startEpochMs": u64::try_from(start.as_millis()).unwrap_or(u64::MAX),
        });
        told[if result.kind == "lost" { "lost" } else { "outcome" }] = what;
        if let Some(report) = result.report {
            told["report"] = report;
        }
        let mut kept = self.kept.lock();
        if kept.results.len() == MOST_RESULTS {
            kept.results.pop_front();
            log::warn!("more than {MOST_RESULTS} results of Auto ICE wait in one scope: the oldest was dropped");
        } else {
            self.waiting.fetch_add(1, Ordering::AcqRel);
        }
        kept.results.push_back(told);
    }

    /// Results that wait.
    pub(super) fn len(&self) -> usize {
        self.kept.lock().results.len()
    }

    /// Takes all results.
    pub(in crate::engine) fn take(&self) -> Vec<Value> {
        let results: Vec<Value> = self.kept.lock().results.drain(..).collect();
        self.waiting.fetch_sub(results.len() as u64, Ordering::AcqRel);
        results
    }

    /// The place of that name, which `make` makes if there is none.
    pub(super) fn place(&self, kind: PlaceKind, name: &str, make: impl FnOnce() -> Place) -> Arc<Place> {
        let mut kept = self.kept.lock();
        if kept.places.len() >= MANY_PLACES {
            kept.places.retain(|_, place| Arc::strong_count(place) > 1 || !place.is_idle());
        }
        Arc::clone(kept.places.entry((kind, name.to_owned())).or_insert_with(|| Arc::new(make())))
    }

    /// The place of that name.
    pub(super) fn find_place(&self, kind: PlaceKind, name: &str) -> Option<Arc<Place>> {
        self.kept.lock().places.get(&(kind, name.to_owned())).cloned()
    }

    /// All places.
    pub(super) fn places(&self) -> Vec<Arc<Place>> {
        self.kept.lock().places.values().cloned().collect()
    }

    /// A name for a call whose messages give it none: `auto`, `auto-2`, …
    pub(super) fn next_name(&self) -> String {
        let mut kept = self.kept.lock();
        kept.unnamed += 1;
        match kept.unnamed {
            1 => "auto".to_owned(),
            number => format!("auto-{number}"),
        }
    }

    /// The session that the default name stands for by our doing; the newest takes its place.
    pub(super) fn newest(&self) -> Option<SessionKey> {
        self.kept.lock().newest
    }

    pub(super) fn set_newest(&self, key: SessionKey) {
        self.kept.lock().newest = Some(key);
    }

    /// ICE servers that were named last.
    pub(super) fn servers(&self) -> Vec<IceServer> {
        self.kept.lock().servers.clone()
    }

    pub(super) fn set_servers(&self, servers: Vec<IceServer>) {
        self.kept.lock().servers = servers;
    }
}

impl Drop for ScopeIce {
    fn drop(&mut self) {
        let left = self.kept.get_mut().results.len() as u64;
        self.waiting.fetch_sub(left, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(name: &str) -> Told<'_> {
        Told {
            kind: "connect",
            call_name: name,
            dialog: None,
            place: "socket",
            role: Role::Offerer,
            start: SystemTime::now(),
            what: json!({"success": true}),
            notes: &[],
            report: None,
        }
    }

    #[test]
    fn a_result_is_taken_once_and_counted_while_it_waits() {
        let ice = AutoIce::default();
        let (one, other) = (ice.scope(), ice.scope());
        one.push(result("a"));
        other.push(result("b"));
        assert_eq!(ice.waiting(), 2);
        let taken = one.take();
        assert_eq!((taken.len(), &taken[0]["callName"], ice.waiting()), (1, &json!("a"), 1));
        assert_eq!(one.take(), Vec::<Value>::new());
        drop(other);
        assert_eq!(ice.waiting(), 0, "a scope that goes takes its results with it");
    }

    #[test]
    fn what_is_left_is_counted_by_reason_and_path() {
        let ice = AutoIce::default();
        assert_eq!(ice.snapshot(), None);
        ice.left("signed", "socket", "JSON sdp");
        ice.left("signed", "socket", "JSON sdp");
        let snapshot = ice.snapshot().expect("something");
        assert_eq!(snapshot["left"], json!([{"reason": "signed", "path": "JSON sdp", "count": 2}]));
        ice.begin_test();
        assert_eq!(ice.snapshot(), None);
    }

    #[test]
    fn calls_without_an_id_are_numbered() {
        let scope = AutoIce::default().scope();
        assert_eq!([scope.next_name(), scope.next_name()], ["auto", "auto-2"]);
    }
}

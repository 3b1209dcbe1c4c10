//! Everything that has a handle, and the counts of what has left.
//!
//! Handles are generational keys: a key that was closed, forged or whose slot was used again names nothing, and asking for
//! it is an [`EngineError::Stale`]. Entries are shared (`Arc` inside), so something may be closed while a call uses it.
//! The tables are plain data behind one lock that is never held across a wait; dropping them closes nothing politely.

use std::collections::HashMap;
use std::fmt;

use slotmap::{Key, KeyData, SlotMap, new_key_type};
use tokio_util::sync::CancellationToken;

use super::error::EngineError;
use super::labs::LabEntry;
use super::sessions::SessionEntry;
use super::sockets::SocketEntry;
use super::tally::Tally;

new_key_type! {
    /// Names a lab.
    pub struct LabKey;
    /// Names an operation.
    pub struct OperationKey;
    /// Names a scope.
    pub struct ScopeKey;
    /// Names a session.
    pub struct SessionKey;
    /// Names a socket.
    pub struct SocketKey;
}

/// The kinds of things that have handles.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(missing_docs)]
pub enum Kind {
    Lab,
    Operation,
    Scope,
    Session,
    Socket,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lab => "lab",
            Self::Operation => "operation",
            Self::Scope => "scope",
            Self::Session => "session",
            Self::Socket => "socket",
        })
    }
}

/// A key as the number that crosses to Java, and back.
pub trait Handle: Key {
    /// What it names.
    const KIND: Kind;

    /// The number; never 0.
    fn number(self) -> u64 {
        self.data().as_ffi()
    }

    /// The key of a number; whether it names something is for the tables to say.
    fn of(number: u64) -> Self {
        Self::from(KeyData::from_ffi(number))
    }

    /// The error for a key that names nothing.
    fn stale(self) -> EngineError {
        EngineError::Stale { kind: Self::KIND, handle: self.number() }
    }
}

impl Handle for LabKey {
    const KIND: Kind = Kind::Lab;
}
impl Handle for OperationKey {
    const KIND: Kind = Kind::Operation;
}
impl Handle for ScopeKey {
    const KIND: Kind = Kind::Scope;
}
impl Handle for SessionKey {
    const KIND: Kind = Kind::Session;
}
impl Handle for SocketKey {
    const KIND: Kind = Kind::Socket;
}

/// A scope: an owner of names, and where names are looked up that it does not have.
pub(super) struct ScopeEntry {
    pub(super) parent: Option<ScopeKey>,
    pub(super) children: Vec<ScopeKey>,
    pub(super) sockets: HashMap<String, SocketKey>,
    pub(super) sessions: HashMap<String, SessionKey>,
    /// Cancelled when the scope closes: ends what is being opened in it.
    pub(super) ending: CancellationToken,
}

/// All handles of one engine, and the tally of what has left.
#[derive(Default)]
pub(super) struct Tables {
    pub(super) labs: SlotMap<LabKey, LabEntry>,
    pub(super) operations: SlotMap<OperationKey, CancellationToken>,
    pub(super) scopes: SlotMap<ScopeKey, ScopeEntry>,
    pub(super) sessions: SlotMap<SessionKey, SessionEntry>,
    pub(super) sockets: SlotMap<SocketKey, SocketEntry>,
    pub(super) tally: Tally,
}

impl Tables {
    /// A new scope under `parent`.
    pub(super) fn open_scope(&mut self, parent: Option<ScopeKey>) -> Result<ScopeKey, EngineError> {
        if let Some(parent) = parent {
            self.scope(parent)?;
        }
        let key = self.scopes.insert(ScopeEntry {
            parent,
            children: Vec::new(),
            sockets: HashMap::new(),
            sessions: HashMap::new(),
            ending: CancellationToken::new(),
        });
        if let Some(parent) = parent.and_then(|parent| self.scopes.get_mut(parent)) {
            parent.children.push(key);
        }
        Ok(key)
    }

    /// The scope of that key.
    pub(super) fn scope(&self, key: ScopeKey) -> Result<&ScopeEntry, EngineError> {
        self.scopes.get(key).ok_or_else(|| key.stale())
    }

    /// The scope of that key, to be changed.
    pub(super) fn scope_mut(&mut self, key: ScopeKey) -> Result<&mut ScopeEntry, EngineError> {
        self.scopes.get_mut(key).ok_or_else(|| key.stale())
    }

    /// The first answer of `find` from `scope` upwards.
    pub(super) fn look_up<T>(
        &self,
        scope: ScopeKey,
        find: impl Fn(&ScopeEntry) -> Option<T>,
    ) -> Result<Option<T>, EngineError> {
        let mut entry = self.scope(scope)?;
        loop {
            if let Some(found) = find(entry) {
                return Ok(Some(found));
            }
            match entry.parent.and_then(|parent| self.scopes.get(parent)) {
                Some(parent) => entry = parent,
                None => return Ok(None),
            }
        }
    }

    /// Whether anything is open that the runtime works for.
    pub(super) fn is_anything_open(&self) -> bool {
        !(self.sockets.is_empty() && self.sessions.is_empty() && self.labs.is_empty())
    }
}

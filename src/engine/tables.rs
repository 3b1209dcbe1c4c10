//! Everything that has a handle, and the counts of what has left.
//!
//! Handles are generational keys: a key that was closed, forged or whose slot was used again names nothing, and asking for
//! it is an [`EngineError::Stale`]. Entries are shared (`Arc` inside), so something may be closed while a call uses it.
//! The tables are plain data behind one lock that is never held across a wait; dropping them closes nothing politely.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use slotmap::{Key, KeyData, SlotMap, new_key_type};
use tokio_util::sync::CancellationToken;

use super::auto_ice::{AutoIce, Place, ScopeIce};
use super::error::EngineError;
use super::labs::LabEntry;
use super::operations::Operation;
use super::sessions::SessionEntry;
use super::sockets::SocketEntry;
use super::softphones::SoftphoneEntry;
use super::tally::Tally;

new_key_type! {
    /// Names a channel of Auto ICE.
    pub struct ChannelKey;
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
    /// Names a softphone that is registered by a profile.
    pub struct SoftphoneKey;
}

/// The kinds of things that have handles.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Messages that Auto ICE looks at for another sampler.
    Channel,
    /// A lab in this process.
    Lab,
    /// The cancel of one blocking call.
    Operation,
    /// An owner of sockets and sessions.
    Scope,
    /// A WebRTC session.
    Session,
    /// A WebSocket.
    Socket,
    /// A softphone that is registered by a profile.
    Softphone,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Channel => "channel",
            Self::Lab => "lab",
            Self::Operation => "operation",
            Self::Scope => "scope",
            Self::Session => "session",
            Self::Socket => "socket",
            Self::Softphone => "softphone",
        })
    }
}

/// Slot 0 holds nothing in any table.
const NEVER_GIVEN_OUT: u64 = 1 << 32;

/// A key as the number that crosses to Java, and back.
pub trait Handle: Key {
    /// What it names.
    const KIND: Kind;

    /// The number; never 0.
    fn number(self) -> u64 {
        self.data().as_ffi()
    }

    /// The key of a number, the null key for 0; whether it names something is for the tables to say.
    fn of(number: u64) -> Self {
        let key = KeyData::from_ffi(number);
        if number == 0 {
            Self::null()
        } else if key.as_ffi() == number {
            Self::from(key)
        } else {
            // Reading it repaired it: it was never given out, and must not become the name of something that was.
            Self::from(KeyData::from_ffi(NEVER_GIVEN_OUT))
        }
    }

    /// The error for a key that names nothing.
    fn stale(self) -> EngineError {
        EngineError::Stale { kind: Self::KIND, handle: self.number() }
    }
}

impl Handle for ChannelKey {
    const KIND: Kind = Kind::Channel;
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
impl Handle for SoftphoneKey {
    const KIND: Kind = Kind::Softphone;
}

/// A scope: an owner of names, and where names are looked up that it does not have.
pub(super) struct ScopeEntry {
    pub(super) parent: Option<ScopeKey>,
    pub(super) children: Vec<ScopeKey>,
    pub(super) sockets: HashMap<String, SocketKey>,
    pub(super) sessions: HashMap<String, SessionKey>,
    pub(super) softphones: HashMap<String, SoftphoneKey>,
    pub(super) channels: Vec<ChannelKey>,
    pub(super) auto_ice: Arc<ScopeIce>,
    /// Cancelled when the scope closes: ends what is being opened in it.
    pub(super) ending: CancellationToken,
}

/// All handles of one engine, and the tally of what has left.
#[derive(Default)]
pub(super) struct Tables {
    pub(super) auto_ice: Arc<AutoIce>,
    pub(super) channels: SlotMap<ChannelKey, Arc<Place>>,
    pub(super) labs: SlotMap<LabKey, LabEntry>,
    pub(super) operations: SlotMap<OperationKey, Arc<Operation>>,
    pub(super) scopes: SlotMap<ScopeKey, ScopeEntry>,
    pub(super) sessions: SlotMap<SessionKey, SessionEntry>,
    pub(super) sockets: SlotMap<SocketKey, SocketEntry>,
    pub(super) softphones: SlotMap<SoftphoneKey, SoftphoneEntry>,
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
            softphones: HashMap::new(),
            channels: Vec::new(),
            auto_ice: self.auto_ice.scope(),
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
        !(self.sockets.is_empty() && self.sessions.is_empty() && self.softphones.is_empty() && self.labs.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_names_only_what_it_was_given_out_for() {
        let mut tables = Tables::default();
        let key = tables.open_scope(None).expect("a scope");
        assert!(tables.scope(Handle::of(key.number())).is_ok());
        for bit in 0..64 {
            let forged = ScopeKey::of(key.number() ^ (1 << bit));
            assert!(tables.scope(forged).is_err(), "bit {bit}");
        }
        assert!(ScopeKey::of(0).is_null());
        assert!(!OperationKey::of(2).is_null(), "a forged operation is not none");
    }

    #[test]
    fn a_slot_that_is_used_again_has_another_number() {
        let mut tables = Tables::default();
        let old = tables.open_scope(None).expect("a scope");
        tables.scopes.remove(old);
        let new = tables.open_scope(None).expect("a scope");
        assert_ne!(old.number(), new.number());
        let stale = tables.scope(old).map(|_| ()).expect_err("stale");
        assert!(matches!(stale, EngineError::Stale { kind: Kind::Scope, .. }), "{stale}");
    }

    #[test]
    fn names_are_looked_up_in_the_scope_and_then_above() {
        let mut tables = Tables::default();
        let test = tables.open_scope(None).expect("a scope");
        let thread = tables.open_scope(Some(test)).expect("a scope");
        let shared = SocketKey::of((7 << 32) | 1);
        tables.scope_mut(test).expect("open").sockets.insert("shared".to_owned(), shared);
        let find = |scope| tables.look_up(scope, |entry| entry.sockets.get("shared").copied()).expect("open");
        assert_eq!(find(thread), Some(shared));
        assert_eq!(find(test), Some(shared));
        let none = tables.look_up(thread, |entry| entry.sockets.get("none").copied()).expect("open");
        assert_eq!(none, None);
    }
}

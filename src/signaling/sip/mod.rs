//! SIP over WebSocket (RFC 7118): the driver of profiles with `"driver": "sip"`.
//!
//! One [`UserAgent`] is one softphone: what happened goes in, what to do comes out, in the words of a profile's machine
//! ([`Input`](super::profile::Input), [`Action`](super::profile::Action)), so that WebSockets, PeerConnections and handles are the
//! same. Pure: time, bytes and the seed of its random numbers are arguments. Guarantees:
//! - a WebSocket is reliable, so nothing is sent twice but a 2xx to an INVITE until its ACK (RFC 3261 §13.3.1.4); every
//!   request has a deadline of 32 s (64 × T1), registering that of the profile;
//! - a message of a server never ends more than the call it is of; what cannot be read is a problem that is reported;
//! - losing the WebSocket ends calls that are being set up, which have no dialog to go on with, and no other;
//! - what a server makes us keep is bounded: calls, transactions, tones.
//!
//! It stands on `rsipstack` for what is a value: it reads and writes messages, takes challenges apart, computes digests, and has
//! the keys of transactions and dialogs (`TransactionKey`, `DialogId`). What is driven is ours. The endpoint, transactions and
//! dialogs of `rsipstack` 0.7 are futures on tokio's clock, each in a task of its own, also over a `ChannelConnection`, and by its
//! documentation `Transaction::receive` is not to be dropped by a deadline or a cancel, without which nothing here may wait.
//! It has no session timers.
mod agent;
mod calls;
pub(crate) mod dialog;
pub(crate) mod digest;
pub(crate) mod message;
pub(crate) mod session_timer;
mod settings;

pub use agent::UserAgent;

#[cfg(test)]
mod tests;

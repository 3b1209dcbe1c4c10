//! Signaling profiles: a protocol as data.
//!
//! A profile is one JSON file ([`Profile`]) that says how a softphone logs in, what messages mean and what is sent. Frames
//! become JSON ([`codec`]), JSONPath selects from them ([`Selector`]), templates make new ones ([`Template`]); a [`Machine`]
//! interprets it for one softphone.
//!
//! Guarantees: a profile is checked whole before anything is opened, and errors say line and column; everything here is pure:
//! time and bytes are arguments, nothing is opened and nothing waits.
mod backoff;
mod calls;
pub mod codec;
mod format;
pub(crate) mod fragment;
mod machine;
mod messages;
mod parameters;
mod place;
mod rate;
mod selector;
mod servers;
mod template;

pub(crate) use backoff::Backoff;
pub use format::*;
pub use machine::Machine;
pub(crate) use machine::uuid;
pub use messages::*;
pub(crate) use parameters::{parameters, rendered};
pub use selector::Selector;
pub(crate) use template::text_of;
pub use template::{Body, RenderError, Shape, Template};

#[cfg(test)]
mod tests;

//! Auto ICE: finds session descriptions in any message of a plan, and says what to put in their place.
//!
//! Guarantees. Everything here is a pure function over bytes, or a small table: nothing waits, nothing is opened, no clock is
//! read. A message in which nothing is found stays as it is, byte for byte; one in which something is replaced differs only
//! inside what was replaced and in the lengths that count it. On doubt a message is left alone, and the reason is data
//! ([`Left`]). Work and memory are bounded by the message's size and by fixed limits, whatever the message holds.
mod classify;
pub mod dialogs;
mod doubt;
pub mod finding;
mod framing;
mod hang_up;
mod headed;
mod json;
mod prefilter;
mod reader;
pub mod reading;
mod repeated;
mod scope;
mod sdp;
mod servers;
pub mod shape;
mod splice;
mod tree;
pub mod trickle;
mod wrapping;
mod xml;

pub use finding::{Content, Dialog, Direction, Finding, FoundIceServer, Left, SdpType};
pub use prefilter::may_hold;
pub use reading::{Options, Reading, Replacement, read};
pub use shape::{Mids, Overlay, Shape, ShapeError, Shaped, shaped};

//! Why something failed: facts in, a verdict out.
//!
//! Pure: this room reads no clock, no `/proc` and no socket, waits for nothing and keeps nothing, so there is nothing to undo
//! on drop or cancel. A verdict may be asked for at any time.

pub mod facts;

//! The payload of a frame that came.
//!
//! Guarantees: what is as short as most signs of life are needs no allocation of its own, so that a thread that has only just got
//! the CPU back touches no memory for it that it has not at hand. Never changes once it is made; a clone is a copy.

use std::fmt;
use std::ops::Deref;

use smallvec::SmallVec;

/// So many bytes need no allocation.
const SHORT: usize = 48;

/// Bytes of a frame behind its header, unmasked; inflated where the message was compressed.
#[derive(Clone, Default)]
pub struct Payload(SmallVec<[u8; SHORT]>);

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<&[u8]> for Payload {
    fn from(bytes: &[u8]) -> Self {
        Self(SmallVec::from_slice(bytes))
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self(SmallVec::from_vec(bytes))
    }
}

impl<T: AsRef<[u8]> + ?Sized> PartialEq<T> for Payload {
    fn eq(&self, other: &T) -> bool {
        **self == *other.as_ref()
    }
}

impl Eq for Payload {}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_payloads_are_what_they_were_made_of() {
        for length in [0, 1, SHORT - 1, SHORT, SHORT + 1, 70_000] {
            let bytes: Vec<u8> = (0..length).map(|byte| (byte % 251) as u8).collect();
            let payload = Payload::from(bytes.as_slice());
            assert_eq!(payload, bytes);
            assert_eq!(payload, Payload::from(bytes.clone()));
            assert_eq!(payload.clone().to_vec(), bytes);
        }
        assert_ne!(Payload::from(&b"a"[..]), "b");
    }
}

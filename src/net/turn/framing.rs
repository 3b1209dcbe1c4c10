//! TURN messages in a stream: STUN messages and ChannelData one after the other, the latter padded to four bytes
//! (RFC 8489 §6.2.2, RFC 8656 §12.5). Pure.
use bytes::{Buf, BytesMut};

/// How long the message is whose first bytes are `start`, and how many bytes it takes in the stream; `None` before
/// there are enough of them to say.
///
/// # Errors
/// When it is neither (RFC 8656 §12: first two bits 00 or 01): the stream cannot be read any further.
fn extent(start: &[u8]) -> Result<Option<(usize, usize)>, NotTurn> {
    let [first, _, high, low, ..] = start else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    match first >> 6 {
        0b00 => Ok(Some((20 + length, 20 + length))),
        0b01 => Ok(Some((4 + length, (4 + length).next_multiple_of(4)))),
        _ => Err(NotTurn(*first)),
    }
}

/// The stream does not go on with a TURN message, but with this byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server sent a byte {0:#04x} where a STUN message or ChannelData begins: it is no TURN server")]
pub(super) struct NotTurn(u8);

/// Takes the first message out of `stream` into `message`, without its padding; longer than that it is cut. `None` when
/// it is not whole yet.
///
/// # Errors
/// [`NotTurn`].
pub(super) fn take(stream: &mut BytesMut, message: &mut [u8]) -> Result<Option<usize>, NotTurn> {
    let Some((length, taken)) = extent(stream)? else { return Ok(None) };
    if stream.len() < taken {
        return Ok(None);
    }
    let kept = length.min(message.len());
    message[..kept].copy_from_slice(&stream[..kept]);
    stream.advance(taken);
    Ok(Some(kept))
}

/// Appends `message` to `stream`, with its padding.
pub(super) fn put(message: &[u8], stream: &mut BytesMut) {
    stream.extend_from_slice(message);
    stream.resize(stream.len() + message.len().next_multiple_of(4) - message.len(), 0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::stun::tests::message;

    #[test]
    fn messages_come_out_of_any_pieces_as_they_went_in() {
        let messages =
            [message(0x0003, 1, &[(0x0019, &[17, 0, 0, 0])]), vec![0x40, 1, 0, 5, 1, 2, 3, 4, 5], vec![0x40, 1, 0, 0]];
        let mut whole = BytesMut::new();
        for message in &messages {
            put(message, &mut whole);
        }
        for size in 1..=whole.len() {
            let (mut stream, mut found) = (BytesMut::new(), Vec::new());
            for piece in whole.chunks(size) {
                stream.extend_from_slice(piece);
                let mut buffer = [0; 100];
                while let Some(length) = take(&mut stream, &mut buffer).expect("TURN") {
                    found.push(buffer[..length].to_vec());
                }
            }
            assert_eq!(found, messages, "in pieces of {size}");
            assert!(stream.is_empty());
        }
    }

    #[test]
    fn a_stream_of_something_else_is_an_error() {
        let mut stream = BytesMut::from(&b"\xffTTP/1.1 400 Bad Request"[..]);
        assert_eq!(take(&mut stream, &mut [0; 100]), Err(NotTurn(0xff)));
    }
}

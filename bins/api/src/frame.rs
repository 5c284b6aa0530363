//! Messages on the stream: four bytes of length, big endian, then JSON.

use serde::Serialize;

/// The longest message that is accepted, in bytes.
pub const MAX_FRAME: usize = 16 << 20;

/// A message that cannot be framed.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The length is over [`MAX_FRAME`].
    #[error("a message of {length} bytes is over the limit of {MAX_FRAME}")]
    TooLong {
        /// Length in bytes.
        length: usize,
    },
    /// The message has no JSON form.
    #[error("the message cannot be written as JSON: {0}")]
    Encode(#[source] serde_json::Error),
}

/// The bytes of a message: length and JSON.
///
/// # Errors
/// When the message has no JSON form or is too long.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message).map_err(FrameError::Encode)?;
    let length = bytes.len() - 4;
    if length > MAX_FRAME {
        return Err(FrameError::TooLong { length });
    }
    bytes[..4].copy_from_slice(&(length as u32).to_be_bytes());
    Ok(bytes)
}

/// The length that a message's first four bytes announce.
///
/// # Errors
/// When it is over [`MAX_FRAME`].
pub fn decode_length(head: [u8; 4]) -> Result<usize, FrameError> {
    let length = u32::from_be_bytes(head) as usize;
    if length > MAX_FRAME { Err(FrameError::TooLong { length }) } else { Ok(length) }
}

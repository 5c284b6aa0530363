//! The agent's protocol.

use api::{MAX_FRAME, Reply, Request, decode_length, encode};

/// Reads the input as a frame. What is accepted can be written, and read again as the same.
pub fn frame(input: &[u8]) {
    let Some((head, body)) = input.split_first_chunk::<4>() else { return };
    if let Ok(length) = decode_length(*head) {
        assert!(length <= MAX_FRAME, "a length of {length} is over the limit");
    }
    // The announced length is the reader's business; here the body is what is left.
    if let Ok(request) = serde_json::from_slice::<Request>(body) {
        same_again(&request, |body| serde_json::from_slice(body));
    }
    if let Ok(reply) = serde_json::from_slice::<Reply>(body) {
        same_again(&reply, |body| serde_json::from_slice(body));
    }
}

fn same_again<T: serde::Serialize>(message: &T, read: impl Fn(&[u8]) -> serde_json::Result<T>) {
    // Only its length can forbid it, and reading does not limit that here.
    let Ok(frame) = encode(message) else { return };
    let (head, body) = frame.split_first_chunk::<4>().expect("a frame begins with its length");
    assert_eq!(decode_length(*head).ok(), Some(body.len()));
    let again = read(body).expect("what was written can be read");
    assert_eq!(encode(&again).ok().as_ref(), Some(&frame));
}

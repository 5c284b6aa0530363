//! The journal's bytes: encoding, replay, compaction. No I/O.
//!
//! A journal is [`MAGIC`] followed by records. A record is a header of three little-endian 32-bit numbers
//! (length of the payload, CRC-32 of these four bytes, CRC-32 of the payload) and the payload, a
//! [`Record`] as JSON.
//!
//! Each record is on disk before the next is written, so a crash can damage the last one only, by cutting
//! it short or leaving zeros where it should be: that is a torn tail, which was never acknowledged. The
//! header's own checksum tells a length that is true from one that is not, so no damage elsewhere passes
//! for a torn tail.

use crate::state::{Conflict, Record, State};

/// The first bytes of a journal; the digit is the format's version. Version 2 added the records of drains
/// ([`Record::Drained`], [`Record::Epoch`]): who knows version 1 only must refuse it as a whole, rather than give
/// addresses that are promised back.
pub const MAGIC: &[u8; 8] = b"NLIPAM2\n";

/// The first bytes of a journal of version 1, which is read, too.
pub const MAGIC_V1: &[u8; 8] = b"NLIPAM1\n";

/// Length of a record's header, in bytes.
const HEADER: usize = 12;

/// What a journal says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// The state that the records lead to.
    pub state: State,
    /// How many records there are.
    pub records: usize,
    /// How many bytes of the journal are whole records; the rest is to be cut off.
    pub valid_len: u64,
    /// Whether there is such a rest: the last write was interrupted.
    pub torn: bool,
    /// The format's version: 2, or 1 for one that has to be rewritten before it is appended to.
    pub version: u8,
}

/// Damage that no interrupted write explains. Nothing is skipped: a lost record might be an address given
/// twice.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The file does not begin as a journal does, or as one of another version.
    #[error("not an address journal of version 1 or 2")]
    Magic,
    /// A checksum does not match.
    #[error("the journal's record at byte {offset} is damaged ({part})")]
    Damaged {
        /// Where the record begins.
        offset: u64,
        /// Its damaged part: "header" or "payload".
        part: &'static str,
    },
    /// A whole record that this version cannot read.
    #[error("the journal's record at byte {offset} cannot be read: {source}")]
    Unreadable {
        /// Where the record begins.
        offset: u64,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A record gives away what somebody has.
    #[error("the journal's record at byte {offset} contradicts those before it: {source}")]
    Contradiction {
        /// Where the record begins.
        offset: u64,
        /// The contradiction.
        source: Conflict,
    },
}

/// A record as it is appended to a journal.
#[must_use]
pub fn encode(record: &Record) -> Vec<u8> {
    let payload = serde_json::to_vec(record).expect("a record consists of strings and numbers only");
    let length =
        u32::try_from(payload.len()).expect("an attachment's record is far from 4 GiB").to_le_bytes();
    let mut bytes = Vec::with_capacity(HEADER + payload.len());
    bytes.extend_from_slice(&length);
    bytes.extend_from_slice(&crc32fast::hash(&length).to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&payload).to_le_bytes());
    bytes.extend_from_slice(&payload);
    bytes
}

/// A whole journal that leads to `state`.
#[must_use]
pub fn snapshot(state: &State) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for record in state.records() {
        bytes.extend_from_slice(&encode(&record));
    }
    bytes
}

/// Reads a journal. Empty bytes, or a part of [`MAGIC`], are one that was being made.
///
/// ```
/// use ipam::{Record, Timestamp, journal};
///
/// let record = Record::Released { owner: "c1/eth0".to_owned(), at: Timestamp(1) };
/// let mut bytes = journal::MAGIC.to_vec();
/// bytes.extend(journal::encode(&record));
/// let whole = bytes.len() as u64;
/// bytes.extend(&journal::encode(&record)[..20]); // the power failed here
///
/// let replay = journal::replay(&bytes)?;
/// assert!(replay.torn);
/// assert_eq!((replay.records, replay.valid_len), (1, whole));
/// # Ok::<(), journal::JournalError>(())
/// ```
///
/// # Errors
/// [`JournalError`], with the offset of the first record that is wrong.
pub fn replay(bytes: &[u8]) -> Result<Replay, JournalError> {
    let mut replay = Replay { state: State::default(), records: 0, valid_len: 0, torn: false, version: 2 };
    let records = if let Some(records) = bytes.strip_prefix(MAGIC.as_slice()) {
        records
    } else if let Some(records) = bytes.strip_prefix(MAGIC_V1.as_slice()) {
        replay.version = 1;
        records
    } else if MAGIC.starts_with(bytes) || MAGIC_V1.starts_with(bytes) || is_unwritten(bytes) {
        replay.torn = !bytes.is_empty();
        return Ok(replay);
    } else {
        return Err(JournalError::Magic);
    };
    let mut rest = records;
    loop {
        let offset = (bytes.len() - rest.len()) as u64;
        replay.valid_len = offset;
        match next(rest, offset)? {
            Next::End => return Ok(replay),
            Next::Torn => {
                replay.torn = true;
                return Ok(replay);
            }
            Next::Payload(payload, after) => {
                let record = serde_json::from_slice(payload)
                    .map_err(|source| JournalError::Unreadable { offset, source })?;
                replay
                    .state
                    .apply(&record)
                    .map_err(|source| JournalError::Contradiction { offset, source })?;
                replay.records += 1;
                rest = after;
            }
        }
    }
}

enum Next<'a> {
    End,
    Torn,
    Payload(&'a [u8], &'a [u8]),
}

fn next(rest: &[u8], offset: u64) -> Result<Next<'_>, JournalError> {
    if rest.is_empty() {
        return Ok(Next::End);
    }
    let Some((header, body)) = rest.split_at_checked(HEADER) else {
        return Ok(Next::Torn);
    };
    let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    if crc32fast::hash(&header[..4]) != word(4) {
        // No payload is zeros only: this one was never written, nor was all of its header.
        let unwritten = is_unwritten(body);
        return if unwritten {
            Ok(Next::Torn)
        } else {
            Err(JournalError::Damaged { offset, part: "header" })
        };
    }
    // The length is true: where the record ends after the file, the file was cut short.
    let Some((payload, after)) = body.split_at_checked(word(0) as usize) else {
        return Ok(Next::Torn);
    };
    if crc32fast::hash(payload) != word(8) {
        // Payloads end with a brace; a zero there was never written.
        let unwritten = after.is_empty() && payload.last() == Some(&0);
        return if unwritten {
            Ok(Next::Torn)
        } else {
            Err(JournalError::Damaged { offset, part: "payload" })
        };
    }
    Ok(Next::Payload(payload, after))
}

/// Room that the file system gave to the file, whose contents a crash prevented.
fn is_unwritten(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

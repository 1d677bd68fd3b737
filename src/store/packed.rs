//! The packed form of a record.

use std::{fmt, ops::Deref};

use super::record::SessionRecord;
use crate::clock::Timestamp;

/// The length of the longer version.
const LEN: usize = 62;
const VERSION: u8 = 1;
/// The version of sessions that are bound to a device. Releases that do not know it fail, and so never refresh one
/// without proof. Its times have six bytes, so that it is no longer than the other.
const BOUND: u8 = 2;
const ENDED: u8 = 1;
/// The last time of six bytes, in the year 10889.
const LAST: u64 = (1 << 48) - 1;

/// The packed form of a [`SessionRecord`], for a store to keep: a slice of at most 64 bytes, of which the first is a
/// version.
///
/// Its length depends on the version.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PackedRecord {
    bytes: [u8; LEN],
    len: usize,
}

impl Deref for PackedRecord {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl AsRef<[u8]> for PackedRecord {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for PackedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PackedRecord").field(&SessionRecord::from_bytes(self)).finish()
    }
}

/// Writes a packed form from front to back.
struct Writer(PackedRecord);

impl Writer {
    fn put(&mut self, bytes: &[u8]) {
        let end = self.0.len + bytes.len();
        if let Some(place) = self.0.bytes.get_mut(self.0.len..end) {
            place.copy_from_slice(bytes);
            self.0.len = end;
        }
    }
}

/// Takes the first bytes off the rest.
fn take<const LEN: usize>(rest: &mut &[u8]) -> Option<[u8; LEN]> {
    let (first, others) = rest.split_first_chunk()?;
    *rest = others;
    Some(*first)
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    take(rest).map(u32::from_be_bytes)
}

/// Reads a time of the version of a record.
fn time(is_bound: bool, rest: &mut &[u8]) -> Option<Timestamp> {
    let millis = if is_bound {
        let [a, b, c, d, e, f] = take(rest)?;
        [0, 0, a, b, c, d, e, f]
    } else {
        take(rest)?
    };
    Some(Timestamp::from_millis(u64::from_be_bytes(millis)))
}

fn present(time: Timestamp) -> Option<Timestamp> {
    (time != Timestamp::default()).then_some(time)
}

impl SessionRecord {
    /// Returns the packed form, for a store to keep.
    pub fn to_bytes(&self) -> PackedRecord {
        let is_bound = self.bound_at.is_some();
        let mut packed = Writer(PackedRecord { bytes: [0; LEN], len: 0 });
        packed.put(&[if is_bound { BOUND } else { VERSION }, if self.ended { ENDED } else { 0 }]);
        for number in [self.generation, self.previous.unwrap_or(0), self.epoch] {
            packed.put(&number.to_be_bytes());
        }
        let optional = Option::unwrap_or_default;
        let times = [
            self.created_at,
            optional(self.rotated_at),
            optional(self.confirmed_at),
            optional(self.access_expired_at),
            self.idle_end,
            self.absolute_end,
        ];
        for time in times.into_iter().chain(self.bound_at) {
            match is_bound {
                true => packed.put(time.as_millis().min(LAST).to_be_bytes().split_at(2).1),
                false => packed.put(&time.as_millis().to_be_bytes()),
            }
        }
        packed.0
    }

    /// Reads the packed form.
    ///
    /// # Errors
    ///
    /// [`CorruptRecord`] when the length or the version is not one that this release reads.
    pub fn from_bytes(packed: &[u8]) -> Result<Self, CorruptRecord> {
        fn read(mut rest: &[u8]) -> Option<SessionRecord> {
            let rest = &mut rest;
            let [version @ (VERSION | BOUND), flags @ (0 | ENDED)] = take(rest)? else { return None };
            let is_bound = version == BOUND;
            let record = SessionRecord {
                ended: flags == ENDED,
                generation: number(rest)?,
                previous: Some(number(rest)?).filter(|generation| *generation != 0),
                epoch: number(rest)?,
                created_at: time(is_bound, rest)?,
                rotated_at: present(time(is_bound, rest)?),
                confirmed_at: present(time(is_bound, rest)?),
                access_expired_at: present(time(is_bound, rest)?),
                idle_end: time(is_bound, rest)?,
                absolute_end: time(is_bound, rest)?,
                // It would not be demanded if it read as absent.
                bound_at: if is_bound { Some(present(time(is_bound, rest)?)?) } else { None },
            };
            rest.is_empty().then_some(record)
        }
        read(packed).ok_or(CorruptRecord(()))
    }
}

/// The bytes are not a [`SessionRecord`] of a version that this release reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CorruptRecord(());

impl fmt::Display for CorruptRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a session record of a known version")
    }
}

impl std::error::Error for CorruptRecord {}

//! The packed form of a record.

use std::{fmt, ops::Deref};

use super::record::SessionRecord;
use crate::clock::Timestamp;

const LEN: usize = 62;
const VERSION: u8 = 1;
const ENDED: u8 = 1;

/// The packed form of a [`SessionRecord`], for a store to keep: a slice of bytes, of which the first is a version.
///
/// Its length may change with the version.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PackedRecord([u8; LEN]);

impl Deref for PackedRecord {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for PackedRecord {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for PackedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PackedRecord").field(&SessionRecord::from_bytes(&self.0)).finish()
    }
}

impl SessionRecord {
    /// Returns the packed form, for a store to keep.
    pub fn to_bytes(&self) -> PackedRecord {
        fn optional(time: Option<Timestamp>) -> u64 {
            time.map_or(0, Timestamp::as_millis)
        }
        let mut packed = [0; LEN];
        packed[0] = VERSION;
        packed[1] = if self.ended { ENDED } else { 0 };
        packed[2..6].copy_from_slice(&self.generation.to_be_bytes());
        packed[6..10].copy_from_slice(&self.previous.unwrap_or(0).to_be_bytes());
        packed[10..14].copy_from_slice(&self.epoch.to_be_bytes());
        packed[14..22].copy_from_slice(&self.created_at.as_millis().to_be_bytes());
        packed[22..30].copy_from_slice(&optional(self.rotated_at).to_be_bytes());
        packed[30..38].copy_from_slice(&optional(self.confirmed_at).to_be_bytes());
        packed[38..46].copy_from_slice(&optional(self.access_expired_at).to_be_bytes());
        packed[46..54].copy_from_slice(&self.idle_end.as_millis().to_be_bytes());
        packed[54..62].copy_from_slice(&self.absolute_end.as_millis().to_be_bytes());
        PackedRecord(packed)
    }

    /// Reads the packed form.
    ///
    /// # Errors
    ///
    /// [`CorruptRecord`] when the length or the version is not one that this release reads.
    pub fn from_bytes(packed: &[u8]) -> Result<Self, CorruptRecord> {
        /// Takes the first bytes off the rest.
        fn take<const LEN: usize>(rest: &mut &[u8]) -> Option<[u8; LEN]> {
            let (first, others) = rest.split_first_chunk()?;
            *rest = others;
            Some(*first)
        }
        fn time(rest: &mut &[u8]) -> Option<Timestamp> {
            take(rest).map(u64::from_be_bytes).map(Timestamp::from_millis)
        }
        fn optional_time(rest: &mut &[u8]) -> Option<Option<Timestamp>> {
            time(rest).map(|time| (time != Timestamp::default()).then_some(time))
        }
        fn read(mut rest: &[u8]) -> Option<SessionRecord> {
            let rest = &mut rest;
            let [VERSION, flags @ (0 | ENDED)] = take(rest)? else { return None };
            let record = SessionRecord {
                ended: flags == ENDED,
                generation: u32::from_be_bytes(take(rest)?),
                previous: Some(u32::from_be_bytes(take(rest)?)).filter(|generation| *generation != 0),
                epoch: u32::from_be_bytes(take(rest)?),
                created_at: time(rest)?,
                rotated_at: optional_time(rest)?,
                confirmed_at: optional_time(rest)?,
                access_expired_at: optional_time(rest)?,
                idle_end: time(rest)?,
                absolute_end: time(rest)?,
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

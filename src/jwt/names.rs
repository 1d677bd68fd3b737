//! The names of an object: none may be ours, and none may be there twice (RFC 7519, section 4).

use std::{borrow::Cow, collections::BTreeSet};

use super::claims::reserved;

/// The names that came so far.
#[derive(Default)]
pub(super) struct Names<'de> {
    first: [&'de str; FEW],
    count: usize,
    /// A bit for the [`digest`] of each: most names have one that no other has.
    digests: u64,
    /// Those that found no place, or were spelled with escapes.
    more: Option<BTreeSet<Cow<'de, str>>>,
}

/// More names than that cost an allocation.
const FEW: usize = 8;

impl<'de> Names<'de> {
    /// Whether a name may be there, and was not yet.
    #[inline]
    pub(super) fn admit(&mut self, name: &'de str) -> bool {
        let digest = digest(name);
        if reserved(name).is_some() || self.digests & digest != 0 && self.knows(name) {
            return false;
        }
        self.digests |= digest;
        match self.first.get_mut(self.count) {
            Some(place) => {
                *place = name;
                self.count += 1;
                true
            }
            None => self.more.get_or_insert_default().insert(Cow::Borrowed(name)),
        }
    }

    /// The same for a name that does not stand there as it is.
    pub(super) fn admit_escaped(&mut self, name: &str) -> bool {
        let is_good = reserved(name).is_none() && !self.knows(name);
        self.digests |= digest(name);
        is_good && self.more.get_or_insert_default().insert(Cow::Owned(name.to_owned()))
    }

    #[cold]
    fn knows(&self, name: &str) -> bool {
        self.first.iter().take(self.count).any(|known| *known == name)
            || self.more.as_ref().is_some_and(|more| more.contains(name))
    }
}

/// One bit of 64. Odd factors, so that letters next to each other and lengths go to different ones.
#[inline]
fn digest(name: &str) -> u64 {
    match name.as_bytes() {
        [first, .., last] => 1_u64.rotate_left(u32::from(*first) * 5 + u32::from(*last) * 3 + name.len() as u32 * 11),
        _ => 1,
    }
}

//! What stands for a value in `Debug`, since applications log what they debug.

use std::fmt;

/// Stands for a value that is not printed.
pub(crate) struct Redacted;

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Stands for the application's data, of which only the length is printed.
pub(super) struct Bytes(usize);

impl Bytes {
    pub(super) fn of(data: &[u8]) -> Self {
        Self(data.len())
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes]", self.0)
    }
}

//! Data that belongs to a session and stays on the server.

use std::fmt;

use serde::{Serialize, de::DeserializeOwned};

use super::SessionManager;
use crate::{
    auth::Session,
    claims::Claims,
    error::{Error, ErrorKind, expectation},
    store::{PutData, PutOutcome, Redacted},
};

/// A value and the version in which it was read. `Debug` does not print the value.
#[derive(Clone, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The value; `None` when nothing was written yet.
    pub value: Option<T>,
    /// Counts the writes; 0 when there was none.
    pub version: u64,
}

impl<T> fmt::Debug for Versioned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.as_ref().map(|_| Redacted);
        f.debug_struct("Versioned").field("value", &value).field("version", &self.version).finish()
    }
}

/// How often an update is tried again after concurrent writes.
const MAX_ATTEMPTS: usize = 32;

impl<C: Claims> SessionManager<C> {
    /// Reads the session's data.
    ///
    /// # When the type changes
    ///
    /// Sessions outlive deployments, so a newer release reads data that an older one wrote and, while both serve, the
    /// other way round. A new field has to be an `Option` or have `#[serde(default)]`, and a field that the older
    /// release needs has to be kept. For any other change there is [`data_or_else`](Self::data_or_else); to read any
    /// JSON there is `data::<serde_json::Value>`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SessionEnded`], [`ErrorKind::Store`], [`ErrorKind::WrongManager`], and [`ErrorKind::DataFormat`]
    /// when what was written is no `T`: a `500`; the log says what was expected where, but not what was found.
    pub async fn data<T: DeserializeOwned>(&self, session: &Session<C>) -> Result<Versioned<T>, Error> {
        self.read_data(session, |_, unreadable| Err(self.error_caused_by(ErrorKind::DataFormat, unreadable))).await
    }

    /// Reads the session's data, through `older` if it is no `T`, such as what an older release wrote.
    ///
    /// `older` is given the JSON text. If it returns `None`, the data counts as not written: it stays as it is until a
    /// write with the version that was read replaces it.
    ///
    /// ```
    /// # use tower_jwt_sessions::{Error, Session, SessionManager};
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Basket {
    ///     items: Vec<Item>,
    /// }
    ///
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Item {
    ///     name: String,
    ///     count: u32,
    /// }
    ///
    /// /// Before items had counts, a basket was a list of names.
    /// fn older_basket(json: &[u8]) -> Option<Basket> {
    ///     let names = serde_json::from_slice::<Vec<String>>(json).ok()?;
    ///     Some(Basket { items: names.into_iter().map(|name| Item { name, count: 1 }).collect() })
    /// }
    ///
    /// async fn items(sessions: &SessionManager<()>, session: &Session) -> Result<usize, Error> {
    ///     let basket = sessions.data_or_else(session, older_basket).await?;
    ///     Ok(basket.value.map_or(0, |basket| basket.items.len()))
    /// }
    /// # let _ = items;
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SessionEnded`], [`ErrorKind::Store`] and [`ErrorKind::WrongManager`].
    pub async fn data_or_else<T, O>(&self, session: &Session<C>, older: O) -> Result<Versioned<T>, Error>
    where
        T: DeserializeOwned,
        O: FnOnce(&[u8]) -> Option<T> + Send,
    {
        self.read_data(session, |json, _| Ok(older(json))).await
    }

    async fn read_data<T, O>(&self, session: &Session<C>, otherwise: O) -> Result<Versioned<T>, Error>
    where
        T: DeserializeOwned,
        O: FnOnce(&[u8], UnreadableData) -> Result<Option<T>, Error> + Send,
    {
        self.check_session(session)?;
        let read = self.store().get_data(&self.owner(session.user_id()), session.id()).await;
        let data = self.stored(read)?.ok_or_else(|| self.error(ErrorKind::SessionEnded))?;
        let value = match data.bytes {
            None => None,
            Some(json) => match serde_json::from_slice(&json) {
                Ok(value) => Some(value),
                Err(error) => otherwise(&json, UnreadableData::new(&error))?,
            },
        };
        Ok(Versioned { value, version: data.version })
    }

    /// Writes the session's data unless it has changed since `version` was read. Returns the new version.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::DataConflict`] when it has changed, [`ErrorKind::SessionEnded`], [`ErrorKind::Store`],
    /// [`ErrorKind::WrongManager`], [`ErrorKind::DataFormat`] when `value` cannot be written as JSON.
    pub async fn put_data<T: Serialize>(&self, session: &Session<C>, version: u64, value: &T) -> Result<u64, Error> {
        self.check_session(session)?;
        let bytes =
            serde_json::to_vec(value).map_err(|invalid| self.error_caused_by(ErrorKind::DataFormat, invalid))?;
        let put = PutData { owner: self.owner(session.user_id()), id: session.id(), expected_version: version, bytes };
        let outcome = self.store().put_data(&put).await;
        match self.stored(outcome)? {
            PutOutcome::Stored { version } => Ok(version),
            PutOutcome::Conflict => Err(self.error(ErrorKind::DataConflict)),
            PutOutcome::Ended => Err(self.error(ErrorKind::SessionEnded)),
        }
    }

    /// Changes the session's data. The change is applied to the newest value, and again after a concurrent write, so
    /// that no update is lost. Returns what was written.
    ///
    /// ```no_run
    /// # use tower_jwt_sessions::{Error, Session, SessionManager};
    /// async fn count(sessions: &SessionManager<()>, session: &Session) -> Result<u32, Error> {
    ///     sessions.update_data(session, |visits: Option<u32>| visits.unwrap_or(0) + 1).await
    /// }
    /// # let _ = count;
    /// ```
    ///
    /// # When the type changes
    ///
    /// As with [`data`](Self::data); [`update_data_or_else`](Self::update_data_or_else) also changes what an older
    /// release wrote.
    ///
    /// # Errors
    ///
    /// As [`SessionManager::data`] and [`SessionManager::put_data`]; [`ErrorKind::DataConflict`] only when others keep
    /// writing all the time.
    pub async fn update_data<T, F>(&self, session: &Session<C>, change: F) -> Result<T, Error>
    where
        T: Serialize + DeserializeOwned + Send + Sync,
        F: Fn(Option<T>) -> T + Send,
    {
        self.update(session, change, || self.data(session)).await
    }

    /// Changes the session's data as [`update_data`](Self::update_data) does, but reads it as
    /// [`data_or_else`](Self::data_or_else) does: what `older` makes of an older release's data is changed and written
    /// as a `T`. Both functions are called again after a concurrent write.
    ///
    /// # Errors
    ///
    /// As [`SessionManager::data_or_else`] and [`SessionManager::put_data`]; [`ErrorKind::DataConflict`] only when
    /// others keep writing all the time.
    pub async fn update_data_or_else<T, O, F>(&self, session: &Session<C>, older: O, change: F) -> Result<T, Error>
    where
        T: Serialize + DeserializeOwned + Send + Sync,
        O: Fn(&[u8]) -> Option<T> + Send + Sync,
        F: Fn(Option<T>) -> T + Send,
    {
        self.update(session, change, || self.data_or_else(session, &older)).await
    }

    async fn update<T, F, R>(&self, session: &Session<C>, change: F, read: impl Fn() -> R + Send) -> Result<T, Error>
    where
        T: Serialize + Send + Sync,
        F: Fn(Option<T>) -> T + Send,
        R: Future<Output = Result<Versioned<T>, Error>> + Send,
    {
        let mut attempts = 0;
        loop {
            let Versioned { value, version } = read().await?;
            let changed = change(value);
            attempts += 1;
            match self.put_data(session, version, &changed).await {
                Ok(_) => return Ok(changed),
                Err(conflict) if conflict.kind() == ErrorKind::DataConflict && attempts < MAX_ATTEMPTS => {}
                Err(failure) => return Err(failure),
            }
        }
    }
}

/// Why the data cannot be read: what was expected and where, but not what was found, which serde's own message
/// repeats.
#[derive(Debug)]
struct UnreadableData {
    expected: Option<String>,
    line: usize,
    column: usize,
}

impl UnreadableData {
    fn new(error: &serde_json::Error) -> Self {
        Self { expected: expectation(error), line: error.line(), column: error.column() }
    }
}

impl fmt::Display for UnreadableData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expected = self.expected.as_deref().unwrap_or("expected another value");
        write!(f, "{expected} at line {}, column {} of the JSON", self.line, self.column)?;
        f.write_str(": read data of an older type with data_or_else or update_data_or_else")
    }
}

impl std::error::Error for UnreadableData {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Data {
        #[serde(default)]
        count: u8,
        #[serde(default)]
        ids: BTreeMap<u8, [u8; 2]>,
        #[serde(default)]
        kind: Option<Kind>,
        #[serde(default)]
        ip: Option<std::net::IpAddr>,
        name: String,
    }

    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    enum Kind {
        One,
        Two(u8),
    }

    #[test]
    fn unreadable_data_names_what_was_expected_and_nothing_of_what_is_there() {
        for (json, told) in [
            (r#"{"count":"canary"}"#, "expected u8 at line 1, column 17"),
            (r#"{"count":"canary, expected canary"}"#, "expected u8 at line 1"),
            (r#"{"count":777}"#, "expected u8"),
            (r#"{"ids":{"canary":[1,2]}}"#, "expected"),
            (r#"{"ids":{"1":[1,2,3]}}"#, "expected"),
            (r#"{"ids":{"1":[1]}}"#, "expected an array of length 2"),
            (r#"{"kind":"canary"}"#, "expected `One` or `Two`"),
            (r#"{"ip":"canary"}"#, "expected another value"),
            (r#"{"canary":1}"#, "expected one of `count`, `ids`, `kind`, `ip`, `name`"),
            (r#"{"count":1}"#, "missing field `name`"),
            (r#"{"name":"canary","name":"canary"}"#, "duplicate field `name`"),
            (r#""canary"#, "expected another value"),
            (r#"["canary"]"#, "expected u8"),
            ("canary", "expected another value at line 1, column 1"),
        ] {
            let error = UnreadableData::new(&serde_json::from_str::<Data>(json).unwrap_err());
            let text = format!("{error} {error:?}");
            assert!(text.contains(told), "{json}: {text}");
            assert!(!text.contains("canary") && !text.contains("777"), "{json}: {text}");
        }
    }
}

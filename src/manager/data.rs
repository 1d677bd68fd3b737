//! Data that belongs to a session and stays on the server.

use serde::{Serialize, de::DeserializeOwned};

use super::SessionManager;
use crate::{
    error::{Error, ErrorKind},
    session::Session,
    store::{PutData, PutOutcome},
};

/// A value and the version of it that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The value; `None` when nothing was written yet.
    pub value: Option<T>,
    /// Counts the writes; 0 when there was none.
    pub version: u64,
}

/// How often an update is tried again when others write at the same time.
const MAX_ATTEMPTS: usize = 32;

impl<C: Serialize + DeserializeOwned + Send + Sync + 'static> SessionManager<C> {
    /// Reads the session's data.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SessionEnded`], [`ErrorKind::Store`], [`ErrorKind::WrongManager`], and [`ErrorKind::DataFormat`]
    /// when what was written is no `T`.
    pub async fn data<T: DeserializeOwned>(&self, session: &Session<C>) -> Result<Versioned<T>, Error> {
        self.is_our_session(session)?;
        let read = self.inner.store.get_data(&self.owner(session.user_id()), session.id()).await;
        let data = self.stored(read)?.ok_or_else(|| self.error(ErrorKind::SessionEnded))?;
        let value = data.bytes.map(|bytes| serde_json::from_slice(&bytes)).transpose();
        let value = value.map_err(|invalid| self.error_caused_by(ErrorKind::DataFormat, invalid))?;
        Ok(Versioned { value, version: data.version })
    }

    /// Writes the session's data if nobody else did since `version` was read. Returns the new version.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::DataConflict`] when somebody else did, [`ErrorKind::SessionEnded`], [`ErrorKind::Store`],
    /// [`ErrorKind::WrongManager`], [`ErrorKind::DataFormat`] when `value` cannot be written as JSON.
    pub async fn put_data<T: Serialize>(&self, session: &Session<C>, version: u64, value: &T) -> Result<u64, Error> {
        self.is_our_session(session)?;
        let bytes =
            serde_json::to_vec(value).map_err(|invalid| self.error_caused_by(ErrorKind::DataFormat, invalid))?;
        let put = PutData { owner: self.owner(session.user_id()), id: session.id(), expected_version: version, bytes };
        let outcome = self.inner.store.put_data(&put).await;
        match self.stored(outcome)? {
            PutOutcome::Stored { version } => Ok(version),
            PutOutcome::Conflict => Err(self.error(ErrorKind::DataConflict)),
            PutOutcome::Ended => Err(self.error(ErrorKind::SessionEnded)),
        }
    }

    /// Changes the session's data. The change is applied to the newest value, again if somebody else wrote meanwhile,
    /// so that no update is lost. Returns what was written.
    ///
    /// ```no_run
    /// # use tower_jwt_sessions::{Error, Session, SessionManager};
    /// async fn count(sessions: &SessionManager<()>, session: &Session) -> Result<u32, Error> {
    ///     sessions.update_data(session, |visits: Option<u32>| visits.unwrap_or(0) + 1).await
    /// }
    /// # let _ = count;
    /// ```
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
        let mut attempts = 0;
        loop {
            let Versioned { value, version } = self.data::<T>(session).await?;
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

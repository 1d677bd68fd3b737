//! Reads the answers of scripts.

use std::{fmt, net::IpAddr};

use fred::{error::Error as FredError, types::Value};

use crate::{
    clock::Timestamp,
    error::BoxError,
    id::{SessionId, UserId},
    keys::DeviceKey,
    store::{Device, ListedSession, SessionData, SessionRecord},
};

/// An answer, read from front to back.
pub(super) struct Reply(std::vec::IntoIter<Value>);

impl Reply {
    pub(super) fn new(value: Value) -> Self {
        Self(value.into_array().into_iter())
    }

    fn next(&mut self) -> Result<Value, BoxError> {
        self.0.next().ok_or_else(|| Unreadable("answer too short").into())
    }

    pub(super) fn integer<T: TryFrom<u64>>(&mut self) -> Result<T, BoxError> {
        let number = self.next()?.as_u64().and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| Unreadable("not a number").into())
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, BoxError> {
        Ok(Timestamp::from_millis(self.integer()?))
    }

    pub(super) fn word(&mut self) -> Result<String, BoxError> {
        self.next()?.into_string().ok_or_else(|| Unreadable("not a word").into())
    }

    fn bytes(&mut self) -> Result<Option<Vec<u8>>, BoxError> {
        match self.next()? {
            Value::Null => Ok(None),
            value => match value.into_owned_bytes() {
                Some(bytes) => Ok(Some(bytes)),
                None => Err(Unreadable("not a string").into()),
            },
        }
    }

    fn text(&mut self) -> Result<Option<String>, BoxError> {
        // The standard library's own error would contain the bytes.
        let text = self.bytes()?.map(|bytes| String::from_utf8(bytes).map_err(|_| Unreadable("text is not UTF-8")));
        Ok(text.transpose()?)
    }

    pub(super) fn optional_record(&mut self) -> Result<Option<SessionRecord>, BoxError> {
        Ok(self.bytes()?.map(|packed| SessionRecord::from_bytes(&packed)).transpose()?)
    }

    pub(super) fn record(&mut self) -> Result<SessionRecord, BoxError> {
        self.optional_record()?.ok_or_else(|| Unreadable("record missing").into())
    }

    pub(super) fn session_id(&mut self) -> Result<SessionId, BoxError> {
        let bytes = self.bytes()?.and_then(|bytes| bytes.try_into().ok());
        bytes.map(SessionId::from_bytes).ok_or_else(|| Unreadable("not a session id").into())
    }

    pub(super) fn session_ids(&mut self) -> Result<Vec<SessionId>, BoxError> {
        let mut ids = Self::new(self.next()?);
        let mut read = Vec::with_capacity(ids.0.len());
        while ids.0.len() > 0 {
            read.push(ids.session_id()?);
        }
        Ok(read)
    }

    /// A list of lists, each read by `read`.
    pub(super) fn rows<T>(&mut self, read: impl FnMut(Self) -> Result<T, BoxError>) -> Result<Vec<T>, BoxError> {
        Self::new(self.next()?).0.map(Self::new).map(read).collect()
    }

    pub(super) fn listed(mut self) -> Result<ListedSession, BoxError> {
        Ok(ListedSession { id: self.session_id()?, record: self.record()?, device: self.device()? })
    }

    fn device(&mut self) -> Result<Device, BoxError> {
        Ok(Device {
            user_agent: self.text()?,
            ip: self.text()?.map(|ip| ip.parse::<IpAddr>()).transpose()?,
            actor: self.text()?.map(UserId::new).transpose()?,
        })
    }

    pub(super) fn device_key(&mut self) -> Result<Option<DeviceKey>, BoxError> {
        let unreadable = |_| Unreadable("not the key of a device");
        Ok(self.bytes()?.map(|key| key.try_into().map(DeviceKey::from_bytes).map_err(unreadable)).transpose()?)
    }

    pub(super) fn data(&mut self) -> Result<SessionData, BoxError> {
        let Some(packed) = self.bytes()? else { return Ok(SessionData::default()) };
        match packed.split_first_chunk() {
            Some((version, bytes)) => {
                Ok(SessionData { version: u64::from_be_bytes(*version), bytes: Some(bytes.to_vec()) })
            }
            None => Err(Unreadable("data without a version").into()),
        }
    }
}

/// Removes the arguments of the command from an error. A server repeats them if it does not know the command, and they
/// may be credentials, user ids or data. The error code and the name of the command stay.
pub(super) fn without_arguments(error: FredError) -> FredError {
    match error.details().split_once(REPEATED_ARGUMENTS) {
        Some((said, _)) => FredError::new(error.kind().clone(), said.to_owned()),
        None => error,
    }
}

/// As Redis since 5.0 and Valkey write it.
const REPEATED_ARGUMENTS: &str = ", with args beginning with";

/// Redis holds or returned something that this release did not write.
#[derive(Debug)]
pub(super) struct Unreadable(pub(super) &'static str);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unreadable value in Redis: {}", self.0)
    }
}

impl std::error::Error for Unreadable {}

//! The behaviour that every [`SessionStore`](crate::store::SessionStore) must show, as a suite to run against one.

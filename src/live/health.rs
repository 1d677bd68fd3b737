//! One line in the log when the store fails, one when it is back, however many requests come in between.

use std::{
    error::Error as StdError,
    sync::atomic::{AtomicBool, Ordering},
};

use crate::{event::LOG_TARGET, store::StoreError};

#[derive(Debug, Default)]
pub(crate) struct StoreHealth {
    failing: AtomicBool,
}

impl StoreHealth {
    pub(super) fn observe<T>(&self, answer: &Result<T, StoreError>) {
        match answer {
            Ok(_) => {
                // Read before written: the line is shared by all threads, and nearly always false.
                if self.failing.load(Ordering::Relaxed) && self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!(target: LOG_TARGET, "the session store works again");
                }
            }
            Err(failure) => {
                #[cfg(feature = "metrics")]
                metrics::counter!("tower_jwt_sessions_store_failures_total").increment(1);
                let source = failure.source().map(tracing::field::display);
                if self.failing.swap(true, Ordering::Relaxed) {
                    tracing::debug!(target: LOG_TARGET, error = %failure, source, "the session store still fails");
                } else {
                    tracing::error!(
                        target: LOG_TARGET,
                        error = %failure,
                        source,
                        "the session store fails: verified requests are served, logins and refreshes answer 503"
                    );
                }
            }
        }
    }
}

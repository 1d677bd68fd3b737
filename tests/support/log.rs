//! What a thread logs. Included by path.

use std::{cell::RefCell, io, sync::Once};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// What this thread logs while somebody listens.
pub(crate) struct Log;

thread_local! {
    static HEARD: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

impl Log {
    /// One subscriber for all threads: whether anybody listens to an event is remembered for the whole process, and one
    /// that another thread met first, without a subscriber, could be lost.
    pub(crate) fn listen(level: LevelFilter) {
        static LISTENING: Once = Once::new();
        LISTENING.call_once(|| {
            let subscriber = tracing_subscriber::fmt()
                .with_max_level(level)
                .with_ansi(false)
                .with_span_events(FmtSpan::FULL)
                .with_writer(|| Self);
            tracing::subscriber::set_global_default(subscriber.finish()).expect("no other subscriber");
            tracing::callsite::rebuild_interest_cache();
        });
        HEARD.set(Some(Vec::new()));
    }

    /// What was heard until now.
    #[allow(dead_code, reason = "not all who share this wait for something")]
    pub(crate) fn so_far() -> String {
        HEARD.with_borrow(|heard| String::from_utf8_lossy(heard.as_deref().unwrap_or_default()).into_owned())
    }

    /// What was heard since; nobody listens any more.
    pub(crate) fn heard() -> String {
        String::from_utf8(HEARD.take().unwrap_or_default()).expect("a log of text")
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        HEARD.with_borrow_mut(|heard| heard.iter_mut().for_each(|heard| heard.extend_from_slice(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

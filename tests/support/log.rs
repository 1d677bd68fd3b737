//! What a thread logs.

use std::{
    cell::{Cell, RefCell},
    io,
    sync::Once,
};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer as _, filter::dynamic_filter_fn, fmt::format::FmtSpan, layer::SubscriberExt as _};

/// Captures what this thread logs.
pub(crate) struct Log;

thread_local! {
    static LEVEL: Cell<LevelFilter> = const { Cell::new(LevelFilter::OFF) };
    static CAPTURED: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

impl Log {
    /// Starts to capture, up to this level.
    ///
    /// One subscriber serves all threads: whether an event is enabled is cached for the whole process, so one that
    /// another thread met first, without a subscriber, could be lost.
    pub(crate) fn capture(level: LevelFilter) {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| {
            let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_span_events(FmtSpan::FULL);
            let of_this_thread = dynamic_filter_fn(|metadata, _| *metadata.level() <= LEVEL.get());
            let captured = lines.with_writer(|| Self).with_filter(of_this_thread);
            // Not `try_init`, which also forwards what other crates write to `log`.
            tracing::subscriber::set_global_default(tracing_subscriber::registry().with(captured))
                .expect("no other subscriber");
            tracing::callsite::rebuild_interest_cache();
        });
        LEVEL.set(level);
        CAPTURED.set(Some(Vec::new()));
    }

    /// Returns what was captured until now.
    pub(crate) fn so_far() -> String {
        CAPTURED.with_borrow(|text| String::from_utf8_lossy(text.as_deref().unwrap_or_default()).into_owned())
    }

    /// Stops, and returns what was captured.
    pub(crate) fn captured() -> String {
        LEVEL.set(LevelFilter::OFF);
        String::from_utf8(CAPTURED.take().unwrap_or_default()).expect("a log of text")
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        CAPTURED.with_borrow_mut(|text| text.iter_mut().for_each(|text| text.extend_from_slice(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

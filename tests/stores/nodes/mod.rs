//! Several nodes on one store: a session that ends on one is refused by every other.

mod burst;
mod clocks;
mod crashes;
#[cfg(feature = "metrics")]
mod dashboard;
mod disagreement;
mod end_elsewhere;
mod idle;
mod losses;
#[cfg(feature = "metrics")]
mod meter;
mod outages;
mod restored;
mod runtime_end;
mod sentinel;
mod silence;
mod storm;
#[cfg(feature = "metrics")]
mod under_load;
mod unfinished;
mod unreadable;

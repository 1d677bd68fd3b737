//! Several nodes on one store: what one ends, every other refuses.

mod burst;
mod clocks;
mod crashes;
mod disagreement;
mod end_elsewhere;
#[cfg(feature = "metrics")]
mod meter;
mod outages;
mod restored;
mod silence;
mod unfinished;
mod unreadable;

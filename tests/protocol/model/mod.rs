//! The protocol as a state machine, explored exhaustively. The transitions are the crate's own; only time is
//! abstracted, into ticks, and generations, into their order.
//!
//! Every model runs with the real table, where no property may fail, and with broken ones, where one must.

#![allow(clippy::print_stdout, reason = "the sizes of the models are worth knowing")]

mod bound;
mod explore;
mod honest;
mod nodes;
mod pace;
mod random;
mod record;
mod simulation;
mod table;
mod theft;

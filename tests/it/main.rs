//! Everything that is tested from outside, in one binary. Needs `--all-features` and a redis-server (6.2 or later).

mod store;
mod support;

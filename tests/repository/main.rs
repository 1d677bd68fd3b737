//! The source and the documents: what may import what, and whether what is written about the code is true.

mod architecture;
mod circles;
mod docs;

//! The source and the documents: allowed imports, and statements about the code.

mod architecture;
mod circles;
mod compile_errors;
mod docs;
mod faults;
mod guides;
mod words;

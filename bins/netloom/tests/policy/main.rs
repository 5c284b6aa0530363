//! `netloom policy …` as its users run it: arguments, files, output, exit codes. What answers mean is tested with the
//! policy crate.

mod asking;
mod changing;
mod checking;
mod support;

//! The command line, the same as the `warrenmq` binary's.

use std::ffi::OsString;

use pyo3::prelude::*;

/// Runs the command line with these arguments, the program's name first; its exit status. SIGINT and SIGTERM end
/// it: it takes their handlers over.
#[pyfunction]
pub(crate) fn cli(py: Python<'_>, args: Vec<OsString>) -> u8 {
    py.detach(|| warrenmq::cli::run(args))
}

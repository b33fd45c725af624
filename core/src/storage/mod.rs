//! What is on disk.
//!
//! | file | holds |
//! |---|---|
//! | `directory` | a broker's directory: its layout, its version, and that one process has it |
//! | `definitions` | virtual hosts, users, permissions, policies, exchanges, queues and bindings, in `redb` |

mod definitions;
mod directory;

pub use definitions::DefinitionStore;
pub use directory::Directory;

//! Storage of one FHIR service on SQLite: current and superseded versions, index rows, one clock.
//!
//! One writer thread owns the only writing connection and commits what waits together; readers see every acknowledged
//! write. `README.md` explains each table and key form, and which plan answers which search.

mod bodies;
mod catalogue;
mod check;
mod clock;
mod commit;
mod cursor;
mod error;
mod history;
mod linked;
mod links;
mod lock;
mod open;
mod order;
mod read;
mod reader;
mod rows;
mod schema;
mod search;
mod sql;
mod store;
mod version;
mod write;

pub use check::CheckReport;
pub use commit::{Change, Expected, Guard, Outcome, Prepared, WriteSet, Written};
pub use cursor::{BadCursor, Cursor, HistoryCursor};
pub use error::{CommitError, OpenError, ReadError};
pub use history::{HistoryPage, HistoryQuery, Scope};
pub use linked::Included;
pub use reader::Effort;
pub use search::Page;
pub use store::{Store, StoreOptions};
pub use version::{Kind, Version};

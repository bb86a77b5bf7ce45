//! Storage of one FHIR service: current and superseded versions, index rows, one clock.
//!
//! One contract, [`Store`]; each engine has a folder of its own and answers alike. What is asked of a database is
//! written once, in `sql/`. `README.md` explains each table and key form, and which plan answers which search.

mod bodies;
mod catalogue;
mod check;
mod commit;
mod cursor;
mod error;
mod history;
mod index;
mod job;
mod kept;
mod linked;
mod owned;
mod page;
mod parameters;
mod postgres;
mod rows;
mod sql;
mod sqlite;
mod store;
mod value;
mod version;

pub use check::{CheckReport, Extract};
pub use commit::{Change, Expected, Guard, Kept, Outcome, Prepared, WriteSet, Written};
pub use cursor::{BadCursor, Cursor, HistoryCursor};
pub use error::{CommitError, OpenError, ReadError};
pub use history::{HistoryPage, HistoryQuery, Order, Scope};
pub use index::{Filling, Scanned};
pub use job::{Job, JobChange, JobStatus, NewJob};
pub use kept::{KeptQuery, PageKey};
pub use linked::Included;
pub use page::Page;
pub use parameters::{DefinitionChange, InUse, NewDefinition, State, Stored};
pub use sqlite::Counts;
pub use store::{Database, Effort, Store, StoreOptions, Url};
pub use version::{Kind, Version};

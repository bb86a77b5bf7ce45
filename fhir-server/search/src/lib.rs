//! Resource → index keys, and search → plan; pure.
//!
//! The form of a key is decided once, in [`key`]: what [`extract`] writes and what [`plan`] probes come from the same
//! functions, so that they can't drift apart. Nothing here knows SQL; `fhir-storage` turns plans and keys into it.

pub mod access;
pub mod alike;
mod composite;
pub mod decimal;
pub mod error;
pub mod extract;
mod fold;
mod holds;
mod implied;
pub mod include;
pub mod key;
pub mod near;
pub mod owned;
pub mod parameters;
pub mod parse;
pub mod plan;
mod shared;
mod targets;
pub mod terms;
mod ucum;
mod value;

pub use access::{Access, Compartment, Rule, Sight};
pub use error::SearchError;
pub use extract::Extractor;
pub use holds::Subject;
pub use include::Include;
pub use key::{Further, Keys, ParamId};
pub use owned::Owned;
pub use parameters::{InForce, Parameters, Readiness};
pub use parse::{Handling, Parser, Search, Summary, Target, Total};
pub use plan::{Filter, Plan, Sort, SortBy, SortKey};
pub use shared::rows;
pub use terms::{Need, Terms};
pub use value::escape;

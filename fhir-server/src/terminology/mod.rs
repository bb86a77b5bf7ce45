//! Terminology over what is stored and what the base specification brings: expansion, membership, hierarchies. Nothing is
//! asked of other servers; what isn't here is named.

mod base;
mod canonical;
mod code_system;
mod expand;
mod filter;
mod kept;
mod library;
mod membership;
mod problem;
pub mod reader;
pub mod search;
mod syntax;
#[cfg(test)]
mod tests;
mod value_set;

pub use canonical::Canonical;
pub use code_system::{CodeSystem, Concept, Content};
pub use expand::{Expansion, Member, expand};
pub use library::Library;
pub use membership::of as membership;
pub use problem::Problem;
pub use reader::Reader;
pub use value_set::ValueSet;

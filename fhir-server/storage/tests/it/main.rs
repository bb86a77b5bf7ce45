//! The contract of the store, on a real SQLite file.

mod fixture;
mod further;
mod history;
mod plans;
mod reference;
mod search;
mod sorting;
mod writes;

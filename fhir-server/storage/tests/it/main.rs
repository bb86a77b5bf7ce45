//! The contract of the store, on real SQLite files and a real PostgreSQL.

mod fixture;
mod further;
mod history;
mod index;
mod narrowing;
mod old;
mod owned;
mod plans;
mod reference;
mod replicas;
mod round_trips;
mod search;
mod sorting;
mod tls;
mod writes;

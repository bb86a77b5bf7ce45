//! Devices, a connector and its FHIR server on this machine, and the account of it all: every message that was sent and
//! every reading in it must be found again in exactly one place, whatever was killed in between.
//!
//! Used by the tests of this package on programs as they are developed, and by `bench connector`, a part of `bench iot`,
//! on programs as they ship.

mod crashes;
mod devices;
mod door;
mod kafka;
mod nats;
mod observations;
mod programs;
mod shared;
mod terms;

pub use crashes::{crash, is_whole, nothing_is_lost};
pub use devices::{Devices, Load, Sent};
pub use observations::{Found, observations};
pub use programs::{Pair, Program};
pub use shared::{Broker, Shared};
pub use terms::Terms;

//! Scenarios on the real cluster, through the public interfaces only

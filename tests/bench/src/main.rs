//! Loads and measurements of what the project promises

fn main() {}

//! Keeps what runs equal to the custom resources

fn main() {}

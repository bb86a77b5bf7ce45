//! Hostile input: what the conformance cases send, changed at random. Every target promises the same: no panic, an end,
//! and no more memory than its limit.
//!
//! `LONG_TESTS=1` tries a hundred times as many inputs.

mod corpus;
mod mutation;

use proptest::test_runner::{Config, TestRunner};

pub use corpus::Corpus;
pub use mutation::{Mutation, mutations};

/// Inputs of a target: few, or as many as a long run has.
pub fn cases(short: u32) -> u32 {
    if std::env::var_os("LONG_TESTS").is_some() {
        short.saturating_mul(100)
    } else {
        short
    }
}

/// Gives `target` every seed as it is, and then `short` changed ones (a hundred times as many in a long run). A panic
/// names the input that it can be repeated with.
///
/// # Panics
/// When the target does.
pub fn run(seeds: &[String], words: &'static [&'static str], short: u32, target: impl Fn(&str)) {
    assert!(!seeds.is_empty(), "there are no seeds");
    for seed in seeds {
        target(seed);
    }
    let config = Config {
        cases: cases(short),
        failure_persistence: None,
        max_shrink_iters: 1_000,
        ..Config::default()
    };
    let inputs = (0..seeds.len(), 0..seeds.len(), mutations(words));
    let result = TestRunner::new(config).run(&inputs, |(first, second, changes)| {
        let mut text = seeds[first].clone();
        for change in &changes {
            text = change.of(&text, &seeds[second]);
        }
        target(&text);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

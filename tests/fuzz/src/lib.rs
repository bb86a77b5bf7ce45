//! Hostile input: what the conformance cases send, changed at random. Every target promises the same: no panic, an end,
//! and no more memory than its limit.
//!
//! `LONG_TESTS=1` tries up to a hundred times as many inputs.

mod corpus;
mod mutation;

use proptest::test_runner::{Config, TestRunner};

pub use corpus::Corpus;
pub use mutation::{Mutation, mutations};

/// Rounds of a long run; a short one has one.
const ROUNDS: u32 = 100;

/// Gives the target `name` every seed as it is, and then changed ones, so many in each round. A panic names the input that
/// it can be repeated with.
///
/// # Panics
/// When the target does.
pub fn run(
    name: &'static str,
    seeds: &[String],
    words: &'static [&'static str],
    in_a_round: u32,
    target: impl Fn(&str),
) {
    assert!(!seeds.is_empty(), "there are no seeds");
    for seed in seeds {
        target(seed);
    }
    let config = Config {
        cases: in_a_round,
        failure_persistence: None,
        max_shrink_iters: 1_000,
        ..Config::default()
    };
    let inputs = (0..seeds.len(), 0..seeds.len(), mutations(words));
    for _ in test_length::rounds(name, 1, ROUNDS) {
        let result = TestRunner::new(config.clone()).run(&inputs, |(first, second, changes)| {
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
}

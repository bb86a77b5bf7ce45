//! Hostile input: what the conformance cases send, changed at random. Every target promises the same: no panic, an end,
//! and no more memory than its limit.
//!
//! `LONG_TESTS=1` tries up to a hundred times as many inputs.

mod bytes;
mod corpus;
mod mutation;

use std::fmt::Debug;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestRunner};

pub use bytes::{ByteMutation, byte_mutations};
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
    let change = |change: &Mutation, text: &String, other: &String| change.of(text, other);
    run_changed(name, seeds, mutations(words), change, in_a_round, |text| target(text));
}

/// The same with bytes, which may be no text.
///
/// # Panics
/// When the target does.
pub fn run_bytes(
    name: &'static str,
    seeds: &[Vec<u8>],
    words: &'static [&'static str],
    in_a_round: u32,
    target: impl Fn(&[u8]),
) {
    let change = |change: &ByteMutation, bytes: &Vec<u8>, other: &Vec<u8>| change.of(bytes, other);
    run_changed(name, seeds, byte_mutations(words), change, in_a_round, |bytes| {
        target(bytes);
    });
}

fn run_changed<S: Clone, C: Debug>(
    name: &'static str,
    seeds: &[S],
    changes: impl Strategy<Value = Vec<C>>,
    change: impl Fn(&C, &S, &S) -> S,
    in_a_round: u32,
    target: impl Fn(&S),
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
    let inputs = (0..seeds.len(), 0..seeds.len(), changes);
    for _ in test_length::rounds(name, 1, ROUNDS) {
        let result = TestRunner::new(config.clone()).run(&inputs, |(first, second, changes)| {
            let mut input = seeds[first].clone();
            for one in &changes {
                input = change(one, &input, &seeds[second]);
            }
            target(&input);
            Ok(())
        });
        if let Err(error) = result {
            panic!("{error}");
        }
    }
}

//! Plays those cases of `tests/cases/mapping`, or of a folder named in `IOT_CASES`, that need a server or the pipeline, in
//! upstream's semantics, and prints the number passed by kind. The others are played by iot-mapping.

#[path = "../../mapping/tests/cases/facts.rs"]
#[allow(dead_code, reason = "each test binary uses its part")]
mod facts;
mod identity;
mod reference;
#[path = "../../mapping/tests/cases/runner.rs"]
mod runner;
mod save;
#[path = "../support/mod.rs"]
mod support;
mod window;

use runner::Verdict;
use serde_json::Value;

/// What a row says in words that this runner has never seen isn't guessed at.
const UNKNOWN: Verdict = Verdict::LeftOut("its layout isn't known to this runner");

#[test]
fn cases() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runner::run(|kind, case| match kind {
        "save" => runtime.block_on(save::check(case)),
        "identity" => runtime.block_on(identity::check(case)),
        "batchWindow" => window::check(case),
        "reference" => reference::check(case),
        _ => Verdict::LeftOut("played by `cargo test -p iot-mapping --test cases`"),
    });
}

/// Whether a row has no member but these and those that say where it comes from.
fn knows(row: &Value, names: &[&str]) -> bool {
    let about = ["row", "source", "basis", "note", "notes", "test", "tags", "id", "name"];
    let mut members = row.as_object().into_iter().flatten();
    members.all(|(name, _)| about.contains(&name.as_str()) || names.contains(&name.as_str()))
}

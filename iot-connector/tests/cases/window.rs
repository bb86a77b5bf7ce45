//! Kind `batchWindow`: when messages that arrive one after the other are worked on together.

use iot_connector::pipeline::window::Window;
use serde_json::Value;

use crate::{
    UNKNOWN,
    facts::{equal, first, list},
    knows,
    runner::{Check, Verdict},
};

const EVENTS: [&str; 4] = ["events", "eventTimes", "arrivals", "times"];
const SPAN: [&str; 4] = ["window", "windowSeconds", "flushTimespan", "span"];
const MOST: [&str; 3] = ["maximum", "maxEvents", "max"];
const NOW: [&str; 5] = ["tick", "tickAt", "now", "maxWaitAt", "idleAt"];
const END: [&str; 2] = ["windowEnd", "end"];
const FLUSHES: [&str; 4] = ["flushes", "flushed", "flushCount", "flushSizes"];

/// One row, in seconds.
pub fn check(row: &Value) -> Verdict {
    let known: Vec<&str> = [
        &EVENTS[..],
        &SPAN,
        &MOST,
        &NOW,
        &END,
        &FLUSHES,
        &["expect", "remaining"],
    ]
    .concat();
    let (Some(events), Some(span)) = (first(row, &EVENTS), first(row, &SPAN).and_then(Value::as_i64)) else {
        return UNKNOWN;
    };
    if !knows(row, &known) || !list(events).all(Value::is_number) {
        return UNKNOWN;
    }
    let most = first(row, &MOST)
        .and_then(Value::as_u64)
        .and_then(|most| usize::try_from(most).ok());
    let mut window = Window::new(span * 1_000_000, most.unwrap_or(usize::MAX));
    let mut flushed = Vec::new();
    for seconds in list(events).filter_map(Value::as_f64) {
        flushed.extend(window.push(micros(seconds), seconds));
    }
    if let Some(now) = first(row, &NOW).and_then(Value::as_f64) {
        flushed.extend(window.tick(micros(now)));
    }
    compare(&window, &flushed, row.get("expect").unwrap_or(row)).into()
}

fn compare(window: &Window<f64>, flushed: &[Vec<f64>], expected: &Value) -> Check {
    let flushes = first(expected, &FLUSHES).ok_or("the row doesn't say which flushes there are")?;
    match flushes {
        Value::Number(count) => equal("flushes", Some(flushed.len() as u64), count.as_u64())?,
        lists => {
            equal("flushes", flushed.len(), list(lists).count())?;
            for (found, wanted) in flushed.iter().zip(list(lists)) {
                match wanted {
                    Value::Number(size) => equal("size of a flush", Some(found.len() as u64), size.as_u64())?,
                    times => equal("a flush", found, &list(times).filter_map(Value::as_f64).collect())?,
                }
            }
        }
    }
    if let Some(end) = first(expected, &END).and_then(Value::as_f64) {
        equal("end of the window", window.end(), Some(micros(end)))?;
    }
    match expected["remaining"].as_u64() {
        Some(remaining) => equal("waiting", window.len() as u64, remaining),
        None => Ok(()),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "seconds of a case")]
fn micros(seconds: f64) -> i64 {
    (seconds * 1e6) as i64
}

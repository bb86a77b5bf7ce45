//! Kind `partitionHash`: the bucket of a text.

use iot_mapping::{BUCKETS, hash};
use serde_json::Value;

use crate::{
    facts::{equal, first},
    runner::Verdict,
};

/// One row.
pub fn check(row: &Value) -> Verdict {
    let text = first(row, &["string", "value", "input", "text"]).and_then(Value::as_str);
    let (Some(text), Some(bucket)) = (text, first(row, &["bucket", "result", "expected", "expect"])) else {
        return Verdict::LeftOut("its layout isn't known to this runner");
    };
    let range = first(row, &["range", "buckets"])
        .and_then(Value::as_u64)
        .and_then(|range| u32::try_from(range).ok());
    let wanted = bucket.as_str().map_or_else(|| bucket.to_string(), str::to_owned);
    equal("bucket", hash(text, range.unwrap_or(BUCKETS)).to_string(), wanted).into()
}

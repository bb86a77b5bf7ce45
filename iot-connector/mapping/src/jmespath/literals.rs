//! Literals as they are written: the `jmespath` crate sorts their members, and doesn't keep the text of numbers.

use ::jmespath::{Rcvar as Parsed, Variable as ParsedVariable};

use super::{
    quoted,
    value::{Rcvar, Variable, variable},
};
use crate::json::Document;

/// The literal that begins at `offset`, which is `parsed`.
pub fn value(text: &str, offset: usize, parsed: &Parsed) -> Result<Rcvar, String> {
    let json = text.get(offset..).and_then(|from| from.strip_prefix('`'));
    match (json, &**parsed) {
        (Some(from), _) => {
            let end = quoted::end(from, '`').unwrap_or(from.len());
            let json = from.get(..end).unwrap_or_default().replace("\\`", "`");
            let document =
                Document::parse(json.as_bytes()).map_err(|error| format!("the literal isn't JSON: {error}"))?;
            Ok(variable(&document, 0))
        }
        (None, ParsedVariable::String(text)) => Ok(Rcvar::new(Variable::String(text.clone()))),
        (None, _) => Err("the literal isn't quoted".to_owned()),
    }
}

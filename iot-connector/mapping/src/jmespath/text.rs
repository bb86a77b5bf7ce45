//! Values as texts of JSON.

use serde::{Serialize, Serializer};

use super::{number::Number, value::Variable};
use crate::template::Compatibility;

/// As JSON: numbers as they are written; iomt-fhir writes fractions as the shortest text of their double.
pub fn json(value: &Variable, compatibility: Compatibility) -> String {
    match compatibility {
        Compatibility::Standard => value.to_string(),
        // every key is a text, so it can't fail
        Compatibility::Upstream => serde_json::to_string(&Shortest(value)).unwrap_or_default(),
    }
}

struct Shortest<'a>(&'a Variable);

impl Serialize for Shortest<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Variable::Number(number @ Number::Written(_)) if !number.is_whole() => {
                serializer.serialize_f64(number.double())
            }
            Variable::Array(elements) => serializer.collect_seq(elements.iter().map(|element| Shortest(element))),
            Variable::Object(members) => {
                serializer.collect_map(members.iter().map(|(name, member)| (&**name, Shortest(member))))
            }
            other => other.serialize(serializer),
        }
    }
}

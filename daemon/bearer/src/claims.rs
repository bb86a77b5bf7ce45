//! The verified claims of a token.

use serde_json::{Map, Value};

/// Claims whose signature, issuer, audience and validity were checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims {
    /// The issuer, as configured or discovered.
    pub issuer: String,
    /// The issuer, as configured.
    pub authority: String,
    /// Seconds since the Unix epoch.
    pub expires: i64,
    members: Map<String, Value>,
}

impl Claims {
    /// Claims that were verified already.
    pub fn new(issuer: String, authority: String, expires: i64, members: Map<String, Value>) -> Self {
        Self {
            issuer,
            authority,
            expires,
            members,
        }
    }

    /// `sub`.
    pub fn subject(&self) -> Option<&str> {
        self.text("sub")
    }

    /// The claim as it is. A name with points leads into nested objects (`realm_access.roles`), unless there is a claim of
    /// just that name.
    pub fn value(&self, name: &str) -> Option<&Value> {
        if let Some(value) = self.members.get(name) {
            return Some(value);
        }
        let mut parts = name.split('.');
        let first = self.members.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))
    }

    /// The claim as a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.value(name)?.as_str()
    }

    /// The claim's texts: one, or those of a list.
    pub fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        let values = match self.value(name) {
            Some(Value::Array(values)) => values.as_slice(),
            Some(value) => std::slice::from_ref(value),
            None => &[],
        };
        values.iter().filter_map(Value::as_str)
    }

    /// All claims.
    pub fn members(&self) -> &Map<String, Value> {
        &self.members
    }
}

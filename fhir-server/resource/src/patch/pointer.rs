//! Places inside a JSON value (RFC 6901).

use super::PatchError;

/// One step down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// To a member of an object.
    Name(String),
    /// To an item of an array.
    Index(usize),
}

/// A JSON pointer whose steps are names until it is known what they lead through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    text: String,
    names: Vec<String>,
}

impl Pointer {
    /// Reads a pointer: empty, or each name after a slash, `~1` for a slash and `~0` for a tilde.
    pub fn parse(text: &str) -> Result<Self, PatchError> {
        let malformed = || PatchError::Malformed(format!("The path '{text}' is no JSON pointer."));
        let names = if text.is_empty() {
            Vec::new()
        } else {
            let names = text.strip_prefix('/').ok_or_else(malformed)?.split('/');
            names.map(|name| name.replace("~1", "/").replace("~0", "~")).collect()
        };
        Ok(Self {
            text: text.to_owned(),
            names,
        })
    }

    /// As it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The names of all steps.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether `other` lies inside what this leads to.
    pub fn holds(&self, other: &Self) -> bool {
        other.names.len() > self.names.len() && other.names.starts_with(&self.names)
    }

    /// That it leads nowhere.
    pub fn missing(&self) -> PatchError {
        PatchError::NoTarget(self.text.clone())
    }
}

/// The index that a name is: digits without leading zeros.
pub fn index(name: &str) -> Option<usize> {
    let plain = name == "0" || (!name.starts_with('0') && name.bytes().all(|byte| byte.is_ascii_digit()));
    plain.then(|| name.parse().ok()).flatten()
}

//! Where in a resource a validator is.

use std::fmt;

/// A step on the way to the element that is looked at.
#[derive(Debug, Clone)]
struct Segment {
    /// A member name of the document, or the resource type at the start.
    name: String,
    index: Option<usize>,
}

/// The way to the element that is looked at, as FHIRPath: `Patient.name[0].family`.
#[derive(Debug, Clone, Default)]
pub struct Location(Vec<Segment>);

impl Location {
    pub fn push(&mut self, name: &str, index: Option<usize>) {
        self.0.push(Segment {
            name: name.to_owned(),
            index,
        });
    }

    pub fn pop(&mut self) {
        self.0.pop();
    }

    /// How many steps it is from the resource on top.
    pub fn depth(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Display for Location {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, segment) in self.0.iter().enumerate() {
            if at > 0 {
                out.write_str(".")?;
            }
            out.write_str(&segment.name)?;
            if let Some(index) = segment.index {
                write!(out, "[{index}]")?;
            }
        }
        Ok(())
    }
}

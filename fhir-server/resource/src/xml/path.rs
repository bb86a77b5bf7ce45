//! Where in a resource reading or writing is, told as FHIRPath when something is wrong.

use std::fmt::Write as _;

/// The elements on the way from the resource, each with its place where it may repeat.
#[derive(Debug, Default)]
pub struct Path(Vec<(&'static str, Option<usize>)>);

impl Path {
    /// Goes into the element `name`.
    pub fn push(&mut self, name: &'static str, index: Option<usize>) {
        self.0.push((name, index));
    }

    /// Goes back out of the last one.
    pub fn pop(&mut self) {
        self.0.pop();
    }

    /// Whether it is at the start.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (place, (name, index)) in self.0.iter().enumerate() {
            if place > 0 {
                formatter.write_char('.')?;
            }
            formatter.write_str(name)?;
            if let Some(index) = index {
                write!(formatter, "[{index}]")?;
            }
        }
        Ok(())
    }
}

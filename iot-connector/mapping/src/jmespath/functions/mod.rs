//! The functions of the specification, and the eight of iomt-fhir.

mod arguments;
mod conversions;
mod iomt;
mod lists;
mod numbers;
mod objects;
mod sorting;
mod texts;

use std::{collections::HashMap, fmt, sync::LazyLock};

use super::interpret::Evaluated;

pub use arguments::Arguments;

/// A function.
pub struct Function {
    /// As it is called.
    pub name: &'static str,
    count: Count,
    body: fn(&Arguments<'_>) -> Evaluated,
}

/// How many arguments a function takes.
#[derive(Debug, Clone, Copy)]
enum Count {
    Exactly(usize),
    AtLeast(usize),
}

impl Function {
    const fn new(name: &'static str, count: Count, body: fn(&Arguments<'_>) -> Evaluated) -> Self {
        Self { name, count, body }
    }

    /// Its result, or which argument isn't right.
    pub fn call(&self, arguments: &Arguments<'_>) -> Evaluated {
        (self.body)(arguments)
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Function").field(&self.name).finish()
    }
}

static ALL: LazyLock<HashMap<&str, &Function>> = LazyLock::new(|| {
    let all = [
        conversions::FUNCTIONS,
        iomt::FUNCTIONS,
        lists::FUNCTIONS,
        numbers::FUNCTIONS,
        objects::FUNCTIONS,
        sorting::FUNCTIONS,
        texts::FUNCTIONS,
    ];
    let named = |function: &'static Function| (function.name, function);
    all.into_iter().flatten().map(named).collect()
});

/// The function of this name, or why it can't be called with so many arguments.
pub fn find(name: &str, given: usize) -> Result<&'static Function, String> {
    let function = *ALL.get(name).ok_or_else(|| format!("there is no function `{name}`"))?;
    match function.count {
        Count::Exactly(count) if given != count => Err(format!("`{name}` takes {count} arguments, not {given}")),
        Count::AtLeast(least) if given < least => Err(format!("`{name}` takes {least} or more arguments, not {given}")),
        Count::Exactly(_) | Count::AtLeast(_) => Ok(function),
    }
}

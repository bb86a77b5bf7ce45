//! The arguments of a call: each is asked for by its position and the type that it has to be of.

use crate::{
    jmespath::{
        EvaluationError,
        expression::Expression,
        interpret::{Evaluated, interpret},
        number::Number,
        value::{Members, Rcvar, Variable},
    },
    template::Compatibility,
};

/// As many as the function takes.
pub struct Arguments<'a> {
    function: &'static str,
    values: &'a [Rcvar],
    compatibility: Compatibility,
}

static MISSING: Variable = Variable::Null;

impl<'a> Arguments<'a> {
    /// The arguments of a function.
    pub const fn new(function: &'static str, values: &'a [Rcvar], compatibility: Compatibility) -> Self {
        Self {
            function,
            values,
            compatibility,
        }
    }

    /// Whose decisions hold.
    pub const fn compatibility(&self) -> Compatibility {
        self.compatibility
    }

    /// All of them.
    pub const fn all(&self) -> &'a [Rcvar] {
        self.values
    }

    /// One of any type.
    pub fn value(&self, index: usize) -> &'a Variable {
        self.values.get(index).map_or(&MISSING, |value| &**value)
    }

    /// The same, to be passed on.
    pub fn shared(&self, index: usize) -> Rcvar {
        self.values
            .get(index)
            .cloned()
            .unwrap_or_else(|| Rcvar::new(Variable::Null))
    }

    /// A number.
    pub fn number(&self, index: usize) -> Result<&'a Number, EvaluationError> {
        self.one(index, "number", number)
    }

    /// A text.
    pub fn text(&self, index: usize) -> Result<&'a str, EvaluationError> {
        self.one(index, "string", text)
    }

    /// A list.
    pub fn list(&self, index: usize) -> Result<&'a [Rcvar], EvaluationError> {
        self.one(index, "array", list)
    }

    /// An object.
    pub fn object(&self, index: usize) -> Result<&'a Members, EvaluationError> {
        self.one(index, "object", object)
    }

    fn one<T>(&self, index: usize, expected: &str, of: fn(&'a Variable) -> Option<T>) -> Result<T, EvaluationError> {
        of(self.value(index)).ok_or_else(|| self.wrong(index, expected))
    }

    /// A list of numbers.
    pub fn numbers(&self, index: usize) -> Result<Vec<&'a Number>, EvaluationError> {
        self.elements(index, number)
            .ok_or_else(|| self.wrong(index, "array[number]"))
    }

    /// A list of texts.
    pub fn texts(&self, index: usize) -> Result<Vec<&'a str>, EvaluationError> {
        self.elements(index, text)
            .ok_or_else(|| self.wrong(index, "array[string]"))
    }

    /// A list of numbers, or one of texts.
    pub fn ordered(&self, index: usize) -> Result<&'a [Rcvar], EvaluationError> {
        match self.value(index) {
            Variable::Array(elements)
                if elements.iter().all(|element| number(element).is_some())
                    || elements.iter().all(|element| text(element).is_some()) =>
            {
                Ok(elements)
            }
            _ => Err(self.wrong(index, "array[string]|array[number]")),
        }
    }

    fn elements<T>(&self, index: usize, of: fn(&'a Variable) -> Option<T>) -> Option<Vec<T>> {
        list(self.value(index))?.iter().map(|element| of(element)).collect()
    }

    /// An expression, to be evaluated on data.
    pub fn expression(&self, index: usize) -> Result<impl Fn(&Rcvar) -> Evaluated + use<'a>, EvaluationError> {
        let compatibility = self.compatibility;
        match self.value(index) {
            Variable::Expression(expression) => {
                let expression: &'a Expression = expression;
                Ok(move |data: &Rcvar| interpret(data, expression, compatibility))
            }
            _ => Err(self.wrong(index, "expref")),
        }
    }

    /// The argument isn't of the type that it has to be.
    pub fn wrong(&self, index: usize, expected: &str) -> EvaluationError {
        let actual = self.value(index).kind();
        EvaluationError::Type(format!(
            "argument {} of a function is {actual}, not {expected}",
            index + 1
        ))
    }

    /// The function can't compute its result.
    pub fn failed(&self, problem: &str) -> EvaluationError {
        EvaluationError::Function(format!("{}: {problem}", self.function))
    }
}

fn number(value: &Variable) -> Option<&Number> {
    match value {
        Variable::Number(number) => Some(number),
        _ => None,
    }
}

fn text(value: &Variable) -> Option<&str> {
    match value {
        Variable::String(text) => Some(text),
        _ => None,
    }
}

fn list(value: &Variable) -> Option<&[Rcvar]> {
    match value {
        Variable::Array(elements) => Some(elements),
        _ => None,
    }
}

fn object(value: &Variable) -> Option<&Members> {
    match value {
        Variable::Object(members) => Some(members),
        _ => None,
    }
}

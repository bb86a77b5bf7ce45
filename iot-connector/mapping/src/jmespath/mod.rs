//! JMESPath as iomt-fhir uses it: the language of <https://jmespath.org/specification.html> as JmesPath.Net has it, and
//! eight functions of its own. The `jmespath` crate parses, and is what the tests compare with.
//!
//! Objects keep the order of the document, numbers their text. Unknown functions and wrong numbers of arguments are found
//! when an expression is compiled; an expression that projects (`[*]`, `*`, `[]`, a slice or a filter, outermost or behind
//! the last pipe) gives each element of its result as a match, any other one its result as a whole.

mod arithmetic;
mod compile;
mod expression;
mod functions;
mod interpret;
mod literals;
mod negation;
mod number;
mod quoted;
mod text;
mod value;

use std::sync::Arc;

use ::jmespath::{ErrorReason, JmespathError};
use thiserror::Error;

use crate::template::Compatibility;
use expression::Expression;

pub use number::Number;
pub use value::{Members, Rcvar, Variable, variable, with_matched};

/// Steps and operators of an expression, and brackets in brackets: what is too deep for the stack would end the process.
const STEPS: usize = 192;
const DEPTH: usize = 32;

/// Why a text isn't an expression.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{problem} at position {position} of the JMESPath expression")]
pub struct QueryError {
    /// What is wrong.
    pub problem: String,
    /// Characters before it.
    pub position: usize,
}

/// Why an expression gives nothing on this data.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EvaluationError {
    /// A function got an argument of a kind that it isn't for, often `null`.
    #[error("{0}")]
    Type(String),
    /// A function can't compute its result: too large, divided by zero, out of range.
    #[error("{0}")]
    Function(String),
}

/// A compiled expression.
#[derive(Clone)]
pub struct Query {
    text: String,
    expression: Arc<Expression>,
    compatibility: Compatibility,
}

impl std::fmt::Debug for Query {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Query").field(&self.text()).finish()
    }
}

impl PartialEq for Query {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Query {
    /// Compiles an expression.
    pub fn parse(text: &str, compatibility: Compatibility) -> Result<Self, QueryError> {
        bounded(text)?;
        let mistaken = |(offset, problem)| QueryError::at(text, offset, problem);
        let ast = ::jmespath::parse(text).map_err(|error| QueryError::of(text, &error))?;
        let expression = compile::compile(text, ast).map_err(mistaken)?;
        Ok(Self {
            text: text.to_owned(),
            expression: Arc::new(expression),
            compatibility,
        })
    }

    /// As written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Everything that it selects: nothing for `null`.
    pub fn select(&self, data: &Rcvar) -> Result<Vec<Rcvar>, EvaluationError> {
        let found = self.evaluate(data)?;
        Ok(match &*found {
            Variable::Null => Vec::new(),
            Variable::Array(elements) if self.projects() => elements.clone(),
            _ => vec![found],
        })
    }

    /// The result as it is, `null` where there is none.
    pub fn evaluate(&self, data: &Rcvar) -> Result<Rcvar, EvaluationError> {
        interpret::interpret(data, &self.expression, self.compatibility)
    }

    /// Whether the elements of the result are matches of their own.
    pub fn projects(&self) -> bool {
        self.expression.projects()
    }

    /// Whose decisions hold.
    pub fn compatibility(&self) -> Compatibility {
        self.compatibility
    }
}

/// Whatever is quoted counts too, which is on the safe side.
fn bounded(text: &str) -> Result<(), QueryError> {
    let (mut steps, mut depth) = (0_usize, 0_usize);
    for (position, character) in text.chars().enumerate() {
        match character {
            '[' | '(' | '{' => depth += 1,
            ']' | ')' | '}' => depth = depth.saturating_sub(1),
            '.' | '|' | '!' | '&' | '=' | '<' | '>' => {}
            _ => continue,
        }
        steps += 1;
        if steps > STEPS || depth > DEPTH {
            let problem = format!(
                "there are more than {STEPS} steps and operators, or more than {DEPTH} brackets in brackets: write it simpler"
            );
            return Err(QueryError { problem, position });
        }
    }
    Ok(())
}

impl QueryError {
    /// `offset` counts bytes.
    fn at(text: &str, offset: usize, problem: String) -> Self {
        let position = text.get(..offset).map_or(offset, |before| before.chars().count());
        Self { problem, position }
    }

    fn of(text: &str, error: &JmespathError) -> Self {
        let problem = match &error.reason {
            ErrorReason::Parse(problem) => problem.trim().to_owned(),
            ErrorReason::Runtime(error) => error.to_string(),
        };
        Self::at(text, error.offset, problem)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::json::Document;

    fn select(expression: &str, data: &serde_json::Value) -> serde_json::Value {
        let query = Query::parse(expression, Compatibility::Standard).unwrap();
        let text = data.to_string();
        let document = Document::parse(text.as_bytes()).unwrap();
        let found = query.select(&variable(&document, 0)).unwrap();
        found.iter().map(|found| serde_json::to_value(found).unwrap()).collect()
    }

    #[rstest]
    #[case::a_field("a", json!({"a": 1}), json!([1]))]
    #[case::nothing("b", json!({"a": 1}), json!([]))]
    #[case::null("a", json!({"a": null}), json!([]))]
    #[case::a_list_is_one("a", json!({"a": [1, 2]}), json!([[1, 2]]))]
    #[case::a_projection_is_many("a[*]", json!({"a": [1, 2]}), json!([1, 2]))]
    #[case::a_projection_of_members("a[*].b", json!({"a": [{"b": 1}, {"c": 2}, {"b": 3}]}), json!([1, 3]))]
    #[case::values_of_an_object("*", json!({"a": 1, "b": 2}), json!([1, 2]))]
    #[case::a_slice("a[1:]", json!({"a": [1, 2, 3]}), json!([2, 3]))]
    #[case::a_filter("to_array(@)[?a]", json!({"a": 1}), json!([{"a": 1}]))]
    #[case::flattened("a[]", json!({"a": [[1], [2]]}), json!([1, 2]))]
    #[case::behind_a_pipe("a | [*]", json!({"a": [1, 2]}), json!([1, 2]))]
    #[case::a_pipe_ends_it("a[*] | [0]", json!({"a": [1, 2]}), json!([1]))]
    #[case::a_list_of_its_own("[a, b]", json!({"a": 1, "b": 2}), json!([[1, 2]]))]
    #[case::a_projection_of_nothing("a[*]", json!({"a": 5}), json!([]))]
    #[case::a_space_at_the_end("to_array(@.Body) | [? deviceId && starts_with(deviceId, 'B')].data[] ",
        json!({"Body": {"deviceId": "B1", "data": [1, 2]}}), json!([1, 2]))]
    #[case::quoted("\"a-b\".\"c d\"", json!({"a-b": {"c d": "ü"}}), json!(["ü"]))]
    fn projections_select_many(
        #[case] expression: &str,
        #[case] data: serde_json::Value,
        #[case] expected: serde_json::Value,
    ) {
        assert_eq!(select(expression, &data), expected);
    }

    #[rstest]
    #[case("a.", 2)]
    #[case("a[", 2)]
    #[case("", 0)]
    #[case("nothing(a)", 7)]
    #[case("a.nothing(@)", 9)]
    #[case("add(a)", 3)]
    #[case("'ü' | nothing(a)", 13)]
    #[case("a[?length(@, b) > `1`]", 9)]
    #[case("sort_by(a, &nothing(@))", 19)]
    fn errors_are_found_when_it_is_compiled(#[case] expression: &str, #[case] position: usize) {
        let error = Query::parse(expression, Compatibility::Standard).unwrap_err();
        assert_eq!(error.position, position, "{error}");
    }

    #[test]
    fn what_is_too_deep_is_refused_and_the_rest_can_be_evaluated() {
        for text in [
            "a.".repeat(300),
            "(".repeat(40),
            "a==".repeat(100_000),
            "a<".repeat(100_000),
        ] {
            let refused = Query::parse(&text, Compatibility::Standard).unwrap_err();
            assert!(refused.problem.contains("simpler"), "{refused}");
        }
        let object = |value| Variable::Object(Members::from_iter([("a".into(), value)]));
        let deep = |around: &dyn Fn(Rcvar) -> Variable| {
            (0..STEPS).fold(Rcvar::new(Variable::Bool(true)), |inner, _| Rcvar::new(around(inner)))
        };
        let data = [deep(&object), deep(&|inner| Variable::Array(vec![inner]))];
        for part in [
            "[*]", "@&&", "@|", "[?@]", "a.", "!", "a[0].", "a[*].", "a||", "a|", "a&&", "&", "*.", "[a]|", "a==", "a<",
        ] {
            let count = STEPS
                / part
                    .chars()
                    .filter(|character| ".[]|!&=<".contains(*character))
                    .count()
                    .max(1);
            for text in [part.repeat(count), part.repeat(count) + "a"] {
                if let Ok(query) = Query::parse(&text, Compatibility::Standard) {
                    for data in &data {
                        let _ = query.select(data);
                    }
                }
            }
        }
        let nested = format!("{}a{}", "not_null(".repeat(DEPTH), ")".repeat(DEPTH));
        let query = Query::parse(&nested, Compatibility::Standard).unwrap();
        assert_eq!(query.select(&Rcvar::new(Variable::Null)), Ok(vec![]));
    }
}

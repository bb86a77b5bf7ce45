//! One test of a `_filter` expression on one parameter → a filter.

use fhir_definitions::{ParamKind, SearchParameter};

use super::expression::{self, Operator, Test};
use super::filters::{self, Context};
use crate::error::SearchError;
use crate::fold::fold;
use crate::key::{self, ParamId};
use crate::plan::{Filter, TextTest};
use crate::shared;

/// What the test asks of the values of `parameter`.
pub fn of(context: &Context<'_>, parameter: SearchParameter, test: &Test) -> Result<Filter, SearchError> {
    let each =
        |filter: &dyn Fn(ParamId) -> Filter| filters::any(shared::rows(parameter).into_iter().map(filter).collect());
    // a comma says nothing here, and neither does a backslash
    let escaped = test.value.replace('\\', "\\\\");
    let equal = || filters::of_rows(context, parameter, None, &[&escaped]);
    let modified = |modifier| filters::of_parameter(context, parameter, Some(modifier), &escaped.replace(',', "\\,"));
    let differs = |equal: Filter| {
        let present = filters::present(context, parameter)?;
        Ok(Filter::All(vec![present, Filter::Not(Box::new(equal))]))
    };
    match (test.operator, parameter.kind()) {
        (Operator::Present, _) => {
            let present = filters::present(context, parameter)?;
            match test.value.as_str() {
                "true" => Ok(present),
                "false" => Ok(Filter::Not(Box::new(present))),
                _ => Err(expression::refuse(test.at, "the value of 'pr' is `true` or `false`")),
            }
        }
        (Operator::Prefix(prefix), ParamKind::Date | ParamKind::Number | ParamKind::Quantity) => {
            filters::of_rows(context, parameter, None, &[&format!("{prefix}{escaped}")])
        }
        (operator, ParamKind::String) => {
            let folded = fold(&test.value);
            let text = |test: TextTest| each(&|param| Filter::Text(param, test.clone()));
            match operator {
                Operator::Prefix("eq") => Ok(text(TextTest::Folded(folded))),
                Operator::Prefix("ne") => differs(text(TextTest::Folded(folded))),
                Operator::Contains => Ok(text(TextTest::Contains(folded))),
                Operator::StartsWith => Ok(text(TextTest::StartsWith(folded))),
                Operator::EndsWith => Ok(text(TextTest::EndsWith(folded))),
                _ => Err(cannot(test, parameter.code())),
            }
        }
        (Operator::Prefix("eq"), ParamKind::Token | ParamKind::Reference | ParamKind::Uri)
        | (Operator::Refers, ParamKind::Reference)
        | (Operator::Overlaps, ParamKind::Date) => equal(),
        (Operator::Prefix("ne"), ParamKind::Token | ParamKind::Reference | ParamKind::Uri) => differs(equal()?),
        (Operator::StartsWith, ParamKind::Uri) => Ok(each(&|param| Filter::Prefix(param, key::uri(&test.value)))),
        (Operator::In, ParamKind::Token) => modified("in"),
        (Operator::NotIn, ParamKind::Token) => modified("not-in"),
        (Operator::Subsumes, ParamKind::Token) => modified("below"),
        (Operator::SubsumedBy, ParamKind::Token) => modified("above"),
        _ => Err(cannot(test, parameter.code())),
    }
}

/// The refusal of an operator that a parameter doesn't have.
pub fn cannot(test: &Test, code: &str) -> SearchError {
    let text = format!(
        "the operator '{}' can't be used with the search parameter '{code}'",
        test.operator.code()
    );
    expression::refuse(test.at, &text)
}

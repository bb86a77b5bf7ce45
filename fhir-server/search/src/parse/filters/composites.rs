//! `a$b`: values of a composite's components, found in the same element.

use std::sync::Arc;

use fhir_definitions::SearchParameter;

use super::{Context, any, not_in_this_release, of_rows, of_values, table};
use crate::composite::Composite;
use crate::error::SearchError;
use crate::plan::Filter;
use crate::value;

/// One alternative of a query.
pub fn of_value(context: &Context<'_>, parameter: SearchParameter, text: &str) -> Result<Filter, SearchError> {
    let composite = compiled(context, parameter)?;
    let values = value::split(text, '$');
    if values.len() != composite.components.len() {
        let codes: Vec<&str> = composite
            .components
            .iter()
            .map(|component| component.like.code())
            .collect();
        return Err(SearchError::BadValue(format!(
            "The value '{text}' of the composite search parameter '{}' has {} parts; it takes {}: `{}`.",
            parameter.code(),
            values.len(),
            codes.len(),
            codes.join("$"),
        )));
    }
    let mut found = Vec::new();
    if !composite.plain.is_empty() {
        let parts = composite.plain.iter().zip(&values);
        let parts = parts.map(|(plain, value)| of_rows(context, *plain, None, &[*value]));
        found.push(Filter::All(parts.collect::<Result<_, _>>()?));
    }
    if composite.nested {
        let parts = composite.components.iter().zip(&values);
        let parts =
            parts.map(|(component, value)| of_values(context, component.like, component.param, None, &[*value]));
        found.extend(together(parts.collect::<Result<_, _>>()?));
    }
    Ok(any(found))
}

/// Whether there is an element with all components.
pub fn present(context: &Context<'_>, parameter: SearchParameter) -> Result<Filter, SearchError> {
    let composite = compiled(context, parameter)?;
    let mut found = Vec::new();
    if !composite.plain.is_empty() {
        let parts = composite.plain.iter().map(|plain| super::present(context, *plain));
        found.push(Filter::All(parts.collect::<Result<_, _>>()?));
    }
    // an element has rows of all components or of none
    if composite.nested
        && let Some(first) = composite.components.first()
    {
        let table = table(first.like.kind()).ok_or_else(|| not_in_this_release(parameter))?;
        found.push(Filter::Present(first.param, table));
    }
    Ok(any(found))
}

fn compiled(context: &Context<'_>, parameter: SearchParameter) -> Result<Arc<Composite>, SearchError> {
    Composite::of(context.parameters, parameter).ok_or_else(|| not_in_this_release(parameter))
}

/// Parts that are alternatives themselves (`ne`) become alternatives of the whole.
fn together(parts: Vec<Filter>) -> Vec<Filter> {
    let mut wholes = vec![Vec::new()];
    for part in parts {
        let choices = match part {
            Filter::Any(choices) => choices,
            one => vec![one],
        };
        wholes = wholes
            .iter()
            .flat_map(|whole| {
                choices.iter().map(move |choice| {
                    let mut whole: Vec<Filter> = whole.clone();
                    whole.push(choice.clone());
                    whole
                })
            })
            .collect();
    }
    wholes.into_iter().map(Filter::Together).collect()
}

//! A filter as a condition: with numbers for its texts and parameters. A text without a number is one that no resource
//! has.

use fhir_search::{Filter, ParamId, key};

use super::condition::Condition;
use super::owns::Owns;
use crate::catalogue::Catalogue;

/// Codes whose owners are looked for together, at most.
const CODES: usize = 8;

/// Gives the number of a text, if it has one.
pub type Find<'a, E> = dyn FnMut(&str) -> Result<Option<i64>, E> + 'a;

/// Looks up what a filter names.
pub fn resolve<E>(catalogue: &Catalogue, filter: &Filter, find: &mut Find<'_, E>) -> Result<Condition, E> {
    let mut each = |filters: &[Filter]| {
        filters
            .iter()
            .map(|filter| resolve(catalogue, filter, find))
            .collect::<Result<Vec<_>, E>>()
    };
    Ok(match filter {
        Filter::Any(filters) => any(each(filters)?),
        Filter::All(filters) => all(each(filters)?),
        Filter::Not(filter) => match resolve(catalogue, filter, find)? {
            Condition::Constant(value) => Condition::Constant(!value),
            other => Condition::Not(Box::new(other)),
        },
        Filter::Exact(param, texts) => {
            let mut values = Vec::with_capacity(texts.len());
            for text in texts {
                values.extend(find(text)?);
            }
            values.sort_unstable();
            values.dedup();
            if values.is_empty() {
                Condition::Constant(false)
            } else {
                Condition::Exact {
                    param: catalogue.param(*param),
                    values,
                }
            }
        }
        Filter::Prefix(param, prefix) => Condition::Prefix {
            param: catalogue.param(*param),
            prefix: prefix.clone(),
        },
        Filter::Date(param, low, high) => Condition::Date {
            param: catalogue.param(*param),
            low: low.clone(),
            high: high.clone(),
        },
        Filter::Number(param, test) => {
            let mut unit = |text: &Option<String>| text.as_deref().map(&mut *find).transpose();
            match (unit(&test.system)?, unit(&test.code)?) {
                (Some(None), _) | (_, Some(None)) => Condition::Constant(false),
                (system, code) => Condition::Number {
                    param: catalogue.param(*param),
                    test: test.clone(),
                    system: system.flatten(),
                    code: code.flatten(),
                },
            }
        }
        Filter::Text(param, test) => Condition::Text {
            param: catalogue.param(*param),
            test: test.clone(),
        },
        Filter::Near(param, circle) => Condition::Near {
            param: catalogue.param(*param),
            circle: *circle,
        },
        Filter::Present(param, table) => Condition::Present {
            param: catalogue.param(*param),
            table: *table,
        },
        Filter::Linked {
            param,
            target,
            url,
            filters,
        } => linked(catalogue, true, (*param, *url), target, each(filters)?),
        Filter::LinkedBy {
            param,
            target,
            url,
            filters,
        } => linked(catalogue, false, (*param, *url), target, each(filters)?),
        Filter::Together(filters) => {
            let parts = each(filters)?;
            if parts.iter().any(|part| matches!(part, Condition::Constant(false))) {
                Condition::Constant(false)
            } else {
                Condition::Together(parts)
            }
        }
        Filter::Id(ids) => Condition::Id(ids.clone()),
        Filter::Updated(range) => Condition::Updated(range.clone()),
        Filter::Type(names) => Condition::Type(names.iter().filter_map(|name| catalogue.type_number(name)).collect()),
    })
}

/// Forwards along a reference, or back.
fn linked(
    catalogue: &Catalogue,
    forwards: bool,
    (param, url): (ParamId, Option<ParamId>),
    target: &str,
    inner: Vec<Condition>,
) -> Condition {
    let Some(number) = catalogue.type_number(target) else {
        return Condition::Constant(false);
    };
    let inner = match all(inner) {
        Condition::Constant(true) => Vec::new(),
        Condition::Constant(false) => return Condition::Constant(false),
        other => other.conjuncts(),
    };
    // of a parameter of several types the filters beside it name the one that is meant
    let named = || {
        inner.iter().find_map(|condition| match condition {
            Condition::Type(types) => types.first().copied(),
            _ => None,
        })
    };
    let source = catalogue.param_type(param).or_else(named).unwrap_or_default();
    let prefix = match url {
        None => key::reference(&format!("{target}/")),
        Some(_) => key::reference(""),
    };
    let (param, url) = (catalogue.param(param), url.map(|url| catalogue.param(url)));
    if forwards {
        Condition::Linked {
            param,
            target: number,
            url,
            prefix,
            inner,
        }
    } else if let (None, Some(owns)) = (url, owns(catalogue, param, source, (number, &prefix), &inner)) {
        Condition::Owns(owns)
    } else {
        Condition::LinkedBy {
            param,
            source,
            target: number,
            url,
            prefix,
            inner,
        }
    }
}

/// Where the references are those to an owner, and what refers is asked for its main code alone.
fn owns(
    catalogue: &Catalogue,
    param: i64,
    source: i64,
    (target, prefix): (i64, &str),
    inner: &[Condition],
) -> Option<Owns> {
    let owned = catalogue.owned(source)?;
    match inner {
        [Condition::Exact { param: code, values }] if *code == owned.code && values.len() <= CODES => Some(Owns {
            param: *code,
            values: values.clone(),
            via: owned.via(param)?,
            target,
            prefix: prefix.to_owned(),
        }),
        _ => None,
    }
}

fn any(mut conditions: Vec<Condition>) -> Condition {
    if conditions.iter().any(|c| matches!(c, Condition::Constant(true))) {
        return Condition::Constant(true);
    }
    conditions.retain(|c| !matches!(c, Condition::Constant(false)));
    match conditions.len() {
        0 => Condition::Constant(false),
        1 => conditions.remove(0),
        _ => Condition::Any(conditions),
    }
}

fn all(mut conditions: Vec<Condition>) -> Condition {
    if conditions.iter().any(|c| matches!(c, Condition::Constant(false))) {
        return Condition::Constant(false);
    }
    conditions.retain(|c| !matches!(c, Condition::Constant(true)));
    match conditions.len() {
        0 => Condition::Constant(true),
        1 => conditions.remove(0),
        _ => Condition::All(conditions),
    }
}

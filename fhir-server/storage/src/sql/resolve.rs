//! A filter as a condition: with numbers for its texts and parameters. A text without a number is one that no resource
//! has.

use fhir_search::key::{self, Asked};
use fhir_search::{Filter, ParamId};

use super::condition::Condition;
use super::owns::Owns;
use crate::catalogue::Catalogue;

/// Codes whose owners are looked for together, at most.
const CODES: usize = 8;

/// Gives the numbers of what is asked for: of a key the only one, if it has one; of a code the one with each system that
/// it has in rows of the parameter; of a system its own.
pub type Find<'a, E> = dyn FnMut(i64, Asked<'_>) -> Result<Vec<i64>, E> + 'a;

/// Looks up what a filter names.
pub fn resolve<E>(catalogue: &Catalogue, filter: &Filter, find: &mut Find<'_, E>) -> Result<Condition, E> {
    let mut each = |filters: &[Filter]| {
        filters
            .iter()
            .map(|filter| resolve(catalogue, filter, find))
            .collect::<Result<Vec<_>, E>>()
    };
    Ok(match filter {
        Filter::Any(filters) if are_shared(filters) => {
            let used = filters.iter().filter_map(|filter| match filter {
                Filter::Exact(param, keys) => Some(exact(catalogue.param(*param), keys, true, find)),
                _ => None,
            });
            any(used.collect::<Result<_, E>>()?)
        }
        Filter::Any(filters) => any(each(filters)?),
        Filter::All(filters) => all(each(filters)?),
        Filter::Not(filter) => match resolve(catalogue, filter, find)? {
            Condition::Constant(value) => Condition::Constant(!value),
            other => Condition::Not(Box::new(other)),
        },
        Filter::Exact(param, texts) => exact(catalogue.param(*param), texts, false, find)?,
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
            let mut unit = |text: &Option<String>| {
                let numbers = text.as_deref().map(|text| find(0, Asked::Key(text)));
                Ok(numbers.transpose()?.map(|numbers| numbers.first().copied()))
            };
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

/// Whether alternatives are the rows of several parameters with the same keys, as one parameter has them that is made of
/// others: mostly one of them alone has a key, and then its rows can lead the search.
pub fn are_shared(filters: &[Filter]) -> bool {
    let [Filter::Exact(_, first), others @ ..] = filters else {
        return false;
    };
    let same = |filter: &Filter| matches!(filter, Filter::Exact(_, keys) if keys == first);
    !others.is_empty() && others.iter().all(same)
}

/// Exact keys; only those that rows of the parameter have, where `used` asks for that.
fn exact<E>(param: i64, keys: &[String], used: bool, find: &mut Find<'_, E>) -> Result<Condition, E> {
    let (mut values, mut systems) = (Vec::with_capacity(keys.len()), Vec::new());
    for key in keys {
        let asked = Asked::by(key);
        let mut numbers = find(param, asked)?;
        if let (true, Some((_, code))) = (used, key::parts(key)) {
            let all = find(param, Asked::Code(code))?;
            numbers.retain(|number| all.contains(number));
        }
        match asked {
            Asked::System(_) => systems.extend(numbers),
            Asked::Key(_) | Asked::Code(_) => values.extend(numbers),
        }
    }
    let of_keys = set(values).map(|values| Condition::Exact { param, values });
    let of_systems = set(systems).map(|systems| Condition::OfSystem { param, systems });
    Ok(any(of_keys.into_iter().chain(of_systems).collect()))
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

/// The numbers, each once; `None`: there are none.
fn set(mut numbers: Vec<i64>) -> Option<Vec<i64>> {
    numbers.sort_unstable();
    numbers.dedup();
    (!numbers.is_empty()).then_some(numbers)
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

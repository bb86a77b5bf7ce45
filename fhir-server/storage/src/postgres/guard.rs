//! Whether what isn't written yet could be what a search looks for.

use fhir_search::key::is_asked;
use fhir_search::{Filter, Plan};

use crate::commit::Prepared;

/// Whether a new resource could change what a plan finds.
pub fn may_find(plan: &Plan, resource: &Prepared) -> bool {
    links(&plan.filters)
        || ((plan.types.is_empty() || plan.types.contains(&resource.resource_type))
            && plan.filters.iter().all(|filter| holds(filter, resource) != Some(false)))
}

/// Whether a filter looks beyond the resource.
fn links(filters: &[Filter]) -> bool {
    filters.iter().any(|filter| match filter {
        Filter::Linked { .. } | Filter::LinkedBy { .. } => true,
        Filter::Any(filters) | Filter::All(filters) | Filter::Together(filters) => links(filters),
        Filter::Not(filter) => links(std::slice::from_ref(filter)),
        _ => false,
    })
}

/// Whether a filter holds for a resource that isn't written yet; `None`: only the database can tell.
fn holds(filter: &Filter, resource: &Prepared) -> Option<bool> {
    match filter {
        Filter::Exact(param, texts) => {
            let has = |(of, text): &(_, String)| of == param && is_asked(text, texts);
            Some(resource.keys.exact.iter().any(has))
        }
        Filter::Id(ids) => Some(ids.contains(&resource.id)),
        Filter::Type(types) => Some(types.contains(&resource.resource_type)),
        Filter::Not(filter) => holds(filter, resource).map(|holds| !holds),
        Filter::All(filters) => {
            let each: Vec<_> = filters.iter().map(|filter| holds(filter, resource)).collect();
            if each.contains(&Some(false)) {
                Some(false)
            } else if each.contains(&None) {
                None
            } else {
                Some(true)
            }
        }
        Filter::Any(filters) => {
            let each: Vec<_> = filters.iter().map(|filter| holds(filter, resource)).collect();
            if each.contains(&Some(true)) {
                Some(true)
            } else if each.contains(&None) {
                None
            } else {
                Some(false)
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_the_database_can_tell_may_hold() {
        let resource = Prepared::new("Patient", "a", b"{}".to_vec(), fhir_search::Keys::default()).unwrap();
        let id = |id: &str| Filter::Id(vec![id.to_owned()]);
        let unknown = || Filter::Updated(fhir_search::plan::Range::OPEN);
        for (filter, expected) in [
            (id("a"), Some(true)),
            (id("b"), Some(false)),
            (Filter::All(vec![unknown(), id("a")]), None),
            (Filter::All(vec![unknown(), id("b")]), Some(false)),
            (Filter::Any(vec![unknown(), id("a")]), Some(true)),
            (Filter::Any(vec![unknown(), id("b")]), None),
            (Filter::Not(Box::new(id("b"))), Some(true)),
        ] {
            assert_eq!(holds(&filter, &resource), expected, "{filter:?}");
        }
    }
}

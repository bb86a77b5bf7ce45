//! Label selectors, as Kubernetes evaluates them.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// Whether a selector selects these labels. An empty one selects all; an operator that we don't know selects none.
pub fn matches(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let equal = selector
        .match_labels
        .iter()
        .flatten()
        .all(|(key, value)| labels.get(key) == Some(value));
    let expressions = selector.match_expressions.iter().flatten().all(|expression| {
        let held = labels.get(&expression.key);
        let among = held.is_some_and(|held| expression.values.iter().flatten().any(|value| value == held));
        match expression.operator.as_str() {
            "In" => among,
            "NotIn" => !among,
            "Exists" => held.is_some(),
            "DoesNotExist" => held.is_none(),
            _ => false,
        }
    });
    equal && expressions
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("{}", true)]
    #[case("{matchLabels: {team: a}}", true)]
    #[case("{matchLabels: {team: b}}", false)]
    #[case("{matchExpressions: [{key: team, operator: In, values: [a, b]}]}", true)]
    #[case("{matchExpressions: [{key: team, operator: NotIn, values: [a]}]}", false)]
    #[case("{matchExpressions: [{key: other, operator: NotIn, values: [a]}]}", true)]
    #[case("{matchExpressions: [{key: team, operator: Exists}]}", true)]
    #[case("{matchExpressions: [{key: team, operator: DoesNotExist}]}", false)]
    fn selects_as_kubernetes_does(#[case] selector: &str, #[case] selected: bool) {
        let labels = BTreeMap::from([("team".to_owned(), "a".to_owned())]);
        assert_eq!(matches(&serde_yaml::from_str(selector).unwrap(), &labels), selected);
    }
}

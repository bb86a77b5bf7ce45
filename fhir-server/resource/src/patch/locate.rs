//! From a value that a path found to its place.

use super::pointer::Step;
use crate::document::Node;

/// The way from `root` to `target`, which lies in the same document.
pub fn steps(root: Node<'_>, target: Node<'_>) -> Vec<Step> {
    let mut way = Vec::new();
    let mut place = root;
    let wanted = target.position();
    while place.position() != wanted {
        let within = |node: &Node<'_>| {
            let (span, target) = (node.span(), target.span());
            span.start <= target.start && target.end <= span.end
        };
        if let Some((name, inner)) = place.entries().find(|(_, node)| within(node)) {
            way.push(Step::Name(name.into_owned()));
            place = inner;
        } else if let Some((index, inner)) = place.items().enumerate().find(|(_, node)| within(node)) {
            way.push(Step::Index(index));
            place = inner;
        } else {
            break;
        }
    }
    way
}

/// Splits a path before its last name: `Patient.name[0].given` → `Patient.name[0]`, `given`. `None` where it ends with
/// something else than a name.
pub fn parent(path: &str) -> Option<(&str, &str)> {
    let (mut depth, mut quoted, mut dot) = (0_u32, false, None);
    for (at, c) in path.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            '.' if depth == 0 => dot = Some(at),
            _ => {}
        }
    }
    let dot = dot?;
    let (before, name) = (&path[..dot], &path[dot + 1..]);
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (is_name && !name.is_empty()).then_some((before, name))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("Patient.name", Some(("Patient", "name")))]
    #[case("Patient.name[0].given", Some(("Patient.name[0]", "given")))]
    #[case("Patient.name.where(use = 'a.b').given", Some(("Patient.name.where(use = 'a.b')", "given")))]
    #[case("Patient.name[0]", None)]
    #[case("Patient.name.first()", None)]
    #[case("Patient", None)]
    fn parents(#[case] path: &str, #[case] expected: Option<(&str, &str)>) {
        assert_eq!(parent(path), expected);
    }
}

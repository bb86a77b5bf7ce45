//! Members with one name: as in Newtonsoft.Json the last value takes the place of the first.

use std::collections::{HashMap, HashSet};

use super::{Id, Node, siblings};

/// Objects with more members are looked through by a hash.
const FEW: usize = 24;

/// Replaces repeated members of the last object, whose members end with the list.
pub(super) fn replace(nodes: &mut Vec<Node<'_>>, object: Id) {
    if !repeats(nodes, object) {
        return;
    }
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut kept: Vec<Id> = Vec::new();
    for member in members(nodes, object) {
        let name = nodes[member].key.as_deref().unwrap_or_default();
        match places.get(name) {
            Some(place) => kept[*place] = member,
            None => {
                places.insert(name.to_owned(), kept.len());
                kept.push(member);
            }
        }
    }
    let first = object + 1;
    let mut moved = Vec::with_capacity(nodes.len() - first);
    for member in kept {
        let (end, now) = (nodes[member].end, first + moved.len());
        for node in &nodes[member..end] {
            moved.push(Node {
                key: node.key.clone(),
                value: node.value.clone(),
                end: node.end - member + now,
                offset: node.offset,
            });
        }
    }
    nodes.truncate(first);
    nodes.append(&mut moved);
}

fn repeats(nodes: &[Node<'_>], object: Id) -> bool {
    let mut few = [""; FEW];
    for (count, member) in members(nodes, object).enumerate() {
        let name = nodes[member].key.as_deref().unwrap_or_default();
        if count == FEW {
            let mut seen = HashSet::new();
            return members(nodes, object).any(|member| !seen.insert(nodes[member].key.as_deref()));
        }
        if few[..count].contains(&name) {
            return true;
        }
        few[count] = name;
    }
    false
}

/// The last object has no end yet.
fn members(nodes: &[Node<'_>], object: Id) -> impl Iterator<Item = Id> {
    siblings(nodes, object + 1, nodes.len())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use crate::json::Document;

    #[rstest]
    #[case(r#"{"a": 1, "b": 2}"#, r#"{"a":1,"b":2}"#, 3)]
    #[case(r#"{"a": 1, "b": 3, "a": 2}"#, r#"{"a":2,"b":3}"#, 3)]
    #[case(
        r#"{"a": {"b": 1, "c": [1, 2]}, "d": [{"x": 1, "x": {"y": [0]}}], "a": 2, "a": {"e": {}}}"#,
        r#"{"a":{"e":{}},"d":[{"x":{"y":[0]}}]}"#,
        8
    )]
    fn the_last_value_takes_the_first_place(#[case] text: &str, #[case] expected: &str, #[case] nodes: usize) {
        let document = Document::parse(text.as_bytes()).unwrap();
        assert_eq!(document.to_json(0).to_string(), expected);
        assert_eq!((document.len(), document.end(0)), (nodes, nodes));
    }

    #[test]
    fn among_many_members_too() {
        let members: Vec<String> = (0..100)
            .map(|number| format!("\"m{}\": {number}", number % 99))
            .collect();
        let text = format!("{{{}}}", members.join(","));
        let document = Document::parse(text.as_bytes()).unwrap();
        assert_eq!(document.len(), 100);
        assert_eq!(document.to_json(0)["m0"], 99);
    }
}

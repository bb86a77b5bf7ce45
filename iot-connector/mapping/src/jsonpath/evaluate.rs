//! A compiled path on a document.

use std::{cmp::Ordering, ops::ControlFlow};

use super::{Condition, Literal, Operand, Operator, Path, Segment};
use crate::json::{Document, Id, Value};

/// What a path's `$` is: the whole document, with or without a matched token, or a part of it.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'d> {
    document: &'d Document<'d>,
    root: Id,
    /// Seen as the member `matchedToken` of the root.
    matched: Option<Id>,
}

/// The member that `CalculatedContent` expressions find the matched token under.
const MATCHED: &str = "matchedToken";

impl<'d> Scope<'d> {
    /// Paths begin at `root`.
    pub fn at(document: &'d Document<'d>, root: Id) -> Self {
        Self {
            document,
            root,
            matched: None,
        }
    }

    /// Paths begin at the document's root, which has `matched` as a further member.
    pub fn with_matched(document: &'d Document<'d>, matched: Id) -> Self {
        Self {
            document,
            root: 0,
            matched: Some(matched),
        }
    }

    /// All tokens that a path finds, in Newtonsoft's order.
    pub fn select(&self, path: &Path) -> Vec<Id> {
        let mut found = Vec::new();
        let _ = self.walk(self.root, &path.segments, &mut |id| {
            found.push(id);
            ControlFlow::Continue(())
        });
        found
    }

    /// The one token that a path finds; `Err` when there are more.
    #[expect(
        clippy::result_unit_err,
        reason = "there is one way to fail, and its name is in the documentation"
    )]
    pub fn select_one(&self, path: &Path) -> Result<Option<Id>, ()> {
        let mut found = None;
        let flow = self.walk(self.root, &path.segments, &mut |id| {
            if found.is_some() {
                return ControlFlow::Break(());
            }
            found = Some(id);
            ControlFlow::Continue(())
        });
        if flow.is_break() { Err(()) } else { Ok(found) }
    }

    fn walk(&self, id: Id, segments: &[Segment], visit: &mut dyn FnMut(Id) -> ControlFlow<()>) -> ControlFlow<()> {
        let Some((segment, rest)) = segments.split_first() else {
            return visit(id);
        };
        let document = self.document;
        match segment {
            Segment::Member(Some(name)) => match self.member(id, name) {
                Some(member) => self.walk(member, rest, visit),
                None => ControlFlow::Continue(()),
            },
            Segment::Member(None) if *document.value(id) == Value::Object => {
                self.each(document.children(id), rest, visit)
            }
            Segment::Members(names) => self.each(names.iter().filter_map(|name| self.member(id, name)), rest, visit),
            Segment::Scan(None) => self.each(id..document.end(id), rest, visit),
            Segment::Scan(Some(name)) => self.each(
                (id + 1..document.end(id)).filter(|node| document.key(*node) == Some(name)),
                rest,
                visit,
            ),
            Segment::ScanMembers(names) => {
                let named = |node: &Id| {
                    document
                        .key(*node)
                        .is_some_and(|key| names.iter().any(|name| name == key))
                };
                self.each((id + 1..document.end(id)).filter(named), rest, visit)
            }
            Segment::Filter(condition) if *document.value(id) == Value::Array => self.each(
                document.children(id).filter(|child| self.holds(*child, condition)),
                rest,
                visit,
            ),
            Segment::ScanFilter(condition) => self.each(
                (id..document.end(id)).filter(|node| self.holds(*node, condition)),
                rest,
                visit,
            ),
            Segment::Indexes(_) | Segment::Slice { .. } if *document.value(id) == Value::Array => {
                let elements: Vec<Id> = document.children(id).collect();
                self.each(chosen(segment, &elements).into_iter(), rest, visit)
            }
            Segment::Member(None) | Segment::Filter(_) | Segment::Indexes(_) | Segment::Slice { .. } => {
                ControlFlow::Continue(())
            }
        }
    }

    fn each(
        &self,
        ids: impl Iterator<Item = Id>,
        rest: &[Segment],
        visit: &mut dyn FnMut(Id) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        for id in ids {
            self.walk(id, rest, visit)?;
        }
        ControlFlow::Continue(())
    }

    fn member(&self, id: Id, name: &str) -> Option<Id> {
        if id == self.root && name == MATCHED && self.matched.is_some() {
            return self.matched;
        }
        self.document.member(id, name)
    }

    fn holds(&self, id: Id, condition: &Condition) -> bool {
        match condition {
            Condition::All(conditions) => conditions.iter().all(|condition| self.holds(id, condition)),
            Condition::Any(conditions) => conditions.iter().any(|condition| self.holds(id, condition)),
            Condition::Exists(Operand::Literal(_)) => true,
            Condition::Exists(operand) => self.operand(id, operand, &mut |_| ControlFlow::Break(())).is_break(),
            Condition::Compare(left, operator, right) => self
                .operand(id, left, &mut |left| {
                    self.operand(id, right, &mut |right| {
                        if compare(&left, *operator, &right) {
                            ControlFlow::Break(())
                        } else {
                            ControlFlow::Continue(())
                        }
                    })
                })
                .is_break(),
        }
    }

    fn operand(
        &self,
        id: Id,
        operand: &Operand,
        visit: &mut dyn FnMut(Side<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let (begin, segments) = match operand {
            Operand::Current(segments) => (id, segments),
            Operand::Root(segments) => (self.root, segments),
            Operand::Literal(literal) => return visit(Side::of_literal(literal)),
        };
        self.walk(begin, segments, &mut |found| {
            visit(Side::of_value(self.document.value(found)))
        })
    }
}

fn chosen(segment: &Segment, elements: &[Id]) -> Vec<Id> {
    let length = i64::try_from(elements.len()).unwrap_or(i64::MAX);
    match segment {
        Segment::Indexes(indexes) if indexes.is_empty() => elements.to_vec(),
        Segment::Indexes(indexes) => indexes
            .iter()
            .filter_map(|index| elements.get(*index).copied())
            .collect(),
        Segment::Slice { start, end, step } => {
            let place = |index: i64| if index < 0 { index + length } else { index };
            let (first, last) = if *step > 0 {
                (start.map_or(0, place).max(0), end.map_or(length, place).min(length))
            } else {
                (
                    start.map_or(length - 1, place).min(length - 1),
                    end.map_or(-1, |end| place(end).max(-1)),
                )
            };
            let mut found = Vec::new();
            let mut index = first;
            while if *step > 0 { index < last } else { index > last } {
                found.extend(usize::try_from(index).ok().and_then(|index| elements.get(index)));
                index = index.saturating_add(*step);
            }
            found
        }
        _ => Vec::new(),
    }
}

/// One side of a comparison.
enum Side<'a> {
    Null,
    Bool(bool),
    Number(f64),
    Text(&'a str),
    Container,
}

impl<'a> Side<'a> {
    fn of_literal(literal: &'a Literal) -> Self {
        match literal {
            Literal::Null => Self::Null,
            Literal::Bool(value) => Self::Bool(*value),
            Literal::Number(value) => Self::Number(*value),
            Literal::Text(text) => Self::Text(text),
        }
    }

    fn of_value(value: &'a Value<'_>) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(text) => text.parse().map_or(Self::Null, Self::Number),
            Value::String(text) => Self::Text(text),
            Value::Array | Value::Object => Self::Container,
        }
    }
}

fn compare(left: &Side<'_>, operator: Operator, right: &Side<'_>) -> bool {
    if matches!(left, Side::Container) || matches!(right, Side::Container) {
        return operator == Operator::NotEqual;
    }
    match operator {
        Operator::Equal | Operator::StrictEqual => equal(left, right),
        Operator::NotEqual | Operator::StrictNotEqual => !equal(left, right),
        Operator::Less => order(left, right).is_some_and(Ordering::is_lt),
        Operator::LessOrEqual => order(left, right).is_some_and(Ordering::is_le),
        Operator::Greater => order(left, right).is_some_and(Ordering::is_gt),
        Operator::GreaterOrEqual => order(left, right).is_some_and(Ordering::is_ge),
    }
}

#[expect(
    clippy::float_cmp,
    reason = "JSON numbers are equal when their doubles are, as in Newtonsoft.Json"
)]
fn equal(left: &Side<'_>, right: &Side<'_>) -> bool {
    match (left, right) {
        (Side::Null, Side::Null) => true,
        (Side::Bool(left), Side::Bool(right)) => left == right,
        (Side::Number(left), Side::Number(right)) => left == right,
        (Side::Text(left), Side::Text(right)) => left == right,
        _ => false,
    }
}

fn order(left: &Side<'_>, right: &Side<'_>) -> Option<Ordering> {
    match (left, right) {
        (Side::Number(left), Side::Number(right)) => left.partial_cmp(right),
        (Side::Number(left), Side::Text(right)) => left.partial_cmp(&right.parse().ok()?),
        (Side::Text(left), Side::Text(right)) => Some(left.cmp(right)),
        (Side::Bool(left), Side::Bool(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value as Json, json};

    use super::*;

    #[rstest]
    #[case("$..[?(@a)]", json!({"a": 1}), json!([{"a": 1}]))]
    #[case("$..[?(@a)]", json!({"b": [{"a": null}, {"c": 1}]}), json!([{"a": null}]))]
    #[case("$..[?(@a.b.c)]", json!({"a": {"b": {"c": ""}}}), json!([{"a": {"b": {"c": ""}}}]))]
    #[case("$..[?(@['My Property'])]", json!({"My Property": 1}), json!([{"My Property": 1}]))]
    #[case("$.['My Property']", json!({"My Property": 1}), json!([1]))]
    #[case("a.b", json!({"a": {"b": 1}}), json!([1]))]
    #[case("$", json!(1), json!([1]))]
    #[case("$.S.iothub-connection-device-id", json!({"S": {"iothub-connection-device-id": "d"}}), json!(["d"]))]
    #[case("$..[?(@unit == 'inches')].v", json!([{"unit": "inches", "v": 1}, {"unit": "cm", "v": 2}]), json!([1]))]
    #[case("$.a[0]", json!({"a": [1, 2]}), json!([1]))]
    #[case("$.a[0,1]", json!({"a": [1, 2, 3]}), json!([1, 2]))]
    #[case("$.a[*]", json!({"a": [1, 2]}), json!([1, 2]))]
    #[case("$.a[1:]", json!({"a": [1, 2, 3]}), json!([2, 3]))]
    #[case("$.a[-1:]", json!({"a": [1, 2, 3]}), json!([3]))]
    #[case("$.a[::-1]", json!({"a": [1, 2, 3]}), json!([3, 2, 1]))]
    #[case("$['a','b']", json!({"a": 1, "b": 2}), json!([1, 2]))]
    #[case("$..a", json!({"a": {"a": 1}}), json!([{"a": 1}, 1]))]
    #[case("$.*", json!({"a": 1, "b": 2}), json!([1, 2]))]
    #[case("$.a[?(@.x > 1)].x", json!({"a": [{"x": 1}, {"x": 2}, {"x": 2.5}]}), json!([2, 2.5]))]
    #[case("$[?(@.x)]", json!({"x": {"x": 1}}), json!([]))]
    #[case("$..[?(@a && @b || @c)]", json!([{"a": 1, "b": 1}, {"a": 1, "c": 1}, {"b": 1, "c": 1}]), json!([{"a": 1, "b": 1}, {"a": 1, "c": 1}]))]
    #[case("$..[?(@a || @b && @c)]", json!([{"a": 1}, {"b": 1, "c": 1}, {"b": 1}]), json!([{"a": 1}, {"b": 1, "c": 1}]))]
    #[case("$..[?(@a != 1)]", json!([{"a": {}}, {"a": 1}, {"a": 2}]), json!([{"a": {}}, {"a": 2}]))]
    fn paths_select_as_newtonsoft(#[case] path: &str, #[case] json: Json, #[case] expected: Json) {
        let text = json.to_string();
        let document = Document::parse(text.as_bytes()).unwrap();
        let found = Scope::at(&document, 0).select(&Path::parse(path).unwrap());
        assert_eq!(
            found.into_iter().map(|id| document.to_json(id)).collect::<Json>(),
            expected
        );
    }

    #[rstest]
    #[case("$.")]
    #[case("$.a[")]
    #[case("$..[?(@a]")]
    #[case("$.a[?(@a =~ /x/)]")]
    #[case("$.a[0]b")]
    #[case("$.a b")]
    #[case("$.a[x]")]
    fn what_is_not_a_path_is_refused(#[case] path: &str) {
        assert!(Path::parse(path).is_err());
    }
}

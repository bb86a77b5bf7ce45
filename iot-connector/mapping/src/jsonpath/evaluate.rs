//! A compiled path on a document.

use std::ops::ControlFlow;

use super::{
    Condition, Operand, Path, Segment,
    compare::{Side, compare},
};
use crate::json::{Document, Id, Value};

/// What a path's `$` is: the whole document, with or without a matched token, or a part of it.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'d> {
    document: &'d Document<'d>,
    root: Id,
    /// Seen as the last member, `matchedToken`, of the root.
    matched: Option<Id>,
    /// A member of that name that the root has itself, which isn't seen.
    hidden: Option<Id>,
}

/// The member that `CalculatedContent` expressions find the matched token under.
const MATCHED: &str = "matchedToken";

/// Takes a token that was found; breaking ends the search.
type Visit<'v> = &'v mut dyn FnMut(Id) -> ControlFlow<()>;

impl<'d> Scope<'d> {
    /// Paths begin at `root`.
    pub fn at(document: &'d Document<'d>, root: Id) -> Self {
        Self {
            document,
            root,
            matched: None,
            hidden: None,
        }
    }

    /// Paths begin at the document's root, which has `matched` as a further member: scans find that a second time.
    pub fn with_matched(document: &'d Document<'d>, matched: Id) -> Self {
        Self {
            document,
            root: 0,
            matched: Some(matched),
            hidden: document.member(0, MATCHED),
        }
    }

    /// All tokens that a path finds, in Newtonsoft's order.
    pub fn select(&self, path: &Path) -> Vec<Id> {
        let mut found = Vec::new();
        let _ = self.walk_root(&path.segments, &mut |id| {
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
        let flow = self.walk_root(&path.segments, &mut |id| {
            if found.is_some() {
                return ControlFlow::Break(());
            }
            found = Some(id);
            ControlFlow::Continue(())
        });
        if flow.is_break() { Err(()) } else { Ok(found) }
    }

    /// Whether a path from a node finds anything.
    pub(super) fn has(&self, id: Id, segments: &[Segment]) -> bool {
        self.walk(id, segments, &mut |_| ControlFlow::Break(())).is_break()
    }

    /// From `$`: the one place that has the matched token as a member.
    fn walk_root(&self, segments: &[Segment], visit: Visit<'_>) -> ControlFlow<()> {
        let (Some(matched), Some((segment, rest))) = (self.matched, segments.split_first()) else {
            return self.walk(self.root, segments, visit);
        };
        let named = |names: &[String]| names.iter().any(|name| name == MATCHED);
        match segment {
            Segment::Member(Some(name)) if name == MATCHED => return self.walk(matched, rest, visit),
            Segment::Members(names) => {
                let member = |name: &String| match name.as_str() {
                    MATCHED => Some(matched),
                    name => self.document.member(self.root, name),
                };
                return self.each(names.iter().filter_map(member), rest, visit);
            }
            _ => self.walk(self.root, segments, visit)?,
        }
        match segment {
            Segment::Member(None) => self.walk(matched, rest, visit),
            Segment::Scan(Some(name)) if name == MATCHED => {
                self.walk(matched, rest, visit)?;
                self.walk(matched, segments, visit)
            }
            Segment::ScanMembers(names) if named(names) => {
                self.walk(matched, rest, visit)?;
                self.walk(matched, segments, visit)
            }
            Segment::Scan(_) | Segment::ScanMembers(_) | Segment::ScanFilter(_) => self.walk(matched, segments, visit),
            _ => ControlFlow::Continue(()),
        }
    }

    fn walk(&self, id: Id, segments: &[Segment], visit: Visit<'_>) -> ControlFlow<()> {
        let Some((segment, rest)) = segments.split_first() else {
            return visit(id);
        };
        let document = self.document;
        match segment {
            Segment::Member(Some(name)) => match document.member(id, name) {
                Some(member) => self.walk(member, rest, visit),
                None => ControlFlow::Continue(()),
            },
            Segment::Member(None) if *document.value(id) == Value::Object => {
                let seen = |child: &Id| id != self.root || Some(*child) != self.hidden;
                self.each(document.children(id).filter(seen), rest, visit)
            }
            Segment::Members(names) => {
                self.each(names.iter().filter_map(|name| document.member(id, name)), rest, visit)
            }
            Segment::Scan(None) => self.each(std::iter::once(id).chain(self.below(id)), rest, visit),
            Segment::Scan(Some(name)) => self.each(
                self.below(id).filter(|node| document.key(*node) == Some(name)),
                rest,
                visit,
            ),
            Segment::ScanMembers(names) => {
                let named = |node: &Id| {
                    document
                        .key(*node)
                        .is_some_and(|key| names.iter().any(|name| name == key))
                };
                self.each(self.below(id).filter(named), rest, visit)
            }
            Segment::Filter(condition) if *document.value(id) == Value::Array => self.each(
                document.children(id).filter(|child| self.holds(*child, condition)),
                rest,
                visit,
            ),
            Segment::ScanFilter(condition) => self.each(
                std::iter::once(id)
                    .chain(self.below(id))
                    .filter(|node| self.holds(*node, condition)),
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

    /// Everything in a node.
    fn below(&self, id: Id) -> impl Iterator<Item = Id> {
        let end = self.document.end(id);
        let hidden = self.hidden.filter(|_| id == self.root);
        let (before, after) = hidden.map_or((end, end), |hidden| (hidden, self.document.end(hidden)));
        (id + 1..before).chain(after..end)
    }

    fn each(&self, ids: impl Iterator<Item = Id>, rest: &[Segment], visit: Visit<'_>) -> ControlFlow<()> {
        for id in ids {
            self.walk(id, rest, visit)?;
        }
        ControlFlow::Continue(())
    }

    fn holds(&self, id: Id, condition: &Condition) -> bool {
        match condition {
            Condition::All(conditions) => conditions.iter().all(|condition| self.holds(id, condition)),
            Condition::Any(conditions) => conditions.iter().any(|condition| self.holds(id, condition)),
            Condition::Exists(Operand::Literal(_)) => true,
            Condition::Exists(operand) => self.operand(id, operand, &mut |_| ControlFlow::Break(())).is_break(),
            Condition::Matches(operand, pattern) => self
                .operand(id, operand, &mut |side| match side {
                    Side::Text(text) if pattern.is_match(text) => ControlFlow::Break(()),
                    _ => ControlFlow::Continue(()),
                })
                .is_break(),
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
        let mut found = |found| visit(Side::of_value(self.document.value(found)));
        match operand {
            Operand::Current(segments) => self.walk(id, segments, &mut found),
            Operand::Root(segments) => self.walk_root(segments, &mut found),
            Operand::Literal(literal) => visit(Side::of_literal(literal)),
        }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
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
    #[case::regex("$[?(@.n =~ /^hr\\/[0-9]+$/)].n", json!([{"n": "hr/1"}, {"n": "HR/2"}, {"n": 3}]), json!(["hr/1"]))]
    #[case::regex_options("$[?(@.n =~ /^hr/i && @.v > 1)].n", json!([{"n": "hr", "v": 1}, {"n": "HR", "v": 2}]), json!(["HR"]))]
    #[case::regex_in_quotes("$[?(@.n =~ '/^H/i')].n", json!([{"n": "hr"}, {"n": "a"}]), json!(["hr"]))]
    #[case::regex_that_looks_around("$[?(@.n =~ /^(?!a)(.)\\1/)].n", json!([{"n": "aab"}, {"n": "bba"}, {"n": "bab"}]), json!(["bba"]))]
    #[case::whole_numbers_are_exact("$[?(@.n == 9007199254740993)].n", json!([{"n": 9_007_199_254_740_992_i64}, {"n": 9_007_199_254_740_993_i64}]), json!([9_007_199_254_740_993_i64]))]
    #[case::null("$[?(@.a == null)].b", json!([{"a": null, "b": 1}, {"b": 2}]), json!([1]))]
    #[case::not_null("$[?(@.a != null)].b", json!([{"a": null, "b": 1}, {"a": {}, "b": 2}, {"b": 3}]), json!([2]))]
    #[case::no_coercion_to_text("$[?(@.a == '1')]", json!([{"a": 1}]), json!([]))]
    #[case::int_and_float("$[?(@.a === 1.0)].a", json!([{"a": 1}, {"a": "1"}]), json!([1]))]
    #[case::strict_and_containers("$[?(@.a !== 1)].b", json!([{"a": {}, "b": 1}, {"a": 2, "b": 2}]), json!([2]))]
    #[case::text_as_number("$[?(@.a >= 10)].a", json!([{"a": "9"}, {"a": "10"}]), json!(["10"]))]
    #[case::against_the_root("$.list[?(@.id == $.wanted)].v", json!({"wanted": 2, "list": [{"id": 1, "v": "a"}, {"id": 2, "v": "b"}]}), json!(["b"]))]
    #[case::any_of_many("$[?(@.l[*] == 3)].n", json!([{"l": [1, 3], "n": 1}, {"l": [2], "n": 2}]), json!([1]))]
    #[case::filter_in_filter("$[?(@.l[?(@.x)])].n", json!([{"l": [{"x": 1}], "n": 1}, {"l": [{}], "n": 2}]), json!([1]))]
    #[case::scan_in_filter("$[?(@..x)].n", json!([{"l": [{"x": 1}], "n": 1}, {"n": 2}]), json!([1]))]
    #[case::elements_themselves("$.a[?(@ > 1)]", json!({"a": [1, 2, 3]}), json!([2, 3]))]
    #[case::escapes("$['it\\'s','a\\\\b']", json!({"it's": 1, "a\\b": 2}), json!([1, 2]))]
    #[case::a_quoted_star_is_a_name("$['*']", json!({"*": 1, "a": 2}), json!([1]))]
    #[case::names_with_signs("$.a$b@c:d", json!({"a$b@c:d": 1}), json!([1]))]
    #[case::dollar_begins_a_name("$a", json!({"$a": 1}), json!([1]))]
    #[case::unicode("$.größe[?(@.名)]", json!({"größe": [{"名": 1}]}), json!([{"名": 1}]))]
    #[case::round_brackets("$.a(0)", json!({"a": [1, 2]}), json!([1]))]
    #[case::blanks("$.a[ 0 , 1 ]", json!({"a": [1, 2]}), json!([1, 2]))]
    #[case::beyond_the_end("$.a[9]", json!({"a": [1]}), json!([]))]
    #[case::slice_with_a_step("$.a[0:4:2]", json!({"a": [0, 1, 2, 3, 4]}), json!([0, 2]))]
    #[case::slice_from_the_end("$.a[-2:-1]", json!({"a": [0, 1, 2]}), json!([1]))]
    #[case::scan_names("$..['a','b']", json!({"a": 1, "c": {"b": 2, "a": 3}}), json!([1, 2, 3]))]
    #[case::scan_all("$..*", json!({"a": [1]}), json!([{"a": [1]}, [1], 1]))]
    #[case::scan_indexes("$..a[0]", json!({"a": [1], "b": {"a": [2]}}), json!([1, 2]))]
    #[case::the_last_of_equal_names_on_objects_only("$.a.b", json!({"a": [{"b": 1}]}), json!([]))]
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
    #[case("$.a[?(@a =~ 'x')]")]
    #[case("$.a[?(@a =~ /x)]")]
    #[case("$.a[?(@a =~ /(/)]")]
    #[case("$.a[-1]")]
    #[case("$.a[0]b")]
    #[case("$.a b")]
    #[case("$.a[x]")]
    fn what_is_not_a_path_is_refused(#[case] path: &str) {
        assert!(Path::parse(path).is_err());
    }

    /// The matched token is a member like any other: scans find it, and what is in it, a second time.
    #[rstest]
    #[case("$.matchedToken.a", json!([1]))]
    #[case("$.id", json!(["x"]))]
    #[case("$..a", json!([1, 2, 1]))]
    #[case("$.matchedToken..a", json!([1]))]
    #[case("$['id','matchedToken']", json!(["x", {"a": 1}]))]
    #[case("$..matchedToken", json!([{"a": 1}]))]
    #[case("$.list[?(@.a != $.matchedToken.a)].a", json!([2]))]
    #[case("$.*", json!(["x", [{"a": 1}, {"a": 2}], {"a": 1}]))]
    fn the_matched_token_is_a_member_of_the_root(#[case] path: &str, #[case] expected: Json) {
        let text = json!({"id": "x", "list": [{"a": 1}, {"a": 2}]}).to_string();
        let document = Document::parse(text.as_bytes()).unwrap();
        let [matched, _] = Scope::at(&document, 0).select(&Path::parse("$.list[*]").unwrap())[..] else {
            panic!("two elements")
        };
        let found = Scope::with_matched(&document, matched).select(&Path::parse(path).unwrap());
        assert_eq!(
            found.into_iter().map(|id| document.to_json(id)).collect::<Json>(),
            expected
        );
    }

    #[rstest]
    #[case("$..q", json!([]))]
    #[case("$.*", json!(["x", {"a": 1}]))]
    #[case("$..[?(@q)]", json!([]))]
    #[case("$..matchedToken", json!([{"a": 1}]))]
    fn a_member_of_that_name_is_replaced(#[case] path: &str, #[case] expected: Json) {
        let text = json!({"id": "x", "matchedToken": {"q": 9, "m": {"a": 1}}}).to_string();
        let document = Document::parse(text.as_bytes()).unwrap();
        let [matched] = Scope::at(&document, 0).select(&Path::parse("$.matchedToken.m").unwrap())[..] else {
            panic!("one token")
        };
        let found = Scope::with_matched(&document, matched).select(&Path::parse(path).unwrap());
        assert_eq!(
            found.into_iter().map(|id| document.to_json(id)).collect::<Json>(),
            expected
        );
    }

    proptest! {
        #[test]
        fn no_path_panics(path in "[$@.\\[\\]()?*:,'\\\\/a-c0-3=~!<>&| é-]{0,24}", filter in "[@$.a-c0-3=~/'<>!&| ]{0,16}") {
            let document = Document::parse(br#"{"a": [1, {"b": "x", "c": null}], "b": {"a": true}}"#).unwrap();
            for path in [path, format!("$..[?({filter})]")] {
                if let Ok(path) = Path::parse(&path) {
                    Scope::at(&document, 0).select(&path);
                    let _ = Scope::with_matched(&document, 2).select_one(&path);
                }
            }
        }
    }
}

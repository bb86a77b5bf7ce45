//! Why a path finds nothing in a document, for people who wrote it.

use super::{Condition, Operand, Path, Scope, Segment};
use crate::json::Document;

impl Path {
    /// What the document lacks, as a sentence without a period; `None` where the path finds something, or where it isn't
    /// plain.
    pub fn missing(&self, document: &Document<'_>) -> Option<String> {
        let scope = Scope::at(document, 0);
        if !scope.select(self).is_empty() {
            return None;
        }
        // the first step that finds nothing is to blame
        let found = (0..self.segments.len()).find(|count| !scope.has(0, &self.segments[..=*count]))?;
        let before = text(&self.segments[..found]);
        match self.segments.get(found)? {
            Segment::ScanFilter(condition) => Some(lacks(condition, &scope, document)),
            Segment::Filter(condition) => Some(format!("of `${before}`, {}", lacks(condition, &scope, document))),
            Segment::Member(Some(name)) => Some(format!("`${before}` has no member `{name}`")),
            Segment::Scan(Some(name)) => Some(format!("nothing in `${before}` has a member `{name}`")),
            Segment::Indexes(_) | Segment::Slice { .. } => Some(format!("`${before}` isn't a list, or is too short")),
            Segment::Member(None) | Segment::Members(_) | Segment::Scan(None) | Segment::ScanMembers(_) => {
                Some(format!("`${before}` isn't what the next step looks into"))
            }
        }
    }
}

/// What no token has of a condition.
fn lacks(condition: &Condition, scope: &Scope<'_>, document: &Document<'_>) -> String {
    let mut tests = Vec::new();
    existence(condition, &mut tests);
    let never: Vec<String> = tests
        .iter()
        .filter(|test| !(0..document.len()).any(|id| scope.has(id, test)))
        .map(|test| format!("`{}`", text(test).trim_start_matches('.')))
        .collect();
    match &never[..] {
        [] if tests.is_empty() => "no token meets the condition".to_owned(),
        [] => "no token meets the whole condition, though its members are there".to_owned(),
        [one] => format!("no token has {one}"),
        [many @ .., last] => format!("no token has {} or {last}", many.join(", ")),
    }
}

fn existence<'c>(condition: &'c Condition, tests: &mut Vec<&'c [Segment]>) {
    let mut operand = |operand: &'c Operand| {
        if let Operand::Current(segments) = operand
            && !segments.is_empty()
        {
            tests.push(segments);
        }
    };
    match condition {
        Condition::All(conditions) | Condition::Any(conditions) => {
            for condition in conditions {
                existence(condition, tests);
            }
        }
        Condition::Exists(one) | Condition::Matches(one, _) => operand(one),
        Condition::Compare(left, _, right) => {
            operand(left);
            operand(right);
        }
    }
}

/// Members as they are written; other steps in short.
fn text(segments: &[Segment]) -> String {
    let step = |segment: &Segment| match segment {
        Segment::Member(Some(name)) => format!(".{name}"),
        Segment::Scan(Some(name)) => format!("..{name}"),
        Segment::Member(None) => ".*".to_owned(),
        Segment::Scan(None) => "..*".to_owned(),
        Segment::ScanFilter(_) => "..[?(…)]".to_owned(),
        Segment::Filter(_) => "[?(…)]".to_owned(),
        Segment::Members(_) | Segment::ScanMembers(_) | Segment::Indexes(_) | Segment::Slice { .. } => "[…]".to_owned(),
    };
    segments.iter().map(step).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("$..[?(@heartrate)]", Some("no token has `heartrate`"))]
    #[case("$..[?(@systolic && @diastolic)]", Some("no token has `systolic` or `diastolic`"))]
    #[case("$..[?(@a && @x.y)]", Some("no token has `x.y`"))]
    #[case(
        "$..[?(@a && @c)]",
        Some("no token meets the whole condition, though its members are there")
    )]
    #[case(
        "$..[?(@a == 2)]",
        Some("no token meets the whole condition, though its members are there")
    )]
    #[case("$..[?($.q)]", Some("no token meets the condition"))]
    #[case("$.Body.heart", Some("`$.Body` has no member `heart`"))]
    #[case("$.Nothing.heart", Some("`$` has no member `Nothing`"))]
    #[case("$.Body.list[7]", Some("`$.Body.list` isn't a list, or is too short"))]
    #[case("$.Body.list[?(@z)]", Some("of `$.Body.list`, no token has `z`"))]
    #[case("$..z", Some("nothing in `$` has a member `z`"))]
    #[case("$..[?(@a)].b.x", Some("`$..[?(…)].b` has no member `x`"))]
    #[case("$.Body", None)]
    fn it_says_what_is_lacking(#[case] path: &str, #[case] expected: Option<&str>) {
        let text = br#"{"Body": {"a": 1, "b": {}, "list": [{"c": 1}]}}"#;
        let document = Document::parse(text).unwrap();
        assert_eq!(Path::parse(path).unwrap().missing(&document).as_deref(), expected);
    }
}

//! Filters that read otherwise than people expect.

use super::{Condition, Operand, Path, Segment};

impl Path {
    /// Whether a filter has `||` behind `&&`: `a && b || c` is `a && (b || c)` in this dialect, where nearly everywhere else
    /// it is `(a && b) || c`. `a || b && c` is the same in both.
    pub fn nests_unusually(&self) -> bool {
        in_segments(&self.segments)
    }
}

fn in_segments(segments: &[Segment]) -> bool {
    segments.iter().any(|segment| match segment {
        Segment::Filter(condition) | Segment::ScanFilter(condition) => in_condition(condition),
        Segment::Member(_)
        | Segment::Members(_)
        | Segment::Scan(_)
        | Segment::ScanMembers(_)
        | Segment::Indexes(_)
        | Segment::Slice { .. } => false,
    })
}

fn in_condition(condition: &Condition) -> bool {
    match condition {
        Condition::All(terms) => terms
            .iter()
            .any(|term| matches!(term, Condition::Any(_)) || in_condition(term)),
        Condition::Any(terms) => terms.iter().any(in_condition),
        Condition::Exists(operand) | Condition::Matches(operand, _) => in_operand(operand),
        Condition::Compare(left, _, right) => in_operand(left) || in_operand(right),
    }
}

fn in_operand(operand: &Operand) -> bool {
    match operand {
        Operand::Current(segments) | Operand::Root(segments) => in_segments(segments),
        Operand::Literal(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::and("$..[?(@a && @b && @c)]", false)]
    #[case::or("$..[?(@a || @b || @c)]", false)]
    #[case::and_behind_or("$..[?(@a || @b && @c)]", false)]
    #[case::or_behind_and("$..[?(@a && @b || @c)]", true)]
    #[case::between("$..[?(@a || @b && @c || @d)]", true)]
    #[case::in_a_text("$..[?(@a == 'a && b || c')]", false)]
    #[case::in_a_filter_of_a_filter("$..[?(@a[?(@.b && @.c == 1 || @.d)])]", true)]
    #[case::without_a_filter("$.a[0]", false)]
    fn or_behind_and_nests_unusually(#[case] path: &str, #[case] expected: bool) {
        assert_eq!(Path::parse(path).unwrap().nests_unusually(), expected);
    }
}

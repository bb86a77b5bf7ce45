//! Many scans for members in one walk of a document.
//!
//! Most templates match by `$..[?(@a && @b.c)]`: an object somewhere that has these members. One walk looks every name up
//! once, and keeps for each object that has a name of interest which tests it meets; a scan then asks these objects only.
//! A document without a scan's names costs it nothing, however many scans there are.

use super::{Condition, Operand, Path, Scope, Segment};
use crate::json::{Document, Id};

/// Tests that scans can have together; scans beyond are evaluated one by one.
const TESTS: usize = 256;

/// A set of tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tests([u64; TESTS / 64]);

impl Tests {
    fn insert(&mut self, test: usize) {
        if let Some(word) = self.0.get_mut(test / 64) {
            *word |= 1 << (test % 64);
        }
    }

    fn contains(&self, test: usize) -> bool {
        self.0.get(test / 64).is_some_and(|word| word & 1 << (test % 64) != 0)
    }

    fn contains_all(&self, others: &Self) -> bool {
        self.0.iter().zip(&others.0).all(|(own, other)| own & other == *other)
    }
}

/// What a scan asks of an object.
#[derive(Debug, Clone, PartialEq)]
enum Filter {
    /// It meets all of these.
    Tests(Tests),
    All(Vec<Filter>),
    Any(Vec<Filter>),
}

impl Filter {
    fn holds(&self, met: &Tests) -> bool {
        match self {
            Self::Tests(tests) => met.contains_all(tests),
            Self::All(filters) => filters.iter().all(|filter| filter.holds(met)),
            Self::Any(filters) => filters.iter().any(|filter| filter.holds(met)),
        }
    }
}

/// Scans that are done together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scans {
    /// Paths from an object; each begins with a member.
    tests: Vec<Vec<Segment>>,
    filters: Vec<Filter>,
    names: Names,
}

impl Scans {
    /// Takes a path in, if it is such a scan; gives its number.
    pub fn add(&mut self, path: &Path) -> Option<usize> {
        let [Segment::ScanFilter(condition)] = &path.segments[..] else {
            return None;
        };
        let before = self.tests.len();
        let Some(filter) = self.filter(condition) else {
            self.tests.truncate(before);
            return None;
        };
        for (test, segments) in self.tests.iter().enumerate().skip(before) {
            if let Some(Segment::Member(Some(name))) = segments.first() {
                self.names.insert(name, test);
            }
        }
        self.filters.push(filter);
        Some(self.filters.len() - 1)
    }

    fn filter(&mut self, condition: &Condition) -> Option<Filter> {
        match condition {
            Condition::Exists(Operand::Current(segments)) => {
                let members = |segment: &Segment| matches!(segment, Segment::Member(Some(_)));
                if segments.is_empty() || !segments.iter().all(members) {
                    return None;
                }
                let known = self.tests.iter().position(|test| test == segments);
                let test = known.unwrap_or(self.tests.len());
                if test >= TESTS {
                    return None;
                }
                if known.is_none() {
                    self.tests.push(segments.clone());
                }
                let mut tests = Tests::default();
                tests.insert(test);
                Some(Filter::Tests(tests))
            }
            Condition::All(conditions) => {
                let filters: Vec<_> = conditions
                    .iter()
                    .map(|condition| self.filter(condition))
                    .collect::<Option<_>>()?;
                Some(all(filters))
            }
            Condition::Any(conditions) => {
                let filters = conditions.iter().map(|condition| self.filter(condition));
                Some(Filter::Any(filters.collect::<Option<_>>()?))
            }
            Condition::Exists(_) | Condition::Compare(..) | Condition::Matches(..) => None,
        }
    }

    /// Walks the document.
    pub fn run<'s>(&'s self, document: &Document<'_>) -> Scanned<'s> {
        let mut objects: Vec<(Id, Tests)> = Vec::new();
        // the nodes around the current one: their ends, and where what is known of them stands
        let mut around: Vec<(Id, Id, Option<usize>)> = Vec::new();
        for id in 0..document.len() {
            while around.last().is_some_and(|(_, end, _)| *end <= id) {
                around.pop();
            }
            let tests = document.key(id).map_or(&[][..], |key| self.names.tests(key));
            if let Some((parent, _, place)) = around.last_mut().filter(|_| !tests.is_empty()) {
                let place = *place.get_or_insert_with(|| {
                    objects.push((*parent, Tests::default()));
                    objects.len() - 1
                });
                if let Some((_, met)) = objects.get_mut(place) {
                    for test in tests.iter().copied() {
                        if !met.contains(test) && self.is_met(test, document, *parent) {
                            met.insert(test);
                        }
                    }
                }
            }
            let end = document.end(id);
            if end > id + 1 {
                around.push((id, end, None));
            }
        }
        objects.sort_unstable_by_key(|(id, _)| *id);
        Scanned { scans: self, objects }
    }

    /// Whether an object that has a test's first member meets it.
    fn is_met(&self, test: usize, document: &Document<'_>, object: Id) -> bool {
        match self.tests.get(test).map(Vec::as_slice) {
            None | Some([]) => false,
            Some([_]) => true,
            Some(segments) => Scope::at(document, 0).has(object, segments),
        }
    }
}

/// Few conditions that are tests become one.
fn all(filters: Vec<Filter>) -> Filter {
    let mut tests = Tests::default();
    for filter in &filters {
        let Filter::Tests(own) = filter else {
            return Filter::All(filters);
        };
        tests.0.iter_mut().zip(own.0).for_each(|(word, own)| *word |= own);
    }
    Filter::Tests(tests)
}

/// What a walk has found.
#[derive(Debug)]
pub struct Scanned<'s> {
    scans: &'s Scans,
    /// Objects that meet something, in document order.
    objects: Vec<(Id, Tests)>,
}

impl Scanned<'_> {
    /// Objects that meet something: so many measurements, about, come of them.
    pub fn objects(&self) -> usize {
        self.objects.len()
    }

    /// What the scan with this number selects, in document order.
    pub fn select(&self, scan: usize) -> impl Iterator<Item = Id> {
        let filter = self.scans.filters.get(scan);
        let objects = self
            .objects
            .iter()
            .filter(move |(_, met)| filter.is_some_and(|filter| filter.holds(met)));
        objects.map(|(id, _)| *id)
    }
}

/// Names that are looked for, by a hash of their beginning.
#[derive(Debug, Clone, Default, PartialEq)]
struct Names {
    /// A power of two of places; a name stands at its hash or behind it.
    places: Vec<Option<(String, Vec<usize>)>>,
    count: usize,
}

impl Names {
    fn insert(&mut self, name: &str, test: usize) {
        if self.places.len() < (self.count + 1) * 4 {
            let size = ((self.count + 1) * 8).next_power_of_two();
            let old = std::mem::replace(&mut self.places, vec![None; size]);
            for (name, tests) in old.into_iter().flatten() {
                let place = self.place(&name);
                if let Some(place) = self.places.get_mut(place) {
                    *place = Some((name, tests));
                }
            }
        }
        let place = self.place(name);
        match self.places.get_mut(place) {
            Some(Some((_, tests))) => tests.push(test),
            Some(place) => {
                *place = Some((name.to_owned(), vec![test]));
                self.count += 1;
            }
            None => {}
        }
    }

    /// The tests that begin with a name.
    fn tests(&self, name: &str) -> &[usize] {
        match self.places.get(self.place(name)) {
            Some(Some((_, tests))) => tests,
            _ => &[],
        }
    }

    /// Where a name stands, or would; three of four places are free.
    fn place(&self, name: &str) -> usize {
        let Some(mask) = self.places.len().checked_sub(1) else {
            return 0;
        };
        let mut place = hash(name) & mask;
        while let Some(Some((own, _))) = self.places.get(place) {
            if own == name {
                break;
            }
            place = (place + 1) & mask;
        }
        place
    }
}

/// Of the length, the first eight bytes and the last one: names of one vocabulary hardly agree in all.
fn hash(name: &str) -> usize {
    let bytes = name.as_bytes();
    let mut first = [0; 8];
    first.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
    let last = bytes.last().copied().unwrap_or_default();
    let mixed = u64::from_le_bytes(first) ^ u64::from(last) << 24 ^ (bytes.len() as u64) << 40;
    let mixed = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    usize::try_from(mixed >> 32).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// JSON of few names, so that they meet.
    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![Just("null".to_owned()), Just("1".to_owned()), Just("\"\"".to_owned())];
        leaf.prop_recursive(4, 40, 4, |inner| {
            let member = ("[a-d]", inner.clone()).prop_map(|(name, value)| format!("\"{name}\":{value}"));
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
                prop::collection::vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(","))),
            ]
        })
    }

    fn condition() -> impl Strategy<Value = String> {
        let test = prop_oneof![Just("@a"), Just("@b"), Just("@.c"), Just("@a.b"), Just("@['d'].a.c")];
        prop::collection::vec((test, prop_oneof![Just("&&"), Just("||")]), 1..4).prop_map(|tests| {
            let last = tests.len() - 1;
            let parts = tests.iter().enumerate().map(|(index, (test, operator))| {
                if index < last {
                    format!("{test} {operator} ")
                } else {
                    (*test).to_owned()
                }
            });
            format!("$..[?({})]", parts.collect::<String>())
        })
    }

    proptest! {
        #[test]
        fn scans_find_together_what_they_find_alone(
            text in json(),
            conditions in prop::collection::vec(condition(), 1..6),
        ) {
            let document = Document::parse(text.as_bytes()).unwrap();
            let paths: Vec<Path> = conditions.iter().map(|text| Path::parse(text).unwrap()).collect();
            let mut scans = Scans::default();
            let numbers: Vec<usize> = paths.iter().map(|path| scans.add(path).unwrap()).collect();
            let scanned = scans.run(&document);
            for (path, number) in paths.iter().zip(numbers) {
                let together: Vec<Id> = scanned.select(number).collect();
                prop_assert_eq!(together, Scope::at(&document, 0).select(path), "{} in {}", path.text(), text);
            }
        }
    }

    #[test]
    fn other_paths_are_not_taken() {
        let mut scans = Scans::default();
        for text in [
            "$.a",
            "$..a",
            "$..[?(@a == 1)]",
            "$..[?(@a)].b",
            "$..[?(@..a)]",
            "$..[?(@a && $.b)]",
            "$[?(@a)]",
        ] {
            assert_eq!(scans.add(&Path::parse(text).unwrap()), None, "{text}");
        }
        assert_eq!(scans.tests.len(), 0);
    }

    #[test]
    fn beyond_the_tests_scans_go_alone() {
        let mut scans = Scans::default();
        let add = |number: usize| scans.add(&Path::parse(&format!("$..[?(@name{number})]")).unwrap());
        let taken = (0..300).filter_map(add).count();
        assert_eq!(taken, TESTS);
        let document = Document::parse(br#"[{"name255": 1}, {"name7": 1}]"#).unwrap();
        let scanned = scans.run(&document);
        assert_eq!(scanned.select(255).collect::<Vec<_>>(), [1]);
        assert_eq!(scanned.select(7).collect::<Vec<_>>(), [3]);
    }
}

//! `_filter`: FHIR's filter expressions (R4 3.1.3), read into a tree that knows where each part stood.
//!
//! `and` and `or` are evaluated from left to right, without precedence; parentheses say more.

use crate::error::SearchError;

/// Parentheses and brackets within each other, at most.
const DEPTH: usize = 32;

/// A filter expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    /// Both hold.
    And(Box<Expression>, Box<Expression>),
    /// One of them holds.
    Or(Box<Expression>, Box<Expression>),
    /// It doesn't hold.
    Not(Box<Expression>),
    /// A path, an operator, a value.
    Test(Test),
}

/// `path operator value`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    /// The parameters, from the resource on.
    pub path: Vec<Step>,
    /// What is compared.
    pub operator: Operator,
    /// With what.
    pub value: String,
    /// Where it begins, as people count.
    pub at: usize,
}

/// One name of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// A parameter, maybe with `:Type`.
    pub name: String,
    /// What holds where it leads.
    pub filter: Option<Box<Expression>>,
}

/// What a test asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `eq`, `gt` and the other prefixes of ordered values, as they are written.
    Prefix(&'static str),
    /// `co`
    Contains,
    /// `sw`
    StartsWith,
    /// `ew`
    EndsWith,
    /// `pr`
    Present,
    /// `po`
    Overlaps,
    /// `ss`: the value is a broader concept.
    Subsumes,
    /// `sb`: the value is a narrower concept.
    SubsumedBy,
    /// `in`
    In,
    /// `ni`
    NotIn,
    /// `re`
    Refers,
}

const OPERATORS: [(&str, Operator); 20] = [
    ("eq", Operator::Prefix("eq")),
    ("ne", Operator::Prefix("ne")),
    ("gt", Operator::Prefix("gt")),
    ("lt", Operator::Prefix("lt")),
    ("ge", Operator::Prefix("ge")),
    ("le", Operator::Prefix("le")),
    ("sa", Operator::Prefix("sa")),
    ("eb", Operator::Prefix("eb")),
    ("ap", Operator::Prefix("ap")),
    ("co", Operator::Contains),
    ("sw", Operator::StartsWith),
    ("ew", Operator::EndsWith),
    ("pr", Operator::Present),
    ("po", Operator::Overlaps),
    ("ss", Operator::Subsumes),
    ("sb", Operator::SubsumedBy),
    ("in", Operator::In),
    ("ni", Operator::NotIn),
    ("re", Operator::Refers),
    // written by those who know SQL
    ("=", Operator::Prefix("eq")),
];

impl Operator {
    /// As it is written.
    pub fn code(self) -> &'static str {
        OPERATORS
            .iter()
            .find(|(_, found)| *found == self)
            .map_or("", |(code, _)| code)
    }
}

/// A refusal of what begins at `at`.
pub fn refuse(at: usize, text: &str) -> SearchError {
    SearchError::BadValue(format!(
        "The '_filter' expression can't be read at position {at}: {text}."
    ))
}

/// Reads an expression.
pub fn parse(text: &str) -> Result<Expression, SearchError> {
    let mut reader = Reader { text, at: 0 };
    let found = reader.expression(0)?;
    reader.blanks();
    match reader.peek() {
        None => Ok(found),
        Some(other) => Err(reader.bad(&format!("'{other}' is one too many here"))),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.take();
        }
    }

    /// Characters from the begin on, as people count.
    fn position(&self) -> usize {
        self.text.get(..self.at).map_or(0, |before| before.chars().count()) + 1
    }

    fn bad(&self, text: &str) -> SearchError {
        refuse(self.position(), text)
    }

    fn expect(&mut self, wanted: char) -> Result<(), SearchError> {
        self.blanks();
        if self.peek() == Some(wanted) {
            self.take();
            return Ok(());
        }
        Err(self.bad(&format!("'{wanted}' is missing")))
    }

    /// A word that stands alone, if it is the next one.
    fn word(&mut self, word: &str) -> bool {
        self.blanks();
        let Some(behind) = self.rest().strip_prefix(word) else {
            return false;
        };
        if behind.starts_with(is_name) {
            return false;
        }
        self.at += word.len();
        true
    }

    fn expression(&mut self, depth: usize) -> Result<Expression, SearchError> {
        if depth > DEPTH {
            return Err(self.bad(&format!("parentheses are nested more than {DEPTH} deep")));
        }
        let mut found = self.term(depth)?;
        loop {
            let both = self.word("and");
            if !both && !self.word("or") {
                return Ok(found);
            }
            let (first, second) = (Box::new(found), Box::new(self.term(depth)?));
            found = if both {
                Expression::And(first, second)
            } else {
                Expression::Or(first, second)
            };
        }
    }

    fn term(&mut self, depth: usize) -> Result<Expression, SearchError> {
        self.blanks();
        let begin = self.at;
        if self.word("not") {
            self.blanks();
            if self.peek() == Some('(') {
                return Ok(Expression::Not(Box::new(self.inside(depth)?)));
            }
            self.at = begin;
        }
        if self.peek() == Some('(') {
            return self.inside(depth);
        }
        self.test(depth).map(Expression::Test)
    }

    fn inside(&mut self, depth: usize) -> Result<Expression, SearchError> {
        self.expect('(')?;
        let found = self.expression(depth + 1)?;
        self.expect(')')?;
        Ok(found)
    }

    fn test(&mut self, depth: usize) -> Result<Test, SearchError> {
        let at = self.position();
        let mut path = vec![self.step(depth)?];
        while self.peek() == Some('.') {
            self.take();
            path.push(self.step(depth)?);
        }
        self.blanks();
        let operator = self.until(|c| c.is_whitespace() || matches!(c, '(' | ')'));
        let found = OPERATORS.iter().find(|(code, _)| *code == operator);
        let Some((_, operator)) = found else {
            self.at -= operator.len();
            let known: Vec<&str> = OPERATORS[..OPERATORS.len() - 1].iter().map(|(code, _)| *code).collect();
            return Err(self.bad(&format!("an operator is missing, one of {}", known.join(" "))));
        };
        self.blanks();
        Ok(Test {
            path,
            operator: *operator,
            value: self.value()?,
            at,
        })
    }

    fn step(&mut self, depth: usize) -> Result<Step, SearchError> {
        let name = self.until(|c| !is_name(c) && c != ':');
        if name.is_empty() {
            return Err(self.bad("the name of a search parameter is missing"));
        }
        let mut filter = None;
        if self.peek() == Some('[') {
            self.take();
            filter = Some(Box::new(self.expression(depth + 1)?));
            self.expect(']')?;
            if self.peek() != Some('.') {
                return Err(self.bad("'.' and a search parameter are missing behind ']'"));
            }
        }
        Ok(Step { name, filter })
    }

    fn until(&mut self, end: impl Fn(char) -> bool) -> String {
        let rest = self.rest();
        let found = rest.find(end).map_or(rest, |end| &rest[..end]).to_owned();
        self.at += found.len();
        found
    }

    fn value(&mut self) -> Result<String, SearchError> {
        if self.peek() == Some('"') {
            return self.string();
        }
        let value = self.until(|c| c.is_whitespace() || matches!(c, ')' | ']'));
        if value.is_empty() {
            return Err(self.bad("a value is missing"));
        }
        Ok(value)
    }

    /// A JSON string.
    fn string(&mut self) -> Result<String, SearchError> {
        let begin = self.position();
        self.take();
        let mut value = String::new();
        loop {
            match self.take() {
                None => return Err(refuse(begin, "the string has no end")),
                Some('"') => return Ok(value),
                Some('\\') => value.push(self.escaped()?),
                Some(other) => value.push(other),
            }
        }
    }

    fn escaped(&mut self) -> Result<char, SearchError> {
        let found = match self.take() {
            Some(same @ ('"' | '\\' | '/')) => Some(same),
            Some('n') => Some('\n'),
            Some('t') => Some('\t'),
            Some('r') => Some('\r'),
            Some('b') => Some('\u{8}'),
            Some('f') => Some('\u{c}'),
            Some('u') => {
                let digits = self.rest().get(..4).map(str::to_owned);
                let code = digits.and_then(|digits| u32::from_str_radix(&digits, 16).ok());
                self.at += if code.is_some() { 4 } else { 0 };
                code.and_then(char::from_u32)
            }
            _ => None,
        };
        found.ok_or_else(|| self.bad("the escape is none of JSON"))
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn shown(expression: &Expression) -> String {
        match expression {
            Expression::And(a, b) => format!("({} & {})", shown(a), shown(b)),
            Expression::Or(a, b) => format!("({} | {})", shown(a), shown(b)),
            Expression::Not(inner) => format!("!{}", shown(inner)),
            Expression::Test(test) => {
                let step = |step: &Step| match &step.filter {
                    Some(filter) => format!("{}[{}]", step.name, shown(filter)),
                    None => step.name.clone(),
                };
                let path: Vec<_> = test.path.iter().map(step).collect();
                format!("{} {} {}", path.join("."), test.operator.code(), test.value)
            }
        }
    }

    #[rstest]
    #[case(r#"name co "pet""#, "name co pet")]
    #[case(
        r#"given eq "peter" and birthdate ge 2014-10-10"#,
        "(given eq peter & birthdate ge 2014-10-10)"
    )]
    #[case("code eq http://loinc.org|1234-5", "code eq http://loinc.org|1234-5")]
    #[case("a eq 1 or b eq 2 and c eq 3", "((a eq 1 | b eq 2) & c eq 3)")]
    #[case("a eq 1 or (b eq 2 and c eq 3)", "(a eq 1 | (b eq 2 & c eq 3))")]
    #[case("not (a eq 1) and not(b pr false)", "(!a eq 1 & !b pr false)")]
    #[case(
        "related[type eq has-component].target re Observation/4",
        "related[type eq has-component].target re Observation/4"
    )]
    #[case("subject:Patient.name co pet", "subject:Patient.name co pet")]
    #[case(r#"  ( name eq "a (b] \"c\" \u00e9" ) "#, "name eq a (b] \"c\" é")]
    #[case(
        "android eq 1 and order eq 2 or notes eq 3",
        "((android eq 1 & order eq 2) | notes eq 3)"
    )]
    fn reads(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(shown(&parse(text).expect("an expression")), expected);
    }

    #[rstest]
    #[case("", 1)]
    #[case("name", 5)]
    #[case("name is pet", 6)]
    #[case("name co", 8)]
    #[case(r#"é co "pet"#, 1)]
    #[case(r#"name co "pet"#, 9)]
    #[case("(name co pet", 13)]
    #[case("name co pet)", 12)]
    #[case("name co pet and", 16)]
    #[case("name[a eq b co pet", 13)]
    #[case("name[a eq b] co pet", 13)]
    #[case(r#"name co "\q""#, 12)]
    fn says_where_it_cannot_be_read(#[case] text: &str, #[case] at: usize) {
        let error = parse(text).expect_err("refused");
        assert_eq!(error.status(), 400);
        assert!(error.to_string().contains(&format!("at position {at}:")), "{error}");
    }

    #[test]
    fn depth_is_limited() {
        let deep = |by: usize| format!("{}a eq 1{}", "(".repeat(by), ")".repeat(by));
        assert!(parse(&deep(DEPTH)).is_ok());
        assert!(parse(&deep(100_000)).is_err());
    }
}

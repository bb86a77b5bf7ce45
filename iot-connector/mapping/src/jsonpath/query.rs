//! Filters: `?( … )`.

use fancy_regex::RegexBuilder;

use super::{
    Condition, Literal, Number, Operand, Operator, Pattern, Segment,
    parse::{Parsed, Parser},
};

/// Filters in filters are nested at most so deeply.
const DEPTH: usize = 16;

impl Parser<'_> {
    pub(super) fn filter(&mut self, scan: bool) -> Parsed<Segment> {
        self.at += 1;
        self.blank();
        if !self.eat('(') {
            return Err("`(` is expected");
        }
        self.depth += 1;
        if self.depth > DEPTH {
            return Err("filters are nested too deeply");
        }
        let condition = self.condition()?;
        self.depth -= 1;
        if !self.eat(')') {
            return Err("the filter isn't closed");
        }
        Ok(if scan {
            Segment::ScanFilter(condition)
        } else {
            Segment::Filter(condition)
        })
    }

    /// `a && b || c`: terms up to the closing parenthesis; a change of operator begins a nested condition.
    fn condition(&mut self) -> Parsed<Condition> {
        let first = self.term()?;
        self.connected(first)
    }

    fn connected(&mut self, first: Condition) -> Parsed<Condition> {
        let Some(and) = self.connective()? else {
            return Ok(first);
        };
        let mut terms = vec![first];
        loop {
            let next = self.term()?;
            let before = self.at;
            match self.connective()? {
                Some(same) if same == and => terms.push(next),
                Some(_) => {
                    // The last term is the first of the nested condition.
                    self.at = before;
                    terms.push(self.connected(next)?);
                    break;
                }
                None => {
                    terms.push(next);
                    break;
                }
            }
        }
        Ok(if and {
            Condition::All(terms)
        } else {
            Condition::Any(terms)
        })
    }

    /// `Some(true)` for `&&`, `Some(false)` for `||`.
    fn connective(&mut self) -> Parsed<Option<bool>> {
        self.blank();
        match self.peek() {
            Some('&') if self.rest().starts_with("&&") => self.at += 2,
            Some('|') if self.rest().starts_with("||") => {
                self.at += 2;
                return Ok(Some(false));
            }
            Some('&' | '|') => return Err("`&&` or `||` is expected"),
            _ => return Ok(None),
        }
        Ok(Some(true))
    }

    fn term(&mut self) -> Parsed<Condition> {
        let left = self.operand()?;
        self.blank();
        if matches!(self.peek(), Some(')' | '|' | '&')) {
            return Ok(Condition::Exists(left));
        }
        if self.rest().starts_with("=~") {
            self.at += 2;
            return Ok(Condition::Matches(left, self.pattern()?));
        }
        let operator = self.operator()?;
        let right = self.operand()?;
        Ok(Condition::Compare(left, operator, right))
    }

    fn operator(&mut self) -> Parsed<Operator> {
        let operators = [
            ("===", Operator::StrictEqual),
            ("!==", Operator::StrictNotEqual),
            ("==", Operator::Equal),
            ("!=", Operator::NotEqual),
            ("<>", Operator::NotEqual),
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ];
        let found = operators.into_iter().find(|(text, _)| self.rest().starts_with(text));
        let (text, operator) = found.ok_or("an operator is expected")?;
        self.at += text.len();
        Ok(operator)
    }

    /// `/re/` with the options i, m and s; others are ignored.
    /// Between slashes, with or without quotes around them.
    fn pattern(&mut self) -> Parsed<Pattern> {
        self.blank();
        if self.peek() == Some('\'') {
            let quoted = self.quoted()?;
            let (pattern, length) = pattern(&quoted)?;
            if length < quoted.len() {
                return Err("after a regular expression only options are expected");
            }
            return Ok(pattern);
        }
        let (pattern, length) = pattern(self.rest())?;
        self.at += length;
        Ok(pattern)
    }

    fn operand(&mut self) -> Parsed<Operand> {
        self.blank();
        match self.peek() {
            Some('@') => {
                self.at += 1;
                Ok(Operand::Current(self.path(self.at, true)?))
            }
            Some('$') => {
                self.at += 1;
                Ok(Operand::Root(self.path(self.at, true)?))
            }
            Some('\'') => Ok(Operand::Literal(Literal::Text(self.quoted()?))),
            Some(_) => self.literal(),
            None => Err("it ends too early"),
        }
    }

    fn literal(&mut self) -> Parsed<Operand> {
        let word: &str = self
            .rest()
            .split([' ', ')', ']', '=', '<', '>', '!', '&', '|'])
            .next()
            .unwrap_or_default();
        let length = word.len();
        let literal = match word {
            "true" => Literal::Bool(true),
            "false" => Literal::Bool(false),
            "null" => Literal::Null,
            number => {
                let number = Number::parse(number);
                Literal::Number(number.ok_or("a value is expected; a text needs single quotes")?)
            }
        };
        self.at += length;
        Ok(Operand::Literal(literal))
    }
}

/// A pattern at the beginning of a text, and how long it is.
fn pattern(text: &str) -> Parsed<(Pattern, usize)> {
    let inside = text
        .strip_prefix('/')
        .ok_or("a regular expression between slashes is expected")?;
    let mut escaped = false;
    let end = inside.find(|character| {
        let ends = character == '/' && !escaped;
        escaped = character == '\\' && !escaped;
        ends
    });
    let end = end.ok_or("the regular expression has no end")?;
    let options = inside[end + 1..]
        .split(|c: char| !c.is_alphabetic())
        .next()
        .unwrap_or_default();
    let regex = RegexBuilder::new(&inside[..end])
        .case_insensitive(options.contains('i'))
        .multi_line(options.contains('m'))
        .dot_matches_new_line(options.contains('s'))
        .build()
        .map_err(|_| "the regular expression can't be compiled")?;
    Ok((Pattern { regex }, end + 2 + options.len()))
}

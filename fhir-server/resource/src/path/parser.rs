//! Tokens → syntax tree, by how tightly operators bind: `.` and `[]`, then the signs, `* / div mod`, `+ - &`, `is as`, `|`,
//! comparisons, equalities, `in contains`, `and`, `or xor`, `implies`.

use super::PathError;
use super::engine::Constant;
use super::function::Function;
use super::lexer::{self, Token};
use super::syntax::{Namespace, Operator, Syntax, TYPE_POWER, TypeName, UNION_POWER};

/// No expression of HL7's is longer than a quarter of this.
const LONGEST: usize = 16 << 10;
/// Deeper trees than any real expression has; a chain of thousands of dots isn't deep to read but to walk.
const DEEPEST: usize = 48;
const MOST_LINKS: usize = 256;

pub fn parse(expression: &str) -> Result<Syntax, PathError> {
    if expression.len() > LONGEST {
        return Err(PathError::TooLarge);
    }
    let mut parser = Parser {
        text: expression,
        tokens: lexer::tokens(expression)?,
        at: 0,
        depth: 0,
        links: 0,
    };
    let syntax = parser.expression(0)?;
    if parser.at < parser.tokens.len() {
        return Err(parser.unexpected());
    }
    Ok(syntax)
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<(Token, usize)>,
    at: usize,
    depth: usize,
    /// Dots, brackets and operators so far, each of which may deepen the tree by one.
    links: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.at += 1;
        token
    }

    fn unexpected(&self) -> PathError {
        let at = self.tokens.get(self.at).map_or(self.text.len(), |(_, at)| *at);
        lexer::shown(self.text, at)
    }

    fn take(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Symbol(found)) if *found == symbol);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: &str) -> Result<(), PathError> {
        if self.take(symbol) {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    fn link(&mut self) -> Result<(), PathError> {
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(PathError::TooLarge);
        }
        Ok(())
    }

    fn expression(&mut self, least: u8) -> Result<Syntax, PathError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(PathError::TooLarge);
        }
        let mut left = self.signed()?;
        loop {
            let word = match self.peek() {
                Some(Token::Symbol(symbol)) => *symbol,
                Some(Token::Name { text, quoted: false }) => text.as_str(),
                _ => break,
            };
            let as_type = word == "as";
            if as_type || word == "is" {
                if TYPE_POWER < least {
                    break;
                }
                self.link()?;
                self.at += 1;
                let make = if as_type { Syntax::As } else { Syntax::Is };
                left = make(Box::new(left), self.type_name()?);
            } else if word == "|" {
                if UNION_POWER < least {
                    break;
                }
                self.link()?;
                self.at += 1;
                let right = self.expression(UNION_POWER + 1)?;
                match &mut left {
                    Syntax::Union(parts) => parts.push(right),
                    _ => left = Syntax::Union(vec![left, right]),
                }
            } else {
                let Some((operator, power)) = Operator::of(word).filter(|(_, power)| *power >= least) else {
                    break;
                };
                // what operators ask for takes twice the stack of a dot
                self.link()?;
                self.link()?;
                self.at += 1;
                let right = self.expression(power + 1)?;
                left = Syntax::Binary(operator, Box::new(left), Box::new(right));
            }
        }
        self.depth -= 1;
        Ok(left)
    }

    fn signed(&mut self) -> Result<Syntax, PathError> {
        for (sign, make) in [("-", Syntax::Negative as fn(_) -> _), ("+", Syntax::Positive)] {
            if self.take(sign) {
                self.link()?;
                self.depth += 1;
                if self.depth > DEEPEST {
                    return Err(PathError::TooLarge);
                }
                let of = self.signed()?;
                self.depth -= 1;
                return Ok(make(Box::new(of)));
            }
        }
        self.path()
    }

    fn path(&mut self) -> Result<Syntax, PathError> {
        let mut left = self.term()?;
        loop {
            if self.take(".") {
                self.link()?;
                left = self.invocation(Some(left))?;
            } else if self.take("[") {
                self.link()?;
                let index = self.expression(0)?;
                self.expect("]")?;
                left = Syntax::At(Box::new(left), Box::new(index));
            } else {
                return Ok(left);
            }
        }
    }

    /// A name, a function or `$this` after a dot or at the start of a path.
    fn invocation(&mut self, of: Option<Syntax>) -> Result<Syntax, PathError> {
        match self.peek().cloned() {
            Some(Token::Name { text, .. }) => {
                self.at += 1;
                if !self.take("(") {
                    return Ok(match of {
                        Some(of) => Syntax::Member(Box::new(of), text),
                        None => Syntax::Name(text),
                    });
                }
                self.call(of, &text)
            }
            Some(Token::Special(word)) if of.is_none() => {
                self.at += 1;
                match word.as_str() {
                    "this" => Ok(Syntax::This),
                    "index" => Ok(Syntax::Index),
                    "total" => Ok(Syntax::Total),
                    _ => Err(PathError::Unsupported(format!("${word}"))),
                }
            }
            _ => Err(self.unexpected()),
        }
    }

    fn call(&mut self, of: Option<Syntax>, name: &str) -> Result<Syntax, PathError> {
        let unknown = || PathError::UnknownFunction(name.chars().take(40).collect());
        let (function, least, most) = Function::named(name).ok_or_else(unknown)?;
        let mut arguments = Vec::new();
        if matches!(function, Function::As | Function::Is | Function::OfType) {
            arguments.push(Syntax::Type(self.type_name()?));
            self.expect(")")?;
        } else if !self.take(")") {
            loop {
                arguments.push(self.expression(0)?);
                if self.take(")") {
                    break;
                }
                self.expect(",")?;
            }
        }
        if arguments.len() < least || arguments.len() > most {
            return Err(PathError::Arguments(function.name()));
        }
        Ok(Syntax::Call(of.map(Box::new), function, arguments))
    }

    /// A type, maybe with its namespace.
    fn type_name(&mut self) -> Result<TypeName, PathError> {
        let mut name = self.name()?;
        let mut namespace = None;
        let known = match name.as_str() {
            "FHIR" => Some(Namespace::Fhir),
            "System" => Some(Namespace::System),
            _ => None,
        };
        if known.is_some() && self.take(".") {
            namespace = known;
            name = self.name()?;
        }
        Ok(TypeName { namespace, name })
    }

    fn name(&mut self) -> Result<String, PathError> {
        match self.peek().cloned() {
            Some(Token::Name { text, .. }) => {
                self.at += 1;
                Ok(text)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn term(&mut self) -> Result<Syntax, PathError> {
        if self.take("(") {
            let inner = self.expression(0)?;
            self.expect(")")?;
            return Ok(inner);
        }
        if self.take("{") {
            self.expect("}")?;
            return Ok(Syntax::Nothing);
        }
        let start = self.at;
        let Some(Token::Name { .. } | Token::Special(_)) = self.peek() else {
            let unexpected = self.unexpected();
            return match self.next() {
                Some(Token::Text(text)) => Ok(Syntax::Constant(Constant::Text(text))),
                Some(Token::Variable(name)) => Ok(Syntax::Variable(name)),
                Some(Token::Moment(text)) => {
                    let moment = Constant::moment(&text).ok_or(unexpected)?;
                    Ok(Syntax::Constant(moment))
                }
                Some(Token::Number(digits)) => self.number(&digits).ok_or(unexpected),
                _ => {
                    self.at = start;
                    Err(unexpected)
                }
            };
        };
        if let Some(Token::Name { text, quoted: false }) = self.peek()
            && matches!(text.as_str(), "true" | "false")
            && !self.is_called()
        {
            let value = text == "true";
            self.at += 1;
            return Ok(Syntax::Constant(Constant::Bool(value)));
        }
        self.invocation(None)
    }

    fn is_called(&self) -> bool {
        matches!(self.tokens.get(self.at + 1), Some((Token::Symbol("("), _)))
    }

    /// A number, or a quantity if a unit follows: `4 'mg'`, `4 days`.
    fn number(&mut self, digits: &str) -> Option<Syntax> {
        let unit = match self.peek() {
            Some(Token::Text(unit)) => Some((unit.clone(), false)),
            Some(Token::Name { text, quoted: false }) if Constant::is_calendar_unit(text) => Some((text.clone(), true)),
            _ => None,
        };
        let constant = match unit {
            Some((unit, calendar)) => {
                self.at += 1;
                Constant::quantity(digits, &unit, calendar)?
            }
            None => Constant::number(digits)?,
        };
        Some(Syntax::Constant(constant))
    }
}

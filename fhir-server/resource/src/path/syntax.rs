//! Text → syntax tree, with FHIRPath's precedence: `.` and `[]`, then `is` and `as`, `|`, `=` and `!=`, `and`, `or`.

use super::PathError;

/// No expression of HL7's is longer than a quarter of this.
const LONGEST: usize = 16 << 10;
const DEEPEST: usize = 32;

#[derive(Debug, Clone, PartialEq)]
pub enum Syntax {
    /// A name at the start of a path: a type, or an element of what is looked at.
    Name(String),
    /// `$this`
    This,
    /// `%resource`
    Resource,
    Text(String),
    Number(String),
    Bool(bool),
    Member(Box<Syntax>, String),
    Index(Box<Syntax>, usize),
    /// A function, on nothing when it stands at the start.
    Call(Option<Box<Syntax>>, String, Vec<Syntax>),
    As(Box<Syntax>, String),
    Is(Box<Syntax>, String),
    Union(Vec<Syntax>),
    Equal(Box<Syntax>, Box<Syntax>),
    Unequal(Box<Syntax>, Box<Syntax>),
    And(Box<Syntax>, Box<Syntax>),
    Or(Box<Syntax>, Box<Syntax>),
}

pub fn parse(expression: &str) -> Result<Syntax, PathError> {
    if expression.len() > LONGEST {
        return Err(PathError::TooLarge);
    }
    let mut parser = Parser {
        text: expression,
        at: 0,
        depth: 0,
    };
    let syntax = parser.or()?;
    parser.skip_whitespace();
    if parser.rest().is_empty() {
        Ok(syntax)
    } else {
        Err(parser.unexpected())
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn unexpected(&self) -> PathError {
        PathError::Syntax(self.rest().chars().take(40).collect())
    }

    fn skip_whitespace(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn take(&mut self, symbol: &str) -> bool {
        self.skip_whitespace();
        let found = self.rest().starts_with(symbol);
        if found {
            self.at += symbol.len();
        }
        found
    }

    /// Takes a word that stands alone.
    fn word(&mut self, word: &str) -> bool {
        self.skip_whitespace();
        let alone = |rest: &str| !rest.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_');
        let found = self.rest().strip_prefix(word).is_some_and(alone);
        if found {
            self.at += word.len();
        }
        found
    }

    fn name(&mut self) -> Option<String> {
        self.skip_whitespace();
        let rest = self.rest();
        if let Some(quoted) = rest.strip_prefix('`') {
            let end = quoted.find('`')?;
            self.at += end + 2;
            return Some(quoted[..end].to_owned());
        }
        let length = rest
            .find(|next: char| !next.is_ascii_alphanumeric() && next != '_')
            .unwrap_or(rest.len());
        if length == 0 || rest.starts_with(|first: char| first.is_ascii_digit()) {
            return None;
        }
        self.at += length;
        Some(rest[..length].to_owned())
    }

    fn or(&mut self) -> Result<Syntax, PathError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(PathError::TooLarge);
        }
        let mut left = self.and()?;
        while self.word("or") {
            left = Syntax::Or(Box::new(left), Box::new(self.and()?));
        }
        for word in ["xor", "implies"] {
            if self.word(word) {
                return Err(PathError::Unsupported(word.to_owned()));
            }
        }
        self.depth -= 1;
        Ok(left)
    }

    fn and(&mut self) -> Result<Syntax, PathError> {
        let mut left = self.equality()?;
        while self.word("and") {
            left = Syntax::And(Box::new(left), Box::new(self.equality()?));
        }
        Ok(left)
    }

    fn equality(&mut self) -> Result<Syntax, PathError> {
        let left = self.union()?;
        for symbol in ["!~", "~", "<", ">", "+", "*", "/", "&"] {
            if self.take(symbol) {
                return Err(PathError::Unsupported(symbol.to_owned()));
            }
        }
        for word in ["in", "contains", "div", "mod"] {
            if self.word(word) {
                return Err(PathError::Unsupported(word.to_owned()));
            }
        }
        if self.take("!=") {
            return Ok(Syntax::Unequal(Box::new(left), Box::new(self.union()?)));
        }
        if self.take("=") {
            return Ok(Syntax::Equal(Box::new(left), Box::new(self.union()?)));
        }
        Ok(left)
    }

    fn union(&mut self) -> Result<Syntax, PathError> {
        let first = self.typed()?;
        let mut parts = vec![first];
        while self.take("|") {
            parts.push(self.typed()?);
        }
        Ok(if parts.len() == 1 {
            parts.remove(0)
        } else {
            Syntax::Union(parts)
        })
    }

    fn typed(&mut self) -> Result<Syntax, PathError> {
        let mut left = self.path()?;
        loop {
            let make = if self.word("as") {
                Syntax::As
            } else if self.word("is") {
                Syntax::Is
            } else {
                return Ok(left);
            };
            left = make(Box::new(left), self.type_name()?);
        }
    }

    /// A type, maybe with its namespace.
    fn type_name(&mut self) -> Result<String, PathError> {
        let mut name = self.name().ok_or_else(|| self.unexpected())?;
        if (name == "FHIR" || name == "System") && self.take(".") {
            name = self.name().ok_or_else(|| self.unexpected())?;
        }
        Ok(name)
    }

    fn path(&mut self) -> Result<Syntax, PathError> {
        let mut left = self.term()?;
        loop {
            if self.take(".") {
                let name = self.name().ok_or_else(|| self.unexpected())?;
                left = match self.arguments(&name)? {
                    Some(arguments) => Syntax::Call(Some(Box::new(left)), name, arguments),
                    None => Syntax::Member(Box::new(left), name),
                };
            } else if self.take("[") {
                self.skip_whitespace();
                let rest = self.rest();
                let length = rest.find(|next: char| !next.is_ascii_digit()).unwrap_or(rest.len());
                let index = rest[..length].parse().map_err(|_| self.unexpected())?;
                self.at += length;
                if !self.take("]") {
                    return Err(self.unexpected());
                }
                left = Syntax::Index(Box::new(left), index);
            } else {
                return Ok(left);
            }
        }
    }

    /// The arguments of a call; `None` if no parenthesis follows. Type functions take a type for an argument.
    fn arguments(&mut self, name: &str) -> Result<Option<Vec<Syntax>>, PathError> {
        if !self.take("(") {
            return Ok(None);
        }
        if matches!(name, "as" | "is" | "ofType") {
            let type_name = self.type_name()?;
            return if self.take(")") {
                Ok(Some(vec![Syntax::Name(type_name)]))
            } else {
                Err(self.unexpected())
            };
        }
        let mut arguments = Vec::new();
        while !self.take(")") {
            if !arguments.is_empty() && !self.take(",") {
                return Err(self.unexpected());
            }
            arguments.push(self.or()?);
        }
        Ok(Some(arguments))
    }

    fn term(&mut self) -> Result<Syntax, PathError> {
        if self.take("(") {
            let inner = self.or()?;
            return if self.take(")") {
                Ok(inner)
            } else {
                Err(self.unexpected())
            };
        }
        if self.take("'") {
            return self.text().map(Syntax::Text);
        }
        if self.word("$this") {
            return Ok(Syntax::This);
        }
        if self.word("%resource") || self.word("%context") {
            return Ok(Syntax::Resource);
        }
        if self.word("true") {
            return Ok(Syntax::Bool(true));
        }
        if self.word("false") {
            return Ok(Syntax::Bool(false));
        }
        self.skip_whitespace();
        let rest = self.rest();
        if rest.starts_with(['%', '$', '@']) {
            let word = rest
                .split(|next: char| next.is_whitespace() || ".)(|".contains(next))
                .next()
                .unwrap_or(rest);
            return Err(PathError::Unsupported(word.to_owned()));
        }
        if rest.starts_with(|first: char| first.is_ascii_digit() || first == '-') {
            let numeric = |next: char| next.is_ascii_digit() || next == '.' || next == '-';
            let length = rest.find(|next: char| !numeric(next)).unwrap_or(rest.len());
            self.at += length;
            return Ok(Syntax::Number(rest[..length].to_owned()));
        }
        let name = self.name().ok_or_else(|| self.unexpected())?;
        Ok(match self.arguments(&name)? {
            Some(arguments) => Syntax::Call(None, name, arguments),
            None => Syntax::Name(name),
        })
    }

    /// The rest of a text in single quotes.
    fn text(&mut self) -> Result<String, PathError> {
        let mut value = String::new();
        let mut characters = self.rest().char_indices();
        while let Some((index, character)) = characters.next() {
            match character {
                '\'' => {
                    self.at += index + 1;
                    return Ok(value);
                }
                '\\' => match characters.next() {
                    Some((_, escaped @ ('\'' | '"' | '\\' | '/' | '`'))) => value.push(escaped),
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, 't')) => value.push('\t'),
                    _ => return Err(PathError::Unsupported("\\".to_owned())),
                },
                other => value.push(other),
            }
        }
        Err(self.unexpected())
    }
}

//! Text → tokens of FHIRPath.

use super::PathError;

#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    /// A name or a word; `quoted` ones are never operators.
    Name { text: String, quoted: bool },
    /// `'text'`, without its escapes.
    Text(String),
    /// The digits of a number.
    Number(String),
    /// What stands after `@`.
    Moment(String),
    /// `$this`, `$index`, `$total`, without the `$`.
    Special(String),
    /// What stands after `%`.
    Variable(String),
    /// An operator or a bracket.
    Symbol(&'static str),
}

/// Longer ones first.
const SYMBOLS: [&str; 22] = [
    "<=", ">=", "!=", "!~", ".", ",", "(", ")", "[", "]", "{", "}", "+", "-", "*", "/", "&", "|", "<", ">", "=", "~",
];

struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

/// The tokens of `text`, each with where it begins.
pub fn tokens(text: &str) -> Result<Vec<(Token, usize)>, PathError> {
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::new();
    while lexer.skip_blank()? {
        let start = lexer.at;
        tokens.push((lexer.token()?, start));
    }
    Ok(tokens)
}

/// What a message shows of the text from `at`.
pub fn shown(text: &str, at: usize) -> PathError {
    PathError::Syntax(text.get(at..).unwrap_or("").chars().take(40).collect())
}

fn is_name(next: char) -> bool {
    next.is_ascii_alphanumeric() || next == '_'
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    /// Skips white space and comments; whether anything follows.
    fn skip_blank(&mut self) -> Result<bool, PathError> {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            let blank = rest.len() - trimmed.len();
            let comment = if trimmed.starts_with("//") {
                trimmed.find('\n').unwrap_or(trimmed.len())
            } else if let Some(inner) = trimmed.strip_prefix("/*") {
                inner.find("*/").ok_or_else(|| shown(self.text, self.at + blank))? + 4
            } else {
                0
            };
            self.at += blank + comment;
            if comment == 0 {
                return Ok(!self.rest().is_empty());
            }
        }
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> String {
        let rest = self.rest();
        let length = rest.find(|next: char| !keep(next)).unwrap_or(rest.len());
        let taken = rest[..length].to_owned();
        self.at += length;
        taken
    }

    fn token(&mut self) -> Result<Token, PathError> {
        let first = self.rest().chars().next().unwrap_or('\0');
        match first {
            '\'' => self.quoted('\'').map(Token::Text),
            // STU3 quotes names by `"`.
            '`' | '"' => self.quoted(first).map(|text| Token::Name { text, quoted: true }),
            '@' => {
                self.at += 1;
                self.moment().map(Token::Moment)
            }
            '$' => {
                self.at += 1;
                Ok(Token::Special(self.take_while(is_name)))
            }
            '%' => {
                self.at += 1;
                match self.rest().chars().next() {
                    Some(quote @ ('`' | '\'' | '"')) => self.quoted(quote).map(Token::Variable),
                    _ => Ok(Token::Variable(self.take_while(|next| is_name(next) || next == '-'))),
                }
            }
            first if first.is_ascii_digit() => Ok(Token::Number(self.number())),
            first if is_name(first) => Ok(Token::Name {
                text: self.take_while(is_name),
                quoted: false,
            }),
            _ => self.symbol(),
        }
    }

    fn symbol(&mut self) -> Result<Token, PathError> {
        let found = SYMBOLS.iter().find(|symbol| self.rest().starts_with(**symbol));
        let symbol = found.ok_or_else(|| shown(self.text, self.at))?;
        self.at += symbol.len();
        Ok(Token::Symbol(symbol))
    }

    /// Digits, and a fraction if digits follow the point: `1.is(Integer)` is a call.
    fn number(&mut self) -> String {
        let mut number = self.take_while(|next| next.is_ascii_digit());
        let fraction = self.rest().strip_prefix('.');
        if fraction.is_some_and(|rest| rest.starts_with(|next: char| next.is_ascii_digit())) {
            self.at += 1;
            number.push('.');
            number.push_str(&self.take_while(|next| next.is_ascii_digit()));
        }
        number
    }

    /// A date, a date with a time, or a time: what of it makes sense is checked where it is read.
    fn moment(&mut self) -> Result<String, PathError> {
        let start = self.at;
        let mut text = self.take_while(|next| next.is_ascii_digit() || next == '-');
        if self.rest().starts_with('T') {
            self.at += 1;
            text.push('T');
            text.push_str(&self.take_while(|next| next.is_ascii_digit() || next == ':'));
            let fraction = self.rest().strip_prefix('.');
            if fraction.is_some_and(|rest| rest.starts_with(|next: char| next.is_ascii_digit())) {
                self.at += 1;
                text.push('.');
                text.push_str(&self.take_while(|next| next.is_ascii_digit()));
            }
            if self.rest().starts_with(['Z', '+', '-']) {
                text.push_str(&self.rest()[..1]);
                self.at += 1;
                text.push_str(&self.take_while(|next| next.is_ascii_digit() || next == ':'));
            }
        }
        if text.is_empty() {
            return Err(shown(self.text, start));
        }
        Ok(text)
    }

    /// The text up to the closing quote, without escapes.
    fn quoted(&mut self, quote: char) -> Result<String, PathError> {
        let start = self.at;
        self.at += quote.len_utf8();
        let mut value = String::new();
        loop {
            let next = self.rest().chars().next().ok_or_else(|| shown(self.text, start))?;
            self.at += next.len_utf8();
            if next == quote {
                return Ok(value);
            }
            if next == '\\' {
                value.push(self.escaped().ok_or_else(|| shown(self.text, start))?);
            } else {
                value.push(next);
            }
        }
    }

    fn escaped(&mut self) -> Option<char> {
        let next = self.rest().chars().next()?;
        self.at += next.len_utf8();
        Some(match next {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'f' => '\u{c}',
            'u' => {
                let code = u32::from_str_radix(self.rest().get(..4)?, 16).ok()?;
                self.at += 4;
                char::from_u32(code)?
            }
            '\'' | '"' | '\\' | '/' | '`' => next,
            _ => return None,
        })
    }
}

//! Search values: lists by comma, escapes, prefixes.

use crate::error::SearchError;

/// The comparison that a prefix asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefix {
    /// `eq`, or none.
    Equal,
    /// `ne`
    NotEqual,
    /// `gt`
    Greater,
    /// `lt`
    Less,
    /// `ge`
    GreaterOrEqual,
    /// `le`
    LessOrEqual,
    /// `sa`
    StartsAfter,
    /// `eb`
    EndsBefore,
    /// `ap`
    Approximate,
}

/// Splits a prefix off a date or a number.
pub fn prefix(text: &str) -> (Prefix, &str) {
    let prefix = match text.get(..2) {
        Some("eq") => Prefix::Equal,
        Some("ne") => Prefix::NotEqual,
        Some("gt") => Prefix::Greater,
        Some("lt") => Prefix::Less,
        Some("ge") => Prefix::GreaterOrEqual,
        Some("le") => Prefix::LessOrEqual,
        Some("sa") => Prefix::StartsAfter,
        Some("eb") => Prefix::EndsBefore,
        Some("ap") => Prefix::Approximate,
        _ => return (Prefix::Equal, text),
    };
    (prefix, &text[2..])
}

/// Splits at a character that no backslash protects; escapes stay.
pub fn split(text: &str, at: char) -> Vec<&str> {
    let (mut parts, mut begin, mut escaped) = (Vec::new(), 0, false);
    for (index, c) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == at {
            parts.push(&text[begin..index]);
            begin = index + c.len_utf8();
        }
    }
    parts.push(&text[begin..]);
    parts
}

/// Protects `,` `|` `$` and `\` by backslashes: a value as a query writes it.
pub fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for letter in value.chars() {
        if matches!(letter, '\\' | ',' | '|' | '$') {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

/// Removes the backslashes that protect `,` `|` `$` and `\`.
pub fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match rest.peek() {
            Some(next @ (',' | '|' | '$' | '\\')) if c == '\\' => {
                out.push(*next);
                rest.next();
            }
            _ => out.push(c),
        }
    }
    out
}

/// `true` or `false`.
pub fn boolean(text: &str) -> Result<bool, SearchError> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(SearchError::NotSupported(
            "Invalid value for :missing modifier. Valid values are: true, false.".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_protect_separators() {
        assert_eq!(split(r"a\,b,c", ','), [r"a\,b", "c"]);
        assert_eq!(unescape(r"a\,b\|c\\d\e"), r"a,b|c\d\e");
        assert_eq!(escape(r"a,b|c\d$"), r"a\,b\|c\\d\$");
        assert_eq!(unescape(&escape(r"a,b|c\d$\e")), r"a,b|c\d$\e");
        assert_eq!(prefix("ge2020"), (Prefix::GreaterOrEqual, "2020"));
        assert_eq!(prefix("5"), (Prefix::Equal, "5"));
    }
}

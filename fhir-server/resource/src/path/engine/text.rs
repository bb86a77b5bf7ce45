//! Functions of texts.

use std::fmt::Write as _;

use regex::{Regex, RegexBuilder};

use super::value::{Collection, Value};
use super::{Evaluation, Fault, integer, math, single, single_system};
use crate::path::function::Function;

/// Bytes that a compiled pattern may take.
const PATTERN_BYTES: usize = 1 << 20;

impl<'a> Evaluation<'_, 'a> {
    /// `&`, for which nothing is an empty text.
    pub fn concatenate(&self, left: &[Value<'a>], right: &[Value<'a>]) -> Result<Collection<'a>, Fault> {
        let side = |values: &[Value<'a>]| match single_system(values, "&")? {
            None => Ok(String::new()),
            Some(value) => Ok(value.to_string()),
        };
        let text = format!("{}{}", side(left)?, side(right)?);
        self.spend(text.len() / 64)?;
        Ok(vec![Value::Text(text.into())])
    }

    pub fn text(
        &self,
        input: &[Value<'a>],
        function: Function,
        first: Option<&[Value<'a>]>,
        second: Option<&[Value<'a>]>,
    ) -> Result<Collection<'a>, Fault> {
        if function == Function::Join {
            return self.join(input, first);
        }
        let Some(text) = text_of(input, function)? else {
            return Ok(Vec::new());
        };
        self.spend(1 + text.len() / 64)?;
        if function == Function::Substring {
            return substring(&text, first, second);
        }
        let (first, second) = (argument(first, function)?, argument(second, function)?);
        let (Argument::Absent | Argument::Text(_), Argument::Absent | Argument::Text(_)) = (&first, &second) else {
            return Ok(Vec::new());
        };
        let (first, second) = (first.text(), second.text());
        let result = match function {
            Function::IndexOf => match text.find(&first) {
                Some(at) => integer(text[..at].chars().count()),
                None => Value::Integer(-1),
            },
            Function::StartsWith => Value::Bool(text.starts_with(&first)),
            Function::EndsWith => Value::Bool(text.ends_with(&first)),
            Function::Contains => Value::Bool(text.contains(&first)),
            Function::Upper => made(text.to_uppercase()),
            Function::Lower => made(text.to_lowercase()),
            Function::Replace => {
                self.spend((text.len() + 1) * (second.len() + 1) / 64)?;
                made(text.replace(&first, &second))
            }
            Function::Matches => Value::Bool(self.pattern(&first)?.is_match(&text)),
            Function::MatchesFull => Value::Bool(self.pattern(&format!("^(?:{first})$"))?.is_match(&text)),
            Function::ReplaceMatches if first.is_empty() => made(text),
            Function::ReplaceMatches => {
                self.spend((text.len() + 1) * (second.len() + 1) / 64)?;
                made(self.pattern(&first)?.replace_all(&text, second.as_str()).into_owned())
            }
            Function::Length => integer(text.chars().count()),
            Function::Trim => made(text.trim().to_owned()),
            Function::ToChars => {
                self.spend(text.len())?;
                return Ok(text.chars().map(|letter| made(letter.to_string())).collect());
            }
            Function::Split => {
                self.spend(text.len())?;
                return Ok(text.split(&first).map(|part| made(part.to_owned())).collect());
            }
            Function::Encode => return Ok(encode(&text, &first).map(made).into_iter().collect()),
            Function::Decode => return Ok(decode(&text, &first).map(made).into_iter().collect()),
            Function::Escape => return Ok(escape(&text, &first).map(made).into_iter().collect()),
            Function::Unescape => return Ok(unescape(&text, &first).map(made).into_iter().collect()),
            _ => return Ok(Vec::new()),
        };
        Ok(vec![result])
    }

    fn join(&self, input: &[Value<'a>], between: Option<&[Value<'a>]>) -> Result<Collection<'a>, Fault> {
        let between = argument(between, Function::Join)?.text();
        let mut parts = Vec::with_capacity(input.len());
        for value in input {
            if let Some(Value::Text(text)) = value.system() {
                self.spend(1 + (text.len() + between.len()) / 64)?;
                parts.push(text.into_owned());
            }
        }
        Ok(vec![made(parts.join(&between))])
    }

    /// A compiled pattern, where a dot is any character. Matching takes time in proportion to the text alone.
    fn pattern(&self, pattern: &str) -> Result<Regex, Fault> {
        self.spend(16 + pattern.len())?;
        RegexBuilder::new(pattern)
            .dot_matches_new_line(true)
            .size_limit(PATTERN_BYTES)
            .build()
            .map_err(|_| Fault::meaning(format!("`{pattern}` is no pattern")))
    }
}

fn made<'a>(text: String) -> Value<'a> {
    Value::Text(text.into())
}

/// The single text of the input.
fn text_of(input: &[Value<'_>], function: Function) -> Result<Option<String>, Fault> {
    let Some(value) = single(input, function.name())? else {
        return Ok(None);
    };
    match value.system() {
        Some(Value::Text(text)) => Ok(Some(text.into_owned())),
        // Dates and the like are written as texts in JSON, and some of HL7's expressions take them so.
        Some(Value::Moment(moment)) => Ok(Some(moment.to_string())),
        None if matches!(value, Value::Element(item) if super::value::is_primitive(item.structure)) => Ok(None),
        _ => Err(Fault::meaning(format!(
            "`{}()` takes a text, not a {}",
            function.name(),
            value.type_of().1
        ))),
    }
}

enum Argument {
    /// Not given.
    Absent,
    /// Given, but empty.
    Empty,
    Text(String),
}

impl Argument {
    fn text(self) -> String {
        match self {
            Argument::Text(text) => text,
            Argument::Absent | Argument::Empty => String::new(),
        }
    }
}

fn argument(values: Option<&[Value<'_>]>, function: Function) -> Result<Argument, Fault> {
    let Some(values) = values else {
        return Ok(Argument::Absent);
    };
    match single_system(values, function.name())? {
        None => Ok(Argument::Empty),
        Some(Value::Text(text)) => Ok(Argument::Text(text.into_owned())),
        Some(other) => Err(Fault::meaning(format!(
            "`{}()` takes a text, not a {}",
            function.name(),
            other.type_of().1
        ))),
    }
}

fn substring<'a>(
    text: &str,
    start: Option<&[Value<'a>]>,
    length: Option<&[Value<'a>]>,
) -> Result<Collection<'a>, Fault> {
    let Some(start) = math::whole(start.unwrap_or_default(), "substring()")? else {
        return Ok(Vec::new());
    };
    let length = length
        .map(|length| math::whole(length, "substring()"))
        .transpose()?
        .flatten();
    let start = usize::try_from(start)
        .ok()
        .filter(|start| *start < text.chars().count());
    let Some(start) = start else { return Ok(Vec::new()) };
    let length = length.map_or(usize::MAX, |length| usize::try_from(length).unwrap_or(0));
    Ok(vec![made(text.chars().skip(start).take(length).collect())])
}

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn encode(text: &str, way: &str) -> Option<String> {
    let alphabet = match way {
        "hex" => {
            return Some(text.bytes().fold(String::new(), |mut hex, byte| {
                // Writing to a String can't fail.
                let _ = write!(hex, "{byte:02x}");
                hex
            }));
        }
        "base64" => STANDARD,
        "urlbase64" => URL,
        _ => return None,
    };
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bytes = [0, 1, 2].map(|at| u32::from(chunk.get(at).copied().unwrap_or(0)));
        let bits = bytes[0] << 16 | bytes[1] << 8 | bytes[2];
        for place in 0..4 {
            let letter = if place <= chunk.len() {
                char::from(alphabet[(bits >> (18 - 6 * place) & 63) as usize])
            } else {
                '='
            };
            out.push(letter);
        }
    }
    Some(out)
}

fn decode(text: &str, way: &str) -> Option<String> {
    let bytes = match way {
        "hex" => {
            let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
            let pairs = digits?;
            let bytes = pairs.chunks(2).map(|pair| match pair {
                [high, low] => u8::try_from(high * 16 + low).ok(),
                _ => None,
            });
            bytes.collect::<Option<Vec<u8>>>()?
        }
        "base64" => from_base64(text, STANDARD)?,
        "urlbase64" => from_base64(text, URL)?,
        _ => return None,
    };
    String::from_utf8(bytes).ok()
}

fn from_base64(text: &str, alphabet: &[u8; 64]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        let value = alphabet.iter().position(|letter| *letter == byte)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from(bits >> count & 255).ok()?);
        }
    }
    Some(out)
}

const HTML: [(char, &str); 5] = [
    ('&', "&amp;"),
    ('<', "&lt;"),
    ('>', "&gt;"),
    ('"', "&quot;"),
    ('\'', "&#39;"),
];
const JSON: [(char, char); 7] = [
    ('"', '"'),
    ('\\', '\\'),
    ('\n', 'n'),
    ('\r', 'r'),
    ('\t', 't'),
    ('\u{8}', 'b'),
    ('\u{c}', 'f'),
];

fn escape(text: &str, way: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match way {
            "html" => match HTML.iter().find(|(plain, _)| *plain == letter) {
                Some((_, entity)) => out.push_str(entity),
                None => out.push(letter),
            },
            "json" => match JSON.iter().find(|(plain, _)| *plain == letter) {
                Some((_, short)) => out.extend(['\\', *short]),
                None => out.push(letter),
            },
            _ => return None,
        }
    }
    Some(out)
}

fn unescape(text: &str, way: &str) -> Option<String> {
    match way {
        "html" => {
            // The ampersand comes last, so that nothing is unescaped twice.
            let entities = HTML.iter().rev();
            Some(entities.fold(text.to_owned(), |text, (plain, entity)| {
                text.replace(entity, plain.encode_utf8(&mut [0; 4]))
            }))
        }
        "json" => {
            let mut out = String::with_capacity(text.len());
            let mut letters = text.chars();
            while let Some(letter) = letters.next() {
                if letter != '\\' {
                    out.push(letter);
                    continue;
                }
                let next = letters.next()?;
                let plain = JSON.iter().find(|(_, short)| *short == next).map(|(plain, _)| *plain);
                out.push(plain.unwrap_or(next));
            }
            Some(out)
        }
        _ => None,
    }
}

//! The characters of XML 1.0: which there are, which make names, and how they are written.

use std::borrow::Cow;

use super::error::{Located, ReadProblem, shortened};

/// Production `Char`.
pub fn is_char(next: char) -> bool {
    matches!(next, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// The first character of `text` that XML doesn't have, and where.
pub fn first_foreign(text: &str) -> Option<(usize, char)> {
    // Only control characters and U+FFFE, U+FFFF are missing: bytes tell most texts to be fine.
    let suspect = |&byte: &u8| (byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r')) || byte == 0xEF;
    if !text.as_bytes().iter().any(suspect) {
        return None;
    }
    text.char_indices().find(|(_, next)| !is_char(*next))
}

/// Whether `name` is a name without a prefix (production `NCName`).
pub fn is_plain_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(is_name_start) && characters.all(is_name_part)
}

fn is_name_start(next: char) -> bool {
    matches!(next, 'A'..='Z' | '_' | 'a'..='z' | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}'
        | '\u{370}'..='\u{37D}' | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}' | '\u{2070}'..='\u{218F}'
        | '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}' | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}'
        | '\u{10000}'..='\u{EFFFF}')
}

fn is_name_part(next: char) -> bool {
    is_name_start(next)
        || matches!(next, '-' | '.' | '0'..='9' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
}

/// The character of a reference: the inside of `&lt;` or `&#xE9;`.
pub fn referenced(inside: &str) -> Option<char> {
    let number = match inside {
        "lt" => return Some('<'),
        "gt" => return Some('>'),
        "amp" => return Some('&'),
        "quot" => return Some('"'),
        "apos" => return Some('\''),
        _ => inside.strip_prefix('#')?,
    };
    let (digits, radix) = number.strip_prefix('x').map_or((number, 10), |hex| (hex, 16));
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let code = u32::from_str_radix(digits, radix).ok()?;
    char::from_u32(code).filter(|next| is_char(*next))
}

/// The value of an attribute from its source (XML 1.0, section 3.3.3), which begins at byte `offset`.
pub fn attribute_value(source: &str, offset: usize) -> Result<Cow<'_, str>, Located> {
    let special = |byte: &u8| matches!(byte, b'&' | b'<' | b'\t' | b'\n' | b'\r');
    if !source.as_bytes().iter().any(special) {
        return Ok(Cow::Borrowed(source));
    }
    let mut value = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(plain) = rest.bytes().position(|byte| special(&byte)) {
        value.push_str(&rest[..plain]);
        let at = offset + source.len() - rest.len() + plain;
        rest = &rest[plain..];
        if let Some(reference) = rest.strip_prefix('&') {
            let end = reference.find(';').unwrap_or(reference.len());
            let inside = &reference[..end];
            let next = referenced(inside).filter(|_| end < reference.len());
            value.push(next.ok_or_else(|| ReadProblem::Entity(shortened(inside)).at(at))?);
            rest = reference.get(end + 1..).unwrap_or("");
        } else if rest.starts_with('<') {
            let text = "`<` must be written as `&lt;` in an attribute".to_owned();
            return Err(ReadProblem::Syntax(text).at(at));
        } else {
            value.push(' ');
            rest = rest.strip_prefix("\r\n").unwrap_or(&rest[1..]);
        }
    }
    value.push_str(rest);
    Ok(Cow::Owned(value))
}

/// Appends `value` as the inside of an attribute in double quotes, so that reading gives it back exactly.
pub fn write_attribute_value(value: &str, out: &mut Vec<u8>) {
    let mut rest = value.as_bytes();
    let special = |byte: &u8| matches!(byte, b'&' | b'<' | b'>' | b'"' | b'\t' | b'\n' | b'\r');
    while let Some(plain) = rest.iter().position(special) {
        out.extend_from_slice(&rest[..plain]);
        out.extend_from_slice(match rest[plain] {
            b'&' => b"&amp;",
            b'<' => b"&lt;",
            b'>' => b"&gt;",
            b'"' => b"&quot;",
            b'\t' => b"&#9;",
            b'\n' => b"&#10;",
            _ => b"&#13;",
        });
        rest = &rest[plain + 1..];
    }
    out.extend_from_slice(rest);
}

/// Appends `value` as text between tags.
pub fn write_text(value: &str, out: &mut Vec<u8>) {
    let mut rest = value.as_bytes();
    while let Some(plain) = rest.iter().position(|byte| matches!(byte, b'&' | b'<' | b'>')) {
        out.extend_from_slice(&rest[..plain]);
        out.extend_from_slice(match rest[plain] {
            b'&' => b"&amp;",
            b'<' => b"&lt;",
            _ => b"&gt;",
        });
        rest = &rest[plain + 1..];
    }
    out.extend_from_slice(rest);
}

//! Formats of primitive values (FHIR, section datatypes), checked by hand: no regular expressions.

use crate::document::{Kind, Node};
use crate::reference::is_id;
use crate::temporal;

/// Why a value is none of its type.
pub struct Problem {
    pub code: &'static str,
    pub diagnostics: String,
}

/// Microsoft's text for ids.
const ID_REQUIREMENTS: &str = "Id must be any combination of upper or lower case ASCII letters ('A'..'Z', and 'a'..'z'), \
    numerals ('0'..'9'), '-' and '.', with a length limit of 64 characters. (This might be an integer, an un-prefixed OID, \
    UUID, or any other identifier pattern that meets these constraints.)";

/// Checks `value` as a `type_name`.
pub fn check(type_name: &str, value: Node<'_>) -> Result<(), Problem> {
    let wanted = match type_name {
        "boolean" => Kind::Bool,
        "decimal" | "integer" | "positiveInt" | "unsignedInt" => Kind::Number,
        _ => Kind::String,
    };
    if value.kind() != wanted {
        let diagnostics = format!("`{type_name}` must be {}, not {}", wanted.name(), value.kind().name());
        return Err(Problem {
            code: "structure",
            diagnostics,
        });
    }
    if wanted == Kind::Bool {
        return Ok(());
    }
    if wanted == Kind::Number {
        return if is_number(type_name, value.raw()) {
            Ok(())
        } else {
            Err(bad_format(type_name, value.raw()))
        };
    }
    let text = value.as_str().unwrap_or_default();
    if text.is_empty() {
        return Err(Problem {
            code: "value",
            diagnostics: format!("`{type_name}` must not be empty"),
        });
    }
    let (fits, problem): (bool, fn(&str, &str) -> Problem) = match type_name {
        "date" => (temporal::is_date(&text), bad_moment),
        "dateTime" => (temporal::is_date_time(&text), bad_moment),
        "instant" => (temporal::is_instant(&text), bad_moment),
        "time" => (temporal::is_time(&text), bad_moment),
        "id" => (is_id(&text), bad_id),
        "code" => (is_code(&text), bad_format),
        "uri" | "url" | "canonical" => (!text.contains(char::is_whitespace), bad_format),
        "oid" => (text.strip_prefix("urn:oid:").is_some_and(is_oid), bad_format),
        "uuid" => (text.strip_prefix("urn:uuid:").is_some_and(is_uuid), bad_format),
        "base64Binary" => (is_base64(&text), bad_format),
        // string, markdown, xhtml
        _ => (has_no_control_characters(&text), bad_format),
    };
    if fits { Ok(()) } else { Err(problem(type_name, &text)) }
}

fn bad_format(type_name: &str, text: &str) -> Problem {
    let shown: String = text.chars().take(64).collect();
    Problem {
        code: "value",
        diagnostics: format!("Literal '{shown}' is not in a correct format for `{type_name}`."),
    }
}

fn bad_moment(_: &str, text: &str) -> Problem {
    let shown: String = text.chars().take(64).collect();
    Problem {
        code: "value",
        diagnostics: format!("The date time string '{shown}' is not in a correct format."),
    }
}

fn bad_id(_: &str, _: &str) -> Problem {
    Problem {
        code: "value",
        diagnostics: ID_REQUIREMENTS.to_owned(),
    }
}

fn is_number(type_name: &str, text: &str) -> bool {
    match type_name {
        "integer" => text.parse::<i32>().is_ok(),
        "positiveInt" => text.parse::<i32>().is_ok_and(|number| number > 0),
        "unsignedInt" => text.parse::<i32>().is_ok_and(|number| number >= 0),
        _ => true,
    }
}

/// No whitespace at either end, and single spaces within.
fn is_code(text: &str) -> bool {
    !text.starts_with(char::is_whitespace)
        && !text.ends_with(char::is_whitespace)
        && !text
            .as_bytes()
            .windows(2)
            .any(|pair| pair.iter().all(u8::is_ascii_whitespace))
}

fn is_oid(text: &str) -> bool {
    text.starts_with(['0', '1', '2'])
        && text.split('.').all(|arc| {
            !arc.is_empty()
                && arc.bytes().all(|byte| byte.is_ascii_digit())
                && (arc.len() == 1 || !arc.starts_with('0'))
        })
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Groups of four with padding at the end only; whitespace is allowed anywhere.
fn is_base64(text: &str) -> bool {
    let (mut letters, mut padding) = (0_usize, 0_usize);
    for byte in text.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
        match byte {
            b'=' => padding += 1,
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' if padding == 0 => letters += 1,
            _ => return false,
        }
    }
    letters > 0 && padding <= 2 && (letters + padding).is_multiple_of(4)
}

/// "Strings SHALL NOT contain Unicode character points below 32, except for tab, line feed and carriage return."
fn has_no_control_characters(text: &str) -> bool {
    !text
        .bytes()
        .any(|byte| byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r'))
}

//! Narrative that browsers read and XML doesn't, made well-formed: `<br>`, `<p>` without an end, `&nbsp;`, `nowrap`.

use std::borrow::Cow;

use super::XHTML;
use super::characters::{is_plain_name, referenced, write_attribute_value, write_text};
use super::entities::named;
use crate::validation::HTML_VOID;

/// Appends `text` as one `div` of XHTML. Comments go; what is no tag stays as words. The characters must be those of XML.
pub fn mend(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"<div xmlns=\"");
    out.extend_from_slice(XHTML.as_bytes());
    out.push(b'"');
    let text = text.trim_ascii();
    let root = Tag::read(text).filter(|(tag, _)| tag.name == "div");
    let rest = match root {
        Some((tag, rest)) => {
            tag.write_attributes(out);
            rest
        }
        None => text,
    };
    out.push(b'>');
    content(rest, out);
    out.extend_from_slice(b"</div>");
}

/// How far up the element may be that a closing tag ends.
const FARTHEST: usize = 256;
/// After so many `<` that begin no tag all others are words, too: each costs a look at the whole rest.
const MOST_FAILURES: usize = 100;

/// What stands in the outer element; its own end is left to the caller.
fn content(text: &str, out: &mut Vec<u8>) {
    let mut open: Vec<String> = Vec::new();
    let mut rest = text;
    let mut failures = 0;
    while !rest.is_empty() {
        let plain = rest.find('<').unwrap_or(rest.len());
        write_text(&resolved(&rest[..plain]), out);
        rest = &rest[plain..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
        } else if let Some(closing) = rest.strip_prefix("</") {
            let (name, after) = closing.split_once('>').unwrap_or((closing, ""));
            let name = name.trim_ascii().to_ascii_lowercase();
            let back = open.iter().rev().take(FARTHEST).position(|opened| *opened == name);
            if let Some(back) = back {
                open.drain(open.len() - 1 - back..)
                    .rev()
                    .for_each(|opened| close(&opened, out));
            }
            rest = after;
        } else if failures < MOST_FAILURES
            && let Some((tag, after)) = Tag::read(rest)
        {
            while open.last().is_some_and(|last| closes(&tag.name, last)) {
                open.pop().into_iter().for_each(|opened| close(&opened, out));
            }
            out.push(b'<');
            out.extend_from_slice(tag.name.as_bytes());
            tag.write_attributes(out);
            if tag.is_empty || HTML_VOID.contains(&tag.name.as_str()) {
                out.extend_from_slice(b"/>");
            } else {
                out.push(b'>');
                open.push(tag.name);
            }
            rest = after;
        } else if !rest.is_empty() {
            failures += 1;
            out.extend_from_slice(b"&lt;");
            rest = &rest[1..];
        }
    }
    open.iter().rev().for_each(|opened| close(opened, out));
}

/// Whether an element `name` ends the element `open` before it begins (HTML 4: end tags that may be left out).
fn closes(name: &str, open: &str) -> bool {
    matches!(
        (name, open),
        ("p", "p")
            | ("li", "li")
            | ("dt" | "dd", "dt" | "dd")
            | ("td" | "th", "td" | "th")
            | ("tr", "td" | "th" | "tr" | "colgroup")
            | (
                "tbody" | "tfoot" | "thead",
                "td" | "th" | "tr" | "tbody" | "tfoot" | "thead" | "colgroup"
            )
            | ("colgroup", "colgroup")
    )
}

fn close(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"</");
    out.extend_from_slice(name.as_bytes());
    out.push(b'>');
}

/// The characters of text with references.
fn resolved(text: &str) -> Cow<'_, str> {
    let mut value = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        value.push_str(before);
        // Names are short: a far semicolon belongs to another sentence.
        let end = after.bytes().take(12).position(|byte| byte == b';');
        let next = end
            .and_then(|end| after.get(..end))
            .and_then(|name| referenced(name).or_else(|| named(name)));
        match (next, end) {
            (Some(next), Some(end)) => {
                value.push(next);
                rest = after.get(end + 1..).unwrap_or("");
            }
            _ => {
                value.push('&');
                rest = after;
            }
        }
    }
    if value.is_empty() {
        return Cow::Borrowed(rest);
    }
    value.push_str(rest);
    Cow::Owned(value)
}

/// An opening tag.
struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
    is_empty: bool,
}

impl Tag {
    /// Reads the tag at the beginning of `text`, and what follows it.
    fn read(text: &str) -> Option<(Self, &str)> {
        let ends = |next: char| next.is_ascii_whitespace() || matches!(next, '>' | '/' | '=' | '<' | '"' | '\'');
        let inside = text.strip_prefix('<')?;
        let (name, mut rest) = inside.split_at(inside.find(ends).unwrap_or(inside.len()));
        let name = name.to_ascii_lowercase();
        let mut attributes: Vec<(String, String)> = Vec::new();
        if !is_plain_name(&name) {
            return None;
        }
        loop {
            rest = rest.trim_ascii_start();
            if let Some(after) = rest.strip_prefix("/>") {
                return Some((Self::new(name, attributes, true), after));
            }
            if let Some(after) = rest.strip_prefix('>') {
                return Some((Self::new(name, attributes, false), after));
            }
            let (attribute, after) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
            if attribute.is_empty() {
                return None;
            }
            rest = after.trim_ascii_start();
            let mut value = attribute;
            if let Some(given) = rest.strip_prefix('=') {
                (value, rest) = attribute_value(given.trim_ascii_start())?;
            }
            attributes.push((attribute.to_ascii_lowercase(), resolved(value).into_owned()));
        }
    }

    /// Keeps the attributes that XHTML can have, each once.
    fn new(name: String, attributes: Vec<(String, String)>, is_empty: bool) -> Self {
        let mut kept: Vec<(String, String)> = Vec::new();
        for (name, value) in attributes {
            let is_name = is_plain_name(&name) && name != "xmlns" || name == "xml:lang";
            if is_name && kept.len() < MOST_ATTRIBUTES && kept.iter().all(|(other, _)| *other != name) {
                kept.push((name, value));
            }
        }
        Self {
            name,
            attributes: kept,
            is_empty,
        }
    }

    fn write_attributes(&self, out: &mut Vec<u8>) {
        for (name, value) in &self.attributes {
            out.push(b' ');
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"=\"");
            write_attribute_value(value, out);
            out.push(b'"');
        }
    }
}

/// FHIR allows fewer.
const MOST_ATTRIBUTES: usize = 60;

/// A value, in quotes or not, and what follows it.
fn attribute_value(text: &str) -> Option<(&str, &str)> {
    match text.chars().next().filter(|first| matches!(first, '"' | '\'')) {
        Some(quote) => text[1..].split_once(quote),
        None => {
            let ends = |next: char| next.is_ascii_whitespace() || next == '>';
            Some(text.split_at(text.find(ends).unwrap_or(text.len())))
        }
    }
}

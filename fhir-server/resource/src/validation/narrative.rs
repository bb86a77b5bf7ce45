//! Narrative: one `div` with something in it, of the elements and attributes that FHIR allows (section narrative), well
//! nested. It is read as leniently as browsers and Microsoft's server read it: `<br>` and `</p>` may be left out.

use std::collections::HashSet;
use std::sync::OnceLock;

const OUTER: &str = "XHTML content should be contained within a single <div> element.";
const EMPTY: &str = "The div element must not be empty or only whitespace.";
const MOST: usize = 20;

const ELEMENTS: &[&str] = &[
    "a",
    "abbr",
    "acronym",
    "b",
    "big",
    "blockquote",
    "br",
    "caption",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "dfn",
    "div",
    "dl",
    "dt",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "img",
    "li",
    "ol",
    "p",
    "pre",
    "q",
    "samp",
    "small",
    "span",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "tt",
    "ul",
    "var",
];

const ATTRIBUTES: &[&str] = &[
    "abbr",
    "accesskey",
    "align",
    "alt",
    "axis",
    "bgcolor",
    "border",
    "cellhalign",
    "cellpadding",
    "cellspacing",
    "cellvalign",
    "char",
    "charoff",
    "charset",
    "cite",
    "class",
    "colspan",
    "compact",
    "coords",
    "dir",
    "frame",
    "headers",
    "height",
    "href",
    "hreflang",
    "hspace",
    "id",
    "lang",
    "longdesc",
    "name",
    "nowrap",
    "rel",
    "rev",
    "rowspan",
    "rules",
    "scope",
    "shape",
    "span",
    "src",
    "start",
    "style",
    "summary",
    "tabindex",
    "title",
    "type",
    "valign",
    "value",
    "vspace",
    "width",
    "xml:lang",
    "xmlns",
];

/// Elements without content.
pub const VOID: &[&str] = &["br", "col", "hr", "img"];
/// Elements that the next one of their kind, or the end of what holds them, closes.
const SELF_CLOSING: &[&str] = &[
    "colgroup", "dd", "dt", "li", "p", "tbody", "td", "tfoot", "th", "thead", "tr",
];
/// Where an image may come from, besides relative URLs.
const SOURCES: &[&str] = &["data", "http", "https"];
/// Links that run something where they are followed.
const DANGEROUS: &[&str] = &["javascript", "livescript", "vbscript"];

/// What is wrong with the XHTML `text`; nothing means that it is fine.
pub fn problems(text: &str) -> Vec<String> {
    let mut reader = Reader {
        text,
        at: 0,
        open: Vec::new(),
        roots: 0,
        content: false,
        illegal: Vec::new(),
    };
    match reader.read() {
        Err(problem) => vec![problem],
        Ok(()) if reader.roots != 1 => vec![OUTER.to_owned()],
        Ok(()) if !reader.content => vec![EMPTY.to_owned()],
        Ok(()) => reader.illegal,
    }
}

fn known(list: &'static [&'static str], cell: &'static OnceLock<HashSet<&'static str>>, name: &str) -> bool {
    cell.get_or_init(|| list.iter().copied().collect()).contains(name)
}

/// The scheme of a URL as browsers read it: in lower case, without the white space that they skip.
fn scheme(url: &str) -> Option<String> {
    let url: String = decoded(url)
        .chars()
        .filter(|next| !next.is_whitespace() && !next.is_control())
        .collect();
    let end = url.find([':', '/', '?', '#'])?;
    url[end..].starts_with(':').then(|| url[..end].to_ascii_lowercase())
}

/// A value as browsers read it, with the character references that could hide a scheme: they need no semicolon.
fn decoded(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let (letter, length) = reference(&rest[at + 1..]).unwrap_or(('&', 0));
        out.push(letter);
        rest = &rest[at + 1 + length..];
    }
    out.push_str(rest);
    out
}

/// The character that a reference behind its `&` stands for, and how long it is.
fn reference(text: &str) -> Option<(char, usize)> {
    const NAMED: [(&str, char); 8] = [
        ("Tab;", '\t'),
        ("NewLine;", '\n'),
        ("colon;", ':'),
        ("sol;", '/'),
        ("num;", '#'),
        ("quest;", '?'),
        ("amp;", '&'),
        ("nbsp;", ' '),
    ];
    if let Some((name, letter)) = NAMED.iter().find(|(name, _)| text.starts_with(name)) {
        return Some((*letter, name.len()));
    }
    let digits = text.strip_prefix('#')?;
    let (digits, radix, before) = match digits.strip_prefix(['x', 'X']) {
        Some(digits) => (digits, 16, 2),
        None => (digits, 10, 1),
    };
    let count = digits.chars().take_while(|digit| digit.is_digit(radix)).count();
    let letter = char::from_u32(u32::from_str_radix(&digits[..count], radix).ok()?)?;
    let end = usize::from(digits[count..].starts_with(';'));
    Some((letter, before + count + end))
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    /// Elements that are open, outermost first.
    open: Vec<String>,
    /// Elements at the top.
    roots: usize,
    /// Whether the outer element has anything in it but blanks.
    content: bool,
    /// Elements and attributes that FHIR doesn't allow.
    illegal: Vec<String>,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn parse_error(&self, what: &str) -> String {
        let before = self.text.get(..self.at).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        format!("Error while parsing XHTML: {what} Line: {line} Col: {column}.")
    }

    fn read(&mut self) -> Result<(), String> {
        while self.at < self.text.len() {
            let plain = memchr::memchr(b'<', self.rest().as_bytes()).unwrap_or(self.rest().len());
            let text = &self.rest()[..plain];
            let (blank, broken) = (text.trim().is_empty(), text.contains('\n'));
            if !blank && self.open.is_empty() {
                return Err(OUTER.to_owned());
            }
            // a line break is what HL7's own examples hold where there was nothing to say
            self.content |= !self.open.is_empty() && (!blank || broken);
            self.at += plain;
            let rest = self.rest();
            if rest.is_empty() {
                break;
            }
            if rest.starts_with("<!--") {
                let end = rest
                    .find("-->")
                    .ok_or_else(|| self.parse_error("a comment does not end."))?;
                self.at += end + 3;
            } else if rest.starts_with("</") {
                self.close()?;
            } else if rest[1..].starts_with(|first: char| first.is_ascii_alphabetic()) {
                self.open()?;
            } else if rest[1..].starts_with(['!', '?']) {
                return Err(self.parse_error("declarations are not allowed."));
            } else {
                return Err(self.parse_error("`<` must be written as `&lt;`."));
            }
        }
        while self
            .open
            .last()
            .is_some_and(|name| SELF_CLOSING.contains(&name.as_str()))
        {
            self.open.pop();
        }
        match self.open.last() {
            Some(name) => Err(self.parse_error(&format!("the element `{name}` is not closed."))),
            None => Ok(()),
        }
    }

    fn name(&mut self) -> String {
        let rest = self.rest();
        let ends = |next: char| next.is_ascii_whitespace() || matches!(next, '>' | '/' | '=' | '<' | '"' | '\'');
        let length = rest.find(ends).unwrap_or(rest.len());
        let name = rest[..length].to_ascii_lowercase();
        self.at += length;
        name
    }

    fn skip_whitespace(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn close(&mut self) -> Result<(), String> {
        self.at += 2;
        let name = self.name();
        self.skip_whitespace();
        if !self.rest().starts_with('>') {
            return Err(self.parse_error("a closing tag does not end."));
        }
        self.at += 1;
        while let Some(open) = self.open.pop() {
            if open == name {
                return Ok(());
            }
            if !SELF_CLOSING.contains(&open.as_str()) {
                break;
            }
        }
        if VOID.contains(&name.as_str()) {
            return Ok(());
        }
        let shown: String = name.chars().take(32).collect();
        Err(self.parse_error(&format!("the closing tag `{shown}` does not match an open element.")))
    }

    fn open(&mut self) -> Result<(), String> {
        static NAMES: OnceLock<HashSet<&'static str>> = OnceLock::new();
        self.at += 1;
        let name = self.name();
        if self.open.is_empty() {
            if name != "div" {
                return Err(OUTER.to_owned());
            }
            self.roots += 1;
        } else {
            self.content = true;
            if !known(ELEMENTS, &NAMES, &name) {
                self.complain(|| format!("Illegal element name '{}'.", name.to_ascii_uppercase()));
            }
        }
        let closed = self.attributes(&name)?;
        if !closed && !VOID.contains(&name.as_str()) {
            self.open.push(name);
        }
        Ok(())
    }

    fn complain(&mut self, text: impl FnOnce() -> String) {
        if self.illegal.len() < MOST {
            let text = text();
            self.illegal.push(text.chars().take(200).collect());
        }
    }

    /// Reads to the end of an opening tag; whether the element ends there, too.
    fn attributes(&mut self, element: &str) -> Result<bool, String> {
        static NAMES: OnceLock<HashSet<&'static str>> = OnceLock::new();
        loop {
            self.skip_whitespace();
            if self.rest().starts_with("/>") {
                self.at += 2;
                return Ok(true);
            }
            if self.rest().starts_with('>') {
                self.at += 1;
                return Ok(false);
            }
            let name = self.name();
            if name.is_empty() {
                return Err(self.parse_error("a tag does not end, or an attribute has no name."));
            }
            self.skip_whitespace();
            let value = if self.rest().starts_with('=') {
                self.at += 1;
                self.skip_whitespace();
                self.attribute_value()?
            } else {
                String::new()
            };
            let allowed = known(ATTRIBUTES, &NAMES, &name)
                && (name != "src" || scheme(&value).is_none_or(|scheme| SOURCES.contains(&scheme.as_str())))
                && (name != "href" || scheme(&value).is_none_or(|scheme| !DANGEROUS.contains(&scheme.as_str())));
            if !allowed {
                let element = element.to_ascii_uppercase();
                self.complain(|| format!("Illegal attribute name '{name}' on element '{element}'."));
            }
        }
    }

    fn attribute_value(&mut self) -> Result<String, String> {
        let rest = self.rest();
        let quote = rest.chars().next().filter(|first| matches!(first, '"' | '\''));
        let Some(quote) = quote else {
            let ends = |next: char| next.is_ascii_whitespace() || next == '>';
            let length = rest.find(ends).unwrap_or(rest.len());
            let value = rest[..length].to_owned();
            self.at += length;
            return Ok(value);
        };
        let length = rest[1..]
            .find(quote)
            .ok_or_else(|| self.parse_error("the value of an attribute does not end."))?;
        let value = rest[1..=length].to_owned();
        self.at += length + 2;
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::scheme;

    #[rstest]
    #[case("JavaScript:x", Some("javascript"))]
    #[case("jav ascript:x", Some("javascript"))]
    #[case("jav&#x0D;ascript:x", Some("javascript"))]
    #[case("java&#115cript:x", Some("javascript"))]
    #[case("&#X6A;avascript&colon;x", Some("javascript"))]
    #[case("java&Tab;script&#58;x", Some("javascript"))]
    #[case("a&b:c", Some("a&b"))]
    #[case("x?a=&#x;&#99999999999;:", None)]
    #[case("#javascript:x", None)]
    #[case("notes/1", None)]
    fn schemes(#[case] url: &str, #[case] expected: Option<&str>) {
        assert_eq!(scheme(url).as_deref(), expected);
    }
}

//! Narrative as text: the source of one `div`, as it stands but for what depends on its surroundings (prefixes, CDATA).

use std::borrow::Cow;

use super::XHTML;
use super::characters::write_text;
use super::error::{Located, ReadProblem, shortened};
use super::source::{Attribute, Namespace, Source, Tag, Token};

/// Copies the `div` that `root` opens, to its end, out of `text`, which `source` reads: names without prefix, in the
/// namespace of XHTML by a declaration of its own. At most `depth` elements nest.
pub fn copy<'x>(source: &mut Source<'x>, text: &'x str, root: &Tag<'x>, depth: usize) -> Result<Cow<'x, str>, Located> {
    let mut copy = Copy {
        text,
        out: String::new(),
        copied: root.at,
        open: Vec::new(),
    };
    copy.tag(root, true, source.position(), depth)?;
    while !copy.open.is_empty() {
        let start = source.position();
        match source.next()? {
            Token::Open(tag) => copy.tag(&tag, false, source.position(), depth)?,
            Token::Close => {
                if let Some(Some(name)) = copy.open.pop() {
                    copy.replace(start, source.position(), &format!("</{name}>"));
                }
            }
            Token::Data(data) => {
                let mut escaped = Vec::with_capacity(data.len());
                write_text(data, &mut escaped);
                copy.replace(start, source.position(), &String::from_utf8_lossy(&escaped));
            }
            Token::Text(_) | Token::Comment => {}
            Token::Instruction => return Err(ReadProblem::Instruction.at(start)),
            Token::End => {
                let text = "the element `div` does not end".to_owned();
                return Err(ReadProblem::Syntax(text).at(root.at));
            }
        }
    }
    let rest = text.get(copy.copied..source.position()).unwrap_or("");
    Ok(if copy.out.is_empty() {
        Cow::Borrowed(rest)
    } else {
        copy.out.push_str(rest);
        Cow::Owned(copy.out)
    })
}

/// The narrative `text` of JSON as XML; none if it isn't XML.
pub fn of_text(text: &str) -> Option<Cow<'_, str>> {
    let text = text.trim_ascii();
    let mut source = Source::xhtml(text);
    let Ok(Token::Open(root)) = source.next() else {
        return None;
    };
    let div = copy(&mut source, text, &root, usize::MAX).ok()?;
    matches!(source.next(), Ok(Token::End)).then_some(div)
}

struct Copy<'x> {
    text: &'x str,
    out: String,
    /// How far `text` is in `out`.
    copied: usize,
    /// Elements that are open; the name of those whose prefix goes.
    open: Vec<Option<&'x str>>,
}

impl<'x> Copy<'x> {
    fn replace(&mut self, start: usize, end: usize, with: &str) {
        self.out.push_str(self.text.get(self.copied..start).unwrap_or(""));
        self.out.push_str(with);
        self.copied = end;
    }

    fn tag(&mut self, tag: &Tag<'x>, is_root: bool, end: usize, depth: usize) -> Result<(), Located> {
        if tag.namespace != Namespace::Xhtml {
            let name = shortened(tag.name);
            return Err(ReadProblem::Namespace { name, namespace: XHTML }.at(tag.at));
        }
        if self.open.len() >= depth {
            return Err(ReadProblem::TooDeep(depth).at(tag.at));
        }
        for attribute in &tag.attributes {
            if !matches!(attribute.namespace, Namespace::None | Namespace::Xml) {
                return Err(ReadProblem::UnknownAttribute(shortened(attribute.name)).at(tag.at));
            }
            attribute.value()?;
        }
        let undeclared = is_root && !tag.declares_default;
        if tag.has_prefix || tag.declares_prefix || undeclared {
            let mut opening = format!("<{}", tag.name);
            if is_root || tag.declares_default {
                opening.extend([" xmlns=\"", XHTML, "\""]);
            }
            opening.extend(tag.attributes.iter().map(Attribute::source));
            opening.push_str(if tag.is_empty { "/>" } else { ">" });
            self.replace(tag.at, end, &opening);
        }
        if !tag.is_empty {
            self.open.push(tag.has_prefix.then_some(tag.name));
        }
        Ok(())
    }
}

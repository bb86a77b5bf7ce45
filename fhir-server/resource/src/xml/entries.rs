//! The entries of a Bundle's text, found without a tape: a page of a thousand resources is converted one by one.

use std::ops::Range;

/// Where the entries of a Bundle lie in its JSON.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// The array, with its brackets.
    pub array: Range<usize>,
    /// Its items.
    pub items: Vec<Range<usize>>,
}

/// The items of the member `entry` of a Bundle, if `json` is one. It must be JSON; of other text anything may be said.
pub fn of_bundle(json: &str) -> Option<Found> {
    let mut cursor = Cursor {
        bytes: json.as_bytes(),
        at: 0,
    };
    cursor.take(b'{')?;
    let (mut is_bundle, mut found) = (false, None);
    while cursor.peek()? != b'}' {
        let name = cursor.value()?;
        cursor.take(b':')?;
        match json.get(name)? {
            "\"entry\"" if cursor.peek()? == b'[' => found = Some(cursor.items()?),
            "\"resourceType\"" => {
                let value = cursor.value()?;
                is_bundle = json.get(value)? == "\"Bundle\"";
            }
            _ => {
                cursor.value()?;
            }
        }
        if cursor.peek()? == b',' {
            cursor.at += 1;
        }
    }
    found.filter(|_| is_bundle)
}

struct Cursor<'j> {
    bytes: &'j [u8],
    at: usize,
}

impl Cursor<'_> {
    /// The next byte that isn't white space.
    fn peek(&mut self) -> Option<u8> {
        while self.bytes.get(self.at)?.is_ascii_whitespace() {
            self.at += 1;
        }
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, wanted: u8) -> Option<()> {
        (self.peek()? == wanted).then(|| self.at += 1)
    }

    fn items(&mut self) -> Option<Found> {
        self.take(b'[')?;
        let start = self.at - 1;
        let mut items = Vec::new();
        while self.peek()? != b']' {
            items.push(self.value()?);
            if self.peek()? == b',' {
                self.at += 1;
            }
        }
        self.at += 1;
        Some(Found {
            array: start..self.at,
            items,
        })
    }

    /// Goes behind a value.
    fn value(&mut self) -> Option<Range<usize>> {
        self.peek()?;
        let start = self.at;
        let mut depth = 0_usize;
        loop {
            match *self.bytes.get(self.at)? {
                b'"' => self.string()?,
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                b',' | b':' | b' ' | b'\n' | b'\r' | b'\t' if depth > 0 => {
                    self.at += 1;
                    continue;
                }
                // a number, true, false or null
                _ => {
                    let rest = self.bytes.get(self.at..)?;
                    let ends = |byte: &u8| matches!(byte, b',' | b']' | b'}') || byte.is_ascii_whitespace();
                    self.at += rest.iter().position(ends).filter(|length| *length > 0)?;
                }
            }
            if depth == 0 {
                return Some(start..self.at);
            }
        }
    }

    fn string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            let rest = self.bytes.get(self.at..)?;
            let length = memchr::memchr2(b'"', b'\\', rest)?;
            self.at += length + 1;
            if rest.get(length) == Some(&b'"') {
                return Some(());
            }
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_wherever_they_stand() {
        let json = r#" { "total" : 2 , "entry":[ {"a":"]\"},{"} ,{"b":[1,{}]}, null], "resourceType":"Bundle","x":{"entry":[1]}}"#;
        let found = of_bundle(json).expect("a bundle");
        let items: Vec<_> = found.items.iter().map(|item| &json[item.clone()]).collect();
        assert_eq!(items, [r#"{"a":"]\"},{"}"#, r#"{"b":[1,{}]}"#, "null"]);
        assert!(json[found.array].starts_with('[') && json.contains("null]"));
    }

    #[test]
    fn others_have_none() {
        for json in [
            r#"{"resourceType":"List","entry":[{}]}"#,
            r#"{"resourceType":"Bundle"}"#,
            r#"{"resourceType":"Bundle","entry":{}}"#,
            r#"{"resourceType":"Bundle","entry":["#,
            "[",
            "",
            "}",
            "{\"",
            "{\"a\\",
            "{]",
        ] {
            assert_eq!(of_bundle(json), None, "{json}");
        }
    }
}

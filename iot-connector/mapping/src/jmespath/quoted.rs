//! Quoted parts of an expression: `"name"`, `'text'` and `` `literal` ``.

/// The bytes of a quoted part up to its end, given the text behind its opening quotation mark.
pub fn end(text: &str, mark: char) -> Option<usize> {
    let mut escaped = false;
    let at = text.char_indices().find(|(_, character)| {
        let ends = *character == mark && !escaped;
        escaped = *character == '\\' && !escaped;
        ends
    });
    at.map(|(at, _)| at)
}

/// The characters that aren't quoted, with their places.
pub fn outside(text: &str) -> impl Iterator<Item = (usize, char)> {
    let mut characters = text.char_indices();
    std::iter::from_fn(move || {
        loop {
            let (at, character) = characters.next()?;
            if !matches!(character, '"' | '\'' | '`') {
                return Some((at, character));
            }
            let from = at + character.len_utf8();
            let end = end(text.get(from..)?, character)?;
            characters.nth(text.get(from..from + end)?.chars().count());
        }
    })
}

//! Changes of a text: what a careless or an evil client makes of it.

use proptest::prelude::*;

/// One change. Places are shares of the text's length.
#[derive(Debug, Clone)]
pub enum Mutation {
    /// A piece is taken out.
    Cut(f64, f64),
    /// A piece is there many times.
    Repeat(f64, f64, usize),
    /// A word is put in.
    Insert(f64, &'static str),
    /// A character is put in.
    Character(f64, char),
    /// A piece of another seed is put in.
    Splice(f64, f64, f64),
    /// The rest is another seed's.
    Cross(f64, f64),
}

/// Up to six changes, with words that mean something to the target.
pub fn mutations(words: &'static [&'static str]) -> impl Strategy<Value = Vec<Mutation>> {
    let place = || 0.0..=1.0f64;
    let one = prop_oneof![
        3 => (place(), place()).prop_map(|(from, to)| Mutation::Cut(from, to)),
        1 => (place(), place(), 2..200usize).prop_map(|(from, to, times)| Mutation::Repeat(from, to, times)),
        4 => (place(), prop::sample::select(words)).prop_map(|(at, word)| Mutation::Insert(at, word)),
        2 => (place(), any::<char>()).prop_map(|(at, character)| Mutation::Character(at, character)),
        2 => (place(), place(), place()).prop_map(|(at, from, to)| Mutation::Splice(at, from, to)),
        2 => (place(), place()).prop_map(|(at, from)| Mutation::Cross(at, from)),
    ];
    prop::collection::vec(one, 1..6)
}

/// Texts don't grow without end.
const MOST: usize = 200_000;

impl Mutation {
    /// The changed text.
    ///
    /// # Panics
    /// Never: it is cut between characters.
    #[must_use]
    pub fn of(&self, text: &str, other: &str) -> String {
        let changed = self.applied(text.as_bytes(), other.as_bytes(), between_characters);
        String::from_utf8(changed).expect("cut between characters")
    }

    /// The changed bytes: places are anywhere.
    #[must_use]
    pub fn of_bytes(&self, bytes: &[u8], other: &[u8]) -> Vec<u8> {
        self.applied(bytes, other, anywhere)
    }

    fn applied(&self, text: &[u8], other: &[u8], place: fn(&[u8], f64) -> usize) -> Vec<u8> {
        let ends = |text: &[u8], from, to| {
            // pieces are short: most of a text stays
            let from = place(text, from);
            let length = place(&text[from..], to * 0.2);
            (from, from + length)
        };
        let changed = match *self {
            Self::Cut(from, to) => {
                let (from, to) = ends(text, from, to);
                [&text[..from], &text[to..]].concat()
            }
            Self::Repeat(from, to, times) => {
                let (from, to) = ends(text, from, to);
                let times = times.min(MOST / (to - from).max(1));
                [&text[..from], &text[from..to].repeat(times), &text[to..]].concat()
            }
            Self::Insert(at, word) => put(text, place(text, at), word.as_bytes()),
            Self::Character(at, character) => put(text, place(text, at), character.to_string().as_bytes()),
            Self::Splice(at, from, to) => {
                let (at, (from, to)) = (place(text, at), ends(other, from, to));
                put(text, at, &other[from..to])
            }
            Self::Cross(at, from) => [&text[..place(text, at)], &other[place(other, from)..]].concat(),
        };
        if changed.len() > MOST { text.to_owned() } else { changed }
    }
}

/// A text with a piece put in.
fn put(text: &[u8], at: usize, piece: &[u8]) -> Vec<u8> {
    [&text[..at], piece, &text[at..]].concat()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "any place will do"
)]
pub(crate) fn anywhere(text: &[u8], share: f64) -> usize {
    let at = ((text.len() as f64) * share) as usize;
    at.min(text.len())
}

/// A boundary of UTF-8.
fn between_characters(text: &[u8], share: f64) -> usize {
    let goes_on = |at: &usize| text.get(*at).is_some_and(|byte| byte & 0xC0 == 0x80);
    let at = anywhere(text, share);
    (0..=at).rev().find(|at| !goes_on(at)).unwrap_or_default()
}

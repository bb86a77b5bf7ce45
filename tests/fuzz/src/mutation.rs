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
    #[must_use]
    pub fn of(&self, text: &str, other: &str) -> String {
        let changed = match *self {
            Self::Cut(from, to) => {
                let (from, to) = ends(text, from, to);
                format!("{}{}", &text[..from], &text[to..])
            }
            Self::Repeat(from, to, times) => {
                let (from, to) = ends(text, from, to);
                let times = times.min(MOST / (to - from).max(1));
                format!("{}{}{}", &text[..from], text[from..to].repeat(times), &text[to..])
            }
            Self::Insert(at, word) => {
                let at = place(text, at);
                format!("{}{word}{}", &text[..at], &text[at..])
            }
            Self::Character(at, character) => {
                let at = place(text, at);
                format!("{}{character}{}", &text[..at], &text[at..])
            }
            Self::Splice(at, from, to) => {
                let (at, (from, to)) = (place(text, at), ends(other, from, to));
                format!("{}{}{}", &text[..at], &other[from..to], &text[at..])
            }
            Self::Cross(at, from) => format!("{}{}", &text[..place(text, at)], &other[place(other, from)..]),
        };
        if changed.len() > MOST { text.to_owned() } else { changed }
    }
}

/// A boundary of characters.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "any place will do"
)]
fn place(text: &str, share: f64) -> usize {
    let mut at = ((text.len() as f64) * share) as usize;
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn ends(text: &str, from: f64, to: f64) -> (usize, usize) {
    // pieces are short: most of a text stays
    let from = place(text, from);
    let length = place(&text[from..], to * 0.2);
    (from, from + length)
}

//! Changes of bytes: those of texts at any place, and bytes that no text has.

use proptest::prelude::*;

use crate::mutation::{Mutation, anywhere, mutations};

/// Bytes that UTF-8 doesn't have, and beginnings of characters without their ends.
const NO_TEXT: &[&[u8]] = &[
    b"\xff",
    b"\xfe\xff",
    b"\xc0\x80",
    b"\xe2\x82",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xf0\x9f",
    b"\x80",
    b"\0",
    b"\x1f\x8b\x08",
    b"\x28\xb5\x2f\xfd",
];

/// One change. Places are shares of the length.
#[derive(Debug, Clone)]
pub enum ByteMutation {
    /// As in a text, at any place.
    Piece(Mutation),
    /// These are put in.
    Bytes(f64, &'static [u8]),
    /// Bits of one byte are turned.
    Bits(f64, u8),
}

/// Up to six changes, with words that mean something to the target.
pub fn byte_mutations(words: &'static [&'static str]) -> impl Strategy<Value = Vec<ByteMutation>> {
    let pieces = mutations(words).prop_map(|changes| changes.into_iter().map(ByteMutation::Piece).collect());
    let place = || 0.0..=1.0f64;
    let one = prop_oneof![
        (place(), prop::sample::select(NO_TEXT)).prop_map(|(at, bytes)| ByteMutation::Bytes(at, bytes)),
        (place(), 1..=255u8).prop_map(|(at, bits)| ByteMutation::Bits(at, bits)),
    ];
    (pieces, prop::collection::vec(one, 0..3)).prop_map(|(mut all, more): (Vec<_>, _)| {
        all.extend(more);
        all
    })
}

impl ByteMutation {
    /// The changed bytes.
    #[must_use]
    pub fn of(&self, bytes: &[u8], other: &[u8]) -> Vec<u8> {
        let mut changed = bytes.to_vec();
        match self {
            Self::Piece(piece) => return piece.of_bytes(bytes, other),
            Self::Bytes(at, more) => {
                let at = anywhere(bytes, *at);
                changed.splice(at..at, more.iter().copied());
            }
            Self::Bits(at, bits) => {
                if let Some(byte) = changed.get_mut(anywhere(bytes, *at)) {
                    *byte ^= bits;
                }
            }
        }
        changed
    }
}

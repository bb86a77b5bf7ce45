//! Which readings a range was joined of, with a chance of error: a Bloom filter of a fixed size.

use super::Mark;

/// Characters of the filter's text, 6 bits each.
const CELLS: usize = 4096;
const BITS: u64 = 6 * CELLS as u64;
/// Bits that are set for a reading: with 3,600 readings one in 25 that wasn't put in seems to be there.
const OF_ONE: usize = 4;

/// Readings, none of which is forgotten.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Filter {
    cells: Vec<u8>,
}

impl Filter {
    pub(super) fn empty() -> Self {
        Self { cells: vec![0; CELLS] }
    }

    pub(super) fn insert(&mut self, mark: &Mark) {
        for (cell, bit) in places(mark) {
            if let Some(cell) = self.cells.get_mut(cell) {
                *cell |= bit;
            }
        }
    }

    /// Whether a reading was put in; sometimes, of one that wasn't.
    pub(super) fn may_contain(&self, mark: &Mark) -> bool {
        places(mark).all(|(cell, bit)| self.cells.get(cell).is_none_or(|cell| cell & bit != 0))
    }

    /// In characters that JSON doesn't escape.
    pub(super) fn text(&self) -> String {
        let characters = self.cells.iter().map(|cell| match cell {
            0..32 => char::from(b'0' + cell),
            _ => char::from(b'^' + cell - 32),
        });
        characters.collect()
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        let cell = |character| match character {
            b'0'..=b'O' => Some(character - b'0'),
            b'^'..=b'}' => Some(character - b'^' + 32),
            _ => None,
        };
        let cells: Vec<u8> = text.bytes().map(cell).collect::<Option<_>>()?;
        (cells.len() == CELLS).then_some(Self { cells })
    }
}

/// Cells and the bits in them. They are kept in Observations, so that they have to stay as they are.
fn places(mark: &Mark) -> impl Iterator<Item = (usize, u8)> {
    let mut state = mark.iter().fold(0, |state, part| mixed(state ^ part.cast_unsigned()));
    std::iter::repeat_with(move || {
        state = mixed(state);
        let place = state % BITS;
        (usize::try_from(place / 6).unwrap_or_default(), 1 << (place % 6))
    })
    .take(OF_ONE)
}

/// The step of the generator `SplitMix64`.
fn mixed(state: u64) -> u64 {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_forgotten_and_little_is_mistaken() {
        let mark = |at: i64| [at * 1_000_000, at * 1_000, at];
        let mut filter = Filter::empty();
        assert!(!filter.may_contain(&mark(0)));
        for at in 0..3_600 {
            filter.insert(&mark(at));
        }
        assert!((0..3_600).all(|at| filter.may_contain(&mark(at))));
        let mistaken = (3_600..7_200).filter(|at| filter.may_contain(&mark(*at))).count();
        assert!(mistaken < 3_600 / 20, "{mistaken}");
        let text = filter.text();
        assert_eq!(serde_json::to_string(&text).unwrap().len(), text.len() + 2);
        assert_eq!(Filter::read(&text), Some(filter));
    }
}

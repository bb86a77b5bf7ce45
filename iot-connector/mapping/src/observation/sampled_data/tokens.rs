//! The tokens of a series as text: found by counting spaces, copied in pieces.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter, memmem};

/// The token of a gap.
pub(super) const GAP: &str = "E";
/// Bytes that are looked at together; no more tokens than this can end in them.
const BLOCK: usize = 1024;

/// The text with one space between tokens, and with gaps in capitals; nothing is copied where it is so already.
pub(super) fn canonical(data: &str) -> Cow<'_, str> {
    if is_canonical(data.as_bytes()) {
        return Cow::Borrowed(data);
    }
    let mut text = String::with_capacity(data.len());
    for token in data.split_whitespace() {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(if token.eq_ignore_ascii_case(GAP) { GAP } else { token });
    }
    Cow::Owned(text)
}

fn is_canonical(data: &[u8]) -> bool {
    // In blocks without a branch for each byte. Whitespace but a space is a control character or isn't ASCII.
    let plain = |block: &[u8]| {
        block
            .iter()
            .fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'))
    };
    let small_gap =
        || data == b"e" || data.starts_with(b"e ") || data.ends_with(b" e") || memmem::find(data, b" e ").is_some();
    data.chunks(BLOCK).all(plain)
        && !data.starts_with(b" ")
        && !data.ends_with(b" ")
        && memmem::find(data, b"  ").is_none()
        && (memchr(b'e', data).is_none() || !small_gap())
}

/// Canonical text, read forwards.
pub(super) struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    /// The next so many tokens or all that are left, as one text, and how many they are.
    fn take(&mut self, most: usize) -> (&'a str, usize) {
        if most == 0 || self.rest.is_empty() {
            return ("", 0);
        }
        let (mut bytes, mut left) = (self.rest.as_bytes(), most);
        while left > BLOCK
            && let Some((block, behind)) = bytes.split_at_checked(BLOCK)
        {
            left -= memchr_iter(b' ', block).count();
            bytes = behind;
        }
        let before = self.rest.len() - bytes.len();
        if let Some(end) = memchr_iter(b' ', bytes).nth(left - 1)
            && let Some((taken, rest)) = self.rest.split_at_checked(before + end)
        {
            self.rest = rest.get(1..).unwrap_or_default();
            return (taken, most);
        }
        let spaces = most - left + memchr_iter(b' ', bytes).count();
        (std::mem::take(&mut self.rest), spaces + 1)
    }
}

/// Writes a series from its first slot to its last, each slot once: new values, else what is there, else gaps.
pub(super) struct Writer<'a> {
    there: Tokens<'a>,
    /// The slot of the first token that is there.
    first: usize,
    count: usize,
    /// Slots that are written.
    written: usize,
    /// The token that is there in the next slot.
    next: Option<&'a str>,
    text: String,
}

impl<'a> Writer<'a> {
    pub(super) fn new(there: Tokens<'a>, first: usize, count: usize) -> Self {
        // A gap takes two bytes; only values that grow or are new need more.
        let text = String::with_capacity(there.rest.len().max(2 * count));
        Self {
            there,
            first,
            count,
            written: 0,
            next: None,
            text,
        }
    }

    /// Goes on to a slot; gives what is there.
    pub(super) fn at(&mut self, slot: usize) -> Option<&'a str> {
        self.write_until(slot);
        if slot < self.first {
            return None;
        }
        let (token, count) = self.there.take(1);
        self.next = (count == 1).then_some(token);
        self.next.filter(|token| *token != GAP)
    }

    /// Puts a value where it is.
    pub(super) fn put(&mut self, value: &str) {
        self.next = None;
        self.push(value, 1);
    }

    /// The whole text.
    pub(super) fn finish(mut self) -> String {
        self.write_until(self.count);
        self.text
    }

    fn write_until(&mut self, slot: usize) {
        if let Some(token) = self.next.take() {
            self.push(token, 1);
        }
        self.push_gaps(slot.min(self.first));
        let (tokens, count) = self.there.take(slot.saturating_sub(self.written));
        if count > 0 {
            self.push(tokens, count);
        }
        self.push_gaps(slot);
    }

    fn push_gaps(&mut self, until: usize) {
        for _ in self.written..until {
            self.push(GAP, 1);
        }
    }

    fn push(&mut self, tokens: &str, count: usize) {
        if self.written > 0 {
            self.text.push(' ');
        }
        self.text.push_str(tokens);
        self.written += count;
    }
}

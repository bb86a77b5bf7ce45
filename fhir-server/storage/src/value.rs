//! A value within a statement, of any engine.

use crate::cursor::Key;

/// What a placeholder stands for.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Nothing,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
    /// Where an engine takes a list as one.
    Numbers(Vec<i64>),
    Texts(Vec<String>),
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Vec<i64>> for Value {
    fn from(numbers: Vec<i64>) -> Self {
        Self::Numbers(numbers)
    }
}

impl From<Vec<String>> for Value {
    fn from(texts: Vec<String>) -> Self {
        Self::Texts(texts)
    }
}

impl From<Key> for Value {
    fn from(key: Key) -> Self {
        match key {
            Key::Nothing => Self::Nothing,
            Key::Number(number) => Self::Integer(number),
            Key::Text(text) => Self::Text(text),
            Key::Bytes(bytes) => Self::Bytes(bytes),
        }
    }
}

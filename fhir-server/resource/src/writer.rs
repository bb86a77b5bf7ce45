//! Writes JSON text: strings with no more escapes than JSON asks for, values without whitespace between tokens.

use crate::document::{Kind, Node};
use crate::edit::Edits;
use crate::parser::plain_length;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends `value` as a JSON string, quotes included.
pub fn write_string(value: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = value.as_bytes();
    loop {
        let plain = plain_length(rest);
        out.extend_from_slice(&rest[..plain]);
        let Some(&byte) = rest.get(plain) else { break };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
        }
        rest = &rest[plain + 1..];
    }
    out.push(b'"');
}

/// Appends `node` without whitespace between its tokens, its own bytes otherwise but for `edits`.
pub fn write_minified(node: Node<'_>, edits: &Edits, out: &mut Vec<u8>) {
    match node.kind() {
        Kind::Object => {
            out.push(b'{');
            let mut first = true;
            for (name, value) in node.raw_entries() {
                if !std::mem::take(&mut first) {
                    out.push(b',');
                }
                out.extend_from_slice(name.as_bytes());
                out.push(b':');
                write_minified(value, edits, out);
            }
            out.push(b'}');
        }
        Kind::Array => {
            out.push(b'[');
            let mut first = true;
            for item in node.items() {
                if !std::mem::take(&mut first) {
                    out.push(b',');
                }
                write_minified(item, edits, out);
            }
            out.push(b']');
        }
        _ => match edits.at(node.span().start) {
            Some(value) => write_string(value, out),
            None => out.extend_from_slice(node.raw().as_bytes()),
        },
    }
}

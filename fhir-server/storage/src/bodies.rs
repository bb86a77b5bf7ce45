//! Bodies: zstd with dictionaries. A dictionary is never changed; each row names the one that it was packed with.

use std::cell::RefCell;
use std::sync::OnceLock;

use fhir_resource::{Micros, stored};
use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};

use crate::error::ReadError;

/// The dictionary that ships with the program, trained on HL7's examples (CC0) and synthetic patients.
const SHARED: &[u8] = include_bytes!("dictionaries/shared.zdict");
/// Its number in rows.
pub const SHARED_ID: i64 = 1;
/// zstd's level: higher ones cost more time than they save space.
const LEVEL: i32 = 3;
/// No body is larger; protects against damaged lengths.
const MAX_BODY: usize = 256 << 20;

fn encoder() -> &'static EncoderDictionary<'static> {
    static DICTIONARY: OnceLock<EncoderDictionary<'static>> = OnceLock::new();
    DICTIONARY.get_or_init(|| EncoderDictionary::copy(SHARED, LEVEL))
}

fn decoder() -> &'static DecoderDictionary<'static> {
    static DICTIONARY: OnceLock<DecoderDictionary<'static>> = OnceLock::new();
    DICTIONARY.get_or_init(|| DecoderDictionary::copy(SHARED))
}

/// Room for unpacking that a thread keeps; larger bodies take and give back their own.
const KEPT: usize = 64 << 10;

thread_local! {
    static UNPACKED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Packs a stored form; its length goes in front, for unpacking in one step.
pub fn pack(stored: &[u8]) -> std::io::Result<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|cell| {
        let compressor = match cell {
            Some(compressor) => compressor,
            None => cell.insert(Compressor::with_prepared_dictionary(encoder())?),
        };
        let length = u32::try_from(stored.len()).map_err(std::io::Error::other)?;
        let mut packed = length.to_le_bytes().to_vec();
        packed.extend(compressor.compress(stored)?);
        Ok(packed)
    })
}

/// Unpacks a stored form. `what` names it in an error.
pub fn unpack(packed: &[u8], dictionary: i64, what: impl Fn() -> String) -> Result<Vec<u8>, ReadError> {
    let mut stored = Vec::new();
    unpack_into(packed, dictionary, what, &mut stored)?;
    Ok(stored)
}

/// Unpacks a stored form in place of what `stored` holds.
fn unpack_into(
    packed: &[u8],
    dictionary: i64,
    what: impl Fn() -> String,
    stored: &mut Vec<u8>,
) -> Result<(), ReadError> {
    let damaged = || ReadError::Damaged(what());
    let (length, frame) = packed.split_first_chunk::<4>().ok_or_else(damaged)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    if length > MAX_BODY || dictionary != SHARED_ID {
        return Err(damaged());
    }
    stored.clear();
    stored.reserve(length);
    DECOMPRESSOR.with_borrow_mut(|cell| {
        let decompressor = match cell {
            Some(decompressor) => decompressor,
            None => cell.insert(Decompressor::with_prepared_dictionary(decoder()).map_err(|_| damaged())?),
        };
        let unpacked = decompressor.decompress_to_buffer(frame, stored);
        unpacked.map(|_| ()).map_err(|_| damaged())
    })
}

/// The client's JSON: unpacked, version and time spliced in.
pub fn serve(
    packed: &[u8],
    dictionary: i64,
    version: u32,
    updated: Micros,
    what: impl Fn() -> String,
) -> Result<Vec<u8>, ReadError> {
    UNPACKED.with_borrow_mut(|stored| {
        unpack_into(packed, dictionary, what, stored)?;
        let mut body = Vec::with_capacity(stored.len() + 80);
        stored::render(stored, u64::from(version), updated, &mut body);
        stored.clear();
        stored.shrink_to(KEPT);
        Ok(body)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpacks_what_was_packed_and_refuses_damage() {
        let text = br#"{"resourceType":"Patient","id":"a","active":true}"#;
        let packed = pack(text).unwrap();
        let name = || "Patient/a".to_owned();
        assert_eq!(unpack(&packed, SHARED_ID, name).unwrap(), text);
        for damaged in [
            &packed[..3],
            &packed[..packed.len() - 1],
            b"\xff\xff\xff\xff123".as_slice(),
        ] {
            assert!(unpack(damaged, SHARED_ID, name).is_err());
        }
    }
}

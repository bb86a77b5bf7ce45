//! Writes a data file in the layout of `fhir_definitions::layout`.

use std::collections::HashMap;
use std::io::Write as _;

use anyhow::{Result, ensure};
use fhir_definitions::layout::{FORMAT, MAGIC, SECTIONS, Section, TEXT_LENGTH_BITS};
use flate2::Compression;
use flate2::write::DeflateEncoder;

#[derive(Default)]
pub struct Writer {
    texts: String,
    known: HashMap<String, u32>,
    sections: [Vec<u32>; SECTIONS],
    cold: Vec<u8>,
}

impl Writer {
    /// The word that stands for `text`.
    pub fn text(&mut self, text: &str) -> Result<u32> {
        if let Some(&word) = self.known.get(text) {
            return Ok(word);
        }
        let (start, length) = (u32::try_from(self.texts.len())?, u32::try_from(text.len())?);
        ensure!(
            length < 1 << TEXT_LENGTH_BITS,
            "a text of {length} bytes is too long for the layout: {text}"
        );
        ensure!(
            start < 1 << (32 - TEXT_LENGTH_BITS),
            "more text than the layout can address"
        );
        self.texts.push_str(text);
        let word = start << TEXT_LENGTH_BITS | length;
        self.known.insert(text.to_owned(), word);
        Ok(word)
    }

    /// Appends a record and returns its number.
    pub fn push(&mut self, section: Section, record: &[u32]) -> Result<u32> {
        ensure!(
            record.len() == section.words() as usize,
            "a record of {section:?} has {} words",
            section.words()
        );
        let number = self.count(section)?;
        self.sections[section as usize].extend_from_slice(record);
        Ok(number)
    }

    /// The number of records so far.
    pub fn count(&self, section: Section) -> Result<u32> {
        Ok(u32::try_from(self.sections[section as usize].len())? / section.words())
    }

    /// Appends words to the lists: where they begin, and how many they are.
    pub fn list(&mut self, words: &[u32]) -> Result<[u32; 2]> {
        let first = self.count(Section::Lists)?;
        self.sections[Section::Lists as usize].extend_from_slice(words);
        Ok([first, u32::try_from(words.len())?])
    }

    pub fn texts(&mut self, texts: &[String]) -> Result<[u32; 2]> {
        let words = texts.iter().map(|text| self.text(text)).collect::<Result<Vec<_>>>()?;
        self.list(&words)
    }

    /// Appends a chunk to the cold pack and returns its number.
    pub fn chunk(&mut self, text: &str) -> Result<u32> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text.as_bytes())?;
        let packed = encoder.finish()?;
        let record = [self.cold.len(), packed.len(), text.len()].map(u32::try_from);
        let [start, packed_length, length] = record;
        self.cold.extend(packed);
        self.push(Section::Chunks, &[start?, packed_length?, length?])
    }

    pub fn finish(self) -> Result<Vec<u8>> {
        let mut head = Vec::from(MAGIC);
        let mut body: Vec<u8> = Vec::new();
        let body_start = MAGIC.len() + 8 + SECTIONS * 8;
        head.extend(FORMAT.to_le_bytes());
        head.extend(u32::try_from(SECTIONS)?.to_le_bytes());
        // Records come first, so that all words are aligned.
        let mut directory = [(0_u32, 0_u32); SECTIONS];
        for section in [
            Section::Types,
            Section::Elements,
            Section::Slots,
            Section::Lists,
            Section::Bindings,
            Section::Codes,
            Section::Parameters,
            Section::Components,
            Section::Compartments,
            Section::Members,
            Section::Chunks,
        ] {
            let offset = u32::try_from(body_start + body.len())?;
            directory[section as usize] = (offset, self.count(section)?);
            body.extend(
                self.sections[section as usize]
                    .iter()
                    .flat_map(|word| word.to_le_bytes()),
            );
        }
        for (section, bytes) in [(Section::Texts, self.texts.as_bytes()), (Section::Cold, &self.cold)] {
            let offset = u32::try_from(body_start + body.len())?;
            directory[section as usize] = (offset, u32::try_from(bytes.len())?);
            body.extend_from_slice(bytes);
        }
        for (offset, count) in directory {
            head.extend(offset.to_le_bytes());
            head.extend(count.to_le_bytes());
        }
        head.extend(body);
        Ok(head)
    }
}

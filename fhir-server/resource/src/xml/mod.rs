//! FHIR XML (FHIR, section "xml") from and to JSON, by the tables of a FHIR version.
//!
//! [`read`] makes the JSON text that [`Document::parse`](crate::Document::parse) takes, [`write`] the XML of a
//! document, [`write_text`] that of a text.
//! JSON → XML → JSON keeps values, the text of numbers, and the order of arrays; members come back in the order of the
//! definitions. XML → JSON → XML is equal as canonical XML without comments, but for prefixes, CDATA sections, hints like
//! `xsi:schemaLocation`, and white space between elements. Neither validates: a value of the wrong format passes if JSON can hold it.
//!
//! What XML can't tell apart is written one way in JSON: an array of `null` alone is left out beside its `_name`, which
//! has one item for each value. Narrative is copied as text. Where JSON held it as browsers read it (`<br>`, `&nbsp;`), and
//! not as XML, it is mended.

mod characters;
mod entities;
mod entries;
mod error;
mod mend;
mod narrative;
mod path;
mod read;
mod source;
mod write;

use fhir_definitions::{Element, Structure, StructureKind};

pub use self::error::{ReadError, ReadProblem, WriteError, WriteProblem};
pub use self::read::read;
pub use self::write::{Style, write, write_text};

/// The namespace of FHIR's elements.
pub const FHIR: &str = "http://hl7.org/fhir";
/// The namespace of narrative.
pub const XHTML: &str = "http://www.w3.org/1999/xhtml";

/// Whether an element is written as an attribute: ids of all but resources, and the URL of extensions.
fn is_attribute(structure: Structure, element: Element) -> bool {
    match element.name() {
        "id" => structure.kind() != StructureKind::Resource,
        "url" => structure.name() == "Extension",
        _ => false,
    }
}

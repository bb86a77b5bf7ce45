//! The row of a version, as every engine reads it.

use crate::bodies;
use crate::catalogue::Catalogue;
use crate::error::ReadError;
use crate::version::{Kind, Version};

/// The columns of a table with the alias `r` that a [`Raw`] is made of; the id comes behind them.
pub const COLUMNS: &str = "r.type, r.ver, r.upd, r.kind, r.dict, r.body, r.pk";
/// How many columns that is, with the id.
pub const WIDTH: usize = 8;

/// A row before its body is unpacked, which may still be the database's own bytes.
pub struct Raw<B = Vec<u8>> {
    pub type_number: i64,
    pub id: String,
    pub version: u32,
    pub updated: i64,
    pub kind: i64,
    pub dictionary: i64,
    pub body: Option<B>,
    pub pk: i64,
}

impl<B: AsRef<[u8]>> Raw<B> {
    /// The version as it is served.
    pub fn serve(self, catalogue: &Catalogue) -> Result<Version, ReadError> {
        let resource_type = catalogue.type_name(self.type_number);
        let Self {
            id, version, updated, ..
        } = self;
        let body = match &self.body {
            Some(packed) => bodies::serve(packed.as_ref(), self.dictionary, version, updated, || {
                format!("{resource_type}/{id}")
            })?,
            None => Vec::new(),
        };
        let resource_type = resource_type.to_owned();
        Ok(Version {
            resource_type,
            id,
            version,
            last_updated: updated,
            kind: Kind::of(self.kind),
            body,
        })
    }
}

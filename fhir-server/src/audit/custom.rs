//! Headers `X-MS-AZUREFHIR-AUDIT-…`: what a client wants to find in the audit log.

use std::collections::BTreeMap;

use http::HeaderMap;

use crate::http::failure::{Failure, Result};

const PREFIX: &str = "x-ms-azurefhir-audit-";
/// Microsoft's bounds.
const MOST: usize = 10;
const LENGTH: usize = 2048;

/// Values by name; the name is the whole header's, in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Custom(BTreeMap<String, String>);

impl Custom {
    /// Reads them; a name that is there twice has both values, with a comma between.
    pub fn of(headers: &HeaderMap) -> Result<Self> {
        let mut found: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in headers {
            if !name.as_str().starts_with(PREFIX) {
                continue;
            }
            let value = String::from_utf8_lossy(value.as_bytes());
            let whole = found.entry(name.as_str().to_owned()).or_default();
            if !whole.is_empty() {
                whole.push(',');
            }
            whole.push_str(&value);
            if whole.len() > LENGTH {
                let text = format!(
                    "The maximum length of a custom audit header value is {LENGTH}. The supplied custom audit header \
                     '{name}' has length of {}.",
                    whole.len()
                );
                return Err(Failure::invalid(text));
            }
        }
        if found.len() > MOST {
            let text = format!(
                "The maximum number of custom audit headers allowed is {MOST}. The number of custom audit headers \
                 supplied is {}.",
                found.len()
            );
            return Err(Failure::invalid(text));
        }
        Ok(Self(found))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&String, &String)> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use rstest::rstest;

    use super::*;

    fn read(headers: &[(String, String)]) -> Result<Vec<(String, String)>, u16> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: HeaderName = name.parse().expect("a name");
            map.append(name, HeaderValue::from_str(value).expect("a value"));
        }
        let custom = Custom::of(&map).map_err(|failure| failure.status.as_u16())?;
        Ok(custom
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect())
    }

    fn header(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn only_audit_headers_count_and_values_are_joined() {
        let sent = [
            header("X-MS-AZUREFHIR-AUDIT-Site", "a"),
            header("X-MS-AZUREFHIR-AUDIT-Site", "b"),
            header("X-Other", "c"),
        ];
        assert_eq!(read(&sent), Ok(vec![header("x-ms-azurefhir-audit-site", "a,b")]));
    }

    #[rstest]
    #[case(10, 2048, true)]
    #[case(11, 1, false)]
    #[case(1, 2049, false)]
    fn bounds(#[case] count: usize, #[case] length: usize, #[case] accepted: bool) {
        let value = "x".repeat(length);
        let sent: Vec<_> = (0..count)
            .map(|n| header(&format!("X-MS-AZUREFHIR-AUDIT-{n}"), &value))
            .collect();
        assert_eq!(read(&sent).is_ok(), accepted);
    }
}

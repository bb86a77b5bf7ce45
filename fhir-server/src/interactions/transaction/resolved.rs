//! What references between the entries of a transaction become.
//! Source: R4 3.1.0.11.2, "Transaction Processing Rules", and 2.36.4.1, "Resolving references in Bundles".

use super::step::Step;
use crate::interactions::batch::Entry;
use crate::writes::Resolved;

/// fullUrl → `Type/id`; where a new resource's fullUrl ends in its type and an id, also that alone.
pub fn resolved(entries: &[Entry<'_>], steps: &[Step]) -> Resolved {
    let mut resolved = Resolved::new();
    for (entry, step) in entries.iter().zip(steps) {
        let target = match step {
            Step::Write { of, id, .. } | Step::Repeat { of, id, .. } => format!("{of}/{id}"),
            Step::Patch { version, .. } | Step::Keep(version) => format!("{}/{}", version.resource_type, version.id),
            Step::Delete { .. } | Step::Nothing | Step::Read => continue,
        };
        let Some(url) = &entry.full_url else { continue };
        let of = target.split('/').next().unwrap_or_default();
        if let Some(relative) = relative(url, of).filter(|relative| *relative != target) {
            resolved.insert(relative.to_owned(), target.clone());
        }
        resolved.insert(url.clone(), target);
    }
    resolved
}

/// `Type/id` at the end of a URL of REST.
fn relative<'a>(url: &'a str, of: &str) -> Option<&'a str> {
    let (base, id) = url.rsplit_once('/')?;
    let base = base.strip_suffix(of)?;
    let is_base = base.ends_with('/') && (base.starts_with("http://") || base.starts_with("https://"));
    let length = of.len() + 1 + id.len();
    (is_base && !id.is_empty()).then(|| url.get(url.len() - length..))?
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::relative;

    #[rstest]
    #[case("http://e/fhir/Patient/a", Some("Patient/a"))]
    #[case("https://e/Patient/a", Some("Patient/a"))]
    #[case("http://e/fhir/Observation/a", None)]
    #[case("http://e/fhir/MyPatient/a", None)]
    #[case("http://e/fhir/Patient/", None)]
    #[case("Patient/a", None)]
    #[case("urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a", None)]
    fn only_restful_urls_have_a_relative_form(#[case] url: &str, #[case] expected: Option<&str>) {
        assert_eq!(relative(url, "Patient"), expected);
    }
}

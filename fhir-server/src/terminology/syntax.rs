//! Code systems whose codes are made by a grammar: languages, media types and units. Nobody lists their codes, but whether a
//! text is one can be told.

const LANGUAGES: &str = "urn:ietf:bcp:47";
const MEDIA_TYPES: &str = "urn:ietf:bcp:13";

const UNITS: &str = "http://unitsofmeasure.org";

/// Whether a code is well-formed; `None`: not a system of this kind, or a unit that isn't understood.
pub fn is_valid(system: &str, code: &str) -> Option<bool> {
    match system {
        LANGUAGES => Some(is_language(code)),
        MEDIA_TYPES => Some(is_media_type(code)),
        UNITS => octofhir_ucum::validate(code).is_ok().then_some(true),
        _ => None,
    }
}

/// RFC 5646, as far as length and letters go.
fn is_language(code: &str) -> bool {
    let mut parts = code.split('-');
    let first = parts.next().unwrap_or_default();
    let is_first = (2..=8).contains(&first.len()) && first.bytes().all(|byte| byte.is_ascii_alphabetic());
    let is_private = first.eq_ignore_ascii_case("x") || first.eq_ignore_ascii_case("i");
    (is_first || is_private)
        && parts.all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// RFC 6838: `type/subtype`, maybe with parameters. HL7's own examples have names without a type (`pdf`), which aren't.
fn is_media_type(code: &str) -> bool {
    let name = code.split(';').next().unwrap_or_default().trim_end();
    let is_token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    name.split_once('/')
        .is_some_and(|(of, subtype)| is_token(of) && is_token(subtype))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(LANGUAGES, "en", Some(true))]
    #[case(LANGUAGES, "de-CH", Some(true))]
    #[case(LANGUAGES, "x-own", Some(true))]
    #[case(LANGUAGES, "not a language", Some(false))]
    #[case(LANGUAGES, "", Some(false))]
    #[case(LANGUAGES, "en-", Some(false))]
    #[case(MEDIA_TYPES, "text/plain; charset=utf-8", Some(true))]
    #[case(MEDIA_TYPES, "application/fhir+json", Some(true))]
    #[case(MEDIA_TYPES, "pdf", Some(false))]
    #[case(MEDIA_TYPES, "text/", Some(false))]
    #[case(UNITS, "mm[Hg]", Some(true))]
    #[case(UNITS, "10*3/uL", Some(true))]
    #[case(UNITS, "millimetres of mercury", None)]
    #[case("http://loinc.org", "1-8", None)]
    fn grammars(#[case] system: &str, #[case] code: &str, #[case] valid: Option<bool>) {
        assert_eq!(is_valid(system, code), valid);
    }
}

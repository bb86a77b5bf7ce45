//! How strings are compared: without case and without accents (FHIR R4 3.1.1.4.8).

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The form that is indexed and searched.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.nfkd()
        .filter(|c| !is_combining_mark(*c))
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn case_and_accents_do_not_count() {
        assert_eq!(fold("Müller"), fold("MULLER"));
        assert_eq!(fold("Renée"), "renee");
    }
}

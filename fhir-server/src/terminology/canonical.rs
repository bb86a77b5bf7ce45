//! Canonical references: `url`, or `url|version`.

use std::cmp::Ordering;

/// A canonical reference, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Canonical<'a> {
    /// Without version.
    pub url: &'a str,
    /// The version that is asked for.
    pub version: Option<&'a str>,
}

impl<'a> Canonical<'a> {
    /// Of a text; an empty version says nothing.
    pub fn of(text: &'a str) -> Self {
        match text.split_once('|') {
            Some((url, version)) => Self {
                url,
                version: Some(version).filter(|version| !version.is_empty()),
            },
            None => Self {
                url: text,
                version: None,
            },
        }
    }

    /// The text that it was made of.
    pub fn text(self) -> String {
        text(self.url, self.version)
    }
}

/// The text of a reference.
pub fn text(url: &str, version: Option<&str>) -> String {
    match version {
        Some(version) => format!("{url}|{version}"),
        None => url.to_owned(),
    }
}

/// Which of two business versions is the later one: parts that are numbers count as such.
pub fn compare(left: &str, right: &str) -> Ordering {
    let parts = |text: &str| -> Vec<(u64, String)> {
        text.split(['.', '-'])
            .map(|part| (part.parse().unwrap_or(0), part.to_owned()))
            .collect()
    };
    parts(left).cmp(&parts(right))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("http://x", "http://x", None)]
    #[case("http://x|1.0", "http://x", Some("1.0"))]
    #[case("http://x|", "http://x", None)]
    fn references(#[case] reference: &str, #[case] url: &str, #[case] version: Option<&str>) {
        assert_eq!(Canonical::of(reference), Canonical { url, version });
    }

    #[rstest]
    #[case("1.9", "1.10")]
    #[case("2018-08-12", "2019-01-01")]
    #[case("1", "1.1")]
    #[case("", "0.1")]
    #[case("a", "b")]
    fn versions(#[case] earlier: &str, #[case] later: &str) {
        assert_eq!(compare(earlier, later), Ordering::Less);
        assert_eq!(compare(later, earlier), Ordering::Greater);
        assert_eq!(compare(later, later), Ordering::Equal);
    }
}

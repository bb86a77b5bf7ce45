//! What is trusted.

use std::path::PathBuf;

/// One trusted issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// The authority's URL. Tokens carry it as `iss`; with discovery, the issuer that the discovery document states.
    pub authority: String,
    /// A token has to name one of these in `aud`.
    pub audiences: Vec<String>,
    /// Where the keys come from.
    pub keys: KeySource,
}

/// Where an issuer's keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// `AUTHORITY/.well-known/openid-configuration` and its `jwks_uri`.
    Discovery {
        /// PEM file with the authorities to trust instead of the system's.
        ca_bundle: Option<PathBuf>,
    },
    /// A JWKS file, read again when it changes.
    File(PathBuf),
}

/// Whether `stated`, the issuer in a discovery document, is the one that `authority` may speak for.
///
/// OIDC Discovery 1.0, section 4.3: they are the same (a closing slash apart). The one exception is Entra ID,
/// whose v1.0 documents state `https://sts.windows.net/TENANT/` under `https://login.microsoftonline.com/TENANT`.
pub(crate) fn speaks_for(authority: &str, stated: &str) -> bool {
    let plain = |url: &str| url.trim_end_matches('/').to_owned();
    if plain(authority) == plain(stated) {
        return true;
    }
    let tenant = plain(authority)
        .strip_prefix("https://login.microsoftonline.com/")
        .map(str::to_owned);
    tenant.is_some_and(|tenant| !tenant.contains('/') && plain(stated) == format!("https://sts.windows.net/{tenant}"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("https://idp/realms/a", "https://idp/realms/a", true)]
    #[case("https://idp/realms/a/", "https://idp/realms/a", true)]
    #[case("https://idp/realms/a", "https://idp/realms/b", false)]
    #[case("https://login.microsoftonline.com/t1", "https://sts.windows.net/t1/", true)]
    #[case("https://login.microsoftonline.com/t1", "https://sts.windows.net/t2/", false)]
    #[case("https://login.evil.example/t1", "https://sts.windows.net/t1/", false)]
    fn an_authority_speaks_for_itself(#[case] authority: &str, #[case] stated: &str, #[case] expected: bool) {
        assert_eq!(speaks_for(authority, stated), expected);
    }
}

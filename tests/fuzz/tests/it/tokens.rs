//! Bearer tokens that nobody signed.

use bearer::{Issuer, KeySource, Options, Verifier};

use crate::memory;

const WORDS: &[&str] = &[
    ".",
    "..",
    "Bearer ",
    "bearer",
    "eyJhbGciOiJub25lIn0",
    "eyJhbGciOiJIUzI1NiJ9",
    "e30",
    "=",
    "-",
    "_",
    "%",
    "\u{0}",
    "ä",
    "eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlLm9yZyJ9",
    "W10",
    "bnVsbA",
    "AAAA",
];

#[test]
fn no_token_but_a_good_one_gets_in() {
    memory::bounded();
    daemon::tls::install_provider();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let keys = folder.path().join("jwks.json");
    let key = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"k1","x":"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY","y":"T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"}]}"#;
    std::fs::write(&keys, key).expect("the keys");
    let issuer = Issuer {
        authority: "https://issuer.example.org".to_owned(),
        audiences: vec!["https://clinic.example.org".to_owned()],
        keys: KeySource::File(keys),
    };
    let verifier = runtime.block_on(async { Verifier::start(&[issuer], &Options::default()) });
    let verifier = verifier.expect("a verifier");
    let seeds = [
        "Bearer eyJhbGciOiJFUzI1NiIsImtpZCI6ImsxIn0.eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlLm9yZyIsImF1ZCI6Imh0dHBzOi8vY2xpbmljLmV4YW1wbGUub3JnIiwiZXhwIjo0MDAwMDAwMDAwfQ.AAAA",
        "Bearer eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlLm9yZyJ9.",
        "Basic eDp5",
        "",
    ]
    .map(str::to_owned);
    fuzz::run("tokens", &seeds, WORDS, 3_000, |text| {
        let answer = runtime.block_on(verifier.authenticate(Some(text)));
        assert!(answer.is_err(), "{text:?} got in");
    });
}

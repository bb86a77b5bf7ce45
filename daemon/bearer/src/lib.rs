//! Bearer tokens: from the text of a token to verified claims, and those that a program presents itself.
//!
//! A [`Verifier`] trusts a list of [`Issuer`]s. Their keys come by OIDC discovery or from a JWKS file, are kept, and are
//! rotated: an unknown key id asks the issuer once, at a limited rate. An issuer that doesn't answer costs its own tokens
//! and nothing else. A token that was verified costs one hash the next time, until it expires or its issuer's keys change.

mod cache;
mod claims;
mod client;
mod error;
mod issuer;
mod keys;
mod provider;
mod source;
mod token;
mod verifier;

pub use claims::Claims;
pub use client::{Client, Credentials, NoToken};
pub use error::{BearerError, ConfigurationError};
pub use issuer::{Issuer, KeySource};
pub use source::Endpoints;
pub use verifier::{Options, Verifier};

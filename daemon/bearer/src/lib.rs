//! Bearer tokens: token to verified claims, keys by OIDC discovery or from a JWKS file

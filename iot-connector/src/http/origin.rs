//! Pages of other origins change nothing on the management port: who forwards it to their machine may have any page open
//! in the browser beside it.

use axum::{
    extract::Request,
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};

use super::refusal;

/// Refuses what a page of another origin sends; programs name no origin.
pub async fn own_pages_only(request: Request, next: Next) -> Response {
    if is_foreign(request.method(), request.headers()) {
        let text = "pages of another origin may not change anything here";
        return refusal(StatusCode::FORBIDDEN, text);
    }
    next.run(request).await
}

fn is_foreign(method: &Method, headers: &HeaderMap) -> bool {
    if method.is_safe() {
        return false;
    }
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(origin) = headers.get(header::ORIGIN) else {
        return false;
    };
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    authority.map(|(_, authority)| authority) != text(header::HOST)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::program(Method::POST, None, false)]
    #[case::own_page(Method::POST, Some("http://localhost:9090"), false)]
    #[case::other_page(Method::POST, Some("https://elsewhere.example"), true)]
    #[case::other_port(Method::DELETE, Some("http://localhost:8080"), true)]
    #[case::page_of_a_file(Method::POST, Some("null"), true)]
    #[case::reading(Method::GET, Some("https://elsewhere.example"), false)]
    fn only_own_pages_change_something(#[case] method: Method, #[case] origin: Option<&str>, #[case] foreign: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "localhost:9090".parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        assert_eq!(is_foreign(&method, &headers), foreign);
    }
}

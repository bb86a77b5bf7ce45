//! Pages of other origins see and change nothing on the management port: who forwards it to their machine may have any page
//! open in the browser beside it.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header, uri::Authority},
    middleware::Next,
    response::Response,
};

use super::refusal;

/// Names inside of a cluster or of a machine: no page of the world can have one.
const INSIDE: [&str; 5] = ["localhost", "svc", "local", "internal", "pod"];

/// Refuses what a page of another origin sends; programs name no origin. `hosts` are names beside addresses and those inside
/// of a cluster by which the port is reached: a page of the world may give its own name our address (DNS rebinding).
pub async fn own_pages_only(State(hosts): State<Arc<[String]>>, request: Request, next: Next) -> Response {
    if let Some(host) = foreign_host(request.headers(), &hosts) {
        let text = format!(
            "this port isn't reached by the name `{host}`: name it in `managementHosts` if it should be, or use an address"
        );
        return refusal(StatusCode::MISDIRECTED_REQUEST, text);
    }
    if is_foreign(request.method(), request.headers()) {
        let text = "pages of another origin may not change anything here";
        return refusal(StatusCode::FORBIDDEN, text);
    }
    next.run(request).await
}

/// The name by which the port was reached, if it isn't one of its own.
fn foreign_host(headers: &HeaderMap, hosts: &[String]) -> Option<String> {
    // Browsers always name it.
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let Ok(authority) = host.parse::<Authority>() else {
        return Some(host.to_owned());
    };
    let name = authority.host().trim_end_matches('.').to_ascii_lowercase();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_own = address.parse::<IpAddr>().is_ok()
        || !name.contains('.')
        || INSIDE.contains(&last)
        || hosts.iter().any(|own| own.eq_ignore_ascii_case(&name));
    (!is_own).then_some(name)
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

    #[rstest]
    #[case::address("127.0.0.1:9090", true)]
    #[case::address_of_version_6("[::1]:9090", true)]
    #[case::this_machine("localhost:9090", true)]
    #[case::pod("vitals-iot-0:9090", true)]
    #[case::service("vitals-iot.ward-a.svc:9090", true)]
    #[case::whole_name("vitals-iot.ward-a.svc.cluster.local", true)]
    #[case::named("vitals.hospital.example:443", true)]
    #[case::named_otherwise("Vitals.Hospital.Example.", true)]
    #[case::of_the_world("rebound.example:9090", false)]
    #[case::looks_like_one("localhost.rebound.example", false)]
    #[case::broken("a b", false)]
    fn only_own_names_are_answered(#[case] host: &str, #[case] answered: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        let own = ["vitals.hospital.example".to_owned()];
        assert_eq!(foreign_host(&headers, &own).is_none(), answered);
        assert_eq!(foreign_host(&HeaderMap::new(), &own), None);
    }
}

//! `GET $versions`: which FHIR versions are served, in the two forms of the specification: a Parameters resource, and for
//! plain JSON and XML an object of its own.

use crate::http::call::Call;
use crate::http::json::Json;
use crate::http::negotiation::MediaType;
use crate::http::reply::Reply;
use crate::server::Server;

/// `GET $versions`
pub fn versions(server: &Server, call: &Call<'_>) -> Reply {
    let release = server.version.release();
    let short = release.rsplit_once('.').map_or(release, |(short, _)| short);
    let media_type = call.wanted.media_type;
    match media_type {
        MediaType::FhirJson | MediaType::FhirXml => Reply::ok(parameters(short)),
        MediaType::Json => Reply {
            foreign: Some(media_type.content_type()),
            ..Reply::ok(object(short))
        },
        MediaType::Xml | MediaType::TextXml => {
            let xml = format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
                 <versions><version>{short}</version><default>{short}</default></versions>"
            );
            Reply {
                foreign: Some(media_type.content_type()),
                ..Reply::ok(xml.into_bytes())
            }
        }
    }
}

fn parameters(version: &str) -> Vec<u8> {
    let mut json = Json::default();
    json.object(|json| {
        json.member("resourceType", "Parameters");
        json.name("parameter").array(|json| {
            for name in ["version", "default"] {
                json.object(|json| {
                    json.member("name", name).member("valueString", version);
                });
            }
        });
    });
    json.finish()
}

fn object(version: &str) -> Vec<u8> {
    let mut json = Json::default();
    json.object(|json| {
        json.name("versions").array(|json| {
            json.text(version);
        });
        json.member("default", version);
    });
    json.finish()
}

//! Bodies of requests: how large they may be, what they are compressed with, which format they have.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use fhir_resource::{Document, Limits, xml};
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::sync::OwnedSemaphorePermit;

use super::call::{self, Pairs};
use super::failure::{Failure, Result};
use super::negotiation::{self, Content, Format};
use super::route::Interaction;
use crate::server::Server;

/// A form with search parameters is short.
const FORM_BYTES: u64 = 1 << 20;
/// What is read of a body that nobody wants, and for how long.
const DRAINED: usize = 64 << 10;
const DRAIN_PATIENCE: Duration = Duration::from_millis(250);
/// How long a body may pause.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a Zstandard frame may ask to be kept, as a power of two: 8 MiB (RFC 9659).
const ZSTD_WINDOW: u32 = 23;

/// The resource or patch that a request carries, if its interaction takes one.
pub async fn document(
    server: &Server,
    interaction: &Interaction,
    headers: &HeaderMap,
    body: &mut Body,
    room: &mut Room,
) -> Result<Option<Document>> {
    let too_large = StatusCode::PAYLOAD_TOO_LARGE;
    let limits = &server.limits;
    match interaction {
        Interaction::Create(_) | Interaction::Update(..) | Interaction::ConditionalUpdate(_) => {
            let format = resource_format(headers)?;
            let bytes = read(server, headers, body, (limits.resource_bytes(), too_large), room).await?;
            parse(server, format, bytes).map(Some)
        }
        Interaction::Bundle => {
            let format = resource_format(headers)?;
            let bytes = read(
                server,
                headers,
                body,
                (limits.bundle_bytes(), StatusCode::BAD_REQUEST),
                room,
            )
            .await?;
            parse(server, format, bytes).map(Some)
        }
        Interaction::Operation(_) => {
            let bytes = read(server, headers, body, (limits.resource_bytes(), too_large), room).await?;
            if bytes.is_empty() {
                return Ok(None);
            }
            parse(server, resource_format(headers)?, bytes).map(Some)
        }
        Interaction::Patch(..) | Interaction::ConditionalPatch(_) => {
            let content = negotiation::content(headers)?;
            let format = match content {
                Content::JsonPatch => Format::Json,
                Content::Fhir(format) => format,
            };
            let bytes = read(server, headers, body, (limits.resource_bytes(), too_large), room).await?;
            let document = parse(server, format, bytes)?;
            if document.root().is_array() == (content == Content::JsonPatch) {
                Ok(Some(document))
            } else {
                Err(Failure::invalid(
                    "A patch is a JSON array with `application/json-patch+json`, or a Parameters resource with \
                     `application/fhir+json` or `application/fhir+xml`.",
                ))
            }
        }
        _ => Ok(None),
    }
}

/// A resource's format: a JSON Patch is none.
fn resource_format(headers: &HeaderMap) -> Result<Format> {
    match negotiation::content(headers)? {
        Content::Fhir(format) => Ok(format),
        Content::JsonPatch => Err(negotiation::unsupported_content()),
    }
}

fn parse(server: &Server, format: Format, bytes: Bytes) -> Result<Document> {
    let json = match format {
        Format::Json => return Ok(Document::parse(bytes, Limits::default())?),
        Format::Xml => xml::read(server.definitions, &bytes, Limits::default())?,
    };
    drop(bytes);
    Ok(Document::parse(json, Limits::default())?)
}

/// The fields of a form.
pub async fn form(server: &Server, headers: &HeaderMap, body: &mut Body, room: &mut Room) -> Result<Pairs> {
    let limit = (FORM_BYTES, StatusCode::PAYLOAD_TOO_LARGE);
    let bytes = read(server, headers, body, limit, room).await?;
    if bytes.is_empty() {
        return Ok(Pairs::new());
    }
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if !content_type
        .to_ascii_lowercase()
        .starts_with("application/x-www-form-urlencoded")
    {
        let text = "The \"content-type\" header must be 'application/x-www-form-urlencoded'.";
        return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-supported", text));
    }
    Ok(call::pairs(&String::from_utf8_lossy(&bytes)))
}

/// Reads what is left of the body of a request that was refused by its head, if it is short and there already: a
/// connection with an unread body ends, and with it the request that the client sends next.
pub async fn drain(body: &mut Body) {
    let rest = async {
        let mut left = DRAINED;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                break;
            }
        }
    };
    // whoever sends slowly sends on another connection
    let _ = tokio::time::timeout(DRAIN_PATIENCE, rest).await;
}

/// Room that the body of a request takes, until it is answered.
#[derive(Debug, Default)]
pub struct Room(Option<OwnedSemaphorePermit>);

impl Room {
    /// Takes room for so many bytes more; refuses where other requests have it.
    fn take(&mut self, server: &Server, bytes: usize) -> Result<()> {
        let kibibytes = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        let taken = Arc::clone(&server.bodies).try_acquire_many_owned(kibibytes);
        let taken = taken.map_err(|_| Failure::throttled())?;
        match &mut self.0 {
            Some(room) => room.merge(taken),
            None => self.0 = Some(taken),
        }
        Ok(())
    }
}

/// All of a body, within `limit` bytes before and after it is unpacked.
async fn read(
    server: &Server,
    headers: &HeaderMap,
    body: &mut Body,
    (limit, too_large): (u64, StatusCode),
    room: &mut Room,
) -> Result<Bytes> {
    let mut body = Limited::new(body, usize::try_from(limit).unwrap_or(usize::MAX));
    let mut chunks: Vec<Bytes> = Vec::new();
    loop {
        let frame = tokio::time::timeout(PATIENCE, body.frame()).await;
        let frame = frame.map_err(|_| {
            let text = "The request body did not go on for too long.";
            Failure::new(StatusCode::REQUEST_TIMEOUT, "timeout", text)
        })?;
        match frame {
            None => break,
            Some(Ok(frame)) => {
                if let Ok(chunk) = frame.into_data() {
                    room.take(server, chunk.len())?;
                    chunks.push(chunk);
                }
            }
            Some(Err(error)) if error.is::<LengthLimitError>() => return Err(oversized(limit, too_large)),
            Some(Err(_)) => return Err(Failure::invalid("The request body could not be read.")),
        }
    }
    let bytes = match chunks.len() {
        1 => chunks.swap_remove(0),
        _ => Bytes::from(chunks.concat()),
    };
    let Some(encoding) = headers.get(header::CONTENT_ENCODING) else {
        return Ok(bytes);
    };
    let encoding = Encoding::named(encoding.to_str().unwrap_or_default())?;
    let unpacked = tokio::task::spawn_blocking(move || encoding.unpack(&bytes, limit)).await;
    match unpacked.map_err(|error| Failure::internal(&error))? {
        Ok(bytes) if bytes.len() as u64 > limit => Err(oversized(limit, too_large)),
        Ok(bytes) => {
            room.take(server, bytes.len())?;
            Ok(Bytes::from(bytes))
        }
        Err(_) => Err(Failure::invalid(
            "The request body is not what its \"Content-Encoding\" header says.",
        )),
    }
}

fn oversized(limit: u64, status: StatusCode) -> Failure {
    let text = format!("The request body exceeds the limit of {limit} bytes.");
    Failure::new(status, "too-long", text)
}

/// What a body is compressed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl Encoding {
    fn named(name: &str) -> Result<Self> {
        match name.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            _ => {
                let text = "Value supplied for the \"Content-Encoding\" header is not supported, use `gzip` or `zstd`.";
                Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-supported", text))
            }
        }
    }

    /// The bytes before they were compressed, but no more than one beyond `limit`.
    fn unpack(self, bytes: &[u8], limit: u64) -> io::Result<Vec<u8>> {
        let mut unpacked = Vec::new();
        let most = limit.saturating_add(1);
        match self {
            Self::Identity => bytes.take(most).read_to_end(&mut unpacked)?,
            Self::Gzip => flate2::read::MultiGzDecoder::new(bytes)
                .take(most)
                .read_to_end(&mut unpacked)?,
            Self::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(bytes)?;
                decoder.window_log_max(ZSTD_WINDOW)?;
                decoder.take(most).read_to_end(&mut unpacked)?
            }
        };
        Ok(unpacked)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use rstest::rstest;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    #[rstest]
    #[case(Encoding::Gzip, gzip(b"{}"))]
    #[case(Encoding::Gzip, [gzip(b"{"), gzip(b"}")].concat())]
    #[case(Encoding::Zstd, zstd::encode_all(&b"{}"[..], 1).expect("memory"))]
    #[case(Encoding::Identity, b"{}".to_vec())]
    fn unpacks(#[case] encoding: Encoding, #[case] packed: Vec<u8>) {
        assert_eq!(encoding.unpack(&packed, 10).expect("good"), b"{}");
        let cut = packed.get(..packed.len() - 1).unwrap_or_default();
        assert!(encoding == Encoding::Identity || encoding.unpack(cut, 10).is_err());
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let zeros = vec![0; 8 << 20];
        for (encoding, packed) in [
            (Encoding::Gzip, gzip(&zeros)),
            (Encoding::Zstd, zstd::encode_all(&zeros[..], 1).expect("memory")),
        ] {
            assert_eq!(encoding.unpack(&packed, 1000).expect("good").len(), 1001);
        }
    }

    #[test]
    fn a_frame_may_not_ask_for_much_memory() {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("memory");
        encoder.window_log(27).expect("a window");
        encoder.write_all(&vec![7; 1 << 20]).expect("memory");
        let packed = encoder.finish().expect("memory");
        assert!(Encoding::Zstd.unpack(&packed, 10 << 20).is_err());
    }
}

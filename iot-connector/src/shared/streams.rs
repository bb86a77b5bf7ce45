//! The streams and keys of a shared spool, by name.

use std::time::Duration;

use async_nats::{
    Client,
    jetstream::{
        self, Context,
        kv::{self, Store},
        stream::{Config, DiscardPolicy, Stream},
    },
};
use iot_connector_settings::SharedSpool;

use super::Lost;
use crate::source::nats::ANSWER;

/// How long the server recognises an entry that is published again.
const RECOGNISED: Duration = Duration::from_mins(2);
/// How long a request's key is remembered.
const REQUESTS: Duration = Duration::from_hours(24);

/// What a shared spool is made of.
pub struct Streams {
    /// Its name.
    pub name: String,
    /// Publishes.
    pub context: Context,
    /// Entries, a subject for each bucket.
    pub entries: Stream,
    /// When that one was made.
    pub made: String,
    /// Dead letters.
    pub letters: Stream,
    /// What became of the latest messages.
    pub traces: Stream,
    /// Members, and who has which bucket.
    pub keys: Store,
    /// Keys of requests that were taken in.
    pub requests: Store,
}

impl Streams {
    /// Opens them; what isn't there is made.
    pub async fn open(client: Client, settings: &SharedSpool, max_bytes: u64, traces: u32) -> Result<Self, Lost> {
        let mut context = jetstream::new(client);
        context.set_timeout(ANSWER);
        let name = &settings.name;
        let copies = usize::from(settings.copies);
        let entries = Config {
            name: name.clone(),
            description: Some("measurements of an iot-connector, by bucket".to_owned()),
            subjects: vec![format!("{name}.bucket.*")],
            max_bytes: i64::try_from(max_bytes).unwrap_or(i64::MAX),
            // Nothing is dropped: whoever publishes waits.
            discard: DiscardPolicy::New,
            duplicate_window: RECOGNISED,
            num_replicas: copies,
            allow_direct: true,
            ..Config::default()
        };
        let letters = Config {
            name: format!("{name}_DEAD"),
            description: Some("dead letters of an iot-connector".to_owned()),
            subjects: vec![format!("{name}.dead.>")],
            // One that is buried once more is the same one.
            max_messages_per_subject: 1,
            duplicate_window: RECOGNISED,
            num_replicas: copies,
            allow_direct: true,
            ..Config::default()
        };
        let traces = Config {
            name: format!("{name}_TRACES"),
            description: Some("what became of the latest messages of an iot-connector".to_owned()),
            subjects: vec![format!("{name}.trace.>")],
            max_messages: i64::from(traces.max(1)),
            max_messages_per_subject: 1,
            num_replicas: copies,
            allow_direct: true,
            ..Config::default()
        };
        let keys = kv::Config {
            bucket: name.clone(),
            description: "members of an iot-connector, and what each works on".to_owned(),
            history: 1,
            num_replicas: copies,
            ..kv::Config::default()
        };
        let requests = kv::Config {
            bucket: format!("{name}_REQUESTS"),
            description: "requests that an iot-connector took in".to_owned(),
            history: 1,
            max_age: REQUESTS,
            num_replicas: copies,
            ..kv::Config::default()
        };
        let entries = stream(&context, entries).await?;
        Ok(Self {
            name: name.clone(),
            made: entries.cached_info().created.to_string(),
            entries,
            letters: stream(&context, letters).await?,
            traces: stream(&context, traces).await?,
            keys: store(&context, keys).await?,
            requests: store(&context, requests).await?,
            context,
        })
    }

    /// The subject of a bucket.
    pub fn bucket(&self, bucket: u32) -> String {
        format!("{}.bucket.{bucket}", self.name)
    }
}

async fn stream(context: &Context, config: Config) -> Result<Stream, Lost> {
    let what = config.description.clone().unwrap_or_default();
    let failed = |error| Lost(format!("the stream of {what} can't be made: {error}"));
    context.get_or_create_stream(config).await.map_err(failed)
}

async fn store(context: &Context, config: kv::Config) -> Result<Store, Lost> {
    if let Ok(found) = context.get_key_value(&config.bucket).await {
        return Ok(found);
    }
    let failed = |error| Lost(format!("the store of keys can't be made: {error}"));
    context.create_key_value(config).await.map_err(failed)
}

//! What the streams hold, asked for now and then.

use std::time::Duration;

use async_nats::jetstream::consumer::pull;
use tokio::time::interval;

use super::{Lost, Shared, streams::Streams};
use crate::spool::Held;

/// How often.
const LOOK: Duration = Duration::from_secs(1);

/// Follows the streams; returns when that can't be done any more.
pub(super) async fn follow(shared: &Shared, streams: &Streams) -> Lost {
    let mut ticks = interval(LOOK);
    loop {
        ticks.tick().await;
        if let Err(lost) = look(shared, streams).await {
            return lost;
        }
    }
}

async fn look(shared: &Shared, streams: &Streams) -> Result<(), Lost> {
    let failed = |error| Lost(format!("the streams can't be looked at: {error}"));
    // What waits at the source comes first: what it hands over meanwhile is counted twice rather than not at all.
    let source = pending(shared, streams).await;
    let entries = streams.entries.get_info().await.map_err(failed)?.state;
    let letters = streams.letters.get_info().await.map_err(failed)?.state;
    let micros = |time: async_nats::datetime::DateTime| i64::try_from(time.unix_timestamp_nanos() / 1000).unwrap_or(0);
    shared.figures.tell_held(Held {
        messages: entries.messages + source,
        bytes: entries.bytes,
        dead_letters: letters.messages,
        dead_bytes: letters.bytes,
        last_received: (entries.last_sequence > 0).then(|| micros(entries.last_timestamp)),
    });
    let oldest = (letters.messages > 0).then(|| micros(letters.first_timestamp));
    shared.tell_oldest_letter(oldest);
    Ok(())
}

/// Messages that a stream hasn't handed over for good; none while it isn't there, and of other sources.
async fn pending(shared: &Shared, streams: &Streams) -> u64 {
    let Some(source) = &shared.source else { return 0 };
    let found = streams
        .context
        .get_consumer_from_stream::<pull::Config, _, _>(&source.consumer, &source.stream)
        .await;
    let Ok(consumer) = found else { return 0 };
    let info = consumer.cached_info();
    info.num_pending + u64::try_from(info.num_ack_pending).unwrap_or(0)
}

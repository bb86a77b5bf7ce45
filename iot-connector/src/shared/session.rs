//! One connection of a member: it shows itself, takes the buckets that are its own, reads their entries, and stores how far
//! they are. When anything goes wrong all is let go of, and the next session begins anew.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_nats::jetstream::{
    Message,
    consumer::{
        DeliverPolicy,
        pull::{Ordered, OrderedConfig},
    },
    kv::{Operation, UpdateError, UpdateErrorKind, Watch},
};
use futures::{StreamExt, future::join_all};
use iot_mapping::BUCKETS;
use tokio::time::{Instant, interval};
use tracing::{info, warn};

use super::{
    Lost, Shared,
    entry::Entry,
    holding::Holding,
    lease::{BEAT, Owner, Sightings, TRUST, preferred},
    records::{Key, Record},
    streams::Streams,
};
use crate::{source::nats::Server, spool::Account};

/// How often buckets are taken and given back.
const ROUND: Duration = Duration::from_millis(250);
/// How often the progress of a bucket is stored, at most: what was done since is done again after a crash.
const STORE: Duration = Duration::from_secs(1);
/// What is worked on when a bucket goes to somebody else has so long to be finished.
const FAREWELL: Duration = Duration::from_secs(2);

/// What the store says of a bucket.
#[derive(Debug, Clone, Default)]
struct Known {
    record: Record,
    revision: u64,
}

/// The work of a session.
pub(super) struct Session<'a> {
    shared: &'a Shared,
    streams: Arc<Streams>,
    sightings: Sightings,
    known: Vec<Known>,
    /// All that the store held at the beginning has been seen.
    caught_up: bool,
    /// The buckets changed since the reading began.
    stale: bool,
}

/// Connects and works until the end, or until something breaks.
pub(super) async fn run(shared: &Shared) -> Result<(), Lost> {
    let mut server = Server::connect(&shared.servers).await.map_err(|error| Lost(error.0))?;
    let opening = Streams::open(
        server.client.clone(),
        &shared.settings,
        shared.max_bytes,
        shared.trace.keep,
    );
    let streams = Arc::new(Box::pin(opening).await?);
    let revision = register(&streams, &shared.me).await?;
    let watch = streams.keys.watch_with_history(">").await;
    let watch = watch.map_err(|error| Lost(format!("the store of keys can't be followed: {error}")))?;
    let session = Session {
        sightings: Sightings::default(),
        known: vec![Known::default(); BUCKETS as usize],
        caught_up: false,
        stale: false,
        shared,
        streams: streams.clone(),
    };
    info!(member = shared.me.member, "the shared spool is connected");
    shared.connected(Some(streams.clone()));
    let result = tokio::select! {
        result = session.work(watch) => result,
        lost = beat(shared, &streams, revision) => Err(lost),
        lost = super::letters::end_all(shared, &streams) => Err(lost),
        lost = super::gauges::follow(shared, &streams) => Err(lost),
        broken = server.broken() => Err(Lost(broken.0)),
    };
    shared.connected(None);
    shared.hand.clear();
    result
}

/// Writes our life over whichever had the name before.
async fn register(streams: &Streams, me: &Owner) -> Result<u64, Lost> {
    let key = Key::Member(me.member.clone()).text();
    let put = streams.keys.put(&key, me.instance.clone().into()).await;
    put.map_err(|error| Lost(format!("the member can't be registered: {error}")))
}

/// Shows that we are there; returns when that can't be done any more.
async fn beat(shared: &Shared, streams: &Streams, mut revision: u64) -> Lost {
    let key = Key::Member(shared.me.member.clone()).text();
    let mut ticks = interval(BEAT);
    loop {
        ticks.tick().await;
        let sent = Instant::now();
        let update = streams.keys.update(&key, shared.me.instance.clone().into(), revision);
        match update.await {
            Ok(next) => revision = next,
            Err(error) if lost(&error) => {
                return Lost(format!("another process shows itself as `{}`", shared.me.member));
            }
            Err(error) => return Lost(format!("the member can't show itself: {error}")),
        }
        if !shared.hand.trust(sent + TRUST) {
            return Lost("the member couldn't show itself in time".to_owned());
        }
    }
}

/// Whether somebody else stored something in between.
pub(super) fn lost(error: &UpdateError) -> bool {
    error.kind() == UpdateErrorKind::WrongLastRevision
}

impl Session<'_> {
    async fn work(mut self, mut watch: Watch) -> Result<(), Lost> {
        let shared = self.shared;
        let mut reading: Option<Ordered> = None;
        let mut rounds = interval(ROUND);
        rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let next = async {
                match &mut reading {
                    Some(reading) => {
                        shared.hand.room().await;
                        reading.next().await
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                change = watch.next() => {
                    let ended = || Lost("the store of keys can't be followed any more".to_owned());
                    let change = change.ok_or_else(ended)?;
                    let change = change.map_err(|error| Lost(format!("the store of keys can't be followed: {error}")))?;
                    self.learn(&change);
                }
                message = next => {
                    let message = message.ok_or_else(|| Lost("the reading was ended".to_owned()))?;
                    self.take(&message.map_err(|error| Lost(format!("entries can't be read: {error}")))?)?;
                }
                _ = rounds.tick() => {
                    if shared.closing() && shared.ending.load(Ordering::Acquire) == 0 {
                        return self.leave().await;
                    }
                    self.round().await?;
                    if std::mem::take(&mut self.stale) {
                        reading = self.read_on().await?;
                    }
                }
            }
        }
    }

    /// Something changed in the store.
    fn learn(&mut self, change: &async_nats::jetstream::kv::Entry) {
        self.caught_up |= change.seen_current || change.delta == 0;
        let now = Instant::now();
        match Key::parse(&change.key) {
            Some(Key::Member(member)) => {
                if change.operation == Operation::Put {
                    let instance = String::from_utf8_lossy(&change.value).into_owned();
                    self.sightings.beat(&Owner { member, instance }, now);
                } else {
                    self.sightings.left(&member);
                }
            }
            Some(Key::Bucket(bucket)) => {
                let known = &mut self.known[bucket as usize];
                if change.revision <= known.revision {
                    return;
                }
                *known = Known {
                    record: Record::decode(&change.value).unwrap_or_default(),
                    revision: change.revision,
                };
                if known.record.owner.as_ref() != Some(&self.shared.me) {
                    self.let_go(bucket);
                }
                self.tell_account();
            }
            Some(Key::Partition(_)) | None => {}
        }
    }

    fn tell_account(&self) {
        let mut account = Account::default();
        for known in &self.known {
            account += known.record.account;
        }
        self.shared.figures.tell_account(account);
    }

    fn let_go(&mut self, bucket: u32) {
        if self.shared.hand.with(bucket, |_| ()).is_some() {
            self.shared.hand.remove(bucket);
            self.stale = true;
        }
    }

    /// An entry arrived.
    fn take(&self, message: &Message) -> Result<(), Lost> {
        let (seq, queued) = {
            let info = message
                .info()
                .map_err(|error| Lost(format!("entries can't be read: {error}")))?;
            let queued = info.published.unix_timestamp_nanos() / 1000;
            (info.stream_sequence, i64::try_from(queued).unwrap_or_default())
        };
        let token = message.subject.rsplit('.').next().unwrap_or_default();
        let Ok(bucket) = token.parse() else { return Ok(()) };
        let entry = Entry::decode(&message.payload)
            .map_err(|error| Lost(format!("entry {seq} of the shared spool can't be read: {error}")))?;
        self.shared.hand.take(bucket, seq, entry, queued);
        Ok(())
    }

    /// Takes and gives back buckets, stores progress, and reads on.
    async fn round(&mut self) -> Result<(), Lost> {
        let hand = &self.shared.hand;
        if !self.caught_up || !hand.is_trusted() {
            return Ok(());
        }
        let now = Instant::now();
        self.sightings.forget(now);
        let members: Vec<String> = self.sightings.members(now).into_iter().map(str::to_owned).collect();
        let members: Vec<&str> = members.iter().map(String::as_str).collect();
        let (mut changes, mut claims) = (Vec::new(), Vec::new());
        for bucket in 0..BUCKETS {
            let ours = preferred(bucket, &members) == Some(&self.shared.me.member);
            let look = hand.with(bucket, |holding| {
                holding.leaving = if ours { None } else { holding.leaving.or(Some(now)) };
                let over = holding.is_idle() || holding.leaving.is_some_and(|since| since + FAREWELL <= now);
                let owner = (ours || !over).then(|| self.shared.me.clone());
                let is_due = holding.stored.is_none_or(|stored| stored + STORE <= now);
                let changed = holding.changed && is_due || owner.is_none();
                if changed {
                    holding.changed = false;
                    holding.stored = Some(now);
                }
                changed.then(|| self.record(owner, holding))
            });
            match look {
                Some(Some(record)) => changes.push((bucket, record)),
                None if ours && self.is_free(bucket, now) => claims.push((bucket, self.claim(bucket))),
                Some(None) | None => {}
            }
        }
        for (bucket, record) in &changes {
            if record.owner.is_none() {
                // Nothing may be written between here and the stored record.
                self.shared.hand.remove(*bucket);
                self.stale = true;
            }
        }
        self.settle(changes).await?;
        let wanted = claims.clone();
        let refused = self.store(claims).await?;
        for (bucket, record) in wanted {
            if !refused.contains(&bucket) {
                self.shared.hand.add(bucket, record.floor, record.account);
                self.stale = true;
            }
        }
        Ok(())
    }

    /// How far a bucket in hand is.
    fn record(&self, owner: Option<Owner>, holding: &Holding) -> Record {
        Record {
            owner,
            floor: holding.floor,
            stream: self.streams.made.clone(),
            account: holding.account,
        }
    }

    /// Stores how far buckets are, and takes what is finished out of the stream. A bucket of which that is refused is let go
    /// of, and its entries stay: whoever has it now counts from where it is stored.
    async fn settle(&mut self, changes: Vec<(u32, Record)>) -> Result<(), Lost> {
        let mut floors: Vec<(u32, u64)> = changes.iter().map(|(bucket, record)| (*bucket, record.floor)).collect();
        let refused = self.store(changes).await?;
        floors.retain(|(bucket, _)| !refused.contains(bucket));
        for bucket in refused {
            self.let_go(bucket);
        }
        self.remove_finished(floors).await;
        Ok(())
    }

    /// Whether nobody who has to be reckoned with has a bucket.
    fn is_free(&mut self, bucket: u32, now: Instant) -> bool {
        let owner = &self.known[bucket as usize].record.owner;
        let Some(owner) = owner.clone().filter(|owner| *owner != self.shared.me) else {
            return true;
        };
        !self.sightings.is_alive(&owner, now)
    }

    fn claim(&self, bucket: u32) -> Record {
        let known = &self.known[bucket as usize].record;
        let is_same = known.stream == self.streams.made;
        Record {
            owner: Some(self.shared.me.clone()),
            floor: if is_same { known.floor } else { 0 },
            stream: self.streams.made.clone(),
            account: known.account,
        }
    }

    /// Stores records, each only where the store still has what we know; gives the buckets where it hasn't.
    async fn store(&mut self, records: Vec<(u32, Record)>) -> Result<Vec<u32>, Lost> {
        let keys = &self.streams.keys;
        let stored = join_all(records.into_iter().map(|(bucket, record)| {
            let revision = self.known[bucket as usize].revision;
            async move {
                let update = keys.update(Key::Bucket(bucket).text(), record.encode(), revision).await;
                (bucket, record, update)
            }
        }))
        .await;
        let mut refused = Vec::new();
        for (bucket, record, update) in stored {
            match update {
                Ok(revision) => self.known[bucket as usize] = Known { record, revision },
                Err(error) if lost(&error) => {
                    warn!(bucket, "another member has this bucket now");
                    refused.push(bucket);
                }
                Err(error) => return Err(Lost(format!("progress can't be stored: {error}"))),
            }
        }
        self.tell_account();
        Ok(refused)
    }

    /// Takes finished entries out of the stream. What fails is done the next time.
    async fn remove_finished(&self, floors: Vec<(u32, u64)>) {
        let purges = floors
            .into_iter()
            .filter(|(_, floor)| *floor > 0)
            .map(|(bucket, floor)| {
                let purge = self.streams.entries.purge().filter(self.streams.bucket(bucket));
                async move { purge.sequence(floor + 1).await }
            });
        for purged in join_all(purges).await {
            if let Err(error) = purged {
                warn!("finished entries can't be removed from the shared spool: {error}");
            }
        }
    }

    /// A reading of all buckets in hand, from the first entry that wasn't read yet.
    async fn read_on(&self) -> Result<Option<Ordered>, Lost> {
        let buckets = self.shared.hand.buckets();
        let read = buckets
            .iter()
            .filter_map(|bucket| self.shared.hand.with(*bucket, |holding| holding.read()));
        let Some(first) = read.min() else { return Ok(None) };
        let subjects = buckets.iter().map(|bucket| self.streams.bucket(*bucket));
        let subjects = if buckets.len() == BUCKETS as usize {
            vec![format!("{}.bucket.*", self.streams.name)]
        } else {
            subjects.collect()
        };
        let config = OrderedConfig {
            description: Some(format!("reads buckets for `{}`", self.shared.me.member)),
            filter_subjects: subjects,
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: first + 1,
            },
            ..OrderedConfig::default()
        };
        let failed = |error: &dyn std::fmt::Display| Lost(format!("entries can't be read: {error}"));
        let consumer = self.streams.entries.create_consumer(config).await;
        let consumer = consumer.map_err(|error| failed(&error))?;
        Ok(Some(consumer.messages().await.map_err(|error| failed(&error))?))
    }

    /// Gives everything back: the others needn't wait.
    async fn leave(&mut self) -> Result<(), Lost> {
        let mut records = Vec::new();
        for bucket in self.shared.hand.buckets() {
            let record = self.shared.hand.with(bucket, |holding| self.record(None, holding));
            self.shared.hand.remove(bucket);
            records.extend(record.map(|record| (bucket, record)));
        }
        self.settle(records).await?;
        let key = Key::Member(self.shared.me.member.clone()).text();
        let deleted = self.streams.keys.delete(key).await;
        deleted.map_err(|error| Lost(format!("the member can't be taken off the list: {error}")))
    }
}

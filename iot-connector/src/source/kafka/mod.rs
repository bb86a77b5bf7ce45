//! Topics of Kafka, read from where the spool says that it ended.
//!
//! In a file the next offset of each partition is stored with the messages, in one transaction, so that nothing is lost and
//! nothing is there twice, whoever is killed; in shared streams it is stored after them ([`crate::shared::Claim`]), and
//! those know a message that comes again. The broker keeps no place for us. Each partition is read in its order.

mod connect;
mod headers;
mod partition;
mod turns;

use std::{collections::HashMap, sync::Arc, time::Duration};

use iot_connector_settings::Kafka;
use rskafka::client::{Client, partition::UnknownTopicHandling};
use tokio::{
    sync::mpsc,
    task::{JoinSet, spawn_blocking},
    time::{error::Elapsed, sleep, timeout},
};

use super::{Connection, Delivery, Source, SourceError, arriving::Arriving};
use crate::{shared::Claim, spool::Spool, store::Store};
use connect::{connect, partitions, told};
use partition::{Partition, Progress, Records, Stored};
use turns::Turns;

/// How long a broker may take to answer.
const ANSWER: Duration = Duration::from_secs(20);
/// How often it is looked whether partitions were added.
const LOOK: Duration = Duration::from_mins(1);

/// Topics to read.
pub(super) struct Topics {
    settings: Kafka,
    store: Store,
}

impl Topics {
    pub fn new(settings: Kafka, store: Store) -> Self {
        Self { settings, store }
    }

    /// Opens all partitions, and reads each from where the file says.
    async fn read_all(&self, client: &Client, spool: &Arc<Spool>, reading: &mut Opening) -> Result<(), SourceError> {
        let offsets = offsets(spool.clone()).await?;
        for (topic, number) in &reading.there {
            let opened = client.partition_client(topic, *number, UnknownTopicHandling::Error);
            let client = timeout(ANSWER, opened).await.map_err(late)?.map_err(told)?;
            let name = name(topic, *number);
            let partition = Partition {
                client,
                next: offsets.get(&*name).copied(),
                name,
                progress: Progress::new(),
                fresh: false,
                device_key: self.settings.device_key,
                claim: None,
            };
            reading.progress.push(partition.progress.clone());
            let sender = reading.sender.clone();
            reading.tasks.spawn(async move {
                partition.follow(&sender).await;
            });
        }
        Ok(())
    }
}

/// A connection that is made.
struct Opening {
    there: Vec<(String, i32)>,
    sender: mpsc::Sender<Result<Records, SourceError>>,
    progress: Vec<Arc<Progress>>,
    tasks: JoinSet<()>,
}

/// What arrives of all partitions; dropping it ends the tasks that read them.
pub(super) struct Reading {
    arriving: Arriving<Records>,
    /// Of each partition.
    progress: Vec<Arc<Progress>>,
    _tasks: JoinSet<()>,
}

impl Source for Topics {
    const KIND: &'static str = "kafka";
    type Connection = Reading;

    async fn connect(&self) -> Result<Reading, SourceError> {
        let client = timeout(ANSWER, connect(&self.settings)).await.map_err(late)??;
        let topics = self.settings.topics.clone();
        let there = timeout(ANSWER, partitions(&client, &topics)).await.map_err(late)??;
        // A full queue makes the tasks wait: of each partition one answer is in memory.
        let (sender, arriving) = mpsc::channel(1);
        let mut opening = Opening {
            there,
            sender,
            progress: Vec::new(),
            tasks: JoinSet::new(),
        };
        let client = Arc::new(client);
        match &self.store {
            Store::File(spool) => self.read_all(&client, spool, &mut opening).await?,
            Store::Shared(shared) => {
                for (topic, number) in &opening.there {
                    let turns = Turns {
                        shared: shared.clone(),
                        client: client.clone(),
                        topic: topic.clone(),
                        number: *number,
                        progress: Progress::new(),
                        device_key: self.settings.device_key,
                    };
                    opening.progress.push(turns.progress.clone());
                    opening.tasks.spawn(turns.follow(opening.sender.clone()));
                }
            }
        }
        opening
            .tasks
            .spawn(watch(client, topics, opening.there, opening.sender));
        Ok(Reading {
            arriving: Arriving::new(arriving),
            progress: opening.progress,
            _tasks: opening.tasks,
        })
    }
}

impl Connection for Reading {
    type Ack = Stored;

    async fn next(&mut self) -> Result<Vec<Delivery<Stored>>, SourceError> {
        loop {
            let mut deliveries = self.arriving.next().await?;
            // Whoever may read a partition now reads these, too.
            deliveries.retain(|delivery| delivery.ack.claim.as_ref().is_none_or(|claim| claim.holds()));
            if !deliveries.is_empty() {
                return Ok(deliveries);
            }
        }
    }

    async fn lag(&mut self) -> Option<u64> {
        self.progress.iter().map(|progress| progress.lag()).sum()
    }

    /// A file has stored where reading goes on; for a shared spool that is done here.
    async fn acknowledge(&mut self, acks: Vec<Stored>) -> Result<(), SourceError> {
        let mut claims: Vec<(Arc<Claim>, i64)> = Vec::new();
        for Stored { progress, next, claim } in acks {
            if claim.as_ref().is_none_or(|claim| claim.holds()) {
                progress.tell(next);
            }
            let Some(claim) = claim else { continue };
            match claims.iter_mut().find(|(own, _)| Arc::ptr_eq(own, &claim)) {
                Some((_, last)) => *last = next,
                None => claims.push((claim, next)),
            }
        }
        for (claim, next) in claims {
            let stored = claim.store(next).await;
            stored.map_err(|error| SourceError(daemon::process::describe(&error)))?;
        }
        Ok(())
    }

    async fn close(self) {}
}

/// Where reading goes on, by the names of partitions.
async fn offsets(spool: Arc<Spool>) -> Result<HashMap<String, i64>, SourceError> {
    let read = spawn_blocking(move || spool.offsets(Topics::KIND)).await;
    let read = read.map_err(|error| SourceError(error.to_string()))?;
    read.map_err(|error| SourceError(daemon::process::describe(&error)))
}

/// A partition in the spool.
fn name(topic: &str, number: i32) -> Arc<str> {
    format!("{topic}/{number}").into()
}

fn late(_: Elapsed) -> SourceError {
    SourceError("the broker doesn't answer".to_owned())
}

/// Says so when the topics get other partitions: then all is connected anew.
async fn watch(
    client: Arc<Client>,
    topics: Vec<String>,
    there: Vec<(String, i32)>,
    sender: mpsc::Sender<Result<Records, SourceError>>,
) {
    loop {
        sleep(LOOK).await;
        // Who can't be asked shows it to those who read, too.
        let Ok(Ok(now)) = timeout(ANSWER, partitions(&client, &topics)).await else {
            continue;
        };
        if now != there {
            let _ = sender
                .send(Err(SourceError("the topics have other partitions now".to_owned())))
                .await;
            return;
        }
    }
}

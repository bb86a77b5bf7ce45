//! A partition that connectors read in turns: whoever has its bucket.

use std::sync::Arc;

use rskafka::client::{Client, partition::UnknownTopicHandling};
use tokio::{sync::mpsc, time::timeout};

use super::{
    ANSWER,
    connect::told,
    late, name,
    partition::{Partition, Progress, Records},
};
use crate::{shared::Shared, source::SourceError};

/// A partition that several may read.
pub(super) struct Turns {
    pub shared: Arc<Shared>,
    pub client: Arc<Client>,
    pub topic: String,
    pub number: i32,
    pub progress: Arc<Progress>,
    pub device_key: bool,
}

impl Turns {
    /// Reads whenever it is this connector's turn, until the first error.
    pub async fn follow(self, sender: mpsc::Sender<Result<Records, SourceError>>) {
        loop {
            match self.take().await {
                Ok(partition) => {
                    if !partition.follow(&sender).await {
                        return;
                    }
                }
                Err(error) => {
                    let _ = sender.send(Err(error)).await;
                    return;
                }
            }
        }
    }

    /// Waits for a turn.
    async fn take(&self) -> Result<Partition, SourceError> {
        self.progress.leave();
        let name = name(&self.topic, self.number);
        let claimed = self.shared.claim(&name).await;
        let (claim, next) = claimed.map_err(|error| SourceError(daemon::process::describe(&error)))?;
        self.progress.begin();
        let opened = self
            .client
            .partition_client(&*self.topic, self.number, UnknownTopicHandling::Error);
        let client = timeout(ANSWER, opened).await.map_err(late)?.map_err(told)?;
        Ok(Partition {
            client,
            name,
            next,
            progress: self.progress.clone(),
            fresh: false,
            device_key: self.device_key,
            claim: Some(Arc::new(claim)),
        })
    }
}

//! What the tasks of a source hand over: messages until the first error.

use tokio::sync::mpsc;

use super::{Delivery, SourceError};

/// Messages that go into the spool together, about.
pub(super) const BATCH: usize = 500;

/// The receiving end; `T` is one message or several.
pub(super) struct Arriving<T> {
    receiver: mpsc::Receiver<Result<T, SourceError>>,
    /// What came behind the messages that were taken last.
    broken: Option<SourceError>,
}

impl<T> Arriving<T> {
    pub fn new(receiver: mpsc::Receiver<Result<T, SourceError>>) -> Self {
        Self { receiver, broken: None }
    }

    /// The next messages, at least one, and what else is there already. Dropping the future loses none.
    pub async fn next<A>(&mut self) -> Result<Vec<Delivery<A>>, SourceError>
    where
        T: IntoIterator<Item = Delivery<A>>,
    {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        let closed = || SourceError("the connection was closed".to_owned());
        let first = self.receiver.recv().await.ok_or_else(closed)??;
        let mut deliveries: Vec<_> = first.into_iter().collect();
        while deliveries.len() < BATCH {
            match self.receiver.try_recv() {
                Ok(Ok(more)) => deliveries.extend(more),
                Ok(Err(error)) => {
                    self.broken = Some(error);
                    break;
                }
                Err(_) => break,
            }
        }
        Ok(deliveries)
    }

    /// Whoever hands over needn't wait any longer: nothing more is taken.
    pub fn close(&mut self) {
        self.receiver.close();
    }
}

//! The durable queue between ingest and pipeline, on one SQLite file that this process alone may use.
//!
//! One thread writes; what comes while it commits goes into the next transaction together (group commit, WAL,
//! `synchronous=FULL`), so an append that returned is on disk. A message leaves when all of it is written or a dead letter;
//! its dead letters and its part of the account are stored in that same transaction, so both hold after a crash.

mod account;
mod dead_letter;
mod error;
mod figures;
mod schema;
mod seen;
mod trace;
mod writer;

use std::{
    collections::HashMap,
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::{mpsc, oneshot, watch};

pub use account::{Account, Term};
pub use dead_letter::{DeadLetter, DeadLetterFilter, Fault, Stage};
pub use error::SpoolError;
pub use figures::{Figures, Held};
pub use seen::{Appended, Ids, Place, Position, RequestKey, WINDOW};
pub use trace::{Done, Keep, Trace, Written};

use writer::{Batch, Command};

/// Microseconds since the Unix epoch, UTC.
pub type Micros = i64;

/// A message that ingest hands in.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// The device's bytes.
    pub body: Bytes,
    /// JSON text of an object with `Properties` and `SystemProperties`.
    pub context: Arc<str>,
}

/// A message that isn't finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its place in the queue.
    pub seq: i64,
    /// When it was put into the queue, the last time.
    pub queued: Micros,
    /// When it was first accepted; with `position` its order among readings. A replay keeps both.
    pub received: Micros,
    /// Its first place in the queue.
    pub position: i64,
    /// The device's bytes.
    pub body: Vec<u8>,
    /// JSON text of an object with `Properties` and `SystemProperties`.
    pub context: String,
}

/// A message that is done with.
#[derive(Debug)]
pub struct Finished {
    /// Which.
    pub seq: i64,
    /// What became of it and its readings.
    pub account: Account,
    /// What of it could not be used.
    pub faults: Vec<Fault>,
    /// What of it is in Observations.
    pub written: Vec<Arc<Written>>,
    /// Tells the mapping pair that it was worked on with.
    pub mapping: Arc<str>,
}

/// The queue; share it by `Arc`.
pub struct Spool {
    commands: mpsc::Sender<Command>,
    reader: Mutex<Connection>,
    figures: Arc<Figures>,
    /// The last message that is on disk.
    appended: watch::Receiver<i64>,
    /// Held until the end of the process.
    _lock: File,
}

/// Commands that may wait for the writer; more make ingest wait.
const QUEUE: usize = 4096;

impl Spool {
    /// Opens or makes the file, locks it and starts the writer.
    pub fn open(path: &Path, keep: Keep) -> Result<Self, SpoolError> {
        let lock = lock(path)?;
        let mut connection = Connection::open(path)?;
        schema::prepare(&mut connection, path)?;
        let figures = Arc::new(schema::figures(&connection)?);
        let last: i64 = connection.query_row("SELECT coalesce(max(seq), 0) FROM messages", [], |row| row.get(0))?;
        let reader = Connection::open(path)?;
        schema::configure(&reader)?;
        let (commands, received) = mpsc::channel(QUEUE);
        let (appended_sender, appended) = watch::channel(last);
        writer::start(connection, received, figures.clone(), appended_sender, keep).map_err(|source| {
            SpoolError::Lock {
                path: path.to_owned(),
                source,
            }
        })?;
        Ok(Self {
            commands,
            reader: Mutex::new(reader),
            figures,
            appended,
            _lock: lock,
        })
    }

    /// What it holds.
    pub fn figures(&self) -> &Arc<Figures> {
        &self.figures
    }

    /// Changes when messages were appended; the value is the last one's place.
    pub fn appended(&self) -> watch::Receiver<i64> {
        self.appended.clone()
    }

    /// Puts messages into the queue; when this returns they are on disk.
    pub async fn append(&self, messages: Vec<NewMessage>, received: Micros) -> Result<Appended, SpoolError> {
        self.hand_in(Batch::Anyway(messages), received).await
    }

    /// Puts the messages of a request into the queue, unless the request was taken in before.
    pub async fn append_once(
        &self,
        key: RequestKey,
        messages: Vec<NewMessage>,
        received: Micros,
    ) -> Result<Appended, SpoolError> {
        self.hand_in(Batch::Once(key, messages), received).await
    }

    /// Puts messages of a source into the queue, but for those that were taken in before. When this returns, all of them
    /// may be acknowledged. A message without a position is never one that was there before.
    pub async fn append_of(
        &self,
        source: Arc<str>,
        messages: Vec<(Option<Position>, NewMessage)>,
        received: Micros,
    ) -> Result<Appended, SpoolError> {
        self.hand_in(Batch::Of(source, messages), received).await
    }

    async fn hand_in(&self, batch: Batch, received: Micros) -> Result<Appended, SpoolError> {
        self.ask(|reply| Command::Append { batch, received, reply }).await
    }

    /// Takes finished messages out of the queue. Returns when that is handed over; if writing fails it is repeated.
    pub async fn finish(&self, finished: Vec<Finished>) -> Result<(), SpoolError> {
        self.commands
            .send(Command::Finish(finished))
            .await
            .map_err(|_| SpoolError::Closed)
    }

    /// Puts dead letters back into the queue; gives how many there were.
    pub async fn replay(&self, filter: DeadLetterFilter, queued: Micros) -> Result<u64, SpoolError> {
        self.ask(|reply| Command::Replay { filter, queued, reply }).await
    }

    /// Deletes dead letters; gives how many there were.
    pub async fn discard(&self, filter: DeadLetterFilter) -> Result<u64, SpoolError> {
        self.ask(|reply| Command::Discard { filter, reply }).await
    }

    /// Everything handed over so far is written when this returns.
    pub async fn flush(&self) -> Result<(), SpoolError> {
        self.ask(|reply| Command::Flush { reply }).await
    }

    /// Resolves when the writer has ended, which it only does when it is broken.
    pub async fn closed(&self) {
        self.commands.closed().await;
    }

    /// Unfinished messages after a place, oldest first, at most `limit`. Blocks on the file.
    pub fn read_after(&self, seq: i64, limit: u32) -> Result<Vec<Message>, SpoolError> {
        let reader = self.reader();
        let mut statement = reader.prepare_cached(
            "SELECT seq, queued, received, coalesce(position, seq), body, context FROM messages
             WHERE seq > ?1 ORDER BY seq LIMIT ?2",
        )?;
        let rows = statement.query_map(params![seq, limit], |row| {
            Ok(Message {
                seq: row.get(0)?,
                queued: row.get(1)?,
                received: row.get(2)?,
                position: row.get(3)?,
                body: row.get(4)?,
                context: row.get(5)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// When the oldest unfinished message was put into the queue. Blocks on the file.
    pub fn watermark(&self) -> Result<Option<Micros>, SpoolError> {
        let reader = self.reader();
        let mut statement = reader.prepare_cached("SELECT queued FROM messages ORDER BY seq LIMIT 1")?;
        Ok(statement.query_row([], |row| row.get(0)).optional()?)
    }

    /// Where the reading of each of a source's partitions goes on. Blocks on the file.
    pub fn offsets(&self, source: &str) -> Result<HashMap<String, i64>, SpoolError> {
        Ok(seen::offsets(&self.reader(), source)?)
    }

    /// Dead letters after an id, oldest first, without their payloads. Blocks on the file.
    pub fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        after: i64,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, SpoolError> {
        dead_letter::list(&self.reader(), filter, after, limit)
    }

    /// One dead letter with its payload. Blocks on the file.
    pub fn dead_letter(&self, id: i64) -> Result<Option<DeadLetter>, SpoolError> {
        dead_letter::get(&self.reader(), id)
    }

    /// When the oldest dead letter died. Blocks on the file.
    pub fn oldest_dead_letter(&self) -> Result<Option<Micros>, SpoolError> {
        dead_letter::oldest(&self.reader())
    }

    /// What is known of a message. Blocks on the file.
    pub fn trace(&self, id: i64) -> Result<Option<Trace>, SpoolError> {
        trace::find(&self.reader(), id)
    }

    /// The latest messages that are done with, newest first, without payloads and dead letters. Blocks on the file.
    pub fn latest_traces(&self, limit: u32) -> Result<Vec<Trace>, SpoolError> {
        trace::latest(&self.reader(), limit)
    }

    fn reader(&self) -> std::sync::MutexGuard<'_, Connection> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, SpoolError>>) -> Command,
    ) -> Result<T, SpoolError> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .send(command(reply))
            .await
            .map_err(|_| SpoolError::Closed)?;
        answer.await.map_err(|_| SpoolError::Closed)?
    }
}

fn lock(path: &Path) -> Result<File, SpoolError> {
    let failed = |source| SpoolError::Lock {
        path: path.to_owned(),
        source,
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(PathBuf::from(name))
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(SpoolError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &str) -> NewMessage {
        NewMessage {
            body: Bytes::copy_from_slice(body.as_bytes()),
            context: "{}".into(),
        }
    }

    fn fault(detail: &str) -> Fault {
        Fault {
            stage: Stage::Normalise,
            reason: "IncompatibleData".to_owned(),
            detail: detail.to_owned(),
            template: Some("heartrate".to_owned()),
            path: None,
        }
    }

    #[tokio::test]
    async fn what_was_appended_is_there_after_a_restart_until_it_is_finished() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool");
        let spool = Spool::open(&path, Keep::default()).unwrap();
        spool
            .append(vec![message("1"), message("2"), message("3")], 10)
            .await
            .unwrap();
        assert!(matches!(
            Spool::open(&path, Keep::default()),
            Err(SpoolError::InUse { .. })
        ));
        drop(spool);

        let spool = reopen(&path).await;
        let messages = spool.read_after(0, 10).unwrap();
        assert_eq!(
            messages.iter().map(|m| &m.body[..]).collect::<Vec<_>>(),
            [b"1", b"2", b"3"]
        );
        assert_eq!(
            (spool.figures().messages(), spool.figures().last_received()),
            (3, Some(10))
        );
        let account = Account::of(&[(Term::Matched, 1), (Term::Readings, 2), (Term::Points, 2)]);
        spool
            .finish(vec![Finished {
                seq: messages[0].seq,
                account,
                faults: Vec::new(),
                written: Vec::new(),
                mapping: "m".into(),
            }])
            .await
            .unwrap();
        spool.flush().await.unwrap();
        drop(spool);

        let spool = reopen(&path).await;
        assert_eq!(spool.read_after(0, 10).unwrap().len(), 2);
        assert_eq!(spool.figures().account().get(Term::Messages), 3);
        assert_eq!(spool.figures().account().get(Term::Points), 2);
    }

    #[tokio::test]
    async fn a_dead_letter_is_kept_and_replayed_with_its_order() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(&folder.path().join("spool"), Keep::default()).unwrap();
        spool.append(vec![message("bad"), message("good")], 10).await.unwrap();
        let [bad, _] = &spool.read_after(0, 10).unwrap()[..] else {
            panic!("two messages")
        };
        let account = Account::of(&[(Term::Dead, 1)]);
        spool
            .finish(vec![Finished {
                seq: bad.seq,
                account,
                faults: vec![fault("no value")],
                written: Vec::new(),
                mapping: "m".into(),
            }])
            .await
            .unwrap();
        spool.flush().await.unwrap();

        let listed = spool.dead_letters(&DeadLetterFilter::default(), 0, 10).unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(
            spool.dead_letter(listed[0].id).unwrap().unwrap().body.as_deref(),
            Some(&b"bad"[..])
        );
        assert_eq!((spool.figures().dead_letters(), spool.figures().dead_bytes()), (1, 5));
        assert_eq!(spool.replay(DeadLetterFilter::one(listed[0].id), 99).await.unwrap(), 1);

        let last = spool.read_after(0, 10).unwrap().pop().unwrap();
        assert_eq!(
            (last.body, last.queued, last.received, last.position),
            (b"bad".to_vec(), 99, 10, bad.seq)
        );
        assert!(last.seq > bad.seq + 1);
        assert_eq!((spool.figures().dead_letters(), spool.figures().messages()), (0, 2));
        assert_eq!(spool.figures().account().get(Term::Messages), 3);
    }

    #[tokio::test]
    async fn a_replay_of_one_part_takes_the_others_of_its_message_along() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(&folder.path().join("spool"), Keep::default()).unwrap();
        spool.append(vec![message("bad"), message("worse")], 10).await.unwrap();
        let finished = spool.read_after(0, 10).unwrap().into_iter().map(|bad| Finished {
            seq: bad.seq,
            account: Account::of(&[(Term::Dead, 1)]),
            faults: vec![fault("no value"), fault("no time")],
            written: Vec::new(),
            mapping: "m".into(),
        });
        spool.finish(finished.collect()).await.unwrap();
        spool.flush().await.unwrap();
        let listed = spool.dead_letters(&DeadLetterFilter::default(), 0, 10).unwrap();
        assert_eq!(listed.len(), 4);
        assert_eq!(spool.replay(DeadLetterFilter::one(listed[0].id), 99).await.unwrap(), 1);
        let left = spool.dead_letters(&DeadLetterFilter::default(), 0, 10).unwrap();
        assert!(
            left.iter().all(|letter| letter.message == listed[2].message),
            "{left:?}"
        );
        assert_eq!((left.len(), spool.figures().dead_letters()), (2, 2));
        assert_eq!(spool.figures().messages(), 1);
    }

    /// The lock goes with the last thread that holds the old spool.
    async fn reopen(path: &Path) -> Spool {
        loop {
            match Spool::open(path, Keep::default()) {
                Err(SpoolError::InUse { .. }) => tokio::task::yield_now().await,
                other => return other.unwrap(),
            }
        }
    }
}

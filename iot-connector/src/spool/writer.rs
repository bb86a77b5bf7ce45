//! The one thread that writes: all commands that wait go into one transaction.

use std::{
    io,
    sync::{Arc, PoisonError, atomic::Ordering},
    thread,
    time::Duration,
};

use rusqlite::{Connection, Transaction, params};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, info};

use super::{
    Account, Appended, DeadLetterFilter, Figures, Finished, Ids, Keep, Micros, NewMessage, Position, RequestKey,
    SpoolError, Term, dead_letter::CONDITION, seen, trace,
};

type Reply<T> = oneshot::Sender<Result<T, SpoolError>>;

pub(super) enum Command {
    Append {
        batch: Batch,
        received: Micros,
        reply: Reply<Appended>,
    },
    Finish(Vec<Finished>),
    Replay {
        filter: DeadLetterFilter,
        queued: Micros,
        reply: Reply<u64>,
    },
    Discard {
        filter: DeadLetterFilter,
        reply: Reply<u64>,
    },
    Flush {
        reply: Reply<()>,
    },
}

/// Messages that are handed in together.
pub(super) enum Batch {
    /// Whatever was there before.
    Anyway(Vec<NewMessage>),
    /// All, unless the request was taken in before.
    Once(RequestKey, Vec<NewMessage>),
    /// Those of a source that weren't taken in before.
    Of(Arc<str>, Vec<(Option<Position>, NewMessage)>),
}

/// What a command came to.
#[derive(Clone, Copy)]
enum Outcome {
    Count(u64),
    Appended(Appended),
}

/// How a transaction changes the figures, applied when it is committed.
#[derive(Default)]
struct Change {
    messages: i64,
    bytes: i64,
    dead_letters: i64,
    dead_bytes: i64,
    last_received: Option<Micros>,
    last_seq: Option<i64>,
    account: Account,
}

/// A transaction takes at most so many commands, so that replies don't wait for ever.
const MOST: usize = 2048;
/// After a failure, what has to be written some time is tried again so soon.
const RETRY: Duration = Duration::from_secs(1);

pub(super) fn start(
    connection: Connection,
    commands: mpsc::Receiver<Command>,
    figures: Arc<Figures>,
    appended: watch::Sender<i64>,
    keep: Keep,
) -> Result<(), io::Error> {
    let writer = Writer {
        connection,
        commands,
        figures,
        appended,
        keep,
    };
    thread::Builder::new()
        .name("spool".to_owned())
        .spawn(move || writer.run())?;
    Ok(())
}

struct Writer {
    connection: Connection,
    commands: mpsc::Receiver<Command>,
    figures: Arc<Figures>,
    appended: watch::Sender<i64>,
    keep: Keep,
}

impl Writer {
    fn run(mut self) {
        let mut batch = Vec::new();
        while let Some(first) = self.commands.blocking_recv() {
            batch.push(first);
            while batch.len() < MOST {
                match self.commands.try_recv() {
                    Ok(command) => batch.push(command),
                    Err(_) => break,
                }
            }
            self.commit(std::mem::take(&mut batch));
        }
    }

    /// One transaction for all; when it fails, appends are answered so, and finished messages are written later.
    fn commit(&mut self, commands: Vec<Command>) {
        match self.apply(&commands) {
            Ok((change, replies)) => {
                self.publish(&change);
                for (command, outcome) in commands.into_iter().zip(replies) {
                    answer(command, Ok(outcome));
                }
            }
            Err(error) => {
                error!("the spool can't write: {}", daemon::process::describe(&error));
                let mut unwritten = Vec::new();
                for command in commands {
                    match command {
                        Command::Finish(finished) => unwritten.push(Command::Finish(finished)),
                        other => answer(other, Err(error.to_string())),
                    }
                }
                if !unwritten.is_empty() {
                    thread::sleep(RETRY);
                    self.repeat(unwritten);
                }
            }
        }
    }

    fn repeat(&mut self, mut unwritten: Vec<Command>) {
        loop {
            match self.apply(&unwritten) {
                Ok((change, _)) => {
                    self.publish(&change);
                    info!("the spool writes again");
                    return;
                }
                // The process is ending: after a restart these messages are worked on once more.
                Err(_) if self.commands.is_closed() => return,
                Err(_) => {
                    // Ingest must not hang meanwhile.
                    while let Ok(command) = self.commands.try_recv() {
                        match command {
                            Command::Finish(finished) => unwritten.push(Command::Finish(finished)),
                            other => answer(other, Err("the disk refuses writes".to_owned())),
                        }
                    }
                    thread::sleep(RETRY);
                }
            }
        }
    }

    fn apply(&mut self, commands: &[Command]) -> Result<(Change, Vec<Outcome>), rusqlite::Error> {
        let transaction = self.connection.transaction()?;
        let mut change = Change::default();
        let mut replies = Vec::with_capacity(commands.len());
        for command in commands {
            replies.push(match command {
                Command::Append { batch, received, .. } => {
                    Outcome::Appended(append(&transaction, batch, *received, &mut change)?)
                }
                Command::Finish(finished) => Outcome::Count(finish(&transaction, finished, self.keep, &mut change)?),
                Command::Replay { filter, queued, .. } => {
                    Outcome::Count(replay(&transaction, filter, *queued, &mut change)?)
                }
                Command::Discard { filter, .. } => Outcome::Count(discard(&transaction, filter, &mut change)?),
                Command::Flush { .. } => Outcome::Count(0),
            });
        }
        store_account(&transaction, &change)?;
        transaction.commit()?;
        Ok((change, replies))
    }

    fn publish(&self, change: &Change) {
        let figures = &self.figures;
        figures
            .messages
            .fetch_add(change.messages.cast_unsigned(), Ordering::AcqRel);
        figures.bytes.fetch_add(change.bytes.cast_unsigned(), Ordering::AcqRel);
        figures
            .dead_letters
            .fetch_add(change.dead_letters.cast_unsigned(), Ordering::AcqRel);
        figures
            .dead_bytes
            .fetch_add(change.dead_bytes.cast_unsigned(), Ordering::AcqRel);
        if let Some(received) = change.last_received {
            figures.last_received.store(received, Ordering::Release);
        }
        *figures.account.lock().unwrap_or_else(PoisonError::into_inner) += change.account;
        if let Some(seq) = change.last_seq {
            self.appended.send_replace(seq);
        }
    }
}

fn answer(command: Command, result: Result<Outcome, String>) {
    let count = |outcome| match outcome {
        Outcome::Count(count) => count,
        Outcome::Appended(_) => 0,
    };
    // Whoever asked may have gone away; what was written stays written.
    match command {
        Command::Append { reply, .. } => {
            let appended = |outcome| match outcome {
                Outcome::Appended(appended) => appended,
                Outcome::Count(_) => Appended::OtherRequest,
            };
            let _ = reply.send(result.map(appended).map_err(SpoolError::Write));
        }
        Command::Flush { reply } => {
            let _ = reply.send(result.map(drop).map_err(SpoolError::Write));
        }
        Command::Replay { reply, .. } | Command::Discard { reply, .. } => {
            let _ = reply.send(result.map(count).map_err(SpoolError::Write));
        }
        Command::Finish(_) => {}
    }
}

fn append(
    transaction: &Transaction<'_>,
    batch: &Batch,
    received: Micros,
    change: &mut Change,
) -> Result<Appended, rusqlite::Error> {
    let mut repeated = 0;
    let ids;
    match batch {
        Batch::Anyway(messages) => ids = store(transaction, messages, received, change)?,
        Batch::Once(key, messages) => {
            if let Some(before) = seen::request(transaction, key)? {
                return Ok(before);
            }
            ids = store(transaction, messages, received, change)?;
            seen::remember(transaction, key, ids)?;
        }
        Batch::Of(source, messages) => {
            let mut fresh = Vec::with_capacity(messages.len());
            for (position, message) in messages {
                match position {
                    Some(position) if seen::message(transaction, source, position)? => repeated += 1,
                    _ => fresh.push(message),
                }
            }
            ids = store(transaction, fresh, received, change)?;
        }
    }
    Ok(Appended::Stored { repeated, ids })
}

fn store<'a>(
    transaction: &Transaction<'_>,
    messages: impl IntoIterator<Item = &'a NewMessage>,
    received: Micros,
    change: &mut Change,
) -> Result<Option<Ids>, rusqlite::Error> {
    let mut ids: Option<Ids> = None;
    let mut insert =
        transaction.prepare_cached("INSERT INTO messages (queued, received, body, context) VALUES (?1, ?1, ?2, ?3)")?;
    for message in messages {
        insert.execute(params![received, &message.body[..], &*message.context])?;
        change.bytes += size(message.body.len() + message.context.len());
        change.messages += 1;
        change.account.add(Term::Messages, 1);
        change.last_received = Some(received);
        let seq = transaction.last_insert_rowid();
        change.last_seq = Some(seq);
        // One transaction of one writer: they follow each other.
        let first = ids.map_or(seq, |ids| ids.first);
        ids = Some(Ids { first, last: seq });
    }
    Ok(ids)
}

fn finish(
    transaction: &Transaction<'_>,
    finished: &[Finished],
    keep: Keep,
    change: &mut Change,
) -> Result<u64, rusqlite::Error> {
    let died = jiff::Timestamp::now().as_microsecond();
    let mut bury = transaction.prepare_cached(
        "INSERT INTO dead_letters (died, received, position, stage, reason, detail, template, path, body, context)
         SELECT ?2, received, coalesce(position, seq), ?3, ?4, ?5, ?6, ?7, body, context FROM messages WHERE seq = ?1",
    )?;
    let mut measure =
        transaction.prepare_cached("SELECT length(body) + length(context) FROM messages WHERE seq = ?1")?;
    let mut delete = transaction.prepare_cached("DELETE FROM messages WHERE seq = ?1")?;
    for message in finished {
        let mut rows = measure.query([message.seq])?;
        // A message is finished once; an unknown one was finished before.
        let Some(row) = rows.next()? else { continue };
        let bytes: i64 = row.get(0)?;
        drop(rows);
        for fault in &message.faults {
            let stage = fault.stage.name();
            bury.execute(params![
                message.seq,
                died,
                stage,
                fault.reason,
                fault.detail,
                fault.template,
                fault.path
            ])?;
            change.dead_letters += 1;
            change.dead_bytes += bytes;
        }
        trace::keep(transaction, message, died, keep)?;
        delete.execute([message.seq])?;
        change.messages -= 1;
        change.bytes -= bytes;
        change.account += message.account;
    }
    Ok(finished.len() as u64)
}

fn replay(
    transaction: &Transaction<'_>,
    filter: &DeadLetterFilter,
    queued: Micros,
    change: &mut Change,
) -> Result<u64, rusqlite::Error> {
    // Several parts of one message may have failed; the message goes back once.
    let sql = format!(
        "INSERT INTO messages (queued, received, position, body, context)
         SELECT ?5, received, position, body, context FROM dead_letters
         WHERE id IN (SELECT min(id) FROM dead_letters WHERE {CONDITION} GROUP BY position) ORDER BY id
         RETURNING length(body) + length(context)"
    );
    let mut insert = transaction.prepare_cached(&sql)?;
    let parameters = params![filter.id, filter.stage, filter.reason, filter.template, queued];
    let sizes = insert
        .query_map(parameters, |row| row.get::<_, i64>(0))?
        .collect::<Result<Vec<_>, _>>()?;
    change.messages += size(sizes.len());
    change.bytes += sizes.iter().sum::<i64>();
    change.account.add(Term::Messages, sizes.len() as u64);
    if !sizes.is_empty() {
        change.last_seq = Some(transaction.last_insert_rowid());
    }
    let count = format!("SELECT count(*) FROM dead_letters WHERE {CONDITION}");
    let parameters = params![filter.id, filter.stage, filter.reason, filter.template];
    let replayed: i64 = transaction
        .prepare_cached(&count)?
        .query_row(parameters, |row| row.get(0))?;
    // What else failed of these messages is tried again with them, and would be there twice.
    let of_the_messages = format!("position IN (SELECT position FROM dead_letters WHERE {CONDITION})");
    remove(transaction, &of_the_messages, filter, change)?;
    Ok(replayed.unsigned_abs())
}

fn discard(
    transaction: &Transaction<'_>,
    filter: &DeadLetterFilter,
    change: &mut Change,
) -> Result<u64, rusqlite::Error> {
    remove(transaction, CONDITION, filter, change)
}

/// Deletes the dead letters of a condition on the filter's parts; gives how many there were.
fn remove(
    transaction: &Transaction<'_>,
    condition: &str,
    filter: &DeadLetterFilter,
    change: &mut Change,
) -> Result<u64, rusqlite::Error> {
    let sql = format!("DELETE FROM dead_letters WHERE {condition} RETURNING length(body) + length(context)");
    let mut delete = transaction.prepare_cached(&sql)?;
    let parameters = params![filter.id, filter.stage, filter.reason, filter.template];
    let sizes = delete
        .query_map(parameters, |row| row.get::<_, i64>(0))?
        .collect::<Result<Vec<_>, _>>()?;
    change.dead_letters -= size(sizes.len());
    change.dead_bytes -= sizes.iter().sum::<i64>();
    Ok(sizes.len() as u64)
}

fn store_account(transaction: &Transaction<'_>, change: &Change) -> Result<(), rusqlite::Error> {
    let mut add = transaction.prepare_cached(
        "INSERT INTO account (term, count) VALUES (?1, ?2) ON CONFLICT (term) DO UPDATE SET count = count + ?2",
    )?;
    for term in Term::ALL {
        let count = change.account.get(term);
        if count > 0 {
            add.execute(params![term.name(), i64::try_from(count).unwrap_or(i64::MAX)])?;
        }
    }
    if let Some(received) = change.last_received {
        let mut set = transaction.prepare_cached(
            "INSERT INTO figures (name, value) VALUES ('last_received', ?1) ON CONFLICT (name) DO UPDATE SET value = ?1",
        )?;
        set.execute([received])?;
    }
    Ok(())
}

/// Sizes in memory fit.
fn size(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

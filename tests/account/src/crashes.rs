//! kill -9 of connector and FHIR server while devices send, and what has to be true after it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use test_length::Dice;

use crate::{Devices, Found, Pair, Sent, Terms};

/// Devices send for twice a time; after it one of the programs or both are killed, and started again.
pub async fn crash(pair: &mut Pair, mut devices: Devices, pause: Duration, dice: &mut Dice) -> Result<Devices> {
    let url = pair.messages_url.clone();
    let sending = tokio::spawn(async move {
        devices.send(&url, pause * 2).await;
        devices
    });
    tokio::time::sleep(pause).await;
    let which = dice.below(3);
    if which != 0 {
        pair.connector.kill()?;
    }
    if which != 1 {
        pair.fhir.kill()?;
    }
    pair.fhir.start_again().await?;
    pair.connector.start_again().await?;
    sending.await.context("the devices stopped")
}

/// Every message and reading is in one place.
pub fn is_whole(sent: Sent, terms: &Terms, found: &Found) -> Result<()> {
    let about = none_is_missing(sent, terms, found)?;
    // what was sent twice, since its acknowledgement was lost, may have been accepted twice
    ensure!(
        terms.messages <= sent.messages() + sent.repeated,
        "messages that nobody sent: {about}"
    );
    // what was written when its message wasn't finished yet was there already the second time; of what was accepted twice
    // and is worked on together, one gives way
    ensure!(
        terms.points <= sent.heart_rates + sent.steps,
        "readings counted twice: {about}"
    );
    ensure!(
        terms.readings - terms.dead_readings == terms.points + terms.duplicates + terms.superseded,
        "readings in no term: {about}"
    );
    Ok(())
}

/// Every reading is an Observation once or a dead letter, every message is in the account, and that adds up. A NATS server
/// that was killed delivers again what it doesn't remember to be finished, which the account counts once more: that there
/// is nothing too much isn't compared.
pub fn nothing_is_lost(sent: Sent, terms: &Terms, found: &Found) -> Result<()> {
    let about = none_is_missing(sent, terms, found)?;
    ensure!(terms.dead_letters >= sent.poison, "dead letters are lost: {about}");
    Ok(())
}

/// The account adds up, and has all that was sent, as have the Observations; gives what to say of it.
fn none_is_missing(sent: Sent, terms: &Terms, found: &Found) -> Result<String> {
    let about = format!(
        "{sent:?}\n{terms:?}\n{} heart rates, {} steps",
        found.heart_rates, found.steps
    );
    ensure!(terms.balances(), "the account doesn't balance: {about}");
    ensure!(
        (found.heart_rates, found.steps) == (sent.heart_rates, sent.steps),
        "other readings than were sent: {about}"
    );
    ensure!(terms.messages >= sent.messages(), "messages are lost: {about}");
    // a text where a number belongs is noticed only when the Observation is made
    ensure!(
        terms.dead + terms.dead_readings >= sent.poison,
        "poison is lost: {about}"
    );
    ensure!(terms.unmatched >= sent.unmatched, "unmatched are lost: {about}");
    Ok(about)
}

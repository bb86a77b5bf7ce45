//! Devices that send at a steady rate, and send again what wasn't acknowledged.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::{door::Door, shared::Broker};

/// Requests a second; what is sent in between travels together, one message a line.
const REQUESTS_A_SECOND: u32 = 20;

/// What devices send.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// How many devices there are; each belongs to a patient of its own.
    pub devices: u32,
    /// Messages a second of all of them.
    pub rate: u32,
    /// One of so many messages carries steps, the others heart rates; 0: none does.
    pub steps: u32,
    /// One of so many messages is poison; 0: none is.
    pub poison: u32,
}

/// Devices at work: no two of their messages are for the same place.
#[derive(Debug)]
pub struct Devices {
    load: Load,
    begun: Timestamp,
    number: u32,
    /// What was acknowledged so far.
    pub sent: Sent,
}

/// What was sent and acknowledged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Messages with a heart rate.
    pub heart_rates: u64,
    /// Messages with steps.
    pub steps: u64,
    /// Messages that can't be used: no JSON, no time, a text where a number belongs.
    pub poison: u64,
    /// Messages that no template is for.
    pub unmatched: u64,
    /// Messages that were sent more than once, because no acknowledgement came.
    pub repeated: u64,
}

impl Sent {
    /// Messages, each counted once.
    pub fn messages(&self) -> u64 {
        self.heart_rates + self.steps + self.poison + self.unmatched
    }
}

impl Devices {
    /// Nothing is sent yet.
    pub fn new(load: Load) -> Self {
        Self {
            load,
            begun: Timestamp::now(),
            number: 0,
            sent: Sent::default(),
        }
    }

    /// Sends for so long by HTTP, and ends when everything is acknowledged.
    pub async fn send(&mut self, url: &str, duration: Duration) {
        self.steadily(Door::http(url), duration).await;
    }

    /// Publishes for so long to a broker, and ends when everything is acknowledged.
    pub async fn publish(&mut self, broker: Broker, address: &str, duration: Duration) {
        self.steadily(Door::of(broker, address), duration).await;
    }

    async fn steadily(&mut self, mut door: Door, duration: Duration) {
        let pause = Duration::from_secs(1) / REQUESTS_A_SECOND;
        let each = (self.load.rate / REQUESTS_A_SECOND).max(1);
        let begun = Instant::now();
        for request in 0.. {
            let due = pause * request;
            if due >= duration {
                break;
            }
            tokio::time::sleep_until((begun + due).into()).await;
            let messages: Vec<String> = (0..each).map(|_| self.message()).collect();
            // a device keeps what isn't acknowledged
            while !door.takes(&messages).await {
                self.sent.repeated += u64::from(each);
                tokio::time::sleep(pause).await;
            }
        }
    }

    /// The next message, counted.
    fn message(&mut self) -> String {
        let (number, load) = (self.number, self.load);
        self.number += 1;
        let (device, turn) = (number % load.devices, number / load.devices);
        let (device, patient) = (format!("device-{device}"), format!("patient-{device}"));
        let now = Timestamp::now();
        if load.poison > 0 && number.is_multiple_of(load.poison) {
            let kind = number / load.poison % 4;
            let counted = if kind == 3 {
                &mut self.sent.unmatched
            } else {
                &mut self.sent.poison
            };
            *counted += 1;
            return match kind {
                0 => format!("{{\"device\": \"{device}\", \"heartrate\": "),
                1 => json!({"device": device, "patient": patient, "heartrate": 60}).to_string(),
                2 => json!({"device": device, "patient": patient, "time": now, "heartrate": "fast"}).to_string(),
                _ => json!({"device": device, "patient": patient, "time": now, "humidity": 40}).to_string(),
            };
        }
        if load.steps > 0 && (number + turn).is_multiple_of(load.steps) {
            self.sent.steps += 1;
            // a second of its own, which is a point of its own
            let time = self.begun + SignedDuration::from_secs(turn.into());
            return json!({"device": device, "patient": patient, "time": time, "steps": number % 50}).to_string();
        }
        self.sent.heart_rates += 1;
        json!({"device": device, "patient": patient, "time": now, "heartrate": 50 + number % 100}).to_string()
    }
}

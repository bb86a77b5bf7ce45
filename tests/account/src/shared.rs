//! Connectors that share the work of a broker and write to one FHIR server.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use iot_connector_settings::{Kafka, Nats, NatsServers, SharedSpool};
use test_length::Dice;

use crate::{
    Devices,
    kafka::{self, TOPIC},
    nats::{self, STREAM},
    programs::{Program, connector, fhir_server, settings},
};

/// Whose messages connectors share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broker {
    /// A stream of the NATS server that has the connectors' streams, too.
    Nats,
    /// A topic of a Kafka broker beside it.
    Kafka,
}

/// Brokers, a FHIR server, and connectors between them.
#[derive(Debug)]
pub struct Shared {
    /// Whose messages they share.
    pub broker: Broker,
    /// The NATS server.
    pub nats: Program,
    /// The Kafka broker, where there is one.
    pub kafka: Option<Program>,
    /// The FHIR server.
    pub fhir: Program,
    /// The connectors.
    pub connectors: Vec<Program>,
    /// Where devices publish.
    pub address: String,
    /// Base URL of the FHIR API.
    pub fhir_url: String,
    /// Where the metrics of each connector are: the account is that of all.
    pub management_urls: Vec<String>,
}

impl Shared {
    /// Starts all with what `programs` holds, everything kept in `folder`, messages flushed after a second.
    pub async fn start(programs: &Path, folder: &Path, connectors: usize, broker: Broker) -> Result<Self> {
        let (fhir, fhir_url) = fhir_server(programs, folder).await?;
        let (nats, nats_address) = nats::start(&nats::program()?, folder).await?;
        let servers = NatsServers {
            servers: vec![nats_address.clone()],
            ..NatsServers::default()
        };
        let (kafka, address) = match broker {
            Broker::Nats => (None, nats_address),
            Broker::Kafka => {
                let (kafka, address) = kafka::start(folder).await?;
                (Some(kafka), address)
            }
        };
        let mut shared = Self {
            broker,
            nats,
            kafka,
            fhir,
            connectors: Vec::new(),
            address,
            fhir_url,
            management_urls: Vec::new(),
        };
        for number in 0..connectors {
            let name = format!("connector-{number}");
            let mut settings = settings(folder, &shared.fhir_url)?;
            let mut spool = SharedSpool {
                name: "connectors".to_owned(),
                member: name.clone(),
                ..SharedSpool::default()
            };
            match broker {
                Broker::Nats => {
                    settings.source.nats = Some(Nats {
                        at: servers.clone(),
                        stream: STREAM.to_owned(),
                        consumer: "connectors".to_owned(),
                        ..Nats::default()
                    });
                }
                Broker::Kafka => {
                    settings.source.kafka = Some(Kafka {
                        brokers: vec![shared.address.clone()],
                        topics: vec![TOPIC.to_owned()],
                        ..Kafka::default()
                    });
                    spool.nats = Some(servers.clone());
                }
            }
            settings.spool.shared = Some(spool);
            let (program, urls) = connector(programs, folder, &name, settings).await?;
            shared.connectors.push(program);
            shared.management_urls.push(urls.management);
        }
        Ok(shared)
    }

    /// Devices publish for twice a time; after it one of the programs is killed, now and then all, and started again.
    pub async fn crash(&mut self, mut devices: Devices, pause: Duration, dice: &mut Dice) -> Result<Devices> {
        let (broker, address) = (self.broker, self.address.clone());
        let sending = tokio::spawn(async move {
            devices.publish(broker, &address, pause * 2).await;
            devices
        });
        tokio::time::sleep(pause).await;
        let mut programs: Vec<&mut Program> = vec![&mut self.nats, &mut self.fhir];
        programs.extend(&mut self.kafka);
        programs.extend(&mut self.connectors);
        let which = dice.below(programs.len() + 1);
        let all = which == programs.len();
        for (number, program) in programs.iter_mut().enumerate() {
            if all || number == which {
                program.kill()?;
            }
        }
        for program in programs {
            program.start_again().await?;
        }
        sending.await.context("the devices stopped")
    }
}

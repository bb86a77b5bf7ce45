//! Connectors that share a stream of a NATS server and write to one FHIR server.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use iot_connector_settings::{Nats, NatsServers, SharedSpool};
use test_length::Dice;

use crate::{
    Devices,
    nats::{self, STREAM},
    programs::{Program, connector, fhir_server, settings},
};

/// A NATS server, a FHIR server, and connectors between them.
#[derive(Debug)]
pub struct Shared {
    /// The NATS server.
    pub nats: Program,
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
    pub async fn start(programs: &Path, folder: &Path, connectors: usize) -> Result<Self> {
        let (fhir, fhir_url) = fhir_server(programs, folder).await?;
        let (nats, address) = nats::start(&nats::program()?, folder).await?;
        let mut shared = Self {
            nats,
            fhir,
            connectors: Vec::new(),
            address,
            fhir_url,
            management_urls: Vec::new(),
        };
        for number in 0..connectors {
            let name = format!("connector-{number}");
            let mut settings = settings(folder, &shared.fhir_url)?;
            settings.source.nats = Some(Nats {
                at: NatsServers {
                    servers: vec![shared.address.clone()],
                    ..NatsServers::default()
                },
                stream: STREAM.to_owned(),
                consumer: "connectors".to_owned(),
                ..Nats::default()
            });
            settings.spool.shared = Some(SharedSpool {
                name: "connectors".to_owned(),
                member: name.clone(),
                ..SharedSpool::default()
            });
            let (program, urls) = connector(programs, folder, &name, settings).await?;
            shared.connectors.push(program);
            shared.management_urls.push(urls.management);
        }
        Ok(shared)
    }

    /// Devices publish for twice a time; after it one of the programs is killed, now and then all, and started again.
    pub async fn crash(&mut self, mut devices: Devices, pause: Duration, dice: &mut Dice) -> Result<Devices> {
        let address = self.address.clone();
        let sending = tokio::spawn(async move {
            devices.publish(&address, pause * 2).await;
            devices
        });
        tokio::time::sleep(pause).await;
        let mut programs: Vec<&mut Program> = vec![&mut self.nats, &mut self.fhir];
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

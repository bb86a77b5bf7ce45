//! The two programs, each on an address of its own that it keeps when it is killed and started again.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use iot_connector_settings::{FhirServer, IdentityResolution, Settings, Spool, Window};
use serde_json::{Value, json};

/// How long a program may take until it is ready.
const READY: Duration = Duration::from_mins(1);

/// A program that can be killed and started again.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<String>,
    ready: Ready,
    log: PathBuf,
    child: Option<Child>,
}

/// How a program shows that it is ready.
#[derive(Debug)]
pub(crate) enum Ready {
    /// A page answers 200.
    Page(String),
    /// Somebody listens at an address.
    Listens(String),
}

impl Ready {
    async fn is(&self) -> bool {
        match self {
            Self::Page(url) => reqwest::get(url).await.is_ok_and(|answer| answer.status() == 200),
            Self::Listens(address) => tokio::net::TcpStream::connect(address).await.is_ok(),
        }
    }
}

impl Program {
    /// Starts it and waits until it is ready; what it says goes to the end of `log`.
    pub(crate) async fn start(path: PathBuf, arguments: Vec<String>, ready: Ready, log: PathBuf) -> Result<Self> {
        let mut program = Self {
            path,
            arguments,
            ready,
            log,
            child: None,
        };
        program.start_again().await?;
        Ok(program)
    }

    /// SIGKILL: nothing is flushed, nobody is told.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Starts it where it isn't running, and waits until it is ready.
    pub async fn start_again(&mut self) -> Result<()> {
        if let Some(child) = &mut self.child
            && child.try_wait()?.is_none()
        {
            return Ok(());
        }
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&self.log)?;
        let child = Command::new(&self.path)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("`{}` can't be started", self.path.display()))?;
        let child = self.child.insert(child);
        let begun = Instant::now();
        while !self.ready.is().await {
            if let Some(status) = child.try_wait()? {
                bail!("`{}` ended: {status}; see {}", self.path.display(), self.log.display());
            }
            if begun.elapsed() > READY {
                bail!("`{}` isn't ready; see {}", self.path.display(), self.log.display());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Its process.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// A FHIR server on SQLite and a connector that writes to it.
#[derive(Debug)]
pub struct Pair {
    /// The FHIR server.
    pub fhir: Program,
    /// The connector.
    pub connector: Program,
    /// Base URL of the FHIR API.
    pub fhir_url: String,
    /// Where devices post to.
    pub messages_url: String,
    /// Where the connector's metrics are.
    pub management_url: String,
}

impl Pair {
    /// Starts both with what `programs` holds, everything kept in `folder`, messages flushed after a second.
    pub async fn start(programs: &Path, folder: &Path) -> Result<Self> {
        let (fhir, fhir_url) = fhir_server(programs, folder).await?;
        let settings = settings(folder, &fhir_url)?;
        let (connector, urls) = connector(programs, folder, "connector", settings).await?;
        Ok(Self {
            fhir,
            connector,
            fhir_url,
            messages_url: urls.messages,
            management_url: urls.management,
        })
    }
}

/// Where a connector is reached.
pub(crate) struct Urls {
    messages: String,
    pub management: String,
}

/// A FHIR server on SQLite, and its base URL.
pub(crate) async fn fhir_server(programs: &Path, folder: &Path) -> Result<(Program, String)> {
    daemon::tls::install_provider();
    let listen = free()?;
    let database = format!("sqlite:{}", text(&folder.join("fhir.db")));
    let arguments = [
        "serve",
        "--fhir-version",
        "R4",
        "--anonymous",
        "--database",
        &database,
        "--listen",
        &listen,
    ];
    let server = Program::start(
        programs.join("fhir-server"),
        arguments.map(str::to_owned).to_vec(),
        Ready::Page(format!("http://{listen}/health/ready")),
        folder.join("fhir-server.log"),
    );
    Ok((server.await?, format!("http://{listen}")))
}

/// What a connector is told: messages are flushed after a second.
pub(crate) fn settings(folder: &Path, fhir_url: &str) -> Result<Settings> {
    let (device_mapping, fhir_mapping) = (folder.join("device.json"), folder.join("fhir.json"));
    std::fs::write(&device_mapping, device_templates().to_string())?;
    std::fs::write(&fhir_mapping, fhir_templates().to_string())?;
    Ok(Settings {
        spool: Spool {
            path: folder.join("spool"),
            ..Spool::default()
        },
        device_mapping: Some(device_mapping),
        fhir_mapping: Some(fhir_mapping),
        anonymous: true,
        fhir_server: FhirServer {
            url: fhir_url.to_owned(),
            ..FhirServer::default()
        },
        identity_resolution: IdentityResolution::Create,
        window: Window {
            flush_seconds: 1,
            ..Window::default()
        },
        ..Settings::default()
    })
}

/// A connector with a name of its own in the folder.
pub(crate) async fn connector(
    programs: &Path,
    folder: &Path,
    name: &str,
    settings: Settings,
) -> Result<(Program, Urls)> {
    let (listen, management) = (free()?, free()?);
    let settings = Settings {
        listen: listen.clone(),
        management: Some(management.clone()),
        ..settings
    };
    let path = folder.join(format!("{name}.json"));
    std::fs::write(&path, settings.minimal().to_string())?;
    let program = Program::start(
        programs.join("iot-connector"),
        vec!["run".to_owned(), "--settings".to_owned(), text(&path)],
        Ready::Page(format!("http://{listen}/health/ready")),
        folder.join(format!("{name}.log")),
    );
    let urls = Urls {
        messages: format!("http://{listen}/messages"),
        management: format!("http://{management}"),
    };
    Ok((program.await?, urls))
}

pub(crate) fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// An address that was free a moment ago.
pub(crate) fn free() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// A heart rate is an Observation of its own; steps are points of an Observation an hour.
fn device_templates() -> Value {
    let template = |name: &str| {
        json!({"templateType": "CalculatedContent", "template": {
            "typeName": name, "typeMatchExpression": format!("$..[?(@{name})]"),
            "deviceIdExpression": "$.matchedToken.device", "patientIdExpression": "$.matchedToken.patient",
            "timestampExpression": "$.matchedToken.time",
            "values": [{"required": "true", "valueName": name, "valueExpression": format!("$.matchedToken.{name}")}]
        }})
    };
    json!({"templateType": "CollectionContent", "template": [template("heartrate"), template("steps")]})
}

fn fhir_templates() -> Value {
    json!({"templateType": "CollectionFhir", "template": [
        {"templateType": "CodeValueFhir", "template": {
            "typeName": "heartrate", "periodInterval": 0,
            "codes": [{"system": "http://loinc.org", "code": "8867-4", "display": "Heart rate"}],
            "value": {"valueType": "Quantity", "valueName": "heartrate", "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min"}
        }},
        {"templateType": "CodeValueFhir", "template": {
            "typeName": "steps", "periodInterval": 60,
            "codes": [{"system": "http://loinc.org", "code": "55423-8", "display": "Number of steps"}],
            "value": {"valueType": "SampledData", "valueName": "steps", "defaultPeriod": 1000, "unit": "{steps}"}
        }}
    ]})
}

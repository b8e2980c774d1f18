//! `doctor`: what a server's settings mean.

use atomic_streams::doctor::{Diagnosis, Severity};
use serde::Serialize;

use crate::args::DoctorArgs;
use crate::connect::Server;
use crate::exit::{Exit, Failure};
use crate::view::{Cell, Hue, Look, Show, Table};

#[derive(Debug, Serialize)]
pub struct Examined {
    worst: Severity,
    #[serde(flatten)]
    diagnosis: Diagnosis,
}

pub async fn run(server: &Server, args: &DoctorArgs) -> Result<Examined, Failure> {
    let mut doctor = server.doctor()?.durability(args.durability()).lease(args.lease);
    if let (Some(stream), Some(group)) = (&args.stream, &args.group) {
        doctor = doctor.subscription(stream, group);
    }
    for output in &args.output {
        doctor = doctor.output(output);
    }
    let diagnosis = doctor.examine().await?;
    Ok(Examined { worst: diagnosis.worst(), diagnosis })
}

impl Show for Examined {
    fn text(&self, look: &Look) -> String {
        let mut table = Table::new(&["", "SETTING", "VALUE", "WHAT IT MEANS"]);
        for finding in &self.diagnosis.findings {
            let hue = match finding.severity {
                Severity::Error => Hue::Bad,
                Severity::Warning => Hue::Notable,
                Severity::Note => Hue::Good,
                _ => Hue::Dim,
            };
            table.row([
                Cell::in_color(finding.severity, hue),
                Cell::whole(&finding.setting),
                Cell::plain(finding.value.as_deref().unwrap_or("-")),
                Cell::plain(&finding.meaning),
            ]);
        }
        let Diagnosis { server, server_crash, failover, .. } = &self.diagnosis;
        format!("{server}\n\n{}\n{server_crash}\n{failover}\n", table.text(look))
    }

    fn exit(&self) -> Exit {
        if self.worst >= Severity::Error { Exit::LimitExceeded } else { Exit::Done }
    }
}

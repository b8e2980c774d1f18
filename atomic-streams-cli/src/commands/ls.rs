//! `ls`: all subscriptions of a server.

use atomic_streams::ErrorKind;
use atomic_streams::admin::Admin;
use serde::Serialize;

use crate::connect::Server;
use crate::exit::Failure;
use crate::view::{Cell, Look, Show, Standing, Table, progress};

#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Subscriptions(Vec<Standing>);

pub async fn run(server: &Server) -> Result<Subscriptions, Failure> {
    Ok(Subscriptions(all(&server.admin()?).await?))
}

/// All subscriptions, in the order of their names.
pub async fn all(admin: &Admin) -> Result<Vec<Standing>, Failure> {
    let (mut found, names) = (Vec::new(), admin.subscriptions().await?);
    let bar = progress(names.len() as u64, "looking at subscriptions");
    for (stream, group) in names {
        match admin.inspect(&stream, &group).await {
            Ok(inspection) => found.push(Standing::of(&inspection)),
            // It was deleted meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        bar.inc(1);
    }
    Ok(found)
}

impl Show for Subscriptions {
    fn text(&self, look: &Look) -> String {
        if self.0.is_empty() {
            return "no subscriptions in this database\n".to_owned();
        }
        let mut table = Table::new(&["STREAM", "GROUP", "OWNER", "LEASE", "POSITION", "LAG", "BEHIND"]);
        for each in &self.0 {
            table.row([
                Cell::plain(&each.stream),
                Cell::plain(&each.group),
                Cell::plain(&each.owner),
                each.lease_cell(),
                Cell::whole(&each.position),
                each.lag_cell(),
                each.behind_cell(),
            ]);
        }
        table.text(look)
    }
}

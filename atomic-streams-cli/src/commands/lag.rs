//! `lag`: how far behind, for people and for alarms.

use serde::Serialize;

use super::ls;
use crate::args::LagArgs;
use crate::connect::Server;
use crate::exit::{Exit, Failure};
use crate::view::{Cell, Hue, Look, Show, Standing, Table};

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Lags {
    One(Box<Lag>),
    All(Vec<Lag>),
}

#[derive(Debug, Serialize)]
pub struct Lag {
    stream: String,
    group: String,
    position: String,
    lag: Option<u64>,
    lag_ms: Option<u64>,
    stream_length: u64,
    /// More than --max or --max-time allow.
    exceeded: bool,
    #[serde(skip)]
    standing: Standing,
}

pub async fn run(server: &Server, args: &LagArgs) -> Result<Lags, Failure> {
    let admin = server.admin()?;
    Ok(match (&args.stream, &args.group) {
        (Some(stream), Some(group)) => {
            Lags::One(Box::new(judged(Standing::of(&admin.inspect(stream, group).await?), args)))
        }
        _ => Lags::All(ls::all(&admin).await?.into_iter().map(|each| judged(each, args)).collect()),
    })
}

fn judged(standing: Standing, args: &LagArgs) -> Lag {
    // Where the server does not tell, it is never more than the stream holds.
    let entries = standing.lag.unwrap_or(standing.stream_length);
    let max_ms = args.max_time.map(|span| span.as_millis());
    let exceeded = args.max.is_some_and(|max| entries > max)
        || max_ms.is_some_and(|max| standing.lag_ms.is_some_and(|ms| u128::from(ms) > max));
    Lag {
        stream: standing.stream.clone(),
        group: standing.group.clone(),
        position: standing.position.clone(),
        lag: standing.lag,
        lag_ms: standing.lag_ms,
        stream_length: standing.stream_length,
        exceeded,
        standing,
    }
}

impl Lags {
    fn each(&self) -> &[Lag] {
        match self {
            Self::One(lag) => std::slice::from_ref(&**lag),
            Self::All(lags) => lags,
        }
    }
}

impl Show for Lags {
    fn text(&self, look: &Look) -> String {
        if self.each().is_empty() {
            return "no subscriptions in this database\n".to_owned();
        }
        let mut table = Table::new(&["STREAM", "GROUP", "LAG", "BEHIND", ""]);
        for each in self.each() {
            let limit = if each.exceeded { "above the limit" } else { "" };
            table.row([
                Cell::plain(&each.stream),
                Cell::plain(&each.group),
                each.standing.lag_cell(),
                each.standing.behind_cell(),
                Cell::in_color(limit, Hue::Bad),
            ]);
        }
        table.text(look)
    }

    fn exit(&self) -> Exit {
        if self.each().iter().any(|each| each.exceeded) { Exit::LimitExceeded } else { Exit::Done }
    }
}

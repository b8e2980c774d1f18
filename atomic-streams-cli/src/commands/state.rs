//! `state`: the state as JSON.

use atomic_streams::admin::StoredState;
use serde::Serialize;
use serde_json::Value;

use crate::args::StateArgs;
use crate::connect::Server;
use crate::exit::{Exit, Failure};
use crate::view::{Look, Show};

#[derive(Debug, Serialize)]
pub struct State {
    stream: String,
    group: String,
    /// The kept copy that it is of.
    copy: Option<String>,
    position: String,
    processed: u64,
    /// The only field, if one was asked for.
    field: Option<String>,
    state: Value,
}

pub async fn run(server: &Server, args: &StateArgs) -> Result<State, Failure> {
    let (stream, group) = (&args.subscription.stream, &args.subscription.group);
    let admin = server.admin()?;
    let stored = match &args.copy {
        Some(copy) => admin.copied_state(stream, group, copy).await?,
        None => admin.state(stream, group).await?,
    };
    let mut state = stored.to_json()?;
    if let Some(field) = &args.field {
        state = state.get_mut(field).map(Value::take).ok_or_else(|| no_field(&stored, field))?;
    }
    Ok(State {
        stream: stream.clone(),
        group: group.clone(),
        copy: args.copy.clone(),
        position: stored.position().to_string(),
        processed: stored.processed(),
        field: args.field.clone(),
        state,
    })
}

fn no_field(stored: &StoredState, field: &str) -> Failure {
    let names: Vec<&str> = stored.names().collect();
    let there = if names.is_empty() { "it has none".to_owned() } else { format!("it has {}", names.join(", ")) };
    Failure::new(Exit::NotFound, format!("the state has no field `{field}`: {there}"))
}

impl Show for State {
    fn text(&self, _look: &Look) -> String {
        // With an indent of its own, as `jq` would show it; the value is JSON already.
        format!("{:#}\n", self.state)
    }
}

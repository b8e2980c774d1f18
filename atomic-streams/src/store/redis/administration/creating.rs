//! A record from outside.

use redis::Cmd;

use super::{Administration, Answer, Asker, declined, flag};
use crate::admin::NewRecord;
use crate::id::EntryId;
use crate::protocol::Subscription;
use crate::script;
use crate::store::administration::Created;

impl Administration {
    pub async fn create(
        &mut self,
        subscription: &Subscription,
        record: &NewRecord,
        asker: &Asker<'_>,
    ) -> Answer<Created> {
        let arguments = |by: &str, what: &str| -> Cmd {
            let mut command = redis::cmd(by);
            command.arg(what).arg(2 + usize::from(record.only_while.is_some()));
            command.arg(subscription.record()).arg(subscription.stream());
            command.arg(record.only_while.as_ref().map(|(key, _)| key));
            command.arg(asker.instance).arg(asker.name).arg(subscription.stream()).arg(subscription.group());
            command.arg(record.position.to_string()).arg(record.processed).arg(record.schema());
            command.arg(flag(asker.dry_run));
            command.arg(record.only_while.as_ref().map_or(&[][..], |(_, value)| value));
            for (name, value) in &record.fields {
                command.arg(name).arg(value.as_slice());
            }
            command
        };
        let mut parts = self.run_command(&script::CREATE, arguments).await?;
        Ok(match parts.text()?.as_str() {
            "CREATED" => {
                let last_id = parts.id()?;
                let first: Option<EntryId> = parts.optional_text()?.and_then(|id| id.parse().ok());
                Ok(Created {
                    position: record.position,
                    last_id,
                    length: parts.number()?,
                    trimmed_up_to: first.filter(|first| *first > record.position),
                })
            }
            other => Err(declined(other, &mut parts)?),
        })
    }
}

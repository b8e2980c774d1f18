//! Tells of what is not part of a commit and failed: the group's cursor, and outputs to be trimmed.

use tracing::{debug, warn};

use super::Settings;
use crate::protocol::Renewed;
use crate::targets;

pub(super) fn tell_of_untrimmed(settings: &Settings, error: &str) {
    warn!(
        name: "output.not_trimmed",
        target: targets::STREAM,
        stream = &*settings.stream,
        group = &*settings.group,
        error,
        "an output was not trimmed"
    );
}

pub(super) fn tell_of_behind(settings: &Settings, error: &str) {
    debug!(
        name: "cursor.behind",
        target: targets::SUBSCRIPTION,
        stream = &*settings.stream,
        group = &*settings.group,
        error,
        "the group's cursor stayed behind"
    );
}

pub(super) fn tell_of_renewal(settings: &Settings, renewed: &Renewed) {
    let (stream, group) = (&*settings.stream, &*settings.group);
    if renewed.cursor_repaired {
        warn!(
            name: "cursor.repaired",
            target: targets::SUBSCRIPTION,
            stream,
            group,
            "somebody moved or removed the group; its cursor was put back to the position"
        );
    }
    if let Some(error) = &renewed.cursor_trouble {
        warn!(
            name: "cursor.lost",
            target: targets::SUBSCRIPTION,
            stream,
            group,
            error,
            "the group's cursor cannot be kept; its lag will be wrong"
        );
    }
}

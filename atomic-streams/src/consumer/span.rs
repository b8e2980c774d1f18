//! The span around each try of an entry, as OpenTelemetry's conventions for messaging name it.

use tracing::field::Empty;
use tracing::{Span, info_span};

use super::hold::Panicked;
use crate::entry::{DecodeError, Fields};
use crate::handler::HandlerError;
use crate::persist::StateError;
use crate::targets;
use crate::trace_context;
use crate::transaction::{Message, PublishError};

/// The span of one try. Where nobody listens to it, nothing of this is formatted.
pub(super) fn of_try(message: &Message, fields: &Fields) -> Span {
    // No child of what may be entered around this task: that has nothing to do with the entry, and may be open for ever.
    let span = info_span!(
        target: targets::SPAN,
        parent: None,
        "process",
        otel.name = %format_args!("process {}", message.stream()),
        otel.kind = "consumer",
        otel.status_code = Empty,
        otel.status_description = Empty,
        error.type = Empty,
        messaging.system = "redis",
        messaging.operation.name = "process",
        messaging.operation.type = "process",
        messaging.destination.name = message.stream(),
        messaging.consumer.group.name = message.group(),
        messaging.message.id = %message.id(),
        attempt = message.attempt(),
    );
    trace_context::continue_in(&span, fields);
    span
}

/// Says in its span that the try failed.
pub(super) fn failed(span: &Span, kind: &str, error: &str) {
    span.record("error.type", kind);
    span.record("otel.status_code", "ERROR");
    span.record("otel.status_description", error);
}

/// What kind of failure it was: one of few words, to count and to filter by.
pub(super) fn error_type(error: &HandlerError) -> &'static str {
    match error.source() {
        source if source.is::<DecodeError>() => "decode",
        source if source.is::<Panicked>() => "panic",
        source if source.is::<PublishError>() => "publish",
        source if source.is::<StateError>() => "state",
        _ => "handler",
    }
}

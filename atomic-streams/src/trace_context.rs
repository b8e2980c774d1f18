//! [W3C Trace Context](https://www.w3.org/TR/trace-context/) in the fields of entries: read from what is handled, added to what is
//! published.
//!
//! Without the feature `opentelemetry` nothing is read or added. With it, the fields are those of the W3C whichever propagator the
//! application has installed, since both ends of a stream must agree.

#[cfg(feature = "opentelemetry")]
mod w3c;

use tracing::Span;

use crate::entry::Fields;

/// Makes the span that the entry came from the parent of this one. Not to be called when the span has been entered.
#[cfg(feature = "opentelemetry")]
pub(crate) fn continue_in(span: &Span, fields: &Fields) {
    use opentelemetry::Context;
    use opentelemetry::trace::TraceContextExt;
    use tracing_opentelemetry::OpenTelemetrySpanExt;

    if span.is_disabled() {
        return;
    }
    if let Some(parent) = w3c::read(fields) {
        // Without a layer for OpenTelemetry there is nothing to tell.
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
}

#[cfg(not(feature = "opentelemetry"))]
pub(crate) fn continue_in(_: &Span, _: &Fields) {}

/// Adds the current span's context, unless there is one or there would be more than `most` fields.
#[cfg(feature = "opentelemetry")]
pub(crate) fn add_to(fields: &mut Fields, most: usize) {
    use opentelemetry::trace::TraceContextExt;
    use tracing_opentelemetry::OpenTelemetrySpanExt;

    let span = Span::current();
    if !span.is_disabled() {
        w3c::write(span.context().span().span_context(), fields, most);
    }
}

#[cfg(not(feature = "opentelemetry"))]
pub(crate) fn add_to(_: &mut Fields, _: usize) {}

#[cfg(all(test, not(feature = "opentelemetry")))]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::entry::{MAX_PUBLISH_FIELDS, decode};

    #[test]
    fn without_the_feature_entries_stay_as_they_are() {
        let mut fields: Fields = [("n", "1")].into_iter().collect();
        add_to(&mut fields, MAX_PUBLISH_FIELDS);
        assert_eq!(fields, [("n", "1")].into_iter().collect());
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let traced: Fields = [("n", "1"), ("traceparent", parent)].into_iter().collect();
        continue_in(&Span::none(), &traced);
        let message: BTreeMap<String, String> = decode(&traced).unwrap();
        assert_eq!(message["traceparent"], parent);
    }
}

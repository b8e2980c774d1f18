//! An OpenTelemetry layer that keeps the spans of this thread.

use std::any::Any;
use std::collections::BTreeMap;

use opentelemetry::SpanId;
use opentelemetry::trace::{SpanKind, TracerProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, Sampler, SdkTracerProvider, SpanData};
use support::eventually;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::shop::Fields;

pub(crate) struct Tracer {
    exporter: InMemorySpanExporter,
    _provider: SdkTracerProvider,
    _guard: Box<dyn Any>,
}

impl Tracer {
    /// Keeps every span, unless what it came from was not sampled.
    pub(crate) fn start() -> Self {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
            .with_simple_exporter(exporter.clone())
            .build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("tests"));
        let guard = Registry::default().with(layer).set_default();
        Self { exporter, _provider: provider, _guard: Box::new(guard) }
    }

    /// The spans of this name that have ended.
    pub(crate) fn spans(&self, name: &str) -> Vec<SpanData> {
        let mut spans = self.exporter.get_finished_spans().unwrap();
        spans.retain(|span| span.name == name);
        spans
    }

    /// Waits until so many spans of this name have ended.
    pub(crate) async fn ended(&self, name: &str, spans: usize) -> Vec<SpanData> {
        eventually(&format!("{spans} spans `{name}` end"), async || self.spans(name).len() >= spans).await;
        let ended = self.spans(name);
        assert_eq!(ended.len(), spans, "{ended:#?}");
        ended
    }
}

/// What `traceparent` says of a span.
pub(crate) fn parent_of(span: &SpanData) -> String {
    let context = &span.span_context;
    format!("00-{}-{}-{:02x}", context.trace_id(), context.span_id(), context.trace_flags())
}

/// The only `traceparent` of an entry.
pub(crate) fn parent_in(fields: &Fields) -> String {
    let parents: Vec<_> = fields.iter().filter(|(name, _)| name == "traceparent").collect();
    let [(_, parent)] = parents[..] else { panic!("not one: {fields:?}") };
    parent.clone()
}

/// A span's attributes, as text.
pub(crate) fn attributes(span: &SpanData) -> BTreeMap<&str, String> {
    span.attributes.iter().map(|attribute| (attribute.key.as_str(), attribute.value.to_string())).collect()
}

/// Asserts that one span is the child of another, which lies in another process as far as anybody knows.
pub(crate) fn assert_child(child: &SpanData, parent: &SpanData) {
    assert_eq!(child.span_context.trace_id(), parent.span_context.trace_id());
    assert_eq!(child.parent_span_id, parent.span_context.span_id());
    assert!(child.parent_span_is_remote);
    assert_eq!(child.span_kind, SpanKind::Consumer);
}

/// Asserts that a span begins a trace.
pub(crate) fn assert_root(span: &SpanData) {
    assert_eq!(span.parent_span_id, SpanId::INVALID, "{span:?}");
    assert!(span.span_context.is_valid());
}

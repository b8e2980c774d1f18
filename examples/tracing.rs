//! One trace across processes: a producer, a consumer that publishes, and a second consumer, with OpenTelemetry.
//!
//! Here all three are in one process, and the spans are kept in memory and printed as a tree. An application would have
//! `opentelemetry_otlp` in place of the exporter below, and nothing else would change.
//!
//! ```sh
//! cargo run --example tracing
//! ```

mod setup;

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use atomic_streams::{Consumer, RetryPolicy, Transaction, handler_fn};
use opentelemetry::trace::{SpanKind, Status, TracerProvider};
use opentelemetry::{KeyValue, SpanId};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use serde::{Deserialize, Serialize};
use setup::{Setup, until_processed};
use tracing::{Instrument, info, info_span};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

// A trace comes as two more fields, and disturbs not even this.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Basket {
    customer: String,
    cents: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Invoice {
    customer: String,
    number: u64,
}

static PRINTER_IS_BUSY: AtomicBool = AtomicBool::new(true);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("shop"));
    tracing_subscriber::registry().with(layer.with_filter(LevelFilter::INFO)).init();
    let setup = Setup::find().await;

    let pause = Duration::from_millis(10);
    let till = Consumer::builder("baskets", "till").retry(RetryPolicy::exponential(pause, pause)).handler(handler_fn(
        async |basket: Basket, tx: &mut Transaction| {
            info!(cents = basket.cents, "an invoice is due");
            if PRINTER_IS_BUSY.swap(false, Ordering::SeqCst) {
                return Err("the printer is busy".into());
            }
            // The entry is stamped with this span, as that is the current one.
            let invoice = Invoice { customer: basket.customer, number: 1 };
            info_span!("print", otel.name = "print an invoice").in_scope(|| tx.publish("invoices", &invoice))?;
            Ok(())
        },
    ));
    let till = setup.connect(till).spawn().await?;
    let mail =
        Consumer::builder("invoices", "mail").handler(handler_fn(async |invoice: Invoice, _: &mut Transaction| {
            info!(invoice.customer, invoice.number, "an invoice is sent");
            Ok(())
        }));
    let mail = setup.connect(mail).spawn().await?;

    let producer = setup.producer()?;
    let basket = Basket { customer: "ada".to_owned(), cents: 1_250 };
    let id = producer.publish("baskets", &basket).instrument(info_span!("checkout")).await?;
    println!("added a basket as {id}");

    until_processed(&mail, 1).await;
    for consumer in [till, mail] {
        consumer.shutdown().await?;
    }
    provider.force_flush()?;
    let spans = exporter.get_finished_spans()?;
    for stream in ["baskets", "invoices"] {
        println!("{stream}: traceparent = {}", setup.read(stream).await?[0]["traceparent"]);
    }
    let checkout = spans.iter().find(|span| span.name == "checkout").ok_or("there is no trace")?;
    println!("trace {}", checkout.span_context.trace_id());
    print(&spans, SpanId::INVALID, 1);
    let is_one = spans.iter().all(|span| span.span_context.trace_id() == checkout.span_context.trace_id());
    println!("{} spans, {}", spans.len(), if is_one { "all of one trace" } else { "of several traces" });
    Ok(())
}

/// Prints the children of a span, each with what came of it.
fn print(spans: &[SpanData], parent: SpanId, depth: usize) {
    let mut children: Vec<_> = spans.iter().filter(|span| span.parent_span_id == parent).collect();
    children.sort_by_key(|span| span.start_time);
    for span in children {
        let kind = match span.span_kind {
            SpanKind::Internal => String::new(),
            ref kind => format!(" [{kind:?}]"),
        };
        let attempt = attribute(&span.attributes, "attempt").map(|attempt| format!(", attempt {attempt}"));
        let group = attribute(&span.attributes, "messaging.consumer.group.name").map(|group| format!(" by {group}"));
        let failed = match &span.status {
            Status::Error { description } => format!(": {description}"),
            _ => String::new(),
        };
        let what = [group, attempt, Some(failed)].into_iter().flatten().collect::<String>();
        println!("{}{}{kind}{what}", "  ".repeat(depth), span.name);
        print(spans, span.span_context.span_id(), depth + 1);
    }
}

fn attribute(attributes: &[KeyValue], name: &str) -> Option<String> {
    attributes.iter().find(|attribute| attribute.key.as_str() == name).map(|attribute| attribute.value.to_string())
}

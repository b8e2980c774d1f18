//! A layer that keeps what the library tells on this thread, which is all that it tells for the test.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use support::eventually;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// Names and values of a span or an event, as text.
pub(crate) type Values = BTreeMap<&'static str, String>;

/// A span that was opened.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    pub(crate) name: &'static str,
    pub(crate) target: &'static str,
    pub(crate) level: Level,
    pub(crate) values: Values,
    /// Its place among all spans.
    pub(crate) parent: Option<usize>,
    pub(crate) entered: usize,
    pub(crate) is_closed: bool,
}

/// An event that was told.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) name: &'static str,
    pub(crate) target: &'static str,
    pub(crate) level: Level,
    /// All but the message.
    pub(crate) values: Values,
    pub(crate) message: String,
    /// The place of the innermost span around it.
    pub(crate) span: Option<usize>,
}

#[derive(Default)]
struct Heard {
    spans: Vec<Opened>,
    events: Vec<Told>,
}

/// What was heard since it began to listen.
pub(crate) struct Listener {
    heard: Arc<Mutex<Heard>>,
    _guard: Box<dyn Any>,
}

impl Listener {
    /// Listens to everything on this thread until it is dropped.
    pub(crate) fn start() -> Self {
        Self::up_to(Level::TRACE)
    }

    /// Listens to what is as important as this or more.
    pub(crate) fn up_to(level: Level) -> Self {
        let heard = Arc::new(Mutex::default());
        let layer = Keeper(Arc::clone(&heard));
        let level = tracing_subscriber::filter::LevelFilter::from_level(level);
        let guard = Registry::default().with(layer.with_filter(level)).set_default();
        Self { heard, _guard: Box::new(guard) }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The span at this place among all.
    pub(crate) fn span(&self, place: usize) -> Opened {
        self.heard().spans[place].clone()
    }

    /// All spans of this name that are closed, with their places.
    pub(crate) fn spans(&self, name: &str) -> Vec<(usize, Opened)> {
        let heard = self.heard();
        let all = heard.spans.iter().cloned().enumerate();
        all.filter(|(_, span)| span.name == name && span.is_closed).collect()
    }

    /// Waits until so many spans of this name are closed.
    pub(crate) async fn closed(&self, name: &str, spans: usize) -> Vec<(usize, Opened)> {
        eventually(&format!("{spans} spans `{name}` are closed"), async || self.spans(name).len() >= spans).await;
        let closed = self.spans(name);
        assert_eq!(closed.len(), spans, "{closed:#?}");
        closed
    }

    /// The events that the library told, or another crate whose targets begin so.
    pub(crate) fn events(&self, target: &str) -> Vec<Told> {
        self.heard().events.iter().filter(|event| event.target.starts_with(target)).cloned().collect()
    }

    /// Waits for the first event with this message.
    pub(crate) async fn event_of(&self, message: &str) -> Told {
        let of_message = async || self.heard().events.iter().find(|event| event.message == message).cloned();
        eventually(&format!("an event that says `{message}`"), of_message).await
    }

    /// Waits for the first event of this name.
    pub(crate) async fn event(&self, name: &str) -> Told {
        let of_name = async || self.heard().events.iter().find(|event| event.name == name).cloned();
        eventually(&format!("an event `{name}`"), of_name).await
    }
}

struct Keeper(Arc<Mutex<Heard>>);

impl Keeper {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a span stands among all.
struct Place(usize);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Keeper {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let span = context.span(id).expect("the new span");
        let parent = span.parent().and_then(|parent| parent.extensions().get::<Place>().map(|place| place.0));
        let metadata = attributes.metadata();
        let mut opened = Opened {
            name: metadata.name(),
            target: metadata.target(),
            level: *metadata.level(),
            values: Values::new(),
            parent,
            entered: 0,
            is_closed: false,
        };
        attributes.record(&mut Reading(&mut opened.values));
        let mut heard = self.heard();
        span.extensions_mut().insert(Place(heard.spans.len()));
        heard.spans.push(opened);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(place) = place(&context, id) {
            values.record(&mut Reading(&mut self.heard().spans[place].values));
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if let Some(place) = place(&context, id) {
            self.heard().spans[place].entered += 1;
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if let Some(place) = place(&context, &id) {
            self.heard().spans[place].is_closed = true;
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut values = Values::new();
        event.record(&mut Reading(&mut values));
        let metadata = event.metadata();
        let span = context.event_span(event).and_then(|span| span.extensions().get::<Place>().map(|place| place.0));
        let message = values.remove("message").unwrap_or_default();
        let told =
            Told { name: metadata.name(), target: metadata.target(), level: *metadata.level(), values, message, span };
        self.heard().events.push(told);
    }
}

fn place<S: Subscriber + for<'a> LookupSpan<'a>>(context: &Context<'_, S>, id: &Id) -> Option<usize> {
    context.span(id)?.extensions().get::<Place>().map(|place| place.0)
}

struct Reading<'a>(&'a mut Values);

impl Visit for Reading<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

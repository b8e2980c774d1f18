//! `traceparent` and `tracestate`: reading and writing.

use std::str::FromStr;

use opentelemetry::trace::{SpanContext, TraceState};
use opentelemetry::{SpanId, TraceFlags, TraceId};

use crate::entry::{Fields, TRACEPARENT, TRACESTATE};

/// Longer ones are dropped, as the recommendation allows.
const MAX_STATE_BYTES: usize = 512;

/// Where an entry came from; `None` if it does not say so, or not as it should.
pub(super) fn read(fields: &Fields) -> Option<SpanContext> {
    let (trace, span, flags) = read_parent(fields.get_str(TRACEPARENT)?)?;
    let state = fields.get_str(TRACESTATE).filter(|state| state.len() <= MAX_STATE_BYTES);
    // What is wrong with the state is no reason to lose the trace.
    let state = state.and_then(|state| TraceState::from_str(state).ok()).unwrap_or_default();
    let context = SpanContext::new(trace, span, flags & TraceFlags::SAMPLED, true, state);
    context.is_valid().then_some(context)
}

/// `VERSION-TRACE-SPAN-FLAGS` in lowercase hexadecimal. Later versions may have more behind it.
fn read_parent(text: &str) -> Option<(TraceId, SpanId, TraceFlags)> {
    let mut parts = text.splitn(5, '-');
    let mut part = |length: usize| {
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        parts.next().filter(|part| part.len() == length && part.bytes().all(is_hex))
    };
    let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
    if version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
    Some((TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?, flags))
}

/// Adds a context to an entry that has none, as far as there is room. One that is not valid adds nothing.
pub(super) fn write(context: &SpanContext, fields: &mut Fields, most: usize) {
    if !context.is_valid() || fields.get(TRACEPARENT).is_some() || fields.len() >= most {
        return;
    }
    let flags = context.trace_flags() & TraceFlags::SAMPLED;
    fields.push(TRACEPARENT, format!("00-{}-{}-{flags:02x}", context.trace_id(), context.span_id()));
    let state = context.trace_state().header();
    let fits = !state.is_empty() && state.len() <= MAX_STATE_BYTES && fields.len() < most;
    if fits && fields.get(TRACESTATE).is_none() {
        fields.push(TRACESTATE, state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn entry(parent: &str, state: &str) -> Fields {
        [("n", "1"), (TRACEPARENT, parent), (TRACESTATE, state)].into_iter().collect()
    }

    #[test]
    fn what_is_written_is_read_again() {
        for (parent, state) in [(PARENT, "a=1,b@c=2"), (&PARENT.replace("-01", "-00"), "a=1")] {
            let context = read(&entry(parent, state)).unwrap();
            assert!(context.is_remote());
            let mut fields: Fields = [("n", "1")].into_iter().collect();
            write(&context, &mut fields, usize::MAX);
            assert_eq!(fields, entry(parent, state));
        }
    }

    #[test]
    fn later_versions_and_unknown_flags_are_read() {
        for parent in [
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-is-to-come",
        ] {
            let context = read(&entry(parent, "")).unwrap();
            assert_eq!(context.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
            assert_eq!(
                (context.span_id().to_string().as_str(), context.trace_flags().to_u8()),
                ("b7ad6b7169203331", 1)
            );
        }
    }

    #[test]
    fn what_is_malformed_is_as_none() {
        let cut = &PARENT[..54];
        let long = format!("{PARENT}0");
        for parent in [
            "",
            "-",
            cut,
            &long,
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
            " 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(read(&entry(parent, "a=1")), None, "{parent:?}");
        }
        let mut fields = Fields::new();
        fields.push(TRACEPARENT, [0xff; 55]);
        assert_eq!(read(&fields), None);
        assert_eq!(read(&Fields::new()), None);
    }

    #[test]
    fn a_broken_state_does_not_lose_the_trace() {
        let huge = format!("a={}", "x".repeat(200));
        let huge = [huge.as_str(); 5].join(",");
        for state in ["", "nothing", "A=1", &huge] {
            let context = read(&entry(PARENT, state)).unwrap();
            assert_eq!(context.trace_state().header(), "", "{state:?}");
        }
    }

    #[test]
    fn what_an_entry_has_stays_and_no_bound_is_passed() {
        let context = read(&entry(PARENT, "a=1")).unwrap();
        for own in [entry("own", "own"), [(TRACEPARENT, "own")].into_iter().collect()] {
            let mut fields = own.clone();
            write(&context, &mut fields, usize::MAX);
            assert_eq!(fields, own);
        }
        let names = |most| {
            let mut fields: Fields = [("a", ""), ("b", "")].into_iter().collect();
            write(&context, &mut fields, most);
            fields.len()
        };
        assert_eq!([1, 2, 3, 4, 5].map(names), [2, 2, 3, 4, 4]);
        let mut fields: Fields = [("a", "")].into_iter().collect();
        write(&SpanContext::empty_context(), &mut fields, usize::MAX);
        assert_eq!(fields.len(), 1);
    }
}

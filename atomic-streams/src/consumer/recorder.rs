//! The handles by which figures are shown to a recorder of the `metrics` facade; without the feature, nothing.

/// Whose figures they are.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "metrics"), expect(dead_code, reason = "nobody is shown them"))]
pub(super) struct Labels<'a> {
    pub stream: &'a str,
    pub group: &'a str,
}

#[cfg(feature = "metrics")]
mod handles {
    use metrics::Label;
    pub(in crate::consumer) use metrics::{Counter, Gauge, Histogram as Samples};

    use super::Labels;
    use crate::metrics::{GROUP, REASON, STREAM};

    impl Labels<'_> {
        fn all(&self, reason: Option<&'static str>) -> Vec<Label> {
            let own = [Label::new(STREAM, self.stream.to_owned()), Label::new(GROUP, self.group.to_owned())];
            own.into_iter().chain(reason.map(|reason| Label::new(REASON, reason))).collect()
        }

        pub fn counter(&self, name: &'static str, reason: Option<&'static str>) -> Counter {
            metrics::counter!(name, self.all(reason))
        }

        pub fn gauge(&self, name: &'static str) -> Gauge {
            metrics::gauge!(name, self.all(None))
        }

        pub fn samples(&self, name: &'static str) -> Samples {
            metrics::histogram!(name, self.all(None))
        }
    }
}

#[cfg(not(feature = "metrics"))]
mod handles {
    use super::Labels;

    #[derive(Clone, Debug)]
    pub(in crate::consumer) struct Counter;

    impl Counter {
        pub fn increment(&self, _: u64) {}
    }

    #[derive(Clone, Debug)]
    pub(in crate::consumer) struct Gauge;

    impl Gauge {
        pub fn set(&self, _: f64) {}
    }

    #[derive(Clone, Debug)]
    pub(in crate::consumer) struct Samples;

    impl Samples {
        pub fn record(&self, _: f64) {}
    }

    impl Labels<'_> {
        pub fn counter(&self, _: &'static str, _: Option<&'static str>) -> Counter {
            Counter
        }

        pub fn gauge(&self, _: &'static str) -> Gauge {
            Gauge
        }

        pub fn samples(&self, _: &'static str) -> Samples {
            Samples
        }
    }
}

pub(super) use handles::{Counter, Gauge, Samples};

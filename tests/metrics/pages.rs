//! What the documentation says of the metrics is what the code has.

use std::collections::BTreeSet;
use std::path::Path;

use atomic_streams::metrics::{self as names, Kind, Metric};
use serde_json::Value;

use crate::meter::Meter;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// All names of metrics of this library in a text.
fn named(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !is_part(c)).filter(|word| word.starts_with("atomic_streams_")).collect()
}

/// The metric behind a series.
fn metric(series: &str) -> Option<&'static Metric> {
    let of = |name: &str| names::ALL.iter().find(|metric| metric.name == name);
    let part = || ["_bucket", "_sum", "_count"].iter().find_map(|part| series.strip_suffix(part));
    match of(series) {
        Some(metric) => (metric.kind != Kind::Histogram).then_some(metric),
        None => of(part()?).filter(|metric| metric.kind == Kind::Histogram),
    }
}

fn labels(metric: &Metric) -> String {
    let has_reason = [names::VANISHED, names::RECOVERIES].contains(&metric.name);
    let labels = [names::STREAM, names::GROUP].into_iter().chain(has_reason.then_some(names::REASON));
    labels.map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ")
}

#[test]
fn names_say_what_is_measured() {
    for Metric { name, kind, unit, .. } in names::ALL {
        assert_eq!(kind == Kind::Counter, name.ends_with("_total"), "{name}");
        assert_eq!(unit.as_str() == "seconds", name.ends_with("_seconds"), "{name}");
        assert_eq!(unit.as_str() == "bytes", name.ends_with("_bytes"), "{name}");
    }
    assert_eq!(names::ALL.map(|metric| metric.name).iter().collect::<BTreeSet<_>>().len(), names::ALL.len());
}

#[test]
fn the_table_in_the_documentation_is_that_of_the_code() {
    let page = read("docs/metrics.md");
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| `atomic_streams_"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).take(4).collect())
        .collect();
    let expected: Vec<Vec<String>> = names::ALL
        .iter()
        .map(|metric| {
            let kind = format!("{:?}", metric.kind).to_lowercase();
            vec![format!("`{}`", metric.name), kind, metric.unit.as_str().to_owned(), labels(metric)]
        })
        .collect();
    assert_eq!(rows, expected);
}

#[test]
fn no_page_names_a_metric_that_there_is_not() {
    for path in ["docs/metrics.md", "docs/keda.md", "README.md", "CHANGELOG.md", "examples/prometheus.rs"] {
        for series in named(&read(path)) {
            let exists = metric(series).is_some() || names::ALL.iter().any(|metric| metric.name == series);
            assert!(exists, "{path} names {series}");
        }
    }
}

#[test]
fn every_query_of_the_dashboard_asks_for_metrics_that_there_are() {
    let dashboard: Value = serde_json::from_str(&read("docs/grafana-dashboard.json")).unwrap();
    assert_eq!(dashboard["id"], Value::Null, "it is imported, not overwritten");
    let (mut queries, mut shown) = (0, BTreeSet::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().unwrap();
            queries += 1;
            assert!(!named(query).is_empty(), "{query}");
            for series in named(query) {
                let metric = metric(series).unwrap_or_else(|| panic!("{series} does not exist: {query}"));
                assert!(query.contains(&format!("{series}{{stream=~\"$stream\", group=~\"$group\"")), "{query}");
                let is_counted = metric.kind == Kind::Gauge
                    || query.contains(&format!("rate({series}"))
                    || query.contains(&format!("increase({series}"));
                assert!(is_counted, "a counter is shown as it is: {query}");
                shown.insert(metric.name);
            }
            let depth = query.chars().fold(0_i32, |depth, c| match c {
                '(' | '{' | '[' => depth + 1,
                ')' | '}' | ']' => depth - 1,
                _ => depth,
            });
            assert_eq!(depth, 0, "{query}");
        }
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        for series in named(&variable["query"].to_string()) {
            assert!(metric(series).is_some(), "{series}");
        }
    }
    assert!(queries >= 12, "{queries}");
    let missing: Vec<&str> = names::ALL.iter().map(|it| it.name).filter(|name| !shown.contains(name)).collect();
    assert_eq!(missing, Vec::<&str>::new(), "no panel shows these");
}

#[test]
fn a_recorder_is_told_what_each_metric_means() {
    let meter = Meter::new();
    let listening = meter.listen();
    names::describe();
    for Metric { name, kind, .. } in names::ALL {
        // Only what has a value is written.
        match kind {
            Kind::Counter => metrics::counter!(name).increment(1),
            Kind::Gauge => metrics::gauge!(name).set(1.0),
            Kind::Histogram => metrics::histogram!(name).record(1.0),
        }
    }
    drop(listening);
    let text = meter.text();
    for Metric { name, kind, meaning, .. } in names::ALL {
        let kind = format!("{kind:?}").to_lowercase();
        for line in [format!("# HELP {name} {meaning}"), format!("# TYPE {name} {kind}")] {
            assert!(text.lines().any(|it| it == line), "{line} is missing:\n{text}");
        }
    }
}

//! Times and spans: UTC in RFC 3339, and how long ago.

use jiff::Timestamp;

/// A time in ms as `2026-11-28T20:08:37.123Z`; one that no calendar has, as it is.
pub fn rfc3339(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    time.map_or_else(|| format!("{ms} ms"), |time| format!("{time:.3}"))
}

/// A time in ms as people read it: `2026-11-28T20:08:37Z (3 min ago)`.
pub fn with_age(ms: u64, now_ms: u64) -> String {
    let time = i64::try_from(ms / 1_000).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    let time = time.map_or_else(|| format!("{ms} ms"), |time| time.to_string());
    format!("{time} ({})", age(ms, now_ms))
}

/// How long ago: `3 min ago`.
pub fn age(ms: u64, now_ms: u64) -> String {
    match now_ms.checked_sub(ms) {
        Some(ago) => format!("{} ago", span(ago)),
        // Clocks differ a little.
        None if ms - now_ms < 1_000 => "now".to_owned(),
        None => format!("in {}", span(ms - now_ms)),
    }
}

/// A span of ms in its largest unit: `820 ms`, `12 s`, `3 min`, `5 h`, `12 d`.
pub fn span(ms: u64) -> String {
    const SECOND: u64 = 1_000;
    const MINUTE: u64 = 60 * SECOND;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match ms {
        0..SECOND => format!("{ms} ms"),
        SECOND..MINUTE => format!("{} s", ms / SECOND),
        MINUTE..HOUR => format!("{} min", ms / MINUTE),
        HOUR..=172_800_000 => format!("{} h", ms / HOUR),
        _ => format!("{} d", ms / DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_and_say_how_long_ago() {
        assert_eq!(rfc3339(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(u64::MAX), "18446744073709551615 ms");
        assert_eq!(with_age(1_700_000_000_123, 1_700_000_185_000), "2023-11-14T22:13:20Z (3 min ago)");
        assert_eq!(age(2_500, 2_000), "now");
        assert_eq!(age(12_000, 2_000), "in 10 s");
    }

    #[test]
    fn a_span_is_in_its_largest_unit() {
        let spans = [999, 1_000, 59_999, 60_000, 3_600_000, 172_800_000, 172_800_001];
        assert_eq!(spans.map(span), ["999 ms", "1 s", "59 s", "1 min", "1 h", "48 h", "2 d"]);
    }
}

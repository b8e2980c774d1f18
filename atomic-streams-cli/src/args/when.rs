//! Places in a stream, times and spans, as people write them.

use std::str::FromStr;
use std::time::Duration;

use atomic_streams::EntryId;
use atomic_streams::admin::Position;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, SpanRelativeTo, Timestamp};

/// `start`, `end`, or behind an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Start,
    End,
    After(EntryId),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "start" => Ok(Self::Start),
            "end" => Ok(Self::End),
            id => id
                .parse()
                .map(Self::After)
                .map_err(|_| "write `start`, `end` or an entry ID such as 1700000000000-0".into()),
        }
    }
}

impl From<Place> for Position {
    fn from(place: Place) -> Self {
        match place {
            Place::Start => Self::Beginning,
            Place::End => Self::End,
            Place::After(id) => Self::After(id),
        }
    }
}

/// A time in ms since 1970: a date, a date and a time (in UTC, unless it says otherwise), ms as in an entry's ID, or a span
/// before now.
pub fn time_ms(text: &str) -> Result<u64, String> {
    time_before(text, Timestamp::now())
}

fn time_before(text: &str, now: Timestamp) -> Result<u64, String> {
    let utc = |time: DateTime| TimeZone::UTC.to_timestamp(time).ok();
    let time = if text.len() > 11 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok().and_then(|ms| Timestamp::from_millisecond(ms).ok())
    } else if let Ok(time) = text.parse::<Timestamp>() {
        Some(time)
    } else if let Ok(time) = text.parse::<DateTime>() {
        utc(time)
    } else if let Ok(date) = text.parse::<Date>() {
        utc(date.to_datetime(jiff::civil::Time::midnight()))
    } else {
        let ago = text.strip_suffix("ago").unwrap_or(text).trim();
        span(ago).ok().and_then(|ago| now.checked_sub(ago).ok())
    };
    if time.is_some_and(|time| time.as_millisecond() < 0) {
        return Err("no entry is from before 1970".into());
    }
    time.and_then(|time| u64::try_from(time.as_millisecond()).ok()).ok_or_else(|| {
        "write a time such as 2026-11-27, 2026-11-27T08:30, 2026-11-27T08:30:00Z, or how long ago: 90s, 15min, 3h, 2d".into()
    })
}

/// A span of time: `500ms`, `90s`, `15min`, `3h`, `7d`, `2w`, or several of them.
pub fn span(text: &str) -> Result<Duration, String> {
    let spelt = || "write a span of time such as 500ms, 90s, 15min, 3h, 7d or 2w".to_owned();
    // ISO 8601 is for machines, and `P1M` of unknown length.
    if text.starts_with(['P', 'p', '-', '+']) {
        return Err(spelt());
    }
    let span: Span = text.parse().map_err(|_| spelt())?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| spelt())?;
    Duration::try_from(duration).map_err(|_| spelt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_end_or_an_entry() {
        assert_eq!("start".parse(), Ok(Place::Start));
        assert_eq!("5-1".parse(), Ok(Place::After(EntryId::new(5, 1))));
        assert!("beginning".parse::<Place>().unwrap_err().contains("`start`, `end`"));
    }

    #[test]
    fn times_are_utc_unless_they_say_otherwise() {
        let now = Timestamp::from_millisecond(1_700_000_000_000).unwrap();
        for (text, ms) in [
            ("2023-11-14", 1_699_920_000_000),
            ("2023-11-14T22:13", 1_699_999_980_000),
            ("2023-11-14 22:13:20", 1_700_000_000_000),
            ("2023-11-14T22:13:20.500Z", 1_700_000_000_500),
            ("2023-11-14T23:13:20+01:00", 1_700_000_000_000),
            ("1699999999999", 1_699_999_999_999),
            ("90s", 1_699_999_910_000),
            ("15 min ago", 1_699_999_100_000),
            ("1d", 1_699_913_600_000),
            ("1h30m", 1_699_994_600_000),
        ] {
            assert_eq!(time_before(text, now), Ok(ms), "{text}");
        }
        for text in ["", "yesterday", "7", "-3h", "P1D", "1 month ago", "99999999999999999999", "2023-13-01"] {
            assert!(time_before(text, now).unwrap_err().contains("write a time"), "{text}");
        }
        for text in ["1969-01-01", "0001-01-01T00:00:00Z"] {
            assert!(time_before(text, now).unwrap_err().contains("before 1970"), "{text}");
        }
    }

    #[test]
    fn a_span_has_a_unit_of_known_length() {
        for (text, ms) in [("500ms", 500), ("90s", 90_000), ("2w", 1_209_600_000), ("7 days", 604_800_000)] {
            assert_eq!(span(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "7", "1mo", "1y", "-1s", "PT1S", "x"] {
            assert!(span(text).is_err(), "{text}");
        }
    }
}

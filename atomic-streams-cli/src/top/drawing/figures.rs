//! Figures in few columns.

/// A count in at most five columns: `9999`, `12.3k`, `4.56M`.
pub(super) fn count(number: u64) -> String {
    const UNITS: [(u64, &str); 6] = [
        (1_000_000_000_000_000_000, "E"),
        (1_000_000_000_000_000, "P"),
        (1_000_000_000_000, "T"),
        (1_000_000_000, "G"),
        (1_000_000, "M"),
        (1_000, "k"),
    ];
    if number < 10_000 {
        return number.to_string();
    }
    let (unit, letter) = UNITS.into_iter().find(|(unit, _)| number >= *unit).unwrap_or((1, ""));
    // Cut, not rounded: what is shown was reached.
    let (whole, thousandths) = (number / unit, number % unit / (unit / 1_000).max(1));
    match whole {
        0..10 => format!("{whole}.{:02}{letter}", thousandths / 10),
        10..100 => format!("{whole}.{:01}{letter}", thousandths / 100),
        _ => format!("{whole}{letter}"),
    }
}

/// A rate in at most five columns; one that is not nothing does not look like nothing.
pub(super) fn rate(per_second: f64) -> String {
    if per_second <= 0.0 {
        "0".to_owned()
    } else if per_second < 0.01 {
        "<0.01".to_owned()
    } else if per_second < 1.0 {
        format!("{per_second:.2}")
    } else if per_second < 99.95 {
        format!("{per_second:.1}")
    } else {
        count(per_second.round() as u64)
    }
}

/// A number with its thousands apart: `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in units of 1,024.
pub(super) fn bytes(number: u64) -> String {
    match number {
        0..1_024 => format!("{number} bytes"),
        1_024..1_048_576 => format!("{:.1} KiB", number as f64 / 1_024.0),
        _ => format!("{:.1} MiB", number as f64 / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_takes_five_columns_at_most() {
        let counts = [0, 9_999, 10_000, 12_345, 999_999, 1_000_000, 4_567_890, 123_456_789, 12_345_678_901, u64::MAX];
        let texts = ["0", "9999", "10.0k", "12.3k", "999k", "1.00M", "4.56M", "123M", "12.3G", "18.4E"];
        assert_eq!(counts.map(count), texts);
        for shift in 0..64 {
            for number in [1_u64 << shift, (1 << shift) - 1, 10_u64.saturating_pow(shift)] {
                assert!(count(number).len() <= 5, "{number}: {}", count(number));
            }
        }
    }

    #[test]
    fn a_rate_takes_five_columns_at_most() {
        let rates = [0.0, 0.000_1, 0.25, 1.0, 12.34, 99.94, 99.96, 1_234.4, 45_678.0];
        assert_eq!(rates.map(rate), ["0", "<0.01", "0.25", "1.0", "12.3", "99.9", "100", "1234", "45.6k"]);
        assert_eq!(rate(f64::INFINITY).len(), 5);
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([12, 1_536, 5 << 20].map(bytes), ["12 bytes", "1.5 KiB", "5.0 MiB"]);
    }
}

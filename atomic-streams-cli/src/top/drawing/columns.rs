//! The columns of the list, and which of them a screen has room for.

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Stream,
    Group,
    State,
    Owner,
    Rate,
    Lag,
    Behind,
    Trend,
    Trying,
    Letters,
    Parked,
    Trimmed,
}

use Column::{Behind, Group, Lag, Letters, Owner, Parked, Rate, State, Stream, Trend, Trimmed, Trying};

/// From left to right.
const ORDER: [Column; 12] = [Stream, Group, State, Owner, Rate, Lag, Behind, Trend, Trying, Letters, Parked, Trimmed];

/// The first is dropped last.
const PRIORITY: [Column; 12] =
    [Stream, State, Lag, Group, Behind, Rate, Letters, Owner, Trying, Trend, Trimmed, Parked];

/// Columns that share what is left over, as far as their texts need it; the trend gets the rest.
const STRETCHED: [Column; 4] = [Stream, Group, Owner, Trying];

const MAX_TREND: u16 = 36;

const GAP: u16 = 1;

impl Column {
    pub fn title(self) -> &'static str {
        match self {
            Stream => "STREAM",
            Group => "GROUP",
            State => "STATE",
            Owner => "OWNER",
            Rate => "RATE/S",
            Lag => "LAG",
            Behind => "BEHIND",
            Trend => "TREND",
            Trying => "TRYING",
            Letters => "LETTERS",
            Parked => "PARKED",
            Trimmed => "TRIMMED",
        }
    }

    /// The least that it is of use with.
    fn least(self) -> u16 {
        match self {
            Stream => 9,
            Group | Trend => 8,
            State | Owner => 9,
            Trying => 11,
            Rate | Lag | Behind | Parked => 6,
            Letters | Trimmed => 7,
        }
    }

    /// The most that it has a use for, with texts that are so wide.
    fn most(self, text: u16) -> u16 {
        match self {
            Stream | Group | Owner => text.clamp(self.least(), 40),
            Trying => text.clamp(self.least(), 30),
            other => other.least(),
        }
    }

    pub fn is_right(self) -> bool {
        matches!(self, Rate | Lag | Behind | Letters | Parked | Trimmed)
    }
}

/// A column where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub column: Column,
    pub x: u16,
    pub width: u16,
}

/// The columns for a screen of this width; `text` says how wide the texts of a column are.
pub(super) fn places(width: u16, text: impl Fn(Column) -> u16) -> Vec<Place> {
    let mut widths: Vec<(Column, u16)> = Vec::new();
    let mut left = width;
    for column in PRIORITY {
        let needed = column.least() + if widths.is_empty() { 0 } else { GAP };
        if needed > left {
            if widths.is_empty() && width > 0 {
                widths.push((column, width));
                left = 0;
            }
            break;
        }
        left -= needed;
        widths.push((column, column.least()));
    }
    let mut is_done = false;
    while left > 0 && !is_done {
        is_done = true;
        for (column, width) in widths.iter_mut().filter(|(column, _)| STRETCHED.contains(column)) {
            if left > 0 && *width < column.most(text(*column)) {
                *width += 1;
                left -= 1;
                is_done = false;
            }
        }
    }
    if let Some((_, width)) = widths.iter_mut().find(|(column, _)| *column == Trend) {
        *width += left.min(MAX_TREND - *width);
    }
    let mut x = 0;
    let in_order = ORDER.iter().filter_map(|column| widths.iter().find(|(each, _)| each == column));
    in_order
        .map(|(column, width)| {
            let place = Place { column: *column, x, width: *width };
            x += width + GAP;
            place
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fill_no_more_than_the_screen_and_never_overlap() {
        for width in 0..300 {
            for text in [0, 12, 200] {
                let places = places(width, |_| text);
                assert_eq!(places.is_empty(), width == 0);
                for pair in places.windows(2) {
                    assert!(pair[0].x + pair[0].width < pair[1].x, "{width}: {places:?}");
                }
                assert!(places.last().is_none_or(|last| last.x + last.width <= width), "{width}: {places:?}");
                assert!(places.iter().all(|place| place.width > 0));
            }
        }
    }

    #[test]
    fn the_less_room_the_fewer_columns() {
        let columns = |width| places(width, |_| 10).iter().map(|place| place.column).collect::<Vec<_>>();
        assert_eq!(columns(200), ORDER);
        assert_eq!(columns(80), [Stream, Group, State, Owner, Rate, Lag, Behind, Trying, Letters]);
        assert_eq!(columns(40), [Stream, Group, State, Lag]);
        assert_eq!(columns(3), [Stream]);
        for width in 1..200 {
            assert!(columns(width).len() >= columns(width - 1).len());
        }
    }

    #[test]
    fn long_names_get_what_is_left_over() {
        let of = |column, width| places(width, |_| 25).iter().find(|place| place.column == column).unwrap().width;
        assert_eq!((of(Stream, 120), of(Group, 120), of(Owner, 120)), (14, 12, 13), "equal shares");
        assert_eq!((of(Stream, 200), of(Group, 200), of(Owner, 200), of(Trend, 200)), (25, 25, 25, 36));
    }
}

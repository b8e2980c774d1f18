//! Which line of the screen is for what.

/// Lines and columns of a screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub width: u16,
    pub height: u16,
}

/// How many lines each part gets, from the top on. What matters least goes first on a small screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lines {
    pub header: u16,
    pub banner: u16,
    pub titles: u16,
    pub body: u16,
    pub footer: u16,
}

impl Lines {
    /// `titles`: the body is a list, which has titles.
    pub fn of(height: u16, has_banner: bool, has_titles: bool) -> Self {
        let mut left = height;
        let mut take = |is_wanted: bool| {
            let taken = u16::from(is_wanted && left > 0);
            left -= taken;
            taken
        };
        let banner = take(has_banner);
        let header = take(true);
        // One line of the body before what is around it.
        let first = take(true);
        let footer = take(true);
        let titles = take(has_titles);
        Self { header, banner, titles, body: first + left, footer }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lines_are_given_away_and_none_twice() {
        for height in 0..60 {
            for (has_banner, has_titles) in [(false, false), (false, true), (true, false), (true, true)] {
                let Lines { header, banner, titles, body, footer } = Lines::of(height, has_banner, has_titles);
                assert_eq!(header + banner + titles + body + footer, height);
                assert!(has_banner || banner == 0);
                assert!(has_titles || titles == 0);
            }
        }
        let small = Lines { header: 1, banner: 0, titles: 0, body: 1, footer: 0 };
        assert_eq!(Lines::of(2, false, true), small);
        assert_eq!(Lines::of(2, true, true), Lines { banner: 1, body: 0, ..small }, "what is wrong comes first");
        assert_eq!(Lines::of(24, true, true), Lines { header: 1, banner: 1, titles: 1, body: 20, footer: 1 });
    }
}

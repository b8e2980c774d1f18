//! Figures over time, as bars.

use super::pen::Pen;

/// One line: each figure as a bar, in relation to the highest. Blank where there is none.
pub(super) fn bars(figures: &[Option<u64>], pen: Pen) -> String {
    let highest = highest(figures);
    figures
        .iter()
        .map(|figure| figure.map_or(" ", |figure| pen.bars()[eighths(figure, highest, 1).saturating_sub(1)]))
        .collect()
}

/// Several lines, from the top on. What is not nothing is never blank.
pub(super) fn plot(figures: &[Option<u64>], rows: usize, pen: Pen) -> Vec<String> {
    let highest = highest(figures);
    let line = |row: usize| {
        let below = (rows - 1 - row) * 8;
        let cell = |figure: &Option<u64>| match figure.map(|figure| eighths(figure, highest, rows)) {
            None => " ",
            Some(height) => match height.saturating_sub(below) {
                0 => " ",
                part => pen.bars()[part.min(8) - 1],
            },
        };
        figures.iter().map(cell).collect()
    };
    (0..rows).map(line).collect()
}

pub(super) fn highest(figures: &[Option<u64>]) -> u64 {
    figures.iter().flatten().copied().max().unwrap_or(0)
}

/// How high a bar is: 1 where there is anything at all to show, 8 for each row at the highest.
fn eighths(figure: u64, highest: u64, rows: usize) -> usize {
    if highest == 0 {
        return 1;
    }
    let most = rows as u128 * 8;
    let part = (u128::from(figure) * most).div_ceil(u128::from(highest));
    usize::try_from(part).unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEN: Pen = Pen { colors: false, unicode: true };

    #[test]
    fn a_bar_is_as_high_as_its_part_of_the_highest() {
        assert_eq!(bars(&[Some(0), Some(1), Some(4), None, Some(8), Some(5)], PEN), "▁▁▄ █▅");
        assert_eq!(bars(&[Some(0), None, Some(0)], PEN), "▁ ▁");
        assert_eq!(bars(&[], PEN), "");
        assert_eq!(bars(&[Some(u64::MAX), Some(1)], PEN), "█▁");
        assert_eq!(bars(&[Some(0), Some(8)], Pen { colors: false, unicode: false }), ".#");
    }

    #[test]
    fn a_plot_is_bars_over_several_lines() {
        assert_eq!(plot(&[Some(0), Some(8), Some(16), None, Some(12)], 2, PEN), ["  █ ▄", "▁██ █"]);
        assert_eq!(plot(&[Some(1)], 0, PEN), Vec::<String>::new());
    }
}

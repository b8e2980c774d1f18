//! Colours and characters that the terminal has.

use ratatui::style::{Color, Modifier, Style};

/// How to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pen {
    /// The 16 colours of every terminal; without them, what matters is bold.
    pub colors: bool,
    /// More than ASCII.
    pub unicode: bool,
}

/// What a style means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hue {
    Plain,
    Good,
    Notable,
    Bad,
    Dim,
    Title,
    Selected,
    Banner,
}

impl Pen {
    pub fn style(self, hue: Hue) -> Style {
        let style = Style::new();
        let colored = |color: Color| if self.colors { style.fg(color) } else { style };
        match hue {
            Hue::Plain => style,
            Hue::Good => colored(Color::Green),
            Hue::Notable => colored(Color::Yellow),
            Hue::Bad => colored(Color::Red).add_modifier(Modifier::BOLD),
            Hue::Dim => style.add_modifier(Modifier::DIM),
            Hue::Title => style.add_modifier(Modifier::BOLD),
            Hue::Selected => style.add_modifier(Modifier::REVERSED),
            Hue::Banner if self.colors => style.fg(Color::White).bg(Color::Red).add_modifier(Modifier::BOLD),
            Hue::Banner => style.add_modifier(Modifier::REVERSED | Modifier::BOLD),
        }
    }

    /// Eight heights of a bar.
    pub fn bars(self) -> [&'static str; 8] {
        if self.unicode {
            ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"]
        } else {
            [".", ":", "-", "=", "+", "*", "%", "#"]
        }
    }

    pub fn times(self) -> &'static str {
        if self.unicode { "×" } else { "x" }
    }

    pub fn at_most(self) -> &'static str {
        if self.unicode { "≤" } else { "<" }
    }

    fn ellipsis(self) -> &'static str {
        if self.unicode { "…" } else { "~" }
    }

    /// A text on one line of at most so many columns.
    pub fn cut(self, text: &str, columns: usize) -> String {
        let text = crate::view::one_line(text);
        if width(&text) <= columns {
            return text;
        }
        let mut cut = String::new();
        let mut taken = 0;
        for character in text.chars() {
            let wide = width(character.encode_utf8(&mut [0; 4]));
            if taken + wide >= columns {
                break;
            }
            taken += wide;
            cut.push(character);
        }
        if columns > 0 {
            cut.push_str(self.ellipsis());
        }
        cut
    }
}

/// Columns that a text takes.
pub(crate) fn width(text: &str) -> usize {
    ratatui::text::Span::raw(text).width()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_to_its_columns_whatever_is_in_it() {
        let pen = Pen { colors: true, unicode: true };
        for text in
            ["", "short", "somewhat longer", "日本語の名前", "a\u{1b}[31mb\nc", "ünïcödé", "e\u{301}e\u{301}e\u{301}"]
        {
            for columns in 0..20 {
                let cut = pen.cut(text, columns);
                assert!(width(&cut) <= columns, "{text:?} in {columns}: {cut:?}");
                assert!(!cut.contains(char::is_control), "{cut:?}");
            }
        }
        assert_eq!(pen.cut("somewhat longer", 8), "somewha…");
        assert_eq!(Pen { colors: false, unicode: false }.cut("somewhat longer", 8), "somewha~");
        assert_eq!(pen.cut("日本語の名前", 6), "日本…");
    }
}

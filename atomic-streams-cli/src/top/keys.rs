//! What a key does.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::model::{Model, Place};

/// Characters that a filter has at most.
const MAX_FILTER: usize = 200;

/// What a key asks of the loop, besides what it changes in the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Quit,
    /// Give the terminal back until the process is continued.
    Suspend,
    /// Draw the whole screen anew.
    Redraw,
    /// Ask now: what is to be shown is another.
    Ask,
}

/// Does what the key says.
pub(crate) fn press(model: &mut Model, key: KeyEvent) -> Option<Action> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return with_control(model, key.code);
    }
    let action = if model.is_typing {
        typed(model, key.code)
    } else if model.shows_help {
        model.shows_help = false;
        None
    } else {
        match anywhere(model, key.code) {
            Some(done) => done,
            None if model.place == Place::List => in_list(model, key.code),
            None => in_one(model, key.code),
        }
    };
    model.settle();
    action
}

fn with_control(model: &mut Model, code: KeyCode) -> Option<Action> {
    match code {
        KeyCode::Char('c') => Some(Action::Quit),
        KeyCode::Char('z') => Some(Action::Suspend),
        KeyCode::Char('l') => Some(Action::Redraw),
        KeyCode::Char('u') if model.is_typing => {
            model.filter.clear();
            model.settle();
            None
        }
        _ => None,
    }
}

fn typed(model: &mut Model, code: KeyCode) -> Option<Action> {
    match code {
        KeyCode::Enter => model.is_typing = false,
        KeyCode::Esc => {
            model.is_typing = false;
            model.filter.clear();
        }
        KeyCode::Backspace => {
            model.filter.pop();
        }
        KeyCode::Char(character) if model.filter.chars().count() < MAX_FILTER => model.filter.push(character),
        _ => {}
    }
    None
}

/// `None`: it is another key.
fn anywhere(model: &mut Model, code: KeyCode) -> Option<Option<Action>> {
    match code {
        KeyCode::Char('?' | 'h') => model.shows_help = true,
        KeyCode::Char('p' | ' ') => {
            model.is_paused = !model.is_paused;
            return Some((!model.is_paused).then_some(Action::Ask));
        }
        KeyCode::Char('+' | '=') => model.change_interval(true),
        KeyCode::Char('-') => model.change_interval(false),
        _ => return None,
    }
    Some(None)
}

fn in_list(model: &mut Model, code: KeyCode) -> Option<Action> {
    let page = isize::try_from(model.lines().body.max(1)).unwrap_or(1);
    match code {
        KeyCode::Char('q') => return Some(Action::Quit),
        KeyCode::Esc if model.filter.is_empty() => return Some(Action::Quit),
        KeyCode::Esc => model.filter.clear(),
        KeyCode::Char('/') => model.is_typing = true,
        KeyCode::Char('s') => model.sort = model.sort.next(),
        KeyCode::Char('S') => model.sort = model.sort.previous(),
        KeyCode::Char('r') => model.is_reversed = !model.is_reversed,
        KeyCode::Enter => {
            model.place = Place::One(model.selected()?.clone(), 0);
            return Some(Action::Ask);
        }
        other => {
            if let Some(by) = way(other, page) {
                model.select(by);
            }
        }
    }
    None
}

fn in_one(model: &mut Model, code: KeyCode) -> Option<Action> {
    let page = isize::try_from(model.lines().body.max(1)).unwrap_or(1);
    let Place::One(_, line) = &mut model.place else { return None };
    match code {
        KeyCode::Char('q') | KeyCode::Esc | KeyCode::Backspace => {
            model.place = Place::List;
            model.state = None;
        }
        // How many lines there are is known when they are drawn.
        other => *line = line.saturating_add_signed(way(other, page).unwrap_or(0)),
    }
    None
}

/// How far a key goes.
fn way(code: KeyCode, page: isize) -> Option<isize> {
    Some(match code {
        KeyCode::Up | KeyCode::Char('k') => -1,
        KeyCode::Down | KeyCode::Char('j') => 1,
        KeyCode::PageUp => -page,
        KeyCode::PageDown => page,
        KeyCode::Home | KeyCode::Char('g') => isize::MIN,
        KeyCode::End | KeyCode::Char('G') => isize::MAX,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::top::layout::Size;
    use crate::top::order::Sort;
    use crate::top::snapshot::{Discovery, Name};

    fn model() -> Model {
        let mut model = Model::new("here", Duration::from_secs(1), Sort::Name, Size { width: 80, height: 10 });
        let names = (0..20).map(|n| Name::new(format!("s{n:02}"), "g")).collect();
        model.found(Discovery { names, ..Discovery::default() });
        model
    }

    fn code(model: &mut Model, code: KeyCode) -> Option<Action> {
        press(model, KeyEvent::new(code, KeyModifiers::NONE))
    }

    fn text(model: &mut Model, text: &str) -> Vec<Option<Action>> {
        text.chars().map(|each| code(model, KeyCode::Char(each))).collect()
    }

    fn at(model: &Model) -> &str {
        &model.selected().unwrap().stream
    }

    #[test]
    fn keys_move_the_selection() {
        let mut model = model();
        for (key, row) in [
            (KeyCode::Down, "s01"),
            (KeyCode::Char('j'), "s02"),
            (KeyCode::Up, "s01"),
            (KeyCode::Char('k'), "s00"),
            (KeyCode::Up, "s00"),
            (KeyCode::PageDown, "s07"),
            (KeyCode::Char('G'), "s19"),
            (KeyCode::Down, "s19"),
            (KeyCode::PageUp, "s12"),
            (KeyCode::Home, "s00"),
            (KeyCode::End, "s19"),
            (KeyCode::Char('g'), "s00"),
        ] {
            assert_eq!(code(&mut model, key), None);
            assert_eq!(at(&model), row, "{key:?}");
        }
    }

    #[test]
    fn a_filter_is_written_kept_and_cleared() {
        let mut model = model();
        text(&mut model, "/s1q");
        assert_eq!((model.filter.as_str(), model.is_typing), ("s1q", true), "q is a letter there");
        code(&mut model, KeyCode::Backspace);
        assert_eq!(model.rows().len(), 10);
        assert_eq!(code(&mut model, KeyCode::Enter), None);
        assert_eq!((model.filter.as_str(), model.is_typing), ("s1", false));
        assert_eq!(code(&mut model, KeyCode::Esc), None);
        assert_eq!(model.filter, "");
        text(&mut model, "/xyz");
        press(&mut model, KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL));
        assert_eq!((model.filter.as_str(), model.is_typing), ("", true));
        text(&mut model, "ab");
        code(&mut model, KeyCode::Esc);
        assert_eq!((model.filter.as_str(), model.is_typing), ("", false));
        text(&mut model, &format!("/{}", "x".repeat(1_000)));
        assert_eq!(model.filter.len(), MAX_FILTER);
    }

    #[test]
    fn sorting_pausing_and_the_interval_have_their_keys() {
        let mut model = model();
        text(&mut model, "ssS");
        assert_eq!(model.sort, Sort::State);
        text(&mut model, "r");
        assert!(model.is_reversed);
        assert_eq!(text(&mut model, "p "), [None, Some(Action::Ask)]);
        assert!(!model.is_paused);
        text(&mut model, "++");
        assert_eq!(model.every, Duration::from_secs(5));
        text(&mut model, "-");
        assert_eq!(model.every, Duration::from_secs(2));
    }

    #[test]
    fn enter_opens_one_and_q_leads_back_and_then_out() {
        let mut model = model();
        code(&mut model, KeyCode::Down);
        assert_eq!(code(&mut model, KeyCode::Enter), Some(Action::Ask));
        assert_eq!(model.place, Place::One(Name::new("s01", "g"), 0));
        text(&mut model, "jjk");
        assert_eq!(model.place, Place::One(Name::new("s01", "g"), 1));
        assert_eq!(text(&mut model, "/"), [None]);
        assert!(!model.is_typing, "there is nothing to filter here");
        assert_eq!(text(&mut model, "qq"), [None, Some(Action::Quit)]);
        code(&mut model, KeyCode::Enter);
        assert_eq!((code(&mut model, KeyCode::Esc), code(&mut model, KeyCode::Esc)), (None, Some(Action::Quit)));
        let mut empty = Model::new("here", Duration::from_secs(1), Sort::Name, Size { width: 80, height: 10 });
        assert_eq!(code(&mut empty, KeyCode::Enter), None);
        assert_eq!(empty.place, Place::List);
    }

    #[test]
    fn help_is_closed_by_any_key_and_by_nothing_else() {
        let mut model = model();
        text(&mut model, "?");
        assert!(model.shows_help);
        assert_eq!(text(&mut model, "q"), [None]);
        assert!(!model.shows_help);
    }

    #[test]
    fn control_works_everywhere_and_a_released_key_is_none() {
        let mut model = model();
        text(&mut model, "/x");
        for (key, action) in [('c', Action::Quit), ('z', Action::Suspend), ('l', Action::Redraw)] {
            assert_eq!(press(&mut model, KeyEvent::new(KeyCode::Char(key), KeyModifiers::CONTROL)), Some(action));
        }
        let released = KeyEvent { kind: KeyEventKind::Release, ..KeyEvent::from(KeyCode::Char('y')) };
        assert_eq!(press(&mut model, released), None);
        assert_eq!(model.filter, "x");
    }

    /// There is no key for it: what is pressed at random changes what is shown, and nothing else.
    #[test]
    fn no_key_asks_for_more_than_to_look() {
        for character in (' '..='~').filter(|character| *character != 'q') {
            let action = code(&mut model(), KeyCode::Char(character));
            assert!(matches!(action, None | Some(Action::Ask)), "{character}: {action:?}");
        }
    }
}

//! Frames, as text and as colours.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use atomic_streams::EntryId;
use atomic_streams::admin::Lease;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};

use super::*;
use crate::top::keys::press;
use crate::top::layout::Size;
use crate::top::model::Now;
use crate::top::once::text;
use crate::top::order::Sort;
use crate::top::sample::{letter, record};
use crate::top::snapshot::{Discovery, Letter, Letters, Look, Name, Record, Seen, Snapshot, State};

const PEN: Pen = Pen { colors: true, unicode: true };

/// What a look shows at a second.
type AtSecond<'a> = Box<dyn Fn(u64) -> Seen + 'a>;

/// Two minutes of looks at one subscription of every kind.
fn model(width: u16, height: u16) -> Model {
    let name = |stream: &str, group: &str| Name::new(stream, group);
    let mut model = Model::new("127.0.0.1:6379", Duration::from_secs(1), Sort::Name, Size { width, height });
    let waiting = |lag, lag_ms| Record { lag: Some(lag), lag_ms: Some(lag_ms), ..record() };
    let position = |second| EntryId::new(1_795_896_500_000 + second, 0);
    let kinds: Vec<(Name, AtSecond<'_>)> = vec![
        (
            name("sales", "stock"),
            Box::new(|second| {
                let waits = (second + 5) % 40;
                seen(Record {
                    standbys: Some(1),
                    position: position(second),
                    processed: 1_000 + 1_234 * second,
                    ..waiting(waits * waits, 40 * waits + 1)
                })
            }),
        ),
        (
            name("sales", "audit"),
            Box::new(|second| {
                seen(Record {
                    owner: "audit-7f9c4d-xk2p1/7".into(),
                    parked_keys: 2,
                    processed: 50 * second,
                    position: position(second),
                    ..waiting(1_200_000 + 3 * second, 5_400_000)
                })
            }),
        ),
        (name("sales", "mail"), Box::new(|_| seen(Record { lease: Lease::Released, ..record() }))),
        (
            name("payments", "ledger"),
            Box::new(|_| {
                let trying = Some((EntryId::new(1_795_896_540_000, 0), 2));
                seen(Record { trying, owner: "ledger-0/1".into(), ..waiting(14, 61_000) })
            }),
        ),
        (
            name("payments", "fraud"),
            Box::new(|second| {
                let passed_over = Some(if second < 60 { 0 } else { 250 });
                seen(Record { passed_over, ..waiting(3, 900) })
            }),
        ),
        (
            name("orders-of-the-whole-world", "shipping-and-handling"),
            Box::new(|_| seen(Record { lease: Lease::Expired { since_ms: 95_000 }, lag: None, ..waiting(0, 95_000) })),
        ),
        (
            name("orders", "invoices"),
            Box::new(|_| seen(Record { lease: Lease::Expired { since_ms: 9 }, standbys: Some(2), ..waiting(70, 800) })),
        ),
        (name("returns", "stock"), Box::new(|second| if second < 100 { seen(record()) } else { Seen::Gone })),
        (name("secret", "audit"), Box::new(|_| Seen::Refused("secret audit: NOPERM".into()))),
    ];
    let names = kinds.iter().map(|(name, _)| name.clone()).chain([name("zebra", "new")]).collect();
    model.found(Discovery { names, ..Discovery::default() });
    let letters = BTreeMap::from([
        (
            name("sales", "audit"),
            Letters {
                count: 2,
                may_be_more: false,
                streams: vec!["sales:dead".into()],
                newest: vec![
                    letter(1_795_896_520_000, "the account is closed"),
                    behind(letter(1_795_896_400_000, "its key `ada` is parked"), "ada"),
                ],
            },
        ),
        (
            name("payments", "fraud"),
            Letters { count: 200, may_be_more: true, streams: vec!["payments:dead".into()], newest: vec![] },
        ),
    ]);
    for second in 0..=120 {
        let at = Duration::from_secs(second);
        let looks = kinds.iter().map(|(name, seen)| Look { name: name.clone(), at, seen: seen(second) }).collect();
        model.now = Now { at, ms: 1_795_896_530_000 + second * 1_000 };
        model.see(Snapshot { looks, letters: Some(letters.clone()), ..Snapshot::default() });
    }
    model
}

fn behind(letter: Letter, key: &str) -> Letter {
    Letter { key: Some(key.into()), is_behind: true, attempts: 0, ..letter }
}

fn seen(record: Record) -> Seen {
    Seen::Record(Box::new(record))
}

/// With one subscription opened.
fn opened(width: u16, height: u16) -> Model {
    let mut model = model(width, height);
    let name = Name::new("sales", "audit");
    let fields = vec![("open".into(), r#"{"ada":3,"grace":1}"#.into()), ("total".into(), "104217".into())];
    model.see(Snapshot { state: Some((name.clone(), State::Fields(fields))), ..Snapshot::default() });
    model.place = Place::One(name, 0);
    model
}

fn failed(mut model: Model) -> Model {
    let since = Now { at: Duration::from_secs(100), ms: model.now.ms - 20_000 };
    model.fail(since, "the server cannot be reached: Connection refused (os error 111)".into());
    model.settle();
    model
}

fn buffer(model: &Model, pen: Pen) -> Buffer {
    let Ok(mut terminal) = ratatui::Terminal::new(TestBackend::new(model.size.width, model.size.height));
    let Ok(_) = terminal.draw(|frame| draw(model, pen, frame));
    terminal.backend().buffer().clone()
}

/// Compares with `golden/NAME.txt`; `ATOMIC_STREAMS_WRITE_GOLDEN=1` writes it.
fn golden(name: &str, model: &Model, pen: Pen) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/top/drawing/golden").join(format!("{name}.txt"));
    let drawn = text(model, pen).unwrap();
    if std::env::var_os("ATOMIC_STREAMS_WRITE_GOLDEN").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, drawn).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&file).unwrap();
    assert!(drawn == expected, "{} is another frame now:\n{drawn}\nand was\n{expected}", file.display());
}

#[test]
fn the_list_fits_every_screen() {
    for (width, height) in [(160, 16), (120, 40), (80, 24), (40, 10), (1, 1)] {
        golden(&format!("list-{width}x{height}"), &model(width, height), PEN);
    }
}

/// The frame in the documentation is one of these.
#[test]
fn the_documentation_shows_a_frame_as_it_is() {
    let drawn = text(&model(140, 13), PEN).unwrap();
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/top.md")).unwrap();
    assert!(page.contains(&format!("```text\n{drawn}```\n")), "docs/top.md has another frame than this:\n{drawn}");
}

#[test]
fn one_subscription_fits_every_screen() {
    for (width, height) in [(120, 40), (80, 24), (40, 10), (1, 1)] {
        golden(&format!("one-{width}x{height}"), &opened(width, height), PEN);
    }
}

#[test]
fn an_outage_is_on_top_and_the_figures_stay() {
    for (width, height) in [(120, 40), (80, 24), (40, 10), (1, 1)] {
        golden(&format!("outage-{width}x{height}"), &failed(model(width, height)), PEN);
    }
}

#[test]
fn help_fits_a_common_terminal() {
    for (width, height) in [(120, 40), (80, 24), (40, 10)] {
        let mut model = model(width, height);
        model.shows_help = true;
        golden(&format!("help-{width}x{height}"), &model, PEN);
    }
}

#[test]
fn a_terminal_without_unicode_gets_ascii() {
    let pen = Pen { colors: false, unicode: false };
    golden("list-ascii-120x40", &model(120, 40), pen);
    golden("one-ascii-80x24", &opened(80, 24), pen);
    for each in [model(120, 40), opened(120, 80), failed(model(80, 24))] {
        let drawn = text(&each, pen).unwrap();
        assert!(drawn.is_ascii(), "{drawn}");
    }
}

#[test]
fn what_is_being_done_is_in_header_and_footer() {
    let mut model = model(120, 12);
    model.filter = "sales".into();
    model.is_typing = true;
    model.is_paused = true;
    model.is_reversed = true;
    model.settle();
    golden("filter-120x12", &model, PEN);
    model.is_typing = false;
    model.notes = vec!["standbys cannot be counted: NOPERM".into()];
    model.asked_at = Some(model.now.at.checked_sub(Duration::from_secs(3)).unwrap());
    model.filter = "nobody".into();
    model.settle();
    golden("notes-120x12", &model, PEN);
}

#[test]
fn before_anything_was_found_it_says_so() {
    let first = |model: &Model| text(model, PEN).unwrap().lines().nth(2).unwrap().trim().to_owned();
    let mut model = Model::new("here", Duration::from_secs(1), Sort::Name, Size { width: 80, height: 10 });
    assert_eq!(first(&model), "looking for subscriptions ...");
    model.found(Discovery::default());
    assert_eq!(first(&model), "no subscriptions in this database");
}

/// Every size at which something could not fit, in every view.
#[test]
fn no_screen_is_too_small() {
    let down = ratatui::crossterm::event::KeyEvent::from(ratatui::crossterm::event::KeyCode::Down);
    for (width, height) in (0..30).flat_map(|width| (0..8).map(move |height| (width, height))) {
        let mut help = model(60, 20);
        help.shows_help = true;
        for mut each in [model(60, 20), opened(60, 20), failed(opened(60, 20)), failed(model(60, 20)), help] {
            each.size = Size { width, height };
            each.settle();
            press(&mut each, down);
            let drawn = buffer(&each, PEN);
            assert_eq!((drawn.area.width, drawn.area.height), (width, height));
            last_line(&each, PEN);
        }
    }
}

#[test]
fn sixteen_colours_are_enough_and_without_them_none_is_used() {
    let basic = [Color::Reset, Color::Red, Color::Green, Color::Yellow, Color::White];
    let mut used = std::collections::BTreeSet::new();
    for each in [failed(model(160, 40)), opened(120, 80)] {
        for cell in buffer(&each, PEN).content() {
            assert!(basic.contains(&cell.fg) && basic.contains(&cell.bg), "{cell:?}");
            used.insert(cell.fg.to_string());
        }
        for cell in buffer(&each, Pen { colors: false, ..PEN }).content() {
            assert_eq!((cell.fg, cell.bg), (Color::Reset, Color::Reset));
        }
    }
    assert_eq!(used.len(), 5, "{used:?}");
}

#[test]
fn the_selected_row_is_seen_without_colours() {
    let drawn = buffer(&model(120, 40), Pen { colors: false, ..PEN });
    let reversed = |y: u16| drawn[(0, y)].modifier.contains(Modifier::REVERSED);
    assert_eq!((0..40).filter(|y| reversed(*y)).collect::<Vec<_>>(), [2]);
}

/// A value of the server may hold anything, also what a terminal obeys.
#[test]
fn nothing_of_the_server_reaches_the_terminal_as_a_command() {
    let evil = "\u{1b}[2J\u{7}\r\n\u{9b}31m";
    let mut model = model(120, 80);
    let name = Name::new("sales", "audit");
    let record = Record { owner: evil.into(), schema: evil.into(), head: evil.into(), ..record() };
    let look = Look { name: name.clone(), at: Duration::from_secs(500), seen: seen(record) };
    let letters = Letters { count: 1, newest: vec![letter(1, evil)], streams: vec![evil.into()], ..Letters::default() };
    model.see(Snapshot {
        looks: vec![look],
        letters: Some(BTreeMap::from([(name.clone(), letters)])),
        state: Some((name.clone(), State::Fields(vec![(evil.into(), evil.into())]))),
        notes: vec![evil.into()],
    });
    let mut one = model.clone();
    one.place = Place::One(name, 0);
    for each in [model.clone(), one, {
        model.fail(Now::default(), evil.into());
        model
    }] {
        let drawn: String = buffer(&each, PEN).content().iter().map(|cell| cell.symbol()).collect();
        assert!(!drawn.contains(char::is_control));
        assert!(drawn.contains("\\u{1b}[2J"), "it is shown as what it is");
    }
}

use super::*;
use crate::top::sample::record;
use crate::top::snapshot::Look;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn model(count: usize, height: u16) -> Model {
    let mut model = Model::new("here", at(1), Sort::Name, Size { width: 80, height });
    model.found(Discovery { names: names(count), ..Discovery::default() });
    model
}

fn names(count: usize) -> Vec<Name> {
    (0..count).map(|n| Name::new(format!("s{n:02}"), "g")).collect()
}

fn look(n: usize, seconds: u64, seen: Seen) -> Snapshot {
    let look = Look { name: Name::new(format!("s{n:02}"), "g"), at: at(seconds), seen };
    Snapshot { looks: vec![look], ..Snapshot::default() }
}

fn seen(record: Record) -> Seen {
    Seen::Record(Box::new(record))
}

fn on_screen(model: &Model) -> (Vec<&str>, Option<usize>) {
    let (rows, selected) = model.visible();
    (rows.iter().map(|(name, _)| name.stream.as_str()).collect(), selected)
}

#[test]
fn the_selected_row_stays_selected_and_on_the_screen() {
    let mut model = model(10, 6);
    assert_eq!(on_screen(&model), (vec!["s00", "s01", "s02"], Some(0)));
    model.select(4);
    assert_eq!(on_screen(&model), (vec!["s02", "s03", "s04"], Some(2)));
    model.select(-1);
    assert_eq!(on_screen(&model), (vec!["s02", "s03", "s04"], Some(1)));
    model.select(isize::MAX);
    assert_eq!(on_screen(&model), (vec!["s07", "s08", "s09"], Some(2)));
    model.is_reversed = true;
    model.settle();
    assert_eq!(on_screen(&model), (vec!["s09", "s08", "s07"], Some(0)), "it is the first now");
    model.size.height = 20;
    model.settle();
    assert_eq!(on_screen(&model).0.len(), 10);
    model.select(isize::MIN);
    assert_eq!(model.selected().unwrap().stream, "s09");
    for height in 0..3 {
        model.size.height = height;
        model.select(3);
    }
}

#[test]
fn where_the_selected_row_is_filtered_away_another_is_selected() {
    let mut model = model(10, 24);
    model.select(9);
    model.filter = "s03".into();
    model.settle();
    assert_eq!(on_screen(&model), (vec!["s03"], Some(0)));
    model.filter = "none".into();
    model.settle();
    assert_eq!((on_screen(&model), model.selected()), ((vec![], None), None));
    model.filter.clear();
    model.settle();
    assert_eq!(on_screen(&model).1, Some(0));
}

#[test]
fn figures_stay_through_an_outage_and_the_first_new_ones_end_it() {
    let mut model = model(1, 24);
    model.see(look(0, 1, seen(Record { processed: 7, ..record() })));
    let now = |seconds| Now { at: at(seconds), ms: seconds * 1_000 };
    model.fail(now(2), "refused".into());
    model.fail(now(3), "reset".into());
    assert_eq!(
        model.outage,
        Some(Outage { since: now(2), why: "reset".into() }),
        "since the first, for the last reason"
    );
    assert_eq!(model.rows()[0].1.record().unwrap().processed, 7);
    model.see(look(0, 4, seen(Record { processed: 9, ..record() })));
    assert_eq!(model.outage, None);
    assert_eq!(model.rows()[0].1.history.rate(), Some(2.0 / 3.0));
}

#[test]
fn one_that_is_gone_is_shown_for_a_minute_unless_it_comes_back() {
    let mut model = model(2, 24);
    model.see(look(0, 10, Seen::Gone));
    assert_eq!(model.rows()[0].1.standing(), Some(Standing::Gone));
    model.now.at = at(69);
    model.see(look(0, 69, Seen::Gone));
    assert_eq!(model.count(), 2);
    let mut back = model.clone();
    back.see(look(0, 69, seen(record())));
    for each in [&mut model, &mut back] {
        each.now.at = at(70);
        each.see(Snapshot::default());
    }
    assert_eq!((model.count(), back.count()), (1, 2));
    model.see(look(0, 71, seen(record())));
    assert_eq!(model.count(), 1, "only going through the keys adds one");
}

#[test]
fn the_one_that_is_open_is_not_forgotten() {
    let mut model = model(1, 24);
    model.place = Place::One(names(1)[0].clone(), 0);
    model.see(look(0, 10, Seen::Gone));
    model.now.at = at(500);
    model.see(Snapshot::default());
    assert_eq!(model.count(), 1);
}

#[test]
fn dead_letters_that_are_not_known_stay_as_they_were() {
    let mut model = model(2, 24);
    let letters = BTreeMap::from([(names(2)[1].clone(), Letters { count: 4, ..Letters::default() })]);
    model.see(Snapshot { letters: Some(letters), ..Snapshot::default() });
    let counts =
        |model: &Model| model.rows().iter().map(|row| row.1.letters.as_ref().unwrap().count).collect::<Vec<_>>();
    assert_eq!(counts(&model), [0, 4]);
    model.see(Snapshot { letters: None, ..Snapshot::default() });
    assert_eq!(counts(&model), [0, 4]);
    model.see(Snapshot { letters: Some(BTreeMap::new()), ..Snapshot::default() });
    assert_eq!(counts(&model), [0, 0]);
}

#[test]
fn there_are_never_more_than_are_shown_at_most() {
    let mut model = model(0, 24);
    let many = (0..MAX_SUBSCRIPTIONS + 3).map(|n| Name::new(format!("{n:05}"), "g")).collect();
    model.found(Discovery { names: many, left_out: 2, ..Discovery::default() });
    assert_eq!((model.count(), model.left_out), (MAX_SUBSCRIPTIONS, 5));
}

#[test]
fn the_interval_goes_through_its_steps() {
    let mut model = model(0, 24);
    model.every = Duration::from_millis(1_500);
    model.change_interval(true);
    assert_eq!(model.every, at(2));
    (0..20).for_each(|_| model.change_interval(true));
    assert_eq!(model.every, at(300));
    (0..20).for_each(|_| model.change_interval(false));
    assert_eq!(model.every, Duration::from_millis(200));
}

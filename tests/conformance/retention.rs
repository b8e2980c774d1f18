//! Trimming goes as far as every group has committed, and no floor and no doubt is passed.

use std::time::Duration;

use atomic_streams::retention::{Holding, Retained};
use atomic_streams::{EntryId, ErrorKind, Retention};

use crate::bench::Bench;
use crate::kit::{GROUP, STREAM, Session, fields, id, request};

conformance! {
    what_every_group_has_committed_goes,
    pending_entries_of_another_program_stay,
    the_record_decides_and_not_the_cursor,
    the_newest_entries_stay,
    young_entries_stay,
    a_lost_record_holds_everything,
    a_record_that_is_anothers_holds_everything,
    an_expected_group_holds_everything_until_it_is_there,
    an_expected_group_that_was_destroyed_is_known_by_its_record,
    a_stream_that_was_replaced_is_held_for_the_group_that_does_not_know,
    a_stream_without_groups_is_left_unless_the_floors_are_to_decide,
    what_cannot_be_trimmed_is_refused_with_its_reason,
    a_dry_run_says_the_same_and_removes_nothing,
}

fn retention(bench: &Bench) -> Retention {
    let retention = match bench {
        Bench::Memory(store) => Retention::in_memory(store, STREAM),
        Bench::Redis(real) => Retention::new(real.server.url(), STREAM),
    };
    retention.unwrap().exact()
}

/// Ten entries, and a group of ours that has committed the first `committed`.
async fn committed(bench: &Bench, committed: u64) -> Session {
    for ms in 1..=10 {
        bench.add_with_id(STREAM, id(ms), fields("x")).await;
    }
    let mut session = Session::start(bench).await;
    for n in 1..=committed {
        session.done(session.commit(n, id(n))).await;
    }
    session
}

async fn left(bench: &Bench) -> Vec<u64> {
    bench.entries(STREAM).await.iter().map(|entry| entry.id.ms).collect()
}

type Held<'a> = Option<(&'a str, Option<EntryId>, u64, Holding)>;

fn held(retained: &Retained) -> Held<'_> {
    retained.held_back_by.as_ref().map(|held| (held.group.as_str(), held.position, held.behind, held.why))
}

async fn what_every_group_has_committed_goes(bench: Bench) {
    let mut session = committed(&bench, 6).await;
    bench.foreign_group(STREAM, "other", id(4), 0).await;
    let retained = retention(&bench).trim().await.unwrap();
    assert_eq!((retained.removed, retained.left), (4, 6));
    assert_eq!(held(&retained), Some(("other", Some(id(4)), 6, Holding::Behind)));
    assert_eq!(left(&bench).await, [5, 6, 7, 8, 9, 10]);

    bench.move_cursor(STREAM, "other", id(10)).await;
    let retained = retention(&bench).trim().await.unwrap();
    assert_eq!((retained.removed, held(&retained)), (2, Some((GROUP, Some(id(6)), 4, Holding::Behind))));
    for n in 7..=10 {
        session.done(session.commit(n, id(n))).await;
    }
    let retained = retention(&bench).trim().await.unwrap();
    assert_eq!((retained.removed, retained.left, held(&retained)), (4, 0, None));
    let again = retention(&bench).trim().await.unwrap();
    assert_eq!((again.removed, again.left, held(&again)), (0, 0, None));
}

async fn pending_entries_of_another_program_stay(bench: Bench) {
    committed(&bench, 9).await;
    bench.foreign_group(STREAM, "other", id(5), 2).await;
    let retained = retention(&bench).trim().await.unwrap();
    assert_eq!((retained.removed, retained.left), (0, 10));
    assert_eq!(held(&retained), Some(("other", Some(id(5)), 10, Holding::Pending)));
}

async fn the_record_decides_and_not_the_cursor(bench: Bench) {
    committed(&bench, 3).await;
    bench.move_cursor(STREAM, GROUP, id(10)).await;
    let retained = retention(&bench).trim().await.unwrap();
    assert_eq!((retained.removed, held(&retained)), (3, Some((GROUP, Some(id(3)), 7, Holding::Behind))));
    assert_eq!(left(&bench).await, [4, 5, 6, 7, 8, 9, 10]);
}

async fn the_newest_entries_stay(bench: Bench) {
    committed(&bench, 6).await;
    let kept = retention(&bench).keep_entries(7).trim().await.unwrap();
    assert_eq!((kept.removed, kept.left, held(&kept)), (3, 7, None));
    let kept = retention(&bench).keep_entries(4).trim().await.unwrap();
    assert_eq!((kept.removed, kept.left, held(&kept)), (3, 4, None));
    let kept = retention(&bench).keep_entries(3).trim().await.unwrap();
    assert_eq!((kept.removed, held(&kept)), (0, Some((GROUP, Some(id(6)), 4, Holding::Behind))));
    let kept = retention(&bench).keep_entries(100).trim().await.unwrap();
    assert_eq!((kept.removed, kept.left, held(&kept)), (0, 4, None));
    assert_eq!(left(&bench).await, [7, 8, 9, 10]);
}

async fn young_entries_stay(bench: Bench) {
    let mut session = committed(&bench, 6).await;
    let young = bench.add(STREAM, fields("y")).await;
    let hour = || retention(&bench).keep_for(Duration::from_secs(3_600));
    let kept = hour().trim().await.unwrap();
    assert_eq!((kept.removed, held(&kept)), (6, Some((GROUP, Some(id(6)), 5, Holding::Behind))));
    for n in 7..=10 {
        session.done(session.commit(n, id(n))).await;
    }
    let kept = hour().trim().await.unwrap();
    assert_eq!((kept.removed, kept.left, held(&kept)), (4, 1, None), "the age holds it, not the group");
    session.done(session.commit(11, young)).await;
    assert_eq!(hour().trim().await.unwrap().removed, 0);
    let for_ever = retention(&bench).keep_for(Duration::MAX).trim().await.unwrap();
    assert_eq!((for_ever.removed, for_ever.left), (0, 1));
    assert_eq!(retention(&bench).trim().await.unwrap().removed, 1);
}

async fn a_lost_record_holds_everything(bench: Bench) {
    committed(&bench, 6).await;
    bench.delete_record().await;
    let retained = retention(&bench).trim().await.unwrap();
    assert_eq!((retained.removed, held(&retained)), (0, Some((GROUP, None, 10, Holding::RecordLost))));
    bench.put_wrong_type(crate::kit::subscription().record()).await;
    let retained = retention(&bench).trim().await.unwrap();
    assert_eq!((retained.removed, held(&retained)), (0, Some((GROUP, None, 10, Holding::RecordLost))));
}

async fn a_record_that_is_anothers_holds_everything(bench: Bench) {
    committed(&bench, 6).await;
    for (name, wrong) in [("@stream", "other"), ("@group", "other"), ("@position", "10")] {
        let right = bench.recorded(name).await.unwrap();
        bench.set_recorded(name, wrong).await;
        let retained = retention(&bench).trim().await.unwrap();
        assert_eq!((retained.removed, held(&retained)), (0, Some((GROUP, None, 10, Holding::RecordLost))), "{name}");
        bench.set_recorded(name, &right).await;
    }
    assert_eq!(retention(&bench).trim().await.unwrap().removed, 6);
}

async fn an_expected_group_holds_everything_until_it_is_there(bench: Bench) {
    committed(&bench, 6).await;
    let expecting = || retention(&bench).expect_group(GROUP).expect_group("other");
    let retained = expecting().trim().await.unwrap();
    assert_eq!((retained.removed, held(&retained)), (0, Some(("other", None, 10, Holding::Missing))));
    bench.foreign_group(STREAM, "other", id(2), 0).await;
    assert_eq!(expecting().trim().await.unwrap().removed, 2);
}

async fn an_expected_group_that_was_destroyed_is_known_by_its_record(bench: Bench) {
    committed(&bench, 6).await;
    bench.foreign_group(STREAM, "other", id(10), 0).await;
    bench.destroy_group(STREAM, GROUP).await;
    let retained = retention(&bench).expect_group(GROUP).trim().await.unwrap();
    assert_eq!((retained.removed, held(&retained)), (6, Some((GROUP, Some(id(6)), 4, Holding::Behind))));
    // Somebody has made it anew: what both know of it counts.
    bench.foreign_group(STREAM, GROUP, id(10), 0).await;
    let retained = retention(&bench).trim().await.unwrap();
    assert_eq!((retained.removed, held(&retained)), (0, Some((GROUP, Some(id(6)), 4, Holding::Behind))));
}

async fn a_stream_that_was_replaced_is_held_for_the_group_that_does_not_know(bench: Bench) {
    committed(&bench, 10).await;
    bench.delete_key(STREAM).await;
    bench.add_with_id(STREAM, id(2), fields("new")).await;
    let retained = retention(&bench).expect_group(GROUP).trim().await.unwrap();
    assert_eq!((retained.removed, held(&retained)), (0, Some((GROUP, Some(id(10)), 1, Holding::StreamReplaced))));
}

async fn a_stream_without_groups_is_left_unless_the_floors_are_to_decide(bench: Bench) {
    for ms in 1..=10 {
        bench.add_with_id(STREAM, id(ms), fields("x")).await;
    }
    for retention in [retention(&bench), retention(&bench).keep_entries(3)] {
        let error = retention.trim().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoGroup);
        assert!(error.to_string().contains("without_groups"), "{error}");
    }
    for floorless in [retention(&bench), retention(&bench).keep_entries(0)] {
        let error = floorless.without_groups().trim().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}");
    }
    assert_eq!(left(&bench).await.len(), 10);
    let kept = retention(&bench).without_groups().keep_entries(3).trim().await.unwrap();
    assert_eq!((kept.removed, kept.left, held(&kept)), (7, 3, None));
}

async fn what_cannot_be_trimmed_is_refused_with_its_reason(bench: Bench) {
    let kind = async |retention: Retention| retention.trim().await.unwrap_err().kind();
    assert_eq!(kind(retention(&bench)).await, ErrorKind::NoStream);
    assert_eq!(kind(retention(&bench).without_groups().keep_entries(1)).await, ErrorKind::NoStream);
    assert_eq!(kind(retention(&bench).expect_group("a@b")).await, ErrorKind::InvalidConfig);
    bench.put_wrong_type(STREAM).await;
    assert_eq!(kind(retention(&bench)).await, ErrorKind::WrongType);
    assert_eq!(retention(&bench).dry_run().await.unwrap_err().kind(), ErrorKind::WrongType);
}

async fn a_dry_run_says_the_same_and_removes_nothing(bench: Bench) {
    committed(&bench, 6).await;
    for floor in [0, 3, 7] {
        let before = bench.picture(&[STREAM]).await;
        let dry = retention(&bench).keep_entries(floor).dry_run().await.unwrap();
        assert_eq!(bench.picture(&[STREAM]).await, before);
        let expected = if floor == 7 { (3, 7) } else { (6, 4) };
        assert_eq!((dry.removed, dry.left), expected, "{floor}");
        assert_eq!(held(&dry).is_some(), floor < 4, "{floor}");
    }
    bench.add(STREAM, fields("z")).await;
    let dry = retention(&bench).dry_run().await.unwrap();
    assert_eq!(dry, retention(&bench).trim().await.unwrap());
    let taken = Session::attach(&bench, &request("a", 2)).await;
    assert_eq!(taken.owned.vanished, 0);
}

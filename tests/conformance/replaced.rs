//! Streams that were deleted or made anew behind a position.

use atomic_streams::EntryId;
use atomic_streams::internals::{AttachReply, AttachRequest, Behind, Permissions, Start, StepReply};

use crate::bench::Bench;
use crate::kit::{GROUP, RENEW, STREAM, Session, ask, fields, id, own, request};

conformance! {
    a_stream_that_ends_before_the_position_stops_the_attach,
    a_replaced_stream_is_read_from_its_beginning_when_allowed,
    a_replaced_stream_is_skipped_when_allowed,
    a_deleted_stream_goes_on_above_the_position,
    an_emptied_stream_goes_on_above_the_position,
    a_renewal_says_that_the_stream_ends_before_the_position,
    a_renewal_makes_a_deleted_stream_go_on_above_the_position,
    ids_are_compared_by_number,
}

/// Far above what a clock gives.
const AHEAD: EntryId = EntryId::new(9_000_000_000_000, 5);

/// A subscription with two entries committed, the second at `AHEAD`.
async fn ahead(bench: &Bench) -> Session {
    bench.add_with_id(STREAM, id(1), fields("x")).await;
    bench.add_with_id(STREAM, AHEAD, fields("x")).await;
    let mut session = Session::start(bench).await;
    session.done(session.commit(1, id(1))).await;
    session.done(session.commit(2, AHEAD)).await;
    session
}

/// The same with another stream under that name, of three entries, the first of them deleted.
async fn replaced(bench: &Bench) -> Session {
    let session = ahead(bench).await;
    bench.delete_key(STREAM).await;
    for ms in 2..=4 {
        bench.add_with_id(STREAM, id(ms), fields("y")).await;
    }
    bench.trim(STREAM, 2).await;
    session
}

const BEHIND: Behind = Behind { last_id: id(4), position: AHEAD, length: 2 };

async fn a_stream_that_ends_before_the_position_stops_the_attach(bench: Bench) {
    replaced(&bench).await;
    let before = bench.picture(&[STREAM]).await;
    let others = Permissions { adopt_group: true, start_over: true, ..Permissions::default() };
    for permissions in [Permissions::default(), others] {
        let request = AttachRequest { permissions, ..request("a", 2) };
        assert_eq!(ask(&bench, &request).await, AttachReply::Behind(BEHIND));
    }
    assert_eq!(bench.picture(&[STREAM]).await, before);
}

async fn a_replaced_stream_is_read_from_its_beginning_when_allowed(bench: Bench) {
    replaced(&bench).await;
    let permissions = Permissions { read_replaced: true, ..Permissions::default() };
    let owned = own(&bench, &AttachRequest { permissions, ..request("a", 2) }).await;
    assert_eq!((owned.position, owned.processed, owned.base), (EntryId::MIN, 2, Some(1 - 2)));
    assert_eq!((owned.last_id, owned.length, owned.head.sequence), (id(4), 2, 2));
    assert_eq!(bench.recorded("@position").await.as_deref(), Some("0-0"));
    let group = bench.group(STREAM, GROUP).await.unwrap();
    assert_eq!((group.cursor, group.entries_read, group.lag), (EntryId::MIN, Some(1), Some(2)));
}

async fn a_replaced_stream_is_skipped_when_allowed(bench: Bench) {
    replaced(&bench).await;
    let permissions = Permissions { skip_replaced: true, ..Permissions::default() };
    let owned = own(&bench, &AttachRequest { permissions, ..request("a", 2) }).await;
    assert_eq!((owned.position, owned.processed, owned.base), (id(4), 2, Some(3 - 2)));
    assert_eq!((owned.last_id, owned.length), (id(4), 2));
    let group = bench.group(STREAM, GROUP).await.unwrap();
    assert_eq!((group.cursor, group.entries_read, group.lag), (id(4), Some(3), Some(0)));
    // The new stream is left as it is: its producer may give IDs of its own.
    bench.add_with_id(STREAM, id(5), fields("z")).await;
    assert_eq!(bench.group(STREAM, GROUP).await.unwrap().lag, Some(1));
}

async fn a_deleted_stream_goes_on_above_the_position(bench: Bench) {
    ahead(&bench).await;
    bench.delete_key(STREAM).await;
    let owned = own(&bench, &request("a", 2)).await;
    assert_eq!((owned.position, owned.last_id, owned.length), (AHEAD, AHEAD, 0));
    assert_eq!(bench.add(STREAM, fields("z")).await, EntryId::new(AHEAD.ms, AHEAD.seq + 1));
    let group = bench.group(STREAM, GROUP).await.unwrap();
    assert_eq!((group.entries_read, group.lag), (Some(0), Some(1)), "the new stream counts from the beginning");
}

async fn an_emptied_stream_goes_on_above_the_position(bench: Bench) {
    ahead(&bench).await;
    bench.delete_key(STREAM).await;
    bench.add_with_id(STREAM, id(1), fields("y")).await;
    bench.trim(STREAM, 0).await;
    let owned = own(&bench, &request("a", 2)).await;
    assert_eq!((owned.position, owned.last_id, owned.length), (AHEAD, AHEAD, 0));
    assert_eq!(bench.stream(STREAM).await.unwrap().last_id, AHEAD);
}

async fn a_renewal_says_that_the_stream_ends_before_the_position(bench: Bench) {
    let mut session = replaced(&bench).await;
    let before = bench.picture(&[STREAM]).await;
    assert_eq!(session.send(RENEW).await, StepReply::Behind(BEHIND));
    assert_eq!(bench.picture(&[STREAM]).await, before);
}

async fn a_renewal_makes_a_deleted_stream_go_on_above_the_position(bench: Bench) {
    let mut session = ahead(&bench).await;
    bench.delete_key(STREAM).await;
    let StepReply::Renewed(renewed) = session.send(RENEW).await else { panic!() };
    assert_eq!((renewed.position, renewed.last_id, renewed.last_entry), (AHEAD, AHEAD, None));
    assert!(renewed.cursor_repaired && renewed.cursor_trouble.is_none(), "{renewed:?}");
    assert_eq!((renewed.base, renewed.vanished), (Some(-2), -2), "the new stream counts from the beginning");
    assert_eq!(bench.group(STREAM, GROUP).await.unwrap().cursor, AHEAD);
    assert_eq!(bench.add(STREAM, fields("z")).await, EntryId::new(AHEAD.ms, AHEAD.seq + 1));
    assert_eq!(bench.group(STREAM, GROUP).await.unwrap().lag, Some(1));
    // It is ours: the record may be lost now.
    bench.delete_record().await;
    assert_eq!(ask(&bench, &request("a", 2)).await, AttachReply::Lost { cursor: AHEAD });
}

/// Neither as text nor as floating-point numbers, which have no room for 20 digits.
async fn ids_are_compared_by_number(bench: Bench) {
    let large = u64::MAX - 1;
    let pairs = [
        (EntryId::new(9, 0), EntryId::new(10, 0)),
        (EntryId::new(5, 9), EntryId::new(5, 10)),
        (EntryId::new(5, 100), EntryId::new(6, 2)),
        (EntryId::new(large - 1, 0), EntryId::new(large, 0)),
        (EntryId::new(large, large - 1), EntryId::new(large, large)),
    ];
    for (low, high) in pairs {
        bench.flush_all().await;
        bench.add_with_id(STREAM, low, fields("x")).await;
        let after = |id| AttachRequest { start: Start::After(id), ..request("a", 1) };
        let behind = Behind { last_id: low, position: high, length: 1 };
        assert_eq!(ask(&bench, &after(high)).await, AttachReply::Behind(behind));

        bench.flush_all().await;
        bench.add_with_id(STREAM, high, fields("x")).await;
        let owned = own(&bench, &after(low)).await;
        assert_eq!((owned.position, owned.base), (low, Some(0)));

        bench.flush_all().await;
        let mut session = Session::attach(&bench, &after(high)).await;
        bench.delete_key(STREAM).await;
        bench.add_with_id(STREAM, low, fields("x")).await;
        assert_eq!(session.send(RENEW).await, StepReply::Behind(behind));
        bench.delete_key(STREAM).await;
        assert!(matches!(session.send(RENEW).await, StepReply::Renewed(renewed) if renewed.last_id == high));
    }
}

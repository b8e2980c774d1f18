//! Records that are gone, and groups that were there before.

use atomic_streams::EntryId;
use atomic_streams::internals::{AttachReply, AttachRequest, Permissions, StepReply};

use crate::bench::Bench;
use crate::kit::{GROUP, RENEW, STREAM, Session, ask, fields, id, own, request};

conformance! {
    a_lost_record_is_told_from_a_new_subscription,
    a_lost_record_is_begun_anew_only_when_allowed,
    record_and_group_both_gone_are_a_new_subscription,
    a_lost_record_fences_its_owner,
    a_foreign_group_is_adopted_only_when_allowed,
    a_foreign_group_with_pending_entries_is_not_adopted_without_a_word_of_its_own,
    pending_entries_are_adopted_with_what_lies_between,
    what_was_adopted_is_forgotten_when_it_is_done,
    a_foreign_group_is_not_looked_at_when_the_record_is_there,
}

/// What each permission alone allows.
fn may(letter: char) -> Permissions {
    Permissions {
        adopt_group: matches!(letter, 'a' | 'p'),
        adopt_pending: letter == 'p',
        start_over: letter == 'n',
        read_replaced: letter == 'r',
        skip_replaced: letter == 's',
        stop_at_trimmed: letter == 't',
    }
}

async fn committed(bench: &Bench) -> Session {
    for ms in 1..=3 {
        bench.add_with_id(STREAM, id(ms), fields("x")).await;
    }
    let mut session = Session::start(bench).await;
    session.done(session.commit(1, id(1))).await;
    session.done(session.commit(2, id(2))).await;
    session
}

async fn a_lost_record_is_told_from_a_new_subscription(bench: Bench) {
    committed(&bench).await;
    bench.delete_record().await;
    let before = bench.picture(&[STREAM]).await;
    for letter in ['-', 'a', 'r', 's'] {
        let request = AttachRequest { permissions: may(letter), ..request("b", 1) };
        assert_eq!(ask(&bench, &request).await, AttachReply::Lost { cursor: id(2) }, "{letter}");
    }
    assert_eq!(bench.picture(&[STREAM]).await, before);
}

async fn a_lost_record_is_begun_anew_only_when_allowed(bench: Bench) {
    committed(&bench).await;
    bench.delete_record().await;
    let owned = own(&bench, &AttachRequest { permissions: may('n'), ..request("b", 1) }).await;
    assert_eq!((owned.created, owned.epoch, owned.head.sequence), (true, 1, 0));
    assert_eq!((owned.position, owned.processed, owned.base), (EntryId::MIN, 0, Some(0)));
    let group = bench.group(STREAM, GROUP).await.unwrap();
    assert_eq!((group.cursor, group.entries_read, group.lag), (EntryId::MIN, Some(0), Some(3)));
}

async fn record_and_group_both_gone_are_a_new_subscription(bench: Bench) {
    committed(&bench).await;
    bench.flush_all().await;
    let owned = own(&bench, &request("a", 2)).await;
    assert_eq!((owned.created, owned.epoch, owned.position), (true, 1, EntryId::MIN));
}

async fn a_lost_record_fences_its_owner(bench: Bench) {
    let mut session = committed(&bench).await;
    bench.delete_record().await;
    assert_eq!(session.send(RENEW).await, StepReply::Fenced { owner: String::new() });
    assert_eq!(bench.record().await, None);
}

async fn a_foreign_group_is_adopted_only_when_allowed(bench: Bench) {
    for ms in 1..=3 {
        bench.add_with_id(STREAM, id(ms), fields("x")).await;
    }
    bench.foreign_group(STREAM, GROUP, id(2), 0).await;
    let before = bench.picture(&[STREAM]).await;
    for letter in ['-', 'n', 'r', 's'] {
        let request = AttachRequest { permissions: may(letter), ..request("a", 1) };
        assert_eq!(
            ask(&bench, &request).await,
            AttachReply::Adopt { cursor: id(2), pending: 0, oldest: None },
            "{letter}"
        );
    }
    assert_eq!(bench.picture(&[STREAM]).await, before);
    let owned = own(&bench, &AttachRequest { permissions: may('a'), ..request("a", 1) }).await;
    assert_eq!((owned.created, owned.position, owned.processed, owned.base), (true, id(2), 0, None));
    // From here on it is ours.
    bench.delete_record().await;
    assert_eq!(ask(&bench, &request("a", 2)).await, AttachReply::Lost { cursor: id(2) });
}

async fn a_foreign_group_with_pending_entries_is_not_adopted_without_a_word_of_its_own(bench: Bench) {
    for ms in 1..=3 {
        bench.add_with_id(STREAM, id(ms), fields("x")).await;
    }
    bench.foreign_group(STREAM, GROUP, id(2), 2).await;
    let before = bench.picture(&[STREAM]).await;
    for letter in ['-', 'a', 'n'] {
        let request = AttachRequest { permissions: may(letter), ..request("a", 1) };
        assert_eq!(ask(&bench, &request).await, AttachReply::Adopt { cursor: id(2), pending: 2, oldest: Some(id(1)) });
    }
    assert_eq!(bench.picture(&[STREAM]).await, before);
}

async fn a_foreign_group_is_not_looked_at_when_the_record_is_there(bench: Bench) {
    committed(&bench).await;
    bench.destroy_group(STREAM, GROUP).await;
    bench.foreign_group(STREAM, GROUP, id(3), 1).await;
    let owned = own(&bench, &request("a", 2)).await;
    assert_eq!(owned.position, id(2));
    assert_eq!(bench.group(STREAM, GROUP).await.unwrap().cursor, id(2));
}

async fn pending_entries_are_adopted_with_what_lies_between(bench: Bench) {
    for ms in 1..=6 {
        bench.add_with_id(STREAM, id(ms), fields("x")).await;
    }
    // The first two are pending and the cursor is at 4: 3 and 4 are done.
    bench.foreign_group(STREAM, GROUP, id(4), 2).await;
    let request = |attempt| AttachRequest { permissions: may('p'), ..request("a", attempt) };
    let first = own(&bench, &request(1)).await;
    assert_eq!((first.created, first.position, first.base), (true, EntryId::MIN, Some(0)));
    let adopted = first.adopted.clone().unwrap();
    assert_eq!([1, 2, 3, 4, 5].map(|ms| adopted.has_done(id(ms))), [false, false, true, true, false]);
    let group = bench.group(STREAM, GROUP).await.unwrap();
    assert_eq!((group.cursor, group.pending), (EntryId::MIN, 0), "they are the record's now");
    assert_eq!(bench.recorded("@adopted").await.as_deref(), Some("4-0"));
    assert_eq!(bench.recorded("@pending").await.as_deref(), Some("1-0 2-0"));
    // Another attach knows it as well, whatever it may.
    let second = own(&bench, &AttachRequest { permissions: may('-'), ..request(2) }).await;
    assert_eq!((second.created, second.adopted), (false, first.adopted));
}

async fn what_was_adopted_is_forgotten_when_it_is_done(bench: Bench) {
    for ms in 1..=4 {
        bench.add_with_id(STREAM, id(ms), fields("x")).await;
    }
    bench.foreign_group(STREAM, GROUP, id(3), 2).await;
    bench.delete_entry(STREAM, id(1)).await;
    let request = |attempt| AttachRequest { permissions: may('p'), ..request("a", attempt) };
    let mut session = Session::attach(&bench, &request(1)).await;
    assert_eq!(session.owned.position, EntryId::MIN, "one that is gone is pending too");
    session.done(session.commit(1, id(2))).await;
    assert!(own(&bench, &request(2)).await.adopted.is_some());
    let mut session = Session::attach(&bench, &request(3)).await;
    session.done(session.commit(1, id(3))).await;
    let owned = own(&bench, &request(4)).await;
    assert_eq!((owned.position, owned.adopted), (id(3), None));
    assert_eq!((bench.recorded("@adopted").await, bench.recorded("@pending").await), (None, None));
}

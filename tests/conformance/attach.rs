//! The first attach, and every reason to refuse one.

use atomic_streams::EntryId;
use atomic_streams::internals::{AttachReply, AttachRequest, GroupInfo, Start};

use crate::bench::Bench;
use crate::kit::{GROUP, LEASE_MS, STREAM, Session, ask, fields, id, own, request, subscription};

conformance! {
    a_new_subscription_begins_before_the_first_entry,
    a_new_subscription_begins_at_the_end,
    a_new_subscription_begins_after_an_entry,
    a_new_subscription_makes_the_stream,
    the_end_of_no_stream_is_its_beginning,
    ids_follow_the_entry_after_which_an_empty_stream_begins,
    entries_behind_a_start_beyond_the_stream_are_not_skipped_unasked,
    deleted_entries_count_as_read_at_the_start,
    an_entry_deleted_in_the_midst_leaves_the_lag_unknown,
    trimmed_entries_count_as_read_at_the_start,
    a_stream_emptied_by_trimming_has_no_lag,
    the_record_says_who_owns_what,
    another_record_under_this_name_is_foreign,
    another_format_is_not_touched,
    a_damaged_record_is_not_touched,
    keys_of_other_types_are_named,
}

fn group(cursor: EntryId, entries_read: Option<u64>, lag: Option<i64>) -> Option<GroupInfo> {
    Some(GroupInfo { cursor, entries_read, lag, pending: 0 })
}

async fn with_entries(bench: &Bench, count: u64) {
    for ms in 1..=count {
        bench.add_with_id(STREAM, id(ms), fields("x")).await;
    }
}

async fn a_new_subscription_begins_before_the_first_entry(bench: Bench) {
    with_entries(&bench, 3).await;
    let owned = own(&bench, &request("a", 1)).await;
    assert_eq!((owned.epoch, owned.created, owned.released), (1, true, true));
    assert_eq!((owned.position, owned.processed, owned.base), (EntryId::MIN, 0, Some(0)));
    assert_eq!((owned.last_id, owned.length, owned.head.sequence), (id(3), 3, 0));
    assert_eq!(bench.group(STREAM, GROUP).await, group(EntryId::MIN, Some(0), Some(3)));
}

async fn a_new_subscription_begins_at_the_end(bench: Bench) {
    with_entries(&bench, 3).await;
    let request = AttachRequest { start: Start::End, ..request("a", 1) };
    let owned = own(&bench, &request).await;
    assert_eq!((owned.position, owned.processed, owned.base), (id(3), 0, Some(3)));
    assert_eq!(bench.group(STREAM, GROUP).await, group(id(3), Some(3), Some(0)));
}

async fn a_new_subscription_begins_after_an_entry(bench: Bench) {
    with_entries(&bench, 3).await;
    let request = AttachRequest { start: Start::After(id(2)), ..request("a", 1) };
    let owned = own(&bench, &request).await;
    assert_eq!((owned.position, owned.base), (id(2), None));
    assert_eq!(bench.group(STREAM, GROUP).await, group(id(2), None, None));
    assert_eq!(bench.recorded("@base").await.as_deref(), Some(""));
}

async fn a_new_subscription_makes_the_stream(bench: Bench) {
    let owned = own(&bench, &request("a", 1)).await;
    assert_eq!((owned.position, owned.last_id, owned.length, owned.base), (EntryId::MIN, EntryId::MIN, 0, Some(0)));
    assert_eq!(bench.stream(STREAM).await.unwrap().length, 0);
    assert_eq!(bench.group(STREAM, GROUP).await, group(EntryId::MIN, Some(0), Some(0)));
}

async fn the_end_of_no_stream_is_its_beginning(bench: Bench) {
    let request = AttachRequest { start: Start::End, ..request("a", 1) };
    assert_eq!(own(&bench, &request).await.position, EntryId::MIN);
}

async fn ids_follow_the_entry_after_which_an_empty_stream_begins(bench: Bench) {
    let ahead = EntryId::new(9_000_000_000_000, 7);
    let request = AttachRequest { start: Start::After(ahead), ..request("a", 1) };
    let owned = own(&bench, &request).await;
    assert_eq!((owned.position, owned.last_id, owned.base), (ahead, ahead, Some(0)));
    assert_eq!(bench.add(STREAM, fields("x")).await, EntryId::new(ahead.ms, 8));
}

async fn entries_behind_a_start_beyond_the_stream_are_not_skipped_unasked(bench: Bench) {
    with_entries(&bench, 2).await;
    let request = AttachRequest { start: Start::After(id(5)), ..request("a", 1) };
    let AttachReply::Behind(behind) = ask(&bench, &request).await else { panic!() };
    assert_eq!((behind.last_id, behind.position, behind.length), (id(2), id(5), 2));
    assert_eq!((bench.record().await, bench.group(STREAM, GROUP).await), (None, None));
}

async fn deleted_entries_count_as_read_at_the_start(bench: Bench) {
    with_entries(&bench, 4).await;
    bench.delete_entry(STREAM, id(1)).await;
    assert_eq!(own(&bench, &request("a", 1)).await.base, Some(1));
    assert_eq!(bench.group(STREAM, GROUP).await, group(EntryId::MIN, Some(1), Some(3)));
}

async fn an_entry_deleted_in_the_midst_leaves_the_lag_unknown(bench: Bench) {
    with_entries(&bench, 4).await;
    bench.delete_entry(STREAM, id(2)).await;
    assert_eq!(own(&bench, &request("a", 1)).await.base, Some(1));
    assert_eq!(bench.group(STREAM, GROUP).await, group(EntryId::MIN, Some(1), None));
}

async fn trimmed_entries_count_as_read_at_the_start(bench: Bench) {
    with_entries(&bench, 5).await;
    bench.trim(STREAM, 2).await;
    assert_eq!(own(&bench, &request("a", 1)).await.base, Some(3));
    assert_eq!(bench.group(STREAM, GROUP).await, group(EntryId::MIN, Some(3), Some(2)));
}

async fn a_stream_emptied_by_trimming_has_no_lag(bench: Bench) {
    with_entries(&bench, 5).await;
    bench.trim(STREAM, 0).await;
    let owned = own(&bench, &request("a", 1)).await;
    assert_eq!((owned.base, owned.last_id, owned.length), (Some(5), id(5), 0));
    assert_eq!(bench.group(STREAM, GROUP).await, group(EntryId::MIN, Some(5), Some(0)));
}

async fn the_record_says_who_owns_what(bench: Bench) {
    let owned = own(&bench, &request("a", 1)).await;
    let record = bench.record().await.unwrap();
    let names: Vec<&str> = record.keys().map(String::as_str).collect();
    let all = [
        "@about",
        "@base",
        "@created",
        "@epoch",
        "@format",
        "@group",
        "@head",
        "@lease",
        "@owner",
        "@position",
        "@processed",
        "@schema",
        "@settled",
        "@stream",
    ];
    assert_eq!(names, all);
    let text = |name: &str| str::from_utf8(&record[name]).unwrap();
    let expected = [
        ("@stream", STREAM),
        ("@group", GROUP),
        ("@format", "1"),
        ("@owner", "host of a"),
        ("@epoch", "1"),
        ("@position", "0-0"),
        ("@processed", "0"),
        ("@base", "0"),
        ("@schema", "schema"),
    ];
    for (name, value) in expected {
        assert_eq!(text(name), value, "{name}");
    }
    assert_eq!(text("@head"), owned.head.to_string());
    assert!(owned.head.token.as_str().starts_with("a.1.1."), "{}", owned.head);
    let number = |name: &str| text(name).parse::<u64>().unwrap();
    assert_eq!(number("@lease"), number("@created") + LEASE_MS);
}

async fn another_record_under_this_name_is_foreign(bench: Bench) {
    bench.set_recorded("stock", "7").await;
    let before = bench.picture(&[STREAM]).await;
    let none = AttachReply::Foreign { stream: String::new(), group: String::new() };
    assert_eq!(ask(&bench, &request("a", 1)).await, none);
    assert_eq!(bench.picture(&[STREAM]).await, before);

    bench.delete_record().await;
    Session::start(&bench).await;
    bench.set_recorded("@stream", "other").await;
    let other = AttachReply::Foreign { stream: "other".into(), group: GROUP.into() };
    assert_eq!(ask(&bench, &request("a", 2)).await, other);
    bench.set_recorded("@stream", STREAM).await;
    bench.set_recorded("@group", "other").await;
    let other = AttachReply::Foreign { stream: STREAM.into(), group: "other".into() };
    assert_eq!(ask(&bench, &request("a", 2)).await, other);
}

async fn another_format_is_not_touched(bench: Bench) {
    Session::start(&bench).await;
    // Before the schema is looked at: another format may keep it elsewhere.
    bench.set_recorded("@schema", "other").await;
    bench.set_recorded("@format", "2").await;
    let before = bench.picture(&[STREAM]).await;
    assert_eq!(ask(&bench, &request("a", 2)).await, AttachReply::Format { format: "2".into() });
    assert_eq!(bench.picture(&[STREAM]).await, before);
}

/// Whatever the scripts could not calculate with, and whatever they would not write.
async fn a_damaged_record_is_not_touched(bench: Bench) {
    Session::start(&bench).await;
    let long = "9".repeat(30);
    // Before the schema is looked at, and before the lease.
    bench.set_recorded("@schema", "other").await;
    for (field, values) in [
        ("@head", &["", "no head", ":1", "a.1.1:", "a.1.1", "a.x.1:1", ".1.1:1", "a.1.1:-1", "a.1.1:0x1", &long][..]),
        ("@lease", &["", "soon", "-1", "1e3", "inf", "nan", "0x10", " 1", &long]),
        ("@epoch", &["", "one", "1.5", "9007199254740992"]),
        ("@position", &["", "1", "x-0", "1-0-0", "-1-0", "1-18446744073709551616", "01-0", "1-0\n", &long]),
        ("@processed", &["", "-1", "+1", "007", "9007199254740992", "1\0", &long]),
        ("@base", &["none", "--1", "-", "1.0", &long]),
        ("@trying", &["", "1-0", "1-0 ", "1-0 -1", "x 1", "1-0 1 1", "1-0 4294967296"]),
    ] {
        let kept = bench.recorded(field).await;
        for value in values {
            bench.set_recorded(field, value).await;
            let before = bench.picture(&[STREAM]).await;
            let reply = ask(&bench, &request("b", 2)).await;
            let found = value.to_string();
            assert_eq!(reply, AttachReply::Damaged { field: field.into(), found }, "{field} {value:?}");
            assert_eq!(bench.picture(&[STREAM]).await, before);
        }
        match kept {
            Some(kept) => bench.set_recorded(field, &kept).await,
            // It was not there: any of its kind will do.
            None => bench.set_recorded(field, "18446744073709551615-18446744073709551615 4294967295").await,
        }
    }
    assert!(matches!(ask(&bench, &request("b", 2)).await, AttachReply::Schema { .. }), "nothing else is wrong");
}

async fn keys_of_other_types_are_named(bench: Bench) {
    for key in [STREAM, subscription().record()] {
        bench.put_wrong_type(key).await;
        let wrong = AttachReply::WrongType { key: key.into(), holds: "string".into() };
        assert_eq!(ask(&bench, &request("a", 1)).await, wrong);
        bench.delete_key(key).await;
    }
    // Of two, the record.
    for key in [STREAM, subscription().record()] {
        bench.put_wrong_type(key).await;
    }
    let reply = ask(&bench, &request("a", 1)).await;
    assert!(matches!(reply, AttachReply::WrongType { key, .. } if key == subscription().record()));
    for key in [STREAM, subscription().record()] {
        bench.delete_key(key).await;
    }
    own(&bench, &request("a", 1)).await;
}

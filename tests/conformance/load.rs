//! State as it is read back.

use atomic_streams::internals::{Commit, Failure, Permanent};

use crate::bench::Bench;
use crate::kit::{Session, connect, id, own, request, subscription};

conformance! {
    no_record_loads_nothing,
    values_come_in_the_order_of_their_names,
    more_names_than_one_reply_carries,
    a_record_of_another_type_is_an_error,
}

async fn no_record_loads_nothing(bench: Bench) {
    let mut link = connect(&bench).await;
    assert_eq!(link.load(&[]).await.unwrap(), None);
    assert_eq!(link.load(&["stock".into()]).await.unwrap(), None);
}

async fn values_come_in_the_order_of_their_names(bench: Bench) {
    let mut session = Session::start(&bench).await;
    let state = vec![("a", b"1".to_vec()), ("b", vec![0, 255]), ("empty", Vec::new())];
    session.done(Commit { fields: state, ..session.commit(1, id(1)) }).await;
    let names = ["b", "missing", "a", "empty", "b"].map(str::to_owned);
    let loaded = session.link.load(&names).await.unwrap().unwrap();
    assert_eq!((loaded.head.token, loaded.head.sequence), (session.owned.head.token.clone(), 1));
    let values: Vec<Option<&[u8]>> = loaded.values.iter().map(Option::as_deref).collect();
    assert_eq!(values, [Some(&[0, 255][..]), None, Some(b"1"), Some(b""), Some(&[0, 255])]);

    let again = own(&bench, &request("a", 2)).await;
    let loaded = session.link.load(&[]).await.unwrap().unwrap();
    assert_eq!((loaded.head, loaded.values.len()), (again.head, 0));
}

async fn more_names_than_one_reply_carries(bench: Bench) {
    let mut session = Session::start(&bench).await;
    for count in [511_usize, 512, 513, 1024, 1500] {
        let names: Vec<&'static str> = (0..count).map(|n| &*format!("f{n}").leak()).collect();
        let state: Vec<_> = names.iter().map(|name| (*name, format!("value of {name}").into_bytes())).collect();
        session.done(Commit { fields: state.clone(), ..session.commit(1, id(1)) }).await;
        session.owned.head.sequence += 1;
        let mut names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        names.push("missing".into());
        let loaded = session.link.load(&names).await.unwrap().unwrap();
        assert_eq!(loaded.head, session.owned.head);
        let expected: Vec<_> = state.into_iter().map(|(_, value)| Some(value)).chain([None]).collect();
        assert_eq!(loaded.values, expected);
    }
}

async fn a_record_of_another_type_is_an_error(bench: Bench) {
    bench.put_wrong_type(subscription().record()).await;
    let error = connect(&bench).await.load(&["stock".into()]).await.unwrap_err();
    assert_eq!(error.failure, Failure::Permanent(Permanent::WrongType), "{error}");
}

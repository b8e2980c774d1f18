//! What a key holds, to be compared.

use redis::aio::ConnectionLike;

/// The contents of a key as bytes, which are equal exactly where the contents are.
///
/// They are those of `DUMP`, except for hashes: a server may give the fields of a table in another order each time.
pub async fn contents(connection: &mut impl ConnectionLike, key: impl AsRef<[u8]>) -> Vec<u8> {
    let key = key.as_ref();
    let kind: String = redis::cmd("TYPE").arg(key).query_async(connection).await.unwrap();
    if kind != "hash" {
        return redis::cmd("DUMP")
            .arg(key)
            .query_async::<Option<Vec<u8>>>(connection)
            .await
            .unwrap()
            .unwrap_or_default();
    }
    let fields: std::collections::BTreeMap<Vec<u8>, Vec<u8>> =
        redis::cmd("HGETALL").arg(key).query_async(connection).await.unwrap();
    let text = |bytes: Vec<u8>| [&bytes.len().to_le_bytes()[..], &bytes[..]].concat();
    fields.into_iter().flat_map(|(name, value)| [text(name), text(value)]).flatten().collect()
}

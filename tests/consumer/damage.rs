//! State that is not what a handler has written: refused, named, and left as it is.

use atomic_streams::{ErrorKind, Persistable};
use redis::AsyncCommands;
use serde::{Deserialize, Serialize};

use crate::showing::{refused, seen, showing, start_once};
use crate::site::{RECORD, Site, within};

#[derive(Serialize, Deserialize, Debug)]
enum Tree {
    Leaf,
    Branch(Box<Tree>),
}

#[derive(Persistable, Debug)]
struct Archive {
    count: i64,
    tags: Vec<String>,
    tree: Tree,
}

showing!(Archive);

fn archive() -> Archive {
    Archive { count: 5, tags: vec!["x".into()], tree: Tree::Leaf }
}

/// A chain of variants, 10,000 deep.
fn deep() -> Vec<u8> {
    let mut bytes = b"\x81\xa6Branch".repeat(10_000);
    bytes.extend(b"\xa4Leaf");
    bytes
}

#[tokio::test]
async fn damaged_state_is_refused_by_name_and_the_lease_given_up() {
    let mut site = Site::start().await;
    start_once(&site, archive()).await;
    for (field, bytes) in [
        ("count", b"".to_vec()),
        ("count", b"\xcd\x01".to_vec()),
        ("count", b"\x05\x06".to_vec()),
        ("count", b"\xc1".to_vec()),
        ("count", rmp_serde::to_vec("five").unwrap()),
        ("count", b"five".to_vec()),
        ("tags", rmp_serde::to_vec(&5).unwrap()),
        ("tags", b"\xdd\xff\xff\xff\xff".to_vec()),
        ("tags", b"\x91\xdb\xff\xff\xff\xff".to_vec()),
        ("tags", b"\x91\xa1\xff".to_vec()),
        ("tree", deep()),
        ("tree", rmp_serde::to_vec("Twig").unwrap()),
    ] {
        let sound: Vec<u8> = site.redis.hget(RECORD, field).await.unwrap();
        let () = site.redis.hset(RECORD, field, &bytes).await.unwrap();
        let error = refused(&site, archive()).await;
        let shown = &bytes[..bytes.len().min(16)];
        assert_eq!(error.kind(), ErrorKind::StateDamaged, "{field} {shown:x?}: {error}");
        let text = error.to_string();
        assert!(text.contains(&format!("field `{field}`")), "{field} {shown:x?}: {text}");
        assert!(text.contains("backup"), "{text}");
        assert!(text.len() < 500, "{text}");
        assert_eq!(site.record("@lease").await, "0");
        let left: Vec<u8> = site.redis.hget(RECORD, field).await.unwrap();
        assert!(left == bytes, "{field} {shown:x?}: what was found was written over");
        let () = site.redis.hset(RECORD, field, sound).await.unwrap();
    }
    assert_eq!(seen(&mut site, archive()).await, "Archive { count: 5, tags: [\"x\"], tree: Leaf }");
}

#[tokio::test]
async fn a_damaged_schema_is_refused_and_shown() {
    let mut site = Site::start().await;
    start_once(&site, archive()).await;
    for schema in ["", "{", "{\"version\":1}", "[]"] {
        let () = site.redis.hset(RECORD, "@schema", schema).await.unwrap();
        let error = refused(&site, archive()).await;
        assert_eq!(error.kind(), ErrorKind::StateDamaged, "{schema}: {error}");
        assert!(error.to_string().contains(&format!("the stored schema `{schema}`")), "{error}");
    }
}

#[derive(Persistable, Debug)]
struct Deep {
    tree: Tree,
}

#[async_trait::async_trait]
impl atomic_streams::Handler for Deep {
    type Message = atomic_streams::Fields;

    async fn handle(
        &mut self,
        fields: atomic_streams::Fields,
        _: &mut atomic_streams::Transaction,
    ) -> atomic_streams::HandlerResult {
        let depth: usize = fields.get_str("depth").ok_or("no depth")?.parse()?;
        self.tree = (0..depth).fold(Tree::Leaf, |tree, _| Tree::Branch(Box::new(tree)));
        Ok(())
    }
}

#[tokio::test]
async fn what_could_not_be_read_back_is_not_stored() {
    let mut site = Site::start().await;
    for depth in ["64", "65"] {
        site.add(&[("depth", depth)]).await;
    }
    let consumer = site.consumer().handler(Deep { tree: Tree::Leaf }).spawn().await.unwrap();
    let (_, error) = crate::site::until_retrying(&consumer).await;
    assert!(error.contains("field `tree`") && error.contains("64 deep"), "{error}");
    within(consumer.shutdown()).await.unwrap();
    assert_eq!(site.processed().await, 1);
    start_once(&site, Deep { tree: Tree::Leaf }).await;
}

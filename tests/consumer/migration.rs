//! A build that raises the version and converts what is stored.

use atomic_streams::{ErrorKind, Persistable, StateError, StateFields};

use crate::showing::{refused, seen, showing, start_once};
use crate::site::Site;

#[derive(Persistable, Debug)]
struct Euros {
    euros: i64,
    names: Vec<String>,
}

#[derive(Persistable, Debug)]
#[persist(version = 2, migrate = to_cents)]
struct Cents {
    cents: i64,
    names: Vec<String>,
    #[persist(default = 19)]
    tax: u8,
}

fn to_cents(mut fields: StateFields) -> Result<StateFields, StateError> {
    let euros: i64 = fields.take("euros")?;
    fields.insert("cents", &(euros * 100))?;
    Ok(fields)
}

#[derive(Persistable, Debug)]
#[persist(version = 5, migrate = to_text)]
struct Text {
    amount: String,
}

fn to_text(mut fields: StateFields) -> Result<StateFields, StateError> {
    let names: Vec<String> = fields.names().map(str::to_owned).collect();
    let amount = match fields.version() {
        1 => format!("EUR {}", fields.take::<i64>("euros")?),
        2 => format!("EUR {:.2}", fields.take::<i64>("cents")? as f64 / 100.0),
        version => return Err(StateError::new(format!("version {version} was never released"))),
    };
    fields.insert("amount", &format!("{amount} of {names:?}"))?;
    Ok(fields)
}

showing!(Euros, Cents, Text);

fn euros() -> Euros {
    Euros { euros: 12, names: vec!["a".into()] }
}

fn cents() -> Cents {
    Cents { cents: 0, names: Vec::new(), tax: 0 }
}

fn text() -> Text {
    Text { amount: String::new() }
}

#[tokio::test]
async fn a_migration_makes_the_new_fields_and_drops_the_old_ones() {
    let mut site = Site::start().await;
    start_once(&site, euros()).await;
    assert_eq!(seen(&mut site, cents()).await, "Cents { cents: 1200, names: [\"a\"], tax: 19 }");
    assert_eq!(site.state_names().await, ["cents", "names", "tax"]);
    assert_eq!(seen(&mut site, cents()).await, "Cents { cents: 1200, names: [\"a\"], tax: 19 }", "it runs once");
    assert!(site.record("@schema").await.starts_with(r#"{"version":2,"#));
}

#[tokio::test]
async fn a_migration_is_told_which_version_it_gets() {
    let mut site = Site::start().await;
    start_once(&site, euros()).await;
    let state = seen(&mut site, text()).await;
    assert_eq!(state, r#"Text { amount: "EUR 12 of [\"euros\", \"names\"]" }"#);

    let mut site = Site::start().await;
    start_once(&site, euros()).await;
    start_once(&site, cents()).await;
    let state = seen(&mut site, text()).await;
    assert_eq!(state, r#"Text { amount: "EUR 12.00 of [\"cents\", \"names\", \"tax\"]" }"#);
    assert_eq!(site.state_names().await, ["amount"]);
}

#[tokio::test]
async fn state_of_a_newer_version_is_never_touched() {
    let mut site = Site::start().await;
    start_once(&site, cents()).await;
    let before = site.head().await;
    let error = refused(&site, euros()).await;
    assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
    let text = error.to_string();
    assert!(text.contains("version 2") && text.contains("version 1") && text.contains("newer build"), "{text}");
    assert_eq!(site.head().await, before);
}

#[derive(Persistable, Debug)]
#[persist(version = 2, migrate = refuse)]
struct Refusing {
    cents: i64,
}

fn refuse(_: StateFields) -> Result<StateFields, StateError> {
    Err(StateError::new("no rate for this currency"))
}

#[derive(Persistable, Debug)]
#[persist(version = 2, migrate = panic)]
struct Panicking {
    cents: i64,
}

fn panic(fields: StateFields) -> Result<StateFields, StateError> {
    panic!("nobody thought of version {}", fields.version());
}

#[derive(Persistable, Debug)]
#[persist(version = 2, migrate = mistake)]
struct Mistaken {
    cents: i64,
}

fn mistake(mut fields: StateFields) -> Result<StateFields, StateError> {
    fields.insert("cents", "a lot")?;
    Ok(fields)
}

#[derive(Persistable, Debug)]
#[persist(version = 2, migrate = look_for_pounds)]
struct Pounds {
    pounds: i64,
}

fn look_for_pounds(mut fields: StateFields) -> Result<StateFields, StateError> {
    let pounds: i64 = fields.take("pounds")?;
    fields.insert("pounds", &pounds)?;
    Ok(fields)
}

showing!(Refusing, Panicking, Mistaken, Pounds);

/// The record is as before, nobody has to wait for it, and the older build goes on with it.
async fn is_unharmed(site: &mut Site) {
    assert_eq!(site.state_names().await, ["euros", "names"]);
    assert!(site.record("@schema").await.starts_with(r#"{"version":1,"#));
    assert_eq!(site.record("@lease").await, "0");
    assert_eq!(seen(site, euros()).await, "Euros { euros: 12, names: [\"a\"] }");
}

#[tokio::test]
async fn a_migration_that_fails_ends_the_consumer_and_harms_nothing() {
    let mut site = Site::start().await;
    start_once(&site, euros()).await;
    let error = refused(&site, Refusing { cents: 0 }).await;
    assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
    assert!(error.to_string().contains("the migration from version 1 failed: no rate for this currency"), "{error}");
    is_unharmed(&mut site).await;
}

#[tokio::test]
async fn a_migration_that_panics_ends_the_consumer_and_harms_nothing() {
    let mut site = Site::start().await;
    start_once(&site, euros()).await;
    let error = refused(&site, Panicking { cents: 0 }).await;
    assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
    assert!(error.to_string().contains("the migration panicked: nobody thought of version 1"), "{error}");
    is_unharmed(&mut site).await;
}

#[tokio::test]
async fn a_migration_that_makes_a_value_of_another_type_names_the_field() {
    let mut site = Site::start().await;
    start_once(&site, euros()).await;
    let error = refused(&site, Mistaken { cents: 0 }).await;
    assert_eq!(error.kind(), ErrorKind::StateDamaged);
    assert!(error.to_string().contains("field `cents`"), "{error}");
    is_unharmed(&mut site).await;
}

#[tokio::test]
async fn a_migration_that_looks_for_a_field_in_vain_names_it() {
    let mut site = Site::start().await;
    start_once(&site, euros()).await;
    let error = refused(&site, Pounds { pounds: 0 }).await;
    assert!(error.to_string().contains("no field `pounds` is stored"), "{error}");
    is_unharmed(&mut site).await;
}

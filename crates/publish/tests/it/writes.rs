//! Transactions, and what the catalogs tell.

use restway_publish::{
    Bound, Column, Dialect, Kind, Page, Relation, Source, SourceError, Statement, Violation,
};

use crate::databases::{self, Database};

fn table(name: &str) -> Relation {
    Relation::Table(vec![name.to_owned()])
}

fn statement<'a>(text: &str, values: Vec<Bound>, columns: Vec<&'a Column>) -> Statement<'a> {
    Statement { text: text.to_owned(), values, arguments: &[], columns }
}

async fn count(source: &dyn Source) -> String {
    let column = Column::new("n", Kind::Int64);
    let asked = statement("SELECT count(*) AS n FROM orders", Vec::new(), vec![&column]);
    let mut page = Page::new(Vec::new(), 1);
    source.read(&asked, &mut page).await.expect("a count");
    String::from_utf8(page.into_bytes()).expect("text")
}

async fn check(database: Database) {
    let source = database.source(2);
    let described = source.describe(&table("orders")).await.expect("a description");
    assert_eq!(described.key, ["id"]);
    assert!(described.is_table);
    let column = |name: &str| described.columns.iter().find(|one| one.name == name).expect("it");
    assert!(column("id").has_default && !column("id").is_nullable);
    assert!(!column("amount").is_nullable && column("region").is_nullable);
    assert_eq!(column("amount").kind, Kind::Decimal { precision: 12, scale: 2 });
    assert_eq!(described.uniques.len(), 1);
    assert_eq!(described.uniques[0].columns, ["amount"]);
    assert_eq!(described.refers.len(), 1);
    assert_eq!(described.refers[0].columns, ["region", "customer"]);
    assert_eq!(described.refers[0].other_columns, ["region", "id"]);
    let other = source.describe(&table("customers")).await.expect("a description");
    assert_eq!(other.key, ["region", "id"]);
    assert_eq!(other.referred.len(), 1);
    assert_eq!(other.referred[0].columns, ["region", "id"]);
    assert!(!source.describe(&table("open_customers")).await.expect("a view").is_table);

    let insert = match source.dialect() {
        Dialect::Postgres => {
            "INSERT INTO orders (region, amount) VALUES ($1, CAST($2 AS numeric)) RETURNING id"
        }
        _ => "INSERT INTO orders (region, amount) VALUES (?, ?) RETURNING id",
    };
    let id = Column::new("id", Kind::Int64);
    let order = |amount: &str| {
        statement(insert, vec![Bound::Null, Bound::Text(amount.to_owned())], vec![&id])
    };
    let mut page = Page::new(Vec::new(), 10);
    let mut transaction = source.begin().await.expect("a transaction");
    transaction.execute(&order("1"), &mut page).await.expect("a row");
    transaction.save().await.expect("a part");
    transaction.execute(&order("2"), &mut page).await.expect("a row");
    transaction.undo().await.expect("undone");
    transaction.save().await.expect("a part");
    let twice = transaction.execute(&order("1"), &mut page).await;
    let unique = Violation::Unique;
    assert!(
        matches!(&twice, Err(SourceError::Constraint { violation, .. }) if *violation == unique),
        "{twice:?}"
    );
    transaction.undo().await.expect("undone");
    transaction.save().await.expect("a part");
    transaction.execute(&order("3"), &mut page).await.expect("a row");
    transaction.keep().await.expect("kept");
    assert_eq!(count(&*source).await, "{\"n\":1}", "nobody sees what is not yet true");
    transaction.commit().await.expect("committed");
    assert_eq!(page.rows(), 3, "the ids of three rows were returned");
    assert_eq!(count(&*source).await, "{\"n\":3}");

    let mut dropped = source.begin().await.expect("a transaction");
    dropped.execute(&order("4"), &mut page).await.expect("a row");
    drop(dropped);
    let kept = source.begin().await.expect("another transaction");
    kept.commit().await.expect("committed");
    assert_eq!(count(&*source).await, "{\"n\":3}");

    let delete = statement("DELETE FROM orders", Vec::new(), Vec::new());
    source.read(&delete, &mut page).await.expect_err("a read cannot write");
    assert_eq!(count(&*source).await, "{\"n\":3}");
}

#[tokio::test]
async fn sqlite_writes_all_or_nothing() {
    check(databases::sqlite().await).await;
}

#[tokio::test]
async fn postgres_writes_all_or_nothing() {
    check(databases::postgres().await).await;
}

#[tokio::test]
async fn mariadb_writes_all_or_nothing() {
    check(databases::mariadb().await).await;
}

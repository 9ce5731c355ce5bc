//! What a program would be that answers two queries and nothing else: no plan, no access, no
//! bounds. `bench/publish.sh` sets the server beside it.
//!
//! In: an address and a PostgreSQL with the table `items`. Out: an item by its key, and the list of
//! a category, written with sqlx and serde_json as one writes such a handler.

use axum::extract::{Path, Query, State};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::postgres::{PgPool, PgPoolOptions, PgRow};

#[derive(serde::Deserialize)]
struct Filter {
    category: String,
}

fn item(row: &PgRow) -> Value {
    json!({
        "id": row.get::<i32, _>(0),
        "name": row.get::<&str, _>(1),
        "category": row.get::<&str, _>(2),
        "price": row.get::<i32, _>(3),
        "stock": row.get::<Option<i32>, _>(4),
        "created": row.get::<&str, _>(5),
    })
}

async fn one(State(pool): State<PgPool>, Path(id): Path<i32>) -> Json<Value> {
    let row = sqlx::query("select * from items where id = $1").bind(id).fetch_one(&pool).await;
    Json(json!({ "item": item(&row.expect("a row")) }))
}

async fn list(State(pool): State<PgPool>, Query(filter): Query<Filter>) -> Json<Value> {
    let text =
        "select * from items where category = $1 and price >= 1000 order by price, id limit 25";
    let rows = sqlx::query(text).bind(filter.category).fetch_all(&pool).await.expect("rows");
    Json(json!({ "items": rows.iter().map(item).collect::<Vec<_>>() }))
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let (address, url) = (arguments.next(), arguments.next());
    let pool = PgPoolOptions::new().max_connections(16).connect_lazy(&url.expect("a URL"));
    let router = Router::new()
        .route("/items/{id}", get(one))
        .route("/items", get(list))
        .with_state(pool.expect("a pool"));
    let listener = tokio::net::TcpListener::bind(address.expect("an address")).await;
    axum::serve(listener.expect("it listens"), router).await.expect("it serves");
}

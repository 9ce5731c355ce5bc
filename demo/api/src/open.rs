//! `/open`: all customers without authorization, once for each other pagination style.
//!
//! | path | parameters | answer |
//! | --- | --- | --- |
//! | `/open/page` | `page` from 1, `per_page` | `{"items", "page", "total_pages", "total"}` |
//! | `/open/offset` | `offset`, `limit` | `{"results", "count"}` |
//! | `/open/link` | `page` from 1, `per_page` | a bare array, RFC 8288 `Link` header |
//! | `/open/next` | `cursor`, `limit` | `{"records", "next"}`: an absolute URL or null |
//! | `/open/keyset` | `after`, `limit` | `{"rows"}`, sorted by `id` |
//! | `/open/none` | none | a bare array of everything |
//!
//! Sizes are 50 unless asked for, and at most 200. Past the end a page is empty, not an error.
//! Absolute URLs name the host that the request named, so they work through a proxy or a name.

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::routing::get;

use crate::answer::{self, Answer};
use crate::data::{Collection, Object};
use crate::pages::{SIZE_DEFAULT, SIZE_MAX};
use crate::params::Params;
use crate::state::{Api, Slice};

type Shared = State<Arc<Api>>;

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/open/page", get(page))
        .route("/open/offset", get(offset))
        .route("/open/link", get(link))
        .route("/open/next", get(next))
        .route("/open/keyset", get(keyset))
        .route("/open/none", get(none))
}

async fn page(State(api): Shared, RawQuery(query): RawQuery) -> Answer {
    let numbered = Numbered::read(&api, query.as_deref())?;
    let text = Object::new()
        .raw("items", list(&numbered.slice))
        .raw("page", numbered.page)
        .raw("total_pages", numbered.pages)
        .raw("total", numbered.slice.total)
        .finish();
    Ok(answer::ok(text))
}

async fn link(State(api): Shared, RawQuery(query): RawQuery, headers: HeaderMap) -> Answer {
    let numbered = Numbered::read(&api, query.as_deref())?;
    let (page, pages) = (numbered.page, numbered.pages);
    let mut relations = vec![("first", 1)];
    if page > 1 {
        relations.push(("prev", page - 1));
    }
    if page < pages {
        relations.push(("next", page + 1));
    }
    relations.push(("last", pages.max(1)));
    let (origin, size) = (origin(&headers), numbered.size);
    let links: Vec<String> = relations
        .iter()
        .map(|(name, page)| {
            format!("<{origin}/open/link?page={page}&per_page={size}>; rel=\"{name}\"")
        })
        .collect();
    let mut response = answer::ok(list(&numbered.slice));
    let links = HeaderValue::from_str(&links.join(", "));
    let links = links.expect("a host that came in a header may go out in one");
    response.headers_mut().insert(header::LINK, links);
    Ok(response)
}

async fn offset(State(api): Shared, RawQuery(query): RawQuery) -> Answer {
    let params = Params::read(query.as_deref(), &["offset", "limit"])?;
    let position = params.number("offset", 0, 0..=u64::from(u32::MAX))?;
    let limit = params.number("limit", SIZE_DEFAULT, 1..=SIZE_MAX)?;
    let slice = customers(&api, position, limit);
    let text = Object::new().raw("results", list(&slice)).raw("count", slice.total);
    Ok(answer::ok(text.finish()))
}

async fn next(State(api): Shared, RawQuery(query): RawQuery, headers: HeaderMap) -> Answer {
    let params = Params::read(query.as_deref(), &["cursor", "limit"])?;
    let position = params.number("cursor", 0, 0..=u64::from(u32::MAX))?;
    let limit = params.number("limit", SIZE_DEFAULT, 1..=SIZE_MAX)?;
    let slice = customers(&api, position, limit);
    let origin = origin(&headers);
    let next = slice.next.map(|cursor| format!("{origin}/open/next?cursor={cursor}&limit={limit}"));
    let text = Object::new().raw("records", list(&slice)).optional_text("next", next.as_deref());
    Ok(answer::ok(text.finish()))
}

async fn keyset(State(api): Shared, RawQuery(query): RawQuery) -> Answer {
    let params = Params::read(query.as_deref(), &["after", "limit"])?;
    // Ids count from 1 without a gap, so the key is also the position.
    let after = params.number("after", 0, 0..=u64::from(u32::MAX))?;
    let limit = params.number("limit", SIZE_DEFAULT, 1..=SIZE_MAX)?;
    let slice = customers(&api, after, limit);
    Ok(answer::ok(Object::new().raw("rows", list(&slice)).finish()))
}

async fn none(State(api): Shared, RawQuery(query): RawQuery) -> Answer {
    Params::read(query.as_deref(), &[])?;
    Ok(answer::ok(list(&customers(&api, 0, u64::MAX))))
}

/// A page that is asked for by its number.
struct Numbered {
    page: u64,
    size: u64,
    pages: u64,
    slice: Slice,
}

impl Numbered {
    fn read(api: &Api, query: Option<&str>) -> Result<Numbered, answer::Problem> {
        let params = Params::read(query, &["page", "per_page"])?;
        let page = params.number("page", 1, 1..=u64::from(u32::MAX))?;
        let size = params.number("per_page", SIZE_DEFAULT, 1..=SIZE_MAX)?;
        let slice = customers(api, (page - 1) * size, size);
        let pages = slice.total.div_ceil(size);
        Ok(Numbered { page, size, pages, slice })
    }
}

fn customers(api: &Api, position: u64, size: u64) -> Slice {
    api.slice(Collection::Customers, position, size, None)
}

fn list(slice: &Slice) -> String {
    format!("[{}]", slice.records.join(","))
}

fn origin(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    format!("http://{}", host.unwrap_or("127.0.0.1"))
}

//! The web shop: customers and their orders.
//!
//! In go a record's random numbers, times and id; out comes its JSON text. A customer that a caller
//! creates goes through the same [`customer_text`], so created and generated ones cannot differ in
//! shape. An order's total is the sum of its lines, so that a query over either finds the same.

use super::json::{Decimal, Object, cents, list, texts};
use super::random::{END, Random, Times};
use super::words::{
    CITIES, COMPANIES, CURRENCIES, FIRST_NAMES, LAST_NAMES, NOTES, PRODUCTS, STATUSES, STREETS,
    TAGS,
};

/// The smallest integers that a double cannot tell apart lie here.
const SERIAL_BASE: u64 = 9_007_199_254_740_993;
/// One more than the largest unsigned 64-bit integer.
const TRACKING_BASE: u128 = 18_446_744_073_709_551_616;
const LEDGER_BASE: u64 = 12_345_678_901_234_567;

/// The fields of a customer that differ between generated and created ones.
#[derive(Debug, Default)]
pub(crate) struct Customer {
    pub(crate) name: String,
    pub(crate) email: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) is_business: bool,
    pub(crate) credit_limit_cents: Option<i64>,
    pub(crate) loyalty_points: u64,
    /// JSON text of an object, or none.
    pub(crate) address: Option<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) birthday: Option<String>,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
}

/// A customer's JSON text.
pub(crate) fn customer_text(id: u64, customer: &Customer) -> String {
    Object::new()
        .raw("id", id)
        .text("name", &customer.name)
        .optional_text("email", customer.email.as_deref())
        .optional_text("phone", customer.phone.as_deref())
        .raw("is_business", customer.is_business)
        .raw("serial", SERIAL_BASE + id)
        .optional("credit_limit", customer.credit_limit_cents.map(cents))
        .raw("loyalty_points", customer.loyalty_points)
        .optional("address", customer.address.as_deref())
        .raw("tags", texts(customer.tags.iter().map(String::as_str)))
        .raw("preferences", "{}")
        .optional_text("birthday", customer.birthday.as_deref())
        .raw("archived_at", "null")
        .text("created_at", &customer.created_at)
        .text("updated_at", &customer.updated_at)
        .finish()
}

pub(super) fn customer(random: &mut Random, times: Times, id: u64) -> String {
    let is_business = random.one_in(4);
    let name = if is_business {
        random.pick(COMPANIES).to_owned()
    } else {
        format!("{} {}", random.pick(FIRST_NAMES), random.pick(LAST_NAMES))
    };
    let customer = Customer {
        name,
        email: (!random.one_in(8)).then(|| format!("customer.{id}@example.com")),
        phone: random.one_in(3).then(|| format!("+49 30 {:07}", random.below(10_000_000))),
        is_business,
        credit_limit_cents: credit_limit(random, is_business),
        loyalty_points: random.below(50_000),
        address: Some(address(random)),
        tags: random.some(TAGS, 3).into_iter().map(str::to_owned).collect(),
        birthday: (!is_business).then(|| random.birthday()),
        created_at: random.stamp(times.created),
        updated_at: random.stamp(times.updated),
    };
    customer_text(id, &customer)
}

fn credit_limit(random: &mut Random, is_business: bool) -> Option<i64> {
    match random.below(8) {
        0..=2 => None,
        3 if is_business => Some(123_456_789),
        4 => Some(10),
        5 => Some(0),
        _ => Some(random.between(100, 2_000_000)),
    }
}

fn address(random: &mut Random) -> String {
    let (city, country, lat, lng) = random.pick_early(CITIES);
    let street = format!("{} {}", random.pick(STREETS), random.between(1, 199));
    let near = |units: i64, by: i64| Decimal { units: units + by, places: 4 };
    let (north, east) = (random.between(-900, 900), random.between(-900, 900));
    let geo = (!random.one_in(6))
        .then(|| Object::new().raw("lat", near(lat, north)).raw("lng", near(lng, east)).finish());
    Object::new()
        .text("street", &street)
        .text("city", city)
        .text("zip", &format!("{:05}", random.below(30_000)))
        .text("country", country)
        .optional("geo", geo)
        .finish()
}

pub(super) fn order(random: &mut Random, times: Times, id: u64, customers: u64) -> String {
    let (lines, total) = lines(random);
    let placed_at = random.stamp(times.created);
    let year = &placed_at[..4];
    let bound = customers.max(1);
    let customer = 1 + random.below(bound).min(random.below(bound));
    let shipping = Object::new()
        .text("method", random.pick_early(&["parcel", "express", "pickup"]))
        .raw("cost", cents(random.pick(&[0, 495, 1_290])))
        .raw("address", address(random))
        .finish();
    let note = random.one_in(3).then(|| random.pick(NOTES));
    Object::new()
        .raw("id", id)
        .text("number", &format!("SO-{year}-{id:06}"))
        .raw("customer_id", customer)
        .text("status", random.pick_early(STATUSES))
        .text("currency", random.pick_early(CURRENCIES))
        .raw("total", cents(total))
        .raw("ledger_amount", format_args!("{}.89", LEDGER_BASE + id))
        .raw("tracking_number", TRACKING_BASE + u128::from(id))
        .raw("weight_kg", Decimal { units: random.between(1, 400), places: 1 })
        .raw("is_gift", random.one_in(9))
        .raw("lines", lines)
        .raw("discounts", "[]")
        .raw("shipping", shipping)
        .optional_text("note", note)
        .text("placed_on", &placed_at[..10])
        .text("placed_at", &placed_at)
        .raw("cancelled_at", "null")
        .text("updated_at", &random.stamp(times.updated))
        .finish()
}

/// The lines as JSON text, and their sum in hundredths.
fn lines(random: &mut Random) -> (String, i64) {
    let mut total = 0;
    let mut lines = Vec::new();
    for _ in 0..random.between(1, 5) {
        let (sku, title, price) = random.pick_early(PRODUCTS);
        let quantity = random.between(1, 4);
        total += quantity * price;
        let line = Object::new()
            .text("sku", sku)
            .text("title", title)
            .raw("quantity", quantity)
            .raw("unit_price", cents(price));
        lines.push(line.finish());
    }
    (list(&lines), total)
}

/// The time that the `nth` created customer is given: after all others, the same in every run.
pub(crate) fn created_stamp(nth: u64) -> String {
    let micros = (END + nth.cast_signed()) * 1_000_000;
    let instant = chrono::DateTime::from_timestamp_micros(micros).expect("the data's years exist");
    instant.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

//! What apps say about writing: problems with their places.

use expect_test::expect;

use super::check;
use crate::definition::AppFile;

#[test]
fn apps_write_to_tables_of_databases() {
    check::<AppFile>(
        "
app: sales
sources: { local: { type: sqlite, path: shop.db } }
access: { anonymous: { orders: [filter, insrt, close] } }
objects:
  orders:
    from: local.orders
    validate:
      - { rule: total > 0, message: 'not ${row.total}' }
      - { id: 'a, b', on: [filter, ship], rule: 'true', message: '${item.total} of ${nothing}' }
    events:
      close: { sql: \"update orders set why = '${item.why}'\" }
      insert: { sql: 'delete from orders where id = ${id}' }
  teams: { from: acme.teams, key: [id], require_match: true, idempotency: true }
",
        expect![[]],
    );
}

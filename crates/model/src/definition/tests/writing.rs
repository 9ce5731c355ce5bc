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
        expect![[r#"
            4:32+1 there is no event `insrt` -- did you mean `insert`?
            10:15+6 not an id -- write letters, digits and hyphens: it stands in a header
            10:27+1 reading has no rules
            10:27+1 there is no event `ship`
            10:66+30 `${nothing}` is not `${row.…}`, `${item.…}` or `${caller.…}`
            12:14+1 a reference stands between quotes -- leave the quotes out: the value is bound
            13:15+1 `insert` has a meaning of its own
            13:15+1 `${id}` is not `${row.…}`, `${item.…}` or `${caller.…}`
            14:56+4 `teams` can only be read -- only tables of databases in `sources` are written to
            14:75+4 `teams` can only be read -- only tables of databases in `sources` are written to
        "#]],
    );
}

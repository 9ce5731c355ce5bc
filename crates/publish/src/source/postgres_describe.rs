//! What PostgreSQL's catalogs say about a relation.
//!
//! In: a connection and a name, with its schema or as `search_path` finds it. Out: a
//! [`Description`]. What never happens here: a name in a text; names are values of these questions.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{
    AssertSqlSafe, Column as _, Connection, Decode, Executor, Row, SqlSafeStr, Statement as _,
    TypeInfo,
};

use super::postgres::failed;
use super::postgres_values::of_element;
use super::{Column, Description, Foreign, Kind, Relation, SourceError, Unique};

const TABLE: &str = "SELECT c.oid::bigint, c.relkind IN ('r', 'p') \
    FROM pg_catalog.pg_class c WHERE c.oid = to_regclass($1)";

const COLUMNS: &str = "SELECT a.attname::text, b.oid::bigint, b.typelem::bigint, b.typtype::text, \
    pg_catalog.format_type(b.oid, -1), \
    CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END, \
    NOT a.attnotnull, a.atthasdef OR a.attidentity <> '', \
    a.attgenerated <> '' OR a.attidentity = 'a', \
    ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum e WHERE e.enumtypid = b.oid \
          ORDER BY e.enumsortorder) \
    FROM pg_catalog.pg_attribute a \
    JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
    JOIN pg_catalog.pg_type b \
        ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END \
    WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

const UNIQUES: &str = "SELECT i.relname::text, x.indisprimary, \
    ARRAY(SELECT a.attname::text FROM unnest(x.indkey::int2[]) WITH ORDINALITY AS k(n, at) \
          JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.n \
          WHERE k.at <= x.indnkeyatts ORDER BY k.at) \
    FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid \
    WHERE x.indrelid = $1::oid AND x.indisunique AND x.indpred IS NULL AND x.indexprs IS NULL \
    ORDER BY i.relname";

const FOREIGNS: &str = "SELECT f.conname::text, f.conrelid = $1::oid, n.nspname::text, \
    o.relname::text, \
    ARRAY(SELECT a.attname::text FROM unnest(f.conkey) WITH ORDINALITY AS k(n, at) \
          JOIN pg_catalog.pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.n \
          ORDER BY k.at), \
    ARRAY(SELECT a.attname::text FROM unnest(f.confkey) WITH ORDINALITY AS k(n, at) \
          JOIN pg_catalog.pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.n \
          ORDER BY k.at) \
    FROM pg_catalog.pg_constraint f \
    CROSS JOIN (VALUES (true), (false)) AS side(own) \
    JOIN pg_catalog.pg_class o ON o.oid = CASE WHEN side.own THEN f.confrelid ELSE f.conrelid END \
    JOIN pg_catalog.pg_namespace n ON n.oid = o.relnamespace \
    WHERE f.contype = 'f' AND CASE WHEN side.own THEN f.conrelid ELSE f.confrelid END = $1::oid \
    ORDER BY f.conname, side.own DESC";

/// What a table or view has.
pub(super) async fn table(
    connection: &mut PgConnection,
    path: &[String],
) -> Result<Description, SourceError> {
    let quoted: Vec<String> =
        path.iter().map(|name| format!("\"{}\"", name.replace('"', "\"\""))).collect();
    let found = sqlx::query(TABLE).bind(quoted.join("."));
    let found = found.fetch_optional(&mut *connection).await.map_err(failed)?;
    let missing = || SourceError::Missing { relation: path.join(".") };
    let found = found.ok_or_else(missing)?;
    let oid: i64 = get(&found, 0)?;
    let mut described = Description { is_table: get(&found, 1)?, ..Description::default() };
    for row in all(connection, COLUMNS, oid).await? {
        described.columns.push(column(&row)?);
    }
    for row in all(connection, UNIQUES, oid).await? {
        let (name, is_key, columns) = (get(&row, 0)?, get(&row, 1)?, get(&row, 2)?);
        match is_key {
            true => described.key = columns,
            false => described.uniques.push(Unique { name, columns }),
        }
    }
    for row in all(connection, FOREIGNS, oid).await? {
        let (schema, table): (String, String) = (get(&row, 2)?, get(&row, 3)?);
        let (here, there): (Vec<String>, Vec<String>) = (get(&row, 4)?, get(&row, 5)?);
        let (name, other) = (get(&row, 0)?, Relation::Table(vec![schema, table]));
        // A table that refers to itself stands once on each side.
        let refers_from_here = get::<bool>(&row, 1)? && !is_told(&described.refers, &name);
        if refers_from_here {
            described.refers.push(Foreign { name, columns: here, other, other_columns: there });
        } else {
            described.referred.push(Foreign { name, columns: there, other, other_columns: here });
        }
    }
    Ok(described)
}

fn is_told(told: &[Foreign], name: &String) -> bool {
    told.iter().any(|foreign| foreign.name == *name)
}

/// The columns of a query.
pub(super) async fn query(
    connection: &mut PgConnection,
    sql: &str,
) -> Result<Description, SourceError> {
    let sql = AssertSqlSafe(format!("SELECT * FROM ({sql}\n) AS t")).into_sql_str();
    // One that is prepared tells of the columns as they were.
    connection.clear_cached_statements().await.map_err(failed)?;
    let prepared = connection.prepare(sql).await.map_err(failed)?;
    let columns = prepared.columns().iter().map(|column| {
        let kind = of_name(column.type_info().name());
        let mut found = Column::new(column.name(), kind);
        found.native = match column.type_info().name() {
            // As a cast, `char` is one character.
            "CHAR" => "bpchar".to_owned(),
            _ if matches!(kind, Kind::List | Kind::Other) => String::new(),
            name => name.to_ascii_lowercase(),
        };
        found
    });
    Ok(Description::of_columns(columns.collect()))
}

fn column(row: &PgRow) -> Result<Column, SourceError> {
    let name: String = get(row, 0)?;
    let (base, element): (i64, i64) = (get(row, 1)?, get(row, 2)?);
    let (class, modifier): (String, i32) = (get(row, 3)?, get(row, 5)?);
    let choices: Vec<String> = get(row, 9)?;
    let kind = kind(base, element, &class, modifier);
    let mut column = Column::new(&name, kind);
    column.native = get(row, 4)?;
    column.is_nullable = get(row, 6)?;
    column.has_default = get(row, 7)?;
    column.is_generated = get(row, 8)?;
    // The modifier of a text is its length and the four bytes of its own.
    let length = u64::try_from(modifier - 4).ok().filter(|_| kind == Kind::Text);
    column.length_max = length.filter(|_| modifier > 4);
    column.choices = choices;
    Ok(column)
}

fn kind(base: i64, element: i64, class: &str, modifier: i32) -> Kind {
    let base = u32::try_from(base).unwrap_or_default();
    let element = u32::try_from(element).unwrap_or_default();
    match of_element(base) {
        Kind::Number if modifier > 4 => {
            let packed = modifier - 4;
            let precision = u16::try_from(packed >> 16 & 0xffff).unwrap_or_default();
            let scale = u16::try_from(packed & 0x7ff).unwrap_or_default();
            if scale <= precision { Kind::Decimal { precision, scale } } else { Kind::Number }
        }
        // Names and points are lists to the catalog, and texts to everybody else.
        Kind::Other if element != 0 && class == "b" && of_element(element) != Kind::Other => {
            if is_list(base) {
                Kind::List
            } else {
                Kind::Other
            }
        }
        // An enumeration is read as text, and compared in its own type.
        Kind::Other if class == "e" => Kind::Text,
        kind => kind,
    }
}

/// The numbers of the arrays of the types that [`of_element`] knows.
pub(super) const fn is_list(oid: u32) -> bool {
    matches!(
        oid,
        1000 | 1001
            | 1003
            | 1005
            | 1007
            | 1009
            | 1014
            | 1015
            | 1016
            | 1021
            | 1022
            | 1115
            | 1182
            | 1183
            | 1185
            | 1231
            | 199
            | 2951
            | 3807
    )
}

/// The kind of a type by the name that the library gives it.
fn of_name(name: &str) -> Kind {
    match name {
        "BOOL" => Kind::Bool,
        "BYTEA" => Kind::Bytes,
        "INT2" | "INT4" | "INT8" => Kind::Int64,
        "JSON" | "JSONB" => Kind::Json,
        "FLOAT4" => Kind::Float32,
        "FLOAT8" => Kind::Float64,
        "DATE" => Kind::Date,
        "TIME" => Kind::Time,
        "TIMESTAMP" => Kind::DateTime,
        "TIMESTAMPTZ" => Kind::Instant,
        "NUMERIC" => Kind::Number,
        "UUID" => Kind::Uuid,
        "TEXT" | "VARCHAR" | "CHAR" | "NAME" => Kind::Text,
        list if list.ends_with("[]") && of_name(list.trim_end_matches("[]")) != Kind::Other => {
            Kind::List
        }
        _ => Kind::Other,
    }
}

async fn all(
    connection: &mut PgConnection,
    text: &'static str,
    oid: i64,
) -> Result<Vec<PgRow>, SourceError> {
    sqlx::query(text).bind(oid).fetch_all(connection).await.map_err(failed)
}

fn get<'r, T>(row: &'r PgRow, at: usize) -> Result<T, SourceError>
where
    T: Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    row.try_get(at).map_err(failed)
}

//! What `information_schema` says about a relation of MySQL or MariaDB.
//!
//! In: a connection and a name, with its database or in the one that is connected to. Out: a
//! [`Description`]. What never happens here: a name in a text; names are values of these questions.

use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{
    AssertSqlSafe, Column as _, Connection, Decode, Executor, Row, SqlSafeStr, Statement as _,
    TypeInfo,
};

use super::mysql::failed;
use super::{Column, Description, Foreign, Kind, Relation, SourceError, Unique};

const TABLE: &str = "SELECT CAST(TABLE_TYPE AS CHAR), VERSION() LIKE '%MariaDB%' \
    FROM information_schema.TABLES \
    WHERE TABLE_SCHEMA = COALESCE(?, DATABASE()) AND TABLE_NAME = ?";

const COLUMNS: &str = "SELECT CAST(c.COLUMN_NAME AS CHAR), CAST(c.DATA_TYPE AS CHAR), \
    CAST(c.COLUMN_TYPE AS CHAR), c.IS_NULLABLE = 'YES', \
    c.COLUMN_DEFAULT IS NOT NULL OR c.EXTRA LIKE '%auto_increment%', \
    c.EXTRA LIKE '%GENERATED%' AND c.EXTRA NOT LIKE '%DEFAULT_GENERATED%', \
    CAST(COALESCE(c.CHARACTER_MAXIMUM_LENGTH, 0) AS UNSIGNED), \
    CAST(COALESCE(c.NUMERIC_PRECISION, 0) AS UNSIGNED), \
    CAST(COALESCE(c.NUMERIC_SCALE, 0) AS UNSIGNED) \
    FROM information_schema.COLUMNS c \
    WHERE c.TABLE_SCHEMA = COALESCE(?, DATABASE()) AND c.TABLE_NAME = ? \
    ORDER BY c.ORDINAL_POSITION";

/// MariaDB has JSON as text with a check of its column.
const DOCUMENTS: &str = "SELECT CAST(CONSTRAINT_NAME AS CHAR) \
    FROM information_schema.CHECK_CONSTRAINTS \
    WHERE CONSTRAINT_SCHEMA = COALESCE(?, DATABASE()) AND TABLE_NAME = ? \
    AND LEVEL = 'Column' AND CHECK_CLAUSE LIKE 'json\\_valid(%'";

const UNIQUES: &str = "SELECT CAST(INDEX_NAME AS CHAR), CAST(COLUMN_NAME AS CHAR) \
    FROM information_schema.STATISTICS \
    WHERE TABLE_SCHEMA = COALESCE(?, DATABASE()) AND TABLE_NAME = ? AND NON_UNIQUE = 0 \
    ORDER BY INDEX_NAME, SEQ_IN_INDEX";

const REFERS: &str = "SELECT CAST(CONSTRAINT_NAME AS CHAR), \
    CAST(REFERENCED_TABLE_SCHEMA AS CHAR), CAST(REFERENCED_TABLE_NAME AS CHAR), \
    CAST(COLUMN_NAME AS CHAR), CAST(REFERENCED_COLUMN_NAME AS CHAR) \
    FROM information_schema.KEY_COLUMN_USAGE \
    WHERE TABLE_SCHEMA = COALESCE(?, DATABASE()) AND TABLE_NAME = ? \
    AND REFERENCED_TABLE_NAME IS NOT NULL ORDER BY CONSTRAINT_NAME, ORDINAL_POSITION";

const REFERRED: &str = "SELECT CAST(CONSTRAINT_NAME AS CHAR), CAST(TABLE_SCHEMA AS CHAR), \
    CAST(TABLE_NAME AS CHAR), CAST(REFERENCED_COLUMN_NAME AS CHAR), CAST(COLUMN_NAME AS CHAR) \
    FROM information_schema.KEY_COLUMN_USAGE \
    WHERE REFERENCED_TABLE_SCHEMA = COALESCE(?, DATABASE()) AND REFERENCED_TABLE_NAME = ? \
    ORDER BY TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION";

/// How the type of a column begins whose values are sorted by their place in a list of texts.
pub(crate) const ENUMERATION: &str = "enum";

/// What a table or view has.
pub(super) async fn table(
    connection: &mut MySqlConnection,
    path: &[String],
) -> Result<Description, SourceError> {
    let missing = || SourceError::Missing { relation: path.join(".") };
    let (schema, table) = match path {
        [schema, table] => (Some(schema.as_str()), table.as_str()),
        [table] => (None, table.as_str()),
        _ => return Err(missing()),
    };
    let kinds = all(connection, TABLE, schema, table).await?;
    let found = kinds.first().ok_or_else(missing)?;
    let (kind, is_mariadb): (String, i64) = (get(found, 0)?, get(found, 1)?);
    let mut described = Description { is_table: kind == "BASE TABLE", ..Description::default() };
    for row in all(connection, COLUMNS, schema, table).await? {
        described.columns.push(column(&row)?);
    }
    if is_mariadb != 0 {
        for row in all(connection, DOCUMENTS, schema, table).await? {
            let name: String = get(&row, 0)?;
            let documents = described.columns.iter_mut().filter(|column| column.name == name);
            documents.for_each(|column| column.kind = Kind::Json);
        }
    }
    for row in all(connection, UNIQUES, schema, table).await? {
        let name: String = get(&row, 0)?;
        // A part that is no column is an expression: the index tells nothing about columns then.
        let Some(column) = get::<Option<String>>(&row, 1)? else { continue };
        if name == "PRIMARY" {
            described.key.push(column);
            continue;
        }
        match described.uniques.last_mut() {
            Some(last) if last.name == name => last.columns.push(column),
            _ => described.uniques.push(Unique { name, columns: vec![column] }),
        }
    }
    described.refers = foreigns(connection, REFERS, schema, table).await?;
    described.referred = foreigns(connection, REFERRED, schema, table).await?;
    Ok(described)
}

/// The columns of a query.
pub(super) async fn query(
    connection: &mut MySqlConnection,
    sql: &str,
) -> Result<Description, SourceError> {
    let sql = AssertSqlSafe(format!("SELECT * FROM ({sql}\n) AS t")).into_sql_str();
    // One that is prepared tells of the columns as they were.
    connection.clear_cached_statements().await.map_err(failed)?;
    let prepared = connection.prepare(sql).await.map_err(failed)?;
    let columns = prepared.columns().iter().map(|column| {
        let declared = column.type_info().name().to_ascii_lowercase();
        let (data_type, rest) = declared.split_once(' ').unwrap_or((&declared, ""));
        // Texts whose collation compares bytes are named like bytes.
        let is_text = <str as sqlx::Type<sqlx::MySql>>::compatible(column.type_info());
        let kind = match data_type {
            _ if is_text => Kind::Text,
            // How many digits there are is not told.
            "decimal" => Kind::Number,
            "boolean" => Kind::Bool,
            data_type => kind(data_type, rest, (0, 0)),
        };
        let mut found = Column::new(column.name(), kind);
        // An enumeration comes like any text of a fixed length, and is told apart by nothing.
        if kind == Kind::Text && matches!(data_type, "enum" | "char" | "binary") {
            found.native = ENUMERATION.to_owned();
        }
        found
    });
    Ok(Description::of_columns(columns.collect()))
}

async fn foreigns(
    connection: &mut MySqlConnection,
    text: &'static str,
    schema: Option<&str>,
    table: &str,
) -> Result<Vec<Foreign>, SourceError> {
    let mut found: Vec<Foreign> = Vec::new();
    for row in all(connection, text, schema, table).await? {
        let (name, schema, table): (String, String, String) =
            (get(&row, 0)?, get(&row, 1)?, get(&row, 2)?);
        let other = Relation::Table(vec![schema, table]);
        let (own, theirs) = (get(&row, 3)?, get(&row, 4)?);
        match found.last_mut() {
            Some(last) if last.name == name && last.other == other => {
                last.columns.push(own);
                last.other_columns.push(theirs);
            }
            _ => {
                let (columns, other_columns) = (vec![own], vec![theirs]);
                found.push(Foreign { name, columns, other, other_columns });
            }
        }
    }
    Ok(found)
}

fn column(row: &MySqlRow) -> Result<Column, SourceError> {
    let (name, data_type, declared): (String, String, String) =
        (get(row, 0)?, get(row, 1)?, get(row, 2)?);
    let length: u64 = get(row, 6)?;
    let digits = |at| -> Result<u16, SourceError> {
        Ok(u16::try_from(get::<u64>(row, at)?).unwrap_or(u16::MAX))
    };
    let kind = kind(&data_type, &declared, (digits(7)?, digits(8)?));
    let mut column = Column::new(&name, kind);
    column.is_nullable = get::<i64>(row, 3)? != 0;
    column.has_default = get::<i64>(row, 4)? != 0;
    column.is_generated = get::<i64>(row, 5)? != 0;
    column.length_max = Some(length).filter(|&length| length > 0 && kind == Kind::Text);
    if data_type == "enum" {
        column.choices = choices(&declared);
    }
    column.native = declared;
    Ok(column)
}

/// The kind of a type: its word, its whole declaration, and its digits.
fn kind(data_type: &str, declared: &str, (precision, scale): (u16, u16)) -> Kind {
    let is_from_zero = declared.contains("unsigned");
    match data_type {
        "tinyint" if declared.starts_with("tinyint(1)") && !is_from_zero => Kind::Bool,
        "bit" if declared == "bit(1)" => Kind::Bool,
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" if is_from_zero => Kind::UInt64,
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" => Kind::Int64,
        "year" => Kind::UInt64,
        "decimal" => Kind::Decimal { precision, scale },
        "float" => Kind::Float32,
        "double" => Kind::Float64,
        "date" => Kind::Date,
        "time" => Kind::Time,
        "datetime" => Kind::DateTime,
        "timestamp" => Kind::Instant,
        "uuid" => Kind::Uuid,
        "json" => Kind::Json,
        "bit" | "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob"
        | "geometry" | "point" | "linestring" | "polygon" => Kind::Bytes,
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "enum" => Kind::Text,
        _ => Kind::Other,
    }
}

/// The texts of `enum('a','b''c')`.
fn choices(declared: &str) -> Vec<String> {
    let inside = declared.strip_prefix("enum(").and_then(|rest| rest.strip_suffix(')'));
    let mut choices = Vec::new();
    let mut rest = inside.unwrap_or_default();
    while let Some(after) = rest.trim_start_matches(',').strip_prefix('\'') {
        let mut choice = String::new();
        let mut characters = after.char_indices().peekable();
        let mut end = after.len();
        while let Some((at, character)) = characters.next() {
            if character != '\'' {
                choice.push(character);
            } else if characters.next_if(|&(_, next)| next == '\'').is_some() {
                choice.push('\'');
            } else {
                end = at + 1;
                break;
            }
        }
        choices.push(choice);
        rest = after.get(end..).unwrap_or_default();
    }
    choices
}

async fn all(
    connection: &mut MySqlConnection,
    text: &'static str,
    schema: Option<&str>,
    table: &str,
) -> Result<Vec<MySqlRow>, SourceError> {
    sqlx::query(text).bind(schema).bind(table).fetch_all(connection).await.map_err(failed)
}

fn get<'r, T>(row: &'r MySqlRow, at: usize) -> Result<T, SourceError>
where
    T: Decode<'r, sqlx::MySql> + sqlx::Type<sqlx::MySql>,
{
    row.try_get(at).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_enumerations_texts_are_read() {
        assert_eq!(choices("enum('a','b''c','','d,e')"), ["a", "b'c", "", "d,e"]);
        assert_eq!(choices("varchar(3)"), Vec::<String>::new());
    }
}

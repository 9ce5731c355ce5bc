//! Which key of which object becomes which column of which table.
//!
//! In: the columns that the tables have so far, and the settings of the resource. Out: a tree that
//! the parser walks along with the JSON, growing it where a key is new. Objects are groups whose
//! members are columns of the same table (`owner__name`); lists are child tables. Nothing is
//! parsed or stored here.
//!
//! A key whose values are of two kinds is decided by what came first, and stays decided:
//! a scalar first makes the column JSON, and objects and lists go into it; an object or list first
//! keeps being flattened or made rows, and scalars get a JSON column at that name beside it. An
//! object and a list under one key live side by side. Null, `{}` and `[]` decide nothing: a column
//! that held only nulls gives way to whatever comes.

use std::collections::{BTreeMap, HashMap, HashSet};

use restway_model::{ColumnType, RecordPath, Step, TableName};
use serde::{Deserialize, Serialize};

use crate::error::TableError;
use crate::maps::{MapPath, Nesting};
use crate::naming::{SEPARATOR, child_table, path_keys, path_text, snake, unique};

/// Columns that every table has before and after those of the data.
pub(crate) const ROW_ID: &str = "_row_id";
pub(crate) const PARENT_ID: &str = "_parent_id";
pub(crate) const ROOT_ID: &str = "_root_id";
pub(crate) const INDEX: &str = "_idx";
pub(crate) const RUN_ID: &str = "_run_id";
pub(crate) const FETCHED_AT: &str = "_fetched_at";
/// In a history: from when and until when a row holds, whether it still does, and its content.
pub(crate) const VALID_FROM: &str = "_valid_from";
pub(crate) const VALID_TO: &str = "_valid_to";
/// Whether a row of a history still holds.
pub const IS_CURRENT: &str = "_is_current";
pub(crate) const CONTENT: &str = "_content_hash";
/// The columns that Restway adds to tables; no column of an api's records has one of these names.
pub const SYSTEM_COLUMNS: [&str; 10] = [
    ROW_ID, PARENT_ID, ROOT_ID, INDEX, VALID_FROM, VALID_TO, IS_CURRENT, CONTENT, RUN_ID,
    FETCHED_AT,
];

/// The path prefix of a column that the caller adds to every record.
const CARRIED: &str = "carried:";

/// A column as a table's schema remembers it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ColumnDef {
    pub(crate) name: String,
    /// JSONPath of its values within a row's record.
    pub(crate) path: String,
    pub(crate) kind: ColumnType,
    /// Whether an integer in it is too large for a double.
    pub(crate) wide: bool,
    /// Whether it takes objects whole because their keys are data.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) map: bool,
}

/// What the rows of a table are, and so which columns Restway adds to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// A record each.
    Record,
    /// A value of a list each.
    List,
    /// A record each, in the time in which it held.
    Version,
}

/// A table as the lake remembers it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TableDef {
    pub(crate) name: TableName,
    /// The table that it is a list of, and the list's path within that table's records.
    pub(crate) parent: Option<(TableName, String)>,
    /// Whether its rows have a time in which they hold.
    pub(crate) history: bool,
    pub(crate) columns: Vec<ColumnDef>,
}

impl TableDef {
    pub(crate) fn role(&self) -> Role {
        role(self.parent.is_some(), self.history)
    }
}

fn role(is_list: bool, is_history: bool) -> Role {
    match (is_list, is_history) {
        (true, _) => Role::List,
        (false, true) => Role::Version,
        (false, false) => Role::Record,
    }
}

/// What the definition of the resource says.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    pub(crate) types: BTreeMap<String, ColumnType>,
    pub(crate) nest_depth: usize,
    pub(crate) nesting: Nesting,
    pub(crate) columns_max: usize,
    pub(crate) tables_max: usize,
    /// Tables of the same api that belong to other resources.
    pub(crate) foreign: HashSet<String>,
    /// Whether the resource's rows have a time in which they hold.
    pub(crate) history: bool,
}

#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) def: ColumnDef,
    pub(crate) declared: bool,
    /// Its type when the batch began; none where it was not there.
    pub(crate) loaded: Option<ColumnType>,
    /// Part of the table's schema: loaded, or a landed record has it.
    pub(crate) seen: bool,
    /// A value that is not null is in it, or on its way into it.
    pub(crate) filled: bool,
    /// It held only nulls and gave way to an object or list.
    pub(crate) dropped: bool,
}

#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: TableName,
    pub(crate) parent: Option<(usize, String)>,
    /// Whether it was there when the batch began.
    pub(crate) loaded: bool,
    history: bool,
    pub(crate) columns: Vec<Column>,
    /// The group whose only member is the record itself.
    pub(crate) element: usize,
    /// Lists around it.
    level: usize,
    /// Keys from the resource's record, through all lists.
    pub(crate) keys: Vec<String>,
    /// The part of flattened names that stands for this table in `types`.
    prefix: String,
    taken: HashSet<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Member {
    key: Box<str>,
    pub(crate) column: Option<usize>,
    pub(crate) group: Option<usize>,
    pub(crate) list: Option<usize>,
    /// Kept as JSON because the definition says so, or because its keys are data.
    pub(crate) json: bool,
    /// Whether its keys are data.
    map: bool,
    /// The last object in which the key was met.
    pub(crate) stamp: u64,
}

#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) table: usize,
    /// Keys from the row's record; the member of an element group adds none.
    pub(crate) keys: Vec<String>,
    prefix: String,
    is_element: bool,
    pub(crate) members: Vec<Member>,
    /// Members that are objects or lists.
    pub(crate) nested: usize,
    lookup: HashMap<Box<str>, usize>,
    /// The member that probably comes next: records repeat their order of keys.
    next: usize,
}

/// Where a value stands: a member of a group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At {
    pub(crate) group: usize,
    pub(crate) member: usize,
}

/// The tree of one resource.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) tables: Vec<Table>,
    pub(crate) groups: Vec<Group>,
    /// Whether the resource's table had columns when the batch began.
    pub(crate) has_landed: bool,
    /// An object that has shown more keys than one with fields has.
    pub(crate) map: Option<MapPath>,
    pub(crate) policy: Policy,
}

impl Table {
    pub(crate) fn role(&self) -> Role {
        role(self.parent.is_some(), self.history)
    }
}

impl Shape {
    /// The tree of a resource whose tables are `known`; the first table is the resource's own.
    pub(crate) fn new(
        resource: &TableName,
        known: &[TableDef],
        policy: Policy,
    ) -> Result<Self, TableError> {
        let mut shape =
            Self { tables: Vec::new(), groups: Vec::new(), has_landed: false, map: None, policy };
        shape.add_table(resource.clone(), None);
        if let Some(root) = known.iter().find(|table| table.name == *resource) {
            shape.load_columns(0, &root.columns)?;
            shape.has_landed = !root.columns.is_empty();
        }
        // Parents before children: each round loads what hangs on a loaded table.
        let mut loaded = 0;
        while loaded < shape.tables.len() {
            let parent = shape.tables[loaded].name.clone();
            for table in known {
                let Some((_, path)) = table.parent.as_ref().filter(|(name, _)| *name == parent)
                else {
                    continue;
                };
                let keys = path_keys(path).unwrap_or_default();
                let at = shape.place(loaded, &keys)?;
                let child = shape.add_table(table.name.clone(), Some(at));
                shape.load_columns(child, &table.columns)?;
            }
            loaded += 1;
        }
        // What is there stays as it is until a key comes that is new.
        shape.map = None;
        Ok(shape)
    }

    fn load_columns(&mut self, table: usize, columns: &[ColumnDef]) -> Result<(), TableError> {
        self.tables[table].loaded = true;
        for def in columns {
            let keys = path_keys(&def.path);
            let at = keys.map(|keys| self.place(table, &keys)).transpose()?;
            let declared = self.declared(table, &def.name);
            let index = self.tables[table].columns.len();
            self.tables[table].taken.insert(def.name.clone());
            self.tables[table].columns.push(Column {
                def: def.clone(),
                declared: declared.is_some(),
                loaded: Some(def.kind),
                seen: true,
                filled: def.kind != ColumnType::Null,
                dropped: false,
            });
            let Some(at) = at else { continue };
            let is_map = (def.map && self.policy.nesting.may_be_map(&self.keys_at(at)))
                || self.member_at(at).map;
            let member = self.member_mut(at);
            member.column = Some(index);
            member.map = is_map;
            member.json |= is_map;
            self.tables[table].columns[index].def.map = is_map;
        }
        Ok(())
    }

    /// The member at `keys` below a row's record, made where it is missing.
    fn place(&mut self, table: usize, keys: &[String]) -> Result<At, TableError> {
        let mut at = At { group: self.tables[table].element, member: 0 };
        for key in keys {
            let group = self.group_of(at);
            at = At { group, member: self.member(group, key) };
        }
        Ok(at)
    }

    pub(crate) fn member_at(&self, at: At) -> &Member {
        &self.groups[at.group].members[at.member]
    }

    pub(crate) fn member_mut(&mut self, at: At) -> &mut Member {
        &mut self.groups[at.group].members[at.member]
    }

    pub(crate) fn column(&mut self, at: At, column: usize) -> &mut Column {
        let table = self.groups[at.group].table;
        &mut self.tables[table].columns[column]
    }

    /// The member for a key; the order of the last record is tried first.
    pub(crate) fn member(&mut self, at_group: usize, key: &str) -> usize {
        let group = &mut self.groups[at_group];
        let guess = group.next;
        if group.members.get(guess).is_some_and(|member| &*member.key == key) {
            group.next = guess + 1;
            return guess;
        }
        let (member, is_new) = match group.lookup.get(key) {
            Some(&member) => (member, false),
            None => {
                let mut keys = self.tables[group.table].keys.clone();
                keys.extend(group.keys.iter().cloned());
                keys.push(key.to_owned());
                let nesting = &self.policy.nesting;
                let map = nesting.is_map(&keys);
                let json = map || nesting.is_json(&keys);
                group.members.push(Member { key: key.into(), json, map, ..Member::default() });
                group.lookup.insert(key.into(), group.members.len() - 1);
                (group.members.len() - 1, true)
            }
        };
        group.next = member + 1;
        if is_new {
            self.look_for_map(at_group);
        }
        member
    }

    /// Begins an object: its first key is guessed first again.
    pub(crate) fn rewind(&mut self, group: usize) {
        self.groups[group].next = 0;
    }

    /// The group of objects at a place, made when this is the first.
    pub(crate) fn group_of(&mut self, at: At) -> usize {
        if let Some(group) = self.member_at(at).group {
            return group;
        }
        self.drop_null_column(at);
        let (table, keys, name) = self.below(at);
        let prefix = if name.is_empty() { name } else { format!("{name}{SEPARATOR}") };
        self.groups.push(Group {
            table,
            keys,
            prefix,
            is_element: false,
            members: Vec::new(),
            nested: 0,
            lookup: HashMap::new(),
            next: 0,
        });
        let group = self.groups.len() - 1;
        self.count_nested(at);
        self.member_mut(at).group = Some(group);
        group
    }

    /// Whether lists at a place become rows of a child table, and are not too deep for that.
    pub(crate) fn takes_lists(&self, at: At) -> bool {
        let level = self.tables[self.groups[at.group].table].level;
        self.member_at(at).list.is_some() || level < self.policy.nest_depth
    }

    /// The child table of lists at a place, made when this is the first.
    pub(crate) fn list_of(&mut self, at: At) -> Result<usize, TableError> {
        if let Some(list) = self.member_at(at).list {
            return Ok(list);
        }
        let parent = self.groups[at.group].table;
        if self.tables.len() > self.policy.tables_max {
            return Err(TableError::TooManyTables {
                table: self.tables[0].name.clone(),
                tables_max: self.policy.tables_max,
            });
        }
        self.drop_null_column(at);
        let (_, keys, _) = self.below(at);
        let name = child_table(&self.tables[parent].name, &keys, |name| {
            self.policy.foreign.contains(name)
                || self.tables.iter().any(|table| table.name.table.as_str() == name)
        });
        Ok(self.add_table(name, Some(at)))
    }

    fn add_table(&mut self, name: TableName, parent: Option<At>) -> usize {
        let table = self.tables.len();
        let mut keys = Vec::new();
        let mut prefix = String::new();
        let mut level = 0;
        let mut link = None;
        if let Some(at) = parent {
            let (above, below, text) = self.below(at);
            keys.clone_from(&self.tables[above].keys);
            keys.extend(below.iter().cloned());
            let text = if text.is_empty() { "value".into() } else { text };
            prefix = format!("{}{text}{SEPARATOR}", self.tables[above].prefix);
            level = self.tables[above].level + 1;
            link = Some((above, path_text(&below)));
            self.count_nested(at);
            self.member_mut(at).list = Some(table);
        }
        let element = self.groups.len();
        let member = Member { key: "value".into(), ..Member::default() };
        self.groups.push(Group {
            table,
            keys: Vec::new(),
            prefix: String::new(),
            is_element: true,
            members: vec![member],
            nested: 0,
            lookup: HashMap::new(),
            next: 0,
        });
        let taken = SYSTEM_COLUMNS.iter().map(|name| (*name).to_owned()).collect();
        let columns = Vec::new();
        self.tables.push(Table {
            name,
            parent: link,
            loaded: false,
            history: self.policy.history && table == 0,
            columns,
            element,
            level,
            keys,
            prefix,
            taken,
        });
        table
    }

    /// Table, keys from the row's record, and flattened name of what stands at a place.
    pub(crate) fn below(&self, at: At) -> (usize, Vec<String>, String) {
        let group = &self.groups[at.group];
        if group.is_element {
            return (group.table, Vec::new(), String::new());
        }
        let key = &group.members[at.member].key;
        let mut keys = group.keys.clone();
        keys.push(key.to_string());
        (group.table, keys, format!("{}{}", group.prefix, snake(key)))
    }

    fn drop_null_column(&mut self, at: At) {
        let Some(index) = self.member_at(at).column else { return };
        let column = self.column(at, index);
        if !column.filled && !column.declared {
            column.dropped = true;
            let name = column.def.name.clone();
            let table = self.groups[at.group].table;
            self.tables[table].taken.remove(&name);
            self.member_mut(at).column = None;
        }
    }

    /// The column for scalars at a place, made when this is the first. Beside an object or list it
    /// is JSON from the start.
    pub(crate) fn column_of(&mut self, at: At) -> Result<usize, TableError> {
        let member = self.member_at(at);
        if let Some(column) = member.column {
            return Ok(column);
        }
        let beside = member.group.is_some() || member.list.is_some();
        let kind = if beside || member.json { ColumnType::Json } else { ColumnType::Null };
        let (table, keys, name) = self.below(at);
        let name = if name.is_empty() { "value".to_owned() } else { name };
        let column = self.add_column(table, &name, path_text(&keys), kind)?;
        let is_map = self.member_at(at).map;
        self.column(at, column).def.map = is_map;
        self.member_mut(at).column = Some(column);
        Ok(column)
    }

    /// The column for a value that the caller adds to every record.
    pub(crate) fn carried_column(&mut self, name: &str) -> Result<usize, TableError> {
        let path = format!("{CARRIED}{name}");
        let columns = &self.tables[0].columns;
        if let Some(column) = columns.iter().position(|column| column.def.path == path) {
            return Ok(column);
        }
        self.add_column(0, &snake(name), path, ColumnType::Null)
    }

    /// The column that a field of the key has; none where no record had it so far.
    pub(crate) fn key_column(&self, field: &str) -> Option<usize> {
        let columns = self.tables[0].columns.iter().enumerate();
        let kept = columns.filter(|(_, column)| !column.dropped);
        field_column(kept.map(|(index, column)| (index, &column.def)), field)
    }

    /// Forgets what a record that was refused brought with it.
    pub(crate) fn refuse(&mut self, tape: &crate::parse::Tape) {
        for entry in &tape.cells {
            let table = tape.rows[entry.row].table;
            let column = &mut self.tables[table].columns[entry.column];
            column.filled = column.def.kind != ColumnType::Null;
        }
    }

    fn add_column(
        &mut self,
        table: usize,
        name: &str,
        path: String,
        kind: ColumnType,
    ) -> Result<usize, TableError> {
        let name = unique(name, |name| self.tables[table].taken.contains(name));
        let declared = self.declared(table, &name);
        let target = &mut self.tables[table];
        if target.taken.len() >= self.policy.columns_max + SYSTEM_COLUMNS.len() {
            return Err(TableError::TooManyColumns {
                table: target.name.clone(),
                columns_max: self.policy.columns_max,
            });
        }
        target.taken.insert(name.clone());
        let kind = declared.unwrap_or(kind);
        target.columns.push(Column {
            def: ColumnDef { name, path, kind, wide: false, map: false },
            declared: declared.is_some(),
            loaded: None,
            seen: false,
            filled: false,
            dropped: false,
        });
        Ok(target.columns.len() - 1)
    }

    /// The declared type of a column: `budget`, or `lines__price` for a child table's.
    fn declared(&self, table: usize, name: &str) -> Option<ColumnType> {
        self.policy.types.get(&format!("{}{name}", self.tables[table].prefix)).copied()
    }

    /// Whether a column that does not exist yet would have a declared type.
    pub(crate) fn is_declared(&self, at: At) -> bool {
        if self.policy.types.is_empty() {
            return false;
        }
        let (table, _, name) = self.below(at);
        self.declared(table, &name).is_some()
    }

    /// Gives every loaded column the type that the definition declares; `may_narrow` when what
    /// was landed is about to be replaced.
    pub(crate) fn declare(&mut self, may_narrow: bool) -> Result<(), TableError> {
        for table in 0..self.tables.len() {
            for column in 0..self.tables[table].columns.len() {
                let def = &self.tables[table].columns[column].def;
                let Some(declared) = self.declared(table, &def.name) else { continue };
                let fits =
                    declared.holds(def.kind) && !(def.wide && declared == ColumnType::Float64);
                if !fits && !may_narrow {
                    return Err(TableError::DeclaredNarrower {
                        table: self.tables[table].name.clone(),
                        column: def.name.clone(),
                        declared,
                        landed: def.kind,
                    });
                }
                self.tables[table].columns[column].def.kind = declared;
            }
        }
        Ok(())
    }

    /// A table as the lake shall remember it.
    pub(crate) fn def(&self, table: usize) -> TableDef {
        let table = &self.tables[table];
        let parent = table.parent.as_ref();
        TableDef {
            name: table.name.clone(),
            parent: parent.map(|(above, path)| (self.tables[*above].name.clone(), path.clone())),
            history: table.history,
            columns: table
                .columns
                .iter()
                .filter(|column| column.seen && !column.dropped)
                .map(|column| column.def.clone())
                .collect(),
        }
    }
}

/// The column that a field has: as a carried value, by its place in the record, or by its name.
pub(crate) fn field_column<'a>(
    columns: impl Iterator<Item = (usize, &'a ColumnDef)> + Clone,
    field: &str,
) -> Option<usize> {
    let path = field.parse::<RecordPath>().ok().map(|path| {
        let name = |step: &Step| match step {
            Step::Name(name) => name.clone(),
            Step::Index(index) => index.to_string(),
        };
        path_text(&path.steps().iter().map(name).collect::<Vec<String>>())
    });
    let carried = format!("{CARRIED}{field}");
    let find = |wanted: &dyn Fn(&ColumnDef) -> bool| {
        columns.clone().find(|(_, def)| wanted(def)).map(|(index, _)| index)
    };
    find(&|def| def.path == carried)
        .or_else(|| find(&|def| Some(&def.path) == path.as_ref()))
        .or_else(|| find(&|def| def.name == field))
}

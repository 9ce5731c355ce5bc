//! The tables of one resource, opened as of one batch.
//!
//! In: the tables that a query names. Out: each opened once, a resource's own table and the tables
//! of its lists all as of the newest batch that the resource's own table has. Each table has a log
//! of its own, and a batch reaches the lists first, so whoever looks in the instant of a commit
//! could see a record without its lists, or lists without their record. Every commit says the
//! number of its batch: the resource's table is opened before its lists, and a list that is ahead
//! is read as it was. What never happens here: a wait for a commit, or a table that was asked for
//! by the number of a version read as of another.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use restway_model::TableName;

use crate::delta::{Opened, open, open_version};
use crate::error::TableError;
use crate::history::{batch_number, versions};
use crate::lake::Shared;
use crate::moment::{AsOf, Moment, check_files, open_at};

/// Looks at tables whose older files are removed meanwhile.
const TRIES_MAX: usize = 3;
/// Lists within lists; nesting has a bound far below.
const DEPTH_MAX: usize = 64;

/// The newest batch that a table had at a version; none where no commit says one.
pub(crate) fn batch_at(folder: &Path, version: u64) -> Result<Option<u64>, TableError> {
    for older in versions(folder)?.into_iter().rev().filter(|older| *older <= version) {
        if let Some(batch) = batch_number(folder, older)? {
            return Ok(Some(batch));
        }
    }
    Ok(None)
}

/// The newest version of a table that has no batch after this one; none where its first had.
///
/// # Errors
/// [`TableError::VersionMissing`] when the log does not go back that far.
pub(crate) fn version_of(
    shared: &Shared,
    name: &TableName,
    batch: u64,
) -> Result<Option<u64>, TableError> {
    let folder = shared.folder(name);
    let known = versions(&folder)?;
    let (Some(first), Some(last)) = (known.first().copied(), known.last().copied()) else {
        return Ok(None);
    };
    let mut found = None;
    for version in known.into_iter().rev() {
        match batch_number(&folder, version)? {
            Some(number) if number > batch => found = None,
            Some(_) => return Ok(found.or(Some(version))),
            // Files that were put together, or rows of another writer, after the batch before.
            None => found = found.or(Some(version)),
        }
    }
    if first > 0 {
        let (table, asked) = (name.clone(), format!("batch {batch}"));
        return Err(TableError::VersionMissing { table, asked, first, last });
    }
    Ok(found)
}

/// Opens the tables, each as of its moment, and those of one resource as of one batch.
pub(crate) async fn open_together(
    shared: &Shared,
    names: &BTreeSet<TableName>,
    as_of: &AsOf,
) -> Result<BTreeMap<TableName, Opened>, TableError> {
    for _ in 1..TRIES_MAX {
        match Together::open(shared, names, as_of).await {
            // The version before a commit that is under way was removed when that was whole.
            Err(TableError::VersionGone { table, .. }) if as_of.of(&table).is_none() => {}
            opened => return opened,
        }
    }
    Together::open(shared, names, as_of).await
}

/// Tables as they are opened, a resource's own before those of its lists.
struct Together<'a> {
    shared: &'a Shared,
    as_of: &'a AsOf,
    opened: BTreeMap<TableName, Opened>,
    /// Tables that are no lists, with the newest batch that each had when it was opened.
    batches: BTreeMap<TableName, Option<u64>>,
}

impl<'a> Together<'a> {
    async fn open(
        shared: &'a Shared,
        names: &BTreeSet<TableName>,
        as_of: &'a AsOf,
    ) -> Result<BTreeMap<TableName, Opened>, TableError> {
        let (opened, batches) = (BTreeMap::new(), BTreeMap::new());
        let mut together = Self { shared, as_of, opened, batches };
        // The name of a list's table begins with that of its resource, so it comes later.
        for name in names {
            let opened = together.one(name).await?;
            check_files(shared, name, &opened, as_of.of(name))?;
            together.opened.insert(name.clone(), opened);
        }
        Ok(together.opened)
    }

    async fn one(&mut self, name: &TableName) -> Result<Opened, TableError> {
        let mut opened = self.at_moment(name).await?;
        let is_version = matches!(self.as_of.of(name), Some(Moment::Version(_)));
        let Some(root) = self.root(&opened).await?.filter(|_| !is_version) else {
            return Ok(opened);
        };
        if self.as_of.of(&root) != self.as_of.of(name) {
            return Ok(opened);
        }
        if !self.batches.contains_key(&root) {
            let own = open_at(self.shared, &root, self.as_of.of(&root)).await?;
            let batch = match &own {
                Some(own) => batch_at(&self.shared.folder(&root), own.version())?,
                None => None,
            };
            self.batches.insert(root.clone(), batch);
            opened = self.at_moment(name).await?;
        }
        let Some(Some(batch)) = self.batches.get(&root).copied() else { return Ok(opened) };
        self.not_after(name, opened, batch).await
    }

    async fn at_moment(&mut self, name: &TableName) -> Result<Opened, TableError> {
        let opened = open_at(self.shared, name, self.as_of.of(name)).await?;
        let opened = opened.ok_or_else(|| self.shared.missing(&name.to_string()))?;
        Ok(opened)
    }

    /// The table at the end of a list's parents; none for a table that is no list.
    async fn root(&mut self, opened: &Opened) -> Result<Option<TableName>, TableError> {
        let mut parent = opened.parent();
        let mut root = None;
        for _ in 0..DEPTH_MAX {
            let Some(next) = parent else { break };
            parent = match self.opened.get(&next) {
                Some(known) => known.parent(),
                None => open(&self.shared.root, &next).await?.and_then(|it| it.parent()),
            };
            root = Some(next);
        }
        if let Some(root) = &root
            && let Some(own) = self.opened.get(root)
            && !self.batches.contains_key(root)
        {
            let batch = batch_at(&self.shared.folder(root), own.version())?;
            self.batches.insert(root.clone(), batch);
        }
        Ok(root)
    }

    /// The table without batches that its resource's own table does not have yet.
    async fn not_after(
        &self,
        name: &TableName,
        opened: Opened,
        batch: u64,
    ) -> Result<Opened, TableError> {
        let folder = self.shared.folder(name);
        if batch_at(&folder, opened.version())?.is_none_or(|newest| newest <= batch) {
            return Ok(opened);
        }
        // A table that the newer batch made was without rows first.
        let version = version_of(self.shared, name, batch)?.unwrap_or(0);
        let older = open_version(&self.shared.root, name, version).await?;
        let older = older.ok_or_else(|| self.shared.missing(&name.to_string()))?;
        check_files(self.shared, name, &older, Some(Moment::Version(version)))?;
        Ok(older)
    }
}

//! The folder of a workspace: finding it, and making a new one.

use std::path::{Path, PathBuf};

use restway_model::Name;

use crate::WorkError;

/// The file that makes a folder a workspace.
pub(crate) const WORKSPACE_FILE: &str = "restway.yaml";
/// How far above the current folder a workspace is looked for.
const ABOVE_MAX: usize = 32;

/// The nearest folder with a `restway.yaml`, from `start` upwards.
///
/// # Errors
/// [`WorkError::NoWorkspace`].
pub fn find_folder(start: &Path) -> Result<PathBuf, WorkError> {
    let found =
        start.ancestors().take(ABOVE_MAX).find(|folder| folder.join(WORKSPACE_FILE).is_file());
    found.map(Path::to_path_buf).ok_or_else(|| WorkError::NoWorkspace { start: start.into() })
}

/// Makes a workspace in a folder: `restway.yaml`, and `apis/` and `apps/` to fill. Answers with
/// what was written.
///
/// # Errors
/// [`WorkError::Exists`] when there is a workspace already; nothing is changed then.
pub fn init(folder: &Path, name: Option<Name>) -> Result<Vec<PathBuf>, WorkError> {
    let file = folder.join(WORKSPACE_FILE);
    if file.exists() {
        return Err(WorkError::Exists { file });
    }
    let folder_name = || {
        let full = fs_err::canonicalize(folder).ok();
        let last = full.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy());
        Name::slug(last.as_deref().unwrap_or("workspace"))
    };
    fs_err::create_dir_all(folder)?;
    let name = name.unwrap_or_else(folder_name);
    for inner in ["apis", "apps"] {
        fs_err::create_dir_all(folder.join(inner))?;
    }
    let ignore = folder.join(".gitignore");
    let mut written = vec![file.clone()];
    if !ignore.exists() {
        fs_err::write(&ignore, "# State, tables, and the key of the secret store.\n.restway/\n")?;
        written.push(ignore);
    }
    fs_err::write(&file, workspace_text(&name))?;
    Ok(written)
}

fn workspace_text(name: &Name) -> String {
    format!(
        "\
workspace: {name}

# Where the tables lie: {{tables}}/{{api}}/{{resource}} is a plain Delta table.
tables: .restway/tables

# Public addresses may be reached; others only when they stand here, as a host, a host with a
# port, *.suffix, an address or a network: [api.acme.example:8443, \"*.acme.example\", 10.1.0.0/16]
egress:
  allow: []
"
    )
}

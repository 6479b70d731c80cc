//! libclang, with which pgrx reads PostgreSQL's headers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::wheel::{self, Wheel};
use crate::run;
use crate::workspace::Workspace;

const WHEEL: Wheel = Wheel {
    requirement: include_str!("../../wheels/libclang.txt"),
};

/// Where libclang was found.
pub enum Found {
    /// Where the build looks for it anyway.
    System,
    /// In this folder, where the build has to be led; it brings no headers of the compiler.
    Private(PathBuf),
}

impl Found {
    /// Leads a build to it.
    pub fn apply(&self, command: &mut Command) {
        let Self::Private(folder) = self else { return };
        command.env("LIBCLANG_PATH", folder);
        if std::env::var_os("BINDGEN_EXTRA_CLANG_ARGS").is_none()
            && let Some(headers) = gcc_headers()
        {
            command.env("BINDGEN_EXTRA_CLANG_ARGS", format!("-isystem {headers}"));
        }
    }

    /// Names the place.
    pub fn describe(&self) -> String {
        match self {
            Self::System => "of the system".into(),
            Self::Private(folder) => folder.display().to_string(),
        }
    }
}

/// Finds libclang, or takes it from a Python wheel, which needs no root.
pub fn ensure(workspace: &Workspace) -> Result<Found> {
    if present() {
        return Ok(Found::System);
    }
    let folder = workspace.target("libclang");
    if !folder.is_dir() {
        let advice =
            "libclang is missing; install it by hand, on Debian: apt-get install libclang-dev";
        let file = WHEEL.download(workspace).context(advice)?;
        let unpacked =
            wheel::unpack(&file, &workspace.target("libclang.partial")).context(advice)?;
        let native = unpacked.join(WHEEL.folder_name() + ".data/platlib/clang/native");
        fs::rename(native, &folder)?;
        fs::remove_dir_all(unpacked)?;
    }
    Ok(Found::Private(folder))
}

/// Whether libclang is where the build looks for it.
pub fn present() -> bool {
    if std::env::var_os("LIBCLANG_PATH").is_some() {
        return true;
    }
    let children = |folder: &str| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let mut folders: Vec<PathBuf> = vec!["/usr/lib64".into(), "/usr/local/lib".into()];
    folders.extend(children("/usr/lib").into_iter().map(|folder| {
        if name_starts(&folder, "llvm") {
            folder.join("lib")
        } else {
            folder
        }
    }));
    // libclang-cpp is another library, so what follows the dash must be a number.
    let is_libclang = |file: &PathBuf| {
        name_starts(file, "libclang.so")
            || (0..=9).any(|digit| name_starts(file, &format!("libclang-{digit}")))
    };
    folders
        .iter()
        .any(|folder| children(&folder.to_string_lossy()).iter().any(is_libclang))
}

/// Whether a file's name begins like this.
fn name_starts(path: &Path, prefix: &str) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with(prefix))
}

/// The folder with the compiler's own headers, such as stddef.h.
fn gcc_headers() -> Option<String> {
    let said = run::output(run::command("cc").arg("-print-file-name=include")).ok()?;
    Some(said.trim().to_owned()).filter(|folder| Path::new(folder).is_dir())
}

//! Where things are: the sources, and the folder in which servers live.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use nix::sys::stat::{Mode, umask};
use nix::unistd::geteuid;
use sha2::{Digest, Sha256};

use crate::user;

/// The checkout that the command was called in.
pub struct Workspace {
    root: PathBuf,
    home: PathBuf,
}

impl Workspace {
    /// Finds the checkout from the folder that cargo runs the command for, or the current one.
    pub fn find() -> Result<Self> {
        // The server's user must be able to read what is installed here.
        umask(Mode::from_bits_truncate(0o022));
        let from = match std::env::var_os("CARGO_MANIFEST_DIR") {
            Some(folder) => PathBuf::from(folder),
            None => std::env::current_dir().context("cannot tell the current folder")?,
        };
        let root = from
            .ancestors()
            .find(|folder| folder.join("pg_decide.control").is_file())
            .context("run this from inside a checkout of pg_decide")?;
        let root = fs::canonicalize(root)?;
        let home = home_of(&root);
        fs::create_dir_all(&home).with_context(|| format!("cannot create {}", home.display()))?;
        ensure!(
            fs::metadata(&home)?.uid() == geteuid().as_raw(),
            "{} belongs to another user; work in a checkout of your own",
            home.display()
        );
        fs::create_dir_all(root.join("target"))?;
        Ok(Self { root, home })
    }

    /// The folder of the extension's sources.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A folder or file for our own use, which need not be readable by the server's user.
    pub fn target(&self, name: &str) -> PathBuf {
        self.root.join("target").join(name)
    }

    /// A folder or file that the server's user can reach.
    pub fn home(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    /// Waits until no other `cargo dev` holds this lock; it is released when the file is dropped.
    pub fn lock(&self, name: &str) -> Result<File> {
        let path = self.target(&format!("dev-{name}.lock"));
        let file =
            File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        if file.try_lock().is_err() {
            eprintln!("waiting for another `cargo dev` to finish ({name})");
            file.lock()
                .with_context(|| format!("cannot lock {}", path.display()))?;
        }
        Ok(file)
    }
}

/// The folder for installs and clusters: target/, unless servers run as another user who cannot
/// enter the checkout (below a private home folder, say).
fn home_of(root: &Path) -> PathBuf {
    let open = |folder: &Path| fs::metadata(folder).is_ok_and(|found| found.mode() & 0o001 != 0);
    if !user::is_root() || root.ancestors().all(open) {
        return root.join("target");
    }
    Path::new("/var/tmp").join(format!(
        "pg_decide-{}",
        short_hash(root.as_os_str().as_encoded_bytes())
    ))
}

/// Eight hexadecimal digits that stand for some bytes in a file name.
pub fn short_hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The files below a folder, with what they are written in.
    fn texts(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                texts(&path, found);
            } else if [".rs", ".sql", ".md", ".py"]
                .iter()
                .any(|end| name.ends_with(end))
            {
                found.push(path);
            }
        }
    }

    #[test]
    fn a_file_fits_on_a_few_screens() {
        let mut files = Vec::new();
        texts(Workspace::find().unwrap().root(), &mut files);
        assert!(files.len() > 100, "{} files", files.len());
        for file in files {
            let lines = fs::read_to_string(&file).unwrap().lines().count();
            assert!(lines <= 500, "{} has {lines} lines", file.display());
        }
    }

    #[test]
    fn links_between_documents_lead_somewhere() {
        let root = Workspace::find().unwrap().root().to_owned();
        let at_root = [
            "README",
            "ARCHITECTURE",
            "CONTRIBUTING",
            "SECURITY",
            "CHANGELOG",
        ];
        let mut pages: Vec<PathBuf> = at_root
            .iter()
            .map(|page| root.join(page).with_extension("md"))
            .collect();
        texts(&root.join("docs"), &mut pages);
        for page in pages {
            let text = fs::read_to_string(&page).unwrap();
            for link in text.split("](").skip(1) {
                let link = link.split(')').next().unwrap();
                let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
                if file.contains("://") {
                    continue;
                }
                let target = match file {
                    "" => page.clone(),
                    _ => page.parent().unwrap().join(file),
                };
                let there = fs::read_to_string(&target)
                    .unwrap_or_else(|_| panic!("{}: {link}", page.display()));
                let leads = anchor.is_empty() || anchors(&there).any(|known| known == anchor);
                assert!(leads, "{}: {link}", page.display());
            }
        }
    }

    #[test]
    fn the_architecture_names_files_that_exist() {
        let root = Workspace::find().unwrap().root().to_owned();
        let mut files = Vec::new();
        texts(&root, &mut files);
        let text = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
        let quoted = text.split('`').skip(1).step_by(2);
        let named: Vec<&str> = quoted
            .filter(|name| [".rs", ".sql"].iter().any(|end| name.ends_with(end)))
            .filter(|name| !name.contains("NAME"))
            .collect();
        assert!(named.len() > 50, "{} files are named", named.len());
        for name in named {
            let exists = files.iter().any(|file| file.ends_with(name));
            assert!(exists, "ARCHITECTURE.md names {name}, which does not exist");
        }
    }

    /// What headings are linked by.
    fn anchors(page: &str) -> impl Iterator<Item = String> {
        page.lines()
            .filter_map(|line| line.strip_prefix('#'))
            .map(|heading| {
                let heading = heading.trim_start_matches('#').trim().to_lowercase();
                heading
                    .chars()
                    .filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | ' '))
                    .map(|c| if c == ' ' { '-' } else { c })
                    .collect()
            })
    }
}

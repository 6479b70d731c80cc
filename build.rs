//! The number of this build, since images that another build has written are not read; and how the library is linked.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

fn main() {
    let mut hasher = DefaultHasher::new();
    for root in ["src", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={root}");
        add(Path::new(root), &mut hasher);
    }
    std::env::var("TARGET")
        .unwrap_or_default()
        .hash(&mut hasher);
    println!("cargo::rustc-env=PG_DECIDE_BUILD={:016x}", hasher.finish());
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system != "macos") {
        // The names of SQL objects are in a section that no code refers to.
        println!("cargo::rustc-link-arg-cdylib=-Wl,--no-gc-sections");
    }
}

/// Adds a file, or the files of a directory in the order of their names.
fn add(path: &Path, hasher: &mut DefaultHasher) {
    if let Ok(content) = fs::read(path) {
        content.hash(hasher);
        return;
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        add(&path, hasher);
    }
}

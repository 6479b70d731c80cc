//! Who may know whom: the `use` lines and paths of every source file, held against the table in src/lib.rs; and no
//! files that import each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::workspace::Workspace;

/// A module by its path in its crate; the root is empty.
type Module = Vec<String>;

/// What one file says.
#[derive(Default)]
struct Source {
    /// What it re-exports, by the name that others use.
    exports: BTreeMap<String, Module>,
    /// Paths that it imports, by their name here, and paths that stand in its code.
    imports: BTreeMap<String, Module>,
    paths: Vec<Module>,
}

/// The files of a crate, by their module.
struct Crate(BTreeMap<Module, Source>);

/// The folder of the arithmetic, which is a crate of its own.
const MATH: &str = "math";

impl Crate {
    /// Reads every file under the folder, but for tests and another crate.
    fn read(folder: &Path) -> Crate {
        let mut files = BTreeMap::new();
        collect(folder, &mut Vec::new(), &mut files);
        let modules: BTreeSet<Module> = files.keys().cloned().collect();
        let sources = files.into_iter().map(|(module, text)| {
            let source = Source::parse(&tokens(&text), &module, &modules);
            (module, source)
        });
        Crate(sources.collect())
    }

    /// The file where a path leads, through what modules on its way re-export.
    fn file_of(&self, path: &[String], depth: usize) -> Module {
        let known = (0..=path.len())
            .rev()
            .find(|&n| self.0.contains_key(&path[..n]));
        let known = known.unwrap_or(0);
        let export = path
            .get(known)
            .and_then(|name| self.0[&path[..known]].exports.get(name));
        match export {
            Some(target) if depth < 8 => {
                let whole = [target, &path[known + 1..]].concat();
                self.file_of(&whole, depth + 1)
            }
            _ => path[..known].to_vec(),
        }
    }

    /// The paths that a file depends on. A module that it imports counts where something of it is named.
    fn dependencies(&self, module: &Module) -> Vec<Module> {
        let source = &self.0[module];
        let mut paths = source.paths.clone();
        for (name, import) in &source.imports {
            let is_module = self.0.contains_key(import);
            let named = is_module
                && paths
                    .iter()
                    .any(|path| path.len() > import.len() && path.starts_with(import));
            if !named && name != "_" {
                paths.push(import.clone());
            }
        }
        paths
    }

    /// Which file imports which.
    fn graph(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let of = |module: &Module| {
            let paths = self.dependencies(module);
            let own = paths
                .iter()
                .filter(|path| path.first().is_none_or(|room| room != MATH));
            let mut files: BTreeSet<Module> = own.map(|path| self.file_of(path, 0)).collect();
            files.remove(module);
            files
        };
        self.0
            .keys()
            .map(|module| (module.clone(), of(module)))
            .collect()
    }

    /// Every pair of files that reach each other, as text.
    fn circles(&self) -> Vec<String> {
        let graph = self.graph();
        let reached: BTreeMap<&Module, BTreeSet<&Module>> = graph
            .keys()
            .map(|start| {
                let (mut seen, mut open) = (BTreeSet::new(), vec![start]);
                while let Some(file) = open.pop() {
                    open.extend(graph[file].iter().filter(|&next| seen.insert(next)));
                }
                (start, seen)
            })
            .collect();
        let imports = graph
            .iter()
            .flat_map(|(from, to)| to.iter().map(move |to| (from, to)));
        imports
            .filter(|(from, to)| reached[*to].contains(from))
            .map(|(from, to)| format!("{} -> {}", from.join("/"), to.join("/")))
            .collect()
    }
}

/// Adds the files of a folder. Files of tests know whom they test.
fn collect(folder: &Path, module: &mut Module, files: &mut BTreeMap<Module, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if name == "tests" || name == MATH {
            continue;
        }
        let is_root = name == "mod" || module.is_empty() && name == "lib";
        if !is_root {
            module.push(name);
        }
        if path.is_dir() {
            collect(&path, module, files);
        } else if path.extension().is_some_and(|of| of == "rs") {
            files.insert(module.clone(), fs::read_to_string(&path).unwrap());
        }
        if !is_root {
            module.pop();
        }
    }
}

/// The words and marks of a source text, without comments and literals, up to its own tests.
fn tokens(text: &str) -> Vec<String> {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let mut tokens: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if first == '"' {
            let mut escaped = false;
            let end = rest[1..].find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            end.map_or(rest.len(), |end| end + 2)
        } else if first == '\'' {
            // a character, or else a lifetime
            let inner: Vec<char> = rest.chars().skip(1).take(3).collect();
            match inner[..] {
                ['\\', ..] => rest[3..].find('\'').map_or(1, |end| end + 4),
                [c, '\'', ..] => 2 + c.len_utf8(),
                _ => 1,
            }
        } else if word(first) {
            let length = rest.find(|c| !word(c)).unwrap_or(rest.len());
            tokens.push(rest[..length].to_owned());
            length
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else {
            if !first.is_whitespace() {
                tokens.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

impl Source {
    fn parse(tokens: &[String], module: &Module, modules: &BTreeSet<Module>) -> Source {
        let mut source = Source::default();
        let mut code = Vec::new();
        let mut i = 0;
        while i < tokens.len() {
            if tokens[i] == "use" {
                let end = i + tokens[i..].iter().position(|token| token == ";").unwrap();
                let public = i > 0 && (tokens[i - 1] == "pub" || tokens[i - 1] == ")");
                source.add_use(
                    &tokens[i + 1..end],
                    &mut Vec::new(),
                    public,
                    (module, modules),
                );
                i = end;
            } else {
                code.push(tokens[i].as_str());
            }
            i += 1;
        }
        for (at, path) in paths(&code) {
            let follows = at > 0 && (code[at - 1] == "::" || code[at - 1] == ".");
            let imported = source
                .imports
                .get(path[0])
                .filter(|import| modules.contains(*import));
            let resolved = match imported {
                _ if follows => None,
                Some(import) => Some([import.as_slice(), &owned(&path[1..])].concat()),
                None => resolve(&owned(&path), module, modules),
            };
            source.paths.extend(resolved);
        }
        source
    }

    /// Adds the leaves of a tree of imports.
    fn add_use(
        &mut self,
        tree: &[String],
        prefix: &mut Vec<String>,
        public: bool,
        (module, modules): (&Module, &BTreeSet<Module>),
    ) {
        let depth = prefix.len();
        let (mut from, mut alias) = (0, None);
        let mut i = 0;
        while i < tree.len() {
            match tree[i].as_str() {
                "::" => {}
                "as" => {
                    alias = tree.get(i + 1).cloned();
                    i += 1;
                }
                "{" => {
                    // the parts between commas of this level
                    let (mut level, mut start) = (0, i + 1);
                    for j in i..tree.len() {
                        match tree[j].as_str() {
                            "{" => level += 1,
                            "}" => level -= 1,
                            _ => {}
                        }
                        if level == 1 && tree[j] == "," || level == 0 {
                            if start < j {
                                self.add_use(&tree[start..j], prefix, public, (module, modules));
                            }
                            start = j + 1;
                        }
                        if level == 0 {
                            break;
                        }
                    }
                    prefix.truncate(depth);
                    return;
                }
                segment => {
                    prefix.push(segment.to_owned());
                    from += 1;
                }
            }
            i += 1;
        }
        debug_assert!(from > 0, "an import names something");
        let whole: Vec<String> = prefix
            .iter()
            .enumerate()
            .filter(|(i, part)| *i == 0 || *part != "self")
            .map(|(_, part)| part.clone())
            .collect();
        let name = alias.or_else(|| whole.last().cloned()).unwrap_or_default();
        if let Some(resolved) = resolve(&whole, module, modules) {
            match public {
                true => self.exports.insert(name, resolved),
                false => self.imports.insert(name, resolved),
            };
        }
        prefix.truncate(depth);
    }
}

/// Every run of words with `::` between them, and where it begins.
fn paths<'a>(code: &[&'a str]) -> Vec<(usize, Vec<&'a str>)> {
    let is_word = |token: &str| token.starts_with(|c: char| c.is_alphabetic() || c == '_');
    let mut paths = Vec::new();
    let mut i = 0;
    while i < code.len() {
        let start = i;
        let mut path = Vec::new();
        while i < code.len() && is_word(code[i]) {
            path.push(code[i]);
            if code.get(i + 1) != Some(&"::") {
                break;
            }
            i += 2;
        }
        if path.len() > 1 {
            paths.push((start, path));
        }
        i += 1;
    }
    paths
}

fn owned(path: &[&str]) -> Vec<String> {
    path.iter().map(|part| (*part).to_owned()).collect()
}

/// A path from the root of the crate; None where it leads out of it.
fn resolve(path: &[String], module: &Module, modules: &BTreeSet<Module>) -> Option<Module> {
    let ups = path.iter().take_while(|part| *part == "super").count();
    match path[0].as_str() {
        "crate" => Some(path[1..].to_vec()),
        "self" => Some([module, &path[1..]].concat()),
        "super" => Some([module.get(..module.len().checked_sub(ups)?)?, &path[ups..]].concat()),
        _ => {
            let child = [module.as_slice(), &path[..1]].concat();
            modules
                .contains(&child)
                .then(|| [module.as_slice(), path].concat())
        }
    }
}

/// The table in src/lib.rs: whom each room may know.
fn table(lib: &str) -> BTreeMap<String, Vec<String>> {
    let rows = lib.lines().filter_map(|line| line.strip_prefix("//! | `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let known = cells[2]
            .split(',')
            .map(|room| room.trim().trim_matches('`').to_owned());
        (cells[0].trim_matches('`').to_owned(), known.collect())
    })
    .collect()
}

#[test]
fn rooms_know_whom_the_table_says() {
    let sources = Workspace::find().unwrap().root().join("src");
    let table = table(&fs::read_to_string(sources.join("lib.rs")).unwrap());
    let extension = Crate::read(&sources);
    let mut faults = BTreeSet::new();
    let rooms: BTreeSet<&String> = extension
        .0
        .keys()
        .filter_map(|module| module.first())
        .collect();
    assert!(rooms.len() > 5, "only the rooms {rooms:?}");
    for room in &rooms {
        if !table.contains_key(*room) {
            faults.insert(format!("the table in src/lib.rs has no room {room}"));
        }
    }
    for module in extension.0.keys() {
        let Some(known) = module.first().and_then(|room| table.get(room)) else {
            continue;
        };
        for path in extension.dependencies(module) {
            let other = path.first().filter(|other| table.contains_key(*other));
            let other = other.filter(|other| *other != &module[0] && known[0] != "all");
            if let Some(other) = other.filter(|other| !known.contains(other)) {
                faults.insert(format!(
                    "{} may not know {other}: {}",
                    module.join("/"),
                    path.join("::")
                ));
            }
        }
    }
    let faults: Vec<String> = faults.into_iter().collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let sources = Workspace::find().unwrap().root().join("src");
    let mut circles = Crate::read(&sources).circles();
    circles.extend(Crate::read(&sources.join(MATH)).circles());
    assert!(
        circles.is_empty(),
        "these imports are parts of circles:\n{}",
        circles.join("\n")
    );
}

#[test]
fn imports_are_found_through_trees_and_re_exports() {
    let module = |path: &str| owned(&path.split('/').collect::<Vec<_>>());
    let texts = [
        (
            "a",
            "mod b; pub use b::{Thing as Renamed, Other}; fn f() { b::run('x', \"use c;\") } // use crate::c;",
        ),
        (
            "a/b",
            "use crate::{c::{self, Kind}, d}; fn run<'a>() { c::go(); super::super::d::Item::new() }",
        ),
        ("c", "use super::a::Renamed;"),
        (
            "d",
            "use std::fmt;\n#[cfg(test)]\nmod tests { use crate::c; }",
        ),
    ];
    let modules: BTreeSet<Module> = texts
        .iter()
        .map(|(path, _)| module(path))
        .chain([Vec::new()])
        .collect();
    let mut sources: BTreeMap<Module, Source> = texts
        .iter()
        .map(|(path, text)| {
            (
                module(path),
                Source::parse(&tokens(text), &module(path), &modules),
            )
        })
        .collect();
    sources.insert(Vec::new(), Source::default());
    let found = Crate(sources);
    let graph = found.graph();
    let of = |path: &str| {
        graph[&module(path)]
            .iter()
            .map(|file| file.join("/"))
            .collect::<Vec<_>>()
    };
    assert_eq!(of("a"), ["a/b"]);
    assert_eq!(of("a/b"), ["c", "d"]);
    assert_eq!(of("c"), ["a/b"]);
    assert!(of("d").is_empty());
    assert_eq!(found.circles(), ["a/b -> c", "c -> a/b"]);
}

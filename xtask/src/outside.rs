//! The code in documents, compiled as their readers compile it: in a package outside this workspace, with no
//! other dependencies than those in the document's TOML blocks.
//!
//! Owns how a document becomes a package. A block of items is a module. A block of statements is the body of
//! a test; the document then has to name the dependencies of tests.

use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    systems,
    verdict::{Outcome, run},
};

/// The documents, each with the name of its package.
const DOCUMENTS: [(&str, &str); 2] = [("README.md", "readme"), ("docs/guide.md", "guide")];

/// The path of the clone in documents, as seen from a package beside it.
const CLONE: &str = "../weft/";

/// Checks all documents of the workspace at `root`, in `folder`. `cargo` makes commands of cargo.
pub(crate) fn check(root: &Path, folder: &Path, cargo: impl Fn(&[&str]) -> Command) -> Outcome {
    if let Err(error) = write(root, folder) {
        return Outcome::Failed(format!("packages of documents: {error}"));
    }
    let inside = |arguments: &[&str]| {
        let mut command = cargo(arguments);
        command.current_dir(folder).env("CARGO_TARGET_DIR", folder.join("target"));
        command
    };
    if run(&mut inside(&["fetch"])) != Outcome::Passed {
        return Outcome::Skipped("what the documents depend on cannot be downloaded here".to_owned());
    }
    // Separate checks, so that the dependencies of tests do not help the rest.
    match run(&mut inside(&["check", "--offline", "--workspace", "--lib"])) {
        Outcome::Passed => run(&mut inside(&["check", "--offline", "--workspace", "--tests"])),
        other => other,
    }
}

/// Also checks that they compile for `target`, because readers have other systems than this machine.
pub(crate) fn check_for(
    target: &str,
    root: &Path,
    folder: &Path,
    cargo: impl Fn(&[&str]) -> Command,
) -> Outcome {
    if let Err(error) = write(root, folder) {
        return Outcome::Failed(format!("packages of documents: {error}"));
    }
    let mut command = cargo(&["check", "--workspace", "--lib"]);
    command.current_dir(folder).env("CARGO_TARGET_DIR", folder.join("target"));
    systems::run_for(target, command, &[])
}

/// Writes the packages and their workspace.
fn write(root: &Path, folder: &Path) -> io::Result<()> {
    for (document, name) in DOCUMENTS {
        let text = fs::read_to_string(root.join(document))?;
        let package =
            Package::of(&text, root).map_err(|why| io::Error::other(format!("{document}: {why}")))?;
        package.write(name, &folder.join(name))?;
    }
    let members = DOCUMENTS.map(|(_, name)| format!("{name:?}")).join(", ");
    keep(&folder.join("Cargo.toml"), &format!("[workspace]\nresolver = \"3\"\nmembers = [{members}]\n"))?;
    // The versions of this workspace. Cargo adds the missing ones.
    let lock = folder.join("Cargo.lock");
    if !lock.exists() {
        fs::copy(root.join("Cargo.lock"), lock)?;
    }
    Ok(())
}

/// Writes a file unless it already has this text, because an unchanged file is not compiled again.
fn keep(path: &Path, text: &str) -> io::Result<()> {
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    fs::write(path, text)
}

/// A fenced code block of a document.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    /// The line number of its first line of code, from 1.
    line: usize,
    language: String,
    code: String,
}

/// All fenced code blocks of a document.
fn blocks(text: &str) -> Vec<Block> {
    let (mut blocks, mut open): (Vec<Block>, Option<Block>) = (Vec::new(), None);
    for (number, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => {
                let language = language.split(',').next().unwrap_or_default().to_owned();
                open = Some(Block { line: number + 2, language, code: String::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => {
                block.code += line;
                block.code.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// A document as a package.
struct Package {
    dependencies: String,
    modules: Vec<Block>,
}

impl Package {
    fn of(text: &str, root: &Path) -> Result<Self, String> {
        let (toml, others): (Vec<Block>, Vec<Block>) =
            blocks(text).into_iter().partition(|block| block.language == "toml");
        if toml.is_empty() {
            return Err("names no dependencies".to_owned());
        }
        let dependencies = merged(toml.iter().map(|block| block.code.as_str()));
        // A path in TOML, on every system: text in single quotes is taken literally.
        let here = format!("{}/", root.display());
        let dependencies = requoted(&dependencies).replace(CLONE, &here);
        let modules: Vec<Block> = others.into_iter().filter(|block| block.language == "rust").collect();
        if modules.is_empty() { Err("has no code".to_owned()) } else { Ok(Self { dependencies, modules }) }
    }

    fn write(&self, name: &str, folder: &Path) -> io::Result<()> {
        let source = folder.join("src");
        fs::create_dir_all(&source)?;
        let manifest = format!(
            "[package]\nname = \"outside-{name}\"\nedition = \"2024\"\npublish = false\n\n{}",
            self.dependencies
        );
        keep(&folder.join("Cargo.toml"), &manifest)?;
        let mut library = "#![allow(dead_code)]\n".to_owned();
        let mut files = vec![source.join("lib.rs")];
        for block in &self.modules {
            let (module, code, is_test) = module(block);
            let condition = if is_test { "#[cfg(test)]\n" } else { "" };
            let _ = writeln!(library, "{condition}mod {module};");
            let file = source.join(format!("{module}.rs"));
            keep(&file, &code)?;
            files.push(file);
        }
        keep(&source.join("lib.rs"), &library)?;
        remove_others(&source, &files)
    }
}

/// The dependencies of all blocks of a document. A later block adds to those before it, as its reader does: a
/// line for the same package takes the place of the earlier one.
fn merged<'a>(blocks: impl Iterator<Item = &'a str>) -> String {
    let mut tables: Vec<(&str, Vec<(&str, &str)>)> = Vec::new();
    for code in blocks {
        let mut at = 0;
        for line in code.lines().filter(|line| !line.trim().is_empty()) {
            let header = if line.starts_with('[') { Some(line) } else { None };
            let wanted = header.or(tables.is_empty().then_some(""));
            if let Some(header) = wanted {
                at = tables.iter().position(|(name, _)| *name == header).unwrap_or_else(|| {
                    tables.push((header, Vec::new()));
                    tables.len() - 1
                });
            }
            let (Some((_, lines)), None) = (tables.get_mut(at), header) else { continue };
            let key = line.split('=').next().unwrap_or_default().trim();
            match lines.iter_mut().find(|(other, _)| *other == key) {
                Some(place) => place.1 = line,
                None => lines.push((key, line)),
            }
        }
    }
    let mut text = String::new();
    for (header, lines) in tables {
        for line in [header].into_iter().chain(lines.into_iter().map(|(_, line)| line)) {
            if !line.is_empty() {
                text += line;
                text.push('\n');
            }
        }
    }
    text
}

/// TOML in which the paths to the clone have single quotes.
fn requoted(toml: &str) -> String {
    let quoted = format!("\"{CLONE}");
    let mut parts = toml.split(&quoted).map(str::to_owned);
    let first = parts.next().unwrap_or_default();
    parts.fold(first, |text, part| format!("{text}'{CLONE}{}", part.replacen('"', "'", 1)))
}

/// A block as a module: its name, its text, and whether it is only for tests.
fn module(block: &Block) -> (String, String, bool) {
    let starts = ["fn ", "async fn ", "pub ", "struct ", "impl ", "#["];
    let has_items = block.code.lines().any(|line| starts.iter().any(|start| line.starts_with(start)));
    let name = format!("line_{}", block.line);
    if has_items {
        return (name, block.code.clone(), false);
    }
    (name, format!("#[test]\nfn body() {{\n{}}}\n", block.code), true)
}

/// Removes files of an earlier state of the document.
fn remove_others(folder: &Path, files: &[PathBuf]) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if !files.contains(&path) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "words\n```toml\na = { path = \"../weft/a\", version = \"1\" }\n```\n```rust,no_run\nfn f() {}\n```\n\
        ```sh\nls\n```\n```rust\nlet x = 1;\n```\n";

    #[test]
    fn blocks_have_lines_and_languages() {
        let found = blocks(TEXT);
        let told: Vec<_> = found.iter().map(|block| (block.line, block.language.as_str())).collect();
        assert_eq!(told, [(3, "toml"), (6, "rust"), (9, "sh"), (12, "rust")]);
    }

    #[test]
    fn a_document_is_a_package_with_the_dependencies_that_it_names() {
        let package = Package::of(TEXT, Path::new("/clone")).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(package.dependencies, "a = { path = '/clone/a', version = \"1\" }\n");
        let modules: Vec<_> = package.modules.iter().map(module).collect();
        assert_eq!(modules[0], ("line_6".to_owned(), "fn f() {}\n".to_owned(), false));
        assert_eq!(
            modules[1],
            ("line_12".to_owned(), "#[test]\nfn body() {\nlet x = 1;\n}\n".to_owned(), true)
        );
        assert!(Package::of("```rust\nfn f() {}\n```\n", Path::new("/clone")).is_err(), "names none");
        assert!(Package::of("```toml\na = 1\n```\n", Path::new("/clone")).is_err(), "has no code");
    }
    #[test]
    fn a_later_block_adds_dependencies_and_features() {
        let blocks =
            ["[dependencies]\na = 1\nb = 2\n\n[dev-dependencies]\na = 3\n", "[dependencies]\na = 4\nc = 5\n"];
        let told = "[dependencies]\na = 4\nb = 2\nc = 5\n[dev-dependencies]\na = 3\n";
        assert_eq!(merged(blocks.into_iter()), told);
    }
}

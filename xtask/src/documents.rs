//! What documents say of files and tests is checked: a row that names none that exists is a row that nobody keeps.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use crate::verdict::Outcome;

/// Documents whose words in backticks are files (with a slash) or tests (with an underscore, in lower case).
const CHECKED: &[&str] = &["docs/compliance.md", "docs/security.md", "docs/w3c.md"];

/// Checks them; `root` is the workspace.
pub(crate) fn check(root: &Path) -> Outcome {
    match missing(root) {
        Ok(missing) if missing.is_empty() => Outcome::Passed,
        Ok(missing) => Outcome::Failed(format!("named in documents, but not there: {}", missing.join(", "))),
        Err(error) => Outcome::Failed(format!("documents: {error}")),
    }
}

fn missing(root: &Path) -> io::Result<Vec<String>> {
    let functions = functions(root)?;
    let mut missing = Vec::new();
    let mut rows = 0;
    for document in CHECKED {
        let text = fs::read_to_string(root.join(document))?;
        rows += text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| §")).count();
        for word in code_words(&text) {
            let there = match kind(word) {
                Kind::File => root.join(word).exists(),
                Kind::Test => functions.contains(word),
                Kind::Other => true,
            };
            if !there {
                missing.push(format!("{document}: {word}"));
            }
        }
    }
    println!("{rows} rows, {} tests and functions in the workspace", functions.len());
    Ok(missing)
}

enum Kind {
    File,
    Test,
    Other,
}

fn kind(word: &str) -> Kind {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if word.contains('/') {
        Kind::File
    } else if word.contains('_') && word.chars().all(is_name) {
        Kind::Test
    } else {
        Kind::Other
    }
}

/// Words in backticks in table rows.
fn code_words(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| line.starts_with('|')).flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// Names of functions, and of modules that a macro makes of a test for each role.
fn functions(root: &Path) -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for file in sources(root)? {
        let text = fs::read_to_string(file)?;
        for line in text.lines() {
            let Some((_, rest)) = line.split_once("fn ").or_else(|| line.split_once("mod ")) else {
                continue;
            };
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
            names.insert(rest[..end].to_owned());
        }
    }
    Ok(names)
}

fn sources(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if path.is_dir() && !hidden && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_tables_are_looked_at_and_others_are_not() {
        let text = "`not/this`\n| 1 | x | `a/b.rs` | `one`, `two` |\n";
        assert_eq!(code_words(text).collect::<Vec<_>>(), ["a/b.rs", "one", "two"]);
    }

    #[test]
    fn this_test_is_found() {
        let found = functions(Path::new(env!("CARGO_MANIFEST_DIR"))).expect("sources");
        assert!(found.contains("this_test_is_found") && !found.contains("no_such_test"));
    }
}

//! Checks the files and tests that documents name, because nobody keeps a rule whose row names a missing file
//! or test.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use crate::verdict::Outcome;

/// Documents whose table rows are checked: words in backticks are files (with a slash) or tests (lower case,
/// with an underscore).
const CHECKED: &[&str] = &["docs/compliance.md", "docs/security.md", "docs/w3c.md"];

/// Documents whose links to files are checked.
const LINKED: &[&str] = &[
    "README.md",
    "SECURITY.md",
    "CONTRIBUTING.md",
    "docs/architecture.md",
    "docs/command.md",
    "docs/compliance.md",
    "docs/congestion.md",
    "docs/guide.md",
    "docs/operations.md",
    "docs/performance.md",
    "docs/security.md",
    "docs/w3c.md",
];

/// The document whose rows are members, each with our item (`Type::member`) and with tests after their file.
const MEMBERS: &str = "docs/w3c.md";

/// Checks all documents; `root` is the workspace.
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
        if *document == MEMBERS {
            let items = api(root)?;
            let read = |file: &str| fs::read_to_string(root.join(file)).unwrap_or_default();
            missing.extend(text.lines().filter_map(Row::of).flat_map(|row| row.missing(&items, read)));
        }
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
    for document in LINKED {
        let (text, path) = (fs::read_to_string(root.join(document))?, root.join(document));
        let there = |link: &str| path.parent().is_some_and(|folder| folder.join(link).exists());
        missing.extend(links(&text).filter(|link| !there(link)).map(|link| format!("{document}: {link}")));
    }
    println!("{rows} rows, {} tests and functions in the workspace", functions.len());
    Ok(missing)
}

/// A row of [`MEMBERS`]: member, client, server, test, remark.
struct Row<'a> {
    member: &'a str,
    items: String,
    tests: &'a str,
}

impl<'a> Row<'a> {
    /// Parses a line; `None` for lines that are not rows, and for the heads of tables.
    fn of(line: &'a str) -> Option<Self> {
        let cells: Vec<&str> = line.strip_prefix("| ")?.split('|').map(str::trim).collect();
        let &[member, client, server, tests, ..] = &*cells else { return None };
        (member != "member").then(|| Self { member, items: format!("{client} {server}"), tests })
    }

    /// What the row names and does not exist. A row without a test counts too. `read` reads a file.
    fn missing(&self, items: &BTreeSet<String>, read: impl Fn(&str) -> String) -> Vec<String> {
        let told = |what: &str| format!("{MEMBERS}: {}: {what}", self.member);
        let named = code_spans(&self.items).filter(|word| word.contains("::"));
        let mut missing: Vec<String> =
            named.filter(|item| item.split("::").any(|part| !items.contains(part))).map(told).collect();
        let (mut file, mut text, mut count) = ("", String::new(), 0);
        for word in code_spans(self.tests) {
            if word.contains('/') {
                (file, text) = (word, read(word));
            } else if is_test(&text, word) {
                count += 1;
            } else {
                missing.push(told(&format!("no test {word} in {file:?}")));
            }
        }
        if count == 0 {
            missing.push(told("no test"));
        }
        missing
    }
}

/// Whether a file has a test of this name: a function with a test attribute.
fn is_test(text: &str, name: &str) -> bool {
    let (mut test, head) = (false, format!("fn {name}("));
    text.lines().map(str::trim).any(|line| {
        if line.starts_with("#[") {
            test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            return false;
        }
        let found = test && line.contains(&head);
        test &= line.starts_with("//");
        found
    })
}

/// The names of public types, functions, constants, fields and variants.
fn items(text: &str) -> impl Iterator<Item = &str> {
    const KEYWORDS: [&str; 8] = ["pub", "use", "async", "const", "fn", "struct", "enum", "type"];
    text.lines().map(str::trim).flat_map(|line| {
        let named = line.starts_with("pub ") || line.starts_with(|c: char| c.is_ascii_uppercase());
        let all = if line.starts_with("pub use ") { usize::MAX } else { 1 };
        let words = line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let words = words.filter(|word| !word.is_empty() && !KEYWORDS.contains(word));
        words.take(if named { all } else { 0 })
    })
}

/// The names that [`MEMBERS`] may contain: those of the API, and those of its transport settings.
fn api(root: &Path) -> io::Result<BTreeSet<String>> {
    let mut files = sources(&root.join("wt-api/src"))?;
    files.push(root.join("quic-core/src/config.rs"));
    let mut names = BTreeSet::new();
    for file in files {
        names.extend(items(&fs::read_to_string(file)?).map(str::to_owned));
    }
    Ok(names)
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
    text.lines().filter(|line| line.starts_with('|')).flat_map(code_spans)
}

/// The files to which links lead, without the anchor.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let files = targets.filter(|target| !target.contains("://"));
    files.map(|target| target.split('#').next().unwrap_or_default()).filter(|file| !file.is_empty())
}

/// Words in backticks.
fn code_spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The names of functions, and of modules that a macro makes of a test for each role.
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
    fn a_row_of_members_names_items_and_tests_that_are_there() {
        let text =
            "pub struct Door;\n    pub async fn open(&self) {}\n pub(crate) fn hide() {}\n    Ajar(u8),\n";
        let items: BTreeSet<String> = items(text).map(str::to_owned).collect();
        assert_eq!(items.iter().map(String::as_str).collect::<Vec<_>>(), ["Ajar", "Door", "open"]);
        let file =
            "#[test]\nfn opens() {}\nfn helper() {}\n#[tokio::test]\n#[ignore = \"\"]\nasync fn shuts() {}\n";
        let missing = |line: &str| {
            let row = Row::of(line).expect("a row");
            row.missing(&items, |name| if name == "a/b.rs" { file.to_owned() } else { String::new() })
        };
        assert!(Row::of("| member | client | server | test | remark |").is_none());
        assert!(missing("| x | `Door::open` | `Door::Ajar` | `a/b.rs`: `opens`, `shuts` | |").is_empty());
        assert_eq!(missing("| x | `Door::hide` | | `a/b.rs`: `opens` | |").len(), 1);
        assert_eq!(missing("| x | `Door::open` | | `a/b.rs`: `opens`, `helper` | |").len(), 1);
        assert_eq!(missing("| x | `Door::open` | | `a/c.rs`: `opens` | |").len(), 2, "nor any test");
        assert_eq!(missing("| x | `Door::open` | | | |").len(), 1);
    }

    #[test]
    fn links_to_files_are_looked_at_and_others_are_not() {
        let text = "[a](b/c.md#d), [e](#f), [g](https://example.org/), `[h](i)`\n[`j`](k)";
        assert_eq!(links(text).collect::<Vec<_>>(), ["b/c.md", "i", "k"]);
    }

    #[test]
    fn the_documents_hold() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        assert_eq!(missing(root).expect("documents"), Vec::<String>::new());
    }

    #[test]
    fn this_test_is_found() {
        let found = functions(Path::new(env!("CARGO_MANIFEST_DIR"))).expect("sources");
        assert!(found.contains("this_test_is_found") && !found.contains("no_such_test"));
    }
}

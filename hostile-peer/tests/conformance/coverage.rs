//! Checks that every row of the table has a test.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use hostile_peer::{PENDING, ROWS};

/// The folders with tests of rows.
const PLACES: [&str; 8] = [
    "hostile-peer/tests",
    "hostile-peer/src",
    "quic-core/src",
    "quic-core/tests",
    "qpack",
    "h3-core/src",
    "wt-session/src",
    "wt-api/tests",
];

fn visit(path: &Path, found: &mut impl FnMut(&str)) {
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("a directory of the workspace") {
            visit(&entry.expect("an entry").path(), found);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        found(&fs::read_to_string(path).expect("a source file"));
    }
}

/// The IDs in a function's name: `p13_p14_…` has two, `h03_to_h06_…` four.
fn ids_of(name: &str) -> Vec<String> {
    let mut ids: Vec<(char, u32)> = Vec::new();
    let mut through = false;
    for word in name.split('_') {
        let id = word.chars().next().zip(word.get(1..).and_then(|digits| digits.parse().ok()));
        match (id.filter(|_| word.len() == 3), ids.last().copied()) {
            (Some((table, number)), Some((_, first))) if through => {
                ids.extend((first + 1..=number).map(|number| (table, number)));
                through = false;
            }
            (Some(id), _) => ids.push(id),
            (None, Some(_)) if word == "to" => through = true,
            _ => break,
        }
    }
    ids.into_iter().map(|(table, number)| format!("{}{number:02}", table.to_ascii_uppercase())).collect()
}

/// The tests that name each row. Functions in the macros `both!` and `both_sides!` are tests as well.
fn tests_by_row() -> BTreeMap<String, Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let mut rows: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for place in PLACES {
        visit(&root.join(place), &mut |source| {
            for line in source.lines() {
                let Some(rest) = line.trim_start().strip_prefix("fn ") else { continue };
                let name = rest.split(['(', '<']).next().unwrap_or_default();
                for id in ids_of(name) {
                    rows.entry(id).or_default().push(name.to_owned());
                }
            }
        });
    }
    rows
}

/// Rows that the table requires for both roles are tested in both: by a macro, or by tests that name their
/// role.
#[test]
fn both_roles_are_under_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut roles: BTreeMap<String, BTreeSet<char>> = BTreeMap::new();
    visit(&root.join("tests"), &mut |source| {
        for line in source.lines() {
            let Some(rest) = line.trim_start().strip_prefix("fn ") else { continue };
            let (name, arguments) = rest.split_once('(').unwrap_or((rest, ""));
            let both = arguments.starts_with("side)") || arguments.starts_with("w:");
            for id in ids_of(name) {
                let roles = roles.entry(id).or_default();
                roles.extend((both || name.ends_with("_server")).then_some('S'));
                roles.extend((both || name.ends_with("_client")).then_some('C'));
            }
        }
    });
    for (id, role) in ROWS.iter().filter(|(id, role)| *role == 'B' && id.starts_with(['P', 'F', 'X', 'M'])) {
        let waits = PENDING.iter().any(|pending| pending.id == *id && pending.part.is_empty());
        let played = roles.get(*id).map_or(0, BTreeSet::len);
        assert!(waits || played == 2, "{id} ({role}) is played in {played} roles");
    }
}

#[test]
fn names_tell_rows() {
    assert_eq!(ids_of("f21_final_size_changes"), ["F21"]);
    assert_eq!(ids_of("p13_p14_reserved"), ["P13", "P14"]);
    assert_eq!(ids_of("h03_to_h06_malformed"), ["H03", "H04", "H05", "H06"]);
    assert_eq!(ids_of("frames_with_fields"), [""; 0]);
}

#[test]
fn every_row_has_a_test_or_waits() {
    let tests = tests_by_row();
    let known: BTreeSet<_> = ROWS.iter().map(|(id, _)| *id).collect();
    assert_eq!(known.len(), 146, "the table has 146 rows");
    let waiting: BTreeSet<_> =
        PENDING.iter().filter(|pending| pending.part.is_empty()).map(|p| p.id).collect();
    for pending in PENDING {
        assert!(known.contains(pending.id) && !pending.waits_for.is_empty(), "{pending:?}");
        // A pending part exists beside a part that is done.
        let stands = tests.contains_key(pending.id);
        assert_eq!(stands, !pending.part.is_empty(), "{pending:?} and its tests {:?}", tests.get(pending.id));
    }
    let missing: Vec<_> =
        known.iter().filter(|id| !tests.contains_key(**id) && !waiting.contains(**id)).collect();
    assert!(missing.is_empty(), "neither tested nor pending: {missing:?}");
    let unknown: Vec<_> = tests.keys().filter(|id| !known.contains(id.as_str())).collect();
    assert!(unknown.is_empty(), "tests of rows that do not exist: {unknown:?}");
    println!("{} rows done, {} pending:", known.len() - waiting.len(), waiting.len());
    for pending in PENDING {
        println!("  {} {}: waits for {}", pending.id, pending.part, pending.waits_for);
    }
}

/// Features of particular systems are in one module of the tool and in two files of the library's `udp`.
/// Everything else builds everywhere.
#[test]
fn system_specific_code_is_in_its_modules() {
    const WORDS: [&str; 6] = ["cfg(unix)", "not(unix)", "std::os::", "signal::unix", "libc::", "rustix::"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let mut crates: Vec<_> = ["quic-core/src", "qpack/src", "h3-core/src", "wt-session/src"]
        .map(|place| root.join(place))
        .to_vec();
    for folder in ["wt-cli/src", "wt-api/src", "wt-api/src/udp"] {
        let entries = fs::read_dir(root.join(folder)).expect("a directory of the workspace");
        crates.extend(entries.map(|entry| entry.expect("an entry").path()));
    }
    crates.retain(|path| !path.ends_with("wt-api/src/udp"));
    let allowed = ["wt-cli/src/platform", "wt-api/src/udp/polled.rs", "wt-api/src/udp/reports.rs"];
    let (module, portable): (Vec<_>, Vec<_>) =
        crates.into_iter().partition(|path| allowed.iter().any(|place| path.ends_with(place)));
    assert!(module.len() == allowed.len() && portable.len() > 20, "{module:?} {portable:?}");
    for path in portable {
        visit(&path, &mut |source| {
            let found = WORDS.iter().find(|word| source.contains(**word));
            assert_eq!(found, None, "in {}", path.display());
        });
    }
    let mut found: BTreeSet<&str> = BTreeSet::new();
    let tool = module.iter().find(|path| path.is_dir()).expect("the tool's module");
    visit(tool, &mut |source| found.extend(WORDS.iter().filter(|word| source.contains(**word))));
    assert!(found.len() >= 4, "the words are those that are used there: {found:?}");
}

/// The layers below the API report errors as values and log none.
#[test]
fn nothing_below_the_api_logs_errors() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    for place in ["quic-core/src", "qpack/src", "h3-core/src", "wt-session/src"] {
        visit(&root.join(place), &mut |source| {
            for word in ["error!(", "eprintln!(", "println!(", "Level::ERROR"] {
                assert!(!source.lines().any(|line| line.trim_start().starts_with(word)), "{place}: {word}");
            }
        });
    }
}

//! The rules on small invented packages in temporary folders: each rule is violated once and kept once.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use super::{finding::Rule, findings};

/// A workspace with one package. Dropping it removes it.
struct Workspace(PathBuf);

impl Workspace {
    /// A package `name` with these files below `src/`, checked against `plan`.
    fn new(name: &str, plan: &str, files: &[(&str, &str)]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let folder = format!("weft-house-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let root = std::env::temp_dir().join(folder);
        let write = |file: &str, text: &str| {
            let path = root.join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        };
        write("Cargo.toml", &format!("[workspace]\nmembers = [\"{name}\"]\n"));
        write(&format!("{name}/Cargo.toml"), "[package]\nname = \"made-up\"\n");
        write("house.toml", plan);
        files.iter().for_each(|(file, text)| write(&format!("{name}/src/{file}"), text));
        Self(root)
    }

    /// The findings as rule, file, line and text.
    fn found(&self) -> Vec<(Rule, String, usize, String)> {
        let found = findings(&self.0).expect("a workspace");
        found.into_iter().map(|finding| (finding.rule, finding.file, finding.line, finding.text)).collect()
    }

    fn rules(&self) -> Vec<Rule> {
        self.found().into_iter().map(|(rule, ..)| rule).collect()
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const TWO_LAYERS: &str = "[layers]\nroom = [[\"low\"], [\"high\"]]\n";

/// A package `room` with two modules.
fn two(plan: &str, low: &str, high: &str) -> Workspace {
    Workspace::new("room", plan, &[("lib.rs", "mod low;\nmod high;\n"), ("low.rs", low), ("high.rs", high)])
}

#[test]
fn a_circle_is_reported_with_its_lines_and_downward_imports_are_allowed() {
    let downward = two(TWO_LAYERS, "pub struct A;\n", "use crate::low::A;\npub struct B(A);\n");
    assert_eq!(downward.rules(), []);
    let circle =
        two(TWO_LAYERS, "\nuse crate::high::B;\npub struct A(B);\n", "use super::low::A;\npub struct B;\n");
    let found = circle.found();
    assert_eq!(circle.rules(), [Rule::Circles, Rule::Layers]);
    let text = &found[0].3;
    assert!(text.contains("room/src/low.rs:2 names crate::high::B of room/src/high.rs"), "{text}");
    assert!(text.contains("room/src/high.rs:1 names super::low::A of room/src/low.rs"), "{text}");
}

#[test]
fn the_shortest_of_several_circles_is_reported() {
    let plan = "[layers]\nroom = [[\"a\"], [\"b\"], [\"c\"]]\n[[exceptions]]\nrule = \"layers\"\npath = \"room\"\nreason = \"the circle is meant\"\n";
    let all = [
        ("lib.rs", "mod a;\nmod b;\nmod c;\n"),
        ("a.rs", "use crate::b::B;\npub struct A;\n"),
        ("b.rs", "use crate::{a::A, c::C};\npub struct B;\n"),
        ("c.rs", "use crate::a::A;\npub struct C;\n"),
    ];
    let found = Workspace::new("room", plan, &all).found();
    assert_eq!(found.len(), 1);
    assert!(found[0].3.contains("(3 modules are in it"), "{}", found[0].3);
    assert!(!found[0].3.contains("c.rs"), "{}", found[0].3);
}

#[test]
fn a_parent_that_reexports_what_its_child_uses_is_a_circle() {
    let parent = |defines: &str| {
        let child = "use super::Shared;\npub struct Child(Shared);\n";
        let files = [
            ("lib.rs", "mod low;\n"),
            ("low/mod.rs", defines),
            ("low/child.rs", child),
            ("low/shared.rs", "pub struct Shared;\n"),
        ];
        Workspace::new("room", "[layers]\nroom = [[\"low\"]]\n", &files)
    };
    let circle = parent("mod child;\npub use child::Child;\npub struct Shared;\n");
    assert_eq!(circle.rules(), [Rule::Circles]);
    // The file that defines it is below both. It does not matter under which path the child names it.
    let shared = parent("mod child;\nmod shared;\npub use child::Child;\npub use shared::Shared;\n");
    assert_eq!(shared.rules(), []);
}

#[test]
fn imports_of_inline_paths_macros_and_nested_modules_count_and_those_of_tests_do_not() {
    let upward = [
        "fn f() { crate::high::g(); }\n",
        "fn f() { println!(\"{}\", crate::high::G); }\n",
        "mod inner { use super::super::high::G; }\n",
        "use super::{high as other};\n",
        "use crate::high::*;\n",
        "fn f(_: Option<crate::high::G>) {}\n",
        "#[cfg(not(test))]\nuse crate::high::G;\n",
    ];
    for low in upward {
        assert_eq!(two(TWO_LAYERS, low, "").rules(), [Rule::Layers], "{low}");
    }
    let nothing = [
        "#[cfg(test)]\nuse crate::high::G;\n",
        "#[cfg(test)]\nmod tests { use crate::high::G; }\n",
        "#[cfg(all(test, unix))]\nmod tests { use crate::high::G; }\n",
        "#[test]\nfn f() { crate::high::g(); }\n",
        "pub(in crate::high) fn f() {}\n",
        "use high::G;\n",
        "// use crate::high::G;\n",
    ];
    for low in nothing {
        assert_eq!(two(TWO_LAYERS, low, "").rules(), [], "{low}");
    }
}

#[test]
fn an_import_from_beside_or_by_way_of_the_root_is_found() {
    let beside = two("[layers]\nroom = [[\"low\", \"high\"]]\n", "use crate::high::G;\n", "pub struct G;\n");
    let found = beside.found();
    assert_eq!(beside.rules(), [Rule::Layers]);
    assert_eq!((&*found[0].1, found[0].2), ("room/src/low.rs", 1));
    assert!(found[0].3.contains("beside"), "{}", found[0].3);
    let files = [
        ("lib.rs", "mod low;\nmod high;\npub use low::A;\n"),
        ("low.rs", "pub struct A;\n"),
        ("high.rs", "use crate::A;\n"),
    ];
    let through = Workspace::new("room", TWO_LAYERS, &files).found();
    assert_eq!(through.len(), 1);
    assert!(through[0].3.contains("by way of the crate's root"), "{}", through[0].3);
}

#[test]
fn each_module_is_listed_once_and_nothing_else_is() {
    let text = |plan: &str| {
        let found = two(plan, "", "").found();
        assert!(found.iter().all(|(rule, ..)| *rule == Rule::Layers));
        found.into_iter().map(|(.., text)| text).collect::<String>()
    };
    assert!(text("[layers]\n").contains("has no layers for room"));
    assert!(text("[layers]\nroom = [[\"low\"]]\n").contains("does not say in which layer of room high is"));
    assert!(
        text("[layers]\nroom = [[\"low\", \"high\", \"cellar\"]]\n").contains("cellar, which is no module")
    );
    assert!(text("[layers]\nroom = [[\"low\", \"high\"], [\"low\"]]\n").contains("low twice"));
    assert!(text("[layers]\nroom = [[\"low\", \"high\"]]\n\"room/low\" = []\n").contains("no modules"));
    assert_eq!(text(TWO_LAYERS), "");
}

#[test]
fn a_folder_with_a_list_of_its_own_is_held_to_it() {
    let files = [
        ("lib.rs", "mod low;\n"),
        ("low/mod.rs", "mod a;\nmod b;\n"),
        ("low/a.rs", "use super::b::B;\n"),
        ("low/b.rs", "pub struct B;\n"),
    ];
    let rules = |lists: &str| {
        Workspace::new("room", &format!("[layers]\nroom = [[\"low\"]]\n{lists}"), &files).rules()
    };
    assert_eq!(rules(""), [], "no list, and no circle");
    assert_eq!(rules("\"room/low\" = [[\"b\"], [\"a\"]]\n"), []);
    assert_eq!(rules("\"room/low\" = [[\"a\"], [\"b\"]]\n"), [Rule::Layers]);
}

/// A function with this many lines.
fn function(lines: usize) -> String {
    format!("fn f() {{\n{}}}\n", "    // A line.\n".repeat(lines - 2))
}

#[test]
fn lengths_end_at_their_limits_and_tests_do_not_count() {
    let rules = |text: &str| {
        let files = [("lib.rs", text)];
        Workspace::new("room", "", &files).rules()
    };
    assert_eq!(rules(&"// A line.\n".repeat(500)), []);
    assert_eq!(rules(&"// A line.\n".repeat(501)), [Rule::FileLength]);
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "// A line.\n".repeat(600));
    assert_eq!(rules(&tests), []);
    assert_eq!(rules(&function(70)), []);
    assert_eq!(rules(&function(71)), [Rule::FunctionLength]);
    assert_eq!(rules(&format!("struct S;\nimpl S {{\n{}}}\n", function(71))), [Rule::FunctionLength]);
    assert_eq!(rules(&format!("#[cfg(test)]\nmod tests {{\n{}}}\n", function(71))), []);
    let files = [("lib.rs", "#[cfg(test)]\nmod rig;\n"), ("rig.rs", &*"// A line.\n".repeat(600))];
    assert_eq!(Workspace::new("room", "", &files).rules(), [], "a file that is a test by its attribute");
}

#[test]
fn tables_with_random_state_are_found_in_sans_io_crates_only() {
    let rules = |name: &str, text: &str| Workspace::new(name, "", &[("lib.rs", text)]).rules();
    let broken = [
        "type T = std::collections::HashMap<u8, u8>;\n",
        "type T = HashSet<u8>;\n",
        "fn f() { let t = HashMap::new(); }\n",
        "fn f(s: RandomState) {}\n",
    ];
    for text in broken {
        assert_eq!(rules("qpack", text), [Rule::RandomState], "{text}");
        assert_eq!(rules("wt-cli", text), [], "{text}");
    }
    let kept = [
        "use std::collections::HashMap;\ntype T = HashMap<u8, u8, Mine>;\n",
        "type T = HashSet<u8, Mine>;\n",
        "type T = BTreeMap<u8, u8>;\n",
        "#[cfg(test)]\nmod tests { type T = HashSet<u8>; }\n",
    ];
    for text in kept {
        assert_eq!(rules("qpack", text), [], "{text}");
    }
}

#[test]
fn an_exception_covers_what_it_names_and_is_found_when_unneeded() {
    let exception = |rule: &str, path: &str, more: &str| {
        format!("[[exceptions]]\nrule = \"{rule}\"\npath = \"{path}\"\n{more}\n")
    };
    let rules = |plan: &str| Workspace::new("room", plan, &[("lib.rs", &function(71))]).rules();
    let why = "reason = \"it is one table\"";
    assert_eq!(rules(&exception("function-length", "room/src/lib.rs", why)), []);
    assert_eq!(rules(&exception("function-length", "room/src", why)), []);
    assert_eq!(rules(&exception("function-length", "room", &format!("function = \"f\"\n{why}"))), []);
    let both = [Rule::FunctionLength, Rule::Exceptions];
    assert_eq!(rules(&exception("function-length", "room", &format!("function = \"g\"\n{why}"))), both);
    assert_eq!(rules(&exception("function-length", "room/src/li", why)), both, "a part of a name");
    assert_eq!(rules(&exception("file-length", "room", why)), both);
    assert_eq!(rules(&exception("function-length", "room", "reason = \" \"")), [Rule::Exceptions]);
    let two = exception("function-length", "room", why) + &exception("file-length", "room", why);
    let found = Workspace::new("room", &two, &[("lib.rs", &function(71))]).found();
    let line = found.iter().map(|(_, file, line, _)| (file.as_str(), *line)).collect::<Vec<_>>();
    assert_eq!(line, [("house.toml", 5)], "where the second one begins");
    let no_reason = Workspace::new("room", &exception("function-length", "room", ""), &[("lib.rs", "")]);
    assert!(findings(&no_reason.0).is_err(), "a reason is no option");
}

#[test]
fn the_house_stands() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let found: Vec<String> = findings(root).expect("the workspace").iter().map(ToString::to_string).collect();
    assert_eq!(found, Vec::<String>::new());
}

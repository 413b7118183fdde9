//! Finds imports from a layer above or from the same layer, according to the layers in `house.toml`.

use std::collections::BTreeMap;

use super::{
    finding::{Finding, Rule},
    imports::Imports,
    plan::{FILE, Plan},
    tree::Trees,
};

/// Checks a package against its lists: the package's own, which each package with modules has, and those of
/// folders in it.
pub(crate) fn check(package: &str, trees: &Trees, imports: &Imports, plan: &Plan) -> Vec<Finding> {
    let mut folders: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, module) in trees.modules.iter().enumerate().filter(|(_, module)| !module.children.is_empty()) {
        folders.entry(key(package, &module.folder)).or_default().push(at);
    }
    let mut found: Vec<Finding> = through_root(trees, imports).collect();
    for (key, parents) in &folders {
        match plan.layers.get(key) {
            Some(layers) => {
                let list = List { key, line: plan.line_of_layers(key), layers };
                found.extend(folder(&list, parents, trees, imports));
            }
            None if parents.iter().any(|parent| trees.modules[*parent].parent.is_none()) => {
                let text = format!(
                    "{FILE} has no layers for {key}: list its modules, from the lowest to the highest"
                );
                found.push(finding(trees.modules[parents[0]].file.clone(), 1, text));
            }
            None => {}
        }
    }
    let mine =
        |key: &str| key.strip_prefix(package).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    for key in plan.layers.keys().filter(|key| mine(key) && !folders.contains_key(*key)) {
        let text = format!("{key} has layers and no modules: delete them");
        found.push(finding(FILE.to_owned(), plan.line_of_layers(key), text));
    }
    found
}

/// A crate's root re-exports names for other crates. Code in the crate imports them from their definition.
fn through_root<'a>(trees: &'a Trees, imports: &'a Imports) -> impl Iterator<Item = Finding> + 'a {
    imports.iter().filter(|(_, import)| import.through_root).map(|((from, to), import)| {
        let text = format!(
            "{} is of {} and comes by way of the crate's root, which is above: name it where it is defined",
            import.path, trees.modules[*to].file
        );
        finding(trees.modules[*from].file.clone(), import.line, text)
    })
}

/// The name of a folder in the lists: `quic-core` for `quic-core/src`, `quic-core/frame` for
/// `quic-core/src/frame`.
fn key(package: &str, folder: &str) -> String {
    let below = folder.strip_prefix(package).unwrap_or(folder);
    format!("{package}{}", below.strip_prefix("/src").unwrap_or(below))
}

fn finding(file: String, line: usize, text: String) -> Finding {
    Finding { rule: Rule::Layers, file, line, item: None, text }
}

/// The layers of one folder. A library and a program in the same folder share a list.
struct List<'a> {
    key: &'a str,
    /// The line of the list in `house.toml`.
    line: usize,
    layers: &'a [Vec<String>],
}

impl<'a> List<'a> {
    /// The layer of each listed module. Modules that are listed twice, do not exist or are not listed are
    /// added to `found`.
    fn heights(
        &self,
        parents: &[usize],
        trees: &Trees,
        found: &mut Vec<Finding>,
    ) -> BTreeMap<&'a str, usize> {
        let mut heights = BTreeMap::new();
        let here = |text: String| finding(FILE.to_owned(), self.line, text);
        for (height, layer) in self.layers.iter().enumerate() {
            for name in layer {
                if heights.insert(name.as_str(), height).is_some() {
                    found.push(here(format!("{} lists {name} twice: leave one", self.key)));
                }
                if parents.iter().all(|parent| !trees.modules[*parent].children.contains_key(name)) {
                    found.push(here(format!("{} lists {name}, which is no module: delete it", self.key)));
                }
            }
        }
        for (name, child) in parents.iter().flat_map(|parent| &trees.modules[*parent].children) {
            if !heights.contains_key(name.as_str()) {
                let text = format!("{FILE} does not say in which layer of {} {name} is: list it", self.key);
                found.push(finding(trees.modules[*child].file.clone(), 1, text));
            }
        }
        heights
    }
}

/// Checks the modules of one folder against its list.
fn folder(list: &List<'_>, parents: &[usize], trees: &Trees, imports: &Imports) -> Vec<Finding> {
    let (key, mut found) = (list.key, Vec::new());
    let heights = list.heights(parents, trees, &mut found);
    let depth = trees.depth(parents[0]);
    for ((from, to), import) in imports {
        let is_within = |parent: &usize| {
            is_below(trees, *from, *parent) && (to == parent || is_below(trees, *to, *parent))
        };
        if !parents.iter().any(is_within) {
            continue;
        }
        let (from, to) = (&trees.modules[*from], &trees.modules[*to]);
        let (own, other) = (&from.path[depth], to.path.get(depth));
        let text = match other {
            None => format!(
                "{} is of the module above ({}), which is no layer to import from",
                import.path, to.file
            ),
            Some(other) if own == other => continue,
            Some(other) => match (heights.get(own.as_str()), heights.get(other.as_str())) {
                (Some(high), Some(low)) if low == high => {
                    format!("{} is of {other}, beside {own} in one layer of {key}", import.path)
                }
                (Some(low), Some(high)) if low < high => {
                    format!("{} is of {other}, which is above {own} in {key}", import.path)
                }
                // Downward, or not listed, which is reported already.
                _ => continue,
            },
        };
        let remedy = "take it as an argument, or put it into a module below both";
        found.push(finding(from.file.clone(), import.line, format!("{text}: {remedy}")));
    }
    found
}

/// Whether a module is somewhere below another one.
fn is_below(trees: &Trees, mut module: usize, parent: usize) -> bool {
    loop {
        match trees.modules[module].parent {
            Some(next) if next == parent => return true,
            Some(next) => module = next,
            None => return false,
        }
    }
}

//! The module tree of a package: the `mod` items of its crates show which file is which module.

use std::collections::{BTreeMap, BTreeSet};

use syn::{Item, ItemMod, Lit, Meta, spanned::Spanned};

use super::{
    packages::Package,
    source::{Source, attributes, is_test},
};

/// A module with its own file, outside tests.
#[derive(Clone, Debug)]
pub(crate) struct Module {
    /// The path from the workspace's root.
    pub(crate) file: String,
    /// The module path from its crate's root, whose path is empty.
    pub(crate) path: Vec<String>,
    pub(crate) parent: Option<usize>,
    /// The folder of its children, from the workspace's root.
    pub(crate) folder: String,
    pub(crate) children: BTreeMap<String, usize>,
}

/// The modules of all crates of a package. A module is an index into them.
#[derive(Debug, Default)]
pub(crate) struct Trees {
    pub(crate) modules: Vec<Module>,
    /// The files that a `mod` item marks as tests.
    tests: BTreeSet<String>,
}

impl Trees {
    /// Whether a file is a test, or below a test module.
    pub(crate) fn is_test(&self, file: &str) -> bool {
        self.tests.contains(file)
    }

    pub(crate) fn of_file(&self, file: &str) -> Option<usize> {
        self.modules.iter().position(|module| module.file == file)
    }

    /// The crate of a module.
    pub(crate) fn root_of(&self, mut module: usize) -> usize {
        while let Some(parent) = self.modules[module].parent {
            module = parent;
        }
        module
    }

    /// How many levels a module is below its crate's root.
    pub(crate) fn depth(&self, module: usize) -> usize {
        self.modules[module].path.len()
    }

    /// The last module with its own file on a path down from a module.
    pub(crate) fn down<'a>(&self, from: usize, path: impl IntoIterator<Item = &'a String>) -> usize {
        let mut at = from;
        for name in path {
            match self.modules[at].children.get(name) {
                Some(child) => at = *child,
                None => break,
            }
        }
        at
    }

    /// Adds a file and the modules that its `mod` items declare.
    fn add(&mut self, sources: &[Source], file: &str, parent: Option<usize>, path: &[String]) {
        let Some(source) = sources.iter().find(|source| source.file == file) else { return };
        let folder = folder(file, parent.is_none());
        let here = self.modules.len();
        if let (Some(parent), Some(name)) = (parent, path.last()) {
            self.modules[parent].children.insert(name.clone(), here);
        }
        self.modules.push(Module {
            file: file.to_owned(),
            path: path.to_vec(),
            parent,
            folder: folder.clone(),
            children: BTreeMap::new(),
        });
        for item in &source.syntax.items {
            let Item::Mod(item) = item else { continue };
            let Some(below) = file_of(item, file, &folder, sources) else { continue };
            if is_test(&item.attrs) {
                self.mark(sources, &below);
            } else {
                let mut path = path.to_vec();
                path.push(item.ident.to_string());
                self.add(sources, &below, Some(here), &path);
            }
        }
    }

    /// Marks a file and everything below it as tests.
    fn mark(&mut self, sources: &[Source], file: &str) {
        self.tests.insert(file.to_owned());
        let Some(source) = sources.iter().find(|source| source.file == file) else { return };
        let folder = folder(file, false);
        for item in &source.syntax.items {
            if let Item::Mod(item) = item
                && let Some(below) = file_of(item, file, &folder, sources)
            {
                self.mark(sources, &below);
            }
        }
    }
}

/// The folder of a file's child modules.
fn folder(file: &str, is_root: bool) -> String {
    match file.rsplit_once('/') {
        Some((folder, _)) if is_root || file.ends_with("/mod.rs") => folder.to_owned(),
        _ => file.trim_end_matches(".rs").to_owned(),
    }
}

/// The file of a `mod` item, if it is one of `sources`. An inline module has none.
fn file_of(item: &ItemMod, file: &str, folder: &str, sources: &[Source]) -> Option<String> {
    if item.content.is_some() {
        return None;
    }
    let told = item.attrs.iter().find_map(|attribute| match &attribute.meta {
        Meta::NameValue(meta) if meta.path.is_ident("path") => match &meta.value {
            syn::Expr::Lit(value) => match &value.lit {
                Lit::Str(text) => Some(text.value()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    });
    let candidates = match told {
        Some(told) => vec![format!("{}/{told}", file.rsplit_once('/').map_or("", |(folder, _)| folder))],
        None => vec![format!("{folder}/{}.rs", item.ident), format!("{folder}/{}/mod.rs", item.ident)],
    };
    candidates.into_iter().find(|file| sources.iter().any(|source| source.file == *file))
}

/// The module trees of a package's crates.
pub(crate) fn all(package: &Package, sources: &[Source]) -> Trees {
    let mut trees = Trees::default();
    for root in &package.roots {
        trees.add(sources, root, None, &[]);
    }
    trees
}

/// How many lines of a file belong to test items.
pub(crate) fn lines_of_tests(items: &[Item]) -> usize {
    items
        .iter()
        .map(|item| match item {
            item if is_test(attributes(item)) => {
                let span = item.span();
                span.end().line + 1 - span.start().line
            }
            Item::Mod(item) => item.content.as_ref().map_or(0, |(_, items)| lines_of_tests(items)),
            _ => 0,
        })
        .sum()
}

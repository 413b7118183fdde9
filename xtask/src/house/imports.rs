//! Finds which module names items of which other one, outside tests: in `use` items, in paths within the
//! code, and in the arguments of macros.
//!
//! A name that a module gets from another one by `use` is followed to the file that defines it. A module that
//! imports `super::Varint`, which the parent module only re-exports, depends on the file of `Varint` and not
//! on the parent.

use std::collections::BTreeMap;

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    ImplItemFn, Item, ItemUse, Path, UseTree, VisRestricted,
    spanned::Spanned,
    visit::{self, Visit},
};

use super::{
    source::{Source, attributes, is_test},
    tree::Trees,
};

/// The imports of a package: from module to module, with the line and path of the first one.
pub(crate) type Imports = BTreeMap<(usize, usize), Import>;

/// The first import of a pair of modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Import {
    pub(crate) line: usize,
    pub(crate) path: String,
    /// Whether it names an item that the crate's root re-exports.
    pub(crate) through_root: bool,
}

/// The names that each module gets by `use`, with their paths.
type Passed = BTreeMap<usize, BTreeMap<String, Vec<String>>>;

/// How many re-exports are followed at most, which ends circles of names.
const MOST_PASSES: usize = 8;

pub(crate) fn all(trees: &Trees, sources: &[Source]) -> Imports {
    let files: Vec<(usize, &Source)> =
        sources.iter().filter_map(|source| Some((trees.of_file(&source.file)?, source))).collect();
    let mut passed = Passed::new();
    for (module, source) in &files {
        for item in &source.syntax.items {
            if let Item::Use(item) = item
                && !is_test(&item.attrs)
            {
                leaves(&mut Vec::new(), &item.tree, &mut |names, name, _| {
                    passed.entry(*module).or_default().insert(name, names);
                });
            }
        }
    }
    let mut imports = Imports::new();
    for (module, source) in files {
        let mut walk = Walk { trees, passed: &passed, module, within: Vec::new(), imports: &mut imports };
        walk.visit_file(&source.syntax);
    }
    imports
}

/// Calls `each` with the path, the local name and the line of everything that a `use` item names.
fn leaves(before: &mut Vec<String>, tree: &UseTree, each: &mut impl FnMut(Vec<String>, String, usize)) {
    let (ident, here) = match tree {
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            leaves(before, &path.tree, each);
            before.pop();
            return;
        }
        UseTree::Group(group) => {
            group.items.iter().for_each(|tree| leaves(before, tree, each));
            return;
        }
        UseTree::Glob(glob) => {
            let mut names = before.clone();
            names.push("*".to_owned());
            return each(names, "*".to_owned(), glob.span().start().line);
        }
        UseTree::Name(name) => (&name.ident, &name.ident),
        UseTree::Rename(name) => (&name.ident, &name.rename),
    };
    let mut names = before.clone();
    if ident != "self" || names.is_empty() {
        names.push(ident.to_string());
    }
    let here = if here == "self" { names.last().cloned().unwrap_or_default() } else { here.to_string() };
    each(names, here, ident.span().start().line);
}

struct Walk<'a> {
    trees: &'a Trees,
    passed: &'a Passed,
    module: usize,
    /// The inline modules that the walk is in.
    within: Vec<String>,
    imports: &'a mut Imports,
}

impl Walk<'_> {
    /// Records a path, if it leads to another module.
    fn note(&mut self, names: &[String], line: usize) {
        let Some((named, rest)) = self.target(self.module, &self.within, names) else { return };
        let target = self.definition(named, rest);
        let through_root =
            named != target && self.trees.modules[named].parent.is_none() && named != self.module;
        if target == self.module && !through_root {
            return;
        }
        let import = Import { line, path: names.join("::"), through_root };
        let first = self.imports.entry((self.module, target)).or_insert_with(|| import.clone());
        if (!import.through_root, import.line) < (!first.through_root, first.line) {
            *first = import;
        }
    }

    /// The module that defines the item that a module names by the first of these names.
    fn definition(&self, mut module: usize, rest: &[String]) -> usize {
        let mut rest = rest.to_vec();
        for _ in 0..MOST_PASSES {
            let path = rest.first().and_then(|name| self.passed.get(&module)?.get(name));
            let Some((next, after)) = path.and_then(|path| self.target(module, &[], path)) else { break };
            rest = after.iter().chain(&rest[1..]).cloned().collect();
            // The name may stand for a module, in which the path continues.
            module = self.trees.down(next, &rest);
            rest.drain(..self.trees.depth(module) - self.trees.depth(next));
        }
        module
    }

    /// The module to which a path in a module leads, and the rest of the path; `None` if the path starts with
    /// a name from another crate.
    fn target<'b>(
        &self,
        from: usize,
        within: &[String],
        names: &'b [String],
    ) -> Option<(usize, &'b [String])> {
        let down = |module: usize, rest: &'b [String]| {
            let target = self.trees.down(module, rest);
            (target, &rest[self.trees.depth(target) - self.trees.depth(module)..])
        };
        let (first, mut rest) = names.split_first()?;
        let mut within = within.to_vec();
        let mut module = from;
        match first.as_str() {
            "crate" => return Some(down(self.trees.root_of(module), rest)),
            "self" => {}
            "super" => {
                let mut up = 1;
                while let Some((name, after)) = rest.split_first()
                    && name == "super"
                {
                    (up, rest) = (up + 1, after);
                }
                for _ in 0..up {
                    if within.pop().is_none() {
                        module = self.trees.modules[module].parent?;
                    }
                }
            }
            child => {
                let known = within.is_empty() && self.trees.modules[module].children.contains_key(child);
                return known.then(|| down(module, names));
            }
        }
        // The items of an inline module lie in its file.
        Some(if within.is_empty() { down(module, rest) } else { (module, &[]) })
    }

    /// Records the paths among the tokens of a macro's arguments, which are not parsed yet.
    fn words(&mut self, tokens: TokenStream) {
        let mut names: Vec<String> = Vec::new();
        let (mut line, mut colons) = (0, 0);
        let mut done: Vec<(Vec<String>, usize)> = Vec::new();
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        done.push((std::mem::take(&mut names), line));
                        line = ident.span().start().line;
                    }
                    names.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.words(group.stream());
                    colons = 0;
                }
                _ => colons = 0,
            }
        }
        done.push((names, line));
        for (names, line) in done.into_iter().filter(|(names, _)| names.len() > 1) {
            self.note(&names, line);
        }
    }
}

impl<'a> Visit<'a> for Walk<'_> {
    fn visit_item(&mut self, item: &'a Item) {
        if is_test(attributes(item)) {
            return;
        }
        match item {
            Item::Mod(module) if module.content.is_some() => {
                self.within.push(module.ident.to_string());
                visit::visit_item(self, item);
                self.within.pop();
            }
            _ => visit::visit_item(self, item),
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'a ImplItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'a ItemUse) {
        leaves(&mut Vec::new(), &item.tree, &mut |names, _, line| self.note(&names, line));
    }

    /// `pub(in crate::room)` does not import anything.
    fn visit_vis_restricted(&mut self, _: &'a VisRestricted) {}

    fn visit_path(&mut self, path: &'a Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if names.len() > 1 {
            self.note(&names, path.span().start().line);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'a syn::Macro) {
        self.words(item.tokens.clone());
        visit::visit_macro(self, item);
    }
}

//! Finds hash tables with random state where every run must be the same.
//!
//! clippy finds iteration over hash tables (`iter_over_hash_type`).

use syn::{
    Item, Path, PathArguments,
    spanned::Spanned,
    visit::{self, Visit},
};

use super::{
    finding::{Finding, Rule},
    source::{Source, attributes, is_test},
};

pub(crate) fn check(source: &Source) -> Vec<Finding> {
    let mut tables = Tables { file: &source.file, found: Vec::new() };
    tables.visit_file(&source.syntax);
    tables.found
}

struct Tables<'a> {
    file: &'a str,
    found: Vec<Finding>,
}

/// The standard library's table that a path names, if it uses the default hasher.
fn default_hasher(path: &Path) -> Option<&'static str> {
    path.segments.iter().enumerate().find_map(|(at, segment)| {
        let (name, with_hasher) = match segment.ident.to_string().as_str() {
            "HashMap" => ("HashMap", 3),
            "HashSet" => ("HashSet", 2),
            "RandomState" => return Some("RandomState"),
            _ => return None,
        };
        // `HashMap::new` uses the default hasher; `HashMap::default` uses the one in its type.
        let makes_one =
            path.segments.iter().nth(at + 1).is_some_and(|next| {
                ["new", "with_capacity", "from"].contains(&next.ident.to_string().as_str())
            });
        let told = match &segment.arguments {
            PathArguments::AngleBracketed(told) => told.args.len(),
            _ => return makes_one.then_some(name),
        };
        (told < with_hasher).then_some(name)
    })
}

impl<'a> Visit<'a> for Tables<'_> {
    fn visit_item(&mut self, item: &'a Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_path(&mut self, path: &'a Path) {
        if let Some(name) = default_hasher(path) {
            self.found.push(Finding {
                rule: Rule::RandomState,
                file: self.file.to_owned(),
                line: path.span().start().line,
                item: None,
                text: format!(
                    "{name} with random state: its order is another one in each run. Use a BTreeMap or name a hasher; where a \
                     peer picks the keys, except it in house.toml and say so"
                ),
            });
        }
        visit::visit_path(self, path);
    }
}

//! Finds files of more than 500 lines and functions of more than 70, outside tests.

use syn::{
    ImplItemFn, Item, ItemFn, TraitItemFn,
    spanned::Spanned,
    visit::{self, Visit},
};

use super::{
    finding::{Finding, Rule},
    source::{Source, attributes, is_test},
    tree::lines_of_tests,
};

const MOST_OF_A_FILE: usize = 500;
const MOST_OF_A_FUNCTION: usize = 70;

pub(crate) fn check(source: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    let lines = source.lines - lines_of_tests(&source.syntax.items);
    if lines > MOST_OF_A_FILE {
        found.push(Finding {
            rule: Rule::FileLength,
            file: source.file.clone(),
            line: 1,
            item: None,
            text: format!(
                "{lines} lines outside tests, {MOST_OF_A_FILE} at most: split it where it does two things"
            ),
        });
    }
    let mut functions = Functions { file: &source.file, found };
    functions.visit_file(&source.syntax);
    functions.found
}

struct Functions<'a> {
    file: &'a str,
    found: Vec<Finding>,
}

impl Functions<'_> {
    fn look(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let first = signature.span().start().line;
        let lines = body.span().end().line + 1 - first;
        if lines > MOST_OF_A_FUNCTION {
            self.found.push(Finding {
                rule: Rule::FunctionLength,
                file: self.file.to_owned(),
                line: first,
                item: Some(signature.ident.to_string()),
                text: format!(
                    "{} has {lines} lines, {MOST_OF_A_FUNCTION} at most: give its steps functions of their own",
                    signature.ident
                ),
            });
        }
    }
}

impl<'a> Visit<'a> for Functions<'_> {
    fn visit_item(&mut self, item: &'a Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'a ItemFn) {
        self.look(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'a ImplItemFn) {
        if !is_test(&item.attrs) {
            self.look(&item.sig, &item.block);
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_trait_item_fn(&mut self, item: &'a TraitItemFn) {
        if let Some(body) = &item.default {
            self.look(&item.sig, body);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

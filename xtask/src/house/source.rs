//! The parsed files of a package, and which of their items are tests.

use std::{fs, io, path::Path};

use syn::{Attribute, Item, Meta, Token, punctuated::Punctuated};

use super::packages::Package;

/// The folders of a package that are not checked: tests, what they are built from, and what is not ours.
const NOT_HELD: &[&str] = &["tests", "target", "corpus"];

/// A source file.
pub(crate) struct Source {
    /// The path from the workspace's root.
    pub(crate) file: String,
    pub(crate) lines: usize,
    pub(crate) syntax: syn::File,
}

impl Source {
    pub(crate) fn parse(file: &str, text: &str) -> io::Result<Self> {
        let syntax = syn::parse_file(text)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{file}: {error}")))?;
        Ok(Self { file: file.to_owned(), lines: text.lines().count(), syntax })
    }
}

/// All files of a package outside test folders, sorted by name. They include modules that are tests by their
/// attribute, which only the module tree shows.
pub(crate) fn all(root: &Path, package: &Package) -> io::Result<Vec<Source>> {
    let mut files = Vec::new();
    let mut folders = vec![package.name.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{folder}/{name}");
            if entry.file_type()?.is_dir() {
                if !name.starts_with('.') && !NOT_HELD.contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if name.ends_with(".rs") && !name.starts_with("tests") {
                files.push(path);
            }
        }
    }
    files.sort_unstable();
    files.iter().map(|file| Source::parse(file, &fs::read_to_string(root.join(file))?)).collect()
}

/// Whether attributes restrict an item to tests: `#[test]`, `#[cfg(test)]`, `#[cfg(all(test, …))]`.
pub(crate) fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let path = attribute.path();
        path.is_ident("test")
            || (path.is_ident("cfg")
                && attribute.parse_args::<Meta>().is_ok_and(|meta| asks_for_tests(&meta)))
    })
}

fn asks_for_tests(meta: &Meta) -> bool {
    match meta {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("all") => list
            .parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)
            .is_ok_and(|all| all.iter().any(asks_for_tests)),
        _ => false,
    }
}

/// The attributes of an item, if its kind has any.
pub(crate) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

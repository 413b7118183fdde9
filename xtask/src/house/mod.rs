//! Whether the house stands as `docs/architecture.md` says: no circles of imports, no import from a layer above, no file and no
//! function that grew too long, no table whose order is another one in each run.
//!
//! Owns the order of the rules and how their findings are told. `house.toml` at the root says what the layers are, and which
//! findings are excepted and why; an exception without a finding is a finding itself.

mod circles;
mod exceptions;
mod finding;
mod imports;
mod layers;
mod lengths;
mod packages;
mod plan;
mod source;
mod tables;
#[cfg(test)]
mod tests;
mod tree;

use std::{io, path::Path};

use self::{finding::Finding, plan::Plan};
use crate::verdict::Outcome;

/// Checks it; `root` is the workspace.
pub(crate) fn check(root: &Path) -> Outcome {
    match findings(root) {
        Ok(found) if found.is_empty() => Outcome::Passed,
        Ok(found) => {
            found.iter().for_each(|finding| println!("{finding}"));
            Outcome::Failed(format!("{} findings, each told above", found.len()))
        }
        Err(error) => Outcome::Failed(format!("house: {error}")),
    }
}

/// What is against the rules and not excepted.
fn findings(root: &Path) -> io::Result<Vec<Finding>> {
    let plan = Plan::read(root)?;
    let (mut found, mut files, mut modules) = (Vec::new(), 0, 0);
    for package in packages::all(root)? {
        let sources = source::all(root, &package)?;
        let trees = tree::all(&package, &sources);
        for source in sources.iter().filter(|source| !trees.is_test(&source.file)) {
            found.extend(lengths::check(source));
            if package.is_sans_io() {
                found.extend(tables::check(source));
            }
        }
        let imports = imports::all(&trees, &sources);
        found.extend(circles::check(&trees, &imports));
        found.extend(layers::check(&package.name, &trees, &imports, &plan));
        files += sources.len();
        modules += trees.modules.len();
    }
    println!("{files} files, {modules} modules outside tests, {} exceptions", plan.exceptions.len());
    Ok(exceptions::apply(found, &plan))
}

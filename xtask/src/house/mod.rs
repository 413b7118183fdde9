//! Checks that the code has the structure in `docs/architecture.md`: no circles of imports, no import from a
//! layer above, no file or function that is too long, no hash table whose order differs between runs.
//!
//! Owns the order of the rules, and prints their findings. `house.toml` at the root lists the layers, and the
//! exceptions with their reasons. An exception without a finding is a finding itself.

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

/// Runs the check; `root` is the workspace.
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

/// The violations that are not excepted.
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

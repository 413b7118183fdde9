//! The registry's version of a workspace manifest, with the package's published name.
//!
//! Owns the differences between the two. It must never know files or cargo: tables in, tables out.

use std::collections::BTreeMap;

use toml::{Table, Value};

/// The published packages: the name in the workspace, and the name on the registry.
pub(super) type Names = BTreeMap<String, String>;

/// The fields that the registry shows. The repository is not among them, because none is named yet.
const TOLD: [&str; 5] = ["description", "readme", "keywords", "categories", "license"];

/// The name on the registry from `[package.metadata.weft]`; `None` if the package is not published.
pub(super) fn published_as(manifest: &Table) -> Option<&str> {
    manifest.get("package")?.get("metadata")?.get("weft")?.get("published-as")?.as_str()
}

/// The required fields that a package lacks.
pub(super) fn untold(manifest: &Table) -> Vec<&'static str> {
    let package = manifest.get("package");
    TOLD.into_iter().filter(|key| package.and_then(|package| package.get(key)).is_none()).collect()
}

/// The folders of a workspace's members.
pub(super) fn members(workspace: &Table) -> impl Iterator<Item = &str> {
    let members = workspace.get("workspace").and_then(|workspace| workspace.get("members"));
    members.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// The version that a workspace's members share.
pub(super) fn version(workspace: &Table) -> Option<&str> {
    workspace.get("workspace")?.get("package")?.get("version")?.as_str()
}

/// The manifest of the workspace with the published packages only.
pub(super) fn of_workspace(mut manifest: Table, names: &Names) -> Result<Table, String> {
    let workspace = table(&mut manifest, "workspace")?;
    workspace.remove("exclude");
    workspace.insert("members".to_owned(), names.keys().map(String::as_str).collect::<Vec<_>>().into());
    let package = table(workspace, "package")?;
    package.remove("publish");
    let version = package.get("version").cloned().ok_or("the workspace has no version")?;
    let dependencies = table(workspace, "dependencies")?;
    dependencies.retain(|name, source| source.get("path").is_none() || names.contains_key(name));
    for (name, published) in names {
        let Some(source) = dependencies.get_mut(name).and_then(Value::as_table_mut) else { continue };
        source.insert("package".to_owned(), published.as_str().into());
        source.insert("version".to_owned(), version.clone());
    }
    // The profiles are only for the programs of the product.
    manifest.remove("profile");
    Ok(manifest)
}

/// The manifest of a workspace of unpacked packages with their folders. They depend on each other by path.
pub(super) fn of_unpacked(packages: &[(&str, String)]) -> Table {
    let members: Vec<Value> = packages.iter().map(|(_, folder)| folder.as_str().into()).collect();
    let path = |folder: &String| Table::from_iter([("path".to_owned(), folder.as_str().into())]);
    let sources: Table =
        packages.iter().map(|(name, folder)| ((*name).to_owned(), path(folder).into())).collect();
    let workspace = [("members".to_owned(), members.into()), ("resolver".to_owned(), "3".into())];
    Table::from_iter([
        ("workspace".to_owned(), Table::from_iter(workspace).into()),
        ("patch".to_owned(), Table::from_iter([("crates-io".to_owned(), sources.into())]).into()),
    ])
}

/// The manifest of a package. The crate keeps the name by which it is imported. Tests are not published, nor
/// are dependencies that only tests need and no registry has. `workspace` is the manifest from
/// [`of_workspace`].
pub(super) fn of_package(
    mut manifest: Table,
    name: &str,
    names: &Names,
    workspace: &Table,
) -> Result<Table, String> {
    let published = names.get(name).ok_or_else(|| format!("{name} has no name to be published under"))?;
    let package = table(&mut manifest, "package")?;
    package.insert("name".to_owned(), published.as_str().into());
    package.remove("publish");
    let library = manifest.entry("lib").or_insert_with(|| Table::new().into());
    let library = library.as_table_mut().ok_or("lib is no table")?;
    library.insert("name".to_owned(), name.replace('-', "_").into());
    if let Ok(dependencies) = table(&mut manifest, "dev-dependencies") {
        let sources = workspace.get("workspace").and_then(|workspace| workspace.get("dependencies"));
        let has = |name: &str| sources.and_then(|sources| sources.get(name)).is_some();
        dependencies.retain(|name, source| {
            source.get("path").is_none() && (source.get("workspace").is_none() || has(name))
        });
    }
    Ok(manifest)
}

fn table<'a>(manifest: &'a mut Table, key: &str) -> Result<&'a mut Table, String> {
    manifest.get_mut(key).and_then(Value::as_table_mut).ok_or_else(|| format!("has no table {key}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKSPACE: &str = "[workspace]\nmembers = [\"q\", \"h-3\", \"meter\"]\nexclude = [\"fuzz\"]\n\
        [workspace.package]\nversion = \"0.3.0\"\npublish = false\n\
        [workspace.dependencies]\nq = { path = \"q\" }\nmeter = { path = \"meter\" }\nbytes = \"1\"\n";
    const PACKAGE: &str = "[package]\nname = \"h-3\"\ndescription = \"d\"\nlicense = \"MIT\"\npublish.workspace = true\n\
        [package.metadata.weft]\npublished-as = \"w-h-3\"\n[dependencies]\nq.workspace = true\n\
        [dev-dependencies]\nh-3 = { path = \".\" }\nmeter.workspace = true\nbytes.workspace = true\nq.workspace = true\n";

    fn parsed(text: &str) -> Table {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    fn names() -> Names {
        [("q", "w-q"), ("h-3", "w-h-3")]
            .map(|(name, published)| (name.to_owned(), published.to_owned()))
            .into()
    }

    #[test]
    fn a_workspace_is_published_without_what_stays_at_home() {
        let told = of_workspace(parsed(WORKSPACE), &names()).unwrap_or_else(|why| panic!("{why}"));
        let expected = "[workspace]\nmembers = [\"h-3\", \"q\"]\n[workspace.package]\nversion = \"0.3.0\"\n\
            [workspace.dependencies]\nq = { path = \"q\", package = \"w-q\", version = \"0.3.0\" }\nbytes = \"1\"\n";
        assert_eq!(told, parsed(expected));
    }

    #[test]
    fn a_package_has_its_published_name_and_its_crate_the_old_one() {
        let workspace = of_workspace(parsed(WORKSPACE), &names()).unwrap_or_else(|why| panic!("{why}"));
        let told = of_package(parsed(PACKAGE), "h-3", &names(), &workspace);
        let expected = "[package]\nname = \"w-h-3\"\ndescription = \"d\"\nlicense = \"MIT\"\n\
            [package.metadata.weft]\npublished-as = \"w-h-3\"\n[lib]\nname = \"h_3\"\n[dependencies]\nq.workspace = true\n\
            [dev-dependencies]\nbytes.workspace = true\nq.workspace = true\n";
        assert_eq!(told, Ok(parsed(expected)));
        assert!(of_package(parsed(PACKAGE), "meter", &names(), &workspace).is_err());
    }

    #[test]
    fn a_package_that_says_too_little_of_itself_is_told_what() {
        assert_eq!(published_as(&parsed(PACKAGE)), Some("w-h-3"));
        assert_eq!(published_as(&parsed(WORKSPACE)), None);
        assert_eq!(untold(&parsed(PACKAGE)), ["readme", "keywords", "categories"]);
    }
}

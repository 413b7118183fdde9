//! The packages of the workspace and of the workspaces beside it, with the source files of each.

use std::{fs, io, path::Path};

use serde::Deserialize;

/// The packages that do no I/O, read no clock and draw no random numbers.
const SANS_IO: &[&str] = &["quic-core", "qpack", "h3-core", "wt-session"];

/// A package.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    /// Its folder from the workspace's root, which is also its name.
    pub(crate) name: String,
    /// The root files of its crates, from the workspace's root.
    pub(crate) roots: Vec<String>,
}

impl Package {
    pub(crate) fn is_sans_io(&self) -> bool {
        SANS_IO.contains(&self.name.as_str())
    }
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    workspace: Workspace,
    lib: Option<Target>,
    #[serde(default)]
    bin: Vec<Target>,
}

#[derive(Default, Deserialize)]
struct Workspace {
    #[serde(default)]
    members: Vec<String>,
    #[serde(default)]
    exclude: Vec<String>,
}

#[derive(Deserialize)]
struct Target {
    path: Option<String>,
}

fn manifest(folder: &Path) -> io::Result<Manifest> {
    let file = folder.join("Cargo.toml");
    let text = fs::read_to_string(&file)?;
    toml::from_str(&text)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", file.display())))
}

/// All packages: the members, and those that the workspace excludes because they are workspaces of their own.
pub(crate) fn all(root: &Path) -> io::Result<Vec<Package>> {
    let workspace = manifest(root)?.workspace;
    workspace.members.into_iter().chain(workspace.exclude).map(|name| one(root, name)).collect()
}

fn one(root: &Path, name: String) -> io::Result<Package> {
    let folder = root.join(&name);
    let manifest = manifest(&folder)?;
    let told = manifest.lib.into_iter().chain(manifest.bin).filter_map(|target| target.path);
    let mut roots: Vec<String> = told.collect();
    roots.extend(["src/lib.rs", "src/main.rs"].map(str::to_owned));
    if let Ok(entries) = fs::read_dir(folder.join("src/bin")) {
        for entry in entries {
            roots.push(format!("src/bin/{}", entry?.file_name().to_string_lossy()));
        }
    }
    roots.retain(|file| folder.join(file).is_file());
    roots.sort_unstable();
    roots.dedup();
    let roots = roots.into_iter().map(|file| format!("{name}/{file}")).collect();
    Ok(Package { name, roots })
}

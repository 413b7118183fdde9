//! Files by the names in requests.

use std::path::{Component, Path, PathBuf};

use bytes::Bytes;

use crate::tell::Failure;

/// `name` inside `folder`; `None` if it names something outside, or the folder itself.
pub(crate) fn inside(folder: &Path, name: &str) -> Option<PathBuf> {
    let name = Path::new(name.trim_start_matches('/'));
    let plain = name.components().all(|part| matches!(part, Component::Normal(_)));
    (plain && name.components().next().is_some()).then(|| folder.join(name))
}

/// The content of a file that a peer requests; `None` if it cannot be read.
pub(crate) fn load(folder: &Path, name: &str) -> Option<Bytes> {
    let path = inside(folder, name)?;
    // Logged below the default level, because a peer may repeat the request any number of times.
    let content = std::fs::read(&path).inspect_err(|error| tracing::debug!(?path, %error, "not read"));
    content.ok().map(Bytes::from)
}

/// Writes a received file, and the folders above it.
pub(crate) fn save(folder: &Path, name: &str, content: &[u8]) -> Result<(), Failure> {
    let path = inside(folder, name).ok_or_else(|| format!("{name:?} is not a file name"))?;
    let written = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    written
        .and_then(|()| std::fs::write(&path, content))
        .map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_leave_their_folder() {
        let folder = Path::new("/www");
        assert_eq!(inside(folder, "/a/b"), Some(PathBuf::from("/www/a/b")));
        assert_eq!(inside(folder, "a"), Some(PathBuf::from("/www/a")));
        for name in ["", "/", "..", "a/../../b", "/../etc/passwd", "./a"] {
            assert_eq!(inside(folder, name), None, "{name}");
        }
    }
}

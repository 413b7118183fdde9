//! Finds the file that the path of a URL names, and none outside of the directory.

use std::{
    io,
    path::{Component, Path, PathBuf},
};

/// What a path names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    File(PathBuf),
    /// A directory, named without the slash at its end.
    Directory,
    Nothing,
}

/// Finds what `path` names in `root`, which has no links in it. Links that lead out of it name nothing.
pub(super) fn find(root: &Path, path: &str) -> io::Result<Found> {
    let Some(name) = inside(path) else { return Ok(Found::Nothing) };
    let missing =
        |error: &io::Error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
    let mut whole = match root.join(&name).canonicalize() {
        Err(error) if missing(&error) => return Ok(Found::Nothing),
        found => found?,
    };
    if !whole.starts_with(root) {
        return Ok(Found::Nothing);
    }
    if whole.is_dir() {
        if !path.ends_with('/') {
            return Ok(Found::Directory);
        }
        whole = match whole.join("index.html").canonicalize() {
            Err(error) if missing(&error) => return Ok(Found::Nothing),
            found => found?,
        };
    } else if path.ends_with('/') {
        return Ok(Found::Nothing);
    }
    Ok(if whole.starts_with(root) && whole.is_file() { Found::File(whole) } else { Found::Nothing })
}

/// The name relative to the directory: each part of the path once decoded, and none that leads upwards or is
/// not a plain name.
fn inside(path: &str) -> Option<PathBuf> {
    let mut name = PathBuf::new();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let part = decode(part)?;
        // A part may not contain what separates parts on any system, nor end a name.
        if part.contains(['/', '\\', '\0', ':']) {
            return None;
        }
        let mut components = Path::new(&part).components();
        match (components.next(), components.next()) {
            (Some(Component::Normal(plain)), None) => name.push(plain),
            _ => return None,
        }
    }
    Some(name)
}

/// Decodes the escapes of a URL (RFC 3986 §2.1).
fn decode(part: &str) -> Option<String> {
    let mut bytes = part.bytes();
    let mut decoded = Vec::with_capacity(part.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let digits = [bytes.next()?, bytes.next()?];
        let digits = std::str::from_utf8(&digits).ok().filter(|digits| !digits.starts_with('+'))?;
        decoded.push(u8::from_str_radix(digits, 16).ok()?);
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_nothing_outside() {
        for path in [
            "/..",
            "/../a",
            "/a/../../b",
            "/%2e%2e/a",
            "/%2E./a",
            "/a%2fb",
            "/a%5cb",
            "/a\\..\\b",
            "/a%00",
            "/c:/x",
            "/./a",
            "/%zz",
            "/%+1",
            "/%4",
            "/%ff",
        ] {
            assert_eq!(inside(path), None, "{path}");
        }
        for (path, name) in
            [("/", ""), ("/a/b.html", "a/b.html"), ("//a//b/", "a/b"), ("/a%20b/%C3%A4", "a b/ä")]
        {
            assert_eq!(inside(path), Some(PathBuf::from(name)), "{path}");
        }
    }

    #[test]
    fn links_lead_to_files_inside_alone() {
        use std::fs;

        use crate::platform::symbolic_link;
        let folder = std::env::temp_dir().join(format!("weft-names-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let root = folder.join("root");
        fs::create_dir_all(root.join("sub")).unwrap();
        let root = root.canonicalize().unwrap();
        fs::write(folder.join("secret"), "secret").unwrap();
        fs::write(root.join("sub/index.html"), "page").unwrap();
        for (target, name) in [("../secret", "out"), ("..", "up"), ("sub/index.html", "in")] {
            if !symbolic_link(target.as_ref(), &root.join(name)).unwrap() {
                return; // Not on this system.
            }
        }
        for path in ["/out", "/up/secret", "/up", "/none", "/sub/index.html/", "/in/x", "/"] {
            let found = find(&root, path).unwrap();
            assert_eq!(found, Found::Nothing, "{path}");
        }
        let page = Found::File(root.join("sub/index.html"));
        for path in ["/in", "/sub/", "/sub/index.html"] {
            assert_eq!(find(&root, path).unwrap(), page, "{path}");
        }
        assert_eq!(find(&root, "/sub").unwrap(), Found::Directory);
        fs::remove_dir_all(&folder).unwrap();
    }
}

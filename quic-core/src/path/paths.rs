//! All paths of a connection.

use super::single::Path;
use crate::ids::PathId;

/// The path in use, and those beside it.
#[derive(Debug)]
pub(crate) struct Paths {
    /// The one in use, to which all but probing packets go.
    pub(crate) active: Path,
    others: Vec<Path>,
}

impl Paths {
    /// A connection begins with one path.
    pub(crate) fn new(first: Path) -> Self {
        Self { active: first, others: Vec::new() }
    }

    /// A path, if it was not given up.
    pub(crate) fn get_mut(&mut self, id: PathId) -> Option<&mut Path> {
        if self.active.id == id {
            return Some(&mut self.active);
        }
        self.others.iter_mut().find(|path| path.id == id)
    }

    /// So many bytes are no longer in flight on a path, and nobody is blamed. For a path that was given up that means nothing.
    pub(crate) fn on_landed(&mut self, id: PathId, bytes: u64) {
        if let Some(path) = self.get_mut(id) {
            path.on_landed(bytes);
        }
    }
}

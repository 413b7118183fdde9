//! What all handles of one session share, including those of its streams and datagrams.

use std::{fmt, sync::Arc};

use http::{
    HeaderMap,
    uri::{Authority, PathAndQuery},
};

use crate::{close::CloseInfo, mailbox::SessionBox};

/// What the client requested.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) authority: Authority,
    pub(crate) path: PathAndQuery,
    pub(crate) headers: HeaderMap,
}

/// Closes the session when its last handle is dropped.
pub(crate) struct Guard(pub(crate) Arc<SessionBox>);

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guard")
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.close(CloseInfo::default());
    }
}

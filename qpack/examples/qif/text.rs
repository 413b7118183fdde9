//! Lists of fields as text (`.qif`).

use std::fmt;

/// The fields of one section: names and values.
pub(crate) type List = Vec<(Vec<u8>, Vec<u8>)>;

/// A line without a tab between name and value; lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoTab {
    pub(crate) line: usize,
}

impl fmt::Display for NoTab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: no tab between name and value", self.line)
    }
}

impl std::error::Error for NoTab {}

/// Reads the lists. One field is a line with a tab between name and value, an empty line ends a list, and a
/// line that starts with `#` is a comment.
pub(crate) fn read_qif(text: &[u8]) -> Result<Vec<List>, NoTab> {
    let mut lists = Vec::new();
    let mut list = List::new();
    for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            if !list.is_empty() {
                lists.push(std::mem::take(&mut list));
            }
        } else if line.first() != Some(&b'#') {
            let tab = line.iter().position(|byte| *byte == b'\t');
            let (name, value) =
                tab.and_then(|tab| line.split_at_checked(tab)).ok_or(NoTab { line: number + 1 })?;
            list.push((name.to_vec(), value.get(1..).unwrap_or_default().to_vec()));
        }
    }
    if !list.is_empty() {
        lists.push(list);
    }
    Ok(lists)
}

/// Writes the lists, as [`read_qif`] reads them.
pub(crate) fn write_qif(lists: &[List]) -> Vec<u8> {
    let mut text = Vec::new();
    for list in lists {
        for (name, value) in list {
            text.extend([&name[..], b"\t", value, b"\n"].concat());
        }
        text.push(b'\n');
    }
    text
}

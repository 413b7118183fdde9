//! Changes handshake messages before they are sent.

/// Rewrites the extensions of a ClientHello or of `EncryptedExtensions` at the start of `bytes`, lengths included.
#[must_use]
pub fn edit_extensions(bytes: &[u8], edit: impl Fn(u16, &[u8]) -> Option<(u16, Vec<u8>)>) -> Vec<u8> {
    let length = usize::from(bytes[2]) << 8 | usize::from(bytes[3]);
    let (message, behind) = bytes.split_at(4 + length);
    let mut start = 4;
    if message[0] == 1 {
        start += 2 + 32;
        start += 1 + usize::from(message[start]);
        start += 2 + (usize::from(message[start]) << 8 | usize::from(message[start + 1]));
        start += 1 + usize::from(message[start]);
    }
    let mut extensions = Vec::new();
    let mut rest = &message[start + 2..];
    while let [a, b, c, d, more @ ..] = rest {
        let (id, size) = (u16::from(*a) << 8 | u16::from(*b), usize::from(*c) << 8 | usize::from(*d));
        if let Some((id, value)) = edit(id, &more[..size]) {
            extensions.extend(id.to_be_bytes());
            extensions.extend((value.len() as u16).to_be_bytes());
            extensions.extend(value);
        }
        rest = &more[size..];
    }
    let mut body = message[4..start].to_vec();
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    with_length(message[0], &body, behind)
}

/// A handshake message with this body, followed by the bytes `behind`.
#[must_use]
pub fn with_length(kind: u8, body: &[u8], behind: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32).to_be_bytes();
    [&[kind], &length[1..], body, behind].concat()
}

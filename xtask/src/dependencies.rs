//! Checks the claim of the product: everything that speaks QUIC, HTTP/3, QPACK or WebTransport is ours.

use std::process::Command;

use crate::verdict::Outcome;

/// Crates that would make the claim false if they came from a registry. A trailing `*` stands for any ending.
/// `quinn-udp` is not listed, because it is a socket library.
const FOREIGN: &[&str] = &[
    "quinn",
    "quinn-proto",
    "quiche",
    "tokio-quiche",
    "s2n-quic*",
    "neqo*",
    "h3",
    "h3-*",
    "wtransport*",
    "web-transport*",
    "webtransport*",
    "msquic*",
    "noq*",
    "iroh-quinn*",
    "tquic*",
    "ngtcp2*",
    "nghttp3*",
    "qpack",
    "qh3",
    "ls-qpack*",
    "lsquic*",
    "quic-rpc",
    "xwt*",
];

/// Our packages that are only for tests. A product that contains one has a wrong feature enabled.
const TESTS_ONLY: &[&str] = &["netsim", "heap-meter", "hostile-peer", "soak", "spin"];
/// Those of them that the tool at the root may use itself: its demonstration shows a simulated link.
const TOOLS_OWN: &[&str] = &["netsim"];

/// The lines of `cargo tree --prefix depth --format {p}` that name such a crate, without their depth. Lines
/// with a path are ours.
fn foreign(tree: &str) -> Vec<&str> {
    let parted = tree.lines().map(|line| {
        let line = line.trim();
        let name = line.find(|c: char| !c.is_ascii_digit()).unwrap_or(line.len());
        (line[..name].parse().unwrap_or(0), &line[name..])
    });
    let mut found: Vec<_> =
        parted.filter(|(depth, line)| is_foreign(line, *depth)).map(|(_, line)| line).collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn is_foreign(line: &str, depth: usize) -> bool {
    let name = line.split_whitespace().next().unwrap_or_default();
    let is_ours = line.contains("(/") || line.contains(":\\");
    if is_ours {
        return TESTS_ONLY.contains(&name) && !(depth == 1 && TOOLS_OWN.contains(&name));
    }
    FOREIGN.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == *pattern,
    })
}

/// Checks the tree of the command-line tool, which contains all product crates.
pub(crate) fn check(cargo: &str) -> Outcome {
    let output = Command::new(cargo)
        .args([
            "tree",
            "--locked",
            "-e",
            "normal,build",
            "-p",
            "wt-cli",
            "--prefix",
            "depth",
            "--format",
            "{p}",
        ])
        .output();
    let tree = match output {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
        Ok(output) => return Outcome::Failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => return Outcome::Failed(format!("cargo tree could not be started: {error}")),
    };
    if tree.trim().is_empty() {
        return Outcome::Failed("cargo tree printed nothing".to_owned());
    }
    match foreign(&tree).as_slice() {
        [] => Outcome::Passed,
        found => Outcome::Failed(format!("the product depends on {}", found.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_stacks_are_found_and_ours_are_not() {
        let tree = "0wt-cli v0.1.0 (/src/weft/wt-cli)\n1quinn-udp v0.6.0\n1qpack v0.1.0 (/src/weft/qpack)\n\
                    2qpack v0.1.0\n12h3 v0.0.8\n1h3-core v0.1.0 (/src/weft/h3-core)\n2neqo-common v1\n2h3 v0.0.8\n\
                    2http v1.3.1\n1netsim v0.1.0 (/src/weft/netsim)\n";
        assert_eq!(foreign(tree), ["h3 v0.0.8", "neqo-common v1", "qpack v0.1.0"]);
        let tree = "1wt-api v0.1.0 (/src/weft/wt-api)\n2netsim v0.1.0 (/src/weft/netsim)\n";
        assert_eq!(foreign(tree), ["netsim v0.1.0 (/src/weft/netsim)"]);
    }
}

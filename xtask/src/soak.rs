//! `soak`: a sweep over seeds that were not run before, and its row in `docs/security.md`.

use std::{
    fs,
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

/// The head of the table of runs.
const HEAD: &str = "| date | revision | seeds | failures | silent | of these rebound |";

/// The counts of a sweep.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    seeds: u64,
    first: u64,
    failed: u64,
    silent: u64,
    rebound: u64,
}

impl Counts {
    /// Reads the last line that `soak` prints.
    fn parse(line: &str) -> Option<Self> {
        let value = |name: &str| {
            let words = line.split_whitespace();
            words.filter_map(|word| word.split_once('=')).find(|(key, _)| *key == name)?.1.parse().ok()
        };
        Some(Self {
            seeds: value("seeds")?,
            first: value("first")?,
            failed: value("failed")?,
            silent: value("silent")?,
            rebound: value("rebound")?,
        })
    }

    fn row(&self, date: &str, revision: &str) -> String {
        let Self { seeds, first, failed, silent, rebound } = self;
        format!("| {date} | {revision} | {first}..{} | {failed} | {silent} | {rebound} |", first + seeds)
    }
}

/// The rows of the table, and the line of the first one.
fn rows(document: &str) -> Option<(usize, Vec<&str>)> {
    let lines: Vec<_> = document.lines().collect();
    let first = lines.iter().position(|line| *line == HEAD)? + 2;
    Some((first, lines.get(first..)?.iter().take_while(|line| line.starts_with('|')).copied().collect()))
}

/// The seed after the last one in the table.
fn next_seed(rows: &[&str]) -> u64 {
    let ends = rows.iter().filter_map(|row| row.split('|').nth(3)?.split_once("..")?.1.trim().parse().ok());
    ends.max().unwrap_or(0)
}

/// The document with one more row, and with the sum of all rows in the line after the table.
fn add_row(document: &str, row: &str) -> Option<String> {
    let (first, old) = rows(document)?;
    let mut lines: Vec<_> = document.lines().map(str::to_owned).collect();
    let end = first + old.len();
    lines.insert(end, row.to_owned());
    let all: Vec<_> = old.into_iter().chain([row]).collect();
    let sum = |column: usize| {
        let cells = all.iter().filter_map(|row| row.split('|').nth(column));
        cells.filter_map(|cell| cell.trim().parse::<u64>().ok()).sum::<u64>()
    };
    let seeds: u64 = all
        .iter()
        .filter_map(|row| {
            let (first, end) = row.split('|').nth(3)?.split_once("..")?;
            end.trim().parse::<u64>().ok()?.checked_sub(first.trim().parse().ok()?)
        })
        .sum();
    let total = format!("In all {seeds} seeds, {} failures, {} silent.", sum(4), sum(5));
    // The blank line after the table, followed by the old total if there is one.
    match lines.get(end + 2) {
        Some(line) if line.starts_with("In all ") => lines[end + 2] = total,
        _ => lines.splice(end + 1..end + 1, [String::new(), total]).for_each(drop),
    }
    Some(lines.join("\n") + "\n")
}

/// The year, month and day of a day counted from 1970-01-01, after Howard Hinnant's `civil_from_days`.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + i64::from(month <= 2), month, of_year - (153 * shifted + 2) / 5 + 1)
}

#[expect(clippy::disallowed_methods, reason = "a tool that dates what it writes, not a protocol")]
fn today() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (year, month, day) = civil((seconds / 86_400) as i64);
    format!("{year}-{month:02}-{day:02}")
}

/// The revision of the tree, marked if there are uncommitted changes.
fn revision(root: &Path) -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(root).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let head = git(&["rev-parse", "--short=9", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    let changed =
        git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|text| !text.is_empty());
    if changed { format!("{head} and changes") } else { head }
}

fn seeds(arguments: &[String]) -> Result<u64, String> {
    match arguments {
        [name, value] if name == "--seeds" => {
            value.parse().map_err(|_| format!("--seeds: {value} is no number"))
        }
        _ => Err("soak takes --seeds N".to_owned()),
    }
}

/// Runs the sweep with `soak`, a command that runs the binary of that name, and writes its row.
pub(crate) fn soak(arguments: &[String], root: &Path, soak: Command) -> ExitCode {
    match run(arguments, root, soak) {
        Ok(Counts { failed: 0, .. }) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String], root: &Path, mut soak: Command) -> Result<Counts, String> {
    let seeds = seeds(arguments)?;
    let path = root.join("docs/security.md");
    let document = fs::read_to_string(&path).map_err(|error| format!("docs/security.md: {error}"))?;
    let (_, rows) = rows(&document).ok_or("docs/security.md has no table of runs")?;
    let revision = revision(root);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    soak.args(["sweep", "--seeds", &seeds.to_string(), "--start", &next_seed(&rows).to_string()]);
    soak.args(["--threads", &threads.to_string()]).stdout(Stdio::piped());
    let output = soak
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .map_err(|error| format!("the sweep: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    let counts = text.lines().last().and_then(Counts::parse).ok_or("the sweep told no counts")?;
    let written = add_row(&document, &counts.row(&today(), &revision)).ok_or("the table is gone")?;
    fs::write(&path, written).map_err(|error| format!("docs/security.md: {error}"))?;
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "# x\n\n| date | revision | seeds | failures | silent | of these rebound |\n\
                            |---|---|---|---|---|---|\n\nbehind\n";

    #[test]
    fn runs_add_up() {
        let line =
            "transfer: seeds=500 first=0 failed=1 silent=20 rebound=19 datagrams=7 longest=1ms@1 FAILED";
        let counts = Counts::parse(line).expect("all counts are there");
        assert_eq!(counts, Counts { seeds: 500, first: 0, failed: 1, silent: 20, rebound: 19 });
        let once = add_row(DOCUMENT, &counts.row("2026-11-25", "abc")).expect("a table");
        assert!(once.ends_with(
            "| 2026-11-25 | abc | 0..500 | 1 | 20 | 19 |\n\nIn all 500 seeds, 1 failures, 20 silent.\n\nbehind\n"
        ));
        let (_, old) = rows(&once).expect("a table");
        assert_eq!(next_seed(&old), 500);
        let more = Counts { seeds: 10, first: 500, failed: 0, silent: 2, rebound: 2 };
        let twice = add_row(&once, &more.row("2026-11-26", "def")).expect("a table");
        assert!(twice.contains("In all 510 seeds, 1 failures, 22 silent.\n\nbehind"));
        assert_eq!(twice.matches("In all").count(), 1);
        assert_eq!(add_row("# nothing\n", "| x |"), None);
    }

    #[test]
    fn days_become_dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(20_782), (2026, 11, 25));
    }

    #[test]
    fn the_number_of_seeds_must_be_told() {
        assert_eq!(seeds(&["--seeds".to_owned(), "7".to_owned()]), Ok(7));
        assert!(seeds(&[]).is_err() && seeds(&["--seeds".to_owned(), "x".to_owned()]).is_err());
    }
}

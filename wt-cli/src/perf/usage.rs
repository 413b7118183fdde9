//! Processor time and memory of this process from proc(5). On systems other than Linux this is an error.

use std::{fs, ops::Sub};

use super::terms::failed;
use crate::exit::Ended;

/// What a process has used so far; times are in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    pub(super) user: f64,
    pub(super) system: f64,
    /// Resident memory now, in KiB. A difference keeps the later value.
    pub(super) resident: u64,
}

impl Usage {
    /// The usage so far, of all threads.
    pub(super) fn now() -> Result<Self, Ended> {
        let stat = fs::read_to_string("/proc/self/stat").map_err(|error| failed("/proc/self/stat", error))?;
        let memory =
            fs::read_to_string("/proc/self/statm").map_err(|error| failed("/proc/self/statm", error))?;
        Self::parse(&stat, &memory).ok_or_else(|| failed("/proc/self/stat", "not as proc(5) says"))
    }

    fn parse(stat: &str, memory: &str) -> Option<Self> {
        // The name in parentheses may hold spaces; times are fields 14 and 15, in ticks of 10 ms (proc(5)).
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let mut ticks = || fields.next()?.parse::<f64>().ok();
        let (user, system) = (ticks()? / 100.0, ticks()? / 100.0);
        let pages: u64 = memory.split_whitespace().nth(1)?.parse().ok()?;
        Some(Self { user, system, resident: pages * 4 })
    }

    pub(super) fn processor(&self) -> f64 {
        self.user + self.system
    }

    /// A line that another process of ours can read.
    pub(super) fn to_line(self) -> String {
        format!("{} {} {}", self.user, self.system, self.resident)
    }

    pub(super) fn from_line(line: &str) -> Option<Self> {
        let mut fields = line.split_whitespace();
        Some(Self {
            user: fields.next()?.parse().ok()?,
            system: fields.next()?.parse().ok()?,
            resident: fields.next()?.parse().ok()?,
        })
    }
}

impl Sub for Usage {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self { user: self.user - before.user, system: self.system - before.system, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_proc_are_found_behind_a_name_with_spaces() {
        let stat = "12 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0 20 0";
        let usage = Usage::parse(stat, "900 321 5").expect("fields");
        assert_eq!(usage, Usage { user: 1.5, system: 0.25, resident: 1284 });
        assert_eq!(Usage::from_line(&usage.to_line()), Some(usage));
        assert_eq!(Usage::parse("12 (x) S", "1 2"), None);
    }
}

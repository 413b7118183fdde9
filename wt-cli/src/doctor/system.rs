//! The socket buffer limits of the operating system. Only Linux shows them; on other systems there is no
//! step.

use super::step::Step;

const NAME: &str = "UDP buffers";
/// The socket buffer that this library asks for, in each direction, in bytes. At 1 Gbit/s it holds what
/// arrives in 17 ms, which is longer than a busy machine usually makes a process wait. With less, the machine
/// drops datagrams that the network has delivered.
const WANTED: u64 = 2 << 20;

/// The limits of receive and send buffers, in bytes. `None` on systems without readable limits.
pub(super) fn limits() -> Option<(u64, u64)> {
    #[cfg(target_os = "linux")]
    {
        let read = |name: &str| {
            let text = std::fs::read_to_string(format!("/proc/sys/net/core/{name}")).ok()?;
            text.trim().parse().ok()
        };
        Some((read("rmem_max")?, read("wmem_max")?))
    }
    #[cfg(not(target_os = "linux"))]
    {
        None
    }
}

pub(super) fn judge((receive, send): (u64, u64)) -> Step {
    let fact = format!("net.core.rmem_max {receive}, wmem_max {send} bytes");
    let low: Vec<&str> = [("rmem_max", receive), ("wmem_max", send)]
        .iter()
        .filter(|(_, of)| *of < WANTED)
        .map(|(name, _)| *name)
        .collect();
    if low.is_empty() {
        return Step::ok(NAME, fact);
    }
    let settings: Vec<String> = low.iter().map(|name| format!("net.core.{name}={WANTED}")).collect();
    let remedy = format!(
        "on this machine and the server's: sysctl -w {}; less loses datagrams in bursts",
        settings.join(" ")
    );
    Step::warning(NAME, fact, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Verdict;

    #[test]
    fn only_what_is_too_low_is_to_be_raised() {
        assert_eq!(judge((WANTED, WANTED)).verdict, Verdict::Ok);
        let step = judge((WANTED, 212_992));
        assert_eq!(step.verdict, Verdict::Warning);
        let remedy = step.remedy.unwrap();
        assert!(remedy.contains("net.core.wmem_max=2097152") && !remedy.contains("rmem_max"), "{remedy}");
        assert!(
            judge((WANTED - 1, 1)).remedy.unwrap().contains("net.core.rmem_max=2097152 net.core.wmem_max")
        );
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_limits_are_read() {
        let (receive, send) = limits().expect("Linux has them");
        assert!(receive > 2_048 && send > 2_048);
    }
}

//! Memory of this process, where the system tells.

/// The most that it has had, in bytes.
pub(crate) fn peak() -> Option<u64> {
    status("VmHWM:")
}

/// What it has, in bytes: mapped files count as far as they have been touched.
pub(crate) fn resident() -> Option<u64> {
    status("VmRSS:")
}

fn status(field: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn linux_tells_both() {
        let (peak, resident) = (peak().unwrap(), resident().unwrap());
        assert!(resident > 100_000 && peak >= resident / 2, "{peak} {resident}");
    }
}

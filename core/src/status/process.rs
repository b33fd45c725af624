//! What the kernel knows of a process.

/// A process's command line. None where there is no such process, or it is not ours to know.
pub(super) fn command(number: u32) -> Option<String> {
    let text = std::fs::read(format!("/proc/{number}/cmdline")).ok()?;
    let words: Vec<_> = text.split(|&byte| byte == 0).map(String::from_utf8_lossy).collect();
    let line = words.join(" ").trim_end().to_owned();
    (!line.is_empty()).then_some(line)
}

/// Bytes of memory that this process takes.
pub(super) fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_a_command_line_and_memory_and_one_that_is_gone_has_none() {
        assert!(command(std::process::id()).is_some_and(|line| line.contains("warrenmq")));
        assert_eq!(command(u32::MAX), None);
        assert!(resident().is_some_and(|bytes| bytes > 1 << 20));
    }
}

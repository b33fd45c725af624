//! Process numbers, which say something within their PID namespace only: a container has its own.

/// This process's; none where the kernel does not tell.
pub(crate) fn own() -> Option<String> {
    let link = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(link.to_string_lossy().into_owned())
}

/// Whether numbers of processes there are those of other processes here. Not if it is not known.
pub(crate) fn is_another(namespace: Option<&str>) -> bool {
    namespace.is_some_and(|namespace| own().is_some_and(|own| own != namespace))
}

/// A process, as people are told of it.
pub(crate) fn process(number: u32, namespace: Option<&str>) -> String {
    match is_another(namespace) {
        true => format!("process {number} of another PID namespace (a container, say)"),
        false => format!("process {number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_another_namespace_is_said_to_be_one() {
        let own = own();
        assert!(own.is_some());
        assert_eq!([None, own.as_deref()].map(|own| process(1, own)), ["process 1", "process 1"]);
        assert!(process(1, Some("pid:[1]")).starts_with("process 1 of another PID namespace"));
    }
}

//! Writes `core/src/wire/generated.rs` from the AMQP 0-9-1 spec with RabbitMQ's extensions:
//! `cargo run -p warrenmq-codegen`.

mod rust;
mod spec;

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

fn main() -> Result<(), Box<dyn Error>> {
    Ok(std::fs::write(wire().join("generated.rs"), generate()?)?)
}

fn wire() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../src/wire")
}

fn generate() -> Result<String, Box<dyn Error>> {
    let spec = std::fs::read_to_string(wire().join("spec/amqp-rabbitmq-0.9.1.json"))?;
    rustfmt(&rust::write(&serde_json::from_str(&spec)?))
}

fn rustfmt(source: &str) -> Result<String, Box<dyn Error>> {
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024"])
        .current_dir(wire())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().ok_or("rustfmt has no stdin")?;
    input.write_all(source.as_bytes())?;
    drop(input);
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err("rustfmt refused the generated source".into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checked_in_code_is_what_the_spec_generates() {
        let checked_in = std::fs::read_to_string(wire().join("generated.rs")).unwrap();
        assert!(checked_in == generate().unwrap(), "out of date; run `cargo run -p warrenmq-codegen`");
    }
}

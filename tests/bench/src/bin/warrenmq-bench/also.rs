//! Measures that other programs take, such as those inside a Python or Node process.

use std::io;
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::table::Results;

/// What such a program prints, one JSON object a line.
#[derive(Deserialize)]
struct Line {
    measure: String,
    value: f64,
    unit: String,
    /// Whose value it is.
    #[serde(default = "warrenmq")]
    broker: String,
}

fn warrenmq() -> String {
    "WarrenMQ".into()
}

/// Runs a shell command and takes the values it prints; its other lines go to our standard error.
pub(crate) fn run(command: &str, only: &str, results: &mut Results) {
    eprintln!("  {command}");
    let output =
        Command::new("sh").args(["-c", command]).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = match output {
        Ok(output) => output,
        Err(error) => return results.fail(command, "sh", &error),
    };
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        match serde_json::from_str::<Line>(line) {
            Ok(line) if line.measure.contains(only) => {
                results.name_unit(&line.measure, &line.unit);
                results.add(&line.measure, &line.broker, line.value);
            }
            Ok(_) => {}
            Err(_) => eprintln!("    {line}"),
        }
    }
    if !output.status.success() {
        results.fail(command, "sh", &io::Error::other(output.status.to_string()));
    }
}

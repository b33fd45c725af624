//! `warrenmq-bench`: WarrenMQ beside RabbitMQ, measured in turns in one run, against its goals.
//!
//! Each round starts both brokers afresh and alternates between them, measure by measure, because
//! the same machine differs from hour to hour by more than brokers differ from release to release.
//! Load and brokers share the machine's cores. A measure that fails is reported and the run goes on.

mod also;
mod contender;
mod durable;
mod goals;
mod round;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use contender::Contender;
use table::Results;

/// Measures WarrenMQ, and RabbitMQ where it is installed, and prints a table with ratios and goals.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// WarrenMQ's command [default: warrenmq beside this program]
    #[arg(long, env = "WARRENMQ")]
    warrenmq: Option<PathBuf>,
    /// RabbitMQ's server script, not the wrapper that switches users
    #[arg(long, env = "RABBITMQ_SERVER", default_value = "/usr/lib/rabbitmq/bin/rabbitmq-server")]
    rabbitmq: PathBuf,
    /// Leave RabbitMQ out even where it is installed
    #[arg(long)]
    without_rabbitmq: bool,
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Length of a window of throughput, after one second of warm-up
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Take only the measures whose name contains this
    #[arg(long, default_value = "")]
    only: String,
    /// Where the brokers keep their data: on the disk that is meant [default: the system's temporary directory]
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Durable messages that wait while a broker's memory and its restart are measured
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    waiting: u32,
    /// Durable messages that are drained
    #[arg(long, default_value_t = 5_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    drained: u32,
    /// RabbitMQ gets so many times fewer of both, as it would take hours
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    fewer: u32,
    /// A shell command that prints lines {"measure": …, "value": …, "unit": …}, run once a round; repeatable
    #[arg(long, value_name = "COMMAND")]
    also: Vec<String>,
    /// Print the table's rows as one line of JSON instead
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(failures) => {
            eprintln!("warrenmq-bench: {failures} measurements failed");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("warrenmq-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns how many measurements failed. A goal that was missed is a result, no failure.
fn run(cli: &Cli) -> std::io::Result<usize> {
    let beside = std::env::current_exe()?.with_file_name("warrenmq");
    let directory = cli.directory.clone().unwrap_or_else(std::env::temp_dir);
    let warrenmq = Contender::warrenmq(cli.warrenmq.clone().unwrap_or(beside), &directory)?;
    let rabbitmq = match cli.rabbitmq.exists() && !cli.without_rabbitmq {
        true => Some(Contender::rabbitmq(cli.rabbitmq.clone(), &directory)?),
        false => None,
    };
    let contenders: Vec<&Contender> = rabbitmq.iter().chain([&warrenmq]).collect();
    let mut results = Results::default();
    for number in 1..=cli.rounds {
        eprintln!("round {number} of {}", cli.rounds);
        round::run(&contenders, &cli.only, cli.seconds, &mut results);
        let sizes = durable::Sizes {
            waiting: cli.waiting,
            drained: cli.drained,
            fewer: cli.fewer,
            seconds: cli.seconds,
        };
        durable::run(&contenders, &cli.only, sizes, &mut results);
        for command in &cli.also {
            also::run(command, &cli.only, &mut results);
        }
    }
    let rows = results.rows();
    match cli.json {
        true => println!("{}", serde_json::to_string(&rows)?),
        false => {
            print!("{}", table::render(&rows, rabbitmq.is_some(), &results.failures));
            println!(
                "Durable backlogs: {} messages drained, {} waiting; with RabbitMQ {} times fewer.",
                cli.drained, cli.waiting, cli.fewer
            );
        }
    }
    Ok(results.failures.len())
}

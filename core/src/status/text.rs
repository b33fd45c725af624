//! Tables for people.

use std::fmt::{self, Display, Formatter, Write};

use super::report::HostReport;
use super::{Queue, Rates, Status};
use crate::clock::Clock;
use crate::namespace;

/// Characters of a command line that are shown.
const COMMAND: usize = 60;

impl Display for Status {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let now = Clock::System.now_ms();
        match &self.host {
            Some(host) => {
                let (version, lasting) = (&host.version, Lasting(now.saturating_sub(host.since)));
                let process = namespace::process(host.process, host.namespace.as_deref());
                writeln!(f, "{} is hosted by {process} for {lasting}", self.directory)?;
                if let Some(command) = &host.command {
                    writeln!(f, "  command    {command}")?;
                }
                writeln!(f, "  version    WarrenMQ {version}")?;
                if !host.listening.is_empty() {
                    writeln!(f, "  listening  {}", host.listening.join(" "))?;
                }
                writeln!(f, "  memory     {}", memory(host))?;
            }
            None => writeln!(f, "{} is hosted by nobody", self.directory)?,
        }
        writeln!(f, "  disk       {} here, {} free", Bytes(self.disk.used), Bytes(self.disk.free))?;
        if let Some(Rates { published, delivered, acknowledged }) = self.rates {
            writeln!(
                f,
                "  messages   {published:.0}/s published, {delivered:.0}/s delivered, {acknowledged:.0}/s acknowledged"
            )?;
        }
        if self.host.is_some() {
            writeln!(f)?;
            match self.attached.is_empty() {
                true => writeln!(f, "nobody is connected")?,
                false => self.connections(now).fmt(f)?,
            }
        }
        writeln!(f)?;
        if self.queues.is_empty() {
            return writeln!(f, "no queues");
        }
        self.queues().fmt(f)
    }
}

fn memory(host: &HostReport) -> String {
    let messages = Bytes(host.memory.messages);
    match host.memory.resident {
        Some(resident) => format!("{}, of which messages {messages}", Bytes(resident)),
        None => format!("messages {messages}"),
    }
}

impl Status {
    fn connections(&self, now: u64) -> Table {
        let mut table = Table::new(["PROCESS", "NAME", "CHANNELS", "CONSUMERS", "FOR", "COMMAND"], 2..4);
        for one in &self.attached {
            let own = self.host.as_ref().is_some_and(|host| one.process == Some(host.process));
            let from = match (one.process, &one.address) {
                (Some(process), _) if own => format!("{process} (host)"),
                (Some(process), _) => process.to_string(),
                (None, Some(address)) => address.clone(),
                (None, None) => "elsewhere".into(), // a container, say
            };
            let command = one.command.as_ref().or(one.library.as_ref());
            table.add([
                from,
                one.name.clone().unwrap_or_default(),
                one.channels.to_string(),
                one.consumers.to_string(),
                Lasting(now.saturating_sub(one.since)).to_string(),
                command.map(|command| cut(command)).unwrap_or_default(),
            ]);
        }
        table
    }

    fn queues(&self) -> Table {
        let all = [
            "VHOST",
            "QUEUE",
            "TYPE",
            "READY",
            "UNACKED",
            "CONSUMERS",
            "PUBLISHED/S",
            "DELIVERED/S",
            "ACKED/S",
        ];
        let columns = match (&self.host, &self.rates) {
            (None, _) => 4,
            (Some(_), None) => 6,
            (Some(_), Some(_)) => all.len(),
        };
        let mut table = Table::new(all, 3..all.len());
        for Queue { report, rates } in &self.queues {
            let rate = |of: fn(&Rates) -> f64| {
                rates.as_ref().map_or("-".into(), |rates| format!("{:.0}", of(rates)))
            };
            table.add([
                report.vhost.clone(),
                report.name.clone(),
                report.r#type.clone(),
                report.ready.to_string(),
                report.unacked.to_string(),
                report.consumers.to_string(),
                rate(|rates| rates.published),
                rate(|rates| rates.delivered),
                rate(|rates| rates.acknowledged),
            ]);
        }
        table.only(columns)
    }
}

/// The beginning of a long command line.
fn cut(command: &str) -> String {
    match command.char_indices().nth(COMMAND) {
        Some((end, _)) => format!("{}…", &command[..end]),
        None => command.into(),
    }
}

/// Columns as wide as what is in them. Numbers stand at the right.
struct Table {
    rows: Vec<Vec<String>>,
    numbers: std::ops::Range<usize>,
}

impl Table {
    fn new<const N: usize>(heads: [&str; N], numbers: std::ops::Range<usize>) -> Self {
        Table { rows: vec![heads.map(str::to_owned).into()], numbers }
    }

    fn add<const N: usize>(&mut self, row: [String; N]) {
        self.rows.push(row.into());
    }

    fn only(mut self, columns: usize) -> Self {
        self.rows.iter_mut().for_each(|row| row.truncate(columns));
        self
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let width =
            |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.rows[0].len()).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (column, (text, &width)) in row.iter().zip(&widths).enumerate() {
                match self.numbers.contains(&column) {
                    true => write!(line, "{text:>width$}  ")?,
                    false => write!(line, "{text:<width$}  ")?,
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Bytes, as people say them.
struct Bytes(u64);

impl Display for Bytes {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut value = self.0 as f64;
        for unit in ["bytes", "KB", "MB", "GB"] {
            if value < 1000.0 {
                let digits = usize::from(unit != "bytes" && value < 100.0);
                return write!(f, "{value:.digits$} {unit}");
            }
            value /= 1000.0;
        }
        write!(f, "{value:.1} TB")
    }
}

/// Milliseconds, as people say them: the two largest units.
struct Lasting(u64);

impl Display for Lasting {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 1000;
        let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
        match () {
            () if minutes == 0 => write!(f, "{seconds} s"),
            () if hours == 0 => write!(f, "{minutes} min {} s", seconds % 60),
            () if days == 0 => write!(f, "{hours} h {} min", minutes % 60),
            () => write!(f, "{days} d {} h", hours % 24),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_said_as_people_say_them() {
        let sizes = [0, 999, 1_500, 123_456_789, 7_000_000_000_000];
        assert_eq!(
            sizes.map(|size| Bytes(size).to_string()),
            ["0 bytes", "999 bytes", "1.5 KB", "123 MB", "7.0 TB"]
        );
        let times = [900, 61_000, 3_700_000, 90_000_000];
        assert_eq!(times.map(|time| Lasting(time).to_string()), ["0 s", "1 min 1 s", "1 h 1 min", "1 d 1 h"]);
    }

    #[test]
    fn columns_are_aligned_and_numbers_stand_at_the_right() {
        let mut table = Table::new(["A", "NUMBER"], 1..2);
        table.add(["longer".into(), "7".into()]);
        assert_eq!(table.to_string(), "A       NUMBER\nlonger       7\n");
    }
}

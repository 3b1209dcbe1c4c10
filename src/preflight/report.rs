//! What a preflight found, as a table for people and as JSON for programs. Pure.

use std::fmt::Write;

use serde::Serialize;
use serde_json::Value;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Status {
    /// It will do.
    Pass,
    /// It could not be looked at, or nobody asked for it.
    Skip,
    /// It will do, but not by much, or something is unusual.
    Warn,
    /// It will not do.
    Fail,
}

impl Status {
    const fn word(self) -> &'static str {
        match self {
            Self::Pass => "ok",
            Self::Skip => "-",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        }
    }
}

/// One check.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Fixed name, for programs: `fileDescriptors`, `udpPorts`, `stun:…`
    pub id: String,
    /// Name for people.
    pub name: String,
    /// How it came out.
    pub status: Status,
    /// What was found, in one line.
    pub finding: String,
    /// What to do; `null` where there is nothing to do.
    pub advice: Option<String>,
    /// The figures behind it, by name with their unit.
    pub facts: Value,
}

impl Check {
    /// A check without advice.
    pub(super) fn new(
        id: impl Into<String>,
        name: impl Into<String>,
        status: Status,
        finding: impl Into<String>,
        facts: Value,
    ) -> Self {
        Self { id: id.into(), name: name.into(), status, finding: finding.into(), advice: None, facts }
    }

    /// Says what to do, unless the check passed.
    pub(super) fn advise(mut self, advice: impl Into<String>) -> Self {
        if matches!(self.status, Status::Warn | Status::Fail) {
            self.advice = Some(advice.into());
        }
        self
    }
}

/// Whether this machine, and the servers it is to use, will carry a test.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// How many softphones were asked about.
    pub softphones: u32,
    /// Over how many seconds they are to start.
    pub ramp_seconds: f64,
    /// No check failed.
    pub ok: bool,
    /// All checks, in the order of the table.
    pub checks: Vec<Check>,
}

impl Report {
    pub(super) fn new(softphones: u32, ramp_seconds: f64, checks: Vec<Check>) -> Self {
        let ok = checks.iter().all(|check| check.status != Status::Fail);
        Self { softphones, ramp_seconds, ok, checks }
    }

    /// The report as a table, each line ending with a line break.
    pub fn table(&self) -> String {
        let width = self.checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
        let mut table = format!(
            "{} softphones, started within {} s\n\n",
            self.softphones,
            (self.ramp_seconds * 10.0).round() / 10.0
        );
        for check in &self.checks {
            line(&mut table, &format!("  {:4}  {:width$}  {}", check.status.word(), check.name, check.finding));
            if let Some(advice) = &check.advice {
                line(&mut table, &format!("        {:width$}  -> {advice}", ""));
            }
        }
        let count = |status| self.checks.iter().filter(|check| check.status == status).count();
        let verdict = match (count(Status::Fail), count(Status::Warn)) {
            (0, 0) => "this machine can hold the test".to_owned(),
            (0, warnings) => format!("this machine can hold the test; {warnings} warning(s)"),
            (failures, _) => format!("{failures} check(s) failed: the test will not run as planned"),
        };
        line(&mut table, &format!("\n  {verdict}"));
        table
    }

    /// What a command line prints, as a table or as JSON, and its exit status: 0, or 1 when a check failed.
    pub fn printed(&self, as_json: bool) -> (u8, String) {
        let text = if as_json { format!("{:#}\n", serde_json::json!(self)) } else { self.table() };
        (u8::from(!self.ok), text)
    }

    /// The first failed check in one sentence; `None` when none failed.
    pub fn first_failure(&self) -> Option<String> {
        let failed = self.checks.iter().find(|check| check.status == Status::Fail)?;
        Some(format!("{}: {}", failed.name, failed.finding))
    }
}

fn line(table: &mut String, text: &str) {
    let _ = writeln!(table, "{}", text.trim_end());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(statuses: &[Status]) -> Report {
        let check = |(n, status): (usize, &Status)| {
            Check::new(format!("c{n}"), format!("check {n}"), *status, "found", json!({})).advise("do that")
        };
        Report::new(200, 8.0, statuses.iter().enumerate().map(check).collect())
    }

    #[test]
    fn one_failure_fails_the_report_and_a_warning_does_not() {
        assert!(report(&[Status::Pass, Status::Warn, Status::Skip]).ok);
        assert!(!report(&[Status::Pass, Status::Fail]).ok);
        assert_eq!(report(&[Status::Pass, Status::Fail]).first_failure().as_deref(), Some("check 1: found"));
    }

    #[test]
    fn the_table_has_a_line_for_each_check_and_advice_where_it_is_needed() {
        let table = report(&[Status::Pass, Status::Fail]).table();
        assert!(table.contains("  ok    check 0  found\n  FAIL  check 1  found\n"), "{table}");
        assert_eq!(table.matches("-> do that").count(), 1, "{table}");
        assert!(table.ends_with("1 check(s) failed: the test will not run as planned\n"), "{table}");
    }
}

//! What was measured, as a table and as JSON.

use super::Part;
use super::study::Study;
use crate::journal::DeliveryReport;
use crate::ledger::quantile;
use serde::Serialize;
use std::fmt;
use std::fs;
use std::thread::available_parallelism;

/// Bytes of a megabyte, as MB/s is written.
pub(super) const MEGABYTE: f64 = 1e6;

/// All rounds of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Of this program.
    pub version: &'static str,
    /// What was measured.
    pub part: Part,
    /// AE title; none where nothing was sent.
    pub destination: Option<String>,
    /// What was sent or packed.
    pub study: String,
    /// Images of a round.
    pub images: usize,
    /// Bytes of a round, about.
    pub bytes: u64,
    /// How often.
    pub rounds: u32,
    /// Processor of this machine.
    pub machine: Machine,
    /// In the order of the data.
    pub measures: Vec<Measure>,
    /// What to know beside.
    pub remarks: Vec<String>,
}

/// Where it ran.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Model, as the kernel names it.
    pub processor: String,
    /// Threads at once.
    pub threads: usize,
    /// Processes that wanted to run in the last minute, before the first round: with others at work figures are lower.
    pub load: String,
}

/// One figure over all rounds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measure {
    /// What.
    pub name: &'static str,
    /// Of its values.
    pub unit: &'static str,
    /// More is better; of times and sizes less is.
    pub is_rate: bool,
    /// Of each round; of answers, of each image.
    pub values: Vec<f64>,
    /// Half of all are at least as good.
    pub p50: f64,
    /// 95 in a hundred are at least as good.
    pub p95: f64,
}

/// Values as they come.
#[derive(Default)]
pub(super) struct Collected(Vec<(&'static str, &'static str, bool, Vec<f64>)>);

impl Collected {
    /// Of which less is better.
    pub(super) fn cost(&mut self, name: &'static str, unit: &'static str, value: f64) {
        self.push(name, unit, false, value);
    }

    /// Of which more is better.
    pub(super) fn rate(&mut self, name: &'static str, unit: &'static str, value: f64) {
        self.push(name, unit, true, value);
    }

    fn push(&mut self, name: &'static str, unit: &'static str, is_rate: bool, value: f64) {
        match self.0.iter_mut().find(|(known, of, ..)| (*known, *of) == (name, unit)) {
            Some((.., values)) => values.push(value),
            None => self.0.push((name, unit, is_rate, vec![value])),
        }
    }

    pub(super) fn measures(self) -> Vec<Measure> {
        self.0
            .into_iter()
            .filter_map(|(name, unit, is_rate, values)| Measure::of(name, unit, is_rate, values))
            .collect()
    }
}

impl Measure {
    /// None of no values.
    pub(super) fn of(
        name: &'static str,
        unit: &'static str,
        is_rate: bool,
        values: Vec<f64>,
    ) -> Option<Self> {
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        if is_rate {
            sorted.reverse();
        }
        let (p50, p95) = (quantile(&sorted, 50)?, quantile(&sorted, 95)?);
        Some(Self { name, unit, is_rate, values, p50, p95 })
    }
}

impl Report {
    pub(super) fn begin(part: Part, study: &Study, rounds: u32) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            part,
            destination: None,
            study: study.words(),
            images: study.images(),
            bytes: study.bytes(),
            rounds,
            machine: Machine::this(),
            measures: Vec::new(),
            remarks: Vec::new(),
        }
    }

    /// Once, however often it is said.
    pub(super) fn remark(&mut self, words: &str) {
        if !self.remarks.iter().any(|said| said == words) {
            self.remarks.push(words.to_owned());
        }
    }

    pub(super) fn remark_on(&mut self, delivery: &DeliveryReport) {
        let is_proved =
            delivery.completeness.as_ref().is_some_and(|completeness| completeness["is"] == "proved");
        if !is_proved {
            self.remark("assemble is [dicom] silence_ms: no PACS could be asked whether the study is whole");
        }
        if delivery.click_to_pulled.is_none() {
            self.remark(
                "nobody has pulled what arrived (operator: let a reader empty the mailbox of tests, docs/bench.md; withdraw these studies at the page, or it rings)",
            );
        }
    }
}

impl Machine {
    fn this() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Self {
            processor: model.map_or("unknown", |(_, model)| model).to_owned(),
            threads: available_parallelism().map_or(1, usize::from),
            load: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { processor, threads, load } = &self.machine;
        #[expect(clippy::cast_precision_loss, reason = "sizes far below 2^52")]
        let megabytes = self.bytes as f64 / MEGABYTE;
        writeln!(out, "{}, {megabytes:.1} MB, {} rounds", self.study, self.rounds)?;
        if let Some(destination) = &self.destination {
            writeln!(out, "sent to {destination}, which is for tests")?;
        }
        writeln!(out, "scanpost-gateway {} on {processor}, {threads} threads, load {load}\n", self.version)?;
        writeln!(out, "{:<26}{:<10}{:>10}{:>10}{:>10}", "", "", "p50", "p95", "values")?;
        for Measure { name, unit, p50, p95, values, .. } in &self.measures {
            writeln!(out, "{name:<26}{unit:<10}{p50:>10.2}{p95:>10.2}{:>10}", values.len())?;
        }
        self.remarks.iter().try_for_each(|remark| writeln!(out, "\n{remark}"))
    }
}

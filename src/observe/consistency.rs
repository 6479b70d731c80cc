//! Skew: the features in traces, compared with those that the stored events give as of each decision.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use pgrx::pg_sys::TIMESTAMPTZOID;
use uuid::Uuid;

use super::features;
use super::stored::Stored;
use crate::error::Error;
use crate::govern::switches::Switches;
use crate::pg::plan::Cursor;
use crate::pg::record::{Timestamp, of_row, select_row};
use crate::pg::{Plan, Session, datum, session};
use crate::policy::{self, Bundle, FeatureMask, UserRow};

const TRACES: &str = include_str!("traces.sql");

/// Traces that are in memory at a time.
const BATCH: i64 = 200;

/// Two numbers whose relative difference is smaller differ by the order of addition alone.
const ROUNDING: f64 = 1e-9;

/// How far the traces agree with the events about one feature.
#[derive(Default)]
pub struct Agreement {
    pub decisions: i64,
    pub mismatch: i64,
    pub missing: i64,
    pub extra: i64,
    pub largest_difference: f64,
}

/// By feature, and how many users were left out, since not all of their events are kept.
#[derive(Default)]
pub struct Report {
    pub features: BTreeMap<String, Agreement>,
    pub users_left_out: usize,
}

select_row! {
    /// The features that a decision has used, as its trace says.
    struct TracedFeatures {
        user_key: Uuid,
        bundle: i64,
        seen: i64,
        surface: String,
        features_at: Timestamp,
        features: Vec<f64>,
        missing: Vec<i16>,
        affinities: Vec<f64>,
        switches: Option<i64>,
        denied: Vec<i32>,
        region: Option<String>,
    }
}

/// A user's row, computed again event by event under one bundle.
struct RecomputedRow {
    user_key: Uuid,
    bundle: Rc<Bundle>,
    events: Stored,
    row: UserRow,
    /// Some of its events are not there.
    incomplete: bool,
}

impl RecomputedRow {
    /// Adds events up to the one with that ordinal; false if one is not there.
    fn add_up_to(&mut self, ordinal: i64) -> bool {
        if self.incomplete || self.row.events >= ordinal {
            return !self.incomplete;
        }
        let (row, bundle) = (&mut self.row, &self.bundle);
        let mut complete = true;
        self.events.read(ordinal - row.events, |fact, kind, next| {
            complete &= next == row.events + 1;
            features::fold(fact, kind, row, bundle);
            row.events = next;
        });
        self.incomplete = !complete || self.row.events != ordinal;
        !self.incomplete
    }
}

/// Compares the decisions that were made here from `from` on and before `to`. Reads only.
pub fn compare(from: i64, to: i64) -> Result<Report, Error> {
    let _session = Session::open();
    let plan = Plan::prepare(TRACES, &[TIMESTAMPTZOID, TIMESTAMPTZOID]);
    let mut cursor = Cursor::open(plan, &[datum::timestamp(from), datum::timestamp(to)]);
    let mut bundles: HashMap<i64, Rc<Bundle>> = HashMap::new();
    let mut left_out: HashSet<Uuid> = HashSet::new();
    let mut report = Report::default();
    let mut recomputed: Option<RecomputedRow> = None;
    let mut switches = Switches::default();
    loop {
        session::check_interrupts();
        // What a batch has allocated goes with it.
        let _batch = Session::open();
        let mut batch = Vec::new();
        cursor.fetch(BATCH, |row| batch.push(of_row::<TracedFeatures>(&row)));
        if batch.is_empty() {
            report.users_left_out = left_out.len();
            return Ok(report);
        }
        for trace in &batch {
            let same = |of: &RecomputedRow| {
                of.user_key == trace.user_key && of.bundle.number == trace.bundle
            };
            if !recomputed.as_ref().is_some_and(same) {
                let bundle = match bundles.get(&trace.bundle) {
                    Some(bundle) => bundle.clone(),
                    None => policy::by_number(trace.bundle)?,
                };
                bundles.insert(trace.bundle, bundle.clone());
                recomputed = Some(RecomputedRow {
                    user_key: trace.user_key,
                    bundle,
                    events: Stored::once_of(trace.user_key, not_before),
                    row: UserRow::default(),
                    incomplete: false,
                });
            }
            let recomputed = recomputed.as_mut().expect("made just now");
            if recomputed.add_up_to(trace.seen) {
                switches.turn_to(trace.switches, trace.features_at.0);
                compare_one(trace, recomputed, &switches, &mut report.features);
            } else {
                left_out.insert(trace.user_key);
            }
        }
    }
}

/// When the person was erased last, by their row.
fn not_before(user_key: Uuid) -> Option<i64> {
    let mut row = UserRow::default();
    row.read(user_key);
    row.not_before
}

/// Compares the features of one decision.
fn compare_one(
    trace: &TracedFeatures,
    recomputed: &RecomputedRow,
    switches: &Switches,
    report: &mut BTreeMap<String, Agreement>,
) {
    let (bundle, row, now) = (&recomputed.bundle, &recomputed.row, trace.features_at.0);
    if trace.features.len() != bundle.vector.len() {
        return;
    }
    let mask = FeatureMask::of(&bundle.features, switches);
    let denied = trace
        .denied
        .iter()
        .fold(0, |bits, purpose| bits | 1u64 << purpose);
    let region = bundle.regions.traced(trace.region.as_deref());
    let is_hidden = |feature: usize| {
        mask.hides(feature)
            || bundle.features[feature].needs & denied != 0
            || region.is_some_and(|region| region.hidden.contains(&feature))
    };
    for (index, (reading, value)) in bundle.vector_of(&row.features, now).enumerate() {
        let name = &bundle.features[reading.feature].name;
        // A hidden feature is missing on purpose.
        if is_hidden(reading.feature) {
            continue;
        }
        let was_there = !trace.missing.contains(&(index as i16 + 1));
        let traced = was_there.then_some(trace.features[index]);
        let agreement = report.entry(name.clone()).or_default();
        agreement.decisions += 1;
        agreement.note(traced, value);
    }
    let Some(surface) = bundle.surfaces.get(&trace.surface) else {
        return;
    };
    let mut traced: HashMap<usize, f64> = trace
        .affinities
        .chunks_exact(2)
        .map(|pair| (pair[0] as usize, pair[1]))
        .collect();
    for affinity in &surface.affinities.kept {
        let name = &bundle.features[affinity.feature].name;
        if is_hidden(affinity.feature) {
            continue;
        }
        let agreement = report.entry(name.clone()).or_default();
        agreement.decisions += 1;
        for (offset, value) in bundle.affinity_of(affinity, &row.keyed, now) {
            agreement.note(traced.remove(&offset), Some(value));
        }
        for offset in affinity.offsets() {
            agreement.note(traced.remove(&offset), None);
        }
    }
}

impl Agreement {
    /// Counts a number that the trace has, and that the events give.
    fn note(&mut self, traced: Option<f64>, recomputed: Option<f64>) {
        match (traced, recomputed) {
            (None, None) => {}
            (None, Some(_)) => self.missing += 1,
            (Some(_), None) => self.extra += 1,
            (Some(a), Some(b)) => {
                let difference = (a - b).abs();
                self.largest_difference = self.largest_difference.max(difference);
                if difference > ROUNDING * a.abs().max(b.abs()) {
                    self.mismatch += 1;
                }
            }
        }
    }
}

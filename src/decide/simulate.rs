//! What a bundle would decide on requests of the past: users as they are now, in the contexts that traces keep. Nothing is
//! written. Of two bundles, what the one would decide otherwise than the other, by cohort.

use std::collections::BTreeMap;
use std::rc::Rc;

use pgrx::pg_sys::{INT4OID, TEXTOID, TIMESTAMPTZOID};
use serde_json::{Map, Value as Content};
use uuid::Uuid;

use super::buffers::{self, Buffers};
use super::decision::Decision;
use super::request::{Request, Visit};
use super::shared::Shared;
use super::stage::Stopwatch;
use crate::error::{Error, printable};
use crate::math::hash::mix;
use crate::math::model::Value;
use crate::pg::json::Document;
use crate::pg::record::{Select, select_row};
use crate::pg::{Session, clock, datum, session};
use crate::policy::{self, Bundle, DecisionInputs, kept_value};

/// Most requests of a call.
const MOST: i32 = 100_000;

/// The cohort by which decisions are told apart where nothing else is asked for.
const BY_REGION: &str = "region";

select_row! {
    /// A request of the past, as its trace keeps it.
    pub struct Past {
        decision_id: Uuid,
        user_key: Uuid,
        surface: String,
        actions: Vec<i32>,
        context_fields: Vec<Option<String>>,
        context_values: Vec<Option<String>>,
        region: Option<String>,
    }
}

thread_local! {
    // Identifiers are in order of time.
    static PAST: Select<Past> = const { Select::new(
        "FROM decide.kept_trace AS t \
          WHERE t.origin IS NULL AND ($1 IS NULL OR t.surface = $1) AND t.decided_at >= $2 AND t.decided_at < $3 \
          ORDER BY t.decision_id DESC LIMIT $4",
        &[TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID]) };
}

/// Which requests: the newest so many of a surface, or of all, in a time.
pub struct Sample<'a> {
    pub surface: Option<&'a str>,
    /// Microseconds since 2000.
    pub from: i64,
    pub to: i64,
    pub requests: i32,
}

impl Sample<'_> {
    fn read(&self) -> Result<Vec<Past>, Error> {
        if !(1..=MOST).contains(&self.requests) {
            return Err(Error::Refused(
                format!("requests is {}", self.requests),
                "It must be between 1 and 100000: that many of the newest requests are taken.",
            ));
        }
        let args = [
            datum::optional_text(self.surface),
            datum::timestamp(self.from),
            datum::timestamp(self.to),
            datum::int4(self.requests),
        ];
        let _session = Session::open();
        let mut requests = Vec::new();
        PAST.with(|select| select.read(&args, |past| requests.push(past)));
        Ok(requests)
    }
}

impl Past {
    pub fn decision_id(&self) -> Uuid {
        self.decision_id
    }

    /// What was shown, by number.
    pub fn actions(&self) -> &[i32] {
        &self.actions
    }

    /// A field of its context, as the trace keeps it.
    fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.context_fields.iter();
        let index = fields.position(|field| field.as_deref() == Some(name))?;
        self.context_values.get(index)?.as_deref()
    }

    /// Its context, as far as it is kept. The region is that of the trace, where the context does not keep it.
    fn context(&self, bundle: &Bundle) -> Document {
        let mut context = Map::new();
        let fields = self.context_fields.iter().flatten();
        for (field, value) in fields.zip(&self.context_values) {
            match kept_value(value.as_deref()) {
                Value::Missing => continue,
                Value::Number(number) => context.insert(field.clone(), number.into()),
                Value::Text(text) => context.insert(field.clone(), text.into()),
            };
        }
        if let (Some(field), Some(region)) =
            (bundle.context_fields.of_context.region(), &self.region)
        {
            let region = || Content::from(region.as_str());
            context.entry(field).or_insert_with(region);
        }
        Document::parse(&Content::Object(context).to_string())
    }

    /// Decides on it by a bundle, with the draw of the same seed each time; None if it has no such surface.
    fn decide<T>(
        &self,
        bundle: &Bundle,
        now: i64,
        buffers: &mut Buffers,
        then: impl FnOnce(&Decision<'_>) -> T,
    ) -> Option<T> {
        let surface = bundle.surfaces.get(&self.surface)?;
        let context = self.context(bundle);
        let visit = Visit {
            user_key: self.user_key,
            // A trace does not say who the user is, so experiments by user assign nobody.
            user_id: None,
            now,
            context: context.json(),
            context_hash: 0,
            uncoarsened: 0,
        };
        let seed = mix(self.decision_id.as_u64_pair().1);
        let request = Request::new(&visit, bundle, surface, Some(seed));
        buffers.features.forget();
        let mut shared = Shared::of_one(false, true);
        let decision = super::decide(request, &mut shared, buffers, Stopwatch::start());
        Some(then(&decision))
    }
}

/// The bundle in force, or another one with the same switches and the same snapshot of features.
fn bundle_of(number: Option<i64>, now: i64) -> Result<Rc<Bundle>, Error> {
    let live = policy::current(now)?;
    match number {
        Some(bundle) if bundle != live.number => policy::with_inputs(DecisionInputs {
            bundle,
            snapshot: live.snapshot,
            switches: live.switches.number,
            at: now,
        }),
        _ => Ok(live),
    }
}

/// Decides on requests of the past by a bundle, None for the one in force, and hands on each decision.
pub fn simulate(
    bundle: Option<i64>,
    sample: &Sample<'_>,
    mut then: impl FnMut(&Past, &Decision<'_>),
) -> Result<(), Error> {
    let requests = sample.read()?;
    let now = clock::now();
    let bundle = bundle_of(bundle, now)?;
    buffers::with(|buffers| {
        for past in &requests {
            session::check_interrupts();
            let _session = Session::open();
            past.decide(&bundle, now, buffers, |decision| then(past, decision));
        }
        Ok(())
    })
}

/// What one of two bundles has made of a request.
#[derive(Default)]
struct Made {
    actions: Vec<i32>,
    /// The chances of actions in the first slot, by number.
    first: BTreeMap<i32, f64>,
    has_fallback: bool,
    region: Option<String>,
}

impl Made {
    fn of(decision: &Decision<'_>) -> Made {
        let (surface, draw) = (decision.request.surface, decision.draw);
        let shown = || decision.answer.slots().iter();
        let open = draw.open.iter().zip(&draw.slate.probabilities);
        let number = |&index: &usize| surface.actions[index].number;
        let first = match draw.filled() {
            0 => BTreeMap::from([(surface.fallback.number, 1.0)]),
            _ => open
                .map(|(index, &chance)| (number(index), chance))
                .collect(),
        };
        Made {
            actions: shown().map(|shown| shown.action(surface).number).collect(),
            first,
            has_fallback: shown().any(|shown| shown.is_fallback()),
            region: decision.request.region().map(|region| region.name.clone()),
        }
    }

    /// Half of the sum of differences of chances: how many of a hundred decisions, in hundredths, would differ at least.
    fn distance(&self, other: &Made) -> f64 {
        let of = |made: &Made, action: &i32| made.first.get(action).copied().unwrap_or(0.0);
        let mine = self.first.keys();
        let others = other
            .first
            .keys()
            .filter(|action| !self.first.contains_key(action));
        let differences = mine
            .chain(others)
            .map(|action| (of(self, action) - of(other, action)).abs());
        match (self.first.is_empty(), other.first.is_empty()) {
            (true, true) => 0.0,
            (true, false) | (false, true) => 1.0,
            (false, false) => differences.sum::<f64>() / 2.0,
        }
    }
}

/// What differs in a cohort.
#[derive(Default)]
pub struct Difference {
    pub requests: i64,
    /// How many are answered otherwise, by the draw of the same seed.
    pub changed: i64,
    /// The sum of the distances between what could have been chosen for the first slot.
    pub distance: f64,
    /// How many have the fallback in a slot, by each bundle.
    pub fallbacks: [i64; 2],
}

/// By surface and cohort.
pub type Differences = BTreeMap<(String, Option<String>), Difference>;

/// Decides on requests of the past by two bundles. A cohort is the region, or a context field that surfaces keep; None: all
/// are one.
pub fn compare(
    bundles: [i64; 2],
    sample: &Sample<'_>,
    cohort: Option<&str>,
) -> Result<Differences, Error> {
    let requests = sample.read()?;
    let now = clock::now();
    let [before, after] = bundles.map(|bundle| bundle_of(Some(bundle), now));
    let (before, after) = (before?, after?);
    let is_field = |name: &str| {
        let mut past = requests
            .iter()
            .flat_map(|past| past.context_fields.iter().flatten());
        past.any(|field| field == name)
    };
    if let Some(name) =
        cohort.filter(|name| *name != BY_REGION && !requests.is_empty() && !is_field(name))
    {
        return Err(Error::Refused(
            format!("no surface keeps the context field \"{}\"", printable(name)),
            "A cohort is region, a context field of the surface, or null.",
        ));
    }
    let mut all = Differences::new();
    buffers::with(|buffers| {
        for past in &requests {
            session::check_interrupts();
            let _session = Session::open();
            let mut made = |bundle| {
                past.decide(bundle, now, buffers, Made::of)
                    .unwrap_or_default()
            };
            let (old, new) = (made(&before), made(&after));
            let cohort = match cohort {
                None => None,
                Some(BY_REGION) => new.region.clone(),
                Some(field) => past.field(field).map(str::to_owned),
            };
            let of = all.entry((past.surface.clone(), cohort)).or_default();
            of.requests += 1;
            of.changed += i64::from(old.actions != new.actions);
            of.distance += old.distance(&new);
            of.fallbacks[0] += i64::from(old.has_fallback);
            of.fallbacks[1] += i64::from(new.has_fallback);
        }
        Ok(())
    })?;
    Ok(all)
}

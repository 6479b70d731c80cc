//! The traffic of each hour of the week, learned from traces, and the curves that follow it.

use std::collections::{BTreeMap, HashMap};

use pgrx::pg_sys::{FLOAT8ARRAYOID, TEXTOID, TIMESTAMPTZOID};

use crate::caps::Cap;
use crate::math::pacing::{HOURS, Profile};
use crate::pg::{Statement, array, datum};
use crate::policy::Bundle;

thread_local! {
    static READ: Statement = const { Statement::new(
        "SELECT p.surface, p.counts, p.weeks, p.learned_to FROM decide.traffic_profile AS p", &[]) };
    static COUNT: Statement = const { Statement::new(
        "SELECT t.surface, pg_catalog.date_bin('1 hour', t.decided_at, '2000-01-03 00:00+00'), pg_catalog.count(*) \
           FROM decide.trace AS t \
          WHERE t.decided_at >= $1 AND t.decided_at < $2 AND t.origin IS NULL GROUP BY 1, 2",
        &[TIMESTAMPTZOID, TIMESTAMPTZOID]) };
    static WRITE: Statement = const { Statement::new(
        "INSERT INTO decide.traffic_profile (surface, counts, weeks, learned_to) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (surface) DO UPDATE SET counts = $2, weeks = $3, learned_to = $4",
        &[TEXTOID, FLOAT8ARRAYOID, FLOAT8ARRAYOID, TIMESTAMPTZOID]) };
}

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;

/// 2000-01-03 was a Monday.
const MONDAY: i64 = 2 * DAY;

/// How far back traces are counted when nothing is learned yet.
const FIRST_LOOK: i64 = 28 * DAY;

/// What is learned of a surface, and up to which hour.
struct Learned {
    profile: Profile,
    learned_to: i64,
}

/// Learns at most a day of hours that are over; whether there are more.
pub fn learn(bundle: &Bundle, now: i64) -> bool {
    let mut all = learned();
    let hour = now.div_euclid(HOUR) * HOUR;
    let from = all.values().map(|learned| learned.learned_to).max();
    let from = from.unwrap_or(hour - FIRST_LOOK).max(hour - FIRST_LOOK);
    if from >= hour {
        return false;
    }
    let to = (from + DAY).min(hour);
    let mut counts: HashMap<String, BTreeMap<i64, f64>> = HashMap::new();
    COUNT.with(|statement| {
        statement.write(&[datum::timestamp(from), datum::timestamp(to)], |row| {
            let at = row.timestamp(2).unwrap_or(from);
            let of_surface = counts.entry(row.must(1)).or_default();
            of_surface.insert(at, row.must::<i64>(3) as f64);
        })
    });
    for name in bundle.surfaces.keys().chain(counts.keys()) {
        all.entry(name.clone()).or_insert_with(|| Learned {
            profile: Profile::default(),
            learned_to: from,
        });
    }
    for (name, mut learned) in all {
        let of_hours = counts.remove(&name).unwrap_or_default();
        // Hours before the first decision of all are not learned.
        let mut begun = learned.profile.weeks.iter().any(|&weeks| weeks > 0.0);
        for at in (from..to).step_by(HOUR as usize) {
            let count = of_hours.get(&at).copied();
            begun |= count.is_some();
            if begun {
                learned.profile.learn(hour_of(at), count.unwrap_or(0.0));
            }
        }
        let args = [
            datum::text(&name),
            datum::array(&learned.profile.counts),
            datum::array(&learned.profile.weeks),
            datum::timestamp(to),
        ];
        WRITE.with(|statement| statement.write(&args, |_| {}));
    }
    to < hour
}

/// The points of the curve of a window, by the traffic of the surfaces where the cap limits something.
pub fn points(cap: &Cap, bundle: &Bundle, (starts, ends): (i64, i64)) -> Vec<f64> {
    let all = learned();
    let of_cap = bundle.surfaces.values().filter(|surface| {
        let mut caps = surface.limits.caps.iter();
        caps.any(|&i| bundle.caps[i].number == cap.number)
    });
    let mut expected = vec![0.0; HOURS];
    for surface in of_cap {
        let hours = all
            .get(&surface.name)
            .and_then(|learned| learned.profile.expected());
        for (sum, count) in expected.iter_mut().zip(hours.into_iter().flatten()) {
            *sum += count;
        }
    }
    let seen = if expected.iter().any(|&count| count > 0.0) {
        1.0
    } else {
        0.0
    };
    Profile::new(&expected, &[seen; HOURS]).points(starts, ends, hour_of)
}

fn hour_of(at: i64) -> usize {
    (at.saturating_sub(MONDAY).div_euclid(HOUR)).rem_euclid(HOURS as i64) as usize
}

fn learned() -> HashMap<String, Learned> {
    let mut all = HashMap::new();
    READ.with(|statement| {
        statement.write(&[], |row| {
            let (mut counts, mut weeks) = (Vec::new(), Vec::new());
            row.datum(2).map(|kept| array::read_into(kept, &mut counts));
            row.datum(3).map(|kept| array::read_into(kept, &mut weeks));
            let learned = Learned {
                profile: Profile::new(&counts, &weeks),
                learned_to: row.timestamp(4).unwrap_or(i64::MIN),
            };
            all.insert(row.must::<String>(1), learned);
        })
    });
    all
}

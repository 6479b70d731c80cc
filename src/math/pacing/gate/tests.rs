use super::*;
use proptest::prelude::*;

const DAY: i64 = 86_400_000_000;
const START: i64 = 1_700_000_000_000_000;

fn gate(curve: &Curve, quota: f64) -> Gate<'_> {
    Gate {
        curve,
        starts: START,
        ends: START + DAY,
        quota,
        unit: 1.0,
        phase: 0.5,
    }
}

/// Before anything was counted.
const FRESH: Pace = Pace {
    at: i64::MIN,
    allowed: 0.0,
};

/// The part `x` of the day.
fn at(x: f64) -> i64 {
    START + (x * DAY as f64) as i64
}

/// When each of `units` was taken by somebody who asks at every `step`-th part of the day.
fn taken(gate: &Gate<'_>, mut pace: Pace, mut counted: f64, step: f64) -> Vec<f64> {
    let mut taken = Vec::new();
    let first = (pace.at.max(START) - START) as f64 / DAY as f64;
    let mut x = first;
    while x < 1.0 {
        pace = gate.advance(pace, counted, 1.0, at(x));
        if gate.admits(pace, counted, 1.0) {
            counted += 1.0;
            taken.push(x);
        }
        x += step;
    }
    taken
}

#[test]
fn small_quotas_are_spread_by_their_middles() {
    for curve in [Curve::Even, Curve::Frontloaded] {
        for quota in 1..=20 {
            let gate = gate(&curve, f64::from(quota));
            let taken = taken(&gate, FRESH, 0.0, 1e-4);
            assert_eq!(taken.len(), quota as usize);
            for (k, x) in taken.iter().enumerate() {
                let due = (k as f64 + 0.5) / f64::from(quota);
                let share = curve.share(*x);
                assert!(
                    (share - due).abs() < 0.02,
                    "unit {k} of {quota} at {share}, not {due}"
                );
            }
        }
    }
}

#[test]
fn rows_with_one_unit_each_take_turns() {
    let mut all: Vec<f64> = (0..32)
        .flat_map(|row| {
            let gate = Gate {
                phase: phase(row),
                ..gate(&Curve::Even, 1.0)
            };
            taken(&gate, FRESH, 0.0, 1e-3)
        })
        .collect();
    all.sort_by(f64::total_cmp);
    assert_eq!(all.len(), 32);
    for (k, x) in all.iter().enumerate() {
        assert!((x - (k as f64 + 0.5) / 32.0).abs() < 0.05, "{k} at {x}");
    }
}

#[test]
fn an_allowance_that_nobody_used_is_no_store() {
    let gate = gate(&Curve::Even, 10_000.0);
    let noon = gate.advance(FRESH, 0.0, 1.0, at(0.5));
    assert_eq!(noon.allowed, 20.0);
    // A tenth of a second later there is not yet another burst.
    let pace = gate.advance(noon, 20.0, 1.0, at(0.5) + 100_000);
    assert!(pace.allowed < 21.0, "{}", pace.allowed);
}

#[test]
fn a_lag_fades_and_is_gone_at_the_end() {
    let gate = gate(&Curve::Even, 10_000.0);
    let begun = Pace {
        at: at(0.5),
        allowed: 2_000.0,
    };
    let lag = |x: f64| gate.target(at(x)) + 0.5 - gate.flow(begun, 2_000.0, at(x));
    let first = lag(0.5);
    let share = |x: f64| lag(x) / first;
    assert!((share(0.5 + FINISH / 50.0) - libm::exp(-1.0)).abs() < 1e-6);
    assert!(share(0.6) < 0.01);
    assert!(gate.flow(begun, 2_000.0, at(0.996)) >= 10_000.0);
    let late = Pace {
        at: at(0.95),
        allowed: 2_000.0,
    };
    assert!(gate.flow(late, 2_000.0, at(0.96)) < 7_500.0);
    assert!(gate.flow(late, 2_000.0, at(0.996)) >= 10_000.0);
}

#[test]
fn a_budget_that_was_cut_slows_down_and_goes_on() {
    // 4,000 were taken by 0.4 of the day, and then there are 5,000 for it.
    let gate = gate(&Curve::Even, 5_000.0);
    let cut = Pace {
        at: at(0.4),
        allowed: 4_000.0,
    };
    let taken = taken(&gate, cut, 4_000.0, 1e-5);
    assert_eq!(taken.len(), 1_000);
    for (k, x) in taken.iter().enumerate() {
        let even = 0.4 + 0.6 * (k as f64 / 1_000.0);
        assert!((x - even).abs() < 0.01, "{k} at {x}, not {even}");
    }
    // All of it is gone.
    assert_eq!(gate.opens_at(cut, 5_000.0, 1.0), None);
}

#[test]
fn what_is_not_paced_is_open() {
    for (starts, ends) in [(START, i64::MAX), (START, START), (START, START - 1)] {
        let gate = Gate {
            starts,
            ends,
            ..gate(&Curve::Even, 10.0)
        };
        let pace = gate.advance(FRESH, 9.0, 1.0, START);
        assert!(gate.admits(pace, 9.0, 1.0));
        assert!(!gate.admits(pace, 9.5, 1.0));
        assert_eq!(gate.opens_at(pace, 10.0, 1.0), None);
    }
}

#[test]
fn no_quota_admits_nothing() {
    for quota in [0.0, -1.0, f64::NAN] {
        let gate = gate(&Curve::Even, quota);
        for x in [0.0, 0.5, 1.0, 2.0] {
            let pace = gate.advance(FRESH, 0.0, 1.0, at(x));
            assert!(!gate.admits(pace, 0.0, 1.0), "{quota} at {x}");
            assert_eq!(gate.opens_at(pace, 0.0, 1.0), None);
        }
    }
}

#[test]
fn a_clock_that_goes_back_does_nothing() {
    let gate = gate(&Curve::Even, 100.0);
    let pace = gate.advance(FRESH, 40.0, 1.0, at(0.5));
    assert_eq!(gate.advance(pace, 40.0, 1.0, at(0.3)), pace);
    assert_eq!(gate.advance(pace, 40.0, 1.0, i64::MIN), pace);
}

#[test]
fn a_need_above_the_burst_is_let_through_as_a_whole() {
    let gate = gate(&Curve::Even, 100.0);
    let pace = gate.advance(FRESH, 0.0, 30.0, at(0.2));
    assert!(!gate.admits(pace, 0.0, 30.0));
    let opens = gate.opens_at(pace, 0.0, 30.0).unwrap();
    let pace = gate.advance(pace, 0.0, 30.0, opens);
    assert!(gate.admits(pace, 0.0, 30.0));
    assert!((0.28..0.33).contains(&((opens - START) as f64 / DAY as f64)));
}

fn curves() -> impl Strategy<Value = Curve> {
    let steps = Curve::forecast(&[0.0, 0.0, 0.2, 0.0, 0.5, 3.0, 0.7, 3.0, 1.0, 4.0]);
    prop_oneof![
        Just(Curve::Even),
        Just(Curve::Frontloaded),
        Just(steps.unwrap())
    ]
}

proptest! {
    #[test]
    fn it_opens_when_it_says(
        curve in curves(),
        quota in 1.0..1e6f64,
        begun in 0.0..1.2f64,
        (counted, allowed) in (0.0..1.1f64, 0.0..1.2f64),
        need in 0.1..5.0f64,
    ) {
        let gate = gate(&curve, quota);
        let (counted, at) = ((quota * counted).floor(), at(begun));
        let pace = gate.advance(Pace { at, allowed: quota * allowed }, counted, need, at);
        match gate.opens_at(pace, counted, need) {
            None => prop_assert!(counted + need > quota),
            Some(opens) => {
                prop_assert!(gate.admits(gate.advance(pace, counted, need, opens), counted, need));
                let before = gate.advance(pace, counted, need, opens - 1);
                prop_assert!(opens == at || !gate.admits(before, counted, need));
            }
        }
    }

    #[test]
    fn looking_in_between_makes_no_difference(
        curve in curves(),
        quota in 1.0..1e6f64,
        mut moments in prop::collection::vec(0.0..1.1f64, 1..20),
        (counted, allowed) in (0.0..1.0f64, 0.0..1.2f64),
    ) {
        moments.sort_by(f64::total_cmp);
        let (gate, counted) = (gate(&curve, quota), quota * counted);
        let begun = Pace { at: START, allowed: quota * allowed };
        let steps = moments.iter().fold(begun, |pace, &x| gate.advance(pace, counted, 1.0, at(x)));
        let once = gate.advance(begun, counted, 1.0, at(*moments.last().unwrap()));
        prop_assert_eq!(steps.at, once.at);
        prop_assert!((steps.allowed - once.allowed).abs() <= 1e-9 * quota);
    }

    #[test]
    fn allowed_never_falls_nor_runs_ahead(
        curve in curves(),
        quota in 0.0..1e6f64,
        counted in 0.0..1e6f64,
        (a, b) in (0.0..1.1f64, 0.0..1.1f64),
    ) {
        let gate = gate(&curve, quota);
        let early = gate.advance(FRESH, counted, 1.0, at(a.min(b)));
        let late = gate.advance(early, counted, 1.0, at(a.max(b)));
        prop_assert!(late.allowed >= early.allowed.min(quota));
        prop_assert!(late.allowed <= counted + (0.002 * quota).max(1.0));
        prop_assert!(late.allowed <= quota);
    }

    #[test]
    fn any_row_is_survived(
        (starts, ends, paced_at, now) in any::<(i64, i64, i64, i64)>(),
        (quota, unit, phase) in any::<(f64, f64, f64)>(),
        (allowed, counted, need) in any::<(f64, f64, f64)>(),
    ) {
        let gate = Gate { curve: &Curve::Frontloaded, starts, ends, quota, unit, phase };
        let pace = gate.advance(Pace { at: paced_at, allowed }, counted, need, now);
        prop_assert_eq!(pace.at, now.max(paced_at));
        prop_assert!(!gate.admits(pace, counted, need) || counted + need <= quota);
        let _ = gate.opens_at(pace, counted, need);
    }

    #[test]
    fn a_damaged_row_is_paced_as_what_it_counted(
        allowed in prop_oneof![Just(f64::NAN), Just(f64::NEG_INFINITY), Just(f64::INFINITY)],
        x in 0.0..0.9f64,
    ) {
        let gate = gate(&Curve::Even, 1_000.0);
        let pace = gate.advance(Pace { at: at(x), allowed }, 100.0, 1.0, at(x));
        prop_assert!((100.0..=102.0).contains(&pace.allowed));
    }
}

use super::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
    kendall: Vec<(f64, f64)>,
    tau: f64,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    rows: Vec<(f64, u8, f64)>,
    qini: Option<f64>,
    auuc: Option<f64>,
    curve: Vec<(u64, f64, f64)>,
    at: Vec<(f64, String, Option<f64>)>,
    bins: Vec<Bins>,
    causalml: Option<Causalml>,
}

/// A strategy, how many bins, and what each of them says.
type Bins = (String, usize, Vec<[Option<f64>; 6]>);

#[derive(Deserialize)]
struct Causalml {
    auuc: f64,
    qini: f64,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../../../pgrx-tests/golden/uplift.json")).unwrap()
}

fn sorted(rows: &[(f64, u8, f64)]) -> Vec<Row> {
    let row = |&(outcome, treated, score): &(f64, u8, f64)| Row {
        score,
        outcome,
        treated: treated == 1,
    };
    let mut rows: Vec<Row> = rows.iter().map(row).collect();
    let mut spare = rows.clone();
    sort(&mut rows, &mut spare, || ());
    rows
}

fn near(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() < 1e-10,
        (a, b) => a.is_none() && b.is_none(),
    }
}

#[test]
fn agrees_with_the_references() {
    let golden = golden();
    for case in &golden.cases {
        let (rows, name) = (sorted(&case.rows), &case.name);
        assert!(near(qini(&rows), case.qini), "{name}: {:?}", qini(&rows));
        assert!(near(auuc(&rows), case.auuc), "{name}: {:?}", auuc(&rows));
        // the reference has the point (0, 0) as well
        let curve: Vec<_> = thresholds(&rows).collect();
        assert_eq!(curve.len() + 1, case.curve.len(), "{name}");
        for ((_, group), (n, gain, qini)) in curve.iter().zip(&case.curve[1..]) {
            assert_eq!(group.rows(), *n);
            assert!(
                near(Some(group.gain()), Some(*gain)) && near(Some(group.qini()), Some(*qini)),
                "{name} {n}"
            );
        }
        for (k, strategy, expected) in &case.at {
            let strategy = Strategy::named(strategy.as_bytes()).unwrap();
            let at = uplift_at(&rows, *k, strategy);
            assert!(
                near(at, *expected),
                "{name} {k} {strategy:?}: {at:?}, {expected:?}"
            );
        }
        for (strategy, count, expected) in &case.bins {
            let strategy = Strategy::named(strategy.as_bytes()).unwrap();
            let bins = bins(&rows, *count, strategy);
            assert_eq!(bins.len(), expected.len());
            for (bin, expected) in bins.iter().zip(expected) {
                let is = [
                    Some(bin.group.treated as f64),
                    Some(bin.group.control as f64),
                    bin.treated_mean(),
                    bin.control_mean(),
                    bin.group.difference(),
                    bin.standard_error(),
                ];
                let same = is.iter().zip(expected).all(|(a, b)| near(*a, *b));
                assert!(same, "{name} {strategy:?} {count}: {is:?}, {expected:?}");
            }
        }
        if let Some(expected) = &case.causalml {
            assert!(
                near(causalml_auuc(&rows), Some(expected.auuc)),
                "{name}: {:?}",
                causalml_auuc(&rows)
            );
            assert!(
                near(causalml_qini(&rows), Some(expected.qini)),
                "{name}: {:?}",
                causalml_qini(&rows)
            );
        }
    }
    assert!(
        golden
            .cases
            .iter()
            .filter(|case| case.causalml.is_some())
            .count()
            > 1
    );
    assert!(near(kendall(&golden.kendall), Some(golden.tau)));
}

#[test]
fn without_both_groups_or_both_outcomes_there_is_no_coefficient() {
    let none: [&[(f64, u8, f64)]; 6] = [
        &[],
        &[(1.0, 1, 0.5)],
        &[(1.0, 1, 0.5), (0.0, 1, 0.4)],
        &[(1.0, 0, 0.5), (0.0, 0, 0.4)],
        &[(1.0, 1, 0.5), (1.0, 0, 0.4)],
        &[(0.0, 1, 0.5), (0.0, 0, 0.4)],
    ];
    for rows in none {
        let rows = sorted(rows);
        assert_eq!((qini(&rows), auuc(&rows)), (None, None), "{rows:?}");
    }
    let one_group = sorted(none[2]);
    assert_eq!(
        (causalml_auuc(&one_group), causalml_qini(&one_group)),
        (None, None)
    );
    assert_eq!(uplift_at(&one_group, 0.5, Strategy::Overall), None);
    assert_eq!(calibration(&bins(&one_group, 2, Strategy::Overall)), None);
}

#[test]
fn k_is_a_share_below_one_and_a_number_from_there() {
    let rows = sorted(&[(1.0, 1, 4.0), (0.0, 0, 3.0), (0.0, 1, 2.0), (1.0, 0, 1.0)]);
    assert_eq!(uplift_at(&rows, 0.5, Strategy::Overall), Some(1.0));
    assert_eq!(uplift_at(&rows, 2.0, Strategy::Overall), Some(1.0));
    assert_eq!(uplift_at(&rows, 1.0, Strategy::ByGroup), Some(1.0));
    assert_eq!(uplift_at(&rows, 2.0, Strategy::ByGroup), Some(0.0));
    for (k, strategy) in [
        (1.0, Strategy::Overall),
        (4.0, Strategy::Overall),
        (3.0, Strategy::ByGroup),
        (0.1, Strategy::ByGroup),
    ] {
        assert_eq!(uplift_at(&rows, k, strategy), None, "{k}");
    }
}

#[test]
fn scores_that_are_true_are_calibrated() {
    // bin i promises i/10, and has it: all treated rows of that share have the outcome, and no control row
    let rows = (0..10).flat_map(|bin| {
        (0..20).map(move |i| {
            let treated = i % 2 == 0;
            let outcome = if treated && i / 2 < bin { 1.0 } else { 0.0 };
            (outcome, u8::from(treated), f64::from(bin) / 10.0)
        })
    });
    let rows = sorted(&rows.collect::<Vec<_>>());
    let found = calibration(&bins(&rows, 10, Strategy::Overall)).unwrap();
    let line = (found.slope.unwrap(), found.intercept.unwrap());
    assert!(
        (line.0 - 1.0).abs() < 1e-9 && line.1.abs() < 1e-9 && found.error < 1e-9,
        "{found:?}"
    );
    assert_eq!((found.bins, found.kendall), (10, Some(1.0)));
    assert!(found.relative_error.unwrap() < 1e-9);
    // and in the reversed order the rank is reversed
    let reversed: Vec<Row> = rows
        .iter()
        .map(|row| Row {
            score: -row.score,
            ..*row
        })
        .rev()
        .collect();
    assert_eq!(
        calibration(&bins(&reversed, 10, Strategy::Overall))
            .unwrap()
            .kendall,
        Some(-1.0)
    );
    // one score for all has no slope and no order
    let flat: Vec<Row> = rows.iter().map(|row| Row { score: 0.3, ..*row }).collect();
    let flat = calibration(&bins(&flat, 10, Strategy::Overall)).unwrap();
    assert_eq!((flat.kendall, flat.bins), (None, 10));
}

#[test]
fn intervals_of_bins_cover_the_truth() {
    let mut draws = crate::random::Draws::from_seed(21);
    let (samples, mut covered) = (1000, 0);
    for _ in 0..samples {
        let row = |i: u32| {
            let treated = i.is_multiple_of(2);
            let rate = if treated { 0.5 } else { 0.3 };
            (
                f64::from(u8::from(draws.unit() < rate)),
                u8::from(treated),
                f64::from(i),
            )
        };
        let rows = sorted(&(0..400).map(row).collect::<Vec<_>>());
        let bin = bins(&rows, 2, Strategy::Overall)[0];
        let (low, high) = bin.interval().unwrap();
        covered += i32::from(low <= 0.2 && 0.2 <= high);
    }
    assert!(
        (f64::from(covered) / f64::from(samples) - 0.95).abs() < 0.025,
        "{covered}"
    );
}

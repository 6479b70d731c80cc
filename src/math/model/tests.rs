use super::*;
use serde_json::json;

fn sources(text: &str) -> Vec<String> {
    parse_term(text)
        .unwrap()
        .iter()
        .map(Source::to_string)
        .collect()
}

fn factor(source: &str, encoding: Encoding) -> Factor {
    Factor {
        source: source.parse().unwrap(),
        encoding,
    }
}

fn levels(levels: &[&str]) -> Encoding {
    Encoding::Levels(levels.iter().map(|&level| level.to_owned()).collect())
}

/// 1 + user.clicks·action.category[2] + context.device[3]·action.category[2] + context.city#4
fn example() -> LinearModel {
    let category = || factor("action.category", levels(&["a", "b"]));
    let terms = vec![
        Term::default(),
        Term {
            factors: vec![factor("user.clicks", Encoding::Number), category()],
        },
        Term {
            factors: vec![
                factor("context.device", levels(&["app", "tv", "web"])),
                category(),
            ],
        },
        Term {
            factors: vec![factor("context.city", Encoding::Hashed(4))],
        },
    ];
    LinearModel {
        family: Family::Logistic,
        terms,
        weights: (0..13).map(|w| w as f32).collect(),
    }
}

fn row(model: &LinearModel, facts: &[(&str, Value<'_>)]) -> Vec<(u32, f32)> {
    let mut row = vec![(99, 9.9)];
    let find = |source: &Source| facts.iter().find(|(name, _)| *name == source.to_string());
    model.encode(
        &|source| find(source).map_or(Value::Missing, |&(_, value)| value),
        &mut row,
    );
    row
}

#[test]
fn terms_are_read() {
    assert_eq!(parse_term("1").unwrap(), []);
    assert_eq!(parse_term(" 1 ").unwrap(), []);
    assert_eq!(sources("user.clicks"), ["user.clicks"]);
    assert_eq!(
        sources("user.clicks * action.category*context.device"),
        ["user.clicks", "action.category", "context.device"]
    );
    assert_eq!(parse_term("action").unwrap(), [Source::Action]);
    assert_eq!(
        parse_term("action.a.b-c_1").unwrap(),
        [Source::Attribute("a.b-c_1".into())]
    );
    assert_eq!(sources("surface.views"), ["surface.views"]);
    assert!(Source::Surface("views".into()).is_of_action());
    assert_eq!(
        parse_term("user.größe").unwrap(),
        [Source::User("größe".into())]
    );
    assert_eq!(parse_term("user.x*user.x").unwrap().len(), 2);
}

#[test]
fn bad_terms_are_named() {
    let error = |text: &str| parse_term(text).unwrap_err();
    for text in ["", " ", "*", "user.a*", "*user.a", "user.a**user.b"] {
        assert_eq!(error(text), TermError::Empty, "{text:?}");
    }
    for text in ["clicks", "usr.clicks", "user", "1*user.a", "User.a", "2"] {
        assert!(
            matches!(error(text), TermError::UnknownSource(_)),
            "{text:?}"
        );
    }
    assert_eq!(error("user."), TermError::NoName("user.".into()));
    for (text, character) in [
        ("user.a b", ' '),
        ("user.a'", '\''),
        ("user.a\u{a0}b", '\u{a0}'),
        ("user.a\"", '"'),
    ] {
        assert_eq!(
            error(text),
            TermError::Character {
                source: text.into(),
                character
            }
        );
    }
    assert_eq!(
        error("clicks").to_string(),
        "\"clicks\" is not user.NAME, missing.NAME, context.NAME, action.NAME, surface.NAME or action"
    );
}

#[test]
fn terms_are_written_as_they_are_read() {
    let model = example();
    let written: Vec<String> = model.terms.iter().map(Term::to_string).collect();
    assert_eq!(
        written,
        [
            "1",
            "user.clicks*action.category",
            "context.device*action.category",
            "context.city"
        ]
    );
    for (term, text) in model.terms.iter().zip(&written) {
        let sources: Vec<Source> = term
            .factors
            .iter()
            .map(|factor| factor.source.clone())
            .collect();
        assert_eq!(parse_term(text).unwrap(), sources);
    }
}

#[test]
fn the_written_form_is_plain() {
    let model = example();
    let expected = json!({"family": "logistic", "terms": [
        {"factors": []},
        {"factors": [{"source": "user.clicks", "encoding": "number"},
                     {"source": "action.category", "encoding": {"levels": ["a", "b"]}}]},
        {"factors": [{"source": "context.device", "encoding": {"levels": ["app", "tv", "web"]}},
                     {"source": "action.category", "encoding": {"levels": ["a", "b"]}}]},
        {"factors": [{"source": "context.city", "encoding": {"hashed": 4}}]},
    ]});
    assert_eq!(serde_json::to_value(&model).unwrap(), expected);
    let read: LinearModel = serde_json::from_value(expected).unwrap();
    assert_eq!(
        read.validate(),
        Err(ModelError::Weights {
            expected: 13,
            found: 0
        })
    );
    assert_eq!(read.with_weights(model.weights.clone()), model);
    for bad in [
        json!({"family": "cubic", "terms": []}),
        json!({"family": "linear", "terms": [], "weights": []}),
        json!({"family": "linear", "terms": [{"factors": [{"source": "users.x", "encoding": "number"}]}]}),
        json!({"family": "linear", "terms": [{"factors": [{"source": "user.x", "encoding": {"hashed": -1}}]}]}),
    ] {
        assert!(serde_json::from_value::<LinearModel>(bad).is_err());
    }
}

#[test]
fn faults_are_found() {
    let with = |encoding| LinearModel {
        family: Family::Linear,
        terms: vec![Term {
            factors: vec![factor("user.x", encoding)],
        }],
        weights: vec![],
    };
    let x = || Source::User("x".into());
    assert_eq!(example().validate(), Ok(()));
    assert_eq!(
        with(levels(&["b", "a"])).validate(),
        Err(ModelError::Levels(x()))
    );
    assert_eq!(
        with(levels(&["a", "a"])).validate(),
        Err(ModelError::Levels(x()))
    );
    assert_eq!(
        with(levels(&["B", "a", "é"]))
            .with_weights(vec![0.0; 3])
            .validate(),
        Ok(())
    );
    assert_eq!(with(levels(&[])).validate(), Ok(()));
    assert_eq!(
        with(Encoding::Hashed(0)).validate(),
        Err(ModelError::NoBuckets(x()))
    );
    assert_eq!(
        with(Encoding::Number)
            .with_weights(vec![f32::NAN])
            .validate(),
        Err(ModelError::NotFinite(0))
    );
    assert_eq!(
        with(Encoding::Hashed(10_000_001)).width(),
        Err(ModelError::TooWide)
    );
    assert_eq!(with(Encoding::Hashed(10_000_000)).width(), Ok(10_000_000));
    let mut huge = with(Encoding::Hashed(u32::MAX));
    huge.terms[0].factors = vec![factor("user.x", Encoding::Hashed(u32::MAX)); 3];
    assert_eq!(huge.validate(), Err(ModelError::TooWide));
}

#[test]
fn rows_are_sparse_and_in_the_stated_order() {
    let model = example();
    assert_eq!(row(&model, &[]), [(0, 1.0)]);
    let facts = [
        ("user.clicks", Value::Number(2.5)),
        ("action.category", Value::Text("b")),
        ("context.device", Value::Text("tv")),
        ("context.city", Value::Text("a")),
    ];
    // 1 + clicks×b (1 + 1) + tv×b (3 + 1·2 + 1) + fnv32a("a") = 0xe40c292c, mod 4 = 0
    assert_eq!(
        row(&model, &facts),
        [(0, 1.0), (2, 2.5), (6, 1.0), (9, 1.0)]
    );
}

#[test]
fn what_is_missing_contributes_nothing() {
    let model = example();
    let facts = |clicks, category| {
        row(
            &model,
            &[("user.clicks", clicks), ("action.category", category)],
        )
    };
    let only_intercept = [(0, 1.0)];
    assert_eq!(facts(Value::Missing, Value::Text("a")), only_intercept);
    assert_eq!(
        facts(Value::Number(f64::NAN), Value::Text("a")),
        only_intercept
    );
    assert_eq!(
        facts(Value::Number(f64::INFINITY), Value::Text("a")),
        only_intercept
    );
    assert_eq!(facts(Value::Number(0.0), Value::Text("a")), only_intercept);
    assert_eq!(facts(Value::Text("many"), Value::Text("a")), only_intercept);
    assert_eq!(facts(Value::Text("inf"), Value::Text("a")), only_intercept);
    assert_eq!(facts(Value::Number(1.0), Value::Text("c")), only_intercept);
    assert_eq!(facts(Value::Number(1.0), Value::Missing), only_intercept);
    assert_eq!(
        facts(Value::Text(" 3e1 "), Value::Text("a")),
        [(0, 1.0), (1, 30.0)]
    );
    assert_eq!(
        facts(Value::Number(1e300), Value::Text("a")),
        [(0, 1.0), (1, f32::MAX)]
    );
}

#[test]
fn numbers_are_levels_by_their_shortest_text() {
    let text = |x| encoding::with_text(Value::Number(x), |text| Some(text.to_owned()));
    for (x, expected) in [
        (3.0, "3"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (-2.50, "-2.5"),
        (1e21, "1000000000000000000000"),
    ] {
        assert_eq!(text(x).as_deref(), Some(expected));
    }
    assert_eq!(text(f64::NAN), None);
    for x in [
        f64::MAX,
        f64::MIN,
        5e-324,
        -5e-324,
        -2.2250738585072014e-308,
    ] {
        assert_eq!(text(x).unwrap().parse(), Ok(x));
    }
    assert_eq!(
        levels(&["2", "3"]).encode(Value::Number(3.0)),
        Some((1, 1.0))
    );
    assert_eq!(levels(&["2", "3"]).encode(Value::Text("3.0")), None);
    assert_eq!(
        Encoding::Hashed(7).encode(Value::Number(3.0)),
        Encoding::Hashed(7).encode(Value::Text("3"))
    );
    assert_eq!(Encoding::Hashed(0).encode(Value::Text("3")), None);
}

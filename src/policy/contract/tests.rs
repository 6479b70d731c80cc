use super::*;

fn parsed(fields: &str) -> (Vec<FieldRule>, Vec<String>) {
    let mut faults = Vec::new();
    let rules = rules(fields, &mut faults);
    (rules, faults)
}

fn row(version: i16, status: &str) -> EventTypeRow {
    EventTypeRow {
        event_type: "order".into(),
        schema_version: version,
        status: status.into(),
        fields: serde_json::value::to_raw_value(&Map::new()).expect("an object"),
        keep_attributes: Vec::new(),
        dedup_horizon_us: DAY as f64,
        lateness_us: None,
        future_tolerance_us: 0.0,
        retention_us: None,
        purpose: None,
        sets_consent: false,
    }
}

#[test]
fn each_type_is_read_with_its_members() {
    let (rules, faults) = parsed(
        r#"{"value": {"required": true, "min": 0, "max": 10.5}, "action": {},
            "attributes.n": {"type": "integer", "max": 3},
            "attributes.color": {"type": "text", "one_of": ["red"], "max_length": 9},
            "attributes.any": {"required": true}, "decision_id": {"type": "uuid"}}"#,
    );
    assert_eq!(faults, Vec::<String>::new());
    let of = |path: &str| {
        let rule = rules.iter().find(|rule| rule.path == path);
        rule.unwrap_or_else(|| panic!("no {path}"))
    };
    assert_eq!(
        of("value").kind,
        Kind::Number {
            min: 0.0,
            max: 10.5
        }
    );
    assert!(of("value").required && of("value").attribute.is_none());
    let least = f64::NEG_INFINITY;
    assert_eq!(
        of("attributes.n").kind,
        Kind::Integer {
            min: least,
            max: 3.0
        }
    );
    assert_eq!(of("attributes.n").attribute.as_deref(), Some("n"));
    let (one_of, max_length) = (vec!["red".to_owned()], Some(9));
    assert_eq!(
        of("attributes.color").kind,
        Kind::Text { one_of, max_length }
    );
    assert_eq!(of("attributes.any").kind, Kind::Any);
    assert_eq!(of("decision_id").kind, Kind::Any);
}

#[test]
fn every_fault_of_a_spec_is_named_with_its_place() {
    for (fields, fault) in [
        (r#"{"at": {}}"#, "\"at\" is none of value"),
        (r#"{"attributes.": {}}"#, "\"attributes.\" is none of value"),
        (r#"{"value": 1}"#, "\"value\": it must be an object"),
        (
            r#"{"value": {"type": "text"}}"#,
            "type must be one of number, integer",
        ),
        (r#"{"action": {"type": 7}}"#, "type must be text"),
        (
            r#"{"attributes.x": {"type": "txt", "max_length": 2}}"#,
            "type must be one of text, number",
        ),
        (
            r#"{"value": {"required": "yes"}}"#,
            "required must be true or false",
        ),
        (r#"{"value": {"min": "0"}}"#, "min must be a number"),
        (r#"{"value": {"min": 2, "max": 1}}"#, "min is above max"),
        (
            r#"{"value": {"max_length": 2}}"#,
            "type number takes no \"max_length\"",
        ),
        (
            r#"{"attributes.x": {"min": 2}}"#,
            "without a type it takes no \"min\"",
        ),
        (
            r#"{"action": {"one_of": []}}"#,
            "one_of must be a list of texts",
        ),
        (
            r#"{"action": {"one_of": ["a", 1]}}"#,
            "one_of must be a list of texts",
        ),
        (
            r#"{"action": {"max_length": 0}}"#,
            "max_length must be a whole number from 1 up",
        ),
        (r#"{"value": {"min": 1e999}}"#, "a number is out of range"),
    ] {
        let (_, faults) = parsed(fields);
        assert!(
            faults.len() == 1 && faults[0].contains(fault),
            "{fields}: {faults:?}"
        );
    }
    let (_, faults) = parsed(r#"{"at": {}, "value": {"min": "0", "max": "1", "extra": 1}}"#);
    assert_eq!(faults.len(), 4, "{faults:?}");
}

#[test]
fn times_that_would_count_an_event_twice_are_faults() {
    let good = row(1, "accepted");
    assert_eq!(times(&good), Vec::<String>::new());
    let day = DAY as f64;
    for (retention, lateness, faults) in [
        (Some(3.0 * day), Some(2.0 * day), 0),
        (Some(2.9 * day), Some(2.0 * day), 1),
        (Some(3.0 * day), None, 1),
        (None, Some(2.0 * day), 0),
        (Some(-day), Some(-day), 3),
    ] {
        let row = EventTypeRow {
            retention_us: retention,
            lateness_us: lateness,
            ..row(1, "accepted")
        };
        assert_eq!(times(&row).len(), faults, "{:?}", times(&row));
    }
    for horizon in [0.0, -1.0, f64::NAN, 31.0 * day] {
        let row = EventTypeRow {
            dedup_horizon_us: horizon,
            future_tolerance_us: -1.0,
            ..row(1, "accepted")
        };
        assert_eq!(times(&row).len(), 2, "{horizon}");
    }
}

#[test]
fn an_event_that_waited_is_never_older_than_what_is_remembered() {
    let mut faults = Vec::new();
    let row = EventTypeRow {
        lateness_us: Some(2.0 * DAY as f64),
        retention_us: Some(4.0 * DAY as f64),
        ..row(1, "accepted")
    };
    let contract = contract(&row, &mut faults);
    assert_eq!(contract.oldest(10 * DAY, 10 * DAY), 8 * DAY);
    assert_eq!(contract.oldest(10 * DAY, 11 * DAY), 8 * DAY);
    assert_eq!(contract.oldest(10 * DAY, 20 * DAY), 17 * DAY);
    assert_eq!(contract.oldest(99 * DAY, 10 * DAY), 8 * DAY);
}

fn content(event_types: Vec<EventTypeRow>) -> Content {
    Content {
        surfaces: Vec::new(),
        campaigns: Vec::new(),
        actions: Vec::new(),
        features: Vec::new(),
        caps: Vec::new(),
        policies: Vec::new(),
        event_types,
        purposes: Vec::new(),
        outcome_types: Vec::new(),
        experiments: Vec::new(),
        context_fields: Vec::new(),
        regions: Vec::new(),
    }
}

#[test]
fn the_list_is_closed_once_it_has_a_row() {
    let none = Purposes::default();
    let open = contracts(&content(Vec::new()), &none, &mut Faults::default());
    assert!(open.of("anything", Some(1)).is_ok());
    assert_eq!(open.of("anything", Some(2)).err(), Some(Unknown::Schema));
    let rows = vec![row(1, "retired"), row(2, "deprecated"), row(3, "accepted")];
    let closed = contracts(&content(rows), &none, &mut Faults::default());
    assert!(closed.of("order", Some(2)).is_ok() && closed.of("order", Some(3)).is_ok());
    for version in [None, Some(1), Some(4)] {
        assert_eq!(closed.of("order", version).err(), Some(Unknown::Schema));
    }
    assert_eq!(closed.of("click", Some(1)).err(), Some(Unknown::Type));
}

#[test]
fn what_was_taken_in_is_kept_as_long_as_it_was_said_also_when_its_type_is_retired() {
    let kept = |kind: &str, status, days: Option<f64>| EventTypeRow {
        event_type: kind.into(),
        retention_us: days.map(|days| days * DAY as f64),
        ..row(1, status)
    };
    let none = Purposes::default();
    let of = |event_types| contracts(&content(event_types), &none, &mut Faults::default());
    let click = || kept("click", "accepted", Some(30.0));
    let both = of(vec![click(), kept("order", "retired", Some(400.0))]);
    assert_eq!(both.longest_retention(), Some(400 * DAY));
    let retentions: Vec<_> = both.retentions().collect();
    assert_eq!(retentions, [("click", 30 * DAY), ("order", 400 * DAY)]);
    let for_ever = of(vec![click(), kept("order", "retired", None)]);
    assert_eq!(for_ever.longest_retention(), None);
    assert_eq!(for_ever.retentions().count(), 1);
    assert_eq!(of(Vec::new()).longest_retention(), None);
}

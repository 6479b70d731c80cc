//! Events good and bad, the same ones for the same seed.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// How many users the good events are of.
pub const USERS: usize = 100;

#[derive(Clone)]
pub struct Made {
    pub text: String,
    pub good: bool,
    /// Whether Postgres takes it as jsonb.
    pub jsonb: bool,
    pub how: &'static str,
}

/// Makes events, the same ones for the same seed.
pub struct Maker {
    pub rng: StdRng,
    number: usize,
    moments: Vec<String>,
}

/// A fault that a field can have: its name, and values none of which does.
const FAULTS: &[(&str, &[&str])] = &[
    (
        "event_id",
        &["null", "\"\"", "\"  \"", "1.5", "true", "[]", "{}", "1e30"],
    ),
    (
        "user_id",
        &[
            "null",
            "\"\"",
            "-0.5",
            "1e30",
            "[\"u\"]",
            "{\"a\": 1}",
            "false",
        ],
    ),
    (
        "type",
        &[
            "null",
            "\"\"",
            "7",
            "\"Order\"",
            "\"unknown\"",
            "[]",
            "\"\u{202e}order\"",
        ],
    ),
    (
        "at",
        &[
            "null",
            "0",
            "1767225600",
            "\"\"",
            "\"now\"",
            "\"infinity\"",
            "\"2026-02-30T00:00:00Z\"",
            "\"2026-13-01T00:00:00Z\"",
            "\"2026-01-01T25:00:00Z\"",
            "\"2026-01-01\"",
            "\"2026-01-01T00:00:00\"",
            "\"-262143-01-01 00:00:00+00\"",
            "\"+262142-01-01 00:00:00+00\"",
            "\"99999999-01-01 00:00:00+00\"",
            "\"0000-01-01T00:00:00Z\"",
            "\"9999-12-31T23:59:59Z\"",
            "\"1999-01-01T00:00:00Z\"",
            "[2026, 1, 1]",
            "\"2026-01-01T00:00:00+99:99\"",
            "\"١٩٩٩-01-01T00:00:00Z\"",
        ],
    ),
    (
        "value",
        &[
            "null",
            "\"7\"",
            "1e400",
            "-1e400",
            "1e131000",
            "-1",
            "1000.0001",
            "true",
            "[]",
            "{}",
        ],
    ),
    (
        "action",
        &[
            "7",
            "\"\"",
            "\"a name that is much too long\"",
            "[]",
            "\"\u{1F600}\u{1F600}\u{1F600}\u{1F600}\u{1F600}\u{1F600}\u{1F600}\u{1F600}\u{1F600}\u{1F600}\u{1F600}\u{1F600}\u{1F600}\u{1F600}\u{1F600}\u{1F600}\u{1F600}\u{1F600}\u{1F600}\u{1F600}\u{1F600}\"",
        ],
    ),
    ("surface", &["false", "\"  \"", "{}", "0"]),
    (
        "decision_id",
        &[
            "\"x\"",
            "7",
            "\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\"",
            "[]",
            "\"019b76da-a800-7000-8000-00000000000\"",
        ],
    ),
    (
        "schema",
        &[
            "0",
            "2",
            "1.5",
            "\"1\"",
            "99999999999999999999",
            "-1",
            "[1]",
            "true",
        ],
    ),
    ("attributes", &["[]", "7", "\"x\"", "true"]),
];

/// The same for attributes.
const ATTRIBUTES: &[(&str, &[&str])] = &[
    (
        "pieces",
        &[
            "1.5",
            "-1",
            "1001",
            "\"3\"",
            "1e400",
            "9223372036854775808",
            "true",
            "[]",
        ],
    ),
    ("color", &["\"green\"", "7", "\"\"", "[\"red\"]", "\"RED\""]),
    ("gift", &["\"true\"", "1", "0", "[]"]),
    (
        "due",
        &["\"tomorrow\"", "5", "\"2026-02-29T00:00:00Z\"", "{}"],
    ),
    (
        "basket",
        &["\"x\"", "7", "\"a0eebc99-9c0b-4ef8-bb6d\"", "[]"],
    ),
];

/// What stands in for a whole document: no object, or no JSON at all, which jsonb refuses.
const DOCUMENTS: &[(&str, bool)] = &[
    ("[[]]", true),
    ("7", true),
    ("null", true),
    ("\"text\"", true),
    ("true", true),
    ("{}", true),
    ("", false),
    ("{", false),
    ("}", false),
    ("{\"a\"}", false),
    ("{'a': 1}", false),
    ("nul", false),
    ("NaN", false),
    ("{\"a\": 01}", false),
    ("{\"a\": 1,}", false),
    ("{\"a\": \u{1}}", false),
    ("\u{feff}{}", false),
];

/// What makes any document unfit for jsonb, inside it.
const UNFIT: &[&str] = &[
    "\"\\u0000\"",
    "\"\\ud83d\"",
    "\"\\ude00\"",
    "\"\\ude00\\ud83d\"",
    "\"\\x\"",
    "\"\\u12\"",
    "\"\t\"",
    "1e999999",
    "Infinity",
    "0x10",
    ".5",
    "+1",
    "'a'",
    "undefined",
];

impl Maker {
    pub fn new(seed: u64, moments: Vec<String>) -> Maker {
        Maker {
            rng: StdRng::seed_from_u64(seed),
            number: 0,
            moments,
        }
    }

    /// So many events, one in ten of them good, in any order.
    pub fn batch(&mut self, size: usize) -> Vec<Made> {
        (0..size).map(|_| self.event()).collect()
    }

    fn event(&mut self) -> Made {
        self.number += 1;
        let fields = self.good();
        let bad = |how, text, jsonb| Made {
            text,
            good: false,
            jsonb,
            how,
        };
        match self.rng.random_range(0..100) {
            0..10 => Made {
                text: object(&fields),
                good: true,
                jsonb: true,
                how: "good",
            },
            10..15 => {
                let &(text, jsonb) = self.one_of(DOCUMENTS);
                bad("another document", text.into(), jsonb)
            }
            15..25 => {
                let whole = object(&fields);
                let places: Vec<usize> = whole.char_indices().map(|(at, _)| at).collect();
                bad("cut off", whole[..*self.one_of(&places)].into(), false)
            }
            25..30 => {
                let value = *self.one_of(UNFIT);
                bad(
                    "unfit for jsonb",
                    object(&with(fields, "extra", value)),
                    false,
                )
            }
            30..34 => self.deep(fields),
            34..36 => {
                let much = format!("\"{}\"", "x".repeat(self.rng.random_range(66_000..90_000)));
                bad("too large", object(&with(fields, "extra", &much)), true)
            }
            36..40 => bad("random", self.noise(), false),
            40..50 => {
                let missing = *self.one_of(&["event_id", "user_id", "type", "at", "value"]);
                let rest: Vec<Field> = fields
                    .into_iter()
                    .filter(|field| field.0 != missing)
                    .collect();
                bad("missing", object(&rest), true)
            }
            50..75 => {
                let (name, values) = *self.one_of(FAULTS);
                let value = *self.one_of(values);
                bad(name, object(&with(fields, name, value)), true)
            }
            75..90 => {
                let (name, values) = *self.one_of(ATTRIBUTES);
                let attributes = format!("{{\"{name}\": {}, \"more\": [1]}}", self.one_of(values));
                bad(name, object(&with(fields, "attributes", &attributes)), true)
            }
            _ => self.several(fields),
        }
    }

    /// The fields of a good event; its numbers are exact in any order of addition.
    fn good(&mut self) -> Vec<Field> {
        let user = 1 + self.number % USERS;
        let at = self
            .moments
            .choose(&mut self.rng)
            .cloned()
            .unwrap_or_default();
        let rng = &mut self.rng;
        let mut attributes = format!("{{\"pieces\": {}", rng.random_range(0..1000));
        if rng.random_bool(0.3) {
            attributes +=
                ", \"color\": \"red\", \"gift\": true, \"due\": \"2030-01-01T00:00:00+05:30\"";
        }
        if rng.random_bool(0.3) {
            attributes +=
                ", \"\": [[[{\"a\": null}]]], \"größe\": \"\\ud83d\\ude00\", \"huge\": 1e131000";
        }
        let mut fields = vec![
            field("event_id", &format!("\"e{}\"", self.number)),
            field("type", "\"order\""),
            field("user_id", &user.to_string()),
            field("at", &format!("\"{at}\"")),
            field("value", &format!("{}.25", rng.random_range(0..999))),
            field("attributes", &(attributes + "}")),
        ];
        if rng.random_bool(0.3) {
            fields.push(field("schema", "1"));
            fields.push(field("action", "null"));
            fields.push(field("unknown", "{\"at\": [\"never\"]}"));
        }
        fields
    }

    /// Several faults at once, the fields in any order.
    fn several(&mut self, mut fields: Vec<Field>) -> Made {
        for _ in 0..self.rng.random_range(2..6) {
            let (name, values) = *self.one_of(FAULTS);
            let value = *self.one_of(values);
            fields = with(fields, name, value);
        }
        let turn = self.rng.random_range(0..fields.len());
        fields.rotate_left(turn);
        Made {
            text: object(&fields),
            good: false,
            jsonb: true,
            how: "several faults",
        }
    }

    /// Nested beyond measure: a little, or as far as the size allows.
    fn deep(&mut self, fields: Vec<Field>) -> Made {
        let far = self.rng.random_bool(0.2);
        let levels = self
            .rng
            .random_range(if far { 5_000..10_000 } else { 201..1000 });
        let (open, close) = *self.one_of(&[("[", "]"), ("{\"a\":", "}"), ("[1,", "]")]);
        let inside = format!("{}1{}", open.repeat(levels), close.repeat(levels));
        let place = *self.one_of(&["extra", "value", "attributes"]);
        let text = object(&with(fields, place, &inside));
        // A cast to jsonb[] of what exhausts the stack is an error of the cast.
        Made {
            text,
            good: false,
            jsonb: !far,
            how: "deep",
        }
    }

    /// Characters of all kinds, none of which opens an object.
    fn noise(&mut self) -> String {
        let length = self.rng.random_range(1..200);
        let noise = (0..length).map(|_| match self.rng.random_range(0..4) {
            0 => char::from(self.rng.random_range(0x20..0x7f_u8)),
            1 => self.rng.random_range('\u{1}'..'\u{20}'),
            2 => *self.one_of(&['{', '}', '[', ']', '"', '\\', ':', ',', 'u', '0', 'e', '-']),
            _ => self.rng.random_range('\u{80}'..char::MAX),
        });
        let noise: String = noise.collect();
        format!("~{noise}")
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        all.choose(&mut self.rng).expect("a list that is not empty")
    }
}

/// The name of a field and its value as JSON.
type Field = (String, String);

fn field(name: &str, value: &str) -> Field {
    (name.into(), value.into())
}

/// The fields with another value for one of them.
fn with(mut fields: Vec<Field>, name: &str, value: &str) -> Vec<Field> {
    fields.retain(|field| field.0 != name);
    fields.push(field(name, value));
    fields
}

fn object(fields: &[Field]) -> String {
    let members: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("\"{name}\": {value}"))
        .collect();
    format!("{{{}}}", members.join(", "))
}

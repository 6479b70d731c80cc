//! Probabilities of what was chosen for logs that have none, estimated from covariates.

use std::collections::{BTreeMap, HashMap};

use pgrx::pg_sys::{OIDOID, Oid};

use crate::error::{Error, printable};
use crate::math::train::{Design, Propensities, TrainError, stratified_folds};
use crate::pg::plan::Cursor;
use crate::pg::{Plan, Row, Session, Statement, datum, identity, session};

thread_local! {
    static COLUMNS: Statement = const { Statement::new(
        "SELECT a.attname::text, pg_catalog.quote_ident(a.attname::text), t.typcategory::text \
           FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid \
          WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped", &[OIDOID]) };
    static NAME: Statement = const { Statement::new(
        "SELECT c.oid::pg_catalog.regclass::text FROM pg_catalog.pg_class AS c WHERE c.oid = $1", &[OIDOID]) };
}

/// What is estimated from what.
pub struct Question<'a> {
    pub source: Oid,
    /// Columns of the source: what the choice may have depended on, what was chosen, and what names a row.
    pub covariates: Vec<&'a str>,
    pub action: &'a str,
    pub id: &'a str,
    pub l2: f64,
    pub folds: usize,
    pub seed: i64,
}

/// The most numbers that are kept for all rows and actions: some ten times as many bytes as this are used for each of a dozen vectors.
const MOST_CELLS: usize = 10_000_000;

/// The most rows.
const MOST_ROWS: usize = 2_000_000;

/// The most actions.
const MOST_ACTIONS: usize = 1_000;

/// A text needs so many rows to be a column, and a covariate has at most so many such columns.
const LEAST_ROWS: usize = 5;
const MOST_LEVELS: usize = 200;

/// How many rows are read at once.
const BATCH: i64 = 1_000;

const HINT: &str = "Name columns of a table or view: an id and the action of each row, and what the choice may have depended on. See \\df+ decide.estimate_propensities.";

/// A log with the probabilities that were estimated for it.
pub struct Estimated {
    pub ids: Vec<String>,
    /// The actions by their index.
    pub actions: Vec<String>,
    /// What was chosen, by that index, and in which fold the row was.
    pub chosen: Vec<usize>,
    pub fold_of: Vec<usize>,
    /// Names of the columns, of which the first is the intercept.
    pub columns: Vec<String>,
    pub design: Design,
    pub propensities: Propensities,
}

/// Reads the source as `caller`, and estimates.
pub fn estimate(question: &Question<'_>, caller: Oid) -> Result<Estimated, Error> {
    if !(2..=20).contains(&question.folds) {
        return Err(refused("folds must be between 2 and 20".into()));
    }
    let log = Log::read(question, caller)?;
    let (actions, chosen) = log.actions();
    check(&actions, &chosen, question.folds)?;
    let (columns, encodings) = log.encodings();
    let mut design = Design::new();
    let mut row = Vec::new();
    for (i, &action) in chosen.iter().enumerate() {
        row.clear();
        row.push((0, 1.0));
        for (values, encoding) in log.covariates.iter().zip(&encodings) {
            row.extend(encoding.of(values, i));
        }
        design.push(&row, action as f64, 1.0);
    }
    let (width, classes, folds) = (columns.len(), actions.len(), question.folds);
    let fold_of = stratified_folds(design.labels(), classes, folds, question.seed as u64);
    let propensities = Propensities::estimate(
        &design,
        width,
        classes,
        question.l2,
        &fold_of,
        folds,
        &mut session::check_interrupts,
    )
    .map_err(|error: TrainError| refused(error.to_string()))?;
    if !propensities.converged {
        pgrx::warning!(
            "the probabilities have not settled, and are the best that were found; raise l2, or leave covariates out"
        );
    }
    Ok(Estimated {
        ids: log.ids,
        actions,
        chosen,
        fold_of,
        columns,
        design,
        propensities,
    })
}

fn refused(what: String) -> Error {
    Error::Evaluation(what, HINT)
}

fn check(actions: &[String], chosen: &[usize], folds: usize) -> Result<(), Error> {
    if actions.len() < 2 {
        return Err(refused("the source has fewer than two actions".into()));
    }
    if actions.len() > MOST_ACTIONS || actions.len() * chosen.len() > MOST_CELLS {
        return Err(refused(format!(
            "the source has {} rows and {} actions, more than {MOST_ACTIONS} actions or {MOST_CELLS} of both multiplied",
            chosen.len(),
            actions.len()
        )));
    }
    let mut rows = vec![0; actions.len()];
    chosen.iter().for_each(|&action| rows[action] += 1);
    match rows.iter().position(|&rows| rows < folds) {
        None => Ok(()),
        Some(rare) => Err(refused(format!(
            "action \"{}\" has {} rows, fewer than folds",
            printable(&actions[rare]),
            rows[rare]
        ))),
    }
}

/// The most bytes of texts of the source that are kept.
const MOST_BYTES: usize = 512 << 20;

/// The source as it was read.
struct Log {
    ids: Vec<String>,
    chosen: Vec<String>,
    names: Vec<String>,
    covariates: Vec<Values>,
    /// Of its texts.
    bytes: usize,
}

/// A covariate of all rows: numbers, where NaN is missing, or texts by their index in a list, from 1.
enum Values {
    Numbers(Vec<f64>),
    Texts {
        of_rows: Vec<u32>,
        known: HashMap<String, u32>,
    },
}

impl Log {
    fn read(question: &Question<'_>, caller: Oid) -> Result<Log, Error> {
        let _session = Session::open();
        let (query, covariates) = query(question)?;
        let mut log = Log {
            ids: Vec::new(),
            chosen: Vec::new(),
            names: question.covariates.iter().map(|&c| c.to_owned()).collect(),
            covariates,
            bytes: 0,
        };
        let mut cursor = {
            let _acting = identity::act_as(caller);
            Cursor::open(Plan::prepare(&query, &[]), &[])
        };
        loop {
            session::check_interrupts();
            let _batch = Session::open();
            let _acting = identity::act_as(caller);
            let mut wrong = None;
            let read = cursor.fetch(BATCH, |row| {
                if let Err(what) = log.push(&row) {
                    wrong.get_or_insert(what);
                }
            });
            if let Some(what) = wrong {
                return Err(refused(format!("the source has a row whose {what}")));
            }
            if log.ids.len() > MOST_ROWS {
                return Err(refused(format!(
                    "the source has more than {MOST_ROWS} rows"
                )));
            }
            if read == 0 {
                return Ok(log);
            }
        }
    }

    fn push(&mut self, row: &Row<'_>) -> Result<(), &'static str> {
        let id: String = row.get(1).ok_or("id is null")?;
        let action: String = row.get(2).ok_or("action is null")?;
        self.bytes += id.len() + action.len();
        self.ids.push(id);
        self.chosen.push(action);
        for (i, values) in self.covariates.iter_mut().enumerate() {
            let column = i as i32 + 3;
            match values {
                Values::Numbers(numbers) => {
                    let number = row.get::<f64>(column).filter(|number| number.is_finite());
                    numbers.push(number.unwrap_or(f64::NAN));
                }
                Values::Texts { of_rows, known } => {
                    let next = known.len() as u32 + 1;
                    let text = row.get::<String>(column);
                    self.bytes += text.as_ref().map_or(0, String::len);
                    of_rows.push(text.map_or(0, |text| *known.entry(text).or_insert(next)));
                }
            }
        }
        match self.bytes > MOST_BYTES {
            true => Err("texts make 512 MB with those of the rows before"),
            false => Ok(()),
        }
    }

    /// The actions in their order, and the index of that of each row.
    fn actions(&self) -> (Vec<String>, Vec<usize>) {
        let mut known: BTreeMap<&str, usize> = BTreeMap::new();
        for action in &self.chosen {
            known.insert(action, 0);
        }
        let names: Vec<String> = known.keys().map(|&name| name.to_owned()).collect();
        known
            .values_mut()
            .enumerate()
            .for_each(|(i, index)| *index = i);
        let chosen = self.chosen.iter().map(|action| known[action.as_str()]);
        let chosen = chosen.collect();
        (names, chosen)
    }

    /// The names of all columns, and how each covariate becomes some of them.
    fn encodings(&self) -> (Vec<String>, Vec<Encoding>) {
        let mut columns = vec!["1".to_owned()];
        let mut encodings = Vec::new();
        for (name, values) in self.names.iter().zip(&self.covariates) {
            let encoding = match values {
                Values::Numbers(numbers) => {
                    let number = Encoding::number(columns.len() as u32, numbers);
                    if matches!(number, Encoding::Number { .. }) {
                        columns.push(name.clone());
                    }
                    number
                }
                Values::Texts { of_rows, known } => {
                    let mut rows = vec![0usize; known.len() + 1];
                    of_rows.iter().for_each(|&text| rows[text as usize] += 1);
                    let mut kept: Vec<(&str, u32)> = known
                        .iter()
                        .filter(|&(_, &text)| rows[text as usize] >= LEAST_ROWS)
                        .map(|(text, &index)| (&text[..], index))
                        .collect();
                    kept.sort_by_key(|&(text, index)| {
                        (std::cmp::Reverse(rows[index as usize]), text)
                    });
                    kept.truncate(MOST_LEVELS);
                    kept.sort_unstable();
                    let mut column_of = vec![None; known.len() + 1];
                    for (text, index) in kept {
                        column_of[index as usize] = Some(columns.len() as u32);
                        columns.push(format!("{name}: {text}"));
                    }
                    Encoding::Levels(column_of)
                }
            };
            encodings.push(encoding);
        }
        (columns, encodings)
    }
}

/// How a covariate becomes columns of the design.
enum Encoding {
    /// In standard deviations from its mean, so that the penalty is the same for all.
    Number {
        column: u32,
        mean: f64,
        deviation: f64,
    },
    /// The column of each text; none of rare ones.
    Levels(Vec<Option<u32>>),
    /// It is the same in all rows.
    Nothing,
}

impl Encoding {
    fn number(column: u32, numbers: &[f64]) -> Encoding {
        let known = || numbers.iter().filter(|number| !number.is_nan());
        let n = known().count() as f64;
        let mean = known().sum::<f64>() / n;
        let squares: f64 = known().map(|x| (x - mean) * (x - mean)).sum();
        let deviation = (squares / n).sqrt();
        match deviation > 1e-9 * mean.abs() && deviation.is_finite() {
            true => Encoding::Number {
                column,
                mean,
                deviation,
            },
            false => Encoding::Nothing,
        }
    }

    /// What the row has of it; nothing where it is missing.
    fn of(&self, values: &Values, row: usize) -> Option<(u32, f32)> {
        match (self, values) {
            (
                &Encoding::Number {
                    column,
                    mean,
                    deviation,
                },
                Values::Numbers(numbers),
            ) => {
                let number = Some(numbers[row]).filter(|number| !number.is_nan())?;
                Some((column, ((number - mean) / deviation) as f32))
            }
            (Encoding::Levels(columns), Values::Texts { of_rows, .. }) => {
                Some((columns[of_rows[row] as usize]?, 1.0))
            }
            _ => None,
        }
    }
}

/// The statement that reads the source, and lists for its covariates.
fn query(question: &Question<'_>) -> Result<(String, Vec<Values>), Error> {
    let mut columns: HashMap<String, (String, String)> = HashMap::new();
    let mut name = None::<String>;
    let source = [datum::oid(question.source)];
    COLUMNS.with(|statement| {
        statement.read(&source, |row| {
            columns.insert(row.must(1), (row.must(2), row.must(3)));
        })
    });
    NAME.with(|statement| statement.read(&source, |row| name = row.get(1)));
    let name = name.ok_or_else(|| refused("source does not exist".into()))?;
    let find = |column: &str| {
        let found = columns.get(column);
        found.ok_or_else(|| {
            let column = printable(column);
            refused(format!("{name} has no column \"{column}\""))
        })
    };
    let mut list = Vec::new();
    for column in [question.id, question.action] {
        list.push(format!("s.{}::pg_catalog.text", find(column)?.0));
    }
    let mut covariates = Vec::new();
    for column in &question.covariates {
        let (quoted, category) = find(column)?;
        let (cast, values) = match category.as_str() {
            "N" => ("::pg_catalog.float8", Values::Numbers(Vec::new())),
            "B" => (
                "::pg_catalog.int4::pg_catalog.float8",
                Values::Numbers(Vec::new()),
            ),
            _ => (
                "::pg_catalog.text",
                Values::Texts {
                    of_rows: Vec::new(),
                    known: HashMap::new(),
                },
            ),
        };
        list.push(format!("s.{quoted}{cast}"));
        covariates.push(values);
    }
    Ok((
        format!("SELECT {} FROM {name} AS s", list.join(", ")),
        covariates,
    ))
}

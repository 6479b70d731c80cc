//! The reasons of decisions, for SQL: `decide.reason_catalog`, `decide.blocked_reason` and `decide.blocked_reasons`.

use pgrx::AnyElement;
use pgrx::pg_sys::FunctionCallInfo;
use pgrx::prelude::*;

use super::blocked::{self, FIRST_CAP, described};
use super::reason;
use crate::error::OrRaise;
use crate::pg::call::Call;
use crate::pg::invalidation::Watch;
use crate::pg::texts::Texts;
use crate::pg::{Cached, Statement, clock, datum, identity};
use crate::policy::{ALL_FOR, must_be_short};

thread_local! {
    static REASONS: Cached<Reasons> = const {
        Cached::new(Watch::Publication, "decide.publication")
    };
    // Without an operator or a function: those that call it may have any search_path.
    static CAPS: Statement = const { Statement::new(
        "SELECT s.slot, s.cap, s.value FROM decide.cap_slot AS s", &[]) };
}

/// Every reason by its code, as `decide.decision` names it.
struct Reasons {
    texts: Texts,
    read_at: i64,
}

/// reason_catalog(): a row for each reason.
#[pg_extern(sql = false)]
fn reason_catalog(call: FunctionCallInfo) {
    let call = Call::running(call);
    let mut rows = call.rows();
    for (name, text) in reason::REASONS {
        let step = datum::text("fallback");
        rows.push([
            datum::text("fallback"),
            None,
            datum::text(name.trim_end()),
            step,
            datum::text(text),
        ]);
    }
    for reason in blocked::REASONS {
        rows.push([
            datum::text("blocked"),
            datum::int4(reason.code),
            datum::text(reason.name.trim_end()),
            datum::text(reason.step),
            datum::text(reason.text),
        ]);
    }
}

/// blocked_reason(code): what a number in decide.trace.blocked_by says.
#[pg_extern(sql = false)]
fn blocked_reason(call: FunctionCallInfo) -> Option<AnyElement> {
    let call = Call::running(call);
    let mut code = [call.int4(0)?];
    let reason = with_reasons(&call, &mut code, |reasons, code| reasons.text(code[0]));
    call.answer(reason)
}

/// blocked_reasons(codes): the same for all numbers of a trace.
#[pg_extern(sql = false)]
fn blocked_reasons(call: FunctionCallInfo) -> Option<AnyElement> {
    let call = Call::running(call);
    let codes = call.optional_int4s(0)?;
    must_be_short(codes.len()).or_raise();
    let mut codes: Vec<i32> = codes.into_iter().map(Option::unwrap_or_default).collect();
    let reasons = with_reasons(&call, &mut codes, |reasons, codes| {
        reasons.array(codes.iter().copied())
    });
    call.answer(Some(reasons))
}

/// What a cap that is not known has in the place of its code: no reason has this number.
const UNKNOWN_CAP: i32 = FIRST_CAP - 1;

/// Hands on the texts of all reasons, and the codes by which to look for them. They are read as names of actions are:
/// not at every call, and with the rights of the owner.
fn with_reasons<R>(call: &Call, codes: &mut [i32], then: impl FnOnce(&Texts, &[i32]) -> R) -> R {
    let read = || read(call);
    REASONS.with(|kept| {
        let is_enough = |reasons: &Reasons| {
            let mut caps = codes.iter().filter(|&&code| code >= FIRST_CAP);
            caps.all(|&code| reasons.texts.has(code)) || clock::now() < reasons.read_at + ALL_FOR
        };
        if !kept.with(read, is_enough) {
            kept.forget();
        }
        kept.with(read, |reasons| {
            for code in codes.iter_mut() {
                if *code >= FIRST_CAP && !reasons.texts.has(*code) {
                    *code = UNKNOWN_CAP;
                }
            }
            then(&reasons.texts, codes)
        })
    })
}

fn read(call: &Call) -> Reasons {
    let _owner = identity::act_as(call.owner());
    let read_at = clock::now();
    let mut texts: Vec<Option<String>> = vec![None; FIRST_CAP as usize];
    for reason in blocked::REASONS.iter().filter(|of| of.code < FIRST_CAP) {
        texts[reason.code as usize] = Some(reason.name.to_owned());
    }
    let of_cap = described(FIRST_CAP).expect("the reason of all caps").name;
    texts[UNKNOWN_CAP as usize] = Some(format!("{of_cap}?"));
    CAPS.with(|statement| {
        statement.read(&[], |row| {
            let code = (FIRST_CAP as usize) + usize::try_from(row.must::<i32>(1)).unwrap_or(0);
            if texts.len() <= code {
                texts.resize(code + 1, None);
            }
            let name: String = row.must(2);
            texts[code] = Some(match row.get::<String>(3) {
                Some(value) => format!("{of_cap}{name} ({value})"),
                None => format!("{of_cap}{name}"),
            });
        })
    });
    Reasons {
        texts: Texts::of(texts.into_iter()),
        read_at,
    }
}

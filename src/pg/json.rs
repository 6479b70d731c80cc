//! Reading jsonb where it lies: no parse, no copy.

use std::ffi::{CStr, CString};
use std::marker::PhantomData;

use pgrx::IntoDatum;
use pgrx::pg_sys::{self, jbvType};

use super::value::Value;

/// A jsonb value; borrowed from the datum that it was opened on.
#[derive(Clone, Copy)]
pub struct Json<'a> {
    container: *mut pg_sys::JsonbContainer,
    size: usize,
    whole: pg_sys::Datum,
    lives: PhantomData<&'a ()>,
}

/// `{}` as the server stores it: the length of 8 bytes, in the bits that say so, and an object of no fields.
static EMPTY: [u32; 2] = [
    if cfg!(target_endian = "big") {
        8
    } else {
        8 << 2
    },
    pg_sys::JB_FOBJECT,
];

/// A jsonb in memory of its own.
pub struct Document(Box<[u64]>);

impl Document {
    /// Parses a text; what is no JSON is a Postgres error.
    pub fn parse(text: &str) -> Document {
        let parsed = parsed(text);
        // SAFETY: a jsonb that was allocated just now, and is freed once it was copied.
        unsafe {
            let document = Document::copy(parsed);
            pg_sys::pfree(parsed.cast_mut_ptr());
            document
        }
    }

    /// A copy of a jsonb.
    ///
    /// # Safety
    /// The datum must be a jsonb.
    unsafe fn copy(datum: pg_sys::Datum) -> Document {
        // SAFETY: the caller's promise; there is room for its bytes, and what is copied is not looked at any more.
        unsafe {
            let jsonb = datum.cast_mut_ptr::<pg_sys::varlena>();
            let plain = pg_sys::pg_detoast_datum(jsonb);
            let size = pgrx::varsize_any(plain);
            let mut bytes = vec![0u64; size.div_ceil(8)];
            std::ptr::copy_nonoverlapping(plain.cast::<u8>(), bytes.as_mut_ptr().cast(), size);
            Document(bytes.into())
        }
    }

    pub fn json(&self) -> Json<'_> {
        // SAFETY: a jsonb that is not compressed, alive as long as self, and aligned as such.
        unsafe { Json::open(pg_sys::Datum::from(self.0.as_ptr())) }
    }
}

/// A jsonb in the current memory context; what is no JSON is a Postgres error.
fn parsed(text: &str) -> pg_sys::Datum {
    let text = CString::new(text).unwrap_or_default();
    // SAFETY: jsonb_in takes a C string and answers a jsonb.
    unsafe {
        let argument = Some(pg_sys::Datum::from(text.as_ptr()));
        let parsed = pgrx::direct_function_call_as_datum(pg_sys::jsonb_in, &[argument]);
        parsed.expect("jsonb_in answers a value")
    }
}

/// A jsonb from its text, for a statement.
pub fn datum(text: &str) -> Value<'_> {
    Value::from_text(text, pg_sys::JSONBOID, parsed)
}

/// One field of an object.
#[derive(Clone, Copy)]
pub enum Field<'a> {
    Null,
    Bool(bool),
    Number(f64),
    Text(&'a str),
    Object(Json<'a>),
    Array,
}

impl<'a> Json<'a> {
    /// Opens a jsonb datum, detoasting it into the current memory context where it must.
    ///
    /// # Safety
    /// The datum must be a jsonb, and it, and the current memory context, be there for `'a`.
    pub(super) unsafe fn open(datum: pg_sys::Datum) -> Json<'a> {
        // SAFETY: the caller's promise.
        unsafe {
            let plain = pg_sys::pg_detoast_datum(datum.cast_mut_ptr());
            let size = pgrx::varsize_any(plain);
            let jsonb = plain.cast::<pg_sys::Jsonb>();
            Json {
                container: &raw mut (*jsonb).root,
                size,
                whole: pg_sys::Datum::from(plain),
                lives: PhantomData,
            }
        }
    }

    /// The empty object.
    pub fn nothing() -> Json<'a> {
        // SAFETY: a jsonb that is there for good.
        unsafe { Json::open(pg_sys::Datum::from(EMPTY.as_ptr())) }
    }

    /// This object with the fields of another one: added, or instead of its own.
    pub fn with(&self, other: &Json<'_>) -> Document {
        // SAFETY: a function of two jsonb that answers one.
        unsafe {
            let arguments = [Some(self.whole), Some(other.whole)];
            let merged = pgrx::direct_function_call_as_datum(pg_sys::jsonb_concat, &arguments);
            Document::copy(merged.expect("jsonb_concat answers a value"))
        }
    }

    /// This object without a field.
    pub fn without(&self, key: &str) -> Document {
        // SAFETY: a function of a jsonb and a text that answers a jsonb.
        unsafe {
            let arguments = [Some(self.whole), key.into_datum()];
            let rest = pgrx::direct_function_call_as_datum(pg_sys::jsonb_delete, &arguments);
            Document::copy(rest.expect("jsonb_delete answers a value"))
        }
    }

    /// This object with other values for some of its fields, or without them, in the current memory context.
    pub fn changed(&self, changes: &[(&str, Option<Json<'a>>)]) -> Json<'a> {
        use pg_sys::JsonbIteratorToken::*;
        let nothing = std::ptr::null_mut();
        // SAFETY: the container is an object that is alive for 'a. The iterator hands out each key and, as a whole, the
        // value behind it; what is pushed is alive until the new document is made, a copy.
        unsafe {
            let mut iterator = pg_sys::JsonbIteratorInit(self.container);
            let (mut key, mut value) =
                (pg_sys::JsonbValue::default(), pg_sys::JsonbValue::default());
            pg_sys::JsonbIteratorNext(&mut iterator, &mut key, false);
            let mut state = std::ptr::null_mut();
            pg_sys::pushJsonbValue(&mut state, WJB_BEGIN_OBJECT, nothing);
            while pg_sys::JsonbIteratorNext(&mut iterator, &mut key, true) == WJB_KEY {
                pg_sys::JsonbIteratorNext(&mut iterator, &mut value, true);
                let mut of_key = changes.iter().filter(|(name, _)| *name == string(&key));
                let mut other = match of_key.next() {
                    None => value,
                    Some((_, Some(other))) => other.as_value(),
                    Some((_, None)) => continue,
                };
                pg_sys::pushJsonbValue(&mut state, WJB_KEY, &mut key);
                pg_sys::pushJsonbValue(&mut state, WJB_VALUE, &mut other);
            }
            let whole = pg_sys::pushJsonbValue(&mut state, WJB_END_OBJECT, nothing);
            Json::open(pg_sys::Datum::from(pg_sys::JsonbValueToJsonb(whole)))
        }
    }

    /// The document as a value of another one.
    fn as_value(&self) -> pg_sys::JsonbValue {
        // SAFETY: the container is alive for 'a; one that stands for a scalar has one element.
        unsafe {
            if (*self.container).header & pg_sys::JB_FSCALAR != 0 {
                return *pg_sys::getIthJsonbValueFromContainer(self.container, 0);
            }
            let mut value = pg_sys::JsonbValue {
                type_: jbvType::jbvBinary,
                ..Default::default()
            };
            value.val.binary.data = self.container;
            value.val.binary.len = self.size as i32;
            value
        }
    }

    /// A text as a document, in the current memory context.
    pub fn of_text(text: &str) -> Json<'a> {
        Json::of_value(|value| {
            value.type_ = jbvType::jbvString;
            value.val.string.val = text.as_ptr().cast_mut().cast();
            value.val.string.len = text.len() as i32;
        })
    }

    /// An array of nothing, in the current memory context.
    pub fn empty_array() -> Json<'a> {
        Json::of_value(|value| value.type_ = jbvType::jbvArray)
    }

    fn of_value(fill: impl FnOnce(&mut pg_sys::JsonbValue)) -> Json<'a> {
        let mut value = pg_sys::JsonbValue::default();
        fill(&mut value);
        // SAFETY: the tag says which member of the union was filled; the document is a copy.
        unsafe { Json::open(pg_sys::Datum::from(pg_sys::JsonbValueToJsonb(&mut value))) }
    }

    /// The field of that name as a document of its own, in the current memory context; also of an object within another.
    pub fn part(&self, key: &str) -> Option<Json<'a>> {
        let mut value = self.find(key)?;
        // SAFETY: what the value borrows from is alive for 'a; the document is a copy.
        unsafe {
            Some(Json::open(pg_sys::Datum::from(pg_sys::JsonbValueToJsonb(
                &mut value,
            ))))
        }
    }

    /// The document as text.
    pub fn text(&self) -> String {
        // SAFETY: a function of a jsonb that answers a C string, which is copied.
        let text =
            unsafe { pgrx::direct_function_call::<&CStr>(pg_sys::jsonb_out, &[Some(self.whole)]) };
        text.map(|text| text.to_string_lossy().into_owned())
            .unwrap_or_default()
    }

    /// Bytes that it takes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The elements, if it is an array, each in the current memory context.
    pub fn elements(&self) -> Option<Vec<Json<'a>>> {
        // SAFETY: the header of a container; its elements are as many as it says, and each becomes a jsonb of its own.
        unsafe {
            let header = (*self.container).header;
            if header & pg_sys::JB_FARRAY == 0 || header & pg_sys::JB_FSCALAR != 0 {
                return None;
            }
            let element = |i| {
                let value = pg_sys::getIthJsonbValueFromContainer(self.container, i);
                Json::open(pg_sys::Datum::from(pg_sys::JsonbValueToJsonb(value)))
            };
            Some((0..header & pg_sys::JB_CMASK).map(element).collect())
        }
    }

    /// The value as a parameter takes it; only of a whole document.
    pub fn datum(&self) -> Value<'a> {
        // SAFETY: a jsonb that is alive for 'a.
        unsafe { Value::of(self.whole, pg_sys::JSONBOID) }
    }

    pub fn is_object(&self) -> bool {
        // SAFETY: the container is alive for 'a.
        unsafe { (*self.container).header & pg_sys::JB_FOBJECT != 0 }
    }

    /// How many fields it has, if it is an object.
    pub fn fields(&self) -> usize {
        // SAFETY: the container is alive for 'a.
        match self.is_object() {
            true => unsafe { ((*self.container).header & pg_sys::JB_CMASK) as usize },
            false => 0,
        }
    }

    /// Whether objects and arrays lie in each other more than `most` deep.
    pub fn deeper_than(&self, most: usize) -> bool {
        // A level takes two words at least.
        if self.size / 8 <= most {
            return false;
        }
        use pg_sys::JsonbIteratorToken::*;
        let mut depth = 0;
        // SAFETY: the container is alive for 'a. The iterator walks without recursion and frees
        // itself at the end; one that is left early goes with the memory context.
        unsafe {
            let mut iterator = pg_sys::JsonbIteratorInit(self.container);
            let mut value = pg_sys::JsonbValue::default();
            loop {
                match pg_sys::JsonbIteratorNext(&mut iterator, &mut value, false) {
                    WJB_BEGIN_ARRAY | WJB_BEGIN_OBJECT => depth += 1,
                    WJB_END_ARRAY | WJB_END_OBJECT => depth -= 1,
                    WJB_DONE => return false,
                    _ => {}
                }
                if depth > most {
                    return true;
                }
            }
        }
    }

    /// The field of that name, if this is an object that has it.
    pub fn get(&self, key: &str) -> Option<Field<'a>> {
        // SAFETY: what the value borrows from is alive for 'a.
        self.find(key).map(|value| unsafe { field(&value) })
    }

    /// The field of that name, if it is a whole number that fits into a bigint: exactly, where
    /// `get` gives the nearest float.
    pub fn bigint(&self, key: &str) -> Option<i64> {
        let value = self.find(key)?;
        if value.type_ != pg_sys::jbvType::jbvNumeric {
            return None;
        }
        // SAFETY: the tag says that it is a numeric; it is alive for 'a.
        let text = unsafe {
            let numeric = pg_sys::Datum::from(value.val.numeric);
            pgrx::direct_function_call::<&std::ffi::CStr>(pg_sys::numeric_out, &[Some(numeric)])
        };
        let text = text?.to_str().ok()?;
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let exact = fraction.bytes().all(|digit| digit == b'0');
        exact.then(|| whole.parse().ok()).flatten()
    }

    /// The field of that name as a document of its own, in the current memory context; only of a whole document.
    pub fn document(&self, key: &str) -> Option<Json<'a>> {
        self.find(key)?;
        // SAFETY: a function of a jsonb and a text that answers a jsonb, since there is such a field.
        unsafe {
            let arguments = [Some(self.whole), key.into_datum()];
            let field =
                pgrx::direct_function_call_as_datum(pg_sys::jsonb_object_field, &arguments)?;
            Some(Json::open(field))
        }
    }

    fn find(&self, key: &str) -> Option<pg_sys::JsonbValue> {
        if !self.is_object() {
            return None;
        }
        // SAFETY: the container is an alive object; the value written into `value` borrows from it.
        unsafe {
            let mut value = pg_sys::JsonbValue::default();
            let found = pg_sys::getKeyJsonValueFromContainer(
                self.container,
                key.as_ptr().cast(),
                key.len() as i32,
                &mut value,
            );
            (!found.is_null()).then_some(value)
        }
    }

    /// Postgres's own hash of a jsonb: equal for equal documents, whatever their spelling.
    pub fn hash(&self, seed: u64) -> i64 {
        // SAFETY: both arguments are of the types that the function takes, and not null.
        unsafe {
            pgrx::direct_function_call::<i64>(
                pg_sys::jsonb_hash_extended,
                &[Some(self.whole), Some(pg_sys::Datum::from(seed as i64))],
            )
            .unwrap_or(0)
        }
    }
}

/// # Safety
/// The value must be alive, see `Json`.
unsafe fn field<'a>(value: &pg_sys::JsonbValue) -> Field<'a> {
    // SAFETY: the tag says which member of the union is the live one.
    unsafe {
        match value.type_ {
            jbvType::jbvString => Field::Text(string(value)),
            jbvType::jbvNumeric => Field::Number(number(value.val.numeric)),
            jbvType::jbvBool => Field::Bool(value.val.boolean),
            jbvType::jbvBinary => {
                let container = value.val.binary.data;
                let object = (*container).header & pg_sys::JB_FOBJECT != 0;
                if !object {
                    return Field::Array;
                }
                Field::Object(Json {
                    container,
                    size: value.val.binary.len as usize,
                    whole: pg_sys::Datum::from(0),
                    lives: PhantomData,
                })
            }
            _ => Field::Null,
        }
    }
}

/// # Safety
/// The value must be an alive string.
unsafe fn string<'a>(value: &pg_sys::JsonbValue) -> &'a str {
    // SAFETY: the bytes are alive; the extension installs only where the encoding is UTF-8, and
    // Postgres has verified them on the way in.
    unsafe {
        let text = value.val.string;
        let bytes = std::slice::from_raw_parts(text.val.cast::<u8>(), text.len as usize);
        std::str::from_utf8_unchecked(bytes)
    }
}

/// The nearest float8; beyond its range an infinity.
///
/// # Safety
/// The numeric must be alive.
unsafe fn number(numeric: pg_sys::Numeric) -> f64 {
    // SAFETY: a function of one numeric argument that is not null and gives a float8.
    unsafe {
        pgrx::direct_function_call::<f64>(
            pg_sys::numeric_float8_no_overflow,
            &[Some(pg_sys::Datum::from(numeric))],
        )
        .unwrap_or(f64::NAN)
    }
}

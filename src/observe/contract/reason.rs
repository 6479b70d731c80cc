//! Why an event is invalid.

/// One list gives the type, its names, and what the test of the documents looks for.
macro_rules! reasons {
    ($($name:ident = $code:literal,)*) => {
        /// The code with which a reason in decide.quarantine begins.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Reason {
            $($name,)*
        }

        impl Reason {
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Reason::$name => $code,)*
                }
            }

            #[cfg(test)]
            const ALL: &'static [Reason] = &[$(Reason::$name,)*];
        }
    };
}

reasons! {
    NotJson = "not_json",
    NotAnObject = "not_an_object",
    BadEncoding = "bad_encoding",
    TooLarge = "too_large",
    TooDeep = "too_deep",
    Missing = "missing",
    Reserved = "reserved",
    BadIdentifier = "bad_identifier",
    BadText = "bad_text",
    BadTime = "bad_time",
    BadNumber = "bad_number",
    BadBoolean = "bad_boolean",
    BadUuid = "bad_uuid",
    BadDecision = "bad_decision",
    UnknownDecision = "unknown_decision",
    UnknownType = "unknown_type",
    UnknownSchema = "unknown_schema",
    OutOfRange = "out_of_range",
    NotAllowed = "not_allowed",
    TooLong = "too_long",
    Future = "future",
    TooLate = "too_late",
    Failed = "failed",
}

impl Reason {
    /// The reason as it is kept: the code, and the field or the SQLSTATE that it is about.
    pub fn about(self, subject: &str) -> String {
        format!("{}: {subject}", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;

    /// What decide.track_table() writes, in SQL.
    const OF_TRACKED_TABLES: &str = "mapping_failed";

    #[test]
    fn the_documents_list_every_reason_and_no_other() {
        let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/docs");
        let mut listed = BTreeSet::new();
        for file in fs::read_dir(docs).unwrap() {
            let text = fs::read_to_string(file.unwrap().path()).unwrap();
            let after = text.split("| reason | what |\n| --- | --- |\n").nth(1);
            let rows = after.unwrap_or_default().lines();
            for row in rows.take_while(|row| row.starts_with('|')) {
                let cell = row.split('|').nth(1).unwrap();
                let codes = cell.split(',').map(|code| code.trim().trim_matches('`'));
                listed.extend(codes.map(|code| code.split(':').next().unwrap().to_owned()));
            }
        }
        let known = Reason::ALL.iter().map(|reason| reason.as_str());
        let known: BTreeSet<String> = known
            .chain([OF_TRACKED_TABLES])
            .map(str::to_owned)
            .collect();
        assert_eq!(listed, known);
    }
}

//! The purposes in force: what a person may consent to, and who needs it.

use serde::{Deserialize, Serialize};

use super::consents::{Consents, MOST_PURPOSES};
use super::faults::Faults;
use super::tables::Content;
use crate::error::printable;

/// Purposes have a bit each in masks, by their number. There are none where `decide.purpose` is empty: then nothing needs
/// consent, whatever the columns `purpose` say.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Purposes {
    all: u64,
    /// Those that are granted where nothing was decided.
    opt_out: u64,
    /// Numbers and names, by number.
    names: Vec<(i32, String)>,
}

/// What holds of purposes besides what persons decide, as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentRule {
    /// Those that are granted where nothing was decided.
    pub opt_out: u64,
    /// Those that are denied in any case.
    pub not_allowed: u64,
}

impl Purposes {
    /// From the published rows; what is wrong with them is among the faults.
    pub fn of(content: &Content, faults: &mut Faults) -> Purposes {
        let mut purposes = Purposes::default();
        for row in &content.purposes {
            if !(0..=MOST_PURPOSES).contains(&row.number) {
                let reason = format!(
                    "it is the purpose of number {}, and there can be {MOST_PURPOSES}, those that are gone included",
                    row.number
                );
                faults.add("decide.purpose", &row.purpose, reason);
                continue;
            }
            let bit = 1 << row.number;
            purposes.all |= bit;
            if row.consent == "opt-out" {
                purposes.opt_out |= bit;
            }
            purposes.names.push((row.number, row.purpose.clone()));
        }
        purposes.names.sort_unstable();
        purposes
    }

    pub fn is_empty(&self) -> bool {
        self.all == 0
    }

    /// All of them, as bits.
    pub fn all(&self) -> u64 {
        self.all
    }

    /// The bit of a purpose; none where nothing needs consent.
    pub fn mask(&self, purpose: Option<&str>) -> u64 {
        let number = purpose.and_then(|purpose| self.number(purpose));
        number.map_or(0, |number| 1 << number)
    }

    pub fn number(&self, purpose: &str) -> Option<i32> {
        let found = self.names.iter().find(|(_, name)| name == purpose);
        found.map(|&(number, _)| number)
    }

    /// Numbers and names.
    pub fn iter(&self) -> impl Iterator<Item = (i32, &str)> {
        self.names
            .iter()
            .map(|(number, name)| (*number, name.as_str()))
    }

    /// What holds where no region says something else.
    pub fn own_rule(&self) -> ConsentRule {
        ConsentRule {
            opt_out: self.opt_out,
            not_allowed: 0,
        }
    }

    /// The purposes that a person denies, by what they have decided, or by the rule of their region or of the bundle.
    pub fn denied(&self, consents: &Consents, rule: Option<ConsentRule>) -> u64 {
        if self.all == 0 {
            return 0;
        }
        let rule = rule.unwrap_or_else(|| self.own_rule());
        let (granted, decided) = consents.masks();
        let holds = (granted & decided) | (rule.opt_out & !decided);
        self.all & !(holds & !rule.not_allowed)
    }

    /// What is wrong with the purpose that a row names.
    pub fn fault(&self, purpose: Option<&str>) -> Option<String> {
        let purpose = purpose.filter(|_| !self.is_empty())?;
        self.number(purpose).is_none().then(|| {
            format!(
                "purpose \"{}\" is not in decide.purpose",
                printable(purpose)
            )
        })
    }
}

/// The numbers of the purposes of a mask.
pub fn numbers_of(mut mask: u64) -> impl Iterator<Item = i32> {
    std::iter::from_fn(move || {
        let number = (mask != 0).then(|| mask.trailing_zeros() as i32)?;
        mask &= mask - 1;
        Some(number)
    })
}

/// Rows that name a purpose which is not there, and fallbacks that need one: these are shown to everybody.
pub fn check(content: &Content, purposes: &Purposes, faults: &mut Faults) {
    let mut named: Vec<(&'static str, &str, Option<&str>)> = Vec::new();
    named.extend(content.features.iter().map(|row| {
        (
            "decide.feature",
            row.feature.as_str(),
            row.purpose.as_deref(),
        )
    }));
    named.extend(content.event_types.iter().map(|row| {
        (
            "decide.event_type",
            row.event_type.as_str(),
            row.purpose.as_deref(),
        )
    }));
    named.extend(
        content
            .actions
            .iter()
            .map(|row| ("decide.action", row.action.as_str(), row.purpose.as_deref())),
    );
    named.extend(content.campaigns.iter().map(|row| {
        (
            "decide.campaign",
            row.campaign.as_str(),
            row.purpose.as_deref(),
        )
    }));
    for (table, row, purpose) in named {
        if let Some(reason) = purposes.fault(purpose) {
            faults.add(table, row, reason);
        }
    }
    if purposes.is_empty() {
        return;
    }
    for surface in &content.surfaces {
        let fallback = surface.fallback_action.as_deref();
        let action = content
            .actions
            .iter()
            .find(|row| Some(row.action.as_str()) == fallback);
        let campaign = action.and_then(|action| {
            let mut campaigns = content.campaigns.iter();
            campaigns.find(|row| Some(&row.campaign) == action.campaign.as_ref())
        });
        let needs = action.is_some_and(|row| row.purpose.is_some())
            || campaign.is_some_and(|row| row.purpose.is_some());
        if needs {
            let reason = "its fallback_action needs consent, by its own purpose or by that of its campaign; a fallback is shown to everybody";
            faults.add("decide.surface", &surface.surface, reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purposes() -> Purposes {
        Purposes {
            all: 0b1011,
            opt_out: 0b0010,
            names: vec![
                (0, "ads".into()),
                (1, "relevance".into()),
                (3, "research".into()),
            ],
        }
    }

    #[test]
    fn what_was_not_decided_has_its_default() {
        let purposes = purposes();
        let mut consents = Consents::default();
        assert_eq!(purposes.denied(&consents, None), 0b1001);
        consents.decide(0, true, 1);
        assert_eq!(purposes.denied(&consents, None), 0b1000);
        consents.decide(1, false, 1);
        assert_eq!(purposes.denied(&consents, None), 0b1010);
        // what is decided about a purpose that is not in force changes nothing
        consents.decide(2, false, 1);
        assert_eq!(purposes.denied(&consents, None), 0b1010);
        // a region has defaults of its own, and what nobody may grant there
        let rule = ConsentRule {
            opt_out: 0b1000,
            not_allowed: 0b0001,
        };
        assert_eq!(purposes.denied(&consents, Some(rule)), 0b0011);
        assert_eq!(numbers_of(0b1010).collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn without_purposes_nothing_is_denied() {
        let mut consents = Consents::default();
        consents.decide(5, false, 1);
        assert_eq!(Purposes::default().denied(&consents, None), 0);
        assert_eq!(Purposes::default().fault(Some("anything")), None);
        assert!(purposes().fault(Some("anything")).is_some());
        assert_eq!(purposes().mask(Some("research")), 0b1000);
        assert_eq!(purposes().mask(None), 0);
    }
}

//! Regions of a bundle from their rows, once the rest is compiled.

use std::collections::HashSet;

use super::compiled::Compiled;
use super::faults::Faults;
use super::purposes::ConsentRule;
use super::region::{Differs, Region, Regions, UNKNOWN};
use super::selection::{Choosing, choosing};
use super::surface_policy::Policy;
use super::tables::{ActionRow, Content, ObjectiveKind, PolicyRow, RegionRow};
use crate::error::printable;
use crate::math::choice::{Choice, LowerBound};

/// Of what was compiled; what is wrong with the rows is among the faults.
pub fn regions(content: &Content, compiled: &Compiled, faults: &mut Faults) -> Regions {
    if content.regions.is_empty() {
        return Regions::default();
    }
    let parts = Parts { content, compiled };
    let is_unknown = |row: &&RegionRow| row.region == UNKNOWN;
    let mut rows = content.regions.iter();
    let own_of_unknown = rows.find(is_unknown);
    let rows = content.regions.iter().filter(|row| row.region != UNKNOWN);
    let mut all: Vec<Region> = rows.map(|row| parts.region(row, faults)).collect();
    all.sort_by_key(|region| region.number);
    let own = own_of_unknown.map(|row| parts.region(row, faults));
    let differs = match own_of_unknown {
        Some(_) => None,
        None => parts.one_choice(faults),
    };
    let mut unknown = strictest(&all, own, compiled);
    if let Some(choice) = differs {
        unknown.differs.choice = choice;
    }
    all.push(unknown);
    for region in &mut all {
        region.policies = policies(region.differs, compiled);
    }
    Regions::new(all)
}

fn policies(differs: Differs, compiled: &Compiled) -> Vec<Option<Policy>> {
    let mut policies = Vec::new();
    policies.resize_with(compiled.scorers, || None);
    for surface in compiled.surfaces.values() {
        for (index, own) in surface.policies() {
            policies[index] = differs.adapted(own);
        }
    }
    policies
}

/// What a row is compiled with.
struct Parts<'a> {
    content: &'a Content,
    compiled: &'a Compiled,
}

impl Parts<'_> {
    fn region(&self, row: &RegionRow, faults: &mut Faults) -> Region {
        let mut fault = |reason: String| faults.add("decide.region", &row.region, reason);
        let purposes = &self.compiled.purposes;
        let mask = |column: &str, names: &[String], fault: &mut dyn FnMut(String)| {
            let mut all = 0;
            for name in names {
                match purposes.mask(Some(name)) {
                    0 => fault(missing(column, name, "decide.purpose")),
                    bit => all |= bit,
                }
            }
            all
        };
        let opt_in = mask("opt_in", &row.opt_in, &mut fault);
        let opt_out = mask("opt_out", &row.opt_out, &mut fault);
        let not_allowed = mask("not_allowed", &row.not_allowed, &mut fault);
        if opt_in & opt_out != 0 {
            fault("a purpose is in opt_in and in opt_out".into());
        }
        Region {
            name: row.region.clone(),
            number: (row.region != UNKNOWN).then_some(row.number),
            consent: ConsentRule {
                opt_out: (purposes.own_rule().opt_out | opt_out) & !opt_in,
                not_allowed,
            },
            hidden: self.hidden(row, &mut fault),
            out: self.out(row, &mut fault),
            limits: self.limits(row, &mut fault),
            differs: Differs {
                choice: self.choice(row, &mut fault),
                never_explores: !row.explores,
            },
            policies: Vec::new(),
        }
    }

    fn hidden(&self, row: &RegionRow, fault: &mut dyn FnMut(String)) -> Vec<usize> {
        let mut hidden = Vec::new();
        for name in &row.features_out {
            let mut features = self.compiled.own_features.iter();
            match features.position(|feature| feature.name == *name) {
                None => fault(missing("features_out", name, "decide.feature")),
                Some(index) if !self.compiled.own_features[index].entity.is_user() => {
                    fault(format!(
                        "features_out: \"{}\" is no feature of users",
                        printable(name)
                    ));
                }
                Some(index) => hidden.push(index),
            }
        }
        hidden
    }

    fn out(&self, row: &RegionRow, fault: &mut dyn FnMut(String)) -> Vec<Vec<u64>> {
        let content = self.content;
        let actions: HashSet<&str> = row.actions_out.iter().map(String::as_str).collect();
        let campaigns: HashSet<&str> = row.campaigns_out.iter().map(String::as_str).collect();
        if actions.is_empty() && campaigns.is_empty() {
            return Vec::new();
        }
        let known: HashSet<&str> = content
            .actions
            .iter()
            .map(|row| row.action.as_str())
            .collect();
        for name in actions.difference(&known) {
            fault(missing("actions_out", name, "decide.action"));
        }
        let rows = content.campaigns.iter();
        let known: HashSet<&str> = rows.map(|row| row.campaign.as_str()).collect();
        for name in campaigns.difference(&known) {
            fault(missing("campaigns_out", name, "decide.campaign"));
        }
        let is_out = |row: &&ActionRow| {
            let of_campaign = row.campaign.as_deref();
            actions.contains(row.action.as_str())
                || of_campaign.is_some_and(|campaign| campaigns.contains(campaign))
        };
        let out = content.actions.iter().filter(is_out);
        let out: HashSet<i32> = out.map(|row| row.number).collect();
        let mut of_surfaces = vec![Vec::new(); self.compiled.surfaces.len()];
        for surface in self.compiled.surfaces.values() {
            if out.contains(&surface.fallback.number) {
                fault(format!(
                    "the fallback_action of surface \"{}\" is out; a fallback is shown to everybody",
                    printable(&surface.name)
                ));
            }
            let mut bits = vec![0; surface.actions.len().div_ceil(64)];
            let mut is_any = false;
            for (i, action) in surface.actions.iter().enumerate() {
                if out.contains(&action.number) {
                    bits[i / 64] |= 1u64 << (i % 64);
                    is_any = true;
                }
            }
            if is_any {
                of_surfaces[surface.index] = bits;
            }
        }
        of_surfaces
    }

    /// By number, ascending; of a cap that limits each value by itself the limit is that of each.
    fn limits(&self, row: &RegionRow, fault: &mut dyn FnMut(String)) -> Vec<(i32, i64)> {
        let mut limits = Vec::new();
        for (name, limit) in &row.cap_limits {
            let caps = || self.compiled.caps.iter().filter(|cap| cap.name == *name);
            let Some(limit) = limit.as_i64().filter(|limit| *limit >= 0) else {
                fault(format!(
                    "cap_limits: the limit of \"{}\" is not a whole number from 0 on",
                    printable(name)
                ));
                continue;
            };
            if caps().next().is_none() {
                fault(missing("cap_limits", name, "decide.cap"));
            }
            if caps().any(|cap| cap.per.is_budget()) {
                fault(format!(
                    "cap_limits: \"{}\" is for all users, and counts for all regions together",
                    printable(name)
                ));
            }
            limits.extend(caps().map(|cap| (cap.number, limit.saturating_mul(cap.scale))));
        }
        limits.sort_unstable();
        limits
    }

    /// How all policies choose, if the row says that.
    fn choice(
        &self,
        row: &RegionRow,
        fault: &mut dyn FnMut(String),
    ) -> Option<(Choice, Option<LowerBound>)> {
        let Some(selection) = &row.selection else {
            if row.params.get().trim() != "{}" {
                fault("params: there is no selection that takes them".into());
            }
            return None;
        };
        let surfaces = self.compiled.surfaces.values();
        let policies = surfaces.flat_map(|surface| {
            let policies = surface.policies();
            policies.map(move |(_, policy)| (surface, policy))
        });
        for (surface, policy) in policies {
            let as_policy = PolicyRow {
                policy: policy.name.clone(),
                surface: surface.name.clone(),
                model: None,
                model_version: None,
                model_rows: None,
                selection: selection.clone(),
                params: row.params.clone(),
                unique_on_page: false,
                for_variants: false,
                objective: ObjectiveKind::Response,
                value_attribute: None,
                cost_attribute: None,
            };
            let Choosing {
                choice,
                lower_bound,
            } = match choosing(&as_policy) {
                Ok(choosing) => choosing,
                Err(reason) => {
                    fault(reason);
                    return None;
                }
            };
            let rule = choice.selection.rule();
            let surface = printable(&surface.name);
            if rule.needs_scores && policy.model.is_none() {
                fault(format!(
                    "selection \"{selection}\" needs scores, and surface \"{surface}\" has no model"
                ));
            }
            let is_bounded = lower_bound.is_some_and(|bound| bound.gamma != 0.0);
            if (rule.needs_spreads || is_bounded) && !policy.needs_spreads {
                fault(format!(
                    "selection \"{selection}\" looks at how sure a model is, and the policy of surface \"{surface}\" does not"
                ));
            }
        }
        let mut policies = self.content.policies.iter();
        let first = policies.next()?;
        let as_policy = PolicyRow {
            selection: selection.clone(),
            params: row.params.clone(),
            ..first.clone()
        };
        let Choosing {
            choice,
            lower_bound,
        } = choosing(&as_policy).ok()?;
        Some((choice, lower_bound))
    }

    /// How it is chosen in all regions, if that is one way; where they differ nobody can say which way is stricter.
    fn one_choice(&self, faults: &mut Faults) -> Option<Option<(Choice, Option<LowerBound>)>> {
        let mut rows = self.content.regions.iter();
        let first = rows.next()?;
        let same = |row: &RegionRow| {
            row.selection == first.selection && row.params.get() == first.params.get()
        };
        if !rows.all(same) {
            let reason = "regions differ in selection or params: a row \"unknown\" must say how to choose for requests of no known region";
            faults.add("decide.region", UNKNOWN, reason);
        }
        Some(self.choice(first, &mut |_| {}))
    }
}

/// What any of the regions forbids, and what the row of the unknown one says.
fn strictest(all: &[Region], own: Option<Region>, compiled: &Compiled) -> Region {
    let differs = own.as_ref().map(|own| own.differs).unwrap_or_default();
    let mut unknown = Region {
        name: UNKNOWN.to_owned(),
        number: None,
        consent: compiled.purposes.own_rule(),
        hidden: Vec::new(),
        out: Vec::new(),
        limits: Vec::new(),
        differs,
        policies: Vec::new(),
    };
    for region in all.iter().chain(&own) {
        unknown.consent.opt_out &= region.consent.opt_out;
        unknown.consent.not_allowed |= region.consent.not_allowed;
        unknown.hidden.extend(&region.hidden);
        unknown
            .out
            .resize(unknown.out.len().max(region.out.len()), Vec::new());
        for (mine, others) in unknown.out.iter_mut().zip(&region.out) {
            mine.resize(mine.len().max(others.len()), 0);
            for (mine, others) in mine.iter_mut().zip(others) {
                *mine |= others;
            }
        }
        unknown.limits.extend(&region.limits);
        unknown.differs.never_explores |= region.differs.never_explores;
    }
    unknown.hidden.sort_unstable();
    unknown.hidden.dedup();
    // Of several limits of a cap the lowest comes first.
    unknown.limits.sort_unstable();
    unknown.limits.dedup_by_key(|(number, _)| *number);
    unknown
}

fn missing(column: &str, name: &str, table: &str) -> String {
    format!("{column}: \"{}\" is not in {table}", printable(name))
}

//! One decision, with all that its trace and its explanation say.

use uuid::Uuid;

use super::answer::Answer;
use super::blocked::BlockedAction;
use super::candidates::Candidates;
use super::draw::Draw;
use super::features::Features;
use super::reason::Reason;
use super::request::Request;
use super::score::Scores;
use super::stage::Stage;
use crate::policy::Policy;

pub struct Decision<'a> {
    pub id: Uuid,
    pub request: Request<'a>,
    pub features: &'a Features,
    pub candidates: &'a Candidates,
    pub scores: &'a Scores,
    pub draw: &'a Draw,
    pub answer: &'a Answer,
    /// Why slots are left to the fallback, if any are.
    pub reason: Option<Reason>,
    pub stage_us: [i32; Stage::COUNT],
}

impl<'a> Decision<'a> {
    /// The policy of the surface, or of a variant, if it has one.
    pub fn policy(&self) -> Option<&'a Policy> {
        self.request.policy()
    }

    /// Actions of the surface that could not be had, and why.
    pub fn blocked(&self) -> impl Iterator<Item = &BlockedAction> {
        self.candidates.blocked.iter().chain(&self.draw.blocked)
    }

    /// What went wrong on the way.
    pub fn errors(&self) -> Vec<Option<String>> {
        let request = &self.request;
        let name = |action: usize| {
            let action = &request.surface.actions[action];
            request.bundle.actions.name(action)
        };
        let of_rules = self.candidates.rule_errors.iter();
        let of_rules = of_rules.map(|of| format!("{}: {}", name(of.action), of.error));
        let mut errors: Vec<Option<String>> = Vec::new();
        errors.extend(self.features.source_note.map(|note| Some(note.to_owned())));
        let coarsening = &request.bundle.context_fields.of_context;
        let uncoarsened = coarsening.names_of(request.uncoarsened);
        errors.extend(
            uncoarsened.map(|field| Some(format!("context field {field}: could not be coarsened"))),
        );
        errors.extend(of_rules.map(Some));
        if let Some(Reason::Failed { error, .. }) = &self.reason {
            errors.push(Some(error.clone()));
        }
        errors
    }
}

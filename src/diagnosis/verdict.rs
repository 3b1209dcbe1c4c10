//! What a diagnosis says, ready for results. Pure.

use std::time::Duration;

use serde::Serialize;

use super::cause::Cause;

/// Longest list of evidence, so that a result stays readable and its column small.
const MOST_EVIDENCE: usize = 8;
/// Longest line of evidence, in characters.
const LONGEST_FACT: usize = 240;
/// How many other verdicts one carries.
const MOST_ALSO: usize = 4;

/// How sure a verdict is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Confidence {
    /// Several causes fit; the advice says what would decide.
    Ambiguous,
    /// A rule over several facts.
    Likely,
    /// A fact of the wire or of the kernel names it.
    Certain,
}

impl Confidence {
    /// The word that stands in results.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ambiguous => "ambiguous",
            Self::Likely => "likely",
            Self::Certain => "certain",
        }
    }
}

/// One fact that a verdict rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// When, µs since the call (the session, the socket) started; `null` where the fact has no one moment.
    pub at_us: Option<u64>,
    /// The fact.
    pub fact: String,
}

/// Why something failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// The cause.
    pub cause: Cause,
    /// How sure it is.
    pub confidence: Confidence,
    /// What it rests on, at most 8 facts.
    pub evidence: Vec<Evidence>,
    /// What to do.
    pub advice: String,
    /// What else was found, less certain or further on, at most 4.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Self>,
}

impl Verdict {
    /// A verdict without evidence yet. What the advice's words in braces stand for is said by [`Self::with`].
    pub(super) fn new(cause: Cause, confidence: Confidence) -> Self {
        Self { cause, confidence, evidence: Vec::new(), advice: cause.advice().to_owned(), also: Vec::new() }
    }

    pub(super) fn certain(cause: Cause) -> Self {
        Self::new(cause, Confidence::Certain)
    }

    pub(super) fn likely(cause: Cause) -> Self {
        Self::new(cause, Confidence::Likely)
    }

    /// Says what the word in braces stands for.
    pub(super) fn with(mut self, word: &str, value: impl AsRef<str>) -> Self {
        self.advice = self.advice.replace(&format!("{{{word}}}"), value.as_ref()).trim_end().to_owned();
        self
    }

    /// Adds a fact with its moment.
    pub(super) fn at(mut self, at_us: impl Into<Option<u64>>, fact: impl Into<String>) -> Self {
        if self.evidence.len() < MOST_EVIDENCE {
            let fact: String = fact.into();
            let fact = fact.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_FACT).collect();
            self.evidence.push(Evidence { at_us: at_us.into(), fact });
        }
        self
    }

    /// Adds a fact without a moment.
    pub(super) fn fact(self, fact: impl Into<String>) -> Self {
        self.at(None, fact)
    }

    /// Adds a fact if it has a moment.
    pub(super) fn maybe_at(self, at_us: Option<u64>, fact: impl Into<String>) -> Self {
        match at_us {
            Some(_) => self.at(at_us, fact),
            None => self,
        }
    }

    /// Adds a fact if there is one.
    pub(super) fn maybe(self, fact: Option<String>) -> Self {
        match fact {
            Some(fact) => self.fact(fact),
            None => self,
        }
    }

    /// The verdict with all moments `offset` later: facts count from the session's start, a call's sample from its own.
    pub fn later_by(mut self, offset: Duration) -> Self {
        let offset = u64::try_from(offset.as_micros()).unwrap_or(u64::MAX);
        for at in self.evidence.iter_mut().filter_map(|evidence| evidence.at_us.as_mut()) {
            *at = at.saturating_add(offset);
        }
        self.also = self.also.into_iter().map(|other| other.later_by(Duration::from_micros(offset))).collect();
        self
    }

    /// One sentence for a message: heading, first facts, advice.
    pub fn sentence(&self) -> String {
        let facts: Vec<&str> = self.evidence.iter().take(2).map(|evidence| &*evidence.fact).collect();
        let facts = if facts.is_empty() { String::new() } else { format!(": {}", facts.join("; ")) };
        format!("{} ({}){facts}. {}", self.cause.heading(), self.confidence.as_str(), self.advice)
    }
}

/// A verdict a rule came to, and which other cause it is the reason of: it then goes before that one, though it may be less
/// certain.
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    pub(super) explains: &'static [Cause],
}

impl From<Verdict> for Finding {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, explains: &[] }
    }
}

impl Verdict {
    pub(super) fn explaining(self, explains: &'static [Cause]) -> Finding {
        Finding { verdict: self, explains }
    }
}

/// Puts the findings in order: certain before likely, then the first layer of a call, then as found; what explains another one goes
/// before it. The first is the verdict, the others go along.
pub(super) fn settle(mut findings: Vec<Finding>) -> Option<Verdict> {
    findings.sort_by_key(|finding| (std::cmp::Reverse(finding.verdict.confidence), finding.verdict.cause.layer()));
    // A reason may have a reason; each can lead once.
    for _ in 0..findings.len() {
        let first = findings.first()?.verdict.cause;
        let Some(reason) = findings.iter().position(|finding| finding.explains.contains(&first)) else { break };
        findings[..=reason].rotate_right(1);
    }
    let mut ordered = findings.into_iter().map(|finding| finding.verdict);
    let mut verdict = ordered.next()?;
    for other in ordered {
        let known = other.cause == verdict.cause || verdict.also.iter().any(|known| known.cause == other.cause);
        if !known && verdict.also.len() < MOST_ALSO {
            verdict.also.push(other);
        }
    }
    Some(verdict)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(findings: Vec<Finding>) -> Vec<Cause> {
        let verdict = settle(findings).expect("a verdict");
        std::iter::once(verdict.cause).chain(verdict.also.iter().map(|other| other.cause)).collect()
    }

    #[test]
    fn certain_goes_before_likely_and_both_are_shown() {
        let causes = settled(vec![
            Verdict::likely(Cause::GenCpuStarved).into(),
            Verdict::certain(Cause::TurnCredentialsRejected).into(),
        ]);
        assert_eq!(causes, [Cause::TurnCredentialsRejected, Cause::GenCpuStarved]);
    }

    #[test]
    fn among_equals_the_first_layer_goes_first() {
        let causes = settled(vec![
            Verdict::likely(Cause::IceChecksUnanswered).into(),
            Verdict::likely(Cause::StunSilent).into(),
            Verdict::likely(Cause::GenCpuStarved).into(),
        ]);
        assert_eq!(causes, [Cause::GenCpuStarved, Cause::StunSilent, Cause::IceChecksUnanswered]);
    }

    #[test]
    fn the_reason_of_a_certain_fact_goes_before_it() {
        let causes = settled(vec![
            Verdict::certain(Cause::ClosedByServer).into(),
            Verdict::likely(Cause::GenCpuStarved).into(),
            Verdict::likely(Cause::DuplicateIdentity).explaining(&[Cause::ClosedByServer]),
        ]);
        assert_eq!(causes, [Cause::DuplicateIdentity, Cause::ClosedByServer, Cause::GenCpuStarved]);
    }

    #[test]
    fn the_reason_of_a_reason_leads() {
        let causes = settled(vec![
            Verdict::certain(Cause::EndedByPeer).into(),
            Verdict::likely(Cause::ConsentLostPath).explaining(&[Cause::EndedByPeer]),
            Verdict::likely(Cause::ConsentLostTogether).explaining(&[Cause::ConsentLostPath]),
        ]);
        assert_eq!(causes, [Cause::ConsentLostTogether, Cause::ConsentLostPath, Cause::EndedByPeer]);
    }

    #[test]
    fn evidence_is_bounded_and_without_control_characters() {
        let mut verdict = Verdict::certain(Cause::ClosedByFin);
        for _ in 0..100 {
            verdict = verdict.fact(format!("a\nb{}", "x".repeat(1000)));
        }
        assert_eq!(verdict.evidence.len(), MOST_EVIDENCE);
        let fact = &verdict.evidence[0].fact;
        assert!(fact.chars().count() == LONGEST_FACT && fact.starts_with("a b"), "{fact}");
    }

    #[test]
    fn moments_can_be_told_from_another_start() {
        let verdict = Verdict::certain(Cause::DtlsAlert).at(5, "x").fact("y").later_by(Duration::from_micros(7));
        assert_eq!(verdict.evidence.iter().map(|evidence| evidence.at_us).collect::<Vec<_>>(), [Some(12), None]);
    }

    #[test]
    fn a_verdict_crosses_as_json_in_fixed_words() {
        let verdict = Verdict::certain(Cause::TurnQuota).at(9, "486");
        let json = serde_json::to_value(&verdict).expect("plain values");
        assert_eq!(json["cause"], "TURN_QUOTA");
        assert_eq!(json["confidence"], "certain");
        assert_eq!(json["evidence"][0], serde_json::json!({"atUs": 9, "fact": "486"}));
        assert!(json.get("also").is_none());
    }
}

//! Requests on their way: sent once, twice under one key, or against a rival, and what their answers must be.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::Racer;
use crate::commands::race::client::Answer;
use crate::commands::race::tally::{Moves, Recorded, Tally};

/// A request, and what it moves when it is not refused.
pub(in crate::commands::race) struct Attempt {
    pub(in crate::commands::race) act: &'static str,
    pub(in crate::commands::race) path: String,
    pub(in crate::commands::race) body: Value,
    pub(in crate::commands::race) warehouse: usize,
    pub(in crate::commands::race) moves: Moves,
    /// The codes of the problems that may refuse it.
    pub(in crate::commands::race) refusals: &'static [&'static str],
}

impl Racer<'_> {
    pub(super) fn attempt(
        &self,
        act: &'static str,
        path: String,
        body: Value,
        warehouse: usize,
        moves: Moves,
    ) -> Attempt {
        Attempt {
            act,
            path,
            body,
            warehouse,
            moves,
            refusals: &["insufficient-stock", "lot-inactive"],
        }
    }

    /// Sends a request under its key, now and then twice at once, and tells what was answered unless it was refused.
    pub(super) async fn send(&mut self, attempt: Attempt) -> Result<Option<Answer>> {
        let key = self.key("");
        let answer = self.exchange(&attempt, &key).await?;
        settle(&mut self.tally, attempt, key, answer.as_ref())?;
        Ok(answer)
    }

    /// A request that nobody else can have made impossible.
    pub(super) async fn must(&mut self, attempt: Attempt) -> Result<()> {
        let what = format!("{} of {}", attempt.path, attempt.body);
        let answer = self.send(attempt).await?;
        ensure!(
            answer.is_some(),
            "refused, although nobody else has a part in it: {what}"
        );
        Ok(())
    }

    pub(super) async fn exchange(&mut self, attempt: &Attempt, key: &str) -> Result<Option<Answer>> {
        let send = || self.client.post(&attempt.path, &attempt.body, Some(key), None);
        let answer = if self.random.below(8) == 0 {
            let (first, second) = tokio::join!(send(), send());
            same_answer(first?, second?)?
        } else {
            send().await?
        };
        check(attempt, &answer)?;
        Ok((answer.status == 201).then_some(answer))
    }

    /// Two requests at once for the same units: at most one is taken, or exactly one where nothing else is in the way.
    pub(super) async fn rival(&mut self, rivals: [Attempt; 2], one_must: bool) -> Result<()> {
        let keys = [self.key("/one"), self.key("/other")];
        let send = |at: usize| {
            self.client
                .post(&rivals[at].path, &rivals[at].body, Some(&keys[at]), None)
        };
        let (one, other) = tokio::join!(send(0), send(1));
        let answers = [one?, other?];
        let taken = answers.iter().filter(|answer| answer.status == 201).count();
        ensure!(
            taken == 1 || (taken == 0 && !one_must),
            "{taken} of two rivals were taken: {} {} and {} {}",
            rivals[0].path,
            answers[0].body,
            rivals[1].path,
            answers[1].body
        );
        for ((attempt, key), answer) in rivals.into_iter().zip(keys).zip(answers) {
            self.settle(attempt, key, &answer)?;
        }
        Ok(())
    }

    pub(super) fn settle(&mut self, attempt: Attempt, key: String, answer: &Answer) -> Result<()> {
        check(&attempt, answer)?;
        settle(&mut self.tally, attempt, key, recorded(answer))
    }
}

/// Notes what became of a request; `answer` tells of what was recorded.
pub(in crate::commands::race) fn settle(
    tally: &mut Tally,
    attempt: Attempt,
    key: String,
    answer: Option<&Answer>,
) -> Result<()> {
    let Attempt {
        act,
        warehouse,
        moves,
        ..
    } = attempt;
    match answer {
        None => tally.refuse(act, key),
        Some(answer) => {
            // The log knows a reversal by what it undoes, whatever its caller's key.
            let name = if act == "reverse" { answer.id()? } else { key };
            tally.accept(act, name, Recorded { warehouse, moves });
        }
    }
    Ok(())
}

/// A request is recorded, or refused for a reason that is one.
pub(in crate::commands::race) fn check(attempt: &Attempt, answer: &Answer) -> Result<()> {
    ensure!(
        answer.status == 201 || attempt.refusals.contains(&answer.code()),
        "{} for {} of {}: {}",
        answer.status,
        attempt.path,
        attempt.body,
        answer.body
    );
    Ok(())
}

pub(in crate::commands::race) fn recorded(answer: &Answer) -> Option<&Answer> {
    (answer.status == 201).then_some(answer)
}

/// A request sent twice under one key is recorded once: both answers name the same thing, or both are refused. Between
/// the two, other clients may have brought stock, so a refused and an accepted answer may stand side by side.
fn same_answer(first: Answer, second: Answer) -> Result<Answer> {
    match (first.status, second.status) {
        (201, 201) => ensure!(
            first.id()? == second.id()?,
            "one key, two events: {} and {}",
            first.body,
            second.body
        ),
        (_, 201) => return Ok(second),
        _ => {}
    }
    Ok(first)
}

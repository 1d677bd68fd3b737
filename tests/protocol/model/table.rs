//! The rotation table: the real one, and broken ones, which must violate a property of the models.

use tower_jwt_sessions::{
    clock::Timestamp,
    policy::ReplayWindow,
    store::{RefreshAttempt, RotateDecision, Rotation, SessionRecord},
};

/// Which table decides. All but the first are the real one with one mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    Real,
    /// Every repeat opens the window again.
    GraceSlides,
    /// A repeat makes a generation of its own.
    RepeatMints,
    /// The previous generation stays valid.
    PreviousNeverCloses,
    /// A token that is newer than the record is taken for a stolen one.
    NoAdopt,
    /// The current generation rotates although it was issued a moment ago.
    CurrentRotatesAtOnce,
    /// An unconfirmed generation is repeated whatever its age.
    NoAdvance,
    /// A generation that was sent out a moment ago may be advanced past.
    AdvancesAtOnce,
    /// An advance keeps the generation that was lost, not the one that was presented.
    AdvanceKeepsTheLost,
    /// Any access token confirms the current generation.
    ConfirmsAnything,
    /// A superseded token rotates.
    ReuseAdvances,
    /// Any number of responses may be lost.
    LosesWithoutEnd,
    /// The second lost response is taken for theft.
    LosesOnce,
    /// Times in the future, after the clock was set back, count as now.
    AheadIsNow,
    /// Access tokens are issued with the record's epoch, even if the node knows a greater one.
    ForgetsEpochs,
    /// A session that is bound to a device needs no proof.
    NeedsNoProof,
    /// A new generation is bound to no device.
    RotationUnbinds,
    /// A stolen token ends a session, even without the proof that it needs.
    ReuseBeforeProof,
}

impl Table {
    pub(crate) fn rotate(
        self,
        record: &mut SessionRecord,
        presented: &RefreshAttempt,
        now: Timestamp,
    ) -> RotateDecision {
        let before = *record;
        let step = match self {
            Self::NoAdopt if presented.generation > record.generation => {
                record.ended = true;
                return RotateDecision::Reused;
            }
            Self::PreviousNeverCloses if record.previous == Some(presented.generation) => {
                return live(Rotation::Repeated);
            }
            Self::AheadIsNow => {
                record.rotated_at = record.rotated_at.map(|at| at.min(now));
                record.confirmed_at = record.confirmed_at.map(|at| at.min(now));
                record.rotate(presented, now)
            }
            Self::ForgetsEpochs => {
                let mut forgetful = *presented;
                forgetful.min_epoch = 0;
                record.rotate(&forgetful, now)
            }
            Self::NeedsNoProof => {
                let mut proven = *presented;
                proven.is_proven |= record.bound_at.is_some();
                record.rotate(&proven, now)
            }
            Self::ReuseBeforeProof => {
                let mut proven = *presented;
                proven.is_proven = true;
                match record.rotate(&proven, now) {
                    RotateDecision::Live { .. } => {
                        *record = before;
                        record.rotate(presented, now)
                    }
                    ended => ended,
                }
            }
            Self::CurrentRotatesAtOnce if presented.generation == record.generation => {
                return advance(record, presented, now);
            }
            _ => record.rotate(presented, now),
        };
        let is_lost = before.previous == Some(presented.generation) && before.confirmed_at.is_none();
        let rotation = match step {
            RotateDecision::Live { rotation, .. } => rotation,
            RotateDecision::Reused if self == Self::ReuseAdvances || self == Self::LosesWithoutEnd && is_lost => {
                *record = before;
                return advance(record, presented, now);
            }
            _ => return step,
        };
        let advanced = rotation == Rotation::Rotated && before.previous == Some(presented.generation);
        match self {
            Self::GraceSlides if rotation == Rotation::Repeated => match presented.window {
                ReplayWindow::Fixed(_) => record.rotated_at = Some(now),
                _ => record.confirmed_at = record.confirmed_at.map(|_| now),
            },
            Self::RepeatMints if rotation == Rotation::Repeated => return advance(record, presented, now),
            Self::NoAdvance if advanced => {
                *record = before;
                return live(Rotation::Repeated);
            }
            Self::AdvancesAtOnce if rotation == Rotation::Current && before.previous == Some(presented.generation) => {
                return advance(record, presented, now);
            }
            Self::LosesOnce if advanced && before.generation - presented.generation > 1 => {
                record.ended = true;
                return RotateDecision::Reused;
            }
            Self::RotationUnbinds if rotation == Rotation::Rotated => record.bound_at = None,
            Self::AdvanceKeepsTheLost if advanced => record.previous = Some(before.generation),
            _ => {}
        }
        step
    }

    pub(crate) fn confirm(self, record: &mut SessionRecord, generation: u32, now: Timestamp) -> bool {
        match self {
            Self::ConfirmsAnything => record.confirm(record.generation, now),
            _ => record.confirm(generation, now),
        }
    }
}

fn live(rotation: Rotation) -> RotateDecision {
    RotateDecision::Live { rotation, rolled_back: false }
}

fn advance(record: &mut SessionRecord, presented: &RefreshAttempt, now: Timestamp) -> RotateDecision {
    record.previous = Some(presented.generation);
    record.generation += 1;
    record.rotated_at = Some(now);
    record.confirmed_at = None;
    live(Rotation::Rotated)
}

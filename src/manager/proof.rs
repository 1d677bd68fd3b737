//! When the proof of a login began: an end of the user's sessions since then makes the proof worthless.

use std::time::{Duration, Instant};

use serde::{Serialize, de::DeserializeOwned};

use super::{SessionManager, UNDER_WAY};
use crate::{
    clock::Timestamp,
    store::{EndMark, LoginProof},
};

/// When the proof of a login began: see [`SessionManager::start_proof`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProofStart {
    reading: Instant,
    earlier: Duration,
}

impl ProofStart {
    /// A moment that is earlier by this much, for a login that takes several requests, such as a password in one and a
    /// code in the next. The first proof counts: the application keeps when it began. If another node may have noted
    /// that, add [`MAX_CLOCK_SKEW`](crate::MAX_CLOCK_SKEW).
    ///
    /// ```
    /// # use std::time::{Duration, SystemTime};
    /// # use tower_jwt_sessions::{Error, MAX_CLOCK_SKEW, SessionCookies, SessionManager};
    /// # async fn second_step(
    /// #     sessions: &SessionManager<()>, first_step_at: SystemTime,
    /// # ) -> Result<SessionCookies, Error> {
    /// let ago = first_step_at.elapsed().unwrap_or_default() + MAX_CLOCK_SKEW;
    /// let proof = sessions.start_proof().earlier_by(ago);
    /// // … check the code, then:
    /// sessions.login(42).proven_since(proof).await
    /// # }
    /// # let _ = second_step;
    /// ```
    #[must_use]
    pub const fn earlier_by(self, time: Duration) -> Self {
        Self { earlier: self.earlier.saturating_add(time), ..self }
    }

    fn age(self, now: Instant) -> Duration {
        now.saturating_duration_since(self.reading).saturating_add(self.earlier)
    }
}

impl<C: Serialize + DeserializeOwned + Send + Sync + 'static> SessionManager<C> {
    /// Begins the proof of who a user is. Call this *before* reading what the proof is compared with, such as a
    /// password hash, and pass the result to [`Login::proven_since`](crate::Login::proven_since).
    ///
    /// Checking a password takes time, in which the user may change the password and end all sessions. Without this,
    /// the login with the old password would still succeed.
    pub fn start_proof(&self) -> ProofStart {
        ProofStart { reading: self.instant(), earlier: Duration::ZERO }
    }
}

/// The proof of a login that is under way.
pub(super) struct Proof {
    start: ProofStart,
    newer_than: Option<Timestamp>,
    doubts: u32,
}

/// How often the store is asked for a mark while the order of mark and proof is in doubt. A faster answer may resolve
/// it.
const MAX_DOUBTS: u32 = 3;
/// The clocks of two machines differ in speed by less than one part in this many, even while both are being corrected.
const DRIFT: u32 = 1000;

impl Proof {
    pub(super) const fn new(start: ProofStart) -> Self {
        Self { start, newer_than: None, doubts: 0 }
    }

    /// What to state to the store; `None` when the proof is so old that the store may have forgotten a mark.
    pub(super) fn stated(&self, now: Instant) -> Option<LoginProof> {
        (self.start.age(now) < UNDER_WAY).then_some(LoginProof { newer_than: self.newer_than })
    }

    /// Compares the proof with the mark in the store's answer. Says whether to take the step again.
    ///
    /// The ages of mark and proof are by two clocks, at two moments. That of the proof is taken after the answer, so
    /// that it is too large if anything: a proof from before the mark never passes for a later one.
    pub(super) fn outlasts(&mut self, mark: EndMark, answered: Instant) -> bool {
        if self.start.age(answered) < mark.age - mark.age / DRIFT {
            self.newer_than = Some(mark.at);
            return true;
        }
        self.doubts += 1;
        self.doubts < MAX_DOUBTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn scene() -> (Instant, impl Fn(u32, u32, Duration) -> Option<LoginProof>) {
        let zero = Instant::now();
        // What a proof from `started` states next, after a mark of this age in an answer at `answered`.
        let met = move |started: u32, answered: u32, age| {
            let mut proof = Proof::new(ProofStart { reading: zero + started * MS, earlier: Duration::ZERO });
            proof.outlasts(EndMark { at: Timestamp::from_millis(7), age }, zero + answered * MS);
            proof.stated(zero + answered * MS)
        };
        (zero, met)
    }

    #[test]
    fn only_a_proof_from_after_the_mark_is_newer() {
        let (_, met) = scene();
        let newer = Some(LoginProof { newer_than: Some(Timestamp::from_millis(7)) });
        let in_doubt = Some(LoginProof::default());
        assert_eq!(met(100, 400, 302 * MS), newer);
        assert_eq!(met(100, 400, 300 * MS), in_doubt, "the mark was left when the proof began");
        assert_eq!(met(100, 400, 299 * MS), in_doubt);
        assert_eq!(met(100, 400, Duration::ZERO), in_doubt);
        assert_eq!(met(100, 100, Duration::ZERO), in_doubt, "a clock that stands still");
    }

    #[test]
    fn clocks_of_different_speed_do_not_make_it_newer() {
        let (_, met) = scene();
        // The proof is twenty minutes old, and the mark a second older by a clock that is fast.
        let minutes = 20 * 60_000;
        assert_eq!(met(0, minutes, (minutes + 1_000) * MS), Some(LoginProof::default()));
        assert!(met(0, minutes, (minutes + 2_000) * MS).is_some_and(|proof| proof.newer_than.is_some()));
    }

    #[test]
    fn a_proof_expires_before_marks_are_forgotten() {
        let (zero, _) = scene();
        let start = ProofStart { reading: zero, earlier: Duration::ZERO };
        assert!(Proof::new(start).stated(zero + UNDER_WAY - MS).is_some());
        assert!(Proof::new(start).stated(zero + UNDER_WAY).is_none());
        assert!(Proof::new(start.earlier_by(UNDER_WAY)).stated(zero).is_none());
        assert!(Proof::new(start.earlier_by(Duration::MAX)).stated(zero + MS).is_none());
    }
}

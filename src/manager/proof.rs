//! The time at which the proof of a login began. Ending the user's sessions after that invalidates the proof.

use std::time::Duration;

use super::{SessionManager, UNDER_WAY};
use crate::{
    claims::Claims,
    clock::{Moment, Timestamp},
    policy::CLOCK_DRIFT,
    store::{EndMark, LoginProof},
};

/// The time at which the proof of a login began: see [`SessionManager::start_proof`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProofStart {
    began: Moment,
    earlier: Duration,
}

impl ProofStart {
    /// Returns a start that is earlier by this much, for logins that take several requests, such as a password in one
    /// and a code in the next. The first proof counts, and the application stores when it began. If another node may
    /// have stored that, add [`MAX_CLOCK_SKEW`](crate::policy::MAX_CLOCK_SKEW).
    ///
    /// ```
    /// # use std::time::{Duration, SystemTime};
    /// # use tower_jwt_sessions::{Error, SessionCookies, SessionManager, policy::MAX_CLOCK_SKEW};
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

    fn age(self, now: Moment) -> Duration {
        now.since(self.began).saturating_add(self.earlier)
    }
}

impl<C: Claims> SessionManager<C> {
    /// Starts the proof of a user's identity. Call this *before* reading what the proof is compared with, such as a
    /// password hash, and pass the result to [`Login::proven_since`](crate::manager::Login::proven_since).
    ///
    /// Checking a password takes time, in which the user may change the password and end all sessions. Without this,
    /// the login with the old password would still succeed.
    pub fn start_proof(&self) -> ProofStart {
        ProofStart { began: self.moment(), earlier: Duration::ZERO }
    }
}

/// The proof of a login in progress.
pub(super) struct Proof {
    start: ProofStart,
    newer_than: Option<Timestamp>,
    doubts: u32,
}

/// How often the store is asked for a mark while the order of mark and proof is unknown. A faster response may resolve
/// it.
const MAX_DOUBTS: u32 = 3;

impl Proof {
    pub(super) const fn new(start: ProofStart) -> Self {
        Self { start, newer_than: None, doubts: 0 }
    }

    /// Returns what to state to the store; `None` if the proof is so old that the store may have forgotten a mark.
    pub(super) fn stated(&self, now: Moment) -> Option<LoginProof> {
        (self.start.age(now) < UNDER_WAY).then_some(LoginProof { newer_than: self.newer_than })
    }

    /// Compares the proof with the mark in the store's response. Returns whether to repeat the operation.
    ///
    /// The ages of mark and proof come from two clocks, at two moments. That of the proof is taken after the response,
    /// so it is never too small: a proof from before the mark is never accepted as a later one.
    pub(super) fn outlasts(&mut self, mark: EndMark, answered: Moment) -> bool {
        if self.start.age(answered) < mark.age - mark.age / CLOCK_DRIFT {
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
    use crate::{clock::Clock as _, testing::TestClock};

    const MS: Duration = Duration::from_millis(1);

    /// A clock, and what is stated next after a mark of this age was answered at `answered` to a proof from `started`,
    /// both in milliseconds.
    fn scene() -> (TestClock, impl Fn(u32, u32, Duration) -> Option<LoginProof>) {
        let met = |started: u32, answered: u32, age| {
            let clock = TestClock::new();
            clock.advance(started * MS);
            let mut proof = Proof::new(ProofStart { began: Moment::of(&clock), earlier: Duration::ZERO });
            clock.advance((answered - started) * MS);
            proof.outlasts(EndMark { at: Timestamp::from_millis(7), age }, Moment::of(&clock));
            proof.stated(Moment::of(&clock))
        };
        (TestClock::new(), met)
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
        let (clock, _) = scene();
        let start = ProofStart { began: Moment::of(&clock), earlier: Duration::ZERO };
        assert!(Proof::new(start.earlier_by(UNDER_WAY)).stated(Moment::of(&clock)).is_none());
        assert!(Proof::new(start.earlier_by(Duration::MAX)).stated(Moment::of(&clock)).is_none());
        clock.advance(UNDER_WAY - MS);
        assert!(Proof::new(start).stated(Moment::of(&clock)).is_some());
        clock.advance(MS);
        assert!(Proof::new(start).stated(Moment::of(&clock)).is_none());
    }

    /// Its monotonic reading stands still meanwhile, and the end of sessions on another node does not wait for it.
    #[test]
    fn proof_grows_old_while_the_machine_is_suspended() {
        let clock = TestClock::new();
        let mut proof = Proof::new(ProofStart { began: Moment::of(&clock), earlier: Duration::ZERO });
        clock.set(clock.now().saturating_add(Duration::from_secs(600)));
        let mark = EndMark { at: Timestamp::from_millis(7), age: Duration::from_secs(300) };
        proof.outlasts(mark, Moment::of(&clock));
        assert_eq!(proof.stated(Moment::of(&clock)), Some(LoginProof::default()), "not known to be newer");
    }
}

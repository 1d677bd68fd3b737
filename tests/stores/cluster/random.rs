//! Random steps with a log that fails in between: ended sessions stay ended, reported ends are published, and no other
//! session is lost.

use std::{cell::Cell, collections::BTreeSet, num::NonZeroU32, time::Duration};

use proptest::{
    collection::vec,
    option,
    prelude::*,
    test_runner::{TestCaseResult, TestRunner},
};
use tower_jwt_sessions::{
    SessionId,
    policy::SessionLimit,
    store::{CreateOutcome, Revocation, RotateOutcome, SessionStore as _, StoreError, WhichSessions},
};

use crate::cluster::scene::{A_WHILE, HOUR, Scene, id};

/// Sessions are numbered, modulo the logins so far.
#[derive(Clone, Debug)]
enum Op {
    Refuse,
    Allow,
    Advance(u64),
    Create {
        limit: Option<u32>,
        replaces: Option<u8>,
    },
    /// With the newest generation, or with an earlier one.
    Rotate {
        session: u8,
        is_old: bool,
    },
    End {
        which: u8,
        session: u8,
    },
    ExpireAccess,
    Find {
        session: u8,
    },
    Put {
        session: u8,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let session = || 0..12_u8;
    prop_oneof![
        3 => Just(Op::Refuse),
        3 => Just(Op::Allow),
        // Around the times after which an end counts as abandoned, and a token as reused.
        4 => prop_oneof![Just(1), Just(999), Just(1_000), Just(15_000)].prop_map(Op::Advance),
        6 => (option::of(1..4_u32), option::of(session()))
            .prop_map(|(limit, replaces)| Op::Create { limit, replaces }),
        4 => (session(), any::<bool>()).prop_map(|(session, is_old)| Op::Rotate { session, is_old }),
        4 => (0..4_u8, session()).prop_map(|(which, session)| Op::End { which, session }),
        2 => Just(Op::ExpireAccess),
        2 => session().prop_map(|session| Op::Find { session }),
        1 => session().prop_map(|session| Op::Put { session }),
    ]
}

/// What was reported to clients and operators.
struct Reports<'a> {
    scene: &'a Scene<'static>,
    refuses: bool,
    /// The newest generation of the token of each login; `None` if the login failed.
    tried: Vec<Option<u32>>,
    /// Sessions that a step tried to end, with or without success.
    may_be_over: BTreeSet<SessionId>,
    /// Sessions that must stay ended.
    over: BTreeSet<SessionId>,
    /// Ends that must be in the log.
    reported: BTreeSet<(SessionId, u32)>,
}

impl Reports<'_> {
    fn session(&self, n: u8) -> u8 {
        n.checked_rem(u8::try_from(self.tried.len()).expect("few sessions")).unwrap_or(200)
    }

    fn logged_in(&self) -> impl Iterator<Item = SessionId> {
        (0..).zip(&self.tried).filter(|(_, generation)| generation.is_some()).map(|(n, _)| id(n))
    }

    fn are_over(&mut self, ended: impl IntoIterator<Item = SessionId>) {
        for session in ended {
            self.over.insert(session);
            self.reported.insert((session, Revocation::ENDED));
        }
    }

    /// Returns the outcome, unless the log fails.
    fn result<T>(&self, outcome: Result<T, StoreError>) -> Result<Option<T>, TestCaseError> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(_) if self.refuses => Ok(None),
            Err(error) => Err(TestCaseError::fail(format!("a step failed without a cause: {error:?}"))),
        }
    }

    async fn take(&mut self, op: Op) -> TestCaseResult {
        let scene = self.scene;
        match op {
            Op::Refuse if !self.refuses => {
                scene.refuse_log().await;
                self.refuses = true;
            }
            Op::Allow if self.refuses => {
                scene.allow_log().await;
                self.refuses = false;
            }
            Op::Refuse | Op::Allow => {}
            Op::Advance(millis) => scene.clock.advance(Duration::from_millis(millis)),
            Op::Create { limit, replaces } => {
                let mut new = scene.new_session(u8::try_from(self.tried.len()).expect("few sessions"));
                new.limit = limit.and_then(NonZeroU32::new).map(SessionLimit::evict);
                new.replaces = replaces.map(|session| id(self.session(session)));
                self.may_be_over.extend(new.replaces);
                if limit.is_some() {
                    self.may_be_over.extend((0..).zip(&self.tried).map(|(n, _)| id(n)));
                }
                let created = self.result(scene.store.create(&new).await)?;
                self.tried.push(created.is_some().then_some(1));
                if let Some(CreateOutcome::Created { ended, .. }) = created {
                    self.are_over(ended);
                    let replaced = new.replaces.filter(|replaced| self.logged_in().any(|known| known == *replaced));
                    self.are_over(replaced);
                }
            }
            Op::Rotate { session, is_old } => {
                let n = self.session(session);
                let known = self.tried.get(usize::from(n)).copied().flatten();
                let generation = known.unwrap_or(1).saturating_sub(u32::from(is_old)).max(1);
                if Some(generation) != known {
                    self.may_be_over.insert(id(n));
                }
                match self.result(scene.store.rotate(&scene.rotation(n, generation)).await)? {
                    None => prop_assert!(self.may_be_over.contains(&id(n))),
                    Some(RotateOutcome::Reused) => self.are_over([id(n)]),
                    Some(RotateOutcome::Live { record, .. }) => {
                        prop_assert!(!self.over.contains(&id(n)), "the ended session is live");
                        if let Some(newest) = self.tried.get_mut(usize::from(n)).filter(|newest| newest.is_some()) {
                            *newest = Some(record.generation);
                        }
                    }
                    Some(_) => prop_assert!(known.is_none() || self.may_be_over.contains(&id(n))),
                }
            }
            Op::End { which, session } => {
                let session = id(self.session(session));
                let which = match which {
                    0 => WhichSessions::One(session),
                    1 => WhichSessions::Proven(session),
                    2 => WhichSessions::Others(session),
                    _ => WhichSessions::All,
                };
                let meant: Vec<_> = self.logged_in().filter(|known| which.includes(*known)).collect();
                let tried = (0..).zip(&self.tried).map(|(n, _)| id(n)).chain([session]);
                self.may_be_over.extend(tried.filter(|tried| which.includes(*tried)));
                if let Some(ended) = self.result(scene.end(which).await)? {
                    self.are_over(ended);
                    self.are_over(meant);
                }
            }
            Op::ExpireAccess => {
                let raised = self.result(scene.store.expire_access(&scene.user, HOUR).await)?;
                self.reported.extend(raised.into_iter().flatten());
            }
            Op::Find { session } => {
                let n = self.session(session);
                match self.result(scene.store.find(&scene.user, id(n)).await)? {
                    Some(Some(_)) => prop_assert!(!self.over.contains(&id(n)), "the ended session is live"),
                    Some(None) if self.logged_in().any(|known| known == id(n)) => {
                        prop_assert!(self.may_be_over.contains(&id(n)), "the session was not ended");
                        self.are_over([id(n)]);
                    }
                    Some(None) => {}
                    None => prop_assert!(self.may_be_over.contains(&id(n)), "the session has not ended"),
                }
            }
            Op::Put { session } => drop(self.result(scene.store.put_data(&scene.put(self.session(session))).await)?),
        }
        self.check().await
    }

    async fn check(&mut self) -> TestCaseResult {
        let live: BTreeSet<_> = self.scene.live().await.into_iter().collect();
        prop_assert!(live.is_disjoint(&self.over), "{:?} are live", live.intersection(&self.over));
        for known in self.logged_in() {
            prop_assert!(live.contains(&known) || self.may_be_over.contains(&known), "{known:?} is lost");
        }
        // Ends that were seen once must stay.
        self.over.extend(self.logged_in().filter(|known| !live.contains(known)).collect::<Vec<_>>());
        if !self.refuses {
            let published = self.published().await;
            prop_assert!(self.reported.is_subset(&published), "{:?} and {published:?}", self.reported);
        }
        Ok(())
    }

    async fn published(&self) -> BTreeSet<(SessionId, u32)> {
        let published = self.scene.published().await;
        published.into_iter().map(|revocation| (revocation.session, revocation.min_epoch)).collect()
    }

    /// The next request completes unfinished steps, without a retry.
    async fn finish(mut self) -> TestCaseResult {
        self.take(Op::Allow).await?;
        self.scene.clock.advance(A_WHILE);
        let listed = self.scene.store.list(&self.scene.user).await.expect("the store works").sessions;
        let published = self.published().await;
        for session in &listed {
            let is_known = self.logged_in().any(|known| known == session.id);
            prop_assert!(is_known, "{:?} is of a login that failed", session.id);
            let epoch = session.record.epoch;
            prop_assert!(
                epoch == 0 || published.contains(&(session.id, epoch)),
                "the access of {:?} is not expired",
                session.id
            );
        }
        for known in self.logged_in() {
            let is_over = !listed.iter().any(|session| session.id == known);
            prop_assert_eq!(is_over, published.contains(&(known, Revocation::ENDED)), "{:?}", known);
        }
        prop_assert_eq!(self.scene.pending().await, None);
        Ok(())
    }
}

#[test]
fn random_steps_with_failing_log_lose_and_revive_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let first = runtime.block_on(Scene::new());
    let cases = Cell::new(0);
    let config = ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() };
    let outcome = TestRunner::new(config).run(&vec(op(), 1..40), |ops| {
        cases.set(cases.get() + 1);
        runtime.block_on(async {
            let scene = first.beside().await;
            let mut reports = Reports {
                scene: &scene,
                refuses: false,
                tried: Vec::new(),
                may_be_over: BTreeSet::new(),
                over: BTreeSet::new(),
                reported: BTreeSet::new(),
            };
            for op in ops {
                reports.take(op).await?;
            }
            reports.finish().await
        })
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

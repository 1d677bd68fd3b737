//! Pairs of concurrent operations: one is held before and after each of its steps while the other runs. The table in
//! `docs/security.md` lists what holds in either order.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::SeqCst},
};

use serde::{Deserialize, Serialize};
use tower_jwt_sessions::{
    Error, KeyRing, SessionId, SessionManager, UserId,
    error::ErrorKind,
    manager::{ClaimsSource, ProofStart},
    testing::TestClock,
};

use crate::{
    support::TestStore,
    support::gate::Gate,
    world::{Jar, MINUTE, SECOND, pass, settle},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Login,
    Refresh,
    Logout,
    /// Of the session, by its identifier.
    End,
    /// By the other session.
    EndOthers,
    EndAll,
    /// After the rank of the user changed.
    ExpireAccess,
    /// The first use of an access token.
    Confirm,
    Data,
}
use Op::{Confirm, Data, End, EndAll, EndOthers, ExpireAccess, Login, Logout, Refresh};

macro_rules! pairs {
    ($($held:ident: $held_op:ident;)*) => { $(
        mod $held {
            use super::*;
            pairs!(meets $held_op: login Login, refresh Refresh, logout Logout, end End, end_others EndOthers,
                end_all EndAll, expire_access ExpireAccess, confirm Confirm, data Data);
        }
    )* };
    (meets $held_op:ident: $($other:ident $other_op:ident),*) => { $(
        #[tokio::test(start_paused = true)]
        async fn $other() {
            race_at_each_point($held_op, $other_op).await;
        }
    )* };
}

pairs! {
    login_meets: Login;
    refresh_meets: Refresh;
    logout_meets: Logout;
    end_meets: End;
    end_others_meets: EndOthers;
    end_all_meets: EndAll;
    expire_access_meets: ExpireAccess;
    confirm_meets: Confirm;
    data_meets: Data;
}

#[derive(Debug, Serialize, Deserialize)]
struct Rank {
    rank: u32,
}

#[derive(Clone, Default)]
struct Users {
    rank: Arc<AtomicU32>,
    gate: Gate,
}

impl ClaimsSource<Rank> for Users {
    async fn load(&self, _: &UserId) -> Result<Option<Rank>, Box<dyn std::error::Error + Send + Sync>> {
        let read = async { Rank { rank: self.rank.load(SeqCst) } };
        Ok(Some(self.gate.around("load", read).await))
    }
}

type Node = SessionManager<Rank>;

/// A node, and the two sessions of one user that operations use.
#[derive(Clone)]
struct Actor {
    node: Node,
    users: Users,
    jar: Jar,
    id: SessionId,
    other: Jar,
}

/// The outcome of an operation.
#[derive(Default)]
struct Outcome {
    /// The cookies of a login or a refresh.
    jar: Option<Jar>,
    error: Option<ErrorKind>,
    /// There was no session.
    is_anonymous: bool,
}

impl Outcome {
    fn of<T>(outcome: Result<T, Error>) -> Self {
        Self { error: outcome.err().map(|error| error.kind()), ..Self::default() }
    }
}

fn build(store: TestStore, users: Users, clock: &TestClock) -> Node {
    SessionManager::builder()
        .access_keys(KeyRing::hs256([1; 32]).unwrap())
        .refresh_keys(KeyRing::hs256([2; 32]).unwrap())
        .issuer("https://app.test")
        .clock(clock.clone())
        .store(store)
        .claims_source(users)
        .build()
        .unwrap()
}

impl Actor {
    async fn run(self, op: Op, proof: ProofStart) -> Outcome {
        let Self { node, users, mut jar, id, other } = self;
        let anonymous = || Outcome { is_anonymous: true, ..Outcome::default() };
        match op {
            Login => match node.login("alice").proven_since(proof).await {
                Ok(cookies) => Outcome { jar: Some(Jar::of(cookies)), ..Outcome::default() },
                refused => Outcome::of(refused),
            },
            Refresh => match jar.ask(&node).await {
                Ok(cookies) => {
                    jar.keep(cookies);
                    Outcome { jar: Some(jar), ..Outcome::default() }
                }
                refused => Outcome::of(refused),
            },
            Logout => Outcome::of(node.logout(&node.verifier().present(&jar.headers())).await),
            End => Outcome::of(node.end("alice", id).await),
            EndOthers => match other.visit(&node) {
                Some(session) => Outcome::of(node.end_others(&session).await),
                None => anonymous(),
            },
            EndAll => Outcome::of(node.end_all("alice").await),
            ExpireAccess => {
                users.rank.fetch_add(1, SeqCst);
                Outcome::of(node.expire_access("alice").await)
            }
            Confirm => {
                let is_seen = jar.visit(&node).is_some();
                settle().await;
                if is_seen { Outcome::default() } else { anonymous() }
            }
            Data => match jar.visit(&node) {
                Some(session) => Outcome::of(node.update_data(&session, |n: Option<u32>| n.unwrap_or(0) + 1).await),
                None => anonymous(),
            },
        }
    }
}

async fn race_at_each_point(held: Op, other: Op) {
    for point in 0.. {
        assert!(point < 50, "the operation does not end");
        if !race(held, other, point).await {
            assert!(point > 0, "nothing was held");
            return;
        }
    }
}

/// Returns whether the first operation was held at this point. If not, the second runs after it.
async fn race(held: Op, other: Op, point: usize) -> bool {
    let clock = TestClock::new();
    let store = TestStore::memory(&clock);
    let users = Users::default();
    let there = build(store.clone(), users.clone(), &clock);
    let mut jar = Jar::of(there.login("alice").await.unwrap());
    let id = there.list("alice").await.unwrap()[0].id;
    let kept = Jar::of(there.login("alice").await.unwrap());
    let other_id = there.list("alice").await.unwrap().into_iter().find(|listed| listed.id != id).unwrap().id;
    pass(&clock, MINUTE).await;
    if held == Confirm || other == Confirm {
        // Otherwise there is nothing to confirm.
        jar.refresh(&there).await.unwrap();
    }

    let gate = Gate::holding_at(point);
    let behind = Users { gate: gate.clone(), ..users.clone() };
    let here = build(store.behind(&gate), behind.clone(), &clock);
    here.revocation_feed().caught_up().await;
    let actor = Actor { node: here.clone(), users: behind, jar: jar.clone(), id, other: kept.clone() };
    let first = tokio::spawn(actor.clone().run(held, here.start_proof()));
    settle().await;
    let is_held = gate.is_holding();
    let (was_created, had_ended) = (gate.was_taken("create"), gate.was_taken("end"));
    pass(&clock, SECOND).await;
    let second = Actor { node: there.clone(), users: users.clone(), ..actor }.run(other, there.start_proof()).await;
    pass(&clock, SECOND).await;
    gate.release();
    let first = first.await.unwrap();
    settle().await;

    // Sessions that must have ended.
    let outcomes = [(held, &first), (other, &second)];
    let was_run = |op: Op| outcomes.iter().any(|(run, outcome)| *run == op && !outcome.is_anonymous);
    let is_over = [Logout, End, EndOthers, EndAll].into_iter().any(was_run);
    let nodes = [&here, &there];
    let what = format!("{held:?} held at point {point}, {other:?}");

    // Outcomes of the operations.
    let mut jars = vec![jar];
    let mut logins = Vec::new();
    for (position, (op, outcome)) in outcomes.into_iter().enumerate() {
        match (op, outcome.error) {
            (Login, error) => {
                let ends = [EndOthers, EndAll].contains(if position == 0 { &other } else { &held });
                // The first of them, if the second had ended everything before it ran.
                let is_refused = position == 0 && ends && !was_created && !second.is_anonymous;
                assert_eq!(error, is_refused.then_some(ErrorKind::ProofOutdated), "{what}");
                let is_ended = ends && (position == 0 || !had_ended);
                logins.extend(outcome.jar.clone().map(|jar| (jar, is_ended)));
            }
            (Refresh, None) => jars.extend(outcome.jar.clone()),
            (Refresh, Some(error)) => assert_eq!((error, is_over), (ErrorKind::InvalidRefreshToken, true), "{what}"),
            (Data, Some(error)) => assert_eq!((error, is_over), (ErrorKind::SessionEnded, true), "{what}"),
            (_, error) => assert_eq!(error, None, "{what}"),
        }
        // Without the session, the operation does nothing.
        let by_other = if op == EndOthers { was_run(EndAll) } else { is_over };
        let may_be_anonymous = by_other || was_run(ExpireAccess);
        assert!(!outcome.is_anonymous || may_be_anonymous, "{what}");
    }

    // The sessions that remain.
    let mut expected: Vec<SessionId> = there.list("alice").await.unwrap().iter().map(|listed| listed.id).collect();
    assert_eq!(expected.contains(&id), !is_over, "{what}");
    assert_eq!(expected.contains(&other_id), !was_run(EndAll), "{what}");
    expected.retain(|listed| *listed != id && *listed != other_id);
    assert_eq!(expected.len(), logins.iter().filter(|(_, is_ended)| !is_ended).count(), "{what}");

    let rank = users.rank.load(SeqCst);
    let written =
        outcomes.iter().filter(|(op, outcome)| *op == Data && outcome.error.is_none() && !outcome.is_anonymous).count();
    let newest = jars.len() - 1;
    for (n, jar) in jars.into_iter().enumerate() {
        match is_over {
            true => assert_over(&nodes, &jar, &what).await,
            false if n == newest => assert_works(&nodes, jar, rank, u32::try_from(written).ok(), &clock, &what).await,
            false => assert_rank(&nodes, &jar, rank, &what),
        }
    }
    match was_run(EndAll) {
        true => assert_over(&nodes, &kept, &what).await,
        false => assert_works(&nodes, kept, rank, Some(0), &clock, &what).await,
    }
    for (jar, is_ended) in logins {
        match is_ended {
            true => assert_over(&nodes, &jar, &what).await,
            false => assert_works(&nodes, jar, rank, Some(0), &clock, &what).await,
        }
    }
    is_held
}

/// Asserts that every node refuses the session, also after a refresh.
async fn assert_over(nodes: &[&Node], jar: &Jar, what: &str) {
    for node in nodes {
        assert!(jar.visit(node).is_none(), "{what}: an ended session is accepted");
        let refused = jar.ask(node).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidRefreshToken, "{what}");
        assert!(jar.visit(node).is_none(), "{what}: an ended session is accepted");
    }
}

/// Asserts that accepted tokens have the current rank.
fn assert_rank(nodes: &[&Node], jar: &Jar, rank: u32, what: &str) {
    for node in nodes {
        assert!(jar.visit(node).is_none_or(|session| session.claims().rank == rank), "{what}: old claims");
    }
}

/// Asserts that every node accepts the session, with the newest claims and the written data.
async fn assert_works(nodes: &[&Node], mut jar: Jar, rank: u32, written: Option<u32>, clock: &TestClock, what: &str) {
    assert_rank(nodes, &jar, rank, what);
    pass(clock, MINUTE).await;
    jar.refresh(nodes[1]).await.unwrap_or_else(|error| panic!("{what}: logged out: {error}"));
    settle().await;
    for node in nodes {
        let session = jar.visit(node).unwrap_or_else(|| panic!("{what}: refused"));
        assert_eq!(session.claims().rank, rank, "{what}");
        let data = node.data::<u32>(&session).await.unwrap();
        assert_eq!(Some(data.value.unwrap_or(0)), written, "{what}: data");
    }
}

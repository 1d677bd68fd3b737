use std::sync::Arc;

use crate::{
    KeyRing, MemoryStore, Session, SessionManager, StalePolicy,
    clock::{Clock as _, SystemClock},
    id::{SessionId, UserId},
};

fn manager() -> SessionManager {
    SessionManager::builder()
        .access_keys(KeyRing::hs256([1; 32]).unwrap())
        .refresh_keys(KeyRing::hs256([2; 32]).unwrap())
        .issuer("https://app.test")
        .store(MemoryStore::new())
        .build()
        .unwrap()
}

fn session(manager: &SessionManager, id: u8) -> Session {
    let now = SystemClock.now();
    let registered = crate::jwt::RegisteredClaims {
        user_id: UserId::new("alice").unwrap(),
        session_id: SessionId::from_bytes([id; SessionId::LEN]),
        generation: 1,
        epoch: 0,
        auth_time: now,
        issued_at: now,
        expires_at: now.saturating_add(std::time::Duration::from_secs(3600)),
    };
    Session::new(registered, now, (), Some(Arc::clone(manager.verifier().inner()) as _), StalePolicy::default())
}

#[tokio::test]
async fn nothing_is_kept_of_those_who_no_longer_wait() {
    let manager = manager();
    let watched = || manager.verifier().inner().ends.watched_sessions();
    let sessions: Vec<Session> = (0..100).map(|id| session(&manager, id)).collect();
    assert_eq!(watched(), 0, "a session that nobody waits for costs nothing");

    let first: Vec<_> = sessions.iter().map(Session::ended).collect();
    let second: Vec<_> = sessions.iter().map(Session::ended).collect();
    assert_eq!(watched(), 100);
    drop(first);
    assert_eq!(watched(), 100, "others still wait");
    let tasks: Vec<_> = second.into_iter().map(tokio::spawn).collect();
    tokio::task::yield_now().await;
    for task in &tasks[..50] {
        task.abort();
    }
    for session in &sessions[50..] {
        manager.end("alice", session.id()).await.unwrap();
        manager.verifier().inner().ends.tell_ended(session.id());
    }
    for task in tasks {
        let _ = task.await;
    }
    assert_eq!(watched(), 0, "dropped, cancelled or over");
}

#[tokio::test]
async fn waiting_keeps_nothing_else_alive() {
    let manager = manager();
    let ends = std::sync::Arc::downgrade(&manager.verifier().inner().ends);
    let ended = session(&manager, 1).ended();
    drop(manager);
    assert!(ends.upgrade().is_some(), "one still waits");
    drop(ended);
    // The task that follows the log is told to stop, and does when it runs next.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(ends.upgrade().is_none(), "all is gone with the last who waits");
}

#[test]
fn end_is_known_to_the_store_only_when_revoke_says_so() {
    use crate::{revocation::Revoked, store::Revocation};

    let ends = super::Ends::new(Arc::new(SystemClock));
    let (id, hour) = (SessionId::from_bytes([9; SessionId::LEN]), std::time::Duration::from_secs(3600));
    ends.revoke(Revocation { session: id, min_epoch: 7 }, hour);
    assert_eq!((ends.is_ended(id), ends.find(id, 7)), (false, None));
    ends.begin_end(id, hour);
    assert_eq!((ends.is_ended(id), ends.find(id, 7)), (false, Some(Revoked::EndUnfinished)));
    ends.revoke(Revocation::ended(id), hour);
    assert_eq!((ends.is_ended(id), ends.find(id, 7)), (true, Some(Revoked::Certainly)));
    // A late one takes nothing back.
    ends.begin_end(id, hour);
    assert!(ends.is_ended(id));
}

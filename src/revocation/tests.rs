use std::sync::Arc;

use crate::{
    KeyRing, MemoryStore, Session, SessionManager,
    clock::{Clock as _, SystemClock},
    id::{SessionId, UserId},
    revocation::StalePolicy,
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

fn backend(manager: &SessionManager) -> Arc<super::SessionBackend> {
    Arc::clone(manager.verifier().inner().backend.as_ref().unwrap())
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
        terms: None,
    };
    Session::new(registered, now, (), Some(Arc::clone(manager.verifier().inner())), StalePolicy::default())
}

#[tokio::test]
async fn waiters_are_removed_when_dropped_cancelled_or_notified() {
    let manager = manager();
    let backend = backend(&manager);
    let awaited = || backend.revocations().awaited_sessions();
    let sessions: Vec<Session> = (0..100).map(|id| session(&manager, id)).collect();
    assert_eq!(awaited(), 0, "no session is awaited yet");

    let first: Vec<_> = sessions.iter().map(Session::ended).collect();
    let second: Vec<_> = sessions.iter().map(Session::ended).collect();
    assert_eq!(awaited(), 100);
    drop(first);
    assert_eq!(awaited(), 100, "others still wait");
    let tasks: Vec<_> = second.into_iter().map(tokio::spawn).collect();
    tokio::task::yield_now().await;
    for task in &tasks[..50] {
        task.abort();
    }
    for session in &sessions[50..] {
        backend.revocations().revoke(crate::store::Revocation::ended(session.id()));
    }
    for task in tasks {
        let _ = task.await;
    }
    assert_eq!(awaited(), 0, "dropped, cancelled or over");
}

#[tokio::test]
async fn node_is_dropped_with_its_last_waiter() {
    let manager = manager();
    let node = Arc::downgrade(&backend(&manager).node);
    let ended = session(&manager, 1).ended();
    drop(manager);
    assert!(node.upgrade().is_some(), "one still waits");
    drop(ended);
    // The task that follows the log is aborted, and stops when it runs next.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(node.upgrade().is_none(), "all is gone with the last who waits");
}

#[test]
fn begun_end_is_unfinished_until_it_is_revoked() {
    use crate::{
        revocation::{Revocations, Revoked},
        store::Revocation,
    };

    let revocations = Revocations::new(Arc::new(SystemClock), std::time::Duration::from_secs(3600));
    let id = SessionId::from_bytes([9; SessionId::LEN]);
    revocations.revoke(Revocation { session: id, min_epoch: 7 });
    assert_eq!((revocations.is_ended(id), revocations.find(id, 7)), (false, None));
    revocations.begin_end(id);
    assert_eq!((revocations.is_ended(id), revocations.find(id, 7)), (false, Some(Revoked::EndUnfinished)));
    revocations.revoke(Revocation::ended(id));
    assert_eq!((revocations.is_ended(id), revocations.find(id, 7)), (true, Some(Revoked::Certainly)));
    // A late one takes nothing back.
    revocations.begin_end(id);
    assert!(revocations.is_ended(id));
}

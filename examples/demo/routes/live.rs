//! Connections that stay open and close when their session ends, on whichever node that happens.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::{
        State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code},
    },
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
};
use futures_util::stream::{self, Stream};
use tokio::time::{interval, timeout};
use tower_jwt_sessions::revocation::Ended;

use super::Session;
use crate::server::Stopping;

/// `GET /live`: a `tick` every second, and `ended` when the session ends.
pub(super) async fn events(session: Session, State(stopping): State<Stopping>) -> impl IntoResponse {
    // A proxy that buffers responses, as nginx does, passes these events on at once.
    ([("x-accel-buffering", "no")], Sse::new(ticks(session.ended(), stopping)))
}

fn ticks(ended: Ended, stopping: Stopping) -> impl Stream<Item = Result<Event, Infallible>> {
    let open = Some((ended, Box::pin(stopping.requested()), interval(Duration::from_secs(1)), 0_u64));
    stream::unfold(open, |open| async {
        let (mut ended, mut stopping, mut seconds, count) = open?;
        tokio::select! {
            biased;
            () = &mut ended => Some((Ok(Event::default().event("ended").data("the session has ended")), None)),
            // The browser reconnects, to a node that is available.
            () = &mut stopping => None,
            _ = seconds.tick() => {
                let tick = Event::default().event("tick").data(count.to_string());
                Some((Ok(tick), Some((ended, stopping, seconds, count + 1))))
            }
        }
    })
}

/// From the range for applications, 4000 to 4999, in analogy to 401.
const SESSION_ENDED: u16 = 4401;
/// How long to wait for the client's close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_MESSAGE: usize = 4096;

/// `GET /ws`: echoes messages until the session ends.
///
/// Requests without a session or from another origin are refused before the upgrade, by [`Session`] and by the guard on
/// the route.
pub(super) async fn socket(session: Session, State(stopping): State<Stopping>, upgrade: WebSocketUpgrade) -> Response {
    let ended = session.ended();
    upgrade.max_message_size(MAX_MESSAGE).on_upgrade(|socket| echo(socket, ended, stopping))
}

async fn echo(mut socket: WebSocket, ended: Ended, stopping: Stopping) {
    let goodbye = tokio::select! {
        // The end first, so that no message is echoed after it.
        biased;
        () = ended => CloseFrame { code: SESSION_ENDED, reason: "the session has ended".into() },
        () = stopping.requested() => CloseFrame { code: close_code::AWAY, reason: "the server stops".into() },
        () = say_back(&mut socket) => return,
    };
    if socket.send(Message::Close(Some(goodbye))).await.is_ok() {
        let _ = timeout(CLOSE_TIMEOUT, async { while let Some(Ok(_)) = socket.recv().await {} }).await;
    }
}

/// Returns when the client disconnects.
async fn say_back(socket: &mut WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(message, Message::Text(_) | Message::Binary(_)) && socket.send(message).await.is_err() {
            return;
        }
    }
}

//! The service of the layer, and its future.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tokio::{
    runtime::Handle,
    task::JoinHandle,
    time::{Timeout, timeout},
};
use tower_service::Service;
use tracing::Instrument as _;

use super::{RenewalLayer, requests::qualifies};
use crate::{
    auth::{Verifier, VerifierInner, VerifyError, insert_outcome},
    claims::Claims,
    cookie::{CookieSettings, SessionCookies, assert_cookies},
    credentials::replace_access_cookie,
    error::{Error, ErrorKind},
    event::LOG_TARGET,
    health::Health,
    manager::Renewal,
};

/// How long a request waits for a refresh. A refresh that works takes a few milliseconds, and a user does not notice
/// this much.
const MAX_WAIT: Duration = Duration::from_millis(200);

/// The service that [`RenewalLayer`] makes.
pub struct RenewalService<S, C> {
    inner: S,
    /// Shared, since routers clone their services for each request.
    layer: Arc<RenewalLayer<C>>,
}

impl<S, C> RenewalService<S, C> {
    pub(super) fn new(inner: S, layer: RenewalLayer<C>) -> Self {
        Self { inner, layer: Arc::new(layer) }
    }
}

impl<S, C, Body, Answer> Service<Request<Body>> for RenewalService<S, C>
where
    S: Service<Request<Body>, Response = Response<Answer>> + Clone,
    C: Claims,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = RenewalFuture<S, Body, C>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let verifier = &self.layer.verifier;
        let verified = verifier.verify(request.headers());
        #[cfg(feature = "dbsc")]
        if verified.is_err() {
            verifier.note_skipped(request.headers(), request.extensions());
        }
        if let Err(reason) = verified
            && let Some(refresh) = self.layer.refresh(reason, &mut request)
        {
            // The instance that is ready takes the request, and its clone the next one.
            let next = self.inner.clone();
            let inner = std::mem::replace(&mut self.inner, next);
            let (verifier, pace) = (verifier.clone(), Arc::clone(&self.layer.pace));
            let waiting = Waiting { refresh, reason, verifier, pace, request, inner };
            return RenewalFuture { state: State::Waiting { waiting: Some(Box::new(waiting)) } };
        }
        insert_outcome(request.extensions_mut(), verifier, verified);
        RenewalFuture { state: State::Called { inner: self.inner.call(request), cookies: None } }
    }
}

impl<C: Claims> RenewalLayer<C> {
    /// Begins to refresh if the request qualifies for it and has a refresh token.
    fn refresh<Body>(&self, reason: VerifyError, request: &mut Request<Body>) -> Option<Refresh> {
        let is_curable = match reason {
            VerifyError::OnlyRefreshToken | VerifyError::Expired | VerifyError::InvalidToken => true,
            // The access may have been expired only. If the session has ended, the refresh is refused.
            VerifyError::Revoked => true,
            // No credentials, several, or a session that a refresh could not make better known.
            _ => false,
        };
        let is_same_origin = || self.guard.is_same_origin(request.uri(), request.headers());
        if !is_curable || !qualifies(self.scope, request.method(), request.headers(), is_same_origin) {
            return None;
        }
        // An outer layer has waited already.
        let tried = request.extensions().get::<Tried>();
        if tried.is_some_and(|tried| Arc::ptr_eq(&tried.0, self.verifier.inner())) {
            return None;
        }
        let presented = self.verifier.present_in(request.headers(), request.extensions());
        if !presented.has_refresh_token() {
            return None;
        }
        // A task, so that what the refresh finds out, such as reuse, is reported even if the request no longer waits for it.
        let runtime = Handle::try_current().ok()?;
        let sessions = self.sessions.clone();
        let refresh = runtime.spawn(async move { sessions.renew(&presented).await }.in_current_span());
        request.extensions_mut().insert(Tried(Arc::clone(self.verifier.inner())));
        Some(Box::pin(timeout(MAX_WAIT, refresh)))
    }
}

impl<S: Clone, C> Clone for RenewalService<S, C> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), layer: Arc::clone(&self.layer) }
    }
}

impl<S: fmt::Debug, C> fmt::Debug for RenewalService<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenewalService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// A refresh for this request was tried by the layer of this verifier.
#[derive(Clone)]
struct Tried(Arc<VerifierInner>);

type Refresh = Pin<Box<Timeout<JoinHandle<Result<Renewal, Error>>>>>;

/// A request that waits for its refresh.
struct Waiting<S, Body, C> {
    refresh: Refresh,
    reason: VerifyError,
    verifier: Verifier<C>,
    pace: Arc<Health>,
    request: Request<Body>,
    /// Ready.
    inner: S,
}

impl<S, Body, C> Waiting<S, Body, C>
where
    S: Service<Request<Body>>,
    C: Claims,
{
    /// Calls the inner service, with the new session if there is one.
    fn call(mut self, renewal: Result<Renewal, NotRenewed>) -> (S::Future, Option<Box<SessionCookies>>) {
        let (mut verified, cookies) = match renewal {
            Ok(renewal) => {
                let settings = &self.verifier.inner().sources.cookies;
                replace_access_cookie(self.request.headers_mut(), settings, &renewal.access_token);
                (self.verifier.verify(self.request.headers()), Some(Box::new(renewal.cookies)))
            }
            Err(NotRenewed::Refused) => (Err(self.reason), None),
            Err(NotRenewed::Unproven(removal)) => (Err(VerifyError::ProofRequired), removal),
            Err(NotRenewed::Failed) => (Err(VerifyError::RenewalFailed), None),
            Err(NotRenewed::Unavailable) => (Err(VerifyError::NotRenewed), None),
        };
        if let Ok(session) = &mut verified {
            session.mark_renewed();
        }
        insert_outcome(self.request.extensions_mut(), &self.verifier, verified);
        (self.inner.call(self.request), cookies)
    }
}

pin_project! {
    /// The future of [`RenewalService`]: a refresh where one is needed, then that of the inner service.
    pub struct RenewalFuture<S, Body, C>
    where
        S: Service<Request<Body>>,
    {
        #[pin]
        state: State<S, Body, C>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, Body, C>
    where
        S: Service<Request<Body>>,
    {
        Waiting {
            // Boxed, since most requests do not wait. `None` only while it is taken.
            waiting: Option<Box<Waiting<S, Body, C>>>,
        },
        Called {
            #[pin]
            inner: S::Future,
            // For the response, after a refresh.
            cookies: Option<Box<SessionCookies>>,
        },
    }
}

impl<S, Body, C, Answer> Future for RenewalFuture<S, Body, C>
where
    S: Service<Request<Body>, Response = Response<Answer>>,
    C: Claims,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProj::Waiting { waiting } => {
                    let Some(ref mut request) = *waiting else { return Poll::Pending };
                    let result = ready!(request.refresh.as_mut().poll(cx));
                    let settings = &request.verifier.inner().sources.cookies;
                    let renewal = renewed(result, &request.pace, settings);
                    let Some(request) = waiting.take() else { return Poll::Pending };
                    let (inner, cookies) = request.call(renewal);
                    state.set(State::Called { inner, cookies });
                }
                StateProj::Called { inner, cookies } => {
                    let mut polled = inner.poll(cx);
                    if let Poll::Ready(Ok(response)) = &mut polled {
                        assert_cookies(response);
                        if let Some(cookies) = cookies.take() {
                            cookies.add_missing(response.headers_mut());
                        }
                    }
                    return polled;
                }
            }
        }
    }
}

/// Why a request was not renewed.
enum NotRenewed {
    /// The session has ended or its refresh token cannot be used.
    Refused,
    /// The session is bound to a device, which has to prove its refreshes. With the removal of the access cookie, so that
    /// the browser does that.
    Unproven(Option<Box<SessionCookies>>),
    /// The application failed: the session lives.
    Failed,
    /// Store or claims source failed or were too slow: the session may live.
    Unavailable,
}

/// Logs why a request was not renewed. Outages are logged where they are noticed.
fn renewed(
    result: Result<Result<Result<Renewal, Error>, tokio::task::JoinError>, tokio::time::error::Elapsed>,
    pace: &Health,
    settings: &CookieSettings,
) -> Result<Renewal, NotRenewed> {
    pace.observe(result.as_ref().err().map(|elapsed| elapsed as _));
    match result {
        Ok(Ok(Ok(renewal))) => Ok(renewal),
        Ok(Ok(Err(error))) => {
            error.log_if_internal();
            tracing::debug!(target: LOG_TARGET, kind = ?error.kind(), "request not renewed");
            Err(match error.kind() {
                ErrorKind::Store | ErrorKind::ClaimsSource => NotRenewed::Unavailable,
                ErrorKind::ProofRequired => {
                    NotRenewed::Unproven(SessionCookies::access_removal(settings).ok().map(Box::new))
                }
                _ if error.is_internal() => NotRenewed::Failed,
                _ => NotRenewed::Refused,
            })
        }
        Ok(Err(failure)) if failure.is_panic() => {
            tracing::error!(target: LOG_TARGET, "request not renewed: the claims source or the event hook panicked");
            Err(NotRenewed::Failed)
        }
        // The runtime shuts down, or the refresh takes too long.
        Ok(Err(_)) | Err(_) => Err(NotRenewed::Unavailable),
    }
}

impl<S, Body, C> fmt::Debug for RenewalFuture<S, Body, C>
where
    S: Service<Request<Body>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenewalFuture").finish_non_exhaustive()
    }
}

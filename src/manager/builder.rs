//! The options of a manager. `build` validates them together.

mod build;
mod neighbours;

use std::{fmt, future::Future, marker::PhantomData, net::IpAddr, sync::Arc, time::Duration};

use axum_core::response::Response;
use http::{Extensions, HeaderMap, request::Parts};

use self::neighbours::Neighbour;
use super::{
    ClaimsSource, SessionManager,
    claims_source::{ClaimsLoader, ClaimsSourceError, WithState},
};
#[cfg(feature = "router")]
use crate::csrf::CsrfConfig;
use crate::{
    auth::{ClientIp, CommonOptions},
    claims::Claims,
    clock::Clock,
    cookie::CookieConfig,
    event::{EventHook, SessionEvent},
    id::UserId,
    keys::KeyRing,
    policy::{AssuranceLevel, Lifetimes, ReplayWindow, SessionLimit},
    problem::{Problem, Renderer},
    revocation::StalePolicy,
    store::{DynStore, SessionStore},
};

/// Configures a [`SessionManager`]. Begin with [`SessionManager::builder`].
///
/// The options in the first row of the table below are required, a source of claims only if `C` is not `()`. All others
/// have safe defaults.
///
/// ```
/// use tower_jwt_sessions::{KeyRing, MemoryStore, SessionManager};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), tower_jwt_sessions::ConfigError> {
/// let sessions = SessionManager::<()>::builder()
///     .access_keys(KeyRing::hs256("an access secret of 32 bytes at least")?)
///     .refresh_keys(KeyRing::hs256("a refresh secret of 32 bytes at least")?)
///     .issuer("https://app.example")
///     .store(MemoryStore::new())
///     .build()?;
/// # let _ = sessions;
/// # Ok(())
/// # }
/// ```
///
/// | about | options |
/// |---|---|
/// | required | [`access_keys`](Self::access_keys), [`refresh_keys`](Self::refresh_keys), [`issuer`](Self::issuer), [`store`](Self::store), [`claims_source`](Self::claims_source) or [`claims_with`](Self::claims_with) |
/// | tokens and cookies | [`cookies`](Self::cookies), [`accept_bearer_tokens`](Self::accept_bearer_tokens), [`cache_signatures`](Self::cache_signatures), [`audience`](Self::audience), [`rfc9068_claims`](Self::rfc9068_claims), [`shares_origin_with`](Self::shares_origin_with) |
/// | lifetimes and limits | [`access_lifetime`](Self::access_lifetime), [`refresh_lifetime`](Self::refresh_lifetime), [`absolute_lifetime`](Self::absolute_lifetime), all three by [`assurance_level`](Self::assurance_level), [`acting_lifetime`](Self::acting_lifetime), [`max_access_lifetime`](Self::max_access_lifetime), [`replay_window`](Self::replay_window), [`session_limit`](Self::session_limit) |
/// | while the store is unavailable | [`when_stale`](Self::when_stale), [`serve_before_catch_up`](Self::serve_before_catch_up) |
#[cfg_attr(
    feature = "router",
    doc = "| cross-site requests | [`own_origin`](Self::own_origin), [`trusted_origin`](Self::trusted_origin), [`refuse_without_origin`](Self::refuse_without_origin), [`report_cross_site_requests_only`](Self::report_cross_site_requests_only) |"
)]
#[cfg_attr(
    feature = "router",
    doc = "| sites with pages | [`login_url`](Self::login_url), [`after_logout`](Self::after_logout) |"
)]
#[cfg_attr(feature = "dbsc", doc = "| stolen cookies | [`device_binding`](Self::device_binding) |")]
#[cfg_attr(not(feature = "router"), doc = "| sites with pages | [`login_url`](Self::login_url) |")]
/// | callbacks | [`on_event`](Self::on_event), [`client_ip`](Self::client_ip), [`render_errors`](Self::render_errors), [`clock`](Self::clock) |
#[must_use]
pub struct SessionManagerBuilder<C = ()> {
    access_keys: Option<KeyRing>,
    refresh_keys: Option<KeyRing>,
    options: CommonOptions,
    store: Option<Arc<dyn DynStore>>,
    claims: Option<ClaimsLoader<C>>,
    lifetimes: Lifetimes,
    max_access_lifetime: Option<Duration>,
    replay_window: ReplayWindow,
    limit: Option<SessionLimit>,
    rfc9068_client_id: Option<String>,
    stale_policy: StalePolicy,
    serve_before_catch_up: bool,
    events: EventHook,
    client_ip: Option<Arc<ClientIp>>,
    neighbours: Vec<Neighbour>,
    #[cfg(feature = "dbsc")]
    device_binding: Option<crate::dbsc::DeviceBinding>,
    #[cfg(feature = "router")]
    guard: CsrfConfig,
    #[cfg(feature = "router")]
    after_logout: Option<String>,
}

impl<C: Claims> SessionManagerBuilder<C> {
    pub(super) fn new() -> Self {
        Self {
            access_keys: None,
            refresh_keys: None,
            options: CommonOptions::default(),
            store: None,
            claims: None,
            lifetimes: Lifetimes::default(),
            max_access_lifetime: None,
            replay_window: ReplayWindow::default(),
            limit: Some(SessionLimit::default()),
            rfc9068_client_id: None,
            stale_policy: StalePolicy::default(),
            serve_before_catch_up: false,
            events: EventHook::default(),
            client_ip: None,
            neighbours: Vec::new(),
            #[cfg(feature = "dbsc")]
            device_binding: None,
            #[cfg(feature = "router")]
            guard: CsrfConfig::default(),
            #[cfg(feature = "router")]
            after_logout: None,
        }
    }

    /// The keys of access tokens. Replaced while serving with [`SessionManager::replace_access_keys`].
    pub fn access_keys(mut self, ring: KeyRing) -> Self {
        self.access_keys = Some(ring);
        self
    }

    /// The keys of refresh tokens, none of them shared with the access tokens: HS256, HS384, HS512 or EdDSA. Replaced
    /// while serving with [`SessionManager::replace_refresh_keys`].
    pub fn refresh_keys(mut self, ring: KeyRing) -> Self {
        self.refresh_keys = Some(ring);
        self
    }

    /// The `iss` of all tokens: the URL of the service that logs users in.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.options.issuer = Some(issuer.into());
        self
    }

    /// The `aud` of all tokens: who accepts them. Default: the issuer.
    ///
    /// Managers with the same issuer and audience serve one population of users, as the nodes of a service do. Give
    /// each population that must be kept apart, such as customers and administrators, an audience of its own: their
    /// managers then refuse each other's tokens, and their sessions never meet in a store, whatever its key prefix.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.options.audience = Some(audience.into());
        self
    }

    /// Adds to access tokens what RFC 9068, section 2.2, requires beyond the claims that they always have: this
    /// `client_id`, 1 to 255 printable ASCII characters, and a `jti`. Default: neither, since this crate needs neither.
    ///
    /// For services that verify the tokens with a library which insists on the two; the page
    /// [`access_tokens`](crate::access_tokens) has all claims. The client is the application that the manager belongs to,
    /// and the same in all its tokens. The `jti` is a digest of the other claims: two tokens have the same one only if
    /// they are the same token. Both together take some 60 bytes of a token, and the client's name.
    ///
    /// Nodes with and without this option accept each other's tokens, so it can be added while serving.
    ///
    /// ```
    /// use tower_jwt_sessions::SessionManager;
    ///
    /// let builder = SessionManager::<()>::builder().rfc9068_claims("web");
    /// # let _ = builder;
    /// ```
    pub fn rfc9068_claims(mut self, client_id: impl Into<String>) -> Self {
        self.rfc9068_client_id = Some(client_id.into());
        self
    }

    /// Says that the cookies of this manager live on the same origin as those of another one, such as `/admin` beside
    /// the shop, so that [`build`](Self::build) can check that they do not overwrite each other. Can be called for
    /// several.
    ///
    /// ```
    /// # use tower_jwt_sessions::{ConfigError, SessionManager, cookie::CookieConfig, manager::SessionManagerBuilder};
    /// fn staff(builder: SessionManagerBuilder<()>, customers: &SessionManager) -> Result<SessionManager, ConfigError> {
    ///     builder
    ///         .audience("https://app.example/admin")
    ///         .cookies(CookieConfig::new().names("staff-access", "staff-refresh"))
    ///         .shares_origin_with(customers)
    ///         .build()
    /// }
    /// # let _ = staff;
    /// ```
    pub fn shares_origin_with<D>(mut self, other: &SessionManager<D>) -> Self {
        self.neighbours.push(Neighbour::of(other));
        self
    }

    /// Sets where sessions are stored: a [`MemoryStore`](crate::MemoryStore) for one process, a `redis::RedisStore` for
    /// several, or a [`SessionStore`] of your own.
    pub fn store(mut self, store: impl SessionStore) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// Sets the source of the application's claims. Not required when `C` is `()`.
    pub fn claims_source(mut self, source: impl ClaimsSource<C>) -> Self {
        self.claims = Some(ClaimsLoader::new(source));
        self
    }

    /// Like [`claims_source`](Self::claims_source), with state that is cheap to clone, such as a pool of connections.
    ///
    /// ```
    /// # use sqlx::SqlitePool;
    /// # use tower_jwt_sessions::{SessionManager, UserId, manager::SessionManagerBuilder};
    /// # #[derive(serde::Serialize, serde::Deserialize)]
    /// # struct Claims { role: String }
    /// async fn find_user(pool: SqlitePool, id: UserId) -> Result<Option<Claims>, sqlx::Error> {
    ///     let query = sqlx::query_scalar("SELECT role FROM users WHERE name = ?").bind(id.as_str());
    ///     let role: Option<String> = query.fetch_optional(&pool).await?;
    ///     Ok(role.map(|role| Claims { role }))
    /// }
    ///
    /// fn builder(pool: SqlitePool) -> SessionManagerBuilder<Claims> {
    ///     SessionManager::builder().claims_with(pool, find_user)
    /// }
    /// # let _ = builder;
    /// ```
    ///
    /// A closure has no signature that names its error, so its last line does, or the compiler asks for a type (E0282):
    ///
    /// ```
    /// # use std::{collections::HashMap, convert::Infallible, sync::Arc};
    /// # use tower_jwt_sessions::SessionManager;
    /// # #[derive(Clone, serde::Serialize, serde::Deserialize)]
    /// # struct Claims { role: String }
    /// # let users: Arc<HashMap<String, Claims>> = Arc::default();
    /// let builder = SessionManager::<Claims>::builder().claims_with(users, async |users, id| {
    ///     Ok::<_, Infallible>(users.get(id.as_str()).cloned())
    /// });
    /// # let _ = builder;
    /// ```
    pub fn claims_with<St, F, Answer, E>(self, state: St, load: F) -> Self
    where
        St: Clone + Send + Sync + 'static,
        F: Fn(St, UserId) -> Answer + Send + Sync + 'static,
        Answer: Future<Output = Result<Option<C>, E>> + Send + 'static,
        E: ClaimsSourceError + 'static,
    {
        self.claims_source(WithState { state, load, answer: PhantomData })
    }

    /// Names and attributes of the cookies. Default: [`CookieConfig::new`].
    pub fn cookies(mut self, cookies: CookieConfig) -> Self {
        self.options.cookies = cookies;
        self
    }

    /// Accepts access tokens in an `Authorization: Bearer` header too (RFC 6750), for native clients and tools. They
    /// are the same tokens and are verified in the same way. Default: the header is ignored.
    ///
    /// Such a client gets its tokens from [`Login::tokens`](crate::manager::Login::tokens) and
    /// [`SessionManager::refresh_with_token`]; for browsers nothing changes. A Bearer token that
    /// cannot be used is answered with `401` also where a handler asks for `Option<Session<C>>`. Credentials in two
    /// places, a Bearer token beside one of our cookies for example, are answered with `400` on every route that asks,
    /// and do nothing, except that a login which [replaces](crate::manager::Login::replacing) what was presented goes
    /// on and ends the sessions of all of them. Other schemes, such as `Basic`, remain the application's. Under the
    /// layers of several managers that accept them, each takes the header for its own: ask there for
    /// `Result<Session<C>, SessionRejection>`.
    ///
    /// A Bearer token is never sent by a browser on its own, so it needs no protection against requests from other
    /// sites. The `cross_site_guard` looks at such requests all the same: pages of another origin that call guarded
    /// routes need a `trusted_origin`, and CORS headers, which are the application's, for the header to be sent at all.
    pub fn accept_bearer_tokens(mut self) -> Self {
        self.options.accepts_bearer = true;
        self
    }

    /// Caches up to this number of access tokens whose EdDSA or ES256 signature was verified, so that most requests do
    /// not verify it again: 1 µs instead of 43 and more. Default: 0, no cache. It has no effect for HS256, HS384 and
    /// HS512, since an HMAC takes less time than the cache.
    ///
    /// Only the signature is cached, for the exact token and the current keys. Expiry and revocation are checked in
    /// every request; new keys start with an empty cache. A good size is twice the number of users who are active
    /// within an `access_lifetime`. An entry takes the length of its token and about 50 bytes of memory, usually half a
    /// kilobyte, 18 bytes of which are allocated at the start.
    pub fn cache_signatures(mut self, tokens: usize) -> Self {
        self.options.cached_signatures = tokens;
        self
    }

    /// Sets how long an access token is valid: at least a minute, by which the clocks of two nodes may differ, and less
    /// than the [`refresh_lifetime`](Self::refresh_lifetime). Default: one hour; revocation takes effect without waiting
    /// for it.
    pub fn access_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetimes.access = lifetime;
        self
    }

    /// Sets how long a session lasts without a refresh: its idle time, longer than the
    /// [`access_lifetime`](Self::access_lifetime). Default: seven days.
    ///
    /// "Idle" means that nothing refreshes the session; an open socket is no activity. Under
    /// [`ReplayWindow::UntilConfirmed`], a refresh that is the first use of the tokens of the previous refresh does not
    /// count, since that response may still be requested again; its access token is valid for a minute, so that an
    /// active client soon refreshes again.
    pub fn refresh_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetimes.refresh = lifetime;
        self
    }

    /// Sets how long a session lasts after its login, refreshed or not: at most 400 days, and not shorter than the
    /// [`refresh_lifetime`](Self::refresh_lifetime). Default: thirty days.
    pub fn absolute_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetimes.absolute = lifetime;
        self
    }

    /// Sets how long a session lasts at most, refreshed or not, in which another acts as its user
    /// ([`Login::acting`](crate::manager::Login::acting)), within the [`absolute_lifetime`](Self::absolute_lifetime). At
    /// least a minute. Default: one hour.
    pub fn acting_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetimes.acting = lifetime;
        self
    }

    /// Sets [`access_lifetime`](Self::access_lifetime), [`refresh_lifetime`](Self::refresh_lifetime) and
    /// [`absolute_lifetime`](Self::absolute_lifetime) to what a level of NIST SP 800-63B-4 allows. Default:
    /// [`AssuranceLevel::Aal1`]. Later calls of these methods override it.
    ///
    /// Idle means that nothing refreshes the session: a page that does so by itself, without its user, is not idle.
    ///
    /// ```
    /// use tower_jwt_sessions::{SessionManager, policy::AssuranceLevel};
    ///
    /// let builder = SessionManager::<()>::builder().assurance_level(AssuranceLevel::Aal2);
    /// # let _ = builder;
    /// ```
    pub fn assurance_level(mut self, level: AssuranceLevel) -> Self {
        self.lifetimes.set_level(level);
        self
    }

    /// Sets the longest access lifetime that any node of the deployment has or recently had. Tokens that live longer
    /// are refused, and revocations are remembered for this time. Default: the access lifetime, at least one hour.
    ///
    /// To lengthen the access lifetime while serving, raise this on every node first.
    pub fn max_access_lifetime(mut self, lifetime: Duration) -> Self {
        self.max_access_lifetime = Some(lifetime);
        self
    }

    /// Sets how long a superseded refresh token may be repeated, at most a minute. Default: until ten seconds after its
    /// successor was used for the first time.
    pub fn replay_window(mut self, window: ReplayWindow) -> Self {
        self.replay_window = window;
        self
    }

    /// Sets how many sessions a user may have, `None` for any number. Default: [`SessionLimit::default`].
    pub fn session_limit(mut self, limit: impl Into<Option<SessionLimit>>) -> Self {
        self.limit = limit.into();
        self
    }

    /// Sets what to do while the revocation log cannot be read. Default: [`StalePolicy::KeepServing`]. A layer can be
    /// stricter: [`SessionLayer::when_stale`](crate::SessionLayer::when_stale).
    pub fn when_stale(mut self, policy: StalePolicy) -> Self {
        self.stale_policy = policy;
        self
    }

    /// Serves sessions before the revocation log was read for the first time, so that a node can start while the store
    /// is unavailable.
    ///
    /// # ⚠️ Warning
    ///
    /// Until then the node accepts access tokens of sessions that have ended. By default it answers `503`.
    pub fn serve_before_catch_up(mut self) -> Self {
        self.serve_before_catch_up = true;
        self
    }

    /// Sets the source of time. Default: [`SystemClock`](crate::clock::SystemClock).
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.options.clock = Arc::new(clock);
        self
    }

    /// Calls the hook for every event, for example to write an audit log. It runs within the request and must not
    /// block.
    ///
    /// ```
    /// use tower_jwt_sessions::{SessionManager, event::{EndReason, SessionEventKind}};
    ///
    /// let (audit, mut events) = tokio::sync::mpsc::unbounded_channel();
    /// let builder = SessionManager::<()>::builder().on_event(move |event| {
    ///     // Writing to a database belongs into the task that receives.
    ///     let _ = audit.send(event.clone());
    /// });
    /// # tokio::runtime::Runtime::new().unwrap().spawn(async move {
    /// while let Some(event) = events.recv().await {
    ///     if event.kind == SessionEventKind::Ended(EndReason::RefreshTokenReused) {
    ///         println!("warn {}: refresh token reused", event.user_id);
    ///     }
    /// }
    /// # });
    /// # let _ = builder;
    /// ```
    pub fn on_event(mut self, hook: impl Fn(&SessionEvent) + Send + Sync + 'static) -> Self {
        self.events = EventHook::new(hook);
        self
    }

    /// Sends browsers without a session from a page to the login. Default: they get `401`.
    ///
    /// Where a handler asks for a [`Session`](crate::Session) and a
    /// [navigation](crate::pages#what-counts-as-a-navigation) that accepts HTML has none, the response is
    /// `303 See Other` to this path, for `GET` and `HEAD` with the parameter `next`, which
    /// [`NextPath`](crate::pages::NextPath) reads after the login: `/login?next=%2Fdashboard`. All other requests, and all
    /// other errors, get the problem as before: a `503` is never a login page. The login page itself is not redirected,
    /// and neither are requests that authenticate by a Bearer token.
    ///
    /// The path is that of this site as the browser knows it, percent-encoded, without query. A proxy that removes a
    /// prefix from paths removes it from `next` too.
    ///
    /// # SameSite
    ///
    /// By default the cookies are [`SameSite::Strict`](crate::cookie::SameSite::Strict): browsers leave them out when a
    /// user follows a link from an e-mail or another site, so each of these links shows the login page to users who are
    /// logged in. Sites that are reached by links want `Lax`:
    ///
    /// ```
    /// use tower_jwt_sessions::{SessionManager, cookie::CookieConfig};
    ///
    /// let builder = SessionManager::<()>::builder()
    ///     .cookies(CookieConfig::for_pages())
    ///     .login_url("/login");
    /// # let _ = builder;
    /// ```
    pub fn login_url(mut self, path: impl Into<String>) -> Self {
        self.options.login_url = Some(path.into());
        self
    }

    /// Sets where a form that posts to `/logout` or `/logout-all` of the [`router`](SessionManager::router) leads to:
    /// a path of this site, percent-encoded. Default: [`login_url`](Self::login_url); without one, forms get JSON as
    /// scripts do.
    #[cfg(feature = "router")]
    pub fn after_logout(mut self, path: impl Into<String>) -> Self {
        self.after_logout = Some(path.into());
        self
    }

    /// Binds sessions to the device of their browser, where that knows Device Bound Session Credentials, so that a copy of
    /// the cookies is worth nothing beyond some minutes: see [`dbsc`](crate::dbsc). Default: no session is bound.
    ///
    /// It needs [`own_origin`](Self::own_origin) on https. The routes are part of the
    /// [`router`](SessionManager::router), which must be nested under
    /// [`DeviceBinding::mounted_at`](crate::dbsc::DeviceBinding::mounted_at).
    ///
    /// ```
    /// use tower_jwt_sessions::{SessionManager, dbsc::DeviceBinding};
    ///
    /// let builder = SessionManager::<()>::builder()
    ///     .own_origin("https://app.example")
    ///     .device_binding(DeviceBinding::new());
    /// # let _ = builder;
    /// ```
    #[cfg(feature = "dbsc")]
    pub fn device_binding(mut self, binding: crate::dbsc::DeviceBinding) -> Self {
        self.device_binding = Some(binding);
        self
    }

    /// Sets how the address of a client is found, for [`SessionEvent::ip`]. Default: it is not, since only the application
    /// knows which proxies are in front of it. The list of sessions has the address that the login states
    /// ([`Login::ip`](crate::manager::Login::ip)).
    ///
    /// ```
    /// use std::net::SocketAddr;
    ///
    /// use axum::extract::ConnectInfo;
    /// use tower_jwt_sessions::SessionManager;
    ///
    /// // Without a proxy, where axum serves `into_make_service_with_connect_info::<SocketAddr>()`:
    /// let direct = SessionManager::<()>::builder()
    ///     .client_ip(|_, extensions| extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip()));
    /// // Behind a proxy that sets this header, whatever the client sent in it, as those of the page *Behind a proxy* do:
    /// let proxied = SessionManager::<()>::builder()
    ///     .client_ip(|headers, _| headers.get("x-forwarded-for")?.to_str().ok()?.parse().ok());
    /// # let _ = (direct, proxied);
    /// ```
    pub fn client_ip(
        mut self,
        find: impl Fn(&HeaderMap, &Extensions) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        self.client_ip = Some(Arc::new(find));
        self
    }

    /// Renders error responses in the application's format.
    ///
    /// The function gets the problem, and the parts of the request where they are known: in extractors, guards and
    /// companion routes, for errors of a manager [within a request](SessionManager#within-a-request), and for an
    /// [`Error`](crate::Error) with [`for_request`](crate::Error::for_request). It may choose a status; `200`, which
    /// responses have at first, stands for that of the problem. The crate sets `Cache-Control`, and the problem's
    /// headers if its status stays.
    ///
    /// ```
    /// # use axum_core::response::IntoResponse as _;
    /// # use tower_jwt_sessions::SessionManager;
    /// let builder = SessionManager::<()>::builder().render_errors(|problem, request| {
    ///     let path = request.map_or("", |request| request.uri.path());
    ///     format!("error at {path}: {}", problem.code()).into_response()
    /// });
    /// # let _ = builder;
    /// ```
    pub fn render_errors(
        mut self,
        render: impl Fn(&Problem, Option<&Parts>) -> Response + Send + Sync + 'static,
    ) -> Self {
        self.options.renderer = Renderer::default().custom(render);
        self
    }

    /// Lets pages of another origin call the guarded routes, for example `https://www.example.com` for an API on
    /// `https://api.example.com`, or apps and extensions: `capacitor://localhost`, `chrome-extension://…`.
    ///
    /// It is compared exactly, so write it as browsers send it: no path, no default port. If it is another site, as the
    /// origin of an application is, browsers send the cookies only with
    /// [`SameSite::None`](crate::cookie::SameSite::None).
    #[cfg(feature = "router")]
    pub fn trusted_origin(mut self, origin: impl Into<String>) -> Self {
        self.guard.trusted_origins.push(origin.into());
        self
    }

    /// The origin of this service as browsers know it, for example `https://app.example.com`. Written as browsers send
    /// it: no path, no default port.
    ///
    /// Browsers that do not send `Sec-Fetch-Site`, old ones and those on plain http, are then judged by their whole
    /// `Origin`, scheme and port included. Default: only its host and port are compared, with the `Host` of the
    /// request, so that the page of `http://app.example.com`, which an attacker on the network path can forge, passes
    /// for that of `https://app.example.com`. Needed behind a proxy that changes `Host`.
    #[cfg(feature = "router")]
    pub fn own_origin(mut self, origin: impl Into<String>) -> Self {
        self.guard.own_origin = Some(origin.into());
        self
    }

    /// Refuses guarded requests that have neither `Sec-Fetch-Site` nor `Origin` but one of our cookies. Default: they
    /// pass, since browsers have sent `Origin` with such requests for years, and tools such as curl send neither.
    #[cfg(feature = "router")]
    pub fn refuse_without_origin(mut self) -> Self {
        self.guard.refuses_without_origin = true;
        self
    }

    /// Has the guards write to the log what they would refuse, at level `WARN`, and refuse nothing: to find out, before
    /// they are put to work on a service that runs, which requests of other origins it lives on.
    ///
    /// # ⚠️ Warning
    ///
    /// Until this is taken out, nothing but the cookies' `SameSite` keeps other sites from logging users in and out.
    #[cfg(feature = "router")]
    pub fn report_cross_site_requests_only(mut self) -> Self {
        self.guard.reports_only = true;
        self
    }
}

impl<C> fmt::Debug for SessionManagerBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionManagerBuilder")
            .field("access_keys", &self.access_keys)
            .field("refresh_keys", &self.refresh_keys)
            .field("options", &self.options)
            .field("lifetimes", &self.lifetimes)
            .finish_non_exhaustive()
    }
}

//! https, and the sessions that browsers bind to their device there: `DEMO_TLS` and `BOUND_TTL`.

#[cfg(feature = "dbsc")]
use std::time::Duration;

#[cfg(feature = "dbsc")]
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
#[cfg(feature = "dbsc")]
use tower_jwt_sessions::dbsc::DeviceBinding;
use tower_jwt_sessions::manager::SessionManagerBuilder;

#[cfg(feature = "dbsc")]
use crate::tls::Certificate;
use crate::{
    Claims,
    config::{seconds, variable},
    server::{Stopping, serve},
};

/// Whether to serve https, and how.
pub(crate) enum Binding {
    PlainHttp,
    #[cfg(feature = "dbsc")]
    Https {
        certificate: Certificate,
        // `None` leaves the default of the library.
        lifetime: Option<Duration>,
    },
}

impl Binding {
    /// Reads the variables, and makes a certificate where it is needed.
    pub(crate) fn from_env() -> Result<Self, String> {
        let lifetime = seconds("BOUND_TTL")?;
        match variable("DEMO_TLS")?.as_deref() {
            None | Some("0") => {
                if lifetime.is_some() {
                    tracing::warn!("BOUND_TTL has no effect: no session is bound without DEMO_TLS=1");
                }
                Ok(Self::PlainHttp)
            }
            #[cfg(feature = "dbsc")]
            Some("1") => {
                let certificate = Certificate::generate("localhost");
                let certificate = certificate.map_err(|error| format!("DEMO_TLS: no certificate: {error}"))?;
                Ok(Self::Https { certificate, lifetime })
            }
            #[cfg(not(feature = "dbsc"))]
            Some("1") => {
                Err("DEMO_TLS is set, but this program was built without device binding: add `--features dbsc`".into())
            }
            Some(other) => Err(format!("DEMO_TLS={other:?} is neither 0 nor 1")),
        }
    }

    /// Binds sessions of the origin with this port, if it has https.
    pub(crate) fn apply_to(&self, builder: SessionManagerBuilder<Claims>, port: u16) -> SessionManagerBuilder<Claims> {
        match self {
            Self::PlainHttp => {
                tracing::debug!(port, "sessions are not bound over plain http");
                builder
            }
            #[cfg(feature = "dbsc")]
            Self::Https { lifetime, .. } => {
                let binding = lifetime.map_or_else(DeviceBinding::new, with_lifetime);
                builder.own_origin(format!("https://localhost:{port}")).device_binding(binding)
            }
        }
    }

    /// Serves the router that `app` makes.
    pub(crate) async fn serve(
        self,
        app: impl FnOnce(Stopping) -> axum::Router,
        listeners: Vec<TcpListener>,
        port: u16,
    ) -> Result<(), String> {
        match self {
            Self::PlainHttp => serve(app, listeners, &format!("listening on http://localhost:{port}")).await,
            #[cfg(feature = "dbsc")]
            Self::Https { certificate, .. } => {
                let announcement = format!("spki {}\nlistening on https://localhost:{port}", certificate.spki());
                let mut secure = Vec::new();
                for listener in listeners {
                    let listener = certificate.listen(listener).map_err(|error| format!("DEMO_TLS: {error}"))?;
                    // Responses are written whole: nothing is gained by waiting for more.
                    secure.push(listener.tap_io(|stream| drop(stream.get_ref().0.set_nodelay(true))));
                }
                serve(app, secure, &announcement).await
            }
        }
    }
}

#[cfg(feature = "dbsc")]
fn with_lifetime(lifetime: Duration) -> DeviceBinding {
    if lifetime < Duration::from_secs(300) {
        tracing::warn!("BOUND_TTL is less than 300: after a few refreshes browsers refuse to sign for a while");
    }
    DeviceBinding::new().short_lifetime_for_tests(lifetime)
}

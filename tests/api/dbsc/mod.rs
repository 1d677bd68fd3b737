//! Sessions that are bound to a device (Device Bound Session Credentials).

mod faults;
mod forged;
mod life;
mod surroundings;

use tower_jwt_sessions::{dbsc::DeviceBinding, manager::SessionManagerBuilder};

use crate::support::{device::BoundBrowser, *};

/// A node that binds sessions.
async fn world(backend: Backend) -> World {
    World::with(backend, binding).await
}

pub(super) fn binding<C>(builder: SessionManagerBuilder<C>) -> SessionManagerBuilder<C>
where
    C: serde::Serialize + serde::de::DeserializeOwned + Send + Sync + 'static,
{
    builder.own_origin(ISSUER).device_binding(DeviceBinding::new())
}

impl World {
    fn bound_browser(&self) -> BoundBrowser {
        BoundBrowser::new(&self.app, &self.clock)
    }
}

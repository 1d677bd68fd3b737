//! Loads the claims of a user before a token is issued.

use std::time::Duration;

use super::{SessionManager, UNDER_WAY};
use crate::{
    claims::Claims,
    clock::Moment,
    error::{Error, ErrorKind},
    id::UserId,
    jwt::{AppClaims, MAX_TOKEN_LEN, SessionTerms},
    store::{AccessExpiry, ClaimsAge},
};

/// Claims of a user, loaded and known to fit, and when their loading began.
pub(super) struct LoadedClaims {
    pub(super) claims: AppClaims,
    asked_at: Moment,
    /// What was known before they were asked for.
    newer_than: Option<AccessExpiry>,
    loads: u32,
}

/// How often claims are loaded for one step while access is expired again and again.
const MAX_LOADS: u32 = 8;

/// Access that was expired this long before claims were asked for may still be missing from them: the ages come from
/// two clocks, and a read may lag. One more load of the claims is all that it costs.
const CLAIMS_SLACK: Duration = Duration::from_secs(1);

impl<C: Claims> SessionManager<C> {
    /// Loads the claims of a user and makes sure that they can be issued, before anything is changed. `None` when the
    /// user is gone.
    pub(super) async fn load_claims(
        &self,
        user: &UserId,
        terms: Option<&SessionTerms>,
    ) -> Result<Option<LoadedClaims>, Error> {
        let asked_at = self.moment();
        let loaded = match terms {
            Some(terms) => self.inner.claims.load(user, terms).await,
            None => self.inner.claims.load(user, &SessionTerms::default()).await,
        };
        let Some(claims) = loaded.map_err(|failure| self.error_caused_by(ErrorKind::ClaimsSource, failure))? else {
            return Ok(None);
        };
        if self.moment().since(asked_at) >= UNDER_WAY {
            return Err(self.error_caused_by(ErrorKind::ClaimsSource, "the claims took too long to load"));
        }
        let verification = self.verification();
        // The longest that this session will ever have.
        #[cfg(feature = "dbsc")]
        let bound = self.inner.device_binding.as_ref().map(|_| SessionTerms::bound(terms));
        #[cfg(feature = "dbsc")]
        let terms = bound.as_ref().or(terms);
        let claims = AppClaims::new(&claims, verification.shape)
            .map_err(|invalid| self.error_caused_by(ErrorKind::Claims, invalid))?;
        let settings = &verification.sources.cookies;
        let access = settings.access_name.len() + verification.access.load().longest(user, terms, &claims);
        let refresh =
            settings.refresh_name.len() + verification.refresh.load().longest(user, terms, &AppClaims::none());
        if access.max(refresh) > MAX_TOKEN_LEN {
            return Err(self.error(ErrorKind::TokenTooLong));
        }
        Ok(Some(LoadedClaims { claims, asked_at, newer_than: None, loads: 1 }))
    }

    /// Loads them once more, since access was expired meanwhile.
    pub(super) async fn load_claims_after(
        &self,
        user: &UserId,
        terms: Option<&SessionTerms>,
        outdated: &LoadedClaims,
        expiry: AccessExpiry,
    ) -> Result<Option<LoadedClaims>, Error> {
        let loads = outdated.loads + 1;
        if loads > MAX_LOADS {
            return Err(
                self.error_caused_by(ErrorKind::ClaimsSource, "access is expired faster than claims are loaded")
            );
        }
        Ok(self.load_claims(user, terms).await?.map(|loaded| LoadedClaims {
            newer_than: Some(expiry),
            loads,
            ..loaded
        }))
    }

    /// How old they are, for the step that will be signed with them. The store's clock and ours may differ, so it
    /// compares ages, not times.
    pub(super) fn claims_age(&self, loaded: &LoadedClaims) -> ClaimsAge {
        let age = self.moment().since(loaded.asked_at).saturating_add(CLAIMS_SLACK);
        ClaimsAge { age, newer_than: loaded.newer_than }
    }
}

//! Binding sessions to devices: the offer, the registration of a key, and refreshes that a device proves.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};

use super::{
    SessionManager,
    claims::LoadedClaims,
    issue::Issue,
    refresh::{Proven, Rotated},
    session_refs::has_certainly_expired,
};
use crate::{
    auth::{PresentedTokens, Session},
    claims::Claims,
    clock::Timestamp,
    cookie::SessionCookies,
    dbsc::{
        BindingSettings, Challenge, Proof, Purpose, RESPONSE_HEADER, SESSION_ID_HEADER, Single, challenge_header,
        identifier, offer, single, unquoted,
    },
    error::{Error, ErrorKind},
    event::{Cause, Operation, SessionEventKind},
    id::SessionId,
    jwt::RegisteredClaims,
    store::{
        AccessExpiry, FoundSession, RefreshAttempt, RegisterDevice, RegisterOutcome, RotateSession, SessionRecord,
    },
};

/// How long after its login a session is offered to be bound. An offer is good for as long as a challenge.
const OFFERED_FOR: Duration = Duration::from_secs(5 * 60);
/// How long browsers have to register after the login before they are offered it once more.
const OFFERED_AGAIN_AFTER: Duration = Duration::from_secs(15);

/// A key of a device was registered.
pub(crate) struct DeviceRegistration {
    pub(crate) cookies: SessionCookies,
    /// The session in the protocol.
    pub(crate) identifier: String,
    /// `Secure-Session-Challenge`, for the first refresh.
    pub(crate) challenge: Option<HeaderValue>,
}

/// What comes of a refresh by a browser with a key.
pub(crate) enum DeviceRefresh {
    /// This has to be signed first: `Secure-Session-Challenge`.
    Challenged(HeaderValue),
    Refreshed {
        cookies: SessionCookies,
        challenge: Option<HeaderValue>,
    },
    /// It cannot be told which session the request is for.
    Unverified,
    /// The session that the browser has bound has certainly ended, or the browser is logged out.
    Over,
}

impl<C: Claims> SessionManager<C> {
    /// Returns the settings, if sessions are bound.
    pub(crate) fn device_binding(&self) -> Option<&BindingSettings> {
        self.inner.device_binding.as_ref()
    }

    /// Returns the offer to bind a session, for the response that issues its tokens.
    pub(super) fn offer(&self, session: SessionId, record: &SessionRecord, now: Timestamp) -> Option<HeaderValue> {
        let settings = self.device_binding()?;
        let is_due = record.bound_at.is_none() && now.since(record.created_at) < OFFERED_FOR;
        is_due.then(|| self.offer_to(settings, session, record.generation)).flatten()
    }

    /// Returns the same for a response that issues none: some time after the login, since browsers may be about to register.
    pub(crate) fn offer_again(&self, session: &Session<C>, headers: &HeaderMap) -> Option<HeaderValue> {
        let settings = self.device_binding()?;
        let token = session.registered();
        let age = self.now().since(token.auth_time);
        let is_due = !session.is_bound() && (OFFERED_AGAIN_AFTER..OFFERED_FOR).contains(&age);
        let is_browser = !self.verification().sources.is_explicit(headers);
        (is_due && is_browser).then(|| self.offer_to(settings, session.id(), token.generation)).flatten()
    }

    fn offer_to(&self, settings: &BindingSettings, session: SessionId, generation: u32) -> Option<HeaderValue> {
        let challenge = Challenge { purpose: Purpose::Register, session, generation };
        offer(&settings.register_path(), &self.issue_challenge(challenge)?)
    }

    fn issue_challenge(&self, challenge: Challenge) -> Option<String> {
        challenge.issue(&self.verification().refresh.load(), self.now())
    }

    fn next_challenge(&self, session: SessionId, generation: u32) -> Option<HeaderValue> {
        let challenge = Challenge { purpose: Purpose::Refresh, session, generation };
        challenge_header(session, &self.issue_challenge(challenge)?)
    }

    /// Whether a proof signs such a challenge, which is recent.
    fn answers(&self, proof: &Proof<'_>, challenge: Challenge) -> bool {
        let codec = self.verification().refresh.load();
        self.device_binding().is_some_and(|settings| {
            let lifetime = settings.challenge_lifetime(challenge.purpose);
            challenge.is_answered_by(&proof.challenge, &codec, lifetime, self.now())
        })
    }

    /// Returns the proof of a request, if it has one.
    fn proof<'h>(&self, headers: &'h HeaderMap) -> Result<Option<Proof<'h>>, Error> {
        match single(headers, RESPONSE_HEADER) {
            Single::Absent => Ok(None),
            Single::One(value) => Proof::read(value).map(Some).ok_or_else(|| self.error(ErrorKind::InvalidDeviceProof)),
            Single::Several => Err(self.error(ErrorKind::InvalidDeviceProof)),
        }
    }

    /// Registers the key of a device for the session of the presented refresh token.
    ///
    /// The key is not demanded before the device has proven a refresh, so nothing depends on whether the response arrives.
    /// The access token that comes with it is short, so that this happens soon.
    pub(crate) async fn register_device(
        &self,
        presented: &PresentedTokens<C>,
        headers: &HeaderMap,
    ) -> Result<DeviceRegistration, Error> {
        let this = self.within(presented);
        let token = this.refreshable(presented)?;
        let (session, generation) = (token.session_id, token.generation);
        let invalid = || this.error(ErrorKind::InvalidDeviceProof);
        let proof = this.proof(headers)?.ok_or_else(invalid)?;
        let key = proof.key.ok_or_else(invalid)?;
        if !this.answers(&proof, Challenge { purpose: Purpose::Register, session, generation }) || !proof.is_by(&key) {
            return Err(invalid());
        }
        if has_certainly_expired(token, this.now()) {
            return Err(this.error(ErrorKind::InvalidRefreshToken));
        }
        let cause = this.cause(Operation::DeviceRegistration);
        this.min_epoch(token, &cause).await?;
        let (user, terms) = (&token.user_id, token.terms.as_deref());
        let gone = || this.error(ErrorKind::InvalidRefreshToken);
        let mut loaded = this.load_claims(user, terms).await?.ok_or_else(gone)?;
        let owner = this.owner(user);
        let FoundSession { record, now, .. } = loop {
            let found = this.stored(this.store().find(&owner, session).await)?;
            let found = found.ok_or_else(|| this.used_after_end(token, &cause))?;
            // A store that has lost the key of a bound session does not take another.
            if found.device_key.is_some() || found.record.bound_at.is_some() {
                return Err(this.already_bound(token, &cause));
            }
            // The holder of a superseded token could not refresh, either.
            if generation < found.record.generation && found.record.previous != Some(generation) {
                return Err(this.error(ErrorKind::InvalidRefreshToken));
            }
            match this.outdated(token, &loaded, &found) {
                Some(expiry) => {
                    loaded = this.load_claims_after(user, terms, &loaded, expiry).await?.ok_or_else(gone)?;
                }
                None => break found,
            }
        };
        let register = RegisterDevice::new(owner, session, key);
        match this.stored(this.store().register_device(&register).await)? {
            RegisterOutcome::Registered(_) => {}
            RegisterOutcome::Known => return Err(this.already_bound(token, &cause)),
            RegisterOutcome::Ended => return Err(this.used_after_end(token, &cause)),
        }
        this.emit(user, session, token.actor(), SessionEventKind::DeviceRegistered, &cause);
        let record = SessionRecord { generation, ..record };
        let named = (user, session, token.terms.clone());
        let tokens = this.issue(named, &record, now, &loaded.claims, Issue::ShortAccess)?.timed();
        Ok(DeviceRegistration {
            cookies: this.cookies(tokens)?,
            identifier: identifier(session),
            challenge: this.next_challenge(session, generation),
        })
    }

    fn already_bound(&self, token: &RegisteredClaims, cause: &Cause) -> Error {
        let kind = SessionEventKind::DeviceRegistrationRefused;
        self.emit(&token.user_id, token.session_id, token.actor(), kind, cause);
        self.error(ErrorKind::AlreadyBound)
    }

    /// Returns why claims must not be signed for a session that was just read.
    fn outdated(&self, token: &RegisteredClaims, loaded: &LoadedClaims, found: &FoundSession) -> Option<AccessExpiry> {
        let (window, lifetimes) = (self.inner.replay_window, self.inner.lifetimes);
        let attempt = RefreshAttempt::new(token.generation, token.expires_at, window, lifetimes.refresh);
        let owner = self.owner(&token.user_id);
        let mut step = RotateSession::new(owner, token.session_id, attempt, lifetimes.revocation_retention());
        step.claims = Some(self.claims_age(loaded));
        step.outdated_claims(&found.record, found.now)
    }

    /// Refreshes a session by the proof of its device, or asks for one.
    ///
    /// Only what certainly has ended is reported as such: the browser then forgets its key.
    pub(crate) async fn refresh_by_device(
        &self,
        presented: &PresentedTokens<C>,
        headers: &HeaderMap,
    ) -> Result<DeviceRefresh, Error> {
        let this = self.within(presented);
        // First, since no page can set this header: a request without it learns nothing about the session.
        let Single::One(named) = single(headers, SESSION_ID_HEADER) else {
            return Err(this.error(ErrorKind::InvalidRequest));
        };
        this.check_presented(presented)?;
        let token = match &presented.refresh {
            Some(token) if !presented.is_invalid => token,
            // A node with older keys, or a second cookie that another application has set: not the end.
            _ if presented.is_invalid || presented.refresh_attempted => return Ok(DeviceRefresh::Unverified),
            _ => return Ok(DeviceRefresh::Over),
        };
        let (session, generation) = (token.session_id, token.generation);
        // The cookies may be those of a newer login.
        if unquoted(named) != identifier(session).as_bytes() || has_certainly_expired(token, this.now()) {
            return Ok(DeviceRefresh::Over);
        }
        if this.revocations().is_ended(session) {
            return Ok(DeviceRefresh::Over);
        }
        let proof = this.proof(headers)?;
        let challenge = Challenge { purpose: Purpose::Refresh, session, generation };
        let Some(proof) = proof.filter(|proof| proof.key.is_some() || this.answers(proof, challenge)) else {
            let challenge = this.next_challenge(session, generation);
            return challenge.map(DeviceRefresh::Challenged).ok_or_else(|| this.error(ErrorKind::Internal));
        };
        // A key that comes with its own signature proves nothing.
        if proof.key.is_some() {
            return Err(this.error(ErrorKind::InvalidDeviceProof));
        }
        let cause = this.cause(Operation::Refresh);
        let found = this.stored(this.store().find(&this.owner(&token.user_id), session).await)?;
        let Some(key) = found.and_then(|found| found.device_key) else { return Ok(DeviceRefresh::Over) };
        if !proof.is_by(&key) {
            this.emit(&token.user_id, session, token.actor(), SessionEventKind::DeviceProofInvalid, &cause);
            return Err(this.error(ErrorKind::InvalidDeviceProof));
        }
        match this.rotate(token, Operation::Refresh, Proven::ByDevice).await {
            Ok(Rotated { tokens, record, which, .. }) => {
                // Of the refresh token that the browser has then.
                let generation = if which == Issue::Both { record.generation } else { generation };
                let challenge = this.next_challenge(session, generation);
                Ok(DeviceRefresh::Refreshed { cookies: this.cookies(tokens)?, challenge })
            }
            Err(error) if error.kind() == ErrorKind::InvalidRefreshToken => Ok(DeviceRefresh::Over),
            Err(error) => Err(error),
        }
    }
}

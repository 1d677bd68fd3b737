//! Sessions of clients that keep no cookies: the same steps, with tokens that the application hands over by itself.

use super::{Login, SessionManager, presented::SessionRef};
use crate::{
    claims::Claims,
    error::{Error, ErrorKind},
    event::EndReason,
    token_response::SessionTokens,
};

impl<C: Claims> Login<'_, C> {
    /// Logs in, and gives the tokens as a value in place of cookies: for native clients and tools, never for pages.
    ///
    /// ```
    /// # use tower_jwt_sessions::{Error, SessionManager, manager::SessionTokens};
    /// /// For `POST /token`, say: the answer is the JSON that OAuth clients know.
    /// async fn login(sessions: &SessionManager<()>) -> Result<SessionTokens, Error> {
    ///     let proof = sessions.start_proof();
    ///     // … after the password was found to be right:
    ///     sessions.login(42).proven_since(proof).user_agent("cli/1").tokens().await
    /// }
    /// # let _ = login;
    /// ```
    ///
    /// # Errors
    ///
    /// As the login itself.
    pub async fn tokens(self) -> Result<SessionTokens, Error> {
        self.run().await
    }
}

impl<C: Claims> SessionManager<C> {
    /// Exchanges a refresh token that a client without cookies sent in the body of its request.
    ///
    /// It behaves as [`refresh`](Self::refresh) does: safe to repeat when an answer was lost, and a superseded token
    /// that comes back later ends the session. `token_router` is a route on it.
    ///
    /// ```
    /// use tower_jwt_sessions::{Error, SessionManager, error::ErrorKind, manager::SessionTokens};
    ///
    /// /// `None` means that the user has to log in.
    /// async fn refresh(sessions: &SessionManager, token: &str) -> Result<Option<SessionTokens>, Error> {
    ///     match sessions.refresh_with_token(token).await {
    ///         Ok(tokens) => Ok(Some(tokens)),
    ///         Err(error) if error.kind() == ErrorKind::InvalidRefreshToken => Ok(None),
    ///         Err(error) => Err(error),
    ///     }
    /// }
    /// # let _ = refresh;
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRefreshToken`] means that the user has to log in; [`ErrorKind::ClaimsSource`] and
    /// [`ErrorKind::Store`] that nothing is known, and to try again with the same token.
    pub async fn refresh_with_token(&self, refresh_token: &str) -> Result<SessionTokens, Error> {
        match self.verification().open_refresh(refresh_token.as_bytes(), self.now()) {
            Some(token) => self.rotate(&token).await,
            None => Err(self.error(ErrorKind::InvalidRefreshToken)),
        }
    }

    /// Ends the session of a refresh or access token that a client without cookies sent in the body of its request
    /// (RFC 7009). Any token that we signed is enough, also one that has expired or was superseded. Says whether there
    /// was a session to end.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`] when the store failed: the session may live on, and this node tries again as after a failed
    /// [`logout`](Self::logout). Keep the token and try again.
    pub async fn end_with_token(&self, token: &str) -> Result<bool, Error> {
        let Some((which, claims)) = self.verification().open_any(token.as_bytes(), self.now()) else {
            return Ok(false);
        };
        let sessions = self.to_be_ended(vec![SessionRef { which, claims }]);
        let ended = self.end_named(&sessions, EndReason::LoggedOut).await?;
        Ok(!ended.is_empty())
    }
}

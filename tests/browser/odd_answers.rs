//! Answers that the browser module does not expect: pages of proxies and logins, numbers beyond all measure, and
//! another user. The page answers itself, since no server of these tests would.

use serde_json::{Value, json};

use crate::{
    chromium::{Chromium, Tab},
    demo::demo,
};

/// Runs a script with the session of a module of its own, to which `answer` replies: an expression of `path` and
/// `method`.
async fn with_session(tab: &Tab, answer: &str, script: &str) -> Value {
    tab.run(&format!(
        r#"
        const {{ createSession }} = await import('/auth/client.js');
        const reply = (body, status = 200, headers = {{}}) =>
          new Response(typeof body === 'string' ? body : JSON.stringify(body), {{ status, headers }});
        const me = (user) => reply({{ user_id: user, session_id: user, auth_time: 1, actor: null, expires_in: 3600 }});
        const expired = () => reply({{}}, 401, {{ 'www-authenticate': 'Bearer realm="session", error="invalid_token"' }});
        const page = (status = 200) => reply('<html>Log in</html>', status, {{ 'www-authenticate': 'Basic realm="proxy"' }});
        const other = window.fetch;
        let user = 'alice', asked = 0, stopped = false;
        const never = (signal) => new Promise((_, fail) => signal.addEventListener('abort', () => {{
          stopped = true;
          fail(signal.reason);
        }}));
        window.fetch = async (input, init = {{}}) => {{
          const path = new URL(input.url ?? input, location.href).pathname;
          // The page of the demo has a session, too.
          if (!path.startsWith('/odd/')) return other(input, init);
          const method = input.method ?? init.method ?? 'GET';
          return {answer};
        }};
        const news = [];
        const session = createSession({{
          base: '/odd',
          loginUrl: '/odd/login',
          lockTimeout: 200,
          events: false,
          onSignedIn: (info) => news.push('in ' + info.user_id),
          onSignedOut: (reason) => news.push('out ' + reason),
          onChanged: (info) => news.push('changed ' + info.user_id),
        }});
        const outcome = (promise) => promise.then(() => 'done', (error) => error.code + ' ' + error.status);
        try {{
          await session.ready;
          {script}
        }} finally {{
          session.close();
          window.fetch = other;
        }}
        "#
    ))
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn are_no_answers_of_the_server() {
    let demo = demo();
    let chromium = Chromium::start().await;
    let tab = chromium.first_tab().await;
    tab.open(demo.url()).await;

    // A timer that is too long for the browser would end at once, and again.
    for after in ["9999999999", "Infinity", "-1", "Fri, 27 Nov 2026 12:00:00 GMT"] {
        tab.run("window.waits = []; window.timer ??= setTimeout; setTimeout = (f, ms) => { waits.push(ms); return timer(f, ms); };").await;
        let answer = format!("(asked++, reply({{}}, 503, {{ 'retry-after': '{after}' }}))");
        let found =
            with_session(&tab, &answer, "return [session.state, waits.filter((ms) => ms > 400_000), asked];").await;
        assert_eq!(found, json!(["unavailable", [], 1]), "{after}");
    }

    // A logout that the server has not confirmed.
    for answer in ["page()", "page(401)", "page(403)", "reply({})"] {
        let answer = format!("method === 'POST' ? {answer} : me(user)");
        for call in ["logout", "logoutAll"] {
            let script = format!("return [await outcome(session.{call}()), session.state, news.join()];");
            let found = with_session(&tab, &answer, &script).await;
            assert!(found[0].as_str().is_some_and(|outcome| outcome.starts_with("failed ")), "{answer}: {found}");
            assert_eq!((&found[1], &found[2]), (&json!("signedIn"), &json!("in alice")), "{answer}");
        }
    }

    // A refresh that a proxy has refused, or answered with its own page.
    for answer in ["page()", "page(401)"] {
        let answer = format!("method === 'POST' ? {answer} : asked++ ? expired() : me(user)");
        let script = "await outcome(session.fetch('/odd/notes')); return [session.state, news.join()];";
        let found = with_session(&tab, &answer, script).await;
        assert_eq!(found, json!(["signedIn", "in alice"]), "{answer}");
        let answer = answer.replace("asked++ ? expired() : me(user)", "expired()");
        let found = with_session(&tab, &answer, "return [session.state, news.join()];").await;
        assert_eq!(found, json!(["unavailable", ""]), "{answer}");
    }

    // Messages on its channel that are not its own.
    let script = "const channel = new BroadcastChannel('session /odd'); const failures = []; \
                  addEventListener('error', (event) => failures.push(event.message)); \
                  for (const message of [null, {}, ['renewed', -5], ['later version', 1], 'out']) channel.postMessage(message); \
                  await outcome(session.login({})); channel.close(); \
                  return [session.state, session.expiresIn > 3500, failures.join()];";
    let found = with_session(&tab, "me(user)", script).await;
    assert_eq!(found, json!(["signedIn", true, ""]));

    // What is shown of one user has to go before the next one is here.
    let script = "user = 'bob'; await session.login({}); return news.join();";
    let found = with_session(&tab, "me(user)", script).await;
    assert_eq!(found, json!("in alice,out replaced,in bob"));

    // The late answer of a refresh would bring back the cookies of the former user.
    let answer = "path.endsWith('/refresh') ? never(init.signal) : me(user)";
    let script = "const refreshed = outcome(session.refresh()); user = 'bob'; await session.login({}); \
                  return [stopped, await refreshed, session.state, news.join()];";
    let found = with_session(&tab, answer, script).await;
    assert_eq!(found, json!([true, "unreachable 0", "signedIn", "in alice,out replaced,in bob"]));
}

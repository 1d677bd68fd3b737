//! Histograms, gauges of the log and outcomes of refreshes, and the dashboard that shows them.

use std::{collections::BTreeSet, time::Duration};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tower_jwt_sessions::SessionId;

use crate::{
    nodes::{
        outages::{admin, command},
        unreadable::append,
    },
    support::{
        nodes::{becomes, browser, is_stale, is_up_to_date, node, redis_store, soon, soon_works},
        redis_server::RedisServer,
    },
};

const DASHBOARD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/grafana-dashboard.json");

fn recorder() -> PrometheusRecorder {
    let builder = PrometheusBuilder::new();
    builder.set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &[0.01, 1.0]).unwrap().build_recorder()
}

/// The value of the series of a name without its prefix, with its labels as Prometheus writes them.
fn shown(prometheus: &PrometheusHandle, series: &str) -> Option<f64> {
    let text = prometheus.render();
    let line = text.lines().find_map(|line| line.strip_prefix("tower_jwt_sessions_")?.strip_prefix(series));
    line.and_then(|value| value.strip_prefix(' ')?.parse().ok())
}

/// The names of metrics in a text.
fn names(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("tower_jwt_sessions_"))
        .collect()
}

#[tokio::test]
async fn every_query_of_the_dashboard_names_a_metric_of_a_node_and_no_metric_is_left_out() {
    let recorder = recorder();
    let prometheus = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let mut server = RedisServer::start();
    let here = node(redis_store(&server.url(), "").await).build().unwrap();
    becomes(&here, is_up_to_date).await;
    append(&admin(&server.url()).await, &[b"junk", b"1"]).await;
    let tokens = here.login("alice").await.unwrap();
    here.end_all("alice").await.unwrap();
    let headers = browser(tokens);
    here.refresh(&here.verifier().present(&headers)).await.unwrap_err();
    soon("the log is read", || shown(&prometheus, "log_entries_skipped_total") == Some(1.0)).await;
    soon("the lag is measured", || shown(&prometheus, "revocation_lag_seconds_count").is_some()).await;
    let headers = browser(here.login("bob").await.unwrap());
    command(&admin(&server.url()).await, "FLUSHALL", &[]).await;
    soon("the log is lost", || shown(&prometheus, "revocation_log_losses_total").is_some()).await;
    here.refresh(&here.verifier().present(&headers)).await.unwrap_err();
    soon("a session is lost", || shown(&prometheus, "lost_sessions_total").is_some()).await;
    server.kill();
    becomes(&here, is_stale).await;
    for n in 0..=100 {
        here.end("alice", SessionId::from_bytes([n; SessionId::LEN])).await.unwrap_err();
    }

    let text = prometheus.render();
    let shown: BTreeSet<&str> =
        text.lines().filter(|line| !line.starts_with('#')).flat_map(|line| names(line).into_iter().next()).collect();
    let dashboard: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(DASHBOARD).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let queries: Vec<&str> = targets.map(|target| target["expr"].as_str().unwrap()).collect();
    let mut used = BTreeSet::new();
    for query in &queries {
        let names = names(query);
        assert!(!names.is_empty(), "{query:?} names no metric");
        for name in names {
            assert!(shown.contains(name), "{name} of {query:?} is not among {shown:#?}");
            used.insert(name.trim_end_matches("_bucket").trim_end_matches("_count"));
        }
    }
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("# TYPE ").and_then(|line| line.split(' ').next()) {
            assert!(used.contains(name), "no query shows {name}");
        }
    }
}

#[tokio::test]
async fn steps_of_the_store_are_measured_with_their_outcome() {
    let recorder = recorder();
    let prometheus = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let mut server = RedisServer::start();
    let here = node(redis_store(&server.url(), "").await).build().unwrap();
    let steps = |step, outcome| {
        // The exporter sorts labels as they were given.
        let series = format!("store_step_duration_seconds_count{{step=\"{step}\",outcome=\"{outcome}\"}}");
        shown(&prometheus, &series)
    };
    let tokens = here.login("alice").await.unwrap();
    assert_eq!((steps("create", "success"), steps("create", "error")), (Some(1.0), None));
    let headers = browser(tokens);
    let _ = here.refresh(&here.verifier().present(&headers)).await.unwrap();
    assert_eq!((steps("rotate", "success"), steps("end", "success")), (Some(1.0), None));
    assert_eq!(here.list("alice").await.unwrap().len(), 1);
    here.end_all("alice").await.unwrap();
    assert_eq!((steps("list", "success"), steps("end", "success")), (Some(1.0), Some(1.0)));
    server.kill();
    soon_works(async || here.login("alice").await.is_err()).await;
    assert!(steps("create", "error") >= Some(1.0));
}

#[tokio::test]
async fn refreshes_are_counted_by_outcome() {
    let recorder = recorder();
    let prometheus = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let mut server = RedisServer::start();
    let here = node(redis_store(&server.url(), "").await).build().unwrap();
    let refreshes = |outcome| shown(&prometheus, &format!("refreshes_total{{outcome=\"{outcome}\"}}"));
    let headers = browser(here.login("alice").await.unwrap());
    let other = browser(here.login("bob").await.unwrap());
    let _ = here.refresh(&here.verifier().present(&headers)).await.unwrap();
    assert_eq!(refreshes("new_tokens"), Some(1.0));
    here.end_all("alice").await.unwrap();
    here.refresh(&here.verifier().present(&headers)).await.unwrap_err();
    assert_eq!(refreshes("refused"), Some(1.0));
    server.kill();
    becomes(&here, is_stale).await;
    here.refresh(&here.verifier().present(&other)).await.unwrap_err();
    assert_eq!(refreshes("store_unavailable"), Some(1.0));
    assert_eq!((refreshes("refused"), refreshes("new_tokens")), (Some(1.0), Some(1.0)));
}

/// What happened before a node was there is no delay of the log.
#[tokio::test]
async fn revocation_lag_is_measured_from_the_first_entry_that_was_awaited() {
    let recorder = recorder();
    let prometheus = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let server = RedisServer::start();
    let admin = admin(&server.url()).await;
    let end = |session| [[session; SessionId::LEN].as_slice(), &[0xff; 4]].concat();
    append(&admin, &[b"r", &end(1)]).await;
    let here = node(redis_store(&server.url(), "").await).build().unwrap();
    becomes(&here, is_up_to_date).await;
    assert_eq!(shown(&prometheus, "revocation_lag_seconds_count"), None);
    assert_eq!(shown(&prometheus, "revocations"), Some(1.0));
    let before = shown(&prometheus, "revocation_log_position_timestamp_seconds").unwrap();
    append(&admin, &[b"r", &end(2)]).await;
    soon("the entry is measured", || shown(&prometheus, "revocation_lag_seconds_count") == Some(1.0)).await;
    let lag = shown(&prometheus, "revocation_lag_seconds_sum").unwrap();
    assert!(Duration::from_secs_f64(lag) < crate::support::nodes::PATIENCE, "{lag} s");
    soon("it is counted", || shown(&prometheus, "revocations") == Some(2.0)).await;
    assert!(shown(&prometheus, "revocation_log_position_timestamp_seconds").unwrap() >= before);
}

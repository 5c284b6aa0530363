//! What is well and what is not, for the probes of a kubelet and for people.
//!
//! | path | 200 when |
//! |---|---|
//! | `/healthz` | nothing is the matter |
//! | `/readyz` | nothing is the matter, and everything has begun |
//! | `/livez` | a restart would not help: no vital part is the matter |
//!
//! Otherwise 503. The answer is JSON with each part, or one word where the request has the header `brief: true`. With
//! `require-k8s-connectivity: false`, it does not matter whether the API server is reached: a restart would not help.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

/// The part that stands for the connection to the API server.
pub const KUBERNETES: &str = "kubernetes";

/// How a program is. Clones share what they know.
#[derive(Clone, Debug, Default)]
pub struct Health {
    parts: Arc<RwLock<BTreeMap<Cow<'static, str>, Part>>>,
}

/// One part of a program.
#[derive(Clone, Debug, Serialize)]
struct Part {
    #[serde(skip)]
    vital: bool,
    state: Stage,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Stage {
    Starting,
    Ok,
    Failing,
}

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Probe {
    Health,
    Readiness,
    Liveness,
}

#[derive(Serialize)]
struct Answer<'a> {
    status: &'static str,
    components: &'a BTreeMap<Cow<'static, str>, Part>,
}

impl Health {
    /// Nothing is known yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Names a part that has to begin before the program is ready.
    pub fn expect(&self, name: impl Into<Cow<'static, str>>) {
        let part = Part { vital: false, state: Stage::Starting, reason: None };
        self.parts.write().unwrap_or_else(PoisonError::into_inner).entry(name.into()).or_insert(part);
    }

    /// Names a part that, failing, wants a restart.
    pub fn expect_vital(&self, name: impl Into<Cow<'static, str>>) {
        let name = name.into();
        self.expect(name.clone());
        if let Some(part) = self.parts.write().unwrap_or_else(PoisonError::into_inner).get_mut(&name) {
            part.vital = true;
        }
    }

    /// Says how a part is. A change is logged.
    pub fn set<E: ToString>(&self, name: impl Into<Cow<'static, str>>, state: Result<(), E>) {
        let name = name.into();
        let (state, reason) = match state {
            Ok(()) => (Stage::Ok, None),
            Err(reason) => (Stage::Failing, Some(reason.to_string())),
        };
        let mut parts = self.parts.write().unwrap_or_else(PoisonError::into_inner);
        let part =
            parts.entry(name.clone()).or_insert(Part { vital: false, state: Stage::Starting, reason: None });
        if part.state != state {
            match &reason {
                Some(reason) => tracing::warn!(component = %name, %reason, "failing"),
                None if part.state == Stage::Failing => tracing::info!(component = %name, "well again"),
                None => tracing::debug!(component = %name, "has begun"),
            }
        }
        (part.state, part.reason) = (state, reason);
    }

    /// Forgets a part.
    pub fn remove(&self, name: &str) {
        self.parts.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Whether nothing is the matter and everything has begun.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.passes(Probe::Readiness, true)
    }

    /// Whether no vital part is the matter: a restart would not help.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.passes(Probe::Liveness, true)
    }

    /// The parts that are the matter, each with its reason.
    #[must_use]
    pub fn failing(&self) -> Vec<(String, String)> {
        let parts = self.parts.read().unwrap_or_else(PoisonError::into_inner);
        let failing = parts.iter().filter(|(_, part)| part.state == Stage::Failing);
        failing.map(|(name, part)| (name.to_string(), part.reason.clone().unwrap_or_default())).collect()
    }

    fn passes(&self, probe: Probe, with_kubernetes: bool) -> bool {
        let parts = self.parts.read().unwrap_or_else(PoisonError::into_inner);
        parts.iter().all(|(name, part)| match (part.state, probe) {
            (Stage::Ok, _) => true,
            _ if name == KUBERNETES && !with_kubernetes => true,
            (Stage::Starting, Probe::Readiness) => false,
            (Stage::Starting, Probe::Health | Probe::Liveness) => true,
            (Stage::Failing, Probe::Liveness) => !part.vital,
            (Stage::Failing, Probe::Health | Probe::Readiness) => false,
        })
    }

    /// The paths above.
    pub fn router(&self) -> Router {
        let probe = |probe| {
            get(move |State(health): State<Self>, headers: HeaderMap| async move {
                health.answer(probe, &headers)
            })
        };
        Router::new()
            .route("/healthz", probe(Probe::Health))
            .route("/readyz", probe(Probe::Readiness))
            .route("/livez", probe(Probe::Liveness))
            .with_state(self.clone())
    }

    fn answer(&self, probe: Probe, headers: &HeaderMap) -> Response {
        let says = |name: &str, value: &str| {
            headers.get(name).is_some_and(|given| given.as_bytes().eq_ignore_ascii_case(value.as_bytes()))
        };
        let (code, status) = if self.passes(probe, !says("require-k8s-connectivity", "false")) {
            (StatusCode::OK, "ok")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "failing")
        };
        if says("brief", "true") {
            return (code, format!("{status}\n")).into_response();
        }
        let parts = self.parts.read().unwrap_or_else(PoisonError::into_inner);
        (code, Json(Answer { status, components: &parts })).into_response()
    }
}

//! A client of the admin API.

use std::io;
use std::net::SocketAddr;

use serde_json::Value;

use super::wait::until;
use crate::client::{Answer, Request};

/// Talks to one proxy's admin API.
#[derive(Debug, Clone)]
pub struct Admin {
    address: SocketAddr,
    token: Option<String>,
}

impl Admin {
    /// The API at that address.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, token: None }
    }

    /// Sends that bearer token from now on.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends a request as it is, but for the token.
    ///
    /// # Errors
    /// No connection, or no whole answer in time.
    pub async fn send(&self, request: Request) -> io::Result<Answer> {
        let request = match &self.token {
            Some(token) => request.header("authorization", &format!("Bearer {token}")),
            None => request,
        };
        request.send(self.address).await
    }

    /// GET.
    ///
    /// # Errors
    /// As [`Admin::send`].
    pub async fn get(&self, path: &str) -> io::Result<Answer> {
        self.send(Request::get(path)).await
    }

    /// PUT with a JSON body.
    ///
    /// # Errors
    /// As [`Admin::send`].
    pub async fn put(&self, path: &str, body: &Value) -> io::Result<Answer> {
        self.send(Request::new("PUT", path).json(body)).await
    }

    /// PUT with any bytes: a policy.
    ///
    /// # Errors
    /// As [`Admin::send`].
    pub async fn put_bytes(&self, path: &str, body: Vec<u8>) -> io::Result<Answer> {
        self.send(Request::new("PUT", path).header("content-type", "application/wasm").body(body)).await
    }

    /// POST with a JSON body.
    ///
    /// # Errors
    /// As [`Admin::send`].
    pub async fn post(&self, path: &str, body: &Value) -> io::Result<Answer> {
        self.send(Request::post(path, body)).await
    }

    /// DELETE.
    ///
    /// # Errors
    /// As [`Admin::send`].
    pub async fn delete(&self, path: &str) -> io::Result<Answer> {
        self.send(Request::new("DELETE", path)).await
    }

    /// `POST /v1/config/reload`: the outcome as JSON, whatever its status.
    ///
    /// # Errors
    /// As [`Admin::send`], or the answer is not JSON.
    pub async fn reload(&self) -> io::Result<Value> {
        self.send(Request::new("POST", "/v1/config/reload")).await?.json()
    }

    /// Waits until `/readyz` is 200.
    ///
    /// # Errors
    /// Not within [`super::PATIENCE`]; the message holds the last answer.
    pub async fn ready(&self) -> io::Result<()> {
        self.answers("/readyz", |answer| answer.status == 200).await.map(drop)
    }

    /// Asks for `path` until the answer is as wanted, and answers it.
    ///
    /// # Errors
    /// Not within [`super::PATIENCE`]; the message holds the last answer.
    pub async fn answers(&self, path: &str, wanted: impl Fn(&Answer) -> bool) -> io::Result<Answer> {
        let last = std::cell::RefCell::new(String::from("no answer"));
        let found = until(|| async {
            match self.get(path).await {
                Ok(answer) if wanted(&answer) => Some(answer),
                Ok(answer) => {
                    *last.borrow_mut() = format!("{} {}", answer.status, answer.text());
                    None
                }
                Err(problem) => {
                    *last.borrow_mut() = problem.to_string();
                    None
                }
            }
        });
        found.await.ok_or_else(|| io::Error::other(format!("GET {path} is not as wanted: {}", last.take())))
    }

    /// A node as `GET /v1/services/{service}` reports it.
    ///
    /// # Errors
    /// As [`Admin::send`], or the answer is not JSON.
    pub async fn node(&self, service: &str, id: &str) -> io::Result<Option<Value>> {
        let report = self.get(&format!("/v1/services/{service}")).await?.json()?;
        Ok(find_node(&report, id).cloned())
    }

    /// Waits until a node has that standing: `up`, `degraded`, `draining`, `down`, `checking`, or `absent`.
    ///
    /// # Errors
    /// Not within [`super::PATIENCE`]; the message holds the last answer.
    pub async fn node_is(&self, service: &str, id: &str, standing: &str) -> io::Result<()> {
        let wanted = |answer: &Answer| {
            let Ok(report) = answer.json() else { return false };
            match find_node(&report, id) {
                Some(node) => node["standing"] == standing,
                None => answer.status == 200 && standing == "absent",
            }
        };
        self.answers(&format!("/v1/services/{service}"), wanted).await.map(drop)
    }
}

fn find_node<'a>(report: &'a Value, id: &str) -> Option<&'a Value> {
    report["nodes"].as_array()?.iter().find(|node| node["id"] == id)
}

//! A request together with what was read of its body.

use std::net::IpAddr;

use super::BodyReader;
use crate::facts::{BodyValue, HeaderValue, RequestFacts};

/// Facts of a request's head, and what was read of its body for them.
#[derive(Debug)]
pub struct WithBody<'a, F> {
    /// The head.
    pub head: &'a F,
    /// `None`: nobody needs the body.
    pub body: Option<&'a BodyReader>,
}

impl<F: RequestFacts> RequestFacts for WithBody<'_, F> {
    fn method(&self) -> &str {
        self.head.method()
    }

    fn host(&self) -> &str {
        self.head.host()
    }

    fn path(&self) -> &str {
        self.head.path()
    }

    fn query(&self) -> Option<&str> {
        self.head.query()
    }

    fn header(&self, name: &str) -> HeaderValue<'_> {
        self.head.header(name)
    }

    fn client(&self) -> Option<IpAddr> {
        self.head.client()
    }

    fn tls_subject(&self) -> Option<&str> {
        self.head.tls_subject()
    }

    fn body_value(&self, place: usize) -> BodyValue<'_> {
        self.body.map_or(BodyValue::Unread, |body| body.value(place))
    }
}

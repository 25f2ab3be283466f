//! The bytes of one request, written into a buffer that is used again.

use super::template::{Numbers, Template, push_number};
use super::{Ask, LoadOptions};

/// What every request of a run is made from.
#[derive(Debug)]
pub(super) struct Shots {
    kinds: Vec<Kind>,
    /// Which kind each request is, in turn.
    order: Vec<usize>,
    headers: Vec<u8>,
    templates: Vec<(Vec<u8>, Template)>,
    body: Template,
    run: String,
}

#[derive(Debug)]
struct Kind {
    method: String,
    target: Template,
    carries_body: bool,
}

impl Shots {
    pub(super) fn new(options: &LoadOptions) -> Self {
        let kinds = options.mix.iter().map(|ask| Kind {
            method: ask.method.clone(),
            target: ask.target.clone(),
            carries_body: matches!(ask.method.as_str(), "POST" | "PUT" | "PATCH"),
        });
        let host = options.host.clone().unwrap_or_else(|| options.to.to_string());
        let connection = if options.keep_alive { "" } else { "connection: close\r\n" };
        Self {
            kinds: kinds.collect(),
            order: spread(&options.mix),
            headers: format!("host: {host}\r\n{connection}").into_bytes(),
            templates: options
                .headers
                .iter()
                .map(|(name, value)| (format!("{name}: ").into_bytes(), value.clone()))
                .collect(),
            body: options.body.clone(),
            run: options.run.clone(),
        }
    }

    /// Whether that request is a HEAD, whose answer has no body.
    pub(super) fn is_head(&self, request: u64) -> bool {
        self.kind(request).method == "HEAD"
    }

    /// Writes that request into `out`. `scratch` holds its body meanwhile.
    pub(super) fn render(&self, request: u64, connection: usize, out: &mut Vec<u8>, scratch: &mut Vec<u8>) {
        let numbers = Numbers { request, connection, run: &self.run };
        let kind = self.kind(request);
        out.clear();
        out.extend_from_slice(kind.method.as_bytes());
        out.push(b' ');
        kind.target.render(numbers, out);
        out.extend_from_slice(b" HTTP/1.1\r\n");
        out.extend_from_slice(&self.headers);
        for (name, value) in &self.templates {
            out.extend_from_slice(name);
            value.render(numbers, out);
            out.extend_from_slice(b"\r\n");
        }
        scratch.clear();
        if kind.carries_body {
            if !self.body.is_empty() {
                self.body.render(numbers, scratch);
            }
            out.extend_from_slice(b"content-length: ");
            push_number(out, scratch.len() as u64);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(scratch);
    }

    fn kind(&self, request: u64) -> &Kind {
        let turn = usize::try_from(request % self.order.len() as u64).unwrap_or(0);
        &self.kinds[self.order[turn]]
    }
}

/// Spreads the shares evenly over one cycle: smooth weighted round robin (nginx's `ngx_http_upstream_round_robin`).
fn spread(mix: &[Ask]) -> Vec<usize> {
    let total: i64 = mix.iter().map(|ask| i64::from(ask.share)).sum();
    let mut credit = vec![0i64; mix.len()];
    let mut order = Vec::new();
    for _ in 0..total {
        let mut best = 0;
        for (index, ask) in mix.iter().enumerate() {
            credit[index] += i64::from(ask.share);
            if credit[index] > credit[best] {
                best = index;
            }
        }
        credit[best] -= total;
        order.push(best);
    }
    order
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn ask(share: u32, method: &str) -> Ask {
        Ask { share, method: method.into(), target: Template::parse("/orders/{n}").expect("a template") }
    }

    #[test]
    fn shares_are_exact_and_spread() {
        let order = spread(&[ask(5, "GET"), ask(1, "POST"), ask(1, "PUT")]);
        assert_eq!(order, [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn a_request_is_whole_and_only_some_carry_a_body() {
        let mut options = LoadOptions::new(SocketAddr::from(([127, 0, 0, 1], 80))).header("x-customer-id", "{n%2}");
        options.mix = vec![ask(1, "GET"), ask(1, "POST")];
        options.body = Template::parse("[{n}]").expect("a template");
        let shots = Shots::new(&options);
        let (mut out, mut scratch) = (Vec::new(), Vec::new());
        shots.render(0, 0, &mut out, &mut scratch);
        assert_eq!(out, b"GET /orders/0 HTTP/1.1\r\nhost: 127.0.0.1:80\r\nx-customer-id: 0\r\n\r\n");
        shots.render(1, 0, &mut out, &mut scratch);
        let post = b"POST /orders/1 HTTP/1.1\r\nhost: 127.0.0.1:80\r\nx-customer-id: 1\r\ncontent-length: 3\r\n\r\n[1]";
        assert_eq!(out, post);
    }
}

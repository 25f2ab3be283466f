//! What is asked of each proxy.

use std::fmt;

/// One kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scenario {
    /// GET, 70-byte reply, round robin
    Small,
    /// GET, 10 KiB reply, round robin
    Large,
    /// POST of 1 KiB, 70-byte reply, round robin
    Post,
    /// GET, 70-byte reply, the node is a header modulo the number of nodes
    Modulo,
    /// GET, 70-byte reply, round robin, a connection for each request
    Fresh,
}

impl Scenario {
    /// Arguments of the load generator.
    pub(crate) fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Small => &["--ask", "GET /"],
            Self::Large => &["--ask", "GET /bytes/10240"],
            Self::Post => &["--ask", "POST /", "--body-size", "1024"],
            Self::Modulo => &["--ask", "GET /", "--header", "x-customer-id: {n%1000}"],
            Self::Fresh => &["--ask", "GET /", "--no-keep-alive"],
        }
    }

    /// Whether the node depends on the header.
    pub(crate) fn is_modulo(self) -> bool {
        self == Self::Modulo
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Small => "small",
            Self::Large => "large",
            Self::Post => "post",
            Self::Modulo => "modulo",
            Self::Fresh => "fresh",
        })
    }
}

//! What is asked of each proxy.

use std::fmt;

use clap::ValueEnum;

/// One kind of work. A further one is a variant here and its rows in `bounds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// GET, 70-byte reply, round robin
    Small,
    /// GET, 10 KiB reply, round robin
    #[value(name = "10k")]
    TenKib,
    /// GET, 1 MiB reply, round robin, 8 connections
    #[value(name = "1m")]
    OneMib,
    /// POST of 1 KiB, 70-byte reply, round robin
    Post,
    /// GET, 70-byte reply, round robin, 1,000 connections
    #[value(name = "1000")]
    Thousand,
    /// GET, 70-byte reply, the node is a header modulo the number of nodes
    Modulo,
    /// GET, 70-byte reply, round robin, a connection for each request
    Fresh,
    /// GET over TLS, 70-byte reply, round robin
    Tls,
}

impl Scenario {
    /// Arguments of the load generator.
    pub(crate) fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Small | Self::Thousand | Self::Tls => &["--ask", "GET /"],
            Self::TenKib => &["--ask", "GET /bytes/10240"],
            Self::OneMib => &["--ask", "GET /bytes/1048576"],
            Self::Post => &["--ask", "POST /", "--body-size", "1024"],
            Self::Modulo => &["--ask", "GET /", "--header", "x-customer-id: {n%1000}"],
            Self::Fresh => &["--ask", "GET /", "--no-keep-alive"],
        }
    }

    /// Connections of the load generator, where `asked` is what the command line says.
    pub(crate) fn connections(self, asked: usize) -> usize {
        match self {
            Self::Thousand => 1000,
            // More would only queue: a few already fill both cores with copying.
            Self::OneMib => asked.min(8),
            _ => asked,
        }
    }

    /// Requests before the clock starts, so that pools are filled and code is warm.
    pub(crate) fn warm_up(self) -> u64 {
        match self {
            Self::OneMib => 500,
            _ => 5000,
        }
    }

    /// Whether clients speak TLS.
    pub(crate) fn is_secure(self) -> bool {
        self == Self::Tls
    }

    /// Whether the node depends on the header.
    pub(crate) fn is_modulo(self) -> bool {
        self == Self::Modulo
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}

impl serde::Serialize for Scenario {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

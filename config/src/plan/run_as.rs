//! As whom the proxy runs.

use serde::Serialize;

use super::Mark;

/// Whom to become where the proxy is started as root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunAs {
    /// Name or number of the user.
    pub user: String,
    /// Name or number of the group; the user's own when absent.
    pub group: Option<String>,
    /// Where the user is named.
    pub mark: Mark,
}

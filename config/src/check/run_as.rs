//! `user` and `group`: as whom the proxy runs where it is started as root.

use super::fields::Fields;
use crate::plan::RunAs;

/// Whom to become, if anybody is named.
pub(crate) fn run_as(file: &Fields) -> Option<RunAs> {
    file.require_if_written("user");
    file.require_if_written("group");
    let group = file.text("group").map(str::to_owned);
    let Some(user) = file.text("user") else {
        if let Some(node) = file.get("group").filter(|_| !file.has("user")) {
            file.checks.report(node.mark, "there is a `group` without a `user`", "name the user to become, too");
        }
        return None;
    };
    let mark = file.get("user").map_or(file.mark, |node| node.mark);
    if matches!(user, "root" | "0") {
        let hint = "name a user without privileges; to keep those of root, leave `user` out";
        file.checks.report(mark, "to become `root` drops nothing", hint);
    }
    Some(RunAs { user: user.to_owned(), group, mark })
}

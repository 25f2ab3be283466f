//! As many descriptors as the process may have: each connection takes one, and each request on its way one more.

/// Fewer are soon used up.
const FEW: u64 = 4096;

/// Raises the soft limit to the hard one, which only root raises. The limit as it is then.
pub(super) fn raise() -> u64 {
    let limit = rlimit::increase_nofile_limit(u64::MAX).unwrap_or_else(|error| {
        log::warn!("the limit of descriptors cannot be raised: {error}");
        rlimit::Resource::NOFILE.get_soft().unwrap_or_default()
    });
    if limit < FEW {
        log::warn!(
            "only {limit} descriptors may be open, and each connection takes one: raise the hard limit (`ulimit -Hn`, or \
             LimitNOFILE= of a systemd unit)"
        );
    }
    limit
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_soft_limit_is_the_hard_one_afterwards() {
        let limit = super::raise();
        let (soft, hard) = rlimit::Resource::NOFILE.get().expect("every process has one");
        assert_eq!((limit, soft), (hard, hard));
    }
}

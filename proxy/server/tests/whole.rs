//! The whole proxy, as its users run it: the real binary on free ports, real nodes, real sockets.

/// `whole_without_lane.rs` runs the same tests with `off`.
const LANE: &str = "on";

#[path = "whole/announced.rs"]
mod announced;
#[path = "whole/bodies.rs"]
mod bodies;
#[path = "whole/bounds.rs"]
mod bounds;
#[path = "whole/broadcast.rs"]
mod broadcast;
#[path = "whole/courses.rs"]
mod courses;
#[path = "whole/death.rs"]
mod death;
#[path = "whole/ejection.rs"]
mod ejection;
#[path = "whole/forwarding.rs"]
mod forwarding;
#[path = "whole/kept.rs"]
mod kept;
#[path = "whole/limits.rs"]
mod limits;
#[path = "whole/mirror.rs"]
mod mirror;
#[path = "whole/owners.rs"]
mod owners;
#[path = "whole/primaries.rs"]
mod primaries;
#[path = "whole/puppet.rs"]
mod puppet;
#[path = "whole/registry.rs"]
mod registry;
#[path = "whole/reload.rs"]
mod reload;
#[path = "whole/retries.rs"]
mod retries;
#[path = "whole/routing.rs"]
mod routing;
#[path = "whole/splits.rs"]
mod splits;
#[path = "whole/stage.rs"]
mod stage;
#[path = "whole/sticky.rs"]
mod sticky;
#[path = "whole/swap.rs"]
mod swap;
#[path = "whole/tunnels.rs"]
mod tunnels;
#[path = "whole/warming.rs"]
mod warming;
